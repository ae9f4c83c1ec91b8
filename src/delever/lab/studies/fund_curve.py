"""How large an insurance fund should be: what each size leaves to winners, and at what cost.

The curve runs the engine, so that triggers, sizing and unwinding of the rule set are in it; several
contracts of a pool fall together as the scenarios say. `newsvendor_size` is the closed form for a
fund that pays every deficit until it is empty (Chitra, arXiv 2512.01112): the quantile of the
deficit at 1 - capital cost / damage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.messages import Amount
from delever.core.rules import RuleSet
from delever.core.units import Floats
from delever.lab.errors import InputError, check_book, unknown
from delever.lab.measures.intervals import RESAMPLES
from delever.lab.runs.market_paths.path import check_list, check_part, exact_fraction
from delever.lab.runs.stress_test import Crash
from delever.lab.runs.sweeps.sweep import sweep

MEASURED = ("adl", "haircut_total", "unfunded", "cost")


@dataclass(frozen=True, slots=True)
class FundOptimum:
    """The size of the grid with the least expected cost, and its interval over scenarios.

    `cost` is capital cost x size + damage x (haircut + unfunded), expected, in units of the asset.
    """

    fund: float
    low: float
    high: float
    cost: float


@dataclass(frozen=True, slots=True)
class FundCurve:
    """What funds of several sizes leave: `frame` has a row a size, with intervals over scenarios.

    Columns: `fund`, `runs`, and mean, `_low` and `_high` of `adl` (the probability of ADL),
    `haircut_total`, `unfunded` and `cost`. `newsvendor` is the closed form on the deficits of the
    largest fund, `newsvendor_low` and `newsvendor_high` its interval over scenarios; `runs` are the
    rows of the sweep.

        >>> import delever
        >>> from delever import lab
        >>> book = delever.read_book("examples/book")
        >>> paths = lab.scenarios(book, volatility=10.0, steps=4, count=12, seed=2)
        >>> curve = lab.fund_curve(book, paths, [0, 2000, 20000], pool="main")
        >>> isinstance(curve, lab.FundCurve), curve.frame["fund"].to_list()
        (True, [0.0, 2000.0, 20000.0])
    """

    frame: pl.DataFrame
    optimum: FundOptimum
    newsvendor: float
    newsvendor_low: float
    newsvendor_high: float
    runs: pl.DataFrame


def fund_curve(
    book: Book,
    scenarios: Sequence[Crash],
    funds: Sequence[Amount],
    *,
    pool: str = "",
    rules: str | RuleSet = "bybit",
    capital_cost: Amount = "0.05",
    damage_per_unit: Amount = "1",
    level: float = 0.95,
    seed: int = 0,
    **sweep_arguments: Any,
) -> FundCurve:
    """Return what each fund size of one pool leaves under equally likely scenarios.

    `pool` may be omitted where the book has one; other pools have their own balances.
    Money is in the asset of the pool. `capital_cost` is what a unit of fund costs over the horizon
    of the scenarios, `damage_per_unit` what a unit of haircut or of unfunded loss costs the venue.
    Intervals are percentile bootstraps
    over scenarios, paired: the same draw for every size. `sweep_arguments` are those of `sweep`
    (`workers`, `folder`, `progress` and others). Raises InputError and UnknownNameError.

        >>> import delever
        >>> from delever import lab
        >>> book = delever.read_book("examples/book")
        >>> paths = lab.scenarios(book, volatility=10.0, steps=4, count=12, seed=2)
        >>> curve = lab.fund_curve(book, paths, [0, 2000, 20000], pool="main", rules="binance")
        >>> curve.frame["adl"].is_sorted(descending=True)
        True
    """
    check_book(book)
    name = pool_named(book, pool)
    check_list("funds", funds, 'sizes, such as ["0", "10000"]')
    check_part("level", level)
    sizes = [float(exact_fraction(fund, "funds")) for fund in funds]
    cost, damage = _costs(capital_cost, damage_per_unit)
    if not sizes or sorted(set(sizes)) != sizes:
        raise InputError("must be different sizes, ascending", column="funds", value=list(funds))
    grid = [{name: fund} for fund in funds]
    asset = book.pools[name].asset
    runs = sweep(book, scenarios, rules=rules, funds=grid, asset=asset, **sweep_arguments)
    columns = _columns(runs, len(scenarios), np.array(sizes), cost, damage)
    draws = np.random.default_rng(seed).integers(len(scenarios), size=(RESAMPLES, len(scenarios)))
    bounds = [(1 - level) / 2, (1 + level) / 2]
    frame = pl.DataFrame({"fund": sizes, "runs": [len(scenarios)] * len(sizes)})
    for measured, values in columns.items():
        low, high = np.quantile(values[draws].mean(axis=1), bounds, axis=0)
        frame = frame.with_columns(
            pl.Series(measured, values.mean(axis=0)),
            pl.Series(f"{measured}_low", low),
            pl.Series(f"{measured}_high", high),
        )
    optimum = _optimum(columns["cost"], np.array(sizes), draws, bounds)
    deficits = runs["deficit"].to_numpy().reshape(len(scenarios), len(sizes))[:, -1]
    size = newsvendor_size(deficits, cost, damage)
    sizes_drawn = [newsvendor_size(each, cost, damage) for each in deficits[draws]]
    least, most = np.quantile(sizes_drawn, bounds, method="inverted_cdf")
    return FundCurve(frame, optimum, size, float(least), float(most), runs)


def newsvendor_size(deficits: Floats, capital_cost: float, damage_per_unit: float) -> float:
    """Return K* = VaR of the deficit at 1 - capital cost / damage, for equally likely deficits.

    K* minimizes cost K + damage E[(D - K)+]; it is 0 where capital costs more than the damage. For
    an exponential deficit with mean m it is m ln(damage / cost), for a Pareto one
    x_m (damage / cost)^(1 / alpha).

    >>> import numpy as np
    >>> from delever import lab
    >>> lab.newsvendor_size(np.array([0.0, 10.0, 20.0, 100.0]), 0.3, 1.0)
    20.0
    """
    if capital_cost >= damage_per_unit:
        return 0.0
    ascending = np.sort(np.asarray(deficits, float))
    rank = int(np.ceil(len(ascending) * (1 - capital_cost / damage_per_unit) - 1e-9))
    return float(ascending[max(rank, 1) - 1])


def pool_named(book: Book, pool: str) -> str:
    """Return the pool of a name, or the only one; raises UnknownNameError and InputError."""
    if pool:
        if pool not in book.pools:
            raise unknown("pool", pool, book.pools)
        return pool
    if len(book.pools) != 1:
        raise InputError(f"name one of the pools: {', '.join(book.pools)}", column="pool")
    return next(iter(book.pools))


def _costs(capital_cost: Amount, damage_per_unit: Amount) -> tuple[float, float]:
    given = {"capital_cost": capital_cost, "damage_per_unit": damage_per_unit}
    cost, damage = (float(exact_fraction(amount, name)) for name, amount in given.items())
    if cost < 0 or damage <= 0:
        raise InputError(
            "costs must not be negative, and the damage above 0", column="capital_cost"
        )
    return cost, damage


def _columns(
    runs: pl.DataFrame, scenarios: int, sizes: Floats, cost: float, damage: float
) -> dict[str, Floats]:
    """Return each measure as a matrix: a row a scenario, a column a fund size."""
    shape = scenarios, len(sizes)
    adl, haircut, unfunded = (
        runs[name].cast(pl.Float64).to_numpy().reshape(shape) for name in MEASURED[:3]
    )
    total = cost * sizes + damage * (haircut + unfunded)
    return dict(zip(MEASURED, (adl, haircut, unfunded, total), strict=True))


def _optimum(
    costs: Floats, sizes: Floats, draws: np.ndarray, bounds: Sequence[float]
) -> FundOptimum:
    """Return the size with the least mean cost, the smaller of equal ones, and its interval."""
    means = costs.mean(axis=0)
    best = sizes[costs[draws].mean(axis=1).argmin(axis=1)]
    low, high = np.quantile(best, bounds, method="inverted_cdf")
    least = int(means.argmin())
    return FundOptimum(float(sizes[least]), float(low), float(high), float(means[least]))
