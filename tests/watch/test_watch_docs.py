"""docs/watch.md: its file can be used, its keys are all there, its numbers are computed."""

import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from numbers_read import position, wallet

from delever.watch.advice import advise
from delever.watch.reading import Position
from delever.watch.settings import AnyRule, Cadence, Channel, Quiet, Settings, Venue, parse
from sources import ROOT, report

PAGE = ROOT / "docs" / "watch.md"
CROSS = position(venue="binance")
ALONE = position(isolated=True, margin=Decimal(3_000))
ACCOUNTS = {
    "Binance, cross": ("binance", CROSS),
    "Binance, isolated": ("binance", ALONE),
    "Bybit, isolated": ("bybit", ALONE),
    "OKX, cross": ("okx_2025", CROSS),
}


def score(rules: str, held: Position, *others: Position) -> float:
    advice = advise(held, [held, *others], wallet("3000"), rules)
    assert advice.score is not None
    return advice.score


def times(rules: str, held: Position, change: str) -> float:
    options = advise(held, [held], wallet("3000"), rules).options
    (found,) = [option.times for option in options if option.change.startswith(change)]
    assert found is not None
    return found


def spread(rules: str, held: Position) -> float:
    """Return what half of it in another contract, which stands at no profit, makes of the rest."""
    half = msgspec.structs.replace(
        held, quantity=held.quantity / 2, margin=held.margin and held.margin / 2,
        maintenance=Decimal("82.5"),
    )  # fmt: skip
    price = Decimal(3_300)
    other = msgspec.structs.replace(
        half, name="ETHUSDT", quantity=Decimal(5), entry_price=price, mark=price
    )
    return score(rules, half, other) / score(rules, held)


def table() -> Sequence[str]:
    """Return the rows of the five ways, each as the page has it."""
    changes = {
        "1. lower the leverage, 10 to 5": "leverage",
        "2. take the profit, open again at the mark": "take the profit",
        "3. reduce the size by half": "close",
    }
    rows = [["as it is: score", *(f"{score(*each):.4g}" for each in ACCOUNTS.values())]]
    for said, change in changes.items():
        rows.append([said, *(f"x {times(*each, change):.2f}" for each in ACCOUNTS.values())])
    rows.append(["4. diversify", *(f"x {spread(*each):.2f}" for each in ACCOUNTS.values())])
    rows.append(
        ["(add 3,000 of margin)", *(f"x {times(*e, 'add'):.2f}" for e in ACCOUNTS.values())]
    )
    return ["| " + " | ".join(row) + " |" for row in rows]


@pytest.mark.parametrize("row", table())
def test_the_five_ways_are_computed(row: str) -> None:
    assert row in PAGE.read_text(), f"docs/watch.md lacks {row}"


def test_the_file_of_the_page_can_be_used() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    settings = parse(tomllib.loads(example))
    assert {venue.venue for venue in settings.venues} == {"binance", "bybit", "okx"}
    kinds = {type(rule) for rule in settings.rules}
    assert kinds == set(AnyRule.__args__)  # type: ignore[attr-defined]


def test_the_page_names_every_key() -> None:
    text = PAGE.read_text()
    structs = [Settings, Venue, Cadence, Channel, Quiet, *AnyRule.__args__]  # type: ignore[attr-defined]
    names = {name for struct in structs for name in struct.__struct_fields__}
    report([f"docs/watch.md says nothing of `{name}`" for name in names if name not in text])
