"""The whole book of 10 October: files of Reservoir's form made here, rolled forward and divided."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from delever.cli import call
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.studies.hyperliquid.counterfactual import (
    SIDE_POLICIES,
    SideColumns,
    compare_policies,
)
from delever.lab.studies.hyperliquid.reservoir import (
    RolledBook,
    roll_forward,
    scan_fills,
    scan_snapshot,
    usable_fills,
)

START = 1_760_000_000_000

HELD = """
ann BTC -2   200 120 300
ann ETH 10   100  10 300
ben BTC -4   400 130 100
cat BTC  6   600  90 500
dan BTC -1   100 110 -20
eve BTC  0     0   0  50
"""

TRADED = """
ann BTC buy  1 90 5
fay BTC sell 3 95 6
ben ETH sell 2 11 7
cat BTC sell 6 80 8
gus BTC -    1 80 8
cat BTC sell 6 80 99
"""

CLOSED = """
ann BTC buy  1   80 20
ben BTC buy  3   80 20
zed BTC buy  5   80 20
"""


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def snapshot_file(folder: Path, text: str = HELD) -> Path:
    names = ("user", "market", "size", "notional", "entry_price", "account_value")
    columns = dict(zip(names, zip(*table(text), strict=True), strict=True))
    numbers = {name: list(map(float, columns[name])) for name in names[2:]}
    file = folder / "snapshot.parquet"
    pl.DataFrame({name: list(columns[name]) for name in names[:2]} | numbers).write_parquet(file)
    return file


def fills_file(folder: Path, text: str, name: str) -> Path:
    rows = table(text)
    frame = pl.DataFrame(
        {
            "address": [row[0] for row in rows],
            "coin": [row[1] for row in rows],
            "side": [row[2] for row in rows],
            "size": [float(row[3]) for row in rows],
            "price": [float(row[4]) for row in rows],
            "timestamp": [
                datetime.fromtimestamp(START / 1000 + int(row[5]), tz=UTC) for row in rows
            ],
        }
    )
    frame.write_parquet(folder / name)
    return folder / name


def rolled(folder: Path, **knobs: object) -> RolledBook:
    fills = fills_file(folder, TRADED, "fills.parquet")
    until = START + 20_000
    return roll_forward(
        scan_snapshot(snapshot_file(folder)),
        scan_fills(fills),
        START,
        until,
        **knobs,  # type: ignore[arg-type]
    )


def test_a_book_is_rolled_forward_by_fills(tmp_path: Path) -> None:
    """BTC was 100 and is 80; ETH was 10 and is 11. cat closes its position."""
    book = rolled(tmp_path)
    rows = {(r["account"], r["coin"]): r for r in book.positions.to_dicts()}
    assert set(rows) == {
        ("ann", "BTC"),
        ("ann", "ETH"),
        ("ben", "BTC"),
        ("ben", "ETH"),
        ("dan", "BTC"),
    }
    ann = rows["ann", "BTC"]
    assert (ann["size"], ann["mark"], ann["entry"], ann["notional"]) == (-1, 80, 120, 80)
    assert ann["profit"] == 40
    # two BTC short gain 20 each, one bought at 90 loses 10; ten ETH gain 1 each
    assert ann["equity"] == 300 + 2 * 20 - 10 + 10
    ben = rows["ben", "ETH"]
    assert (ben["size"], ben["entry"], ben["equity"]) == (-2, 11, 100 + 4 * 20)
    assert book.skipped == {
        "positions without size, price or account value": 1,
        "fills without price, size, side or time": 1,
        "accounts that the snapshot does not have": 1,
    }


def test_what_no_file_has_is_an_argument(tmp_path: Path) -> None:
    deposits = pl.DataFrame({"account": ["ann", "ann"], "amount": [50, -10]})
    book = rolled(tmp_path, deposits=deposits, funding_rate=0.01)
    equity = dict(book.positions.select("account", "equity").rows())
    assert equity["ann"] == pytest.approx(340 + 40 + 0.01 * (200 - 100))
    assert equity["ben"] == pytest.approx(180 + 0.01 * 400)


def test_a_position_that_grows_or_turns_has_another_entry(tmp_path: Path) -> None:
    fills = fills_file(tmp_path, "ann BTC sell 2 100 1\nben BTC buy 5 90 2", "fills.parquet")
    snapshot = scan_snapshot(snapshot_file(tmp_path))
    book = roll_forward(snapshot, scan_fills(fills), START, START + 9_000)
    entry = {
        r[0]: r[1:]
        for r in book.positions.filter(coin="BTC").select("account", "size", "entry").rows()
    }
    assert (entry["ann"], entry["ben"]) == ((-4, 110), (1, 90))


def test_policies_are_compared_with_what_the_venue_closed(tmp_path: Path) -> None:
    adl = usable_fills(scan_fills(fills_file(tmp_path, CLOSED, "adl.parquet"))).collect()
    study = compare_policies(rolled(tmp_path).positions, adl)
    assert study.unexplained == 1
    rows = {row["policy"]: row for row in study.summary.to_dicts()}
    assert rows["venue"]["notional"] == 4 * 80
    assert (rows["venue"]["touched"], rows["venue"]["overlap"]) == (2, 1)
    everybody = {name: rows[name]["notional"] for name in SIDE_POLICIES}
    assert everybody == pytest.approx(dict.fromkeys(SIDE_POLICIES, 320))
    # ann has 80 of notional and equity 340, ben 320 and 180, dan 80 and no equity
    closed = {r["account"]: r for r in study.positions.filter(coin="BTC").to_dicts()}
    assert (closed["ben"]["queue"], closed["ann"]["queue"]) == (320, 0)
    assert closed["ben"]["pro_rata"] == pytest.approx(256)
    assert [closed["dan"][name] for name in SIDE_POLICIES] == [0] * len(SIDE_POLICIES)
    assert (rows["queue"]["spared"], rows["queue"]["newly_touched"]) == (1, 0)


def test_adl_fills_of_no_position_are_rejected(tmp_path: Path) -> None:
    adl = pl.DataFrame({"account": ["zed"], "coin": ["BTC"], "size": [1.0]})
    book = rolled(tmp_path).positions
    with pytest.raises(InputError, match="no ADL fill reduces a position of the book"):
        compare_policies(book, adl)
    with pytest.raises(UnknownNameError, match="pro_rata"):
        compare_policies(book, adl, ["prorata"])


@pytest.mark.parametrize("name", SIDE_POLICIES)
def test_every_policy_divides_the_quantity_within_positions(name: str) -> None:
    rng = np.random.default_rng(3)
    notional = rng.lognormal(6, 2, 500)
    equity, profit = notional * rng.uniform(0.05, 3, 500), notional * rng.normal(0.2, 0.4, 500)
    side = SideColumns(notional, equity, profit, rng.uniform(0.5, 2, 500))
    for part in (0.0, 0.01, 0.5, 0.99, 1.0):
        taken = SIDE_POLICIES[name](side, part * notional.sum())
        assert taken.sum() == pytest.approx(part * notional.sum(), rel=1e-9, abs=1e-6)
        assert (taken >= -1e-9).all()
        assert (taken <= notional * (1 + 1e-12)).all()


def test_a_file_of_another_form_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "other.parquet"
    pl.DataFrame({"user": ["ann"]}).write_parquet(file)
    with pytest.raises(InputError, match=r"other\.parquet, market: the column is missing"):
        scan_snapshot(file)
    file.write_bytes(b"no parquet")
    with pytest.raises(InputError, match=r"other\.parquet: cannot be read"):
        scan_fills(file)


def test_the_command_writes_a_row_for_each_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "--snapshot": snapshot_file(tmp_path),
        "--fills": fills_file(tmp_path, TRADED, "fills.parquet"),
        "--adl": fills_file(tmp_path, CLOSED, "adl.parquet"),
    }
    options = [text for option, file in files.items() for text in (option, str(file))]
    out = tmp_path / "out.csv"
    command = ["lab", "october", *options, "--snapshot-ms", str(START), "-o", str(out)]
    assert call(command) == 0
    assert pl.read_csv(out)["policy"].to_list() == ["venue", *SIDE_POLICIES]
    assert "unexplained: 1 accounts and coins" in capsys.readouterr().err
