"""Alert rules: which are active, and the alerts of a change.

Rules have hysteresis, alert once, and wait for the end of quiet hours unless they are urgent. Pure.
`RuleEvaluation.holds` is None between the two limits of a rule: its alert stays as it was.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from delever.watch.alerts.contract_status import NO_FILL, ContractStatus
from delever.watch.market_data.errors import SourceFailure
from delever.watch.market_data.fill_details import summary
from delever.watch.market_data.observations import (
    DrawdownObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    PoolObservation,
    PositionObservation,
    RiskObservation,
    WalletObservation,
)
from delever.watch.settings import (
    AnyRule,
    DistanceRule,
    FillRule,
    IndicatorRule,
    PoolDrawdownRule,
    QuietHours,
    RiskRule,
    SourceFailureRule,
    StaleRule,
    StateRule,
    risk_level,
)

CLEAR_FACTOR = Decimal("1.25")
MINUTE_MS = 60_000
MAX_FILL_AGE_MS = 24 * 60 * MINUTE_MS
"""An ADL fill older than this at the first observation raises no alert."""


class RuleEvaluation(NamedTuple):
    """Whether a rule holds for a subject, and the text of an alert.

    What is not certain, such as an end of ADL that no venue has reported, is never urgent.
    `end_text` is the text of an alert that has cleared, if it says more than "no longer".
    """

    rule: AnyRule
    subject: str
    holds: bool | None
    text: str
    is_certain: bool = True
    end_text: str = ""


class ActiveAlert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that holds for a subject: since when, and when it was last notified."""

    rule: str
    subject: str
    text: str
    since_ms: int
    notified_ms: int | None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A notification: a rule has begun to hold, still holds, or holds no longer."""

    rule: str
    subject: str
    text: str
    at_ms: int
    kind: str  # raised, repeated or cleared
    channels: tuple[str, ...]


class RuleInputs(NamedTuple):
    """The inputs of all rules."""

    observations: Sequence[Observation]
    statuses: Sequence[ContractStatus]
    failures: Sequence[SourceFailure]
    pool_balances: Mapping[tuple[str, ...], Sequence[tuple[int, Decimal]]]
    """Past balances of pools by observation key, with their times."""


def evaluate(rules: Sequence[AnyRule], inputs: RuleInputs, now_ms: int) -> Iterator[RuleEvaluation]:
    """Yield the evaluation of every rule for each of its subjects."""
    for rule in rules:
        match rule:
            case StateRule():
                yield from _state_changes(rule, inputs.statuses)
            case SourceFailureRule():
                yield from _failures(rule, inputs.failures, now_ms)
            case PoolDrawdownRule():
                yield from _pool_drawdowns(rule, inputs, now_ms)
            case StaleRule():
                yield from _stale(rule, inputs.observations, now_ms)
            case _:
                for observation in inputs.observations:
                    if _applies(rule, observation.venue, observation.name):
                        yield from _of_observation(rule, observation, now_ms)


def _applies(rule: AnyRule, venue: str, contract: str) -> bool:
    return (not rule.venues or venue in rule.venues) and (
        not rule.contracts or contract in rule.contracts
    )


def _of_observation(
    rule: AnyRule, observation: Observation, now_ms: int
) -> Iterator[RuleEvaluation]:
    """Yield a rule's evaluation of one observation; a stale observation changes nothing."""
    name = f"{observation.venue} {observation.name}"
    stale = observation.is_stale(now_ms)
    match rule, observation:
        case IndicatorRule(), IndicatorObservation():
            clear = rule.at_least if rule.clear_below is None else rule.clear_below
            indicator, side = observation.indicator, observation.side
            holds = _hysteresis(indicator >= rule.at_least, indicator < clear)
            text = f"{name}: indicator {indicator} of the {side} (venue: {observation.raw})"
            yield RuleEvaluation(rule, f"{name} {side}", None if stale else holds, text)
        case RiskRule(), RiskObservation():
            holds = observation.level >= risk_level(rule.at_least)
            text = f"{name}: ADL risk {observation.raw}"
            yield RuleEvaluation(rule, name, None if stale else holds, text)
        case DistanceRule(), DrawdownObservation():
            holds = None if stale else _is_near(rule, observation)
            yield RuleEvaluation(rule, name, holds, _distance_text(observation))
        case FillRule(), FillObservation():
            price = "" if observation.price is None else f" at {observation.price}"
            text = f"{name}: ADL closed {observation.quantity} of your {observation.side}{price}"
            details = [part for part in (summary(observation), observation.why) if part]
            text = "; ".join([text, *details])
            new = True if observation.age_ms(now_ms) < MAX_FILL_AGE_MS else None
            yield RuleEvaluation(rule, f"{name} fill {observation.fill}", new, text)


def _hysteresis(holds: bool, clear: bool) -> bool | None:
    return True if holds else False if clear else None


def _is_near(rule: DistanceRule, observation: DrawdownObservation) -> bool | None:
    """Return whether a contract is near ADL; without an armed drawdown rule it is not."""
    distance = observation.distance_to_start
    clear = rule.below * CLEAR_FACTOR if rule.clear_above is None else rule.clear_above
    if observation.balance <= 0:
        return True
    if distance is None or not observation.is_armed:
        return False
    return _hysteresis(100 * distance < rule.below, 100 * distance > clear)


def _distance_text(observation: DrawdownObservation) -> str:
    distance, name = observation.distance_to_start, f"{observation.venue} {observation.name}"
    if distance is None:
        return f"{name}: fund balance {observation.balance} (no drawdown rule)"
    return (
        f"{name}: {100 * distance:.2f} % of the fund's peak left before ADL starts "
        f"(PnL ratio {observation.pnl_ratio}, start {observation.start_ratio})"
    )


def _state_changes(rule: StateRule, statuses: Sequence[ContractStatus]) -> Iterator[RuleEvaluation]:
    """Yield an evaluation a state, so that a change between two named states alerts too."""
    for status in statuses:
        if _applies(rule, status.venue, status.contract):
            name = f"{status.venue} {status.contract}"
            for state in rule.states:
                holds = status.state == state
                label = status.label if holds else state
                text = f"{name}: {label}" + (f" ({status.reason})" if status.reason else "")
                inferred = status.stop_inferred and state in {"adl", "stopped"}
                yield RuleEvaluation(
                    rule,
                    f"{name} {state}",
                    holds,
                    text,
                    is_certain=not inferred,
                    end_text=f"{name}: {NO_FILL}" if inferred and state == "adl" else "",
                )


def _failures(
    rule: SourceFailureRule, failures: Sequence[SourceFailure], now_ms: int
) -> Iterator[RuleEvaluation]:
    for failure in failures:
        if _applies(rule, failure.venue, ""):
            name = f"{failure.venue} {failure.source}"
            minutes = (now_ms - failure.since_ms) / MINUTE_MS
            text = f"{name}: {failure.kind} for {minutes:.0f} min: {failure.text}"
            yield RuleEvaluation(rule, name, True if minutes >= rule.after_min else None, text)


def _stale(
    rule: StaleRule, observations: Sequence[Observation], now_ms: int
) -> Iterator[RuleEvaluation]:
    """Yield an evaluation for each observation of the account and for each public kind.

    A dropped socket makes hundreds of contracts stale at once; they are one alert.
    """
    groups: dict[str, list[Observation]] = {}
    for observation in observations:
        if not isinstance(observation, FillObservation) and _applies(
            rule, observation.venue, observation.name
        ):
            groups.setdefault(_stale_subject(observation), []).append(observation)
    for subject, group in groups.items():
        late = [r for r in group if r.overdue_ms(now_ms) > rule.after_min * MINUTE_MS]
        fresh = not any(observation.is_stale(now_ms) for observation in group)
        oldest = max(late or group, key=lambda observation: observation.overdue_ms(now_ms))
        more = f" and {len(late) - 1} more" if len(late) > 1 else ""
        minutes = oldest.age_ms(now_ms) / MINUTE_MS
        text = f"{subject}: no new value for {minutes:.0f} min ({oldest.name}{more})"
        yield RuleEvaluation(rule, subject, _hysteresis(bool(late), fresh), text)


def _stale_subject(observation: Observation) -> str:
    """Return the subject of a stale observation: itself if private, else its kind."""
    kind = observation.kind
    match observation:
        case IndicatorObservation() | PositionObservation():
            return f"{observation.venue} {kind} {observation.name} {observation.side}"
        case WalletObservation():
            return f"{observation.venue} {kind} {observation.name}"
        case _:
            return f"{observation.venue} {kind}"


def _pool_drawdowns(
    rule: PoolDrawdownRule, inputs: RuleInputs, now_ms: int
) -> Iterator[RuleEvaluation]:
    for pool in inputs.observations:
        if not isinstance(pool, PoolObservation) or (rule.venues and pool.venue not in rule.venues):
            continue
        if rule.contracts and not set(rule.contracts) & {*pool.members, pool.name}:
            continue
        balances = inputs.pool_balances.get(pool.key, ())
        percent = drawdown_percent(pool, balances, now_ms - rule.within_min * MINUTE_MS)
        clear = rule.percent / 2 if rule.clear_below is None else rule.clear_below
        holds = _hysteresis(percent >= rule.percent, percent < clear)
        name = f"{pool.venue} fund {pool.name} {pool.asset}"
        text = f"{name}: {pool.balance}, {percent:.1f} % below its peak of {rule.within_min} min"
        yield RuleEvaluation(rule, name, None if pool.is_stale(now_ms) else holds, text)


def drawdown_percent(
    pool: PoolObservation, balances: Sequence[tuple[int, Decimal]], from_ms: int
) -> Decimal:
    """Return a pool's fall from its highest balance since a time, in percent; 0 at the peak."""
    peak = max((balance for at, balance in balances if at >= from_ms), default=pool.balance)
    return Decimal(0) if peak <= 0 else max(Decimal(0), 100 * (peak - pool.balance) / peak)


# --- active alerts ---

ActiveAlerts = dict[tuple[str, str], ActiveAlert]
"""Active alerts by rule and subject."""


def update_alerts(
    active: ActiveAlerts,
    evaluations: Sequence[RuleEvaluation],
    rules: Sequence[AnyRule],
    now_ms: int,
    *,
    incomplete_venues: Collection[str] = (),
    quiet: bool = False,
) -> tuple[ActiveAlerts, list[Alert]]:
    """Return the active alerts after some evaluations, and the alerts to send.

    A rule alerts once for each subject until it ceases to hold. In quiet hours an alert is held
    back until their end, and dropped if it has cleared by then. A subject without an evaluation (a
    closed position, a failure that is over) is cleared, except at `incomplete_venues`, which have
    not been read completely: there it stays as it was.
    """
    after: ActiveAlerts = {}
    alerts: list[Alert] = []
    by_key = {(evaluation.rule.name, evaluation.subject): evaluation for evaluation in evaluations}
    for before in active.values():
        if (before.rule, before.subject) not in by_key:
            for evaluation in _missing_evaluation(before, rules, incomplete_venues):
                by_key[evaluation.rule.name, evaluation.subject] = evaluation
    for key, evaluation in by_key.items():
        now, alert = _update_alert(active.get(key), evaluation, now_ms, quiet=quiet)
        if alert is not None:
            alerts.append(alert)
        if now is not None:
            after[key] = now
    return after, alerts


def _missing_evaluation(
    before: ActiveAlert, rules: Sequence[AnyRule], incomplete_venues: Collection[str]
) -> Iterator[RuleEvaluation]:
    """Yield the evaluation of an active alert whose subject was not evaluated."""
    rule = next((rule for rule in rules if rule.name == before.rule), None)
    if rule is not None:
        venue = before.subject.partition(" ")[0]
        unknown = venue in incomplete_venues and not isinstance(rule, SourceFailureRule)
        if unknown or not isinstance(rule, FillRule):  # an old fill is not cleared
            yield RuleEvaluation(rule, before.subject, None if unknown else False, before.text)


def _update_alert(
    before: ActiveAlert | None, evaluation: RuleEvaluation, now_ms: int, *, quiet: bool
) -> tuple[ActiveAlert | None, Alert | None]:
    holds = before is not None if evaluation.holds is None else evaluation.holds
    muted = quiet and not (evaluation.rule.urgent and evaluation.is_certain)
    if not holds:
        if before is None or before.notified_ms is None:
            return None, None
        if muted:  # its end is notified after the quiet hours, as its beginning was
            return before, None
        return None, _alert(evaluation, now_ms, "cleared")
    now = before or ActiveAlert(
        rule=evaluation.rule.name,
        subject=evaluation.subject,
        text="",
        since_ms=now_ms,
        notified_ms=None,
    )
    now = msgspec.structs.replace(now, text=evaluation.text)
    repeat_ms = evaluation.rule.repeat_min * MINUTE_MS
    due = now.notified_ms is None or (repeat_ms > 0 and now_ms - now.notified_ms >= repeat_ms)
    if muted or not due:
        return now, None
    kind = "raised" if now.notified_ms is None else "repeated"
    return msgspec.structs.replace(now, notified_ms=now_ms), _alert(evaluation, now_ms, kind)


def _alert(evaluation: RuleEvaluation, now_ms: int, kind: str) -> Alert:
    ended = evaluation.end_text or f"no longer: {evaluation.text}"
    return Alert(
        rule=evaluation.rule.name,
        subject=evaluation.subject,
        text=ended if kind == "cleared" else evaluation.text,
        at_ms=now_ms,
        kind=kind,
        channels=evaluation.rule.channels,
    )


def is_quiet(hours: QuietHours | None, now_ms: int) -> bool:
    """Return whether a time is in the quiet hours, by the clock of their time zone."""
    if hours is None:
        return False
    now = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(hours.zone)).time()
    if hours.start <= hours.end:
        return hours.start <= now < hours.end
    return now >= hours.start or now < hours.end
