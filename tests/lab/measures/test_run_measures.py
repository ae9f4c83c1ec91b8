"""Measures, each computed by hand: on vectors of the papers, and on runs small enough to follow."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

import delever
from delever import lab
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.measures.account_outcomes import _average
from delever.lab.measures.run_measures import (
    MEASURES,
    AccountVectors,
    hedge_breakage,
    lorenz,
    measure,
    order_inversions,
    overshoot_signed,
    residual,
)
from delever.lab.measures.tail_risk import cvar, losses_after

ZERO = np.zeros(5)


def vectors(haircut: list[float], **others: Any) -> AccountVectors:
    """P1's five accounts: w = (8, 4, .5, 0, 0), D = 15, Delta = 12, B = 7.5."""
    return AccountVectors(
        **{
            "endowment": np.array([8, 4, 0.5, 0, 0]),
            "haircut": np.array(haircut),
            "closed_notional": np.array(haircut),
            "positions_touched": (np.array(haircut) > 0) * 1.0,
            "positions_closed": ZERO,
            "gross_before": np.array([20.0, 10, 2, 6, 24]),
            "gross_after": np.array([10.0, 10, 2, 6, 24]),
            "net_before": ZERO,
            "net_after": ZERO,
            "equity_before": np.array([10.0, 5, 1, -3, -12]),
            "equity_after": np.array([10.0, 5, 1, -3, -12]) - haircut,
            "markout": np.array(haircut),
            "deficit": 15.0,
            "largest_deficit": 12.0,
            "budget": 7.5,
            **others,
        }
    )


PRO_RATA = [4.8, 2.4, 0.3, 0, 0]
QUEUE = [3.5, 4.0, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "pro_rata", "queue"),
    [
        ("haircut_total", 7.5, 7.5),
        ("haircut_ratio", 0.6, 0.6),
        ("max_haircut_ratio", 0.6, 1.0),
        ("overshoot_signed", 0, 0),
        ("severity", 0.5, 0.5),
        ("participation", 1.0, 2 / 3),
        ("full_close_share", 0, 0),
        ("gini_of_haircuts", (-2 * 0.3 + 2 * 4.8) / (3 * 7.5), (2 * 4.0) / (3 * 7.5)),
        ("ptsr", 3.2 / 7.5, 4.5 / 7.5),
        ("rd_ptsr", 3.2 / 7.5, 4.5 / 7.5),
        ("pmr", 3.2 / 6, 4.5 / 6),
        ("rd_nse", 3.2 / 10.7, 4.5 / 12),
        ("regret_tracking", 0, 0),
        ("regret_fairness", 0, 7.5 * 0.4),
        ("order_inversions", 0, 0.5),  # survivors .5, 0, 4.5
        ("leverage_before", 32 / 16, 30 / 15),
        ("leverage_after", 22 / 8.5, 20 / 7.5),
        ("max_leverage_after", 10 / 2.6, 10.0),
        ("top_tenth_share", 0.3 * 4.8 / 7.5, 0.3 * 4 / 7.5),
        ("markout_total", -7.5, -7.5),
    ],
)
def test_a_measure_of_the_worked_accounts(name: str, pro_rata: float, queue: float) -> None:
    """P1: queue x = (3.5, 4, 0), pro-rata x = (4.8, 2.4, .3)."""
    assert MEASURES[name](vectors(PRO_RATA)) == pytest.approx(pro_rata, abs=1e-12)
    assert MEASURES[name](vectors(QUEUE)) == pytest.approx(queue, abs=1e-12)


def test_every_measure_has_its_formula_and_survives_a_run_without_adl() -> None:
    nothing = vectors([0.0] * 5, budget=0.0, deficit=0.0)
    assert list(measure(nothing)) == list(MEASURES)
    assert measure(nothing)["haircut_ratio"] == 0
    assert measure(replace(nothing, endowment=ZERO))["max_haircut_ratio"] is None
    for name, function in MEASURES.items():
        assert "Return" in (function.__doc__ or ""), name


def test_overshoot_is_above_need_and_residual_below() -> None:
    assert overshoot_signed(vectors(PRO_RATA, budget=5.0)) == pytest.approx(2.5)
    assert residual(vectors(PRO_RATA, budget=10.0)) == pytest.approx(2.5)


def test_a_hedge_is_broken_by_the_net_that_grows() -> None:
    """Account 0: net 1 of gross 20 is hedged, then -6; account 1: net 9 of 10 is no hedge."""
    net = {"net_before": np.array([1.0, 9, 2, 6, 24]), "net_after": np.array([-6.0, 1, 2, 6, 24])}
    assert hedge_breakage(vectors(PRO_RATA, **net)) == (6 - 1) / 20
    assert hedge_breakage(vectors(PRO_RATA, net_before=net["net_before"] + 10)) is None


def test_the_lorenz_curve_of_nothing_is_undefined() -> None:
    assert lorenz(np.zeros(3)) is None
    assert order_inversions(vectors([0.0] * 5, endowment=ZERO)) == 0


BOOK = delever.book_of(
    {
        "account": ["ann", "bob", "cyd"], "contract": ["X"] * 3, "side": ["long", "short", "short"],
        "quantity": [10, 4, 6], "entry_price": [100, 100, 105], "leverage": [10, 1, 1],
    },
    {"X": 100}, contracts="linear",
)  # fmt: skip


def test_a_run_gives_the_vectors_that_arithmetic_gives() -> None:
    """ann is bankrupt at 90; at 80 the fund of 0 lacks 100, which 10 lots at 90 bring.

    bob has a PnL of 80 and pays 40, cyd of 150 and pays 60; then the mark falls to 70.
    """
    path = lab.given_path({"X": [100, 80, 70]})
    result = lab.simulate(BOOK, path, rules="binance")
    measures = result.measures()
    expected = {
        "haircut_total": 100, "haircut_ratio": 100 / 230, "max_haircut_ratio": 0.5,
        "overshoot_signed": 0, "severity": 1, "participation": 1, "full_close_share": 1,
        "gini_of_haircuts": 0.1, "ptsr": 0.9, "pmr": 0.9, "rd_ptsr": None, "rd_nse": 1,
        "regret_fairness": 100 * (0.5 - 100 / 230), "leverage_after": 0,
        "markout_immediate": -100, "markout_opportunity": -100, "markout_total": -200,
        "leverage_before": 700 / (400 + 120 + 630 + 210),
    }  # fmt: skip
    for name, value in expected.items():
        assert measures[name] == (None if value is None else pytest.approx(value)), name
    rows = result.accounts.sort("account").rows(named=True)
    assert rows[0] == {
        "account": "bob", "contract": "X", "side": "short", "position": 0, "quantity": 4,
        "notional_closed": 320, "mark": 80, "price": 90, "entry_price": 100, "haircut": 40,
        "pnl_kept": 40, "haircut_ratio": 50.0, "closed": True,
    }  # fmt: skip
    assert (rows[1]["haircut"], rows[1]["pnl_kept"], rows[1]["entry_price"]) == (60, 90, 105)


def test_a_fund_that_is_large_enough_has_no_measures_of_adl() -> None:
    measures = lab.simulate(BOOK, lab.Shock({"X": "-0.2"}), rules="binance", pool=200).measures()
    assert (measures["haircut_total"], measures["full_close_share"]) == (0, None)
    assert (measures["overshoot_signed"], measures["severity"]) == (0, 0)


def test_the_price_of_an_inverse_position_is_averaged_in_coins() -> None:
    book = delever.book_of(
        {
            "account": ["ann", "bob"], "contract": ["I"] * 2, "side": ["long", "short"],
            "quantity": [100, 100], "entry_price": [100, 100], "leverage": [10, 1],
        },
        {"I": "100.00"},
        contracts=[{"contract": "I", "kind": "inverse", "settle": "BTC"}],
    )  # fmt: skip
    (row,) = lab.simulate(book, lab.Shock({"I": "-0.2"}), rules="binance").accounts.rows(named=True)
    assert (row["entry_price"], row["mark"]) == (100, 80)
    assert row["notional_closed"] == Decimal("1.25")


def test_the_prices_of_an_inverse_position_are_those_of_its_fills() -> None:
    """3 and 4 lots are worth 5,000 units of cash: one unit is 12 USD, and no price is off by it."""
    book = delever.book_of(
        {
            "account": ["ann", "bob", "cyd"], "contract": ["I"] * 3,
            "side": ["long", "short", "short"], "quantity": [7, 3, 4], "leverage": [10, 1, 1],
            "entry_price": ["60000.5", "61234.5", "60000.5"],
        },
        {"I": "60000.5"},
        contracts=[{"contract": "I", "kind": "inverse", "settle": "BTC", "tick_size": "0.1"}],
    )  # fmt: skip
    path = lab.given_path({"I": ["60000.5", "54001.3", "52000.7"]})
    result = lab.simulate(book, path, rules="binance")
    prices = dict(result.fills.select("account", "price").rows())
    for row in result.accounts.rows(named=True):
        assert (row["mark"], row["price"]) == (Decimal("54001.3"), prices[row["account"]])
    # Fills at several prices: the harmonic mean, 2 / (1 / 50 + 1 / 40) and not 45.
    assert _average(Counter({Decimal(50): 1, Decimal(40): 1}), linear=False) == pytest.approx(
        Decimal(2) / (Decimal("0.02") + Decimal("0.025"))
    )
    assert _average(Counter({Decimal(50): 1, Decimal(40): 1}), linear=True) == 45
    assert _average(Counter({Decimal(50): 0}), linear=False) is None


@pytest.mark.parametrize("entry", ["61234.5", "8.2", "99999.9"])
@pytest.mark.parametrize("quantity", [1_000, 30_000])
def test_the_entry_price_of_an_inverse_position_is_the_price_that_was_paid(
    entry: str, quantity: int
) -> None:
    mark = str(Decimal(entry) * Decimal("0.9"))
    book = delever.book_of(
        {
            "account": ["ann", "bob"], "contract": ["I"] * 2, "side": ["long", "short"],
            "quantity": [quantity] * 2, "leverage": [20, 1], "entry_price": [entry] * 2,
        },
        {"I": entry},
        contracts=[{"contract": "I", "kind": "inverse", "settle": "BTC", "tick_size": "0.01",
                    "multiplier": "100"}],
    )  # fmt: skip
    result = lab.simulate(book, lab.given_path({"I": [entry, mark]}), rules="binance")
    assert result.accounts["entry_price"].to_list() == [Decimal(entry)]


TWO_ASSETS = delever.book_of(
    {
        "account": ["ann", "bob"] * 2, "contract": ["X", "X", "I", "I"],
        "side": ["long", "short"] * 2, "quantity": [10, 10, 100, 100],
        "entry_price": [100] * 4, "leverage": [10, 1, 10, 1],
    },
    {"X": "100.00", "I": "100.00"},
    contracts=[{"contract": "X", "kind": "linear", "settle": "USDT"},
               {"contract": "I", "kind": "inverse", "settle": "BTC"}],
)  # fmt: skip


def test_measures_of_a_run_in_two_assets_need_the_name_of_one() -> None:
    both = lab.simulate(TWO_ASSETS, lab.Shock({"X": "-0.2", "I": "-0.2"}), rules="binance")
    assert both.assets == ["BTC", "USDT"]
    with pytest.raises(InputError, match='several assets: give one, "BTC" or "USDT"'):
        both.measures()
    assert both.measures("USDT")["haircut_total"] == 100
    coin = lab.simulate(TWO_ASSETS, lab.Shock({"I": "-0.2"}), rules="binance")
    assert coin.assets == ["BTC"]
    assert coin.measures() == coin.measures("BTC") == both.measures("BTC")
    assert 0 < (coin.measures()["haircut_total"] or 0) < 1


def test_a_markout_can_be_taken_some_time_after_each_fill() -> None:
    """10 lots are closed at 90 with the mark at 80; the marks after it are 70, 85 and 60.

    As -(value of the lots then - value paid): 10 x (mark - 90).
    """
    path = lab.given_path({"X": [100, 80, 70, 85, 60]})
    result = lab.simulate(BOOK, path, rules="binance")
    found = {
        delay: result.measures(markout_ms=delay)["markout_total"]
        for delay in (0, 999, 1_000, 2_500, 10**9)
    }
    assert found == {0: -100, 999: -100, 1_000: -200, 2_500: -50, 10**9: -300}
    assert result.measures()["markout_total"] == -300
    assert result.measures(markout_ms=1_000)["markout_opportunity"] == -100
    with pytest.raises(InputError, match="markout_ms '-1': must be a whole number, at least 0"):
        result.measures(markout_ms=-1)


def test_regret_is_against_the_best_on_the_same_scenarios() -> None:
    """q is best in a, p in b; over both q costs 5, p 7 and r 16, so q is the best single one."""
    frame = pl.DataFrame(
        {
            "scenario": ["a"] * 3 + ["b"] * 3 + ["c"] * 3, "fund": [""] * 9,
            "rules": ["q", "p", "r"] * 3, "x": [1.0, 4.0, 8.0, 4.0, 3.0, 8.0, 1.0, None, 1.0],
        }
    )  # fmt: skip
    rows = {row["rules"]: row for row in lab.regret(frame, "x").rows(named=True)}
    assert {name: row["mean"] for name, row in rows.items()} == {"q": 0.5, "p": 1.5, "r": 6.0}
    assert {name: row["static"] for name, row in rows.items()} == {"q": 0, "p": 1.0, "r": 5.5}
    assert {name: row["best"] for name, row in rows.items()} == {"q": 0.5, "p": 0.5, "r": 0}
    assert all(row["n"] == 2 and row["low"] <= row["mean"] <= row["high"] for row in rows.values())
    with pytest.raises(UnknownNameError, match="no column 'y'"):
        lab.regret(frame, "y")
    sums = frame.filter(scenario="a").with_columns(x=pl.Series([0.1 + 0.2, 0.3, 0.4]))
    assert lab.regret(sums, "x")["best"].to_list() == [1, 1, 0]


def test_losses_are_the_negative_equities_of_buckets() -> None:
    """bob and cyd are short with 400 and 630 of margin: at 250 they lack 200 and 240."""
    losses = losses_after(BOOK, [lab.Shock({"X": "1.5"}), lab.Shock({})], "USDT")
    assert losses.tolist() == [200 + 240, 0]
    cross = delever.book_of(
        {"account": ["bob"], "contract": ["X"], "side": ["short"], "quantity": [4],
         "entry_price": [100]},
        {"X": 100}, contracts="linear",
        balances={"account": ["bob"], "asset": ["USDT"], "balance": [400]},
    )  # fmt: skip
    assert losses_after(cross, [lab.Shock({"X": "1.5"})], "USDT").tolist() == [200]
    assert cvar(losses) == 220
    with pytest.raises(InputError, match="alpha '1'"):
        cvar(losses, 1)


def test_intervals_are_seeded_and_leave_out_missing_values() -> None:
    frame = pl.DataFrame(
        {"rules": ["a"] * 50 + ["b"], "x": [float(n) for n in range(50)] + [None], "y": [1.0] * 51}
    )
    one, other = (lab.intervals(frame, ["rules"]) for _ in range(2))
    assert one.equals(other)
    rows = {(row["rules"], row["measure"]): row for row in one.rows(named=True)}
    x = rows["a", "x"]
    assert (x["n"], x["mean"]) == (50, 24.5)
    assert x["sd"] == pytest.approx(14.577, abs=1e-3)
    half = (x["high"] - x["low"]) / 2
    assert half == pytest.approx(1.96 * 14.43 / 50**0.5, rel=0.1)  # the normal approximation
    assert (rows["b", "x"]["n"], rows["b", "x"]["mean"]) == (0, None)
    assert (rows["b", "y"]["low"], rows["b", "y"]["sd"]) == (1.0, None)
    with pytest.raises(UnknownNameError, match="no column 'rule'; did you mean 'rules'"):
        lab.intervals(frame, "rule")
    with pytest.raises(InputError, match="level"):
        lab.intervals(frame, ["rules"], level=1)


def test_measures_of_an_unknown_asset_are_rejected() -> None:
    result = lab.simulate(BOOK, lab.Shock({"X": "-0.2"}))
    with pytest.raises(UnknownNameError, match="no asset 'USDC'"):
        result.measures("USDC")
