"""The fairness map: the positions of a side by leverage and return, and whom each variant closes.

The positions are those just before the first round of ADL in the side: profitable or not, eligible
or not. What a variant closes of each is summed over its whole run. Two distributions over all these
positions have a Lorenz curve and a Gini coefficient: the quantity closed, which follows the size of
positions, and the part closed of each position, whose coefficient is 0 where all lose one part.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from delever.core.book import Book
from delever.core.messages import AdlFilled, FillCancelled
from delever.core.units import Floats, Ints
from delever.core.valuation.side_valuation import SideValuation, value_side
from delever.formatting import ContractFormatter, moment
from delever.lab.errors import InputError
from delever.lab.measures.contract_totals import EventTotals
from delever.lab.measures.run_measures import gini_coefficient, lorenz
from delever.lab.reports.interactive.html_page import html_page
from delever.lab.reports.interactive.recording import ContractSide, Recording, closed_sides

MAX_SIDES = 4
"""Contract sides in one file: those of most closed accounts."""

MAX_DOTS = 1_200
"""Positions that are drawn, beside all that any variant closes: those of most notional."""

MAX_LEVERAGE = 1_000
"""Leverage at which a position is drawn that has no equity left."""

LORENZ_POINTS = 60

PositionOfBook = tuple[int, int]
"""Account index and position id."""


def fairness_page(recordings: Sequence[Recording], title: str) -> str:
    """Return the HTML of a fairness map, with a switch between the recordings.

    Raises InputError if ADL closed nothing under any of them.

        >>> from delever.lab.reports.interactive.recording import record_commands
        >>> from delever.lab.runs.scenario import read_scenario
        >>> page = fairness_page(record_commands(read_scenario("examples/crash.ndjson")), "Crash")
        >>> "Lorenz" in page
        True
    """
    return html_page("fairness_map", title, fairness_map(recordings))


def fairness_map(recordings: Sequence[Recording]) -> dict[str, Any]:
    """Return positions and what each variant closes of them, as the script of the page reads them.

    Numbers are floats: a picture, not an account.
    """
    sides = closed_sides(recordings)[:MAX_SIDES]
    if not sides:
        raise InputError("ADL closes nothing under any of the rules: there is nothing to map")
    burdens = [_burdens(recording) for recording in recordings]
    return {
        "variants": [recording.variant for recording in recordings],
        "sides": [_side(recordings, burdens, key) for key in sides],
    }


# --- what a variant closes ---


@dataclass(frozen=True, slots=True)
class _Burden:
    """What a run closed of each position of a side, in Lots, and its haircut in Cash."""

    lots: Counter[PositionOfBook]
    haircut_cash: Counter[PositionOfBook]


def _burdens(recording: Recording) -> dict[ContractSide, _Burden]:
    book = recording.before.copy()
    totals = EventTotals(book, recording.result.marks)
    found: dict[ContractSide, _Burden] = {}
    for event in (event for events in recording.outcomes for event in events):
        book.apply(event)
        totals.add(event)
        match event:
            case AdlFilled():
                fill, sign = event, 1
            case FillCancelled():
                fill, sign = event.fill, -1
            case _:
                continue
        burden = found.setdefault((fill.contract, fill.side), _Burden(Counter(), Counter()))
        key = book.accounts.index[fill.account], fill.position
        burden.lots[key] += sign * fill.lots
        burden.haircut_cash[key] += sign * totals.haircuts_cash.get(fill.fill, 0)
    return found


def _before_adl(recordings: Sequence[Recording], key: ContractSide) -> Book:
    """Return the book before the first fill of a side, under the first variant that has one."""
    for recording in recordings:
        book = recording.before.copy()
        for event in (event for events in recording.outcomes for event in events):
            if isinstance(event, AdlFilled) and (event.contract, event.side) == key:
                return book
            book.apply(event)
    raise InputError(f"{key[0]} {key[1]}: ADL closes nothing")


# --- positions ---


def _side(
    recordings: Sequence[Recording],
    burdens: Sequence[dict[ContractSide, _Burden]],
    key: ContractSide,
) -> dict[str, Any]:
    contract, side = key
    book = _before_adl(recordings, key)
    state = book.contracts[contract]
    view = value_side(book, state, side)
    formatter = ContractFormatter.of(book, state)
    unit = 10**formatter.cash_decimals
    places = [*zip(view.account.tolist(), view.position.tolist(), strict=True)]
    closed = [burden.get(key, _Burden(Counter(), Counter())) for burden in burdens]
    columns = [np.array([one.lots[place] for place in places], np.int64) for one in closed]
    drawn = _drawn(view, columns)
    return {
        "contract": contract,
        "side": str(side),
        "asset": formatter.terms.settle,
        "at": moment(book.time_ms),
        "mark": formatter.price(state.mark),
        "positions": view.size,
        "names": [book.accounts.names[places[row][0]] for row in drawn],
        "leverage": _rounded(_leverage(view)[drawn]),
        "return": _rounded((100 * view.unrealized_pnl / np.maximum(view.entry_notional, 1))[drawn]),
        "notional": _rounded(view.notional[drawn] / unit),
        "held": _curve(view.lots),
        "variants": [
            {
                "part": _rounded(_parts(lots, view)[drawn]),
                "haircut": [round(one.haircut_cash[places[row]] / unit, 2) for row in drawn],
                "lorenz": {"quantity": _curve(lots), "part": _curve(_parts(lots, view))},
                **_figures(one, lots, view, unit),
            }
            for one, lots in zip(closed, columns, strict=True)
        ],
    }


def _drawn(view: SideValuation, columns: Sequence[Ints]) -> list[int]:
    """Return the rows to draw, large ones first: all that a variant closes, and the largest."""
    touched = np.any(np.array(columns) > 0, axis=0)
    order = np.lexsort((-view.notional, ~touched))
    chosen = order[: max(int(touched.sum()), min(MAX_DOTS, view.size))]
    rows: list[int] = chosen[np.argsort(-view.notional[chosen], kind="stable")].tolist()
    return rows


def _leverage(view: SideValuation) -> Floats:
    """Return notional by the position's share of its margin's equity, capped at MAX_LEVERAGE."""
    share = view.maintenance / np.maximum(view.shared_maintenance, 1)
    equity = view.equity * share
    leverage = view.notional / np.maximum(equity, 1)
    return np.where(equity > 0, np.minimum(leverage, MAX_LEVERAGE), MAX_LEVERAGE)


def _parts(lots: Ints, view: SideValuation) -> Floats:
    """Return the part closed of each position, at most 1: a position may have grown since."""
    return np.minimum(lots / np.maximum(view.lots, 1), 1)


def _figures(burden: _Burden, lots: Ints, view: SideValuation, unit: int) -> dict[str, Any]:
    total = int(lots.sum())
    notional = (view.notional / np.maximum(view.lots, 1) * lots).sum() / unit
    return {
        "touched": int((lots > 0).sum()),
        "closed": round(float(notional), 2),
        "cost": round(sum(burden.haircut_cash.values()) / unit, 2),
        "largest": round(100 * int(lots.max(initial=0)) / total, 1) if total else 0,
        "gini": {
            "quantity": gini_coefficient(lots.astype(np.float64)),
            "part": gini_coefficient(_parts(lots, view)),
        },
    }


def _curve(values: Ints | Floats) -> list[float]:
    """Return the Lorenz curve at equal steps from 0 to 1, or nothing if all values are 0."""
    curve = lorenz(values.astype(np.float64))
    return (
        [] if curve is None else _rounded(np.interp(np.linspace(0, 1, LORENZ_POINTS + 1), *curve))
    )


def _rounded(values: Floats) -> list[float]:
    """Return floats with four significant decimals, as a picture needs."""
    return [float(f"{value:.4g}") for value in values.tolist()]
