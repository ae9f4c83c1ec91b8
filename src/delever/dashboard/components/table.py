"""Tables with sortable columns, on Quasar's table, and the kinds of cells that they display.

- `number`: thousands are spaced apart on the screen; copying gives the plain number.
- `indicator`: an ADL indicator as dots and text.
- `link`: text that leads to the URL in the row's field `<name>_href`, if it is not empty.
- `state`: a colored word; its color class is in the row's field `<name>_kind`.
- `bar`: a share in percent as a bar.
- `wrapped`, `hash`: text that may take several lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nicegui import ui

Kind = Literal["text", "number", "indicator", "link", "state", "bar", "wrapped", "hash"]

_COMPARE_NUMBERS = (
    "(a, b) => (a === null ? -Infinity : Number(a)) - (b === null ? -Infinity : Number(b))"
)

_THOUSANDS = r"String(props.value).split('.')[0].replace(/\B(?=(\d{3})+$)/g, ' ').split(' ')"

_CELLS: dict[str, str] = {
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
        align = "right" if self.kind == "number" else "left"
        column = {"name": self.name, "label": self.label, "field": self.name, "sortable": True}
        column["align"] = align
        if self.kind in {"number", "indicator"}:
            column[":sort"] = _COMPARE_NUMBERS
        return column


def table(
    columns: Sequence[Column], rows: Sequence[dict[str, Any]], key: str, empty: str = "No data."
) -> ui.table:
    """Display rows, or the text `empty`; `key` is the field that identifies a row.

    Assign to `.rows` of the returned table to replace them.
    """
    element = ui.table(
        columns=[column.quasar() for column in columns],
        rows=list(rows),
        row_key=key,
        pagination={"rowsPerPage": 0},
    )
    element.classes("rows").props("flat dense hide-pagination binary-state-sort")
    element.add_slot("no-data", f'<span class="quiet">{empty}</span>')
    for column in columns:
        if column.kind in _CELLS:
            element.add_slot(f"body-cell-{column.name}", _CELLS[column.kind])
    return element


def set_labels(element: ui.table, **labels: str) -> None:
    """Change the headings of columns, given by name, for example once their unit is known."""
    columns = [
        {**column, "label": labels.get(column["name"], column["label"])}
        for column in element.columns
    ]
    if columns != element.columns:
        element.columns = columns
