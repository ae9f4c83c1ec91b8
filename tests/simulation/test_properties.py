"""Metamorphic properties of sessions, and answers compared with the outcomes they predict."""

import functools
import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metamorphic import changed, outcomes_of, renamed, reordered
from model import SIDES, Model
from random_market import RULES
from runner import SessionEvents, run_seed
from workload import Workload

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.explain.explanation import Explanation, explain
from delever.core.explain.queue_position import QueuePosition
from delever.core.explain.what_if import (
    AddMargin,
    AnyChange,
    OpenHedge,
    PartialClose,
    SetLeverage,
    WhatIf,
    what_if,
)
from delever.core.messages import Event, Side
from delever.core.rules import RULE_SETS

LENGTH = 120
SEEDS = range(12)


@functools.cache
def session(seed: int) -> SessionEvents:
    return run_seed(seed, LENGTH)


def commands_of(seed: int) -> list[m.Command]:
    return [move.command for move, _ in session(seed)]


# --- transformed sessions ---


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_rows_and_accounts_does_not_change_the_outcome(seed: int) -> None:
    commands = commands_of(seed)
    assert outcomes_of(reordered(commands, seed)) == outcomes_of(commands)


@pytest.mark.parametrize("seed", SEEDS)
def test_other_names_in_the_same_order_do_not_change_the_outcome(seed: int) -> None:
    commands = commands_of(seed)
    transformed, names = renamed(commands)
    assert outcomes_of(transformed) == outcomes_of(commands, names)


@pytest.mark.parametrize("seed", SEEDS)
def test_positions_submitted_in_parts_make_the_same_book(seed: int) -> None:
    workload, whole, parts = Workload(seed), Book(), Book()
    while workload.opening:
        command = workload.next(Model()).command
        if isinstance(command, m.DefinePool):
            command = changed(command, managed=False)  # nobody is taken over in between
        step(whole, command)
        step(parts, command)
    for _ in range(5):
        snapshot = workload._positions(Model())
        assert isinstance(snapshot, m.SetPositions)
        step(whole, snapshot)
        by_account = itertools.groupby(snapshot.positions, key=lambda row: row.account)
        for _, rows in by_account:
            step(parts, changed(snapshot, positions=tuple(rows)))
        assert holdings(whole) == holdings(parts)


def holdings(book: Book) -> dict[object, object]:
    """Return everything that accounts have, regardless of the order of rows."""
    names = book.accounts.names
    held: dict[object, object] = {
        (name, side, names[account], number): table.row_values(row)
        for name, state in book.contracts.items()
        for side, table in state.tables.items()
        for row, (account, number) in enumerate(table.keys())
    }
    held |= {name: asset.wallets.balance.tolist() for name, asset in book.assets.items()}
    return held | dict(book.open_orders)


# --- one table, one position of each account ---

UNIT = 10**6


def table(seed: int, rules: str) -> Book:
    """Return a book with ten random shorts at one mark."""
    draw = random.Random(seed)
    book = Book()
    names = [f"a{number}" for number in range(10)]
    opening: list[m.Command] = [
        m.DefineAsset(time_ms=0, asset="USDT", cash_decimals=6),
        m.DefinePool(time_ms=0, pool="p", kind=m.PoolKind.SHARED, asset="USDT", rules=rules),
        m.DefineContract(
            time_ms=0,
            contract="C",
            kind=m.ContractKind.LINEAR,
            settle="USDT",
            pool="p",
            tick_size="0.01",
            lot_size="0.01",
            margin_tiers=(
                m.MarginTier(notional_from=0, maintenance_rate="0.01"),
                m.MarginTier(notional_from=5_000, maintenance_rate="0.05"),
            ),
        ),
        *(m.DefineAccount(time_ms=0, account=name) for name in names),
        m.SetMarks(time_ms=0, marks={"C": 100}),
    ]
    for command in opening:
        step(book, command)
    for name in names:
        entry, lots = draw.randint(90_00, 115_00), draw.randint(100, 20_000)
        cash = draw.randint(5_000 * UNIT, 50_000 * UNIT)
        margin = draw.randint(lots * 20 * UNIT // 100, lots * UNIT) if draw.random() < 0.5 else None
        submit_position(book, name, lots, lots * entry * 100, margin, draw.randint(1, 50) * 100)
        submit_balance(book, name, cash)
    return book


def submit_position(
    book: Book, account: str, lots: int, cost: int, margin: int | None, leverage: int
) -> tuple[Event, ...]:
    row = m.PositionRow(
        account=account,
        contract="C",
        side=Side.SHORT,
        quantity=f"{lots // 100}.{lots % 100:02d}",
        entry_cost=f"{cost // UNIT}.{cost % UNIT:06d}",
        isolated_margin=None if margin is None else f"{margin // UNIT}.{margin % UNIT:06d}",
        leverage=f"{leverage // 100}.{leverage % 100:02d}",
    )
    return step(book, m.SetPositions(time_ms=0, version=1, positions=(row,)))


def submit_balance(book: Book, account: str, cash: int) -> None:
    row = m.BalanceRow(account=account, asset="USDT", balance=f"{cash // UNIT}.{cash % UNIT:06d}")
    step(book, m.SetBalances(time_ms=0, version=1, balances=(row,)))


def submit_change(book: Book, account: str, change: AnyChange) -> None:
    """Submit the positions and balances that the venue would have after the change."""
    shorts = book.contracts["C"].tables[Side.SHORT]
    index = book.accounts.index[account]
    row = shorts.row_of(index, 0)
    lots, cost, profit = (int(c[row]) for c in (shorts.lots, -shorts.cost, shorts.unrealized_pnl))
    leverage, isolated = int(shorts.leverage[row]), bool(shorts.isolated[row])
    margin = int(shorts.margin[row]) if isolated else None
    cash = int(book.assets["USDT"].wallets.balance[index])
    match change:
        case AddMargin():
            cash, margin = (
                (cash + change.amount_cash, None)
                if margin is None
                else (cash, margin + change.amount_cash)
            )
        case PartialClose() | OpenHedge():  # in one-way mode the same
            left = lots - change.lots
            cash += profit - profit * left // lots
            cost, margin = cost * left // lots, None if margin is None else margin * left // lots
            lots = left
        case SetLeverage():
            leverage = change.leverage_hundredths
            margin = None if margin is None else cost * 100 // leverage
    submit_position(book, account, lots, cost, margin, leverage)
    submit_balance(book, account, cash)


def place_of(book: Book, account: str) -> QueuePosition:
    explained = explain(book, "C", Side.SHORT, account)
    assert isinstance(explained, Explanation)
    return explained.queue_position


def answered(book: Book, account: str, change: AnyChange) -> WhatIf:
    answer = what_if(book, "C", Side.SHORT, account, change)
    assert isinstance(answer, WhatIf)
    return answer


changes = st.one_of(
    st.builds(AddMargin, amount_cash=st.integers(-20 * UNIT, 5_000 * UNIT)),
    st.builds(PartialClose, lots=st.integers(1, 99)),
    st.builds(OpenHedge, lots=st.integers(1, 99)),
    st.builds(SetLeverage, leverage_hundredths=st.integers(1_00, 40_00)),
)
seeds = st.integers(0, 2**32)


@given(seed=seeds, rules=st.sampled_from(list(RULE_SETS)), number=st.integers(0, 9), change=changes)
def test_a_what_if_equals_the_outcome_of_its_change(
    seed: int, rules: str, number: int, change: AnyChange
) -> None:
    book, account = table(seed, rules), f"a{number}"
    answer = answered(book, account, change)
    assert answer.before == place_of(book, account)
    submit_change(book, account, change)
    truth = place_of(book, account)
    assert answer.after.score == pytest.approx(truth.score, rel=1e-6, abs=1e-12)
    assert answer.after.reason == truth.reason
    scores = [place_of(book, f"a{each}").score for each in range(10) if each != number]
    if all(abs(score - truth.score) > 1e-6 * abs(truth.score) for score in scores):
        assert (answer.after.rank, answer.after.ranked) == (truth.rank, truth.ranked)
        assert (answer.after.indicator, answer.after.quantity_ahead_lots) == (
            truth.indicator,
            truth.quantity_ahead_lots,
        )


@given(seed=seeds, rules=st.sampled_from(RULES), number=st.integers(0, 9), part=st.integers(1, 99))
def test_more_leverage_never_lowers_a_rank_in_a_what_if(
    seed: int, rules: str, number: int, part: int
) -> None:
    """By less margin under every rule set, and by the setting itself where that counts."""
    book, account = table(seed, rules), f"a{number}"
    margin = int(book.contracts["C"].tables[Side.SHORT].margin[number])
    leverage = int(book.contracts["C"].tables[Side.SHORT].leverage[number])
    taken = margin or int(book.assets["USDT"].wallets.balance[number])
    change: AnyChange = AddMargin(amount_cash=-taken * part // 100)
    if rules == "bitmart":
        change = SetLeverage(leverage_hundredths=leverage + part)
    answer = answered(book, account, change)
    if answer.after.rank:
        assert answer.after.rank <= answer.before.rank
        assert answer.after.score >= answer.before.score


# --- explained before, closed after ---


def round_starts(events: tuple[Event, ...]) -> Iterator[tuple[int, list[m.AdlFilled]]]:
    """Yield where each round begins, and its fills."""
    start: int | None = None
    fills: list[m.AdlFilled] = []
    for place, event in enumerate(events):
        if isinstance(event, m.AdlFilled | m.CounterpartySkipped):
            start = place if start is None else start
            if isinstance(event, m.AdlFilled):
                fills.append(event)
        elif start is not None:
            yield start, fills
            start, fills = None, []


@pytest.mark.parametrize("seed", SEEDS)
def test_fills_have_the_explained_rank(seed: int) -> None:
    """Rank, indicator and quantity ahead of each fill equal those explained right before."""
    book = Book()
    for _, events in session(seed):
        rounds = dict(round_starts(events))
        for place, event in enumerate(events):
            for fill in rounds.get(place, []):
                found = explain(
                    book, fill.contract, fill.side, fill.account, position=fill.position
                )
                assert isinstance(found, Explanation)
                where = found.queue_position
                explained = (where.rank, where.indicator, where.quantity_ahead_lots, where.score)
                assert explained == (
                    fill.rank,
                    fill.indicator,
                    fill.quantity_ahead_lots,
                    fill.score,
                )
            book.apply(event)


def test_sessions_close_both_sides() -> None:
    """The sessions above close both longs and shorts, cross and isolated."""
    fills = [
        event
        for seed in SEEDS
        for _, events in session(seed)
        for event in events
        if isinstance(event, m.AdlFilled)
    ]
    assert {fill.side for fill in fills} == set(SIDES)
    assert {fill.isolated for fill in fills} == {True, False}
