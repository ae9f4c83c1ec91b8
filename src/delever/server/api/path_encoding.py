"""What Litestar's router would not let through: names that hold a slash, and HEAD.

A server hands paths on decoded, so that a name's own slash (`%2F`) would part it in two. On the way
through the router another character stands for it; handlers get the name as it is.
"""

import re
from typing import Any
from urllib.parse import unquote

from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

SLASH = "\ufdd0"
"""No character of any text: Unicode keeps it for a program's own use."""

_ENCODED = re.compile("%2f", re.IGNORECASE)


class NativeApp(Litestar):
    """Litestar behind paths that may hold names with a slash; HEAD is GET without its body."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] != "lifespan":
            raw = scope.get("raw_path", b"").decode("latin-1")
            if _ENCODED.search(raw):
                scope["path"] = unquote(_ENCODED.sub(SLASH, raw))
            if scope.get("method") == "HEAD":
                scope = scope | {"method": "GET"}
        await super().__call__(scope, receive, send)


def slashes_back(app: ASGIApp) -> ASGIApp:
    """Return a middleware that gives the names in a path their slashes back."""

    async def given_back(scope: Scope, receive: Receive, send: Send) -> None:
        named = scope["path_params"].items()
        scope["path_params"] = {
            name: value.replace(SLASH, "/") if isinstance(value, str) else value
            for name, value in named
        }
        await app(scope, receive, send)

    return given_back
