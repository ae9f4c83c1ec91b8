"""Random markets: their pools, contracts and accounts, and draws of prices and sizes."""

import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from model import SIDES, Model
from msgspec.structs import replace
from trigger_oracle import limits_read

from delever.core import messages as m
from delever.core.messages import ContractKind, PoolKind, Reason, Side

if TYPE_CHECKING:
    from workload import Move

RULES = ("binance", "binance_legacy", "bitmart", "bitmex", "bybit", "hyperliquid")
NAMES = ("BTCUSDT", "DOGE", "ETHUSDT", "XRP", "AVE")
HOUR_MS = 3_600_000

ASSETS = {"USDT": 6, "USDC": 8, "YEN": 2, "BTC": 8, "POINT": 0}
LINEAR = (  # tick, lot, multiplier: odd ones among them
    ("0.5", "0.001", 1),
    ("0.01", "1", "0.01"),
    ("0.25", "7", 1),
    ("0.0005", "10", 2),
    (3, "0.1", 10),
)
INVERSE = (("0.5", 1, 10), ("0.1", 10, 1), ("0.05", 1, 100))
TIERS = (
    ((0, "0.005"),),
    ((0, "0.01"), (500, "0.025"), (2_000, "0.0777")),
    ((0, 0),),
    ((0, 0), (300, "0.05")),
    ((0, "0.1"), (123, "0.333333")),
)
COARSE_TIERS = (((0, 0),), ((0, "0.1"),))


def text(number: Fraction | int) -> str:
    """Return a fraction with finitely many decimals as plain text."""
    scaled = Fraction(number) * 10**30
    assert scaled.denominator == 1
    digits = f"{abs(scaled.numerator):031d}"
    decimal = f"{digits[:-30]}.{digits[-30:]}".rstrip("0").rstrip(".")
    return f"-{decimal}" if scaled < 0 else decimal


class RandomMarket:
    """Contracts with prices, and accounts; everything else is drawn.

    A `coarse` market has round numbers only, so that limits are often met exactly.
    """

    def __init__(
        self,
        randomness: random.Random,
        *,
        scale: int = 1,
        coarse: bool = False,
        rules: tuple[str, ...] = RULES,
        names: tuple[str, ...] = NAMES,
    ) -> None:
        self.random, self.scale, self.coarse = randomness, scale, coarse
        self.rules, self.names = rules, names
        self.pools = list(self._pools())
        self.contracts = list(self._contracts())
        count = randomness.randint(5, 12)
        self.accounts = randomness.sample([f"{a}{b}" for a in "aBcz" for b in "017é"], count)
        starts = (100,) if coarse else (40, 700, 9_001, 60_000)
        self.price = {
            c.contract: Fraction(c.tick_size) * randomness.choice(starts) for c in self.contracts
        }

    def _pools(self) -> Iterator[m.DefinePool]:
        fine = sorted(ASSETS.keys() - {"POINT"})
        assets = ["POINT"] if self.coarse else self.random.sample(fine, self.random.randint(1, 3))
        owners = [asset for asset in assets for _ in range(self.random.randint(2, 3))]
        for number, asset in enumerate(owners, 1):
            kind, rules = self.random.choice(list(PoolKind)), self.random.choice(self.rules)
            managed = self.random.random() < 0.35
            yield m.DefinePool(
                time_ms=0,
                pool=f"pool-{number}",
                kind=kind,
                asset=asset,
                rules=rules,
                managed=managed,
                max_slippage=self.random.choice(["0.025", "0.1", 0, 1]),
                peak_window_ms=self.random.choice([8 * HOUR_MS, 8 * HOUR_MS, 10_000]),
                limits=self._limits(
                    rules, needed=managed and f"{rules}+".startswith("hyperliquid+")
                ),
            )

    def _limits(
        self, rules: str, draw: random.Random | None = None, *, needed: bool = False
    ) -> m.TriggerLimits:
        """Return limits of which a trigger of the rule set reads each one."""
        draw = draw or self.random
        if draw.random() < 0.5 and not needed:
            return m.TriggerLimits()
        starts = (None, "0.2", "0.5") if self.coarse else (None, "0.3", "0.05", "0.123456")
        limits = m.TriggerLimits(
            start=draw.choice(starts),
            stop=draw.choice([None, "0.1" if self.coarse else "0.05", "0.02"]),
            trigger_threshold=draw.choice([0, 100] if self.coarse else [None, 0, 100]),
            wait_ms=draw.choice([None, 0, 7_000]),
            stop_equity=draw.choice([None, 0, 3, 50]),
            takeover_loss=draw.choice([0, 3, 100]),
            contract_daily_loss=draw.choice([None, "0.2", "0.0123"]),
            pool_daily_loss=draw.choice([None, "0.5", 1]),
            vault_cap=draw.choice(["0.1", "0.5", 1]),
            loss_threshold=draw.choice([0, 40, 10_000]),
            backlog=draw.choice([None, 0, 500]),
        )
        read = limits_read(rules.partition("+")[0])
        return m.TriggerLimits(**{name: getattr(limits, name) for name in read})

    def _contracts(self) -> Iterator[m.DefineContract]:
        taken: set[str] = set()
        for name in self.names[: self.random.randint(2, 5)]:
            free = [p for p in self.pools if p.kind != "isolated" or p.pool not in taken]
            if not free:
                return
            pool = self.random.choice(free)
            taken.add(pool.pool)
            yield self._contract(name, pool)

    def _contract(self, name: str, pool: m.DefinePool) -> m.DefineContract:
        linear = pool.asset != "BTC" and (pool.asset != "USDC" or self.random.random() < 0.7)
        offered = (LINEAR if linear else INVERSE) if not self.coarse else ((1, 1, 1),)
        fitting = [terms for terms in offered if self._whole(terms, pool.asset, linear)]
        tick, lot, multiplier = self.random.choice(fitting)
        tiers = self.random.choice(COARSE_TIERS if self.coarse else TIERS)
        return m.DefineContract(
            time_ms=0,
            contract=name,
            kind=ContractKind.LINEAR if linear else ContractKind.INVERSE,
            settle=pool.asset,
            pool=pool.pool,
            tick_size=tick,
            lot_size=lot,
            multiplier=multiplier,
            margin_tiers=tuple(
                m.MarginTier(notional_from=start, maintenance_rate=rate) for start, rate in tiers
            ),
            adl_exempt=self.random.random() < 0.05,
            limits=self._limits(pool.rules) if self.random.random() < 0.2 else m.TriggerLimits(),
            mark_limits=self._mark_limits(self.random),
        )

    @staticmethod
    def _mark_limits(draw: random.Random) -> m.MarkLimits:
        if draw.random() < 0.8:
            return m.MarkLimits()
        return m.MarkLimits(
            max_move=draw.choice([None, "0.1", "0.5"]),
            max_age_ms=draw.choice([None, 5_000, 600_000]),
        )

    @staticmethod
    def _whole(terms: tuple[m.Amount, m.Amount, m.Amount], asset: str, linear: bool) -> bool:
        tick, lot, multiplier = map(Fraction, terms)
        unit = lot * multiplier * 10 ** ASSETS[asset]
        return bool((unit * tick if linear else unit / tick).denominator == 1)

    def trading(self, model: Model) -> list[m.DefineContract]:
        """Return the contracts that are not delisted."""
        states = model.contracts
        return [c for c in self.contracts if states[c.contract].status == "trading"]

    def follow(self, model: Model) -> None:
        """Take over the terms that contracts and pools have been amended to."""
        for place, contract in enumerate(self.contracts):
            known = model.contracts.get(contract.contract)
            if known is not None and known.definition != contract:
                self.contracts[place] = known.definition
                price = self.price[contract.contract] // known.grid * known.grid
                self.price[contract.contract] = max(price, known.grid)

    # --- draws ---

    def amendment(self, model: Model, draw: random.Random, time_ms: int) -> m.AmendContract:
        """Return an amendment of some terms; a coarse market has its ticks and lots for ever."""
        contract = draw.choice(self.contracts)
        tick, lot = Fraction(contract.tick_size), Fraction(contract.lot_size)
        tiers = draw.choice(COARSE_TIERS if self.coarse else TIERS)
        rules = model.pools[model.contracts[contract.contract].pool].definition.rules
        terms: dict[str, object] = {
            "tick_size": text(tick * draw.choice([Fraction(1, 2), Fraction(1, 5), 2, 5, 10])),
            "lot_size": text(lot * draw.choice([Fraction(1, 2), Fraction(1, 10), 2, 3, 5])),
            "margin_tiers": tuple(
                m.MarginTier(notional_from=start, maintenance_rate=rate) for start, rate in tiers
            ),
            "adl_exempt": draw.random() < 0.1,
            "limits": self._limits(rules, draw),
            "mark_limits": self._mark_limits(draw),
        }
        offered = list(terms)[2:] if self.coarse else list(terms)
        named = draw.sample(offered, draw.choice([1, 1, 2]))
        return m.AmendContract(
            time_ms=time_ms,
            contract=contract.contract,
            note="announced",
            odd_lots=draw.choice(list(m.OddLots)),
            **{name: terms[name] for name in named},  # type: ignore[arg-type]
        )

    def pool_amendment(self, model: Model, draw: random.Random, time_ms: int) -> m.AmendPool:
        """Return an amendment of the rules of a pool, mostly with limits that they read."""
        pool = draw.choice(list(model.pools.values()))
        rules = draw.choice([pool.definition.rules, draw.choice(self.rules)])
        terms: dict[str, object] = {
            "limits": self._limits(rules, draw),
            "rules": rules,
            "max_slippage": draw.choice(["0.025", "0.1", 0]),
            "peak_window_ms": draw.choice([8 * HOUR_MS, 60_000, 3_000]),
        }
        named = draw.sample(list(terms), draw.choice([1, 2, 4]))
        fields = {name: terms[name] for name in {*named, *(["limits"] * ("rules" in named))}}
        return m.AmendPool(time_ms=time_ms, pool=pool.name, note="announced", **fields)  # type: ignore[arg-type]

    def moved(self, name: str, shift: float) -> str:
        """Return the mark after a relative move: at least one tick, at times finer than it."""
        contract = next(c for c in self.contracts if c.contract == name)
        tick = Fraction(contract.tick_size)
        factor = Fraction(max(1 + shift, 0.01) * self.random.uniform(0.995, 1.005))
        ticks = max(self.price[name] * factor / tick // 1, 1)
        if self.random.random() < 0.005:
            ticks = 1
        ticks = min(ticks, 10**7)
        if self.coarse:
            ticks = min(max(round(ticks, -1), 10), 300)
        self.price[name] = ticks * tick
        finer = 0 if self.coarse or self.random.random() < 0.7 else self.random.randrange(100)
        return text(self.price[name] + finer * tick / 100)

    def account(self, name: str, time_ms: int) -> m.DefineAccount:
        """Return an account; those with the same letter and a digit have one owner."""
        return m.DefineAccount(
            time_ms=time_ms,
            account=name,
            hedge_mode=self.random.random() < 0.35,
            adl_exempt=self.random.random() < 0.08,
            owner=name[0] if name[-1].isdigit() else "",
        )

    def near(self, ticks: int) -> int:
        """Return a price in ticks near another, as of a liquidation or a trade."""
        if self.coarse:
            return max(ticks + self.random.choice([-20, -10, 0, 10, 20]), 10)
        return max(int(ticks * self.random.uniform(0.85, 1.15)), 1)

    def seed_money(self, asset: str) -> Fraction:
        """Return an amount that an operator adds to a pool."""
        unit = 10 ** ASSETS[asset]
        if self.coarse:
            return Fraction(self.random.choice([50, 100, 400]))
        return Fraction(self.random.randrange(1, 4_000 * unit), unit)

    def balance(self, asset: str) -> str:
        if self.coarse:
            return str(self.random.choice([-40, 0, 20, 40, 60, 80, 100, 400]))
        unit = 10 ** ASSETS[asset]
        low = -200 if self.random.random() < 0.1 else 0
        cash = self.random.randint(low * unit, self.random.choice([3, 300, 5_000]) * unit)
        return text(Fraction(cash * self.scale, unit))

    def lots(self, contract: m.DefineContract) -> int:
        """Return lots whose value at the price is up to some thousand units."""
        if self.coarse:
            return self.random.randint(1, 5)
        worth = Fraction(contract.lot_size) * Fraction(contract.multiplier)
        price = self.price[contract.contract]
        worth = worth * price if contract.kind == "linear" else worth / price
        wanted = self.random.choice([1, 30, 500, 4_000]) * self.scale
        most = max(int(wanted / worth), 1)
        return self.random.randint(1, most)

    def position(
        self, account: str, contract: m.DefineContract, side: Side, number: int
    ) -> m.PositionRow:
        lots = 0 if self.random.random() < 0.1 else self.lots(contract)
        entry = self._entry(self.price[contract.contract])
        leverage = self.random.choice([1, 2, 5, 20, "12.5", 100])
        worth = lots * Fraction(contract.lot_size) * Fraction(contract.multiplier)
        worth = worth * entry if contract.kind == "linear" else worth / entry
        unit = 10 ** ASSETS[contract.settle]
        margin = None
        if self.random.random() < 0.4:
            cover = Fraction(int(self.random.choice([0, 1, 1, 1, 3]) * worth * unit), unit)
            margin = text(Fraction(int(cover / Fraction(leverage) * unit), unit))
            margin = margin if not self.coarse else self.random.choice(["20", "40", "60", "100"])
        by_cost = self.random.random() < 0.3 and worth * unit >= 1
        quantity = text(lots * Fraction(contract.lot_size))
        signed = f"-{quantity}" if side == "short" and lots and self.random.random() < 0.5 else None
        return m.PositionRow(
            account=account,
            contract=contract.contract,
            side=side,
            quantity=signed or quantity,
            entry_price=None if by_cost else text(entry),
            entry_cost=text(Fraction(int(worth * unit), unit)) if by_cost else None,
            isolated_margin=margin,
            leverage=leverage,
            position=number,
            under_liquidation=self.random.random() < 0.07,
            open_orders=tuple(
                f"{contract.contract}-{n}" for n in range(self.random.choice([0, 0, 1, 3]))
            ),
        )

    def _entry(self, price: Fraction) -> Fraction:
        if self.coarse:
            return Fraction(self.near(int(price)))
        entry = price * Fraction(round(self.random.uniform(0.8, 1.2), 6))
        return max(Fraction(round(entry * 10**6), 10**6), Fraction(1, 10**6))

    def depth(self, contract: m.DefineContract, time_ms: int) -> m.SetDepth:
        tick, lot = Fraction(contract.tick_size), Fraction(contract.lot_size)
        ticks = int(self.price[contract.contract] / tick)

        def levels(direction: int) -> tuple[tuple[str, str], ...]:
            drawn, at = [], ticks
            for _ in range(self.random.choice([0, 1, 4])):
                at += direction * self.random.randint(1, max(ticks // 40, 1))
                if at > 0:
                    drawn.append((text(at * tick), text(self.lots(contract) * lot)))
            return tuple(drawn)

        return m.SetDepth(
            time_ms=time_ms, contract=contract.contract, bids=levels(-1), asks=levels(1)
        )

    # --- invalid commands ---

    def faults(self, model: Model, time_ms: int, version: int) -> "list[Move]":
        from workload import Move  # noqa: PLC0415 - workload draws its markets from here

        contract = self.random.choice(self.trading(model))
        name, account = contract.contract, self.random.choice(self.accounts)
        asset = self.random.choice(sorted(model.units))

        def rows(**changes: object) -> m.SetPositions:
            row = {
                "account": account,
                "contract": name,
                "side": self.random.choice(SIDES),
                "quantity": text(Fraction(contract.lot_size)),
                "entry_price": 100,
                **changes,
            }
            good = self.position(self.accounts[0], contract, Side.LONG, 7)
            bad = m.PositionRow(**row)  # type: ignore[arg-type]
            return m.SetPositions(
                time_ms=time_ms, version=version, positions=(good, bad), strict=True
            )

        def balance(amount: m.Amount, named: str = account) -> m.SetBalances:
            good = m.BalanceRow(account=self.accounts[0], asset=asset, balance=1)
            bad = m.BalanceRow(account=named, asset=asset, balance=amount)
            rows = (bad,) if named == self.accounts[0] else (good, bad)
            return m.SetBalances(time_ms=time_ms, version=version, balances=rows, strict=True)

        fine = text(Fraction(contract.lot_size) / 3 // Fraction(1, 10**25) * Fraction(1, 10**25))
        moves = [
            Move(m.SetTime(time_ms=model.time_ms - 1), Reason.TIME_IN_PAST),
            Move(m.SetTime(time_ms=2**60), Reason.OUT_OF_RANGE),
            Move(rows(account="nobody"), Reason.UNKNOWN_ACCOUNT),
            Move(rows(contract="NONE"), Reason.UNKNOWN_CONTRACT),
            Move(rows(quantity="NaN"), Reason.INVALID_DECIMAL),
            Move(rows(quantity="1e3"), Reason.INVALID_DECIMAL),
            Move(rows(quantity=fine), Reason.INVALID_LOT_MULTIPLE),
            Move(rows(side=Side.LONG, quantity=f"-{contract.lot_size}"), Reason.SIDE_SIGN_MISMATCH),
            Move(rows(entry_price=None), Reason.MISSING_ENTRY_PRICE),
            Move(rows(entry_cost=5), Reason.MISSING_ENTRY_PRICE),
            Move(rows(entry_price=0), Reason.NOT_POSITIVE),
            Move(rows(entry_price="-5"), Reason.NOT_POSITIVE),
            Move(rows(isolated_margin=-1), Reason.NEGATIVE_NOT_ALLOWED),
            Move(rows(leverage=0), Reason.OUT_OF_RANGE),
            Move(rows(position=-1), Reason.OUT_OF_RANGE),
            Move(rows(position=2**40), Reason.OUT_OF_RANGE),
            Move(balance("0.0000000000001"), Reason.TOO_MANY_DECIMALS),
            Move(balance(1, "nobody"), Reason.UNKNOWN_ACCOUNT),
            Move(balance(2**63), Reason.EXCEEDS_NUMERIC_RANGE),
            Move(m.SetMarks(time_ms=time_ms, marks={name: "-1"}, strict=True), Reason.NOT_POSITIVE),
            Move(
                m.SetMarks(time_ms=time_ms, marks={"NONE": 1}, strict=True), Reason.UNKNOWN_CONTRACT
            ),
            Move(
                m.SetMarks(time_ms=time_ms, marks={name: "0.12345678901"}, strict=True),
                Reason.TOO_MANY_DECIMALS,
            ),
            Move(m.SetMarks(time_ms=time_ms, marks={name: "-1"})),
            Move(m.SetMarks(time_ms=time_ms, marks={"NONE": 1, name: "0.12345678901"})),
            Move(m.SetMarks(time_ms=time_ms, marks={"NONE": 1, name: text(self.price[name])})),
            Move(m.Takeover(time_ms=time_ms, account="nobody"), Reason.UNKNOWN_ACCOUNT),
            Move(
                m.SetBalances(
                    time_ms=time_ms, version=version, last_fill=model.last_fill + 1, balances=()
                ),
                Reason.UNKNOWN_FILL,
            ),
            Move(m.CancelAdl(time_ms=time_ms, fill=-1, note=""), Reason.FILL_NOT_OUTSTANDING),
            Move(self.contracts[0], Reason.TIME_IN_PAST),
            Move(
                m.DefinePool(
                    time_ms=time_ms,
                    pool="another",
                    kind=PoolKind.SHARED,
                    asset=asset,
                    rules="binance",
                    limits=m.TriggerLimits(start="0.3"),
                ),
                Reason.LIMIT_NOT_SUPPORTED,
            ),
        ]
        alone = (m.SetPositions, m.SetBalances) if self.scale == 1 else ()
        snapshots = [move.command for move in moves if isinstance(move.command, alone)]
        return moves + [Move(replace(each, strict=False)) for each in snapshots if each.strict]


def opening(
    market: RandomMarket, mode: Callable[[m.DefineAccount], m.DefineAccount]
) -> list[m.Command]:
    """Return the definitions, first marks and first funding; `mode` sets the mode of an account."""
    assets = sorted({pool.asset for pool in market.pools})
    seeds = [
        m.FundPool(
            time_ms=500,
            pool=p.pool,
            amount=400 if market.coarse else 2_000 * market.scale,
            reason=m.FundingReason.SEED,
        )
        for p in market.pools
        if market.random.random() < 0.7
    ]
    return [
        *(
            m.DefineAsset(time_ms=0, asset=a, cash_decimals=ASSETS[a])
            for a in assets
            if a != "USDC"
        ),
        *market.pools,
        *market.contracts,
        *(mode(market.account(name, 0)) for name in market.accounts),
        m.SetMarks(time_ms=1, marks={n: text(price) for n, price in market.price.items()}),
        *seeds,
    ]
