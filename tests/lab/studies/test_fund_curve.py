"""Fund sizes, slippage at risk and the odds of an account, against closed forms and by hand."""

import math
from typing import Any

import numpy as np
import pytest

import delever
from delever import lab
from delever.lab.errors import InputError, UnknownNameError

BOOK = delever.book_of(
    {
        "account": ["ann", "bob", "cyd"], "contract": ["X"] * 3, "side": ["long", "short", "short"],
        "quantity": [10, 4, 6], "entry_price": [100, 100, 105], "leverage": [10, 1, 1],
    },
    {"X": "100.0"}, contracts="linear",
)  # fmt: skip
CALM, CRASH = lab.Shock({"X": "-0.02"}), lab.Shock({"X": "-0.2"})


@pytest.mark.parametrize(("cost", "damage"), [(0.05, 1.0), (0.2, 1.0), (0.01, 3.0)])
def test_the_size_for_exponential_deficits_is_the_closed_form(cost: float, damage: float) -> None:
    """K* = m ln(damage / cost)."""
    u = (np.arange(200_000) + 0.5) / 200_000
    size = lab.newsvendor_size(-700 * np.log(1 - u), cost, damage)
    assert size == pytest.approx(700 * math.log(damage / cost), rel=1e-3)


@pytest.mark.parametrize(("alpha", "cost"), [(1.5, 0.05), (3.0, 0.01)])
def test_the_size_for_pareto_deficits_is_the_closed_form(alpha: float, cost: float) -> None:
    """K* = x_m (damage / cost)^(1 / alpha)."""
    u = (np.arange(200_000) + 0.5) / 200_000
    size = lab.newsvendor_size(40 * (1 - u) ** (-1 / alpha), cost, 2.0)
    assert size == pytest.approx(40 * (2 / cost) ** (1 / alpha), rel=2e-3)


def test_the_size_minimizes_the_cost_it_claims_to() -> None:
    deficits = np.random.default_rng(3).lognormal(5, 1.5, 401)
    best = lab.newsvendor_size(deficits, 0.1, 1.0)

    def cost(size: float) -> float:
        return float(0.1 * size + np.maximum(deficits - size, 0).mean())

    assert all(cost(best) <= cost(float(size)) + 1e-9 for size in deficits)
    assert lab.newsvendor_size(deficits, 1.0, 1.0) == 0


def test_the_curve_of_a_book_that_arithmetic_can_follow() -> None:
    """Half of the scenarios lose 100: a fund of K pays K of it, the queue the rest.

    Each lot brings 10, and the last one takes the fund above 0, where the trigger stops.
    """
    curve = lab.fund_curve(
        BOOK, [CALM, CRASH], [0, 50, 100, 150], rules="binance", capital_cost="0.2"
    )
    rows = curve.frame
    assert rows["adl"].to_list() == [0.5, 0.5, 0.5, 0]
    assert rows["haircut_total"].to_list() == [50, 30, 5, 0]
    assert rows["unfunded"].to_list() == [0] * 4
    assert rows["cost"].to_list() == pytest.approx([50, 40, 25, 30])
    assert (curve.optimum.fund, curve.optimum.cost) == (100, pytest.approx(25))
    assert curve.newsvendor == 100
    assert (curve.newsvendor_low, curve.newsvendor_high) == (0, 100)
    assert (curve.optimum.low, curve.optimum.high) == (0, 100)
    assert (rows["haircut_total_low"][0], rows["haircut_total_high"][0]) == (0, 100)
    dear = lab.fund_curve(BOOK, [CALM, CRASH], [0, 100], rules="binance", capital_cost="0.9")
    assert (dear.optimum.fund, dear.newsvendor) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"funds": []}, InputError, "funds '[]': must be different sizes, ascending"),
        ({"funds": [2, 1]}, InputError, "ascending"),
        ({"funds": "1000"}, InputError, "funds '1000': must be a list of sizes, such as"),
        ({"level": "0.9"}, InputError, "level '0.9': must be a number between 0 and 1"),
        ({"funds": [0.5]}, InputError, "funds '0.5': must be exact text: write \"0.5\""),
        ({"pool": "main"}, UnknownNameError, "there is no pool 'main'"),
        ({"capital_cost": "-1"}, InputError, "capital_cost"),
        ({"scenarios": []}, InputError, "scenarios: is empty"),
    ],
)
def test_invalid_arguments_of_a_curve_are_rejected(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        lab.fund_curve(BOOK, **{"scenarios": [CALM], "funds": [0], **arguments})
    assert message in str(caught.value)
    with pytest.raises(InputError, match="name one of the pools: main, coin"):
        lab.fund_curve(delever.read_book("examples/book"), [CALM], [0])


def test_a_curve_is_in_the_asset_of_its_pool() -> None:
    """The coin pool of the example book: nothing of the main pool's losses is in the curve."""
    book = delever.read_book("examples/book")
    crash = lab.Shock({"BTCUSDT": "-0.3", "BTCUSD": "-0.3"})
    curve = lab.fund_curve(book, [crash], ["0", "100"], pool="coin")
    assert curve.runs["asset"].unique().to_list() == ["BTC"]
    assert curve.frame["haircut_total"][0] < 10 < curve.runs["fund_before"][1]


def test_slippage_at_risk_walks_the_order_book() -> None:
    """10 % of 10 lots is 1: .5 at 1 %, .5 at 2 %, so 1.5 % of 100; Y has no depth: 2.5 % of 50."""
    positions = {
        "account": ["a", "b", "c", "a", "b"], "contract": ["X", "X", "X", "Y", "Y"],
        "side": ["long", "short", "short", "long", "short"],
        "quantity": ["10.0", "4.0", "6.0", "10.0", "10.0"], "entry_price": [100] * 3 + [50] * 2,
        "leverage": [1] * 5,
    }  # fmt: skip
    levels = [("X", "bid", 99, "0.5"), ("X", "bid", 98, "9"), ("X", "ask", 100, "20"),
              ("Y", "bid", 50, "0.1"), ("Y", "ask", 50, "10")]  # fmt: skip
    names = ("contract", "side", "price", "quantity")
    depth = [dict(zip(names, level, strict=True)) for level in levels]
    book = delever.book_of(positions, {"X": "100.0", "Y": "50.0"}, contracts="linear", depth=depth)
    risk = lab.slippage_at_risk(book, alpha=0.5)
    x, y = risk.frame.rows(named=True)
    assert (x["side"], x["open_interest"], x["stressed"]) == ("long", 1000, 100)
    assert (x["slippage"], x["cost"], x["unfilled"], x["hhi"]) == pytest.approx((0.015, 1.5, 0, 1))
    assert (y["slippage"], y["unfilled"]) == pytest.approx((0.9 * 0.025, 0.9))
    assert (risk.sar, risk.esar, risk.tsar) == pytest.approx((0.0225, 0.0225, 0.0225 * 50))
    both = lab.slippage_at_risk(book, alpha=0.1)
    assert (both.sar, both.esar) == pytest.approx((0.015, (0.015 + 0.0225) / 2))
    assert both.tsar == pytest.approx(1.5 + 0.0225 * 50)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1}, "alpha '1': must be a number between 0 and 1"),
        ({"alpha": "0.9"}, "alpha '0.9': must be a number between 0 and 1"),
        ({"stress": "0"}, "stress '0': must be above 0, at most 1"),
        ({"stress": 0.1}, 'write "0.1"'),
        ({"asset": "USDC"}, "has no contract with a mark and an order book"),
    ],
)
def test_invalid_arguments_of_slippage_at_risk_are_rejected(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        lab.slippage_at_risk(BOOK, **arguments)
    assert message in str(caught.value)


def test_the_odds_of_an_account_are_counted_over_scenarios() -> None:
    """Half of the scenarios need 5 lots: all of cyd, or 2 of bob's 4 and 3 of cyd's 6."""
    odds = lab.my_odds(
        BOOK, "cyd", [CALM, CRASH], rules=["binance"], policies=["queue", "pro_rata"], pool=60
    )
    queue, shared = odds.rows(named=True)
    assert (queue["rules"], shared["rules"]) == ("binance", "binance+pro_rata")
    assert (queue["reduced"], shared["reduced"], queue["closed"]) == (0.5, 0.5, 0)
    assert (queue["part"], queue["part_at_risk"]) == pytest.approx((5 / 12, 5 / 6))
    assert (shared["part"], shared["part_at_risk"]) == pytest.approx((1 / 4, 1 / 2))
    assert (queue["haircut"], shared["haircut"]) == (25, 15)
    assert (queue["reduced_low"], queue["reduced_high"]) == (0, 1)
    assert (queue["haircut_low"], queue["haircut_high"]) == (0, 50)
    assert (shared["part_low"], shared["part_high"], shared["part_at_risk_low"]) == (0, 0.5, 0)
    assert (queue["closed_low"], queue["closed_high"]) == (0, 0)


def test_the_odds_of_an_unknown_or_empty_account_are_rejected() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bob'"):
        lab.my_odds(BOOK, "bo", [CALM])
    with pytest.raises(InputError, match="scenarios: is empty"):
        lab.my_odds(BOOK, "bob", [])
    with pytest.raises(InputError, match="rules: is empty"):
        lab.my_odds(BOOK, "bob", [CALM], rules=[])
    closed = lab.simulate(BOOK, CRASH, rules="binance").book
    with pytest.raises(InputError, match="account 'bob': has no position"):
        lab.my_odds(closed, "bob", [CALM])
