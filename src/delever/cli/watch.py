"""Watch the ADL risk of real accounts; export its history and test its alert channels."""

import asyncio
import logging
import signal
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from delever.cli import ExitCode, UsageError, needs_extra
from delever.cli.output import TO_STDOUT, Output, json_text, log, write, write_rows
from delever.config import ConfigError
from delever.lab.errors import InputError

if TYPE_CHECKING:
    from delever.watch.screen.view import WatchView
    from delever.watch.settings import WatchSettings
    from delever.watch.store import AlertDelivery
    from delever.watch.watch_loop import Watch

DAY_MS = 24 * 3_600_000

app = App(
    name="watch", help="Watch indicators, funds and ADL on Binance, Bybit, OKX, Hyperliquid, dYdX."
)

ConfigPath = Annotated[
    Path | None,
    Parameter(name=("--config", "-c"), help="TOML configuration, as docs/watch.md describes."),
]
HistoryPath = Annotated[
    Path | None,
    Parameter(
        help="History file; overrides `history` of the configuration. Without either, none is left."
    ),
]
Days = Annotated[float, Parameter(help="Number of days back from now.")]

Display = Callable[["Watch", "asyncio.Task[None]"], Awaitable[None]]
"""A coroutine that displays a watch until the watch's task ends."""


def wall_clock_ms() -> int:
    """Return the time of day in milliseconds."""
    return time.time_ns() // 1_000_000


@app.default
def watch(
    *venues: Annotated[
        str,
        Parameter(
            help="Without --config: binance, binance-coin, bybit, okx (default: these four), "
            "hyperliquid, dydx."
        ),
    ],
    config: ConfigPath = None,
    base_url: Annotated[
        tuple[str, ...],
        Parameter(help="VENUE=URL, or URL for every venue: another server with the same API."),
    ] = (),
    contract: Annotated[
        tuple[str, ...], Parameter(help="Contract to list even without a position; repeatable.")
    ] = (),
    address: Annotated[
        str, Parameter(help="Account to watch at hyperliquid or dydx, without --config.")
    ] = "",
    book: Annotated[
        str, Parameter(help="All accounts' positions at hyperliquid, as docs/watch.md describes.")
    ] = "",
    history: HistoryPath = None,
    once: Annotated[
        bool,
        Parameter(
            negative="",
            help="Poll once. Exit code 3: an alert rule is met; 4: a source could not be read.",
        ),
    ] = False,
    json: Annotated[bool, Parameter(negative="", help="Write one JSON object a second.")] = False,
    page: Annotated[
        bool, Parameter(negative="", help="Serve a web page instead of drawing a table.")
    ] = False,
    host: Annotated[str, Parameter(help="Address that --page listens on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port of --page; 0 picks a free one.")] = 8082,
) -> int:
    """Display indicators, states, distances, funds and ADL fills, with ages, until interrupted."""
    from delever.watch.store import WatchStore  # noqa: PLC0415 - slow to import

    if page and (once or json):
        raise UsageError("--page cannot be combined with --once or --json")
    named = _named(venues, address, book)
    settings = _settings(config, named, base_url, contract, history)
    with _history_file(settings.history) as file, closing(_store(WatchStore, file)) as store:
        watching = _watch(settings, store)
        _silence_libraries()
        try:
            if once:
                return _once(watching, json=json)
            if page:
                return _serve(watching, file, host, port)
            display = partial(_stream, json=json) if json else _display()
            return asyncio.run(_run(watching, display))
        except sqlite3.Error as error:  # for example a full disk, or a deleted file
            log(f"delever: {file}: {error}")
            return ExitCode.FAILURE


@contextmanager
def _history_file(path: str) -> Iterator[str]:
    """Yield the path of the history; without one, of a file that is deleted at the end."""
    if path:
        yield path
        return
    with TemporaryDirectory(prefix="delever-watch-") as folder:
        yield str(Path(folder) / "history.db")


def _stored_history(config: Path | None, history: Path | None) -> str:
    """Return the path of a history that a watch has written."""
    path = _settings(config, (), (), (), history).history
    if not path:
        raise UsageError("name the history: --config or --history")
    return path


def _once(watching: "Watch", *, json: bool) -> int:
    """Poll once, write the view, and return the exit code; an alert precedes an unread source."""
    _write_view(asyncio.run(watching.once()), json=json)
    for source in watching.unread:
        log(f"delever: not read: {source}")
    if watching.has_active_alerts:
        return ExitCode.CHECK_FAILED
    return ExitCode.INVALID_INPUT if watching.unread else ExitCode.SUCCESS


def _silence_libraries() -> None:
    """Drop the log lines of client libraries, which would overwrite the table.

    Their errors are displayed as failures of the venue or the channel.
    """
    for name in ("pybit", "websocket", "apprise", "ccxt", "asyncio"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False


def _named(venues: Sequence[str], address: str, book: str) -> Sequence[Mapping[str, str]]:
    """Return the settings of the venues that the command line names."""
    chosen = set(venues) & {"hyperliquid", "dydx"}
    if len(chosen) != 1 and (address or book):
        raise UsageError("--address and --book are for one venue: hyperliquid or dydx")
    own = {"address": address, **({"book": book} if book else {})}
    return [{"venue": name, **(own if name in chosen else {})} for name in venues]


def _settings(
    path: Path | None,
    venues: Sequence[Mapping[str, str]],
    base_urls: Sequence[str],
    contracts: Sequence[str],
    history: Path | None,
) -> "WatchSettings":
    """Return the settings of the file or the named venues, with the command line's overrides."""
    import msgspec  # noqa: PLC0415 - slow to import

    from delever.watch import settings as file  # noqa: PLC0415

    if path is not None and venues:
        raise UsageError("--config names its venues: give --config or venues, not both")
    try:
        if path is None:
            named = venues or [{"venue": name} for name in file.EXCHANGES]
            raw: dict[str, Any] = {"venues": named}
            settings = file.parse(raw, where="delever watch")
        else:
            settings = file.load(path)
        overridden = [_override(venue, base_urls, contracts) for venue in settings.venues]
        settings = msgspec.structs.replace(settings, venues=tuple(overridden))
    except ConfigError as error:
        raise InputError(str(error)) from None
    if history is not None:
        settings = msgspec.structs.replace(settings, history=str(history))
    return settings


def _override(venue: Any, base_urls: Sequence[str], contracts: Sequence[str]) -> Any:
    """Return a venue's settings with the --base-url and --contract options that apply to it."""
    import msgspec  # noqa: PLC0415 - slow to import

    for option in base_urls:
        name, separator, url = option.rpartition("=")
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"--base-url {option}: expected URL or VENUE=URL")
        if not separator or name == venue.venue:
            venue = msgspec.structs.replace(venue, base_url=url)
    return msgspec.structs.replace(venue, contracts=(*venue.contracts, *contracts))


def _store(kind: Any, path: str) -> Any:
    try:
        return kind(path)
    except sqlite3.Error as error:
        raise InputError(f"history = {path!r}: {error}") from None


def _watch(settings: "WatchSettings", store: Any) -> "Watch":
    with needs_extra("watch"):
        from delever.watch.venues import ADAPTERS  # noqa: PLC0415
        from delever.watch.watch_loop import Watch  # noqa: PLC0415 - slow to import

    try:
        adapters = [ADAPTERS[venue.venue](venue, wall_clock_ms) for venue in settings.venues]
        return Watch(settings, adapters, store, wall_clock_ms)
    except ConfigError as error:
        raise InputError(str(error)) from None


def _write_view(view: "WatchView", *, json: bool) -> None:
    import msgspec  # noqa: PLC0415 - slow to import

    if json:
        fields = {"schema": "delever.watch/1", **msgspec.to_builtins(view)}
        write(json_text(fields, indent=0).rstrip())
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import

    from delever.watch.screen.terminal import screen  # noqa: PLC0415

    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(screen(view))


def _display() -> Display:
    """Return pages that are redrawn in place on a terminal; elsewhere one table a second."""
    return _draw if sys.stdout.isatty() else partial(_stream, json=False)


async def _run(watching: "Watch", display: Display) -> int:
    """Watch and display once a second until SIGINT or SIGTERM; return the exit code."""
    stop = asyncio.Event()
    code = ExitCode.SUCCESS
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        nonlocal code
        code = ExitCode.INTERRUPTED
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    running = asyncio.create_task(watching.run(stop))
    try:
        await display(watching, running)
    finally:
        stop.set()
        await running
    return code


def _serve(watching: "Watch", history: str, host: str, port: int) -> int:
    """Watch and serve the web page until SIGINT or SIGTERM."""
    with needs_extra("dashboard"):
        from delever.dashboard.apps.serving import bind  # noqa: PLC0415 - slow
        from delever.dashboard.apps.watch import serve, watch_app  # noqa: PLC0415 - slow
    try:
        listening = bind(host, port)
    except OSError as error:
        log(f"delever: {host}:{port}: {error}")
        return ExitCode.FAILURE
    page = watch_app(watching, history, host)
    with listening:
        return asyncio.run(
            _run(watching, lambda _, running: serve(page, listening, running, write))
        )


async def _stream(watching: "Watch", running: "asyncio.Task[None]", *, json: bool) -> None:
    while not running.done():
        await asyncio.wait([running], timeout=1)
        if not running.done():
            _write_view(watching.view(), json=json)
            sys.stdout.flush()


async def _draw(watching: "Watch", running: "asyncio.Task[None]") -> None:
    """Draw the pages on the terminal, once a second and after each key, until the key q."""
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from delever.watch.screen.keyboard import keys  # noqa: PLC0415
    from delever.watch.screen.pager import PagerState, frame, page_lines, press  # noqa: PLC0415

    console, pressed = Console(), asyncio.Event()
    state: PagerState | None = PagerState()

    def on_key(key: str) -> None:
        nonlocal state
        if state is not None:
            lines = page_lines(watching.view(), state, console.width)
            state = press(state, key, len(lines), console.height)
        pressed.set()

    with keys(on_key), Live(console=console, screen=True, auto_refresh=False) as live:
        while state is not None and not running.done():
            lines = frame(watching.view(), state, console.width, console.height)
            texts = [Text(line.text, line.style, no_wrap=True) for line in lines]
            live.update(Text("\n").join(texts), refresh=True)
            waiting = asyncio.ensure_future(pressed.wait())
            await asyncio.wait([running, waiting], timeout=1, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            pressed.clear()


@app.command(name="history")
def history_command(
    *,
    config: ConfigPath = None,
    history: HistoryPath = None,
    contract: Annotated[str | None, Parameter(help="Only this contract or fund.")] = None,
    days: Days = 30,
    plot: Annotated[
        Path | None, Parameter(help="PNG or SVG file: indicators, PnL ratio and states over time.")
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Export the recorded history as a table, JSON, CSV or Parquet, or as a plot."""
    from delever.watch import store  # noqa: PLC0415 - slow to import

    path = _stored_history(config, history)
    since_ms = wall_clock_ms() - round(days * DAY_MS)
    try:
        points = store.read_history(path, since_ms=since_ms, name=contract)
    except sqlite3.Error as error:
        raise InputError(f"{path}: {error}; `delever watch` creates it") from None
    if plot is not None:
        from delever.watch.screen.history_plot import draw  # noqa: PLC0415 - slow to import

        if plot.suffix not in {".png", ".svg"}:
            raise UsageError(f"a plot is a .png or .svg file, not {plot.suffix}")
        plot.write_bytes(draw(points, plot.suffix.removeprefix(".")))
        log(f"{plot}: {len(points)} data points")
        return
    write_rows([point._asdict() for point in points], out, schema="delever.watch.history/1")


@app.command
def deliveries(
    *,
    config: ConfigPath = None,
    history: HistoryPath = None,
    days: Days = 30,
    out: Output = TO_STDOUT,
) -> None:
    """List every alert with its channel and state: sent, waiting, or failed with the error."""
    from delever.watch import store  # noqa: PLC0415 - slow to import

    path = _stored_history(config, history)
    since_ms = wall_clock_ms() - round(days * DAY_MS)
    try:
        listed = store.read_deliveries(path, since_ms=since_ms)
    except sqlite3.Error as error:
        raise InputError(f"{path}: {error}; `delever watch` creates it") from None
    write_rows(list(map(_delivery_row, listed)), out, schema="delever.watch.deliveries/1")


def _delivery_row(delivery: "AlertDelivery") -> dict[str, object]:
    return {
        "created_ms": delivery.created_ms,
        "channel": delivery.channel,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "kind": delivery.alert.kind,
        "rule": delivery.alert.rule,
        "text": delivery.alert.text,
        "error": delivery.error,
    }


@app.command
def test_alert(*, config: Annotated[Path, Parameter(name=("--config", "-c"))]) -> int:
    """Send a test alert to every channel and report each result; exit code 1 if any failed."""
    from delever.watch.alerts.delivery import sample_alert, send_once, senders  # noqa: PLC0415 - slow to import

    settings = _settings(config, (), (), (), None)
    try:
        channels = senders(settings, wall_clock_ms)
    except ConfigError as error:
        raise InputError(str(error)) from None
    if not channels:
        raise UsageError(f"{config}: has no [[channels]]")

    async def send_all() -> list[str]:
        now = wall_clock_ms()
        attempts = (
            send_once(send, f"delever-test-{now}", sample_alert(now)) for send in channels.values()
        )
        return await asyncio.gather(*attempts)

    _silence_libraries()
    errors = asyncio.run(send_all())
    for name, failure in zip(channels, errors, strict=True):
        write(f"{name}: {failure or 'sent'}")
    return ExitCode.FAILURE if any(errors) else ExitCode.SUCCESS
