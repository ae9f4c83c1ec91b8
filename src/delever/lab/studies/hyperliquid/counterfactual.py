"""What each policy would have closed of a whole book, beside what the venue closed.

The quantity of each coin and side is the venue's, all of it at the instant of the book. The spared
accounts are in the book, so that a policy can choose them. A policy divides the notional over the
positions of the side whose accounts have equity.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from delever.core.units import Floats
from delever.lab.errors import InputError, unknown
from delever.lab.measures.run_measures import gini_coefficient
from delever.lab.policies.haircuts.levels import capped_shares
from delever.lab.policies.haircuts.ordered import fill_by_value
from delever.lab.policies.lot_policies import factor_shares

TOUCHED = 1e-6
"""Part of a position above which it counts as touched, and 1 less it as closed whole."""


@dataclass(frozen=True, slots=True)
class SideColumns:
    """The positions of one coin and side; `price_ratio` is mark / entry, inverted for shorts."""

    notional: Floats
    equity: Floats
    profit: Floats
    price_ratio: Floats

    @property
    def leverage(self) -> Floats:
        """Notional / equity."""
        return self.notional / self.equity


def queue(side: SideColumns, wanted: float) -> Floats:
    """Return what Hyperliquid's published score closes: price ratio times leverage, in order."""
    return fill_by_value(side.price_ratio * side.leverage * side.notional, side.notional, wanted)


def pro_rata(side: SideColumns, wanted: float) -> Floats:
    """Return the same part of every position."""
    return capped_shares(side.notional, np.ones_like(side.notional), wanted)


def wealth_pro_rata(side: SideColumns, wanted: float) -> Floats:
    """Return notional in proportion to profit, up to the position; the rest by size."""
    return _by_mass(side, np.maximum(side.profit, 0), wanted)


def risk_aware_pro_rata(side: SideColumns, wanted: float) -> Floats:
    """Return notional in proportion to profit times leverage squared; the rest by size."""
    return _by_mass(side, np.maximum(side.profit, 0) * side.leverage**2, wanted)


def min_max_leverage(side: SideColumns, wanted: float) -> Floats:
    """Return what makes the highest leverage of a position by its account's equity the lowest."""
    return factor_shares(side.notional, side.notional, side.equity, wanted)


def _by_mass(side: SideColumns, mass: Floats, wanted: float) -> Floats:
    caps = np.divide(side.notional, mass, out=np.zeros_like(mass), where=mass > 0)
    taken = capped_shares(mass, caps, wanted)
    room = side.notional - taken
    return taken + capped_shares(room, np.ones_like(room), wanted - float(taken.sum()))


SidePolicy = Callable[[SideColumns, float], Floats]

SIDE_POLICIES: dict[str, SidePolicy] = {
    policy.__name__: policy
    for policy in (queue, pro_rata, wealth_pro_rata, risk_aware_pro_rata, min_max_leverage)
}
"""Policies on columns of float64, for a million positions; `lab.policies` has those in lots."""


@dataclass(frozen=True, slots=True)
class OctoberStudy:
    """What each policy closes of a book, and a summary of each beside the venue.

    `positions` has the columns of the book, `closed` by the venue, and a column for each policy,
    all in notional. `unexplained` counts ADL fills of positions that the book does not have.
    """

    positions: pl.DataFrame
    summary: pl.DataFrame
    unexplained: int


def compare_policies(
    book: pl.DataFrame, adl: pl.DataFrame, policies: Sequence[str] | None = None
) -> OctoberStudy:
    """Return the counterfactual of each policy; `adl` has account, coin and signed size.

    Raises UnknownNameError for a policy, InputError where no ADL fill is of a position of the book.
    """
    names = list(SIDE_POLICIES) if policies is None else list(policies)
    for name in names:
        if name not in SIDE_POLICIES:
            raise unknown("policy", name, SIDE_POLICIES)
    closed = adl.group_by("account", "coin").agg(pl.col("size").sum().alias("bought"))
    joined = book.join(closed, on=["account", "coin"], how="left")
    is_reduced = pl.col("bought").fill_null(0.0) * pl.col("size") < 0
    part = (pl.col("bought").abs() / pl.col("size").abs()).clip(0, 1)
    joined = joined.with_columns(
        closed=pl.when(is_reduced).then(pl.col("notional") * part).otherwise(0.0),
        is_short=pl.col("size") < 0,
    ).drop("bought")
    if not (joined["closed"] > 0).any():
        raise InputError("no ADL fill reduces a position of the book", column="adl")
    unexplained = closed.height - int((joined["closed"] > 0).sum())
    sides = [
        _with_policies(side, names)
        for side in joined.partition_by("coin", "is_short")
        if side["closed"].sum() > 0
    ]
    positions = pl.concat(sides).drop("is_short")
    summary = pl.DataFrame([_summary(positions, name) for name in ("closed", *names)])
    return OctoberStudy(positions, summary, unexplained)


def _with_policies(side: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return the positions of one side with what each policy closes; accounts need equity."""
    sound = (side["equity"] > 0).to_numpy()
    ratio = side["mark"].to_numpy() / np.maximum(side["entry"].to_numpy(), 1e-300)
    ratio = np.where(side["is_short"].to_numpy(), 1 / np.maximum(ratio, 1e-300), ratio)
    notional, equity, profit = (
        side[name].to_numpy()[sound] for name in ("notional", "equity", "profit")
    )
    columns = SideColumns(notional, equity, profit, ratio[sound])
    wanted = min(float(side["closed"].sum()), float(columns.notional.sum()))
    added = []
    for name in names:
        taken = np.zeros(side.height)
        if sound.any():
            taken[sound] = SIDE_POLICIES[name](columns, wanted)
        added.append(pl.Series(name, taken))
    return side.with_columns(added)


def _summary(positions: pl.DataFrame, name: str) -> dict[str, object]:
    """Return a row: who is touched, how much is the same as the venue's, who is spared or hit."""
    taken, real = positions[name].to_numpy(), positions["closed"].to_numpy()
    notional = positions["notional"].to_numpy()
    touched, really = taken > TOUCHED * notional, real > TOUCHED * notional
    total = float(taken.sum())
    left = notional - taken
    equity = positions["equity"].to_numpy()
    leverage = left[equity > 0] / equity[equity > 0]
    return {
        "policy": "venue" if name == "closed" else name,
        "notional": total,
        "touched": int(touched.sum()),
        "closed_whole": int((taken >= (1 - TOUCHED) * notional).sum()),
        "spared": int((really & ~touched).sum()),
        "newly_touched": int((touched & ~really).sum()),
        "overlap": float(np.minimum(taken, real).sum()) / total if total else None,
        "gini": gini_coefficient(taken),
        "max_leverage_after": float(leverage.max(initial=0)),
    }
