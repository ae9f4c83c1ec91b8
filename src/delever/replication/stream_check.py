"""The settings of a JetStream stream without which acknowledged commands can be lost or doubled.

Sources: measurements of nats-server 2.15.1 (docs/replicas.md), and the issues 7549, 7564 and 8447
of nats-server. Brokers do not report `sync_interval`: the deployment must check that one.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from delever.replication.command_log import LogError

MIN_VERSION = (2, 15, 1)
"""First release of nats-server with which crashes were measured; earlier ones lose messages."""

STREAM_REPLICAS = 3
DUPLICATE_WINDOW_NS = 3_600 * 10**9
"""How long brokers know the ids of messages: retries within it are stored once."""

UNLIMITED = -1

REQUIRED: Mapping[str, object] = {
    "num_replicas": STREAM_REPLICAS,
    "storage": "file",
    "retention": "limits",
    "discard": "new",
    "allow_direct": True,
    "deny_delete": True,
    "max_age": 0,
    "max_msgs": UNLIMITED,
    "max_bytes": UNLIMITED,
    "max_msgs_per_subject": UNLIMITED,
}
"""What a stream of commands is created with, and must have at each start."""

_REASONS = {
    "num_replicas": "a majority of brokers must have each command on disk",
    "storage": "commands in memory are lost with the brokers",
    "retention": "other policies delete messages that a consumer has acknowledged",
    "discard": "`old` deletes the oldest commands at a limit",
    "allow_direct": "replicas read by sequence from any broker",
    "deny_delete": "a deleted message is a hole, at which every replica stops",
}


def stream_settings(name: str) -> dict[str, object]:
    """Return the configuration with which a stream of commands is created."""
    return {
        "name": name,
        "subjects": [subject_of(name)],
        "duplicate_window": DUPLICATE_WINDOW_NS,
        **REQUIRED,
    }


def subject_of(name: str) -> str:
    """Return the subject of a stream of commands."""
    return f"{name}.commands"


def check_stream(name: str, settings: Mapping[str, Any]) -> None:
    """Raise LogError for the first setting of a stream that is not as it must be."""
    for problem in stream_problems(name, settings):
        raise LogError(f"stream {name}: {problem}")


def stream_problems(name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the settings of a stream, each with its remedy."""
    for key, value in REQUIRED.items():
        found = settings.get(key, UNLIMITED if value == UNLIMITED else None)
        found = False if found is None and value is True else found
        if found != value:
            why = _REASONS.get(key, "a limit deletes commands, or ends the log")
            yield f"{key} is {found!r}, must be {value!r}: {why}; {_remedy(name, key)}"
    if settings.get("deny_purge"):
        yield (
            "deny_purge is True and can never be unset, so the log can never be truncated; "
            f"copy it to a new stream: `nats stream copy {name}` without --deny-purge"
        )
    if settings.get("persist_mode", "default") not in {"", "default"}:
        yield "persist_mode is 'async', which acknowledges before the disk has a command: unset it"
    if (window := settings.get("duplicate_window", 0)) < DUPLICATE_WINDOW_NS:
        seconds = DUPLICATE_WINDOW_NS // 10**9
        yield f"duplicate_window is {window} ns: set it to {seconds} s, `--dupe-window {seconds}s`"


def _remedy(name: str, key: str) -> str:
    if key in {"storage", "retention"}:
        return "it cannot be changed: create the stream again, or use another name"
    return f"change it with `nats stream edit {name}`"


def check_version(broker: str, version: str) -> None:
    """Raise LogError for a broker older than MIN_VERSION, or with an unreadable version.

    >>> check_version("a:4222", "2.15.1")
    >>> check_version("a:4222", "2.9.10")
    Traceback (most recent call last):
    delever.replication.command_log.LogError: broker a:4222: nats-server 2.9.10 can lose \
acknowledged commands; upgrade it to 2.15.1 or newer
    """
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None or tuple(map(int, found.groups())) < MIN_VERSION:
        least = ".".join(map(str, MIN_VERSION))
        why = f"nats-server {version or 'of an unknown version'} can lose acknowledged commands"
        raise LogError(f"broker {broker}: {why}; upgrade it to {least} or newer")
