"""Rule sets with another policy, and the distribution of the same ADL under each."""

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
from delever.lab.measures.adl_distribution import AdlDistribution, adl_distributions, gini
from delever.lab.runs.market_paths.path import Shock
from delever.lab.runs.run import RunResult, run
from delever.lab.runs.scenario import read_scenario
from delever.lab.runs.stress_test import compare, variants
from delever.lab.tables.book_reader import read_book, write_book

EXAMPLES = Path(__file__).parents[3] / "examples"


def crash(rules: str) -> RunResult:
    commands: list[Command] = [
        DefinePool(time_ms=0, pool="main", kind=command.kind, asset="USDT", rules=rules)
        if isinstance(command, DefinePool)
        else command
        for command in read_scenario(EXAMPLES / "crash.ndjson")
    ]
    return run(Book(), commands)


def distribution(result: RunResult, contract: str) -> AdlDistribution:
    return adl_distributions(result.events, result.summary.contracts)[contract]


def test_a_rule_set_with_another_policy_differs_in_the_policy_only() -> None:
    bybit, shared = RULE_SETS["bybit"], RULE_SETS["bybit+pro_rata"]
    assert shared.name == "bybit+pro_rata"
    assert shared.policy.name == "pro_rata"
    assert (shared.cases, shared.ranking, shared.rules) == (bybit.cases, bybit.ranking, bybit.rules)
    assert "bybit+pro_rata" not in list(RULE_SETS)


@pytest.mark.parametrize("name", ["bybit+", "bybit+none", "none+queue", "vega+pro_rata", "+queue"])
def test_a_policy_needs_a_name_a_venue_and_a_queue(name: str) -> None:
    assert name not in RULE_SETS
    with pytest.raises(KeyError):
        RULE_SETS[name]
    rejected = crash(name).rejected
    assert str(rejected[0].reason) == "unknown_rule_set"


def test_pro_rata_closes_the_same_share_of_every_position() -> None:
    """50, 30 and 40 short: of 100, the queue takes two whole, pro rata 41 2/3, 25 and 33 1/3."""
    queue, shared = crash("bybit"), crash("bybit+pro_rata")
    assert dict(queue.fills.select("account", "quantity").iter_rows()) == {
        "cyd": Decimal(30), "bob": Decimal(50), "dan": Decimal(20),
    }  # fmt: skip
    parts = dict(shared.fills.select("account", "quantity").iter_rows())
    assert parts == {"bob": Decimal("41.667"), "cyd": Decimal(25), "dan": Decimal("33.333")}
    first, other = (distribution(result, "BTCUSDT") for result in (queue, shared))
    assert (first.ranked, first.largest_share, other.largest_share) == (
        3,
        Decimal(50),
        Decimal("41.667"),
    )
    assert first.gini == gini([30_000, 50_000, 20_000], 3) == Decimal("0.2")
    assert other.gini is not None
    assert other.gini < first.gini
    assert first.haircut_ratio == other.haircut_ratio == Decimal("12.5")  # 50,000 of 400,000


def position(account: str, side: Side, quantity: int, margin: int) -> PositionRow:
    """Return an isolated position entered at 100."""
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
        position("ann", Side.LONG, 10, 100),
        position("bob", Side.SHORT, 10, 200),
        position("cyd", Side.SHORT, 10, 900),
        position("dan", Side.SHORT, 10, 300),
        position("eve", Side.LONG, 20, 2000),
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


def test_the_distribution_of_a_contract_covers_the_queues_of_both_sides() -> None:
    """10 of three shorts are closed first, then 10 of the only long: 2 of 4 positions."""
    result = run(Book(), whipsaw())
    assert not result.rejected
    assert result.fills.select("account", "side", "quantity").rows() == [
        ("bob", "short", Decimal(10)),
        ("eve", "long", Decimal(10)),
    ]
    both = distribution(result, "C")
    assert (both.ranked, both.gini, both.largest_share) == (4, Decimal("0.5"), Decimal(50))


def test_the_haircut_is_against_the_mark_at_the_time_of_the_fill() -> None:
    """Ann is closed at 90 while the mark is 80: bob's haircut is 10 x 10 at any later mark."""
    commands = whipsaw()
    takeover = next(n for n, command in enumerate(commands) if isinstance(command, Takeover))
    before = run(Book(), commands[:takeover]).book
    for last in (takeover + 1, takeover + 2):
        (total,) = run(before, commands[takeover:last]).summary.contracts
        assert (total.realized_pnl, total.haircut) == ("100", "100")


def test_a_cancelled_fill_is_not_in_the_distribution() -> None:
    commands = read_scenario(EXAMPLES / "crash.ndjson")
    pause = PauseAdl(time_ms=3000, contract="BTCUSDT", paused=True, note="halted")
    back = CancelAdl(time_ms=3000, fill=3, note="halted")
    result = run(Book(), [*commands[:-1], pause, back])
    assert not result.rejected
    (total,) = result.summary.contracts
    assert (total.closed, total.accounts, total.haircut) == ("80", 2, "40000")
    remaining = distribution(result, "BTCUSDT")
    assert (remaining.largest_share, remaining.gini) == (Decimal("62.5"), gini([30, 50], 3))


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
def test_the_gini_coefficient_counts_zeros_up_to_the_population(
    values: list[int], population: int, expected: Decimal | None
) -> None:
    assert gini(values, population) == expected


def test_another_policy_keeps_the_limits_of_the_pool(tmp_path: Path) -> None:
    """Policies are compared at the same trigger: 5 % here, 30 % by the rule set."""
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
        pool={"main": "40000"},
    )
    assert compared["rules"].to_list() == ["bybit", "bybit+pro_rata"]
    assert compared["haircut"].to_list() == [Decimal("13882.575")] * 2
    assert compared["accounts"].to_list() == [2, 4]


def test_one_rule_set_and_one_policy_need_no_list() -> None:
    book, shock = read_book(EXAMPLES / "book"), Shock({"BTCUSDT": "-0.15"})
    one = compare(book, shock, rules="bybit", policies="pro_rata")
    assert one.equals(compare(book, shock, rules=["bybit"], policies=["pro_rata"]))
    with pytest.raises(UnknownNameError, match="no rule set 'bybt'; did you mean 'bybit'"):
        compare(book, shock, rules="bybt")


def test_a_comparison_has_a_row_per_policy() -> None:
    names = variants(["bybit", "vega"], ["queue", "pro_rata"])
    assert names == ["bybit", "bybit+pro_rata", "vega"]
    assert variants(["okx"], []) == ["okx"]
    with pytest.raises(UnknownNameError, match="no policy 'pro-rata'"):
        variants(["okx"], ["pro-rata"])
    book = read_book(EXAMPLES / "book")
    shock = Shock({"BTCUSDT": "-0.15"})
    policies = ["queue", "pro_rata"]
    table = compare(book, shock, rules=["bybit", "vega"], policies=policies, pool={"main": "1000"})
    assert table["rules"].unique(maintain_order=True).to_list() == names
    queue, shared, vega = table.filter(table["contract"] == "BTCUSDT").to_dicts()
    assert queue["closed"] == shared["closed"] > 0
    assert queue["ranked"] == shared["ranked"]
    assert queue["gini"] > shared["gini"] >= 0
    assert queue["accounts"] < shared["accounts"]
    assert (vega["ranked"], vega["gini"]) == (None, None)
