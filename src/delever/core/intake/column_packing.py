"""Columns of any kind -> a command in columns, for readers of Arrow tables and files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from delever.core.messages import SetPositionColumns

POSITION_TYPES: dict[str, str] = {
    "account": "<i4",
    "contract": "<i4",
    "side": "<i1",
    "lots": "<i8",
    "cost_cash": "<i8",
    "position": "<i4",
    "isolated": "<i1",
    "margin_cash": "<i8",
    "leverage_hundredths": "<i4",
    "under_liquidation": "<i1",
}
"""How each column of `SetPositionColumns` is packed."""


def position_columns(
    *,
    time_ms: int,
    version: int,
    contracts: Sequence[str],
    columns: Mapping[str, Any],
    accounts: Sequence[str] = (),
    last_fill: int = 0,
    strict: bool = False,
    id: str = "",  # noqa: A002 - the command's field
) -> SetPositionColumns:
    """Return the command that sets positions to these columns.

    `columns` maps the command's column names to array-likes of whole numbers; `account` and
    `contract` are indices into the names, as Arrow's dictionary arrays have them. Raises ValueError
    for a column that is unknown, or whose numbers are not whole or out of its range.
    """
    unknown = set(columns) - POSITION_TYPES.keys()
    if unknown:
        raise ValueError(f"columns: {', '.join(sorted(unknown))}: no such column")
    packed: dict[str, Any] = {name: _packed(name, column) for name, column in columns.items()}
    return SetPositionColumns(
        time_ms=time_ms,
        id=id,
        version=version,
        last_fill=last_fill,
        accounts=tuple(accounts),
        contracts=tuple(contracts),
        strict=strict,
        **packed,
    )


def _packed(name: str, column: Any) -> bytes:
    values = np.asarray(column)
    if values.ndim != 1 or (values.dtype.kind not in "iub" and len(values)):
        raise ValueError(f"columns.{name}: {values.dtype} is not a column of whole numbers")
    packed = values.astype(POSITION_TYPES[name])
    if not np.array_equal(packed, values):
        raise ValueError(f"columns.{name}: does not fit into {8 * packed.itemsize} bits")
    return packed.tobytes()
