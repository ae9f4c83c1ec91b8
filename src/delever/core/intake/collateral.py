"""Collateral of multi-asset accounts: its terms, its index prices, and its conversion by the venue.

New terms and prices are tried on the whole book before they are accepted: no account's equity in
the margin currency may leave the numeric range.
"""

from collections.abc import Collection

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.pool_state import HeldCollateral
from delever.core.market.collateral import CollateralTerms, collateral_terms, read_index_price
from delever.core.market.validation import Rejection, read_cash, reject_unless
from delever.core.messages import Event, Reason
from delever.core.units import share_floor
from delever.core.valuation.numeric_range import POOL_LIMIT, terms_fit


def define_collateral(book: Book, command: m.DefineCollateral) -> list[Event]:
    """Return the terms of an asset as collateral, new or changed."""
    reject_unless(bool(command.asset), "asset", "", Reason.EMPTY_NAME)
    currency = book.margin_currency or command.margin_currency
    reject_unless(bool(currency), "margin_currency", "", Reason.EMPTY_NAME)
    agrees = command.margin_currency in {"", currency}
    reject_unless(
        agrees, "margin_currency", command.margin_currency, Reason.MARGIN_CURRENCY_MISMATCH
    )
    index_price = read_index_price("index_price", command.index_price)
    _check_own_price(command.asset, currency, "index_price", index_price)
    terms = _terms(book, command, index_price, currency)
    if command.asset == currency:
        buffers = command.bid_buffer, command.ask_buffer, command.conversion_haircut
        plain = terms.bid == terms.ask == terms.conversion
        reject_unless(plain, "asset", " ".join(map(str, buffers)), Reason.INVALID_INDEX_PRICE)
    _check_range(book, {command.asset: terms}, "index_price")
    return [m.CollateralDefined(definition=command)]


def set_index_prices(book: Book, command: m.SetIndexPrices) -> list[Event]:
    """Return the index prices that can be taken, and the others as rejected, with notices."""
    prices: dict[str, int] = {}
    changed: dict[str, CollateralTerms] = {}
    rejected: list[Event] = []
    for name, price in command.prices.items():
        try:
            prices[name], changed[name] = _priced(book, name, price)
        except Rejection as error:
            if command.strict:
                raise
            event = m.IndexPriceRejected(
                asset=name, reason=error.reason, field=error.field, value=error.value
            )
            rejected.append(event)
    _check_range(book, changed, "prices")
    rejected += _notices(book, command.prices.keys() - prices.keys())
    if rejected and not prices:
        return rejected
    taken = m.IndexPricesSet(assets=tuple(prices), index_prices=tuple(prices.values()))
    return [*rejected, taken]


def _notices(book: Book, rejected: Collection[str]) -> list[Event]:
    """Return a notice for each collateral whose first index price since a good one is rejected."""
    kind = m.NoticeKind.INDEX_PRICE_REJECTED
    return [
        m.Notice(kind=kind, subject=name, account="", contract="", numbers={})
        for name, asset in book.assets.items()
        if name in rejected and asset.definition is not None and not asset.index_price_rejected
    ]


def _priced(book: Book, name: str, price: m.Amount) -> tuple[int, CollateralTerms]:
    """Return an index price, and the terms of its asset at it."""
    field, asset = f"prices.{name}", book.assets.get(name)
    if asset is None or asset.definition is None:
        raise Rejection(field, name, Reason.UNKNOWN_COLLATERAL)
    index_price = read_index_price(field, price)
    _check_own_price(name, book.margin_currency, field, index_price)
    return index_price, _terms(book, asset.definition, index_price, book.margin_currency)


def convert_collateral(book: Book, command: m.ConvertCollateral) -> list[Event]:
    """Return the conversion of what a pool has of an asset, or of a part of it."""
    pool = book.pools.get(command.pool)
    if pool is None:
        raise Rejection("pool", command.pool, Reason.UNKNOWN_POOL)
    held = pool.collateral.get(command.asset, HeldCollateral())
    reject_unless(held.amount != 0, "asset", command.asset, Reason.EXCEEDS_POOL_COLLATERAL)
    amount = read_cash("quantity", command.quantity, book.cash_decimals(command.asset))
    same_sign = amount != 0 and (amount > 0) == (held.amount > 0)
    reject_unless(same_sign, "quantity", command.quantity, Reason.AMOUNT_SIGN_MISMATCH)
    fits = abs(amount) <= abs(held.amount)
    reject_unless(fits, "quantity", command.quantity, Reason.EXCEEDS_POOL_COLLATERAL)
    proceeds = read_cash("proceeds", command.proceeds, book.cash_decimals(pool.asset))
    same_sign = proceeds == 0 or (proceeds > 0) == (amount > 0)
    reject_unless(same_sign, "proceeds", command.proceeds, Reason.AMOUNT_SIGN_MISMATCH)
    cost = share_floor(held.cost, amount, held.amount)
    fits = abs(pool.balance + proceeds - cost) < POOL_LIMIT
    reject_unless(fits, "proceeds", command.proceeds, Reason.EXCEEDS_NUMERIC_RANGE)
    return [
        m.CollateralConverted(
            pool=pool.name,
            asset=command.asset,
            amount_cash=amount,
            cost_cash=cost,
            proceeds_cash=proceeds,
            realized_pnl_cash=proceeds - cost,
        )
    ]


def _terms(
    book: Book, definition: m.DefineCollateral, index_price: int, currency: str
) -> CollateralTerms:
    decimals = book.cash_decimals(definition.asset), book.cash_decimals(currency)
    return collateral_terms(definition, index_price, *decimals)


def _check_own_price(asset: str, currency: str, field: str, index_price: int) -> None:
    """Reject a price of the margin currency in itself that is not 1."""
    is_one = asset != currency or index_price == read_index_price(field, 1)
    reject_unless(is_one, field, asset, Reason.INVALID_INDEX_PRICE)


def _check_range(book: Book, changed: dict[str, CollateralTerms], field: str) -> None:
    if not terms_fit(book, changed):
        raise Rejection(field, " ".join(changed), Reason.EXCEEDS_NUMERIC_RANGE)
