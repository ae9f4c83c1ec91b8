"""Positions and inventory that the venue closes at one price, without a counterparty or a fee.

The cost and margin of closed lots are rounded down and the open lots retain the rest, as in ADL. An
isolated position that has lost more than its margin costs its account the margin; the pool pays the
rest. A cross account that has no cross position left and a negative wallet is paid by the pool.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Event, Reason, Side
from delever.core.units import Ints, format_scaled, share_floor
from delever.core.valuation.netting import settle_netted

Price = tuple[int, int]
"""A decimal as (mantissa, decimals): settlement prices are means, and finer than a tick."""


def close_positions(
    book: Book, state: ContractState, side: Side, lots: Ints, price: Price, reason: Reason
) -> Iterator[m.PositionsClosed]:
    """Yield the closing of some lots of each row of a side, by account and position id."""
    table, names = state.tables[side], book.accounts.names
    rows = np.flatnonzero(lots).tolist()
    rows.sort(key=lambda row: (names[table.account.item(row)], table.position.item(row)))
    columns: list[tuple[str, int, int, int, int, int, int]] = []
    for row in rows:
        held, cost, margin = table.amounts_at(row)
        closed = lots.item(row)
        cost, margin = share_floor(cost, closed, held), share_floor(margin, closed, held)
        realized = state.terms.value_at(side.sign * closed, price) - cost
        to_pool = min(margin + realized, 0) if table.isolated[row] else 0
        key = names[table.account.item(row)], table.position.item(row)
        columns.append((*key, closed, cost, margin, realized, to_pool))
    if columns:
        accounts, positions, *amounts = zip(*columns, strict=True)
        fields = "lots", "cost_cash", "margin_cash", "realized_pnl_cash", "to_pool_cash"
        yield m.PositionsClosed(
            contract=state.name,
            side=side,
            reason=reason,
            price=format_scaled(*price),
            accounts=accounts,
            positions=positions,
            **dict(zip(fields, amounts, strict=True)),
        )


def close_inventory(
    state: ContractState, side: Side, lots: Mapping[int, int], price: Price, reason: Reason
) -> Iterator[m.InventoryClosed]:
    """Yield the closing of some lots of each tranche of inventory of a side."""
    inventory = state.inventory[side]
    closed = {number: part for number, part in lots.items() if part}
    costs, realized = [], []
    for number, part in closed.items():
        tranche = inventory.tranches[number]
        costs.append(share_floor(tranche.cost, part, tranche.lots))
        realized.append(state.terms.value_at(side.sign * part, price) - costs[-1])
    if closed:
        yield m.InventoryClosed(
            contract=state.name,
            side=side,
            reason=reason,
            price=format_scaled(*price),
            takeovers=tuple(closed),
            lots=tuple(closed.values()),
            cost_cash=tuple(costs),
            realized_pnl_cash=tuple(realized),
        )


def settle_closed(book: Book, events: Iterable[Event]) -> Iterator[Event]:
    """Yield the pool's payments to cross accounts whose last cross position was closed at a loss.

    `events` are those of the command, which have been applied.
    """
    closed = [event for event in events if isinstance(event, m.PositionsClosed)]
    for contract in dict.fromkeys(event.contract for event in closed):
        accounts = {name for event in closed for name in event.accounts}
        for name in sorted(accounts):
            yield from settle_netted(book, book.accounts.index[name], book.contracts[contract])
