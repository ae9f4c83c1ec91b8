"""Contract terms: value at a price, price at a value, cost and maintenance margin."""

import pickle
from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from delever.core import messages as m
from delever.core.market.contract_terms import MAX_MARGIN_TIERS, MAX_TICKS, ContractTerms, terms_of
from delever.core.market.validation import Rejection
from delever.core.messages import ContractKind, Side

kinds = st.sampled_from(ContractKind)
signed_lots = st.integers(1, 10**6).flatmap(lambda n: st.sampled_from([n, -n]))


def terms(kind: ContractKind = ContractKind.LINEAR, **more: object) -> ContractTerms:
    fields = {"tick_size": "0.5", "lot_size": "0.01", **more}
    definition = m.DefineContract(
        time_ms=0, contract="X", kind=kind, settle="USDT", pool="main", **fields
    )
    return terms_of(definition, 8)


def test_terms_are_values() -> None:
    """Equal definitions give equal terms with equal hashes; a different tier is different terms."""
    tier = m.MarginTier(notional_from=0, maintenance_rate="0.01")
    assert terms() == terms()
    assert len({terms(), terms(), terms(margin_tiers=(tier,))}) == 2
    assert pickle.loads(pickle.dumps(terms())) == deepcopy(terms()) == terms()


@given(kinds, signed_lots, st.integers(1, 10**7))
def test_a_linear_value_is_exact_and_an_inverse_value_floored(
    kind: ContractKind, lots: int, ticks: int
) -> None:
    x = terms(kind)
    quantity, price = Fraction(lots, 100), Fraction(ticks, 2)
    exact = (quantity * price if x.linear else -quantity / price) * 10**8
    value = x.value_cash(lots, ticks)
    assert value <= exact < value + 1
    assert x.linear is False or value == exact
    assert x.value_cash(np.array([lots]), ticks).tolist() == [value]


@given(kinds, signed_lots, st.integers(1, 10**7))
def test_both_sides_of_a_trade_have_the_same_absolute_value(
    kind: ContractKind, lots: int, ticks: int
) -> None:
    x = terms(kind)
    assert x.trade_cash(lots, ticks) == -x.trade_cash(-lots, ticks)
    assert 0 <= x.trade_cash(lots, ticks) - x.value_cash(lots, ticks) <= 1


@given(kinds, signed_lots, st.integers(1, 10**6), st.integers(-(10**15), 10**15))
def test_the_price_at_a_value_is_the_least_favorable_that_reaches_it(
    kind: ContractKind, lots: int, ticks: int, offset_cash: int
) -> None:
    """CORE-01: one tick less favorable, the value is below the target."""
    x = terms(kind)
    target = x.value_cash(lots, ticks) + offset_cash
    price = x.price_at_value(lots, target)
    worse = price - (1 if lots > 0 else -1)
    assert 1 <= price <= MAX_TICKS
    clamped = price in {1, MAX_TICKS}
    assert clamped or x.value_cash(lots, price) >= target
    assert clamped or worse == 0 or x.value_cash(lots, worse) < target


@given(kinds, signed_lots, st.integers(2, 10**6))
def test_the_price_at_the_value_of_a_price_is_that_price(
    kind: ContractKind, lots: int, ticks: int
) -> None:
    x = terms(kind, lot_size=10**6 if kind is ContractKind.INVERSE else "0.01")
    value = x.value_cash(lots, ticks)
    # Only with a large quantity does each tick of an inverse contract have a distinct value.
    assume(value not in (x.value_cash(lots, ticks + 1), x.value_cash(lots, ticks - 1)))
    assert x.price_at_value(lots, value) == ticks


@pytest.mark.parametrize(
    ("kind", "lots", "target", "ticks"),
    [
        (ContractKind.LINEAR, 1, 0, 1),
        (ContractKind.LINEAR, 1, -1, 1),
        (ContractKind.LINEAR, -1, 0, 1),
        (ContractKind.LINEAR, -1, 1, 1),
        (ContractKind.LINEAR, -1, -(10**30), MAX_TICKS),
        (ContractKind.INVERSE, 1, 0, MAX_TICKS),
        (ContractKind.INVERSE, 1, 5, MAX_TICKS),
        (ContractKind.INVERSE, -1, 0, MAX_TICKS),
        (ContractKind.INVERSE, -1, -5, MAX_TICKS),
        (ContractKind.INVERSE, 1, -(10**30), 1),
        (ContractKind.INVERSE, -1, 10**30, 1),
    ],
)
def test_a_price_that_does_not_exist_is_clamped(
    kind: ContractKind, lots: int, target: int, ticks: int
) -> None:
    """CORE-01: prices are between one tick and MAX_TICKS."""
    assert terms(kind).price_at_value(lots, target) == ticks


@given(kinds, st.sampled_from(Side), st.integers(1, 10**6), st.integers(1, 10**9))
def test_a_cost_is_rounded_to_nearest_and_signed_like_values(
    kind: ContractKind, side: Side, lots: int, entry: int
) -> None:
    x = terms(kind)
    cost = x.cost_cash(side, lots, (entry, 4))
    quantity, price = Fraction(lots, 100), Fraction(entry, 10**4)
    exact = quantity * price if x.linear else quantity / price
    assert abs(abs(cost) - exact * 10**8) <= Fraction(1, 2)
    assert cost == 0 or (cost > 0) == (x.cost_sign(side) > 0)


TIERS = tuple(
    m.MarginTier(notional_from=start, maintenance_rate=rate)
    for start, rate in ((0, "0.005"), (1000, "0.01"), (5000, "0.05"))
)


@pytest.mark.parametrize(
    ("notional", "margin"),
    [(0, 0), (1, "0.005"), (1000, 5), (1001, "5.01"), (5000, 45), (6000, 95), (100_000, 4795)],
)
def test_each_maintenance_rate_applies_to_the_notional_of_its_tier(
    notional: int, margin: object
) -> None:
    """CORE-16"""
    x = terms(margin_tiers=TIERS)
    exact = Fraction(str(margin)) * 10**8
    assert x.maintenance_cash(np.array([notional * 10**8])).tolist() == [exact]


@given(st.integers(0, 10**13), st.integers(0, 10**9))
def test_maintenance_never_decreases_with_notional(notional: int, more: int) -> None:
    """CORE-16: between tiers, too."""
    x = terms(margin_tiers=TIERS)
    less, greater = x.maintenance_cash(np.array([notional, notional + more])).tolist()
    assert 0 <= less <= greater


@pytest.mark.parametrize(
    ("fields", "factor"),
    [
        ({"tick_size": "0.1", "lot_size": "0.001"}, 10_000),
        ({"tick_size": "0.1", "lot_size": "0.001", "multiplier": 10}, 100_000),
        ({"tick_size": "0.0001", "lot_size": "1", "multiplier": "0.0001"}, 1),
        ({"kind": ContractKind.INVERSE, "tick_size": "0.5", "lot_size": 1}, 200_000_000),
        ({"kind": ContractKind.INVERSE, "tick_size": "0.5", "lot_size": 100}, 20_000_000_000),
    ],
)
def test_the_factor_is_cash_per_lot_and_tick(fields: dict[str, object], factor: int) -> None:
    assert terms(**fields).factor == factor


def test_many_margin_tiers_are_read_in_linear_time_and_more_are_rejected() -> None:
    """CORE-16: the deduction of a tier is the sum of all jumps below it."""
    rates = [f"{number / 10**5:.5f}" for number in range(1, MAX_MARGIN_TIERS + 1)]
    tiers = tuple(
        m.MarginTier(notional_from=1_000 * number, maintenance_rate=rate)
        for number, rate in enumerate(rates)
    )
    x = terms(margin_tiers=tiers)
    step_cash = 1_000 * 10**8 // 10**5  # 1,000 times the step from rate to rate
    sums = [step_cash * number * (number + 1) // 2 for number in range(MAX_MARGIN_TIERS)]
    assert x.tier_deduction_cash.tolist() == sums
    with pytest.raises(Rejection, match="margin_tiers"):
        terms(margin_tiers=(*tiers, m.MarginTier(notional_from=10**9, maintenance_rate="1")))
