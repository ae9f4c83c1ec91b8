"""The price at which a position's equity is exactly zero, and the takeover at that price.

A cross account has one equity for all of its positions; it is shared over them in proportion to
their maintenance margins, as the two venues that publish a rule do (dYdX, Lighter), so that closing
all of them at their own prices leaves nothing, and closing one leaves the others' part untouched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import Event, Reason, Side, TakenOver, WalletSettled
from delever.core.units import Ticks, share_floor


@dataclass(frozen=True, slots=True)
class Holding:
    """One position, named: a row of a table that may move."""

    state: ContractState
    side: Side
    account: int
    position: int

    @property
    def row(self) -> int:
        """Where the position stands in its table now."""
        return self.state.tables[self.side].row_of(self.account, self.position)

    @property
    def isolated(self) -> bool:
        """Whether the position is its own margin bucket."""
        return bool(self.state.tables[self.side].isolated[self.row])


def bankruptcy_price(
    terms: ContractTerms, side: Side, lots: int, cost_cash: int, cover_cash: int
) -> Ticks:
    """Return the price at which the position has lost its cover: value = cost - cover.

    Rounded in the holder's favour (up for a long, down for a short), so that what a takeover leaves
    is never negative and less than one tick on the lots. A bankrupt position's price lies beyond
    the mark.
    """
    return terms.price_at_value(side.sign * lots, cost_cash - cover_cash)


def cover_of(book: Book, holding: Holding) -> int:
    """Return what a position can lose from its entry before its part of the equity is gone.

    In Cash. Isolated: its margin. Cross: its share of the equity, less the unrealized profit that
    is already in it. Shares are floored; with no maintenance margin at all they follow notional.
    """
    table, row = holding.state.tables[holding.side], holding.row
    if table.isolated[row]:
        return int(table.margin[row])
    wallets = book.asset_of(holding.state).wallets
    equity = int(wallets.balance[holding.account] + wallets.unrealized_pnl[holding.account])
    whole = int(wallets.maintenance[holding.account])
    part = int(table.maintenance[row])
    if whole == 0:
        others = cross_holdings(book, holding.account, holding.state.terms.settle)
        part, whole = _notional(holding), sum(map(_notional, others)) or 1
    return share_floor(equity, part, whole) - int(table.unrealized_pnl[row])


def equity_of(book: Book, holding: Holding) -> int:
    """Return the equity of the position's margin bucket in Cash."""
    table, row = holding.state.tables[holding.side], holding.row
    if table.isolated[row]:
        return int(table.margin[row] + table.unrealized_pnl[row])
    wallets = book.asset_of(holding.state).wallets
    return int(wallets.balance[holding.account] + wallets.unrealized_pnl[holding.account])


def holdings_of(book: Book, account: int) -> list[Holding]:
    """Return an account's positions, in order of contract, side and position."""
    return [
        Holding(state, side, account, position)
        for state in book.contracts.values()
        for side, table in state.tables.items()
        for position in table.positions_of(account)
    ]


def cross_holdings(book: Book, account: int, asset: str) -> list[Holding]:
    """Return an account's cross positions that settle in one asset."""
    return [
        holding
        for holding in holdings_of(book, account)
        if holding.state.terms.settle == asset and not holding.isolated
    ]


def take_over(
    book: Book, holdings: Sequence[Holding], price_ticks: Ticks | None, reason: Reason
) -> list[Event]:
    """Return the takeover of one account's positions, each at its bankruptcy price or at the given.

    At its own price a position leaves less than one tick on its lots, which goes to the pool. At a
    given price an isolated position's remainder goes to the pool, whatever its sign (a surplus is
    what the liquidation earned), while a cross remainder stays in the wallet unless it is negative
    and no cross position is left to carry it: then the pool pays it.
    """
    events: list[Event] = []
    dust: dict[str, int] = {}
    spent: dict[str, int] = {}
    for number, holding in enumerate(holdings, book.last_takeover + 1):
        taken = _take_over_one(book, holding, price_ticks, number, reason)
        events.append(taken)
        if not holding.isolated:
            asset = holding.state.terms.settle
            bound = 0 if price_ticks else _tick_cash(holding, taken.price_ticks, taken.lots)
            dust[asset] = dust.get(asset, 0) + bound
            spent[asset] = spent.get(asset, 0) + taken.to_wallet_cash
    for asset, bound in dust.items():
        taken_here = [h for h in holdings if h.state.terms.settle == asset and not h.isolated]
        if len(taken_here) == len(cross_holdings(book, holdings[0].account, asset)):
            settled = _settle_wallet(book, taken_here[-1], spent[asset], bound)
            events.extend(settled)
    return events


def _take_over_one(
    book: Book, holding: Holding, price_ticks: Ticks | None, number: int, reason: Reason
) -> TakenOver:
    """Return the takeover of one position, as of now, before any of the batch is applied."""
    state, side, row = holding.state, holding.side, holding.row
    table = state.tables[side]
    lots, cost, margin = int(table.lots[row]), int(table.cost[row]), int(table.margin[row])
    own_price = bankruptcy_price(state.terms, side, lots, cost, cover_of(book, holding))
    ticks = own_price if price_ticks is None else price_ticks
    value = state.terms.trade_cash(side.sign * lots, ticks)
    realized = value - cost
    to_pool = 0
    if holding.isolated:
        to_pool = margin + realized
        if price_ticks is None:
            to_pool = min(to_pool, _tick_cash(holding, ticks, lots))
    return TakenOver(
        takeover=number,
        contract=state.name,
        side=side,
        account=book.accounts.names[holding.account],
        position=holding.position,
        lots=lots,
        price_ticks=ticks,
        value_cash=value,
        cost_cash=cost,
        margin_cash=margin,
        realized_pnl_cash=realized,
        to_wallet_cash=margin + realized - to_pool,
        to_pool_cash=to_pool,
        equity_cash=equity_of(book, holding),
        reason=reason,
    )


def _settle_wallet(book: Book, last: Holding, to_wallet: int, bound: int) -> list[Event]:
    """Return what the pool takes or pays when the last cross position of a wallet is taken over."""
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


def _tick_cash(holding: Holding, ticks: int, lots: int) -> int:
    """Return what one tick (and one unit of rounding) is worth on these lots, in Cash."""
    terms, signed = holding.state.terms, holding.side.sign * lots
    worse = max(ticks - holding.side.sign, 1)
    return abs(terms.value_cash(signed, ticks) - terms.value_cash(signed, worse)) + 1


def _notional(holding: Holding) -> int:
    table, row = holding.state.tables[holding.side], holding.row
    return abs(int(table.cost[row] + table.unrealized_pnl[row]))
