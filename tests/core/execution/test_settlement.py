"""Fills of a round applied as one batch leave the same book as the same fills one by one."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World

from delever.core import messages as m
from delever.core.accounting.invariants import InvariantBrokenError, StepCheck, audit
from delever.core.book.book import BATCH_THRESHOLD, Book
from delever.core.execution.deleveraging import deleverage
from delever.core.messages import ContractKind, Side
from delever.core.messages.fill_batch import FillBatch
from delever.core.rules import RULE_SETS, Case, RuleSet
from delever.core.rules.adl_price import AtBankruptcyPrice, AtMark, PriceRule
from delever.core.rules.policies import ContractProRata, QueuePolicy
from delever.core.rules.triggers import PoolEquity
from delever.core.rules.triggers.sizing import Sizing
from delever.journal.snapshot import decode_book, encode_book


def crowded_world(seed: int, kind: ContractKind, counterparties: int) -> World:
    """Return a world with several takeovers and this many counterparties."""
    rng = np.random.default_rng(seed)
    world = World("kucoin")
    world.contract("X", kind=kind, multiplier=1 if kind is ContractKind.LINEAR else 1000)
    world.mark(X=100)
    rows = []
    for number in range(counterparties):
        name = f"c{counterparties - 1 - number}"
        for position in range(int(rng.integers(1, 4))):
            more = {"margin": int(rng.integers(20, 2000))} if rng.random() < 0.4 else {}
            orders = ("o-1", f"o-{number}") if rng.random() < 0.3 else ()
            at = int(rng.integers(90, 140))
            lots = -int(rng.integers(1, 30))
            leverage = int(rng.integers(1, 50))
            more |= {"at": at, "position": position, "leverage": leverage, "open_orders": orders}
            rows.append(world.row(name, "X", Side.SHORT, lots, **more))
    world.wallets(**{f"c{n}": int(rng.integers(100, 9000)) for n in range(counterparties)})
    world.positions(*rows)
    world.submit(m.PauseAdl, contract="X", paused=True, note="until the inventory is complete")
    for number in range(int(rng.integers(1, 5))):
        world.inventory(
            "X", Side.LONG, int(rng.integers(1, 12 * counterparties)), 101, f"b{number}"
        )
    return world


def round_events(book: Book, rules: RuleSet, price: PriceRule) -> Iterator[m.Event]:
    """Yield the events of a round, applied to the book as the engine does."""
    case = Case(PoolEquity(), price)
    for event in deleverage(book, book.contracts["X"], Side.LONG, rules, case):
        if isinstance(event, FillBatch):
            book.apply_fills(event)
            yield from event.events
        else:
            book.apply(event)
            yield event


def compare(
    seed: int, kind: ContractKind, counterparties: int, *, pro_rata: bool, fee: int
) -> Book:
    """Run a round on one book, and its events one by one on a copy; return the book."""
    book = crowded_world(seed, kind, counterparties).book
    book.take_changes()
    twin = decode_book(encode_book(book))
    policy = ContractProRata() if pro_rata else QueuePolicy()
    price = (AtBankruptcyPrice(), AtMark())[seed % 2]
    rules = replace(RULE_SETS["kucoin"], policy=policy, fee_ppm=fee, sizing=Sizing.WHOLE)
    for event in round_events(book, rules, price):
        twin.apply(event)
    assert book.take_changes() == twin.take_changes()
    assert encode_book(book) == encode_book(twin)
    audit(book)
    return book


@given(
    st.integers(0, 2**32),
    st.sampled_from(ContractKind),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([0, 750]),
)
def test_a_batch_of_fills_equals_the_fills_one_by_one(
    seed: int, kind: ContractKind, counterparties: int, pro_rata: bool, fee: int
) -> None:
    compare(seed, kind, counterparties, pro_rata=pro_rata, fee=fee)


def traits(book: Book) -> Iterator[str]:
    """Yield the traits of the round that a book has just had."""
    fills, table = list(book.outstanding.fills.values()), book.contracts["X"].tables[Side.SHORT]
    yield "together" if len(fills) >= BATCH_THRESHOLD else "one by one"
    positions = Counter((book.accounts.index[fill.account], fill.position) for fill in fills)
    different = {
        "several tranches": {fill.takeover for fill in fills},
        "isolated and cross": {fill.isolated for fill in fills},
        "with orders and without": {bool(fill.cancel_orders) for fill in fills},
        "in part and whole": {table.find(*key) is None for key in positions},
        "a position that meets two tranches": {0, *(n > 1 for n in positions.values())},
        "an account with two positions": {True, len(positions) == len({a for a, _ in positions})},
    }
    yield from (trait for trait, found in different.items() if len(found) > 1)


def test_rounds_of_every_kind_are_compared() -> None:
    covered: Counter[str] = Counter()
    for seed in range(12):
        kind = list(ContractKind)[seed % 2]
        covered.update(traits(compare(seed, kind, 1 + seed, pro_rata=seed % 3 == 0, fee=0)))
    assert len(covered) == 8, covered


@pytest.mark.parametrize(
    ("field", "more", "what"),
    [
        ("lots", 10**6, "a position was closed beyond"),
        ("margin_returned_cash", 10**12, "a margin is negative"),
    ],
)
def test_a_fill_beyond_position_or_margin_stops_the_step(field: str, more: int, what: str) -> None:
    book = crowded_world(3, ContractKind.LINEAR, 20).book
    rules = replace(RULE_SETS["kucoin"], policy=ContractProRata(), sizing=Sizing.WHOLE)
    case = Case(PoolEquity(), AtMark())
    events = deleverage(book, book.contracts["X"], Side.LONG, rules, case)
    fills = next(event for event in events if isinstance(event, FillBatch))
    amounts = list(fills.columns[field])
    amounts[fills.columns["isolated"].index(True)] += more
    forged = FillBatch.of({**fills.columns, field: amounts}, fills.accounts)
    honest, check = StepCheck(book), StepCheck(book)
    honest.before_fills(fills)
    check.before_fills(forged)
    book.apply_fills(forged)
    with pytest.raises(InvariantBrokenError, match=what):
        check.close()
    with pytest.raises(InvariantBrokenError, match="ledger and book differ"):
        honest.close()
