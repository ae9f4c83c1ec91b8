"""Follows a session event by event on a book of its own, and says what is not as it should be.

Before each round the queue is ranked anew, from the book as it then stands and not from the fills.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction

from model import expect, nearest, same
from siege import Played

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.accounting.ledger import postings
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.inventory import Tranche
from delever.core.messages import Event, Reason, Side
from delever.core.rules import RULE_SETS, Case, RuleSet
from delever.core.rules.eligibility import rejected
from delever.core.rules.loss_socialization import (
    SocializedLoss,
    WithdrawalCut,
    claims_of,
    total_equity,
)
from delever.core.rules.policies import InOrder
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import PPM
from delever.core.valuation.insurance import pool_equity, profit_of
from delever.core.valuation.side_valuation import SideValuation, value_side

OF_A_ROUND = (m.CounterpartySkipped, m.AdlFilled, m.RoundClosed)

Key = tuple[str, int]
"""A position of a table: account and position number."""


class Witness:
    """A book moved on by events alone, what has been seen, and every table that met inventory."""

    def __init__(self) -> None:
        self.book = Book()
        self.seen: Counter[str] = Counter()
        self.views: list[tuple[RuleSet, SideValuation]] = []
        self.told_cash: defaultdict[str, int] = defaultdict(int)

    def follow(self, command: m.Command, events: Sequence[Event]) -> None:
        """Judge one step."""
        flat = self._flat(command)
        place = 0
        while place < len(events):
            end = place
            if isinstance(events[place], OF_A_ROUND):
                while not isinstance(events[end], m.RoundClosed):
                    end += 1
                self._judge_round(events[place : end + 1], events[end + 1 : end + 2])
            else:
                self._happen(events[place])
            place = end + 1
        for account, cash in flat.items():
            same(f"wallets of {account}, who is flat", self._cash_of(account), cash)
        audit(self.book)
        self._judge_money()
        if not isinstance(events[0], m.Rejected):
            self._judge_deficits(events)
            if not any(isinstance(event, m.AdlFilled) for event in events):
                self._judge_what_is_left()

    # --- money ---

    def _happen(self, event: Event) -> None:
        units: Counter[str] = Counter()
        for posting in postings(self.book, event):
            units[posting.unit] += posting.amount
        expect(not any(units.values()), "postings do not sum to zero", event)
        self._hear(event)
        if isinstance(event, m.LossSocialized):
            self._judge_loss(event)
        self._count(event)
        self.book.apply(event)

    def _hear(self, event: Event) -> None:
        """Add up what the outside says: what it tells comes from nowhere, and only that."""
        match event:
            case m.BalancesSet():
                columns = zip(event.accounts, event.assets, event.balance_cash, strict=True)
                for account, asset, cash in columns:
                    row = self.book.accounts.index[account]
                    known = int(self.book.assets[asset].wallets.balance[row])
                    self.told_cash[asset] += cash - known
            case m.PositionsSet():
                state = self.book.contracts[event.contract]
                table, index = state.tables[event.side], self.book.accounts.index
                told = sum(event.margin_cash) - sum(event.cost_cash)
                for account, number in zip(event.accounts, event.positions, strict=True):
                    row = table.find(index[account], number)
                    told -= 0 if row is None else int(table.margin[row] - table.cost[row])
                self.told_cash[state.terms.settle] += told
            case m.PoolFunded():
                self.told_cash[self.book.pools[event.pool].asset] += event.amount_cash
            case m.Unwound():
                asset = self.book.contracts[event.contract].terms.settle
                self.told_cash[asset] += event.value_cash

    def _judge_money(self) -> None:
        """Wallets, margins, pools, fees and positions at cost are what the outside has told."""
        held: Counter[str] = Counter()
        for name, asset in self.book.assets.items():
            held[name] += sum(asset.wallets.balance[: asset.wallets.size].tolist()) + asset.fees
        for pool in self.book.pools.values():
            held[pool.asset] += pool.balance
        for state in self.book.contracts.values():
            for side, table in state.tables.items():
                own = sum((table.margin - table.cost)[: table.size].tolist())
                held[state.terms.settle] += own - state.inventory[side].total_cost
        for name in self.book.assets:
            same(f"all {name} there is", held[name], self.told_cash[name])

    def _flat(self, command: m.Command) -> dict[str, list[int]]:
        """Return the wallets of accounts without positions of which the command says nothing."""
        names = self.book.accounts.names
        touched = {
            names[account]
            for state in self.book.contracts.values()
            for table in state.tables.values()
            for account, _ in table.pairs()
        }
        match command:
            case m.SetBalances():
                touched |= {row.account for row in command.balances}
            case m.SetPositions():
                touched |= {row.account for row in command.positions}
            case m.CancelAdl() if command.fill in self.book.outstanding:
                touched.add(self.book.outstanding[command.fill].account)
        return {name: self._cash_of(name) for name in names if name not in touched}

    def _cash_of(self, account: str) -> list[int]:
        row = self.book.accounts.index[account]
        return [int(asset.wallets.balance[row]) for asset in self.book.assets.values()]

    # --- rounds ---

    def _judge_round(self, events: Sequence[Event], after: Sequence[Event]) -> None:
        closed = events[-1]
        assert isinstance(closed, m.RoundClosed)
        skips = [event for event in events if isinstance(event, m.CounterpartySkipped)]
        fills = [event for event in events if isinstance(event, m.AdlFilled)]
        state, side = self.book.contracts[closed.contract], Side(closed.side)
        rules = RULE_SETS[self.book.pool_of(state).definition.rules]
        case = rules.case(closed.trigger)
        tranches = {
            p.takeover: (p.lots, p.account) for p in case.trigger.tranches(self.book, state, side)
        }
        queue = rank_side(value_side(self.book, state, side.opposite), rules.ranking)
        self.views.append((rules, queue.view))
        lots = self._judge_fills(fills, state, side, tranches, queue)
        self._judge_quantity(closed, after, tranches, lots)
        same("in line", closed.counterparties, len(queue.order))
        out = {str(reason): len(rows) for reason, rows in queue.ineligible.items()}
        same("not in line", closed.ineligible, out)
        liquidated = {account for _, account in tranches.values()}
        self._judge_skips(skips, queue, liquidated)
        if isinstance(rules.policy, InOrder):
            self._judge_order(closed, queue, lots, {self._skipped(skip) for skip in skips})
        for event in events:
            self._happen(event)
        self._judge_solvent(state, side.opposite, fills)

    def _judge_fills(
        self,
        fills: Sequence[m.AdlFilled],
        state: ContractState,
        side: Side,
        tranches: dict[int, tuple[int, str]],
        queue: Queue,
    ) -> Counter[Key]:
        """Return how many lots each position lost: in line, on the other side, within its size."""
        rows = {self._key(queue.view, row): row for row in queue.order.tolist()}
        lots: Counter[Key] = Counter()
        of_parcel: Counter[int] = Counter()
        met: set[tuple[Key, int]] = set()
        for fill in fills:
            key = (fill.account, fill.position)
            same("closed in", (fill.contract, fill.side), (state.name, side.opposite))
            expect(key in rows, "closed without standing in line", fill)
            expect((key, fill.takeover) not in met, "closed twice", fill)
            expect(fill.account != tranches[fill.takeover][1], "against its own inventory", fill)
            met.add((key, fill.takeover))
            lots[key] += fill.lots
            of_parcel[fill.takeover] += fill.lots
            row = rows[key]
            where = (queue.rank[row], queue.indicator[row], queue.ahead_lots[row])
            told = (fill.rank, fill.indicator, fill.quantity_ahead_lots)
            same("place", told, tuple(map(int, where)))
            same("score", fill.score, float(queue.score.value[row]))
        for key, closed in lots.items():
            held = int(queue.view.lots[rows[key]])
            expect(0 < closed <= held, "closed beyond its size", key, closed, held)
        for takeover, closed in of_parcel.items():
            expect(closed <= tranches[takeover][0], "more than was taken over", takeover)
        return lots

    @staticmethod
    def _judge_quantity(
        closed: m.RoundClosed,
        after: Sequence[Event],
        tranches: dict[int, tuple[int, str]],
        lots: Counter[Key],
    ) -> None:
        """What the trigger has put up is closed, or the shortage is told."""
        same("wanted", closed.wanted_lots, sum(lots for lots, _ in tranches.values()))
        same("filled", closed.filled_lots, lots.total())
        left = closed.wanted_lots - closed.filled_lots
        expect(left >= 0, "closed more than was wanted", closed)
        told = after[0] if after and isinstance(after[0], m.AdlExhausted) else None
        same("shortage told", told.left_lots if told else 0, left)

    def _judge_skips(
        self, skips: Sequence[m.CounterpartySkipped], queue: Queue, liquidated: set[str]
    ) -> None:
        """Each reason is true, and names who stands in line."""
        ranks = {self._key(queue.view, row): int(queue.rank[row]) for row in queue.order.tolist()}
        for skip in skips:
            same("rank of a skip", skip.rank, ranks[skip.account, skip.position])
            if skip.reason is Reason.LIQUIDATED_ACCOUNT_ITSELF:
                expect(skip.account in liquidated, "not the liquidated account", skip)
            else:
                expect(all(n < 0 for n in skip.numbers.values()), "skipped for nothing", skip)
                expect(bool(skip.numbers), "skipped without a number", skip)

    def _judge_order(
        self, closed: m.RoundClosed, queue: Queue, lots: Counter[Key], skipped: set[Key]
    ) -> None:
        """Nobody is passed over without a reason, and a skip is told only where it mattered."""
        order = [self._key(queue.view, row) for row in queue.order.tolist()]
        sizes = dict(zip(order, queue.view.lots[queue.order].tolist(), strict=True))
        filled = [key for key in order if lots[key]]
        last = order.index(filled[-1]) if filled else -1
        short = closed.filled_lots < closed.wanted_lots
        for place, key in enumerate(order):
            if key in skipped:
                expect(not lots[key], "skipped and closed", key)
                expect(short or place < last, "a skip that moved nobody up", key)
            elif place < last or short:
                same(f"closed of {key}, who stands in front", lots[key], sizes[key])

    def _judge_solvent(self, state: ContractState, side: Side, fills: list[m.AdlFilled]) -> None:
        """No bucket of a closed position is below 0, but for a unit of rounding a fill."""
        index = self.book.accounts.index
        table, wallets = state.tables[side], self.book.asset_of(state).wallets
        for fill in fills:
            row = table.find(index[fill.account], fill.position)
            if not fill.isolated:
                equity = int(wallets.equity()[index[fill.account]])
            elif row is not None:
                equity = int(table.margin[row] + table.profit[row])
            else:
                continue
            expect(equity >= -len(fills), "a fill has bankrupted its counterparty", fill, equity)

    # --- losses ---

    def _judge_loss(self, event: m.LossSocialized) -> None:
        """OutstandingLoss once by each of the open positions named, and whole or told to be short."""
        state, index = self.book.contracts[event.contract], self.book.accounts.index
        keys = list(zip(event.accounts, event.sides, event.positions, strict=True))
        same("positions that bear it twice", len(keys), len(set(keys)))
        for (account, side, number), amount in zip(keys, event.amount_cash, strict=True):
            row = state.tables[side].find(index[account], number)
            expect(row is not None, "a flat account pays", event.contract, account)
            expect(amount > 0, "a position gains by a loss", account, amount)
        over = sum(event.amount_cash) + event.left_cash - event.loss_cash
        open_lots = sum(table.total_lots for table in state.tables.values())
        expect(0 <= over < open_lots, "the shares are not the loss", event)

    def _judge_deficits(self, events: Sequence[Event]) -> None:
        """What a pool is short of is shared out, or somebody was told that it is not."""
        left = {e.contract for e in events if isinstance(e, m.LossSocialized) and e.left_cash}
        for pool in self.book.pools.values():
            rule = RULE_SETS[pool.definition.rules].last_resort
            short = max(-pool_equity(self.book, pool), 0)
            if isinstance(rule, WithdrawalCut):
                total = total_equity(self.book, pool.asset)
                part = Fraction(short * PPM, total) if short and total else Fraction(0)
                right = min(max(nearest(part), 0), PPM)
                same(f"cut of {pool.name}", pool.withdrawal_cut_ppm, right)
            elif isinstance(rule, SocializedLoss) and short:
                losing = [s for s in self.book.members(pool) if profit_of(s) < 0]
                waits = any(rule.after_unwinding and s.has_inventory for s in losing)
                if len(losing) == 1 and not waits and losing[0].name not in left:
                    shares = rule.shares(claims_of(self.book, losing[0]), short)
                    same(f"what {losing[0].name} could still bear", sum(shares), 0)

    # --- when all is done ---

    def _judge_what_is_left(self) -> None:
        """What is still to be closed was told, and meets nobody.

        Not after fills: they may change what others have, until the next command.
        """
        for state in self.book.engaged():
            rules = RULE_SETS[self.book.pool_of(state).definition.rules]
            for side in Side:
                for case in rules.cases if state.mark and not state.paused else ():
                    tranches = case.trigger.tranches(self.book, state, side)
                    if case.trigger.name in state.active and tranches:
                        self._judge_nobody(state, side, rules, case, tranches)
                        break

    def _judge_nobody(
        self,
        state: ContractState,
        side: Side,
        rules: RuleSet,
        case: Case,
        tranches: Sequence[Tranche],
    ) -> None:
        wanted = sum(tranche.lots for tranche in tranches)
        same(f"left of {state.name}", state.exhausted.get(side), wanted)
        queue = rank_side(value_side(self.book, state, side.opposite), rules.ranking)
        ticks = case.price.quote(self.book, state, side, tranches).ticks
        left = set(queue.order.tolist())
        for _, fails, _ in rejected(rules.skips, queue.view, wanted, ticks):
            left -= set(fails.nonzero()[0].tolist())
        liquidated = {tranche.account for tranche in tranches}
        left = {row for row in left if self._key(queue.view, row)[0] not in liquidated}
        expect(not left, "somebody could still be closed", state.name, left)

    # --- what was seen ---

    def _count(self, event: Event) -> None:
        self.seen[str(event.__struct_config__.tag)] += 1
        match event:
            case m.AdlFilled():
                state = self.book.contracts[event.contract]
                hedged = self.book.accounts.hedge_mode[self.book.accounts.index[event.account]]
                self.seen["isolated" if event.isolated else "cross"] += 1
                self.seen["hedged" if hedged else "one_way"] += 1
                self.seen[state.terms.kind] += 1
                self.seen[event.side] += 1
            case m.RoundClosed(filled_lots=lots) if lots:
                self.seen[event.trigger] += 1
                self.seen[event.price_rule] += 1
            case m.RoundClosed():
                self.seen.update(event.ineligible)
            case m.CounterpartySkipped() | m.AdlExhausted() | m.TakenOver():
                self.seen[event.reason] += 1

    def _key(self, view: SideValuation, row: int) -> Key:
        return self.book.accounts.names[int(view.account[row])], int(view.position[row])

    @staticmethod
    def _skipped(skip: m.CounterpartySkipped) -> Key:
        return skip.account, skip.position


def witness(session: Played) -> Witness:
    """Follow a whole session."""
    seen = Witness()
    for command, events in zip(session.commands, session.events, strict=True):
        seen.follow(command, events)
    return seen
