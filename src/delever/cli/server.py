"""Processes that listen: the server, its configuration check, and a separate dashboard."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from delever.cli import ExitCode, UsageError
from delever.cli.output import log, write
from delever.config import Config, ConfigError, Role, check, load
from delever.lab.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from delever.demo.served_crash import DemoSize
    from delever.server.app import Service
    from delever.server.transport.api_keys import Keyring


ConfirmTime = Annotated[
    bool,
    Parameter(
        negative="", help="Confirm the clock after a stop longer than [journal] max_time_jump_ms."
    ),
]


def serve(
    *,
    config: Annotated[
        Path | None,
        Parameter(name=("--config", "-c"), help="TOML configuration. Default: all defaults."),
    ] = None,
    host: Annotated[str | None, Parameter(help="Override [listen] host.")] = None,
    port: Annotated[
        int | None, Parameter(help="Override [listen] port; 0 picks a free one.")
    ] = None,
    journal: Annotated[
        str | None,
        Parameter(help="Override [journal] log: nats://BROKER,BROKER,BROKER/NAME for a replica."),
    ] = None,
    demo: Annotated[bool, Parameter(help="Run the demo crash in real time.")] = False,
    seed: Annotated[int, Parameter(help="With --demo: random seed of the crash.")] = 10,
    accounts: Annotated[int, Parameter(help="With --demo: number of accounts.")] = 2_000,
    contracts: Annotated[int, Parameter(help="With --demo: number of contracts.")] = 8,
    speed: Annotated[
        int, Parameter(help="With --demo: simulated seconds for each second of real time.")
    ] = 1,
    confirm_time: ConfirmTime = False,
    loop: Annotated[
        bool,
        Parameter(negative="", help="With --demo: after the crash the next one, by another seed."),
    ] = False,
) -> int:
    """Run engine, journal, the Binance-, Bybit-, OKX-compatible and native APIs, and dashboard."""
    from delever.dashboard.mount import dashboard_app  # noqa: PLC0415
    from delever.demo.served_crash import DemoSize  # noqa: PLC0415
    from delever.journal import JournalError  # noqa: PLC0415 - slow to import
    from delever.server.app import Service  # noqa: PLC0415 - slow to import
    from delever.server.observability.logs import configure_logging, secrets_of  # noqa: PLC0415

    settings = _settings(config, host, port, journal, demo=demo)
    if speed < 1:
        raise UsageError(f"--speed {speed}: must be at least 1")
    if loop and (not demo or config is not None):
        raise UsageError(
            "--loop needs --demo, and no configuration: each crash has its own journal"
        )
    configure_logging(settings.logs.level, sys.stderr, secrets_of(settings))
    size = DemoSize(seed, accounts, contracts, speed, ends=loop) if demo else None

    def service_of(demo_size: DemoSize | None) -> Service:
        service = Service(settings, demo=demo_size, mount_dashboard=dashboard_app)
        service.confirm_time = confirm_time
        service.read_config = lambda: _settings(config, host, port, journal, demo=demo)
        return service

    try:
        return _serve_rounds(service_of, size)
    except ConfigError as error:
        raise InputError(str(error)) from None
    except (JournalError, ValueError) as error:
        log(f"delever: {error}")
        return ExitCode.FAILURE
    except OSError as error:
        log(f"delever: {settings.listen.host}:{settings.listen.port}: {error}")
        return ExitCode.FAILURE


def _serve_rounds(
    service_of: "Callable[[DemoSize | None], Service]", size: "DemoSize | None"
) -> int:
    """Serve until the end; after a demo that has ended, the one of the next seed."""
    while True:
        started, finished = _serve_once(service_of(size))
        if size is None or not finished:
            return ExitCode.SUCCESS if started else ExitCode.FAILURE
        size = replace(size, seed=size.seed + 1)
        log(f"delever: the crash is over; the next one has the seed {size.seed}")


def _serve_once(service: "Service") -> tuple[bool, bool]:
    """Serve until the end; return whether it has started, and whether a demo has ended it."""
    from delever.server.app import run  # noqa: PLC0415 - slow to import

    started = run(service, _write_url if service.demo is None else _write_demo)
    return started, service.demo is not None and service.demo.is_finished


DEMO_TEXT = """\
{url}

demo: the account {account} holds linear, hedged, isolated and inverse positions; ADL closes one of
them within a minute. Its key reads it at every venue's API, in the venue's own format:
  Binance, Bybit   key {key}   secret {secret}
  OKX              the same, passphrase {secret}
  Authorization    Bearer {desk}.{secret} (risk desk: reads everything), {engine}.{secret} (submits)
pages:
  {url}/dashboard/   {url}/schema   {url}/metrics
to paste:
  curl '{url}/fapi/v1/symbolAdlRisk'
  delever watch binance bybit okx --base-url {url} --contract BTCUSDT
  python3 -c "import ccxt; x = ccxt.bybit({{'apiKey': '{key}', 'secret': '{secret}'}}); \
x.urls['api'] = dict.fromkeys(x.urls['api'], '{url}'); print(x.fetch_positions())"
"""


def _write_url(url: str) -> None:
    """Write the URL at once: a program that starts the server waits for it."""
    write(url)
    sys.stdout.flush()


def _write_demo(url: str) -> None:
    """Write the URL, and what a client needs to read the demo's account."""
    from delever.demo.demo_account import DEMO  # noqa: PLC0415 - for the demo only
    from delever.demo.served_crash import ENGINE, RISK_DESK, SECRET, TRADER  # noqa: PLC0415

    names = {"key": TRADER, "desk": RISK_DESK, "engine": ENGINE, "secret": SECRET}
    _write_url(DEMO_TEXT.format(url=url, account=DEMO, **names).rstrip())


def _settings(
    path: Path | None, host: str | None, port: int | None, log_address: str | None, *, demo: bool
) -> Config:
    """Return the configuration of the file with the command line's overrides, validated."""
    import msgspec  # noqa: PLC0415 - slow to import

    try:
        settings = load(path) if path else Config()
    except ConfigError as error:
        raise InputError(str(error)) from None
    overrides = {
        name: value for name, value in {"host": host, "port": port}.items() if value is not None
    }
    listen = msgspec.structs.replace(settings.listen, **overrides)
    journal = msgspec.structs.replace(settings.journal, log=log_address or settings.journal.log)
    settings = msgspec.structs.replace(settings, listen=listen, journal=journal)
    try:
        check(settings, "command line")
    except ConfigError as error:
        raise UsageError(str(error)) from None
    if demo and path is None:  # a demo needs neither a durable journal nor API keys
        journal = msgspec.structs.replace(settings.journal, path=":memory:")
        api = msgspec.structs.replace(settings.api, anonymous_read=True, anonymous_accounts=True)
        publication = msgspec.structs.replace(
            settings.publication, indicators_interval_ms=5_000, ratings_interval_ms=10_000
        )
        settings = msgspec.structs.replace(
            settings, journal=journal, api=api, publication=publication
        )
    return settings


MIN_SECRET_BYTES = 16
"""Shorter secrets are refused by the check of a configuration."""

MIN_CREDENTIAL_LENGTH = 16
"""The same for ids of trade-account keys, with which alone some streams open."""


def _check_strength(keyring: "Keyring", file: Path) -> None:
    """Raise InputError for weak or equal secrets, and for ids that are guessed and credentials."""
    owner_of: dict[bytes, str] = {}
    for key in keyring.all():
        where = f"{file}: key {key.id!r}"
        if key.secret_bytes is not None and len(key.secret_bytes) < MIN_SECRET_BYTES:
            raise InputError(
                f"{where}: the secret is shorter than {MIN_SECRET_BYTES} bytes; "
                "make one with `delever config key`"
            )
        if key.secret_bytes in owner_of:
            raise InputError(f"{where}: has the secret of key {owner_of[key.secret_bytes]!r}")
        if key.secret_bytes is not None:
            owner_of[key.secret_bytes] = key.id
        if Role.TRADE_ACCOUNT in key.roles and len(key.id) < MIN_CREDENTIAL_LENGTH:
            raise InputError(
                f"{where}: the id of a trade-account key is a credential and shorter than "
                f"{MIN_CREDENTIAL_LENGTH} characters; make one with `delever config key`"
            )


def config_key(
    *, name: Annotated[str, Parameter(help="Public name of the key, for journal and log.")] = ""
) -> None:
    """Make an API key: a random id and a secret, to be stored apart from the configuration."""
    import secrets  # noqa: PLC0415 - only here

    key_id, secret = secrets.token_urlsafe(24), secrets.token_urlsafe(32)
    write(f'[[keys]]\nid = "{key_id}"\nname = "{name}"\nroles = ["read"]')
    write('secret_file = "/etc/delever/keys/secret"  # mode 0600, with the line below')
    write(f"\n{secret}")


def config_check(file: Annotated[Path, Parameter(help="TOML configuration.")], /) -> None:
    """Check that a configuration, the server's or the watch's, is valid.

    Keys, values, and the secrets and files that it names are checked.
    """
    if _is_watch_file(file):
        _check_watch_file(file)
        return
    from delever.server.notifications.notifier import check_material  # noqa: PLC0415 - slow
    from delever.server.storage.database import open_database  # noqa: PLC0415
    from delever.server.transport.api_keys import Keyring  # noqa: PLC0415

    try:
        settings = load(file)
        _check_strength(Keyring(settings.keys), file)
        check_material(settings.notices)
        open_database(settings)
    except ConfigError as error:
        raise InputError(str(error)) from None
    folder = Path(settings.journal.path).parent
    if not folder.is_dir():
        where = f"{file}: journal.path = {settings.journal.path!r}"
        raise InputError(f"{where}: there is no directory {str(folder)!r}")
    write(f"{file}: valid; {len(settings.keys)} keys, journal {settings.journal.path}")


def _is_watch_file(file: Path) -> bool:
    """Whether a file has sections of the watch's configuration; unreadable ones do not."""
    import tomllib  # noqa: PLC0415

    from delever.watch.settings import is_watch_file  # noqa: PLC0415 - for this command only

    try:
        return is_watch_file(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _check_watch_file(file: Path) -> None:
    from delever.watch.alerts.delivery import senders  # noqa: PLC0415 - slow
    from delever.watch.settings import credentials  # noqa: PLC0415
    from delever.watch.settings import load as load_watch  # noqa: PLC0415

    try:
        settings = load_watch(file)
        for venue in settings.venues:
            credentials(venue)
        senders(settings, lambda: 0)
    except ConfigError as error:
        raise InputError(str(error)) from None
    counts = f"{len(settings.venues)} venues, {len(settings.rules)} rules"
    write(f"{file}: valid; {counts}, history {settings.history}")


def dashboard(
    *,
    server: Annotated[str, Parameter(help="Base URL of the server's native API.")],
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen on; 0 picks a free one.")] = 8081,
    key_env: Annotated[
        str,
        Parameter(
            help="Environment variable with an API key that has the read role, as ID.SECRET."
        ),
    ] = "",
) -> int:
    """Serve the dashboard of a server that runs elsewhere."""
    if not server.startswith(("http://", "https://")):
        raise UsageError(f"--server {server!r}: must start with http:// or https://")
    if key_env and key_env not in os.environ:
        raise UsageError(f"--key-env {key_env}: environment variable is not set")
    try:
        from delever.dashboard.apps.dashboard import serve as serve_dashboard  # noqa: PLC0415 - slow
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: install delever[dashboard]") from None
    key = os.environ[key_env] if key_env else ""
    try:
        started = serve_dashboard(server, key, host, port, write)
    except OSError as error:
        log(f"delever: {host}:{port}: {error}")
        return ExitCode.FAILURE
    return ExitCode.SUCCESS if started else ExitCode.FAILURE
