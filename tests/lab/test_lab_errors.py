"""Wrong inputs of the lab: each is rejected before anything runs, with field, value and remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import delever
from delever import lab
from delever.lab.errors import InputError, UnknownNameError

BOOK = delever.read_book(Path(__file__).parents[2] / "examples" / "book")
FALL = lab.Shock({"BTCUSDT": "-0.3"})
PATH = lab.linear_path({"BTCUSDT": "-0.3"})
SHORT = ("BTCUSDT", "short")
FAR = {"BTCUSDT": "1000000000000000"}
ONE = [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
Plan = lab.plan_reduction

UNKNOWN_NAMES: list[tuple[Callable[[], Any], str]] = [
    (lambda: lab.compare(BOOK, FALL, policies=["pro_rate"]), "policy 'pro_rate'; did you mean 'pr"),
    (lambda: lab.sweep(BOOK, [FALL], policies="water"), "policy 'water'; there is capped_pro_rata"),
    (lambda: lab.allocate(BOOK, *SHORT, "3", policies="quue"), "'quue'; did you mean 'queue'"),
    (lambda: Plan(BOOK, {SHORT: "3"}, scenarios=[FALL], policy="x"), "no policy 'x'; there is "),
    (lambda: lab.my_odds(BOOK, "bob", [FALL], policies=["x"]), "there is no policy 'x'"),
    (lambda: lab.my_odds(BOOK, "bo", [FALL]), "there is no account 'bo'; did you mean 'bob'"),
    (lambda: lab.simulate(BOOK, FALL, rules="bibit"), "no rule set 'bibit'; did you mean 'bybit'"),
    (lambda: lab.simulate(BOOK, lab.Shock({"X": "-0.1"})), "there is no contract 'X'"),
    (lambda: lab.simulate(BOOK, FALL, pool={"mian": 1}), "no pool 'mian'; did you mean 'main'"),
    (lambda: lab.allocate(BOOK, "BTCUSDT", "up", "3"), "no side 'up'; there is long, short"),
    (lambda: lab.simulate(BOOK, FALL).measures("USD"), "no asset 'USD'; did you mean 'USDT'"),
    (lambda: lab.scenarios(BOOK, contracts=["BTC"]), "there is no contract 'BTC'"),
]

INPUTS: list[tuple[Callable[[], Any], str]] = [
    # Quantities that there are not.
    (lambda: lab.allocate(BOOK, *SHORT, "300"), "'300': is infeasible: the 4 ranked positions"),
    (lambda: Plan(BOOK, {SHORT: "300"}, scenarios=[FALL]), "is infeasible: the 4 ranked short"),
    (lambda: lab.allocate(BOOK, *SHORT, "-3"), "quantity '-3': must be above 0"),
    (lambda: lab.allocate(BOOK, *SHORT, "0.0001"), "must be a multiple of 0.001, above 0"),
    (lambda: delever.what_if(BOOK, "BTCUSDT", "bob", close="99"), "at most the position's"),
    # Covariances and models.
    (lambda: lab.scenarios(BOOK, correlation=ONE), "correlation: is singular or not positive"),
    (lambda: lab.scenarios(BOOK, correlation=1.0), "correlation: is singular or not positive"),
    (lambda: lab.scenarios(BOOK, volatility=float("nan")), "'nan': needs a volatility above 0"),
    (lambda: lab.scenarios(BOOK, count=1.5), "count '1.5': must be a whole number, at least 1"),  # type: ignore[arg-type]
    # Beyond 64 bits.
    (lambda: lab.simulate(BOOK, lab.Shock(FAR)), "exceeds numeric range: define the asset with"),
    (lambda: lab.simulate(BOOK, lab.linear_path(FAR, steps=3)), "linear, bids[0].price '"),
    (lambda: lab.sweep(BOOK, [lab.Shock(FAR)]), "exceeds numeric range: define the asset with"),
    (lambda: lab.simulate(BOOK, FALL, pool={"main": "1" + "0" * 30}), "pool main, balance '"),
    # Floats where numbers are exact.
    (lambda: lab.Shock({"X": -0.1}), "X '-0.1': must be exact text: write \"-0.1\""),  # type: ignore[dict-item]
    (lambda: lab.linear_path({"X": -0.1}), "X '-0.1': must be exact text: write \"-0.1\""),  # type: ignore[dict-item]
    (lambda: lab.given_path({"X": [1.5, 2.5]}), "'1.5': must be exact text: write \"1.5\""),  # type: ignore[list-item]
    (lambda: PATH.with_depth([0.5]), 'must be exact text: write "0.5"'),  # type: ignore[list-item]
    (lambda: lab.simulate(BOOK, FALL, pool=1.5), "pool '1.5': must be exact text: write \"1.5\""),  # type: ignore[arg-type]
    (lambda: lab.allocate(BOOK, *SHORT, 1.5), "quantity '1.5': must be exact text: write \"1.5\""),  # type: ignore[arg-type]
    (lambda: lab.allocate(BOOK, *SHORT, "1", price=9.5), "price '9.5': must be exact text:"),  # type: ignore[arg-type]
    (lambda: Plan(BOOK, {SHORT: 1.5}, scenarios=[FALL]), "BTCUSDT '1.5': must be exact text:"),  # type: ignore[dict-item]
    (lambda: delever.what_if(BOOK, "BTCUSDT", "bob", close=1.5), "close '1.5': must be exact text"),  # type: ignore[arg-type]
    (lambda: lab.fund_curve(BOOK, [FALL], [1.5], pool="main"), "funds '1.5': must be exact text:"),
    (lambda: lab.slippage_at_risk(BOOK, stress=0.1), "stress '0.1': must be exact text:"),  # type: ignore[arg-type]
    # Values of another kind.
    (lambda: lab.Shock({"X": "-1"}), "X '-1': leaves no price above 0"),
    (lambda: lab.simulate(BOOK, FAR), "must be a path of the lab, or a shock such as "),  # type: ignore[arg-type]
    (lambda: lab.simulate("examples/book", FALL), "must be a book, such as delever"),  # type: ignore[arg-type]
    (lambda: lab.simulate(BOOK, FALL, pool="1000"), "has pools in BTC and USDT: give each its own"),
    (lambda: lab.sweep(BOOK, [FALL], next_shocks=[FAR]), "next_shocks \"{'BTCUSDT'"),  # type: ignore[list-item]
    (lambda: lab.compare(BOOK, FALL, policies=[5]), "policy '5': has no `allocate(queue,"),  # type: ignore[list-item]
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), UNKNOWN_NAMES)
def test_an_unknown_name_is_an_error_with_the_known_ones(
    call: Callable[[], Any], message: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize(("call", "message"), INPUTS)
def test_an_input_that_cannot_be_used_is_an_error_with_the_remedy(
    call: Callable[[], Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)
