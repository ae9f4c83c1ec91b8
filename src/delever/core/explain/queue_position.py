"""The place of one position in its queue, and bankruptcy prices, as `explain` answers with them."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.contract_terms import MAX_TICKS
from delever.core.messages import Reason, Side
from delever.core.rules.ranking import Queue
from delever.core.units import Ticks, share_floor
from delever.core.valuation.bankruptcy import OpenPosition, bankruptcy_price, cover_of
from delever.core.valuation.multi_asset import is_pooled
from delever.core.valuation.side_valuation import SideValuation

Missing = Literal["unknown_contract", "unknown_account", "unknown_position"]


class QueuePosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position's place in its ADL queue.

    `terms`, `quotients` and `divides_losers` are those of its score: the numbers that enter it, and
    how they do. `ranked` is the length of the queue. If `reason` is set, the position is not
    ranked, and rank, indicator and quantity ahead are 0.
    """

    lots: int
    rank: int
    ranked: int
    indicator: int
    quantity_ahead_lots: int
    score: float
    parts: dict[str, float]
    reason: Reason | None
    terms: dict[str, int] = {}
    quotients: dict[str, tuple[str, str]] = {}
    divides_losers: bool = False


def queue_position_of(queue: Queue, row: int) -> QueuePosition:
    """Return the place of the position in a row of a queue."""
    return QueuePosition(
        lots=int(queue.valuation.lots[row]),
        rank=int(queue.rank[row]),
        ranked=len(queue.order),
        indicator=int(queue.indicator[row]),
        quantity_ahead_lots=int(queue.quantity_ahead_lots[row]),
        score=float(queue.score.value[row]),
        parts={name: float(part[row]) for name, part in queue.score.parts.items()},
        terms={name: int(column[row].item()) for name, column in queue.score.terms.items()},
        quotients=dict(queue.score.quotients),
        divides_losers=queue.score.divides_losers,
        reason=queue.reason(row),
    )


def find_position(
    book: Book, contract: str, side: Side, account: str, position: int
) -> tuple[ContractState, int] | Missing:
    """Return a position's contract and its row on that side, or what is unknown."""
    state = book.contracts.get(contract)
    if state is None:
        return "unknown_contract"
    index = book.accounts.index.get(account)
    if index is None:
        return "unknown_account"
    row = state.tables[side].find(index, position)
    return "unknown_position" if row is None else (state, row)


def bankruptcy_prices(
    book: Book, state: ContractState, valuation: SideValuation, rows: Sequence[int]
) -> list[Ticks | None]:
    """Return the bankruptcy price of rows of a side in Ticks, as their takeover would use it.

    None where no price on the tick makes the equity zero: the margin exceeds what can be lost.
    """
    return [_bankruptcy_price(book, state, valuation, row) for row in rows]


def _bankruptcy_price(
    book: Book, state: ContractState, valuation: SideValuation, row: int
) -> Ticks | None:
    terms, side = valuation.terms, valuation.side
    account, whole = valuation.account.item(row), valuation.shared_maintenance.item(row)
    if whole and not is_pooled(book, account, terms.settle) and not valuation.isolated.item(row):
        share = share_floor(valuation.equity.item(row), valuation.maintenance.item(row), whole)
        cover = share - valuation.unrealized_pnl.item(row)
    else:
        cover = cover_of(book, OpenPosition(state, side, account, valuation.position.item(row)))
    lots, cost = valuation.lots.item(row), valuation.cost.item(row)
    ticks = bankruptcy_price(terms, side, lots, cost, cover)
    is_clamped = ticks <= terms.price_step or ticks >= MAX_TICKS - MAX_TICKS % terms.price_step
    return None if is_clamped else ticks
