"""How ADL was shared out, and what it cost, contract by contract: to set policies side by side.

Over everybody who stood in line, also those who lost nothing: a rule that takes all from few is not
fairer for having few to compare.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from delever.core.messages import AdlFilled, Event, FillCancelled, RoundClosed, Side
from delever.lab.runs.run import Result

PLACES = 4
"""Decimals of a percentage and of a Gini coefficient, rounded half to even."""


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """One contract's ADL; what cannot be said (nobody closed, nothing to lose) is None.

    `ranked` is the most positions of each side that stood in line in a round. `haircut` is what
    counterparties bore of the profit that they would have had at the mark, `largest` what the most
    affected position gave up of all that was closed, both in percent. `gini` is that of the
    quantity given up over all who stood in line: 0 where all gave the same, near 1 where one of
    many gave all.
    """

    contract: str
    ranked: int
    haircut: Decimal | None
    largest: Decimal | None
    gini: Decimal | None


def measures(result: Result) -> dict[str, Measures]:
    """Return the measures of every contract in which there was a round of ADL."""
    given, ranked = _shares(result.events)
    totals = {total.contract: total for total in result.summary.contracts}
    told = {}
    for contract, by_side in ranked.items():
        lots, most = list((+given[contract]).values()), sum(by_side.values())
        total = totals[contract]
        borne, realized = Fraction(total.borne), Fraction(total.realized)
        told[contract] = Measures(
            contract=contract,
            ranked=most,
            haircut=_percent(borne, borne + realized) if lots else None,
            largest=_percent(Fraction(max(lots, default=0)), Fraction(sum(lots))),
            gini=gini(lots, most),
        )
    return told


Given = defaultdict[str, Counter[tuple[Side, str, int]]]
InLine = defaultdict[str, dict[Side, int]]


def _shares(events: Iterable[Event]) -> tuple[Given, InLine]:
    """Return what each position gave up by contract, and the most of each side in line."""
    given: Given = defaultdict(Counter)
    ranked: InLine = defaultdict(dict)
    for event in events:
        match event:
            case AdlFilled():
                given[event.contract][event.side, event.account, event.position] += event.lots
            case FillCancelled():
                fill = event.fill
                given[fill.contract][fill.side, fill.account, fill.position] -= fill.lots
            case RoundClosed():
                sides = ranked[event.contract]
                sides[event.side] = max(sides.get(event.side, 0), event.counterparties)
            case _:
                pass
    return given, ranked


def gini(values: Sequence[int], population: int) -> Decimal | None:
    """Return the Gini coefficient of values, and of zeros up to the population.

    sum((2 i - n - 1) x_i) / (n sum(x)), x in rising order, i from 1; None where all is 0.
    """
    rising = [0] * (population - len(values)) + sorted(values)
    size, total = len(rising), sum(rising)
    if total == 0:
        return None
    weighted = sum((2 * place - size - 1) * x for place, x in enumerate(rising, start=1))
    return _rounded(Fraction(weighted, size * total))


def _percent(part: Fraction, whole: Fraction) -> Decimal | None:
    return _rounded(100 * part / whole) if whole > 0 else None


def _rounded(number: Fraction) -> Decimal:
    return Decimal(round(number * 10**PLACES)).scaleb(-PLACES)
