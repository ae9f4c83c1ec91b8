"""Indicators and risk levels of the venues' own values."""

import pytest

from delever.watch.market_data.indicator_scale import (
    BINANCE,
    RANK_INDICATOR,
    VenueScale,
    parse_risk,
)

SCALES = [
    (BINANCE, 0, 1),
    (BINANCE, "4", 5),
    (BINANCE, 5, None),
    (RANK_INDICATOR, 0, 0),
    (RANK_INDICATOR, "5", 5),
    (RANK_INDICATOR, "6", None),
    (RANK_INDICATOR, "", None),
]


@pytest.mark.parametrize(("scale", "raw", "indicator"), SCALES)
def test_indicator_of_a_venues_value(scale: VenueScale, raw: object, indicator: int | None) -> None:
    assert scale.indicator(raw) == indicator


WORDS = [
    ("low", 1),
    ("LOW", 1),
    ("medium", 2),
    ("MIDDLE", 2),
    ("high", 3),
    ("HIGH", 3),
    ("EXTREMELY_HIGH", 4),
    ("none", None),
]


@pytest.mark.parametrize(("word", "level"), WORDS)
def test_risk_of_either_vocabulary(word: str, level: int | None) -> None:
    assert parse_risk(word) == level
