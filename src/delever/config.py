"""The configuration of `delever serve`: one TOML file, every key with its meaning and default.

Secrets never stand in the file itself: a key names an environment variable, or a file that only its
owner can read. Raises ConfigError, which names the file, the key and the value.
"""

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec


class ConfigError(ValueError):
    """A configuration that cannot be used: which key of which file, what stood there, and why."""


class Role(StrEnum):
    """What a key may do; `docs/integration.md` says which commands each role may submit."""

    READ = "read"
    TRADE_ACCOUNT = "trade-account"
    INGEST = "ingest"
    OPERATE = "operate"


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Listen(_Section, frozen=True, kw_only=True):
    """`[listen]`: where the server answers, and how much it takes on."""

    host: str = "127.0.0.1"
    """Address to listen on. Put a proxy with TLS before it where traders come from outside."""
    port: int = 8080
    """Port to listen on; 0 takes a free one and prints it."""
    max_body_bytes: int = 256 * 1024 * 1024
    """Largest request body. Bulk ingest wants much, everybody else little."""
    max_connections: int = 10_000
    """Connections and requests at one time; beyond it the answer is 503."""
    max_connections_per_ip: int = 1_000
    """Sockets that one address may hold open."""
    slow_reader_ms: int = 10_000
    """How long a stream of the native API waits for a reader who takes nothing; then it ends."""
    trust_forwarded: bool = False
    """Take the client's address from X-Forwarded-For: only behind a proxy that sets it."""
    shutdown_ms: int = 5_000
    """How long open requests and sockets have to end on SIGTERM."""


class Journal(_Section, frozen=True, kw_only=True):
    """`[journal]`: the memory that survives."""

    path: str = "delever.db"
    """The journal's SQLite file; ':memory:' keeps nothing."""
    snapshot_every: int = 50_000
    """Records between two snapshots of the book: what a restart has to replay at most."""
    remember_ids: int = 100_000
    """How many ids of the newest commands are remembered, to run each of them only once."""
    max_commit: int = 5_000
    """Commands of one commit at the most."""
    max_waiting: int = 100_000
    """Commands that may wait for the engine; beyond it the answer is 503."""


class History(_Section, frozen=True, kw_only=True):
    """`[history]`: where queries of the past and the outbox of notices are kept."""

    url: str = ""
    """A SQLAlchemy URL, `postgresql+psycopg://...`; empty is SQLite beside the journal."""


class Publication(_Section, frozen=True, kw_only=True):
    """`[publication]`: how often what is shown changes, in milliseconds."""

    board_every_ms: int = 1_000
    """The market's numbers: marks, pools, triggers."""
    indicators_every_ms: int = 30_000
    """Indicators and quantiles of all positions."""
    ratings_every_ms: int = 30 * 60_000
    """ADL risk of contracts."""
    adl_alert_every_ms: int = 60_000
    """Bybit's REST adlAlert and isolated insurance pools."""
    shared_pools_every_ms: int = 24 * 3_600_000
    """Bybit's REST balance of shared pools."""
    stale_after_ms: int = 10_000
    """A mark older than this is shown as stale."""


class Binance(_Section, frozen=True, kw_only=True):
    """`[binance]`: how the Binance-compatible API answers."""

    adl_risk_words: str = "documented"
    """`documented`: low, medium, high; `live`: LOW, MIDDLE, HIGH, EXTREMELY_HIGH."""
    weight_per_minute: int = 2_400
    """Request weight that one address may use in a minute."""
    ban_after: int = 100
    """Requests in excess within a minute after which an address is banned with 418."""
    ban_ms: int = 120_000
    """The first ban; each further one within a day is twice as long, up to three days."""


class Bybit(_Section, frozen=True, kw_only=True):
    """`[bybit]`: how the Bybit-compatible API answers."""

    requests_per_5s: int = 600
    """Requests that one address may make in five seconds."""
    private_per_second: int = 50
    """Requests that one key may make to one private endpoint in a second."""
    connections_per_5min: int = 500
    """WebSockets that one address may open in five minutes."""


class Okx(_Section, frozen=True, kw_only=True):
    """`[okx]`: how the OKX-compatible API answers."""

    insurance_per_2s: int = 10
    """Requests for the security fund that one address may make in two seconds."""


class Spelling(_Section, frozen=True, kw_only=True):
    """`[contracts.NAME]`: how venues spell a contract, where its name does not say it."""

    base: str = ""
    """The asset whose price it follows; taken from the name if empty."""
    quote: str = ""
    """The asset of its price; taken from the name if empty."""
    binance: str = ""
    """Its symbol in the Binance-compatible API."""
    bybit: str = ""
    """Its symbol in the Bybit-compatible API."""
    okx: str = ""
    """Its instrument in the OKX-compatible API."""


class Key(_Section, frozen=True, kw_only=True):
    """`[[keys]]`: who may do what. Exactly one of secret_env, secret_file, public_key_file."""

    id: str
    """The API key: the name that requests carry openly."""
    roles: tuple[Role, ...]
    """What the key may do."""
    secret_env: str = ""
    """Environment variable that holds the secret (HMAC, and the native API's bearer token)."""
    secret_file: str = ""
    """File that holds the secret; only its owner may read it."""
    public_key_file: str = ""
    """PEM file of the holder's RSA or Ed25519 key; the private half never comes here."""
    passphrase_env: str = ""
    """Environment variable of the passphrase that OKX's clients send."""
    accounts: tuple[str, ...] = ()
    """Accounts of a `trade-account` key; the first one is what venue APIs show."""


class Mail(_Section, frozen=True, kw_only=True):
    """`[notices.mail]`: the SMTP server that notices leave by."""

    host: str = ""
    """Empty sends no mail."""
    port: int = 587
    """Its port: 587 for submission with STARTTLS; 465 speaks TLS from the first byte."""
    username: str = ""
    """The name to log in with; empty does not log in."""
    password_env: str = ""
    """Environment variable that holds the password."""
    sender: str = "adl@localhost"
    """The address that mail comes from."""
    start_tls: bool = True
    """Refuse to send where the server does not offer STARTTLS."""


class Recipient(_Section, frozen=True, kw_only=True):
    """`[[notices.recipients]]`: where notices go: by mail, to a webhook, or both."""

    account: str
    """Whose notices: an account, '*' for every account's, or '' for the operator's."""
    mail: str = ""
    """An address for mail; empty for none."""
    webhook: str = ""
    """A URL for webhooks; empty for none."""
    webhook_secret_env: str = ""
    """Environment variable of the Standard Webhooks secret (`whsec_...`)."""


class Notices(_Section, frozen=True, kw_only=True):
    """`[notices]`: telling people what happened to them."""

    mail: Mail = Mail()
    """`[notices.mail]`, below."""
    recipients: tuple[Recipient, ...] = ()
    """`[[notices.recipients]]`, below."""
    retry_first_ms: int = 1_000
    """Wait after the first failure; doubles up to retry_longest_ms."""
    retry_longest_ms: int = 3_600_000
    """The longest wait between two attempts."""
    give_up_after_ms: int = 3 * 24 * 3_600_000
    """How long a delivery is tried before it is marked as failed."""
    keep_ms: int = 90 * 24 * 3_600_000
    """How long the delivery log keeps what has arrived or was given up."""
    templates: str = ""
    """Directory with templates that replace the built-in ones."""


class Logs(_Section, frozen=True, kw_only=True):
    """`[logs]`: JSON lines on standard error, without secrets."""

    level: str = "info"
    """`debug` also tells of every request; info, warning, error."""


class Api(_Section, frozen=True, kw_only=True):
    """`[api]`: the native API."""

    open_read: bool = False
    """Let anybody read markets, pools, queues and ADL without a key; accounts come masked."""
    open_accounts: bool = False
    """With `open_read`: no mask, and accounts and the journal's events for all; for demos."""


class Config(_Section, frozen=True, kw_only=True):
    """The whole file; every section may be left out."""

    listen: Listen = Listen()
    journal: Journal = Journal()
    history: History = History()
    publication: Publication = Publication()
    api: Api = Api()
    binance: Binance = Binance()
    bybit: Bybit = Bybit()
    okx: Okx = Okx()
    contracts: dict[str, Spelling] = {}
    keys: tuple[Key, ...] = ()
    notices: Notices = Notices()
    logs: Logs = Logs()


_MAIL_ADDRESS = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")
_WEBHOOK = re.compile(r"https?://[^/?#\s]")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CHOICES = {
    "binance.adl_risk_words": ("documented", "live"),
    "logs.level": ("debug", "info", "warning", "error"),
}


def load(path: str | Path) -> Config:
    """Return the configuration of a TOML file; ConfigError where it cannot be used."""
    try:
        raw = tomllib.loads(Path(path).read_bytes().decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse(raw, where=str(path))


def parse(raw: Mapping[str, Any], where: str = "config") -> Config:
    """Return the configuration of a decoded file; ConfigError where it cannot be used."""
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    check(config, where)
    return config


def check(config: Config, where: str) -> None:
    """Raise ConfigError for what types alone do not refuse: the first wrong key, value and why."""
    for wrong in (
        *_wrong_numbers(config),
        *_wrong_texts(config),
        *_wrong_choices(config),
        *_wrong_keys(config),
        *_wrong_mail(config.notices.mail),
        *_wrong_recipients(config.notices),
    ):
        raise ConfigError(f"{where}: {wrong}")


def _wrong_numbers(config: Config) -> list[str]:
    """Return the numbers that make no sense: what is no port, and below 1 for all else."""
    sections = {name: getattr(config, name) for name in config.__struct_fields__}
    found = []
    for name, section in (*sections.items(), ("notices.mail", config.notices.mail)):
        for field in getattr(section, "__struct_fields__", ()):
            number = getattr(section, field)
            if field == "port" and number not in range(2**16):
                found.append(f"{name}.port = {number}: must be from 0 to 65535")
            elif type(number) is int and field != "port" and number < 1:
                found.append(f"{name}.{field} = {number}: must be at least 1")
    return found


def _wrong_texts(config: Config) -> list[str]:
    """Return the texts that name nothing, and spellings that name two contracts."""
    given = (("listen.host", config.listen.host), ("journal.path", config.journal.path))
    found = [f"{key} = {text!r}: names nothing" for key, text in given if not text or "\0" in text]
    seen: dict[tuple[str, str], str] = {}
    for contract, spelling in config.contracts.items():
        for venue in ("binance", "bybit", "okx"):
            name = getattr(spelling, venue)
            first = seen.setdefault((venue, name), contract)
            if name and first != contract:
                found.append(f"contracts.{contract}.{venue} = {name!r}: is that of {first}")
    return found


def _wrong_choices(config: Config) -> list[str]:
    found = []
    for path, choices in _CHOICES.items():
        section, _, field = path.partition(".")
        chosen = getattr(getattr(config, section), field)
        if chosen not in choices:
            found.append(f"{path} = {chosen!r}: must be one of {', '.join(choices)}")
    return found


def _wrong_keys(config: Config) -> list[str]:
    found, seen = [], set()
    for number, key in enumerate(config.keys):
        where = f"keys[{number}]"
        given = [name for name in _MATERIAL if getattr(key, name)]
        if not _KEY_ID.fullmatch(key.id):
            found.append(f"{where}.id = {key.id!r}: letters, digits, - and _ only")
        if key.id in seen:
            found.append(f"{where}.id = {key.id!r}: stands there twice")
        if len(given) != 1:
            found.append(f"{where} ({key.id}): needs exactly one of {', '.join(_MATERIAL)}")
        if Role.TRADE_ACCOUNT in key.roles and not key.accounts:
            found.append(f"{where}.accounts: a trade-account key needs at least one account")
        if not key.roles:
            found.append(f"{where}.roles: must name at least one role")
        seen.add(key.id)
    return found


def _wrong_mail(mail: Mail) -> list[str]:
    found = []
    if bool(mail.username) != bool(mail.password_env):
        found.append("notices.mail: username and password_env go together")
    if "@" not in mail.sender:
        found.append(f"notices.mail.sender = {mail.sender!r}: is no mail address")
    return found


def _wrong_recipients(notices: Notices) -> list[str]:
    found = []
    for number, recipient in enumerate(notices.recipients):
        where = f"notices.recipients[{number}]"
        if not recipient.mail and not recipient.webhook:
            found.append(f"{where} ({recipient.account!r}): needs mail, webhook or both")
        if recipient.mail and not notices.mail.host:
            found.append(f"{where}.mail = {recipient.mail!r}: notices.mail.host is empty")
        if recipient.mail and not _MAIL_ADDRESS.fullmatch(recipient.mail):
            found.append(f"{where}.mail = {recipient.mail!r}: is no mail address")
        if recipient.webhook and not _WEBHOOK.match(recipient.webhook):
            found.append(f"{where}.webhook = {recipient.webhook!r}: is no http(s) address")
        if recipient.webhook and not recipient.webhook_secret_env:
            found.append(f"{where}.webhook_secret_env: a webhook needs a secret")
    return found


_MATERIAL = ("secret_env", "secret_file", "public_key_file")


def secret(where: str, *, env: str = "", file: str = "") -> str:
    """Return a secret from the environment or from a private file; ConfigError where it is not.

    A file that others than its owner can read is refused. The value is never part of an error.
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
            shown = stat.filemode(mode)
            raise ConfigError(f"{where}: {path} is {shown}: only its owner may have access")
        value = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: {path} is not text") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {str(path)!r}: {error}") from error
    if not value:
        raise ConfigError(f"{where}: {path} is empty")
    return value
