"""What each event does to the model, and that no event loses money or lots."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
from model import (
    SIDES,
    Account,
    Contract,
    History,
    Model,
    Pool,
    Position,
    PositionLoss,
    Tranche,
    expect,
    other,
    same,
    sign,
)

from delever.core import messages as m
from delever.core.messages import Event, Side

MOVES_INSIDE = (m.TakenOver, m.WalletSettled, m.AdlFilled, m.FillCancelled, m.LossSocialized)


def apply(model: Model, event: Event) -> None:
    """Apply one event to the model; check that it only moves money and lots."""
    moves = isinstance(event, MOVES_INSIDE)
    before = totals(model, event) if moves else None
    if effect := EFFECTS.get(type(event)):
        effect(model, event)
    if moves:
        after = totals(model, event)
        expect(before == after, "money or lots are not conserved", before, after)


def totals(model: Model, event: Any) -> tuple[int, int]:
    """Return net Cash in the settle asset, and net lots of the contract."""
    name = event.fill.contract if isinstance(event, m.FillCancelled) else event.contract
    contract = model.contracts[name]
    asset = contract.settle
    cash = sum(amount for (_, a), amount in model.wallets.items() if a == asset)
    cash += sum(pool.balance for pool in model.pools.values() if pool.asset == asset)
    lots = 0
    for member in (c for c in model.contracts.values() if c.settle == asset):
        for side in SIDES:
            held = member.positions[side].values()
            cash += sum(p.margin - p.cost for p in held)
            cash -= member.inventory(side)[1]
    for side in SIDES:
        held = contract.positions[side].values()
        lots += sign(side) * (sum(p.lots for p in held) + contract.inventory(side)[0])
    return cash, lots


def _accepted(model: Model, event: m.Accepted) -> None:
    model.sequence, model.time_ms = event.sequence, event.time_ms


def _asset(model: Model, event: m.AssetDefined) -> None:
    model.units[event.asset] = 10**event.cash_decimals


def _pool(model: Model, event: m.PoolDefined) -> None:
    definition = event.definition
    unit = model.units.setdefault(definition.asset, 10**8)
    model.pools[definition.pool] = Pool(definition, unit, model.time_ms)


def _contract(model: Model, event: m.ContractDefined) -> None:
    definition = event.definition
    window = model.pools[definition.pool].definition.peak_window_ms
    contract = Contract(definition, model.units[definition.settle], window, model.time_ms)
    model.contracts[definition.contract] = contract


def _account(model: Model, event: m.AccountDefined) -> None:
    known = model.accounts.setdefault(event.account, Account(False, False))
    known.hedge, known.exempt = event.hedge_mode, event.adl_exempt


def _balances(model: Model, event: m.BalancesSet) -> None:
    for account, asset, cash in zip(event.accounts, event.assets, event.balance_cash, strict=True):
        model.wallets[account, asset] = cash
        _acknowledge(model, account, "balances", event.version, event.last_fill)


def _positions(model: Model, event: m.PositionsSet) -> None:
    contract = model.contracts[event.contract]
    for row, account in enumerate(event.accounts):
        key = (account, event.positions[row])
        contract.positions[event.side].pop(key, None)
        if event.lots[row]:
            contract.positions[event.side][key] = Position(
                event.lots[row],
                event.cost_cash[row],
                event.margin_cash[row],
                event.isolated[row],
                event.leverage_hundredths[row],
                event.under_liquidation[row],
            )
        _acknowledge(model, account, "positions", event.version, event.last_fill)


def _acknowledge(model: Model, account: str, kind: str, version: int, last_fill: int) -> None:
    """Drop fills that balances and positions both include, and losses that positions include."""
    known = model.accounts[account]
    known.versions[kind] = version
    known.fills[kind] = max(known.fills[kind], last_fill)
    for number, fill in list(model.fills.items()):
        if fill.account == account and number <= min(known.fills.values()):
            del model.fills[number]
    losses = model.losses.get(account, ())
    model.losses[account] = [loss for loss in losses if loss.fill > known.fills["positions"]]


def _orders(model: Model, event: m.OpenOrdersSet) -> None:
    model.orders[event.account, event.contract] = event.orders


def _marks(model: Model, event: m.MarksSet) -> None:
    for name, ticks in zip(event.contracts, event.mark_ticks, strict=True):
        contract = model.contracts[name]
        remember_mark(contract, model.time_ms // 60_000, ticks * contract.tick)
        contract.previous_mark, contract.mark = contract.mark or ticks, ticks
        contract.mark_rejected = False


def _depth(model: Model, event: m.DepthSet) -> None:
    contract = model.contracts[event.contract]
    contract.bids, contract.asks, contract.depth_known = event.bids, event.asks, True


def _watched(model: Model, event: m.DepthSufficiencySet) -> None:
    since = None if event.sufficient else model.time_ms
    model.contracts[event.contract].missing_since[event.side] = since


def _funded(model: Model, event: m.PoolFunded) -> None:
    pool = model.pools[event.pool]
    pool.balance += event.amount_cash
    contract = model.contracts[event.contract] if event.contract else None
    if contract:
        contract.injected += event.amount_cash
    if event.amount_cash < 0:  # a withdrawal is no loss
        pool.equities.shift(event.amount_cash)
        if contract:
            contract.pnls.shift(event.amount_cash)


def _moved(model: Model, event: m.ContractMoved) -> None:
    contract, pool = model.contracts[event.contract], model.pools[event.target]
    contract.pool, contract.realized, contract.injected = pool.name, 0, 0
    contract.pnls = History(pool.definition.peak_window_ms)
    contract.pnls.add(model.time_ms, contract.contract_pnl)  # a loss from before is no drawdown
    expect(not contract.active, "ADL goes on in another pool", contract.name)
    contract.warned.clear()
    contract.exhausted_lots.clear()
    for each in model.pools.values():
        each.monitored.discard(contract.name)


def _amended(model: Model, event: m.ContractAmended) -> None:
    """Express everything in the new lot and price unit: each must come out whole."""
    contract, definition = model.contracts[event.contract], event.definition
    unit = Fraction(event.price_unit or definition.tick_size)
    lots = contract.lot / Fraction(definition.lot_size)
    price = contract.tick / unit

    def times(amount: int, ratio: Fraction) -> int:
        same("fraction in a new unit", (amount * ratio).denominator, 1)
        return int(amount * ratio)

    for side in SIDES:
        for held in contract.positions[side].values():
            held.lots = times(held.lots, lots)
        for tranche in contract.tranches[side].values():
            tranche.lots, tranche.ticks = times(tranche.lots, lots), times(tranche.ticks, price)
    contract.mark, contract.previous_mark = (
        times(ticks, price) for ticks in (contract.mark, contract.previous_mark)
    )
    contract.bids, contract.asks = (
        tuple((times(ticks, price), times(n, lots)) for ticks, n in levels)
        for levels in (contract.bids, contract.asks)
    )
    for number, fill in model.fills.items():
        if fill.contract == contract.name:
            model.fills[number] = msgspec.structs.replace(
                fill,
                lots=times(fill.lots, lots),
                quantity_ahead_lots=int(fill.quantity_ahead_lots * lots // 1),
                price_ticks=times(fill.price_ticks, price),
                takeover_price_ticks=times(fill.takeover_price_ticks, price),
            )
    contract.define(definition, unit)
    contract.exhausted_lots.clear()


def _pool_amended(model: Model, event: m.PoolAmended) -> None:
    pool, definition = model.pools[event.pool], event.definition
    members = model.members(pool.name)
    if definition.rules != pool.definition.rules:
        for contract in members:
            contract.exhausted_lots.clear()
            contract.warned.clear()
    pool.define(definition, model.units[pool.asset])
    for history in (pool.balances, pool.equities, *(contract.pnls for contract in members)):
        history.resize(model.time_ms, definition.peak_window_ms)


def _positions_closed(model: Model, event: m.PositionsClosed) -> None:
    contract = model.contracts[event.contract]
    for row, account in enumerate(event.accounts):
        key, margin = (account, event.positions[row]), event.margin_cash[row]
        model.reduce(contract, event.side, key, event.lots[row], event.cost_cash[row], margin)
        paid = event.realized_pnl_cash[row] + margin - event.to_pool_cash[row]
        model.pay(account, contract.settle, paid)
        model.earn(contract, event.to_pool_cash[row])


def _inventory_closed(model: Model, event: m.InventoryClosed) -> None:
    contract = model.contracts[event.contract]
    columns = event.takeovers, event.lots, event.cost_cash, event.realized_pnl_cash
    for takeover, lots, cost, realized in zip(*columns, strict=True):
        model.take_inventory(contract, event.side, takeover, lots, cost)
        model.earn(contract, realized)
    contract.exhausted_lots.pop(event.side, None)


def _status(model: Model, event: m.ContractStatusSet) -> None:
    contract = model.contracts[event.contract]
    contract.status, contract.fund_pays = event.status, event.fund_pays
    contract.exhausted_lots.clear()


def _contract_settled(model: Model, event: m.ContractSettled) -> None:
    contract = model.contracts[event.contract]
    for side in SIDES:
        expect(not contract.positions[side], "a position outlives its contract", contract.name)
        expect(not contract.tranches[side], "inventory outlives its contract", contract.name)
    expect(not contract.active, "ADL goes on in a settled contract", contract.name)
    model.earn(contract, event.rounding_cash)
    contract.status = "settled"
    contract.bids = contract.asks = ()
    contract.depth_known = False
    contract.missing_since = dict.fromkeys(SIDES)
    contract.warned.clear()
    contract.exhausted_lots.clear()
    contract.rated_used = None
    model.orders = {key: ids for key, ids in model.orders.items() if key[1] != contract.name}
    for pool in model.pools.values():
        pool.monitored.discard(contract.name)


def _loss_shared(model: Model, event: m.SettlementLossShared) -> None:
    contract = model.contracts[event.contract]
    for account, amount in zip(event.accounts, event.amount_cash, strict=True):
        model.pay(account, contract.settle, -amount)
        model.earn(contract, amount)


def remember_mark(contract: Contract, minute: int, price: Fraction) -> None:
    """Store the mark of a minute; the newest one before the day is needed for its first change."""
    earlier = [entry for entry in contract.minutes if entry[0] != minute]
    before = [entry for entry in earlier if entry[0] <= minute - 1440]
    within = [entry for entry in earlier if entry[0] > minute - 1440]
    contract.minutes = [*before[-1:], *within, (minute, price)]


def _taken_over(model: Model, event: m.TakenOver) -> None:
    contract = model.contracts[event.contract]
    key = (event.account, event.position)
    model.reduce(contract, event.side, key, event.lots, event.cost_cash, event.margin_cash)
    model.pay(event.account, contract.settle, event.to_wallet_cash)
    model.earn(contract, event.to_pool_cash)
    contract.tranches[event.side][event.takeover] = Tranche(
        account=event.account,
        lots=event.lots,
        cost=event.value_cash,
        ticks=event.price_ticks,
        equity=event.equity_cash,
        maintenance=event.maintenance_cash,
    )
    model.last_takeover = event.takeover


def _netted(model: Model, event: m.PositionsNetted) -> None:
    contract, account = model.contracts[event.contract], event.account
    for side, number, cost in (
        (Side.LONG, event.long_position, event.long_cost_cash),
        (Side.SHORT, event.short_position, event.short_cost_cash),
    ):
        model.reduce(contract, side, (account, number), event.lots, cost, 0)
    model.pay(account, contract.settle, event.realized_pnl_cash)


def _settled(model: Model, event: m.WalletSettled) -> None:
    model.pay(event.account, event.asset, -event.amount_cash)
    contract = model.contracts[event.contract]
    expect(event.pool == contract.pool, "another contract's pool pays", event)
    model.earn(contract, event.amount_cash)


def _unwound(model: Model, event: m.Unwound) -> None:
    contract = model.contracts[event.contract]
    model.take_inventory(contract, event.side, event.takeover, event.lots, event.cost_cash)
    model.earn(contract, event.realized_pnl_cash)
    contract.exhausted_lots.pop(event.side, None)


def _observed(model: Model, event: m.PoolObserved) -> None:
    pool = model.pools[event.pool]
    pool.observed = event
    pool.balances.add(model.time_ms, event.balance_cash)
    pool.equities.add(model.time_ms, event.equity_cash)
    for name, profit in zip(event.contracts, event.contract_pnl_cash, strict=True):
        model.contracts[name].pnls.add(model.time_ms, profit)
        pool.monitored.add(name)


def _filled(model: Model, event: m.AdlFilled) -> None:
    contract = model.contracts[event.contract]
    key = (event.account, event.position)
    model.reduce(contract, event.side, key, event.lots, event.cost_cash, event.margin_returned_cash)
    model.pay(event.account, contract.settle, event.realized_pnl_cash + event.margin_returned_cash)
    inventory = other(event.side)
    model.take_inventory(contract, inventory, event.takeover, event.lots, event.pool_cost_cash)
    model.earn(contract, event.pool_realized_pnl_cash)
    model.fills[event.fill] = event
    model.last_fill = event.fill


def _cancelled(model: Model, event: m.FillCancelled) -> None:
    fill = event.fill
    contract, side = model.contracts[fill.contract], fill.side
    held = contract.positions[side].setdefault(
        (fill.account, fill.position),
        Position(isolated=fill.isolated, leverage=fill.leverage_hundredths),
    )
    held.lots += fill.lots
    held.cost += fill.cost_cash
    held.margin += fill.margin_returned_cash
    model.pay(fill.account, contract.settle, -fill.realized_pnl_cash - fill.margin_returned_cash)
    tranche = contract.tranches[other(side)].setdefault(
        fill.takeover, Tranche(fill.liquidated_account, 0, 0, fill.takeover_price_ticks)
    )
    tranche.lots += fill.lots
    tranche.cost += fill.pool_cost_cash
    model.pools[fill.pool].balance -= fill.pool_realized_pnl_cash
    if fill.pool == contract.pool:
        contract.realized -= fill.pool_realized_pnl_cash
    del model.fills[fill.fill]


def _socialized(model: Model, event: m.LossSocialized) -> None:
    """Raise each position's cost by its share of the loss, and credit the pool."""
    contract = model.contracts[event.contract]
    same("number of a loss", event.fill, model.last_fill + 1)
    model.last_fill = event.fill
    columns = event.accounts, event.sides, event.positions, event.amount_cash
    for account, side, number, amount in zip(*columns, strict=True):
        expect(amount > 0, "a share of the loss is not positive", account, amount)
        contract.positions[side][account, number].cost += amount
        model.earn(contract, amount)
        loss = PositionLoss(event.fill, event.contract, side, number, amount)
        model.losses.setdefault(account, []).append(loss)


def _ratings(model: Model, event: m.RatingsSet) -> None:
    for rating in event.ratings:
        model.contracts[rating.contract].rated_used = rating.trigger_used_ppm


def _haircut(model: Model, event: m.WithdrawalHaircutSet) -> None:
    model.pools[event.pool].haircut_ppm = event.haircut_ppm


def _started(model: Model, event: m.AdlStarted) -> None:
    contract = model.contracts[event.contract]
    contract.active[event.trigger] = None
    contract.warned.discard(event.trigger)


def _stopped(model: Model, event: m.AdlStopped) -> None:
    contract = model.contracts[event.contract]
    del contract.active[event.trigger]
    if not contract.active:
        contract.exhausted_lots.clear()


def _paused(model: Model, event: m.AdlPaused) -> None:
    model.contracts[event.contract].paused = event.paused


def _mark_rejected(model: Model, event: m.MarkRejected) -> None:
    if event.contract in model.contracts:
        model.contracts[event.contract].mark_rejected = True


def _notice(model: Model, event: m.Notice) -> None:
    if event.kind == "adl_warning":
        model.contracts[event.contract].warned.add(event.subject)
    elif event.kind == "adl_warning_cleared":
        model.contracts[event.contract].warned.remove(event.subject)


def _round(model: Model, event: m.RoundClosed) -> None:
    model.contracts[event.contract].exhausted_lots.pop(event.side, None)


def _exhausted(model: Model, event: m.AdlExhausted) -> None:
    model.contracts[event.contract].exhausted_lots[Side(event.side)] = event.remaining_lots


EFFECTS: dict[type[Event], Callable[[Model, Any], None]] = {
    m.Accepted: _accepted,
    m.AssetDefined: _asset,
    m.PoolDefined: _pool,
    m.ContractDefined: _contract,
    m.AccountDefined: _account,
    m.BalancesSet: _balances,
    m.PositionsSet: _positions,
    m.OpenOrdersSet: _orders,
    m.MarksSet: _marks,
    m.MarkRejected: _mark_rejected,
    m.DepthSet: _depth,
    m.DepthSufficiencySet: _watched,
    m.PoolFunded: _funded,
    m.ContractMoved: _moved,
    m.ContractAmended: _amended,
    m.PoolAmended: _pool_amended,
    m.PositionsClosed: _positions_closed,
    m.InventoryClosed: _inventory_closed,
    m.ContractStatusSet: _status,
    m.ContractSettled: _contract_settled,
    m.SettlementLossShared: _loss_shared,
    m.TakenOver: _taken_over,
    m.PositionsNetted: _netted,
    m.WalletSettled: _settled,
    m.Unwound: _unwound,
    m.PoolObserved: _observed,
    m.AdlStarted: _started,
    m.AdlStopped: _stopped,
    m.AdlPaused: _paused,
    m.AdlForced: lambda _model, _event: None,
    m.AdlFilled: _filled,
    m.FillCancelled: _cancelled,
    m.LossSocialized: _socialized,
    m.WithdrawalHaircutSet: _haircut,
    m.RoundClosed: _round,
    m.AdlExhausted: _exhausted,
    m.RatingsSet: _ratings,
    m.IndicatorsPublished: lambda _model, _event: None,
    m.Notice: _notice,
}
