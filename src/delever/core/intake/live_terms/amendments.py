"""Amendments of live contracts and pools: new terms, with the same money in the book.

Prices and quantities of the book are expressed in the new units, exactly. Prices between the ticks
of a coarser tick (marks, depth, takeovers and fills of before) keep their value: the unit of prices
is then the largest that measures both. Quantities must be whole lots of the new lot.
"""

from collections.abc import Iterator
from math import gcd

import msgspec
import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.position_table import PositionTable
from delever.core.intake.live_terms.closing import close_inventory, close_positions
from delever.core.intake.marks import reject_unconfirmed
from delever.core.market.contract_terms import ContractTerms, terms_of
from delever.core.market.validation import Rejection, reject_unless
from delever.core.messages import Event, OddLots, Reason
from delever.core.rules import rule_sets_of, rules_digest
from delever.core.units import MARK_DECIMALS, Mark, Ratio, format_scaled, ratio_of, scale_mark
from delever.core.valuation.numeric_range import amendment_fits

# --- contracts ---


def amend_contract(book: Book, state: ContractState, command: m.AmendContract) -> Iterator[Event]:
    """Yield the closing of odd lots, where that is asked for, and the amendment."""
    named = "tick_size", "lot_size", "margin_tiers", "adl_exempt", "limits", "mark_limits"
    values = {name: getattr(command, name) for name in named}
    given = {name: value for name, value in values.items() if value is not None}
    definition = msgspec.structs.replace(state.definition, pool=state.pool, **given)
    decimals = book.cash_decimals(definition.settle)
    terms = terms_of(definition, decimals)
    price_unit = state.price_unit
    if command.tick_size is not None:
        unit = _price_unit(book, state, terms.tick)
        price_unit = "" if unit == terms.tick else format_scaled(*unit)
    terms = terms_of(definition, decimals, price_unit)
    lots_ratio = ratio_of(state.terms.lot, terms.lot)
    price_ratio = ratio_of(state.terms.tick, terms.tick)
    fits = amendment_fits(book, state, terms, lots_ratio, price_ratio)
    marks = (scale_mark(mark, price_ratio) for mark in (state.mark, state.confirmed_mark))
    fits &= all(map(terms.divides_exactly, marks))
    field = "tick_size" if command.tick_size is not None else "lot_size"
    reject_unless(fits, field, getattr(definition, field), Reason.EXCEEDS_NUMERIC_RANGE)
    yield from _odd_lots(book, state, command.odd_lots, lots_ratio)
    yield m.ContractAmended(
        contract=state.name, definition=definition, price_unit=price_unit, note=command.note
    )


def _price_unit(book: Book, state: ContractState, tick: tuple[int, int]) -> tuple[int, int]:
    """Return the new tick, or the largest divisor of it that measures every price of the book."""
    before = state.terms.tick
    numerator, denominator = ratio_of(before, tick)
    whole = all(price * numerator % denominator == 0 for price in _prices(book, state))
    if whole and all(_is_exact(state.terms, mark, tick) for mark in _marks(state)):
        return tick
    decimals = max(before[1], tick[1])
    shared = gcd(*(mantissa * 10 ** (decimals - scale) for mantissa, scale in (before, tick)))
    return shared, decimals


def _marks(state: ContractState) -> Iterator[Mark]:
    """Yield the marks of a contract, which may lie between ticks."""
    yield from (state.mark, state.previous_mark, state.last_confirmed_mark)
    yield from (mark for _, mark in state.volatility.entries())


def _is_exact(terms: ContractTerms, mark: Mark, tick: tuple[int, int]) -> bool:
    """Return whether a mark has no more decimals than marks may have on a tick."""
    decimals = max(MARK_DECIMALS, tick[1])
    price = terms.decimal_of(mark)
    return price[1] <= decimals or price[0] % 10 ** (price[1] - decimals) == 0


def _prices(book: Book, state: ContractState) -> Iterator[int]:
    """Yield every price of a contract in the book but its marks, in its price unit."""
    yield from (price for price, _ in (*state.bids, *state.asks))
    for inventory in state.inventory.values():
        yield from (tranche.price_ticks for tranche in inventory.tranches.values())
    for fill in book.outstanding.fills.values():
        if fill.contract == state.name:
            yield from (fill.price_ticks, fill.takeover_price_ticks)


# --- odd lots ---


def _odd_lots(
    book: Book, state: ContractState, odd_lots: OddLots, lots_ratio: Ratio
) -> Iterator[Event]:
    """Yield the closing of everything that is no multiple of the new lot, or reject the command.

    The first odd quantity is named: of positions (longs before shorts, by account and position id),
    inventory, depth, then outstanding fills, which cannot be closed.
    """
    _, whole = lots_ratio
    if whole == 1:
        return
    first = next(_odd_quantities(book, state, whole), None)
    if first is None:
        return
    field, lots = first
    quantity = _quantity(state.terms, lots)
    closes = odd_lots is OddLots.CLOSE_AT_MARK and not field.startswith("fills")
    reject_unless(closes, field, quantity, Reason.ODD_LOTS)
    for number, fill in book.outstanding.fills.items():
        if fill.contract == state.name and fill.lots % whole:
            raise Rejection(f"fills.{number}", _quantity(state.terms, fill.lots), Reason.ODD_LOTS)
    reject_unless(state.mark > 0, "contract", state.name, Reason.MISSING_MARK_PRICE)
    reject_unconfirmed(state, "contract")
    mark = state.terms.decimal_of(state.mark)
    for side, table in state.tables.items():
        odd = table.lots[: table.size] % whole
        yield from close_positions(book, state, side, odd, mark, Reason.ODD_LOTS)
        tranches = state.inventory[side].tranches
        parts = {number: tranche.lots % whole for number, tranche in tranches.items()}
        yield from close_inventory(state, side, parts, mark, Reason.ODD_LOTS)
    bids, asks = (_whole_levels(levels, whole) for levels in (state.bids, state.asks))
    if (bids, asks) != (state.bids, state.asks):
        yield m.DepthSet(contract=state.name, bids=bids, asks=asks)


def _odd_quantities(book: Book, state: ContractState, whole: int) -> Iterator[tuple[str, int]]:
    """Yield (field, lots) of every quantity that is no multiple of some lots."""
    for table in state.tables.values():
        yield from _odd_positions(book, table, whole)
    for inventory in state.inventory.values():
        for number, tranche in inventory.tranches.items():
            if tranche.lots % whole:
                yield f"takeovers.{number}", tranche.lots
    for name, levels in (("bids", state.bids), ("asks", state.asks)):
        for number, (_, lots) in enumerate(levels):
            if lots % whole:
                yield f"{name}[{number}].quantity", lots
    for number, fill in book.outstanding.fills.items():
        if fill.contract == state.name and fill.lots % whole:
            yield f"fills.{number}", fill.lots


def _odd_positions(book: Book, table: PositionTable, whole: int) -> Iterator[tuple[str, int]]:
    names = book.accounts.names
    rows = np.flatnonzero(table.lots[: table.size] % whole).tolist()
    odd = [(names[table.account.item(row)], table.position.item(row), row) for row in rows]
    for account, _, row in sorted(odd):
        yield f"positions.{account}", table.lots.item(row)


def _whole_levels(levels: tuple[tuple[int, int], ...], whole: int) -> tuple[tuple[int, int], ...]:
    return tuple((price, lots - lots % whole) for price, lots in levels if lots >= whole)


def _quantity(terms: ContractTerms, lots: int) -> str:
    return format_scaled(lots * terms.lot[0], terms.lot[1])


# --- pools ---


def amended_pool(command: m.AmendPool, definition: m.DefinePool) -> m.DefinePool:
    """Return a pool's definition with the values that a command names."""
    named = ("rules", "limits", "max_slippage", "peak_window_ms")
    values = {name: getattr(command, name) for name in named}
    given = {name: value for name, value in values.items() if value is not None}
    return msgspec.structs.replace(definition, **given)


def amend_pool(book: Book, command: m.AmendPool, definition: m.DefinePool) -> Iterator[Event]:
    """Yield the stops of ADL that the new rules have no trigger for, and the amendment."""
    pool, rules = book.pools[command.pool], rule_sets_of(book)[definition.rules]
    known = {case.trigger.name for case in rules.cases}
    for state in book.members(pool):
        for trigger in state.active:
            if trigger not in known:
                yield m.AdlStopped(
                    contract=state.name,
                    pool=pool.name,
                    trigger=trigger,
                    reason=Reason.RULES_AMENDED,
                    numbers={},
                )
    digest = rules_digest(book, definition.rules)
    yield m.PoolAmended(
        pool=pool.name, definition=definition, rules_digest=digest, note=command.note
    )
    if pool.withdrawal_haircut_ppm and definition.rules != pool.definition.rules:
        yield m.WithdrawalHaircutSet(pool=pool.name, haircut_ppm=0, deficit_cash=0, total_cash=0)
