"""Rows with sorting, indicators, links and exact numbers, on Quasar's table.

A cell of kind `number` shows its thousands apart and is copied as it is; one of kind `indicator` is
dots and text; `link` leads to the address in the row's field `<name>_href`, where there is one;
`state` is a coloured word, of the kind in `<name>_kind`; `bar` is a share in percent; `wrapped` and
`hash` take more than one line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nicegui import ui

Kind = Literal["text", "number", "indicator", "link", "state", "bar", "wrapped", "hash"]

_NUMERIC = "(a, b) => (a === null ? -Infinity : Number(a)) - (b === null ? -Infinity : Number(b))"

_WHOLE = r"String(props.value).split('.')[0].replace(/\B(?=(\d{3})+$)/g, ' ').split(' ')"

_SLOTS: dict[str, str] = {
    "number": (
        '<q-td :props="props"><span v-if="props.value === null">-</span>'
        f'<span v-else class="number"><span v-for="part in {_WHOLE}">{{{{part}}}}</span>'
        "<template v-if=\"String(props.value).includes('.')\">"
        ".{{String(props.value).split('.')[1]}}</template></span></q-td>"
    ),
    "indicator": (
        '<q-td :props="props"><span v-if="props.value === null" class="quiet">not in line</span>'
        '<span v-else class="indicators" :data-indicator="props.value" '
        ":aria-label=\"`indicator ${props.value} of 5`\">{{'●'.repeat(props.value)}}"
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
    """One column: the field of the rows, its heading, and how it is shown."""

    name: str
    label: str
    kind: Kind = "text"

    def told(self) -> dict[str, Any]:
        """Return the column as Quasar wants it."""
        right = self.kind == "number"
        told = {"name": self.name, "label": self.label, "field": self.name, "sortable": True}
        told["align"] = "right" if right else "left"
        if self.kind in {"number", "indicator"}:
            told[":sort"] = _NUMERIC
        return told


def table(
    columns: Sequence[Column], rows: Sequence[dict[str, Any]], key: str, nothing: str = "Nothing."
) -> ui.table:
    """Show rows, or `nothing`; `key` is the field that names a row; `.rows` can be set anew."""
    shown = ui.table(
        columns=[column.told() for column in columns],
        rows=list(rows),
        row_key=key,
        pagination={"rowsPerPage": 0},
    )
    shown.classes("rows").props("flat dense hide-pagination binary-state-sort")
    shown.add_slot("no-data", f'<span class="quiet">{nothing}</span>')
    for column in columns:
        if column.kind in _SLOTS:
            shown.add_slot(f"body-cell-{column.name}", _SLOTS[column.kind])
    return shown
