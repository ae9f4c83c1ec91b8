"""serve and config check: one line for each error, without a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Call, run_process

from delever.cli import ExitCode
from delever.core.messages import SetTime
from delever.journal import Recorder
from sources import ROOT
from waiting import PATIENCE_S

MAIL = "[notices.mail]\nhost = 'smtp.test'\nusername = 'adl'\npassword_env = 'DELEVER_TEST_NOT_SET'"
HOOK = "[[notices.recipients]]\naccount = '*'\nwebhook = 'http://x'\nwebhook_secret_env = "

INVALID_CONFIGURATIONS = (
    ("[[keys]]\nid = 'a'\nroles = ['read']\nsecret_env = 'DELEVER_TEST_NOT_SET'", "key 'a': env"),
    (MAIL, "notices.mail: environment variable 'DELEVER_TEST_NOT_SET' is not set"),
    (HOOK + "'DELEVER_TEST_NOT_SET'", "notices.recipients[0].webhook_secret_env: environment"),
    ("[notices]\ntemplates = '/nope'", "notices.templates = '/nope': is not a directory"),
    ("[history]\nurl = 'history.db'", "history.url: Could not parse"),
    ("[history]\nurl = 'sqlite:///history.db'", "history.url: The asyncio extension"),
    ("[history]\nurl = 'nosql://me:hush@host/db'", "history.url: Can't load plugin"),
    ("[journal]\npath = '/nope/j.db'", "journal.path = '/nope/j.db': there is no directory"),
)


@pytest.mark.parametrize(
    ("text", "message"), INVALID_CONFIGURATIONS, ids=range(len(INVALID_CONFIGURATIONS))
)
def test_config_check_follows_secrets_files_and_urls(
    delever: Call, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "delever.toml"
    file.write_text(text)
    code, out, err = delever("config", "check", str(file))
    assert (code, out) == (ExitCode.INVALID_INPUT, "")
    assert message in err
    assert err.count("\n") == 1
    assert "hush" not in err


def test_config_check_creates_no_file(delever: Call, tmp_path: Path) -> None:
    file = tmp_path / "delever.toml"
    file.write_text(f"[journal]\npath = '{tmp_path}/j.db'")
    assert delever("config", "check", str(file)) == (
        ExitCode.SUCCESS,
        f"{file}: valid; 0 keys, journal {tmp_path}/j.db\n",
        "",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["delever.toml"]


def test_the_demo_prints_its_keys_pages_and_lines_to_paste(tmp_path: Path) -> None:
    small = ("--accounts", "100", "--contracts", "4", "--speed", "20")
    process = subprocess.Popen(
        [sys.executable, "-m", "delever", "serve", "--demo", "--loop", "--port", "0", *small],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(16)]
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    url, text = lines[0].strip(), "".join(lines)
    assert url.startswith("http://127.0.0.1:")
    for word in ("demo-trader", "passphrase demo-secret", f"{url}/dashboard/", f"--base-url {url}"):
        assert word in text


NO_SUCH_SERVER = "postgresql+psycopg://me:hush@127.0.0.1:1/db"

UNSTARTABLE = (
    (
        ["--demo", "--accounts", "0"],
        "",
        ExitCode.FAILURE,
        "delever: needs 100 accounts and 4 contracts\n",
    ),
    (["--demo", "--port", "0"], "", ExitCode.FAILURE, "needs a journal of its own\n"),
    (["--loop"], "", ExitCode.USAGE_ERROR, "--loop needs --demo, and no configuration"),
    (
        ["--port", "65536"],
        "",
        ExitCode.USAGE_ERROR,
        "command line: listen.port = 65536: must be from",
    ),
    ([], f"[history]\nurl = '{NO_SUCH_SERVER}'", ExitCode.FAILURE, "connection failed"),
)


@pytest.mark.parametrize(
    ("words", "text", "code", "message"), UNSTARTABLE, ids=range(len(UNSTARTABLE))
)
def test_a_server_that_cannot_start_reports_the_cause(
    tmp_path: Path, words: list[str], text: str, code: int, message: str
) -> None:
    file = tmp_path / "delever.toml"
    file.write_text(f"[journal]\npath = '{tmp_path}/j.db'\n{text}")
    with Recorder.open(tmp_path / "j.db") as recorder:
        recorder.submit([SetTime(time_ms=1)])
    port = words or ["--port", "0"]
    done = run_process("serve", "-c", str(file), *port)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--server", "localhost:1"],
            "--server 'localhost:1': must start with http:// or https://",
        ),
        (
            ["--server", "http://x", "--key-env", "NOT_SET"],
            "--key-env NOT_SET: environment variable",
        ),
    ],
)
def test_dashboard_rejects_a_url_without_scheme_and_an_unset_key(
    delever: Call, words: list[str], message: str
) -> None:
    code, out, err = delever("dashboard", *words)
    assert (code, out) == (ExitCode.USAGE_ERROR, "")
    assert err.startswith(f"delever: {message}")
