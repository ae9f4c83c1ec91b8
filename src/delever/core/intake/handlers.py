"""Commands -> events, or a refusal that names field and value.

Everything a command says is checked here, before anything happens, so a command is applied whole or
not at all. What a venue may legitimately send late or twice is not refused but ignored with a
reason: rows older than what the book knows.
"""

from collections.abc import Callable
from typing import Any

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.intake.bulk_snapshots import (
    define_accounts,
    set_balance_columns,
    set_position_columns,
)
from delever.core.intake.snapshots import set_balances, set_positions
from delever.core.market.contract_terms import terms_of
from delever.core.market.validation import (
    Refusal,
    read_cash,
    read_count,
    read_scaled,
    refuse_unless,
)
from delever.core.messages import Event, FundingReason, PoolKind, Reason, Side, TriggerLimits
from delever.core.rules import RULE_SETS
from delever.core.units import LIMIT, PPM, Ticks
from delever.core.valuation.bankruptcy import holdings_of, take_over
from delever.core.valuation.insurance import unwind
from delever.core.valuation.numeric_range import check_inventory, check_range, takeover_fits

MAX_CASH_DECIMALS = 12


def admit(book: Book, command: m.Command) -> list[Event] | m.Refused:
    """Return the events that a command itself causes, or why it is refused."""
    try:
        time_ms = read_count("time_ms", command.time_ms)
        refuse_unless(time_ms >= book.time_ms, "time_ms", time_ms, Reason.TIME_RUNS_BACKWARDS)
        return list(_ADMIT[type(command)](book, command))
    except Refusal as refusal:
        return m.Refused(
            command=str(command.__struct_config__.tag),
            reason=refusal.reason,
            field=refusal.field,
            value=refusal.value,
        )


def _define_asset(book: Book, command: m.DefineAsset) -> list[Event]:
    refuse_unless(bool(command.asset), "asset", "", Reason.NAME_MUST_NOT_BE_EMPTY)
    decimals = command.cash_decimals
    refuse_unless(
        0 <= decimals <= MAX_CASH_DECIMALS,
        "cash_decimals",
        decimals,
        Reason.NUMBER_MUST_BE_WITHIN_RANGE,
    )
    refuse_unless(command.asset not in book.assets, "asset", command.asset, Reason.ASSET_IS_IN_USE)
    return [m.AssetDefined(asset=command.asset, cash_decimals=decimals)]


def _define_pool(book: Book, command: m.DefinePool) -> list[Event]:
    _check_new_name("pool", command.pool, book.pools)
    refuse_unless(bool(command.asset), "asset", "", Reason.NAME_MUST_NOT_BE_EMPTY)
    refuse_unless(command.rules in RULE_SETS, "rules", command.rules, Reason.RULES_ARE_UNKNOWN)
    slippage = read_scaled("max_slippage", command.max_slippage, 6)
    refuse_unless(
        0 <= slippage <= PPM,
        "max_slippage",
        command.max_slippage,
        Reason.NUMBER_MUST_BE_WITHIN_RANGE,
    )
    window_ms = read_count("peak_window_ms", command.peak_window_ms)
    refuse_unless(window_ms > 0, "peak_window_ms", window_ms, Reason.NUMBER_MUST_BE_POSITIVE)
    _check_limits(book, command.asset, command.limits)
    return [m.PoolDefined(definition=command)]


def _define_contract(book: Book, command: m.DefineContract) -> list[Event]:
    _check_new_name("contract", command.contract, book.contracts)
    _check_pool_takes(book, command.pool, command.settle)
    terms_of(command, book.cash_decimals(command.settle))
    _check_limits(book, command.settle, command.limits)
    return [m.ContractDefined(definition=command)]


def _define_account(_book: Book, command: m.DefineAccount) -> list[Event]:
    refuse_unless(bool(command.account), "account", "", Reason.NAME_MUST_NOT_BE_EMPTY)
    return [
        m.AccountDefined(
            account=command.account, hedge_mode=command.hedge_mode, adl_exempt=command.adl_exempt
        )
    ]


def _set_marks(book: Book, command: m.SetMarks) -> list[Event]:
    ticks = {}
    for name, price in command.marks.items():
        field = f"marks.{name}"
        state = _contract(book, field, name)
        ticks[name] = state.terms.read_ticks(field, price)
        fits = state.terms.in_range(1, ticks[name])
        refuse_unless(fits, field, price, Reason.EXCEEDS_NUMERIC_RANGE)
    check_range(book, ticks)
    check_inventory(book, ticks)
    return [m.MarksSet(contracts=tuple(ticks), marks_ticks=tuple(ticks.values()))]


def _set_depth(book: Book, command: m.SetDepth) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    return [
        m.DepthSet(
            contract=command.contract,
            bids=_levels(state, "bids", command.bids, Side.LONG),
            asks=_levels(state, "asks", command.asks, Side.SHORT),
        )
    ]


def _levels(
    state: ContractState, field: str, levels: tuple[tuple[m.Amount, m.Amount], ...], closes: Side
) -> tuple[tuple[int, int], ...]:
    """Return levels in ticks and lots; bids fall (they close longs), asks rise."""
    exact: list[tuple[int, int]] = []
    for number, (price, quantity) in enumerate(levels):
        ticks = state.terms.read_ticks(f"{field}[{number}].price", price)
        lots = state.terms.read_lots(f"{field}[{number}].quantity", quantity)
        refuse_unless(
            lots > 0, f"{field}[{number}].quantity", quantity, Reason.NUMBER_MUST_BE_POSITIVE
        )
        worse = not exact or closes.sign * (exact[-1][0] - ticks) > 0
        refuse_unless(
            worse, f"{field}[{number}].price", price, Reason.BIDS_MUST_DESCEND_AND_ASKS_ASCEND
        )
        exact.append((ticks, lots))
    return tuple(exact)


def _takeover(book: Book, command: m.Takeover) -> list[Event]:
    account = book.accounts.index.get(command.account)
    if account is None:
        raise Refusal("account", command.account, Reason.ACCOUNT_IS_UNKNOWN)
    if command.contract is not None:
        _contract(book, "contract", command.contract)
    holdings = [
        holding
        for holding in holdings_of(book, account)
        if command.contract in (None, holding.state.name) and command.side in (None, holding.side)
    ]
    refuse_unless(bool(holdings), "account", command.account, Reason.NOTHING_TO_TAKE_OVER)
    for holding in holdings:
        name = holding.state.name
        refuse_unless(holding.state.mark > 0, "contract", name, Reason.CONTRACT_HAS_NO_MARK)
    ticks: Ticks | None = None
    if command.price is not None:
        if command.contract is None:
            raise Refusal("contract", "", Reason.PRICE_NEEDS_CONTRACT)
        ticks = holdings[0].state.terms.read_ticks("price", command.price)
        for holding in holdings:
            lots = int(holding.state.lanes[holding.side].lots[holding.row])
            fits = holding.state.terms.in_range(lots, ticks)
            refuse_unless(fits, "price", command.price, Reason.EXCEEDS_NUMERIC_RANGE)
    taken = take_over(book, holdings, ticks, Reason.VENUE_SAYS_SO)
    fits = takeover_fits(book, taken)
    refuse_unless(fits, "account", command.account, Reason.EXCEEDS_NUMERIC_RANGE)
    return taken


def _unwind_fill(book: Book, command: m.UnwindFill) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    lots = state.terms.read_lots("quantity", command.quantity)
    refuse_unless(lots > 0, "quantity", command.quantity, Reason.NUMBER_MUST_BE_POSITIVE)
    held = state.inventory[command.side].total_lots
    refuse_unless(lots <= held, "quantity", command.quantity, Reason.EXCEEDS_INVENTORY)
    ticks = state.terms.read_ticks("price", command.price)
    fits = state.terms.in_range(lots, ticks)
    refuse_unless(fits, "price", command.price, Reason.EXCEEDS_NUMERIC_RANGE)
    unwound = tuple(unwind(state, command.side, lots, ticks))
    left = book.pool_of(state).balance + sum(each.realised_cash for each in unwound)
    refuse_unless(abs(left) < LIMIT, "price", command.price, Reason.EXCEEDS_NUMERIC_RANGE)
    return [*unwound]


_OUTFLOWS = {FundingReason.WITHDRAWAL}
_EITHER = {FundingReason.CORRECTION}


def _fund_pool(book: Book, command: m.FundPool) -> list[Event]:
    pool = book.pools.get(command.pool)
    if pool is None:
        raise Refusal("pool", command.pool, Reason.POOL_IS_UNKNOWN)
    amount = read_cash("amount", command.amount, book.asset(pool.asset).cash_decimals)
    agrees = amount != 0 and (
        command.reason in _EITHER or (amount < 0) == (command.reason in _OUTFLOWS)
    )
    refuse_unless(agrees, "amount", command.amount, Reason.AMOUNT_CONTRADICTS_REASON)
    left = pool.balance + amount
    refuse_unless(abs(left) < LIMIT, "amount", command.amount, Reason.EXCEEDS_NUMERIC_RANGE)
    covered = amount > 0 or left >= 0 or command.reason is FundingReason.CORRECTION
    refuse_unless(covered, "amount", command.amount, Reason.EXCEEDS_POOL_BALANCE)
    if command.contract is not None:
        member = _contract(book, "contract", command.contract).pool == pool.name
        refuse_unless(member, "contract", command.contract, Reason.CONTRACT_IS_NOT_IN_POOL)
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
    refuse_unless(moves, "pool", command.pool, Reason.POOL_HOLDS_CONTRACT_ALREADY)
    _check_pool_takes(book, command.pool, state.terms.settle)
    stopped = [
        m.AdlStopped(
            contract=state.name,
            pool=state.pool,
            trigger=trigger,
            reason=Reason.CONTRACT_LEFT_THE_POOL,
            numbers={},
        )
        for trigger in state.active
    ]
    moved = m.ContractMoved(
        contract=state.name, source=state.pool, target=command.pool, note=command.note
    )
    return [*stopped, moved]


def _cancel_adl(book: Book, command: m.CancelAdl) -> list[Event]:
    fill = book.outstanding.get(command.fill)
    if fill is None:
        raise Refusal("fill", command.fill, Reason.FILL_IS_NOT_OUTSTANDING)
    account = book.accounts.index[fill.account]
    included = max(book.accounts.balances_fill[account], book.accounts.positions_fill[account])
    refuse_unless(fill.fill > included, "fill", fill.fill, Reason.FILL_IS_NOT_OUTSTANDING)
    return [m.FillCancelled(fill=fill, note=command.note)]


def _pause_adl(book: Book, command: m.PauseAdl) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    return [m.AdlPaused(contract=state.name, paused=command.paused, note=command.note)]


def _force_adl(book: Book, command: m.ForceAdl) -> list[Event]:
    state = _contract(book, "contract", command.contract)
    refuse_unless(state.mark > 0, "contract", state.name, Reason.CONTRACT_HAS_NO_MARK)
    rules = RULE_SETS[book.pool_of(state).definition.rules]
    refuse_unless(bool(rules.cases), "contract", state.name, Reason.RULES_HAVE_NO_QUEUE)
    held = any(case.trigger.parcels(book, state, side) for case in rules.cases for side in Side)
    refuse_unless(held, "contract", state.name, Reason.NO_INVENTORY_CAN_BE_CLOSED)
    return [m.AdlForced(contract=state.name, note=command.note)]


def _refresh_ratings(book: Book, command: m.RefreshRatings) -> list[Event]:
    for number, name in enumerate(command.contracts):
        field = f"contracts[{number}]"
        refuse_unless(name not in command.contracts[:number], field, name, Reason.ROW_IS_REPEATED)
        has_mark = _contract(book, field, name).mark > 0
        refuse_unless(has_mark, field, name, Reason.CONTRACT_HAS_NO_MARK)
    return []


def _refresh_lights(_book: Book, _command: m.RefreshLights) -> list[Event]:
    return []


def _set_time(_book: Book, _command: m.SetTime) -> list[Event]:
    return []


def _contract(book: Book, field: str, name: str) -> ContractState:
    state = book.contracts.get(name)
    if state is None:
        raise Refusal(field, name, Reason.CONTRACT_IS_UNKNOWN)
    return state


def _check_new_name(field: str, name: str, known: dict[str, Any]) -> None:
    refuse_unless(bool(name), field, "", Reason.NAME_MUST_NOT_BE_EMPTY)
    refuse_unless(name not in known, field, name, Reason.NAME_IS_DEFINED_ALREADY)


def _check_pool_takes(book: Book, name: str, asset: str) -> None:
    """Refuse a pool that is unknown, settles in another asset, or is isolated and occupied."""
    pool = book.pools.get(name)
    if pool is None:
        raise Refusal("pool", name, Reason.POOL_IS_UNKNOWN)
    refuse_unless(pool.asset == asset, "pool", name, Reason.POOL_ASSET_MUST_MATCH_CONTRACT)
    free = pool.definition.kind is not PoolKind.ISOLATED or not book.members(pool)
    refuse_unless(free, "pool", name, Reason.ISOLATED_POOL_TAKES_ONE_CONTRACT)


def _check_limits(book: Book, asset: str, limits: TriggerLimits) -> None:
    ratios = {}
    for field in ("start", "stop"):
        amount = getattr(limits, field)
        if amount is not None:
            ratios[field] = read_scaled(f"limits.{field}", amount, 6)
            inside = 0 < ratios[field] <= 10 * PPM
            refuse_unless(inside, f"limits.{field}", amount, Reason.NUMBER_MUST_BE_WITHIN_RANGE)
    if len(ratios) == 2:
        beyond = ratios["start"] >= ratios["stop"]
        refuse_unless(beyond, "limits.start", limits.start, Reason.START_MUST_BE_BEYOND_STOP)
    if limits.balance_above is not None:
        decimals = book.cash_decimals(asset)
        read_cash("limits.balance_above", limits.balance_above, decimals)
    if limits.wait_ms is not None:
        read_count("limits.wait_ms", limits.wait_ms)


_ADMIT: dict[type[m.Command], Callable[[Book, Any], list[Event]]] = {
    m.DefineAsset: _define_asset,
    m.DefinePool: _define_pool,
    m.DefineContract: _define_contract,
    m.DefineAccount: _define_account,
    m.SetBalances: set_balances,
    m.SetPositions: set_positions,
    m.DefineAccounts: define_accounts,
    m.SetBalanceColumns: set_balance_columns,
    m.SetPositionColumns: set_position_columns,
    m.SetMarks: _set_marks,
    m.SetDepth: _set_depth,
    m.Takeover: _takeover,
    m.UnwindFill: _unwind_fill,
    m.FundPool: _fund_pool,
    m.MoveContract: _move_contract,
    m.CancelAdl: _cancel_adl,
    m.PauseAdl: _pause_adl,
    m.ForceAdl: _force_adl,
    m.RefreshRatings: _refresh_ratings,
    m.RefreshLights: _refresh_lights,
    m.SetTime: _set_time,
}
