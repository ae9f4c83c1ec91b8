"""Delisting and final settlement of a contract.

All positions and the inventory are closed at the settlement price in one step. The fund pays what
accounts lack; what it does not have is shared by the contract's winners where the rule set says so.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.intake.live_terms.closing import Price, close_inventory, close_positions
from delever.core.market.contract_terms import MAX_TICKS
from delever.core.market.validation import Rejection, read_decimal, reject_unless
from delever.core.messages import Event, Reason, TradingStatus
from delever.core.rules import rule_set_of
from delever.core.rules.policies.allocation import share
from delever.core.units import div_ceil, format_scaled
from delever.core.valuation.multi_asset import bucket_columns
from delever.core.valuation.numeric_range import POOL_LIMIT, check_range, takeover_fits


def delist_contract(book: Book, state: ContractState, command: m.DelistContract) -> Iterator[Event]:
    """Yield the new status; a contract without a queue cannot do without its fund."""
    settled = command.status is TradingStatus.SETTLED  # settle_contract does that
    reject_unless(not settled, "status", command.status, Reason.OUT_OF_RANGE)
    has_queue = bool(rule_set_of(book, state).cases)
    reject_unless(
        command.fund_pays or has_queue, "fund_pays", "false", Reason.ADL_QUEUE_NOT_SUPPORTED
    )
    yield m.ContractStatusSet(
        contract=state.name,
        status=command.status,
        fund_pays=command.fund_pays or command.status is TradingStatus.TRADING,
        note=command.note,
    )


def settle_contract(book: Book, state: ContractState, command: m.SettleContract) -> Iterator[Event]:
    """Yield the stops of ADL, the closing of all positions and inventory, and the settlement."""
    price = _settlement_price(book, state, command.price)
    for trigger in state.active:
        yield m.AdlStopped(
            contract=state.name,
            pool=state.pool,
            trigger=trigger,
            reason=Reason.CONTRACT_SETTLED,
            numbers={},
        )
    closed: list[m.PositionsClosed | m.InventoryClosed] = []
    for side, table in state.tables.items():
        lots = table.lots[: table.size]
        closed += close_positions(book, state, side, lots, price, Reason.CONTRACT_SETTLED)
        tranches = state.inventory[side].tranches
        parts = {number: tranche.lots for number, tranche in tranches.items()}
        closed += close_inventory(state, side, parts, price, Reason.CONTRACT_SETTLED)
    reject_unless(_fits(book, state, closed), "price", command.price, Reason.EXCEEDS_NUMERIC_RANGE)
    yield from closed
    yield m.ContractSettled(
        contract=state.name,
        price=format_scaled(*price),
        rounding_cash=_rounding(state, closed, price),
        note=command.note,
    )


def _settlement_price(book: Book, state: ContractState, amount: m.Amount) -> Price:
    """Return the price; rejected where an account's equity at it could leave int64."""
    price = read_decimal("price", amount)
    reject_unless(price[0] > 0, "price", amount, Reason.NOT_POSITIVE)
    top, bottom = price[0] * 10 ** state.terms.tick[1], state.terms.tick[0] * 10 ** price[1]
    ticks = div_ceil(top, bottom)
    fits = ticks <= MAX_TICKS and (state.terms.linear or top >= bottom)
    reject_unless(fits, "price", amount, Reason.EXCEEDS_NUMERIC_RANGE)
    try:
        check_range(book, {state.name: ticks})
    except Rejection as rejection:
        raise Rejection("price", amount, rejection.reason) from None
    return price


def _fits(
    book: Book, state: ContractState, closed: Iterable[m.PositionsClosed | m.InventoryClosed]
) -> bool:
    """Return whether the pool can pay all losses of the settlement inside its limit."""
    moved = 0
    for event in closed:
        if isinstance(event, m.PositionsClosed):
            moved += sum(event.margin_cash) + sum(map(abs, event.realized_pnl_cash))
        else:
            moved += sum(map(abs, event.realized_pnl_cash))
    wallet = m.WalletSettled(
        account="", asset=state.terms.settle, pool=state.pool, contract="", amount_cash=moved
    )
    return moved < POOL_LIMIT and takeover_fits(book, [wallet])


def _rounding(
    state: ContractState, closed: Iterable[m.PositionsClosed | m.InventoryClosed], price: Price
) -> int:
    """Return what rounding down has left: the value of the net lots, less all values."""
    net_lots = values = 0
    for event in closed:
        net_lots += event.side.sign * sum(event.lots)
        values += sum(event.realized_pnl_cash) + sum(event.cost_cash)
    return state.terms.value_at(net_lots, price) - values


def share_settlement_loss(book: Book, events: Iterable[Event]) -> Iterator[Event]:
    """Yield what the winners of a settled contract pay of the loss that its pool cannot.

    `events` are those of the step, which have been applied. Where the fund takes no part, winners
    pay what accounts lack, otherwise at most what the pool's balance is below 0.
    """
    events = tuple(events)
    settled = next((event for event in events if isinstance(event, m.ContractSettled)), None)
    if settled is None:
        return
    state = book.contracts[settled.contract]
    pool = book.pool_of(state)
    loss = max(-_pool_gain(events), 0)
    if state.fund_pays:
        loss = min(loss, max(-pool.balance, 0))
    if loss and rule_set_of(book, state).winners_pay_settlement:
        gains = _gains(events)
        caps = [min(gain, _equity(book, state, name)) for name, gain in gains.items()]
        paid = dict(zip(gains, share(loss, caps, list(gains.values())), strict=True))
        payers = {name: amount for name, amount in paid.items() if amount}
        yield m.SettlementLossShared(
            contract=state.name,
            pool=pool.name,
            loss_cash=loss,
            unfunded_cash=loss - sum(payers.values()),
            accounts=tuple(payers),
            amount_cash=tuple(payers.values()),
        )


def _pool_gain(events: Iterable[Event]) -> int:
    """Return what the pool has gained by the settlement; negative where it has paid."""
    gain = 0
    for event in events:
        match event:
            case m.PositionsClosed():
                gain += sum(event.to_pool_cash)
            case m.InventoryClosed():
                gain += sum(event.realized_pnl_cash)
            case m.ContractSettled():
                gain += event.rounding_cash
            case m.WalletSettled():
                gain += event.amount_cash
    return gain


def _gains(events: Iterable[Event]) -> dict[str, int]:
    """Return the realized PnL of accounts that won in the contract, by name."""
    totals: dict[str, int] = {}
    for event in events:
        if isinstance(event, m.PositionsClosed):
            for name, realized in zip(event.accounts, event.realized_pnl_cash, strict=True):
                totals[name] = totals.get(name, 0) + realized
    return {name: totals[name] for name in sorted(totals) if totals[name] > 0}


def _equity(book: Book, state: ContractState, name: str) -> int:
    """Return the equity of an account's cross margin, and 0 where it is negative."""
    account = np.array([book.accounts.index[name]])
    balance, pnl, _ = bucket_columns(book, state.terms.settle, account)
    return max(int(balance[0] + pnl[0]), 0)
