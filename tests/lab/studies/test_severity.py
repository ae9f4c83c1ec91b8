"""Severity controllers: published regrets and bounds, and what a controller may know."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.lab.errors import InputError
from delever.lab.studies.severity import (
    CONTROLLERS,
    BackOff,
    DeficitMatching,
    ImpactAware,
    OnlineGradient,
    SeverityController,
    SeverityRounds,
    StaticSeverity,
    severity_curves,
)


def regret(rounds: SeverityRounds, controller: SeverityController) -> float:
    return float(severity_curves(rounds, [controller])["regret"][-1])


@pytest.mark.parametrize("severity", [0.0, 0.3, 0.8])
def test_a_static_severity_has_linear_regret_where_the_need_alternates(severity: float) -> None:
    """O8: needs of 0 and 0.8 in turns; the regret is T / 2 x 0.8 for any severity between."""
    for rounds in (10, 1_000):
        alternating = SeverityRounds.of(np.ones(rounds), np.tile([0.0, 0.8], rounds // 2))
        assert regret(alternating, StaticSeverity(severity)) == pytest.approx(rounds / 2 * 0.8)


@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1)), min_size=1, max_size=40))
def test_online_gradient_descent_stays_below_its_bound(rows: list[tuple[float, float]]) -> None:
    """O10: regret <= sqrt((1 + 2 P) sum D^2) at the best step size."""
    deficit, part = np.array(rows).T
    rounds = SeverityRounds.of(deficit, deficit * part)
    assert regret(rounds, OnlineGradient()) <= rounds.regret_bound * (1 + 1e-9)


def test_online_gradient_descent_learns_a_constant_need() -> None:
    rounds = SeverityRounds.of(np.full(400, 10.0), np.full(400, 2.0))
    last = severity_curves(rounds, [OnlineGradient()])["severity"][-1]
    assert last == pytest.approx(0.2, abs=0.06)
    assert regret(rounds, OnlineGradient()) < regret(rounds, StaticSeverity()) / 10


def test_the_worked_severities() -> None:
    rounds = SeverityRounds.of([10, 10, 0, 40], [5, 5, 0, 20], capacity=[20, 5, 3, 10])
    assert DeficitMatching().severities(rounds).tolist() == [1, 0.5, 1, 0.25]
    assert BackOff(0.8, 0.5).severities(rounds).tolist() == [0.8, 0.4, 0.2, 0.1]
    curve = severity_curves(rounds, [BackOff(0.8, 0.5)])
    assert curve["failure"].to_list() == pytest.approx([0, 1, 1, 17])


def test_impact_is_learned() -> None:
    """A true slope of 0.4: after eight rounds the estimate oscillates about it."""
    gap, squared = np.full(40, 10.0), np.full(40, 5.0)
    rounds = SeverityRounds.of(
        np.full(40, 50.0), gap + 0.4 * squared, gap=gap, size_squared=squared
    )
    severity = ImpactAware(step=0.05).severities(rounds)
    assert severity[0] == pytest.approx(10 / 50)
    assert severity[10:] * 50 == pytest.approx(np.full(30, 12.0), abs=0.26)


@pytest.mark.parametrize("controller", CONTROLLERS, ids=lambda controller: str(controller.name))
def test_a_severity_does_not_depend_on_needs_to_come(controller: SeverityController) -> None:
    rng = np.random.default_rng(5)
    deficit, part = rng.uniform(1, 9, 12), rng.random(12)
    rounds = SeverityRounds.of(deficit, deficit * part, capacity=deficit * 0.7)
    if isinstance(controller, OnlineGradient):
        controller = replace(controller, step=0.05)  # the best step size is of hindsight
    changed = SeverityRounds.of(
        deficit, np.r_[rounds.needed[:6], np.zeros(6)], rounds.capacity, rounds.gap
    )
    before, after = controller.severities(rounds), controller.severities(changed)
    assert before[:7].tolist() == after[:7].tolist()
    assert ((before >= 0) & (before <= 1)).all()


@pytest.mark.parametrize(
    ("deficit", "needed", "why"),
    [
        ([1.0, 2.0], [1.0], "needed: must have a number for each round"),
        ([], [], "deficit: must have a number for each round"),
        ([1.0], [np.nan], "needed: must be finite numbers of at least 0"),
        ([-1.0], [1.0], "deficit: must be finite numbers of at least 0"),
    ],
)
def test_invalid_rounds_are_rejected(deficit: list[float], needed: list[float], why: str) -> None:
    with pytest.raises(InputError, match=why):
        SeverityRounds.of(deficit, needed)


def test_an_invalid_severity_is_rejected() -> None:
    rounds = SeverityRounds.of([1.0], [1.0])
    with pytest.raises(InputError, match=r"severity '1\.5': must be from 0 to 1"):
        StaticSeverity(1.5).severities(rounds)
