"""The seeded crash, small: it holds every ingredient, and a seed gives one crash and no other."""

from pathlib import Path

import numpy as np
import pytest

from delever.core.accounting.invariants import audit
from delever.demo.simulation import draw, play
from delever.demo.summary import Outcome
from delever.demo.synthetic_market import EQUITY, NOTIONAL, PROFIT, quantile
from delever.journal import JournalError, SqliteJournal, replay_events, verify

ACCOUNTS, CONTRACTS = 500, 4


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash") / "journal.db"


@pytest.fixture(scope="module")
def outcome(journal: Path) -> Outcome:
    return play(accounts=ACCOUNTS, contracts=CONTRACTS, journal=journal)


def test_it_holds_every_ingredient(outcome: Outcome) -> None:
    totals = outcome.totals
    for what in ("takeovers", "unwound", "fills", "injections"):
        assert totals[what] > 0, what
    assert totals["contract_drawdown_started"] == totals["contract_drawdown_stopped"] > 0
    assert totals["accounts_liquidated"] > 0
    assert totals["accounts_deleveraged"] > 0
    assert totals["seconds_from_first_liquidation_to_first_fill"] > 0
    assert outcome.timeline["contracts_in_adl"][-1] == 0
    assert outcome.timeline["contracts_in_adl"].max() > 0  # type: ignore[operator]


def test_adl_stays_on_between_its_limits_and_stops_when_paid_down(outcome: Outcome) -> None:
    drawdowns = outcome.triggers.filter(outcome.triggers["trigger"] == "contract_drawdown")
    started = drawdowns.filter(drawdowns["adl"] == "started")
    stopped = drawdowns.filter(drawdowns["adl"] == "stopped")
    assert started["pnl_ratio"].max() <= -0.30  # type: ignore[operator]
    assert stopped["pnl_ratio"].min() > -0.25  # type: ignore[operator]


def test_totals_are_the_sums_of_the_time_line(outcome: Outcome) -> None:
    assert outcome.timeline["fills"].sum() == outcome.totals["fills"]
    assert outcome.timeline["takeovers"].sum() == outcome.totals["takeovers"]
    deleveraged = outcome.timeline["deleveraged"].sum()
    assert deleveraged == pytest.approx(outcome.totals["fills_value_cash"] / 1e8)


def test_the_most_affected_are_explained(outcome: Outcome) -> None:
    assert len(outcome.affected) == 5
    for each, text in zip(outcome.affected, outcome.reasons(), strict=True):
        assert each.before.queue_position.score == pytest.approx(
            np.prod(list(each.before.queue_position.parts.values()))
        )
        assert f"rank {each.before.queue_position.rank:,}" in text
        assert each.account in text
    given = outcome.accounts["value"].to_list()
    assert given == sorted(given, reverse=True)


def test_its_journal_proves_it(outcome: Outcome, journal: Path) -> None:
    assert outcome.verified
    assert outcome.verdict().startswith("journal verified")
    verdict = verify(journal)
    assert verdict.ok
    assert verdict.records == outcome.records
    with SqliteJournal(journal, readonly=True) as kept:
        audit(replay_events(kept).book)


def test_one_seed_gives_one_crash(outcome: Outcome) -> None:
    told: list[tuple[int, int]] = []
    again = play(
        accounts=ACCOUNTS,
        contracts=CONTRACTS,
        progress=lambda done, total: told.append((done, total)),
    )
    assert again.head == outcome.head
    assert again.totals == outcome.totals
    assert told[-1][0] == told[-1][1]
    assert play(seed=11, accounts=ACCOUNTS, contracts=CONTRACTS).head != outcome.head


def test_a_journal_in_use_and_a_market_too_small_are_refused(
    outcome: Outcome, journal: Path
) -> None:
    assert outcome.records > 0
    with pytest.raises(JournalError, match="journal of its own"):
        play(accounts=ACCOUNTS, contracts=CONTRACTS, journal=journal)
    with pytest.raises(ValueError, match="contracts"):
        play(accounts=ACCOUNTS, contracts=3)


def test_longs_and_shorts_balance_before_the_crash() -> None:
    held = draw(10, 2_000, 8).held
    net = np.zeros(8, np.int64)
    np.add.at(net, held.contract, held.lots)
    assert not net.any()
    assert (held.lots != 0).all()


@pytest.mark.parametrize(
    ("mixture", "chance", "expected"),
    [
        (NOTIONAL, 0.5, 443),
        (NOTIONAL, 0.95, 54_000),
        (EQUITY, 0.5, 827),
        (EQUITY, 0.95, 100_000),
        (PROFIT, 0.5, 0.473),
    ],
)
def test_fitted_marginals_have_the_measured_quantiles(
    mixture: tuple[tuple[float, float, float], ...], chance: float, expected: float
) -> None:
    normal = np.array([{0.5: 0.0, 0.95: 1.6448536}[chance]])
    assert quantile(mixture, normal)[0] == pytest.approx(expected, rel=0.15)
