"""A finished run or comparison as one HTML file: it opens from disk, and asks nobody for anything.

Pictures are SVG inside the file, in the reader's own indicator or dark; there is no script. Tables hold
the result's numbers to the last digit. A policy in the file's head forbids every request.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from delever.lab.errors import in_words
from delever.lab.reports.comparison_plots import place_figures
from delever.lab.reports.comparison_store import of_places
from delever.lab.reports.run_plots import INK, STYLE, comparison_figures, run_figures
from delever.lab.reports.run_store import Kept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILLS_SHOWN = 1_000
"""Fills that a report lists; the run's directory has all."""

ROWS_SHOWN = 2_000
"""Rows of positions under rule sets that a report lists."""

_NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")

_STYLE = """
:root { color-scheme: indicator dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 68rem; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
.about { opacity: .75; margin: .2rem 0 0; }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { width: 100%; height: auto; min-width: 34rem; }
svg text { font-family: system-ui, sans-serif !important; }
.rows { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; vertical-align: top; }
th, td { border-bottom: 1px solid #8a949e55; white-space: nowrap; }
th { font-weight: 600; } td.n, th.n { text-align: right; }
td.w { white-space: normal; min-width: 18rem; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def report_of(kept: Kept | pl.DataFrame, title: str) -> str:
    """Return the HTML of a run or of a comparison; `title` is shown as its heading."""
    if isinstance(kept, Kept):
        sections = _run(kept)
    else:
        sections = _places(kept) if of_places(kept) else _comparison(kept)
    body = "\n".join([f"<h1>{escape(title)}</h1>", *sections])
    return _PAGE.format(title=escape(title), style=_STYLE, body=body)


def figures_of(kept: Kept | pl.DataFrame) -> "dict[str, Figure]":
    """Return the pictures of a run or of a comparison."""
    if isinstance(kept, Kept):
        return run_figures(kept)
    return place_figures(kept) if of_places(kept) else comparison_figures(kept)


def _run(kept: Kept) -> Iterator[str]:
    summary = kept.summary
    rejected = f" ({summary.rejected} rejected)" if summary.rejected else ""
    yield (
        f'<p class="about">{summary.commands} commands{rejected}, {utc(summary.from_ms)} to '
        f"{utc(summary.until_ms)} UTC: takeovers {summary.takeovers}, fills of "
        f"ADL {summary.fills}, accounts affected {summary.accounts}</p>"
    )
    yield _titled("When ADL ran", _table([_episode(each) for each in summary.episodes]))
    figures = {name: _inline(figure) for name, figure in run_figures(kept).items()}
    closed = [svg for name, svg in figures.items() if name.startswith("fills-")]
    yield _titled("What the pools saw", *(svg for svg in figures.values() if svg not in closed))
    yield _titled("Contracts", _table([msgspec.structs.asdict(c) for c in summary.contracts]))
    yield _titled("Pools", _table([msgspec.structs.asdict(pool) for pool in summary.pools]))
    if kept.fills.height:
        yield _titled("Who was closed", *closed, *_fills(kept.fills))


def _fills(fills: pl.DataFrame) -> Iterator[str]:
    if fills.height > FILLS_SHOWN:
        yield f"<p>The first {FILLS_SHOWN} of {fills.height} fills; fills.parquet has all.</p>"
    yield _table(fills.head(FILLS_SHOWN).to_dicts())


def _comparison(compared: pl.DataFrame) -> Iterator[str]:
    count = compared["rules"].n_unique()
    yield f'<p class="about">The same shock on the same book under {count} rule sets</p>'
    figures = comparison_figures(compared)
    yield _titled("Who pays", *map(_inline, figures.values()))
    yield _titled("Rule set by rule set", _table(compared.to_dicts()))


def _places(compared: pl.DataFrame) -> Iterator[str]:
    positions = compared.unique(["contract", "side", "account", "position"]).height
    count = compared["rules"].n_unique()
    yield f'<p class="about">{positions} positions under {count} rule sets</p>'
    figures = {name: _inline(figure) for name, figure in place_figures(compared).items()}
    maps = [svg for name, svg in figures.items() if name.startswith("places-")]
    triggers = [svg for name, svg in figures.items() if name.startswith("triggers-")]
    yield _titled("Where they stand", *maps)
    yield _titled("What would start ADL", *triggers)
    more = compared.height - ROWS_SHOWN
    if more > 0:
        yield f"<p>The first {ROWS_SHOWN} of {compared.height} rows; the file has all.</p>"
    yield _titled("Position by position", _table(compared.head(ROWS_SHOWN).to_dicts()))


def _episode(episode: msgspec.Struct) -> dict[str, Any]:
    told = msgspec.structs.asdict(episode)
    return told | {"trigger": in_words(told["trigger"])}


def _titled(title: str, *parts: str) -> str:
    body = "\n".join(part for part in parts if part) or "<p>Nothing.</p>"
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


# --- tables and pictures ---


def utc(time_ms: int) -> str:
    """Return a time as UTC with milliseconds."""
    told = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    return f"{told:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03d}"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a table; numbers stand right, columns that say nothing are left out."""
    if not rows:
        return ""
    names = [name for name in rows[0] if any(row[name] not in {None, ""} for row in rows)]
    right = {name: all(_is_number(row[name]) for row in rows) for name in names}
    head = "".join(_cell("th", right[name], _heading(name)) for name in names)
    body = "\n".join(
        "<tr>" + "".join(_cell("td", right[n], _text(n, row[n])) for n in names) + "</tr>"
        for row in rows
    )
    return f'<div class="rows"><table>\n<tr>{head}</tr>\n{body}\n</table></div>'


_IN_PERCENT = {"haircut", "largest", "pnl_ratio", "progress"}


def _heading(name: str) -> str:
    unit = ", %" if name in _IN_PERCENT else ""
    return in_words(name.removesuffix("_ms")) + unit


def _cell(tag: str, right: bool, text: str) -> str:
    kind = ' class="n"' if right else ' class="w"' if len(text) > 60 else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def _text(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case float():
            return f"{value:.6g}"
        case int() if name.endswith("_ms"):
            return utc(value)
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal | None) or bool(_NUMBER.fullmatch(str(value)))


def _inline(figure: "Figure") -> str:
    """Return a figure as SVG whose ink is the reader's own text colour."""
    import matplotlib as mpl  # noqa: PLC0415 - only when there is a figure

    written = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    svg = written.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return f"<figure>{svg.replace(INK, 'currentColor')}</figure>"
