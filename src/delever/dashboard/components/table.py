"""Tables with sortable columns, on Quasar's table, and the kinds of cells that they display.

- `number`: thousands are spaced apart on the screen; copying gives the plain number.
- `money`: the same, rounded to four digits below 100, to cents below 10,000, to whole units above;
  the exact amount is copied.
- `indicator`: an ADL indicator as dots and text.
- `link`: text that leads to the URL in the row's field `<name>_href`, if it is not empty.
- `state`: a colored word; its color class is in the row's field `<name>_kind`.
- `trigger`: how much of a trigger is used, in percent, as a bar and a number.
- `bar`: a share in percent as a bar.
- `reach`: the name of what ends in this row, with a line below the row.
- `spark`: an SVG path in a box of 100 x 24, as a small line.
- `wrapped`, `hash`: text that may take several lines.

A column sorts by the row's field `<name>_order` where the rows have it, otherwise by its values.
On a narrow screen a table may be a list of cards instead, with the columns named in `card`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from nicegui import ui

Kind = Literal[
    "text",
    "number",
    "money",
    "indicator",
    "link",
    "state",
    "trigger",
    "bar",
    "reach",
    "spark",
    "wrapped",
    "hash",
]

PAGE_ROWS = 100
"""Rows of a table that are in the browser at once; of a longer one, one page."""

_NUMERIC = {"number", "money", "indicator", "trigger", "bar"}

_COMPARE = """(a, b, x, y) => {{
  const order = "{name}_order" in x ? [x.{name}_order, y.{name}_order] : [a, b];
  const [left, right] = order.map((value) => (value === null ? -Infinity : {convert}));
  return left < right ? -1 : left > right ? 1 : 0;
}}"""

_THOUSANDS = r"String(props.value).split('.')[0].replace(/\B(?=(\d{3})+$)/g, ' ').split(' ')"

_MONEY = (
    "(() => { const value = Number(props.value), size = Math.abs(value);"
    " const text = size >= 10000 || value === 0 ? value.toFixed(0)"
    " : size >= 100 ? value.toFixed(2) : String(Number(value.toPrecision(4)));"
    " const [whole, decimals] = text.split('.');"
    r" return [whole.replace(/\B(?=(\d{3})+$)/g, ' ').split(' '), decimals]; })()"
)

_CELLS: dict[str, str] = {
    "money": (
        '<q-td :props="props"><span v-if="props.value === null">-</span>'
        f'<template v-else v-for="[groups, decimals] in [{_MONEY}]">'
        '<span class="number exact" :title="props.value" :data-exact="props.value" '
        ':class="{negative: Number(props.value) < 0}">'
        '<span v-for="part in groups">{{part}}</span>'
        '<template v-if="decimals">.{{decimals}}</template></span></template></q-td>'
    ),
    "trigger": (
        '<q-td :props="props"><span class="used" :class="{on: props.value >= 100, '
        'near: props.value >= 80}"><i><b :style="{width: Math.min(Math.max(props.value, 0), 100) '
        "+ '%'}\"></b></i>{{Number(props.value.toFixed(1))}} %</span></q-td>"
    ),
    "spark": (
        '<q-td :props="props"><svg class="spark" viewBox="0 0 100 24" aria-hidden="true" '
        'preserveAspectRatio="none"><path :d="props.value" /></svg></q-td>'
    ),
    "number": (
        '<q-td :props="props"><span v-if="props.value === null">-</span>'
        f'<span v-else class="number"><span v-for="part in {_THOUSANDS}">{{{{part}}}}</span>'
        "<template v-if=\"String(props.value).includes('.')\">"
        ".{{String(props.value).split('.')[1]}}</template></span></q-td>"
    ),
    "indicator": (
        '<q-td :props="props"><span v-if="props.value === null" class="quiet">not ranked</span>'
        '<span v-else class="indicators" :data-indicator="props.value" '
        ":aria-label=\"`ADL indicator ${props.value} of 5`\">{{'●'.repeat(props.value)}}"
        "<i>{{'○'.repeat(5 - props.value)}}</i> <b>{{props.value}} of 5</b></span></q-td>"
    ),
    "link": (
        '<q-td :props="props"><a v-if="props.row[props.col.name + \'_href\']" '
        ":href=\"props.row[props.col.name + '_href']\">{{props.value}}</a>"
        '<span v-else class="quiet">{{props.value}}</span></q-td>'
    ),
    "state": (
        '<q-td :props="props"><span :class="\'state state-\' + props.row[props.col.name + '
        "'_kind']\">{{props.value}}</span></q-td>"
    ),
    "wrapped": '<q-td :props="props" class="wrapped">{{props.value}}</q-td>',
    "hash": '<q-td :props="props" class="wrapped hash">{{props.value}}</q-td>',
    "reach": (
        '<q-td :props="props"><span v-if="props.value" class="reach">{{props.value}}</span></q-td>'
    ),
    "bar": (
        '<q-td :props="props"><span class="bar" :style="{width: props.value + \'%\'}">'
        "</span></q-td>"
    ),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the field of the rows, its heading, and the kind of its cells."""

    name: str
    label: str
    kind: Kind = "text"

    def quasar(self) -> dict[str, Any]:
        """Return the column as Quasar's table expects it."""
        align = "right" if self.kind in {"number", "money"} else "left"
        column = {"name": self.name, "label": self.label, "field": self.name, "sortable": True}
        convert = "Number(value)" if self.kind in _NUMERIC else "value"
        column[":sort"] = _COMPARE.format(name=self.name, convert=convert)
        column["align"] = align
        return column


def table(
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    key: str,
    empty: str = "No data.",
    *,
    card: str = "",
    scrolls: bool = False,
) -> ui.table:
    """Display rows, or the text `empty`; `key` is the field that identifies a row.

    Assign to `.rows` of the returned table to replace them. `card` is the HTML of a row on a
    narrow screen. With `scrolls` only the rows in sight are in the page.
    """
    element = ui.table(
        columns=[column.quasar() for column in columns],
        rows=list(rows),
        row_key=key,
        pagination={"rowsPerPage": 0},
    )
    element.classes("rows").props("flat dense hide-pagination binary-state-sort")
    if scrolls:
        element.classes("scrolls").props("virtual-scroll :virtual-scroll-slice-size=40")
    element.add_slot("no-data", f'<span class="quiet">{empty}</span>')
    for column in columns:
        if column.kind in _CELLS:
            element.add_slot(f"body-cell-{column.name}", _CELLS[column.kind])
    if card:
        element.props[":grid"] = "window.innerWidth < 700"
        element.add_slot("item", f'<div class="card">{card}</div>')
    return element


def set_labels(element: ui.table, **labels: str) -> None:
    """Change the headings of columns, given by name, for example once their unit is known."""
    columns = [
        {**column, "label": labels.get(column["name"], column["label"])}
        for column in element.columns
    ]
    if columns != element.columns:
        element.columns = columns


class PagedTable:
    """A table of which the browser has one page of `page_rows` rows; it is sorted here."""

    def __init__(
        self, columns: Sequence[Column], key: str, page_rows: int = PAGE_ROWS, *, card: str = ""
    ) -> None:
        self._page_rows = page_rows
        self._rows: Sequence[dict[str, Any]] = ()
        self._numeric = {column.name for column in columns if column.kind in _NUMERIC}
        self.element = self._table = table(columns, [], key, card=card)
        self._table.pagination = {"rowsPerPage": self._page_rows, "page": 1, "rowsNumber": 0}
        self._table.props["rows-per-page-options"] = [self._page_rows]
        self._table.on("request", lambda event: self._display(event.args["pagination"]))

    def set_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Replace all rows; page and order stay."""
        self._rows = rows
        self._table.props["hide-pagination"] = len(rows) <= self._page_rows
        self._display(self._table.pagination)

    def _display(self, pagination: Mapping[str, Any]) -> None:
        """Display the page and the order that the visitor asks for."""
        name, rows = pagination.get("sortBy"), list(self._rows)
        if name:
            rows.sort(key=lambda row: self._order(row, name), reverse=pagination["descending"])
        last = max((len(rows) - 1) // self._page_rows, 0) + 1
        page = min(pagination["page"], last)
        self._table.pagination = {**pagination, "page": page, "rowsNumber": len(rows)}
        self._table.rows = rows[(page - 1) * self._page_rows : page * self._page_rows]

    def _order(self, row: Mapping[str, Any], name: str) -> tuple[bool, Any]:
        """Return the sort key of a row: rows without a value come first."""
        value = row.get(f"{name}_order", row[name])
        if value is not None and name in self._numeric:
            value = Decimal(value)
        return value is not None, value
