"""Mean, standard deviation and bootstrap interval of measures over seeds or scenarios."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from delever.core.units import Floats
from delever.lab.errors import InputError, unknown

RESAMPLES = 2_000

ROUNDING = 1e-9
"""Relative difference below which two measures are equal: sums of floats in another order."""


def intervals(
    frame: pl.DataFrame,
    by: str | Sequence[str],
    measures: str | Sequence[str] = (),
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pl.DataFrame:
    """Return a row for each group and measure: n, mean, sd, and the bootstrap interval of the mean.

    `frame` has a row for each run; `by` names the column or columns of a group, `measures` those to
    summarize (all other floats by default). Missing values are left out; `n` counts the others. The
    interval is the percentile bootstrap of the mean (Efron 1979); the same seed gives the same
    interval. sd is of the sample, None for one run.

        >>> import polars as pl
        >>> from delever import lab
        >>> runs = pl.DataFrame({"rules": ["bybit"] * 4, "haircut_total": [1.0, 2.0, 3.0, 4.0]})
        >>> row = lab.intervals(runs, ["rules"]).row(0, named=True)
        >>> row["n"], row["mean"], round(row["sd"], 3), row["low"] <= 2.5 <= row["high"]
        (4, 2.5, 1.291, True)
    """
    by, measures = ([names] if isinstance(names, str) else names for names in (by, measures))
    if not 0 < level < 1:
        raise InputError("must be between 0 and 1", column="level", value=level)
    for name in (*by, *measures):
        if name not in frame.columns:
            raise unknown("column", name, frame.columns)
    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    chosen = list(measures) or [name for name in floats if name not in by]
    rows = []
    for key, group in frame.group_by(by, maintain_order=True):
        for name in chosen:
            values = group[name].drop_nulls().drop_nans().to_numpy().astype(float)
            rows.append([*key, name, *_summary(values, level, resamples, seed)])
    schema: dict[str, Any] = {name: frame.schema[name] for name in by}
    numbers = dict.fromkeys(("mean", "sd", "low", "high"), pl.Float64)
    columns = {**schema, "measure": pl.String, "n": pl.Int64, **numbers}
    return pl.DataFrame(rows, schema=columns, orient="row")


def regret(
    frame: pl.DataFrame,
    measure: str = "haircut_total",
    by: str | Sequence[str] = "rules",
    *,
    level: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Return how much worse each group of a sweep is than the best, on the same scenarios.

    `by` names the columns that are compared; all runs with equal `scenario` and `fund` are paired,
    and a smaller `measure` is better. `mean`, `sd`, `low` and `high` are those of the measure less
    the smallest of its scenario (the dynamic regret of P2, section 3), `static` is the mean of the
    measure less that of the best single group (policy-class regret), `best` the part of the
    scenarios in which the group is the best or equal to it. A run in which the measure is missing
    leaves its scenario out; differences within the rounding of floats are none. Raises
    UnknownNameError for a column that there is not.

        >>> import polars as pl
        >>> from delever import lab
        >>> runs = pl.DataFrame({"scenario": ["a", "a", "b", "b"], "rules": ["q", "p"] * 2,
        ...                      "fund": [""] * 4, "haircut_total": [3.0, 1.0, 2.0, 6.0]})
        >>> lab.regret(runs).select("rules", "mean", "static", "best").rows()
        [('q', 1.0, 0.0, 0.5), ('p', 2.0, 1.0, 0.5)]
    """
    by = [by] if isinstance(by, str) else by
    pair = [name for name in ("scenario", "fund") if name not in by]
    for name in (*by, measure, *pair):
        if name not in frame.columns:
            raise unknown("column", name, frame.columns)
    value = pl.col(measure)
    excess, scale = value - value.min().over(pair), value.abs().max().over(pair)
    paired = frame.with_columns(
        pl.when(excess > ROUNDING * scale).then(excess).otherwise(0.0).alias("regret"),
        (value.is_null() | value.is_nan()).any().over(pair).alias("is_missing"),
    ).filter(~pl.col("is_missing"))
    of_groups = paired.group_by(by, maintain_order=True).agg(
        (pl.col("regret") == 0).mean().alias("best")
    )
    table = intervals(paired, by, ["regret"], level=level, seed=seed).drop("measure")
    # The best of each scenario is the same for all groups: it cancels in the difference of means.
    static = (pl.col("mean") - pl.col("mean").min()).alias("static")
    return table.with_columns(static).join(of_groups, on=by, maintain_order="left")


def _summary(
    values: Floats, level: float, resamples: int, seed: int
) -> tuple[int, float | None, float | None, float | None, float | None]:
    """Return n, mean, sd and the bounds of the interval."""
    size = len(values)
    if size == 0:
        return 0, None, None, None, None
    draws = np.random.default_rng(seed).integers(size, size=(resamples, size))
    means = values[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    sd = float(values.std(ddof=1)) if size > 1 else None
    return size, float(values.mean()), sd, float(low), float(high)
