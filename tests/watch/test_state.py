"""What a contract's state is, from what has been read of it."""

from collections.abc import Sequence

import pytest
from msgspec import structs
from numbers_read import NOW, drawdown, fill, indicator, risk, warned

from delever.watch.reading import Reading
from delever.watch.state import Situation, judge

HALF_HOUR = 30 * 60_000


def judged(read: Sequence[Reading], before: Situation | None = None, at_ms: int = NOW) -> Situation:
    return judge(before, read, at_ms, HALF_HOUR)


CASES = """
ratio    balance   | state
0        1000000   | calm
-0.2399  1000000   | calm
-0.24    1000000   | watch
-0.2999  1000000   | watch
-0.3     1000000   | adl
-0.56    1000000   | adl
-0.56    10000     | calm
-0.56    10001     | adl
0        0         | adl
0        -5        | adl
"""


@pytest.mark.parametrize("line", CASES.strip().splitlines()[1:])
def test_state_of_an_alert(line: str) -> None:
    """BYB-01 and BYB-04: above the threshold by the ratio, inclusive; at nothing left, always."""
    ratio, balance, _, state = line.split()
    assert judged([drawdown(ratio, balance=balance)]).state == state


def test_adl_lasts_until_the_venues_own_stop() -> None:
    """BYB-02: above -0.25, not at it."""
    on = judged([drawdown("-0.3")])
    between = judged([drawdown("-0.25")], on)
    assert (between.state, between.since_ms) == ("adl", on.since_ms)
    assert judged([drawdown("-0.26")]).state == "watch"  # without an ADL before it
    off = judged([drawdown("-0.2499", at_ms=NOW + 1_000)], between, NOW + 1_000)
    assert (off.state, off.since_ms) == ("stopped", NOW + 1_000)
    assert "near ADL" in off.why  # a contract may be near again; that it has stopped stays said
    later = NOW + 1_000 + HALF_HOUR
    assert judged([drawdown("0", at_ms=later)], off, later).state == "calm"


def test_what_cannot_be_read_is_stale_and_is_not_forgotten() -> None:
    on = judged([drawdown("-0.4")])
    at = NOW + 7_001
    blind = judged([drawdown("-0.4"), indicator(1, at_ms=at)], on, at)
    assert (blind.state, blind.on, blind.why) == ("stale", True, "no new drawdown")
    back = judged([drawdown("-0.27", at_ms=at)], blind, at)
    assert back.state == "adl"  # between the limits: it has never been seen to stop
    assert judged([drawdown("-0.4")], on, NOW + 7_000).state == "adl"  # two refreshes and grace


@pytest.mark.parametrize(
    ("read", "state", "why"),
    [
        ([indicator(3)], "calm", ""),
        ([indicator(4)], "watch", "indicator 4 of the long"),
        ([risk(2), indicator(1)], "calm", ""),
        ([risk(3), indicator(5)], "watch", "risk HIGH; indicator 5 of the long"),
        ([warned("normal")], "calm", ""),
        ([warned("warning")], "watch", "the venue warns"),
        ([warned("adl")], "adl", "the venue takeover"),
        ([fill("1")], "adl", "ADL closed 0.5 of the account's long"),
        ([fill("1", at_ms=NOW - 60_000), indicator(2)], "calm", ""),
    ],
)
def test_state_of_what_venues_say(read: Sequence[Reading], state: str, why: str) -> None:
    situation = judged(read)
    assert (situation.state, situation.why) == (state, why)


def test_a_fill_shows_that_adl_is_on_where_the_venue_says_nothing() -> None:
    on = judged([fill("1"), indicator(2)])
    over = judged([fill("1"), indicator(2, at_ms=NOW + 61_000)], on, NOW + 61_000)
    assert (on.state, over.state) == ("adl", "stopped")


def test_the_venues_own_stop_outweighs_a_fill_before_it_and_a_fill_its_silence() -> None:
    """Bybit's balance of a shared pool is a day old: ADL at nothing left shows in fills alone."""
    on = judged([drawdown("-0.3"), fill("1")])
    at = NOW + 2_000
    off = judged([drawdown("-0.2", at_ms=at), fill("1")], on, at)
    assert (on.state, off.state) == ("adl", "stopped")
    later = at + 1_000
    hit = [fill("1"), fill("2", at_ms=later)]
    again = judged([drawdown("-0.2", at_ms=later), *hit], off, later)
    assert (again.state, again.told) == ("adl", False)
    still = judged([drawdown("-0.2", at_ms=later + 1_000), *hit], again, later + 1_000)
    assert still.state == "adl"  # a quiet alert does not take a fill back
    over = later + 60_000
    assert judged([drawdown("-0.2", at_ms=over), *hit], still, over).state == "stopped"


def test_a_slow_number_is_not_stale_before_its_own_cadence() -> None:
    hour = NOW + 3_600_000
    assert judged([risk(1)], None, hour).state == "calm"
    assert judged([risk(1)], None, hour + 5_001).state == "stale"
    ahead = structs.replace(risk(1), of_ms=NOW + 9_000)  # the venue's clock runs ahead of ours
    assert ahead.age_ms(NOW) == 0
