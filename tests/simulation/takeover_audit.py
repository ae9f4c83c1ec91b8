"""Takeovers, checked: by the venue's command or, behind managed pools, by the engine itself."""

from collections.abc import Iterable

from command_oracle import absorbed
from event_reader import Reader
from model import SIDES, TOP_TICKS, Contract, Model, Position, expect, same, sign

from delever.core import messages as m
from delever.core.messages import Event, Reason, Side

Row = tuple[Contract, Side, int, Position]


def take_over(
    reader: Reader, account: str, rows: list[Row], ticks: int | None, reason: Reason
) -> None:
    """Check the takeover of these positions: one price each, shares of one equity."""
    model = reader.model
    if reason is Reason.EQUITY_BELOW_MAINTENANCE:
        _expect_taken(reader, account, rows)
    before = [covered(model, account, row) for row in rows]
    remainders: dict[str, int] = {}
    to_wallets: dict[str, int] = {}
    for row, (cover, equity, maintenance) in zip(rows, before, strict=True):
        event = reader.expect_next(m.TakenOver, account, row[0].name, *row[1:])
        same("reason", event.reason, reason)
        bound = _check(event, account, row, cover, ticks)
        same("equity", event.equity_cash, equity)
        same("maintenance", event.maintenance_cash, maintenance)
        same("takeover number", event.takeover, model.last_takeover + 1)
        reader.consume()
        asset = row[0].settle
        if row[3].isolated:
            to_wallets[asset] = to_wallets.get(asset, 0) + event.to_wallet_cash
        else:
            remainders[asset] = remainders.get(asset, 0) + bound
    for asset, bound in remainders.items():
        if not model.cross(account, asset):
            wallet = model.wallet(account, asset) - to_wallets.get(asset, 0)
            _settle(reader, account, asset, min(wallet, bound))


def net(reader: Reader, account: str, rows: list[Row]) -> list[Contract]:
    """Check the netting of opposite cross positions; return the contracts netted.

    The smaller of a pair is closed whole; of the larger one a part of the cost, rounded down.
    """
    netted = []
    for contract in dict.fromkeys(row[0] for row in rows):
        legs = {
            side: [(n, held) for c, s, n, held in rows if (c, s) == (contract, side)]
            for side in SIDES
        }
        longs, shorts = ([leg for leg in legs[side] if not leg[1].isolated] for side in SIDES)
        while longs and shorts:
            (long, long_held), (short, short_held) = longs[0], shorts[0]
            sizes = (long_held.lots, short_held.lots)
            lots = min(sizes)
            costs = [held.cost * lots // held.lots for held in (long_held, short_held)]
            reader.take(
                m.PositionsNetted(
                    contract=contract.name,
                    account=account,
                    long_position=long,
                    short_position=short,
                    long_lots=sizes[0],
                    short_lots=sizes[1],
                    lots=lots,
                    mark_ticks=contract.mark,
                    long_cost_cash=costs[0],
                    short_cost_cash=costs[1],
                    realized_pnl_cash=-sum(costs),
                )
            )
            longs, shorts = ([leg for leg in each if leg[1].lots] for each in (longs, shorts))
            netted.append(contract)
    return list(dict.fromkeys(netted))


def settle_netted(reader: Reader, account: str, netted: list[Contract]) -> None:
    """Expect the pool to pay a negative wallet of an account that has nothing left."""
    for contract in netted:
        wallet = reader.model.wallet(account, contract.settle)
        if wallet < 0 and not reader.model.cross(account, contract.settle):
            _settle(reader, account, contract.settle, wallet)


def settle_closed(reader: Reader, events: Iterable[Event]) -> None:
    """Expect the pool to pay the negative wallets of accounts that the venue's closing emptied."""
    closed = [event for event in events if isinstance(event, m.PositionsClosed)]
    for account in sorted({account for event in closed for account in event.accounts}):
        settle_netted(reader, account, [reader.model.contracts[closed[0].contract]])


class PoolRangeError(Exception):
    """An account is not taken over because a pool's amounts would leave int64: the session ends."""


def _expect_taken(reader: Reader, account: str, rows: list[Row]) -> None:
    """Expect the account's takeover next, unless a pool's amounts would leave int64."""
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
    if 2 * (_pool_bound(reader.model, contract.settle) + size) >= 2**63:
        raise PoolRangeError(who)


def _pool_bound(model: Model, asset: str) -> int:
    """Return an upper bound of the pools' balances and the value of their inventory."""
    pools = [pool for pool in model.pools.values() if pool.definition.asset == asset]
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


def covered(model: Model, account: str, row: Row) -> tuple[int, int, int]:
    """Return what a position can lose from its entry; its bucket's equity and maintenance."""
    contract, side, _, held = row
    balance, profit, maintenance = model.bucket(account, contract, side, held)
    equity, whole = balance + profit, maintenance
    if held.isolated:
        return held.margin, equity, whole
    part = contract.maintenance(side, held)
    if maintenance == 0:
        rows = model.cross(account, contract.settle)
        part = contract.notional(side, held)
        maintenance = sum(c.notional(s, p) for c, s, _, p in rows) or 1
    cover = equity * part // maintenance - contract.unrealized_pnl(side, held)
    return cover, equity, whole


def _check(event: m.TakenOver, account: str, row: Row, cover: int, ticks: int | None) -> int:
    """Check one takeover; return the largest remainder that rounding to a tick can leave."""
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
    worse = max(event.price_ticks - sign(side) * contract.per_tick, 1)
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
    """Check that at this price the position's equity share is gone, and one tick worse more."""
    step = contract.per_tick
    same("fraction of a tick in a bankruptcy price", ticks % step, 0)
    worse, top = ticks - step * sign(side), TOP_TICKS // step * step
    if ticks < top and (side == "long" or ticks > step):
        enough = contract.value(side, held.lots, ticks) >= target
        expect(enough, "beyond the bankruptcy price", ticks, target)
    if step <= worse <= top:
        less = contract.exact(side, held.lots, worse) < target
        expect(less, "a tick worse would consume", ticks, target)


def _settle(reader: Reader, account: str, asset: str, amount: int) -> None:
    """Expect the settlement of a wallet without cross positions, with the pool."""
    if amount:
        event = reader.expect_next(m.WalletSettled, account, asset, amount)
        settled = (event.account, event.asset, event.amount_cash)
        same("settled", settled, (account, asset, amount))
        reader.consume()


def manage(reader: Reader) -> None:
    """Check liquidation and unwinding behind managed pools."""
    model = reader.model
    managed = [
        contract
        for contract in model.contracts.values()
        if model.pools[contract.pool].definition.managed and contract.mark > 0
    ]
    for contract in managed:
        for side in SIDES:
            _liquidate_isolated(reader, contract, side)
    for asset in model.units:
        if any(contract.settle == asset for contract in managed):
            _liquidate_cross(reader, asset, managed)
    for contract in managed:
        if not contract.active and contract.fund_pays:
            for event in absorbed(model, contract):
                reader.take(event)


def _liquidate_isolated(reader: Reader, contract: Contract, side: Side) -> None:
    below = [
        (account, number, held)
        for (account, number), held in sorted(contract.positions[side].items(), key=lambda i: i[0])
        if held.isolated
        and held.margin + contract.unrealized_pnl(side, held)
        <= _taken_at(reader.model, contract, contract.maintenance(side, held))
    ]
    for account, number, held in below:
        rows = [(contract, side, number, held)]
        take_over(reader, account, rows, None, Reason.EQUITY_BELOW_MAINTENANCE)


def _liquidate_cross(reader: Reader, asset: str, managed: list[Contract]) -> None:
    """Check cross accounts: pools that take over at maintenance margin first, then vaults."""
    for vault in (False, True):
        theirs = [c for c in managed if c.settle == asset and _is_vault(reader.model, c) == vault]
        for account in _below(reader.model, asset, theirs) if theirs else []:
            rows = [row for row in reader.model.cross(account, asset) if row[0] in theirs]
            netted = net(reader, account, rows)
            if netted and account not in _below(reader.model, asset, theirs):
                continue
            if rows := [row for row in reader.model.cross(account, asset) if row[0] in theirs]:
                take_over(reader, account, rows, None, Reason.EQUITY_BELOW_MAINTENANCE)
            settle_netted(reader, account, netted)


def _below(model: Model, asset: str, contracts: list[Contract]) -> list[str]:
    below = []
    for account in sorted(model.accounts):
        rows = model.cross(account, asset)
        equity = model.wallet(account, asset) + sum(c.unrealized_pnl(s, p) for c, s, _, p in rows)
        maintenance = sum(c.maintenance(s, p) for c, s, _, p in rows)
        exposed = maintenance or equity < 0
        if exposed and equity <= _taken_at(model, contracts[0], maintenance):
            below.append(account)
    return below


def _is_vault(model: Model, contract: Contract) -> bool:
    return model.pools[contract.pool].definition.rules == "hyperliquid"


def _taken_at(model: Model, contract: Contract, maintenance: int) -> int:
    """Return the equity at which a managed pool takes over: 2/3 of maintenance for a vault."""
    return 2 * maintenance // 3 if _is_vault(model, contract) else maintenance
