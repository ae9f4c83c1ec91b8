"""The TOML file of `delever watch`: venues, keys, alert rules, channels, quiet hours.

The file contains no secrets: it names environment variables, or files that only their owner can
read. Raises delever.config.ConfigError, which names the file, the key and the value.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from delever.config import Config, ConfigError, MailConfig, secret
from delever.core.rules import RULE_SETS
from delever.field_errors import find_field_error
from delever.rule_registry import installed_rule_sets
from delever.watch.market_data.indicator_scale import RISKS

ExchangeName = Literal["binance", "binance-coin", "bybit", "okx"]
VenueName = Literal["binance", "binance-coin", "bybit", "okx", "hyperliquid", "dydx"]
EXCHANGES: tuple[ExchangeName, ...] = get_args(ExchangeName)
"""The venues with public data about ADL; the others require an address."""

ADDRESSES = {
    "hyperliquid": re.compile(r"0x[0-9a-fA-F]{40}"),
    "dydx": re.compile(r"dydx1[02-9ac-hj-np-z]{38}"),
}
PARENT_SUBACCOUNTS = 128
"""dYdX: subaccounts 0 to 127 are parents; child n belongs to parent n modulo 128."""

DEFAULT_HISTORY = "delever-watch.db"
StateName = Literal["calm", "watch", "adl", "stopped", "stale"]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class RefreshIntervals(_Section, frozen=True, kw_only=True):
    """`[venues.refresh]`: how often a server other than the real venue refreshes its values."""

    indicator_ms: int = 30_000
    """Indicators: 30 s at Binance; assumed for Bybit and OKX, which do not document it."""
    risk_ms: int = 30 * 60_000
    """Binance's symbol ADL risk: 30 min."""
    alert_ms: int = 60_000
    """Bybit's adlAlert by REST and its isolated insurance pools: 1 min."""
    stream_ms: int = 1_000
    """Bybit's adlAlert and OKX's adl-warning by WebSocket: 1 s."""
    pool_ms: int = 60_000
    """Binance's insurance funds: assumed, as Binance does not document it."""
    shared_pool_ms: int = 24 * 3_600_000
    """Bybit's shared pools and OKX's security funds: 1 day."""
    fill_ms: int = 60_000
    """How often past ADL fills are polled, in addition to the stream."""


class WatchedVenue(_Section, frozen=True, kw_only=True):
    """`[[venues]]`: a venue, with an API key or an address; without one, public data is read."""

    venue: VenueName
    """binance (USDⓈ-M), binance-coin (COIN-M), bybit, okx, hyperliquid or dydx."""
    address: str = ""
    """Hyperliquid, dYdX: the account's address; its positions and fills are public."""
    subaccount: int = 0
    """dYdX: the parent subaccount, 0 to 127; its isolated positions' subaccounts are included."""
    book: str = ""
    """Hyperliquid: a file of all accounts' positions, for the place in the queue."""
    key_env: str = ""
    """Environment variable of the API key; a read-only key is sufficient."""
    key_file: str = ""
    """Or a file with the key; refused if others than its owner can read it."""
    secret_env: str = ""
    """Environment variable of the key's secret."""
    secret_file: str = ""
    """Or a file with the secret; refused if others than its owner can read it."""
    passphrase_env: str = ""
    """Environment variable of the passphrase (OKX)."""
    passphrase_file: str = ""
    """Or a file with the passphrase."""
    base_url: str = ""
    """Another server with the venue's API, such as `delever serve`."""
    ws_url: str = ""
    """That server's URL for WebSockets; derived from base_url if empty."""
    rules: str = ""
    """The rule set of advice, of a venue or installed; by default the venue's own."""
    contracts: tuple[str, ...] = ()
    """Contracts to display without a position, by the venue's symbols."""
    families: tuple[str, ...] = ()
    """OKX: families (BTC-USDT) whose security fund is read without a position."""
    refresh: RefreshIntervals = RefreshIntervals()
    """`[venues.refresh]`, below."""

    @property
    def keyed(self) -> bool:
        """Whether private data can be read."""
        return bool(self.key_env or self.key_file)


class VenueCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """An API key with its secret; its repr is masked."""

    key: str
    secret: str
    passphrase: str = ""

    def __repr__(self) -> str:
        """Return a text without the key."""
        return "Credentials(...)"


class AlertRule(_Section, frozen=True, kw_only=True, tag_field="when"):
    """`[[rules]]`: a condition for alerts, and their channels. `when` selects the subclass."""

    name: str
    """The rule's name in alerts."""
    channels: tuple[str, ...] = ()
    """Channels by name; empty means all."""
    venues: tuple[VenueName, ...] = ()
    """Only these venues; empty means all."""
    contracts: tuple[str, ...] = ()
    """Only these contracts, by the venue's symbols; empty means all."""
    urgent: bool = False
    """Alert in quiet hours too."""
    repeat_min: int = 0
    """Repeat the alert after so many minutes while the rule holds; 0 alerts once."""


class IndicatorRule(AlertRule, tag="indicator", frozen=True, kw_only=True):
    """A position's ADL indicator is high."""

    at_least: int
    """The lowest indicator, 1 to 5, at which the rule holds."""
    clear_below: int | None = None
    """The alert clears when the indicator is below this; default `at_least`."""


class RiskRule(AlertRule, tag="risk", frozen=True, kw_only=True):
    """A contract's ADL risk is high."""

    at_least: Literal["medium", "high", "extremely high"]
    """The lowest risk at which the rule holds."""


class DistanceRule(AlertRule, tag="distance", frozen=True, kw_only=True):
    """A contract is near the start of ADL (Bybit)."""

    below: Decimal
    """Percent of the fund's peak balance that the contract may still lose before ADL starts."""
    clear_above: Decimal | None = None
    """The alert clears when the distance is above this; default 1.25 times `below`."""


class StateRule(AlertRule, tag="state", frozen=True, kw_only=True):
    """A contract is in one of some states."""

    states: tuple[StateName, ...]
    """The states that alert."""


class PoolDrawdownRule(AlertRule, tag="pool_drawdown", frozen=True, kw_only=True):
    """An insurance fund has fallen from its highest balance."""

    percent: Decimal
    """The fall at which the rule holds."""
    within_min: int = 60
    """The window of the highest balance, in minutes."""
    clear_below: Decimal | None = None
    """The alert clears when the fall is below this percent; default half of `percent`."""


class FillRule(AlertRule, tag="fill", frozen=True, kw_only=True):
    """ADL has closed part of a position of the account."""


class SourceFailureRule(AlertRule, tag="source_failure", frozen=True, kw_only=True):
    """A source of a venue cannot be read."""

    after_min: int = 5
    """How long the failure must last."""


class StaleRule(AlertRule, tag="stale", frozen=True, kw_only=True):
    """A value is overdue, whether or not its source fails."""

    after_min: int = 1
    """How long it has been stale: since two refreshes and 5 s have passed."""


AnyRule = (
    IndicatorRule
    | RiskRule
    | DistanceRule
    | StateRule
    | PoolDrawdownRule
    | FillRule
    | SourceFailureRule
    | StaleRule
)


class AlertChannel(_Section, frozen=True, kw_only=True):
    """`[[channels]]`: a receiver; one of mail, webhook, webhook_env and apprise_env."""

    name: str
    """The channel's name in rules."""
    mail: str = ""
    """A mail address; requires [mail]."""
    webhook: str = ""
    """A URL that receives JSON by POST."""
    webhook_env: str = ""
    """Environment variable of the URL, if the URL itself is a secret."""
    webhook_secret_env: str = ""
    """Environment variable of the Standard Webhooks secret (`whsec_...`); unsigned without."""
    apprise_env: str = ""
    """Environment variable of an apprise URL: Slack, Telegram, PagerDuty and many more."""


class QuietHours(_Section, frozen=True, kw_only=True):
    """`[quiet_hours]`: hours in which only urgent rules alert; other alerts wait for their end."""

    start: time
    """The start, such as 22:00:00."""
    end: time
    """The end; on the next day if before `start`."""
    zone: str = "UTC"
    """The time zone of both."""


class WatchSettings(_Section, frozen=True, kw_only=True):
    """The whole file; every section may be left out."""

    history: str = ""
    """The SQLite file with history, alerts and deliveries; default: delever-watch.db beside this
    file."""
    retention_days: int = 30
    """How long history is stored."""
    stopped_min: int = 30
    """How long a contract is in the state stopped after ADL."""
    venues: tuple[WatchedVenue, ...] = ()
    rules: tuple[AnyRule, ...] = ()
    channels: tuple[AlertChannel, ...] = ()
    mail: MailConfig = MailConfig()
    quiet_hours: QuietHours | None = None


def load(path: str | Path) -> WatchSettings:
    """Return the settings of a TOML file; ConfigError if they are invalid.

    Without `history`, the file is DEFAULT_HISTORY in the directory of the settings.
    """
    try:
        raw = tomllib.loads(Path(path).read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    settings = parse(raw, where=str(path))
    beside = Path(path).parent / DEFAULT_HISTORY
    return settings if settings.history else msgspec.structs.replace(settings, history=str(beside))


def is_watch_file(raw: Mapping[str, Any]) -> bool:
    """Whether a decoded TOML file is the watch's: it has a section that the server's has not."""
    own = set(WatchSettings.__struct_fields__) - set(Config.__struct_fields__)
    return bool(raw.keys() & own) or isinstance(raw.get("history"), str)


def parse(raw: Mapping[str, Any], where: str = "watch") -> WatchSettings:
    """Return the settings of a decoded file; ConfigError names key and value."""
    try:
        settings = msgspec.convert(raw, WatchSettings, strict=False)
    except msgspec.ValidationError as error:
        found = find_field_error(raw, WatchSettings, strict=False) or error
        raise ConfigError(f"{where}: {found}") from error
    for problem in _errors(settings):
        raise ConfigError(f"{where}: {problem}")
    return settings


def credentials(venue: WatchedVenue) -> VenueCredentials | None:
    """Return a venue's key and secret, None without a key; ConfigError if they cannot be read."""
    if not venue.keyed:
        return None
    where = f"venues ({venue.venue})"
    passphrase = ""
    if venue.passphrase_env or venue.passphrase_file:
        passphrase = secret(where, env=venue.passphrase_env, file=venue.passphrase_file)
    return VenueCredentials(
        key=secret(where, env=venue.key_env, file=venue.key_file),
        secret=secret(where, env=venue.secret_env, file=venue.secret_file),
        passphrase=passphrase,
    )


def _errors(settings: WatchSettings) -> Iterator[str]:
    """Yield the errors beyond types, with key and value."""
    yield from _venue_errors(settings.venues)
    names = [channel.name for channel in settings.channels]
    for number, channel in enumerate(settings.channels):
        where = f"channels[{number}] ({channel.name})"
        ways = (channel.mail, channel.webhook, channel.webhook_env, channel.apprise_env)
        if sum(map(bool, ways)) != 1:
            yield f"{where}: requires exactly one of mail, webhook, webhook_env and apprise_env"
        if channel.mail and not settings.mail.host:
            yield f"{where}.mail = {channel.mail!r}: requires a server in [mail] host"
        if names.count(channel.name) > 1:
            yield f"{where}: duplicate name"
    yield from _rule_errors(settings.rules, names)
    if settings.quiet_hours is not None:
        try:
            ZoneInfo(settings.quiet_hours.zone)
        except (ZoneInfoNotFoundError, ValueError):
            yield f"quiet_hours.zone = {settings.quiet_hours.zone!r}: unknown time zone"


def _venue_errors(venues: tuple[WatchedVenue, ...]) -> Iterator[str]:
    names = [venue.venue for venue in venues]
    for number, venue in enumerate(venues):
        where = f"venues[{number}] ({venue.venue})"
        if names.count(venue.venue) > 1:
            yield f"{where}: duplicate name"
        yield from (f"{where}: {error}" for error in _key_errors(venue))
        yield from (f"{where}.{error}" for error in _address_errors(venue))
        own = {rules.name for rules in installed_rule_sets()}
        if venue.rules and venue.rules not in RULE_SETS and venue.rules not in own:
            yield f"{where}.rules = {venue.rules!r}: unknown rule set"
        for field in ("base_url", "ws_url"):
            url, schemes = getattr(venue, field), {"base_url": "http", "ws_url": "ws"}
            if url and not url.startswith((f"{schemes[field]}://", f"{schemes[field]}s://")):
                yield f"{where}.{field} = {url!r}: must begin with {schemes[field]}:// or its TLS"
        for field in venue.refresh.__struct_fields__:
            if getattr(venue.refresh, field) < 100:
                yield f"{where}.refresh.{field}: must be at least 100"


def _key_errors(venue: WatchedVenue) -> Iterator[str]:
    if venue.key_env and venue.key_file:
        yield "set only one of key_env and key_file"
    if venue.keyed and bool(venue.secret_env) == bool(venue.secret_file):
        yield "a key requires exactly one of secret_env and secret_file"
    phrases = bool(venue.passphrase_env) + bool(venue.passphrase_file)
    if venue.venue == "okx" and venue.keyed and phrases != 1:
        yield "an OKX key requires exactly one of passphrase_env and passphrase_file"


def _address_errors(venue: WatchedVenue) -> Iterator[str]:
    """Yield the errors of the keys of on-chain venues."""
    form = ADDRESSES.get(venue.venue)
    if form is not None and not form.fullmatch(venue.address):
        yield f"address = {venue.address!r}: must match {form.pattern}"
    if form is None and venue.address:
        yield f"address: is for {' and '.join(ADDRESSES)} only; use an API key"
    if form is not None and venue.keyed:
        yield "key_env, key_file: remove them; an address is sufficient"
    if venue.book and venue.venue != "hyperliquid":
        yield "book: is for hyperliquid only"
    if not 0 <= venue.subaccount < PARENT_SUBACCOUNTS:
        yield f"subaccount = {venue.subaccount}: must be 0 to {PARENT_SUBACCOUNTS - 1}"


def _rule_errors(rules: tuple[AnyRule, ...], channels: list[str]) -> Iterator[str]:
    names = [rule.name for rule in rules]
    for number, rule in enumerate(rules):
        where = f"rules[{number}] ({rule.name})"
        if names.count(rule.name) > 1:
            yield f"{where}: duplicate name"
        for channel in rule.channels:
            if channel not in channels:
                known = ", ".join(channels) or "none"
                yield f"{where}.channels: unknown channel {channel!r}; there is {known}"
        if rule.repeat_min < 0:
            yield f"{where}.repeat_min = {rule.repeat_min}: must be at least 0"
        yield from (f"{where}.{error}" for error in _limit_errors(rule))


def _limit_errors(rule: AnyRule) -> Iterator[str]:
    match rule:
        case IndicatorRule() if not 1 <= rule.at_least <= 5:
            yield f"at_least = {rule.at_least}: must be 1 to 5"
        case IndicatorRule(clear_below=int(clear)) if not 1 <= clear <= rule.at_least:
            yield f"clear_below = {clear}: must be 1 to {rule.at_least}"
        case DistanceRule() if rule.below <= 0:
            yield f"below = {rule.below}: must be above 0"
        case DistanceRule(clear_above=Decimal() as clear) if clear < rule.below:
            yield f"clear_above = {clear}: must be at least {rule.below}"
        case PoolDrawdownRule() if not 0 < rule.percent <= 100:
            yield f"percent = {rule.percent}: must be above 0 and at most 100"
        case PoolDrawdownRule() if rule.within_min < 1:
            yield f"within_min = {rule.within_min}: must be at least 1"
        case StaleRule() | SourceFailureRule() if rule.after_min < 0:
            yield f"after_min = {rule.after_min}: must be at least 0"
        case StateRule() if not rule.states:
            yield "states: must name at least one state"


def risk_level(label: str) -> int:
    """Return the level of a risk label."""
    return RISKS.index(label) + 1
