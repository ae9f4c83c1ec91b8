"""Rule sets with another policy, and how the same ADL is then shared out."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from delever.core.book import Book
from delever.core.messages import (
    CancelAdl,
    Command,
    ContractKind,
    DefineAccount,
    DefineContract,
    DefinePool,
    PauseAdl,
    PoolKind,
    PositionRow,
    SetMarks,
    SetPositions,
    Side,
    Takeover,
)
from delever.core.rules import RULE_SETS
from delever.lab.errors import UnknownNameError
from delever.lab.measures.fairness import gini, measures
from delever.lab.runs.run import Result, run
from delever.lab.runs.scenario import read_scenario
from delever.lab.runs.stress_test import Shock, compare, variants
from delever.lab.tables.book_reader import read_book, write_book

EXAMPLES = Path(__file__).parents[2] / "examples"


def crash(rules: str) -> Result:
    commands: list[Command] = [
        DefinePool(time_ms=0, pool="main", kind=each.kind, asset="USDT", rules=rules)
        if isinstance(each, DefinePool)
        else each
        for each in read_scenario(EXAMPLES / "crash.ndjson")
    ]
    return run(Book(), commands)


def test_a_rule_set_with_another_policy_is_the_same_but_for_that() -> None:
    bybit, shared = RULE_SETS["bybit"], RULE_SETS["bybit+pro_rata"]
    assert shared.name == "bybit+pro_rata"
    assert shared.policy.name == "pro_rata"
    assert (shared.cases, shared.ranking, shared.rules) == (bybit.cases, bybit.ranking, bybit.rules)
    assert "bybit+pro_rata" not in list(RULE_SETS)


@pytest.mark.parametrize("name", ["bybit+", "bybit+none", "none+queue", "vega+pro_rata", "+queue"])
def test_there_is_no_policy_without_a_name_a_venue_or_a_queue(name: str) -> None:
    assert name not in RULE_SETS
    with pytest.raises(KeyError):
        RULE_SETS[name]
    rejected = crash(name).rejected
    assert str(rejected[0].reason) == "unknown_rule_set"


def test_pro_rata_takes_the_same_part_of_everybody() -> None:
    """50, 30 and 40 short: of 100, the queue takes two whole, pro rata 41 2/3, 25 and 33 1/3."""
    queue, shared = crash("bybit"), crash("bybit+pro_rata")
    assert dict(queue.fills.select("account", "quantity").iter_rows()) == {
        "cyd": Decimal(30), "bob": Decimal(50), "dan": Decimal(20),
    }  # fmt: skip
    parts = dict(shared.fills.select("account", "quantity").iter_rows())
    assert parts == {"bob": Decimal("41.667"), "cyd": Decimal(25), "dan": Decimal("33.333")}
    told, other = (measures(result)["BTCUSDT"] for result in (queue, shared))
    assert (told.ranked, told.largest, other.largest) == (3, Decimal(50), Decimal("41.667"))
    assert told.gini == gini([30_000, 50_000, 20_000], 3) == Decimal("0.2")
    assert other.gini is not None
    assert other.gini < told.gini
    assert told.haircut == other.haircut == Decimal("12.5")  # 50,000 of 400,000


def held(account: str, side: Side, quantity: int, margin: int) -> PositionRow:
    """A position from 100."""
    return PositionRow(
        account=account, contract="C", side=side, quantity=quantity, entry_price=100,
        isolated_margin=margin,
    )  # fmt: skip


def whipsaw() -> list[Command]:
    """Return a fall that bankrupts ann's long, and a rise that bankrupts dan's short."""
    pool = DefinePool(time_ms=0, pool="main", kind=PoolKind.SHARED, asset="USDT", rules="binance")
    contract = DefineContract(
        time_ms=0, contract="C", kind=ContractKind.LINEAR, settle="USDT", pool="main",
        tick_size="1", lot_size="1",
    )  # fmt: skip
    rows = (
        held("ann", Side.LONG, 10, 100),
        held("bob", Side.SHORT, 10, 200),
        held("cyd", Side.SHORT, 10, 900),
        held("dan", Side.SHORT, 10, 300),
        held("eve", Side.LONG, 20, 2000),
    )
    return [
        pool,
        contract,
        *(DefineAccount(time_ms=0, account=row.account) for row in rows),
        SetMarks(time_ms=0, marks={"C": 100}),
        SetPositions(time_ms=0, version=1, positions=rows),
        SetMarks(time_ms=1, marks={"C": 80}),
        Takeover(time_ms=1, account="ann", contract="C"),
        SetMarks(time_ms=2, marks={"C": 140}),
        Takeover(time_ms=2, account="dan", contract="C"),
    ]


def test_both_sides_of_a_contract_are_measured_over_both_lines() -> None:
    """10 of three shorts are closed first, then 10 of a long that stands alone: 2 of 4 gave."""
    result = run(Book(), whipsaw())
    assert not result.rejected
    assert result.fills.select("account", "side", "quantity").rows() == [
        ("bob", "short", Decimal(10)),
        ("eve", "long", Decimal(10)),
    ]
    told = measures(result)["C"]
    assert (told.ranked, told.gini, told.largest) == (4, Decimal("0.5"), Decimal(50))


def test_what_counterparties_bear_is_told_at_the_mark_of_the_fill() -> None:
    """Ann goes at 90 while the mark is 80: bob bears 10 x 10, whatever the mark does afterwards."""
    commands = whipsaw()
    takeover = next(n for n, told in enumerate(commands) if isinstance(told, Takeover))
    before = run(Book(), commands[:takeover]).book
    for last in (takeover + 1, takeover + 2):
        (total,) = run(before, commands[takeover:last]).summary.contracts
        assert (total.realized, total.borne) == ("100", "100")


def test_a_fill_taken_back_was_given_up_by_nobody() -> None:
    commands = read_scenario(EXAMPLES / "crash.ndjson")
    pause = PauseAdl(time_ms=3000, contract="BTCUSDT", paused=True, note="halted")
    back = CancelAdl(time_ms=3000, fill=3, note="halted")
    told = run(Book(), [*commands[:-1], pause, back])
    assert not told.rejected
    (total,) = told.summary.contracts
    assert (total.closed, total.accounts, total.borne) == ("80", 2, "40000")
    measured = measures(told)["BTCUSDT"]
    assert (measured.largest, measured.gini) == (Decimal("62.5"), gini([30, 50], 3))


@pytest.mark.parametrize(
    ("values", "population", "expected"),
    [
        ([], 5, None),
        ([0, 0], 2, None),
        ([7, 7, 7], 3, Decimal(0)),
        ([5], 1, Decimal(0)),
        ([5], 100, Decimal("0.99")),
        ([1, 3], 2, Decimal("0.25")),
    ],
)
def test_gini(values: list[int], population: int, expected: Decimal | None) -> None:
    assert gini(values, population) == expected


def test_another_policy_keeps_the_limits_that_a_pool_was_given(tmp_path: Path) -> None:
    """Else policies would be compared at different triggers: 5 % here, 30 % by the rule set."""
    write_book(read_book(EXAMPLES / "book"), tmp_path)
    pools = pl.read_csv(tmp_path / "pools.csv", infer_schema=False)
    limits = {"limits.start": "0.05", "limits.stop": "0.04"}
    main = pl.when(pl.col("pool") == "main")
    pools.with_columns(
        main.then(pl.lit(limit)).alias(name) for name, limit in limits.items()
    ).write_csv(tmp_path / "pools.csv")
    compared = compare(
        read_book(tmp_path),
        Shock({"BTCUSDT": "-0.15"}),
        rules=["bybit"],
        policies=["queue", "pro_rata"],
        pool="40000",
    )
    assert compared["rules"].to_list() == ["bybit", "bybit+pro_rata"]
    assert compared["borne"].to_list() == [Decimal("13882.575")] * 2
    assert compared["accounts"].to_list() == [2, 4]


def test_one_rule_set_and_one_policy_are_told_as_they_are() -> None:
    book, shock = read_book(EXAMPLES / "book"), Shock({"BTCUSDT": "-0.15"})
    one = compare(book, shock, rules="bybit", policies="pro_rata")
    assert one.equals(compare(book, shock, rules=["bybit"], policies=["pro_rata"]))
    with pytest.raises(UnknownNameError, match="no rule set 'bybt'; did you mean 'bybit'"):
        compare(book, shock, rules="bybt")


def test_a_comparison_tries_each_policy() -> None:
    names = variants(["bybit", "vega"], ["queue", "pro_rata"])
    assert names == ["bybit", "bybit+pro_rata", "vega"]
    assert variants(["okx"], []) == ["okx"]
    with pytest.raises(UnknownNameError, match="no policy 'pro-rata'"):
        variants(["okx"], ["pro-rata"])
    book = read_book(EXAMPLES / "book")
    shock = Shock({"BTCUSDT": "-0.15"})
    policies = ["queue", "pro_rata"]
    told = compare(book, shock, rules=["bybit", "vega"], policies=policies, pool="1000")
    assert told["rules"].unique(maintain_order=True).to_list() == names
    queue, shared, vega = told.filter(told["contract"] == "BTCUSDT").to_dicts()
    assert queue["closed"] == shared["closed"] > 0
    assert queue["ranked"] == shared["ranked"]
    assert queue["gini"] > shared["gini"] >= 0
    assert queue["accounts"] < shared["accounts"]
    assert (vega["ranked"], vega["gini"]) == (None, None)
