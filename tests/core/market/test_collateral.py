"""The value of a balance of collateral: exact, floored once, the same for one and for many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.market.collateral import CollateralTerms, collateral_terms, read_index_price
from delever.core.messages import CollateralTier, DefineCollateral
from delever.core.units import format_scaled, linear_floor, parse_decimal, scaled
from table import Row, cases


def terms_of(row: Row) -> CollateralTerms:
    tiers = []
    for tier in row["tiers"].split(","):
        start, rate = tier.split(":")
        tiers.append(CollateralTier(**{f"{row['by']}_from": start}, rate=rate))
    definition = DefineCollateral(
        time_ms=0,
        asset=row["asset"],
        index_price=row["index"],
        bid_buffer=row["bid"],
        ask_buffer=row["ask"],
        tiers=tuple(tiers),
        cap=row["cap"] or None,
    )
    return collateral_terms(definition, read_index_price("index_price", row["index"]), 8, 8)


@pytest.mark.parametrize("row", cases("collateral.txt"))
def test_value_of_a_balance(row: Row) -> None:
    terms, number = terms_of(row), parse_decimal(row["balance"])
    assert number is not None
    balance = scaled(number, 8)
    assert balance is not None
    values = [terms.equity.of(balance), terms.after_haircut.of(balance)]
    assert row.expected == dict(
        zip(("equity", "counted"), (format_scaled(value, 8) for value in values), strict=True)
    )
    column = np.array([balance, -balance, 0])
    assert terms.equity.of_all(column).tolist() == [terms.equity.of(b) for b in column.tolist()]
    many = terms.after_haircut.of_all(column)
    assert many.tolist() == [terms.after_haircut.of(b) for b in column.tolist()]


amounts = st.integers(-(10**13), 10**13)


@given(
    st.lists(amounts, min_size=1, max_size=5),
    st.integers(0, 10**17) | st.integers(0, 10**30),
    st.integers(-(10**15), 10**15),
    st.integers(1, 10**14) | st.integers(1, 10**30),
)
def test_linear_floor_is_the_exact_quotient(
    column: list[int], numerator: int, constant: int, denominator: int
) -> None:
    exact = [(amount * numerator + constant) // denominator for amount in column]
    if max(map(abs, exact)) < 2**62:
        found = linear_floor(np.array(column), numerator, constant, denominator)
        assert found.tolist() == exact


@given(amounts, st.integers(1, 10**12), st.integers(0, 999_999), st.integers(0, 10**6))
def test_haircuts_and_buffers_only_take_away(
    balance: int, index_price: int, bid: int, rate: int
) -> None:
    """CORE-45: equity is at most the index value, what counts is at most equity."""
    definition = DefineCollateral(
        time_ms=0,
        asset="X",
        index_price=1,
        bid_buffer=format_scaled(bid, 6),
        ask_buffer=format_scaled(bid, 6),
        tiers=(
            CollateralTier(rate=1, quantity_from=0),
            CollateralTier(rate=format_scaled(rate, 6), quantity_from=1),
        ),
    )
    terms = collateral_terms(definition, index_price, 8, 8)
    counted, equity = terms.after_haircut.of(balance), terms.equity.of(balance)
    assert counted <= equity <= terms.index.value_of(balance)
    assert (equity < 0) == (terms.index.value_of(balance) < 0)
