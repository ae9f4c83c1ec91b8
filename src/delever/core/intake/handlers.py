"""Commands -> events, or a rejection with field, value and reason.

Every field of a command is validated here, before anything is applied, so that a command is applied
whole or not at all. Rows that a venue may well send late or twice, with a version older than the
book's, are not rejected but ignored, with a reason.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.intake.bulk_snapshots import (
    define_accounts,
    set_balance_columns,
    set_position_columns,
)
from delever.core.intake.collateral import convert_collateral, define_collateral, set_index_prices
from delever.core.intake.live_terms.adl_plans import accept_plan, set_plan_wait
from delever.core.intake.live_terms.amendments import amend_contract, amend_pool, amended_pool
from delever.core.intake.live_terms.delisting import delist_contract, settle_contract
from delever.core.intake.marks import confirm_mark, reject_unconfirmed, set_marks
from delever.core.intake.snapshots import (
    fill_exceeds_position,
    set_account_margin,
    set_balances,
    set_positions,
)
from delever.core.market.contract_terms import terms_of
from delever.core.market.mark_limits import exact_mark_limits
from delever.core.market.validation import (
    Rejection,
    read_cash,
    read_count,
    read_scaled,
    reject_unless,
)
from delever.core.messages import Event, FundingReason, PoolKind, Reason, Side, TriggerLimits
from delever.core.rules import rule_set_of, rule_sets_of, rules_digest
from delever.core.units import PPM, Ticks
from delever.core.valuation.bankruptcy import (
    OpenPosition,
    cross_positions,
    open_positions,
    take_over,
)
from delever.core.valuation.insurance import unwind
from delever.core.valuation.netting import net_legs, settle_netted
from delever.core.valuation.numeric_range import (
    POOL_LIMIT,
    check_cancellation,
    check_range,
    depth_fits,
    funding_fits,
    move_fits,
    takeover_fits,
    unwinding_fits,
)
from delever.core.valuation.stale_rows import are_stale

MAX_CASH_DECIMALS = 12


def admit(book: Book, command: m.Command) -> list[Event] | m.Rejected:
    """Return the events of the command itself, or its rejection."""
    try:
        _check_time(book, command)
        return list(_HANDLERS[type(command)](book, command))
    except Rejection as rejection:
        return rejection_of(command, rejection)


def rejection_of(command: m.Command, rejection: Rejection) -> m.Rejected:
    """Return the event of a command that is rejected."""
    return m.Rejected(
        command=str(command.__struct_config__.tag),
        reason=rejection.reason,
        field=rejection.field,
        value=rejection.value,
    )


def _check_time(book: Book, command: m.Command) -> None:
    """Reject a time in the past, and a jump ahead that needs an operator's confirmation."""
    time_ms, limit_ms = read_count("time_ms", command.time_ms), book.max_time_jump_ms
    if time_ms < book.time_ms:
        raise Rejection("time_ms", time_ms, Reason.TIME_IN_PAST)
    if limit_ms > 0 and book.time_ms > 0 and time_ms - book.time_ms > limit_ms:
        confirmed = isinstance(command, m.SetTime) and command.confirmed
        reject_unless(confirmed, "time_ms", time_ms, Reason.TIME_JUMP_HELD)


def _define_asset(book: Book, command: m.DefineAsset) -> list[Event]:
    reject_unless(bool(command.asset), "asset", "", Reason.EMPTY_NAME)
    decimals = command.cash_decimals
    reject_unless(
        0 <= decimals <= MAX_CASH_DECIMALS, "cash_decimals", decimals, Reason.OUT_OF_RANGE
    )
    reject_unless(
        command.asset not in book.assets, "asset", command.asset, Reason.ASSET_ALREADY_DEFINED
    )
    return [m.AssetDefined(asset=command.asset, cash_decimals=decimals)]


def _define_pool(book: Book, command: m.DefinePool) -> list[Event]:
    _check_new_name("pool", command.pool, book.pools)
    reject_unless(bool(command.asset), "asset", "", Reason.EMPTY_NAME)
    _check_pool_rules(book, command)
    digest = rules_digest(book, command.rules)
    return [m.PoolDefined(definition=command, rules_digest=digest)]


def _check_pool_rules(book: Book, pool: m.DefinePool) -> None:
    """Reject a pool's definition with an invalid rule set, slippage, window or limit."""
    reject_unless(pool.rules in rule_sets_of(book), "rules", pool.rules, Reason.UNKNOWN_RULE_SET)
    slippage = read_scaled("max_slippage", pool.max_slippage, 6)
    reject_unless(0 <= slippage <= PPM, "max_slippage", pool.max_slippage, Reason.OUT_OF_RANGE)
    window_ms = read_count("peak_window_ms", pool.peak_window_ms)
    reject_unless(window_ms > 0, "peak_window_ms", window_ms, Reason.NOT_POSITIVE)
    _check_limits(book, pool.asset, pool.rules, pool.limits)
    if pool.managed:
        _check_managed_limits(book, pool.rules, pool.limits)


def _define_contract(book: Book, command: m.DefineContract) -> list[Event]:
    _check_new_name("contract", command.contract, book.contracts)
    _check_pool_accepts(book, command.pool, command.settle)
    terms_of(command, book.cash_decimals(command.settle))
    rules = book.pools[command.pool].definition.rules
    _check_limits(book, command.settle, rules, command.limits)
    exact_mark_limits(command.mark_limits)
    return [m.ContractDefined(definition=command)]


def _define_account(_book: Book, command: m.DefineAccount) -> list[Event]:
    reject_unless(bool(command.account), "account", "", Reason.EMPTY_NAME)
    return [
        m.AccountDefined(
            account=command.account,
            hedge_mode=command.hedge_mode,
            adl_exempt=command.adl_exempt,
            multi_asset=command.multi_asset,
            owner=command.owner,
        )
    ]


def _set_depth(book: Book, command: m.SetDepth) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    bids = _levels(state, "bids", command.bids, Side.LONG)
    asks = _levels(state, "asks", command.asks, Side.SHORT)
    if bids:  # the pool pays no more than the mark and its slippage for what asks offer
        fits = depth_fits(book, state, bids)
        price = command.bids[0][0]
        reject_unless(fits, "bids[0].price", price, Reason.EXCEEDS_NUMERIC_RANGE)
    return [m.DepthSet(contract=command.contract, bids=bids, asks=asks)]


def _levels(
    state: ContractState, field: str, levels: tuple[tuple[m.Amount, m.Amount], ...], closes: Side
) -> tuple[tuple[int, int], ...]:
    """Return price levels in ticks and lots; bids must fall (they close longs), asks must rise."""
    exact: list[tuple[int, int]] = []
    for number, (price, quantity) in enumerate(levels):
        ticks = state.terms.read_ticks(f"{field}[{number}].price", price)
        lots = state.terms.read_lots(f"{field}[{number}].quantity", quantity)
        reject_unless(lots > 0, f"{field}[{number}].quantity", quantity, Reason.NOT_POSITIVE)
        fits = state.terms.fits_int64(lots, ticks)
        reject_unless(fits, f"{field}[{number}].price", price, Reason.EXCEEDS_NUMERIC_RANGE)
        in_order = not exact or closes.sign * (exact[-1][0] - ticks) > 0
        reject_unless(in_order, f"{field}[{number}].price", price, Reason.INVALID_DEPTH_ORDER)
        exact.append((ticks, lots))
    return tuple(exact)


def _takeover(book: Book, command: m.Takeover) -> list[Event]:
    if command.account not in book.accounts.index:
        raise Rejection("account", command.account, Reason.UNKNOWN_ACCOUNT)
    if command.contract is not None:
        _contract(book, "contract", command.contract)
    holdings = _named(book, command)
    for holding in _margined_with(book, holdings):
        reject_unconfirmed(holding.state, "account")
    reject_unless(bool(holdings), "account", command.account, Reason.NO_OPEN_POSITION)
    for holding in holdings:
        name = holding.state.name
        reject_unless(holding.state.mark > 0, "contract", name, Reason.MISSING_MARK_PRICE)
    reject_unless(not are_stale(book, holdings), "account", command.account, Reason.STALE_ROW)
    ticks: Ticks | None = None
    if command.price is not None:
        if command.contract is None:
            raise Rejection("contract", "", Reason.PRICE_WITHOUT_CONTRACT)
        ticks = holdings[0].state.terms.read_ticks("price", command.price)
        for holding in holdings:
            lots = int(holding.state.tables[holding.side].lots[holding.row])
            fits = holding.state.terms.fits_int64(lots, ticks)
            reject_unless(fits, "price", command.price, Reason.EXCEEDS_NUMERIC_RANGE)
    taken = take_over(book, holdings, ticks, Reason.VENUE_TAKEOVER)
    fits = takeover_fits(book, taken)
    reject_unless(fits, "account", command.account, Reason.EXCEEDS_NUMERIC_RANGE)
    if command.side is not None:
        return []
    names = {holding.state.name for holding in holdings}
    nets = {name for name in names if rule_set_of(book, book.contracts[name]).nets_hedged_legs}
    return list(net_legs(book, holdings, nets))


def _margined_with(book: Book, holdings: Iterable[OpenPosition]) -> Iterator[OpenPosition]:
    """Yield positions, and the cross positions on whose equity cross ones among them depend."""
    for holding in holdings:
        yield holding
        if not holding.isolated:
            yield from cross_positions(book, holding.account, holding.state.terms.settle)


def take_over_named(book: Book, command: m.Takeover, netted: Iterable[Event]) -> Iterator[Event]:
    """Yield the takeover of what a command names, after its positions have been netted.

    Where nothing is left of a cross account, the pool pays what its wallet lacks.
    """
    ticks: Ticks | None = None
    if command.price is not None and command.contract is not None:
        ticks = book.contracts[command.contract].terms.read_ticks("price", command.price)
    yield from take_over(book, _named(book, command), ticks, Reason.VENUE_TAKEOVER)
    account = book.accounts.index[command.account]
    for name in dict.fromkeys(e.contract for e in netted if isinstance(e, m.PositionsNetted)):
        yield from settle_netted(book, account, book.contracts[name])


def _named(book: Book, command: m.Takeover) -> list[OpenPosition]:
    """Return the open positions that a takeover names."""
    return [
        holding
        for holding in open_positions(book, book.accounts.index[command.account])
        if command.contract in (None, holding.state.name) and command.side in (None, holding.side)
    ]


def _unwind_fill(book: Book, command: m.UnwindFill) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    lots = state.terms.read_lots("quantity", command.quantity)
    reject_unless(lots > 0, "quantity", command.quantity, Reason.NOT_POSITIVE)
    inventory = state.inventory[command.side].total_lots
    reject_unless(inventory > 0, "quantity", command.quantity, Reason.EXCEEDS_INVENTORY)
    closed = min(lots, inventory)
    ticks = state.terms.read_ticks("price", command.price)
    fits = state.terms.fits_int64(closed, ticks)
    reject_unless(fits, "price", command.price, Reason.EXCEEDS_NUMERIC_RANGE)
    unwound = tuple(unwind(state, command.side, closed, ticks))
    fits = unwinding_fits(book, state, sum(event.realized_pnl_cash for event in unwound))
    reject_unless(fits, "price", command.price, Reason.EXCEEDS_NUMERIC_RANGE)
    if lots <= inventory:
        return [*unwound]
    return [*unwound, fill_exceeds_position(state.name, command.side, lots, inventory)]


_OUTFLOWS = {FundingReason.WITHDRAWAL}
_EITHER_SIGN = {FundingReason.CORRECTION}


def _fund_pool(book: Book, command: m.FundPool) -> list[Event]:
    pool = book.pools.get(command.pool)
    if pool is None:
        raise Rejection("pool", command.pool, Reason.UNKNOWN_POOL)
    decimals = book.asset(pool.asset).cash_decimals
    amount = read_cash("amount", command.amount, decimals, POOL_LIMIT)
    sign_fits = amount != 0 and (
        command.reason in _EITHER_SIGN or (amount < 0) == (command.reason in _OUTFLOWS)
    )
    reject_unless(sign_fits, "amount", command.amount, Reason.AMOUNT_SIGN_MISMATCH)
    balance = pool.balance + amount
    fits = funding_fits(book, pool, amount, command.contract)
    reject_unless(fits, "amount", command.amount, Reason.EXCEEDS_NUMERIC_RANGE)
    covered = amount > 0 or balance >= 0 or command.reason is FundingReason.CORRECTION
    reject_unless(covered, "amount", command.amount, Reason.EXCEEDS_POOL_BALANCE)
    if command.contract is not None:
        member = _contract(book, "contract", command.contract).pool == pool.name
        reject_unless(member, "contract", command.contract, Reason.CONTRACT_NOT_IN_POOL)
    return [
        m.PoolFunded(
            pool=pool.name,
            contract=command.contract,
            amount_cash=amount,
            reason=command.reason,
            note=command.note,
        )
    ]


def _move_contract(book: Book, command: m.MoveContract) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    moves = command.pool != state.pool
    reject_unless(moves, "pool", command.pool, Reason.CONTRACT_ALREADY_IN_POOL)
    _check_pool_accepts(book, command.pool, state.terms.settle)
    rules = book.pools[command.pool].definition.rules
    supported = not _unsupported_limits(book, state.definition.limits, rules)
    reject_unless(supported, "pool", rules, Reason.LIMIT_NOT_SUPPORTED)
    fits = move_fits(book, state, book.pools[command.pool])
    reject_unless(fits, "pool", command.pool, Reason.EXCEEDS_NUMERIC_RANGE)
    stopped = [
        m.AdlStopped(
            contract=state.name,
            pool=state.pool,
            trigger=trigger,
            reason=Reason.CONTRACT_MOVED_TO_OTHER_POOL,
            numbers={},
        )
        for trigger in state.active
    ]
    moved = m.ContractMoved(
        contract=state.name, source=state.pool, target=command.pool, note=command.note
    )
    return [*stopped, moved]


def _amend_contract(book: Book, command: m.AmendContract) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    if command.limits is not None:
        rules = book.pool_of(state).definition.rules
        _check_limits(book, state.terms.settle, rules, command.limits)
    if command.mark_limits is not None:
        exact_mark_limits(command.mark_limits)
    return list(amend_contract(book, state, command))


def _delist_contract(book: Book, command: m.DelistContract) -> list[Event]:
    return list(delist_contract(book, _unsettled(book, command.contract), command))


def _settle_contract(book: Book, command: m.SettleContract) -> list[Event]:
    return list(settle_contract(book, _unsettled(book, command.contract), command))


def _unsettled(book: Book, name: str) -> ContractState:
    """Return a contract that is not settled."""
    state = _contract(book, "contract", name)
    settled = state.status is m.TradingStatus.SETTLED
    reject_unless(not settled, "contract", name, Reason.CONTRACT_SETTLED)
    return state


def _amend_pool(book: Book, command: m.AmendPool) -> list[Event]:
    pool = book.pools.get(command.pool)
    if pool is None:
        raise Rejection("pool", command.pool, Reason.UNKNOWN_POOL)
    definition = amended_pool(command, pool.definition)
    _check_pool_rules(book, definition)
    for state in book.members(pool):
        unsupported = _unsupported_limits(book, state.definition.limits, definition.rules)
        reject_unless(not unsupported, "rules", definition.rules, Reason.LIMIT_NOT_SUPPORTED)
    return list(amend_pool(book, command, definition))


def _cancel_adl(book: Book, command: m.CancelAdl) -> list[Event]:
    fill = book.outstanding.fills.get(command.fill)
    if fill is None:
        raise Rejection("fill", command.fill, Reason.FILL_NOT_OUTSTANDING)
    account = book.accounts.index[fill.account]
    included = max(book.accounts.balances_fill[account], book.accounts.positions_fill[account])
    reject_unless(fill.fill > included, "fill", fill.fill, Reason.FILL_NOT_OUTSTANDING)
    settled = book.contracts[fill.contract].status is m.TradingStatus.SETTLED
    reject_unless(not settled, "fill", fill.fill, Reason.CONTRACT_SETTLED)
    check_cancellation(book, fill)
    return [m.FillCancelled(fill=fill, note=command.note)]


def _compensate(book: Book, command: m.Compensate) -> list[Event]:
    if command.account not in book.accounts.index:
        raise Rejection("account", command.account, Reason.UNKNOWN_ACCOUNT)
    state = _contract(book, "contract", command.contract)
    known = 0 < command.fill <= book.last_fill
    reject_unless(known, "fill", command.fill, Reason.UNKNOWN_FILL)
    fill, position = book.outstanding.fills.get(command.fill), (command.account, state.name)
    is_own = fill is None or (fill.account, fill.contract) == position
    reject_unless(is_own, "fill", command.fill, Reason.FILL_OF_OTHER_POSITION)
    asset, pool = book.asset_of(state), book.pool_of(state)
    amount = read_cash("amount", command.amount, asset.cash_decimals)
    reject_unless(amount > 0, "amount", command.amount, Reason.NOT_POSITIVE)
    reject_unless(amount <= pool.balance, "amount", command.amount, Reason.EXCEEDS_POOL_BALANCE)
    balance = asset.wallets.balance.item(book.accounts.index[command.account]) + amount
    check_range(book, {}, max_balance={asset.name: abs(balance)})
    return [
        m.Compensated(
            compensation=book.last_fill + 1,
            fill=command.fill,
            account=command.account,
            contract=state.name,
            pool=pool.name,
            asset=asset.name,
            amount_cash=amount,
            note=command.note,
        )
    ]


def _pause_adl(book: Book, command: m.PauseAdl) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    return [m.AdlPaused(contract=state.name, paused=command.paused, note=command.note)]


def _force_adl(book: Book, command: m.ForceAdl) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    reject_unless(state.mark > 0, "contract", state.name, Reason.MISSING_MARK_PRICE)
    reject_unconfirmed(state, "contract")
    rules = rule_set_of(book, state)
    reject_unless(bool(rules.cases), "contract", state.name, Reason.ADL_QUEUE_NOT_SUPPORTED)
    reject_unless(state.has_inventory, "contract", state.name, Reason.NO_INVENTORY_TO_CLOSE)
    return [m.AdlForced(contract=state.name, note=command.note)]


def _set_plan_wait(book: Book, command: m.SetPlanWait) -> list[Event]:
    return [set_plan_wait(_unsettled(book, command.contract), command)]


def _refresh_ratings(book: Book, command: m.RefreshRatings) -> list[Event]:
    for number, name in enumerate(command.contracts):
        field = f"contracts[{number}]"
        reject_unless(name not in command.contracts[:number], field, name, Reason.DUPLICATE_ROW)
        has_mark = _contract(book, field, name).mark > 0
        reject_unless(has_mark, field, name, Reason.MISSING_MARK_PRICE)
    return []


def _refresh_indicators(_book: Book, _command: m.RefreshIndicators) -> list[Event]:
    return []


def _set_time(_book: Book, _command: m.SetTime) -> list[Event]:
    return []


def _contract(book: Book, field: str, name: str) -> ContractState:
    state = book.contracts.get(name)
    if state is None:
        raise Rejection(field, name, Reason.UNKNOWN_CONTRACT)
    return state


def _check_new_name(field: str, name: str, known: dict[str, Any]) -> None:
    reject_unless(bool(name), field, "", Reason.EMPTY_NAME)
    reject_unless(name not in known, field, name, Reason.ALREADY_DEFINED)


def _check_pool_accepts(book: Book, name: str, asset: str) -> None:
    """Reject a pool that is unknown, has another asset, or is isolated and has a contract."""
    pool = book.pools.get(name)
    if pool is None:
        raise Rejection("pool", name, Reason.UNKNOWN_POOL)
    reject_unless(pool.asset == asset, "pool", name, Reason.POOL_ASSET_MISMATCH)
    free = pool.definition.kind is not PoolKind.ISOLATED or not book.members(pool)
    reject_unless(free, "pool", name, Reason.SECOND_CONTRACT_NOT_ALLOWED)


_RATIOS = {
    **dict.fromkeys(("start", "stop"), 10 * PPM),
    **dict.fromkeys(("contract_daily_loss", "pool_daily_loss", "vault_cap"), PPM),
}
"""Limits that are ratios, with the largest that is accepted, in ppm."""


def _check_limits(book: Book, asset: str, rules: str, limits: TriggerLimits) -> None:
    """Reject limits that are invalid, and those that no trigger of the rule set reads."""
    ratios = {}
    for field, top_ppm in _RATIOS.items():
        amount = getattr(limits, field)
        if amount is not None:
            ratios[field] = read_scaled(f"limits.{field}", amount, 6)
            in_range = 0 < ratios[field] <= top_ppm
            reject_unless(in_range, f"limits.{field}", amount, Reason.OUT_OF_RANGE)
    if limits.start is not None and limits.stop is not None:
        in_order = ratios["start"] >= ratios["stop"]
        reject_unless(in_order, "limits.start", limits.start, Reason.INVALID_TRIGGER_LIMITS)
    if limits.trigger_threshold is not None:
        decimals = book.cash_decimals(asset)
        read_cash("limits.trigger_threshold", limits.trigger_threshold, decimals)
    for field in ("stop_equity", "takeover_loss", "loss_threshold", "backlog"):
        amount = getattr(limits, field)
        if amount is not None:
            cash = read_cash(f"limits.{field}", amount, book.cash_decimals(asset))
            reject_unless(cash >= 0, f"limits.{field}", amount, Reason.NEGATIVE_NOT_ALLOWED)
    if limits.wait_ms is not None:
        read_count("limits.wait_ms", limits.wait_ms)
    for field in _unsupported_limits(book, limits, rules):
        raise Rejection(f"limits.{field}", rules, Reason.LIMIT_NOT_SUPPORTED)


def _check_managed_limits(book: Book, rules: str, limits: TriggerLimits) -> None:
    """Reject the limits of a managed pool that lack one for which its rule set has no number."""
    for field in rule_sets_of(book)[rules].managed_limits:
        is_set = getattr(limits, field) is not None
        reject_unless(is_set, f"limits.{field}", rules, Reason.LIMIT_REQUIRED)


def _unsupported_limits(book: Book, limits: TriggerLimits, rules: str) -> list[str]:
    """Return the fields with a limit that no trigger of the rule set reads."""
    read = rule_sets_of(book)[rules].limit_fields
    fields = limits.__struct_fields__
    return [name for name in fields if getattr(limits, name) is not None and name not in read]


_HANDLERS: dict[type[m.Command], Callable[[Book, Any], list[Event]]] = {
    m.DefineAsset: _define_asset,
    m.DefinePool: _define_pool,
    m.DefineContract: _define_contract,
    m.DefineCollateral: define_collateral,
    m.DefineAccount: _define_account,
    m.SetBalances: set_balances,
    m.SetPositions: set_positions,
    m.SetAccountMargin: set_account_margin,
    m.DefineAccounts: define_accounts,
    m.SetBalanceColumns: set_balance_columns,
    m.SetPositionColumns: set_position_columns,
    m.SetMarks: set_marks,
    m.SetIndexPrices: set_index_prices,
    m.SetDepth: _set_depth,
    m.Takeover: _takeover,
    m.UnwindFill: _unwind_fill,
    m.ConvertCollateral: convert_collateral,
    m.FundPool: _fund_pool,
    m.MoveContract: _move_contract,
    m.AmendContract: _amend_contract,
    m.AmendPool: _amend_pool,
    m.DelistContract: _delist_contract,
    m.SettleContract: _settle_contract,
    m.CancelAdl: _cancel_adl,
    m.Compensate: _compensate,
    m.PauseAdl: _pause_adl,
    m.ForceAdl: _force_adl,
    m.SetPlanWait: _set_plan_wait,
    m.AllocateAdl: accept_plan,
    m.ConfirmMark: confirm_mark,
    m.RefreshRatings: _refresh_ratings,
    m.RefreshIndicators: _refresh_indicators,
    m.SetTime: _set_time,
}
