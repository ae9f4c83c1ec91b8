"""Memory that survives: what was commanded, what happened, and proof that nobody changed it.

    findings    what can be wrong with a journal, as values
    codec       commands and events <-> bytes
    snapshot    the whole book <-> bytes
    record      one command with its events, sealed into a chain of hashes
    chain       whether records follow one another unbroken
    sqlite      the journal as one SQLite file, durable before acknowledgement
    replay      the book again, from events or from commands
    recorder    engine and journal together: submit commands, get events that will not be lost
    verify      what is wrong with a journal, and where

Nothing here reads a clock; times are those of the commands.
"""

from delever.journal.findings import Finding, Problem, Verdict
from delever.journal.record import Head, Record, Snapshot
from delever.journal.recorder import Recorder
from delever.journal.replay import Replay, replay_commands, replay_events
from delever.journal.sqlite import JournalError, SqliteJournal
from delever.journal.verify import verify

__all__ = [
    "Finding",
    "Head",
    "JournalError",
    "Problem",
    "Record",
    "Recorder",
    "Replay",
    "Snapshot",
    "SqliteJournal",
    "Verdict",
    "replay_commands",
    "replay_events",
    "verify",
]
