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

from delever.formatting import count, decimal_text, humanize, moment, significant
from delever.lab.reports.comparison_plots import rank_figures
from delever.lab.reports.run_headline import (
    closed_against,
    comparison_sentence,
    payments,
    run_numbers,
    run_sentence,
)
from delever.lab.reports.run_plots import INK, STYLE, run_figures, stacked, stress_test_figures
from delever.lab.reports.run_store import StoredRun
from delever.lab.reports.study_plots import study_figures
from delever.lab.reports.table_store import StoredStudy, has_ranks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FILLS = 1_000
"""Fills that a report lists; the run's directory has all."""

MAX_ROWS = 2_000
"""Rows of ranked positions that a report lists."""

_NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")

WIDE_INCHES = 13
"""Width of a figure on a wide page, so that its text is as large as the page's."""

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 100rem;
  padding: 1rem 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.about { opacity: .75; margin: .2rem 0 0; }
.say { font-size: 1.2rem; margin: .6rem 0; max-width: 60rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .5rem; }
.figures div { border: 1px solid #8a949e55; border-radius: .35rem; padding: .4rem .7rem; }
.figures b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.figures span { opacity: .75; font-size: .85rem; }
figure { margin: 1rem 0; overflow-x: auto; }
figure svg { display: block; width: 100%; height: auto; }
figure.scrolled svg { min-width: 34rem; max-width: 70rem; }
figure.narrow { display: none; }
@media (max-width: 900px) { figure.wide { display: none; }
  figure.narrow { display: block; max-width: 32rem; }
  body { padding: .7rem; } h1 { font-size: 1.25rem; } .say { font-size: 1.05rem; } }
svg text { font-family: system-ui, sans-serif !important; }
.rows { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; vertical-align: top; }
th, td { border-bottom: 1px solid #8a949e55; white-space: nowrap; }
th { font-weight: 600; } td.n, th.n { text-align: right; }
td.w { white-space: normal; min-width: 18rem; }
@media print { @page { size: A4 landscape; margin: 12mm; } body { font-size: 9pt; padding: 0; }
  .rows, figure { overflow: visible; } table { font-size: 7pt; }
  figure, .figures { break-inside: avoid; }
  figure.wide { display: block; } figure.narrow { display: none; }
  th, td { white-space: normal; overflow-wrap: anywhere; } td.n { white-space: nowrap; } }
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


def report_of(stored: StoredRun | StoredStudy | pl.DataFrame, title: str) -> str:
    """Return the HTML of a run, a comparison or a study under a title."""
    match stored:
        case StoredRun():
            sections = _run(stored)
        case StoredStudy():
            return study_report(
                title,
                {stored.kind.title: stored.frame, **stored.more},
                study_figures(stored),
                stored.kind.sentence(stored.frame),
            )
        case _:
            sections = _ranks(stored) if has_ranks(stored) else _stress_test(stored)
    body = "\n".join([f"<h1>{escape(title)}</h1>", *sections])
    return _PAGE.format(title=escape(title), style=_STYLE, body=body)


def figures_of(stored: StoredRun | StoredStudy | pl.DataFrame) -> "dict[str, Figure]":
    """Return the pictures of a run, a comparison or a study, by name."""
    match stored:
        case StoredRun():
            return run_figures(stored)
        case StoredStudy():
            return study_figures(stored)
    return rank_figures(stored) if has_ranks(stored) else stress_test_figures(stored)


def study_report(
    title: str,
    tables: Mapping[str, pl.DataFrame],
    figures: "Mapping[str, Figure]",
    sentence: str = "",
) -> str:
    """Return the HTML of a study: a sentence, its pictures, then its tables under their titles."""
    sections = [f"<h1>{escape(title)}</h1>", _sentence(sentence)]
    if figures:
        sections.append(_section("Pictures", *map(_inline, figures.values())))
    for name, table in tables.items():
        more = table.height - MAX_ROWS
        note = f"<p>The first {MAX_ROWS} of {table.height} rows.</p>" if more > 0 else ""
        sections.append(_section(name, note, _table(table.head(MAX_ROWS).to_dicts())))
    return _PAGE.format(title=escape(title), style=_STYLE, body="\n".join(sections))


def _run(run: StoredRun) -> Iterator[str]:
    summary = run.summary
    rejected = f" ({summary.rejected} rejected)" if summary.rejected else ""
    yield (
        f'<p class="about">{count(summary.commands, "command")}{rejected}, '
        f"{moment(summary.from_ms)} to {moment(summary.until_ms)}</p>"
    )
    payers = payments(run)
    yield _sentence(run_sentence(run, payers))
    yield _figures(run_numbers(run, payers))
    if payers:
        yield _section("Who paid", _table([msgspec.structs.asdict(payer) for payer in payers]))
    if run.fills.height:
        yield _section("Who was closed against whom", _table(closed_against(run).to_dicts()))
    yield _section("Episodes of ADL", _table([_episode(episode) for episode in summary.episodes]))
    figures = run_figures(run)
    closed = [_inline(figure) for name, figure in figures.items() if name.startswith("fills-")]
    others = [_inline(figure) for name, figure in figures.items() if not name.startswith("fills-")]
    yield _section("Contracts and pools over time", *others)
    yield _section("Contracts", _table([msgspec.structs.asdict(c) for c in summary.contracts]))
    yield _section("Pools", _table([msgspec.structs.asdict(pool) for pool in summary.pools]))
    if run.fills.height:
        yield _section("Deleveraged accounts", *closed, *_fills(run.fills))


def _fills(fills: pl.DataFrame) -> Iterator[str]:
    if fills.height > MAX_FILLS:
        yield f"<p>The first {MAX_FILLS} of {fills.height} fills; fills.parquet has all.</p>"
    yield _table(fills.head(MAX_FILLS).to_dicts())


def _stress_test(compared: pl.DataFrame) -> Iterator[str]:
    rules = count(compared["rules"].n_unique(), "rule set")
    yield f'<p class="about">The same crash of the same book under {rules}</p>'
    yield _sentence(comparison_sentence(compared))
    figures = stress_test_figures(compared)
    yield _section("By rule set", _table(compared.to_dicts()))
    yield _section("Cost and distribution", *map(_inline, figures.values()))


def _ranks(compared: pl.DataFrame) -> Iterator[str]:
    positions = compared.unique(["contract", "side", "account", "position"]).height
    rules = count(compared["rules"].n_unique(), "rule set")
    yield f'<p class="about">{count(positions, "position")} under {rules}</p>'
    figures = rank_figures(compared)
    maps = [_wide(figure) for name, figure in figures.items() if name.startswith("ranks-")]
    triggers = [_inline(figure) for name, figure in figures.items() if name.startswith("triggers-")]
    yield _section("Ranks", *maps)
    yield _section("Triggers", *triggers)
    more = compared.height - MAX_ROWS
    if more > 0:
        yield f"<p>The first {MAX_ROWS} of {compared.height} rows; the file has all.</p>"
    yield _section("By position", _table(compared.head(MAX_ROWS).to_dicts()))


def _episode(episode: msgspec.Struct) -> dict[str, Any]:
    cells = msgspec.structs.asdict(episode)
    return cells | {"trigger": humanize(cells["trigger"])}


def _sentence(text: str) -> str:
    return f'<p class="say">{escape(text)}</p>' if text else ""


def _figures(numbers: Sequence[tuple[str, str]]) -> str:
    """Return numbers with their names, as the figures at the head of a page."""
    cells = "".join(
        f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in numbers
    )
    return f'<div class="figures">{cells}</div>'


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
            return moment(value)
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal | None) or bool(_NUMBER.fullmatch(str(value)))


def _inline(figure: "Figure") -> str:
    """Return a figure as SVG twice: at full width, and with its parts one below the other."""
    figure.set_size_inches(WIDE_INCHES, figure.get_figheight())
    return _svg(figure, "wide") + _svg(stacked(figure), "narrow")


def _wide(figure: "Figure") -> str:
    """Return a figure that cannot be narrower; it is scrolled."""
    return _svg(figure, "scrolled")


def _svg(figure: "Figure", kind: str) -> str:
    """Return a figure as SVG in the text color of the page."""
    import matplotlib as mpl  # noqa: PLC0415 - only when there is a figure

    written = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    svg = written.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return f'<figure class="{kind}">{svg.replace(INK, "currentColor")}</figure>'
