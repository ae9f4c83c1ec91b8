"""Takeovers, checked: by the venue's command or, behind managed pools, by the engine itself."""

from collections.abc import Iterable

from collateral_oracle import at_index, converted, convertible, pooled, pooled_numbers, price, sums
from command_oracle import UNLIMITED, absorbed
from event_reader import Reader
from model import SIDES, TOP_TICKS, Contract, Model, Position, Tranche, expect, same, sign

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
    apart = [asset for asset in remainders if not pooled(model, account, asset)]
    for asset in apart:
        if not model.cross(account, asset):
            wallet = model.margin(account, asset)[0] - to_wallets.get(asset, 0)
            _settle(reader, account, asset, min(wallet, remainders[asset]))
    takers = {
        row[0].settle: row[0] for row in rows if not row[3].isolated and row[0].settle not in apart
    }
    if takers and not model.cross(account, next(iter(takers))):
        _settle_pooled(reader, account, takers, remainders, to_wallets)


def _settle_pooled(
    reader: Reader,
    account: str,
    takers: dict[str, Contract],
    remainders: dict[str, int],
    apart: dict[str, int],
) -> None:
    """Expect the conversion of an account's assets, and the settlement of its wallets.

    `apart` is what the takeover of isolated positions has just paid into the wallets.
    """
    model = reader.model
    balances = {
        asset: model.wallet(account, asset) - apart.get(asset, 0) for asset in model.collateral
    }
    for event in converted(model, account, balances, takers):
        reader.take(event)
    for asset in takers:
        _settle(reader, account, asset, min(balances[asset], remainders.get(asset, 0)))


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
                    mark_ticks=int(contract.mark),
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
        if pooled(reader.model, account, contract.settle):
            if not reader.model.cross(account, contract.settle):
                _settle_pooled(reader, account, {contract.settle: contract}, {}, {})
            continue
        wallet, _ = reader.model.margin(account, contract.settle)
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
    return lots * -int(-contract.step * mark // 1) + abs(cost)


def covered(model: Model, account: str, row: Row) -> tuple[int, int, int]:
    """Return what a position can lose from its entry; its bucket's equity and maintenance."""
    contract, side, _, held = row
    balance, profit, maintenance = model.bucket(account, contract, side, held)
    equity, whole = balance + profit, maintenance
    if held.isolated:
        return held.margin, equity, whole
    part = contract.maintenance(side, held)
    rows = model.cross(account, contract.settle)
    if pooled(model, account, contract.settle):
        return _covered_together(model, account, row, rows)
    maintenance = model.shared_maintenance(account, contract, side, held)
    if maintenance == 0:
        part = contract.notional(side, held)
        maintenance = sum(c.notional(s, p) for c, s, _, p in rows) or 1
    cover = equity * part // maintenance - contract.unrealized_pnl(side, held)
    return cover, equity, whole


def _covered_together(
    model: Model, account: str, row: Row, rows: list[Row]
) -> tuple[int, int, int]:
    """Return the numbers of `covered` for a multi-asset account.

    The trigger's equity is after haircut; the cover is a share of what a conversion leaves, by
    maintenance margin in the position's settle asset, or by notional.
    """
    contract, side, _, held = row
    asset = contract.settle
    equity, _, whole = pooled_numbers(model, account, asset, rows, haircut=True)
    part = contract.maintenance(side, held)
    by_asset = {name: margin for name, (_, _, margin) in sums(model, account, rows).items()}
    divisor = sum(_in_asset(model, name, asset, margin) for name, margin in by_asset.items())
    if divisor == 0:
        part = contract.notional(side, held)
        notional = (_in_asset(model, c.settle, asset, c.notional(s, p)) for c, s, _, p in rows)
        divisor = sum(notional) or 1
    share = convertible(model, account, asset, rows) * part // divisor
    return share - contract.unrealized_pnl(side, held), equity, whole


def _in_asset(model: Model, source: str, target: str, amount: int) -> int:
    if source == target:
        return amount
    return at_index(model, target, int(amount * price(model, source, "index") // 1))


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


def manage(reader: Reader, *, takes_over: bool) -> None:
    """Check liquidation and unwinding behind managed pools, and what pools net in between.

    The step of an amendment neither takes over nor unwinds.
    """
    model = reader.model
    managed = [
        contract
        for contract in model.contracts.values()
        if model.pools[contract.pool].definition.managed
        and contract.mark > 0
        and not contract.unconfirmed
        and takes_over
    ]
    _liquidate(reader, managed)
    for contract in model.contracts.values():
        rules = model.pools[contract.pool].definition.rules
        if contract.mark > 0 and not contract.unconfirmed and rules != "gmx":
            _net_inventory(reader, contract)
    for contract in managed:
        if not contract.active and contract.fund_pays:
            for event in absorbed(model, contract):
                reader.take(event)


def _liquidate(reader: Reader, managed: list[Contract]) -> None:
    for contract in managed:
        for side in SIDES:
            _liquidate_isolated(reader, contract, side)
    for asset in reader.model.units:
        if any(contract.settle == asset for contract in managed):
            _liquidate_cross(reader, [asset], managed)
    collateral = list(reader.model.collateral)
    if any(contract.settle in collateral for contract in managed):
        _liquidate_cross(reader, collateral, managed, together=True)


def _net_inventory(reader: Reader, contract: Contract) -> None:
    """Expect the netting of a pool's own inventory, as far as the pool can pay for it (CORE-32)."""
    pool, (longs, shorts) = reader.model.pools[contract.pool], contract.tranches.values()
    unlimited = pool.definition.rules in UNLIMITED
    while longs and shorts:
        (long, first), (short, second) = (next(iter(side.items())) for side in (longs, shorts))
        event = reader.rest[0] if reader.rest else None
        netted = 0
        if isinstance(event, m.InventoryNetted) and event.contract == contract.name:
            netted = event.lots
        sizes, money = (first.lots, second.lots), max(pool.balance, 0)
        expect(netted == min(sizes) or not unlimited, "less is netted than there is", netted)
        if netted < min(sizes):
            expect(sum(_costs(first, second, netted + 1)) > money, "more can be paid for", netted)
        if not netted:
            return
        costs = _costs(first, second, netted)
        expect(unlimited or sum(costs) <= money, "more is netted than can be paid for", netted)
        reader.take(
            m.InventoryNetted(
                contract=contract.name,
                pool=pool.name,
                long_takeover=long,
                short_takeover=short,
                long_lots=sizes[0],
                short_lots=sizes[1],
                lots=netted,
                mark_ticks=int(contract.mark),
                long_cost_cash=costs[0],
                short_cost_cash=costs[1],
                realized_pnl_cash=-sum(costs),
            )
        )


def _costs(first: Tranche, second: Tranche, lots: int) -> tuple[int, int]:
    return first.cost * lots // first.lots, second.cost * lots // second.lots


def _liquidate_isolated(reader: Reader, contract: Contract, side: Side) -> None:
    below = [
        (account, number, held)
        for (account, number), held in sorted(contract.positions[side].items(), key=lambda i: i[0])
        if held.isolated
        and held.margin + contract.unrealized_pnl(side, held)
        <= _taken_at(reader.model, contract, contract.maintenance(side, held))
    ]
    for account, number, held in below:
        if (side, account, number) in contract.stale:
            continue
        rows = [(contract, side, number, held)]
        take_over(reader, account, rows, None, Reason.EQUITY_BELOW_MAINTENANCE)


def _liquidate_cross(
    reader: Reader, assets: list[str], managed: list[Contract], *, together: bool = False
) -> None:
    """Check cross accounts: pools that take over at maintenance margin first, then vaults.

    `together` are accounts with one margin in these assets, otherwise those with a margin in one.
    """
    model = reader.model
    asset = model.margin_currency if together else assets[0]

    def below() -> list[str]:
        return _below(model, asset, theirs, together=together)

    def rows_of(account: str) -> list[Row]:
        cross = model.cross(account, asset)
        if any(row[0].unconfirmed for row in cross) or model.has_stale_rows(account, asset):
            return []
        return [row for row in cross if row[0] in theirs]

    for vault in (False, True):
        theirs = [c for c in managed if c.settle in assets and _is_vault(model, c) == vault]
        for account in below() if theirs else []:
            netted = net(reader, account, rows_of(account))
            if netted and account not in below():
                continue
            if rows := rows_of(account):
                take_over(reader, account, rows, None, Reason.EQUITY_BELOW_MAINTENANCE)
            settle_netted(reader, account, netted)


def _below(model: Model, asset: str, contracts: list[Contract], *, together: bool) -> list[str]:
    below = []
    for account in sorted(model.accounts):
        if pooled(model, account, asset) != together:
            continue
        rows = model.cross(account, asset)
        if together:
            equity, _, maintenance = pooled_numbers(model, account, asset, rows, haircut=True)
        else:
            equity, maintenance = model.margin(account, asset)
        exposed = maintenance or equity < 0
        if exposed and equity <= _taken_at(model, contracts[0], maintenance):
            below.append(account)
    return below


def _is_vault(model: Model, contract: Contract) -> bool:
    return model.pools[contract.pool].venue.startswith("hyperliquid")


def _taken_at(model: Model, contract: Contract, maintenance: int) -> int:
    """Return the equity at which a managed pool takes over: 2/3 of maintenance for a vault."""
    return 2 * maintenance // 3 if _is_vault(model, contract) else maintenance
