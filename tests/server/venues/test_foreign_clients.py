"""Clients that this project does not depend on, each in an environment of its own, unmodified.

Each starts as its documentation says, but for the address, reads its account, and finds its ADL
fill. `uv` builds the environments; `make slow` runs them.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from binance_market import KEYS, SECRET, fall, opening, submit_to
from live_server import LiveServer, live_server

from delever.config import Role
from delever.server.transport.api_keys import ApiKey
from sources import ROOT

pytestmark = pytest.mark.slow

PYTHON_BINANCE = """
import asyncio, json, sys
from binance.base_client import BaseClient
url = sys.argv[1]
for name, path in (
    ("API_URL", "api"), ("FUTURES_URL", "fapi"), ("FUTURES_COIN_URL", "dapi"),
    ("MARGIN_API_URL", "sapi"), ("PAPI_URL", "papi"),
):
    setattr(BaseClient, name, f"{url}/{path}")
from binance.async_client import AsyncClient
from binance.client import Client
client = Client("ann-key", "s3cret")  # pings

async def start():
    started = await AsyncClient.create("ann-key", "s3cret")
    balance = await started.futures_account_balance()
    await started.close_connection()
    return balance

print(json.dumps({
    "spot": client.get_exchange_info()["symbols"],
    "balance": asyncio.run(start())[0]["balance"],
    "account": client.futures_account()["totalWalletBalance"],
    "trade": client.futures_account_trades(symbol="BTCUSDT")[0]["realizedPnl"],
    "order": client.futures_get_all_orders(symbol="BTCUSDT")[0]["clientOrderId"],
    "open": client.futures_get_open_orders(),
    "coin": client.futures_coin_account_balance()[0]["asset"],
}))
"""

BINANCE_SDK = """
import json, logging, sys
from binance_common.configuration import ConfigurationRestAPI
from binance_sdk_derivatives_trading_coin_futures.derivatives_trading_coin_futures import (
    DerivativesTradingCoinFutures as Coin,
)
from binance_sdk_derivatives_trading_portfolio_margin.derivatives_trading_portfolio_margin import (
    DerivativesTradingPortfolioMargin as Portfolio,
)
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures as Usds,
)
warnings = []
handler = logging.Handler()
handler.emit = lambda record: warnings.append(record.getMessage())  # of a wrong type
logging.getLogger().addHandler(handler)

def at(kind, key):
    configuration = ConfigurationRestAPI(
        api_key=key, api_secret="s3cret", base_path=sys.argv[1], timeout=5000
    )
    return kind(config_rest_api=configuration).rest_api

usds, coin, portfolio = at(Usds, "ann-key"), at(Coin, "inv-key"), at(Portfolio, "ann-key")
read = [
    usds.exchange_information(), usds.account_information_v2(), usds.account_information_v3(),
    usds.futures_account_balance_v3(), usds.position_information_v3(), usds.mark_price(),
    usds.notional_and_leverage_brackets(), usds.symbol_configuration(), usds.adl_risk(),
    usds.query_insurance_fund_balance_snapshot(), usds.position_adl_quantile_estimation(),
    coin.exchange_information(), coin.account_information(), coin.futures_account_balance(),
    coin.position_information(), coin.position_adl_quantile_estimation(),
    coin.notional_bracket_for_symbol(), portfolio.account_information(),
    portfolio.account_balance(), portfolio.get_um_account_detail(),
    portfolio.query_users_um_force_orders(), portfolio.um_position_adl_quantile_estimation(),
]
raw = [type(answer.data()).__name__ for answer in read if isinstance(answer.data(), dict)]
(trade,) = usds.account_trade_list(symbol="BTCUSDT").data()
(order,) = usds.users_force_orders().data()
print(json.dumps({
    "raw": raw, "warnings": warnings, "pnl": trade.realized_pnl, "order": order.client_order_id,
}))
"""

CONNECTOR = """
import json, sys
from binance.um_futures import UMFutures
from binance.cm_futures import CMFutures
client = UMFutures("ann-key", "s3cret", base_url=sys.argv[1])
coin = CMFutures("inv-key", "s3cret", base_url=sys.argv[1])
print(json.dumps({
    "account": client.account()["totalWalletBalance"],
    "dual": client.get_position_mode()["dualSidePosition"],
    "trade": client.get_account_trades(symbol="BTCUSDT")[0]["realizedPnl"],
    "order": client.force_orders()[0]["clientOrderId"],
    "coin": [row["asset"] for row in coin.account()["assets"]],
}))
"""

PYTHON_OKX = """
import json, sys
from okx.Account import AccountAPI
from okx.PublicData import PublicAPI
from okx.Trade import TradeAPI
url = sys.argv[1]
keys = ("ann-key", "s3cret", "s3cret", False, "0")
account = AccountAPI(*keys, domain=url, debug=False)
trade = TradeAPI(*keys, domain=url, debug=False)
public = PublicAPI(flag="0", domain=url, debug=False)
print(json.dumps({
    "codes": sorted({answer["code"] for answer in (
        account.get_account_config(), account.get_positions(),
        account.get_leverage("cross", instId="BTC-USDT-SWAP"), trade.get_order_list(),
        public.get_instruments("SWAP"), public.get_mark_price("SWAP"),
        public.get_position_tiers("SWAP", "cross", uly="BTC-USDT"),
    )}),
    "equity": account.get_account_balance()["data"][0]["totalEq"],
    "fill": trade.get_fills_history("SWAP")["data"][0]["fillPnl"],
    "order": trade.get_orders_history("SWAP")["data"][0]["category"],
}))
"""

NAUTILUS = """
import hashlib, hmac, json, sys, time, urllib.request
import msgspec
from nautilus_trader.adapters.binance.common.schemas.account import BinanceOrder, BinanceUserTrade
from nautilus_trader.adapters.binance.futures.schemas.account import (
    BinanceFuturesAccountInfo, BinanceFuturesDualSidePosition, BinanceFuturesPositionRisk,
)
from nautilus_trader.adapters.binance.futures.schemas.market import BinanceFuturesExchangeInfo
url = sys.argv[1]

def get(kind, path, query="", key="ann-key"):
    query += f"&timestamp={int(time.time() * 1000)}"
    query += "&signature=" + hmac.new(b"s3cret", query.encode(), hashlib.sha256).hexdigest()
    request = urllib.request.Request(f"{url}{path}?{query}", headers={"X-MBX-APIKEY": key})
    return msgspec.json.decode(urllib.request.urlopen(request).read(), type=kind)

for product, version, key in (("fapi", "v2", "hed-key"), ("dapi", "v1", "inv-key")):
    get(BinanceFuturesExchangeInfo, f"/{product}/v1/exchangeInfo")
    get(BinanceFuturesAccountInfo, f"/{product}/{version}/account", key=key)
    get(list[BinanceFuturesPositionRisk], f"/{product}/{version}/positionRisk", key=key)
    get(BinanceFuturesDualSidePosition, f"/{product}/v1/positionSide/dual", key=key)
(order,) = get(list[BinanceOrder], "/fapi/v1/allOrders", "symbol=BTCUSDT")
(trade,) = get(list[BinanceUserTrade], "/fapi/v1/userTrades", "symbol=BTCUSDT")
print(json.dumps({"order": order.clientOrderId, "pnl": trade.realizedPnl}))
"""

UNICORN = """
import json, sys
from unicorn_binance_rest_api.manager import BinanceRestApiManager as Manager
for name, path in (("API_URL", "api"), ("FUTURES_URL", "fapi"), ("FUTURES_COIN_URL", "dapi")):
    setattr(Manager, name, f"{sys.argv[1]}/{path}")
client = Manager("ann-key", "s3cret", exchange="", tld="com", warn_on_update=False)
print(json.dumps({
    "account": client.futures_account()["totalWalletBalance"],
    "trade": client.futures_account_trades(symbol="BTCUSDT")[0]["realizedPnl"],
    "symbols": len(client.futures_exchange_info()["symbols"]),
}))
"""

CLIENTS: dict[str, tuple[tuple[str, ...], str, dict[str, Any]]] = {
    "python-binance": (
        ("python-binance==1.0.37",),
        PYTHON_BINANCE,
        {
            "spot": [], "balance": "3900", "account": "3900", "trade": "2400.00000000",
            "order": "adl_autoclose", "open": [], "coin": "BTC",
        },
    ),
    "binance-sdk": (
        (
            "binance-sdk-derivatives-trading-usds-futures==18.1.0",
            "binance-sdk-derivatives-trading-coin-futures==14.1.0",
            "binance-sdk-derivatives-trading-portfolio-margin==16.1.0",
        ),
        BINANCE_SDK,
        {"raw": [], "warnings": [], "pnl": "2400.00000000", "order": "adl_autoclose"},
    ),
    "binance-futures-connector": (
        ("binance-futures-connector==4.2.0",),
        CONNECTOR,
        {
            "account": "3900", "dual": False, "trade": "2400.00000000", "order": "adl_autoclose",
            "coin": ["BTC"],
        },
    ),
    "python-okx": (
        ("python-okx==0.4.4",),
        PYTHON_OKX,
        {"codes": ["0"], "equity": "3900", "fill": "2400", "order": "adl"},
    ),
    "unicorn-binance-rest-api": (
        ("unicorn-binance-rest-api==2.12.0",),
        UNICORN,
        {"account": "3900", "trade": "2400.00000000", "symbols": 3},
    ),
    "nautilus-trader": (
        ("nautilus-trader==1.221.0",),
        NAUTILUS,
        {"order": "adl_autoclose", "pnl": "2400.00000000"},
    ),
}  # fmt: skip
"""Each client's packages, its program, and what the program prints."""


@pytest.fixture(scope="module")
def crashed() -> Iterator[LiveServer]:
    """The market of the Binance tests after its crash: ann was deleveraged."""
    with live_server() as server:
        for key, account in KEYS.items():
            secret, roles = SECRET.encode(), frozenset({Role.TRADE_ACCOUNT})
            holder = ApiKey(key, roles, (account,), secret, _passphrase=secret)
            server.service.keyring.add(holder)
        submit_to(server.service, [*opening(), *fall()])
        yield server


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that installs packages and returns the Python that has them."""
    uv = str(ROOT / ".venv" / "bin" / "uv")

    def install(*packages: str) -> Path:
        python = tmp_path / "env" / "bin" / "python"
        subprocess.run([uv, "venv", "--quiet", str(tmp_path / "env")], check=True)
        words = [uv, "pip", "install", "--quiet", "--python", str(python), *packages]
        subprocess.run(words, check=True)
        return python

    return install


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_starts_reads_its_account_and_finds_its_adl_fill(
    crashed: LiveServer, installed: Callable[..., Path], name: str
) -> None:
    packages, program, expected = CLIENTS[name]
    words = [str(installed(*packages)), "-c", program, crashed.url]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected
