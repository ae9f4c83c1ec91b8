"""The events that a valid command must have by itself, or the reason of its rejection."""

import functools
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import amendment_oracle
import row_oracle
import settlement_oracle
import trigger_oracle
from collateral_oracle import pooled
from model import SIDES, Contract, Model, Pool, Position, PositionLoss, nearest, other, sign

from delever.core import messages as m
from delever.core.messages import Event, Reason, Side


class RejectedError(Exception):
    """A check several calls deep rejects the command."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def answer(model: Model, command: m.Command) -> list[Event] | Reason | None:
    """Return a command's events or rejection reason; None for a takeover, checked later."""
    if command.time_ms < model.time_ms:
        return Reason.TIME_IN_PAST
    try:
        return ANSWERS[type(command)](model, command)
    except RejectedError as rejected:
        return rejected.reason


def _asset(_model: Model, command: m.DefineAsset) -> list[Event]:
    return [m.AssetDefined(asset=command.asset, cash_decimals=command.cash_decimals)]


def _pool(_model: Model, command: m.DefinePool) -> list[Event]:
    _check_limits(command.limits, command.rules.partition("+")[0])
    return [m.PoolDefined(definition=command)]


def _check_limits(limits: object, rules: str) -> None:
    if trigger_oracle.ignores_a_limit(limits, rules):
        raise RejectedError(Reason.LIMIT_NOT_SUPPORTED)


def _new_contract(model: Model, command: m.DefineContract) -> list[Event]:
    _check_pool(model, command.pool, command.settle)
    _check_limits(command.limits, model.pools[command.pool].venue)
    return [m.ContractDefined(definition=command)]


def _account(_model: Model, command: m.DefineAccount) -> list[Event]:
    event = m.AccountDefined(
        account=command.account,
        hedge_mode=command.hedge_mode,
        adl_exempt=command.adl_exempt,
        multi_asset=command.multi_asset,
        owner=command.owner,
    )
    return [event]


def _collateral(model: Model, command: m.DefineCollateral) -> list[Event]:
    currency = model.margin_currency or command.margin_currency
    if not currency:
        raise RejectedError(Reason.EMPTY_NAME)
    if command.margin_currency not in ("", currency):
        raise RejectedError(Reason.MARGIN_CURRENCY_MISMATCH)
    if command.asset == currency and Fraction(command.index_price) != 1:
        raise RejectedError(Reason.INVALID_INDEX_PRICE)
    return [m.CollateralDefined(definition=command)]


def _index_prices(model: Model, command: m.SetIndexPrices) -> list[Event]:
    prices: dict[str, int] = {}
    rejected: list[Event] = []
    for asset, price in command.prices.items():
        fault = _price_fault(model, asset, price)
        if fault is None:
            prices[asset] = int(Fraction(price) * 10**10)
            continue
        if command.strict:
            raise RejectedError(fault)
        value = str(price) if fault is Reason.NOT_POSITIVE else asset
        rejected.append(
            m.IndexPriceRejected(asset=asset, reason=fault, field=f"prices.{asset}", value=value)
        )
    failed = command.prices.keys() - prices.keys()
    for asset, terms in model.collateral.items():  # as assets became known
        if asset in failed and not terms.price_rejected:
            rejected.append(m.Notice(m.NoticeKind.INDEX_PRICE_REJECTED, asset, "", "", {}))
    if rejected and not prices:
        return rejected
    taken = m.IndexPricesSet(assets=tuple(prices), index_prices=tuple(prices.values()))
    return [*rejected, taken]


def _price_fault(model: Model, asset: str, price: m.Amount) -> Reason | None:
    if asset not in model.collateral:
        return Reason.UNKNOWN_COLLATERAL
    if Fraction(price) <= 0:
        return Reason.NOT_POSITIVE
    is_unit = asset != model.margin_currency or Fraction(price) == 1
    return None if is_unit else Reason.INVALID_INDEX_PRICE


def _converted(model: Model, command: m.ConvertCollateral) -> list[Event]:
    pool = model.pools[command.pool]
    held, cost = pool.collateral.get(command.asset, (0, 0))
    if held == 0:
        raise RejectedError(Reason.EXCEEDS_POOL_COLLATERAL)
    amount = int(Fraction(command.quantity) * model.units[command.asset])
    proceeds = int(Fraction(command.proceeds) * model.units[pool.asset])
    if amount * held <= 0 or amount * proceeds < 0:
        raise RejectedError(Reason.AMOUNT_SIGN_MISMATCH)
    if abs(amount) > abs(held):
        raise RejectedError(Reason.EXCEEDS_POOL_COLLATERAL)
    cost = cost * amount // held
    event = m.CollateralConverted(
        pool=pool.name,
        asset=command.asset,
        amount_cash=amount,
        cost_cash=cost,
        proceeds_cash=proceeds,
        realized_pnl_cash=proceeds - cost,
    )
    return [event]


def _marks(model: Model, command: m.SetMarks) -> list[Event]:
    split: list[tuple[str, int, int]] = []
    rejected: list[Event] = []
    notices: list[Event] = []
    for name, price in command.marks.items():
        fault = _mark_fault(model, name, price)
        if fault is None:
            contract = model.contracts[name]
            ticks = int(Fraction(price) // contract.tick)
            units = (Fraction(price) - ticks * contract.tick) / contract.mark_unit
            split.append((name, ticks, int(units)))
            continue
        if command.strict:
            raise RejectedError(fault)
        unknown = fault in {Reason.UNKNOWN_CONTRACT, Reason.CONTRACT_SETTLED}
        value = name if unknown else str(price)
        event = m.MarkRejected(contract=name, reason=fault, field=f"marks.{name}", value=value)
        rejected.append(event)
        if not unknown and not model.contracts[name].mark_rejected:
            kind = m.NoticeKind.MARK_REJECTED
            notices.append(m.Notice(kind, fault, "", name, {}))
    if not split and rejected:
        return [*rejected, *notices]
    names, all_ticks, fractions = zip(*split, strict=True) if split else ((), (), ())
    fractions = fractions if any(fractions) else ()
    marks = m.MarksSet(contracts=names, mark_ticks=all_ticks, mark_fractions=fractions)
    return [*rejected, *notices, marks, *_guarded(model, names, command)]


def _guarded(model: Model, names: Iterable[str], command: m.SetMarks) -> Iterator[Event]:
    """Yield which marks move beyond their limits, and which confirm one that did (CORE-33)."""
    for name in names:
        contract = model.contracts[name]
        mark = Fraction(command.marks[name]) / contract.tick
        limit = contract.mark_limits.max_move
        is_guarded = contract.mark_limits != m.MarkLimits() or contract.unconfirmed
        if not is_guarded or not contract.mark or contract.status == "settled":
            continue
        known = (contract.mark, contract.confirmed_mark)
        moves = [abs(mark - before) / Fraction(before) for before in known]
        within = limit is None or min(moves) <= Fraction(limit)
        if within and contract.unconfirmed:
            yield m.MarkConfirmed(contract=name, mark_ticks=int(mark), note="")
        elif not within and not contract.unconfirmed:
            assert limit is not None
            numbers = {
                "move_ppm": int(moves[0] * 10**6 + Fraction(1, 2)),
                "max_move_ppm": int(Fraction(limit) * 10**6),
            }
            yield _unconfirmed(contract, mark, Reason.MARK_MOVED_TOO_FAR, numbers)


def _unconfirmed(
    contract: Contract, mark: Fraction, reason: Reason, numbers: dict[str, int]
) -> m.MarkUnconfirmed:
    ticks = int(contract.mark)
    return m.MarkUnconfirmed(
        contract=contract.name,
        reason=reason,
        mark_ticks=int(mark),
        confirmed_ticks=ticks,
        confirmed_fraction=int((contract.mark - ticks) * contract.tick / contract.mark_unit),
        numbers=numbers,
    )


def too_old(model: Model) -> Iterator[Event]:
    """Yield which marks have become too old."""
    open_ = (contract for contract in model.contracts.values() if contract.status != "settled")
    for contract in open_:
        limit, age_ms = contract.mark_limits.max_age_ms, model.time_ms - contract.marked_ms
        if limit is not None and contract.mark and not contract.unconfirmed and age_ms > limit:
            numbers = {"age_ms": age_ms, "max_age_ms": limit}
            yield _unconfirmed(contract, contract.mark, Reason.MARK_TOO_OLD, numbers)


def _confirmed(model: Model, command: m.ConfirmMark) -> list[Event]:
    contract = _contract(model, command.contract)
    if not contract.unconfirmed:
        raise RejectedError(Reason.MARK_ALREADY_CONFIRMED)
    ticks = int(contract.mark)
    return [m.MarkConfirmed(contract=contract.name, mark_ticks=ticks, note=command.note)]


def _mark_fault(model: Model, name: str, price: m.Amount) -> Reason | None:
    if name not in model.contracts:
        return Reason.UNKNOWN_CONTRACT
    contract = model.contracts[name]
    if contract.status == "settled":
        return Reason.CONTRACT_SETTLED
    if Fraction(price) <= 0:
        return Reason.NOT_POSITIVE
    exact = any(Fraction(price) % unit == 0 for unit in (contract.tick, contract.mark_unit))
    return None if exact else Reason.TOO_MANY_DECIMALS


def _depth(model: Model, command: m.SetDepth) -> list[Event]:
    contract = _contract(model, command.contract)
    bids, asks = (
        tuple((_ticks(contract, price), _lots(contract, lots)) for price, lots in levels)
        for levels in (command.bids, command.asks)
    )
    return [m.DepthSet(contract=contract.name, bids=bids, asks=asks)]


def _cancelled(model: Model, command: m.CancelAdl) -> list[Event]:
    fill = model.fills.get(command.fill)
    if fill is None or command.fill <= max(model.accounts[fill.account].fills.values()):
        raise RejectedError(Reason.FILL_NOT_OUTSTANDING)
    if model.contracts[fill.contract].status == "settled":
        raise RejectedError(Reason.CONTRACT_SETTLED)
    return [m.FillCancelled(fill=fill, note=command.note)]


def _delisted(model: Model, command: m.DelistContract) -> list[Event]:
    contract = _contract(model, command.contract)
    if contract.status == "settled":
        raise RejectedError(Reason.CONTRACT_SETTLED)
    rules = model.pools[contract.pool].definition.rules
    if not (command.fund_pays or trigger_oracle.TRIGGERS[rules]):
        raise RejectedError(Reason.ADL_QUEUE_NOT_SUPPORTED)
    event = m.ContractStatusSet(
        contract=contract.name,
        status=command.status,
        fund_pays=command.fund_pays or command.status == "trading",
        note=command.note,
    )
    return [event]


def _settled(model: Model, command: m.SettleContract) -> list[Event]:
    contract = _contract(model, command.contract)
    if contract.status == "settled":
        raise RejectedError(Reason.CONTRACT_SETTLED)
    return settlement_oracle.settled(contract, command)


def _compensate(model: Model, command: m.Compensate) -> list[Event]:
    """Return the payment by the contract's pool, which must have the money (CORE-34)."""
    if command.account not in model.accounts:
        raise RejectedError(Reason.UNKNOWN_ACCOUNT)
    contract = _contract(model, command.contract)
    if not 0 < command.fill <= model.last_fill:
        raise RejectedError(Reason.UNKNOWN_FILL)
    fill = model.fills.get(command.fill)
    if fill and (fill.account, fill.contract) != (command.account, contract.name):
        raise RejectedError(Reason.FILL_OF_OTHER_POSITION)
    amount = Fraction(command.amount) * model.units[contract.settle]
    if amount.denominator != 1:
        raise RejectedError(Reason.TOO_MANY_DECIMALS)
    if amount <= 0:
        raise RejectedError(Reason.NOT_POSITIVE)
    if amount > model.pools[contract.pool].balance:
        raise RejectedError(Reason.EXCEEDS_POOL_BALANCE)
    return [
        m.Compensated(
            compensation=model.last_fill + 1,
            fill=command.fill,
            account=command.account,
            contract=contract.name,
            pool=contract.pool,
            asset=contract.settle,
            amount_cash=amount.numerator,
            note=command.note,
        )
    ]


def _unwind(model: Model, command: m.UnwindFill) -> list[Event]:
    contract = _contract(model, command.contract)
    lots = _lots(contract, command.quantity)
    held = contract.inventory(command.side)[0]
    if not held:
        raise RejectedError(Reason.EXCEEDS_INVENTORY)
    events: list[Event] = list(
        unwound(contract, command.side, min(lots, held), _ticks(contract, command.price))
    )
    if lots > held:
        numbers = {"reported_lots": lots, "position_lots": held}
        events.append(_too_large_fill(contract.name, command.side, numbers))
    return events


def _too_large_change(change: m.AdlFilled | PositionLoss, held: Position) -> list[Event]:
    if not isinstance(change, m.AdlFilled) or change.lots <= held.lots:
        return []
    lots = {"reported_lots": change.lots, "position_lots": held.lots}
    return [_too_large_fill(change.contract, change.side, {"fill": change.fill, **lots})]


def _too_large_fill(contract: str, side: Side, numbers: dict[str, int]) -> m.Notice:
    return m.Notice(m.NoticeKind.FILL_EXCEEDS_POSITION, side, "", contract, numbers)


def _contract(model: Model, name: str) -> Contract:
    if name not in model.contracts:
        raise RejectedError(Reason.UNKNOWN_CONTRACT)
    return model.contracts[name]


def _ticks(contract: Contract, price: m.Amount) -> int:
    ticks = Fraction(price) / contract.tick
    if Fraction(price) % contract.grid:
        raise RejectedError(Reason.INVALID_TICK_MULTIPLE)
    return ticks.numerator


def _lots(contract: Contract, quantity: m.Amount) -> int:
    lots = Fraction(quantity) / contract.lot
    if lots.denominator != 1:
        raise RejectedError(Reason.INVALID_LOT_MULTIPLE)
    return lots.numerator


def _balances(model: Model, command: m.SetBalances) -> list[Event]:
    events: list[Event] = []
    columns: list[tuple[str, str, int]] = []
    rejected: list[m.RowRejected] = []
    for number, row in enumerate(command.balances):
        if fault := row_oracle.balance_fault(model, row):
            if command.strict:
                raise RejectedError(fault[0])
            rejected.append(row_oracle.balance_rejected(number, row, fault))
            continue
        cash = Fraction(row.balance) * model.units[row.asset]
        if ignored := _stale(model, "balances", number, row.account, command.version):
            events.append(ignored)
            continue
        later = [
            fill.realized_pnl_cash + fill.margin_returned_cash
            for fill in _later_fills(model, row.account, command.last_fill)
            if model.contracts[fill.contract].settle == row.asset
        ]
        later += [
            event.amount_cash
            for event in model.compensations
            if (event.account, event.asset) == (row.account, row.asset)
            and event.compensation > command.last_fill
        ]
        columns.append((row.account, row.asset, cash.numerator + sum(later)))
    if columns:
        accounts, assets, balances = zip(*columns, strict=True)
        event = m.BalancesSet(
            version=command.version,
            last_fill=command.last_fill,
            accounts=accounts,
            assets=assets,
            balance_cash=balances,
        )
        events.append(event)
    return [*events, *row_oracle.with_notices(model, rejected)]


def _positions(model: Model, command: m.SetPositions) -> list[Event]:
    ignored: list[Event] = []
    notices: list[Event] = []
    tables: dict[tuple[str, Side], dict[tuple[str, int], Position]] = {}
    orders: dict[tuple[str, str], list[str]] = {}
    opened: set[tuple[str, str, int, Side]] = set()
    submitted = {(row.account, row.contract, row.position, row.side) for row in command.positions}
    rejected: list[m.RowRejected] = []
    for number, row in enumerate(command.positions):
        fault = row_oracle.position_fault(model, row) or row_oracle.one_way_fault(
            model, row, opened
        )
        stale = _stale(model, "positions", number, row.account, command.version)
        if fault and command.strict:
            raise RejectedError(fault[0])
        if fault:
            submitted.remove((row.account, row.contract, row.position, row.side))
        if stale:
            ignored.append(stale)
            continue
        if fault:
            rejected.append(row_oracle.position_rejected(number, row, fault))
            continue
        held = _position(_contract(model, row.contract), row)
        for change in _later_changes(model, row.account, command.last_fill):
            key = (change.contract, change.side, change.position)
            if key == (row.contract, row.side, row.position):
                notices += _too_large_change(change, held)
                _apply_later(held, change)
        if grown := row_oracle.growth_fault(model.contracts[row.contract], row, held):
            if command.strict:
                raise RejectedError(grown)
            key = (row.account, row.contract, row.position, row.side)
            submitted.remove(key)
            opened.discard(key)
            fault = (grown, "quantity", row.quantity)
            rejected.append(row_oracle.position_rejected(number, row, fault))
            continue
        tables.setdefault((row.contract, row.side), {})[row.account, row.position] = held
        orders.setdefault((row.account, row.contract), []).extend(row.open_orders)
    _close_other_sides(model, tables, submitted)
    events = [_positions_set(command, *key, tables[key]) for key in sorted(tables)]
    changed = [
        m.OpenOrdersSet(account=account, contract=name, orders=tuple(dict.fromkeys(ids)))
        for (account, name), ids in orders.items()
        if tuple(dict.fromkeys(ids)) != model.orders.get((account, name), ())
    ]
    return [*ignored, *notices, *events, *changed, *row_oracle.with_notices(model, rejected)]


def _close_other_sides(
    model: Model,
    tables: dict[tuple[str, Side], dict[tuple[str, int], Position]],
    submitted: set[tuple[str, str, int, Side]],
) -> None:
    """Close what one-way accounts have on the other side of a position that is opened."""
    for (name, side), rows in list(tables.items()):
        for (account, number), held in list(rows.items()):
            against = (account, name, number, other(side))
            is_open = (account, number) in model.contracts[name].positions[other(side)]
            if (
                held.lots
                and is_open
                and not model.accounts[account].hedge
                and against not in submitted
            ):
                tables.setdefault((name, other(side)), {})[account, number] = Position()


def _position(contract: Contract, row: m.PositionRow) -> Position:
    lots = abs(_lots(contract, row.quantity))
    if lots == 0:
        return Position()
    if row.entry_cost is not None:
        size = nearest(Fraction(row.entry_cost) * contract.unit)
    else:
        price = Fraction(row.entry_price or 0)
        size = nearest(lots * contract.size * (price if contract.linear else 1 / price))
    sided = sign(row.side) if contract.linear else -sign(row.side)
    held = Position(lots=lots, cost=sided * size, under_liquidation=row.under_liquidation)
    held.leverage = int(Fraction(row.leverage) * 100)
    if row.isolated_margin is not None:
        held.isolated, held.margin = True, int(Fraction(row.isolated_margin) * contract.unit)
    return held


def _apply_later(held: Position, change: m.AdlFilled | PositionLoss) -> None:
    """Apply a loss, or a fill as far as there are lots, with their part of cost and margin."""
    if isinstance(change, PositionLoss):
        held.cost += change.amount if held.lots else 0
        return
    lots = min(change.lots, held.lots)
    if lots:
        held.cost -= held.cost * lots // held.lots
        held.margin -= held.margin * lots // held.lots
        held.lots -= lots


def _stale(model: Model, kind: str, number: int, account: str, version: int) -> m.RowIgnored | None:
    known = model.accounts[account].versions[kind] if account in model.accounts else -1
    if version >= known:
        return None
    return m.RowIgnored(row=number, account=account, version=version, known_version=known)


def _later_fills(model: Model, account: str, last_fill: int) -> Iterator[m.AdlFilled]:
    for number, fill in model.fills.items():
        if fill.account == account and number > last_fill:
            yield fill


def _later_changes(model: Model, account: str, last_fill: int) -> list[m.AdlFilled | PositionLoss]:
    """Return fills and losses that a snapshot does not include, in order."""
    losses = [loss for loss in model.losses.get(account, ()) if loss.fill > last_fill]
    changes = [*_later_fills(model, account, last_fill), *losses]
    return sorted(changes, key=lambda change: change.fill)


def _positions_set(
    command: m.SetPositions, name: str, side: Side, rows: dict[tuple[str, int], Position]
) -> m.PositionsSet:
    held = list(rows.values())
    return m.PositionsSet(
        version=command.version,
        last_fill=command.last_fill,
        contract=name,
        side=side,
        accounts=tuple(account for account, _ in rows),
        positions=tuple(number for _, number in rows),
        lots=tuple(p.lots for p in held),
        cost_cash=tuple(p.cost for p in held),
        isolated=tuple(p.isolated for p in held),
        margin_cash=tuple(p.margin for p in held),
        leverage_hundredths=tuple(p.leverage for p in held),
        under_liquidation=tuple(p.under_liquidation for p in held),
    )


def _funded(model: Model, command: m.FundPool) -> list[Event]:
    if command.pool not in model.pools:
        raise RejectedError(Reason.UNKNOWN_POOL)
    pool = model.pools[command.pool]
    amount = int(Fraction(command.amount) * model.units[pool.asset])
    inwards, either = command.reason != "withdrawal", command.reason == "correction"
    if amount == 0 or not (either or (amount > 0) == inwards):
        raise RejectedError(Reason.AMOUNT_SIGN_MISMATCH)
    if amount < 0 and not either and pool.balance + amount < 0:
        raise RejectedError(Reason.EXCEEDS_POOL_BALANCE)
    if command.contract is not None and _contract(model, command.contract).pool != pool.name:
        raise RejectedError(Reason.CONTRACT_NOT_IN_POOL)
    event = m.PoolFunded(
        pool=pool.name,
        contract=command.contract,
        amount_cash=amount,
        reason=command.reason,
        note=command.note,
    )
    return [event]


def _moved(model: Model, command: m.MoveContract) -> list[Event]:
    contract = _contract(model, command.contract)
    if command.pool == contract.pool:
        raise RejectedError(Reason.CONTRACT_ALREADY_IN_POOL)
    _check_pool(model, command.pool, contract.settle)
    _check_limits(contract.limits, model.pools[command.pool].venue)
    stopped = [
        m.AdlStopped(
            contract=contract.name,
            pool=contract.pool,
            trigger=trigger,
            reason=Reason.CONTRACT_MOVED_TO_OTHER_POOL,
            numbers={},
        )
        for trigger in contract.active
    ]
    moved = m.ContractMoved(
        contract=contract.name, source=contract.pool, target=command.pool, note=command.note
    )
    return [*stopped, moved]


def _amended(model: Model, command: m.AmendContract) -> list[Event]:
    contract = _contract(model, command.contract)
    return _unless_rejected(amendment_oracle.amended(model, contract, command))


def _pool_amended(model: Model, command: m.AmendPool) -> list[Event]:
    if command.pool not in model.pools:
        raise RejectedError(Reason.UNKNOWN_POOL)
    return _unless_rejected(amendment_oracle.pool_amended(model, command))


def _unless_rejected(events: list[Event] | Reason) -> list[Event]:
    if isinstance(events, Reason):
        raise RejectedError(events)
    return events


def _paused(model: Model, command: m.PauseAdl) -> list[Event]:
    name = _contract(model, command.contract).name
    return [m.AdlPaused(contract=name, paused=command.paused, note=command.note)]


def _forced(model: Model, command: m.ForceAdl) -> list[Event]:
    contract = _contract(model, command.contract)
    if contract.mark == 0:
        raise RejectedError(Reason.MISSING_MARK_PRICE)
    if contract.unconfirmed:
        raise RejectedError(Reason.MARK_UNCONFIRMED)
    if not trigger_oracle.TRIGGERS[model.pools[contract.pool].venue]:
        raise RejectedError(Reason.ADL_QUEUE_NOT_SUPPORTED)
    if not contract.has_inventory:
        raise RejectedError(Reason.NO_INVENTORY_TO_CLOSE)
    return [m.AdlForced(contract=contract.name, note=command.note)]


def _planned(model: Model, command: m.AllocateAdl | m.SetPlanWait) -> list[Event]:
    if isinstance(command, m.AllocateAdl):
        return _unless_rejected(amendment_oracle.plan_accepted(model, command))
    return _unless_rejected(amendment_oracle.plan_wait_set(model, command))


def _check_pool(model: Model, name: str, asset: str) -> None:
    if name not in model.pools:
        raise RejectedError(Reason.UNKNOWN_POOL)
    if model.pools[name].asset != asset:
        raise RejectedError(Reason.POOL_ASSET_MISMATCH)
    if model.pools[name].definition.kind == "isolated" and model.members(name):
        raise RejectedError(Reason.SECOND_CONTRACT_NOT_ALLOWED)


def _taken_over(model: Model, command: m.Takeover) -> None:
    if command.account not in model.accounts:
        raise RejectedError(Reason.UNKNOWN_ACCOUNT)
    if command.contract is not None:
        _contract(model, command.contract)
    rows = named(model, command)
    if not rows:
        raise RejectedError(Reason.NO_OPEN_POSITION)
    if any(_rests_on_unconfirmed(model, command.account, row) for row in rows):
        raise RejectedError(Reason.MARK_UNCONFIRMED)
    if any(contract.mark == 0 for contract, *_ in rows):
        raise RejectedError(Reason.MISSING_MARK_PRICE)
    _check_stale(model, command.account, rows)
    if command.price is not None and command.contract is None:
        raise RejectedError(Reason.PRICE_WITHOUT_CONTRACT)


def _rests_on_unconfirmed(
    model: Model, account: str, row: tuple[Contract, Side, int, Position]
) -> bool:
    bucket = [row] if row[3].isolated else model.cross(account, row[0].settle)
    return any(contract.unconfirmed for contract, *_ in bucket)


def _margin(model: Model, command: m.SetAccountMargin) -> list[Event]:
    if command.account not in model.accounts:
        raise RejectedError(Reason.UNKNOWN_ACCOUNT)
    if pooled(model, command.account, command.asset):
        raise RejectedError(Reason.MULTI_ASSET_ACCOUNT)
    unit = model.units[command.asset]
    amounts = [
        None if amount is None else int(Fraction(amount) * unit)
        for amount in (command.equity, command.maintenance)
    ]
    margin = model.margins.get((command.account, command.asset))
    known = -1 if margin is None else margin.version
    if command.version < known:
        ignored = m.RowIgnored(
            row=0, account=command.account, version=command.version, known_version=known
        )
        return [ignored]
    return [
        m.AccountMarginSet(
            version=command.version,
            account=command.account,
            asset=command.asset,
            equity_cash=amounts[0],
            maintenance_cash=amounts[1],
        )
    ]


def _check_stale(
    model: Model, account: str, rows: list[tuple[Contract, Side, int, Position]]
) -> None:
    for contract, side, number, held in rows:
        cross = not held.isolated and model.has_stale_rows(account, contract.settle)
        if cross or (side, account, number) in contract.stale:
            raise RejectedError(Reason.STALE_ROW)


def named(model: Model, command: m.Takeover) -> list[tuple[Contract, Side, int, Position]]:
    """Return the positions that a takeover names."""
    return [
        row
        for row in model.held(command.account)
        if command.contract in (None, row[0].name) and command.side in (None, row[1])
    ]


def unwound(contract: Contract, side: Side, lots: int, ticks: int) -> Iterator[m.Unwound]:
    """Yield the unwinding of inventory, first in, first out."""
    for takeover in list(contract.tranches[side]):
        closed = min(lots, contract.tranches[side][takeover].lots)
        if closed:
            yield _sale(contract, side, takeover, closed, ticks)
        lots -= closed


def _sale(contract: Contract, side: Side, takeover: int, lots: int, ticks: int) -> m.Unwound:
    """Return the sale of a part of a tranche; its cost is split and rounded down."""
    tranche = contract.tranches[side][takeover]
    value = contract.value(Side.LONG, lots, ticks) * (1 if side == "long" else -1)
    cost = tranche.cost * lots // tranche.lots
    return m.Unwound(
        takeover=takeover,
        contract=contract.name,
        side=side,
        lots=lots,
        price_ticks=ticks,
        value_cash=value,
        cost_cash=cost,
        realized_pnl_cash=value - cost,
    )


UNLIMITED = frozenset({"drift", "injective", "vega", "paradex", "paradex_example", "gmx"})
"""The rule sets whose pools sell more than they can pay for: no queue takes the rest."""


def absorbed(model: Model, contract: Contract) -> Iterator[Event]:
    """Yield the unwinding of a managed pool into depth: best level first, within its slippage.

    CORE-30: the oldest takeover first of which the pool can pay for a lot.
    """
    pool = model.pools[contract.pool]
    for side in SIDES:
        bids, asks = contract.bids, contract.asks
        worst = contract.mark * (1 - sign(side) * pool.slippage) // 1
        levels = list(bids if side == "long" else asks)
        before = list(levels)
        while levels and sign(side) * (levels[0][0] - worst) >= 0:
            ticks, offered = levels[0]
            while sale := _payable_sale(pool, contract, side, offered, ticks):
                yield sale
                offered -= sale.lots
            levels[0:1] = [(ticks, offered)] if offered else []
            if offered:
                break
        if levels != before:
            rest = tuple(levels)
            bids, asks = (rest, asks) if side == "long" else (bids, rest)
            yield m.DepthSet(contract=contract.name, bids=bids, asks=asks)


def _payable_sale(
    pool: Pool, contract: Contract, side: Side, offered: int, ticks: int
) -> m.Unwound | None:
    """Return the next sale that leaves the pool at 0 or above, or is no loss; None without one."""
    for takeover, tranche in contract.tranches[side].items():
        lots = min(offered, tranche.lots)
        if not lots:
            continue
        whole = _sale(contract, side, takeover, lots, ticks)
        loss, money = -whole.realized_pnl_cash, max(pool.balance, 0)
        if pool.definition.rules in UNLIMITED or loss <= money:
            return whole
        sale = functools.partial(_sale, contract, side, takeover, ticks=ticks)
        payable = money * lots // loss  # but for rounding, which moves it by a few lots
        while sale(lots=payable + 1).realized_pnl_cash >= -money:
            payable += 1
        while payable and sale(lots=payable).realized_pnl_cash < -money:
            payable -= 1
        if payable:
            return sale(lots=payable)
    return None


ANSWERS: dict[type[m.Command], Callable[[Model, Any], list[Event] | None]] = {
    m.DefineAsset: _asset,
    m.DefinePool: _pool,
    m.DefineContract: _new_contract,
    m.DefineCollateral: _collateral,
    m.DefineAccount: _account,
    m.SetBalances: _balances,
    m.SetPositions: _positions,
    m.SetAccountMargin: _margin,
    m.SetMarks: _marks,
    m.SetIndexPrices: _index_prices,
    m.SetDepth: _depth,
    m.Takeover: _taken_over,
    m.UnwindFill: _unwind,
    m.ConvertCollateral: _converted,
    m.FundPool: _funded,
    m.MoveContract: _moved,
    m.AmendContract: _amended,
    m.AmendPool: _pool_amended,
    m.DelistContract: _delisted,
    m.SettleContract: _settled,
    m.CancelAdl: _cancelled,
    m.Compensate: _compensate,
    m.PauseAdl: _paused,
    m.ForceAdl: _forced,
    m.SetPlanWait: _planned,
    m.AllocateAdl: _planned,
    m.ConfirmMark: _confirmed,
    m.SetTime: lambda _model, _command: [],
    m.RefreshRatings: lambda _model, _command: [],
    m.RefreshIndicators: lambda _model, _command: [],
}
