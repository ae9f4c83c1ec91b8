"""The marks of all contracts as columns, which are read, checked and set together.

A mark is whole ticks, rounded down, and a fraction above them in units of the last decimal that a
mark of the contract may have (`ContractTerms.mark_decimals`). A contract's row is the number of its
definition. Every number is an exact integer.
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from delever.core.market.contract_terms import MAX_TICKS, ContractTerms
from delever.core.market.mark_limits import ExactMarkLimits
from delever.core.messages import Side
from delever.core.units import (
    COLUMN_LIMIT,
    PPM,
    Bools,
    Ints,
    Mark,
    div_floor,
    divmod_floor,
    mixed_fractions,
    parse_decimals,
)

FIRST_ROWS = 16

COLUMN_THRESHOLD = 16
"""Fewer marks than this are read and set one by one, which is then faster than in columns."""

MAX_MOVE_PPM = 4 * PPM
"""Larger limits of a move are examined exactly, so that products of columns fit int64."""

NO_MINUTE = -1

POWERS = 10 ** np.arange(19, dtype=np.int64)
"""The powers of ten that fit int64."""

COLUMNS = (
    *("ticks", "fractions", "previous_ticks", "previous_fractions"),
    *("confirmed_ticks", "confirmed_fractions", "is_unconfirmed", "is_rejected"),
    *("marked_ms", "minutes", "lows", "highs", "redefined_at"),
    *("factors", "is_linear", "max_ticks", "units", "decimals", "settles"),
    *("max_moves_ppm", "max_ages_ms"),
)


def band_of(mark: Mark) -> tuple[int, int]:
    """Return the band [low, high) of a mark in ticks: 0 to a half above the power of two, or to it.

    Bounds on equity are computed for a whole band, so that most marks change none of them. A mark
    below one tick has no band: (0, 0).

    >>> band_of(100), band_of(64), band_of(0)
    ((96, 128), (64, 96), (0, 0))
    """
    ticks = div_floor(mark.numerator, mark.denominator)
    step = 1 << max(ticks.bit_length() - 2, 0)
    low = ticks - ticks % step
    return (low, low + step) if ticks else (0, 0)


class MarkTable:
    """The marks of all contracts, with what is needed to read, check and set many of them.

    `ticks` and `fractions` are the marks now (0: none yet), `previous_...` those before,
    `confirmed_...` the last ones that were confirmed where `is_unconfirmed`. `minutes` are those in
    which the volatility was last sampled, `lows` and `highs` the bands of the bounds on equity,
    `redefined_at` the sequences at which terms, pool or the pool's rules last changed. `factors`,
    `is_linear`, `max_ticks`, `units` (a tick in units of the last of `decimals`; 0: a product would
    leave int64) and `settles` (an index of `settle_assets`) follow from the terms, `max_moves_ppm`
    and `max_ages_ms` (0: no limit; `has_ages`: there is one) from the limits of marks.
    """

    ticks: Ints
    fractions: Ints
    previous_ticks: Ints
    previous_fractions: Ints
    confirmed_ticks: Ints
    confirmed_fractions: Ints
    is_unconfirmed: Ints
    is_rejected: Ints
    marked_ms: Ints
    minutes: Ints
    lows: Ints
    highs: Ints
    redefined_at: Ints
    factors: Ints
    is_linear: Ints
    max_ticks: Ints
    units: Ints
    decimals: Ints
    settles: Ints
    max_moves_ppm: Ints
    max_ages_ms: Ints

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.settle_assets: list[str] = []
        self.has_ages = False
        self._columns = np.zeros((len(COLUMNS), FIRST_ROWS), np.int64)
        self._view()

    def __len__(self) -> int:
        return len(self.rows)

    def _view(self) -> None:
        """View the columns of the rows in use by name."""
        vars(self).update(zip(COLUMNS, self._columns[:, : len(self.rows)], strict=True))

    def __getstate__(self) -> dict[str, object]:
        """Return what a copy takes: all but the views."""
        return {name: value for name, value in vars(self).items() if name not in COLUMNS}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._view()

    # --- contracts ---

    def add(self, contract: str) -> int:
        """Return the row of a new contract, without a mark."""
        row = self.rows[contract] = len(self.rows)
        if row == self._columns.shape[1]:
            self._columns = np.hstack([self._columns, np.zeros_like(self._columns)])
        self._view()
        self.minutes[row] = NO_MINUTE
        return row

    def set_terms(self, row: int, terms: ContractTerms) -> None:
        """Set the columns that follow from a contract's terms."""
        if terms.settle not in self.settle_assets:
            self.settle_assets.append(terms.settle)
        self.settles[row] = self.settle_assets.index(terms.settle)
        self.factors[row], self.is_linear[row] = terms.factor, terms.linear
        most = div_floor(COLUMN_LIMIT - 1, terms.factor) if terms.linear else MAX_TICKS
        self.max_ticks[row] = min(most, MAX_TICKS)
        self.decimals[row] = terms.mark_decimals
        self.units[row] = terms.column_units

    def set_limits(self, row: int, limits: ExactMarkLimits | None) -> None:
        """Set the limits of a contract's marks; none for one that has ended."""
        move_ppm, age_ms = (limits.max_move_ppm, limits.max_age_ms) if limits else (None, None)
        self.max_moves_ppm[row] = min(move_ppm or 0, MAX_MOVE_PPM)
        self.max_ages_ms[row] = age_ms or 0
        self.has_ages = bool(self.max_ages_ms.any())

    def end(self, row: int) -> None:
        """Exclude the marks of a settled contract from those that `read` returns."""
        self.max_ticks[row] = 0

    # --- many marks ---

    def rows_of(self, contracts: Collection[str]) -> Ints:
        """Return the rows of contracts by name; raises KeyError for one that does not exist."""
        return np.fromiter(map(self.rows.__getitem__, contracts), np.int64, len(contracts))

    def read(self, rows: Ints, prices: Iterable[str | int]) -> tuple[Ints, Ints, Bools] | None:
        """Return the marks of contracts in ticks and fractions, and which of them were read.

        Left out are prices near the end of the numeric range, with trailing zeros beyond the mark's
        decimals, or that need an exact division. None where `parse_decimals` cannot read them.
        """
        numbers = parse_decimals(prices)
        if numbers is None:
            return None
        mantissas, decimals = numbers
        shifts = self.decimals[rows] - decimals
        fits = (shifts >= 0) & (shifts < len(POWERS)) & (self.units[rows] > 0)
        powers = POWERS[np.where(fits, shifts, 0)]
        fits &= mantissas <= div_floor(COLUMN_LIMIT, powers)
        ticks, fractions = divmod_floor(mantissas * powers, np.maximum(self.units[rows], 1))
        fits &= (ticks | fractions > 0) & (ticks < self.max_ticks[rows])
        fits &= (self.is_linear[rows] > 0) | (fractions == 0)
        return ticks, fractions, fits

    def has_left_band(self, rows: Ints, ticks: Ints) -> Bools:
        """Return which marks are outside the bands of their contracts."""
        left: Bools = (ticks < self.lows[rows]) | (ticks >= self.highs[rows])
        return left

    def may_be_guarded(self, rows: Ints, ticks: Ints) -> Bools:
        """Return which marks are not plainly within the limits of their contracts.

        A move of n ticks between marks that lie between ticks is less than n + 1.
        """
        before, limits = self.ticks[rows], self.max_moves_ppm[rows]
        beyond = (abs(ticks - before) + 1) * PPM > limits * before
        guarded: Bools = (self.is_unconfirmed[rows] > 0) | (limits > 0) & beyond
        return guarded

    def lot_values(self, rows: Ints, ticks: Ints, fractions: Ints) -> tuple[Ints, Bools]:
        """Return (whole, rest, divisor) of a lot at marks for each side, as `value_factor` does.

        The second result is which rows have them: not those that need a division without bound.
        """
        linear, between = self.is_linear[rows] > 0, fractions > 0
        factors = self.factors[rows]
        values = np.zeros((len(rows), len(Side), 3), np.int64)
        values[:, 0, 0] = np.where(linear, factors * ticks, 0)
        values[:, 1, 0] = -values[:, 0, 0]
        if linear.all() and not between.any():
            return values, linear
        units = self.units[rows]
        has_values = ~between | linear & (units > 0)
        for divided, top, bottom in (
            (linear & between & has_values, factors * fractions, units),
            (~linear & ~between, -factors, ticks),
        ):
            for number, side in enumerate(Side):
                signed = mixed_fractions(side.sign * top[divided], bottom[divided])
                values[divided, number] += signed
        return values, has_values

    def set(self, time_ms: int, rows: Ints, ticks: Ints, fractions: Ints) -> None:
        """Set the marks of contracts, each named once; confirmed ones become the previous ones."""
        before, before_fractions = self.ticks[rows], self.fractions[rows]
        unconfirmed = self.is_unconfirmed[rows] > 0
        if unconfirmed.any():
            before = np.where(unconfirmed, self.confirmed_ticks[rows], before)
            confirmed = self.confirmed_fractions[rows]
            before_fractions = np.where(unconfirmed, confirmed, before_fractions)
        is_first = before | before_fractions == 0
        self.previous_ticks[rows] = np.where(is_first, ticks, before)
        self.previous_fractions[rows] = np.where(is_first, fractions, before_fractions)
        self.ticks[rows], self.fractions[rows] = ticks, fractions
        self.marked_ms[rows], self.is_rejected[rows] = time_ms, 0

    def aged(self, time_ms: int) -> Sequence[int]:
        """Return the rows of confirmed marks that are older than their contracts allow."""
        if not self.has_ages:
            return ()
        limits = self.max_ages_ms
        old = (limits > 0) & (time_ms - self.marked_ms > limits) & (self.is_unconfirmed == 0)
        rows: list[int] = np.flatnonzero(old & (self.ticks | self.fractions > 0)).tolist()
        return rows
