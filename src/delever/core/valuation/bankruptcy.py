"""The bankruptcy price of a position, at which its equity is exactly zero, and its takeover.

A cross account has one equity for all of its positions. It is divided over them in proportion to
maintenance margin, as the two venues with a published rule do (dYdX, Lighter): closing all of them
at their own bankruptcy prices leaves nothing, and closing one leaves the shares of the others. The
equity may be that of the venue's own risk engine; the shares are by the contracts' margin tiers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import AssetState
from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import Event, Reason, Side, TakenOver, WalletSettled
from delever.core.units import Ticks, share_floor
from delever.core.valuation.multi_asset import (
    convert,
    convertible_equity,
    is_pooled,
    terms_as_collateral,
    trigger_columns,
)


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
    the equity includes; of a multi-asset account, the equity without collateral haircut that its
    conversion leaves. Shares are floored; without any maintenance margin they follow notional.
    """
    table, row = position.state.tables[position.side], position.row
    if table.isolated[row]:
        return int(table.margin[row])
    account, asset = position.account, book.asset_of(position.state)
    pooled = is_pooled(book, account, asset.name)
    equity = (convertible_equity if pooled else _equity)(book, account, asset.name)
    buckets = book.pooled_assets() if pooled else [asset]
    part = int(table.maintenance[row])
    whole = sum(_in_asset(each, asset, each.wallets.maintenance.item(account)) for each in buckets)
    if whole == 0:
        others = cross_positions(book, account, asset.name)
        part = _notional(position)
        notional = (
            _in_asset(book.asset_of(other.state), asset, _notional(other)) for other in others
        )
        whole = sum(notional) or 1
    return share_floor(equity, part, whole) - int(table.unrealized_pnl[row])


def _equity(book: Book, account: int, asset: str) -> int:
    """Return the equity of an account that is not pooled: the venue's own where it submits one."""
    return book.asset(asset).wallets.margin_of(account)[0]


def _in_asset(source: AssetState, target: AssetState, amount_cash: int) -> int:
    """Return an amount of one pooled asset in Cash of another, at index prices, floored."""
    if source is target:
        return amount_cash
    value = terms_as_collateral(source).index.value_of(amount_cash)
    return terms_as_collateral(target).index.amount_of(value)


def equity_of(book: Book, position: OpenPosition) -> int:
    """Return the equity of a position's margin bucket in Cash, after collateral haircut."""
    table, row = position.state.tables[position.side], position.row
    if table.isolated[row]:
        return int(table.margin[row] + table.unrealized_pnl[row])
    return _trigger_numbers(book, position)[0]


def maintenance_of(book: Book, position: OpenPosition) -> int:
    """Return the maintenance margin of a position's margin bucket in Cash."""
    if position.isolated:
        return int(position.state.tables[position.side].maintenance[position.row])
    return _trigger_numbers(book, position)[1]


def _trigger_numbers(book: Book, position: OpenPosition) -> tuple[int, int]:
    """Return equity and maintenance margin of the cross margin of a position's account."""
    columns = trigger_columns(book, position.state.terms.settle, np.array([position.account]))
    equity, maintenance = (int(column[0]) for column in columns)
    return equity, maintenance


def open_positions(book: Book, account: int) -> list[OpenPosition]:
    """Return an account's open positions, ordered by contract, side and position id."""
    return [
        OpenPosition(state, side, account, position)
        for state in book.contracts.values()
        for side, table in state.tables.items()
        for position in table.positions_of(account)
    ]


def cross_positions(book: Book, account: int, asset: str) -> list[OpenPosition]:
    """Return an account's cross positions with the same margin as those that settle in an asset."""
    pooled = book.pooled_assets() if is_pooled(book, account, asset) else []
    assets = {asset, *(each.name for each in pooled)}
    return [
        position
        for position in open_positions(book, account)
        if position.state.terms.settle in assets and not position.isolated
    ]


def take_over(
    book: Book, positions: Sequence[OpenPosition], price_ticks: Ticks | None, reason: Reason
) -> list[Event]:
    """Return the takeover of one account's positions, at bankruptcy prices or at a given price.

    At its bankruptcy price a position leaves less than one tick on its lots, which the pool gets.
    At a given price the pool gets the remainder of an isolated position, whatever its sign (a
    surplus is the gain of the liquidation). The remainder of a cross position stays in the wallet;
    where it is negative and no cross position is left, the assets of a multi-asset account are
    converted, and the pool pays what is still lacking.
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
    pooled = [p for p in positions if not p.isolated and _is_pooled(book, p)]
    for asset, bound in rest_bound.items():
        taken_here = [p for p in positions if p.state.terms.settle == asset and not p.isolated]
        if taken_here[0] in pooled:
            continue
        if len(taken_here) == len(cross_positions(book, positions[0].account, asset)):
            settled = _settle_wallet(book, taken_here[-1], to_wallets[asset], bound)
            events.extend(settled)
    if pooled:
        settle = pooled[-1].state.terms.settle
        if len(pooled) == len(cross_positions(book, pooled[-1].account, settle)):
            takers = {p.state.terms.settle: (p.state.pool, p.state.name) for p in pooled}
            account = pooled[-1].account
            events.extend(settle_pooled(book, account, takers, to_wallets, rest_bound))
    return events


def _is_pooled(book: Book, position: OpenPosition) -> bool:
    return is_pooled(book, position.account, position.state.terms.settle)


def settle_pooled(
    book: Book,
    account: int,
    takers: Mapping[str, tuple[str, str]],
    to_wallets: Mapping[str, int],
    rest_bound: Mapping[str, int],
) -> Iterator[Event]:
    """Yield the conversion of a pooled account's assets, and the settlement of its wallets.

    `takers` have the (pool, contract) of the last takeover in each asset; `to_wallets` what the
    takeovers pay into the wallets, and `rest_bound` how much of a remainder is the pool's.
    """
    balances = {
        asset.name: asset.wallets.balance.item(account) + to_wallets.get(asset.name, 0)
        for asset in book.pooled_assets()
    }
    yield from convert(book, account, balances, takers)
    for asset, (pool, contract) in takers.items():
        amount = min(balances[asset], rest_bound.get(asset, 0))
        if amount:
            yield WalletSettled(
                account=book.accounts.names[account],
                asset=asset,
                pool=pool,
                contract=contract,
                amount_cash=amount,
            )


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
    """Return the pool's settlement of a wallet whose last cross position is taken over.

    What the venue's own risk engine counts beyond the wallet covers a negative remainder first.
    """
    wallets = book.asset_of(last.state).wallets
    elsewhere = wallets.margin_of(last.account)[0] - wallets.own_margin(last.account)[0]
    remainder = int(wallets.balance[last.account]) + elsewhere + to_wallet
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
