"""Which rules hold, for what: with hysteresis, told once, and not at night unless urgent.

Pure. `Verdict.holds` is None between the two limits of a rule: there everything stays as it was.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

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
from delever.watch.settings import (
    AnyRule,
    DistanceRule,
    FaultRule,
    FillRule,
    LightRule,
    PoolFallRule,
    Quiet,
    RiskRule,
    StaleRule,
    StateRule,
    risk_level,
)
from delever.watch.state import Situation

CLEARING = Decimal("1.25")
MINUTE_MS = 60_000
NEWS_MS = 24 * 60 * MINUTE_MS
"""A fill older than this is no news to whoever starts the watch."""


class Verdict(NamedTuple):
    """Whether a rule holds for something, and what is to be said."""

    rule: AnyRule
    about: str
    holds: bool | None
    text: str


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that holds for something: since when, when it was last told."""

    rule: str
    about: str
    text: str
    since_ms: int
    told_ms: int | None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell: a rule has come to hold, holds still, or holds no longer."""

    rule: str
    about: str
    text: str
    at_ms: int
    kind: str  # raised, repeated or cleared
    send: tuple[str, ...]


class Seen(NamedTuple):
    """What rules look at."""

    readings: Sequence[Reading]
    situations: Sequence[Situation]
    faults: Sequence[Fault]
    peaks: Mapping[tuple[str, ...], Sequence[tuple[int, Decimal]]]
    """Balances of pools by key, with their times."""


def verdicts(rules: Sequence[AnyRule], seen: Seen, now_ms: int) -> Iterator[Verdict]:
    """Yield what every rule says of everything it is about."""
    for rule in rules:
        match rule:
            case StateRule():
                yield from _states(rule, seen.situations)
            case FaultRule():
                yield from _faults(rule, seen.faults, now_ms)
            case PoolFallRule():
                yield from _pools(rule, seen, now_ms)
            case StaleRule():
                yield from _stale(rule, seen.readings, now_ms)
            case _:
                for reading in seen.readings:
                    if _is_about(rule, reading.venue, reading.name):
                        yield from _of_reading(rule, reading, now_ms)


def _is_about(rule: AnyRule, venue: str, contract: str) -> bool:
    return (not rule.venues or venue in rule.venues) and (
        not rule.contracts or contract in rule.contracts
    )


def _of_reading(rule: AnyRule, reading: Reading, now_ms: int) -> Iterator[Verdict]:
    """Yield what a rule says of one number; a stale number changes nothing."""
    what = f"{reading.venue} {reading.name}"
    stale = reading.stale(now_ms)
    match rule, reading:
        case LightRule(), IndicatorReading():
            clear = rule.at_least if rule.clear_below is None else rule.clear_below
            holds = _between(reading.indicator >= rule.at_least, reading.indicator < clear)
            text = f"{what}: indicator {reading.indicator} of the {reading.side} (venue: {reading.raw})"
            yield Verdict(rule, f"{what} {reading.side}", None if stale else holds, text)
        case RiskRule(), Risk():
            holds = reading.level >= risk_level(rule.at_least)
            yield Verdict(rule, what, None if stale else holds, f"{what}: ADL risk {reading.raw}")
        case DistanceRule(), Drawdown():
            yield Verdict(rule, what, None if stale else _near(rule, reading), _distance(reading))
        case FillRule(), Fill():
            price = "" if reading.price is None else f" at {reading.price}"
            text = f"{what}: ADL closed {reading.quantity} of your {reading.side}{price}"
            new = True if reading.age_ms(now_ms) < NEWS_MS else None
            yield Verdict(rule, f"{what} fill {reading.fill}", new, text)


def _between(holds: bool, clear: bool) -> bool | None:
    return True if holds else False if clear else None


def _near(rule: DistanceRule, reading: Drawdown) -> bool | None:
    """Return whether a contract is near; below the threshold a drawdown starts nothing."""
    percent = 100 * reading.to_start
    clear = rule.under * CLEARING if rule.clear_over is None else rule.clear_over
    if reading.balance <= 0:
        return True
    if not reading.armed:
        return False
    return _between(percent < rule.under, percent > clear)


def _distance(reading: Drawdown) -> str:
    return (
        f"{reading.venue} {reading.name}: {100 * reading.to_start:.2f} % of the pool's peak left "
        f"before ADL starts (ratio {reading.pnl_ratio}, start {reading.start_ratio})"
    )


def _states(rule: StateRule, situations: Sequence[Situation]) -> Iterator[Verdict]:
    """Yield a verdict a state, so that going from one to another of them is told too."""
    for situation in situations:
        if _is_about(rule, situation.venue, situation.contract):
            what = f"{situation.venue} {situation.contract}"
            for state in rule.states:
                text = f"{what}: {state}" + (f" ({situation.why})" if situation.why else "")
                yield Verdict(rule, f"{what} {state}", situation.state == state, text)


def _faults(rule: FaultRule, faults: Sequence[Fault], now_ms: int) -> Iterator[Verdict]:
    for fault in faults:
        if _is_about(rule, fault.venue, ""):
            what = f"{fault.venue} {fault.source}"
            minutes = (now_ms - fault.since_ms) / MINUTE_MS
            text = f"{what}: {fault.kind} for {minutes:.0f} min: {fault.text}"
            yield Verdict(rule, what, True if minutes >= rule.after_min else None, text)


def _stale(rule: StaleRule, readings: Sequence[Reading], now_ms: int) -> Iterator[Verdict]:
    """Yield a verdict for each number of the account, and one for each kind that is public.

    A socket that drops makes hundreds of contracts stale at once: that is told as one thing.
    """
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        if not isinstance(reading, Fill) and _is_about(rule, reading.venue, reading.name):
            groups.setdefault(_of_group(reading), []).append(reading)
    for about, group in groups.items():
        late = [r for r in group if r.late_ms(now_ms) > rule.after_min * MINUTE_MS]
        fresh = not any(reading.stale(now_ms) for reading in group)
        oldest = max(late or group, key=lambda reading: reading.late_ms(now_ms))
        more = f" and {len(late) - 1} more" if len(late) > 1 else ""
        minutes = oldest.age_ms(now_ms) / MINUTE_MS
        text = f"{about}: no new number for {minutes:.0f} min ({oldest.name}{more})"
        yield Verdict(rule, about, _between(bool(late), fresh), text)


def _of_group(reading: Reading) -> str:
    """Return what a stale number is told as: itself if it is the account's, else its kind."""
    kind = reading.kind
    match reading:
        case IndicatorReading() | Position():
            return f"{reading.venue} {kind} {reading.name} {reading.side}"
        case Wallet():
            return f"{reading.venue} {kind} {reading.name}"
        case _:
            return f"{reading.venue} {kind}"


def _pools(rule: PoolFallRule, seen: Seen, now_ms: int) -> Iterator[Verdict]:
    for reading in seen.readings:
        if not isinstance(reading, Pool) or not (not rule.venues or reading.venue in rule.venues):
            continue
        if rule.contracts and not set(rule.contracts) & {*reading.members, reading.name}:
            continue
        history = seen.peaks.get(reading.key, ())
        fell = fall_percent(reading, history, now_ms - rule.within_min * MINUTE_MS)
        clear = rule.percent / 2 if rule.clear_below is None else rule.clear_below
        holds = None if reading.stale(now_ms) else _between(fell >= rule.percent, fell < clear)
        what = f"{reading.venue} pool {reading.name} {reading.asset}"
        text = f"{what}: {reading.balance}, {fell:.1f} % below its peak of {rule.within_min} min"
        yield Verdict(rule, what, holds, text)


def fall_percent(pool: Pool, history: Sequence[tuple[int, Decimal]], from_ms: int) -> Decimal:
    """Return by how many percent a pool is below its highest balance since a time, or 0."""
    peak = max((balance for at, balance in history if at >= from_ms), default=pool.balance)
    return Decimal(0) if peak <= 0 else max(Decimal(0), 100 * (peak - pool.balance) / peak)


# --- what is to be told ---

Actives = dict[tuple[str, str], Active]


def advance(
    active: Actives,
    judged: Sequence[Verdict],
    rules: Sequence[AnyRule],
    now_ms: int,
    *,
    blind: Collection[str] = (),
    quiet: bool = False,
) -> tuple[Actives, list[Alert]]:
    """Return which rules hold now, and what is to be told of it.

    A rule is told once for each thing it is about, until it has ceased to hold there. What comes to
    hold in quiet hours is told when they end, if it still holds. What is not seen any more (a
    position that is closed, a fault that is over) is cleared; at a venue in `blind`, which has not
    been read whole, it stays as it was.
    """
    after: Actives = {}
    told: list[Alert] = []
    seen = {(verdict.rule.name, verdict.about): verdict for verdict in judged}
    for before in active.values():
        if (before.rule, before.about) not in seen:
            unseen = _unseen(before, rules, blind)
            seen |= {(verdict.rule.name, verdict.about): verdict for verdict in unseen}
    for key, verdict in seen.items():
        now, alerts = _one(active.get(key), verdict, now_ms, quiet=quiet)
        told += alerts
        if now is not None:
            after[key] = now
    return after, told


def _unseen(before: Active, rules: Sequence[AnyRule], blind: Collection[str]) -> Iterator[Verdict]:
    """Yield what is to be thought of a thing that is not seen now; nothing is dropped unsaid."""
    rule = next((rule for rule in rules if rule.name == before.rule), None)
    if rule is not None:
        venue = before.about.partition(" ")[0]
        unknown = venue in blind and not isinstance(rule, FaultRule)
        if unknown or not isinstance(rule, FillRule):  # a fill is not undone by being long ago
            yield Verdict(rule, before.about, None if unknown else False, before.text)


def _one(
    before: Active | None, verdict: Verdict, now_ms: int, *, quiet: bool
) -> tuple[Active | None, list[Alert]]:
    holds = before is not None if verdict.holds is None else verdict.holds
    hushed = quiet and not verdict.rule.urgent
    if not holds:
        if before is None or before.told_ms is None:
            return None, []
        if hushed:  # who was told that it holds is told in the morning that it does not
            return before, []
        return None, [_alert(verdict, now_ms, "cleared")]
    now = before or Active(
        rule=verdict.rule.name, about=verdict.about, text="", since_ms=now_ms, told_ms=None
    )
    now = msgspec.structs.replace(now, text=verdict.text)
    again_ms = verdict.rule.repeat_min * MINUTE_MS
    due = now.told_ms is None or (again_ms > 0 and now_ms - now.told_ms >= again_ms)
    if hushed or not due:
        return now, []
    kind = "raised" if now.told_ms is None else "repeated"
    return msgspec.structs.replace(now, told_ms=now_ms), [_alert(verdict, now_ms, kind)]


def _alert(verdict: Verdict, now_ms: int, kind: str) -> Alert:
    return Alert(
        rule=verdict.rule.name,
        about=verdict.about,
        text=verdict.text if kind != "cleared" else f"no longer: {verdict.text}",
        at_ms=now_ms,
        kind=kind,
        send=verdict.rule.send,
    )


def is_quiet(quiet: Quiet | None, now_ms: int) -> bool:
    """Return whether it is night, by the clock of the quiet hours' time zone."""
    if quiet is None:
        return False
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(quiet.zone)).time()
    if quiet.start <= quiet.end:
        return quiet.start <= now < quiet.end
    return now >= quiet.start or now < quiet.end
