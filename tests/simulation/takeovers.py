"""Takeovers, judged: by the venue's word or, behind managed pools, by the engine's own."""

from admission import absorbed
from model import SIDES, TOP_TICKS, Contract, Model, Position, expect, same, sign
from reader import Reader

from delever.core import messages as m
from delever.core.messages import Reason, Side

Row = tuple[Contract, Side, int, Position]


def take_over(
    reader: Reader, account: str, rows: list[Row], ticks: int | None, reason: Reason
) -> None:
    """Judge the takeover of these positions: one price each, shares of one equity."""
    model = reader.model
    if reason is Reason.EQUITY_BELOW_MAINTENANCE:
        _expect_taken(reader, account, rows)
    before = [_covered(model, account, row) for row in rows]
    left_over: dict[str, int] = {}
    apart: dict[str, int] = {}
    for row, (cover, equity) in zip(rows, before, strict=True):
        event = reader.see(m.TakenOver, account, row[0].name, *row[1:])
        same("reason", event.reason, reason)
        bound = _check(event, account, row, cover, ticks)
        same("equity", event.equity_cash, equity)
        same("takeover number", event.takeover, model.last_takeover + 1)
        reader.do()
        asset = row[0].settle
        if row[3].isolated:
            apart[asset] = apart.get(asset, 0) + event.to_wallet_cash
        else:
            left_over[asset] = left_over.get(asset, 0) + bound
    for asset, bound in left_over.items():
        if not model.cross(account, asset):
            wallet = model.wallet(account, asset) - apart.get(asset, 0)
            _settle(reader, account, asset, min(wallet, bound))


class OutOfRoomError(Exception):
    """The engine lets an account stand that no pool has room for: too vast to go on."""


def _expect_taken(reader: Reader, account: str, rows: list[Row]) -> None:
    """Expect the account's takeover next, unless pools can be told of no more."""
    contract, side, number, _ = rows[0]
    event, who = reader.rest[0] if reader.rest else None, (contract.name, side, account, number)
    if isinstance(event, m.TakenOver) and who == (
        event.contract,
        event.side,
        event.account,
        event.position,
    ):
        return
    size = sum(_size(each, held.lots, held.cost) for each, _, _, held in rows)
    if 2 * (_most(reader.model, contract.settle) + size) >= 2**63:
        raise OutOfRoomError(who)


def _most(model: Model, asset: str) -> int:
    """What pools have of an asset, and what they have taken over is worth, at most."""
    pools = [pool for pool in model.pools.values() if pool.told.asset == asset]
    members = [contract for contract in model.contracts.values() if contract.settle == asset]
    held = [
        _size(contract, tranche.lots, tranche.cost)
        for contract in members
        for side in SIDES
        for tranche in contract.tranches[side].values()
    ]
    earned = [abs(contract.realized + contract.injected) for contract in members]
    return sum(abs(pool.balance) for pool in pools) + sum(held) + sum(earned)


def _size(contract: Contract, lots: int, cost: int) -> int:
    mark = max(contract.mark, contract.previous_mark) if contract.linear else 1
    return lots * contract.step * mark + abs(cost)


def _covered(model: Model, account: str, row: Row) -> tuple[int, int]:
    """What a position can lose from its entry, and the equity of its bucket."""
    contract, side, _, held = row
    balance, profit, maintenance = model.bucket(account, contract, side, held)
    equity = balance + profit
    if held.isolated:
        return held.margin, equity
    part = contract.maintenance(side, held)
    if maintenance == 0:
        rows = model.cross(account, contract.settle)
        part = contract.notional(side, held)
        maintenance = sum(c.notional(s, p) for c, s, _, p in rows) or 1
    return equity * part // maintenance - contract.profit(side, held), equity


def _check(event: m.TakenOver, account: str, row: Row, cover: int, ticks: int | None) -> int:
    """Judge one takeover; return how much of what it leaves is only rounding to a tick."""
    contract, side, number, held = row
    who = (event.contract, event.side, event.account, event.position)
    same("position taken over", who, (contract.name, side, account, number))
    size = (event.lots, event.cost_cash, event.margin_cash)
    same("size", size, (held.lots, held.cost, held.margin))
    if ticks is not None:
        same("price", event.price_ticks, ticks)
    else:
        _check_bankruptcy_price(contract, side, held, held.cost - cover, event.price_ticks)
    worth = sign(side) * contract.value(Side.LONG, held.lots, event.price_ticks)
    same("value", event.value_cash, worth)
    same("realized", event.realized_pnl_cash, worth - held.cost)
    total = event.margin_cash + event.realized_pnl_cash
    same("shared out", event.to_wallet_cash + event.to_pool_cash, total)
    worse = max(event.price_ticks - sign(side), 1)
    here, there = (contract.value(side, held.lots, at) for at in (event.price_ticks, worse))
    bound = abs(here - there) + 1 if ticks is None else 0
    if not held.isolated:
        same("pool's part of a cross position", event.to_pool_cash, 0)
    elif ticks is not None:
        same("wallet's part", event.to_wallet_cash, 0)
    else:
        same("pool's part", event.to_pool_cash, min(total, bound))
    return bound


def _check_bankruptcy_price(
    contract: Contract, side: Side, held: Position, target: int, ticks: int
) -> None:
    """At this price what covers the position is gone; one tick worse, more than that."""
    worse = ticks - sign(side)
    if ticks < TOP_TICKS and (side == "long" or ticks > 1):
        enough = contract.value(side, held.lots, ticks) >= target
        expect(enough, "beyond the bankruptcy price", ticks, target)
    if 1 <= worse <= TOP_TICKS:
        less = contract.exact(side, held.lots, worse) < target
        expect(less, "a tick worse would do", ticks, target)


def _settle(reader: Reader, account: str, asset: str, amount: int) -> None:
    """What is left when no cross position is: the pool takes up to a tick, or pays."""
    if amount:
        event = reader.see(m.WalletSettled, account, asset, amount)
        settled = (event.account, event.asset, event.amount_cash)
        same("settled", settled, (account, asset, amount))
        reader.do()


def manage(reader: Reader) -> None:
    """Judge what the engine does by itself behind managed pools."""
    model = reader.model
    managed = [
        contract
        for contract in model.contracts.values()
        if model.pools[contract.pool].told.managed and contract.mark > 0
    ]
    for contract in managed:
        for side in SIDES:
            _liquidate_isolated(reader, contract, side)
    for asset in model.units:
        if any(contract.settle == asset for contract in managed):
            _liquidate_cross(reader, asset, managed)
    for contract in managed:
        if not contract.active:
            for event in absorbed(model, contract):
                reader.take(event)


def _liquidate_isolated(reader: Reader, contract: Contract, side: Side) -> None:
    below = [
        (account, number, held)
        for (account, number), held in sorted(contract.positions[side].items(), key=lambda i: i[0])
        if held.isolated
        and held.margin + contract.profit(side, held)
        <= _taken_at(reader.model, contract, contract.maintenance(side, held))
    ]
    for account, number, held in below:
        rows = [(contract, side, number, held)]
        take_over(reader, account, rows, None, Reason.EQUITY_BELOW_MAINTENANCE)


def _liquidate_cross(reader: Reader, asset: str, managed: list[Contract]) -> None:
    """Pools that take over at the whole maintenance margin go first, then vaults."""
    for vault in (False, True):
        theirs = [c for c in managed if c.settle == asset and _is_vault(reader.model, c) == vault]
        for account in _below(reader.model, asset, theirs) if theirs else []:
            rows = [row for row in reader.model.cross(account, asset) if row[0] in theirs]
            if rows:
                take_over(reader, account, rows, None, Reason.EQUITY_BELOW_MAINTENANCE)


def _below(model: Model, asset: str, contracts: list[Contract]) -> list[str]:
    below = []
    for account in sorted(model.accounts):
        rows = model.cross(account, asset)
        equity = model.wallet(account, asset) + sum(c.profit(s, p) for c, s, _, p in rows)
        maintenance = sum(c.maintenance(s, p) for c, s, _, p in rows)
        exposed = maintenance or equity < 0
        if exposed and equity <= _taken_at(model, contracts[0], maintenance):
            below.append(account)
    return below


def _is_vault(model: Model, contract: Contract) -> bool:
    return model.pools[contract.pool].told.rules == "hyperliquid"


def _taken_at(model: Model, contract: Contract, maintenance: int) -> int:
    """The equity at which a managed pool takes over: maintenance, or 2/3 of it for a vault."""
    return 2 * maintenance // 3 if _is_vault(model, contract) else maintenance
