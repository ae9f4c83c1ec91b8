"""The command `delever`: data on stdout, talk on stderr, and an exit code that says how it went.

    book        rank, explain, whatif, compare-rules: what a book says
    risk        risk: how likely ADL is
    scenario    run, demo, replay-hyperliquid: commands in, events out
    report      report: a finished run or comparison as one page and as pictures
    journal     replay, verify: what was recorded, and whether it is true
    reference   rules, schema: what delever knows
    serve       serve, config check: the server
    dashboard   dashboard: the page of a server that runs elsewhere
    watch       watch, watch history, watch deliveries, watch test-alert: the account's side
    output      tables, JSON, CSV, Parquet, progress

Each command is loaded when it is called, so that `delever --help` is quick.

Exit codes: 0 done, 1 the run failed, 2 wrong use, 3 a check failed, 4 input cannot be used (file,
row, column and value are named), 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from enum import IntEnum

from cyclopts import App

from delever.lab.errors import InputError, UnknownNameError


class Exit(IntEnum):
    """How a command went."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    CHECK_FAILED = 3
    BAD_INPUT = 4
    INTERRUPTED = 130


class UsageError(Exception):
    """Options that do not go together."""


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
    "delever.cli.book:rank": "Show the queue of one contract and side, next to be closed first.",
    "delever.cli.book:explain": "Why a position stands where it stands, or was closed by ADL.",
    "delever.cli.book:whatif": "What one change would make of a position's place in the queue.",
    "delever.cli.book:compare_rules": "Where positions stand under every venue's rules.",
    "delever.cli.risk:risk": "Rate how likely liquidations are to end in ADL, and say why.",
    "delever.cli.scenario:run": "Run a scenario, and say what it came to.",
    "delever.cli.dashboard:dashboard": "Serve the dashboard of a server that runs elsewhere.",
    "delever.cli.report:report": "Write a run or comparison as one HTML file, and as pictures.",
    "delever.cli.journal:replay": "Make the book again from a journal, by events and by commands.",
    "delever.cli.journal:verify": "Prove a journal, or say what is wrong with it and where.",
    "delever.cli.reference:rules": "What each venue's rule set does, with sources.",
    "delever.cli.reference:schema": "The JSON Schema of a command: of one line of a scenario.",
    "delever.cli.scenario:demo": "Play a seeded crash, from first liquidation to end of ADL.",
    "delever.cli.serve:serve": "Run the server: engine, journal, venue-compatible and native APIs.",
    "delever.cli.scenario:replay_hyperliquid": "Run a real ADL under each venue's rules.",
}
"""Every command by where it is, with its line of `delever --help`."""

for _home, _line in _COMMANDS.items():
    app.command(_home, name=_home.partition(":")[2].replace("_", "-"), help=_line)

_config = App(name="config", help="The server's configuration.")
_config.command(
    "delever.cli.serve:config_check", name="check", help="Say whether a configuration can be used."
)
app.command(_config)
app.command(
    "delever.cli.watch:app", name="watch", help="Watch indicators, pools and ADL on real accounts."
)


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(call(tokens))


def call(tokens: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (wrong use leaves by SystemExit)."""
    try:
        code = app(tokens, result_action="return_value")
        sys.stdout.flush()
    except InputError as error:
        return _failed(error, Exit.BAD_INPUT)
    except (UsageError, UnknownNameError) as error:
        return _failed(error, Exit.WRONG_USE)
    except KeyboardInterrupt:
        return _failed("interrupted", Exit.INTERRUPTED)
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except (ModuleNotFoundError, OSError) as error:
        return _failed(_in_words(error), Exit.FAILED)
    return code if isinstance(code, int) else Exit.DONE


def _failed(why: object, code: Exit) -> int:
    sys.stderr.write(f"delever: {why}\n")
    return code


def _in_words(error: ModuleNotFoundError | OSError) -> str:
    """Return what went wrong; for a module that is not there, what to install."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if (error.name or "").partition(".")[0] == "delever":
        raise error
    extras = "'delever[server]' for serve, [dashboard], [watch], [plot] for report"
    return f"{error.name} is not installed: pip install {extras}"
