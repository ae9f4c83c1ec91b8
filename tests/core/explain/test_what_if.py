"""A what-if equals the real outcome to the last digit, with positions on both sides.

The book as it would be after the change is submitted to the engine, which must answer with the same
place in the queue.
"""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import step
from delever.core.explain.explanation import Explanation, explain
from delever.core.explain.queue_position import QueuePosition
from delever.core.explain.what_if import (
    AddMargin,
    AnyChange,
    ImpossibleChange,
    OpenHedge,
    PartialClose,
    SetLeverage,
    WhatIf,
    what_if,
)
from delever.core.messages import Reason, Side
from delever.core.rules import RULE_SETS
from delever.core.units import format_scaled

UNIT = 10**6
NAMES = [f"a{number}" for number in range(6)]
OPTIONS = ["bybit+net_exposure", "bitmex+both_legs", "okx+cap_per_account=0.3"]
RULES = sorted(RULE_SETS) + OPTIONS
KINDS = list(m.ContractKind)
FIELDS = ("lots", "cost", "isolated", "margin", "leverage")

Row = dict[str, int]
"""A position in exact integers; the cost has the sign of the book."""


def opened(kind: m.ContractKind, rules: str) -> Book:
    """Return a contract whose accounts are in hedge mode, except the last one."""
    book = Book()
    tiers = ((0, "0.01"), (3_000, "0.05"))
    commands: list[m.Command] = [
        m.DefineAsset(time_ms=0, asset="USDT", cash_decimals=6),
        m.DefinePool(time_ms=0, pool="p", kind=m.PoolKind.SHARED, asset="USDT", rules=rules),
        m.DefineContract(
            time_ms=0,
            contract="C",
            kind=kind,
            settle="USDT",
            pool="p",
            tick_size="0.01",
            lot_size="0.01" if kind is m.ContractKind.LINEAR else 10_000,
            margin_tiers=tuple(m.MarginTier(notional_from=a, maintenance_rate=r) for a, r in tiers),
        ),
        *(m.DefineAccount(time_ms=0, account=a, hedge_mode=a != NAMES[-1]) for a in NAMES),
        m.SetMarks(time_ms=0, marks={"C": 100}),
    ]
    for command in commands:
        step(book, command)
    return book


def table(seed: int, kind: m.ContractKind, rules: str) -> Book:
    """Return six accounts with up to two positions on each side, isolated and cross."""
    draw = random.Random(seed)
    book = opened(kind, rules)
    state = book.contracts["C"]
    for name in NAMES:
        submit_balance(book, name, draw.randint(2_000 * UNIT, 40_000 * UNIT))
        for number in (0, 1):
            sides = [Side.SHORT]
            if name != NAMES[-1] and draw.random() < 0.5:
                sides.append(Side.LONG)
            for side in sides:
                lots, ticks = draw.randint(100, 9_000), draw.randint(90_00, 115_00)
                isolated = draw.random() < 0.4
                row = {
                    "lots": lots,
                    "cost": state.terms.value_cash(side.sign * lots, ticks),
                    "isolated": isolated,
                    "margin": lots * draw.randint(20, 100) * UNIT // 100 if isolated else 0,
                    "leverage": draw.randint(1, 50) * 100,
                }
                submit_position(book, name, side, number, row)
    return book


def submit_position(book: Book, account: str, side: Side, number: int, row: Row) -> None:
    lots, cost, margin = (row[name] for name in ("lots", "cost", "margin"))
    lot = book.contracts["C"].terms.lot
    position = m.PositionRow(
        account=account,
        contract="C",
        side=side,
        position=number,
        quantity=format_scaled(lots * lot[0], lot[1]),
        entry_cost=format_scaled(abs(cost), 6),
        isolated_margin=format_scaled(margin, 6) if row["isolated"] else None,
        leverage=str(Decimal(row["leverage"]) / 100),
    )
    (accepted, *_) = step(book, m.SetPositions(time_ms=0, version=1, positions=(position,)))
    assert isinstance(accepted, m.Accepted)


def submit_balance(book: Book, account: str, cash: int) -> None:
    row = m.BalanceRow(account=account, asset="USDT", balance=format_scaled(cash, 6))
    step(book, m.SetBalances(time_ms=0, version=1, balances=(row,)))


def open_position(state: ContractState, side: Side, account: int, number: int) -> Row | None:
    shorts = state.tables[side]
    row = shorts.find(account, number)
    return None if row is None else {name: int(getattr(shorts, name)[row]) for name in FIELDS}


def submit_change(book: Book, account: str, number: int, change: AnyChange) -> None:
    """Submit the positions and balances that the venue would have after the change."""
    state, index, sequence = book.contracts["C"], book.accounts.index[account], book.sequence
    cash = int(book.assets["USDT"].wallets.balance[index])
    row = open_position(state, Side.SHORT, index, number)
    assert row is not None
    if isinstance(change, OpenHedge) and account == NAMES[-1]:
        change = PartialClose(lots=change.lots)
    match change:
        case AddMargin():
            row["margin"] += change.amount_cash if row["isolated"] else 0
            cash += 0 if row["isolated"] else change.amount_cash
        case PartialClose():
            lots, value = change.lots, state.terms.value_cash(-change.lots, state.mark)
            closed_cost, returned = (row[name] * lots // row["lots"] for name in ("cost", "margin"))
            cash += value - closed_cost + returned
            row |= {"cost": row["cost"] - closed_cost, "margin": row["margin"] - returned}
            row["lots"] -= lots
        case SetLeverage():
            row["leverage"] = change.leverage_hundredths
            if row["isolated"]:
                cash += row["margin"]
                row["margin"] = abs(row["cost"]) * 100 // row["leverage"]
                cash -= row["margin"]
        case OpenHedge():
            cash -= open_hedge(book, account, number, row, change.lots)
    submit_position(book, account, Side.SHORT, number, row)
    submit_balance(book, account, cash)
    book.sequence = sequence  # a score may depend on it


def open_hedge(book: Book, account: str, number: int, own: Row, lots: int) -> int:
    """Open longs at the mark; return what the wallet pays as their isolated margin."""
    state, index = book.contracts["C"], book.accounts.index[account]
    new = {**own, "lots": 0, "cost": 0, "margin": 0}
    hedge = open_position(state, Side.LONG, index, number) or new
    value = state.terms.value_cash(lots, state.mark)
    margin = abs(value) * 100 // hedge["leverage"] if hedge["isolated"] else 0
    hedge["lots"] += lots
    hedge["cost"] += value
    hedge["margin"] += margin
    submit_position(book, account, Side.LONG, number, hedge)
    return margin


def queue_position(book: Book, account: str, number: int) -> QueuePosition:
    explained = explain(book, "C", Side.SHORT, account, position=number)
    assert isinstance(explained, Explanation)
    return explained.queue_position


def answered(book: Book, account: str, number: int, change: AnyChange) -> WhatIf:
    answer = what_if(book, "C", Side.SHORT, account, change, position=number)
    assert isinstance(answer, WhatIf)
    return answer


changes = st.one_of(
    st.builds(AddMargin, amount_cash=st.integers(-20 * UNIT, 5_000 * UNIT)),
    st.builds(PartialClose, lots=st.integers(1, 99)),
    st.builds(SetLeverage, leverage_hundredths=st.integers(1_00, 40_00)),
    st.builds(OpenHedge, lots=st.integers(1, 99)),
)
hedges = st.builds(OpenHedge, lots=st.integers(1, 20_000))
books = st.builds(table, st.integers(0, 2**32), st.sampled_from(KINDS), st.sampled_from(RULES))


@given(books, st.sampled_from(NAMES), st.integers(0, 1), changes)
def test_a_what_if_equals_the_outcome_of_the_change(
    book: Book, account: str, number: int, change: AnyChange
) -> None:
    answer = answered(book, account, number, change)
    assert answer.before == queue_position(book, account, number)
    submit_change(book, account, number, change)
    assert answer.after == queue_position(book, account, number)


@given(books, st.sampled_from(NAMES[:-1]), st.integers(0, 1), hedges)
def test_a_what_if_of_a_hedge_equals_its_outcome(
    book: Book, account: str, number: int, change: OpenHedge
) -> None:
    answer = answered(book, account, number, change)
    submit_change(book, account, number, change)
    assert answer.after == queue_position(book, account, number)


@given(books, st.integers(1, 99))
def test_a_hedge_in_one_way_mode_closes(book: Book, lots: int) -> None:
    hedged = answered(book, NAMES[-1], 0, OpenHedge(lots=lots))
    assert hedged.after == answered(book, NAMES[-1], 0, PartialClose(lots=lots)).after
    assert hedged.after.lots == hedged.before.lots - lots


@given(books, st.sampled_from(NAMES))
def test_a_position_closed_whole_is_not_ranked(book: Book, account: str) -> None:
    before = queue_position(book, account, 1)
    after = answered(book, account, 1, PartialClose(lots=before.lots)).after
    assert (after.lots, after.rank, after.indicator, after.quantity_ahead_lots) == (0, 0, 0, 0)
    assert after.reason is Reason.POSITION_CLOSED
    submit_change(book, account, 1, PartialClose(lots=before.lots - 1))  # one lot is left
    left = queue_position(book, account, 1)
    assert after.ranked == left.ranked - (left.reason is None)


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        (SetLeverage(leverage_hundredths=0), "leverage_hundredths", "out_of_range"),
        (SetLeverage(leverage_hundredths=1_000_001), "leverage_hundredths", "out_of_range"),
        (SetLeverage(leverage_hundredths=2**80), "leverage_hundredths", "out_of_range"),
        (PartialClose(lots=0), "lots", "not_positive"),
        (PartialClose(lots=-5), "lots", "not_positive"),
        (PartialClose(lots=101), "lots", "exceeds_position"),
        (PartialClose(lots=2**80), "lots", "exceeds_position"),
        (OpenHedge(lots=0), "lots", "not_positive"),
        (OpenHedge(lots=2**80), "lots", "exceeds_numeric_range"),
        (OpenHedge(lots=2**45), "lots", "exceeds_numeric_range"),
        (AddMargin(amount_cash=2**80), "change", "exceeds_numeric_range"),
        (AddMargin(amount_cash=-(2**63)), "change", "exceeds_numeric_range"),
    ],
)
def test_an_impossible_change_has_a_field_and_a_reason(
    change: AnyChange, field: str, reason: str
) -> None:
    book = opened(m.ContractKind.LINEAR, "binance")
    submit_position(book, "a0", Side.SHORT, 0, cross(100))
    answer = what_if(book, "C", Side.SHORT, "a0", change)
    assert isinstance(answer, ImpossibleChange)
    assert answer.field == field
    assert answer.reason.startswith(reason)


def cross(lots: int, **more: Any) -> Row:
    return {"lots": lots, "cost": -lots * UNIT, "isolated": 0, "margin": 0, "leverage": 100} | more


def test_withdrawing_more_margin_than_there_is_is_impossible() -> None:
    book = opened(m.ContractKind.LINEAR, "bybit")
    submit_position(book, "a0", Side.SHORT, 0, cross(100, isolated=1, margin=5 * UNIT))
    answer = what_if(book, "C", Side.SHORT, "a0", AddMargin(amount_cash=-5 * UNIT - 1))
    wanted = ImpossibleChange(field="amount_cash", reason=Reason.NEGATIVE_NOT_ALLOWED)
    assert answer == wanted
    assert answered(book, "a0", 0, AddMargin(amount_cash=-5 * UNIT)).after.lots == 100


@pytest.mark.parametrize("change", [PartialClose(lots=1), OpenHedge(lots=1)])
def test_closing_or_hedging_without_a_mark_is_impossible(change: AnyChange) -> None:
    book = opened(m.ContractKind.LINEAR, "bybit")
    submit_position(book, "a0", Side.SHORT, 0, cross(100))
    book.contracts["C"].mark = 0
    answer = what_if(book, "C", Side.SHORT, "a0", change)
    assert answer == ImpossibleChange(field="contract", reason=Reason.MISSING_MARK_PRICE)


def test_a_cross_hedge_shares_one_score_and_adds_maintenance() -> None:
    """Short 100 from 110 at mark 100: a return of 10 %; 100 longs at 100 halve it (BIN-05)."""
    book = opened(m.ContractKind.LINEAR, "binance")
    submit_balance(book, "a0", 1_000 * UNIT)
    submit_position(book, "a0", Side.SHORT, 0, cross(100, cost=-110 * UNIT))
    alone = answered(book, "a0", 0, OpenHedge(lots=100))
    gain = "return_on_mark"
    assert (alone.before.parts[gain], alone.after.parts[gain]) == (0.1, 0.05)
    margins = answered(opened_legacy(), "a0", 0, OpenHedge(lots=100))
    rate = "margin_ratio"
    assert margins.after.parts[rate] == 2 * margins.before.parts[rate]


def opened_legacy() -> Book:
    book = opened(m.ContractKind.LINEAR, "binance_legacy")
    submit_balance(book, "a0", 1_000 * UNIT)
    submit_position(book, "a0", Side.SHORT, 0, cross(100, cost=-110 * UNIT))
    return book
