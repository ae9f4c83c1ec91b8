"""The TOML file of `delever watch`: venues, keys, rules for alerts, channels, quiet hours.

Secrets never stand in the file: a key names environment variables, or a file that only its owner
can read. Raises delever.config.ConfigError, which names the file, the key and the value.
"""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from delever.config import ConfigError, MailConfig, secret
from delever.watch.scale import RISKS

VenueName = Literal["binance", "binance-coin", "bybit", "okx"]
VENUES: tuple[VenueName, ...] = get_args(VenueName)
StateName = Literal["calm", "watch", "adl", "stopped", "stale"]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Cadence(_Section, frozen=True, kw_only=True):
    """`[venues.cadence]`: how often a venue has new numbers, where it is not the real one."""

    indicator_ms: int = 30_000
    """Indicators: Binance's quantile every 30 s; assumed for Bybit and OKX, which say nothing."""
    risk_ms: int = 30 * 60_000
    """Binance's symbol risk: every 30 min."""
    alert_ms: int = 60_000
    """Bybit's adlAlert by REST and its isolated pools: every minute."""
    stream_ms: int = 1_000
    """Bybit's adlAlert and OKX's adl-warning by WebSocket: every second."""
    pool_ms: int = 60_000
    """Assumed for Binance's insurance pools, whose refresh is not documented."""
    shared_pool_ms: int = 24 * 3_600_000
    """Bybit's shared pools and OKX's security fund: every day."""
    fill_ms: int = 60_000
    """How often past ADL fills are asked for, beside the stream that tells them at once."""


class Venue(_Section, frozen=True, kw_only=True):
    """`[[venues]]`: a venue, and who asks. Without a key only what is public is read."""

    venue: VenueName
    """Which one: binance (USDⓈ-M), binance-coin (COIN-M), bybit or okx."""
    key_env: str = ""
    """Environment variable of the API key; reading is all it must be allowed."""
    key_file: str = ""
    """Or a file with the key; refused where others than its owner can read it."""
    secret_env: str = ""
    """Environment variable of its secret."""
    secret_file: str = ""
    """Or a file with the secret; refused where others than its owner can read it."""
    passphrase_env: str = ""
    """Environment variable of the passphrase (OKX)."""
    passphrase_file: str = ""
    """Or a file with it."""
    base_url: str = ""
    """Another address that speaks the venue's API: a served delever."""
    ws_url: str = ""
    """Its address for WebSockets; follows from base_url if empty."""
    contracts: tuple[str, ...] = ()
    """Contracts to show even without a position, as the venue spells them."""
    families: tuple[str, ...] = ()
    """OKX: families of contracts whose security fund is read (BTC-USDT), beside those held."""
    cadence: Cadence = Cadence()
    """`[venues.cadence]`, below."""

    @property
    def keyed(self) -> bool:
        """Whether the account's own numbers can be read."""
        return bool(self.key_env or self.key_file)


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A key with what belongs to it; never shown."""

    key: str
    secret: str
    passphrase: str = ""

    def __repr__(self) -> str:
        """Return nothing that must not be read."""
        return "Credentials(...)"


class Rule(_Section, frozen=True, kw_only=True, tag_field="when"):
    """`[[rules]]`: when somebody is told, and by which channels. `when` says which of these."""

    name: str
    """What the rule is called in alerts."""
    send: tuple[str, ...] = ()
    """Channels by name; empty is all of them."""
    venues: tuple[VenueName, ...] = ()
    """Only these venues; empty is all."""
    contracts: tuple[str, ...] = ()
    """Only these contracts, as the venue spells them; empty is all."""
    urgent: bool = False
    """Told at once, in quiet hours too."""
    repeat_min: int = 0
    """Told again after so many minutes while it holds; 0 is once."""


class LightRule(Rule, tag="indicator", frozen=True, kw_only=True):
    """A position's indicator is at least so high."""

    at_least: int
    """Indicator 1 to 5 from which the rule holds."""
    clear_below: int | None = None
    """It holds until the indicator is below this; at_least if left out."""


class RiskRule(Rule, tag="risk", frozen=True, kw_only=True):
    """A contract's rating is at least so high."""

    at_least: Literal["medium", "high", "extremely high"]
    """The rating from which the rule holds."""


class DistanceRule(Rule, tag="distance", frozen=True, kw_only=True):
    """A contract is near the start of ADL (Bybit)."""

    under: Decimal
    """Percent of the pool's peak balance that the contract may still lose before ADL starts."""
    clear_over: Decimal | None = None
    """It holds until the distance is over this; 1.25 times `under` if left out."""


class StateRule(Rule, tag="state", frozen=True, kw_only=True):
    """A contract has come into a state."""

    states: tuple[StateName, ...]
    """The states that are told."""


class PoolFallRule(Rule, tag="pool_fall", frozen=True, kw_only=True):
    """A pool has fallen from its highest balance."""

    percent: Decimal
    """How far it has fallen."""
    within_min: int = 60
    """From the highest balance seen in so many minutes."""
    clear_below: Decimal | None = None
    """It holds until the fall is below this percent; half of `percent` if left out."""


class FillRule(Rule, tag="fill", frozen=True, kw_only=True):
    """ADL has closed some of a position of the account."""


class FaultRule(Rule, tag="fault", frozen=True, kw_only=True):
    """A venue's numbers cannot be read: the watch is blind."""

    after_min: int = 5
    """How long it must last."""


class StaleRule(Rule, tag="stale", frozen=True, kw_only=True):
    """A number is older than the venue renews it, whether or not anything is seen to fail."""

    after_min: int = 1
    """How long it has been stale: beyond two refreshes and 5 s."""


AnyRule = (
    LightRule
    | RiskRule
    | DistanceRule
    | StateRule
    | PoolFallRule
    | FillRule
    | FaultRule
    | StaleRule
)


class Channel(_Section, frozen=True, kw_only=True):
    """`[[channels]]`: where alerts go. One of mail, webhook, webhook_env and apprise_env."""

    name: str
    """What rules call it."""
    mail: str = ""
    """An address; needs [mail]."""
    webhook: str = ""
    """A URL that gets JSON by POST."""
    webhook_env: str = ""
    """Environment variable of the URL, where the URL itself is a secret."""
    webhook_secret_env: str = ""
    """Environment variable of the Standard Webhooks secret (`whsec_...`); unsigned without."""
    apprise_env: str = ""
    """Environment variable of an apprise URL: Slack, Telegram, PagerDuty and a hundred more."""


class Quiet(_Section, frozen=True, kw_only=True):
    """`[quiet]`: hours in which only urgent rules are told; the others wait for the end."""

    start: time
    """When quiet begins, such as 22:00:00."""
    end: time
    """When it ends; before `start` is the next day."""
    zone: str = "UTC"
    """The time zone of both."""


class Settings(_Section, frozen=True, kw_only=True):
    """The whole file; every section may be left out."""

    history: str = "delever-watch.db"
    """The SQLite file with history, alerts and deliveries; relative to where the watch runs."""
    keep_days: int = 30
    """How long history is kept."""
    stopped_min: int = 30
    """How long a contract is shown as stopped after an ADL."""
    venues: tuple[Venue, ...] = ()
    rules: tuple[AnyRule, ...] = ()
    channels: tuple[Channel, ...] = ()
    mail: MailConfig = MailConfig()
    quiet: Quiet | None = None


def load(path: str | Path) -> Settings:
    """Return the settings of a TOML file; ConfigError where they cannot be used."""
    try:
        raw = tomllib.loads(Path(path).read_bytes().decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse(raw, where=str(path))


def parse(raw: Mapping[str, Any], where: str = "watch") -> Settings:
    """Return the settings of a decoded file; ConfigError names key and value."""
    try:
        settings = msgspec.convert(raw, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    for wrong in _wrong(settings):
        raise ConfigError(f"{where}: {wrong}")
    return settings


def credentials(venue: Venue) -> Credentials | None:
    """Return a venue's key and secret, or None where it has none; ConfigError if they are not."""
    if not venue.keyed:
        return None
    where = f"venues ({venue.venue})"
    passphrase = ""
    if venue.passphrase_env or venue.passphrase_file:
        passphrase = secret(where, env=venue.passphrase_env, file=venue.passphrase_file)
    return Credentials(
        key=secret(where, env=venue.key_env, file=venue.key_file),
        secret=secret(where, env=venue.secret_env, file=venue.secret_file),
        passphrase=passphrase,
    )


def _wrong(settings: Settings) -> Iterator[str]:
    """Yield what types alone do not refuse: key, value and why."""
    yield from _wrong_venues(settings.venues)
    names = [channel.name for channel in settings.channels]
    for number, channel in enumerate(settings.channels):
        where = f"channels[{number}] ({channel.name})"
        ways = (channel.mail, channel.webhook, channel.webhook_env, channel.apprise_env)
        if sum(map(bool, ways)) != 1:
            yield f"{where}: needs exactly one of mail, webhook, webhook_env and apprise_env"
        if channel.mail and not settings.mail.host:
            yield f"{where}.mail = {channel.mail!r}: needs a server in [mail] host"
        if names.count(channel.name) > 1:
            yield f"{where}: stands there twice"
    yield from _wrong_rules(settings.rules, names)
    if settings.quiet is not None:
        try:
            ZoneInfo(settings.quiet.zone)
        except (ZoneInfoNotFoundError, ValueError):
            yield f"quiet.zone = {settings.quiet.zone!r}: no such time zone"


def _wrong_venues(venues: tuple[Venue, ...]) -> Iterator[str]:
    names = [venue.venue for venue in venues]
    for number, venue in enumerate(venues):
        where = f"venues[{number}] ({venue.venue})"
        if names.count(venue.venue) > 1:
            yield f"{where}: stands there twice"
        yield from (f"{where}: {wrong}" for wrong in _wrong_keys(venue))
        for field in ("base_url", "ws_url"):
            url, schemes = getattr(venue, field), {"base_url": "http", "ws_url": "ws"}
            if url and not url.startswith((f"{schemes[field]}://", f"{schemes[field]}s://")):
                yield f"{where}.{field} = {url!r}: must begin with {schemes[field]}:// or its TLS"
        for field in venue.cadence.__struct_fields__:
            if getattr(venue.cadence, field) < 100:
                yield f"{where}.cadence.{field}: must be at least 100"


def _wrong_keys(venue: Venue) -> Iterator[str]:
    if venue.key_env and venue.key_file:
        yield "say one of key_env and key_file"
    if venue.keyed and bool(venue.secret_env) == bool(venue.secret_file):
        yield "a key needs exactly one of secret_env and secret_file"
    phrases = bool(venue.passphrase_env) + bool(venue.passphrase_file)
    if venue.venue == "okx" and venue.keyed and phrases != 1:
        yield "an OKX key needs exactly one of passphrase_env and passphrase_file"


def _wrong_rules(rules: tuple[AnyRule, ...], channels: list[str]) -> Iterator[str]:
    names = [rule.name for rule in rules]
    for number, rule in enumerate(rules):
        where = f"rules[{number}] ({rule.name})"
        if names.count(rule.name) > 1:
            yield f"{where}: stands there twice"
        for channel in rule.send:
            if channel not in channels:
                yield f"{where}.send: {channel!r} is no channel"
        if rule.repeat_min < 0:
            yield f"{where}.repeat_min = {rule.repeat_min}: must be at least 0"
        yield from (f"{where}.{wrong}" for wrong in _wrong_limits(rule))


def _wrong_limits(rule: AnyRule) -> Iterator[str]:
    match rule:
        case LightRule() if not 1 <= rule.at_least <= 5:
            yield f"at_least = {rule.at_least}: must be 1 to 5"
        case LightRule(clear_below=int(clear)) if not 1 <= clear <= rule.at_least:
            yield f"clear_below = {clear}: must be 1 to {rule.at_least}"
        case DistanceRule() if rule.under <= 0:
            yield f"under = {rule.under}: must be above 0"
        case DistanceRule(clear_over=Decimal() as clear) if clear < rule.under:
            yield f"clear_over = {clear}: must be at least {rule.under}"
        case PoolFallRule() if not 0 < rule.percent <= 100:
            yield f"percent = {rule.percent}: must be above 0 and at most 100"
        case PoolFallRule() if rule.within_min < 1:
            yield f"within_min = {rule.within_min}: must be at least 1"
        case StaleRule() | FaultRule() if rule.after_min < 0:
            yield f"after_min = {rule.after_min}: must be at least 0"
        case StateRule() if not rule.states:
            yield "states: must name at least one state"


def risk_level(word: str) -> int:
    """Return the level of a rule's word."""
    return RISKS.index(word) + 1
