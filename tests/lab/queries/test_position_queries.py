"""Queue, explanation and what-if of the example book, to the digit."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from delever import lab
from delever.core.rules import RULE_SETS
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.position_queries import explain, rank, what_if
from delever.lab.tables.book_reader import book_of, read_book

EXAMPLE = Path(__file__).parents[3] / "examples" / "book"
BOOK = read_book(EXAMPLE)

WHY_EVE = """\
eve holds 0.75 BTCUSDT short, cross, at mark 64000.5; rules of bybit, as of sequence 26.

 1. Unrealized PnL: 47167.5 at entry - 48000.375 at mark = -832.875 USDT.
 2. Equity of the account's cross margin: 2750.5 balance + -832.875 unrealized PnL = 1917.625 USDT;
    maintenance margin is 240.001875 USDT, a margin ratio of 12.5156 %.
 3. Share of equity: 1917.625 USDT; bankruptcy price 66557.
 4. Return on entry = -832.875 (unrealized PnL) / 47167.5 (notional at entry) = -0.0176578.
 5. Effective leverage = 48000.375 (notional at mark) / 1917.625 (share of equity) = 25.0312.
 6. Score = -0.0176578 / 25.0312 = -0.000705433: PnL / entry value x leverage, for losers /
    leverage; leverage = mark value / (mark value - bankruptcy value).
"""

WHAT_IF_BOB = """\
bob holds 4 BTCUSDT short, cross, at mark 64000.5; rules of bybit, as of sequence 26.
What if 1.5 were closed at the mark? All other accounts are unchanged.

                    now        then
quantity            4          2.5
rank                1 of 4     2 of 4
indicator           5 of 5     3 of 5
quantity ahead      0          1.25
score               0.407654   0.254784
return on entry     0.0604776  0.0604776
effective leverage  6.74058    4.21286"""


def test_the_queue_is_a_frame_with_exact_numbers() -> None:
    queue = rank(BOOK, "BTCUSDT", "short")
    assert queue["account"].to_list() == ["bob", "cyd", "dan", "eve", "mm-1"]
    assert queue["rank"].to_list() == [1, 2, 3, 4, None]
    assert queue["indicator"].to_list() == [5, 3, 2, 1, None]
    assert queue["quantity_ahead"].to_list() == [*map(Decimal, ("0", "4", "5.25", "6.75")), None]
    assert queue["unrealized_pnl"][3] == Decimal("-832.875")
    assert queue["leverage"].to_list() == [25, 20, 10, 20, 3]
    assert queue["reason"].to_list() == [None] * 4 + ["exempt_account"]
    assert {"return_on_entry", "effective_leverage"} < set(queue.columns)


@pytest.mark.parametrize("name", ["SHORT", "short", "Sell", "SELL"])
def test_every_function_with_a_side_takes_the_names_of_venues(name: str) -> None:
    assert rank(BOOK, "BTCUSDT", name).equals(rank(BOOK, "BTCUSDT", "short"))
    assert str(explain(BOOK, "BTCUSDT", "eve", side=name)).startswith(WHY_EVE)
    assert str(what_if(BOOK, "BTCUSDT", "bob", side=name, close="1.5")) == WHAT_IF_BOB
    assert lab.allocate(BOOK, "BTCUSDT", name, "3")["reduced"].sum() == 3
    shocks = [lab.Shock({"BTCUSDT": "0.1"})]
    plan = lab.plan_reduction(BOOK, {("BTCUSDT", name): "3"}, scenarios=shocks)
    assert plan.frame["side"].unique().to_list() == ["short"]


@pytest.mark.parametrize("name", ["up", "", None, 1])
def test_what_is_no_side_is_rejected(name: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"there is no side .*; there is long, short"):
        rank(BOOK, "BTCUSDT", name)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("bybit+x", "rule set 'bybit+x': there is no option 'x'; there is both_legs, cap_per_acc"),
        ("bybit+pro_rate", "there is no option 'pro_rate'; did you mean 'pro_rata'"),
        ("bybit+both_legs+cap_per_account=2", "no option 'cap_per_account=2'; did you mean"),
        ("bybt+pro_rata", "there is no rule set 'bybt'; did you mean 'bybit'"),
        ("drift+pro_rata", "rule set 'drift' has no queue, so it has no options"),
    ],
)
def test_an_unknown_rule_set_names_the_part_that_is_wrong(rules: str, message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        rank(BOOK, "BTCUSDT", "short", rules=rules)
    assert message in str(caught.value)


@pytest.mark.parametrize("rules", RULE_SETS)
def test_every_rule_set_ranks_every_side(rules: str) -> None:
    for contract in BOOK.contracts:
        for side in ("long", "short"):
            queue = rank(BOOK, contract, side, rules=rules)
            assert queue.height == BOOK.contracts[contract].tables[side].size
            ranked = queue.filter(queue["reason"].is_null())
            assert ranked["score"].is_sorted(descending=True)
            assert ranked["rank"].to_list() == list(range(1, ranked.height + 1))


def test_the_queue_of_an_empty_side_has_no_rows() -> None:
    book = book_of(
        {"account": ["a"], "contract": ["X"], "side": ["long"], "quantity": ["1"],
         "entry_price": ["2"], "leverage": ["1"]},
        {"X": "3"}, contracts="linear",
    )  # fmt: skip
    assert rank(book, "X", "short").height == 0
    assert rank(book, "X", "short").columns == rank(book, "X", "long").columns


def test_an_explanation_is_numbered_arithmetic() -> None:
    text = str(explain(BOOK, "BTCUSDT", "eve"))
    assert text.startswith(WHY_EVE)
    assert " 7. Rank 4 of 4, highest score first; quantity ahead: 6.75 of 7.5 in the queue." in text
    assert "ADL by contract drawdown is off, trigger used 0 %; its ADL price is the" in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_ineligible_position_has_its_reason() -> None:
    why = explain(BOOK, "BTCUSD", "mm-1")
    assert "Not ranked, and not deleveraged as long as this applies: exempt account." in str(why)
    assert why.facts()["rank"] is None
    assert why.facts()["reason"] == "exempt_account"
    assert "0.07813965 at mark - 0.078125 at entry = 0.00001465 BTC" in str(why)


def test_a_what_if_has_the_place_before_and_after() -> None:
    assert str(what_if(BOOK, "BTCUSDT", "bob", close="1.5")) == WHAT_IF_BOB
    more = what_if(BOOK, "BTCUSDT", "bob", add_margin="50000").facts()
    assert more["change"] == "50000 USDT of margin were added"
    assert (more["before"]["rank"], more["after"]["rank"]) == (1, 3)
    less = what_if(BOOK, "BTCUSDT", "bob", add_margin="-100.5")
    assert less.change == "100.5 USDT of margin were withdrawn"
    assert what_if(BOOK, "BTCUSDT", "ann", leverage="2.5").change == "leverage were 2.5"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "give exactly one of leverage, add_margin, close and hedge, not none"),
        ({"close": "1", "leverage": "2"}, "not leverage and close"),
        ({"close": "4.001"}, "close '4.001': must be at most the position's quantity, 4"),
        ({"hedge": "4.001"}, "hedge '4.001': must be at most the position's quantity, 4"),
        ({"hedge": "0"}, "hedge '0': must be above 0"),
        ({"close": "-1"}, "close '-1': must be above 0"),
        ({"close": "0.0005"}, "close '0.0005': must be a multiple of 0.001"),
        ({"leverage": "0"}, "leverage '0': must be from 0.01 to 1000"),
        ({"leverage": "10000.01"}, "leverage '10000.01': must be from 0.01 to 10000"),
        ({"leverage": "2.123"}, "leverage '2.123': must be from 0.01 to 1000"),
        ({"add_margin": "0.000000001"}, "add_margin '0.000000001': has too many decimals"),
        ({"add_margin": "9" * 30}, "exceeds numeric range"),
        ({"add_margin": 0.5}, "add_margin '0.5': must be an exact decimal"),
        ({"add_margin": "lots"}, "add_margin 'lots': must be an exact decimal"),
    ],
)
def test_an_invalid_change_is_rejected(change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        what_if(BOOK, "BTCUSDT", "bob", **change)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("BTCUSDC", "bob"), "there is no contract 'BTCUSDC'; did you mean 'BTCUSD'?"),
        (("BTCUSDT", "bub"), "there is no account 'bub'; did you mean 'bob'?"),
        (("BTCUSDT", "hal"), "hal has no position in BTCUSDT"),
        (("BTCUSDT", "dan"), "dan has both sides of BTCUSDT: give the side"),
    ],
)
def test_an_unknown_name_is_rejected_with_the_nearest_known_one(
    names: tuple[str, str], message: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        explain(BOOK, *names)
    assert str(caught.value) == message


def test_side_position_and_rules_are_looked_up() -> None:
    assert explain(BOOK, "BTCUSDT", "dan", side="long").explanation.side == "long"
    with pytest.raises(UnknownNameError, match="bob has no long position in BTCUSDT"):
        explain(BOOK, "BTCUSDT", "bob", side="long")
    with pytest.raises(UnknownNameError, match="bob has no position in BTCUSDT with id 3"):
        explain(BOOK, "BTCUSDT", "bob", position=3)
    with pytest.raises(UnknownNameError, match="there is no side 'up'; there is long, short"):
        rank(BOOK, "BTCUSDT", "up")
    with pytest.raises(UnknownNameError, match="no side 'shrt'; did you mean 'short'\\?"):
        rank(BOOK, "BTCUSDT", "shrt")
    with pytest.raises(UnknownNameError, match="no rule set 'ftx'"):
        rank(BOOK, "BTCUSDT", "long", rules="ftx")
    given = rank(BOOK, "BTCUSDT", "long", rules=RULE_SETS["bitmart"])
    assert given.equals(rank(BOOK, "BTCUSDT", "long", rules="bitmart"))
