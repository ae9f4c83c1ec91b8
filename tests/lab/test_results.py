"""Queue, explanation and what-if of the example book, to the digit."""

from decimal import Decimal
from pathlib import Path

import pytest

from delever.core.rules import RULE_SETS
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.queries import explain, rank, what_if
from delever.lab.tables.book_reader import book_of, read_book

EXAMPLE = Path(__file__).parents[2] / "examples" / "book"
BOOK = read_book(EXAMPLE)

WHY_EVE = """\
eve holds 0.75 BTCUSDT short, cross, at mark 64000.5; rules of bybit, as of sequence 26.

 1. Profit: 47167.5 at entry - 48000.375 at mark = -832.875 USDT.
 2. The account's cross margin has 1917.625 USDT of equity; maintenance margin is 240.001875 USDT,
    12.5156 % of it.
 3. Return on entry = -0.0176578.
 4. Effective leverage = 25.0312.
"""

WHAT_IF_BOB = """\
bob holds 4 BTCUSDT short, cross, at mark 64000.5; rules of bybit, as of sequence 26.
What if 1.5 were closed at the mark? Everybody else stays as they are.

                    now        then
quantity            4          2.5
rank                1 of 4     2 of 4
indicator               5 of 5     3 of 5
ahead               0          1.25
score               0.407654   0.254784
return on entry     0.0604776  0.0604776
effective leverage  6.74058    4.21286"""


def test_the_queue_is_a_frame_with_exact_numbers() -> None:
    queue = rank(BOOK, "BTCUSDT", "short")
    assert queue["account"].to_list() == ["bob", "cyd", "dan", "eve", "mm-1"]
    assert queue["rank"].to_list() == [1, 2, 3, 4, None]
    assert queue["indicator"].to_list() == [5, 3, 2, 1, None]
    assert queue["ahead"].to_list() == [*map(Decimal, ("0", "4", "5.25", "6.75")), None]
    assert queue["profit"][3] == Decimal("-832.875")
    assert queue["leverage"].to_list() == [25, 20, 10, 20, 3]
    assert queue["reason"].to_list() == [None] * 4 + ["exempt_account"]
    assert {"return_on_entry", "effective_leverage"} < set(queue.columns)


@pytest.mark.parametrize("rules", RULE_SETS)
def test_every_rule_set_ranks_every_lane(rules: str) -> None:
    for contract in BOOK.contracts:
        for side in ("long", "short"):
            queue = rank(BOOK, contract, side, rules=rules)
            assert queue.height == BOOK.contracts[contract].tables[side].size
            standing = queue.filter(queue["reason"].is_null())
            assert standing["score"].is_sorted(descending=True)
            assert standing["rank"].to_list() == list(range(1, standing.height + 1))


def test_a_lane_that_is_empty_has_no_rows() -> None:
    book = book_of(
        {"account": ["a"], "contract": ["X"], "side": ["long"], "quantity": ["1"],
         "entry_price": ["2"], "leverage": ["1"]},
        {"X": "3"},
    )  # fmt: skip
    assert rank(book, "X", "short").height == 0
    assert rank(book, "X", "short").columns == rank(book, "X", "long").columns


def test_an_explanation_is_numbered_arithmetic() -> None:
    told = str(explain(BOOK, "BTCUSDT", "eve"))
    assert told.startswith(WHY_EVE)
    assert " 6. Rank 4 of 4, highest score first; ahead: 6.75, of 7.5 in line." in told
    assert "ADL by contract drawdown is off, 0 % of the way (balance 40000 USDT" in told
    assert max(map(len, told.splitlines())) <= 100


def test_who_is_not_in_line_is_told_why() -> None:
    why = explain(BOOK, "BTCUSD", "mm-1")
    assert "Not in line, and never closed as long as that is so: exempt account." in str(why)
    assert why.facts()["rank"] is None
    assert why.facts()["reason"] == "exempt_account"
    assert "0.07813965 at mark - 0.078125 at entry = 0.00001465 BTC" in str(why)


def test_what_if_shows_both_places() -> None:
    assert str(what_if(BOOK, "BTCUSDT", "bob", close="1.5")) == WHAT_IF_BOB
    more = what_if(BOOK, "BTCUSDT", "bob", add_margin="50000").facts()
    assert more["change"] == "50000 USDT of margin were put in"
    assert (more["before"]["rank"], more["after"]["rank"]) == (1, 3)
    less = what_if(BOOK, "BTCUSDT", "bob", add_margin="-100.5")
    assert less.change == "100.5 USDT of margin were taken out"
    assert what_if(BOOK, "BTCUSDT", "ann", leverage="2.5").change == "leverage were 2.5"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "give one of leverage, add_margin, close and hedge (there is none)"),
        ({"close": "1", "leverage": "2"}, "(there is leverage and close)"),
        ({"close": "4.001"}, "close '4.001': must be at most 4, which is what is held"),
        ({"hedge": "4.001"}, "hedge '4.001': must be at most 4, which is what is held"),
        ({"hedge": "0"}, "hedge '0': must be above 0"),
        ({"close": "-1"}, "close '-1': must be above 0"),
        ({"close": "0.0005"}, "close '0.0005': must be a multiple of 0.001"),
        ({"leverage": "0"}, "leverage '0': must be from 0.01 to 1000"),
        ({"leverage": "1000.01"}, "leverage '1000.01': must be from 0.01 to 1000"),
        ({"leverage": "2.123"}, "leverage '2.123': must be from 0.01 to 1000"),
        ({"add_margin": "0.000000001"}, "add_margin '0.000000001': has too many decimals"),
        ({"add_margin": "9" * 30}, "exceeds numeric range"),
        ({"add_margin": 0.5}, "add_margin '0.5': must be an exact decimal"),
        ({"add_margin": "lots"}, "add_margin 'lots': must be an exact decimal"),
    ],
)
def test_changes_that_are_none_are_refused(change: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as caught:
        what_if(BOOK, "BTCUSDT", "bob", **change)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("BTCUSDC", "bob"), "there is no contract 'BTCUSDC'; did you mean 'BTCUSD'?"),
        (("BTCUSDT", "bub"), "there is no account 'bub'; did you mean 'bob'?"),
        (("BTCUSDT", "hal"), "hal holds no position in BTCUSDT"),
        (("BTCUSDT", "dan"), "dan holds both sides of BTCUSDT: say which side"),
    ],
)
def test_names_that_are_not_there_are_told_with_those_that_are(
    asked: tuple[str, str], said: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        explain(BOOK, *asked)
    assert str(caught.value) == said


def test_side_position_and_rules_are_looked_up() -> None:
    assert explain(BOOK, "BTCUSDT", "dan", side="long").explanation.side == "long"
    with pytest.raises(UnknownNameError, match="bob holds no long position in BTCUSDT"):
        explain(BOOK, "BTCUSDT", "bob", side="long")
    with pytest.raises(UnknownNameError, match="bob holds no position in BTCUSDT with number 3"):
        explain(BOOK, "BTCUSDT", "bob", position=3)
    with pytest.raises(UnknownNameError, match="there is no side 'up'; there is long, short"):
        rank(BOOK, "BTCUSDT", "up")
    with pytest.raises(UnknownNameError, match="no side 'shrt'; did you mean 'short'\\?"):
        rank(BOOK, "BTCUSDT", "shrt")
    with pytest.raises(UnknownNameError, match="no rule set 'ftx'"):
        rank(BOOK, "BTCUSDT", "long", rules="ftx")
    given = rank(BOOK, "BTCUSDT", "long", rules=RULE_SETS["bitmart"])
    assert given.equals(rank(BOOK, "BTCUSDT", "long", rules="bitmart"))
