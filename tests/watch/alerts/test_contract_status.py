"""The status of a contract from its observations."""

from collections.abc import Sequence

import pytest
from msgspec import structs
from observation_samples import NOW, drawdown, fill, indicator, risk, warning

from delever.watch.alerts.contract_status import ContractStatus, next_status
from delever.watch.market_data.observations import Observation

HALF_HOUR = 30 * 60_000


def status_of(
    observations: Sequence[Observation], before: ContractStatus | None = None, at_ms: int = NOW
) -> ContractStatus:
    return next_status(before, observations, at_ms, HALF_HOUR)


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
def test_state_follows_ratio_and_balance(line: str) -> None:
    """BYB-01, BYB-04: by the ratio, inclusive, above the threshold; always without a balance."""
    ratio, balance, _, state = line.split()
    assert status_of([drawdown(ratio, balance=balance)]).state == state


def test_adl_stays_active_until_the_venues_own_stop() -> None:
    """BYB-02: above -0.25, not at it."""
    on = status_of([drawdown("-0.3")])
    between = status_of([drawdown("-0.25")], on)
    assert (between.state, between.since_ms) == ("adl", on.since_ms)
    assert status_of([drawdown("-0.26")]).state == "watch"  # without active ADL before
    off = status_of([drawdown("-0.2499", at_ms=NOW + 1_000)], between, NOW + 1_000)
    assert (off.state, off.since_ms) == ("stopped", NOW + 1_000)
    assert "near ADL" in off.reason  # stopped and near ADL again
    later = NOW + 1_000 + HALF_HOUR
    assert status_of([drawdown("0", at_ms=later)], off, later).state == "calm"


def test_active_adl_is_latched_while_its_source_is_stale() -> None:
    on = status_of([drawdown("-0.4")])
    at = NOW + 7_001
    blind = status_of([drawdown("-0.4"), indicator(1, at_ms=at)], on, at)
    assert (blind.state, blind.adl_active, blind.reason) == ("stale", True, "no new drawdown")
    back = status_of([drawdown("-0.27", at_ms=at)], blind, at)
    assert back.state == "adl"  # between the limits: no stop was observed
    assert status_of([drawdown("-0.4")], on, NOW + 7_000).state == "adl"  # two refreshes and grace


@pytest.mark.parametrize(
    ("observations", "state", "reason"),
    [
        ([indicator(3)], "calm", ""),
        ([indicator(4)], "watch", "indicator 4 of the long"),
        ([risk(2), indicator(1)], "calm", ""),
        ([risk(3), indicator(5)], "watch", "risk HIGH; indicator 5 of the long"),
        ([warning("normal")], "calm", ""),
        ([warning("warning")], "watch", "warning of the venue"),
        ([warning("adl")], "adl", "reported by the venue"),
        ([fill("1")], "adl", "ADL closed 0.5 of the account's long"),
        ([fill("1", at_ms=NOW - 60_000), indicator(2)], "calm", ""),
    ],
)
def test_state_and_reason_of_observations(
    observations: Sequence[Observation], state: str, reason: str
) -> None:
    status = status_of(observations)
    assert (status.state, status.reason) == (state, reason)


def test_a_fill_implies_adl_if_the_venue_reports_none() -> None:
    on = status_of([fill("1"), indicator(2)])
    over = status_of([fill("1"), indicator(2, at_ms=NOW + 61_000)], on, NOW + 61_000)
    assert (on.state, over.state) == ("adl", "stopped")
    assert (over.label, over.stop_inferred) == ("no fill", True)
    assert over.reason == "no fill for 60 s; the venue does not report the end of ADL"
    still = status_of([indicator(2, at_ms=NOW + 62_000)], over, NOW + 62_000)
    assert (still.label, still.reason) == (over.label, over.reason)
    reported = status_of([drawdown("-0.3", at_ms=NOW + 63_000)], still, NOW + 63_000)
    end = status_of([drawdown("-0.1", at_ms=NOW + 64_000)], reported, NOW + 64_000)
    assert (end.label, end.stop_inferred, end.reason) == ("stopped", False, "ADL has stopped")


def test_the_venues_stop_overrides_earlier_fills_but_not_later_ones() -> None:
    """Bybit's shared balances are a day old, so ADL of an empty pool shows in fills only."""
    on = status_of([drawdown("-0.3"), fill("1")])
    at = NOW + 2_000
    off = status_of([drawdown("-0.2", at_ms=at), fill("1")], on, at)
    assert (on.state, off.state) == ("adl", "stopped")
    later = at + 1_000
    fills = [fill("1"), fill("2", at_ms=later)]
    again = status_of([drawdown("-0.2", at_ms=later), *fills], off, later)
    assert (again.state, again.venue_reported) == ("adl", False)
    still = status_of([drawdown("-0.2", at_ms=later + 1_000), *fills], again, later + 1_000)
    assert still.state == "adl"  # an alert below the start does not cancel a fill
    over = later + 60_000
    assert status_of([drawdown("-0.2", at_ms=over), *fills], still, over).state == "stopped"


def test_a_value_is_stale_only_after_its_own_refresh_interval() -> None:
    hour = NOW + 3_600_000
    assert status_of([risk(1)], None, hour).state == "calm"
    assert status_of([risk(1)], None, hour + 5_001).state == "stale"
    ahead = structs.replace(
        risk(1), venue_time_ms=NOW + 9_000
    )  # the venue's clock runs ahead of ours
    assert ahead.age_ms(NOW) == 0
