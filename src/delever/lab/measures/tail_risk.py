"""Expected shortfall of a book after ADL: what it leaves the venue exposed to.

The next move of the market is a set of shocks that the policy was not optimized for. Under each,
the loss is the sum of the negative equities of all margin buckets; the fund is not counted.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from delever.core.book import Book
from delever.core.units import Floats
from delever.lab.errors import InputError
from delever.lab.runs.market_paths.path import Shock


def losses_after(book: Book, shocks: Sequence[Shock], asset: str) -> Floats:
    """Return L(z) = sum (-E_i(z))+ for each shock, in units of the settle asset.

    A bucket is an isolated position, or an account with all its cross positions in the asset.
    """
    return np.array([_loss_after(book, shock, asset) for shock in shocks])


def _loss_after(book: Book, shock: Shock, asset: str) -> float:
    size = book.accounts.size
    equity = book.assets[asset].wallets.balance[:size].astype(float)
    loss = 0.0
    for state in book.contracts.values():
        if state.terms.settle != asset or not state.mark:
            continue
        mark = state.mark * Fraction(shock.ratio(state.name))
        for side, table in state.tables.items():
            n = table.size
            lots = table.lots[:n].astype(float) * side.sign
            value = lots * float(mark) if state.terms.linear else -lots / float(mark)
            pnl = value * state.terms.factor - table.cost[:n]
            isolated = table.isolated[:n]
            own = pnl[isolated] + table.margin[:n][isolated]
            loss += float(np.maximum(-own, 0).sum())
            equity += np.bincount(table.account[:n][~isolated], pnl[~isolated], size)
    loss += float(np.maximum(-equity, 0).sum())
    return loss / float(10 ** book.cash_decimals(asset))


def check_alpha(alpha: object) -> None:
    """Raise InputError unless alpha is a number of at least 0 and below 1."""
    if not isinstance(alpha, float | int) or not 0 <= alpha < 1:
        raise InputError("must be a number, at least 0 and below 1", column="alpha", value=alpha)


def cvar(losses: Floats, alpha: float = 0.0) -> float:
    """Return the mean of the worst 1 - alpha of equally likely losses: ES_alpha; 0 is the mean.

    Rockafellar and Uryasev: min over c of c + E[(L - c)+] / (1 - alpha), exact for a sample whose
    tail is not a whole number of losses.

    >>> import numpy as np
    >>> cvar(np.array([0.0, 10.0, 20.0, 40.0]), 0.5)
    30.0
    >>> cvar(np.array([0.0, 10.0, 20.0, 40.0]), 0.6)
    32.5
    """
    check_alpha(alpha)
    worst = np.sort(losses)[::-1]
    tail = (1 - alpha) * len(worst)
    weights = np.clip(tail - np.arange(len(worst)), 0, 1)
    return round(float(weights @ worst / tail), 9)
