"""A submission to ADL-Bench: haircuts in proportion to leverage times profit.

    delever lab bench examples/bench/leverage_pro_rata.py

It is P1's leverage pro rata with the budget met, which its published formula misses.
"""

from dataclasses import dataclass

import numpy as np

from delever.lab.policies import PolicyContext, Winners
from delever.lab.policies.haircuts.levels import capped_shares


@dataclass(frozen=True)
class LeverageProRata:
    """x_i = min(w_i, t l_i w_i), with the level t at which haircuts sum to the budget."""

    name: str = "leverage_pro_rata"

    def haircuts(
        self, winners: Winners, budget: float, _context: PolicyContext | None = None
    ) -> np.ndarray:
        """Return each winner's haircut."""
        leverage = np.minimum(winners.leverage, 1e9)
        caps = np.divide(1.0, leverage, out=np.zeros_like(leverage), where=leverage > 0)
        return capped_shares(winners.profit * leverage, caps, budget)


policy = LeverageProRata()
