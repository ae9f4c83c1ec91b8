"""One published figure: the number, what it is computed to be, the verdict and the reason."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from delever.lab.errors import InputError

Verdict = Literal["holds", "holds after correction", "does not stand"]

P1 = "P1 (arXiv 2512.01112)"
P2 = "P2 (arXiv 2602.15182)"
P3 = "P3 (arXiv 2603.15963)"
SAR = "SaR (arXiv 2603.09164)"
HYPERREPLAY = "HyperReplay"


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A published figure beside the computed one; `computed_by` is the function that did it."""

    id: str
    source: str
    quantity: str
    published: float
    computed: float
    verdict: Verdict
    why: str
    computed_by: str

    def row(self) -> dict[str, object]:
        """Return the figure as a row of a table."""
        return asdict(self)


def figure(
    id: str,  # noqa: A002 - the name of the column
    source: str,
    quantity: str,
    published: float,
    computed: float,
    *,
    tolerance: float = 0.005,
    why: str = "",
    correction: Literal["", "minor", "material"] = "",
) -> PublishedFigure:
    """Return a figure that holds where it is computed to the tolerance, and is not corrected.

    With a minor correction it holds after it; with a material one, which changes what the source
    concludes, it does not stand. A figure that differs without a correction does not stand either.

        >>> figure("X1", "a paper", "1 + 1", 2.0, 2.004).verdict
        'holds'
        >>> figure("X1", "a paper", "1 + 1", 3.0, 2.0).verdict
        'does not stand'
    """
    verdict: Verdict = "holds" if abs(published - computed) <= tolerance else "does not stand"
    if correction:
        verdict = "holds after correction" if correction == "minor" else "does not stand"
    frame = inspect.currentframe()
    caller = None if frame is None else frame.f_back
    computed_by = (
        "" if caller is None else f"{Path(caller.f_code.co_filename).stem}.{caller.f_code.co_name}"
    )
    return PublishedFigure(id, source, quantity, published, computed, verdict, why, computed_by)


def read_table(
    folder: Path, name: str, columns: Mapping[str, pl.DataType | type[pl.DataType]]
) -> pl.DataFrame:
    """Return some columns of a CSV file; raises InputError naming the file and the column."""
    file = folder / name
    try:
        frame = pl.read_csv(file, columns=list(columns), schema_overrides=columns)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot be read: {reason}", file=str(file)) from None
    return frame
