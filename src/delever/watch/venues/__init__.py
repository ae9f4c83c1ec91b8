"""Adapters of the venues: objects of ccxt, ccxt.pro and pybit in, observations out.

All venue-specific names are translated here. Read in this order:

    request_budget   when a source may be polled
    answers          parse rows, reporting missing and malformed fields
    client           set up ccxt.pro's objects
    adapter          the interface of a venue
    exchanges/       Binance, Bybit and OKX
    onchain/         Hyperliquid and dYdX
"""

from collections.abc import Callable

from delever.watch.settings import WatchedVenue
from delever.watch.venues.adapter import VenueAdapter
from delever.watch.venues.exchanges.binance import binance, binance_coin
from delever.watch.venues.exchanges.bybit import bybit
from delever.watch.venues.exchanges.okx import okx
from delever.watch.venues.onchain.dydx import dydx
from delever.watch.venues.onchain.hyperliquid import hyperliquid

ADAPTERS: dict[str, Callable[[WatchedVenue, Callable[[], int]], VenueAdapter]] = {
    "binance": binance,
    "binance-coin": binance_coin,
    "bybit": bybit,
    "okx": okx,
    "hyperliquid": hyperliquid,
    "dydx": dydx,
}
"""Functions from settings and a clock to a venue's adapter; ConfigError for an unusable key."""
