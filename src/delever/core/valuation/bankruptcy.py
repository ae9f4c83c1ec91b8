"""The bankruptcy price of a position, at which its equity is exactly zero, and its takeover.

A cross account has one equity for all of its positions. It is divided over them in proportion to
maintenance margin, as the two venues with a published rule do (dYdX, Lighter): closing all of them
at their own bankruptcy prices leaves nothing, and closing one leaves the shares of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import Event, Reason, Side, TakenOver, WalletSettled
from delever.core.units import Ticks, share_floor


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """One open position, by its key: its row in the table may change."""

    state: ContractState
    side: Side
    account: int
    position: int

    @property
    def row(self) -> int:
        """The current row of the position in its table."""
        return self.state.tables[self.side].row_of(self.account, self.position)

    @property
    def isolated(self) -> bool:
        """Whether the position has isolated margin."""
        return bool(self.state.tables[self.side].isolated[self.row])


def bankruptcy_price(
    terms: ContractTerms, side: Side, lots: int, cost_cash: int, cover_cash: int
) -> Ticks:
    """Return the price at which a position has lost its cover: value = cost - cover.

    Rounded in favor of the account (up for a long, down for a short), so the remainder of a
    takeover is never negative and less than one tick on the lots. The bankruptcy price of a
    position with negative equity is beyond the mark.
    """
    return terms.price_at_value(side.sign * lots, cost_cash - cover_cash)


def cover_of(book: Book, position: OpenPosition) -> int:
    """Return the cover of a position in Cash: its loss from entry at which its equity is zero.

    Isolated: its margin. Cross: its share of the account's equity, less the unrealized PnL that
    the equity includes. Shares are floored; without any maintenance margin they follow notional.
    """
    table, row = position.state.tables[position.side], position.row
    if table.isolated[row]:
        return int(table.margin[row])
    wallets = book.asset_of(position.state).wallets
    equity = int(wallets.balance[position.account] + wallets.unrealized_pnl[position.account])
    whole = int(wallets.maintenance[position.account])
    part = int(table.maintenance[row])
    if whole == 0:
        others = cross_positions(book, position.account, position.state.terms.settle)
        part, whole = _notional(position), sum(map(_notional, others)) or 1
    return share_floor(equity, part, whole) - int(table.unrealized_pnl[row])


def equity_of(book: Book, position: OpenPosition) -> int:
    """Return the equity of a position's margin bucket in Cash."""
    table, row = position.state.tables[position.side], position.row
    if table.isolated[row]:
        return int(table.margin[row] + table.unrealized_pnl[row])
    wallets = book.asset_of(position.state).wallets
    return int(wallets.balance[position.account] + wallets.unrealized_pnl[position.account])


def maintenance_of(book: Book, position: OpenPosition) -> int:
    """Return the maintenance margin of a position's margin bucket in Cash."""
    if position.isolated:
        return int(position.state.tables[position.side].maintenance[position.row])
    return int(book.asset_of(position.state).wallets.maintenance[position.account])


def open_positions(book: Book, account: int) -> list[OpenPosition]:
    """Return an account's open positions, ordered by contract, side and position id."""
    return [
        OpenPosition(state, side, account, position)
        for state in book.contracts.values()
        for side, table in state.tables.items()
        for position in table.positions_of(account)
    ]


def cross_positions(book: Book, account: int, asset: str) -> list[OpenPosition]:
    """Return an account's cross positions that settle in one asset."""
    return [
        position
        for position in open_positions(book, account)
        if position.state.terms.settle == asset and not position.isolated
    ]


def take_over(
    book: Book, positions: Sequence[OpenPosition], price_ticks: Ticks | None, reason: Reason
) -> list[Event]:
    """Return the takeover of one account's positions, at bankruptcy prices or at a given price.

    At its bankruptcy price a position leaves less than one tick on its lots, which the pool gets.
    At a given price the pool gets the remainder of an isolated position, whatever its sign (a
    surplus is the gain of the liquidation). The remainder of a cross position stays in the wallet;
    where it is negative and no cross position is left, the pool pays it.
    """
    events: list[Event] = []
    rest_bound: dict[str, int] = {}
    to_wallets: dict[str, int] = {}
    for number, position in enumerate(positions, book.last_takeover + 1):
        taken = _take_over_one(book, position, price_ticks, number, reason)
        events.append(taken)
        if not position.isolated:
            asset = position.state.terms.settle
            bound = 0 if price_ticks else _tick_cash(position, taken.price_ticks, taken.lots)
            rest_bound[asset] = rest_bound.get(asset, 0) + bound
            to_wallets[asset] = to_wallets.get(asset, 0) + taken.to_wallet_cash
    for asset, bound in rest_bound.items():
        taken_here = [p for p in positions if p.state.terms.settle == asset and not p.isolated]
        if len(taken_here) == len(cross_positions(book, positions[0].account, asset)):
            settled = _settle_wallet(book, taken_here[-1], to_wallets[asset], bound)
            events.extend(settled)
    return events


def _take_over_one(
    book: Book, position: OpenPosition, price_ticks: Ticks | None, number: int, reason: Reason
) -> TakenOver:
    """Return the takeover of one position, before any event of the batch is applied."""
    state, side, row = position.state, position.side, position.row
    table = state.tables[side]
    lots, cost, margin = int(table.lots[row]), int(table.cost[row]), int(table.margin[row])
    own_ticks = bankruptcy_price(state.terms, side, lots, cost, cover_of(book, position))
    ticks = own_ticks if price_ticks is None else price_ticks
    value = state.terms.trade_cash(side.sign * lots, ticks)
    realized_pnl = value - cost
    to_pool = 0
    if position.isolated:
        to_pool = margin + realized_pnl
        if price_ticks is None:
            to_pool = min(to_pool, _tick_cash(position, ticks, lots))
    return TakenOver(
        takeover=number,
        contract=state.name,
        side=side,
        account=book.accounts.names[position.account],
        position=position.position,
        lots=lots,
        price_ticks=ticks,
        value_cash=value,
        cost_cash=cost,
        margin_cash=margin,
        realized_pnl_cash=realized_pnl,
        to_wallet_cash=margin + realized_pnl - to_pool,
        to_pool_cash=to_pool,
        equity_cash=equity_of(book, position),
        maintenance_cash=maintenance_of(book, position),
        reason=reason,
    )


def _settle_wallet(book: Book, last: OpenPosition, to_wallet: int, bound: int) -> list[Event]:
    """Return the pool's settlement of a wallet whose last cross position is taken over."""
    wallets = book.asset_of(last.state).wallets
    remainder = int(wallets.balance[last.account]) + to_wallet
    amount = min(remainder, bound)
    if amount == 0:
        return []
    return [
        WalletSettled(
            account=book.accounts.names[last.account],
            asset=last.state.terms.settle,
            pool=last.state.pool,
            contract=last.state.name,
            amount_cash=amount,
        )
    ]


def _tick_cash(position: OpenPosition, ticks: int, lots: int) -> int:
    """Return the value of one tick on these lots, plus one unit of rounding, in Cash."""
    terms, signed = position.state.terms, position.side.sign * lots
    worse = max(ticks - position.side.sign * terms.price_step, 1)
    return abs(terms.value_cash(signed, ticks) - terms.value_cash(signed, worse)) + 1


def _notional(position: OpenPosition) -> int:
    table, row = position.state.tables[position.side], position.row
    return abs(int(table.cost[row] + table.unrealized_pnl[row]))
