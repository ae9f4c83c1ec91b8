"""Slippage at risk: what liquidating a part of the open interest into the order books costs.

Sepper, Slippage-at-Risk, arXiv 2603.09164. Of a contract, Q is the stressed part of its open
interest in money, S the relative slippage of selling it into the order book; over contracts, SaR is
the quantile of S, ESaR its mean in the tail, TSaR the sum of S x Q in the tail, in money.

The paper's Table 3 does not follow from these definitions (claim F8): a tail with 196 million USD
of open interest and an ESaR of 8.92 % at a stress of 10 % gives 1.7 million, where the table has
127.4 million. Its adjustment for the concentration of market makers needs their quotes, which a
book does not have; `hhi` is that of the open interest by account, reported beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Amount, Side
from delever.core.units import PPM
from delever.lab.errors import InputError, check_book
from delever.lab.runs.market_paths.path import check_part, exact_fraction


@dataclass(frozen=True, slots=True)
class SlippageAtRisk:
    """SaR and ESaR as ratios, TSaR in units of the settle asset, and a row a contract.

    Columns of `frame`: contract, open_interest and stressed (money), slippage (ratio), cost
    (slippage x stressed), unfilled (the part beyond the order book), hhi, in_tail.

        >>> import delever
        >>> from delever import lab
        >>> risk = lab.slippage_at_risk(delever.read_book("examples/book"), asset="USDT")
        >>> isinstance(risk, lab.SlippageAtRisk), risk.frame.height
        (True, 2)
    """

    sar: float
    esar: float
    tsar: float
    frame: pl.DataFrame


def slippage_at_risk(
    book: Book, *, alpha: float = 0.95, stress: Amount = "0.10", asset: str = "USDT"
) -> SlippageAtRisk:
    """Return the slippage at risk of the contracts that settle in an asset, at the marks now.

    The worse side counts: longs are sold to the bids, shorts bought from the asks. What is beyond
    the order book is priced at the larger of its worst level and the pool's `max_slippage`. The
    tail are the ceil((1 - alpha) n) contracts with the largest slippage. Raises InputError.

        >>> import delever
        >>> from delever import lab
        >>> book = delever.read_book("examples/book")
        >>> risk = lab.slippage_at_risk(book, alpha=0.5, stress="0.10")
        >>> risk.tsar == risk.frame.filter("in_tail")["cost"].sum()
        True
    """
    check_book(book)
    check_part("alpha", alpha)
    part = float(exact_fraction(stress, "stress"))
    if not 0 < part <= 1:
        raise InputError("must be above 0, at most 1", column="stress", value=stress)
    states = [
        state
        for state in book.contracts.values()
        if state.terms.settle == asset and state.mark and state.depth_known
    ]
    if not states:
        raise InputError(
            "has no contract with a mark and an order book", column="asset", value=asset
        )
    rows = [_row(book, state, part) for state in states]
    order = sorted(range(len(rows)), key=lambda n: (-rows[n]["slippage"], rows[n]["contract"]))
    tail = set(order[: int(np.ceil((1 - alpha) * len(rows) - 1e-9))])
    frame = pl.DataFrame([{**row, "in_tail": n in tail} for n, row in enumerate(rows)])
    worst = frame.filter("in_tail")
    slippages = worst["slippage"].to_numpy()
    return SlippageAtRisk(
        float(slippages.min()), float(slippages.mean()), float(worst["cost"].sum()), frame
    )


def _row(book: Book, state: ContractState, part: float) -> dict[str, Any]:
    """Return the row of a contract: its worse side."""
    lots = {side: table.lots[: table.size].astype(float) for side, table in state.tables.items()}
    unit = 10 ** book.cash_decimals(state.terms.settle)
    limit = book.pool_of(state).max_slippage_ppm / PPM
    sides = []
    for side, levels in ((Side.LONG, state.bids), (Side.SHORT, state.asks)):
        total = float(lots[side].sum())
        slippage, unfilled = _slippage(total * part, levels, float(state.mark), limit)
        money = abs(float(state.terms.value_cash(int(total), state.mark))) / unit
        shares = lots[side] / total if total else lots[side]
        sides.append(
            {
                "contract": state.name,
                "side": str(side),
                "open_interest": money,
                "stressed": money * part,
                "slippage": slippage,
                "cost": slippage * money * part,
                "unfilled": unfilled,
                "hhi": float((shares**2).sum()),
            }
        )
    return max(sides, key=lambda row: row["slippage"])


def _slippage(
    lots: float, levels: Sequence[tuple[int, int]], mark: float, limit: float
) -> tuple[float, float]:
    """Return the mean relative distance to the mark, and the part beyond the levels."""
    left, paid, worst = lots, 0.0, limit
    for ticks, quantity in levels:
        distance = abs(ticks / mark - 1)
        taken = min(left, quantity)
        paid, left, worst = paid + taken * distance, left - taken, max(worst, distance)
    return ((paid + left * worst) / lots, left / lots) if lots else (0.0, 0.0)
