"""Where the same positions stand under every rule set: as `rank` and the triggers say."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from delever.core.book import Book
from delever.core.engine import step
from delever.core.rules import RULE_SETS
from delever.lab.errors import UnknownNameError
from delever.lab.queries.queries import rank
from delever.lab.queries.rule_comparison import at_a_glance, compare_rules, side_by_side
from delever.lab.runs.scenario import read_scenario
from delever.lab.tables.book_reader import book_of, read_book

EXAMPLES = Path(__file__).parents[2] / "examples"
BOOK = read_book(EXAMPLES / "book")


def test_every_position_has_a_row_for_each_rule_set() -> None:
    compared = compare_rules(BOOK)
    held = sum(table.size for state in BOOK.contracts.values() for table in state.tables.values())
    assert compared.height == held * len(RULE_SETS)
    assert compared["rules"].to_list() == [*RULE_SETS] * held
    keys = compared.select("contract", "side", "account", "position").rows()
    assert keys[:: len(RULE_SETS)] == list(dict.fromkeys(keys))


@pytest.mark.parametrize("rules", RULE_SETS)
def test_places_are_those_of_the_queue(rules: str) -> None:
    for contract in BOOK.contracts:
        for side in ("long", "short"):
            queue = rank(BOOK, contract, side, rules=rules)
            compared = compare_rules(BOOK, contract=contract, rules=[rules])
            told = compared.filter(compared["side"] == side).sort("rank", "account")
            names = ("account", "position", "quantity", "rank", "indicator", "ahead", "reason")
            wanted = queue.sort("rank", "account").select(names).to_dicts()
            assert told.select(names).to_dicts() == wanted
            assert set(told["of"]) <= {queue["rank"].drop_nulls().len()}


def test_the_indicator_is_shown_on_each_venues_own_scale() -> None:
    rules = ["bybit", "binance", "gate", "kucoin"]
    told = compare_rules(BOOK, contract="BTCUSDT", account="bob", rules=rules)
    assert told["indicator"].to_list() == [5, 5, 5, 5]
    assert told["shown"].to_list() == ["5", "4", "1", "1"]
    exempt = compare_rules(BOOK, contract="BTCUSDT", account="mm-1", rules=rules)
    assert exempt.filter(exempt["side"] == "short")["shown"].to_list() == ["0", "0", "6", "0"]


def test_one_account_is_told_alone() -> None:
    compared = compare_rules(BOOK, account="dan", contract="BTCUSDT")
    assert set(compared["account"]) == {"dan"}
    assert compared.height == 2 * len(RULE_SETS)
    assert compare_rules(BOOK, account="hal", contract="ETHUSDT").height == 0
    assert compare_rules(BOOK, account="hal", contract="ETHUSDT").columns == compared.columns


def test_side_by_side_has_a_column_for_each_rule_set_and_a_row_of_triggers() -> None:
    compared = compare_rules(BOOK, contract="BTCUSDT", rules=["bybit", "hyperliquid", "binance"])
    rows = {(row["side"], row["account"]): row for row in side_by_side(compared)}
    assert rows["short", "bob"] == {
        "contract": "BTCUSDT",
        "side": "short",
        "account": "bob",
        "quantity": Decimal(4),
        "bybit": "1 of 4, indicator 5",
        "hyperliquid": "2 of 3, indicator 2",
        "binance": "1 of 4, indicator 5",
    }
    assert rows["short", "mm-1"]["bybit"] == "exempt account"
    assert list(rows)[-1] == ("trigger", None)
    assert rows["trigger", None]["hyperliquid"] == "account equity: 0 %"


def test_side_by_side_tells_numbers_of_positions_where_there_are_several() -> None:
    book = book_of(
        {"account": ["a", "a"], "contract": ["X", "X"], "side": ["long", "long"],
         "position": ["0", "7"], "quantity": ["1", "2"], "entry_price": ["2", "1"],
         "leverage": ["1", "1"]},
        {"X": "3"},
    )  # fmt: skip
    told = side_by_side(compare_rules(book, rules=["bitmart"]))
    assert [(row["position"], row["bitmart"]) for row in told[:2]] == [
        (0, "2 of 2, indicator 1"),
        (7, "1 of 2, indicator 5"),
    ]


def crashing() -> Book:
    """The drawdown example at the moment before ADL: the contract has cost 29 % of the peak."""
    book = Book()
    for command in read_scenario(EXAMPLES / "crash.ndjson"):
        if command.time_ms <= 2_000:
            step(book, command)
    return book


def test_the_trigger_is_the_one_that_is_farthest_on_or_holds() -> None:
    book = crashing()
    compared = compare_rules(book, rules=["bybit", "hyperliquid"])
    told = {row["rules"]: row for row in compared.to_dicts()}
    assert not told["bybit"]["holds"]
    state = book.contracts["BTCUSDT"]
    state.mark = 56_600 * 2  # a loss of 290,000: 97 % of the way to 30 %
    told = {row["rules"]: row for row in compare_rules(book).to_dicts()}
    assert told["bybit"]["trigger"] == "contract_drawdown"
    assert told["bybit"]["progress"] == Decimal("96.6667")
    assert (told["hyperliquid"]["trigger"], told["hyperliquid"]["holds"]) == ("account_equity", 1)
    rows = side_by_side(compare_rules(book, rules=["bybit", "hyperliquid"]))
    assert rows[-1]["bybit"] == "contract drawdown: 96.6667 %"
    assert rows[-1]["hyperliquid"] == "account equity: holds"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"contract": "BTCUSDC"}, "there is no contract 'BTCUSDC'; did you mean 'BTCUSD'?"),
        ({"account": "bub"}, "there is no account 'bub'; did you mean 'bob'?"),
        ({"rules": ["bibyt"]}, "there is no rule set 'bibyt'; did you mean 'bybit'?"),
    ],
)
def test_names_that_are_not_there_are_told(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        compare_rules(BOOK, **asked)
    assert str(caught.value) == said


def test_one_position_is_told_with_the_rule_sets_below_one_another() -> None:
    glance = at_a_glance(compare_rules(BOOK, contract="BTCUSDT", account="bob"))
    assert [row["rules"] for row in glance] == [*RULE_SETS]
    told = {row["rules"]: row for row in glance}
    assert told["binance"] == {
        "rules": "binance",
        "BTCUSDT_short_bob": "1 of 4, indicator 5",
        "BTCUSDT_trigger": "pool equity: 0 %",
    }
    two = compare_rules(BOOK, rules=["binance", "bybit"])
    assert at_a_glance(two) == side_by_side(two)
    assert at_a_glance(compare_rules(BOOK, contract="ETHUSDT", account="hal")) == []


def test_rules_without_a_queue_have_no_trigger_and_close_nobody() -> None:
    (row, *_) = compare_rules(BOOK, rules=["drift"], account="bob").to_dicts()
    assert (row["rank"], row["of"], row["reason"]) == (None, 0, "adl_not_used")
    assert (row["trigger"], row["holds"], row["progress"]) == (None, False, None)
