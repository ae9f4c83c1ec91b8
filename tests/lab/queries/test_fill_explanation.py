"""Past fills explained from the journal, to the digit, with skipped counterparties and reasons."""

from pathlib import Path
from typing import Any

import pytest

from delever.core import messages as m
from delever.core.messages import Side
from delever.journal import Recorder
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.fill_explanation import explain_fill
from delever.lab.runs.scenario import read_scenario

EXAMPLES = Path(__file__).parents[3] / "examples"

WHY_BOB = """\
Fill 2 closed 50 of the 50 BTCUSDT short of bob at 56500, mark 56000; rules of bybit, record 13,
3.000 s. When the round began:

 1. Unrealized PnL: 3000000 at entry - 2800000 at mark = 200000 USDT.
 2. Equity of the account's cross margin: 400000 balance + 200000 unrealized PnL = 600000 USDT;
    maintenance margin is 14000 USDT, a margin ratio of 2.3333 %.
 3. Share of equity: 600000 USDT; bankruptcy price 68000.
 4. Return on entry = 200000 (unrealized PnL) / 3000000 (notional at entry) = 0.0666667.
 5. Effective leverage = 2800000 (notional at mark) / 600000 (share of equity) = 4.66667.
 6. Score = 0.0666667 x 4.66667 = 0.311111: PnL / entry value x leverage, for losers / leverage;
    leverage = mark value / (mark value - bankruptcy value).
 7. Rank 2 of 3, highest score first; quantity ahead: 30 of 1 position; whole queue: 120. Indicator
    2 of 5.
 8. Recomputed: the same (rank, score, indicator, quantity ahead and price; the book was replayed
    from record 1 to the round in record 13).
 9. ADL by contract drawdown was on since 3.000 s; it compared balance 1000000 USDT, trigger
    threshold 1 USDT, balance peak 1000000 USDT, contract PnL -350000 USDT, contract PnL peak 0
    USDT, PnL ratio -35 %, start -30 %, stop -25 %.
10. Price: drawdown limit (limit -300000 USDT, contract PnL -350000 USDT, contract PnL peak 0 USDT,
    balance peak 1000000 USDT, inventory cost 5950000 USDT, target 5650000 USDT) gave 56500.
11. Closed before it in the same round: 30 of 1 position.
12. Ineligible: none.
13. Closed against takeover 1: BTCUSDT long of ann, taken over at 59500 (the bankruptcy price,
    unless the venue named another).
14. Realized PnL: 175000 USDT; at the mark: 200000 USDT; haircut: 25000 USDT. Fee: 0 USDT.
15. Open orders to cancel: bob-17.
16. Remaining: 0 of the position, and 0 of the round's inventory of 100."""


@pytest.fixture(scope="module")
def crash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "crash.db"
    record(path, read_scenario(EXAMPLES / "crash.ndjson"))
    return path


def record(path: Path, commands: list[m.Command], *, snapshot_every: int = 10**9) -> None:
    with Recorder.open(path, snapshot_every=snapshot_every) as recorder:
        for command in commands:
            (first, *_) = recorder.submit([command])[0]
            assert isinstance(first, m.Accepted), first


def test_a_fill_is_explained_as_numbered_arithmetic(crash: Path) -> None:
    assert str(explain_fill(crash, 2)) == WHY_BOB


def test_a_partial_fill_has_the_remaining_quantity(crash: Path) -> None:
    text = str(explain_fill(crash, 3))
    assert text.startswith("Fill 3 closed 20 of the 40 BTCUSDT short of dan at 56500")
    assert (
        "Rank 3 of 3, highest score first; quantity ahead: 80 of 2 positions; whole queue: 120."
        in text
    )
    assert "Closed before it in the same round: 80 of 2 positions." in text
    assert "Remaining: 20 of the position" in text


def test_facts_are_exact_text(crash: Path) -> None:
    facts = explain_fill(crash, 3).facts()
    wanted = {"record": 13, "recomputed": "the same", "price": "56500", "mark": "56000"}
    wanted |= {"realized_pnl": "70000", "pnl_at_mark": "80000", "haircut": "10000"}
    assert wanted.items() <= facts.items()
    assert [fill["account"] for fill in facts["filled_before"]] == ["cyd", "bob"]
    assert facts["takeover"] == {"takeover": 1, "account": "ann", "price": "59500"}
    assert facts["trigger"]["since_ms"] == 3000
    assert facts["trigger"]["numbers"] == facts["trigger"]["start_numbers"]


@pytest.mark.parametrize("fill", [4, 0, -1])
def test_an_unknown_fill_is_rejected_with_the_known_ones(crash: Path, fill: int) -> None:
    with pytest.raises(UnknownNameError, match=f"no fill {fill} in .*; the fills are 1 to 3"):
        explain_fill(crash, fill)


def test_a_journal_without_fills_and_a_file_that_is_no_journal_are_rejected(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    record(empty, [m.SetTime(time_ms=1)])
    with pytest.raises(UnknownNameError, match=r"no fill 1 in .*; there is none"):
        explain_fill(empty, 1)
    with pytest.raises(InputError, match="not found"):
        explain_fill(tmp_path / "none.db", 1)
    with pytest.raises(InputError, match="file is not a database"):
        explain_fill(EXAMPLES / "crash.ndjson", 1)


VENUES = sorted((EXAMPLES / "venues").glob("*.ndjson"))


@pytest.mark.parametrize("scenario", VENUES, ids=lambda path: path.stem)
def test_every_fill_of_every_venue_is_recomputed_the_same(scenario: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    with Recorder.open(journal) as recorder:
        outcomes = recorder.submit(read_scenario(scenario))
    fills = [event for events in outcomes for event in events if isinstance(event, m.AdlFilled)]
    for fill in fills:
        why = explain_fill(journal, fill.fill)
        assert why.recomputed == "the same"
        assert len(why.filled_before) + len(why.skipped) >= fill.rank - 1
        assert str(why)


# --- a round with skipped counterparties and remaining inventory ---


def positions(time_ms: int, *rows: tuple[str, Side, int, dict[str, Any]]) -> m.SetPositions:
    text = tuple(
        m.PositionRow(account=account, contract="X", side=side, quantity=quantity, **more)
        for account, side, quantity, more in rows
    )
    return m.SetPositions(time_ms=time_ms, version=time_ms, positions=text)


def squeezed() -> list[m.Command]:
    """Return a round under BitMEX rules that cannot close all: takeover at 100, mark 90, no fund.

    Ann has rank 1 and would be bankrupt at 100; eve is exempt; bob and cyd do not suffice.
    """
    names = ("bust", "ann", "bob", "cyd")
    short, long = Side.SHORT, Side.LONG
    return [
        m.DefinePool(time_ms=0, pool="p", kind=m.PoolKind.SHARED, asset="USD", rules="bitmex"),
        m.DefineContract(
            time_ms=0,
            contract="X",
            kind=m.ContractKind.LINEAR,
            settle="USD",
            pool="p",
            tick_size="0.1",
            lot_size=1,
        ),
        *(m.DefineAccount(time_ms=0, account=name) for name in names),
        m.DefineAccount(time_ms=0, account="eve", adl_exempt=True),
        m.SetMarks(time_ms=0, marks={"X": 100}),
        positions(
            1,
            ("bust", long, 30, {"entry_price": 100, "isolated_margin": 0}),
            ("ann", short, 5, {"entry_price": 92, "isolated_margin": 45}),
            ("bob", short, 10, {"entry_price": 120, "isolated_margin": 50}),
            ("bob", short, 4, {"entry_price": 110, "isolated_margin": 99, "position": 2}),
            ("cyd", short, 8, {"entry_price": 101, "isolated_margin": 400}),
            ("eve", short, 9, {"entry_price": 101, "isolated_margin": 900}),
        ),
        m.Takeover(time_ms=2, account="bust"),
        m.SetMarks(time_ms=3, marks={"X": 90}),
    ]


def test_a_skipped_counterparty_is_named_with_the_reason(tmp_path: Path) -> None:
    journal = tmp_path / "squeezed.db"
    commands = squeezed()
    ann = ("ann", Side.SHORT, 5, {"entry_price": 92, "isolated_margin": 1})
    commands[-1:] = [positions(3, ann), commands[-1]]
    record(journal, commands)
    last = explain_fill(journal, 3)
    text = " ".join(str(last).split())
    assert "Skipped ahead of it: ann, rank 1: fill would bankrupt counterparty (equity" in text
    assert "Ineligible: 1 position because exempt account." in text
    assert "8 of the round's inventory of 30." in text
    assert last.facts()["round"]["unfilled"] == "8"
    assert [skip["account"] for skip in last.facts()["skipped"]] == ["ann"]
    assert (last.recomputed, last.unfilled_lots) == ("the same", 8)
    number = explain_fill(journal, 2)
    assert "short of bob (position 2) at" in str(number)


def test_a_trigger_that_was_on_before_has_the_numbers_of_both_moments(tmp_path: Path) -> None:
    """ADL starts at 90; at 80 a new position on the other side is closed."""
    journal = tmp_path / "later.db"
    dan = ("cyd", Side.SHORT, 20, {"entry_price": 130, "isolated_margin": 900})
    more = [m.SetMarks(time_ms=4, marks={"X": 80}), positions(5, dan)]
    record(journal, [*squeezed(), *more], snapshot_every=5)
    later = explain_fill(journal, 5)
    text = " ".join(str(later).split())
    assert (
        "ADL by fund depleted was on since 0.003 s, when it compared mark 90, underwater 30" in text
    )
    assert "When the round began it compared mark 80, underwater 3, equity" in text
    assert later.replayed_from > 1
    assert later.recomputed == "the same"


def test_a_cancelled_fill_names_the_record_that_cancelled_it(tmp_path: Path) -> None:
    journal = tmp_path / "cancelled.db"
    commands = squeezed()
    record(journal, [*commands, m.CancelAdl(time_ms=9, fill=2, note="late")])
    why = explain_fill(journal, 2)
    assert why.cancelled == len(commands) + 1
    assert f"The fill was cancelled later, by record {len(commands) + 1}." in str(why)
    assert explain_fill(journal, 1).cancelled is None
    assert why.facts()["cancelled_by_record"] == len(commands) + 1


def test_a_fill_of_a_forced_round_has_the_operators_note(tmp_path: Path) -> None:
    journal = tmp_path / "forced.db"
    crash = read_scenario(Path(__file__).parents[3] / "examples" / "crash.ndjson")
    record(journal, [*crash[:12], m.ForceAdl(time_ms=9_000, contract="BTCUSDT", note="delisted")])
    why = explain_fill(journal, 1)
    text = " ".join(str(why).split())
    assert "An operator forced the round ('delisted'); its price is that of ADL by" in text
    assert why.recomputed == "the same"
    assert (why.forced, why.facts()["trigger"]["forced"]) == ("delisted", "delisted")
    assert why.start is None
