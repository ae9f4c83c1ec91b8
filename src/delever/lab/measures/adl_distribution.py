"""How the ADL of a run was distributed over the queue, contract by contract.

Measures cover every ranked position, also those that lost nothing: a policy that takes all from a
few is not fairer because few were ranked.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from delever.core.messages import AdlFilled, Event, FillCancelled, RoundClosed, Side
from delever.lab.measures.contract_totals import ContractTotal

PLACES = 4
"""Decimals of a percentage and of a Gini coefficient, rounded half to even."""


class AdlDistribution(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of one contract's ADL; None where a measure is undefined.

    `ranked` is the largest number of positions in the queue of each side, added up.
    `haircut_ratio` is the counterparties' haircut as a percentage of the PnL that they would have
    realized at the mark, `largest_share` the percentage of the quantity closed that the most
    affected position supplied. `gini` is that of the quantity closed over the ranked positions: 0
    if all supplied the same, near 1 if one of many supplied all.
    """

    contract: str
    ranked: int
    haircut_ratio: Decimal | None
    largest_share: Decimal | None
    gini: Decimal | None


def adl_distributions(
    events: Iterable[Event], totals: Iterable[ContractTotal]
) -> dict[str, AdlDistribution]:
    """Return the distribution of every contract with a round of ADL; `totals` are of the events."""
    closed_lots, ranked = _closed_and_ranked(events)
    total_of = {total.contract: total for total in totals}
    distributions = {}
    for contract, by_side in ranked.items():
        lots = list((+closed_lots[contract]).values())
        population = sum(by_side.values())
        total = total_of[contract]
        haircut, realized = Fraction(total.haircut), Fraction(total.realized_pnl)
        distributions[contract] = AdlDistribution(
            contract=contract,
            ranked=population,
            haircut_ratio=_percent(haircut, haircut + realized) if lots else None,
            largest_share=_percent(Fraction(max(lots, default=0)), Fraction(sum(lots))),
            gini=gini(lots, population),
        )
    return distributions


ClosedLots = defaultdict[str, Counter[tuple[Side, str, int]]]
Ranked = defaultdict[str, dict[Side, int]]


def _closed_and_ranked(events: Iterable[Event]) -> tuple[ClosedLots, Ranked]:
    """Return the lots closed of each position and the longest queue of each side, by contract."""
    closed: ClosedLots = defaultdict(Counter)
    ranked: Ranked = defaultdict(dict)
    for event in events:
        match event:
            case AdlFilled():
                closed[event.contract][event.side, event.account, event.position] += event.lots
            case FillCancelled():
                fill = event.fill
                closed[fill.contract][fill.side, fill.account, fill.position] -= fill.lots
            case RoundClosed():
                sides = ranked[event.contract]
                sides[event.side] = max(sides.get(event.side, 0), event.counterparties)
            case _:
                pass
    return closed, ranked


def gini(values: Sequence[int], population: int) -> Decimal | None:
    """Return the Gini coefficient of values, filled up with zeros to the population.

    sum((2 i - n - 1) x_i) / (n sum(x)), x ascending, i from 1; None if all values are 0.
    """
    ascending = [0] * (population - len(values)) + sorted(values)
    size, total = len(ascending), sum(ascending)
    if total == 0:
        return None
    weighted = sum((2 * place - size - 1) * x for place, x in enumerate(ascending, start=1))
    return _rounded(Fraction(weighted, size * total))


def _percent(part: Fraction, whole: Fraction) -> Decimal | None:
    return _rounded(100 * part / whole) if whole > 0 else None


def _rounded(number: Fraction) -> Decimal:
    return Decimal(round(number * 10**PLACES)).scaleb(-PLACES)
