"""Exit codes as a shell receives them, and what loading a command costs."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from command_line import BOOK, CRASH, RANK, Call, run_process

from delever.cli import ExitCode

MODULES = "import sys; from delever.cli import call; call(sys.argv[1:]); print(*sys.modules)"


def loaded_modules(*words: str) -> set[str]:
    command = [sys.executable, "-c", MODULES, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_version_is_printed() -> None:
    done = run_process("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.1.0\n", "")


def test_help_lists_commands_and_imports_no_heavy_library() -> None:
    assert "replay-hyperliquid" in run_process("--help").stdout
    heavy = {"numpy", "msgspec", "polars", "markdown_it", "pygments"}
    assert not loaded_modules("--help") & heavy


def test_a_small_book_is_ranked_without_the_compiler() -> None:
    modules = loaded_modules(*RANK)
    assert "numpy" in modules
    assert "numba" not in modules


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["rules"], ExitCode.SUCCESS, ""),
        (["rank", BOOK], ExitCode.USAGE_ERROR, "--contract"),
        (["rnak", BOOK], ExitCode.USAGE_ERROR, "rnak"),
        ([*RANK, "--format", "xml"], ExitCode.USAGE_ERROR, "--format"),
        ([*RANK, "-n", "-3"], ExitCode.USAGE_ERROR, "Must be >= 1"),
        (
            [*RANK, "-o", "none/x.csv"],
            ExitCode.FAILURE,
            "delever: none/x.csv: No such file or directory",
        ),
        (["rank", "none", *RANK[2:]], ExitCode.INVALID_INPUT, "delever: none: not found"),
        (["verify", CRASH], ExitCode.CHECK_FAILED, "is NOT verified: "),
        (["replay", CRASH], ExitCode.INVALID_INPUT, f"delever: {CRASH}: file is not a database"),
    ],
)
def test_exit_code_and_message_without_a_traceback(
    words: list[str], code: int, message: str
) -> None:
    done = run_process(*words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


class InterruptedInput:
    """A standard input during which Ctrl-C is pressed."""

    @property
    def buffer(self) -> Iterator[bytes]:
        yield b"# first line\n"
        raise KeyboardInterrupt


def test_an_interrupt_has_its_own_exit_code(delever: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", InterruptedInput())
    assert delever("run", "-") == (ExitCode.INTERRUPTED, "", "delever: interrupted\n")


def test_a_closed_pipe_is_a_success() -> None:
    command = [sys.executable, "-m", "delever", "schema"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
        if process.stdout is None or process.stderr is None:
            raise OSError("no pipes")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == ExitCode.SUCCESS


def test_an_unknown_name_is_a_usage_error_with_a_suggestion(delever: Call) -> None:
    code, _, err = delever("explain", BOOK, "--account", "bub", "--contract", "BTCUSDT")
    assert (code, err) == (2, "delever: there is no account 'bub'; did you mean 'bob'?\n")
