"""serve and config check: what cannot be used is said in a line, never in a traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from delever.cli import Exit, call
from delever.core.messages import SetTime
from delever.journal import Recorder

Tell = Callable[..., tuple[int, str]]

MAIL = "[notices.mail]\nhost = 'smtp.test'\nusername = 'adl'\npassword_env = 'DELEVER_TEST_NOT_SET'"
HOOK = "[[notices.recipients]]\naccount = '*'\nwebhook = 'http://x'\nwebhook_secret_env = "

ELSEWHERE = (
    ("[[keys]]\nid = 'a'\nroles = ['read']\nsecret_env = 'DELEVER_TEST_NOT_SET'", "key 'a': env"),
    (MAIL, "notices.mail: environment variable 'DELEVER_TEST_NOT_SET' is not set"),
    (HOOK + "'DELEVER_TEST_NOT_SET'", "notices.recipients[0].webhook_secret_env: environment"),
    ("[notices]\ntemplates = '/nope'", "notices.templates = '/nope': is no directory"),
    ("[history]\nurl = 'history.db'", "history.url: Could not parse"),
    ("[history]\nurl = 'sqlite:///history.db'", "history.url: The asyncio extension"),
    ("[history]\nurl = 'nosql://me:hush@host/db'", "history.url: Can't load plugin"),
    ("[journal]\npath = '/nope/j.db'", "journal.path = '/nope/j.db': there is no directory"),
)


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Tell:
    """Check a configuration; return the exit code and what was said of it."""

    def tell(text: str) -> tuple[int, str]:
        file = tmp_path / "delever.toml"
        file.write_text(text)
        code = call(["config", "check", str(file)])
        out, err = capfd.readouterr()
        return code, out + err

    return tell


@pytest.mark.parametrize(("text", "message"), ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_a_check_reads_what_the_file_names_elsewhere(told: Tell, text: str, message: str) -> None:
    code, said = told(text)
    assert code == Exit.BAD_INPUT
    assert message in said
    assert said.count("\n") == 1
    assert "hush" not in said


def test_a_check_leaves_nothing_behind(told: Tell, tmp_path: Path) -> None:
    code, said = told(f"[journal]\npath = '{tmp_path}/j.db'")
    assert (code, said.endswith(": it can be used\n")) == (Exit.DONE, True)
    assert [path.name for path in tmp_path.iterdir()] == ["delever.toml"]


NOBODY = "postgresql+psycopg://me:hush@127.0.0.1:1/db"

UNSERVED = (
    (
        ["--demo", "--accounts", "0"],
        "",
        Exit.FAILED,
        "delever: needs 100 accounts and 4 contracts\n",
    ),
    (["--demo", "--port", "0"], "", Exit.FAILED, "needs a journal of its own\n"),
    (["--port", "65536"], "", Exit.WRONG_USE, "command line: listen.port = 65536: must be from"),
    ([], f"[history]\nurl = '{NOBODY}'", Exit.FAILED, "connection failed"),
)


@pytest.mark.parametrize(("words", "text", "code", "message"), UNSERVED, ids=range(len(UNSERVED)))
def test_a_server_that_cannot_start_says_why(
    tmp_path: Path, words: list[str], text: str, code: int, message: str
) -> None:
    file = tmp_path / "delever.toml"
    file.write_text(f"[journal]\npath = '{tmp_path}/j.db'\n{text}")
    with Recorder.open(tmp_path / "j.db") as recorder:
        recorder.submit([SetTime(time_ms=1)])
    port = words or ["--port", "0"]
    serve = [sys.executable, "-m", "delever", "serve", "-c", str(file), *port]
    done = subprocess.run(serve, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr
