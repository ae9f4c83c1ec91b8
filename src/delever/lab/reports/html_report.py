"""A finished run or comparison as one HTML file, which opens from disk without requests.

Pictures are inline SVG that follows the reader's light or dark theme; there is no script. Tables
have the numbers of the result to the last digit. A content security policy forbids every request.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from delever.formatting import decimal_text, humanize, significant, utc
from delever.lab.reports.comparison_plots import rank_figures
from delever.lab.reports.comparison_store import has_ranks
from delever.lab.reports.run_plots import INK, STYLE, run_figures, stress_test_figures
from delever.lab.reports.run_store import StoredRun
from delever.lab.reports.study_plots import fund_figure, interval_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FILLS = 1_000
"""Fills that a report lists; the run's directory has all."""

MAX_ROWS = 2_000
"""Rows of ranked positions that a report lists."""

_NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")

_STYLE = """
:root { color-scheme: light dark; }
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


def report_of(stored: StoredRun | pl.DataFrame, title: str) -> str:
    """Return the HTML of a run or of a comparison under a title."""
    if isinstance(stored, StoredRun):
        sections = _run(stored)
    else:
        sections = _ranks(stored) if has_ranks(stored) else _stress_test(stored)
    body = "\n".join([f"<h1>{escape(title)}</h1>", *sections])
    return _PAGE.format(title=escape(title), style=_STYLE, body=body)


def figures_of(stored: StoredRun | pl.DataFrame) -> "dict[str, Figure]":
    """Return the pictures of a run or of a comparison."""
    if isinstance(stored, StoredRun):
        return run_figures(stored)
    return rank_figures(stored) if has_ranks(stored) else stress_test_figures(stored)


def study_report(
    title: str, tables: Mapping[str, pl.DataFrame], figures: "Mapping[str, Figure]"
) -> str:
    """Return the HTML of a study: its pictures, then its tables under their titles."""
    sections = [f"<h1>{escape(title)}</h1>"]
    if figures:
        sections.append(_section("Pictures", *map(_inline, figures.values())))
    for name, table in tables.items():
        more = table.height - MAX_ROWS
        note = f"<p>The first {MAX_ROWS} of {table.height} rows.</p>" if more > 0 else ""
        sections.append(_section(name, note, _table(table.head(MAX_ROWS).to_dicts())))
    return _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(sections))


def study_figures(kind: str, frame: pl.DataFrame) -> "dict[str, Figure]":
    """Return the pictures of a study: of a `fund` curve, or the `interval` of measures."""
    return {"fund": fund_figure(frame)} if kind == "fund" else interval_figures(frame)


def _run(run: StoredRun) -> Iterator[str]:
    summary = run.summary
    rejected = f" ({summary.rejected} rejected)" if summary.rejected else ""
    yield (
        f'<p class="about">{summary.commands} commands{rejected}, {utc(summary.from_ms)} to '
        f"{utc(summary.until_ms)} UTC: takeovers {summary.takeovers}, fills of "
        f"ADL {summary.fills}, accounts affected {summary.accounts}</p>"
    )
    yield _section("Episodes of ADL", _table([_episode(episode) for episode in summary.episodes]))
    figures = {name: _inline(figure) for name, figure in run_figures(run).items()}
    closed = [svg for name, svg in figures.items() if name.startswith("fills-")]
    yield _section(
        "Contracts and pools over time", *(svg for svg in figures.values() if svg not in closed)
    )
    yield _section("Contracts", _table([msgspec.structs.asdict(c) for c in summary.contracts]))
    yield _section("Pools", _table([msgspec.structs.asdict(pool) for pool in summary.pools]))
    if run.fills.height:
        yield _section("Deleveraged accounts", *closed, *_fills(run.fills))


def _fills(fills: pl.DataFrame) -> Iterator[str]:
    if fills.height > MAX_FILLS:
        yield f"<p>The first {MAX_FILLS} of {fills.height} fills; fills.parquet has all.</p>"
    yield _table(fills.head(MAX_FILLS).to_dicts())


def _stress_test(compared: pl.DataFrame) -> Iterator[str]:
    count = compared["rules"].n_unique()
    yield f'<p class="about">The same shock of the same book under {count} rule sets</p>'
    figures = stress_test_figures(compared)
    yield _section("Cost and distribution", *map(_inline, figures.values()))
    yield _section("By rule set", _table(compared.to_dicts()))


def _ranks(compared: pl.DataFrame) -> Iterator[str]:
    positions = compared.unique(["contract", "side", "account", "position"]).height
    count = compared["rules"].n_unique()
    yield f'<p class="about">{positions} positions under {count} rule sets</p>'
    figures = {name: _inline(figure) for name, figure in rank_figures(compared).items()}
    maps = [svg for name, svg in figures.items() if name.startswith("ranks-")]
    triggers = [svg for name, svg in figures.items() if name.startswith("triggers-")]
    yield _section("Ranks", *maps)
    yield _section("Triggers", *triggers)
    more = compared.height - MAX_ROWS
    if more > 0:
        yield f"<p>The first {MAX_ROWS} of {compared.height} rows; the file has all.</p>"
    yield _section("By position", _table(compared.head(MAX_ROWS).to_dicts()))


def _episode(episode: msgspec.Struct) -> dict[str, Any]:
    cells = msgspec.structs.asdict(episode)
    return cells | {"trigger": humanize(cells["trigger"])}


def _section(title: str, *parts: str) -> str:
    body = "\n".join(part for part in parts if part) or "<p>Nothing.</p>"
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


# --- tables and pictures ---


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a table; numbers are aligned right, empty columns omitted."""
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


_PERCENT_COLUMNS = {"haircut_ratio", "largest_share", "pnl_ratio", "trigger_used"}


def _heading(name: str) -> str:
    unit = ", %" if name in _PERCENT_COLUMNS else ""
    return humanize(name.removesuffix("_ms")) + unit


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
            return decimal_text(value)
        case float():
            return significant(value)
        case int() if name.endswith("_ms"):
            return utc(value)
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal | None) or bool(_NUMBER.fullmatch(str(value)))


def _inline(figure: "Figure") -> str:
    """Return a figure as SVG in the text color of the page."""
    import matplotlib as mpl  # noqa: PLC0415 - only when there is a figure

    written = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    svg = written.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return f"<figure>{svg.replace(INK, 'currentColor')}</figure>"
