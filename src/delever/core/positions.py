"""Absolute balances and positions: what a venue tells, checked, with what it does not know yet.

That is outstanding fills and socialised losses, in the order of their numbers.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from delever.core import messages as m
from delever.core.book import Book
from delever.core.holdings import Borne, ContractState
from delever.core.messages import Event, PositionRow, Reason, Side
from delever.core.reading import (
    Refusal,
    read_cash,
    read_count,
    read_decimal,
    read_scaled,
    refuse_unless,
)
from delever.core.units import LIMIT, share_floor

MAX_LEVERAGE_HUNDREDTHS = 100_000
MAX_POSITION_NUMBER = 2**31 - 1


class Growth(NamedTuple):
    """What a command brings into a lane: lots, its largest position, position numbers then in use.

    The largest cost includes the isolated margin.
    """

    total_lots: int
    largest_lots: int
    largest_cost: int
    numbers: int


@dataclass(slots=True)
class Standing:
    """One position as it is to stand in the book; cost is signed as values are."""

    account: str
    position: int
    lots: int = 0
    cost_cash: int = 0
    isolated: bool = False
    margin_cash: int = 0
    leverage_hundredths: int = 100
    under_liquidation: bool = False

    def bear(self, change: m.AdlFilled | Borne) -> None:
        """Apply a fill, as far as it fits, or a loss that the venue's numbers do not include."""
        if isinstance(change, Borne):
            self.cost_cash += change.amount_cash if self.lots else 0
            return
        lots = min(change.lots, self.lots)
        if lots:
            self.cost_cash -= share_floor(self.cost_cash, lots, self.lots)
            self.margin_cash -= share_floor(self.margin_cash, lots, self.lots)
            self.lots -= lots


def set_balances(book: Book, command: m.SetBalances) -> list[Event]:
    """Return the balances as told, plus what outstanding fills have paid since."""
    events: list[Event] = []
    columns: list[tuple[str, str, int]] = []
    read_count("version", command.version)
    read_count("last_fill", command.last_fill)
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(command.balances):
        field = f"balances[{number}]"
        account = _account(book, field, row.account)
        asset = book.assets.get(row.asset)
        if asset is None:
            raise Refusal(f"{field}.asset", row.asset, Reason.ASSET_IS_UNKNOWN)
        _check_first(seen, (row.account, row.asset), field, row.account)
        cash = int(read_cash(f"{field}.balance", row.balance, asset.cash_decimals))
        known = int(book.accounts.balances_version[account])
        if command.version < known:
            events.append(_ignored(number, row.account, command.version, known))
            continue
        for fill in outstanding(book, row.account, command.last_fill):
            if book.contracts[fill.contract].terms.settle == row.asset:
                cash += fill.realised_cash + fill.released_cash - fill.fee_cash
        columns.append((row.account, row.asset, cash))
    largest: defaultdict[str, int] = defaultdict(int)
    for _, name, cash in columns:
        largest[name] = max(largest[name], abs(cash))
    check_range(book, {}, largest_wallet=largest)
    if columns:
        accounts, assets, balances = zip(*columns, strict=True)
        told = m.BalancesSet(
            version=command.version,
            last_fill=command.last_fill,
            accounts=accounts,
            assets=assets,
            balances_cash=balances,
        )
        events.append(told)
    return events


def set_positions(book: Book, command: m.SetPositions) -> list[Event]:
    """Return the positions as told, lane by lane, with outstanding fills taken off.

    In one-way mode an account's other side is closed with it.
    """
    events: list[Event] = []
    lanes: defaultdict[tuple[str, Side], list[Standing]] = defaultdict(list)
    orders: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    seen: dict[tuple[str, str, int, Side], bool] = {}
    read_count("version", command.version)
    read_count("last_fill", command.last_fill)
    for number, row in enumerate(command.positions):
        field = f"positions[{number}]"
        account = _account(book, field, row.account)
        standing = _read_row(book, field, row)
        _check_sides(book, field, row, account, seen, standing.lots > 0)
        known = book.accounts.positions_version.item(account)
        if command.version < known:
            events.append(_ignored(number, row.account, command.version, known))
            continue
        for change in not_included(book, row.account, command.last_fill):
            about = change.contract, change.side, change.position
            if about == (row.contract, row.side, row.position):
                standing.bear(change)
        lanes[row.contract, row.side].append(standing)
        orders[row.account, row.contract].extend(row.open_orders)
    _close_other_sides(book, lanes, seen)
    check_range(book, {}, growth={key: _growth(book, key, lanes[key]) for key in lanes})
    events.extend(_lane_event(command, key, lanes[key]) for key in sorted(lanes))
    events.extend(_order_events(book, orders))
    return events


def _read_row(book: Book, field: str, row: PositionRow) -> Standing:
    """Return one row in exact numbers."""
    state = book.contracts.get(row.contract)
    if state is None:
        raise Refusal(f"{field}.contract", row.contract, Reason.CONTRACT_IS_UNKNOWN)
    if not 0 <= row.position <= MAX_POSITION_NUMBER:
        raise Refusal(f"{field}.position", row.position, Reason.NUMBER_MUST_BE_WITHIN_RANGE)
    lots = state.terms.read_lots(f"{field}.quantity", row.quantity)
    if not _agrees(row, lots):
        raise Refusal(f"{field}.side", row.side, Reason.SIDE_CONTRADICTS_SIGN)
    standing = Standing(row.account, row.position)
    if lots == 0:
        return standing
    standing.lots = abs(lots)
    standing.cost_cash = _read_cost(book, field, row, state, abs(lots))
    standing.under_liquidation = row.under_liquidation
    standing.leverage_hundredths = _read_leverage(field, row, standing.cost_cash)
    if row.isolated_margin is not None:
        standing.isolated, standing.margin_cash = True, _read_margin(book, field, row, state)
    return standing


def _agrees(row: PositionRow, lots: int) -> bool:
    """Whether the side is that of the quantity's sign, where it has one."""
    sign = str(row.quantity)[:1]
    if row.side is Side.SHORT:
        return sign != "+"
    return lots >= 0


def _read_leverage(field: str, row: PositionRow, cost_cash: int) -> int:
    leverage = read_scaled(f"{field}.leverage", row.leverage, 2)
    if not 0 < leverage <= MAX_LEVERAGE_HUNDREDTHS:
        raise Refusal(f"{field}.leverage", row.leverage, Reason.NUMBER_MUST_BE_WITHIN_RANGE)
    if share_floor(abs(cost_cash), 100, leverage) >= LIMIT:
        raise Refusal(f"{field}.leverage", row.leverage, Reason.EXCEEDS_NUMERIC_RANGE)
    return leverage


def _read_margin(book: Book, field: str, row: PositionRow, state: ContractState) -> int:
    decimals = book.asset(state.terms.settle).cash_decimals
    margin = read_cash(f"{field}.isolated_margin", row.isolated_margin or 0, decimals)
    if margin < 0:
        value, reason = row.isolated_margin, Reason.NUMBER_MUST_NOT_BE_NEGATIVE
        raise Refusal(f"{field}.isolated_margin", value, reason)
    return margin


def _read_cost(book: Book, field: str, row: PositionRow, state: ContractState, lots: int) -> int:
    """Return the signed cost from the entry price (to nearest) or the exact entry cost."""
    if (row.entry_price is None) == (row.entry_cost is None):
        value = "neither" if row.entry_price is None else "both"
        raise Refusal(f"{field}.entry_price", value, Reason.ENTRY_NEEDS_PRICE_OR_COST)
    if row.entry_cost is not None:
        decimals = book.asset(state.terms.settle).cash_decimals
        cost = state.terms.cost_sign(row.side) * read_cash(
            f"{field}.entry_cost", row.entry_cost, decimals
        )
        positive = row.entry_cost and cost * state.terms.cost_sign(row.side) > 0
        refuse_unless(
            bool(positive), f"{field}.entry_cost", row.entry_cost, Reason.NUMBER_MUST_BE_POSITIVE
        )
        return cost
    entry = read_decimal(f"{field}.entry_price", "" if row.entry_price is None else row.entry_price)
    if entry[0] <= 0:
        raise Refusal(f"{field}.entry_price", row.entry_price, Reason.NUMBER_MUST_BE_POSITIVE)
    cost = state.terms.cost_cash(row.side, lots, entry)
    if abs(cost) >= LIMIT:
        raise Refusal(f"{field}.entry_price", row.entry_price, Reason.EXCEEDS_NUMERIC_RANGE)
    return cost


def _check_sides(
    book: Book,
    field: str,
    row: PositionRow,
    account: int,
    seen: dict[tuple[str, str, int, Side], bool],
    is_open: bool,
) -> None:
    """Refuse a repeated row, and two open sides of one position in one-way mode."""
    key = (row.account, row.contract, row.position, row.side)
    refuse_unless(key not in seen, field, row.account, Reason.ROW_IS_REPEATED)
    seen[key] = is_open
    if is_open and len(seen) > 1 and not book.accounts.hedge_mode.item(account):
        other = (*key[:3], row.side.opposite)
        refuse_unless(
            not seen.get(other, False),
            f"{field}.side",
            row.side,
            Reason.ONE_WAY_ACCOUNT_HOLDS_ONE_SIDE,
        )


def _close_other_sides(
    book: Book,
    lanes: defaultdict[tuple[str, Side], list[Standing]],
    seen: Mapping[tuple[str, str, int, Side], bool],
) -> None:
    """Close what a one-way account holds on the side that its new position replaces."""
    for contract, side in list(lanes):
        other = book.contracts[contract].lanes[side.opposite]
        for standing in list(lanes[contract, side]):
            account = book.accounts.index[standing.account]
            replaced = (standing.account, contract, standing.position, side.opposite)
            if (
                standing.lots
                and other.size
                and replaced not in seen
                and not book.accounts.hedge_mode.item(account)
                and other.find(account, standing.position) is not None
            ):
                closed = Standing(standing.account, standing.position)
                lanes[contract, side.opposite].append(closed)


def _growth(book: Book, key: tuple[str, Side], rows: list[Standing]) -> Growth:
    labels = book.contracts[key[0]].lanes[key[1]].labels
    new = {row.position for row in rows if row.position not in labels}
    lots = [row.lots for row in rows]
    costs = [abs(row.cost_cash) + row.margin_cash for row in rows]
    return Growth(sum(lots), max(lots), max(costs), len(labels) + len(new))


def check_range(
    book: Book,
    marks: Mapping[str, int],
    *,
    growth: Mapping[tuple[str, Side], Growth] | None = None,
    largest_wallet: Mapping[str, int] | None = None,
) -> None:
    """Refuse what could take an account's equity, or a lane's total, out of int64.

    Bounded from above by the largest position of every lane at its mark and cost, plus the largest
    wallet: no account can hold more.
    """
    bound = {name: asset.exposure + asset.wallets.largest for name, asset in book.assets.items()}
    for name, cash in (largest_wallet or {}).items():
        bound[name] += max(cash - book.asset(name).wallets.largest, 0)
    more: defaultdict[str, dict[Side, tuple[int, int, int]]] = defaultdict(dict)
    for (name, side), grown in (growth or {}).items():
        lane = book.contracts[name].lanes[side]
        _check_bound(8 * (lane.total_lots + grown.total_lots), name, "positions")
        most = grown.largest_lots, grown.largest_cost, grown.numbers
        if lane.holds_less_than(most):
            more[name][side] = most
    for name in more.keys() | marks.keys():
        state = book.contracts[name]
        exposure = state.exposure(marks.get(name, state.mark), more.get(name, {}))
        bound[state.terms.settle] += exposure - state.measured_exposure
    field = "positions" if growth else "marks" if marks else "balances"
    for name, largest in bound.items():
        _check_bound(largest, name, field)


def _check_bound(bound: int, name: str, field: str) -> None:
    if bound >= LIMIT:
        raise Refusal(field, name, Reason.EXCEEDS_NUMERIC_RANGE)


def _lane_event(
    command: m.SetPositions, key: tuple[str, Side], standings: list[Standing]
) -> m.PositionsSet:
    contract, side = key
    return m.PositionsSet(
        version=command.version,
        last_fill=command.last_fill,
        contract=contract,
        side=side,
        accounts=tuple([s.account for s in standings]),
        positions=tuple([s.position for s in standings]),
        lots=tuple([s.lots for s in standings]),
        costs_cash=tuple([s.cost_cash for s in standings]),
        isolated=tuple([s.isolated for s in standings]),
        margins_cash=tuple([s.margin_cash for s in standings]),
        leverages_hundredths=tuple([s.leverage_hundredths for s in standings]),
        under_liquidation=tuple([s.under_liquidation for s in standings]),
    )


def _order_events(book: Book, orders: Mapping[tuple[str, str], list[str]]) -> Iterable[Event]:
    """Yield the open orders that differ from what is known."""
    for (account, contract), ids in orders.items():
        told = tuple(dict.fromkeys(ids))  # each of the account's rows may name them
        if told != book.open_orders.get((account, contract), ()):
            yield m.OpenOrdersSet(account=account, contract=contract, orders=told)


def _account(book: Book, field: str, name: str) -> int:
    account = book.accounts.index.get(name)
    if account is None:
        raise Refusal(f"{field}.account", name, Reason.ACCOUNT_IS_UNKNOWN)
    return account


def _check_first(seen: set[tuple[str, str]], key: tuple[str, str], field: str, value: str) -> None:
    refuse_unless(key not in seen, field, value, Reason.ROW_IS_REPEATED)
    seen.add(key)


def outstanding(book: Book, account: str, last_fill: int) -> list[m.AdlFilled]:
    """Return the account's fills that numbers told up to `last_fill` do not include."""
    return [fill for fill in book.outstanding_of(account) if fill.fill > last_fill]


def not_included(book: Book, account: str, last_fill: int) -> list[m.AdlFilled | Borne]:
    """Return the same with the account's losses, in order."""
    fills = outstanding(book, account, last_fill)
    if not fills and account not in book.losses:
        return []
    losses = [loss for loss in book.losses.get(account, ()) if loss.fill > last_fill]
    return sorted([*fills, *losses], key=lambda each: each.fill)


def _ignored(row: int, account: str, version: int, known: int) -> m.RowIgnored:
    return m.RowIgnored(row=row, account=account, version=version, known_version=known)
