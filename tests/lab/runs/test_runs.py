"""Runs, stress tests and comparisons: totals add up, and the given books do not change."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import msgspec
import polars as pl
import pytest

from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.messages import CancelAdl, DefinePool, Reason, SetMarks, Side
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import Ranking, Score
from delever.core.valuation.side_valuation import SideValuation
from delever.journal.snapshot import encode_book
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.runs.command_runner import CommandRunner
from delever.lab.runs.market_paths.path import Shock
from delever.lab.runs.run import run
from delever.lab.runs.scenario import read_scenario
from delever.lab.runs.stress_test import compare, simulate
from delever.lab.tables.book_reader import read_book, write_book
from delever.rule_registry import registry

EXAMPLES = Path(__file__).parents[3] / "examples"
SCENARIO = read_scenario(EXAMPLES / "crash.ndjson")
BOOK = read_book(EXAMPLES / "book")


def test_the_example_scenario_is_the_first_example_of_bybit() -> None:
    """BYB-01 BYB-02 BYB-03: closed where the ratio is -0.30; haircut 50,000; on until -0.25."""
    result = run(Book(), SCENARIO)
    summary = result.summary
    (episode,) = summary.episodes
    assert (episode.trigger, episode.started_ms, episode.stopped_ms) == (
        "contract_drawdown", 3000, 4000,
    )  # fmt: skip
    assert "PnL ratio -35 %" in episode.start_numbers
    assert "PnL ratio -24 %" in episode.stop_numbers
    (total,) = summary.contracts
    assert (total.taken_over, total.closed, total.inventory) == ("100", "100", "0")
    assert (total.accounts, total.haircut, total.pool_pnl) == (3, "50000", "-300000")
    (pool,) = summary.pools
    assert (pool.balance, pool.equity) == ("760000", "760000")
    assert result.fills["price"].to_list() == [Decimal(56500)] * 3
    assert result.fills["account"].to_list() == ["cyd", "bob", "dan"]
    assert result.fills["cancel_orders"].to_list() == ["", "bob-17", ""]
    assert summary.rejected == 0
    audit(result.book)


def test_a_summary_as_text_has_a_line_per_episode_contract_and_pool() -> None:
    lines = str(run(Book(), SCENARIO).summary).splitlines()
    assert lines[0] == "14 commands, 0 to 4000 ms"
    assert lines[1].startswith("BTCUSDT: ADL by contract drawdown from 3.000 s, to 4.000 s (")
    assert lines[2].startswith(
        "BTCUSDT: 100 taken over, 0 unwound, 100 closed by ADL of 3 accounts"
    )
    assert lines[3] == "pool main: balance 760000, equity 760000 USDT"


def test_a_command_whose_step_raises_is_rejected_alone() -> None:
    def without_score(_valuation: SideValuation) -> Score:
        raise ZeroDivisionError

    ranking = Ranking("raises", without_score, profitable_only=True)
    house = replace(RULE_SETS["bybit"], name="house", ranking=ranking)
    commands = [
        msgspec.structs.replace(command, rules="house")
        if isinstance(command, DefinePool)
        else command
        for command in SCENARIO
    ]
    result = run(Book(registry([house])), commands)
    round_marks = next(n for n, c in enumerate(SCENARIO) if c.time_ms == 3000)
    rejected = result.rejected[round_marks]
    assert (rejected.reason, rejected.value) == (Reason.INTERNAL_ERROR, "ZeroDivisionError")
    assert len(result.outcomes) == len(SCENARIO)
    assert result.book.time_ms == 4000
    others = [c for n, c in enumerate(commands) if n not in result.rejected]
    without = run(Book(registry([house])), others).book
    without.sequence = result.book.sequence
    assert encode_book(without) == encode_book(result.book)


def test_a_runner_restores_from_its_newest_copy_whatever_the_distance_of_copies() -> None:
    def fails_once(valuation: SideValuation) -> Score:
        if not restored:
            restored.append(valuation.size)
            raise ZeroDivisionError
        return Score(valuation.unrealized_pnl.astype(float), {})

    ranking = Ranking("fails", fails_once, profitable_only=True)
    house = replace(RULE_SETS["bybit"], name="house", ranking=ranking)
    pool, *others = SCENARIO
    assert isinstance(pool, DefinePool)
    books = []
    for distance in (1, 3, 1000):
        restored: list[int] = []
        runner = CommandRunner(Book(registry([house])), checkpoint_events=distance)
        for command in (msgspec.structs.replace(pool, rules="house"), *others):
            runner.submit(command)
        assert [*runner.errors] == [12]
        books.append(encode_book(runner.book))
    assert books[0] == books[1] == books[2]


def test_a_cancelled_fill_is_subtracted_from_the_totals() -> None:
    cancelled = run(Book(), [*SCENARIO[:-1], CancelAdl(time_ms=3000, fill=3, note="halted")])
    (total,) = cancelled.summary.contracts
    # The restored inventory is closed again at once: ADL is still on.
    assert (total.taken_over, total.closed, total.inventory) == ("100", "100", "0")
    assert cancelled.fills.height == 4
    assert cancelled.summary.fills == 3


def test_a_run_does_not_change_the_given_book_and_continues_after_a_rejection() -> None:
    before = encode_book(BOOK)
    marks = [
        SetMarks(time_ms=1, marks={"BTCUSDT": "64000.00000000001"}, strict=True),
        SetMarks(time_ms=2, marks={"BTCUSDT": "64000", "ETHUSDT": "0"}),
    ]
    result = run(BOOK, marks)
    assert encode_book(BOOK) == before
    assert [rejected.reason for rejected in result.rejected.values()] == [Reason.TOO_MANY_DECIMALS]
    assert list(result.rejected) == [0]
    ((number, rejected),) = result.partial_rejections
    assert (number, rejected.contract, rejected.reason) == (1, "ETHUSDT", Reason.NOT_POSITIVE)
    assert result.book.contracts["BTCUSDT"].mark == 128_000
    assert result.fills.height == 0
    assert result.fills.schema["quantity"] == pl.Decimal(38, 0)


def test_a_copy_is_equal_and_independent() -> None:
    copy = BOOK.copy()
    assert encode_book(copy) == encode_book(BOOK)
    copy.accounts.hedge_mode[0] = True
    assert encode_book(copy) != encode_book(BOOK)


def test_a_shock_liquidates_unwinds_and_deleverages() -> None:
    result = simulate(BOOK, Shock({"BTCUSDT": "-0.10"}))
    assert result.book.contracts["BTCUSDT"].mark == 115_201  # 57600.45 to the nearest 0.5
    totals = {total.contract: total for total in result.summary.contracts}
    btc = totals["BTCUSDT"]
    closed = Decimal(btc.unwound) + Decimal(btc.closed) + Decimal(btc.inventory)
    assert Decimal(btc.taken_over) == closed > 0
    assert Decimal(btc.unwound) > 0
    assert result.fills.height == result.summary.fills > 0
    assert result.fills["quantity"].sum() == Decimal(btc.closed)
    assert result.fills["realized_pnl"].sum() == Decimal(btc.realized_pnl)
    audit(result.book)


def test_depth_moves_with_its_mark_and_levels_at_one_tick_are_merged() -> None:
    depth = {
        "contract": ["BTCUSDT"] * 3,
        "side": ["bid", "bid", "ask"],
        "price": ["64000", "63999.5", "64001"],
        "quantity": ["1", "2", "4"],
    }
    state = simulate(BOOK, Shock({"BTCUSDT": "-0.9"}), depth=depth, rules="bitmart").book.contracts[
        "BTCUSDT"
    ]
    assert state.asks[0][0] == 12_800
    assert len(state.bids) <= 1


def test_a_comparison_has_a_row_per_rule_set_and_contract() -> None:
    shock = Shock({"BTCUSDT": "-0.10", "ETHUSDT": "-0.12"})
    table = compare(BOOK, shock)
    assert table["rules"].unique(maintain_order=True).to_list() == list(RULE_SETS)
    assert table.filter(pl.col("contract") == "BTCUSDT").height == len(RULE_SETS)
    for name in ("taken_over", "closed", "haircut", "pool_pnl"):
        assert table.schema[name].is_decimal()
    difference = table["taken_over"] - table["unwound"] - table["closed"] - table["inventory"]
    assert difference.drop_nulls().to_list() == [0] * table.height
    assert table["taken_over"].unique().len() == 2  # the same liquidations under every rule set
    bitcoin = table.filter(pl.col("contract") == "BTCUSDT")
    haircuts = dict(bitcoin.select("rules", "haircut").iter_rows())
    assert haircuts["binance"] == 0 < haircuts["bybit"] < haircuts["bitmart"]
    calm = compare(BOOK, Shock({"BTCUSDT": "0.0001"}), rules=["bybit"])
    assert calm["rules"].to_list() == ["bybit"]
    assert calm["contract"].to_list() == [None]


def test_limits_of_another_venue_are_dropped(tmp_path: Path) -> None:
    write_book(BOOK, tmp_path)
    main = pl.when(pl.col("pool") == "main").then(pl.lit("1"))  # under Bybit's rules
    for name, column in (("pools", "limits.start"), ("contracts", "limits.stop")):
        frame = pl.read_csv(tmp_path / f"{name}.csv", infer_schema=False)
        frame.with_columns(main.alias(column)).write_csv(tmp_path / f"{name}.csv")
    limited, shock = read_book(tmp_path), Shock({"BTCUSDT": "-0.10"})
    assert simulate(limited, shock).summary.fills == 0
    assert simulate(BOOK, shock).summary.fills > 0
    for rules in ("bitmart", "deribit"):
        summary = simulate(limited, shock, rules=rules).summary
        assert summary == simulate(BOOK, shock, rules=rules).summary
        assert summary.fills > 0


@pytest.mark.parametrize(
    ("shock", "more", "error", "message"),
    [
        ({"BTCUSDC": "-0.1"}, {}, UnknownNameError, "no contract 'BTCUSDC'"),
        ({"BTCUSDT": -0.1}, {}, InputError, "BTCUSDT '-0.1': must be exact text: write \"-0.1\""),
        ({"BTCUSDT": "-10%"}, {}, InputError, "BTCUSDT '-10%': must be exact text"),
        ({"BTCUSDT": "-1"}, {}, InputError, "leaves no price above 0"),
        ({"BTCUSDT": "-0.1"}, {"rules": "ftx"}, UnknownNameError, "no rule set 'ftx'"),
        ({"BTCUSDT": "-0.1"}, {"pool": {"mian": 1}}, UnknownNameError, "no pool 'mian'; did you"),
        (
            {"BTCUSDT": "-0.1"},
            {"pool": "1"},
            InputError,
            "the book has pools in BTC and USDT: give",
        ),
        ({"BTCUSDT": "-0.1"}, {"pool": {"main": "1e6"}}, InputError, "pool main, balance '1e6'"),
        ({"BTCUSDT": "-0.1"}, {"vault_cap": "2"}, InputError, "no chosen rule set reads"),
        ({"BTCUSDT": "1" + "0" * 14}, {}, InputError, "define the asset with fewer"),
        ({"BTCUSDT": "-0.1"}, {"depth": {"contract": ["X"]}}, InputError, "depth, side: the colum"),
    ],
)
def test_an_invalid_shock_is_rejected(
    shock: dict[str, str], more: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        simulate(BOOK, Shock(shock), **more)
    assert message in str(caught.value)


def test_shorts_are_liquidated_when_the_price_rises() -> None:
    up = simulate(BOOK, Shock({"BTCUSD": "0.5"}), rules="hyperliquid")
    assert up.summary.takeovers > 0
    assert up.book.contracts["BTCUSD"].tables[Side.SHORT].total_lots < 900


def test_the_caps_of_a_vault_are_arguments_and_their_lack_is_said() -> None:
    """HYP-08: no number is published, so none is made up."""
    shock = Shock({"BTCUSDT": "-0.10"})
    without = simulate(BOOK, shock, rules="hyperliquid")
    assert "neither vault_cap nor loss_threshold" in str(without.summary)
    assert not without.summary.contracts[0].closed.strip("0.")
    capped = simulate(BOOK, shock, rules="hyperliquid", vault_cap="0.01", loss_threshold="100")
    assert (capped.notes, capped.summary.contracts[0].closed) == ((), "1.55")
    rules = ["bybit", "hyperliquid", "hyperliquid@2025-03"]
    table = compare(BOOK, shock, rules=rules, vault_cap="0.01", loss_threshold="100")
    assert table["note"].to_list() == [None] * 3
    assert str(table["closed"][1]) == "1.55"
    notes = compare(BOOK, shock, rules=rules)["note"].to_list()
    assert (notes[0], notes[2]) == (None, None)
    assert "until its equity is negative" in notes[1]
    with pytest.raises(InputError, match="no chosen rule set reads"):
        compare(BOOK, shock, rules="bybit", vault_cap="0.01")


def test_a_socialized_loss_is_charged_to_accounts_and_paid_to_the_pool() -> None:
    """DRI-01: the fund had 1,500 and lost 1,800; three accounts pay the rest, rounded up."""
    scenario = EXAMPLES / "venues" / "drift.ndjson"
    total = run(Book(), read_scenario(scenario)).summary.contracts[0]
    assert (total.accounts, total.haircut, total.pool_pnl) == (3, "300.000015", "-1499.999985")
