"""What could leave int64 is rejected before anything happens, and never wraps.

The products and sums of columns stay inside because no account, no table and no pool can come to
hold as much as LIMIT, at any step between.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.validation import Rejection
from delever.core.messages import Event, Reason, Side, TakenOver, WalletSettled
from delever.core.units import INT64, LIMIT

POOL_LIMIT = INT64
"""What a pool has is one number that is told, not a sum of columns: int64 itself is its limit."""

ContractSide = tuple[str, Side]
"""A table by the name of its contract and its side."""


class Growth(NamedTuple):
    """What a command brings into a table: lots, its largest position, position numbers then in use.

    The largest cost includes the isolated margin.
    """

    total_lots: int
    largest_lots: int
    largest_cost: int
    numbers: int


def check_range(
    book: Book,
    marks: Mapping[str, int],
    *,
    growth: Mapping[ContractSide, Growth] | None = None,
    largest_wallet: Mapping[str, int] | None = None,
) -> None:
    """Refuse what could take an account's equity, or a table's total, out of int64.

    Bounded from above by the largest position of every table at its mark and cost, plus the largest
    wallet: no account can hold more. Only where the largest there ever were leave no room, those
    that are there now are looked for.
    """
    growth, largest_wallet = growth or {}, largest_wallet or {}
    more: dict[str, dict[Side, tuple[int, int, int]]] = {}
    for (name, side), grown in growth.items():
        table = book.contracts[name].tables[side]
        if 8 * (table.total_lots + grown.total_lots) >= LIMIT:
            raise Rejection("positions", name, Reason.EXCEEDS_NUMERIC_RANGE)
        if table.holds_less_than(most := grown[1:]):
            more.setdefault(name, {})[side] = most
    bound = {name: asset.bound for name, asset in book.assets.items()}
    for name, cash in largest_wallet.items():
        bound[name] += max(cash - book.asset(name).wallets.largest, 0)
    for name in more.keys() | marks.keys():
        state = book.contracts[name]
        exposure = state.exposure(marks.get(name, state.mark), more.get(name, {}))
        bound[state.terms.settle] += exposure - state.measured_exposure
    for name, largest in bound.items():
        if largest >= LIMIT and _bound_now(book, name, marks, growth, largest_wallet) >= LIMIT:
            field = "positions" if growth else "marks" if marks else "balances"
            raise Rejection(field, name, Reason.EXCEEDS_NUMERIC_RANGE)


def _bound_now(
    book: Book,
    asset: str,
    marks: Mapping[str, int],
    growth: Mapping[ContractSide, Growth],
    largest_wallet: Mapping[str, int],
) -> int:
    """Return the bound of what is there and what is told."""
    bound = max(book.asset(asset).wallets.max_balance(), largest_wallet.get(asset, 0))
    for state in book.contracts.values():
        if state.terms.settle == asset:
            told = {
                side: growth[state.name, side][1:] for side in Side if (state.name, side) in growth
            }
            bound += state.exposure(marks.get(state.name, state.mark), told, now=True)
    return bound


def check_inventory(book: Book, marks: Mapping[str, int]) -> None:
    """Refuse marks at which inventory could be worth more than a pool can be told to have."""
    if book.engaged():
        for asset in {book.contracts[name].terms.settle for name in marks}:
            if _held_by_pools(book, asset, marks) >= POOL_LIMIT:
                raise Rejection("marks", asset, Reason.EXCEEDS_NUMERIC_RANGE)


def takeover_fits(book: Book, events: Iterable[Event]) -> bool:
    """Whether pools can hold what takeovers about to be made would bring them, beside what is."""
    brought: dict[str, int] = {}
    for event in events:
        if isinstance(event, TakenOver):
            state = book.contracts[event.contract]
            worth = event.lots * _most_worth(state)
            moved = worth + abs(event.value_cash) + abs(event.to_pool_cash)
            brought[state.terms.settle] = brought.get(state.terms.settle, 0) + moved
        elif isinstance(event, WalletSettled):
            brought[event.asset] = brought.get(event.asset, 0) + abs(event.amount_cash)
    return all(_held_by_pools(book, each, {}) + cash < POOL_LIMIT for each, cash in brought.items())


def _held_by_pools(book: Book, asset: str, marks: Mapping[str, int]) -> int:
    """Return a bound on what pools have of an asset, and what inventory could gain or lose."""
    bound = sum(abs(pool.balance) for pool in book.pools.values() if pool.asset == asset)
    for state in book.engaged():
        if state.terms.settle == asset:
            worth = _most_worth(state, marks.get(state.name, 0))
            held = state.inventory.values()
            bound += sum(each.total_lots * worth + abs(each.total_cost) for each in held)
            bound += abs(state.realized + state.injected)
    return bound


def _most_worth(state: ContractState, mark: int = 0) -> int:
    """Return what a lot may be closed at in Cash: at this mark, the last, or the one before."""
    return state.worth(max(mark, state.mark, state.previous_mark))
