"""Seeded random commands: several assets, contracts, pools and accounts, and every kind of command.

A workload reads the auditor's model only to choose sensible commands (inventory to unwind, fills to
cancel); the result is a plain list of commands that can be run again.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import round_oracle
from model import SIDES, Contract, Model, other
from random_collateral import RandomCollateral
from random_market import RandomMarket, opening, text

from delever.core import messages as m
from delever.core.messages import FundingReason, Reason, Side


@dataclass(frozen=True)
class Move:
    """One command, and the reason for which it must be rejected, if it must."""

    command: m.Command
    fault: Reason | None = None


class Workload:
    """Draw the next command from a seed."""

    def __init__(self, seed: int, *, scale: int = 1) -> None:
        self.random = random.Random(seed)
        self.orders = random.Random(f"orders {seed}")
        self.plans = random.Random(f"plans {seed}")
        self.market = RandomMarket(self.random, scale=scale, coarse=scale == 1 and seed % 3 == 0)
        self.time_ms = 1_000
        self.version = 1
        self.late: list[m.SetPositions | m.SetBalances] = []
        self._open(seed)

    def _open(self, seed: object) -> None:
        """Draw the market's collateral, and the commands with which it opens."""
        self.collateral = RandomCollateral(seed, self.market)
        commands = opening(self.market, self.collateral.account)
        first_account = next(n for n, c in enumerate(commands) if isinstance(c, m.DefineAccount))
        commands[first_account:first_account] = self.collateral.opening()
        self.opening = [Move(command) for command in commands]

    def next(self, model: Model) -> Move:
        """Return the next command; the opening first."""
        if self.opening:
            return self.opening.pop(0)
        self.market.follow(model)
        if self.orders.random() < 0.05:
            return Move(self._order(model))
        if about_plans := self._plan(model):
            return Move(about_plans)
        if about_collateral := self.collateral.next(model, self.time_ms):
            return Move(about_collateral)
        self._pass_time()
        if self.random.random() < 0.07 and self.market.trading(model):
            return self._faulty(model)
        draws, weights = zip(*self._draws().items(), strict=True)
        draw_command: Callable[[Model], m.Command] = self.random.choices(draws, weights)[0]
        return Move(draw_command(model))

    def _draws(self) -> dict[Callable[[Model], m.Command], int]:
        return {
            self._marks: 30,
            self._positions: 24,
            self._balances: 10,
            self._takeover: 12,
            self._fund: 7,
            self._unwind: 6,
            self._depth: 6,
            self._late_snapshot: 5,
            self._cancel: 4,
            self._move: 2,
            self._account: 2,
            self._margin: 3,
            self._time: 2,
            self._refresh: 1,
        }

    def _pass_time(self) -> None:
        draw = self.random.random()
        longest = 5_000 if draw < 0.9 else 120_000 if draw < 0.97 else 10 * 3_600_000
        passed = self.random.randrange(longest)
        self.time_ms += round(passed, -3) if self.market.coarse else passed

    # --- the market ---

    def _marks(self, _model: Model) -> m.Command:
        names = [c.contract for c in self.market.contracts]
        moved = names if self.random.random() < 0.4 else [self.random.choice(names)]
        drift = self.random.choice([0.01, 0.01, 0.03, 0.1, 0.3])
        shift = self.random.gauss(0, drift)
        return m.SetMarks(
            time_ms=self.time_ms,
            marks={name: self.market.moved(name, shift) for name in moved},
            strict=self.market.scale > 1,  # the model does not know which mark is too large
        )

    def _depth(self, _model: Model) -> m.Command:
        contract = self.random.choice(self.market.contracts)
        return self.market.depth(contract, self.time_ms)

    def _refresh(self, _model: Model) -> m.Command:
        return self.random.choice([m.RefreshRatings, m.RefreshIndicators])(time_ms=self.time_ms)

    # --- the venue's snapshots of accounts ---

    def _account(self, _model: Model) -> m.Command:
        name = self.random.choice(self.market.accounts)
        return self.collateral.account(self.market.account(name, self.time_ms))

    def _balances(self, model: Model) -> m.Command:
        accounts = self._some_accounts()
        assets = {contract.settle for contract in self.market.contracts}
        rows = tuple(
            m.BalanceRow(account=account, asset=asset, balance=self.market.balance(asset))
            for account in accounts
            for asset in sorted(assets)
            if self.random.random() < 0.7
        )
        snapshot = m.SetBalances(
            time_ms=self.time_ms,
            version=self._new_version(),
            last_fill=self._known_fill(model),
            balances=rows,
            strict=self.market.scale > 1,  # as for marks
        )
        return self._remember(self.collateral.balances(snapshot))

    def _positions(self, model: Model) -> m.Command:
        rows: list[m.PositionRow] = []
        taken: set[tuple[str, str, int]] = set()
        for account in self._some_accounts():
            for _ in range(self.random.randint(1, 3)):
                contract = self.random.choice(self.market.contracts)
                number = self.random.choice([0, 0, 0, 1, 2])
                hedge = account in model.accounts and model.accounts[account].hedge
                sides = SIDES if hedge and self.random.random() < 0.5 else (None,)
                if (account, contract.contract, number) in taken:
                    continue
                taken.add((account, contract.contract, number))
                for side in sides:
                    chosen = side or self.random.choice(SIDES)
                    rows.append(self.market.position(account, contract, chosen, number))
        snapshot = m.SetPositions(
            time_ms=self.time_ms,
            version=self._new_version(),
            last_fill=self._known_fill(model),
            positions=tuple(rows),
            strict=self.market.scale > 1,
        )
        return self._remember(snapshot)

    def _margin(self, model: Model) -> m.Command:
        """Return a margin near an account's own, at times lower than its maintenance, or none."""
        account = self.random.choice(sorted(model.accounts) or self.market.accounts)
        asset = self.random.choice(sorted(model.units))
        own, maintenance = model.own_margin(account, asset) if model.accounts else (0, 0)
        unit = model.units[asset]
        ends = self.random.random() < 0.3
        own *= self.random.choice([1, 2, -1])
        maintenance *= self.random.choice([1, 2, 9])
        equity, needed = (text(Fraction(int(amount), unit)) for amount in (own, maintenance))
        return m.SetAccountMargin(
            time_ms=self.time_ms,
            version=max(self._new_version() - self.random.choice([0, 0, 0, 5]), 0),
            account=account,
            asset=asset,
            equity=None if ends else equity,
            maintenance=None if ends else needed,
        )

    def _late_snapshot(self, model: Model) -> m.Command:
        """Return an earlier snapshot again: late, twice, or out of order."""
        if not self.late:
            return self._positions(model)
        snapshot = self.random.choice(self.late)
        fields = {name: getattr(snapshot, name) for name in snapshot.__struct_fields__}
        return type(snapshot)(**{**fields, "time_ms": self.time_ms})

    def _remember(self, snapshot: m.SetPositions | m.SetBalances) -> m.Command:
        self.late = [*self.late[-5:], snapshot]
        return snapshot

    def _some_accounts(self) -> list[str]:
        count = self.random.randint(1, 4)
        return self.random.sample(self.market.accounts, min(count, len(self.market.accounts)))

    def _new_version(self) -> int:
        """Return a version that is mostly newer, sometimes equal to the last or older."""
        self.version += self.random.choice([0, 1, 1, 1, 2])
        return max(self.version - self.random.choice([0, 0, 0, 0, 0, 3]), 0)

    def _known_fill(self, model: Model) -> int:
        """Return the last fill that the venue has applied: the newest, or an earlier one."""
        if self.random.random() < 0.6:
            return model.last_fill
        return self.random.randint(0, model.last_fill)

    # --- liquidation ---

    def _takeover(self, model: Model) -> m.Command:
        holders = sorted(
            {a for c in model.contracts.values() for side in SIDES for a, _ in c.positions[side]}
        )
        if not holders:
            return m.Takeover(time_ms=self.time_ms, account=self.market.accounts[0])
        account = self.random.choice(holders)
        if self.random.random() < 0.5:
            return m.Takeover(time_ms=self.time_ms, account=account)
        contract, side, _, _ = self.random.choice(model.held(account))
        price = None
        if self.random.random() < 0.4 and contract.mark:
            price = self._near_mark(contract)
        chosen = side if self.random.random() < 0.7 else None
        return m.Takeover(
            time_ms=self.time_ms, account=account, contract=contract.name, side=chosen, price=price
        )

    def _near_mark(self, contract: Contract) -> str:
        return text(contract.on_tick(self.market.near(contract.mark), up=False) * contract.tick)

    def _unwind(self, model: Model) -> m.Command:
        held = [
            (c, side, lots)
            for c in model.contracts.values()
            for side in SIDES
            if (lots := c.inventory(side)[0])
        ]
        if not held:
            return self._marks(model)
        contract, side, lots = self.random.choice(held)
        lots = self.random.choice([lots, self.random.randint(1, lots), lots + 1])
        return m.UnwindFill(
            time_ms=self.time_ms,
            contract=contract.name,
            side=side,
            quantity=text(lots * contract.lot),
            price=self._near_mark(contract),
        )

    def _cancel(self, model: Model) -> m.Command:
        known = list(model.fills) or [0]
        fill = self.random.choice([*known, model.last_fill + 1])
        return m.CancelAdl(time_ms=self.time_ms, fill=fill, note="not applied")

    # --- pools ---

    def _fund(self, model: Model) -> m.Command:
        pool = self.random.choice(list(model.pools.values()))
        unit = model.units[pool.asset]
        inwards = self.random.random() < 0.6
        if inwards:
            amount = self.market.seed_money(pool.asset)
            reason = self.random.choice(["seed", "injection", "clearance_fee", "correction"])
        else:
            part = self.random.choice([1, 2, 3, Fraction(1, 2)])
            amount = -Fraction(max(int(pool.balance / part), 1), unit)
            reason = self.random.choice(["withdrawal", "withdrawal", "correction"])
        members = [None, *(c.name for c in model.members(pool.name))]
        return m.FundPool(
            time_ms=self.time_ms,
            pool=pool.name,
            amount=text(amount),
            reason=FundingReason(reason),
            contract=self.random.choice(members),
        )

    def _move(self, model: Model) -> m.Command:
        contract = self.random.choice(list(model.contracts))
        pool = self.random.choice(list(model.pools))
        return m.MoveContract(time_ms=self.time_ms, contract=contract, pool=pool, note="moved")

    def _order(self, model: Model) -> m.Command:
        """Return an operator's command, drawn from a generator of its own."""
        draw, time_ms = self.orders, self.time_ms
        if draw.random() < 0.5:
            return self._change_of_terms(model)
        held = [c.name for c in model.contracts.values() if c.has_inventory]
        contract = draw.choice(held or list(model.contracts))
        unconfirmed = [c.name for c in model.contracts.values() if c.unconfirmed]
        if unconfirmed and draw.random() < 0.5:
            contract = draw.choice(unconfirmed)
            return m.ConfirmMark(time_ms=time_ms, contract=contract, note="checked")
        if model.last_fill and draw.random() < 0.5:
            return self._compensation(model)
        if draw.random() < 0.5:
            return m.ForceAdl(time_ms=time_ms, contract=contract, note="at once")
        paused = draw.random() < 0.3
        return m.PauseAdl(time_ms=time_ms, contract=contract, paused=paused, note="halted")

    def _plan(self, model: Model) -> m.Command | None:
        """Return a plan for a round that waits, else a wait, from a generator of their own."""
        draw = self.plans
        waiting = [(c, side) for c in model.contracts.values() for side in c.plan_requests]
        if waiting and draw.random() < 0.4:
            return self._plan_for(model, *draw.choice(waiting))
        open_ = [c.name for c in model.contracts.values() if c.status != "settled"]
        if not open_ or draw.random() < 0.98:
            return None
        wait_ms = draw.choice([0, 20_000, 60_000, 600_000])
        contract = draw.choice(open_)
        return m.SetPlanWait(time_ms=self.time_ms, contract=contract, wait_ms=wait_ms, note="plans")

    def _plan_for(self, model: Model, contract: Contract, side: Side) -> m.Command | None:
        """Return a plan for a round: mostly one that its queue allows, for a part of it."""
        draw = self.plans
        queue = round_oracle.sort_queue(model, contract, other(side), {})[0]
        closable = [c for c in queue if c.lots]
        if not closable:
            return None
        left = draw.choice([1, 2, 1]) * contract.inventory(side)[0]
        fills = []
        for counterparty in draw.sample(closable, draw.randint(1, len(closable))):
            lots = min(draw.choice([counterparty.lots, draw.randint(1, counterparty.lots)]), left)
            lots += draw.random() < 0.02
            left -= lots
            quantity = text(lots * contract.lot)
            number = counterparty.number
            if lots > 0:
                account = counterparty.account
                fills.append(m.PlannedFill(account=account, quantity=quantity, position=number))
        if not fills:
            return None
        far = contract.grid if side == "short" else 10**7 * contract.grid
        limit = far if draw.random() < 0.9 or not contract.mark else self._near_mark(contract)
        planned = m.PlannedRound(
            contract=contract.name,
            side=side,
            price_limit=limit if isinstance(limit, str) else text(limit),
            fills=tuple(fills),
        )
        return m.AllocateAdl(
            time_ms=self.time_ms,
            book_sequence=max(model.sequence - draw.choice([0, 0, 0, 3]), 0),
            certificate="0" * 64,
            rounds=(planned,),
            note="optimal",
        )

    def _change_of_terms(self, model: Model) -> m.Command:
        """Return an amendment, or a step of a delisting."""
        draw, time_ms = self.orders, self.time_ms
        ending = [c for c in model.contracts.values() if c.status in {"close_only", "settling"}]
        if ending and draw.random() < 0.6:
            return self._ending(draw, draw.choice(ending))
        if draw.random() < 0.25:
            return self._ending(draw, draw.choice(list(model.contracts.values())))
        if draw.random() < 0.3:
            return self.market.pool_amendment(model, draw, time_ms)
        return self.market.amendment(model, draw, time_ms)

    def _ending(self, draw: random.Random, contract: Contract) -> m.Command:
        """Return a step of a delisting: mostly called off again, sometimes settled."""
        fields = {"time_ms": self.time_ms, "contract": contract.name, "note": "delisted"}
        if contract.status == "trading" or draw.random() < 0.15:
            listed = [m.TradingStatus.TRADING, m.TradingStatus.TRADING]
            ending = [m.TradingStatus.CLOSE_ONLY, m.TradingStatus.SETTLING]
            status = draw.choice(ending if contract.status == "trading" else listed + ending)
            return m.DelistContract(**fields, status=status, fund_pays=draw.random() < 0.5)
        mark = max(contract.mark, 1) * contract.tick
        price = mark * Fraction(draw.randrange(4_000, 19_000), 10_000)
        return m.SettleContract(**fields, price=text(price))

    def _compensation(self, model: Model) -> m.Command:
        """Return a payment for one of the last fills, or for a fill that the venue has read."""
        draw = self.orders
        known = list(model.fills.values())[-3:]
        fill = draw.choice(known) if known and draw.random() < 0.8 else None
        contract = fill.contract if fill else draw.choice(list(model.contracts))
        unit = model.units[model.contracts[contract].settle]
        return m.Compensate(
            time_ms=self.time_ms,
            account=fill.account if fill else draw.choice(list(model.accounts)),
            contract=contract,
            fill=fill.fill if fill else draw.randint(1, model.last_fill),
            amount=text(Fraction(draw.randint(1, 50 * self.market.scale), unit)),
            note="owed",
        )

    def _time(self, _model: Model) -> m.Command:
        self.time_ms += self.random.choice([0, 1, 60_000, 9 * 3_600_000])
        return m.SetTime(time_ms=self.time_ms)

    # --- invalid commands ---

    def _faulty(self, model: Model) -> Move:
        return self.random.choice(self.market.faults(model, self.time_ms, self.version + 1))
