"""What each event does to the model, and that no event loses money or lots."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import msgspec
from collateral_oracle import Collateral
from model import (
    DAY_MS,
    SIDES,
    Account,
    Contract,
    History,
    LastValues,
    Model,
    Pool,
    Position,
    PositionLoss,
    Tranche,
    VenueMargin,
    expect,
    other,
    same,
    sign,
)

from delever.core import messages as m
from delever.core.messages import Event, Side

MOVES_INSIDE = (
    m.TakenOver,
    m.InventoryNetted,
    m.WalletSettled,
    m.WalletSettled,
    m.CollateralTakenOver,
    m.AdlFilled,
    m.FillCancelled,
    m.Compensated,
    m.LossSocialized,
)


def apply(model: Model, event: Event) -> None:
    """Apply one event to the model; check that it only moves money and lots."""
    moves = isinstance(event, MOVES_INSIDE)
    before = totals(model, event) if moves else None
    own = {key: model.own_margin(*key) for key in model.margins if _is_concerned(event, key[0])}
    if effect := EFFECTS.get(type(event)):
        effect(model, event)
    for key, margin in own.items():
        _follow(model.margins[key], margin, model.own_margin(*key))
    if moves:
        after = totals(model, event)
        expect(before == after, "money or lots are not conserved", before, after)


def _is_concerned(event: Any, account: str) -> bool:
    """Return whether an event of the engine itself may change an account's margin."""
    if isinstance(event, m.FillCancelled):
        return bool(event.fill.account == account)
    if isinstance(event, m.LossSocialized | m.PositionsClosed | m.SettlementLossShared):
        return account in event.accounts
    own = (m.TakenOver, m.PositionsNetted, m.WalletSettled, m.AdlFilled)
    return isinstance(event, own) and event.account == account


def _follow(margin: VenueMargin, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Change a submitted margin as the account's own; maintenance ends with the last position."""
    if margin.equity is not None:
        margin.equity += after[0] - before[0]
        if before[1] and not after[1]:
            margin.maintenance = 0


def totals(model: Model, event: Any) -> tuple[int, int, int]:
    """Return net Cash in the settle asset, net lots of the contract, and all of a collateral."""
    name = event.fill.contract if isinstance(event, m.FillCancelled) else event.contract
    contract = model.contracts[name]
    asset = contract.settle
    cash = sum(amount for (_, a), amount in model.wallets.items() if a == asset)
    cash += sum(pool.balance for pool in model.pools.values() if pool.asset == asset)
    held_at_cost = [
        cost
        for pool in model.pools.values()
        if pool.asset == asset
        for _, cost in pool.collateral.values()
    ]
    cash -= sum(held_at_cost)
    lots = 0
    for member in (c for c in model.contracts.values() if c.settle == asset):
        for side in SIDES:
            held = member.positions[side].values()
            cash += sum(p.margin - p.cost for p in held)
            cash -= member.inventory(side)[1]
    for side in SIDES:
        held = contract.positions[side].values()
        lots += sign(side) * (sum(p.lots for p in held) + contract.inventory(side)[0])
    if not isinstance(event, m.CollateralTakenOver):
        return cash, lots, 0
    amounts = [amount for (_, a), amount in model.wallets.items() if a == event.asset]
    pools = [pool.collateral.get(event.asset, (0, 0))[0] for pool in model.pools.values()]
    return cash, lots, sum(amounts) + sum(pools)


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
    known.multi_asset = event.multi_asset
    known.owner = event.owner or event.account


def _collateral(model: Model, event: m.CollateralDefined) -> None:
    definition = event.definition
    if not model.margin_currency:
        model.margin_currency = name = definition.margin_currency
        model.units.setdefault(name, 10**8)
        plain = m.DefineCollateral(time_ms=0, asset=name, index_price=1)
        model.collateral[name] = Collateral(plain, Fraction(1))
    model.units.setdefault(definition.asset, 10**8)
    terms = Collateral(definition, Fraction(definition.index_price))
    model.collateral[definition.asset] = terms
    # conversions go asset by asset in the order in which the assets became known
    model.collateral = {
        name: model.collateral[name] for name in model.units if name in model.collateral
    }


def _index_prices(model: Model, event: m.IndexPricesSet) -> None:
    for asset, price in zip(event.assets, event.index_prices, strict=True):
        model.collateral[asset].price = Fraction(price, 10**10)
        model.collateral[asset].price_rejected = False


def _index_price_rejected(model: Model, event: m.IndexPriceRejected) -> None:
    if event.asset in model.collateral:
        model.collateral[event.asset].price_rejected = True


def _balances(model: Model, event: m.BalancesSet) -> None:
    for account, asset, cash in zip(event.accounts, event.assets, event.balance_cash, strict=True):
        model.wallets[account, asset] = cash
        model.stale_wallets.discard((account, asset))
        _acknowledge(model, account, "balances", event.version, event.last_fill)


def _positions(model: Model, event: m.PositionsSet) -> None:
    contract = model.contracts[event.contract]
    for row, account in enumerate(event.accounts):
        key = (account, event.positions[row])
        for side in (event.side,) if model.accounts[account].hedge else SIDES:
            contract.stale.discard((side, *key))
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


def _margin(model: Model, event: m.AccountMarginSet) -> None:
    margin = VenueMargin(event.version, event.equity_cash, event.maintenance_cash)
    model.margins[event.account, event.asset] = margin


def _row_rejected(model: Model, event: m.RowRejected) -> None:
    if event.asset in model.units:
        model.stale_wallets.add((event.account, event.asset))
    if event.contract in model.contracts and event.side is not None:
        model.contracts[event.contract].stale.add((event.side, event.account, event.position))


def _acknowledge(model: Model, account: str, kind: str, version: int, last_fill: int) -> None:
    """Drop fills that balances and positions both include, and losses that positions include."""
    known = model.accounts[account]
    known.versions[kind] = version
    known.fills[kind] = max(known.fills[kind], last_fill)
    for number, fill in list(model.fills.items()):
        if fill.account == account and number <= min(known.fills.values()):
            del model.fills[number]
    model.compensations = [
        event
        for event in model.compensations
        if event.account != account or event.compensation > known.fills["balances"]
    ]
    losses = model.losses.get(account, ())
    model.losses[account] = [loss for loss in losses if loss.fill > known.fills["positions"]]


def _orders(model: Model, event: m.OpenOrdersSet) -> None:
    model.orders[event.account, event.contract] = event.orders


def _marks(model: Model, event: m.MarksSet) -> None:
    fractions = event.mark_fractions or [0] * len(event.contracts)
    for name, ticks, units in zip(event.contracts, event.mark_ticks, fractions, strict=True):
        contract = model.contracts[name]
        mark = ticks + units * contract.mark_unit / contract.tick
        remember_mark(contract, model.time_ms // 60_000, mark * contract.tick)
        contract.previous_mark = contract.confirmed_mark or mark
        contract.mark, contract.marked_ms = mark, model.time_ms
        contract.mark_rejected = False


def _unconfirmed(model: Model, event: m.MarkUnconfirmed) -> None:
    contract = model.contracts[event.contract]
    fraction = event.confirmed_fraction * contract.mark_unit / contract.tick
    contract.unconfirmed, contract.last_confirmed = True, event.confirmed_ticks + fraction


def _confirmed(model: Model, event: m.MarkConfirmed) -> None:
    contract = model.contracts[event.contract]
    contract.unconfirmed, contract.marked_ms = False, model.time_ms


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
    pool.minutes.shift(event.amount_cash)
    pool.openings.shift(event.amount_cash)  # what operators move is neither gain nor loss of a day
    if contract:
        contract.openings.shift(event.amount_cash)
    if event.amount_cash < 0:  # a withdrawal is no loss
        pool.equities.shift(event.amount_cash)
        if contract:
            contract.pnls.shift(event.amount_cash)


def _moved(model: Model, event: m.ContractMoved) -> None:
    contract, pool = model.contracts[event.contract], model.pools[event.target]
    contract.pool, contract.realized, contract.injected = pool.name, 0, 0
    contract.pnls = History(pool.definition.peak_window_ms)
    contract.pnls.add(model.time_ms, contract.contract_pnl)  # a loss from before is no drawdown
    contract.openings = LastValues(DAY_MS, model.time_ms, contract.contract_pnl)
    expect(not contract.active, "ADL goes on in another pool", contract.name)
    contract.warned.clear()
    contract.exhausted_lots.clear()
    contract.plan_requests.clear()
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
    contract.mark *= price
    contract.previous_mark *= price
    contract.last_confirmed *= price
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
    contract.plan_requests.clear()


def _contract_settled(model: Model, event: m.ContractSettled) -> None:
    contract = model.contracts[event.contract]
    for side in SIDES:
        expect(not contract.positions[side], "a position outlives its contract", contract.name)
        expect(not contract.tranches[side], "inventory outlives its contract", contract.name)
    expect(not contract.active, "ADL goes on in a settled contract", contract.name)
    model.earn(contract, event.rounding_cash)
    contract.status = "settled"
    contract.unconfirmed = contract.mark_rejected = False
    contract.bids = contract.asks = ()
    contract.depth_known = False
    contract.missing_since = dict.fromkeys(SIDES)
    contract.warned.clear()
    contract.stale.clear()
    contract.exhausted_lots.clear()
    contract.plan_requests.clear()
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


def _inventory_netted(model: Model, event: m.InventoryNetted) -> None:
    contract = model.contracts[event.contract]
    for side, takeover, cost in (
        (Side.LONG, event.long_takeover, event.long_cost_cash),
        (Side.SHORT, event.short_takeover, event.short_cost_cash),
    ):
        model.take_inventory(contract, side, takeover, event.lots, cost)
        contract.exhausted_lots.pop(side, None)
    model.earn(contract, event.realized_pnl_cash)


def _settled(model: Model, event: m.WalletSettled) -> None:
    model.pay(event.account, event.asset, -event.amount_cash)
    contract = model.contracts[event.contract]
    expect(event.pool == contract.pool, "another contract's pool pays", event)
    model.earn(contract, event.amount_cash)


def _collateral_taken_over(model: Model, event: m.CollateralTakenOver) -> None:
    pool = model.pools[event.pool]
    model.pay(event.account, event.asset, -event.amount_cash)
    model.pay(event.account, pool.asset, event.value_cash)
    _hold(pool, event.asset, event.amount_cash, event.value_cash)


def _collateral_converted(model: Model, event: m.CollateralConverted) -> None:
    pool = model.pools[event.pool]
    _hold(pool, event.asset, -event.amount_cash, -event.cost_cash)
    pool.balance += event.realized_pnl_cash


def _hold(pool: Pool, asset: str, amount: int, cost: int) -> None:
    before = pool.collateral.pop(asset, (0, 0))
    after = before[0] + amount, before[1] + cost
    if after != (0, 0):
        pool.collateral[asset] = after


def _unwound(model: Model, event: m.Unwound) -> None:
    contract = model.contracts[event.contract]
    model.take_inventory(contract, event.side, event.takeover, event.lots, event.cost_cash)
    model.earn(contract, event.realized_pnl_cash)
    contract.exhausted_lots.pop(event.side, None)


def _compensated(model: Model, event: m.Compensated) -> None:
    same("number of a compensation", event.compensation, model.last_fill + 1)
    model.last_fill = event.compensation
    pool = model.pools[event.pool]
    pool.balance -= event.amount_cash
    pool.equities.shift(-event.amount_cash)
    model.pay(event.account, event.asset, event.amount_cash)
    model.compensations.append(event)


def _observed(model: Model, event: m.PoolObserved) -> None:
    pool = model.pools[event.pool]
    pool.observed = event
    pool.balances.add(model.time_ms, event.balance_cash)
    pool.equities.add(model.time_ms, event.equity_cash)
    pool.openings.add(model.time_ms, event.equity_cash)
    pool.minutes.add(model.time_ms, event.equity_cash)
    for name, profit in zip(event.contracts, event.contract_pnl_cash, strict=True):
        model.contracts[name].pnls.add(model.time_ms, profit)
        model.contracts[name].openings.add(model.time_ms, profit)
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
        contract.plan_requests.clear()


def _paused(model: Model, event: m.AdlPaused) -> None:
    model.contracts[event.contract].paused = event.paused


def _mark_rejected(model: Model, event: m.MarkRejected) -> None:
    contract = model.contracts.get(event.contract)
    if contract is not None and contract.status != "settled":
        contract.mark_rejected = True


def _notice(model: Model, event: m.Notice) -> None:
    if event.kind == "adl_warning":
        model.contracts[event.contract].warned.add(event.subject)
    elif event.kind == "adl_warning_cleared":
        model.contracts[event.contract].warned.remove(event.subject)


def _round(model: Model, event: m.RoundClosed) -> None:
    contract = model.contracts[event.contract]
    contract.exhausted_lots.pop(event.side, None)
    request = contract.plan_requests.pop(event.side, None)
    if request and event.filled_lots < event.wanted_lots:
        contract.plan_requests[event.side] = model.sequence, request[1]


def _plan_wait(model: Model, event: m.PlanWaitSet) -> None:
    contract = model.contracts[event.contract]
    contract.plan_wait_ms = event.wait_ms
    if event.wait_ms == 0:
        contract.plan_requests.clear()


def _plan_requested(model: Model, event: m.PlanRequested) -> None:
    contract = model.contracts[event.contract]
    contract.plan_requests[Side(event.side)] = model.sequence, event.until_ms


def _exhausted(model: Model, event: m.AdlExhausted) -> None:
    model.contracts[event.contract].exhausted_lots[Side(event.side)] = event.remaining_lots


EFFECTS: dict[type[Event], Callable[[Model, Any], None]] = {
    m.Accepted: _accepted,
    m.AssetDefined: _asset,
    m.PoolDefined: _pool,
    m.ContractDefined: _contract,
    m.CollateralDefined: _collateral,
    m.AccountDefined: _account,
    m.BalancesSet: _balances,
    m.PositionsSet: _positions,
    m.OpenOrdersSet: _orders,
    m.MarksSet: _marks,
    m.RowRejected: _row_rejected,
    m.AccountMarginSet: _margin,
    m.MarkRejected: _mark_rejected,
    m.IndexPricesSet: _index_prices,
    m.MarkUnconfirmed: _unconfirmed,
    m.MarkConfirmed: _confirmed,
    m.IndexPriceRejected: _index_price_rejected,
    m.DepthSet: _depth,
    m.DepthSufficiencySet: _watched,
    m.PoolFunded: _funded,
    m.Compensated: _compensated,
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
    m.InventoryNetted: _inventory_netted,
    m.WalletSettled: _settled,
    m.CollateralTakenOver: _collateral_taken_over,
    m.CollateralConverted: _collateral_converted,
    m.Unwound: _unwound,
    m.PoolObserved: _observed,
    m.AdlStarted: _started,
    m.AdlStopped: _stopped,
    m.AdlPaused: _paused,
    m.AdlForced: lambda _model, _event: None,
    m.PlanWaitSet: _plan_wait,
    m.PlanRequested: _plan_requested,
    m.PlanAccepted: lambda _model, _event: None,
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
