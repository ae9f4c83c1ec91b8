"""docs/watch.md: its file is valid, its keys are complete, its numbers are computed."""

import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from observation_samples import position, wallet

from delever.watch.market_data.observations import PositionObservation
from delever.watch.screen.advice import advise
from delever.watch.settings import (
    AlertChannel,
    AnyRule,
    QuietHours,
    RefreshIntervals,
    WatchedVenue,
    WatchSettings,
    parse,
)
from sources import ROOT, report

PAGE = ROOT / "docs" / "watch.md"
CROSS = position(venue="binance")
ISOLATED = position(isolated=True, margin=Decimal(3_000))
ACCOUNTS = {
    "Binance, cross": ("binance", CROSS),
    "Binance, isolated": ("binance", ISOLATED),
    "Bybit, isolated": ("bybit", ISOLATED),
    "OKX, cross": ("okx_2025", CROSS),
}


def score(rules: str, observed: PositionObservation, *others: PositionObservation) -> float:
    advice = advise(observed, [observed, *others], wallet("3000"), rules)
    assert advice.score is not None
    return advice.score


def score_ratio(rules: str, observed: PositionObservation, change: str) -> float:
    options = advise(observed, [observed], wallet("3000"), rules).options
    (found,) = [option.score_ratio for option in options if option.change.startswith(change)]
    assert found is not None
    return found


def spread(rules: str, observed: PositionObservation) -> float:
    """Return the score ratio after moving half into another contract, which has no PnL."""
    half = msgspec.structs.replace(
        observed, quantity=observed.quantity / 2, margin=observed.margin and observed.margin / 2,
        maintenance=Decimal("82.5"),
    )  # fmt: skip
    price = Decimal(3_300)
    other = msgspec.structs.replace(
        half, name="ETHUSDT", quantity=Decimal(5), entry_price=price, mark=price
    )
    return score(rules, half, other) / score(rules, observed)


def table() -> Sequence[str]:
    """Return the rows of the five options, as in the page."""
    changes = {
        "1. lower the leverage, 10 to 5": "leverage",
        "2. take profit, open again at the mark": "take profit",
        "3. reduce the size by half": "close",
    }
    rows = [["unchanged: score", *(f"{score(*each):.4g}" for each in ACCOUNTS.values())]]
    for label, change in changes.items():
        rows.append([label, *(f"x {score_ratio(*each, change):.2f}" for each in ACCOUNTS.values())])
    rows.append(["4. diversify", *(f"x {spread(*each):.2f}" for each in ACCOUNTS.values())])
    rows.append(
        ["(add 3,000 of margin)", *(f"x {score_ratio(*e, 'add'):.2f}" for e in ACCOUNTS.values())]
    )
    return ["| " + " | ".join(row) + " |" for row in rows]


@pytest.mark.parametrize("row", table())
def test_the_numbers_of_the_five_options_are_computed(row: str) -> None:
    assert row in PAGE.read_text(), f"docs/watch.md lacks {row}"


def test_the_example_file_of_the_page_is_valid() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    settings = parse(tomllib.loads(example))
    assert {venue.venue for venue in settings.venues} == {
        "binance",
        "bybit",
        "okx",
        "hyperliquid",
        "dydx",
    }
    kinds = {type(rule) for rule in settings.rules}
    assert kinds == set(AnyRule.__args__)  # type: ignore[attr-defined]


def test_the_page_names_every_setting() -> None:
    text = PAGE.read_text()
    structs = [
        WatchSettings,
        WatchedVenue,
        RefreshIntervals,
        AlertChannel,
        QuietHours,
        *AnyRule.__args__,
    ]  # type: ignore[attr-defined]
    names = {name for struct in structs for name in struct.__struct_fields__}
    report([f"docs/watch.md lacks `{name}`" for name in names if name not in text])
