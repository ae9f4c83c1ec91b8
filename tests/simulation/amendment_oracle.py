"""The events of an amendment or a plan, predicted, or the reason of its rejection."""

from collections.abc import Iterator
from fractions import Fraction
from math import gcd

import msgspec
import trigger_oracle
from model import SIDES, Contract, Model, decimals_of
from settlement_oracle import closing, closing_inventory, plain

from delever.core import messages as m
from delever.core.messages import Event, Reason, Side


def amended(model: Model, contract: Contract, command: m.AmendContract) -> list[Event] | Reason:
    """Return the closing of odd lots and the amendment."""
    given = {
        name: value
        for name in ("tick_size", "lot_size", "margin_tiers", "adl_exempt", "limits", "mark_limits")
        if (value := getattr(command, name)) is not None
    }
    definition = msgspec.structs.replace(contract.definition, pool=contract.pool, **given)
    rules = model.pools[contract.pool].definition.rules
    if trigger_oracle.ignores_a_limit(definition.limits, rules):
        return Reason.LIMIT_NOT_SUPPORTED
    grid, unit = Fraction(definition.tick_size), contract.tick
    if command.tick_size is not None:
        unit = grid
        fine = Fraction(1, 10 ** max(10, decimals_of(grid)))
        between = any(price % grid for price in _prices(model, contract))
        if between or any(mark % fine for mark in _marks(contract)):
            unit = _common(contract.tick, grid)
    size = Fraction(definition.lot_size) * Fraction(definition.multiplier) * contract.unit
    for tick in (grid, unit):
        if (size * tick if contract.linear else size / tick).denominator != 1:
            return Reason.FRACTIONAL_LOT_VALUE
    closings = _odd_lots(model, contract, command)
    if isinstance(closings, Reason):
        return closings
    amendment = m.ContractAmended(
        contract=contract.name,
        definition=definition,
        price_unit="" if unit == grid else plain(unit),
        note=command.note,
    )
    return [*closings, amendment]


def _prices(model: Model, contract: Contract) -> Iterator[Fraction]:
    """Yield every price of the contract that the book has, but its marks."""
    ticks = [price for price, _ in (*contract.bids, *contract.asks)]
    ticks += [t.ticks for side in SIDES for t in contract.tranches[side].values()]
    for fill in model.fills.values():
        if fill.contract == contract.name:
            ticks += [fill.price_ticks, fill.takeover_price_ticks]
    yield from (price * contract.tick for price in ticks)


def _marks(contract: Contract) -> Iterator[Fraction]:
    """Yield the marks of the contract, which may be finer than the tick."""
    yield from (price for _, price in contract.minutes)
    marks = contract.mark, contract.previous_mark, contract.last_confirmed
    yield from (mark * contract.tick for mark in marks)


def _common(one: Fraction, other: Fraction) -> Fraction:
    """Return the largest number of which both are multiples."""
    bottom = one.denominator * other.denominator
    top = gcd(one.numerator * other.denominator, other.numerator * one.denominator)
    return Fraction(top, bottom)


def _odd_lots(model: Model, contract: Contract, command: m.AmendContract) -> list[Event] | Reason:
    """Return the closing, at the mark, of everything that is no multiple of the new lot."""
    if command.lot_size is None:
        return []
    whole = (contract.lot / Fraction(command.lot_size)).denominator
    held = [p.lots for side in SIDES for p in contract.positions[side].values()]
    held += [t.lots for side in SIDES for t in contract.tranches[side].values()]
    held += [lots for _, lots in (*contract.bids, *contract.asks)]
    fills = [fill.lots for fill in model.fills.values() if fill.contract == contract.name]
    if not any(lots % whole for lots in held + fills):
        return []
    if command.odd_lots != "close_at_mark" or any(lots % whole for lots in fills):
        return Reason.ODD_LOTS
    if not contract.mark:
        return Reason.MISSING_MARK_PRICE
    if contract.unconfirmed:
        return Reason.MARK_UNCONFIRMED
    events: list[Event] = []
    for side in SIDES:
        events += _close(contract, side, whole)
        events += _close_inventory(contract, side, whole)
    bids, asks = (
        tuple((price, lots // whole * whole) for price, lots in levels if lots >= whole)
        for levels in (contract.bids, contract.asks)
    )
    if (bids, asks) != (contract.bids, contract.asks):
        events.append(m.DepthSet(contract=contract.name, bids=bids, asks=asks))
    return events


def _close(contract: Contract, side: Side, whole: int) -> Iterator[Event]:
    rows = [(key, p) for key, p in sorted(contract.positions[side].items()) if p.lots % whole]
    if rows:
        odd = [(key, held, held.lots % whole) for key, held in rows]
        yield closing(contract, side, odd, Reason.ODD_LOTS, contract.mark * contract.tick)


def _close_inventory(contract: Contract, side: Side, whole: int) -> Iterator[Event]:
    odd = {n: t.lots % whole for n, t in contract.tranches[side].items() if t.lots % whole}
    if odd:
        yield closing_inventory(contract, side, odd, Reason.ODD_LOTS, contract.mark * contract.tick)


def pool_amended(model: Model, command: m.AmendPool) -> list[Event] | Reason:
    """Return the stops of triggers that the new rules lack, and the amendment."""
    pool = model.pools[command.pool]
    given = {
        name: value
        for name in ("rules", "limits", "max_slippage", "peak_window_ms")
        if (value := getattr(command, name)) is not None
    }
    definition = msgspec.structs.replace(pool.definition, **given)
    members = model.members(pool.name)
    if trigger_oracle.ignores_a_limit(definition.limits, definition.rules):
        return Reason.LIMIT_NOT_SUPPORTED
    needed = (definition.limits.vault_cap, definition.limits.loss_threshold)
    is_vault = definition.rules.partition("+")[0] == "hyperliquid"
    if definition.managed and is_vault and None in needed:
        return Reason.LIMIT_REQUIRED
    for member in members:
        if trigger_oracle.ignores_a_limit(member.definition.limits, definition.rules):
            return Reason.LIMIT_NOT_SUPPORTED
    events: list[Event] = [
        m.AdlStopped(
            contract=contract.name,
            pool=pool.name,
            trigger=trigger,
            reason=Reason.RULES_AMENDED,
            numbers={},
        )
        for contract in members
        for trigger in contract.active
        if trigger not in trigger_oracle.TRIGGERS[definition.rules.partition("+")[0]]
    ]
    events.append(
        m.PoolAmended(pool=pool.name, definition=definition, rules_digest="", note=command.note)
    )
    if pool.haircut_ppm and definition.rules != pool.definition.rules:
        haircut = m.WithdrawalHaircutSet(
            pool=pool.name, haircut_ppm=0, deficit_cash=0, total_cash=0
        )
        events.append(haircut)
    return events


def plan_wait_set(model: Model, command: m.SetPlanWait) -> list[Event] | Reason:
    """Return the new wait of a contract's rounds, or the reason of its rejection."""
    contract = model.contracts.get(command.contract)
    if contract is None:
        return Reason.UNKNOWN_CONTRACT
    if contract.status == "settled":
        return Reason.CONTRACT_SETTLED
    return [m.PlanWaitSet(contract=contract.name, wait_ms=command.wait_ms, note=command.note)]


def plan_accepted(model: Model, command: m.AllocateAdl) -> list[Event] | Reason:
    """Return the acceptance of a plan that is awaited; its rounds are checked as they run."""
    for planned in command.rounds:
        request = model.contracts[planned.contract].plan_requests.get(planned.side)
        if request is None:
            return Reason.PLAN_NOT_AWAITED
        if command.time_ms >= request[1]:
            return Reason.PLAN_TOO_LATE
        if command.book_sequence < request[0]:
            return Reason.PLAN_STALE
    accepted = m.PlanAccepted(
        book_sequence=command.book_sequence,
        certificate=command.certificate,
        contracts=tuple(dict.fromkeys(planned.contract for planned in command.rounds)),
        note=command.note,
    )
    return [accepted]
