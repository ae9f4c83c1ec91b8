"""Trading programs that run when their account is deleveraged, each in an environment of its own.

Unmodified but for the address: they start, load instruments, read account and positions, and print
`ready`. Then the market falls, and each must receive its own ADL fill. `make slow` runs them.
"""

import asyncio
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple

import binance_market
import bybit_market
import pytest
from binance_market import SECRET, submit_to
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from live_server import ANONYMOUS_CONFIG, LiveServer, live_server

from delever.config import Role
from delever.server.transport.api_keys import ApiKey
from sources import ROOT

pytestmark = pytest.mark.slow

LIMIT_S = 120.0

NAUTILUS = """
import asyncio, json, os, sys
url = sys.argv[1]
ws = url.replace("http", "ws")
os.environ |= {"OKX_API_KEY": "bob-key", "OKX_API_SECRET": "s3cret", "OKX_API_PASSPHRASE": "s3cret"}
from nautilus_trader.config import (
    InstrumentProviderConfig, LiveExecEngineConfig, LoggingConfig, TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
loading = {"instrument_provider": InstrumentProviderConfig(load_all=True), "base_url_http": url}
#VENUE#
node = TradingNode(TradingNodeConfig(
    trader_id="T-001", logging=LoggingConfig(log_level="WARN", log_colors=False),
    exec_engine=LiveExecEngineConfig(reconciliation=True),
    data_clients={name: data}, exec_clients={name: execution},
    timeout_connection=30, timeout_reconciliation=15, timeout_disconnection=5, timeout_post_stop=1,
))
node.add_data_client_factory(name, data_factory)
node.add_exec_client_factory(name, execution_factory)
node.build()
fills = []
node.kernel.msgbus.subscribe("events.fills.*", fills.append)

async def until(condition, seconds):
    for _ in range(seconds * 10):
        if condition():
            return
        await asyncio.sleep(0.1)

async def main():
    running = asyncio.ensure_future(node.run_async())
    await until(lambda: node.trader.is_running, 60)
    held = {str(p.instrument_id): str(p.quantity) for p in node.cache.positions_open()}
    instruments, before = len(node.cache.instrument_ids()), len(fills)
    accounts = [str(a.id) for a in node.cache.accounts()]
    print("ready", flush=True)
    await until(lambda: len(fills) > before, #WAIT#)
    print(json.dumps({
        "accounts": accounts, "instruments": instruments, "held": held,
        "closed": [[str(f.instrument_id), str(f.last_qty), str(f.order_side)]
                   for f in fills[before:]],
    }), flush=True)
    os._exit(0)

node.kernel.loop.run_until_complete(main())
"""

NAUTILUS_VENUES = {
    "binance": """
from nautilus_trader.adapters.binance import (
    BinanceAccountType, BinanceDataClientConfig, BinanceExecClientConfig,
    BinanceLiveDataClientFactory as data_factory, BinanceLiveExecClientFactory as execution_factory,
)
name = "BINANCE"
keys = {"api_key": "ann-key", "api_secret": "s3cret", "base_url_ws": ws, **loading}
keys["account_type"] = BinanceAccountType.USDT_FUTURES
data, execution = BinanceDataClientConfig(**keys), BinanceExecClientConfig(**keys)
""",
    "bybit": """
from nautilus_trader.adapters.bybit import (
    BybitDataClientConfig, BybitExecClientConfig, BybitLiveDataClientFactory as data_factory,
    BybitLiveExecClientFactory as execution_factory, BybitProductType, factories,
)
factories.get_ws_base_url_public = lambda product_type, **_: f"{ws}/v5/public/{product_type.value}"
name = "BYBIT"
keys = {"api_key": "bob-key", "api_secret": "s3cret", **loading}
keys["product_types"] = [BybitProductType.LINEAR, BybitProductType.INVERSE]
data = BybitDataClientConfig(**keys)
execution = BybitExecClientConfig(
    **keys, base_url_ws_private=ws + "/v5/private", base_url_ws_trade=ws + "/v5/trade"
)
""",
    "okx": """
from nautilus_trader.adapters.okx import (
    OKXDataClientConfig, OKXExecClientConfig, OKXLiveDataClientFactory as data_factory,
    OKXLiveExecClientFactory as execution_factory,
)
from nautilus_trader.core import nautilus_pyo3
nautilus_pyo3.get_okx_ws_url_business = lambda *_: ws + "/ws/v5/business"
name = "OKX"
keys = {"instrument_types": (nautilus_pyo3.OKXInstrumentType.SWAP,), **loading}
data = OKXDataClientConfig(**keys, base_url_ws=ws + "/ws/v5/public")
execution = OKXExecClientConfig(**keys, base_url_ws=ws + "/ws/v5/private")
""",
}

VNPY = """
import json, os, sys, time
url = sys.argv[1]
ws = url.replace("http", "ws")
from vnpy.event import EventEngine
from vnpy.trader.event import EVENT_ACCOUNT, EVENT_CONTRACT, EVENT_POSITION, EVENT_TRADE
events = EventEngine()
contracts, balances, held, trades = [], {}, {}, []
events.register(EVENT_CONTRACT, lambda e: contracts.append(e.data.symbol))
events.register(EVENT_ACCOUNT, lambda e: balances.update({e.data.accountid: e.data.balance}))
events.register(EVENT_POSITION, lambda e: held.update({e.data.symbol: e.data.volume}))
events.register(EVENT_TRADE, lambda e: trades.append([e.data.symbol, e.data.price, e.data.volume]))
events.start()

def until(condition):
    end = time.time() + 30
    while not condition() and time.time() < end:
        time.sleep(0.1)

#VENUE#
until(lambda: contracts and balances and any(held.values()))
before = {"contracts": len(contracts), "balance": balances.get("USDT"), "held": dict(held)}
time.sleep(2)  # its sockets subscribe without a word
print("ready", flush=True)
until(lambda: trades)
print(json.dumps(before | {"trades": trades}), flush=True)
os._exit(0)
"""

VNPY_VENUES = {
    "binance": """
import vnpy_binance.linear_gateway as gateway
gateway.REAL_REST_HOST, gateway.REAL_USER_HOST = url, ws + "/private/ws"
gateway.REAL_PUBLIC_HOST, gateway.REAL_MARKET_HOST = ws + "/public/stream", ws + "/market/stream"
gateway.REAL_TRADE_HOST = ws + "/ws-fapi/v1"
gateway.BinanceLinearGateway(events, "BINANCE").connect({
    "API Key": "ann-key", "API Secret": "s3cret", "Server": "REAL", "Kline Stream": "False",
    "Proxy Host": "", "Proxy Port": 0,
})
""",
    "bybit": """
import vnpy_bybit.bybit_gateway as gateway
gateway.REAL_REST_HOST = url
for kind in ("PRIVATE", "TRADE"):
    setattr(gateway, f"REAL_{kind}_WEBSOCKET_HOST", f"{ws}/v5/{kind.lower()}")
for kind in ("SPOT", "LINEAR", "INVERSE", "OPTION"):
    setattr(gateway, f"REAL_{kind}_WEBSOCKET_HOST", f"{ws}/v5/public/{kind.lower()}")
gateway.BybitGateway(events, "BYBIT").connect({
    "API Key": "bob-key", "Secret Key": "s3cret", "Server": "REAL", "Proxy Host": "",
    "Proxy Port": 0,
})
""",
    "okx": """
import vnpy_okx.okx_gateway as gateway
gateway.REAL_REST_HOST = url
for kind in ("PUBLIC", "PRIVATE", "BUSINESS"):
    setattr(gateway, f"REAL_{kind}_HOST", f"{ws}/ws/v5/{kind.lower()}")
gateway.OkxGateway(events, "OKX").connect({
    "API Key": "bob-key", "Secret Key": "s3cret", "Passphrase": "s3cret", "Server": "REAL",
    "Proxy Host": "", "Proxy Port": 0, "Spread Trading": "False", "Margin Currency": "",
})
""",
}

PYTHON_OKX = """
import asyncio, json, os, sys
url = sys.argv[1]
from okx.Account import AccountAPI
from okx.websocket.WsPrivateAsync import WsPrivateAsync
account = AccountAPI("bob-key", "s3cret", "s3cret", False, "0", domain=url, debug=False)
held = [row["pos"] for row in account.get_positions()["data"]]
seen = asyncio.Queue()

async def main():
    socket = WsPrivateAsync(
        "bob-key", "s3cret", "s3cret", url.replace("https", "wss") + "/ws/v5/private", False
    )
    await socket.start()
    await socket.subscribe([{"channel": "orders", "instType": "ANY"}], seen.put_nowait)
    while '"subscribe"' not in (text := await asyncio.wait_for(seen.get(), 20)):
        pass
    print("ready", flush=True)
    while '"adl"' not in (text := await asyncio.wait_for(seen.get(), 20)):
        pass
    row = json.loads(text)["data"][0]
    print(json.dumps({"held": held, "fill": [row["instId"], row["fillSz"], row["fillPx"]]}))
    sys.stdout.flush()
    os._exit(0)

asyncio.run(main())
"""

FREQTRADE = """
import json, sys, tempfile
from pathlib import Path
import ccxt.pro
from freqtrade.enums import CandleType
from freqtrade.resolvers import ExchangeResolver
url, venue, key = sys.argv[1:]
ws = url.replace("http", "ws")

def at(urls):
    if isinstance(urls, dict):
        return {name: at(each) for name, each in urls.items()}
    scheme, _, rest = urls.partition("://")
    return (ws if scheme.startswith("ws") else url) + "".join(rest.partition("/")[1:])

address = {"urls": {"api": at(getattr(ccxt.pro, venue)().urls["api"])}}
pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
exchange = ExchangeResolver.load_exchange({
    "exchange": {
        "name": venue, "key": key, "secret": "s3cret", "password": "s3cret", "enable_ws": False,
        "pair_whitelist": ["BTC/USDT:USDT"], "ccxt_config": address, "ccxt_async_config": address,
    },
    "trading_mode": "futures", "margin_mode": "isolated", "stake_currency": "USDT",
    "dry_run": False, "timeframe": "1h", "entry_pricing": pricing, "exit_pricing": pricing,
    "order_types": {
        "entry": "limit", "exit": "limit", "stoploss": "market", "stoploss_on_exchange": False,
    },
    "unfilledtimeout": {}, "minimal_roi": {}, "runmode": "live", "original_config": {},
    "candle_type_def": CandleType.FUTURES, "datadir": Path(tempfile.mkdtemp()),
}, validate=False, load_leverage_tiers=True)
only = {"execType": "AdlTrade"} if venue == "bybit" else {}
trades = exchange._api.fetch_my_trades("BTC/USDT:USDT", params=only)
print(json.dumps({
    "markets": sorted(exchange.markets)[:2],
    "total": exchange.get_balances()["USDT"]["total"],
    "held": len(exchange.fetch_positions()),
    "leverage": exchange.get_max_leverage("BTC/USDT:USDT", 100.0),
    "fills": [[trade["amount"], trade["price"]] for trade in trades],
}))
"""

CCXT_JAVASCRIPT = """
import ccxt from 'ccxt';
const url = process.argv[2], ws = url.replace('http', 'ws');
const at = (urls) => typeof urls === 'string'
  ? (urls.startsWith('ws') ? ws : url) + urls.replace(/^[a-z]+:\\/\\/[^/]*/, '')
  : Object.fromEntries(Object.entries(urls).map(([name, each]) => [name, at(each)]));
const exchange = new ccxt.pro.binanceusdm({ apiKey: 'ann-key', secret: 's3cret' });
exchange.urls.api = at(exchange.urls.api);
await exchange.loadHttpProxyAgent();
const held = (await exchange.fetchPositions()).map((p) => [p.symbol, p.side, p.contracts]);
const ranks = (await exchange.fetchPositionsADLRank()).map((each) => each.rank);
const total = (await exchange.fetchBalance()).USDT.total;
let coming = exchange.watchOrders();
setTimeout(() => console.log('ready'), 2000);
let order;
do {
  order = (await coming).at(-1);
  coming = exchange.watchOrders();
} while (order.info.X === 'NEW');
const fill = [order.info.c, order.info.x, order.filled];
console.log(JSON.stringify({ held, ranks, total, fill }));
process.exit(0);
"""


class Client(NamedTuple):
    """A program, its packages, the market it runs in, and what it prints last."""

    packages: tuple[str, ...]
    program: str
    market: Any
    expected: dict[str, Any]
    log: str = ""


def nautilus(venue: str, market: Any, expected: dict[str, Any], log: str = "") -> Client:
    program = NAUTILUS.replace("#VENUE#", NAUTILUS_VENUES[venue])
    program = program.replace("#WAIT#", "3" if log else "30")
    return Client(("nautilus-trader==1.221.0",), program, market, expected, log)


def vnpy(venue: str, package: str, market: Any, expected: dict[str, Any]) -> Client:
    program = VNPY.replace("#VENUE#", VNPY_VENUES[venue])
    return Client(("vnpy==4.5.0", package), program, market, expected)


CLIENTS: dict[str, Client] = {
    "nautilus-binance": nautilus(
        "binance",
        binance_market,
        {
            "accounts": ["BINANCE-USDT_FUTURES-master"],
            "instruments": 3,
            "held": {"BTCUSDT-PERP.BINANCE": "0.600"},
            "closed": [["BTCUSDT-PERP.BINANCE", "0.600", "1"]],
        },
    ),
    "nautilus-bybit": nautilus(
        "bybit",
        bybit_market,
        {
            "accounts": ["BYBIT-UNIFIED"],
            "instruments": 3,
            "held": {"BTCUSDT-LINEAR.BYBIT": "50.000"},
            "closed": [["BTCUSDT-LINEAR.BYBIT", "50.000", "1"]],
        },
    ),
    "nautilus-okx": nautilus(
        "okx",
        bybit_market,
        {
            "accounts": ["OKX-master"],
            "instruments": 3,
            "held": {"BTC-USDT-SWAP.OKX": "50.000"},
            "closed": [],  # 1.221 defers a fill whose order it has not seen, and says so
        },
        log="FillReport received before OrderStatusReport for VenueOrderId(",
    ),
    "vnpy-binance": vnpy(
        "binance",
        "vnpy_binance==2026.8.5",
        binance_market,
        {
            "contracts": 3,
            "balance": 1500.0,
            "held": {"BTCUSDT_SWAP_BINANCE": -0.6},
            "trades": [["BTCUSDT_SWAP_BINANCE", 57000.0, 0.6]],
        },
    ),
    "vnpy-bybit": vnpy(
        "bybit",
        "vnpy_bybit==2026.6.19",
        bybit_market,
        {
            "contracts": 3,
            "balance": 400_000.0,
            "held": {"BTCUSDT_SWAP_BYBIT": -50.0},
            "trades": [["BTCUSDT_SWAP_BYBIT", 56500.0, 50.0]],
        },
    ),
    "vnpy-okx": vnpy(
        "okx",
        "vnpy_okx==2026.6.10",
        bybit_market,
        {
            "contracts": 3,
            "balance": 400_000.0,
            "held": {"BTCUSDT_SWAP_OKX": -50.0},
            "trades": [["BTCUSDT_SWAP_OKX", 56500.0, 50.0]],
        },
    ),
}
"""Each program by its name."""


@contextmanager
def opened(market: Any) -> Iterator[LiveServer]:
    """Serve a market up to its fall, with a key of each of its accounts."""
    with live_server(ANONYMOUS_CONFIG) as server:
        for account in market.ACCOUNTS if market is bybit_market else market.KEYS.values():
            secret, roles = SECRET.encode(), frozenset({Role.TRADE_ACCOUNT})
            key = ApiKey(f"{account}-key", roles, (account,), secret, _passphrase=secret)
            server.service.keyring.add(key)
        submit_to(server.service, market.opening())
        yield server


def run_through_fall(server: LiveServer, market: Any, command: list[str]) -> list[str]:
    """Run a program, let the market fall when it is ready, and return its lines."""
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        ending = threading.Timer(LIMIT_S, running.kill)
        ending.start()
        try:
            for line in running.stdout or ():
                lines.append(line)
                if line == "ready\n":
                    submit_to(server.service, market.fall())
        finally:
            ending.cancel()
    return lines


def last_json(lines: list[str]) -> Any:
    found = [line for line in lines if line.startswith("{")]
    assert found, "".join(lines[-40:])
    return json.loads(found[-1])


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., str]:
    """Return a function that installs packages and returns the Python that has them."""
    uv = str(ROOT / ".venv" / "bin" / "uv")

    def install(*packages: str) -> str:
        python = str(tmp_path / "env" / "bin" / "python")
        subprocess.run(
            [uv, "venv", "--quiet", "--python", "3.11", str(tmp_path / "env")], check=True
        )
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
        return python

    return install


@pytest.mark.parametrize("name", CLIENTS)
def test_a_running_program_receives_its_adl_fill(
    installed: Callable[..., str], tmp_path: Path, name: str
) -> None:
    client = CLIENTS[name]
    program = tmp_path / "program.py"
    program.write_text(client.program)
    python = installed(*client.packages)
    with opened(client.market) as server:
        lines = run_through_fall(server, client.market, [python, str(program), server.url])
    assert last_json(lines) == client.expected
    assert client.log in "".join(lines)


def test_freqtrade_starts_on_three_venues_and_finds_its_adl_fill(
    installed: Callable[..., str], tmp_path: Path
) -> None:
    program, python = tmp_path / "program.py", installed("freqtrade==2026.9")
    program.write_text(FREQTRADE)
    linear = {"held": 0, "leverage": 200.0}
    bob = linear | {"total": 575_000.0, "fills": [[50.0, 56_500.0]]}
    bob["markets"] = ["ALT/USDT:USDT", "BTC/USD:BTC"]
    ann = linear | {"total": 3900.0, "fills": [[0.6, 57_000.0]]}
    ann["markets"] = ["BTC/USD:BTC", "BTC/USDT:USDT"]
    for market, venue, key, expected in (
        (binance_market, "binance", "ann-key", ann),
        (bybit_market, "bybit", "bob-key", bob),
        (bybit_market, "okx", "bob-key", bob),
    ):
        with opened(market) as server:
            submit_to(server.service, market.fall())
            command = [python, str(program), server.url, venue, key]
            assert last_json(run_through_fall(server, market, command)) == expected, venue


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs node and npm")
def test_ccxt_for_javascript_receives_its_adl_fill(tmp_path: Path) -> None:
    (tmp_path / "program.mjs").write_text(CCXT_JAVASCRIPT)
    (tmp_path / "package.json").write_text("{}")
    subprocess.run(["npm", "install", "--silent", "ccxt@4.5.84"], cwd=tmp_path, check=True)
    with opened(binance_market) as server:
        command = ["node", str(tmp_path / "program.mjs"), server.url]
        lines = run_through_fall(server, binance_market, command)
    assert last_json(lines) == {
        "held": [["BTC/USDT:USDT", "short", 0.6]],
        "ranks": [4],
        "total": 2100,
        "fill": ["adl_autoclose", "CALCULATED", 0.6],
    }


# --- TLS ---


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate of 127.0.0.1 and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "delever test")])
    host = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(host, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(pem))
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def pass_on(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy a connection to a port and back until both ends have closed."""
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
    finally:
        for each in (writer, inner_writer):
            each.close()
            with suppress(ConnectionError, ssl.SSLError):
                await each.wait_closed()


@contextmanager
def behind_tls(server: LiveServer, chain: tuple[Path, Path]) -> Iterator[str]:
    """Serve a server's port through TLS, as a proxy in front of it does; yield its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*chain)
    connect = partial(pass_on, int(server.url.rpartition(":")[2]))
    started: Queue[tuple[int, Callable[[], None]]] = Queue()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(connect, "127.0.0.1", 0, ssl=context) as proxy:
            port = proxy.sockets[0].getsockname()[1]
            started.put((port, partial(loop.call_soon_threadsafe, stop.set)))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, stop = started.get(timeout=LIMIT_S)
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        stop()
        thread.join()


def test_python_okx_receives_its_adl_fill_over_tls(
    installed: Callable[..., str], tmp_path: Path
) -> None:
    """Its sockets are TLS only; SSL_CERT_FILE names the certificate that signed the server's."""
    program = tmp_path / "program.py"
    program.write_text(PYTHON_OKX)
    python, chain = installed("python-okx==0.4.4"), certificate(tmp_path)
    with opened(bybit_market) as server, behind_tls(server, chain) as url:
        command = ["env", f"SSL_CERT_FILE={chain[0]}", python, str(program), url]
        lines = run_through_fall(server, bybit_market, command)
    assert last_json(lines) == {"held": ["-50"], "fill": ["BTC-USDT-SWAP", "50", "56500"]}
