"""How much of a deficit winners should pay, round by round: controllers, losses and regret (M11).

A round has a deficit D, known before it, and the budget B that turns out to be needed, known after
it; the controller's severity t in [0, 1] takes H = t D. Its loss is |H - B|, and its regret the sum
of losses above that of the best severity of each round. Source: P2 (arXiv 2602.15182), Proposition
1 and Theorem 22.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl

from delever.core.units import Floats
from delever.lab.errors import InputError


@dataclass(frozen=True, slots=True)
class SeverityRounds:
    """Rounds of ADL in money, an entry each.

    `deficit` and `capacity` (what winners could pay) are known before a round, `needed` after it.
    `gap` is the part of the need that the marks show before: the sum of |mark - bankruptcy price|
    times size; `size_squared` is the sum of squared sizes, to which price impact is proportional.
    Raises InputError for columns of other lengths, and for numbers that are negative or not finite.

        >>> from delever import lab
        >>> rounds = lab.SeverityRounds.of(deficit=[100, 50], needed=[60, 50])
        >>> rounds.needed_severity.tolist(), round(rounds.path_length, 6)
        ([0.6, 1.0], 0.4)
    """

    deficit: Floats
    needed: Floats
    capacity: Floats
    gap: Floats
    size_squared: Floats

    @classmethod
    def of(
        cls,
        deficit: object,
        needed: object,
        capacity: object = None,
        gap: object = None,
        size_squared: object = None,
    ) -> "SeverityRounds":
        """Return rounds from sequences.

        By default winners can pay the deficit, the marks show the whole need, and there is no
        impact.
        """
        owed, need = np.array(deficit, float), np.array(needed, float)
        return cls(
            owed,
            need,
            owed if capacity is None else np.array(capacity, float),
            need if gap is None else np.array(gap, float),
            np.zeros_like(owed) if size_squared is None else np.array(size_squared, float),
        )

    def __post_init__(self) -> None:
        for name in self.__slots__:
            column = getattr(self, name)
            if column.shape != self.deficit.shape or column.ndim != 1 or not len(column):
                raise InputError("must have a number for each round", column=name)
            if not np.isfinite(column).all() or (column < 0).any():
                raise InputError("must be finite numbers of at least 0", column=name)

    @property
    def needed_severity(self) -> Floats:
        """The severity of each round that would have taken what was needed, at most 1."""
        parts = np.divide(
            self.needed, self.deficit, out=np.zeros_like(self.needed), where=self.deficit > 0
        )
        return np.minimum(parts, 1)

    @property
    def path_length(self) -> float:
        """The sum of changes of the needed severity, P."""
        return float(np.abs(np.diff(self.needed_severity)).sum())

    @property
    def regret_bound(self) -> float:
        """The bound on the regret of online gradient descent at its best step size."""
        return float(np.sqrt((1 + 2 * self.path_length) * (self.deficit**2).sum()))

    def losses(self, severity: Floats) -> Floats:
        """Return |H - B| of each round."""
        losses: Floats = np.abs(severity * self.deficit - self.needed)
        return losses


class SeverityController(Protocol):
    """A rule that chooses the severity of each round from what is known before it."""

    @property
    def name(self) -> str:
        """The controller's name in tables."""

    def severities(self, rounds: SeverityRounds) -> Floats:
        """Return the severity of each round; `needed` counts from the round after."""


@dataclass(frozen=True, slots=True)
class StaticSeverity:
    """The same severity in every round: regret grows with the rounds where the need alternates."""

    severity: float = 0.5
    name: str = field(default="static", init=False)

    def severities(self, rounds: SeverityRounds) -> Floats:
        """Return the severity of each round."""
        return np.full_like(rounds.deficit, _part(self.severity, "severity"))


@dataclass(frozen=True, slots=True)
class DeficitMatching:
    """As much of the deficit as winners can pay: min(1, capacity / deficit)."""

    name: str = field(default="deficit_matching", init=False)

    def severities(self, rounds: SeverityRounds) -> Floats:
        """Return the severity of each round; 1 without a deficit."""
        parts = np.divide(
            rounds.capacity,
            rounds.deficit,
            out=np.ones_like(rounds.deficit),
            where=rounds.deficit > 0,
        )
        return np.minimum(parts, 1)


@dataclass(frozen=True, slots=True)
class BackOff:
    """A severity that decays by a factor a round. Who waits to help pays less (P1, no-wait)."""

    first: float = 1.0
    factor: float = 0.5
    name: str = field(default="back_off", init=False)

    def severities(self, rounds: SeverityRounds) -> Floats:
        """Return the severity of each round."""
        powers = np.arange(len(rounds.deficit), dtype=np.float64)
        decayed: Floats = np.power(_part(self.factor, "factor"), powers)
        return decayed * _part(self.first, "first")


@dataclass(frozen=True, slots=True)
class OnlineGradient:
    """Online gradient descent: a step of `step` times the deficit toward the need of the round.

    t' = clip(t - step D sign(t - t_needed), 0, 1). Its regret is at most
    sqrt((1 + 2 P) sum D^2) at the step size sqrt((1 + 2 P) / sum D^2), the default, which is known
    in hindsight only. Source: P2, Proposition 1.
    """

    first: float = 0.5
    step: float | None = None
    name: str = field(default="ogd", init=False)

    def severities(self, rounds: SeverityRounds) -> Floats:
        """Return the severity of each round."""
        squares = float((rounds.deficit**2).sum())
        best = np.sqrt((1 + 2 * rounds.path_length) / squares) if squares else 0.0
        step = best if self.step is None else self.step
        chosen, severity = [], _part(self.first, "first")
        for deficit, needed in zip(
            rounds.deficit.tolist(), rounds.needed_severity.tolist(), strict=True
        ):
            chosen.append(severity)
            moved = severity - step * deficit * float(np.sign(severity - needed))
            severity = min(max(moved, 0.0), 1.0)
        return np.array(chosen)


@dataclass(frozen=True, slots=True)
class ImpactAware:
    """The need that marks show, plus an estimated price impact: (gap + a size^2) / deficit.

    After each round the slope a moves by `step` toward the slope that the round has had, within 0
    and `max_slope`. Its regret is at most twice the sum of |estimate - need| above the best (P2,
    Theorem 22).
    """

    step: float = 0.1
    max_slope: float = 1.0
    name: str = field(default="impact_aware", init=False)

    def severities(self, rounds: SeverityRounds) -> Floats:
        """Return the severity of each round."""
        chosen, slope = [], 0.0
        columns = (rounds.deficit, rounds.needed, rounds.gap, rounds.size_squared)
        for deficit, needed, gap, squared in zip(*(c.tolist() for c in columns), strict=True):
            estimate = gap + slope * squared
            chosen.append(min(estimate / deficit, 1.0) if deficit else 0.0)
            if squared:
                moved = slope - self.step * float(np.sign(slope - (needed - gap) / squared))
                slope = min(max(moved, 0.0), self.max_slope)
        return np.array(chosen)


def _part(number: float, name: str) -> float:
    """Return a number from 0 to 1; raises InputError for any other."""
    if not 0 <= number <= 1:
        raise InputError("must be from 0 to 1", column=name, value=number)
    return number


CONTROLLERS: tuple[SeverityController, ...] = (
    StaticSeverity(),
    DeficitMatching(),
    BackOff(),
    OnlineGradient(),
    ImpactAware(),
)
"""The controllers of the papers, with their default parameters."""


def severity_curves(
    rounds: SeverityRounds, controllers: Sequence[SeverityController] = CONTROLLERS
) -> pl.DataFrame:
    """Return a row for each controller and round: severity, haircut, loss, and regret until then.

    `failure` is the part of the need that was not taken, until then.

        >>> from delever import lab
        >>> rounds = lab.SeverityRounds.of([100, 100, 100], [60, 60, 60])
        >>> curves = lab.severity_curves(rounds).filter(controller="static")
        >>> curves["regret"].round(6).to_list()
        [10.0, 20.0, 30.0]
    """
    best = rounds.losses(rounds.needed_severity)
    frames = []
    for controller in controllers:
        severity = controller.severities(rounds)
        losses, haircut = rounds.losses(severity), severity * rounds.deficit
        frames.append(
            pl.DataFrame(
                {
                    "controller": [controller.name] * len(severity),
                    "round": np.arange(1, len(severity) + 1),
                    "severity": severity,
                    "haircut": haircut,
                    "loss": losses,
                    "regret": np.cumsum(losses - best),
                    "failure": np.cumsum(np.maximum(rounds.needed - haircut, 0)),
                }
            )
        )
    return pl.concat(frames)
