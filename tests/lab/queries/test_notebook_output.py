"""What a notebook displays: short reprs, bounded HTML, completion, frames of floats."""

import html.parser
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import delever
from delever.core.explain.explanation import Explanation
from delever.lab.queries.position_queries import PositionExplanation

BOOK = delever.read_book(Path(__file__).parents[3] / "examples" / "book")
POOLS = {"main": "1000", "coin": "1"}
SHOCK = delever.Shock({"BTCUSDT": "-0.15"})

RESULTS = {
    "book": BOOK,
    "explanation": delever.explain(BOOK, "BTCUSDT", "bob"),
    "what_if": delever.what_if(BOOK, "BTCUSDT", "bob", close="1.5"),
    "run": delever.simulate(BOOK, SHOCK, pool=POOLS),
}

REPRS = {
    "book": "<Book: 3 contracts, 12 accounts, 2 pools>",
    "explanation": "<PositionExplanation: bob BTCUSDT short: rank 1 of 4, score 0.407654 by bybit>",
    "what_if": "<WhatIfResult: bob BTCUSDT short: rank 1 of 4, score 0.407654 by bybit; "
    "what if 1.5 were closed at the mark?>",
}


class Parser(html.parser.HTMLParser):
    """Counts the cells of the tables of a page, and fails for a tag that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells = 0

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.cells += tag in {"td", "th"}
        if tag not in {"br", "meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", REPRS)
def test_a_repr_is_one_short_line_with_the_answer(name: str) -> None:
    assert repr(RESULTS[name]) == REPRS[name]


@pytest.mark.parametrize("name", RESULTS)
def test_no_repr_has_addresses_or_grows(name: str) -> None:
    assert len(repr(RESULTS[name])) < 200
    assert "0x" not in repr(RESULTS[name])


@pytest.mark.parametrize("name", RESULTS)
def test_html_is_well_formed_and_bounded(name: str) -> None:
    result: Any = RESULTS[name]
    text = result._repr_html_()
    parser = Parser()
    parser.feed(re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL))
    assert parser.open == []
    assert parser.cells > 4
    assert len(text) < 20_000
    assert "http" not in text


def test_the_html_of_a_large_book_lists_its_first_contracts() -> None:
    names = [f"X{number:03}" for number in range(60)]
    positions = [
        {"account": "ann", "contract": name, "side": "long", "quantity": 1, "entry_price": 10,
         "leverage": 2}
        for name in names
    ]  # fmt: skip
    book = delever.book_of(positions, dict.fromkeys(names, "11"), contracts="linear")
    text = book._repr_html_()
    assert "60 contracts" in text
    assert "<td>X019</td>" in text
    assert "<td>X020</td>" not in text
    assert len(repr(book)) < 400


def test_names_are_escaped() -> None:
    rows = [{"account": "<b>", "contract": "<i>", "side": "long", "quantity": 1, "entry_price": 10,
             "leverage": 2}]  # fmt: skip
    book = delever.book_of(rows, {"<i>": "11"}, contracts="linear")
    assert "<td>&lt;i&gt;</td>" in book._repr_html_()
    assert "<p>&lt;b&gt; holds" in delever.explain(book, "<i>", "<b>")._repr_html_()


def test_completion_lists_public_names_and_attributes() -> None:
    assert set(delever.__all__) <= set(dir(delever))
    explanation = RESULTS["explanation"]
    assert isinstance(explanation, PositionExplanation)
    assert {"explanation", "facts", "lines"} <= set(dir(explanation))
    assert "bankruptcy_ticks" in dir(explanation.explanation)
    assert isinstance(explanation.explanation, Explanation)


def test_frames_are_exact_or_floats() -> None:
    exact, floats = (
        delever.rank(BOOK, "BTCUSDT", "short", as_float=each) for each in (False, True)
    )
    assert isinstance(exact.schema["unrealized_pnl"], pl.Decimal)
    assert floats.schema["unrealized_pnl"] == pl.Float64
    assert floats["unrealized_pnl"].to_list() == [*map(float, exact["unrealized_pnl"])]
    compared = delever.compare(BOOK, SHOCK, rules=["bybit"], pool=POOLS, as_float=True)
    assert compared.schema["haircut"] == pl.Float64
    assert not any(isinstance(kind, pl.Decimal) for kind in compared.schema.values())
