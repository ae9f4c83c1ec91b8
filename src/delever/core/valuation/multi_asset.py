"""Margin of accounts in multi-asset mode: all assets that are collateral count together.

A pooled account has one margin bucket for its cross positions in every settle asset that is
collateral: its equity is the sum of the values of its balances and unrealized PnL, asset by asset.
Equity after collateral haircut decides when the account is taken over; equity without it is used
for scores, leverage and indicators. At a takeover the account's assets are converted.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from delever.core.book import Book
from delever.core.book.pool_state import AssetState, PoolState
from delever.core.market.collateral import CollateralTerms
from delever.core.messages import CollateralTakenOver
from delever.core.units import Ints, share_floor


def terms_as_collateral(asset: AssetState) -> CollateralTerms:
    """Return the terms of a pooled asset; raises ValueError for an asset that is no collateral."""
    if asset.collateral is None:
        raise ValueError(asset.name)
    return asset.collateral


def is_pooled(book: Book, account: int, asset: str) -> bool:
    """Return whether an account's cross positions that settle in an asset have pooled margin."""
    return bool(book.accounts.multi_asset[account]) and book.asset(asset).collateral is not None


def pooled_accounts(book: Book, asset: str) -> Ints:
    """Return the indices of accounts whose margin in an asset is pooled, ascending."""
    if not book.accounts.any_multi_asset or book.asset(asset).collateral is None:
        return np.empty(0, np.int64)
    return np.flatnonzero(book.accounts.multi_asset[: book.accounts.size])


# --- many accounts ---


class PooledMargin(NamedTuple):
    """The margin of accounts over all their assets, one entry an account, in Cash.

    `equity` includes `unrealized_pnl`; `changed_at` is the sequence of the last change of a wallet,
    or of the index price of an asset in it.
    """

    equity: Ints
    unrealized_pnl: Ints
    maintenance: Ints
    changed_at: Ints


def pooled_margin(
    book: Book, accounts: Ints | None, settle: str = "", *, haircut: bool = False
) -> PooledMargin:
    """Return the margin of pooled accounts, or of all, in an asset or in the margin currency.

    Values are floored asset by asset; `haircut` applies tiers and caps to positive balances.
    """
    size = book.accounts.size if accounts is None else len(accounts)
    equity, pnl, maintenance, changed_at = np.zeros((4, size), np.int64)
    for asset in book.pooled_assets():
        if not asset.equity_bound:
            continue  # no account has a balance or a position in it
        terms, held = terms_as_collateral(asset), _rows_of(asset, accounts)
        amounts = held[:, 0]
        if asset.exposure:
            amounts = amounts + held[:, 1]
            pnl += terms.at_index.of_all(held[:, 1])
            maintenance += terms.at_index.of_all(held[:, 2])
        equity += (terms.after_haircut if haircut else terms.equity).of_all(amounts)
        np.maximum(changed_at, held[:, 3], out=changed_at)
        if asset.name != book.margin_currency:
            has_any = held[:, :3].any(axis=1) if asset.exposure else amounts != 0
            np.maximum(changed_at, asset.collateral_at, out=changed_at, where=has_any)
    if settle in {"", book.margin_currency}:
        return PooledMargin(equity, pnl, maintenance, changed_at)
    own = book.asset(settle)
    np.maximum(changed_at, own.collateral_at, out=changed_at)
    in_asset = terms_as_collateral(own).in_asset.of_all
    return PooledMargin(in_asset(equity), in_asset(pnl), in_asset(maintenance), changed_at)


def _rows_of(asset: AssetState, accounts: Ints | None) -> Ints:
    """Return the wallets of accounts, row by row, or a view of all."""
    wallets = asset.wallets
    rows: Ints = wallets.rows[: wallets.size]
    return rows if accounts is None else rows.take(accounts, axis=0)


# --- the columns that rankings and takeovers read ---


def margin_rows(book: Book, settle: str, *, shares: bool = False) -> Ints:
    """Return the rows of an asset's wallets, those of pooled accounts with their whole margin.

    A margin of the venue's own counts; for `shares` of the equity its maintenance margin does not.
    The balance of a pooled account is its equity without haircut less its unrealized PnL, and it
    has changed when any of its assets or their index prices have.
    """
    wallets, accounts = book.asset(settle).wallets, pooled_accounts(book, settle)
    own = wallets.margin_rows(shares=shares)
    if not len(accounts):
        return own
    columns = _balance_columns(margin_of_all(book, accounts, settle))
    rows: Ints
    if len(accounts) == wallets.size:
        rows = np.empty_like(wallets.rows[: wallets.size])
        for number, column in enumerate(columns):
            rows[:, number] = column
    else:
        rows = own.copy()
        rows[accounts] = np.column_stack(columns)
    return rows


def margin_of_all(
    book: Book, accounts: Ints, settle: str, *, haircut: bool = False
) -> PooledMargin:
    """Return the margin of the pooled accounts, faster where all accounts are."""
    chosen = None if len(accounts) == book.accounts.size else accounts
    return pooled_margin(book, chosen, settle, haircut=haircut)


def _balance_columns(margin: PooledMargin) -> tuple[Ints, Ints, Ints, Ints]:
    return (margin.equity - margin.unrealized_pnl, *margin[1:])


def bucket_columns(book: Book, settle: str, accounts: Ints) -> tuple[Ints, Ints, Ints]:
    """Return balance, unrealized PnL and maintenance margin of the cross margin of accounts.

    Balance plus unrealized PnL is the equity without haircut.
    """
    balance, pnl, maintenance = book.asset(settle).wallets.margin_columns(accounts)
    pooled = pooled_rows(book, settle, accounts)
    if len(pooled):
        margin = _balance_columns(pooled_margin(book, accounts[pooled], settle))
        balance[pooled], pnl[pooled], maintenance[pooled], _ = margin
    return balance, pnl, maintenance


def shared_maintenance(book: Book, settle: str, accounts: Ints, bucket: Ints) -> Ints:
    """Return the maintenance margin of accounts by which positions share their equity.

    `bucket` is that of the margin bucket; a margin of the venue's own need not be the sum of its
    positions' margins.
    """
    wallets = book.asset(settle).wallets
    if not wallets.margins.size:
        return bucket
    own = wallets.maintenance[accounts]
    pooled = pooled_rows(book, settle, accounts)
    own[pooled] = bucket[pooled]
    return own


def trigger_columns(book: Book, settle: str, accounts: Ints) -> tuple[Ints, Ints]:
    """Return equity after collateral haircut and maintenance margin of accounts' cross margin."""
    balance, pnl, maintenance = book.asset(settle).wallets.margin_columns(accounts)
    equity = balance + pnl
    pooled = pooled_rows(book, settle, accounts)
    if len(pooled):
        margin = pooled_margin(book, accounts[pooled], settle, haircut=True)
        equity[pooled], maintenance[pooled] = margin.equity, margin.maintenance
    return equity, maintenance


def pooled_rows(book: Book, settle: str, accounts: Ints) -> Ints:
    """Return the places in `accounts` of those whose margin in an asset is pooled."""
    if not book.accounts.any_multi_asset or book.asset(settle).collateral is None:
        return np.empty(0, np.int64)
    return np.flatnonzero(book.accounts.multi_asset[accounts])


# --- conversion ---


def convertible_equity(book: Book, account: int, settle: str) -> int:
    """Return what a pooled account could lose in an asset before its conversion leaves nothing.

    That is its equity in the asset itself, and what its other assets bring when they are converted:
    sold at the bid less the conversion haircut, or bought back at the ask. In Cash, floored.
    """
    own = book.asset(settle)
    others = sum(
        conversion_value(asset, equity_in(asset, account))
        for asset in book.pooled_assets()
        if asset is not own
    )
    return equity_in(own, account) + _paid_in(own, others)


def equity_in(asset: AssetState, account: int) -> int:
    """Return an account's balance plus unrealized PnL in one asset, in Cash."""
    wallets = asset.wallets
    return wallets.balance.item(account) + wallets.unrealized_pnl.item(account)


def conversion_value(asset: AssetState, amount_cash: int) -> int:
    """Return what an amount brings when it is sold, or costs when it is bought back, floored."""
    terms = terms_as_collateral(asset)
    return (terms.conversion if amount_cash > 0 else terms.ask).value_of(amount_cash)


def _paid_in(settle: AssetState, value_cash: int) -> int:
    """Return a value in the margin currency as an amount that pays a debt, or that is paid for one.

    A settle asset is bought at its ask, and sold at its bid; floored.
    """
    terms = terms_as_collateral(settle)
    return (terms.ask if value_cash > 0 else terms.bid).amount_of(value_cash)


def collateral_pnl(book: Book, pool: PoolState) -> int:
    """Return the unrealized PnL of a pool's collateral in Cash: what it would bring, less cost."""
    if not pool.collateral:
        return 0
    held = pool.collateral.items()
    value = sum(conversion_value(book.asset(name), each.amount) for name, each in held)
    return _paid_in(book.asset(pool.asset), value) - sum(each.cost for _, each in held)


def convert(
    book: Book, account: int, balances: dict[str, int], takers: Mapping[str, tuple[str, str]]
) -> Iterator[CollateralTakenOver]:
    """Yield the conversion of a pooled account's assets after the takeover of all its positions.

    `balances` are its wallets after the takeover, and become those after the conversion; `takers`
    have the (pool, contract) that pays in each asset in which positions were taken over. Debts in
    other assets pass to the last of those pools first. Then each pool takes collateral for its
    wallet's debt, from all assets pro rata to what they bring.
    """
    for name, balance in balances.items():
        if balance < 0 and name not in takers:
            settle = list(takers)[-1]
            cost = _paid_in(book.asset(settle), conversion_value(book.asset(name), balance))
            yield _taken_over(book, account, balances, takers, settle, name, (balance, cost))
    for settle in takers:
        for name, sold in _sales(book, balances, settle):
            yield _taken_over(book, account, balances, takers, settle, name, sold)


def _sales(
    book: Book, balances: Mapping[str, int], settle: str
) -> list[tuple[str, tuple[int, int]]]:
    """Return what is sold of each asset for the debt in a settle asset: (amount, proceeds)."""
    payer = book.asset(settle)
    brings = {
        name: _paid_in(payer, conversion_value(book.asset(name), balance))
        for name, balance in balances.items()
        if name != settle and balance > 0
    }
    whole = sum(brings.values())
    raised = reached = 0
    sales = []
    for name, most in brings.items():
        if whole == 0:
            break
        reached += most
        proceeds = share_floor(min(max(-balances[settle], 0), whole), reached, whole) - raised
        raised += proceeds
        if proceeds:
            all_of_it = proceeds == most
            amount = balances[name] if all_of_it else _amount_for(book, name, payer, proceeds)
            sales.append((name, (amount, proceeds)))
    return sales


def _amount_for(book: Book, name: str, settle: AssetState, proceeds_cash: int) -> int:
    """Return the least amount of an asset that brings some proceeds."""
    value = -terms_as_collateral(settle).ask.value_of(-proceeds_cash)
    return terms_as_collateral(book.asset(name)).conversion.amount_for(value)


def _taken_over(
    book: Book,
    account: int,
    balances: dict[str, int],
    takers: Mapping[str, tuple[str, str]],
    settle: str,
    name: str,
    moved: tuple[int, int],
) -> CollateralTakenOver:
    """Return the event of an (amount, value) that passes to a pool, and change the balances."""
    amount, value = moved
    pool, contract = takers[settle]
    at_bid = terms_as_collateral(book.asset(name)).equity.of(amount)
    balances[name] -= amount
    balances[settle] += value
    return CollateralTakenOver(
        account=book.accounts.names[account],
        pool=pool,
        contract=contract,
        asset=name,
        amount_cash=amount,
        value_cash=value,
        conversion_loss_cash=max(_paid_in(book.asset(settle), at_bid) - value, 0),
    )
