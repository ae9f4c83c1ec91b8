"""Reductions for tests: a synthetic book of the reference, and the four accounts of P3's code."""

import numpy as np

from delever.core.units import Floats
from delever.lab.policies.plans.reduction import Reduction


def synthetic(accounts: int, contracts: int, scenarios: int, seed: int) -> Reduction:
    """Return the synthetic book of the reference: a quarter of every contract's shorts."""
    rng = np.random.default_rng(seed)
    equity = np.exp(rng.normal(6.963, 2.574, accounts)).clip(1, 5e7)
    leverage = np.exp(rng.normal(np.log(2.0), 0.9, accounts)).clip(0.05, 25)
    share = rng.dirichlet(np.full(contracts, 0.6), accounts)
    side = np.where(rng.random((accounts, contracts)) < 0.75, 1.0, -1.0)
    exposure = share * side * (leverage * equity)[:, None]
    beta = np.linspace(1, 1.4, contracts)
    factor = rng.standard_t(4, scenarios) * 0.05
    own = rng.standard_t(4, (scenarios, contracts)) * 0.02
    moves = np.maximum(factor[:, None] * beta + own, -0.9)
    return Reduction.of(exposure, equity, moves, 0.25 * np.maximum(exposure, 0).sum(axis=0))


PRICES = np.array([67000.0, 1900.0])
POSITIONS = np.array([(8, 323), (10, -38.7), (8, 326.2), (7, -190)])
FOUR_EQUITIES = np.array([242100, 143000, 180704.8, 116901])


def four_accounts(quantity: tuple[float, float]) -> Reduction:
    """Return P3's example under geometric Brownian motion, on 20 x 20 Gauss-Hermite nodes."""
    volatility, years, correlation = np.array([0.6, 0.75]), 10 / 365, 0.85
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    chances = np.outer(weights, weights).ravel()
    first, second = (grid.ravel() for grid in np.meshgrid(nodes, nodes, indexing="ij"))
    normal = np.stack([first, correlation * first + np.sqrt(1 - correlation**2) * second], axis=1)
    moves = np.exp(-(volatility**2) * years / 2 + volatility * np.sqrt(years) * normal) - 1
    required = np.array(quantity) * PRICES
    exposure = POSITIONS * PRICES
    return Reduction.of(
        exposure, FOUR_EQUITIES, moves, required, chances=chances / chances.sum(),
        limits=np.where(required > 0, np.maximum(exposure, 0), 0),
    )  # fmt: skip


def random_plan(rng: np.random.Generator, reduction: Reduction) -> Floats:
    """Return a plan within limits that reduces what is required."""
    plan = np.zeros_like(reduction.limits)
    for k, quantity in enumerate(reduction.quantity):
        limits, left = reduction.limits[:, k], quantity
        while left > 1e-12 * max(quantity, 1e-9):
            room = (limits - plan[:, k]) * rng.random(len(limits))
            plan[:, k] += np.minimum(limits - plan[:, k], left * room / room.sum())
            left = quantity - plan[:, k].sum()
    return plan
