"""What must be reduced: exposures, equities and limits of accounts, and moves of the market."""

import hashlib
from dataclasses import dataclass

import numpy as np

from delever.core.units import Floats
from delever.lab.errors import InputError


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction of several contracts at once, in money.

    Account i loses z'w_i under the relative moves z of the contracts: `exposure` w is positive
    where a rise costs money (a short). `equity` E is what it can lose, at least 0. Of contract k it
    can give up 0 to `limits` hi_ik, which shrinks the exposure towards 0; `required` Q is signed:
    positive reduces shorts, negative longs, 0 nothing. `moves` has a row a scenario, `chances` sum
    to 1. The expected shortfall of a plan x is sum over scenarios of p_s sum_i
    (z_s'(w_i - sign(Q) x_i) - E_i)+. Raises InputError for shapes that do not match, numbers that
    are not finite, and quantities that no plan can meet.

        >>> import numpy as np
        >>> from delever import lab
        >>> reduction = lab.Reduction.of([[8.0], [4.0]], [2.0, 3.0], [[1.0], [0.75]], [6.0])
        >>> reduction.expected_loss(np.array([[6.0], [0.0]]))
        0.5
    """

    exposure: Floats
    equity: Floats
    limits: Floats
    moves: Floats
    chances: Floats
    required: Floats

    @classmethod
    def of(
        cls,
        exposure: object,
        equity: object,
        moves: object,
        required: object,
        limits: object = None,
        chances: object = None,
    ) -> "Reduction":
        """Return a reduction from sequences.

        By default accounts can give up all of their exposure on the side that is reduced, and
        scenarios are equally likely.
        """
        w, quantity, z = (np.array(given, float) for given in (exposure, required, moves))
        if w.ndim != 2 or z.ndim != 2 or quantity.ndim != 1:
            raise InputError("exposure and moves must have a column for each contract")
        sides = np.maximum(np.sign(quantity) * w, 0) if limits is None else np.array(limits, float)
        even = np.full(len(z), 1 / max(len(z), 1))
        weights = even if chances is None else np.array(chances, float)
        return cls(w, np.array(equity, float), sides, z, weights, quantity)

    def __post_init__(self) -> None:
        accounts, contracts = self.exposure.shape
        shapes = {
            "equity": (accounts,),
            "limits": (accounts, contracts),
            "moves": (len(self.moves), contracts),
            "chances": (len(self.moves),),
            "required": (contracts,),
        }
        for name in ("exposure", *shapes):
            column = getattr(self, name)
            if column.shape != shapes.get(name, column.shape):
                raise InputError(f"must have the shape {shapes[name]}", column=name)
            if not np.isfinite(column).all():
                raise InputError("must be finite numbers", column=name)
        for name in ("equity", "limits", "chances"):
            if (getattr(self, name) < 0).any():
                raise InputError("must be at least 0", column=name)
        if not len(self.moves) or abs(self.chances.sum() - 1) > 1e-9:
            raise InputError("must be at least one scenario, with chances that sum to 1")
        most = self.limits.sum(axis=0)
        for column in np.flatnonzero(np.abs(self.required) > most * (1 + 1e-12)).tolist():
            raise InputError(
                f"no plan reduces {abs(self.required[column]):.6g} where accounts have "
                f"{most[column]:.6g}",
                column=f"required[{column}]",
            )

    @property
    def toward_shorts(self) -> Floats:
        """Exposure with the sign of what is reduced: plans subtract from it."""
        return self.exposure * self._signs

    @property
    def adverse_moves(self) -> Floats:
        """Moves with the sign of what is reduced: z'w is the same."""
        return self.moves * self._signs

    @property
    def _signs(self) -> Floats:
        return np.where(self.required < 0, -1.0, 1.0)

    @property
    def quantity(self) -> Floats:
        """The amounts required, without sign."""
        return np.abs(self.required)

    def losses(self, plan: Floats) -> Floats:
        """Return the venue's loss in each scenario after a plan, in money."""
        total = np.zeros(len(self.moves))
        left, moves = self.toward_shorts - plan, self.adverse_moves.T
        for start in range(0, len(left), BLOCK):
            rows = slice(start, start + BLOCK)
            total += np.maximum(left[rows] @ moves - self.equity[rows, None], 0).sum(axis=0)
        return total

    def expected_loss(self, plan: Floats) -> float:
        """Return the expected shortfall of a plan, in money."""
        return float(self.losses(plan) @ self.chances)

    def digest(self) -> str:
        """Return the BLAKE2b-256 of all inputs, in hexadecimal."""
        hashed = hashlib.blake2b(digest_size=32)
        for name in self.__slots__:
            column = np.ascontiguousarray(getattr(self, name), "<f8")
            hashed.update(f"{name}{column.shape}".encode() + column.tobytes())
        return hashed.hexdigest()


BLOCK = 1024
"""Accounts that are valued at once: their losses in every scenario fit the cache."""
