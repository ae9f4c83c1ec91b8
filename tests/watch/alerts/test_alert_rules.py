"""Which rules hold, and when they alert."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import Decimal

import pytest
from observation_samples import NOW, drawdown, fill, indicator, pool, position, risk, wallet

from delever.watch.alerts.alert_rules import (
    ActiveAlert,
    ActiveAlerts,
    Alert,
    RuleInputs,
    evaluate,
    is_quiet,
    update_alerts,
)
from delever.watch.alerts.contract_status import NO_FILL, AdlState, ContractStatus
from delever.watch.market_data.errors import FailureKind, SourceFailure
from delever.watch.market_data.observations import Observation
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
)

INDICATOR = IndicatorRule(name="front", at_least=4, clear_below=3)
MINUTE = 60_000


def apply_rule(
    rule: AnyRule,
    observations: Sequence[Observation] = (),
    active: ActiveAlerts | None = None,
    at_ms: int = NOW,
    **more: object,
) -> tuple[ActiveAlerts, list[Alert]]:
    inputs = RuleInputs(
        observations,
        more.pop("statuses", ()),  # type: ignore[arg-type]
        more.pop("failures", ()),  # type: ignore[arg-type]
        more.pop("pool_balances", {}),  # type: ignore[arg-type]
    )
    evaluations = list(evaluate([rule], inputs, at_ms))
    return update_alerts(active or {}, evaluations, [rule], at_ms, **more)  # type: ignore[arg-type]


def kinds(alerts: Sequence[Alert]) -> list[str]:
    return [alert.kind for alert in alerts]


def test_an_indicator_alerts_once_and_clears_below_the_other_limit() -> None:
    steps = [(3, []), (4, ["raised"]), (5, []), (3, []), (4, []), (2, ["cleared"]), (4, ["raised"])]
    active: ActiveAlerts = {}
    for number, expected in steps:
        active, alerts = apply_rule(INDICATOR, [indicator(number)], active)
        assert kinds(alerts) == expected, number
    assert [held.text for held in active.values()] == [
        "bybit BTCUSDT: indicator 4 of the long (venue: 4)"
    ]


def test_a_rule_alerts_for_each_side_and_contract_separately() -> None:
    both = [
        indicator(5),
        indicator(5, side="short"),
        indicator(5, name="ETHUSDT"),
        indicator(1, venue="okx"),
    ]
    active, alerts = apply_rule(INDICATOR, both)
    assert sorted(alert.subject for alert in alerts) == [
        "bybit BTCUSDT long",
        "bybit BTCUSDT short",
        "bybit ETHUSDT long",
    ]
    _, alerts = apply_rule(INDICATOR, [both[0], both[2]], active)  # the short was closed
    assert [(alert.subject, alert.kind) for alert in alerts] == [("bybit BTCUSDT short", "cleared")]


def test_a_rule_applies_only_to_its_venues_and_contracts() -> None:
    rule = IndicatorRule(name="mine", at_least=1, venues=("okx",), contracts=("BTCUSDT",))
    read = [indicator(5), indicator(5, venue="okx"), indicator(5, venue="okx", name="ETHUSDT")]
    assert [alert.subject for alert in apply_rule(rule, read)[1]] == ["okx BTCUSDT long"]


def test_a_stale_observation_changes_no_alert() -> None:
    late = NOW + 10 * MINUTE
    active, _ = apply_rule(INDICATOR, [indicator(5)])
    after, alerts = apply_rule(INDICATOR, [indicator(1)], active, late)
    assert (after.keys(), alerts) == (active.keys(), [])
    assert apply_rule(INDICATOR, [indicator(5)], {}, late) == ({}, [])


def test_an_incomplete_venue_clears_no_alert() -> None:
    """Neither a restart nor a venue that is down may clear an alert or raise it again."""
    active, _ = apply_rule(INDICATOR, [indicator(5)])
    after, alerts = apply_rule(INDICATOR, [], active, incomplete_venues={"bybit"})
    assert (after, alerts) == (active, [])
    assert kinds(apply_rule(INDICATOR, [indicator(5)], after)[1]) == []
    assert kinds(apply_rule(INDICATOR, [], after, incomplete_venues={"okx"})[1]) == ["cleared"]


def test_alerts_of_a_removed_rule_are_dropped() -> None:
    active, _ = apply_rule(INDICATOR, [indicator(5)])
    assert update_alerts(active, [], [], NOW) == ({}, [])


def test_an_alert_repeats_every_repeat_min() -> None:
    rule = IndicatorRule(name="nag", at_least=4, repeat_min=10)
    active, alerts = apply_rule(rule, [indicator(5)])
    for minutes, expected in [(9, []), (10, ["repeated"]), (19, []), (20, ["repeated"])]:
        at = NOW + minutes * MINUTE
        active, alerts = apply_rule(rule, [indicator(5, at_ms=at)], active, at)
        assert kinds(alerts) == expected, minutes


def test_quiet_hours_delay_alerts_that_are_not_urgent() -> None:
    active, alerts = apply_rule(INDICATOR, [indicator(5)], quiet=True)
    assert (len(active), alerts) == (1, [])
    assert kinds(apply_rule(INDICATOR, [indicator(5)], active, quiet=False)[1]) == ["raised"]
    over, alerts = apply_rule(INDICATOR, [indicator(1)], active, quiet=True)
    assert (over, alerts) == ({}, [])  # raised and cleared within the quiet hours: no alert
    urgent = IndicatorRule(name="front", at_least=4, urgent=True)
    assert kinds(apply_rule(urgent, [indicator(5)], quiet=True)[1]) == ["raised"]


def test_an_alert_that_ends_in_quiet_hours_is_cleared_after_them() -> None:
    active, _ = apply_rule(INDICATOR, [indicator(5)])
    night, alerts = apply_rule(INDICATOR, [indicator(1)], active, quiet=True)
    assert (len(night), alerts) == (1, [])
    assert kinds(apply_rule(INDICATOR, [indicator(1)], night, quiet=False)[1]) == ["cleared"]


@pytest.mark.parametrize(
    ("at", "quiet"), [("21:59", False), ("22:00", True), ("03:00", True), ("07:00", False)]
)
def test_quiet_hours_cross_midnight_in_their_own_zone(at: str, quiet: bool) -> None:
    zurich = QuietHours(
        start=time(22), end=time(7), zone="Europe/Zurich"
    )  # one hour ahead in winter
    moment = datetime.fromisoformat(f"2026-11-27T{at}:00+01:00").astimezone(UTC)
    assert is_quiet(zurich, round(moment.timestamp() * 1000)) is quiet
    assert not is_quiet(None, NOW)


def test_a_distance_alert_clears_a_quarter_further_away() -> None:
    rule = DistanceRule(name="near", below=Decimal(5))
    steps = [("-0.25", []), ("-0.2501", ["raised"]), ("-0.24", []), ("-0.2374", ["cleared"])]
    active: ActiveAlerts = {}
    for ratio, expected in steps:
        active, alerts = apply_rule(rule, [drawdown(ratio)], active)
        assert kinds(alerts) == expected, ratio
    below = [
        drawdown("-0.29", balance="10000")
    ]  # below the trigger threshold a drawdown starts no ADL
    assert apply_rule(rule, below) == ({}, [])
    (alert,) = apply_rule(rule, [drawdown("0", balance="0")])[1]
    assert "30.00 % of the fund's peak left" in alert.text


def test_risk_and_fills_alert() -> None:
    high = RiskRule(name="risk", at_least="high")
    assert apply_rule(high, [risk(2)])[1] == []
    assert [alert.text for alert in apply_rule(high, [risk(3)])[1]] == [
        "binance BTCUSDT: ADL risk HIGH"
    ]
    fill_rule = FillRule(name="fill_rule")
    active, alerts = apply_rule(fill_rule, [fill("7")])
    assert [alert.text for alert in alerts] == [
        "binance BTCUSDT: ADL closed 0.5 of your long at 60000"
    ]
    active, alerts = apply_rule(fill_rule, [fill("7"), fill("8")], active)
    assert [alert.subject for alert in alerts] == ["binance BTCUSDT fill 8"]
    assert apply_rule(fill_rule, [], active, incomplete_venues={"binance"}) == (
        active,
        [],
    )  # not read yet, after a restart
    assert apply_rule(fill_rule, [], active) == ({}, [])  # an old fill is not cleared
    assert apply_rule(fill_rule, [fill("9", at_ms=NOW - 25 * 60 * MINUTE)]) == ({}, [])  # too old


def test_each_change_between_named_states_alerts() -> None:
    rule = StateRule(name="states", states=("adl", "stopped", "stale"))

    def at(state: AdlState) -> list[ContractStatus]:
        return [ContractStatus(venue="okx", contract="X", state=state, since_ms=NOW, reason="")]

    active: ActiveAlerts = {}
    steps = [
        (AdlState.CALM, []),
        (AdlState.ADL, ["okx X adl raised"]),
        (AdlState.STALE, ["okx X adl cleared", "okx X stale raised"]),
        (AdlState.STOPPED, ["okx X stale cleared", "okx X stopped raised"]),
        (AdlState.CALM, ["okx X stopped cleared"]),
    ]
    for state, expected in steps:
        active, alerts = apply_rule(rule, [], active, statuses=at(state))
        assert sorted(f"{alert.subject} {alert.kind}" for alert in alerts) == sorted(expected)


def test_an_end_of_adl_that_no_venue_reports_is_neither_stated_nor_urgent() -> None:
    rule = StateRule(name="states", states=("adl", "stopped"), urgent=True)
    names = {"venue": "binance", "contract": "BTCUSDT", "since_ms": NOW}
    on = ContractStatus(state=AdlState.ADL, reason="ADL closed 1", adl_active=True, **names)
    over = ContractStatus(state=AdlState.STOPPED, reason=NO_FILL, stop_inferred=True, **names)
    active, _ = apply_rule(rule, [], statuses=[on])
    assert apply_rule(rule, [], active, statuses=[over], quiet=True)[1] == []
    _, alerts = apply_rule(rule, [], active, statuses=[over])
    assert [alert.text for alert in alerts] == [
        f"binance BTCUSDT: {NO_FILL}",
        f"binance BTCUSDT: no fill ({NO_FILL})",
    ]


def test_a_pool_drawdown_is_measured_from_the_peak_of_the_window() -> None:
    rule = PoolDrawdownRule(name="pools", percent=Decimal(20), within_min=60)
    now = pool("790")
    peaks = {now.key: [(NOW - 61 * MINUTE, Decimal(5_000)), (NOW - 59 * MINUTE, Decimal(1_000))]}
    active, alerts = apply_rule(rule, [now], pool_balances=peaks)
    assert [alert.text for alert in alerts] == [
        "bybit fund BTCUSDT +1 USDT: 790, 21.0 % below its peak of 60 min"
    ]
    assert (
        kinds(apply_rule(rule, [pool("895")], active, pool_balances=peaks)[1]) == []
    )  # between 20 % and 10 %
    assert kinds(apply_rule(rule, [pool("901")], active, pool_balances=peaks)[1]) == ["cleared"]
    empty = {now.key: [(NOW, Decimal(0))]}
    assert apply_rule(rule, [pool("-5")], pool_balances=empty) == (
        {},
        [],
    )  # no drawdown from an empty pool


def test_a_source_failure_alerts_after_its_minutes_and_clears() -> None:
    rule = SourceFailureRule(name="blind", after_min=5)
    failure = SourceFailure(
        venue="okx",
        source="wallet",
        kind=FailureKind.KEY_REFUSED,
        text="revoked",
        since_ms=NOW,
        retry_ms=NOW,
    )
    assert apply_rule(rule, failures=[failure], at_ms=NOW + 5 * MINUTE - 1) == ({}, [])
    active, alerts = apply_rule(rule, failures=[failure], at_ms=NOW + 5 * MINUTE)
    assert [alert.text for alert in alerts] == ["okx wallet: key_refused for 5 min: revoked"]
    assert kinds(apply_rule(rule, [], active, incomplete_venues={"okx"})[1]) == ["cleared"]


def test_an_alert_has_the_channels_of_its_rule() -> None:
    rule = IndicatorRule(name="front", at_least=4, channels=("ops",))
    active, (alert,) = apply_rule(rule, [indicator(5)])
    assert alert.channels == ("ops",)
    assert next(iter(active.values())) == ActiveAlert(
        rule="front", subject=alert.subject, text=alert.text, since_ms=NOW, notified_ms=NOW
    )


def test_stale_private_values_alert_singly_and_public_ones_together() -> None:
    rule = StaleRule(name="old", after_min=1)
    own = [position(), indicator(2), wallet("5"), fill("1")]
    public = [drawdown("-0.1", name=name) for name in ("AUSDT", "BUSDT", "CUSDT")]
    late = NOW + 60_000 + 65_000  # two refreshes of 30 s, 5 s and a minute; alerts are far beyond
    _, alerts = apply_rule(rule, [*own, *public], at_ms=late)
    assert [alert.text for alert in alerts] == [
        "bybit drawdown: no new value for 2 min (AUSDT and 2 more)"
    ]
    active, alerts = apply_rule(rule, [*own, *public], at_ms=late + 1)
    assert {alert.subject for alert in alerts} == {
        "binance position BTCUSDT long", "bybit indicator BTCUSDT long", "binance wallet USDT",
        "bybit drawdown",
    }  # fmt: skip
    fresh = [position(venue_time_ms=late, received_ms=late), *own[1:]]
    active, alerts = apply_rule(rule, fresh, active, at_ms=late + 2)
    assert [(a.kind, a.subject) for a in alerts] == [
        ("cleared", "binance position BTCUSDT long"),
        ("cleared", "bybit drawdown"),  # no longer observed
    ]
    assert len(active) == 2
