"""Plans of a book: buckets, sides, lots, reasons; every policy above the proved bound."""

from decimal import Decimal

import polars as pl
import pytest

import delever
from delever import lab
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.policies import LAB_POLICIES

Plan = lab.plan_reduction


def position(
    account: str, contract: str, side: str, quantity: int, **more: object
) -> dict[str, object]:
    row = {"account": account, "contract": contract, "side": side, "quantity": quantity}
    return row | {"entry_price": 100} | more


def book_of(rows: list[dict[str, object]], **cash: int) -> delever.Book:
    """Return a book of linear contracts at a mark of 100, with these wallets."""
    balances = [
        {"account": name, "asset": "USDT", "balance": amount} for name, amount in cash.items()
    ]
    marks = {str(row["contract"]): 100 for row in rows}
    return delever.book_of(rows, marks, balances=balances, contracts="linear")


def shocks(*moves: dict[str, str]) -> list[delever.Shock]:
    return [delever.Shock(move) for move in moves]


def reduced(plan: object) -> dict[str, Decimal]:
    return dict(plan.frame.select("account", "reduced").iter_rows())


UP = shocks({"X": "0.1"}, {"X": "0.2"}, {"X": "0.4"})


def test_the_most_levered_pays_and_the_reason_says_so() -> None:
    """Under +10, +20 and +40 % amy (100 behind 1,000) defaults beyond 10 %, ben (900) never."""
    book = book_of(
        [position("amy", "X", "short", 10), position("ben", "X", "short", 10),
         position("cyd", "X", "long", 20)],
        amy=100, ben=900, cyd=9000,
    )  # fmt: skip
    plan = Plan(book, {("X", "short"): "5"}, scenarios=UP)
    assert reduced(plan) == {"amy": Decimal(5), "ben": Decimal(0)}
    assert plan.expected_loss == pytest.approx((0 + 0 + 100) / 3)  # 5 lots x 40 - 100
    assert plan.gap_in_lots == pytest.approx(0, abs=1e-9)
    reasons = dict(plan.frame.select("account", "reason").iter_rows())
    assert reasons["amy"].startswith("closed in part, where saving and price meet")
    assert reasons["ben"].startswith("gives up nothing: a unit more saves 0.000000")
    assert plan.frame["leverage_before"].to_list() == [10.0, pytest.approx(1.1111)]
    assert plan.frame["leverage_after"].to_list() == [5.0, pytest.approx(1.1111)]


def test_a_hedge_is_left_alone() -> None:
    """Amy's long in Y offsets her short in X, which moves with it: closing X would break it."""
    rows = [
        position("amy", "X", "short", 10), position("amy", "Y", "long", 10),
        position("ben", "X", "short", 10), position("cyd", "X", "long", 20),
        position("cyd", "Y", "short", 10),
    ]  # fmt: skip
    book = book_of(rows, amy=100, ben=200, cyd=9000)
    both = shocks({"X": "0.3", "Y": "0.3"}, {"X": "-0.3", "Y": "-0.3"})
    plan = Plan(book, {("X", "short"): "5"}, scenarios=both)
    assert reduced(plan) == {"amy": Decimal(0), "ben": Decimal(5)}
    queue = Plan(book, {("X", "short"): "5"}, scenarios=both, policy="min_max_leverage")
    assert reduced(queue)["amy"] > 0
    assert queue.expected_loss > plan.expected_loss + 10


def test_longs_and_isolated_positions_are_buckets_of_their_own() -> None:
    rows = [
        position("amy", "X", "long", 10, isolated_margin=50),
        position("amy", "Y", "long", 10),
        position("ben", "X", "long", 10),
        position("cyd", "X", "short", 20),
        position("cyd", "Y", "short", 10),
    ]
    book = book_of(rows, amy=10_000, ben=400, cyd=9000)
    down = shocks({"X": "-0.1"}, {"X": "-0.2"})
    plan = Plan(book, {("X", "long"): "8"}, scenarios=down)
    assert reduced(plan) == {"amy": Decimal(8), "ben": Decimal(0)}
    assert plan.reduction.required.tolist() == [-800.0, 0.0]
    assert sorted(plan.reduction.equity.tolist()) == [50.0, 400.0, 9000.0, 10_000.0]


def test_the_example_book_under_every_policy() -> None:
    """No policy is below the bound, quantities are met, the certificate is true."""
    book = delever.read_book("examples/book")
    need = {("BTCUSDT", "short"): "3", ("ETHUSDT", "long"): "20"}
    crashes = lab.scenarios(book, volatility=3.0, count=40, seed=1)
    plan = Plan(book, need, scenarios=crashes)
    assert lab.check(plan.certificate, plan.reduction).ok
    assert plan.gap_in_lots is not None
    assert plan.gap_in_lots < 1e-3
    for name in {"queue", "pro_rata", "min_max_leverage", *LAB_POLICIES} - {"factor_water_filling"}:
        other = Plan(book, need, scenarios=crashes, policy=name)
        by_contract = other.frame.group_by("contract").agg(pl.col("reduced").sum())
        assert dict(by_contract.iter_rows()) == {"BTCUSDT": Decimal(3), "ETHUSDT": Decimal(20)}
        assert other.expected_loss >= plan.certificate.lower - 1e-6
        assert other.certificate is other.gap_in_lots is None


@pytest.mark.parametrize(
    ("need", "why"),
    [
        ({}, "is empty"),
        ({"X": "1"}, "must be \\(contract, side\\)"),
        ({("X", "short"): "0"}, "X '0': must be above 0"),
        ({("X", "short"): "0.5"}, "X '0.5': must be a multiple of 1, above 0"),
        ({("X", "short"): 1.0}, "X '1.0': must be exact text: write \"1.0\""),
        (
            {("X", "short"): "11"},
            "X '11': is infeasible: the 1 ranked short positions can close 10",
        ),
        ({("X", "short"): "1", ("X", "long"): "1"}, "reduced on both sides"),
        ({("Z", "short"): "1"}, "no contract 'Z'"),
    ],
)
def test_unusable_needs_are_errors(need: dict[object, str], why: str) -> None:
    book = book_of(
        [position("amy", "X", "short", 10), position("cyd", "X", "long", 10)], amy=1, cyd=1
    )
    with pytest.raises((InputError, UnknownNameError), match=why):
        Plan(book, need, scenarios=UP)


def test_contracts_of_two_assets_are_two_plans() -> None:
    book = delever.read_book("examples/book")
    coin = next(s.name for s in book.contracts.values() if not s.terms.linear)
    with pytest.raises(InputError, match="one plan for each asset"):
        Plan(book, {("BTCUSDT", "short"): "1", (coin, "short"): "1"}, scenarios=UP[:0])
    with pytest.raises(InputError, match="at least one scenario"):
        Plan(book, {("BTCUSDT", "short"): "1"}, scenarios=[])


def test_an_inverse_contract_moves_by_its_value() -> None:
    """A rise by 25 % lowers the value of a dollar's worth of coin by 20 %."""
    book = delever.read_book("examples/book")
    coin = next(s for s in book.contracts.values() if not s.terms.linear)
    side = next(side.value for side, table in coin.tables.items() if table.size)
    lot = ContractFormatter.of(book, coin).quantity(1)
    plan = Plan(book, {(coin.name, side): lot}, scenarios=shocks({coin.name: "0.25"}))
    assert plan.reduction.moves.tolist() == [[pytest.approx(0.2)]]
