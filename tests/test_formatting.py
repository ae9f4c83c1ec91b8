"""Integers, names and times as text."""

from decimal import Decimal

import pytest

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import ContractKind, DefineAsset, DefineContract, DefinePool, PoolKind
from delever.formatting import (
    ContractFormatter,
    count,
    decimal_text,
    exact_decimal,
    humanize,
    multiple,
    percent,
    significant,
    utc,
)


@pytest.fixture(scope="module")
def formatter() -> ContractFormatter:
    """The formatter of a contract with tick 0.5, lot 0.001 and cash in 10^-6 USDT."""
    book = Book()
    for command in (
        DefineAsset(time_ms=0, asset="USDT", cash_decimals=6),
        DefinePool(time_ms=0, pool="main", kind=PoolKind.SHARED, asset="USDT", rules="bybit"),
        DefineContract(
            time_ms=0,
            contract="BTC",
            kind=ContractKind.LINEAR,
            settle="USDT",
            pool="main",
            tick_size="0.5",
            lot_size="0.001",
        ),
    ):
        step(book, command)
    return ContractFormatter.of(book, book.contracts["BTC"])


def test_amounts_are_decimals_without_trailing_zeros(formatter: ContractFormatter) -> None:
    assert formatter.cash(-1_500_000) == "-1.5"
    assert formatter.price(121) == "60.5"
    assert formatter.quantity(2_000) == "2"
    assert formatter.exact_cash(-1_500_000) == Decimal("-1.5")
    assert formatter.exact_price(121) == Decimal("60.5")
    assert formatter.exact_quantity(2_000) == Decimal(2)


@pytest.mark.parametrize(
    ("name", "amount", "plain", "labeled"),
    [
        ("equity_cash", 5, ("equity", "0.000005"), ("equity", "0.000005 USDT")),
        ("mark_ticks", 3, ("mark", "1.5"), ("mark", "1.5")),
        ("left_lots", 7, ("left", "0.007"), ("left", "0.007")),
        ("pnl_ratio_ppm", -300_000, ("pnl_ratio_ppm", "-300000"), ("PnL ratio", "-30 %")),
        ("wait_ms", 7_000, ("wait_ms", "7000"), ("wait", "7000 ms")),
        ("positions", 3, ("positions", "3"), ("positions", "3")),
    ],
)
def test_an_amount_is_formatted_by_the_unit_in_its_name(
    formatter: ContractFormatter,
    name: str,
    amount: int,
    plain: tuple[str, str],
    labeled: tuple[str, str],
) -> None:
    assert formatter.amount(name, amount) == plain
    assert formatter.labeled_amount(name, amount) == labeled


def test_labeled_amounts_are_joined_by_commas(formatter: ContractFormatter) -> None:
    numbers = {"mark_ticks": 3, "contract_pnl_cash": -(10**6)}
    assert formatter.labeled_amounts(numbers) == "mark 1.5, contract PnL -1 USDT"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (percent(125_000), "12.5 %"),
        (multiple(6_500_000), "6.5x"),
        (str(exact_decimal(12, 3)), "0.012"),
        (decimal_text(Decimal("1200.500")), "1200.5"),
        (decimal_text(Decimal("1E+3")), "1000"),
        (significant(0.123456789), "0.123457"),
        (humanize("contract_drawdown"), "contract drawdown"),
        (humanize("adl_not_used"), "ADL not used"),
        (count(1, "position"), "1 position"),
        (count(0, "fill"), "0 fills"),
        (utc(1_760_130_964_123), "2025-10-10 21:16:04.123"),
    ],
)
def test_numbers_names_and_times_as_text(text: str, expected: str) -> None:
    assert text == expected
