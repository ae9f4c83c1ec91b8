"""The commands of a verified journal or of a scenario, to be run again, also under other rules."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from delever.core.messages import AmendPool, Command, DefineContract, DefinePool, TriggerLimits
from delever.core.rules import RuleSet
from delever.journal import JournalError, SqliteJournal, verify
from delever.journal.record import decode_command
from delever.lab.errors import InputError
from delever.lab.queries.position_queries import venue_of
from delever.lab.runs.managed_book import UNCAPPED
from delever.lab.runs.scenario import read_scenario

SQLITE_HEADER = b"SQLite format 3\0"
"""First bytes of a journal file."""

NO_THRESHOLD = 10**9
"""A loss that no vault reaches, in whole units."""


def read_commands(path: str | Path) -> list[Command]:
    """Return the commands of a file: of a journal if it starts as one does, else of a scenario.

    Raises InputError for a file that is neither.

        >>> len(read_commands("examples/crash.ndjson"))
        17
    """
    try:
        with Path(path).open("rb") as file:
            header = file.read(len(SQLITE_HEADER))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None
    return read_journal_commands(path) if header == SQLITE_HEADER else read_scenario(path)


def commands_under(commands: Sequence[Command], rules: RuleSet) -> tuple[list[Command], str]:
    """Return commands with every pool under a rule set, and what was assumed of it.

    Under the rules of another venue the limits of pools and contracts are dropped, and amendments
    of them. A vault whose venue publishes no caps pays until its equity is negative.

        >>> from delever.core.rules import RULE_SETS
        >>> own = read_commands("examples/crash.ndjson")
        >>> commands, assumed = commands_under(own, RULE_SETS["okx"])
        >>> {c.rules for c in commands if isinstance(c, DefinePool)}, assumed
        ({'okx'}, '')
    """
    under = list(_under(commands, rules.name))
    assumed = [c for c in under if isinstance(c, DefinePool) and _lacks_limit(c, rules)]
    capped: list[Command] = [_uncapped(c) if c in assumed else c for c in under]
    return capped, UNCAPPED.format(rules=rules.name) if assumed else ""


def _under(commands: Sequence[Command], rules: str) -> Iterator[Command]:
    venue = venue_of(rules)
    foreign = {c.pool for c in commands if isinstance(c, DefinePool) and venue_of(c.rules) != venue}
    for command in commands:
        if isinstance(command, DefinePool):
            limits = TriggerLimits() if command.pool in foreign else command.limits
            yield msgspec.structs.replace(command, rules=rules, limits=limits)
        elif isinstance(command, DefineContract) and command.pool in foreign:
            yield msgspec.structs.replace(command, limits=TriggerLimits())
        elif isinstance(command, AmendPool):
            amended = None if command.pool in foreign else command.limits
            yield msgspec.structs.replace(command, rules=None, limits=amended)
        else:
            yield command


def _lacks_limit(pool: DefinePool, rules: RuleSet) -> bool:
    """Return whether a managed pool lacks a limit that the rule set needs."""
    return pool.managed and any(getattr(pool.limits, name) is None for name in rules.managed_limits)


def _uncapped(pool: DefinePool) -> DefinePool:
    """Return a vault that pays until its equity is negative."""
    limits = msgspec.structs.replace(pool.limits, vault_cap="1", loss_threshold=NO_THRESHOLD)
    return msgspec.structs.replace(pool, limits=limits)


def read_journal_commands(path: str | Path) -> list[Command]:
    """Return every command of a journal, oldest first.

    Its chain of hashes and its snapshots are verified first; its events are not replayed. Raises
    InputError, naming the file and the problem.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError("not found", file=file.name)
    try:
        verification = verify(file, deep=False)
        if verification.findings:
            raise InputError(f"is not sound: {verification.findings[0].detail}", file=file.name)
        if base := verification.base.sequence:
            why = (
                f"begins at record {base + 1}: join it with its archives (delever journal restore)"
            )
            raise InputError(why, file=file.name)
        with SqliteJournal(file, readonly=True) as journal:
            commands: list[Command] = [
                decode_command(record.command) for record in journal.records()
            ]
    except JournalError as error:
        raise InputError(str(error).removeprefix(f"{file}: "), file=file.name) from None
    if not commands:
        raise InputError("has no records", file=file.name)
    return commands
