"""The real event: first a small invented file, then the real one where somebody has it."""

import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from delever.core.messages import Side
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.studies.hyperliquid_dataset import read
from delever.lab.studies.hyperliquid_replay import WITH_QUEUE, Comparison, build, closed_row, replay
from delever.lab.studies.rank_correlation import Closed, fits, in_step, spearman

NAME = "hyperliquid-2025-10-10/adl_wave1_excerpt.csv"
DATA = Path(os.environ.get("DELEVER_DATA", Path(__file__).parents[3] / "shared" / "data"))
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


def test_spearman_of_the_order_itself_of_its_reverse_and_of_ties() -> None:
    assert spearman([9.0, 5.0, 1.0]) == 1
    assert spearman([1.0, 5.0, 9.0]) == -1
    assert spearman([5.0, 5.0, 1.0]) == pytest.approx(0.8660254)
    assert spearman([5.0, 5.0]) is None
    assert spearman([5.0]) is None


def test_rows_in_step_are_the_longest_that_never_rises() -> None:
    assert in_step([9.0, 1.0, 8.0, 8.0, 3.0]) == 4
    assert in_step([1.0, 2.0, 3.0]) == 1
    assert in_step([]) == 0


def test_a_formula_fits_the_order_that_it_made() -> None:
    queue = [
        Closed(price=1, entry=1 + gain, value=value, profit=gain * value, equity=10, cash=10)
        for gain, value in ((0.9, 30), (0.2, 40), (0.5, 10), (0.1, 20))
    ]
    found = {each.formula: each for each in fits([queue])}
    assert found["(profit / entry value) x (value / equity)"].correlation == 1
    assert found["(profit / entry value) x (value / equity)"].in_step == 1
    assert found["value alone"].correlation < 1
    assert abs(found["chance"].correlation) < 0.2


def test_the_book_holds_what_the_file_says_to_the_last_unit(tmp_path: Path) -> None:
    real = read(small_file(tmp_path))
    book = build(real, "hyperliquid")
    equity = book.assets["USDC"].wallets.equity()
    for account, cash in real.equity_cash.items():
        assert equity[book.accounts.index[account]] == cash
    assert real.equity_cash["a1"] == 3_625_000_000
    assert real.repaired == ("a4",)
    assert real.equity_cash["a4"] == 9_000_000_000
    alpha = book.contracts["ALPHA"]
    assert alpha.definition.tick_size == "0.1"
    assert alpha.definition.lot_size == "0.01"
    assert alpha.tables[Side.LONG].total_lots == 4_950


def test_every_rule_set_closes_the_real_quantity(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = replay(small_file(tmp_path), progress=lambda done, total: told.append((done, total)))
    assert set(found.by_rules["rules"]) == set(WITH_QUEUE)
    exact = found.by_coin.filter(pl.col("rules") != "lighter")  # there zero prices must cross
    assert exact["closed_quantity"].to_list() == exact["real_quantity"].to_list()
    assert set(found.by_coin["real_quantity"]) == {"49.5", "6"}
    assert told[-1] == (2 * len(WITH_QUEUE), 2 * len(WITH_QUEUE))
    assert found.positions == 5
    assert found.accounts == 4


def test_overlap_counts_what_both_closed(tmp_path: Path) -> None:
    found = replay(small_file(tmp_path), ["hyperliquid"])
    beta = found.by_coin.row(by_predicate=pl.col("coin") == "BETA", named=True)
    assert beta["accounts_touched"] == 1  # a4 has the leverage and takes it all
    assert beta["overlap_quantity"] == pytest.approx(1 / 6)
    assert beta["overlap_accounts"] == 0.5
    assert beta["rank_correlation"] == -1


@pytest.mark.parametrize(
    ("row", "column", "why"),
    [
        ("a1 ALPHA 1000 NaN 1 1 -1 12 9 9 bust", "adl_price", "plain decimal"),
        ("a1 ALPHA 1000 1e1 1 1 -1 12 9 9 bust", "adl_price", "plain decimal"),
        ("a1 ALPHA 1000 0 1 1 -1 12 9 9 bust", "adl_price", "short in profit"),
        ("a1 ALPHA 10.5 10 1 1 -1 12 9 9 bust", "time", "short in profit"),
        ("a1 ALPHA 1000 10 2 1 -1 12 9 9 bust", "adl_size", "short in profit"),
        ("a1 ALPHA 1000 10 1 1 1 12 9 9 bust", "adl_size", "short in profit"),
        ("a1 ALPHA 1000 10 1 1 -1 9.9 9 9 bust", "entry_price", "short in profit"),
        ("bust ALPHA 1000 10 1 1 -1 12 9 9 bust", "user", "against itself"),
        ("a9 ALPHA 1000 10 1 1 -1 12 9 9 bust", "adl_price", "one price"),
        ("a1 ALPHA 1000 10.5 1 1 -1 12 9 9 bust", "user", "stands twice"),
        ("a9 BETA 2000 3 1 1 -1 12 9 9 bust", "time", "one instant"),
        ("a9 BETA 1000 3 1 1 -1 12 9 9 other", "liquidated_user", "one bankrupt account"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, column: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as raised:
        read(small_file(tmp_path, ROWS + row))
    assert raised.value.column == column
    assert raised.value.row == 6


def test_a_file_without_a_column_or_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="column is missing"):
        read(small_file(tmp_path, header=HEADER.replace("adl_size", "size")))
    with pytest.raises(InputError, match="has no rows"):
        read(small_file(tmp_path, rows=""))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="is empty"):
        read(tmp_path / "empty.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "absent.csv")


def test_an_unknown_rule_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="hyperliquid"):
        replay(small_file(tmp_path), ["hyperliquit"])


# --- the real file ---


@pytest.fixture(scope="module")
def real_event() -> Comparison:
    if not REAL.exists():
        pytest.skip(f"{REAL} is not there; DELEVER_DATA names the folder that holds {NAME}")
    return replay(REAL)


def test_real_quantities_are_closed_exactly_by_every_rule_set(real_event: Comparison) -> None:
    assert (real_event.positions, real_event.accounts) == (604, 521)
    assert real_event.by_rules["coins_exact"].to_list() == [19] * len(WITH_QUEUE)
    avax = real_event.by_coin.filter(pl.col("coin") == "AVAX")
    assert set(avax["closed_quantity"]) == {"84454.65"}


def test_real_order_is_nearer_to_the_formula_by_side_than_to_the_letter(
    real_event: Comparison,
) -> None:
    rows = real_event.formulas.rows_by_key("formula", named=True, unique=True)
    letter = rows["(mark / entry) x (value / equity): the letter"]
    by_side = rows["(entry / mark) x (value / equity): by side"]
    assert letter["correlation"] == pytest.approx(0.363, abs=0.001)
    assert by_side["correlation"] == pytest.approx(0.429, abs=0.001)
    assert by_side["above_letter"] == 11


def test_real_profits_were_valued_below_the_price_that_closed(real_event: Comparison) -> None:
    marks = real_event.marks
    assert marks["valued_at"].null_count() == 0
    assert marks["below"].min() > 0.19  # type: ignore[operator]
    avax = marks.row(by_predicate=pl.col("coin") == "AVAX", named=True)
    assert (avax["valued_at"], avax["accounts_agreeing"]) == (15.122, 36)


def test_formulas_do_not_hang_on_the_price_of_valuation(real_event: Comparison) -> None:
    marks = dict(real_event.marks.select("coin", "valued_at").iter_rows())
    queues, revalued = [], []
    for queue in read(REAL).queues:
        rows = [closed_row(row, queue) for row in queue.rows]
        gap = 1 - marks[queue.coin] / float(queue.price)
        queues.append(rows)
        revalued.append([replace(row, equity=row.equity - gap * row.value) for row in rows])
    before = {each.formula: each.correlation for each in fits(queues, shuffles=1)}
    for each in fits(revalued, shuffles=1):
        assert each.correlation == pytest.approx(before[each.formula], abs=0.01)
