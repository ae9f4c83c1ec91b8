"""Check a built site: no page loads anything from another host, and no public name is missing.

    python docs/site_check.py build/site

The scripts of Material name a host for diagrams of Mermaid, which no page has.
"""
# ruff: noqa: INP001 - a script, not a package

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import delever
from delever import lab

LOADED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"(?:https?:)?//[^\"]*"
)
HOSTS = re.compile(r"//(?:cdnjs|unpkg|cdn\.jsdelivr|fonts\.g)[^\s\"']*")


def problems(site: Path) -> Iterator[str]:
    """Yield what is wrong with a site, by page."""
    pages = sorted(site.rglob("*.html"))
    if len(pages) < 30:
        yield f"{site} has {len(pages)} pages"
    for page in pages:
        text = page.read_text("utf-8")
        for pattern in (LOADED, HOSTS):
            yield from (f"{page}: loads {found}" for found in pattern.findall(text))
        if 'class="mermaid"' in text:
            yield f"{page}: has a diagram of Mermaid, whose script is loaded from another host"
    reference = (site / "python.html").read_text("utf-8")
    for module in (delever, lab):
        for name in module.__all__:
            if not re.search(rf'id="delever\.[\w.]+\.{name}"', reference):
                yield f"python.html: {module.__name__}.{name} is missing"
    for notebook in ("venue", "trader", "quant"):
        if "data:image/png" not in (site / "notebooks" / f"{notebook}.html").read_text("utf-8"):
            yield f"notebooks/{notebook}.html: has no picture"


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1])))
    for problem in found:
        sys.stderr.write(f"{problem}\n")
    sys.exit(1 if found else 0)
