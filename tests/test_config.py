"""The configuration: errors name key and value, and never contain a secret."""

from pathlib import Path

import pytest

from delever.config import Config, ConfigError, Role, load, parse, secret
from delever.server.transport.api_keys import Keyring

INVALID = (
    ("[listen]\nport = -1", "listen.port = -1: must be from 0 to 65535"),
    ("[listen]\nport = 65536", "listen.port = 65536: must be from 0 to 65535"),
    ("[listen]\nhost = ''", "listen.host = '': must not be empty"),
    ("[journal]\npath = 'a\\u0000'".replace("'", '"'), "journal.path = 'a\\x00': must not"),
    ("[notices.mail]\nport = 99999", "notices.mail.port = 99999: must be from 0 to 65535"),
    ("[notices.mail]\nusername = 'adl'", "notices.mail: username and password_env go together"),
    ("[notices.mail]\nsender = 'adl'", "notices.mail.sender = 'adl': is not a mail address"),
    (
        "[contracts.A]\nokx = 'X'\n[contracts.B]\nbybit = 'X'\nokx = 'X'",
        "contracts.B.okx = 'X': already belongs to A",
    ),
    (
        "[[notices.recipients]]\naccount = '*'\nwebhook = 'https:///x'\nwebhook_secret_env = 'X'",
        "notices.recipients[0].webhook = 'https:///x': is not an http(s) URL",
    ),
    ("[listen]\nprot = 1", "listen: there is no field 'prot'; did you mean 'port'?"),
    ("[listen]\nport = 'x'", "listen.port = 'x': must be a whole number"),
    ("[journal]\nsnapshot_every = 0", "journal.snapshot_every = 0: must be at least 1"),
    ("[binance]\nadl_risk_labels = 'LIVE'", "binance.adl_risk_labels = 'LIVE': must be one of"),
    ("[[keys]]\nid = 'a b'\nroles = ['read']\nsecret_env = 'X'", "keys[0].id = 'a b'"),
    (
        "[[keys]]\nid = 'a'\nroles = ['root']\nsecret_env = 'X'",
        "keys[0].roles[0] = 'root': must be one of read, ",
    ),
    ("[[keys]]\nid = 'a'\nroles = []\nsecret_env = 'X'", "must name at least one role"),
    ("[[keys]]\nid = 'a'\nroles = ['read']", "keys[0] (a): needs exactly one of"),
    ("[[keys]]\nid = 'a'\nroles = ['trade-account']\nsecret_env = 'X'", "at least one account"),
    (
        "[[keys]]\nid = 'a'\nroles = ['read']\nsecret_env = 'X'\n" * 2,
        "keys[1].id = 'a': is defined twice",
    ),
    ("[listen", "delever.toml: "),
)


@pytest.mark.parametrize(("text", "message"), INVALID, ids=range(len(INVALID)))
def test_an_invalid_value_is_rejected_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "delever.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(file)
    assert message in str(raised.value)
    assert str(file) in str(raised.value)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "delever.toml"
    file.write_text("")
    assert load(file) == Config()


def test_a_secret_file_must_be_private_and_is_never_in_an_error(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush-hush\n")
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="only its owner") as raised:
        secret("key 'a'", file=str(file))
    assert "hush" not in str(raised.value)
    file.chmod(0o600)
    assert secret("key 'a'", file=str(file)) == "hush-hush"
    file.write_bytes(b"\xffhush")
    with pytest.raises(ConfigError, match="is not text") as raised:
        secret("key 'a'", file=str(file))
    assert "hush" not in str(raised.value)
    with pytest.raises(ConfigError, match="null byte"):
        secret("key 'a'", file="hush\0")
    with pytest.raises(ConfigError, match="is not set"):
        secret("key 'a'", env="DELEVER_TEST_NOT_SET")


def test_a_bearer_token_is_id_and_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush.hush")
    file.chmod(0o600)
    config = {"id": "desk", "roles": ["read"], "secret_file": str(file)}
    keyring = Keyring(parse({"keys": [config]}).keys)
    key = keyring.bearer("Bearer desk.hush.hush")
    assert key is not None
    assert key.has_role(Role.READ)
    assert not key.has_role(Role.OPERATE)
    assert "hush" not in repr(key)
    for wrong in ("", "Bearer", "Bearer desk", "Bearer desk.", "Bearer desk.hush", "Basic desk.x"):
        assert keyring.bearer(wrong) is None
