"""The TOML file: what cannot be used is said with key and value; secrets stay secret."""

import os
from pathlib import Path
from typing import Any

import pytest

from delever.config import ConfigError
from delever.watch.settings import credentials, load, parse

VENUE = {"venue": "binance", "key_env": "K", "secret_env": "S"}

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"venue": 3}, "venue"),
    ({"venues": [{"venue": "kraken"}]}, r"Invalid enum value 'kraken' - at `\$.venues\[0\].venue`"),
    ({"venues": [VENUE, VENUE]}, r"venues\[0\] \(binance\): stands there twice"),
    ({"venues": [{"venue": "okx", "key_env": "K"}]}, "needs exactly one of secret_env and secret"),
    ({"venues": [VENUE | {"venue": "okx"}]}, "an OKX key needs exactly one of passphrase_env"),
    ({"venues": [VENUE | {"key_file": "k"}]}, "say one of key_env and key_file"),
    ({"venues": [VENUE | {"base_url": "h:80"}]}, "base_url = 'h:80': must begin with http://"),
    (
        {"venues": [VENUE | {"cadence": {"indicator_ms": 5}}]},
        "cadence.indicator_ms: must be at least 100",
    ),
    ({"rules": [{"when": "moon", "name": "x"}]}, r"Invalid value 'moon' - at `\$.rules\[0\].when`"),
    (
        {"rules": [{"when": "indicator", "name": "x", "at_least": 6}]},
        r"\(x\).at_least = 6: must be 1",
    ),
    (
        {"rules": [{"when": "indicator", "name": "x", "at_least": 3, "clear_below": 4}]},
        "clear_below = 4: must be 1 to 3",
    ),
    ({"rules": [{"when": "distance", "name": "x", "under": 0}]}, "under = 0: must be above 0"),
    ({"rules": [{"when": "pool_fall", "name": "x", "percent": 101}]}, "percent = 101: must be"),
    ({"rules": [{"when": "state", "name": "x", "states": []}]}, "states: must name at least one"),
    ({"rules": [{"when": "fill", "name": "x", "send": ["ops"]}]}, r"send: 'ops' is no channel"),
    ({"rules": [{"when": "fill", "name": "x"}] * 2}, "stands there twice"),
    ({"channels": [{"name": "ops"}]}, "needs exactly one of mail, webhook, webhook_env and"),
    ({"channels": [{"name": "ops", "mail": "a@b.c"}]}, r"needs a server in \[mail\] host"),
    (
        {"quiet": {"start": "22:00:00", "end": "07:00:00", "zone": "Moon/Sea"}},
        "quiet.zone = 'Moon/Sea': no such time zone",
    ),
]


@pytest.mark.parametrize(("raw", "why"), WRONG, ids=[why[:30] for _, why in WRONG])
def test_what_cannot_be_used_is_named(raw: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse(raw)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml")
    (tmp_path / "w.toml").write_text("rules = [")
    with pytest.raises(ConfigError, match=r"w\.toml"):
        load(tmp_path / "w.toml")


def test_numbers_of_rules_are_exact_and_times_are_toml_times(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(
        '[quiet]\nstart = 22:00:00\nend = 07:00:00\nzone = "Europe/Zurich"\n'
        '[[rules]]\nwhen = "distance"\nname = "near"\nunder = 2.5\n'
    )
    settings = load(tmp_path / "w.toml")
    assert str(settings.rules[0].under) == "2.5"  # type: ignore[union-attr]
    assert settings.quiet is not None
    assert settings.quiet.start.hour == 22


def test_keys_come_from_the_environment_or_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K", "the-key")
    monkeypatch.delenv("S", raising=False)
    (venue,) = parse({"venues": [VENUE]}).venues
    with pytest.raises(ConfigError, match="environment variable 'S' is not set"):
        credentials(venue)
    monkeypatch.setenv("S", "the-secret")
    held = credentials(venue)
    assert held is not None
    assert (held.key, held.secret) == ("the-key", "the-secret")
    assert "secret" not in repr(held)
    file = tmp_path / "secret"
    file.write_text("of-the-file\n")
    (venue,) = parse({"venues": [{**VENUE, "secret_env": "", "secret_file": str(file)}]}).venues
    os.chmod(file, 0o640)  # noqa: PTH101 - what others could read is refused
    with pytest.raises(ConfigError, match="only its owner may have access"):
        credentials(venue)
    os.chmod(file, 0o600)  # noqa: PTH101
    held = credentials(venue)
    assert held is not None
    assert held.secret == "of-the-file"
    files = {name: str(file) for name in ("key_file", "secret_file", "passphrase_file")}
    (venue,) = parse({"venues": [{"venue": "okx", **files}]}).venues
    held = credentials(venue)
    assert held is not None
    assert {held.key, held.secret, held.passphrase} == {"of-the-file"}
    (public,) = parse({"venues": [{"venue": "bybit"}]}).venues
    assert credentials(public) is None
