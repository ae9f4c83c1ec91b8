"""Scenarios: paths are seeded, exact and relative; a step of each kind reaches the engine."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import delever
from delever import lab
from delever.core.accounting.invariants import audit
from delever.core.engine import step
from delever.core.messages import FundingReason, FundPool, Side
from delever.core.units import format_scaled
from delever.journal.snapshot import encode_book
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.runs.stress_test import RoundedPriceWarning

EXAMPLES = Path(__file__).parents[3] / "examples"
BOOK = delever.read_book(EXAMPLES / "book")
BTC = {"BTCUSDT": "-0.10"}


def test_one_step_of_a_linear_path_is_the_shock() -> None:
    shocked = lab.simulate(BOOK, lab.Shock(BTC))
    stepped = lab.simulate(BOOK, lab.linear_path(BTC, steps=1, after_ms=1))
    assert encode_book(shocked.book) == encode_book(stepped.book)
    assert shocked.summary == stepped.summary


def test_a_path_liquidates_earlier_than_its_shock_and_costs_less() -> None:
    totals = {
        name: lab.simulate(BOOK, crash, rules="bitmart").summary.contracts[0]
        for name, crash in (("shock", lab.Shock(BTC)), ("path", lab.linear_path(BTC, steps=40)))
    }
    assert Decimal(totals["path"].pool_pnl) > Decimal(totals["shock"].pool_pnl)


def test_a_given_book_with_inventory_is_simulated_on() -> None:
    before = encode_book(BOOK)
    first = lab.simulate(BOOK, lab.Shock(BTC), pool={"main": "1000000"})
    held = first.book.contracts["BTCUSDT"].inventory[Side.LONG].total_lots
    assert held > 0
    second = lab.simulate(first.book, lab.Shock({"BTCUSDT": "-0.30"}), pool={"main": "10"})
    assert second.book.contracts["BTCUSDT"].inventory[Side.LONG].total_lots < held
    assert second.book.time_ms > first.book.time_ms
    audit(second.book)
    assert encode_book(BOOK) == before


@pytest.mark.parametrize("pool", [None, {"main": "1000"}])
def test_adl_of_rules_that_are_replaced_stops(pool: dict[str, str] | None) -> None:
    """Binance has no drawdown trigger, so that one that is on would never stop."""
    first = lab.simulate(BOOK, lab.Shock({"BTCUSDT": "-0.15"}), pool={"main": "1000"})
    assert "contract_drawdown" in first.book.contracts["BTCUSDT"].active
    calm = lab.Shock({"BTCUSDT": "0.001"})
    second = lab.simulate(first.book, calm, rules="binance", pool=pool)
    assert "contract_drawdown" not in second.book.contracts["BTCUSDT"].active
    audit(second.book)


def test_a_vault_in_debt_has_no_loss_threshold_left() -> None:
    book = BOOK.copy()
    lost = format_scaled(-book.pools["main"].balance - 5, 8)
    step(book, FundPool(time_ms=0, pool="main", amount=lost, reason=FundingReason.CORRECTION))
    assert book.pools["main"].balance == -5
    debt = lab.simulate(book, lab.Shock(BTC), rules="hyperliquid")
    assert "until its equity is negative" in debt.notes[0]
    assert debt.summary.pools[0].rules == "hyperliquid"


def test_depth_thins_and_recovers() -> None:
    crash = lab.linear_path({"BTCUSDT": "-0.0001"}, steps=3)
    bids = []
    for parts in (["1"], ["1", "0.5", "0"], ["0", "0", "1"]):
        state = lab.simulate(BOOK, crash.with_depth(parts)).book.contracts["BTCUSDT"]
        bids.append(sum(lots for _, lots in state.bids))
    assert bids[0] == bids[2] > bids[1] == 0


def test_a_withdrawal_is_at_most_what_the_margin_leaves_free() -> None:
    calm = lab.linear_path({"BTCUSDT": "0.0001"}, steps=2)
    account = "bob"
    row = BOOK.accounts.index[account]
    wallet = BOOK.assets["USDT"].wallets.balance.item(row)
    assert wallet > 100 * 10**8
    after = {}
    for amount in ("7.5", "1000000000"):
        crash = calm.with_withdrawals({0: [lab.Withdrawal(account, "USDT", amount)]})
        after[amount] = lab.simulate(BOOK, crash).book
    balances = [book.assets["USDT"].wallets.balance.item(row) for book in after.values()]
    assert balances[0] == wallet - 750_000_000
    assert balances[1] >= 0
    assert balances[1] < balances[0]
    assert lab.simulate(BOOK, calm).summary.takeovers == 0


def test_the_venue_may_liquidate_an_account_at_a_step() -> None:
    calm = lab.linear_path({"BTCUSDT": "0.0001"}, steps=2)
    table = BOOK.contracts["BTCUSDT"].tables[Side.LONG]
    account = BOOK.accounts.names[table.account.item(0)]
    result = lab.simulate(BOOK, calm.with_liquidations({1: [account]}))
    assert result.summary.takeovers >= 1
    assert {e.account for e in result.events if type(e).__name__ == "TakenOver"} == {account}


def test_random_paths_depend_on_the_seed_alone() -> None:
    one, other = (lab.scenarios(BOOK, count=3, seed=5) for _ in range(2))
    assert one == other
    assert lab.scenarios(BOOK, count=4, seed=5)[:3] == one
    assert lab.scenarios(BOOK, count=3, seed=6) != one


@pytest.mark.parametrize("model", ["gbm", "student_t"])
def test_random_paths_have_the_volatility_and_correlation_asked_for(model: Any) -> None:
    """Annual 100 % over a day is 5.234 %; the means of 4,000 paths are within 4 errors."""
    paths = lab.scenarios(
        BOOK, model=model, nu=8, volatility=1.0, correlation=0.5, horizon_ms=86_400_000, steps=1,
        count=4_000, seed=1,
    )  # fmt: skip
    ends = np.array([[float(r) for r in path.steps[-1].ratios.values()] for path in paths])
    returns = np.log(ends)
    assert returns.std(axis=0) == pytest.approx(1 / np.sqrt(365), rel=0.05)
    assert np.corrcoef(returns.T)[0, 1] == pytest.approx(0.5, abs=0.05)
    assert ends.mean(axis=0) == pytest.approx(1, abs=0.005)


def test_contracts_correlate_by_their_factor() -> None:
    paths = lab.scenarios(
        BOOK, model="gbm", correlation=0.8, factor="ETHUSDT", horizon_ms=86_400_000, steps=1,
        count=4_000, seed=1,
    )  # fmt: skip
    returns = np.log([[float(r) for r in path.steps[-1].ratios.values()] for path in paths])
    found = np.corrcoef(returns.T)
    assert found[1, [0, 2]] == pytest.approx(0.8, abs=0.03)  # BTCUSDT, ETHUSDT, BTCUSD
    assert found[0, 2] == pytest.approx(0.64, abs=0.03)


def test_a_jump_is_the_same_for_all_contracts() -> None:
    paths = lab.scenarios(BOOK, model="jump", volatility=0.01, jump=-0.3, jump_sd=0, count=2)
    for path in paths:
        assert [float(r) for r in path.steps[-1].ratios.values()] == pytest.approx(
            [0.7] * 3, rel=0.01
        )


def test_historical_prices_move_marks_at_their_times() -> None:
    rows = {
        "time_ms": [0, 0, 1_000, 4_000],
        "contract": ["BTCUSDT", "ETHUSDT", "ETHUSDT", "BTCUSDT"],
        "price": ["200", "50", "45", "150"],
    }
    path = lab.historical_path(rows)
    assert [step.after_ms for step in path.steps] == [1_000, 3_000]
    assert [dict(step.ratios) for step in path.steps] == [
        {"ETHUSDT": Fraction(9, 10)},
        {"BTCUSDT": Fraction(3, 4)},
    ]


def test_a_price_that_its_tick_rounds_is_reported() -> None:
    positions = {
        "account": ["ann", "bob"], "contract": ["X"] * 2, "side": ["LONG", "Sell"],
        "quantity": ["10"] * 2, "entry_price": ["3"] * 2, "leverage": ["2"] * 2,
    }  # fmt: skip
    coarse = delever.book_of(positions, {"X": "3"}, contracts="linear")
    with pytest.warns(RoundedPriceWarning, match="X: a shocked price is rounded by 1111 bp"):
        result = lab.simulate(coarse, lab.Shock({"X": "-0.10"}))
    assert "give a finer tick_size" in str(result.summary)
    fine = delever.book_of(positions, {"X": "3.00"}, contracts="linear")
    assert fine.contracts["X"].definition.tick_size == "0.01"
    assert lab.simulate(fine, lab.Shock({"X": "-0.10"})).book.contracts["X"].mark == 270


def test_marks_beyond_the_limits_of_a_contract_are_reported() -> None:
    book = BOOK.copy()
    limits = delever.core.messages.MarkLimits(max_move="0.05")
    delever.step(
        book,
        delever.core.messages.AmendContract(
            time_ms=book.time_ms, contract="BTCUSDT", note="limits", mark_limits=limits
        ),
    )
    result = lab.simulate(book, lab.Shock(BTC))
    assert result.summary.takeovers == 0
    assert result.notes == (
        "BTCUSDT: a mark is beyond the contract's mark_limits: liquidation and ADL paused.",
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lab.Shock({"X": "-1"}), InputError, "X '-1': leaves no price above 0"),
        (lambda: lab.Shock({"X": -0.1}), InputError, 'must be exact text: write "-0.1"'),
        (lambda: lab.Shock("BTCUSDT"), InputError, "moves 'BTCUSDT': must be values by contract"),  # type: ignore[arg-type]
        (lambda: lab.Shock({1: "-0.1"}), InputError, "must be values by contract"),  # type: ignore[dict-item]
        (lambda: lab.Scenario(()), InputError, "scenario: has no steps"),
        (lambda: lab.linear_path(BTC, steps=1.5), InputError, "steps '1.5': must be a whole"),  # type: ignore[arg-type]
        (lambda: lab.linear_path(BTC).with_depth("111"), InputError, "depth '111': must be a list"),
        (
            lambda: lab.linear_path(BTC, steps=1).with_depth([1, 1]),
            InputError,
            "depth: has 2 parts",
        ),
        (
            lambda: lab.linear_path(BTC).with_liquidations({0: "ann"}),
            InputError,
            "list of accounts",
        ),
        (
            lambda: lab.linear_path(BTC).with_withdrawals({0: [("ann", "USDT")]}),  # type: ignore[list-item]
            InputError,
            "must be account, asset and amount",
        ),
        (lambda: lab.given_path({"X": "100"}), InputError, "X '100': must be a list of prices"),
        (lambda: lab.scenarios(BOOK, seed=-1), InputError, "seed '-1': must be a whole number"),
        (lambda: lab.scenarios(BOOK, count=2.0), InputError, "count '2.0': must be a whole"),  # type: ignore[arg-type]
        (lambda: lab.scenarios(BOOK, volatility="1"), InputError, "needs a volatility"),  # type: ignore[arg-type]
        (lambda: lab.simulate(BOOK, BTC), InputError, "must be a path of the lab, or a shock"),  # type: ignore[arg-type]
        (lambda: lab.simulate(BOOK, lab.Shock(BTC), rules=5), UnknownNameError, "rule set 5"),  # type: ignore[arg-type]
        (
            lambda: lab.sweep(BOOK, lab.Shock(BTC), rules=["bybit"]),  # type: ignore[arg-type]
            InputError,
            "must be a list of shocks and paths",
        ),
        (
            lambda: lab.sweep(BOOK, [lab.Shock(BTC)], rules=["bybit"], workers=-1),
            InputError,
            "workers '-1': must be a whole number",
        ),
        (
            lambda: lab.linear_path(BTC, steps=0),
            InputError,
            "steps '0': must be a whole number, at least 1",
        ),
        (lambda: lab.linear_path(BTC).with_depth(["-1"]), InputError, "parts of at least 0"),
        (lambda: lab.linear_path(BTC).with_depth([]), InputError, "parts of at least 0"),
        (lambda: lab.linear_path(BTC).with_liquidations({10: []}), InputError, "is no step: they"),
        (lambda: lab.given_path({"X": ["1"]}), InputError, "of at least 2 prices"),
        (lambda: lab.given_path({"X": ["1", "2"], "Y": ["1"]}), InputError, "of one length"),
        (lambda: lab.given_path({"X": ["1", "0"]}), InputError, "must be above 0"),
        (lambda: lab.historical_path({"time_ms": [1]}), InputError, "contract: the column is mis"),
        (
            lambda: lab.historical_path({"time_ms": [1], "contract": ["X"], "price": [1.5]}),
            InputError,
            "holds floats",
        ),
        (
            lambda: lab.historical_path({"time_ms": [1], "contract": ["X"], "price": ["2"]}),
            InputError,
            "two times",
        ),
        (lambda: lab.scenarios(BOOK, model="heston"), UnknownNameError, "no model 'heston'"),  # type: ignore[arg-type]
        (lambda: lab.scenarios(BOOK, factor="X"), UnknownNameError, "there is no factor 'X'"),
        (
            lambda: lab.scenarios(BOOK, factor="BTCUSDT", correlation=np.eye(3)),
            InputError,
            "one number where there is a factor",
        ),
        (lambda: lab.scenarios(BOOK, nu=2), InputError, "nu '2': must be above 2"),
        (lambda: lab.scenarios(BOOK, contracts=["BTCUSTD"]), UnknownNameError, "did you mean"),
        (lambda: lab.scenarios(BOOK, correlation=1.0), InputError, "correlation: is singular"),
        (lambda: lab.scenarios(BOOK, correlation=np.eye(2)), InputError, "matrix of 3 rows"),
        (lambda: lab.scenarios(BOOK, volatility={"BTCUSDT": 1}), InputError, "ETHUSDT"),
    ],
)
def test_an_invalid_scenario_is_rejected(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("with_liquidations", {0: ["nobody"]}), UnknownNameError, "no account 'nobody'"),
        (("with_withdrawals", {0: [("nobody", "USDT", 1)]}), UnknownNameError, "no account"),
        (("with_withdrawals", {0: [("ann", "USDC", 1)]}), UnknownNameError, "no asset 'USDC'"),
        (("with_withdrawals", {0: [("ann", "USDT", -1)]}), InputError, "is negative"),
    ],
)
def test_a_scenario_that_does_not_fit_the_book_is_rejected(
    change: tuple[str, dict[int, Any]], error: type[Exception], message: str
) -> None:
    name, rows = change
    crash = getattr(lab.linear_path(BTC), name)(rows)
    with pytest.raises(error) as caught:
        lab.simulate(BOOK, crash)
    assert message in str(caught.value)
