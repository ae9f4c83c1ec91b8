"""The dashboard in a process of its own."""

import os
from typing import Annotated

from cyclopts import Parameter

from delever.cli import Exit, UsageError
from delever.cli.output import say, tell


def dashboard(
    *,
    server: Annotated[str, Parameter(help="Base URL of a server's native API.")],
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen on; 0 takes any.")] = 8081,
    key_env: Annotated[
        str, Parameter(help="Environment variable that holds a key that may read, as ID.SECRET.")
    ] = "",
) -> int:
    """Serve the dashboard of a server that runs elsewhere."""
    if not server.startswith(("http://", "https://")):
        raise UsageError(f"--server {server!r}: must begin with http:// or https://")
    if key_env and key_env not in os.environ:
        raise UsageError(f"--key-env {key_env}: there is no such environment variable")
    try:
        from delever.dashboard.app import serve  # noqa: PLC0415 - heavy
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: install delever[dashboard]") from None
    key = os.environ[key_env] if key_env else ""
    try:
        started = serve(server, key, host, port, tell)
    except OSError as error:
        say(f"delever: {host}:{port}: {error}")
        return Exit.FAILED
    return Exit.DONE if started else Exit.FAILED
