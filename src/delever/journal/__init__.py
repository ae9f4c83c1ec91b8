"""The journal: every command with its events, sealed into a chain of hashes that can be verified.

    record      one command with its events, as bytes, with the hash that links it to the previous
    chain       whether records are complete, unchanged and in order; findings as values
    snapshot    the whole book <-> bytes
    sqlite      the journal as one SQLite file; appended records are durable
    replay      the book rebuilt from recorded events, or by running recorded commands again
    recorder    engine and journal together: submit commands, get events that are durable
    verify      every check of a journal, and what is wrong where
    archive     which snapshots are retained; old records in files of their own, and back

Nothing here reads a clock; times are those of the commands.
"""

from delever.journal.chain import Finding, JournalProblem, Verification
from delever.journal.record import Head, Record, Snapshot
from delever.journal.recorder import EngineFailure, Recorder
from delever.journal.replay import Replay, replay_commands, replay_events
from delever.journal.sqlite import JournalError, SqliteJournal
from delever.journal.verify import verify

__all__ = [
    "EngineFailure",
    "Finding",
    "Head",
    "JournalError",
    "JournalProblem",
    "Record",
    "Recorder",
    "Replay",
    "Snapshot",
    "SqliteJournal",
    "Verification",
    "replay_commands",
    "replay_events",
    "verify",
]
