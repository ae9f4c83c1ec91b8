"""serve, config check: the server, and whether its configuration can be used."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from delever.cli import Exit, UsageError
from delever.cli.output import say, tell
from delever.config import Config, ConfigError, check, load
from delever.lab.errors import InputError


def serve(
    *,
    config: Annotated[
        Path | None, Parameter(name=("--config", "-c"), help="The TOML file; defaults without it.")
    ] = None,
    host: Annotated[str | None, Parameter(help="Instead of [listen] host.")] = None,
    port: Annotated[int | None, Parameter(help="Instead of [listen] port; 0 takes any.")] = None,
    demo: Annotated[bool, Parameter(help="Play the demonstration's crash in real time.")] = False,
    seed: Annotated[int, Parameter(help="With --demo: another seed is another crash.")] = 10,
    accounts: Annotated[int, Parameter(help="With --demo: how many accounts.")] = 2_000,
    contracts: Annotated[int, Parameter(help="With --demo: how many contracts.")] = 8,
    speed: Annotated[int, Parameter(help="With --demo: seconds of the crash a second.")] = 1,
) -> int:
    """Serve engine, journal and the Binance-, Bybit-, OKX-compatible and native APIs."""
    from delever.journal import JournalError  # noqa: PLC0415 - heavy
    from delever.server.app import Service, run  # noqa: PLC0415 - heavy
    from delever.server.demo import Scale  # noqa: PLC0415 - heavy
    from delever.server.observability.logs import secrets_of, set_up  # noqa: PLC0415 - heavy

    settings = _settings(config, host, port, demo=demo)
    if speed < 1:
        raise UsageError(f"--speed {speed}: must be at least 1")
    set_up(settings.logs.level, sys.stderr, secrets_of(settings))
    scale = Scale(seed, accounts, contracts, speed) if demo else None
    try:
        service = Service(settings, demo=scale)
    except ConfigError as error:
        raise InputError(str(error)) from None
    except (JournalError, ValueError) as error:
        say(f"delever: {error}")
        return Exit.FAILED
    try:
        started = run(service, tell)
    except OSError as error:
        say(f"delever: {settings.listen.host}:{settings.listen.port}: {error}")
        return Exit.FAILED
    return Exit.DONE if started else Exit.FAILED


def _settings(path: Path | None, host: str | None, port: int | None, *, demo: bool) -> Config:
    import msgspec  # noqa: PLC0415 - heavy

    try:
        settings = load(path) if path else Config()
    except ConfigError as error:
        raise InputError(str(error)) from None
    over = {"host": host, "port": port}
    listen = msgspec.structs.replace(
        settings.listen, **{name: value for name, value in over.items() if value is not None}
    )
    settings = msgspec.structs.replace(settings, listen=listen)
    try:
        check(settings, "command line")
    except ConfigError as error:
        raise UsageError(str(error)) from None
    if demo and path is None:  # nothing of a demonstration is worth keeping, and all may look
        journal = msgspec.structs.replace(settings.journal, path=":memory:")
        api = msgspec.structs.replace(settings.api, open_read=True, open_accounts=True)
        settings = msgspec.structs.replace(settings, journal=journal, api=api)
    return settings


def config_check(file: Annotated[Path, Parameter(help="The TOML file.")], /) -> None:
    """Say whether a configuration can be used: keys, values, secrets and files it names."""
    from delever.server.notifications.notifier import check_material  # noqa: PLC0415
    from delever.server.storage.database import open_database  # noqa: PLC0415 - heavy
    from delever.server.transport.api_keys import Keyring  # noqa: PLC0415

    try:
        settings = load(file)
        Keyring(settings.keys)
        check_material(settings.notices)
        open_database(settings)
    except ConfigError as error:
        raise InputError(str(error)) from None
    folder = Path(settings.journal.path).parent
    if not folder.is_dir():
        where = f"{file}: journal.path = {settings.journal.path!r}"
        raise InputError(f"{where}: there is no directory {str(folder)!r}")
    tell(f"{file}: {len(settings.keys)} keys, journal {settings.journal.path}: it can be used")
