"""Everything that a watch knows at one moment, as values for tables, JSON and pages."""

from decimal import Decimal

import msgspec

from delever.watch.alerts.contract_status import ContractStatus
from delever.watch.market_data.errors import SourceFailure
from delever.watch.market_data.observations import (
    DrawdownObservation,
    EligibilityObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    PoolObservation,
    PositionObservation,
    QueuePlaceObservation,
    RiskObservation,
    WalletObservation,
)


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """One source of a venue: its last answer and its next poll (0 for a stream)."""

    name: str
    answered_ms: int | None
    due_ms: int
    interval_ms: int
    weight: int
    failure: SourceFailure | None


class VenueView(msgspec.Struct, frozen=True, kw_only=True):
    """One venue: the used part of its rate limit, and its clock's difference from ours."""

    venue: str
    keyed: bool
    used: int
    limit: int
    window_ms: int
    skew_ms: int
    sources: tuple[SourceView, ...]


class AdviceOption(msgspec.Struct, frozen=True, kw_only=True):
    """A position's score after one change; `score_ratio` is that score over the present one."""

    change: str
    score: float | None
    score_ratio: float | None
    note: str


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """A position's score under the venue's rules, and the options to change it.

    `score` is None if the venue does not publish an input of it, which `unknown` names.
    """

    rules: str
    formula: str
    score: float | None
    parts: dict[str, float]
    options: tuple[AdviceOption, ...]
    unknown: tuple[str, ...]


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    """A position with its ADL indicator or, where the venue has none, what is known instead.

    `place` is its place in a supplied book, as text with the book's age, or its eligibility.
    """

    position: PositionObservation
    indicator: IndicatorObservation | None
    age_ms: int
    indicator_age_ms: int | None
    stale: bool
    advice: Advice | None
    queue_place: QueuePlaceObservation | None = None
    eligibility: EligibilityObservation | None = None
    place: str = ""

    @property
    def fifth(self) -> int:
        """The indicator or the fifth of the supplied queue, 1 to 5; 0 if neither is known."""
        if self.indicator is not None:
            return self.indicator.indicator
        return 0 if self.queue_place is None else self.queue_place.fifth


class ContractView(msgspec.Struct, frozen=True, kw_only=True):
    """A contract's status with the observations behind it and their ages."""

    status: ContractStatus
    risk: RiskObservation | None
    drawdown: DrawdownObservation | None
    start_percent: Decimal | None
    stop_percent: Decimal | None
    ages_ms: dict[str, int]
    refreshes_ms: dict[str, int]
    stale: tuple[str, ...]

    @property
    def distances(self) -> tuple[str, str]:
        """The distances to start and stop as text; without a rule or an armed one, why not."""
        drawdown = self.drawdown
        if drawdown is None:
            return "", ""
        if self.start_percent is None or self.stop_percent is None:
            return "no drawdown rule", ""
        start, stop = f"{self.start_percent:.2f} %", f"{self.stop_percent:.2f} %"
        if drawdown.trigger_threshold is not None and not drawdown.is_armed:
            start = f"off: fund not above {drawdown.trigger_threshold.normalize():f}"
        return start, stop

    @property
    def ages(self) -> str:
        """Each observation's age beside the venue's refresh interval, as text."""
        return ", ".join(
            age_of_refresh(name, old, self.refreshes_ms[name]) for name, old in self.ages_ms.items()
        )


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A pool's balance, and its fall from the highest balance that this watch has observed."""

    pool: PoolObservation
    age_ms: int
    stale: bool
    drawdown_percent: Decimal


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """An active alert."""

    rule: str
    subject: str
    text: str
    since_ms: int


class WatchView(msgspec.Struct, frozen=True, kw_only=True):
    """The whole watch at `time_ms`."""

    time_ms: int
    venues: tuple[VenueView, ...]
    contracts: tuple[ContractView, ...]
    positions: tuple[PositionView, ...]
    wallets: tuple[WalletObservation, ...]
    pools: tuple[PoolView, ...]
    fills: tuple[FillObservation, ...]
    """All ADL fills since the start, and the past ones that the venues list, newest first."""
    alerts: tuple[AlertView, ...]
    failures: tuple[SourceFailure, ...]
    undelivered: int


def age(ms: int | None) -> str:
    """Return an age as text, in the largest unit that fits."""
    if ms is None:
        return "never"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= 2 * size:
            return f"{ms // size} {unit}"
    return f"{ms // 1000} s"


def age_of_refresh(name: str, age_ms: int, refresh_ms: int) -> str:
    """Return an age beside the venue's refresh interval: 'risk 12 min of 30 min'."""
    return f"{name} {age(age_ms)} of {age(refresh_ms)}".strip()


def place_text(
    place: QueuePlaceObservation | None, eligibility: EligibilityObservation | None, now_ms: int
) -> str:
    """Return a place in a supplied book, with the book's age, or an eligibility, as text."""
    if place is not None:
        book = f"in {place.book}, {age(place.age_ms(now_ms))} old"
        if place.rank is None:
            return f"not ranked ({place.reason}) {book}"
        ahead = f"{place.quantity_ahead.normalize():f} ahead"
        return f"rank {place.rank} of {place.ranked}, {ahead}, {book}"
    return "" if eligibility is None else _eligibility_text(eligibility)


def _eligibility_text(eligibility: EligibilityObservation) -> str:
    parts = ["eligible, no ranking" if eligibility.eligible else "skipped: negative collateral"]
    limit = eligibility.price_limit
    if eligibility.eligible and limit is not None:
        word = "below" if eligibility.side == "long" else "above"
        parts.append(f"skipped {word} {limit:.6g}")
    move = eligibility.liquidation_move
    if eligibility.equity <= eligibility.maintenance:
        parts.append("account is liquidatable")
    elif move is not None:
        parts.append(f"account is liquidated at {100 * move:+.1f} %")
    parts += [] if eligibility.status == "ACTIVE" else [f"market {eligibility.status}"]
    return ", ".join(parts)


def contract_view(
    status: ContractStatus, observations: list[Observation], now_ms: int
) -> ContractView:
    """Return a contract's view from its status and observations."""
    drawdown = next((r for r in observations if isinstance(r, DrawdownObservation)), None)
    refreshed = [r for r in observations if not isinstance(r, FillObservation)]
    return ContractView(
        status=status,
        risk=next((r for r in observations if isinstance(r, RiskObservation)), None),
        drawdown=drawdown,
        start_percent=None if drawdown is None else _percent(drawdown.distance_to_start),
        stop_percent=None if drawdown is None else _percent(drawdown.distance_to_stop),
        ages_ms={_name(r): r.age_ms(now_ms) for r in refreshed},
        refreshes_ms={_name(r): r.refresh_ms for r in refreshed},
        stale=tuple(_name(r) for r in observations if r.is_stale(now_ms)),
    )


def _percent(ratio: Decimal | None) -> Decimal | None:
    return None if ratio is None else 100 * ratio


def _name(observation: Observation) -> str:
    if isinstance(observation, IndicatorObservation | PositionObservation):
        return f"{observation.kind} {observation.side}"
    return observation.kind
