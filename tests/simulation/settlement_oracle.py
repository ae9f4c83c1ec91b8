"""What the venue closes at one price, predicted: odd lots, and contracts at their settlement."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from collateral_oracle import pooled, pooled_numbers
from event_reader import Reader
from model import SIDES, Contract, Model, Position, decimals_of, expect, pro_rata, sign

from delever.core import messages as m
from delever.core.messages import Event, Reason, Side

WINNERS_PAY = {"binance", "binance_legacy", "okx", "okx_2025", "dydx", "drift", "injective"}
"""Rule sets under which winners pay what the fund cannot; elsewhere it stays open."""

Row = tuple[tuple[str, int], Position, int]
"""Account and position id, the position, and the lots of it that are closed."""


def plain(number: Fraction) -> str:
    """Return a decimal as text, without trailing zeros."""
    decimals = decimals_of(number)
    digits = str(int(number * 10**decimals)).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def value_at(contract: Contract, side: Side, lots: int, price: Fraction) -> int:
    """Return the value of lots at a price in whole Cash, rounded down."""
    exact = contract.size * price if contract.linear else -contract.size / price
    return int(sign(side) * lots * exact // 1)


def closing(
    contract: Contract, side: Side, rows: Sequence[Row], reason: Reason, price: Fraction
) -> m.PositionsClosed:
    """Return the closing of some lots of positions at a price."""
    costs = [held.cost * lots // held.lots for _, held, lots in rows]
    margins = [held.margin * lots // held.lots for _, held, lots in rows]
    values = [value_at(contract, side, lots, price) for *_, lots in rows]
    realized = [value - cost for value, cost in zip(values, costs, strict=True)]
    return m.PositionsClosed(
        contract=contract.name,
        side=side,
        reason=reason,
        price=plain(price),
        accounts=tuple(account for (account, _), *_ in rows),
        positions=tuple(number for (_, number), *_ in rows),
        lots=tuple(lots for *_, lots in rows),
        cost_cash=tuple(costs),
        margin_cash=tuple(margins),
        realized_pnl_cash=tuple(realized),
        to_pool_cash=tuple(
            min(margin + pnl, 0) if held.isolated else 0
            for (_, held, _), margin, pnl in zip(rows, margins, realized, strict=True)
        ),
    )


def closing_inventory(
    contract: Contract, side: Side, parts: dict[int, int], reason: Reason, price: Fraction
) -> m.InventoryClosed:
    """Return the closing of some lots of tranches at a price."""
    tranches = contract.tranches[side]
    costs = [tranches[n].cost * lots // tranches[n].lots for n, lots in parts.items()]
    values = [value_at(contract, side, lots, price) for lots in parts.values()]
    return m.InventoryClosed(
        contract=contract.name,
        side=side,
        reason=reason,
        price=plain(price),
        takeovers=tuple(parts),
        lots=tuple(parts.values()),
        cost_cash=tuple(costs),
        realized_pnl_cash=tuple(value - cost for value, cost in zip(values, costs, strict=True)),
    )


def settled(contract: Contract, command: m.SettleContract) -> list[Event]:
    """Return the stops of ADL, the closing of everything, and the settlement."""
    price, reason = Fraction(command.price), Reason.CONTRACT_SETTLED
    events: list[Any] = [
        m.AdlStopped(
            contract=contract.name, pool=contract.pool, trigger=name, reason=reason, numbers={}
        )
        for name in contract.active
    ]
    net = values = 0
    for side in SIDES:
        rows = [(key, held, held.lots) for key, held in sorted(contract.positions[side].items())]
        parts = {n: tranche.lots for n, tranche in contract.tranches[side].items()}
        if rows:
            events.append(closing(contract, side, rows, reason, price))
        if parts:
            events.append(closing_inventory(contract, side, parts, reason, price))
        for lots in (*(row[2] for row in rows), *parts.values()):
            net += sign(side) * lots
            values += value_at(contract, side, lots, price)
    rounding = value_at(contract, Side.LONG, net, price) - values
    expect(rounding >= 0, "rounding is not the pool's", rounding)
    settlement = m.ContractSettled(
        contract=contract.name, price=plain(price), rounding_cash=rounding, note=command.note
    )
    return [*events, settlement]


def check_loss_shared(reader: Reader, command: m.SettleContract) -> None:
    """Expect winners to pay what neither accounts nor fund have, under the rules that say so."""
    model, contract = reader.model, reader.model.contracts[command.contract]
    pool, paid, gains = model.pools[contract.pool], 0, dict[str, int]()
    for event in reader.events[: reader.at]:
        match event:
            case m.PositionsClosed():
                paid -= sum(event.to_pool_cash)
                for account, pnl in zip(event.accounts, event.realized_pnl_cash, strict=True):
                    gains[account] = gains.get(account, 0) + pnl
            case m.InventoryClosed():
                paid -= sum(event.realized_pnl_cash)
            case m.ContractSettled():
                paid -= event.rounding_cash
            case m.WalletSettled():
                paid -= event.amount_cash
    loss = paid if not contract.fund_pays else min(paid, -pool.balance)
    if loss <= 0 or pool.definition.rules not in WINNERS_PAY:
        return
    winners = {name: gains[name] for name in sorted(gains) if gains[name] > 0}
    caps = {name: min(gain, _equity(model, contract, name)) for name, gain in winners.items()}
    shares = _capped(loss, winners, caps)
    payers = {name: amount for name, amount in shares.items() if amount}
    reader.take(
        m.SettlementLossShared(
            contract=contract.name,
            pool=pool.name,
            loss_cash=loss,
            unfunded_cash=loss - sum(payers.values()),
            accounts=tuple(payers),
            amount_cash=tuple(payers.values()),
        )
    )


def _equity(model: Model, contract: Contract, account: str) -> int:
    if pooled(model, account, contract.settle):
        rows = model.cross(account, contract.settle)
        return max(pooled_numbers(model, account, contract.settle, rows, haircut=False)[0], 0)
    return max(model.margin(account, contract.settle)[0], 0)


def _capped(amount: int, weights: dict[str, int], caps: dict[str, int]) -> dict[str, int]:
    """Return an amount shared by weight; those whose cap is lower pay it, the rest share again."""
    shares: dict[str, int] = {name: 0 for name in weights if caps[name] == 0}
    while rest := [name for name in weights if name not in shares]:
        total = sum(weights[name] for name in rest)
        full = [name for name in rest if amount * weights[name] // total >= caps[name]]
        if not full:
            parts = pro_rata(amount, [weights[name] for name in rest])
            shares |= dict(zip(rest, parts, strict=True))
            break
        for name in full:
            shares[name] = caps[name]
            amount -= caps[name]
    return {name: shares[name] for name in weights}
