"""serve and config check: one line for each error, without a traceback."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from command_line import Call, run_process, serving

from delever.cli import ExitCode
from delever.core.messages import SetTime
from delever.journal import Recorder
from sources import ROOT
from waiting import PATIENCE_S, becomes

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
        lines = [process.stdout.readline() for _ in range(13)]
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
        "delever: accounts 0: must be at least 100\n",
    ),
    (["--demo", "--port", "0"], "", ExitCode.FAILURE, "needs a journal of its own\n"),
    (["--loop"], "", ExitCode.USAGE_ERROR, "--loop needs --demo, and no configuration"),
    (
        ["--port", "65536"],
        "",
        ExitCode.USAGE_ERROR,
        "command line: listen.port = 65536: must be from",
    ),
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


@pytest.mark.parametrize("kind", ["unreachable", "garbage"])
def test_a_server_starts_without_a_database_of_reports_and_says_so(
    tmp_path: Path, kind: str
) -> None:
    file, journal = tmp_path / "delever.toml", tmp_path / "j.db"
    file.write_text(f"[journal]\npath = '{journal}'\n[api]\nanonymous_read = true")
    if kind == "garbage":
        (tmp_path / "j.db.history").write_bytes(b"no database" * 1_000)
    else:
        file.write_text(f"{file.read_text()}\n[history]\nurl = '{NO_SUCH_SERVER}'")
    with serving("--config", str(file), "--port", "0") as server:
        ready = httpx2.get(f"{server.url}/v1/ready", timeout=PATIENCE_S)
        assert (ready.status_code, ready.json()["waiting_for"]) == (503, "history")
        assert httpx2.get(f"{server.url}/v1/health", timeout=PATIENCE_S).json()["healthy"]
        history = httpx2.get(f"{server.url}/v1/adl", timeout=PATIENCE_S)
        assert history.status_code == 503
        assert history.json()["error"]["reason"] == "history_unavailable"
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        _, log = server.process.communicate(timeout=PATIENCE_S)
        assert server.process.returncode == -signal.SIGTERM
        assert "the database cannot be used" in log
        assert "hush" not in log


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


def test_a_journal_that_cannot_be_written_ends_the_process_so_that_it_is_restarted(
    tmp_path: Path,
) -> None:
    file, journal = tmp_path / "delever.toml", tmp_path / "j.db"
    file.write_text(
        f"[journal]\npath = '{journal}'\n[[keys]]\nid = 'engine'\nroles = ['ingest']\n"
        "secret_env = 'DELEVER_TEST_SECRET'"
    )
    secret = "0123456789abcdef"
    with serving("--config", str(file), "--port", "0", DELEVER_TEST_SECRET=secret) as server:
        with Recorder.open(journal) as other_writer:
            other_writer.submit([SetTime(time_ms=1)])
        answer = httpx2.post(
            f"{server.url}/v1/commands",
            headers={"authorization": f"Bearer engine.{secret}"},
            json={"type": "set_time"},
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 503
        assert server.process.wait(PATIENCE_S) == ExitCode.FAILURE


def test_a_hangup_reads_the_keys_again(tmp_path: Path) -> None:
    file, secret_file = tmp_path / "delever.toml", tmp_path / "secret"
    file.write_text(
        f"[journal]\npath = '{tmp_path}/j.db'\n[[keys]]\nid = 'desk'\nroles = ['read']\n"
        f"secret_file = '{secret_file}'"
    )

    def rotate(secret: str) -> None:
        secret_file.write_text(secret)
        secret_file.chmod(0o600)

    rotate("an old secret, of before")
    with serving("--config", str(file), "--port", "0") as server:

        def status(secret: str) -> int:
            headers = {"authorization": f"Bearer desk.{secret}"}
            return httpx2.get(
                f"{server.url}/v1/status", headers=headers, timeout=PATIENCE_S
            ).status_code

        assert status("an old secret, of before") == 200
        rotate("a new secret, from now on")
        server.process.send_signal(signal.SIGHUP)
        becomes(lambda: status("a new secret, from now on"), 200)
        assert status("an old secret, of before") == 401
        secret_file.unlink()
        server.process.send_signal(signal.SIGHUP)
        server.process.send_signal(signal.SIGTERM)
        _, log = server.process.communicate(timeout=PATIENCE_S)
        assert "the keys cannot be read again" in log
    assert (tmp_path / "j.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"desk": ("read", "too short")}, "key 'desk': the secret is shorter than 16 bytes"),
        (
            {"desk": ("read", "one secret for both"), "venue": ("ingest", "one secret for both")},
            "key 'venue': has the secret of key 'desk'",
        ),
        (
            {"ann-1": ("trade-account", "a secret of its own")},
            "key 'ann-1': the id of a trade-account key is a credential",
        ),
    ],
)
def test_config_check_refuses_weak_and_equal_secrets_and_guessed_credentials(
    delever: Call, tmp_path: Path, keys: dict[str, tuple[str, str]], problem: str
) -> None:
    file = tmp_path / "delever.toml"
    lines = [f"[journal]\npath = '{tmp_path}/j.db'"]
    for key_id, (role, secret) in keys.items():
        secret_file = tmp_path / key_id
        secret_file.write_text(secret)
        secret_file.chmod(0o600)
        lines.append(f"[[keys]]\nid = '{key_id}'\nroles = ['{role}']\naccounts = ['ann']")
        lines.append(f"secret_file = '{secret_file}'")
    file.write_text("\n".join(lines))
    code, _, err = delever("config", "check", str(file))
    assert code == ExitCode.INVALID_INPUT
    assert problem in err
    assert not any(secret in err for _, secret in keys.values())


def test_config_key_makes_another_strong_key_each_time(delever: Call) -> None:
    made = [delever("config", "key", "--name", "risk desk")[1] for _ in range(2)]
    ids = {tomllib.loads(text.partition("\n\n")[0])["keys"][0]["id"] for text in made}
    secrets = {text.strip().rpartition("\n")[2] for text in made}
    assert len(ids) == len(secrets) == 2
    assert min(map(len, ids | secrets)) >= 32


def test_a_backup_of_a_running_server_is_verified_and_restored(
    delever: Call, tmp_path: Path
) -> None:
    """As docs/operations.md says: SQLite's backup, verify, and a server that starts from it."""
    journal, backup = tmp_path / "journal.db", tmp_path / "backup.db"
    config = tmp_path / "delever.toml"
    config.write_text(
        f'[journal]\npath = "{journal}"\n[listen]\nport = 0\n'
        '[[keys]]\nid = "desk"\nroles = ["ingest", "read"]\nsecret_env = "DESK"\n'
    )
    headers = {"authorization": "Bearer desk.secret"}
    lines = b"\n".join(b'{"type": "define_account", "account": "a%d"}' % n for n in range(50))
    with serving("--config", str(config), DESK="secret") as server:
        url = f"{server.url}/v1/commands/bulk"
        first = httpx2.post(url, content=lines, headers=headers, timeout=PATIENCE_S)
        assert first.status_code == 200
        with closing(sqlite3.connect(journal)) as source, closing(sqlite3.connect(backup)) as copy:
            source.backup(copy)
        httpx2.post(url, content=lines, headers=headers, timeout=PATIENCE_S)
    code, out, _ = delever("verify", str(backup))
    assert code == ExitCode.SUCCESS
    for file in (journal, *tmp_path.glob("journal.db-*")):
        file.rename(tmp_path / f"lost-{file.name}")
    shutil.copy(backup, journal)
    with serving("--config", str(config), DESK="secret") as server:
        answer = httpx2.get(f"{server.url}/v1/status", headers=headers, timeout=PATIENCE_S).json()
    assert answer["head_hash"] in out
    assert answer["accounts"] == 50
