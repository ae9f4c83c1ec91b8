"""Adapters of the venues: objects of ccxt, ccxt.pro and pybit in, observations out.

All venue-specific names are translated here. Read in this order:

    request_budget   when a source may be polled
    answers          parse rows, reporting missing and malformed fields
    client           set up ccxt.pro's objects
    positions        a ccxt position as an observation
    adapter          the interface of a venue
    binance          USDⓈ-M and COIN-M
    bybit            linear and inverse
    okx              swaps and futures
"""

from collections.abc import Callable

from delever.watch.settings import WatchedVenue
from delever.watch.venues.adapter import VenueAdapter
from delever.watch.venues.binance import binance, binance_coin
from delever.watch.venues.bybit import bybit
from delever.watch.venues.okx import okx

ADAPTERS: dict[str, Callable[[WatchedVenue, Callable[[], int]], VenueAdapter]] = {
    "binance": binance,
    "binance-coin": binance_coin,
    "bybit": bybit,
    "okx": okx,
}
"""Functions from settings and a clock to a venue's adapter; ConfigError for an unusable key."""
