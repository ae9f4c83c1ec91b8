"""watch: the risk of ADL on venues' real accounts; its history, and whether its alerts arrive."""

import asyncio
import logging
import signal
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from delever.cli import Exit, UsageError
from delever.cli.output import TO_STDOUT, Output, json_text, say, show, tell
from delever.config import ConfigError
from delever.lab.errors import InputError

if TYPE_CHECKING:
    from delever.watch.run import Watch
    from delever.watch.settings import Settings
    from delever.watch.store import Delivery
    from delever.watch.view import View

DAY_MS = 24 * 3_600_000

app = App(name="watch", help="Watch indicators, pools and ADL on Binance, Bybit and OKX.")

ConfigPath = Annotated[
    Path | None, Parameter(name=("--config", "-c"), help="The TOML file: docs/watch.md.")
]
HistoryPath = Annotated[Path | None, Parameter(help="Instead of `history` in the TOML file.")]


def wall_clock_ms() -> int:
    """Return the time of day in milliseconds."""
    return time.time_ns() // 1_000_000


@app.default
def watch(
    *venues: Annotated[
        str, Parameter(help="Without --config: binance, binance-coin, bybit, okx (all without).")
    ],
    config: ConfigPath = None,
    base_url: Annotated[
        tuple[str, ...],
        Parameter(help="VENUE=URL, or URL for all: another server that speaks their APIs."),
    ] = (),
    contract: Annotated[
        tuple[str, ...], Parameter(help="Contract to show even without a position.")
    ] = (),
    history: HistoryPath = None,
    once: Annotated[
        bool, Parameter(negative="", help="Look once; exit code 3 if any rule holds.")
    ] = False,
    json: Annotated[bool, Parameter(negative="", help="One JSON object a second.")] = False,
    page: Annotated[bool, Parameter(negative="", help="Serve a page instead of a table.")] = False,
    host: Annotated[str, Parameter(help="Where --page listens; as it is, this machine only.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, Parameter(help="Port of --page; 0 takes any.")] = 8082,
) -> int:
    """Show indicators, states, distances, pools and ADL fills, with ages, until interrupted."""
    from delever.watch.store import Store  # noqa: PLC0415 - heavy

    if page and (once or json):
        raise UsageError("--page goes neither with --once nor with --json")
    settings = _settings(config, venues, base_url, contract, history)
    with closing(_store(Store, settings.history)) as store:
        watching = _watch(settings, store)
        _hush()
        try:
            if once:
                _print(asyncio.run(watching.once()), json=json)
                return Exit.CHECK_FAILED if watching.holds else Exit.DONE
            if page:
                return _serve(watching, settings.history, host, port)
            asyncio.run(_live(watching, partial(_stream, json=json) if json else _shown()))
        except sqlite3.Error as error:  # a full disk, or a file that somebody has taken away
            say(f"delever: {settings.history}: {error}")
            return Exit.FAILED
    return Exit.DONE


def _hush() -> None:
    """Let libraries' own logs not run over the table: what they report is shown as faults."""
    for name in ("pybit", "websocket", "apprise", "ccxt", "asyncio"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False


def _settings(
    path: Path | None,
    venues: Sequence[str],
    base_urls: Sequence[str],
    contracts: Sequence[str],
    history: Path | None,
) -> "Settings":
    """Return the settings of the file, or of the command line, with what the latter overrides."""
    import msgspec  # noqa: PLC0415 - heavy

    from delever.watch import settings as file  # noqa: PLC0415 - heavy

    if path is not None and venues:
        raise UsageError("say --config, which names its venues, or venues")
    try:
        if path is None:
            named = venues or file.VENUES
            raw: dict[str, Any] = {"venues": [{"venue": name} for name in named]}
            settings = file.parse(raw, where="delever watch")
        else:
            settings = file.load(path)
        moved = [_moved(venue, base_urls, contracts) for venue in settings.venues]
        settings = msgspec.structs.replace(settings, venues=tuple(moved))
    except ConfigError as error:
        raise InputError(str(error)) from None
    if history is not None:
        settings = msgspec.structs.replace(settings, history=str(history))
    return settings


def _moved(venue: Any, base_urls: Sequence[str], contracts: Sequence[str]) -> Any:
    import msgspec  # noqa: PLC0415 - heavy

    for given in base_urls:
        name, separator, url = given.rpartition("=")
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--base-url {given}: say URL or VENUE=URL")
        if not separator or name == venue.venue:
            venue = msgspec.structs.replace(venue, base_url=url)
    return msgspec.structs.replace(venue, contracts=(*venue.contracts, *contracts))


def _store(kind: Any, path: str) -> Any:
    try:
        return kind(path)
    except sqlite3.Error as error:
        raise InputError(f"history = {path!r}: {error}") from None


def _watch(settings: "Settings", store: Any) -> "Watch":
    from delever.watch.run import Watch  # noqa: PLC0415 - heavy
    from delever.watch.venues import MAKERS  # noqa: PLC0415 - heavy

    try:
        adapters = [MAKERS[venue.venue](venue, wall_clock_ms) for venue in settings.venues]
        return Watch(settings, adapters, store, wall_clock_ms)
    except ConfigError as error:
        raise InputError(str(error)) from None


def _print(view: "View", *, json: bool) -> None:
    if json:
        tell(json_text(_with_schema(view), indent=0).rstrip())
        return
    from rich.console import Console  # noqa: PLC0415 - not before somebody looks

    from delever.watch.screen import screen  # noqa: PLC0415 - heavy

    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(screen(view))


def _with_schema(view: "View") -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - heavy

    return {"schema": "delever.watch/1", **msgspec.to_builtins(view)}


Shown = Callable[["Watch", "asyncio.Task[None]"], Awaitable[None]]
"""What shows a watch for as long as its task runs."""


def _shown() -> Shown:
    """Return what shows it here: a table that stays in its place, or one after the other."""
    return _draw if sys.stdout.isatty() else partial(_stream, json=False)


async def _live(watching: "Watch", shown: Shown) -> None:
    """Watch until SIGINT or SIGTERM, showing everything once a second."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(watching.run(stop))
    try:
        await shown(watching, running)
    finally:
        stop.set()
        await running


def _serve(watching: "Watch", history: str, host: str, port: int) -> int:
    """Watch, and serve the page, until told to stop."""
    try:
        from delever.dashboard.watch_app import app_of, bind, serve  # noqa: PLC0415 - heavy
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: install delever[dashboard]") from None
    try:
        listening = bind(host, port)
    except OSError as error:
        say(f"delever: {host}:{port}: {error}")
        return Exit.FAILED
    app = app_of(watching, history, host)
    with listening:
        asyncio.run(_live(watching, lambda _, running: serve(app, listening, running, tell)))
    return Exit.DONE


async def _stream(watching: "Watch", running: "asyncio.Task[None]", *, json: bool) -> None:
    while not running.done():
        await asyncio.wait([running], timeout=1)
        if not running.done():
            _print(watching.view(), json=json)
            sys.stdout.flush()


async def _draw(watching: "Watch", running: "asyncio.Task[None]") -> None:
    from rich.live import Live  # noqa: PLC0415 - not before somebody looks

    from delever.watch.screen import screen  # noqa: PLC0415 - heavy

    with Live(screen(watching.view()), screen=True, auto_refresh=False) as live:
        while not running.done():
            await asyncio.wait([running], timeout=1)
            live.update(screen(watching.view()), refresh=True)


@app.command(name="history")
def history_command(
    *,
    config: ConfigPath = None,
    history: HistoryPath = None,
    contract: Annotated[str | None, Parameter(help="Only this contract or pool.")] = None,
    days: Annotated[float, Parameter(help="Only the last days.")] = 30,
    plot: Annotated[
        Path | None,
        Parameter(help="PNG or SVG file: indicators, profit ratio and states over time."),
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Export what the watch has kept: as a table, JSON, CSV or Parquet, or as a plot."""
    from delever.watch import store  # noqa: PLC0415 - heavy

    path = _settings(config, (), (), (), history).history
    since_ms = wall_clock_ms() - round(days * DAY_MS)
    try:
        kept = store.history(path, since_ms=since_ms, name=contract)
    except sqlite3.Error as error:
        raise InputError(f"{path}: {error}; it is made by `delever watch`") from None
    if plot is not None:
        from delever.watch.plot import draw  # noqa: PLC0415 - heavy

        if plot.suffix not in {".png", ".svg"}:
            raise UsageError(f"a plot is a .png or .svg file, not {plot.suffix}")
        plot.write_bytes(draw(kept, plot.suffix.removeprefix(".")))
        say(f"{plot}: {len(kept)} numbers")
        return
    show([line._asdict() for line in kept], out, schema="delever.watch.history/1")


@app.command
def deliveries(
    *,
    config: ConfigPath = None,
    history: HistoryPath = None,
    days: Annotated[float, Parameter(help="Only the last days.")] = 30,
    out: Output = TO_STDOUT,
) -> None:
    """Show what has become of every alert: which channel, sent, waiting or failed, and why not."""
    from delever.watch import store  # noqa: PLC0415 - heavy

    path = _settings(config, (), (), (), history).history
    since_ms = wall_clock_ms() - round(days * DAY_MS)
    try:
        told = store.delivery_log(path, since_ms=since_ms)
    except sqlite3.Error as error:
        raise InputError(f"{path}: {error}; it is made by `delever watch`") from None
    show([_delivery(each) for each in told], out, schema="delever.watch.deliveries/1")


def _delivery(told: "Delivery") -> dict[str, object]:
    return {
        "made_ms": told.made_ms,
        "channel": told.channel,
        "state": told.state,
        "attempts": told.attempts,
        "kind": told.alert.kind,
        "rule": told.alert.rule,
        "text": told.alert.text,
        "error": told.error,
    }


@app.command
def test_alert(*, config: Annotated[Path, Parameter(name=("--config", "-c"))]) -> int:
    """Send a test to every channel, and say how each went; exit code 1 if any did not take it."""
    from delever.watch.alerts import attempt, senders, trial  # noqa: PLC0415 - heavy

    settings = _settings(config, (), (), (), None)
    try:
        sending = senders(settings, wall_clock_ms)
    except ConfigError as error:
        raise InputError(str(error)) from None
    if not sending:
        raise UsageError(f"{config}: has no [[channels]]")

    async def send_all() -> list[str]:
        now = wall_clock_ms()
        tries = (attempt(send, f"delever-test-{now}", trial(now)) for send in sending.values())
        return await asyncio.gather(*tries)

    _hush()
    errors = asyncio.run(send_all())
    for name, why in zip(sending, errors, strict=True):
        tell(f"{name}: {why or 'sent'}")
    return Exit.FAILED if any(errors) else Exit.DONE
