"""The seeded crash, small: it has takeovers, ADL and injections, and each seed gives one crash."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from delever.core.accounting.invariants import audit
from delever.core.messages import AdlFilled, MarksSet
from delever.dashboard.data.lab.crash_runs import run_preset
from delever.demo.crash_generator import draw_crash
from delever.demo.crash_report import CrashReport
from delever.demo.crash_run import run_crash
from delever.demo.synthetic_market import CASH_PER_LOT_TICK, EQUITY, NOTIONAL, PROFIT, quantile
from delever.journal import JournalError, SqliteJournal, replay_events, verify
from delever.journal.record import decode_events

ACCOUNTS, CONTRACTS = 500, 4


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash") / "journal.db"


@pytest.fixture(scope="module")
def report(journal: Path) -> CrashReport:
    return run_crash(accounts=ACCOUNTS, contracts=CONTRACTS, journal=journal)


def test_a_crash_has_takeovers_unwinds_fills_and_injections(report: CrashReport) -> None:
    totals = report.totals
    for name in ("takeovers", "unwinds", "fills", "injections"):
        assert totals[name] > 0, name
    assert totals["contract_drawdown_started"] == totals["contract_drawdown_stopped"] > 0
    assert totals["accounts_liquidated"] > 0
    assert totals["accounts_deleveraged"] > 0
    assert totals["seconds_from_first_liquidation_to_first_fill"] > 0
    assert report.timeline["contracts_in_adl"][-1] == 0
    assert report.timeline["contracts_in_adl"].max() > 0  # type: ignore[operator]


def test_adl_stays_on_between_its_limits_and_stops_after_an_injection(report: CrashReport) -> None:
    drawdowns = report.triggers.filter(report.triggers["trigger"] == "contract_drawdown")
    started = drawdowns.filter(drawdowns["adl"] == "started")
    stopped = drawdowns.filter(drawdowns["adl"] == "stopped")
    assert started["pnl_ratio"].max() <= -0.30  # type: ignore[operator]
    assert stopped["pnl_ratio"].min() > -0.25  # type: ignore[operator]


def test_totals_are_the_sums_of_the_timeline(report: CrashReport) -> None:
    assert report.timeline["fills"].sum() == report.totals["fills"]
    assert report.timeline["takeovers"].sum() == report.totals["takeovers"]
    closed = report.timeline["notional_closed"].sum()
    assert closed == pytest.approx(report.totals["notional_closed_cash"] / 1e8)


def test_the_haircut_is_positive_and_a_small_part_of_the_notional_closed(
    report: CrashReport,
) -> None:
    """Fills at the drawdown limit are near the mark: the haircut is not the notional."""
    haircut, notional = report.totals["haircut_cash"], report.totals["notional_closed_cash"]
    assert 0 < haircut < notional / 100
    affected = sum(account.haircut_cash for account in report.affected)
    assert report.accounts["haircut"].sum() == pytest.approx(affected / 1e8)


def test_pnl_at_the_mark_is_what_was_realized_and_the_haircut(
    report: CrashReport, journal: Path
) -> None:
    """Computed again from the fills and marks of the journal: lots x (mark - entry)."""
    marks: dict[str, int] = {}
    at_mark = 0
    with SqliteJournal(journal, readonly=True) as opened:
        for record in opened.records():
            for event in decode_events(record.events):
                if isinstance(event, MarksSet):
                    marks |= {name: ticks for name, ticks, _ in event.rows()}
                elif isinstance(event, AdlFilled):
                    value = event.side.sign * event.lots * marks[event.contract] * CASH_PER_LOT_TICK
                    at_mark += value - event.cost_cash
    assert report.totals["pnl_at_mark_cash"] == at_mark
    assert report.totals["realized_pnl_cash"] == at_mark - report.totals["haircut_cash"]
    assert dict(zip(report.contracts["contract"], report.contracts["haircut"], strict=True))
    assert report.contracts["haircut"].sum() == pytest.approx(report.totals["haircut_cash"] / 1e8)


def test_the_result_of_a_fund_is_that_of_its_contracts(report: CrashReport) -> None:
    """Balances before and after, against takeovers, unwinding and ADL added up by contract."""
    by_contract = report.contracts.group_by("pool").agg(pl.col("fund_result").sum())
    results = dict(by_contract.iter_rows())
    for pool in report.pools.iter_rows(named=True):
        assert pool["result"] == pytest.approx(results.get(pool["pool"], 0.0), abs=1e-6)
        assert pool["opening"] + pool["injected"] + pool["result"] == pytest.approx(pool["equity"])
    assert report.pools["result"].sum() == pytest.approx(report.totals["fund_result_cash"] / 1e8)
    assert report.totals["fund_result_cash"] < 0


def test_the_report_names_each_amount_apart(report: CrashReport) -> None:
    amounts = {name: amount for name, amount, _ in report.money()}
    assert len({amounts[name] for name in ("notional closed", "PnL at mark", "haircut")}) == 3
    for name in ("notional closed", "haircut", "realized PnL"):
        assert amounts[name] in report.headline()
    assert not any("cash" in name for name, _ in report.counts())


def test_the_most_affected_accounts_are_explained(report: CrashReport) -> None:
    assert len(report.affected) == 5
    for account, text in zip(report.affected, report.explanations(), strict=True):
        place = account.before.queue_position
        assert place.score == pytest.approx(np.prod(list(place.parts.values())))
        assert f"rank {place.rank:,}" in text
        assert account.account in text
    haircuts = report.accounts["haircut"].to_list()
    assert haircuts == sorted(haircuts, reverse=True)


def test_the_journal_of_a_crash_is_verified(report: CrashReport, journal: Path) -> None:
    assert report.verified
    assert report.verification().startswith("journal verified")
    verification = verify(journal)
    assert verification.ok
    assert verification.head == report.head
    with SqliteJournal(journal, readonly=True) as opened:
        audit(replay_events(opened).book)


def test_a_seed_gives_one_crash(report: CrashReport) -> None:
    calls: list[tuple[int, int]] = []
    again = run_crash(
        accounts=ACCOUNTS,
        contracts=CONTRACTS,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert again.head == report.head
    assert again.totals == report.totals
    assert calls[-1][0] == calls[-1][1]
    assert run_crash(seed=11, accounts=ACCOUNTS, contracts=CONTRACTS).head != report.head


def test_a_journal_with_records_and_too_small_a_market_are_rejected(
    report: CrashReport, journal: Path
) -> None:
    assert report.head.sequence > 0
    with pytest.raises(JournalError, match="journal of its own"):
        run_crash(accounts=ACCOUNTS, contracts=CONTRACTS, journal=journal)
    with pytest.raises(ValueError, match="contracts"):
        run_crash(accounts=ACCOUNTS, contracts=3)


def test_the_crash_of_the_lab_page_runs_without_rejections() -> None:
    trial = run_preset("crash", "", "bybit")
    assert trial.rejected == 0
    assert trial.stored.summary.fills > 0


def test_longs_and_shorts_balance_before_the_crash() -> None:
    positions = draw_crash(10, 2_000, 8).positions
    net = np.zeros(8, np.int64)
    np.add.at(net, positions.contract, positions.lots)
    assert not net.any()
    assert (positions.lots != 0).all()


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
