"""The book on which the Lab page opens: drawn with a fixed seed, the same on every machine."""

from decimal import Decimal

import numpy as np

from delever.core.book import Book
from delever.core.messages import Side
from delever.lab.tables.book_reader import book_of

EXAMPLE_FUND = 5_000
"""Balance of the example's insurance fund, in USDT."""

MARKS = {"BTCUSDT": 60_000, "ETHUSDT": 3_000}
LOT_SIZE = Decimal("0.001")
ACCOUNTS = 120
LEVERAGES = (2, 3, 5, 10, 20, 40)
LEVEL_NOTIONAL = 8_000
"""Notional of each level of an order book, in USDT."""


def example_book() -> Book:
    """Return 120 accounts, long or short of two contracts, with one fund under Bybit's rules.

    Leverage is 2 to 40 and sizes have a fat tail, so that a few large accounts make most of a loss,
    as in a crash. Order books take 80,000 USDT a side within 10 %.

    >>> example_book()
    <Book: 2 contracts, 120 accounts, 1 pool>
    """
    random = np.random.default_rng(20_251_010)
    positions = []
    for number in range(ACCOUNTS):
        contract = "BTCUSDT" if number % 3 else "ETHUSDT"
        notional = 4_000 * (1 + random.pareto(1.6))
        entry = MARKS[contract] * (1 + 0.03 * random.standard_normal())
        positions.append(
            {
                "account": f"a{number:03}",
                "contract": contract,
                "side": (Side.LONG if number % 2 else Side.SHORT).value,
                "quantity": f"{notional / MARKS[contract]:.3f}",
                "entry_price": f"{entry:.1f}",
                "leverage": int(random.choice(LEVERAGES)),
            }
        )
    terms = {"kind": "linear", "settle": "USDT", "pool": "main"}
    return book_of(
        positions,
        {contract: str(mark) for contract, mark in MARKS.items()},
        contracts=[
            {"contract": contract, **terms, "tick_size": "0.1", "lot_size": str(LOT_SIZE)}
            for contract in MARKS
        ],
        depth=_depth(),
        pools=[{"pool": "main", "kind": "shared", "asset": "USDT", "rules": "bybit",
                "balance": EXAMPLE_FUND}],
    )  # fmt: skip


def _depth() -> list[dict[str, str]]:
    """Return order books with a level each percent, up to ten percent from the mark."""
    return [
        {
            "contract": contract,
            "side": side,
            "price": f"{mark * (1 + sign * percent / 100):.1f}",
            "quantity": f"{LEVEL_NOTIONAL / mark:.3f}",
        }
        for contract, mark in MARKS.items()
        for side, sign in (("bid", -1), ("ask", 1))
        for percent in range(1, 11)
    ]
