"""Data, style and script in one HTML file, which opens from disk and requests nothing.

A content security policy forbids every request; the page's own script is part of the file.
"""

from html import escape
from importlib.resources import files
from typing import Any

import msgspec

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main id="page"></main>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def html_page(script: str, title: str, data: Any) -> str:
    """Return the page of a script of this package with its data.

    Scripts are `playback`, `fairness_map` and `receipt`.

    >>> "<title>a &lt; b</title>" in html_page("playback", "a < b", {})
    True
    """
    folder = files(__package__)
    encoded = msgspec.json.encode(data).decode().replace("</", "<\\/")
    return _PAGE.format(
        title=escape(title),
        style=(folder / "page.css").read_text("utf-8"),
        data=encoded,
        script="\n".join((folder / f"{name}.js").read_text("utf-8") for name in ("page", script)),
    )
