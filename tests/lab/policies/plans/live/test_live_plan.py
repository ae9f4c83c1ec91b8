"""Plans of a live book: what its rounds would close, as one command that the engine accepts."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest

import delever
from delever.core import messages as m
from delever.core.book import Book
from delever.core.messages import Command, Reason
from delever.lab.errors import InputError
from delever.lab.policies.plans.live.live_plan import LivePlan, live_plans
from delever.lab.policies.plans.live.plan_verification import verify_plans
from waiting_market import waiting_market

MOVES = (("0.1", "0.15"), ("0.3", "0.4"), ("0.6", "0.5"), ("-0.3", "-0.3"))
SHOCKS = [delever.Shock({"BTC": btc, "ETH": eth}) for btc, eth in MOVES]


def book_of(commands: Iterable[Command]) -> Book:
    book = delever.Book()
    for command in commands:
        assert not isinstance(delever.step(book, command)[0], m.Rejected), command
    return book


def plan_of(book: Book) -> LivePlan:
    (plan,) = live_plans(book, scenarios=SHOCKS)
    return plan


def test_a_plan_closes_what_the_rule_set_would_close_and_spares_the_hedge() -> None:
    """cyd is short 6 BTC (552) and long 12 ETH (540): closing the BTC would break the hedge."""
    book = book_of(waiting_market())
    live = plan_of(book)
    assert live.rejected is None
    events = delever.step(book, live.command)
    closed = {e.contract: (e.wanted_lots, e.filled_lots) for e in events if is_round(e)}
    assert closed == {"BTC": (500, 500), "ETH": (201, 201)}, "the deficit of each fund"
    taken = {(e.account, e.contract): e.lots for e in events if isinstance(e, m.AdlFilled)}
    assert taken["dan", "ETH"] == 201
    assert taken["ann", "BTC"] > taken.get(("cyd", "BTC"), 0)

    own = book_of(waiting_market())
    delever.step(own, m.SetTime(time_ms=100_000))
    assert expected_loss(book) < expected_loss(own)


def is_round(event: object) -> bool:
    return isinstance(event, m.RoundClosed)


def expected_loss(book: Book) -> float:
    """Return the mean shortfall of all accounts under SHOCKS, added up account by account."""
    losses = []
    for shock in SHOCKS:
        equity = book.asset("USDT").wallets.balance / 1e8
        for state in book.contracts.values():
            mark = float(state.mark) / 2
            moved = mark * (1 + float(shock.moves[state.name]))
            for side, table in state.tables.items():
                size, lots = table.size, table.lots[: table.size] / 100
                pnl = side.sign * lots * moved - table.cost[:size] / 1e8
                np.add.at(equity, table.account[:size], pnl)
        losses.append(np.maximum(-equity, 0).sum())
    return float(np.mean(losses))


def test_an_account_that_the_fill_would_bankrupt_is_left_out_of_the_plan() -> None:
    """At 94 instead of 92 ann's 5 BTC cost 10 more than her equity allows."""
    commands = waiting_market()
    row = m.BalanceRow(account="ann", asset="USDT", balance=-45)
    commands.append(m.SetBalances(time_ms=4, version=2, balances=(row,)))
    live = plan_of(book_of(commands))
    assert live.rejected is None
    assert "ann" not in {fill.account for each in live.command.rounds for fill in each.fills}


def test_without_a_round_that_waits_there_is_no_plan() -> None:
    assert live_plans(book_of(waiting_market()[:-2]), scenarios=SHOCKS) == []


@pytest.mark.parametrize("slippage", ["-0.01", "1", "much"])
def test_slippage_must_be_a_part(slippage: str) -> None:
    with pytest.raises(InputError, match="slippage"):
        live_plans(book_of(waiting_market()), scenarios=SHOCKS, slippage=slippage)


# --- plans of a journal ---


def recorded(path: Path, *, name: str = "") -> LivePlan:
    """Write a journal with one accepted plan, and its certificate beside it."""
    commands = waiting_market()
    live = plan_of(book_of(commands))
    command = msgspec.structs.replace(live.command, certificate=name or live.command.certificate)
    with delever.Recorder.open(path / "journal.db") as recorder:
        *_, events = recorder.submit([*commands, command, m.SetTime(time_ms=5)])[:-1]
    assert isinstance(events[1], m.PlanAccepted)
    live.plan.write_certificate(path / f"{command.certificate}.npz")
    return live


def test_the_plans_of_a_journal_are_proved_again(tmp_path: Path) -> None:
    live = recorded(tmp_path)
    (row,) = verify_plans(tmp_path / "journal.db", tmp_path).to_dicts()
    assert row["finding"] == ""
    assert row["upper"] == pytest.approx(live.plan.expected_loss, rel=1e-12)
    assert row["gap"] == pytest.approx(live.plan.gap_in_lots, abs=1e-12)
    assert row["contracts"] == "BTC, ETH"


def test_a_plan_without_its_certificate_or_with_another_is_not_proved(tmp_path: Path) -> None:
    digest = recorded(tmp_path).command.certificate
    (tmp_path / f"{digest}.npz").unlink()
    (row,) = verify_plans(tmp_path / "journal.db", tmp_path).to_dicts()
    assert "No such file" in row["finding"]
    (tmp_path / "other").mkdir()
    recorded(tmp_path / "other", name="0" * 64)
    (row,) = verify_plans(tmp_path / "other" / "journal.db", tmp_path / "other").to_dicts()
    assert "is another certificate than the plan names" in row["finding"]


def test_a_certificate_of_another_book_is_not_proved(tmp_path: Path) -> None:
    """The certificate is sound, and of the plan's digest, but its accounts had more equity."""
    commands = waiting_market()
    other = commands.copy()
    row = m.BalanceRow(account="ann", asset="USDT", balance=100)
    other.insert(-2, m.SetBalances(time_ms=1, version=2, balances=(row,)))
    live = plan_of(book_of(other))
    command = msgspec.structs.replace(live.command, book_sequence=len(commands))
    with delever.Recorder.open(tmp_path / "journal.db") as recorder:
        *_, events = recorder.submit([*commands, command])
    assert isinstance(events[1], m.PlanAccepted)
    live.plan.write_certificate(tmp_path / f"{command.certificate}.npz")
    (row_of_plan,) = verify_plans(tmp_path / "journal.db", tmp_path).to_dicts()
    assert "is of another equity than the journal's book" in row_of_plan["finding"]


def test_a_rejected_plan_is_no_row(tmp_path: Path) -> None:
    commands = waiting_market()
    live = plan_of(book_of(commands))
    late = msgspec.structs.replace(live.command, time_ms=10**6)
    with delever.Recorder.open(tmp_path / "journal.db") as recorder:
        *_, (rejected,) = recorder.submit([*commands, late])
    assert rejected.reason is Reason.PLAN_TOO_LATE
    assert verify_plans(tmp_path / "journal.db", tmp_path).is_empty()
