"""The example of the code of Risk-Based Auto-Deleveraging (P3): four accounts, BTC and ETH (T8)."""

from collections.abc import Iterator
from math import erf, exp, pi, sqrt

import numpy as np

from delever.core.units import Floats
from delever.lab.policies.lot_policies import factor_shares
from delever.lab.policies.plans.reduction import Reduction
from delever.lab.policies.plans.shadow_prices import shadow_prices
from delever.lab.studies.bench.instances import gauss_hermite_moves
from delever.lab.studies.reproduction.figure import P3, PublishedFigure, figure

PRICES = np.array([67_000.0, 1_900.0])
QUANTITY = np.array([(8, 323), (10, -38.7), (8, 326.2), (7, -190)])
ENTRY = np.array([(72_000, 2_100), (73_544, 2_100), (80_000, 1_904), (80_143, 2_000)])
EQUITY = (QUANTITY * (ENTRY - PRICES)).sum(axis=1) + np.array([137_500, 85_300, 75_400, 43_900])
"""Shorts are positive; equity is unrealized PnL and cash."""

FACTOR = np.array([6_653.95029235, 200.55736389])
"""What one standard deviation of the factor moves each price, USD."""

VOLATILITY, YEARS, CORRELATION = np.array([0.6, 0.75]), 10 / 365, 0.85


def normal_loss(exposure: Floats) -> float:
    """Return the sum over accounts of E[(c e - E)+] for a standard normal e."""
    total = 0.0
    for c, equity in zip(np.abs(exposure).tolist(), EQUITY.tolist(), strict=True):
        z = equity / c
        total += c * exp(-z * z / 2) / sqrt(2 * pi) - equity * (1 - erf(z / sqrt(2))) / 2
    return total


def one_factor() -> Iterator[PublishedFigure]:
    """Yield the expected loss under one factor, by quantity of BTC that is reduced."""
    risk, most = QUANTITY @ FACTOR, QUANTITY[:, 0] * FACTOR[0]
    for quantity, published in ((0, 4315.9962), (5, 1539.6968), (10, 500.4633), (20, 57.9695)):
        left = risk - factor_shares(risk, most, EQUITY, quantity * FACTOR[0])
        name = f"expected loss, one factor, {quantity} BTC reduced, USD"
        yield figure("T8", P3, name, published, normal_loss(left), tolerance=5e-5)


def _reduction(bitcoin: float, ether: float) -> Reduction:
    moves, chances = gauss_hermite_moves()
    required = np.array([bitcoin, ether]) * PRICES
    return Reduction.of(QUANTITY * PRICES, EQUITY, moves, required, chances=chances)


def brownian_motion() -> Iterator[PublishedFigure]:
    """Yield T8 under geometric Brownian motion: points flagged as solved, and the optimum (F9)."""
    for bitcoin, ether, published in (
        (5, 0, 4329.161),
        (10, 0, 2212.893),
        (20, 0, 743.581),
        (10, 100, 1167.110),
    ):
        best = shadow_prices(_reduction(bitcoin, ether))
        yield figure(
            "F9",
            P3,
            f"expected loss, GBM, {bitcoin} BTC and {ether} ETH reduced, USD",
            published,
            best.upper,
            why=f"flagged as solved; the optimum on the same nodes has a certificate, gap below "
            f"{max(best.gap, 1e-9):.0e}",
        )


def quadrature() -> Iterator[PublishedFigure]:
    """Yield the error of the 20 x 20 nodes: the loss without ADL, with one price integrated."""
    yield figure(
        "T8",
        P3,
        "expected loss, GBM, without ADL, USD",
        8232.5,
        exact_loss(),
        correction="minor",
        why="20 x 20 Gauss-Hermite nodes miss the kink of the loss by 0.8 %",
    )


def exact_loss(points: int = 8_001) -> float:
    """Return the expected loss under geometric Brownian motion: ETH in closed form, BTC summed.

    Given BTC's price a loss is a + c P with P lognormal: c times a call or a put on ETH.
    """
    normal = np.linspace(-9, 9, points)
    weight = np.exp(-(normal**2) / 2) / sqrt(2 * pi) * (normal[1] - normal[0])
    spread = VOLATILITY * sqrt(YEARS)
    bitcoin = PRICES[0] * np.exp(spread[0] * normal - spread[0] ** 2 / 2)
    scale = spread[1] * sqrt(1 - CORRELATION**2)
    mean = PRICES[1] * np.exp(spread[1] * CORRELATION * normal - (spread[1] * CORRELATION) ** 2 / 2)
    total = 0.0
    for (q, c), equity in zip(QUANTITY.tolist(), EQUITY.tolist(), strict=True):
        strike = (equity - q * (bitcoin - PRICES[0]) + c * PRICES[1]) / c
        paid = _call(mean, strike, scale) if c > 0 else _call(mean, strike, scale) - mean + strike
        total += float(weight @ (abs(c) * paid))
    return total


def _call(mean: Floats, strike: Floats, scale: float) -> Floats:
    """Return E[(P - K)+] for lognormal P; below a strike of 0 it is the mean less the strike."""
    positive = np.maximum(strike, 1e-12)
    upper = (np.log(mean / positive) + scale**2 / 2) / scale
    priced: Floats = mean * _below(upper) - positive * _below(upper - scale)
    return np.where(strike > 0, priced, mean - strike)


def _below(numbers: Floats) -> Floats:
    """Return the standard normal distribution function."""
    return np.array([(1 + erf(number / sqrt(2))) / 2 for number in numbers.tolist()])
