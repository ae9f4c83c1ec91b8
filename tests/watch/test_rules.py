"""Which rules hold, when they are told, and when not."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import Decimal

import pytest
from numbers_read import NOW, drawdown, fill, indicator, pool, position, risk, wallet

from delever.watch.faults import Fault, FaultKind
from delever.watch.reading import Reading
from delever.watch.rules import Active, Actives, Alert, Seen, advance, is_quiet, verdicts
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
)
from delever.watch.state import Situation, State

INDICATOR = LightRule(name="front", at_least=4, clear_below=3)
MINUTE = 60_000


def look(
    rule: AnyRule,
    readings: Sequence[Reading] = (),
    active: Actives | None = None,
    at_ms: int = NOW,
    **more: object,
) -> tuple[Actives, list[Alert]]:
    seen = Seen(
        readings,
        more.pop("situations", ()),  # type: ignore[arg-type]
        more.pop("faults", ()),  # type: ignore[arg-type]
        more.pop("peaks", {}),  # type: ignore[arg-type]
    )
    judged = list(verdicts([rule], seen, at_ms))
    return advance(active or {}, judged, [rule], at_ms, **more)  # type: ignore[arg-type]


def kinds(told: Sequence[Alert]) -> list[str]:
    return [alert.kind for alert in told]


def test_a_indicator_is_told_once_and_cleared_below_the_other_limit() -> None:
    story = [(3, []), (4, ["raised"]), (5, []), (3, []), (4, []), (2, ["cleared"]), (4, ["raised"])]
    active: Actives = {}
    for number, expected in story:
        active, told = look(INDICATOR, [indicator(number)], active)
        assert kinds(told) == expected, number
    assert [held.text for held in active.values()] == [
        "bybit BTCUSDT: indicator 4 of the long (venue: 4)"
    ]


def test_a_rule_is_about_each_side_and_contract_on_its_own() -> None:
    both = [
        indicator(5),
        indicator(5, side="short"),
        indicator(5, name="ETHUSDT"),
        indicator(1, venue="okx"),
    ]
    active, told = look(INDICATOR, both)
    assert sorted(alert.about for alert in told) == [
        "bybit BTCUSDT long",
        "bybit BTCUSDT short",
        "bybit ETHUSDT long",
    ]
    _, told = look(INDICATOR, [both[0], both[2]], active)  # the short has been closed
    assert [(alert.about, alert.kind) for alert in told] == [("bybit BTCUSDT short", "cleared")]


def test_a_rule_looks_only_at_its_venues_and_contracts() -> None:
    rule = LightRule(name="mine", at_least=1, venues=("okx",), contracts=("BTCUSDT",))
    read = [indicator(5), indicator(5, venue="okx"), indicator(5, venue="okx", name="ETHUSDT")]
    assert [alert.about for alert in look(rule, read)[1]] == ["okx BTCUSDT long"]


def test_a_stale_number_changes_nothing() -> None:
    late = NOW + 10 * MINUTE
    active, _ = look(INDICATOR, [indicator(5)])
    after, told = look(INDICATOR, [indicator(1)], active, late)
    assert (after.keys(), told) == (active.keys(), [])
    assert look(INDICATOR, [indicator(5)], {}, late) == ({}, [])


def test_a_venue_that_cannot_be_read_clears_nothing() -> None:
    """A restart, or a venue that is down, must not say that all is well, nor say it all again."""
    active, _ = look(INDICATOR, [indicator(5)])
    blind, told = look(INDICATOR, [], active, blind={"bybit"})
    assert (blind, told) == (active, [])
    assert kinds(look(INDICATOR, [indicator(5)], blind)[1]) == []
    assert kinds(look(INDICATOR, [], blind, blind={"okx"})[1]) == ["cleared"]


def test_a_rule_that_is_gone_from_the_file_is_dropped() -> None:
    active, _ = look(INDICATOR, [indicator(5)])
    assert advance(active, [], [], NOW) == ({}, [])


def test_repetition_comes_when_it_is_asked_for() -> None:
    rule = LightRule(name="nag", at_least=4, repeat_min=10)
    active, told = look(rule, [indicator(5)])
    for minutes, expected in [(9, []), (10, ["repeated"]), (19, []), (20, ["repeated"])]:
        at = NOW + minutes * MINUTE
        active, told = look(rule, [indicator(5, at_ms=at)], active, at)
        assert kinds(told) == expected, minutes


def test_quiet_hours_hold_back_until_they_end() -> None:
    active, told = look(INDICATOR, [indicator(5)], quiet=True)
    assert (len(active), told) == (1, [])
    assert kinds(look(INDICATOR, [indicator(5)], active, quiet=False)[1]) == ["raised"]
    over, told = look(INDICATOR, [indicator(1)], active, quiet=True)
    assert (over, told) == ({}, [])  # it came and went at night: nobody was told, nobody need be
    urgent = LightRule(name="front", at_least=4, urgent=True)
    assert kinds(look(urgent, [indicator(5)], quiet=True)[1]) == ["raised"]


def test_what_was_told_before_the_night_and_ends_in_it_is_cleared_in_the_morning() -> None:
    active, _ = look(INDICATOR, [indicator(5)])
    night, told = look(INDICATOR, [indicator(1)], active, quiet=True)
    assert (len(night), told) == (1, [])
    assert kinds(look(INDICATOR, [indicator(1)], night, quiet=False)[1]) == ["cleared"]


@pytest.mark.parametrize(
    ("at", "quiet"), [("21:59", False), ("22:00", True), ("03:00", True), ("07:00", False)]
)
def test_night_goes_over_midnight_in_its_own_zone(at: str, quiet: bool) -> None:
    zurich = Quiet(start=time(22), end=time(7), zone="Europe/Zurich")  # one hour ahead in winter
    moment = datetime.fromisoformat(f"2026-11-27T{at}:00+01:00").astimezone(UTC)
    assert is_quiet(zurich, round(moment.timestamp() * 1000)) is quiet
    assert not is_quiet(None, NOW)


def test_distance_clears_a_quarter_further_away() -> None:
    rule = DistanceRule(name="near", under=Decimal(5))
    story = [("-0.25", []), ("-0.2501", ["raised"]), ("-0.24", []), ("-0.2374", ["cleared"])]
    active: Actives = {}
    for ratio, expected in story:
        active, told = look(rule, [drawdown(ratio)], active)
        assert kinds(told) == expected, ratio
    below = [drawdown("-0.29", balance="10000")]  # below the threshold a drawdown starts nothing
    assert look(rule, below) == ({}, [])
    (alert,) = look(rule, [drawdown("0", balance="0")])[1]
    assert "30.00 % of the pool's peak left" in alert.text


def test_risk_and_fill_and_state_are_told() -> None:
    high = RiskRule(name="risk", at_least="high")
    assert look(high, [risk(2)])[1] == []
    assert [alert.text for alert in look(high, [risk(3)])[1]] == ["binance BTCUSDT: ADL risk HIGH"]
    hit = FillRule(name="hit")
    active, told = look(hit, [fill("7")])
    assert [alert.text for alert in told] == [
        "binance BTCUSDT: ADL closed 0.5 of your long at 60000"
    ]
    active, told = look(hit, [fill("7"), fill("8")], active)
    assert [alert.about for alert in told] == ["binance BTCUSDT fill 8"]
    assert look(hit, [], active, blind={"binance"}) == (active, [])  # not read yet, after a restart
    assert look(hit, [], active) == ({}, [])  # it scrolled out of sight: nothing is "cleared"
    assert look(hit, [fill("9", at_ms=NOW - 25 * 60 * MINUTE)]) == ({}, [])  # no news any more


def test_going_from_one_state_to_the_next_is_told_each_time() -> None:
    rule = StateRule(name="states", states=("adl", "stopped", "stale"))

    def at(state: State) -> list[Situation]:
        return [Situation(venue="okx", contract="X", state=state, since_ms=NOW, why="")]

    active: Actives = {}
    story = [
        (State.CALM, []),
        (State.ADL, ["okx X adl raised"]),
        (State.STALE, ["okx X adl cleared", "okx X stale raised"]),
        (State.STOPPED, ["okx X stale cleared", "okx X stopped raised"]),
        (State.CALM, ["okx X stopped cleared"]),
    ]
    for state, expected in story:
        active, told = look(rule, [], active, situations=at(state))
        assert sorted(f"{alert.about} {alert.kind}" for alert in told) == sorted(expected)


def test_a_pool_falls_from_its_peak_within_the_window() -> None:
    rule = PoolFallRule(name="pools", percent=Decimal(20), within_min=60)
    now = pool("790")
    peaks = {now.key: [(NOW - 61 * MINUTE, Decimal(5_000)), (NOW - 59 * MINUTE, Decimal(1_000))]}
    active, told = look(rule, [now], peaks=peaks)
    assert [alert.text for alert in told] == [
        "bybit pool BTCUSDT +1 USDT: 790, 21.0 % below its peak of 60 min"
    ]
    assert kinds(look(rule, [pool("895")], active, peaks=peaks)[1]) == []  # between 20 % and 10 %
    assert kinds(look(rule, [pool("901")], active, peaks=peaks)[1]) == ["cleared"]
    empty = {now.key: [(NOW, Decimal(0))]}
    assert look(rule, [pool("-5")], peaks=empty) == ({}, [])  # a fall from nothing is no percentage


def test_blindness_is_told_after_a_while_and_when_it_ends() -> None:
    rule = FaultRule(name="blind", after_min=5)
    fault = Fault(
        venue="okx",
        source="wallet",
        kind=FaultKind.KEY_IS_REFUSED,
        text="revoked",
        since_ms=NOW,
        retry_ms=NOW,
    )
    assert look(rule, faults=[fault], at_ms=NOW + 5 * MINUTE - 1) == ({}, [])
    active, told = look(rule, faults=[fault], at_ms=NOW + 5 * MINUTE)
    assert [alert.text for alert in told] == ["okx wallet: key_is_refused for 5 min: revoked"]
    assert kinds(look(rule, [], active, blind={"okx"})[1]) == ["cleared"]


def test_an_alert_says_which_channels_it_goes_to() -> None:
    rule = LightRule(name="front", at_least=4, send=("ops",))
    active, (alert,) = look(rule, [indicator(5)])
    assert alert.send == ("ops",)
    assert next(iter(active.values())) == Active(
        rule="front", about=alert.about, text=alert.text, since_ms=NOW, told_ms=NOW
    )


def test_a_number_that_grows_old_is_told_and_public_ones_together() -> None:
    rule = StaleRule(name="old", after_min=1)
    own = [position(), indicator(2), wallet("5"), fill("1")]
    public = [drawdown("-0.1", name=name) for name in ("AUSDT", "BUSDT", "CUSDT")]
    late = NOW + 60_000 + 65_000  # two refreshes of 30 s, 5 s and a minute; alerts are far beyond
    _, told = look(rule, [*own, *public], at_ms=late)
    assert [alert.text for alert in told] == [
        "bybit drawdown: no new number for 2 min (AUSDT and 2 more)"
    ]
    active, told = look(rule, [*own, *public], at_ms=late + 1)
    assert {alert.about for alert in told} == {
        "binance position BTCUSDT long", "bybit indicator BTCUSDT long", "binance wallet USDT",
        "bybit drawdown",
    }  # fmt: skip
    fresh = [position(of_ms=late, came_ms=late), *own[1:]]
    active, told = look(rule, fresh, active, at_ms=late + 2)
    assert [(a.kind, a.about) for a in told] == [
        ("cleared", "binance position BTCUSDT long"),
        ("cleared", "bybit drawdown"),  # no longer there at all
    ]
    assert len(active) == 2
