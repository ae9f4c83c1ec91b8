"""The TOML file: errors name key and value; secrets are masked."""

import os
from pathlib import Path
from typing import Any

import pytest

from delever.config import ConfigError
from delever.watch.settings import credentials, load, parse

VENUE = {"venue": "binance", "key_env": "K", "secret_env": "S"}

INVALID: list[tuple[dict[str, Any], str]] = [
    ({"venue": 3}, "venue"),
    ({"venues": [{"venue": "kraken"}]}, r"venues\[0\].venue = 'kraken': must be one of"),
    ({"venues": [VENUE, VENUE]}, r"venues\[0\] \(binance\): duplicate name"),
    ({"venues": [{"venue": "okx", "key_env": "K"}]}, "requires exactly one of secret_env and"),
    ({"venues": [VENUE | {"venue": "okx"}]}, "an OKX key requires exactly one of passphrase_env"),
    ({"venues": [VENUE | {"key_file": "k"}]}, "set only one of key_env and key_file"),
    ({"venues": [VENUE | {"rules": "bibit"}]}, "rules = 'bibit': unknown rule set"),
    ({"venues": [VENUE | {"base_url": "h:80"}]}, "base_url = 'h:80': must begin with http://"),
    (
        {"venues": [VENUE | {"refresh": {"indicator_ms": 5}}]},
        "refresh.indicator_ms: must be at least 100",
    ),
    ({"rules": [{"when": "moon", "name": "x"}]}, r"rules\[0\].when = 'moon': there is no when"),
    (
        {"rules": [{"when": "indicator", "name": "x", "at_least": 6}]},
        r"\(x\).at_least = 6: must be 1",
    ),
    (
        {"rules": [{"when": "indicator", "name": "x", "at_least": 3, "clear_below": 4}]},
        "clear_below = 4: must be 1 to 3",
    ),
    ({"rules": [{"when": "distance", "name": "x", "below": 0}]}, "below = 0: must be above 0"),
    ({"rules": [{"when": "pool_drawdown", "name": "x", "percent": 101}]}, "percent = 101: must be"),
    ({"rules": [{"when": "state", "name": "x", "states": []}]}, "states: must name at least one"),
    (
        {"rules": [{"when": "fill", "name": "x", "channels": ["ops"]}]},
        r"channels: unknown channel 'ops'",
    ),
    ({"rules": [{"when": "fill", "name": "x"}] * 2}, "duplicate name"),
    ({"channels": [{"name": "ops"}]}, "requires exactly one of mail, webhook, webhook_env and"),
    ({"channels": [{"name": "ops", "mail": "a@b.c"}]}, r"requires a server in \[mail\] host"),
    (
        {"quiet_hours": {"start": "22:00:00", "end": "07:00:00", "zone": "Moon/Sea"}},
        "quiet_hours.zone = 'Moon/Sea': unknown time zone",
    ),
]


@pytest.mark.parametrize(("raw", "why"), INVALID, ids=[why[:30] for _, why in INVALID])
def test_an_invalid_setting_is_named_with_its_value(raw: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse(raw)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml")
    (tmp_path / "w.toml").write_text("rules = [")
    with pytest.raises(ConfigError, match=r"w\.toml"):
        load(tmp_path / "w.toml")


def test_numbers_are_exact_decimals_and_times_are_toml_times(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(
        '[quiet_hours]\nstart = 22:00:00\nend = 07:00:00\nzone = "Europe/Zurich"\n'
        '[[rules]]\nwhen = "distance"\nname = "near"\nbelow = 2.5\n'
    )
    settings = load(tmp_path / "w.toml")
    assert str(settings.rules[0].below) == "2.5"  # type: ignore[union-attr]
    assert settings.quiet_hours is not None
    assert settings.quiet_hours.start.hour == 22


def test_keys_are_read_from_the_environment_or_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K", "the-key")
    monkeypatch.delenv("S", raising=False)
    (venue,) = parse({"venues": [VENUE]}).venues
    with pytest.raises(ConfigError, match="environment variable 'S' is not set"):
        credentials(venue)
    monkeypatch.setenv("S", "the-secret")
    key = credentials(venue)
    assert key is not None
    assert (key.key, key.secret) == ("the-key", "the-secret")
    assert "secret" not in repr(key)
    file = tmp_path / "secret"
    file.write_text("of-the-file\n")
    (venue,) = parse({"venues": [{**VENUE, "secret_env": "", "secret_file": str(file)}]}).venues
    os.chmod(file, 0o640)  # noqa: PTH101 - what others could read is refused
    with pytest.raises(ConfigError, match="only its owner may have access"):
        credentials(venue)
    os.chmod(file, 0o600)  # noqa: PTH101
    key = credentials(venue)
    assert key is not None
    assert key.secret == "of-the-file"
    files = {name: str(file) for name in ("key_file", "secret_file", "passphrase_file")}
    (venue,) = parse({"venues": [{"venue": "okx", **files}]}).venues
    key = credentials(venue)
    assert key is not None
    assert {key.key, key.secret, key.passphrase} == {"of-the-file"}
    (public,) = parse({"venues": [{"venue": "bybit"}]}).venues
    assert credentials(public) is None
