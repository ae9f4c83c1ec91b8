"""Everything at one moment, as values: what the table, the JSON stream and a page show."""

from decimal import Decimal

import msgspec

from delever.watch.faults import Fault
from delever.watch.reading import (
    Drawdown,
    Fill,
    IndicatorReading,
    Pool,
    Position,
    Reading,
    Risk,
    Wallet,
)
from delever.watch.state import Situation


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """One source of a venue: when it last answered, and when it is asked again (0: it streams)."""

    name: str
    answered_ms: int | None
    due_ms: int
    every_ms: int
    weight: int
    fault: Fault | None


class VenueView(msgspec.Struct, frozen=True, kw_only=True):
    """One venue: what asking has cost of its limit, and how far its clock is from ours."""

    venue: str
    keyed: bool
    used: int
    limit: int
    window_ms: int
    skew_ms: int
    sources: tuple[SourceView, ...]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """What one change would make of a position's score; `times` is then / now."""

    change: str
    score: float | None
    times: float | None
    note: str


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """A position's score under the venue's rules, and what could be done about it.

    `score` is None where the venue does not tell what it takes, which `unknown` says.
    """

    rules: str
    formula: str
    score: float | None
    parts: dict[str, float]
    options: tuple[Option, ...]
    unknown: tuple[str, ...]


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """A position with its indicator and what can be done."""

    position: Position
    indicator: IndicatorReading | None
    age_ms: int
    indicator_age_ms: int | None
    stale: bool
    advice: Advice | None


class ContractView(msgspec.Struct, frozen=True, kw_only=True):
    """A contract's situation, with the numbers it follows from and their ages."""

    situation: Situation
    risk: Risk | None
    drawdown: Drawdown | None
    to_start_percent: Decimal | None
    to_stop_percent: Decimal | None
    ages_ms: dict[str, int]
    cadences_ms: dict[str, int]
    stale: tuple[str, ...]

    @property
    def distances(self) -> tuple[str, str]:
        """Return what is left to start and stop; a pool below its threshold starts nothing."""
        drawdown = self.drawdown
        if drawdown is None or self.to_start_percent is None or self.to_stop_percent is None:
            return "", ""
        start, stop = f"{self.to_start_percent:.2f} %", f"{self.to_stop_percent:.2f} %"
        if not drawdown.armed:
            start = f"off: pool not above {drawdown.threshold.normalize():f}"
        return start, stop

    @property
    def ages(self) -> str:
        """Return every number's age against how often the venue renews it."""
        told = (against(name, old, self.cadences_ms[name]) for name, old in self.ages_ms.items())
        return ", ".join(told)


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A pool's balance, and its fall from the highest balance that this watch has seen."""

    pool: Pool
    age_ms: int
    stale: bool
    fall_percent: Decimal


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that holds for something, since when."""

    rule: str
    about: str
    text: str
    since_ms: int


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The whole watch at `time_ms`."""

    time_ms: int
    venues: tuple[VenueView, ...]
    contracts: tuple[ContractView, ...]
    positions: tuple[PositionView, ...]
    wallets: tuple[Wallet, ...]
    pools: tuple[PoolView, ...]
    fills: tuple[Fill, ...]
    alerts: tuple[AlertView, ...]
    faults: tuple[Fault, ...]
    undelivered: int


def age(ms: int | None) -> str:
    """Return an age in the largest unit that fits."""
    if ms is None:
        return "never"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= 2 * size:
            return f"{ms // size} {unit}"
    return f"{ms // 1000} s"


def against(name: str, old_ms: int, cadence_ms: int) -> str:
    """Return a number's age beside the venue's cadence: 'risk 12 min of 30 min'."""
    return f"{name} {age(old_ms)} of {age(cadence_ms)}".strip()


def contract_view(situation: Situation, read: list[Reading], now_ms: int) -> ContractView:
    """Return a contract with the numbers that were read of it."""
    drawdown = next((r for r in read if isinstance(r, Drawdown)), None)
    renewed = [r for r in read if not isinstance(r, Fill)]
    return ContractView(
        situation=situation,
        risk=next((r for r in read if isinstance(r, Risk)), None),
        drawdown=drawdown,
        to_start_percent=None if drawdown is None else 100 * drawdown.to_start,
        to_stop_percent=None if drawdown is None else 100 * drawdown.to_stop,
        ages_ms={_name(r): r.age_ms(now_ms) for r in renewed},
        cadences_ms={_name(r): r.cadence_ms for r in renewed},
        stale=tuple(_name(r) for r in read if r.stale(now_ms)),
    )


def _name(reading: Reading) -> str:
    what = reading.kind
    return f"{what} {reading.side}" if isinstance(reading, IndicatorReading | Position) else what
