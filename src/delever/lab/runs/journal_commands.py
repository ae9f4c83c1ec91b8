"""The commands of a verified journal, to be run again elsewhere."""

from pathlib import Path

from delever.core.messages import Command
from delever.journal import JournalError, SqliteJournal, verify
from delever.journal.record import decode_command
from delever.lab.errors import InputError


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
