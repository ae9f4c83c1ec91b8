"""The venues: ccxt's, ccxt.pro's and pybit's objects in, readings out.

Everything that a venue calls by its own words is translated here. `fields` reads answers so that
what is missing or malformed is said with its name; `client` sets up the libraries; `adapter` is
what each venue's module makes of them.
"""

from collections.abc import Callable

from delever.watch.settings import Venue
from delever.watch.venues.adapter import Adapter
from delever.watch.venues.binance import binance, binance_coin
from delever.watch.venues.bybit import bybit
from delever.watch.venues.okx import okx

MAKERS: dict[str, Callable[[Venue, Callable[[], int]], Adapter]] = {
    "binance": binance,
    "binance-coin": binance_coin,
    "bybit": bybit,
    "okx": okx,
}
"""What makes the adapter of a venue from its settings and a clock; ConfigError for a bad key."""
