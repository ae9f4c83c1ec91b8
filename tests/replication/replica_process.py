"""A replica as a process: the real server, with a clock that may be wrong."""

import os
import sys
from pathlib import Path

import msgspec

from delever.config import Config, Role
from delever.server.app import Service, run, wall_clock_ms
from delever.server.observability.logs import configure_logging
from delever.server.transport.api_keys import ApiKey

KEY_ID, SECRET = "venue", "chaos"


def serve_replica(config_json: bytes, fast_ms: int, log: Path) -> None:
    """Serve until SIGTERM; the clock is fast by some milliseconds."""
    with log.open("ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    config = msgspec.json.decode(config_json, type=Config)
    configure_logging(config.logs.level, sys.stderr)
    service = Service(config, lambda: wall_clock_ms() + fast_ms)
    roles = frozenset([Role.READ, Role.INGEST, Role.OPERATE])
    service.keyring.add(ApiKey(KEY_ID, roles, (), SECRET.encode()))
    sys.exit(not run(service, print))
