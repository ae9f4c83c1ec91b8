"""The study of Hyperliquid's ADL: a small invented file, then the real one if it is present."""

import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from delever.cli import ExitCode, call
from delever.core.messages import Side
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.studies.hyperliquid.dataset import read_recorded_adl
from delever.lab.studies.hyperliquid.rank_correlation import (
    ClosedPosition,
    fit_formulas,
    longest_nonincreasing_subsequence,
    spearman,
)
from delever.lab.studies.hyperliquid.replay import (
    QUEUE_RULE_SETS,
    HyperliquidStudy,
    build,
    closed_position,
    replay,
)

NAME = "hyperliquid-2025-10-10/adl_wave1_excerpt.csv"
DATA = Path(os.environ.get("DELEVER_DATA", Path(__file__).parents[4] / "shared" / "data"))
REAL = DATA / NAME

HEADER = (
    "user,coin,time,adl_price,adl_size,closed_pnl,position_size,entry_price,"
    "account_value_realtime,total_unrealized_pnl,liquidated_user"
)
ROWS = """
a1 ALPHA 1000 10.5 2.5  1 -2.5  21      10    26.25 bust
a2 ALPHA 1000 10.5 40.0 1 -40.0 12.1    500   64    bust
a3 ALPHA 1000 10.5 7.0  1 -9.25 11.3337 1000  7.4   bust
a2 BETA  1000 3    5    1 -5    3.5     500.1 64    bust
a4 BETA  1000 3    1    1 -100  4       90    -95.5 bust
"""


def small_file(folder: Path, rows: str = ROWS, header: str = HEADER) -> Path:
    path = folder / "event.csv"
    lines = [",".join(row.split()) for row in rows.strip().splitlines()]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_spearman_is_1_for_the_same_order_and_minus_1_for_the_reverse() -> None:
    assert spearman([9.0, 5.0, 1.0]) == 1
    assert spearman([1.0, 5.0, 9.0]) == -1
    assert spearman([5.0, 5.0, 1.0]) == pytest.approx(0.8660254)
    assert spearman([5.0, 5.0]) is None
    assert spearman([5.0]) is None


def test_the_longest_nonincreasing_subsequence() -> None:
    assert longest_nonincreasing_subsequence([9.0, 1.0, 8.0, 8.0, 3.0]) == 4
    assert longest_nonincreasing_subsequence([1.0, 2.0, 3.0]) == 1
    assert longest_nonincreasing_subsequence([]) == 0


def test_a_formula_fits_the_order_of_its_own_scores() -> None:
    queue = [
        ClosedPosition(
            price=1,
            entry=1 + gain,
            notional=notional,
            unrealized_pnl=gain * notional,
            equity=10,
            cash=10,
            side=Side.SHORT,
        )
        for gain, notional in ((0.9, 30), (0.2, 40), (0.5, 10), (0.1, 20))
    ]
    fits = {fit.formula: fit for fit in fit_formulas([queue])}
    assert fits["(PnL / entry notional) x (notional / equity)"].correlation == 1
    assert fits["(PnL / entry notional) x (notional / equity)"].ordered_share == 1
    assert fits["notional alone"].correlation < 1
    assert abs(fits["chance"].correlation) < 0.2


def test_the_book_has_the_equity_of_the_file_to_the_last_unit(tmp_path: Path) -> None:
    (recorded,) = read_recorded_adl(small_file(tmp_path)).instants
    book = build(recorded, "hyperliquid")
    equity = book.assets["USDC"].wallets.equity()
    for account, cash in recorded.equity_cash.items():
        assert equity[book.accounts.index[account]] == cash
    assert recorded.equity_cash["a1"] == 3_625_000_000
    assert recorded.repaired == ("a4",)
    assert recorded.equity_cash["a4"] == 9_000_000_000
    alpha = book.contracts["ALPHA"]
    assert alpha.definition.tick_size == "0.1"
    assert alpha.definition.lot_size == "0.01"
    assert alpha.tables[Side.LONG].total_lots == 4_950


def test_every_rule_set_closes_the_real_quantity(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    study = replay(small_file(tmp_path), progress=lambda done, total: calls.append((done, total)))
    assert set(study.by_rules["rules"]) == set(QUEUE_RULE_SETS)
    exact = study.by_coin.filter(pl.col("rules") != "lighter")  # there zero prices must cross
    assert exact["closed_quantity"].to_list() == exact["real_quantity"].to_list()
    assert set(study.by_coin["real_quantity"]) == {"49.5", "6"}
    assert calls[-1] == (2 * len(QUEUE_RULE_SETS), 2 * len(QUEUE_RULE_SETS))
    assert study.positions == 5
    assert study.accounts == 4


def test_overlap_counts_the_quantity_that_both_closed(tmp_path: Path) -> None:
    study = replay(small_file(tmp_path), ["hyperliquid"])
    beta = study.by_coin.row(by_predicate=pl.col("coin") == "BETA", named=True)
    assert beta["accounts_closed"] == 1  # a4 has the leverage and takes it all
    assert beta["overlap_quantity"] == pytest.approx(1 / 6)
    assert beta["overlap_accounts"] == 0.5
    assert beta["rank_correlation"] == -1


UNREADABLE, OUT_OF_RANGE = "not a plain decimal", "is out of range"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a9 ALPHA 1000 NaN 1 1 -1 12 9 9 bust", UNREADABLE),
        ("a9 ALPHA 1000 1e1 1 1 -1 12 9 9 bust", UNREADABLE),
        ("a9 ALPHA 1000 0 1 1 -1 12 9 9 bust", OUT_OF_RANGE),
        ("a9 ALPHA 10.5 10 1 1 -1 12 9 9 bust", OUT_OF_RANGE),
        ("a9 ALPHA 1000 10 1 1 -1 0 9 9 bust", OUT_OF_RANGE),
        ("a9 ALPHA 1000 10.5 2 1 -1 12 9 9 bust", "at most its size"),
        ("a9 ALPHA 1000 10.5 0 1 1 12 9 9 bust", "at most its size"),
        ("bust ALPHA 1000 10.5 1 1 -1 12 9 9 bust", "counterparty of itself"),
        ("a9 ALPHA 1000 10 1 1 -1 12 9 9 bust", "another side or price"),
        ("a9 ALPHA 1000 10.5 1 1 1 9 9 9 bust", "another side or price"),
        ("a1 ALPHA 1000 10.5 1 1 -1 12 9 9 bust", "in the queue twice"),
    ],
)
def test_a_row_that_cannot_be_replayed_is_counted_and_skipped(
    tmp_path: Path, row: str, reason: str
) -> None:
    whole = read_recorded_adl(small_file(tmp_path))
    recorded = read_recorded_adl(small_file(tmp_path, ROWS + row))
    ((found, rows),) = recorded.skipped.items()
    assert reason in found
    assert rows == 1
    assert (recorded.instants, whole.skipped) == (whole.instants, {})


LATER = """
a1 ALPHA 1000 10.5 2.5  1 -2.5  21      10    26.25 other
b1 ALPHA 2000 8    5    1 10    6       500   20    bust
b2 ALPHA 2000 8    1    1 3     9       500   -3    bust
"""


def test_each_instant_and_each_bankrupt_account_has_a_queue_of_its_own(tmp_path: Path) -> None:
    """D12: longs against a short, and a loser, which only some rule sets rank."""
    study = replay(small_file(tmp_path, ROWS + LATER), ["bybit", "hyperliquid"])
    assert (study.positions, study.accounts, study.instants) == (8, 6, 2)
    columns = ("rules", "time_ms", "side", "positions", "unexplained", "real_quantity")
    alpha = study.by_coin.filter(pl.col("coin") == "ALPHA").select(columns).rows()
    assert alpha == [
        ("bybit", 1000, "short", 3, 0, "49.5"),
        ("bybit", 1000, "short", 1, 0, "2.5"),
        ("bybit", 2000, "long", 2, 0, "6"),
        ("hyperliquid", 1000, "short", 3, 0, "49.5"),
        ("hyperliquid", 1000, "short", 1, 0, "2.5"),
        ("hyperliquid", 2000, "long", 1, 1, "5"),
    ]
    assert study.by_coin["closed_quantity"].to_list() == study.by_coin["real_quantity"].to_list()
    assert study.by_rules["unexplained"].to_list() == [0, 1]


def test_a_book_beyond_the_numeric_range_explains_nothing(tmp_path: Path) -> None:
    huge = "a1 ALPHA 2000 99999999999 99999999999 1 -99999999999 999999999999 10 26.25 bust"
    study = replay(small_file(tmp_path, ROWS + huge), ["hyperliquid"])
    assert study.by_coin["unexplained"].to_list() == [0, 0, 1]
    assert study.by_rules["positions"].to_list() == [5]


def test_a_mark_is_known_of_a_late_queue_alone(tmp_path: Path) -> None:
    row = "b{0} ALPHA {1} 8 1 1 1 6 500 2 bust"
    lone = [row.format(1, time) for time in range(1000, 1120)]
    rows = "\n".join([*lone, row.format(1, 2000), row.format(2, 2000)])
    marks = replay(small_file(tmp_path, rows), ["hyperliquid"]).marks["valued_at"]
    assert (marks.null_count(), marks[-1]) == (120, 8)


def test_a_price_of_one_unit_has_a_tick_on_either_side(tmp_path: Path) -> None:
    study = replay(small_file(tmp_path, "a1 ALPHA 1000 1 5 1 10 0.5 500 5 bust"), ["hyperliquid"])
    assert study.by_coin["closed_quantity"].to_list() == ["5"]


def test_a_file_without_a_column_or_rows_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column is missing"):
        read_recorded_adl(small_file(tmp_path, header=HEADER.replace("adl_size", "size")))
    with pytest.raises(InputError, match="has no rows"):
        read_recorded_adl(small_file(tmp_path, rows=""))
    with pytest.raises(InputError, match="no row that can be replayed: not closed by at most"):
        read_recorded_adl(small_file(tmp_path, rows="a1 ALPHA 1000 10 2 1 -1 12 9 9 bust"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="is empty"):
        read_recorded_adl(tmp_path / "empty.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_recorded_adl(tmp_path / "absent.csv")


def test_an_unknown_rule_set_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="hyperliquid"):
        replay(small_file(tmp_path), ["hyperliquit"])


# --- the real file ---


REPORTED = {
    "by_coin": "2 coins: what Hyperliquid closed, and what 1 rule set would have closed.",
    "by_rules": "What Hyperliquid closed, and what 1 rule set would have closed.",
    "formulas": "formulas of the ranking, against what Hyperliquid closed.",
    "marks": "The marks that 2 queues of Hyperliquid imply.",
}


def test_a_report_is_made_of_each_table_of_the_replay(tmp_path: Path) -> None:
    study = replay(small_file(tmp_path), ["hyperliquid"])
    for name, sentence in REPORTED.items():
        file, page = tmp_path / f"{name}.parquet", tmp_path / f"{name}.html"
        getattr(study, name).write_parquet(file)
        assert call(["report", str(file), "-o", str(page)]) == ExitCode.SUCCESS
        assert sentence in page.read_text()


@pytest.fixture(scope="module")
def real_event() -> HyperliquidStudy:
    if not REAL.exists():
        pytest.skip(f"{REAL} does not exist; DELEVER_DATA names the folder of {NAME}")
    return replay(REAL)


def test_real_quantities_are_closed_exactly_by_every_rule_set(real_event: HyperliquidStudy) -> None:
    assert (real_event.positions, real_event.accounts) == (604, 521)
    assert real_event.by_rules["coins_exact"].to_list() == [19] * len(QUEUE_RULE_SETS)
    avax = real_event.by_coin.filter(pl.col("coin") == "AVAX")
    assert set(avax["closed_quantity"]) == {"84454.65"}


def test_the_real_order_is_nearer_to_the_formula_by_side_than_to_the_published_one(
    real_event: HyperliquidStudy,
) -> None:
    rows = real_event.formulas.rows_by_key("formula", named=True, unique=True)
    published = rows["(mark / entry) x (notional / equity): as published"]
    by_side = rows["(entry / mark) x (notional / equity): by side"]
    assert published["correlation"] == pytest.approx(0.363, abs=0.001)
    assert by_side["correlation"] == pytest.approx(0.429, abs=0.001)
    assert by_side["above_published"] == 11


def test_the_file_values_positions_below_the_adl_price(real_event: HyperliquidStudy) -> None:
    marks = real_event.marks
    assert marks["valued_at"].null_count() == 0
    assert marks["below"].min() > 0.19  # type: ignore[operator]
    avax = marks.row(by_predicate=pl.col("coin") == "AVAX", named=True)
    assert (avax["valued_at"], avax["accounts_agreeing"]) == (15.122, 36)


def test_formula_fits_do_not_depend_on_the_price_of_valuation(real_event: HyperliquidStudy) -> None:
    marks = dict(real_event.marks.select("coin", "valued_at").iter_rows())
    queues, revalued = [], []
    for queue in read_recorded_adl(REAL).queues:
        rows = [closed_position(fill, queue) for fill in queue.fills]
        gap = 1 - marks[queue.coin] / float(queue.price)
        queues.append(rows)
        revalued.append([replace(row, equity=row.equity - gap * row.notional) for row in rows])
    before = {fit.formula: fit.correlation for fit in fit_formulas(queues, shuffles=1)}
    for fit in fit_formulas(revalued, shuffles=1):
        assert fit.correlation == pytest.approx(before[fit.formula], abs=0.01)
