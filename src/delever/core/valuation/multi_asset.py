"""Margin of accounts in multi-asset mode: all assets that are collateral count together.

A pooled account has one margin bucket for its cross positions in every settle asset that is
collateral: its equity is the sum of the values of its balances and unrealized PnL, asset by asset.
Equity after collateral haircut decides when the account is taken over; equity without it is used
for scores, leverage and indicators. At a takeover the account's assets are converted.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from delever.core.book import Book
from delever.core.book.pool_state import AssetState, PoolState
from delever.core.market.collateral import CollateralTerms, PiecewiseValue
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


def pooled_equity(book: Book, accounts: Ints, settle: str = "", *, haircut: bool = False) -> Ints:
    """Return the equity of pooled accounts in Cash of an asset, or of the margin currency.

    Values are floored asset by asset; `haircut` applies tiers and caps to them.
    """
    total = np.zeros(len(accounts), np.int64)
    for asset in _used_assets(book):
        terms, wallets = terms_as_collateral(asset), asset.wallets
        value = terms.after_haircut if haircut else terms.equity
        total += value.of_all(wallets.balance[accounts] + wallets.unrealized_pnl[accounts])
    return _in_asset(book, total, settle)


def pooled_pnl(book: Book, accounts: Ints, settle: str = "") -> Ints:
    """Return the unrealized PnL of pooled cross positions at index prices, in Cash of an asset."""
    return _sum_at_index(book, "unrealized_pnl", accounts, settle)


def pooled_maintenance(book: Book, accounts: Ints, settle: str = "") -> Ints:
    """Return the maintenance margin of pooled cross positions at index prices, in Cash."""
    return _sum_at_index(book, "maintenance", accounts, settle)


def _sum_at_index(book: Book, column: str, accounts: Ints, settle: str) -> Ints:
    total = np.zeros(len(accounts), np.int64)
    for asset in _used_assets(book):
        if asset.exposure:
            amounts = getattr(asset.wallets, column)[accounts]
            total += at_index(terms_as_collateral(asset)).of_all(amounts)
    return _in_asset(book, total, settle)


def at_index(terms: CollateralTerms) -> PiecewiseValue:
    """Return the value of amounts of either sign at the index price."""
    index = terms.index
    return PiecewiseValue((0,), ((index.numerator, 0, index.denominator),))


def _used_assets(book: Book) -> list[AssetState]:
    """Return the pooled assets of which any account may have a balance or a position."""
    return [asset for asset in book.pooled_assets() if asset.equity_bound]


def _in_asset(book: Book, values: Ints, settle: str) -> Ints:
    """Return values in the margin currency as amounts of an asset at its index price, floored."""
    if settle in {"", book.margin_currency}:
        return values
    index = terms_as_collateral(book.asset(settle)).index
    inverse = PiecewiseValue((0,), ((index.denominator, 0, index.numerator),))
    return inverse.of_all(values)


# --- the columns that rankings and takeovers read ---


def margin_rows(book: Book, settle: str) -> Ints:
    """Return the rows of an asset's wallets, those of pooled accounts with their whole margin.

    The balance of a pooled account is its equity without haircut less its unrealized PnL, and it
    has changed when any of its assets or their index prices have.
    """
    wallets, accounts = book.asset(settle).wallets, pooled_accounts(book, settle)
    if not len(accounts):
        return wallets.rows
    rows: Ints = wallets.rows.copy()
    pnl = pooled_pnl(book, accounts, settle)
    rows[accounts, 0] = pooled_equity(book, accounts, settle) - pnl
    rows[accounts, 1] = pnl
    rows[accounts, 2] = pooled_maintenance(book, accounts, settle)
    rows[accounts, 3] = _changed_at(book, accounts, settle)
    return rows


def _changed_at(book: Book, accounts: Ints, settle: str) -> Ints:
    """Return the sequence of the last change of each pooled account's margin in an asset."""
    priced = book.asset(settle).collateral_at if settle != book.margin_currency else 0
    latest = np.full(len(accounts), priced, np.int64)
    for asset in _used_assets(book):
        wallets = asset.wallets
        np.maximum(latest, wallets.changed_at[accounts], out=latest)
        has_any = wallets.balance[accounts] != 0
        has_any |= wallets.maintenance[accounts] != 0
        has_any |= wallets.unrealized_pnl[accounts] != 0
        np.maximum(latest, asset.collateral_at, out=latest, where=has_any)
    return latest


def bucket_columns(book: Book, settle: str, accounts: Ints) -> tuple[Ints, Ints, Ints]:
    """Return balance, unrealized PnL and maintenance margin of the cross margin of accounts.

    Balance plus unrealized PnL is the equity without haircut.
    """
    wallets = book.asset(settle).wallets
    columns = wallets.balance, wallets.unrealized_pnl, wallets.maintenance
    balance, pnl, maintenance = (column[accounts] for column in columns)
    pooled = pooled_rows(book, settle, accounts)
    if len(pooled):
        theirs = accounts[pooled]
        pnl[pooled] = pooled_pnl(book, theirs, settle)
        balance[pooled] = pooled_equity(book, theirs, settle) - pnl[pooled]
        maintenance[pooled] = pooled_maintenance(book, theirs, settle)
    return balance, pnl, maintenance


def trigger_columns(book: Book, settle: str, accounts: Ints) -> tuple[Ints, Ints]:
    """Return equity after collateral haircut and maintenance margin of accounts' cross margin."""
    wallets = book.asset(settle).wallets
    equity = wallets.balance[accounts] + wallets.unrealized_pnl[accounts]
    maintenance = wallets.maintenance[accounts]
    pooled = pooled_rows(book, settle, accounts)
    if len(pooled):
        theirs = accounts[pooled]
        equity[pooled] = pooled_equity(book, theirs, settle, haircut=True)
        maintenance[pooled] = pooled_maintenance(book, theirs, settle)
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
