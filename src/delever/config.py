"""The configuration of `delever serve`: one TOML file, every key with its meaning and default.

The file never contains a secret: a key names an environment variable, or a file that only its owner
can read. ConfigError names the file, the key and the value that cannot be used.
"""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec

from delever.field_errors import find_field_error


class ConfigError(ValueError):
    """A configuration cannot be used; the message names the file, the key, the value and why."""


class Role(StrEnum):
    """Permissions of an API key; `docs/integration.md` lists the commands each role may submit."""

    READ = "read"
    TRADE_ACCOUNT = "trade-account"
    INGEST = "ingest"
    OPERATE = "operate"


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ListenConfig(_Section, frozen=True, kw_only=True):
    """`[listen]`: the address of the server, and its limits."""

    host: str = "127.0.0.1"
    """Address to listen on. Put a TLS proxy in front of it where traders connect from outside."""
    port: int = 8080
    """Port to listen on; 0 picks a free one and prints it."""
    max_body_bytes: int = 256 * 1024 * 1024
    """Largest request body. Bulk snapshots need a large limit, all other requests a small one."""
    max_connections: int = 10_000
    """Concurrent connections and requests; beyond this limit the response is 503."""
    max_connections_per_ip: int = 1_000
    """WebSockets, event streams and direct HTTP connections that one address may have open."""
    send_timeout_ms: int = 10_000
    """How long a stream of the native API waits for a reader that does not read; then it ends."""
    trust_forwarded: bool = False
    """Read the client's address from X-Forwarded-For; use it only behind a proxy that sets it."""
    shutdown_ms: int = 5_000
    """How long open requests and sockets have to finish after SIGTERM."""


class JournalConfig(_Section, frozen=True, kw_only=True):
    """`[journal]`: the durable log of commands and events."""

    path: str = "delever.db"
    """The journal's SQLite file; ':memory:' is not durable."""
    snapshot_every: int = 50_000
    """Records between two snapshots of the book: the most that a restart replays."""
    idempotency_window: int = 100_000
    """Newest records within which a repeated command id runs only once; alike at all replicas."""
    batch_limit: int = 5_000
    """Largest number of commands in one commit."""
    queue_limit: int = 100_000
    """Commands that may be queued for the engine; beyond this limit the response is 503."""
    max_time_jump_ms: int = 5 * 60_000
    """How far a command may move the journal's time without an operator's confirmation; 0: any."""
    log: str = ""
    """The replicated log, `nats://BROKER,BROKER,BROKER/NAME`; empty: a single process."""
    replica: str = ""
    """This replica's name, another one at each; the host's name if empty."""


class HistoryConfig(_Section, frozen=True, kw_only=True):
    """`[history]`: the database of history queries and of the notification outbox."""

    url: str = ""
    """A SQLAlchemy URL, `postgresql+psycopg://...`; empty is SQLite next to the journal."""
    url_env: str = ""
    """Environment variable of the URL, where it has a password."""


class PublicationConfig(_Section, frozen=True, kw_only=True):
    """`[publication]`: how often published data is refreshed, in milliseconds."""

    snapshot_interval_ms: int = 1_000
    """The market snapshot: marks, insurance funds, triggers."""
    indicators_interval_ms: int = 30_000
    """ADL indicators and quantiles of all positions."""
    ratings_interval_ms: int = 30 * 60_000
    """ADL risk ratings of contracts."""
    adl_alert_interval_ms: int = 60_000
    """Bybit's REST adlAlert, and its isolated insurance pools."""
    shared_pools_interval_ms: int = 24 * 3_600_000
    """Bybit's REST balance of shared insurance pools."""
    stale_after_ms: int = 10_000
    """A mark older than this is reported as stale."""


class BinanceConfig(_Section, frozen=True, kw_only=True):
    """`[binance]`: the Binance-compatible API."""

    adl_risk_labels: str = "documented"
    """`documented`: low, medium, high; `live`: LOW, MIDDLE, HIGH, EXTREMELY_HIGH."""
    weight_per_minute: int = 2_400
    """Request weight allowed per address and minute."""
    ban_after: int = 100
    """Requests beyond the limit within a minute after which an address is banned with 418."""
    ban_ms: int = 120_000
    """Length of the first ban; each further ban within a day is twice as long, up to three days."""


class BybitConfig(_Section, frozen=True, kw_only=True):
    """`[bybit]`: the Bybit-compatible API."""

    requests_per_5s: int = 600
    """Requests allowed per address in five seconds."""
    private_per_second: int = 50
    """Requests allowed per key and private endpoint in one second."""
    connections_per_5min: int = 500
    """WebSockets allowed per address in five minutes."""


class OkxConfig(_Section, frozen=True, kw_only=True):
    """`[okx]`: the OKX-compatible API."""

    insurance_per_2s: int = 10
    """Requests for the insurance fund allowed per address in two seconds."""


class ContractSymbols(_Section, frozen=True, kw_only=True):
    """`[contracts.NAME]`: symbols of a contract that its name does not imply."""

    base: str = ""
    """Base asset; taken from the name if empty."""
    quote: str = ""
    """Quote asset; taken from the name if empty."""
    binance: str = ""
    """The contract's symbol in the Binance-compatible API."""
    bybit: str = ""
    """The contract's symbol in the Bybit-compatible API."""
    okx: str = ""
    """The contract's instrument id in the OKX-compatible API."""


class ApiKeyConfig(_Section, frozen=True, kw_only=True):
    """`[[keys]]`: API keys. Set exactly one of secret_env, secret_file, public_key_file."""

    id: str
    """The API key, the public identifier that requests carry."""
    name: str = ""
    """The key's public name in journal and log; the id if empty, except for trade-account keys."""
    roles: tuple[Role, ...]
    """The roles of the key."""
    secret_env: str = ""
    """Environment variable of the secret (HMAC, and the native API's bearer token)."""
    secret_file: str = ""
    """File with the secret; only its owner may have access."""
    public_key_file: str = ""
    """PEM file of the holder's RSA or Ed25519 public key; the private key stays with the holder."""
    passphrase_env: str = ""
    """Environment variable of the passphrase that OKX clients send."""
    accounts: tuple[str, ...] = ()
    """Accounts of a `trade-account` key; the venue APIs return the first one."""
    expires: str = ""
    """Time from which the key is refused, with its zone: `2027-01-31T00:00:00Z`; empty: never."""
    addresses: tuple[str, ...] = ()
    """Addresses and networks (CIDR) from which the key is accepted; empty: from any."""


class MailConfig(_Section, frozen=True, kw_only=True):
    """`[notices.mail]`: the SMTP server for notices."""

    host: str = ""
    """The SMTP server's host; empty disables mail."""
    port: int = 587
    """The SMTP server's port: 587 for submission with STARTTLS, 465 for implicit TLS."""
    username: str = ""
    """The user name to log in with; empty disables the login."""
    password_env: str = ""
    """Environment variable of the password."""
    sender: str = "adl@localhost"
    """The sender's address."""
    start_tls: bool = True
    """Refuse to send where the server does not offer STARTTLS."""


class RecipientConfig(_Section, frozen=True, kw_only=True):
    """`[[notices.recipients]]`: recipients of notices by mail, by webhook, or both."""

    account: str
    """The account whose notices to send, '*' for every account, or '' for the operator's."""
    mail: str = ""
    """Mail address; empty for none."""
    webhook: str = ""
    """Webhook URL; empty for none."""
    webhook_secret_env: str = ""
    """Environment variable of the Standard Webhooks secret (`whsec_...`)."""


class NoticesConfig(_Section, frozen=True, kw_only=True):
    """`[notices]`: delivery of notices to accounts and to the operator."""

    mail: MailConfig = MailConfig()
    """`[notices.mail]`, below."""
    recipients: tuple[RecipientConfig, ...] = ()
    """`[[notices.recipients]]`, below."""
    retry_initial_ms: int = 1_000
    """Wait after the first failed attempt; it doubles up to retry_max_ms."""
    retry_max_ms: int = 3_600_000
    """Longest wait between two attempts."""
    give_up_after_ms: int = 3 * 24 * 3_600_000
    """Sum of the waits between attempts after which a delivery is marked as failed."""
    retention_ms: int = 90 * 24 * 3_600_000
    """How long the delivery log retains notices that were delivered or given up."""
    templates: str = ""
    """Directory of templates that replace the built-in ones."""


class LogsConfig(_Section, frozen=True, kw_only=True):
    """`[logs]`: JSON lines on standard error, without secrets."""

    level: str = "info"
    """`debug`, which also logs every request, `info`, `warning` or `error`."""


class ApiConfig(_Section, frozen=True, kw_only=True):
    """`[api]`: the native API."""

    anonymous_read: bool = False
    """Allow reading markets, pools, queues and ADL without a key, with account names masked."""
    anonymous_accounts: bool = False
    """With `anonymous_read`: also accounts and all events, without masks; for demos."""
    weight_per_minute: int = 60_000
    """Weight of requests of /v1 that a key, or an address without one, may use in a minute."""
    queue_detail: bool = False
    """Show everybody's queue rows, with masked names, to callers without the role read, too."""


class OperatorsConfig(_Section, frozen=True, kw_only=True):
    """`[operators]`: bounds of operators' commands, against slips; beyond them they are refused."""

    max_settlement_distance: str = "0.5"
    """Largest distance of a settlement price from the mark, as a part of the mark."""
    max_correction: str = "0.1"
    """Largest correction or withdrawal of an insurance fund, as a part of its peak balance."""


class Config(_Section, frozen=True, kw_only=True):
    """The whole file; every section is optional."""

    listen: ListenConfig = ListenConfig()
    journal: JournalConfig = JournalConfig()
    history: HistoryConfig = HistoryConfig()
    publication: PublicationConfig = PublicationConfig()
    api: ApiConfig = ApiConfig()
    operators: OperatorsConfig = OperatorsConfig()
    binance: BinanceConfig = BinanceConfig()
    bybit: BybitConfig = BybitConfig()
    okx: OkxConfig = OkxConfig()
    contracts: dict[str, ContractSymbols] = {}
    keys: tuple[ApiKeyConfig, ...] = ()
    notices: NoticesConfig = NoticesConfig()
    logs: LogsConfig = LogsConfig()


_MAIL_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")
_WEBHOOK = re.compile(r"https?://[^/?#\s]")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_PART = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_CHOICES = {
    "binance.adl_risk_labels": ("documented", "live"),
    "logs.level": ("debug", "info", "warning", "error"),
}


def load(path: str | Path) -> Config:
    """Return the configuration of a TOML file; raise ConfigError where it cannot be used."""
    try:
        raw = tomllib.loads(Path(path).read_bytes().decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse(raw, where=str(path))


def parse(raw: Mapping[str, Any], where: str = "config") -> Config:
    """Return the configuration of a decoded file; raise ConfigError where it cannot be used."""
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        found = find_field_error(raw, Config) or error
        raise ConfigError(f"{where}: {found}") from error
    check(config, where)
    return config


def check(config: Config, where: str) -> None:
    """Raise ConfigError for the first value that has the right type and still cannot be used."""
    for error in (
        *_numbers_errors(config),
        *_names_errors(config),
        *_choices_errors(config),
        *_keys_errors(config),
        *_log_errors(config.journal),
        *_operators_errors(config.operators),
        *_mail_errors(config.notices.mail),
        *_recipients_errors(config.notices),
    ):
        raise ConfigError(f"{where}: {error}")


MAY_BE_ZERO = {"max_time_jump_ms"}
"""Integers that may be 0; the others are at least 1."""


def _numbers_errors(config: Config) -> list[str]:
    """Return errors for ports outside 0 to 65535 and for other integers below their least."""
    sections = {name: getattr(config, name) for name in config.__struct_fields__}
    found = []
    for name, section in (*sections.items(), ("notices.mail", config.notices.mail)):
        for field in getattr(section, "__struct_fields__", ()):
            number = getattr(section, field)
            if field == "port" and number not in range(2**16):
                found.append(f"{name}.port = {number}: must be from 0 to 65535")
            least = 0 if field in MAY_BE_ZERO else 1
            if type(number) is int and field != "port" and number < least:
                found.append(f"{name}.{field} = {number}: must be at least {least}")
    return found


def _names_errors(config: Config) -> list[str]:
    """Return errors for empty names, and for symbols that two contracts share."""
    given = (("listen.host", config.listen.host), ("journal.path", config.journal.path))
    found = [
        f"{key} = {text!r}: must not be empty" for key, text in given if not text or "\0" in text
    ]
    if config.history.url and config.history.url_env:
        found.append("history: url and url_env exclude each other")
    owners: dict[tuple[str, str], str] = {}
    for contract, spelling in config.contracts.items():
        for venue in ("binance", "bybit", "okx"):
            name = getattr(spelling, venue)
            first = owners.setdefault((venue, name), contract)
            if name and first != contract:
                found.append(f"contracts.{contract}.{venue} = {name!r}: already belongs to {first}")
    return found


_LOG_ADDRESS = re.compile(r"nats://[^/\s,]+(?:,[^/\s,]+)*/[A-Za-z0-9_-]{1,64}")
_REPLICA_NAME = re.compile(r"[A-Za-z0-9._-]{0,64}")


def _log_errors(journal: JournalConfig) -> Iterator[str]:
    """Yield errors of the address of the replicated log, and of this replica's name."""
    if journal.log and not _LOG_ADDRESS.fullmatch(journal.log):
        yield f"journal.log = {journal.log!r}: must be nats://BROKER,BROKER,BROKER/NAME"
    if journal.log and journal.path == ":memory:":
        yield "journal.path = ':memory:': a replica needs a file for its journal"
    if not _REPLICA_NAME.fullmatch(journal.replica):
        yield f"journal.replica = {journal.replica!r}: letters, digits, ., - and _ only"


def _choices_errors(config: Config) -> list[str]:
    found = []
    for path, choices in _CHOICES.items():
        section, _, field = path.partition(".")
        chosen = getattr(getattr(config, section), field)
        if chosen not in choices:
            found.append(f"{path} = {chosen!r}: must be one of {', '.join(choices)}")
    return found


def _keys_errors(config: Config) -> list[str]:
    found, ids = [], set()
    for number, key in enumerate(config.keys):
        where = f"keys[{number}]"
        given = [name for name in _KEY_MATERIAL if getattr(key, name)]
        if not _KEY_ID.fullmatch(key.id):
            found.append(f"{where}.id = {key.id!r}: letters, digits, - and _ only")
        if key.id in ids:
            found.append(f"{where}.id = {key.id!r}: is defined twice")
        if len(given) != 1:
            found.append(f"{where} ({key.id}): needs exactly one of {', '.join(_KEY_MATERIAL)}")
        if Role.TRADE_ACCOUNT in key.roles and not key.accounts:
            found.append(f"{where}.accounts: a trade-account key needs at least one account")
        if not key.roles:
            found.append(f"{where}.roles: must name at least one role")
        found += [f"{where}.{problem}" for problem in _admission_errors(key)]
        ids.add(key.id)
    return found


def _admission_errors(key: ApiKeyConfig) -> Iterator[str]:
    """Yield errors of a key's end, and of its addresses."""
    try:
        expiry_ms(key.expires)
    except ValueError:
        why = "must be a time with its zone, such as 2027-01-31T00:00:00Z"
        yield f"expires = {key.expires!r}: {why}"
    for number, text in enumerate(key.addresses):
        try:
            ip_network(text)
        except ValueError as error:
            yield f"addresses[{number}] = {text!r}: {error}"


def expiry_ms(text: str) -> int | None:
    """Return the end of a key in milliseconds, None for ''; raise ValueError for other text.

    >>> expiry_ms("1970-01-01T00:00:02Z"), expiry_ms("")
    (2000, None)
    """
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return round(moment.timestamp() * 1000)


def _operators_errors(operators: OperatorsConfig) -> Iterator[str]:
    """Yield errors of bounds that are no parts: exact numbers above 0."""
    for field in operators.__struct_fields__:
        text = getattr(operators, field)
        if not _PART.fullmatch(text) or Decimal(text) <= 0:
            yield f"operators.{field} = {text!r}: must be a number above 0, such as '0.1'"


def _mail_errors(mail: MailConfig) -> list[str]:
    found = []
    if bool(mail.username) != bool(mail.password_env):
        found.append("notices.mail: username and password_env go together")
    if "@" not in mail.sender:
        found.append(f"notices.mail.sender = {mail.sender!r}: is not a mail address")
    return found


def _recipients_errors(notices: NoticesConfig) -> list[str]:
    found = []
    for number, recipient in enumerate(notices.recipients):
        where = f"notices.recipients[{number}]"
        if not recipient.mail and not recipient.webhook:
            found.append(f"{where} ({recipient.account!r}): needs mail, webhook or both")
        if recipient.mail and not notices.mail.host:
            found.append(f"{where}.mail = {recipient.mail!r}: notices.mail.host is empty")
        if recipient.mail and not _MAIL_ADDRESS.fullmatch(recipient.mail):
            found.append(f"{where}.mail = {recipient.mail!r}: is not a mail address")
        if recipient.webhook and not _WEBHOOK.match(recipient.webhook):
            found.append(f"{where}.webhook = {recipient.webhook!r}: is not an http(s) URL")
        if recipient.webhook and not recipient.webhook_secret_env:
            found.append(f"{where}.webhook_secret_env: a webhook needs a secret")
    return found


_KEY_MATERIAL = ("secret_env", "secret_file", "public_key_file")


def secret(where: str, *, env: str = "", file: str = "") -> str:
    """Return a secret from the environment or from a private file.

    Raises ConfigError where the secret is missing, or where anybody but the owner has access to the
    file. The value is never part of an error.
    """
    if env:
        value = os.environ.get(env, "")
        if not value:
            raise ConfigError(f"{where}: environment variable {env!r} is not set")
        return value
    return _private_text(where, Path(file))


def _private_text(where: str, path: Path) -> str:
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(
                f"{where}: {path} is {stat.filemode(mode)}: only its owner may have access"
            )
        value = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path} is not text") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {str(path)!r}: {error}") from error
    if not value:
        raise ConfigError(f"{where}: {path} is empty")
    return value
