"""The replicated log of commands: every replica reads the same messages in the same order.

    command_log    the interface of a log: append, read, head, truncate; its errors
    command_group  one message of the log: the commands that one replica has accepted together
    stream_check   the settings of a JetStream stream, each refused with its remedy
    jetstream      the log as a stream of three NATS brokers
    hash_marks     comparison of the replicas' journals by the hashes of their records

Nothing here steps the engine: a replica does (server/engine/replica.py).
"""

from delever.replication.command_group import CommandGroup, HashMark
from delever.replication.command_log import (
    CommandLog,
    LogEnds,
    LogError,
    LogGap,
    LogMessage,
    LogUnavailable,
)
from delever.replication.hash_marks import Divergence, HashMarks

__all__ = [
    "CommandGroup",
    "CommandLog",
    "Divergence",
    "HashMark",
    "HashMarks",
    "LogEnds",
    "LogError",
    "LogGap",
    "LogMessage",
    "LogUnavailable",
]
