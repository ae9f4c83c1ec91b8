"""The commands of a journal, once nothing is found wrong with it: to be played again elsewhere."""

from pathlib import Path

from delever.core.messages import Command
from delever.journal import JournalError, SqliteJournal, verify
from delever.journal.record import decode_command
from delever.lab.errors import InputError


def read_recorded(path: str | Path) -> list[Command]:
    """Return every command of a journal, oldest first.

    Its chain of hashes and its snapshots are checked before, its events are not played again.
    Raises InputError, naming the file and what is wrong with it.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError("not found", file=file.name)
    try:
        verdict = verify(file, deep=False)
        if verdict.findings:
            raise InputError(f"is not sound: {verdict.findings[0].detail}", file=file.name)
        with SqliteJournal(file, readonly=True) as journal:
            commands: list[Command] = [decode_command(each.command) for each in journal.records()]
    except JournalError as error:
        raise InputError(str(error).removeprefix(f"{file}: "), file=file.name) from None
    if not commands:
        raise InputError("holds no record", file=file.name)
    return commands
