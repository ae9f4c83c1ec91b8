"""The command `delever`: data on stdout, log lines on stderr, the outcome in the exit code.

    book        rank, explain, whatif, rank-all, risk: queries on a book directory; rules
    lab         lab simulate, compare, sweep, fund, odds, allocate: crashes, policies, fund sizes
    scenario    run, report, demo, replay-hyperliquid, schema: commands in, events and reports out
    journal     replay, verify, journal archive, prune, restore: a journal rebuilt, checked, moved
    shadow      shadow: what delever would do beside a venue that has its own ADL
    server      serve, config check, dashboard: processes that listen
    watch       watch, watch history, watch deliveries, watch test-alert: accounts on real venues
    output      tables, JSON, CSV, Parquet, progress

Each command's module is imported when the command is called, so that `delever --help` is quick.

Exit codes: 0 success, 1 failure, 2 usage error, 3 a check failed, 4 invalid input (the message
names file, row, column and value) or a source that `watch --once` could not read, 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from enum import IntEnum

from cyclopts import App

from delever.lab.errors import InputError, UnknownNameError


class ExitCode(IntEnum):
    """Exit codes of every command."""

    SUCCESS = 0
    FAILURE = 1
    USAGE_ERROR = 2
    CHECK_FAILED = 3
    INVALID_INPUT = 4
    INTERRUPTED = 130


class UsageError(Exception):
    """Options that are invalid, or that contradict each other."""


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - slow, and for --version only

    return version("delever")


app = App(
    name="delever",
    help="Auto-deleveraging (ADL) for derivatives venues: run it, check it, explain it.",
    version=_version,
    help_format="plaintext",  # markdown would load its parsers
    suppress_keyboard_interrupt=False,
)

_COMMANDS = {
    "delever.cli.book:rank": "List the ADL queue of one side of a contract, highest rank first.",
    "delever.cli.book:explain": "Explain a position's rank, or a past ADL fill.",
    "delever.cli.book:whatif": "Show how one change would move a position in the queue.",
    "delever.cli.book:rank_all": "Rank the same positions under every venue's rules.",
    "delever.cli.book:risk": "Rate how likely liquidations are to end in ADL, and explain why.",
    "delever.cli.scenario:run": "Run a scenario and summarize its ADL, fills and funds.",
    "delever.cli.scenario:report": "Write a result of the lab as one HTML file, or as plots.",
    "delever.cli.scenario:demo": "Run a seeded crash, from first liquidation to end of ADL.",
    "delever.cli.scenario:replay_hyperliquid": "Run a real ADL under each venue's rules.",
    "delever.cli.journal:replay": "Rebuild the book from a journal, by events and by commands.",
    "delever.cli.journal:verify": "Verify a journal: hash chain, snapshots and replays.",
    "delever.cli.shadow:shadow": "Follow a venue with its own ADL and report what differs.",
    "delever.cli.book:rules": "List rule sets, or the rules of one with sources.",
    "delever.cli.scenario:schema": "Print the JSON Schema of a command (a line of a scenario).",
    "delever.cli.server:serve": "Run the server: engine, journal, APIs and dashboard.",
    "delever.cli.server:dashboard": "Serve the dashboard of a server that runs elsewhere.",
}
"""Every command as module:function, with its line of `delever --help`."""

for _target, _summary in _COMMANDS.items():
    app.command(_target, name=_target.partition(":")[2].replace("_", "-"), help=_summary)

_config = App(name="config", help="Check the server's configuration.")
_config.command(
    "delever.cli.server:config_check", name="check", help="Check that a configuration is valid."
)
_config.command("delever.cli.server:config_key", name="key", help="Make a random API key.")
app.command(_config)
_journal = App(name="journal", help="Archive, prune and restore journals.")
for _name, _summary in {
    "archive": "Copy a journal's old records to a verified file of their own.",
    "prune": "Delete the records of a journal that an archive has.",
    "restore": "Join archives and the rest of a journal to one file.",
}.items():
    _journal.command(f"delever.cli.journal:{_name}", name=_name, help=_summary)
app.command(_journal)
app.command(
    "delever.cli.lab:app",
    name="lab",
    help="Simulate crashes, compare rules and policies, size funds.",
)
app.command(
    "delever.cli.watch:app", name="watch", help="Watch indicators, funds and ADL of real accounts."
)


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(call(tokens))


def call(tokens: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; cyclopts' usage errors raise SystemExit."""
    try:
        code = app(tokens, result_action="return_value")
        sys.stdout.flush()
    except InputError as error:
        return _failed(error, ExitCode.INVALID_INPUT)
    except (UsageError, UnknownNameError) as error:
        return _failed(error, ExitCode.USAGE_ERROR)
    except KeyboardInterrupt:
        return _failed("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:  # the reader closed the pipe early, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.SUCCESS
    except (ModuleNotFoundError, OSError) as error:
        return _failed(_describe(error), ExitCode.FAILURE)
    return code if isinstance(code, int) else ExitCode.SUCCESS


def _failed(message: object, code: ExitCode) -> int:
    sys.stderr.write(f"delever: {message}\n")
    return code


def _describe(error: ModuleNotFoundError | OSError) -> str:
    """Return a message for an operating system error, or for a missing optional dependency."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if (error.name or "").partition(".")[0] == "delever":
        raise error
    extras = "'delever[server]' for serve, [dashboard], [watch], [plot] for report"
    return f"{error.name} is not installed: pip install {extras}"
