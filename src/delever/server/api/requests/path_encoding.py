"""Two things that Litestar's router does not accept: names with a slash in a path, and HEAD.

An HTTP server decodes a path before the router sees it, so the slash of a name (`%2F`) would split
it in two. On its way through the router another character replaces that slash; handlers get the
original name.
"""

import re
from typing import Any
from urllib.parse import unquote

from litestar import Litestar
from litestar.types import ASGIApp, Receive, Scope, Send

SLASH = "\ufdd0"
"""Replaces a name's slash: a noncharacter, which Unicode reserves for internal use."""

_ENCODED = re.compile("%2f", re.IGNORECASE)


class NativeApp(Litestar):
    """Litestar with names that have a slash in a path, and HEAD as GET without its body."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] != "lifespan":
            raw = scope.get("raw_path", b"").decode("latin-1")
            if _ENCODED.search(raw):
                scope["path"] = unquote(_ENCODED.sub(SLASH, raw))
            if scope.get("method") == "HEAD":
                scope = scope | {"method": "GET"}
        await super().__call__(scope, receive, send)


def restore_slashes(app: ASGIApp) -> ASGIApp:
    """Return a middleware that restores the slashes of names in path parameters."""

    async def restored(scope: Scope, receive: Receive, send: Send) -> None:
        parameters = scope["path_params"].items()
        scope["path_params"] = {
            name: value.replace(SLASH, "/") if isinstance(value, str) else value
            for name, value in parameters
        }
        await app(scope, receive, send)

    return restored
