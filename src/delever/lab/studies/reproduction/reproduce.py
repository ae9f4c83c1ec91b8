"""All published figures, computed again: from the tables of the event, and without data."""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from delever.lab.errors import InputError
from delever.lab.studies.reproduction import claims, event, four_traders, learning
from delever.lab.studies.reproduction.figure import PublishedFigure

FROM_TABLES: tuple[Callable[[Path], Iterator[PublishedFigure]], ...] = (
    event.totals,
    learning.sums_over_waves,
    learning.overshoot_by_horizon,
    learning.regrets,
    learning.regret_bound,
    learning.gaps_by_coin,
    event.omitted_bursts,
    learning.queue_overshoot,
    learning.reference_policy,
)
"""Figures that need the tables of 10 October 2025."""

WITHOUT_DATA: tuple[Callable[[], Iterator[PublishedFigure]], ...] = (
    four_traders.one_factor,
    four_traders.quadrature,
    four_traders.brownian_motion,
    claims.largest_survivor,
    claims.next_deficit,
    claims.survivor_order,
    claims.splitting,
    claims.survivor_ratio,
    claims.slippage_at_risk,
)
"""Figures of examples that the papers and their code contain."""


def reproduce(folder: str | Path | None = None) -> pl.DataFrame:
    """Return published figures with what they are computed to be: a row each.

    `verdict` is *holds*, *holds after correction* or *does not stand*, `why` the reason, and
    `computed_by` the function that computes it. `folder` has the tables of the event; without it
    their figures are left out. Raises InputError for a folder that does not exist, and for a table
    that is missing or has another form.

        >>> table = reproduce()
        >>> table.filter(id="F8").select("published", "verdict").rows()
        [(127.4, 'does not stand')]
    """
    if folder is not None and not Path(folder).is_dir():
        raise InputError("is no directory with the tables of the event", file=str(folder))
    found = [] if folder is None else [f for group in FROM_TABLES for f in group(Path(folder))]
    found += [f for group in WITHOUT_DATA for f in group()]
    frame = pl.DataFrame([each.row() for each in found])
    return frame.with_columns(pl.col("published", "computed").round(6))
