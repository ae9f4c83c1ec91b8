"""Scenarios: linear, of given prices, historical, and random ones with a seed.

Random log returns are floats; a ratio is rounded to 6 decimals, from where on all is exact.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from typing import Literal

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.messages import Amount
from delever.core.units import Floats
from delever.lab.errors import InputError, unknown
from delever.lab.runs.market_paths.path import (
    STEP_MS,
    MarketStep,
    Scenario,
    Shock,
    check_by_contract,
    check_list,
    check_whole,
    exact_fraction,
)
from delever.lab.tables.table import Tabular

RATIO_DECIMALS = 6

MODELS = ("gbm", "student_t", "jump")

YEAR_MS = 365 * 24 * 3_600_000


def linear_path(
    moves: Mapping[str, Amount], *, steps: int = 10, after_ms: int = STEP_MS
) -> Scenario:
    """Return the scenario in which marks move in equal steps of price.

    >>> from delever import lab
    >>> len(lab.linear_path({"BTCUSDT": "-0.10"}, steps=5).steps)
    5
    """
    check_whole("steps", steps, 1)
    shock = Shock(moves)
    ends = {name: shock.ratio(name) for name in moves}
    parts = (Fraction(number, steps) for number in range(1, steps + 1))
    path = [
        MarketStep({name: 1 + (end - 1) * part for name, end in ends.items()}, after_ms=after_ms)
        for part in parts
    ]
    return Scenario(tuple(path), name="linear")


def given_path(
    prices: Mapping[str, Sequence[Amount]], *, after_ms: int = STEP_MS, name: str = "given"
) -> Scenario:
    """Return the scenario of prices by contract; the first is the one at the start.

    Only their ratios to the first count, so the book may have other marks. Raises InputError for
    series of different lengths, floats, and prices that are not above 0.

    >>> from delever import lab
    >>> path = lab.given_path({"BTCUSDT": ["64000", "60800", "57600"]})
    >>> [str(step.ratios["BTCUSDT"]) for step in path.steps]
    ['19/20', '9/10']
    """
    check_by_contract("prices", prices, '["64000", "60800"]')
    exact = {contract: _positive(contract, series) for contract, series in prices.items()}
    lengths = {len(series) for series in exact.values()}
    if len(lengths) != 1 or lengths < {2} or min(lengths) < 2:
        raise InputError("needs series of one length, of at least 2 prices", column="prices")
    (length,) = lengths
    path = [
        MarketStep(
            {name_: series[number] / series[0] for name_, series in exact.items()},
            after_ms=after_ms,
        )
        for number in range(1, length)
    ]
    return Scenario(tuple(path), name=name)


def historical_path(frame: Tabular, *, name: str = "historical") -> Scenario:
    """Return the scenario of a frame with columns time_ms, contract and price, in any order.

    Times of a contract without a price have the one before. Raises InputError as `given_path`.

    >>> from delever import lab
    >>> rows = [{"time_ms": t, "contract": "BTCUSDT", "price": p} for t, p in [(0, 100), (500, 90)]]
    >>> step = lab.historical_path(rows).steps[0]
    >>> str(step.ratios["BTCUSDT"]), step.after_ms
    ('9/10', 500)
    """
    table = frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(frame)
    missing = {"time_ms", "contract", "price"} - set(table.columns)
    if missing:
        raise InputError("the column is missing", file="historical", column=min(missing))
    if table["price"].dtype.is_float():
        why = "holds floats, which are not exact: cast the column to pl.String or pl.Decimal"
        raise InputError(why, file="historical", column="price")
    first: dict[str, Fraction] = {}
    by_time: dict[int, dict[str, Fraction]] = {}
    for time_ms, contract, price in (
        table.select("time_ms", "contract", "price")
        .sort("time_ms", maintain_order=True)
        .iter_rows()
    ):
        (exact,) = _positive(contract, [str(price)])
        ratio = exact / first.setdefault(contract, exact)
        by_time.setdefault(time_ms, {})[contract] = ratio
    times = list(by_time)
    if len(times) < 2:
        raise InputError("needs prices at two times at least", file="historical")
    path = [MarketStep(by_time[time], after_ms=time - before) for before, time in pairwise(times)]
    return Scenario(tuple(path), name=name)


def _positive(contract: str, prices: Sequence[Amount]) -> list[Fraction]:
    check_list(contract, prices, "prices")
    exact = [exact_fraction(price, contract) for price in prices]
    if any(price <= 0 for price in exact):
        raise InputError("must be above 0", column=contract, value=min(exact))
    return exact


Model = Literal["gbm", "student_t", "jump"]


def scenarios(
    book: Book,
    *,
    model: Model = "student_t",
    volatility: float | Mapping[str, float] = 0.8,
    correlation: float | Floats = 0.7,
    factor: str = "",
    nu: float = 4.0,
    drift: float = 0.0,
    jump: float = -0.2,
    jump_sd: float = 0.1,
    horizon_ms: int = 3_600_000,
    steps: int = 12,
    count: int = 100,
    seed: int = 0,
    contracts: Sequence[str] = (),
) -> list[Scenario]:
    """Return random scenarios of the book's contracts with a mark, or of those named.

    `gbm`: log returns of a step are normal, with the annual `volatility` (one, or one a
    contract), `drift` and `correlation`: one for all pairs, or a matrix in the order of the
    contracts. With a `factor`, a contract, `correlation` is that of each other contract with
    it, and their own moves are independent, so that two of them correlate by its square.
    `student_t`: they are multivariate Student-t with `nu` degrees of freedom and the same
    covariance: one mixing variable a step, so extremes come together. `jump`: as gbm, with one
    jump at a random step, whose log size is normal around log(1 + `jump`) with `jump_sd`, the
    same for all contracts. Rates are annual, of 365 days. One seed gives the same paths
    everywhere.

    Raises InputError for an unknown model, a covariance that is not positive definite, and numbers
    out of range.

        >>> import delever
        >>> from delever import lab
        >>> book = delever.read_book("examples/book")
        >>> paths = lab.scenarios(book, model="gbm", count=2, steps=3, seed=7)
        >>> [path.name for path in paths], len(paths[0].steps)
        (['gbm-7-0', 'gbm-7-1'], 3)
    """
    names = list(contracts) or [name for name, state in book.contracts.items() if state.mark]
    for name in names:
        if name not in book.contracts:
            raise unknown("contract", name, book.contracts)
    if factor and factor not in names:
        raise unknown("factor", factor, names)
    for column, number, at_least in (("steps", steps, 1), ("count", count, 1), ("seed", seed, 0)):
        check_whole(column, number, at_least)
    _check_numbers(model, nu=nu, horizon_ms=horizon_ms, steps=steps, jump=jump)
    root = _covariance_root(names, volatility, correlation, factor) * np.sqrt(
        horizon_ms / YEAR_MS / steps
    )
    variance = (root**2).sum(axis=1)
    trend = drift * horizon_ms / YEAR_MS / steps - variance / 2
    found = []
    for number in range(count):
        draws = np.random.default_rng([seed, number])
        returns = draws.standard_normal((steps, len(names))) @ root.T
        if model == "student_t":
            returns *= np.sqrt((nu - 2) / draws.chisquare(nu, (steps, 1)))
        if model == "jump":
            size = np.log1p(jump) + jump_sd * draws.standard_normal()
            returns[draws.integers(steps)] += size
        ratios = np.exp(np.cumsum(returns + trend, axis=0))
        found.append(_scenario(f"{model}-{seed}-{number}", names, ratios, horizon_ms // steps))
    return found


def _scenario(name: str, contracts: Sequence[str], ratios: Floats, after_ms: int) -> Scenario:
    unit = 10**RATIO_DECIMALS
    exact = np.maximum(np.rint(ratios * unit), 1).tolist()
    path = (
        MarketStep(
            {c: Fraction(int(r), unit) for c, r in zip(contracts, row, strict=True)},
            after_ms=after_ms,
        )
        for row in exact
    )
    return Scenario(tuple(path), name=name)


def _check_numbers(model: str, *, nu: float, horizon_ms: int, steps: int, jump: float) -> None:
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    limits = {
        "nu": (nu, 2, "the variance is infinite up to 2 degrees of freedom"),
        "horizon_ms": (horizon_ms, steps - 1, "a step takes 1 ms at least"),
        "jump": (jump, -1, "-1 leaves no price above 0"),
    }
    for name, (value, above, why) in limits.items():
        if not value > above:
            raise InputError(f"must be above {above}: {why}", column=name, value=value)


def _covariance_root(
    names: Sequence[str],
    volatility: float | Mapping[str, float],
    correlation: float | Floats,
    factor: str,
) -> Floats:
    """Return the Cholesky root of the annual covariance; raises InputError for a singular one."""
    size = len(names)
    given = volatility if isinstance(volatility, Mapping) else dict.fromkeys(names, volatility)
    for name in names:
        sigma = given.get(name)
        if not isinstance(sigma, Real) or not sigma > 0:
            raise InputError("needs a volatility above 0", column=name, value=given.get(name))
    sd = np.array([given[name] for name in names], float)
    matrix = np.array(correlation, float)
    if matrix.ndim == 0:
        loading = np.full(size, float(matrix) if factor else 1.0)
        loading[[name == factor for name in names]] = 1.0
        pairs = np.outer(loading, loading)
        matrix = pairs if factor else pairs * float(matrix)
        np.fill_diagonal(matrix, 1.0)
    elif factor:
        raise InputError("must be one number where there is a factor", column="correlation")
    if matrix.shape != (size, size) or not np.allclose(matrix, matrix.T):
        why = f"must be a number, or a symmetric matrix of {size} rows: {', '.join(names)}"
        raise InputError(why, column="correlation")
    try:
        root: Floats = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        why = "is singular or not positive definite: leave out a contract, or lower a correlation"
        raise InputError(why, column="correlation") from None
    scaled: Floats = root * sd[:, None]
    return scaled
