"""Every venue's ADL indicators and risk labels on one scale; the venue's own value stays beside it.

Indicator: 0 unranked, 1 (last) to 5 (first to be deleveraged). Risk: 1 low, 2 medium, 3 high,
4 extremely high.
"""

from dataclasses import dataclass

from delever.core.rules.ranking import to_quantile, unchanged

RISKS = ("low", "medium", "high", "extremely high")
"""Risk labels, from level 1 on."""

_RISK_LEVELS = {"low": 1, "medium": 2, "middle": 2, "high": 3, "extremely_high": 4}


@dataclass(frozen=True, slots=True)
class VenueScale:
    """A venue's own indicator scale: a label, and the indicator of each of its values."""

    label: str
    values: dict[str, int]

    def indicator(self, raw: object) -> int | None:
        """Return the indicator of a venue's value, text or number; None if it is unknown."""
        return self.values.get(str(raw))


BINANCE = VenueScale("0-4, 4 next", {str(to_quantile(rank)): rank for rank in range(1, 6)})
"""Binance's quantile; every position has one, so 0 is the last fifth of the queue."""

RANK_INDICATOR = VenueScale("0-5, 5 next", {str(unchanged(rank)): rank for rank in range(6)})
"""Bybit's adlRankIndicator and OKX's adl; 0 is no position."""


def parse_risk(label: str) -> int | None:
    """Return the level of Binance's documented or live risk label; None if it is unknown."""
    return _RISK_LEVELS.get(label.lower())
