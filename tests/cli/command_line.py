"""Inputs of the command-line tests, and the command line in a process of its own."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sources import ROOT

BOOK = str(ROOT / "examples" / "book")
CRASH = str(ROOT / "examples" / "crash.ndjson")
RANK = ("rank", BOOK, "--contract", "BTCUSDT", "--side", "short")

Call = Callable[..., tuple[int, str, str]]
"""Runs a command line in process; returns exit code, standard output and standard error."""


def run_process(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process, with `text` as standard input."""
    command = [sys.executable, "-m", "delever", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, input=text)


def run_on_terminal(*words: str) -> tuple[int, str, str]:
    """Run a command line whose standard output is a terminal of 60 columns."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "NO_COLOR": "1", "TERM": "xterm"}
    command = [sys.executable, "-m", "delever", *words]
    done = subprocess.run(
        command, check=False, stdout=follower, stderr=subprocess.PIPE, env=environment
    )
    os.set_blocking(leader, False)
    with os.fdopen(leader, "rb", buffering=0) as terminal:
        text = (terminal.read(65536) or b"").decode().replace("\r\n", "\n")
    os.close(follower)
    return done.returncode, text, done.stderr.decode()


class ServerProcess(NamedTuple):
    """`delever serve` in a process, and the URL that it reports."""

    process: "subprocess.Popen[str]"
    url: str


@contextmanager
def serving(*words: str, **environment: str) -> Iterator[ServerProcess]:
    """Serve until the block ends; the server is ready when the block begins."""
    command = [sys.executable, "-m", "delever", "serve", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env=os.environ | environment
    ) as process:
        if process.stdout is None:
            raise OSError("no pipe")
        try:
            yield ServerProcess(process, process.stdout.readline().split()[-1])
        finally:
            process.kill()
