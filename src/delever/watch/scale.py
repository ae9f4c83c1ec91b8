"""Every venue's indicators and risk words on one scale; the venue's own value is kept beside them.

Indicator: 0 without a place in line, 1 (last) to 5 (next to be deleveraged). Risk: 1 low, 2 medium,
3 high, 4 extremely high.
"""

from dataclasses import dataclass

from delever.core.rules.ranking import quantile, same

RISKS = ("low", "medium", "high", "extremely high")
"""The words of risk, from 1 on."""

_RISK_WORDS = {"low": 1, "medium": 2, "middle": 2, "high": 3, "extremely_high": 4}


@dataclass(frozen=True, slots=True)
class Scale:
    """A venue's own scale of indicators: its values from the last in line to the next."""

    says: str
    values: dict[str, int]

    def indicator(self, raw: object) -> int | None:
        """Return the indicator of a venue's value, whatever type it was sent as; None for no value."""
        return self.values.get(str(raw))


BINANCE = Scale("0-4, 4 next", {str(quantile(indicator)): indicator for indicator in range(1, 6)})
"""Binance's quantile; a position always has one, so 0 is the fifth of the line that is last."""

INDICATORS = Scale("0-5, 5 next", {str(same(indicator)): indicator for indicator in range(6)})
"""Bybit's adlRankIndicator and OKX's adl; 0 is no position."""


def risk(word: str) -> int | None:
    """Return the risk of Binance's word (either case, either vocabulary), None for no such word."""
    return _RISK_WORDS.get(word.lower())
