"""The place of one position in its queue, as `explain` and `what_if` answer with it."""

from typing import Literal

import msgspec

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Reason, Side
from delever.core.rules.ranking import Queue

Missing = Literal["unknown_contract", "unknown_account", "unknown_position"]


class QueuePosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position's place in its ADL queue.

    `ranked` is the length of the queue. If `reason` is set, the position is not ranked, and rank,
    indicator and quantity ahead are 0.
    """

    lots: int
    rank: int
    ranked: int
    indicator: int
    quantity_ahead_lots: int
    score: float
    parts: dict[str, float]
    reason: Reason | None


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
