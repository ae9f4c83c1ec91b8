"""The same positions ranked under every rule set, as `rank` and the triggers give it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from delever.core.book import Book
from delever.core.engine import step
from delever.core.rules import RULE_SETS
from delever.lab.errors import UnknownNameError
from delever.lab.queries.position_queries import rank
from delever.lab.queries.rule_comparison import columns_by_rule_set, rank_all, terminal_table
from delever.lab.runs.scenario import read_scenario
from delever.lab.tables.book_reader import book_of, read_book

EXAMPLES = Path(__file__).parents[3] / "examples"
BOOK = read_book(EXAMPLES / "book")


def test_every_position_has_a_row_for_each_rule_set() -> None:
    compared = rank_all(BOOK)
    positions = sum(
        table.size for state in BOOK.contracts.values() for table in state.tables.values()
    )
    assert compared.height == positions * len(RULE_SETS)
    assert compared["rules"].to_list() == [*RULE_SETS] * positions
    keys = compared.select("contract", "side", "account", "position").rows()
    assert keys[:: len(RULE_SETS)] == list(dict.fromkeys(keys))


@pytest.mark.parametrize("rules", RULE_SETS)
def test_ranks_are_those_of_the_queue(rules: str) -> None:
    for contract in BOOK.contracts:
        for side in ("long", "short"):
            queue = rank(BOOK, contract, side, rules=rules)
            compared = rank_all(BOOK, contract=contract, rules=[rules])
            rows = compared.filter(compared["side"] == side).sort("rank", "account")
            names = (
                "account",
                "position",
                "quantity",
                "rank",
                "indicator",
                "quantity_ahead",
                "reason",
            )
            wanted = queue.sort("rank", "account").select(names).to_dicts()
            assert rows.select(names).to_dicts() == wanted
            assert set(rows["ranked"]) <= {queue["rank"].drop_nulls().len()}


def test_the_venue_indicator_is_on_the_venues_own_scale() -> None:
    rules = ["bybit", "binance", "gate", "kucoin"]
    compared = rank_all(BOOK, contract="BTCUSDT", account="bob", rules=rules)
    assert compared["indicator"].to_list() == [5, 5, 5, 5]
    assert compared["venue_indicator"].to_list() == ["5", "4", "1", "1"]
    exempt = rank_all(BOOK, contract="BTCUSDT", account="mm-1", rules=rules)
    assert exempt.filter(exempt["side"] == "short")["venue_indicator"].to_list() == [
        "0",
        "0",
        "6",
        "0",
    ]


def test_a_comparison_of_one_account_has_only_its_positions() -> None:
    compared = rank_all(BOOK, account="dan", contract="BTCUSDT")
    assert set(compared["account"]) == {"dan"}
    assert compared.height == 2 * len(RULE_SETS)
    assert rank_all(BOOK, account="hal", contract="ETHUSDT").height == 0
    assert rank_all(BOOK, account="hal", contract="ETHUSDT").columns == compared.columns


def test_columns_by_rule_set_end_with_a_row_of_triggers() -> None:
    compared = rank_all(BOOK, contract="BTCUSDT", rules=["bybit", "hyperliquid", "binance"])
    rows = {(row["side"], row["account"]): row for row in columns_by_rule_set(compared)}
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
    assert rows["trigger", None]["hyperliquid"] == "liquidator loss: 0 %"


def test_position_ids_are_in_a_column_if_any_is_not_0() -> None:
    book = book_of(
        {"account": ["a", "a"], "contract": ["X", "X"], "side": ["long", "long"],
         "position": ["0", "7"], "quantity": ["1", "2"], "entry_price": ["2", "1"],
         "leverage": ["1", "1"]},
        {"X": "3"}, contracts="linear",
    )  # fmt: skip
    rows = columns_by_rule_set(rank_all(book, rules=["bitmart"]))
    assert [(row["position"], row["bitmart"]) for row in rows[:2]] == [
        (0, "2 of 2, indicator 1"),
        (7, "1 of 2, indicator 5"),
    ]


def crashing() -> Book:
    """Return the drawdown example before ADL: contract PnL is 29 % of the peak below its own."""
    book = Book()
    for command in read_scenario(EXAMPLES / "crash.ndjson"):
        if command.time_ms <= 2_000:
            step(book, command)
    return book


def test_the_trigger_is_the_one_that_holds_or_else_the_most_used() -> None:
    book = crashing()
    compared = rank_all(book, rules=["bybit", "hyperliquid"])
    by_rules = {row["rules"]: row for row in compared.to_dicts()}
    assert not by_rules["bybit"]["holds"]
    state = book.contracts["BTCUSDT"]
    state.mark = 56_600 * 2  # a loss of 290,000: 97 % of the trigger at 30 %
    by_rules = {row["rules"]: row for row in rank_all(book).to_dicts()}
    assert by_rules["bybit"]["trigger"] == "contract_drawdown"
    assert by_rules["bybit"]["trigger_used"] == Decimal("96.6667")
    assert (by_rules["hyperliquid"]["trigger"], by_rules["hyperliquid"]["holds"]) == (
        "liquidator_loss",
        1,
    )
    rows = columns_by_rule_set(rank_all(book, rules=["bybit", "hyperliquid"]))
    assert rows[-1]["bybit"] == "contract drawdown: 96.6667 %"
    assert rows[-1]["hyperliquid"] == "liquidator loss: holds"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"contract": "BTCUSDC"}, "there is no contract 'BTCUSDC'; did you mean 'BTCUSD'?"),
        ({"account": "bub"}, "there is no account 'bub'; did you mean 'bob'?"),
        ({"rules": ["bibyt"]}, "there is no rule set 'bibyt'; did you mean 'bybit'?"),
    ],
)
def test_an_unknown_name_is_rejected(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        rank_all(BOOK, **arguments)
    assert str(caught.value) == message


def test_few_positions_are_a_table_with_a_row_per_rule_set() -> None:
    rows = terminal_table(rank_all(BOOK, contract="BTCUSDT", account="bob"))
    assert [row["rules"] for row in rows] == [*RULE_SETS]
    by_rules = {row["rules"]: row for row in rows}
    assert by_rules["binance"] == {
        "rules": "binance",
        "BTCUSDT_short_bob": "1 of 4, indicator 5",
        "BTCUSDT_trigger": "pool equity: 0 %",
    }
    (summary, *_) = terminal_table(rank_all(BOOK, contract="BTCUSDT"))
    named = {"contract": "BTCUSDT", "side": "long", "account": "ann", "quantity": Decimal("2.5")}
    assert {name: summary[name] for name in named} == named
    assert (summary["best"], summary["median"], summary["worst"]) == (1, 2, 3)
    compared = rank_all(BOOK, contract="BTCUSDT").filter(account="ann", side="long")
    assert summary["first_under"] == compared.filter(rank=1).height
    assert (summary["ranked_under"], summary["of"]) == (compared["rank"].count(), len(RULE_SETS))
    two = rank_all(BOOK, rules=["binance", "bybit"])
    assert terminal_table(two) == columns_by_rule_set(two)
    assert terminal_table(rank_all(BOOK, contract="ETHUSDT", account="hal")) == []


def test_rules_without_a_queue_have_no_trigger_and_no_ranks() -> None:
    (row, *_) = rank_all(BOOK, rules=["drift"], account="bob").to_dicts()
    assert (row["rank"], row["ranked"], row["reason"]) == (None, 0, "adl_not_used")
    assert (row["trigger"], row["holds"], row["trigger_used"]) == (None, False, None)
