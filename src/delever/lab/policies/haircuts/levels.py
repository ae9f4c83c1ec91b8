"""One level of a ratio at which capped shares sum to a budget: the arithmetic of water filling."""

import numpy as np

from delever.core.units import Floats


def capped_shares(mass: Floats, ratio_caps: Floats, budget: float) -> Floats:
    """Return mass * min(t, cap) for the level t at which these sum to the budget.

    If all caps together do not suffice, each member gives its cap; members without mass give
    nothing. Newton's method from below, exact after finitely many steps: each step fixes the
    members whose cap is at or below the level. No member is sorted.

        >>> import numpy as np
        >>> capped_shares(np.array([10.0, 9.0]), np.array([1.0, 0.1]), 5.0).round(6).tolist()
        [4.1, 0.9]
    """
    most = mass * ratio_caps
    shares = np.where(mass > 0, most, 0.0)
    open_ = np.flatnonzero((mass > 0) & (ratio_caps > 0))
    left, level = float(budget), 0.0
    if left <= 0:
        return np.zeros_like(mass)
    while len(open_) and left > 0:
        level = left / float(mass[open_].sum())
        fixed = ratio_caps[open_] <= level
        if not fixed.any():
            shares[open_] = mass[open_] * level
            break
        left -= float(most[open_[fixed]].sum())
        open_ = open_[~fixed]
    return shares
