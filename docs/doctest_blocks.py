"""Doctests of docstrings as code blocks of the site: an extension of mkdocstrings."""
# ruff: noqa: INP001 - a script, not a package

import re
import textwrap
from typing import Any

import griffe

EXAMPLE = r"^[ ]*>>> .*\n?(?:^[ ]*\S.*\n?)*"
DOCTEST = re.compile(rf"(?:{EXAMPLE})(?:\n?{EXAMPLE})*", re.MULTILINE)


class DoctestBlocks(griffe.Extension):
    """Fences the examples of each docstring."""

    def on_object(self, *, obj: griffe.Object, **_arguments: Any) -> None:
        """Replace the examples of one docstring by fenced blocks."""
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(_fenced, obj.docstring.value)


def _fenced(found: re.Match[str]) -> str:
    return f"\n```pycon\n{textwrap.dedent(found[0]).rstrip()}\n```\n"
