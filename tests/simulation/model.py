"""An independent model of accounts, contracts and pools, in plain integers and fractions.

Written from the documents and not from the engine: dictionaries, sums over everything, histories
that are never compressed. Slow and obvious. Amounts are Cash unless a name says otherwise.
"""

import itertools
from dataclasses import dataclass, field
from fractions import Fraction

from collateral_oracle import Collateral, collateral_pnl, pooled, pooled_numbers

from delever.core import messages as m
from delever.core.messages import Side

SIDES = (Side.LONG, Side.SHORT)
TOP_TICKS = 10**12


class AuditError(AssertionError):
    """The engine's events are wrong."""


def expect(holds: bool, what: str, *values: object) -> None:
    if not holds:
        raise AuditError(" ".join([what, *map(repr, values)]))


def same(what: str, found: object, right: object) -> None:
    if found != right:
        raise AuditError(f"{what}: the engine says {found!r}, the audit {right!r}")


def sign(side: Side) -> int:
    return 1 if side == "long" else -1


def other(side: Side) -> Side:
    return Side.SHORT if side == "long" else Side.LONG


def nearest(number: Fraction) -> int:
    """Round to the nearest integer, halves away from zero."""
    size = (2 * abs(number.numerator) + number.denominator) // (2 * number.denominator)
    return -size if number < 0 else size


def pro_rata(amount: int, weights: list[int]) -> list[int]:
    """Return an amount shared by weight, whole units by largest remainder, ties in order."""
    total = sum(weights) or 1
    shares = [amount * weight // total for weight in weights]
    remainders = [Fraction(amount * weight, total) % 1 for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
    for i in order[: amount - sum(shares) if any(weights) else 0]:
        shares[i] += 1
    return shares


def decimals_of(number: Fraction) -> int:
    """Return how many decimals a decimal has."""
    return next(n for n in range(40) if (number * 10**n).denominator == 1)


@dataclass
class Position:
    """Lots without sign; cost signed like the value of the position."""

    lots: int = 0
    cost: int = 0
    margin: int = 0
    isolated: bool = False
    leverage: int = 100
    under_liquidation: bool = False


@dataclass
class Tranche:
    account: str
    lots: int
    cost: int
    ticks: int
    equity: int = 0  # of the account, with its maintenance margin, at its takeover
    maintenance: int = 0


@dataclass
class PositionLoss:
    """One position's share of a socialized loss, which snapshots may not include yet."""

    fill: int
    contract: str
    side: Side
    position: int
    amount: int


class History:
    """Every value with the times between which it applied."""

    def __init__(self, window_ms: int) -> None:
        self.window_ms = window_ms
        self.known_from = -(10**18)
        self.values: list[list[int | None]] = []

    def add(self, time_ms: int, value: int) -> None:
        if self.values and self.values[-1][2] == value and self.values[-1][1] is None:
            return
        if self.values:
            self.values[-1][1] = time_ms
        self.values.append([time_ms, None, value])

    def shift(self, amount: int) -> None:
        for held in self.values:
            held[2] += amount

    def resize(self, time_ms: int, window_ms: int) -> None:
        """Change the window; what was before the former one is forgotten."""
        if window_ms != self.window_ms:
            self.known_from = max(self.known_from, time_ms - self.window_ms)
            self.window_ms = window_ms

    def _opens(self, time_ms: int) -> int:
        return max(time_ms - self.window_ms, self.known_from)

    def peak(self, time_ms: int) -> int:
        opens = self._opens(time_ms)
        return max(v for _, end, v in self.values if end is None or end >= opens)

    def mean(self, time_ms: int) -> Fraction:
        """Return the time-weighted mean over the known part of the window."""
        opens, area, span = self._opens(time_ms), 0, 0
        for start, end, value in self.values:
            held = (time_ms if end is None else end) - max(start or 0, opens)
            area, span = area + max(held, 0) * (value or 0), span + max(held, 0)
        return Fraction(area, span) if span else Fraction(self.values[-1][2] or 0)


class LastValues:
    """The last value of each day or minute; a day opens with the last value before it."""

    def __init__(self, span_ms: int, time_ms: int, value: int) -> None:
        self.span_ms, self.first = span_ms, value
        self.last = {time_ms // span_ms: value}

    def add(self, time_ms: int, value: int) -> None:
        self.last[time_ms // self.span_ms] = value

    def shift(self, amount: int) -> None:
        self.last = {number: value + amount for number, value in self.last.items()}
        self.first += amount

    def opening(self, time_ms: int) -> int:
        before = [number for number in self.last if number < time_ms // self.span_ms]
        return self.last[max(before)] if before else self.first

    def falls(self, time_ms: int, spans: int) -> list[int]:
        """Return by how much the value fell, from one known span to the next, in the last ones."""
        pairs, start = itertools.pairwise(sorted(self.last)), time_ms // self.span_ms - spans
        return [self.last[a] - self.last[b] for a, b in pairs if b > start]


DAY_MS, MINUTE_MS = 86_400_000, 60_000


@dataclass
class Limits:
    start: Fraction | None
    stop: Fraction | None
    trigger_threshold: Fraction | None
    wait_ms: int | None
    stop_equity: Fraction | None = None
    takeover_loss: Fraction | None = None
    contract_daily_loss: Fraction | None = None
    pool_daily_loss: Fraction | None = None
    vault_cap: Fraction | None = None
    loss_threshold: Fraction | None = None
    backlog: Fraction | None = None


def limits_from(limits: m.TriggerLimits, unit: int) -> Limits:
    def number(text: m.Amount | None, scale: int = 1) -> Fraction | None:
        return None if text is None else Fraction(text) * scale

    threshold = number(limits.trigger_threshold, unit)
    ratios, stop_equity = (number(limits.start), number(limits.stop)), limits.stop_equity
    caps = {
        "takeover_loss": number(limits.takeover_loss, unit),
        "contract_daily_loss": number(limits.contract_daily_loss),
        "pool_daily_loss": number(limits.pool_daily_loss),
        "vault_cap": number(limits.vault_cap),
        "loss_threshold": number(limits.loss_threshold, unit),
        "backlog": number(limits.backlog, unit),
    }
    return Limits(*ratios, threshold, limits.wait_ms, number(stop_equity, unit), **caps)


class Contract:
    def __init__(
        self, definition: m.DefineContract, unit: int, window_ms: int, time_ms: int
    ) -> None:
        self.name, self.settle, self.pool = definition.contract, definition.settle, definition.pool
        self.linear = definition.kind == "linear"
        self.unit = unit
        self.define(definition, Fraction(definition.tick_size))
        self.minutes: list[tuple[int, Fraction]] = []  # the last mark of each minute of a day
        self.mark = self.previous_mark = self.last_confirmed = Fraction(0)  # in ticks
        self.marked_ms = 0
        self.unconfirmed = False
        self.bids: tuple[tuple[int, int], ...] = ()
        self.asks: tuple[tuple[int, int], ...] = ()
        self.depth_known = False
        self.missing_since: dict[Side, int | None] = dict.fromkeys(SIDES)
        self.positions: dict[Side, dict[tuple[str, int], Position]] = {side: {} for side in SIDES}
        self.tranches: dict[Side, dict[int, Tranche]] = {side: {} for side in SIDES}
        self.realized = self.injected = 0
        self.pnls = History(window_ms)
        self.pnls.add(time_ms, 0)
        self.openings = LastValues(DAY_MS, time_ms, 0)
        self.active: dict[str, None] = {}  # in order of their starts
        self.warned: set[str] = set()
        self.rated_used: int | None = None  # trigger used at the last rating, ppm
        self.paused = False
        self.status = "trading"
        self.fund_pays = True
        self.mark_rejected = False
        self.stale: set[tuple[Side, str, int]] = set()
        self.exhausted_lots: dict[Side, int] = {}
        self.plan_wait_ms = 0
        self.plan_requests: dict[Side, tuple[int, int]] = {}  # sequence, end of the wait

    def define(self, definition: m.DefineContract, tick: Fraction) -> None:
        """Set the terms; `tick` is the unit of prices, `grid` the tick of trades."""
        self.definition = definition
        self.tick, self.grid = tick, Fraction(definition.tick_size)
        self.lot = Fraction(definition.lot_size)
        self.size = self.lot * Fraction(definition.multiplier) * self.unit  # of a lot, at price 1
        self.tiers = [
            (Fraction(tier.notional_from) * self.unit, Fraction(tier.maintenance_rate))
            for tier in definition.margin_tiers
        ]
        self.margins: dict[int, int] = {}
        step = self.size * self.tick if self.linear else self.size / self.tick
        same("fraction of Cash in the value of a lot", step.denominator, 1)
        self.step = step.numerator  # of a lot: Cash a tick, or Cash times ticks
        self.limits = limits_from(definition.limits, self.unit)
        self.mark_limits = definition.mark_limits
        self.mark_unit = Fraction(1, 10 ** max(10, decimals_of(tick)))

    @property
    def per_tick(self) -> int:
        """Return how many price units a tick has."""
        return (self.grid / self.tick).numerator

    def on_tick(self, price: Fraction | int, *, up: bool) -> int:
        """Return a price rounded to the tick."""
        steps = Fraction(price) / self.per_tick
        return max(int(-(-steps // 1) if up else steps // 1), 1) * self.per_tick

    def exact(self, side: Side, lots: int, ticks: int | Fraction) -> Fraction:
        """Return the exact value of lots of a side at a price."""
        price = ticks * self.tick
        return sign(side) * lots * (self.size * price if self.linear else -self.size / price)

    def value(self, side: Side, lots: int, ticks: int | Fraction) -> int:
        """Return the value in whole Cash, rounded down."""
        if self.linear:
            return sign(side) * lots * ticks * self.step // 1
        return -sign(side) * lots * self.step // ticks

    def unrealized_pnl(self, side: Side, held: Position) -> int:
        return self.value(side, held.lots, self.mark) - held.cost if self.mark else 0

    def notional(self, side: Side, held: Position) -> int:
        return abs(self.value(side, held.lots, self.mark)) if self.mark else abs(held.cost)

    def maintenance(self, side: Side, held: Position) -> int:
        """Return maintenance margin by marginal tiers; rounded up, each tier's deduction down."""
        notional = self.notional(side, held) if self.mark else 0
        if notional not in self.margins:
            self.margins[notional] = self._maintenance(notional)
        return self.margins[notional]

    def _maintenance(self, notional: int) -> int:
        rate, steps, exact = self.tiers[0][1], 0, Fraction(0)
        for (start, low), (end, high) in itertools.pairwise([*self.tiers, (Fraction(2**80), 0)]):
            exact += max(min(notional, end) - start, 0) * low
            if end <= notional:
                rate, steps = high, steps + int(end * (high - low))
        margin = -int(-notional * rate // 1) - steps
        expect(0 <= margin - exact <= len(self.tiers), "maintenance is not by tiers", margin)
        return margin

    def inventory(self, side: Side) -> tuple[int, int]:
        """Return lots and cost of the pool's inventory of one side."""
        tranches = self.tranches[side].values()
        return sum(p.lots for p in tranches), sum(p.cost for p in tranches)

    def inventory_pnl(self, side: Side) -> int:
        lots, cost = self.inventory(side)
        return self.value(side, lots, self.confirmed_mark) - cost if self.mark else 0

    @property
    def confirmed_mark(self) -> int:
        return self.last_confirmed if self.unconfirmed else self.mark

    @property
    def has_inventory(self) -> bool:
        return any(self.tranches.values())

    @property
    def contract_pnl(self) -> int:
        return self.realized + self.injected + sum(map(self.inventory_pnl, SIDES))


class Pool:
    def __init__(self, definition: m.DefinePool, unit: int, time_ms: int) -> None:
        self.name, self.asset = definition.pool, definition.asset
        self.define(definition, unit)
        self.balance = 0
        self.balances, self.equities = (History(definition.peak_window_ms) for _ in range(2))
        self.balances.add(time_ms, 0)
        self.equities.add(time_ms, 0)
        self.openings = LastValues(DAY_MS, time_ms, 0)
        self.minutes = LastValues(MINUTE_MS, time_ms, 0)
        self.observed: m.PoolObserved | None = None
        self.haircut_ppm = 0
        self.collateral: dict[str, tuple[int, int]] = {}  # amount and cost, by asset
        self.monitored: set[str] = set()

    def define(self, definition: m.DefinePool, unit: int) -> None:
        """Set rules, limits and slippage."""
        self.definition = definition
        self.venue, *options = definition.rules.split("+")
        self.options = dict(f"{option}=".split("=")[:2] for option in options)
        self.limits = limits_from(definition.limits, unit)
        self.slippage = Fraction(definition.max_slippage)


@dataclass
class Account:
    hedge: bool
    exempt: bool
    multi_asset: bool = False
    owner: str = ""
    versions: dict[str, int] = field(default_factory=lambda: {"balances": -1, "positions": -1})
    fills: dict[str, int] = field(default_factory=lambda: {"balances": 0, "positions": 0})


@dataclass
class VenueMargin:
    """Equity and maintenance margin that the venue's own risk engine has submitted, if it has."""

    version: int
    equity: int | None
    maintenance: int | None


class Model:
    """The whole model at one time."""

    def __init__(self) -> None:
        self.time_ms = self.sequence = 0
        self.last_fill = self.last_takeover = 0
        self.units: dict[str, int] = {}
        self.accounts: dict[str, Account] = {}
        self.wallets: dict[tuple[str, str], int] = {}
        self.contracts: dict[str, Contract] = {}
        self.pools: dict[str, Pool] = {}
        self.orders: dict[tuple[str, str], tuple[str, ...]] = {}
        self.fills: dict[int, m.AdlFilled] = {}
        self.losses: dict[str, list[PositionLoss]] = {}
        self.margin_currency = ""
        self.collateral: dict[str, Collateral] = {}
        self.compensations: list[m.Compensated] = []
        self.stale_wallets: set[tuple[str, str]] = set()  # account and asset
        self.margins: dict[tuple[str, str], VenueMargin] = {}

    def wallet(self, account: str, asset: str) -> int:
        return self.wallets.get((account, asset), 0)

    def pay(self, account: str, asset: str, amount: int) -> None:
        self.wallets[account, asset] = self.wallet(account, asset) + amount

    def members(self, pool: str) -> list[Contract]:
        return [contract for contract in self.contracts.values() if contract.pool == pool]

    def pool_equity(self, pool: str) -> int:
        unrealized = (c.inventory_pnl(side) for c in self.members(pool) for side in SIDES)
        return self.pools[pool].balance + sum(unrealized) + collateral_pnl(self, pool)

    def held(self, account: str) -> list[tuple[Contract, Side, int, Position]]:
        """Return an account's positions in order of contract, side and position id."""
        return [
            (contract, side, number, contract.positions[side][account, number])
            for contract in self.contracts.values()
            for side in SIDES
            for name, number in sorted(contract.positions[side])
            if name == account
        ]

    def cross(self, account: str, asset: str) -> list[tuple[Contract, Side, int, Position]]:
        """Return the cross positions with the same margin as those that settle in an asset."""
        together = {asset, *self.collateral} if pooled(self, account, asset) else {asset}
        held = [row for row in self.held(account) if not row[3].isolated]
        return [row for row in held if row[0].settle in together]

    def bucket(
        self, account: str, contract: Contract, side: Side, held: Position
    ) -> tuple[int, int, int]:
        """Return balance, unrealized PnL and maintenance margin of a position's margin bucket.

        Of a multi-asset account, without collateral haircut.
        """
        if held.isolated:
            return (
                held.margin,
                contract.unrealized_pnl(side, held),
                contract.maintenance(side, held),
            )
        rows = self.cross(account, contract.settle)
        if pooled(self, account, contract.settle):
            numbers = pooled_numbers(self, account, contract.settle, rows, haircut=False)
            return numbers[0] - numbers[1], *numbers[1:]
        pnl = sum(c.unrealized_pnl(s, p) for c, s, _, p in rows)
        equity, maintenance = self.margin(account, contract.settle)
        return equity - pnl, pnl, maintenance

    def own_margin(self, account: str, asset: str) -> tuple[int, int]:
        """Return equity and maintenance margin of cross positions, as sums."""
        rows = [row for row in self.cross(account, asset) if row[0].settle == asset]
        pnl = sum(c.unrealized_pnl(s, p) for c, s, _, p in rows)
        maintenance = sum(c.maintenance(s, p) for c, s, _, p in rows)
        return self.wallet(account, asset) + pnl, maintenance

    def margin(self, account: str, asset: str) -> tuple[int, int]:
        """Return equity and maintenance margin: as the venue has submitted them, or the sums."""
        margin = self.margins.get((account, asset))
        if margin is None or margin.equity is None or margin.maintenance is None:
            return self.own_margin(account, asset)
        return margin.equity, margin.maintenance

    def shared_maintenance(
        self, account: str, contract: Contract, side: Side, held: Position
    ) -> int:
        """Return the maintenance margins by which positions share their bucket's equity."""
        if held.isolated or pooled(self, account, contract.settle):
            return self.bucket(account, contract, side, held)[2]
        return self.own_margin(account, contract.settle)[1]

    # --- rows behind the venue ---

    def is_stale(self, contract: Contract, side: Side, key: tuple[str, int]) -> bool:
        """Return whether a position's newest row, or its wallet's if it is cross, was rejected."""
        cross = not contract.positions[side][key].isolated
        assets = self._bucket_assets(key[0], contract.settle)
        wallet = any((key[0], asset) in self.stale_wallets for asset in assets)
        return (side, *key) in contract.stale or (cross and wallet)

    def _bucket_assets(self, account: str, asset: str) -> set[str]:
        return set(self.collateral) if pooled(self, account, asset) else {asset}

    def has_stale_rows(self, account: str, asset: str) -> bool:
        """Return whether anything is stale, or missing, in an account's cross margin bucket."""
        assets = self._bucket_assets(account, asset)
        rejected = [
            contract.positions[side].get((name, number))
            for contract in self.contracts.values()
            if contract.settle in assets
            for side, name, number in contract.stale
            if name == account
        ]
        stale = any(held is None or not held.isolated for held in rejected)
        return stale or any((account, each) in self.stale_wallets for each in assets)

    def is_incomplete(self, contract: Contract) -> bool:
        """Return whether a position of the contract is stale, or missing."""
        keys = ((side, key) for side in SIDES for key in contract.positions[side])
        return bool(contract.stale) or any(self.is_stale(contract, *key) for key in keys)

    # --- changes by events ---

    def reduce(
        self,
        contract: Contract,
        side: Side,
        key: tuple[str, int],
        lots: int,
        cost: int,
        margin: int,
    ) -> None:
        held = contract.positions[side][key]
        held.lots -= lots
        held.cost -= cost
        held.margin -= margin
        expect(held.lots >= 0 and held.margin >= 0, "closed beyond its size", key, held)
        if held.lots == 0:
            same("cost left in a closed position", held.cost, 0)
            same("margin left in a closed position", held.margin, 0)
            del contract.positions[side][key]

    def take_inventory(
        self, contract: Contract, side: Side, takeover: int, lots: int, cost: int
    ) -> None:
        tranche = contract.tranches[side][takeover]
        tranche.lots -= lots
        tranche.cost -= cost
        expect(tranche.lots >= 0, "inventory closed beyond its size", takeover)
        if tranche.lots == 0:
            same("cost left in closed inventory", tranche.cost, 0)
            del contract.tranches[side][takeover]

    def earn(self, contract: Contract, amount: int) -> None:
        contract.realized += amount
        self.pools[contract.pool].balance += amount
