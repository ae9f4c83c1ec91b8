"""Ranks published step by step equal those that a fresh copy of the book publishes at once."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from sessions import large, sessions

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Command
from delever.core.risk.publication.cache import publish
from delever.journal.snapshot import decode_book, encode_book


@given(sessions())
def test_tables_that_are_not_ranked_again_publish_the_same_ranks(commands: list[Command]) -> None:
    book = Book()
    for command in commands:
        step(book, command)
        cached = publish(book)
        fresh = publish(decode_book(encode_book(book)))
        assert cached.as_of == fresh.as_of
        assert {
            key: (table.digest(), table.rank.tolist()) for key, table in cached.sides.items()
        } == {key: (table.digest(), table.rank.tolist()) for key, table in fresh.sides.items()}


def test_any_number_of_threads_publishes_the_same_ranks() -> None:
    alone = publish(decode_book(large()))
    digests = {key: table.digest() for key, table in alone.sides.items()}
    assert sum(int(table.rank.max()) for table in alone.sides.values()) > 100_000
    with ThreadPoolExecutor(4) as pool:
        for _ in range(8):  # a fresh book: threads race to its first valuation
            threaded = publish(decode_book(large()), pool.map)
            assert {key: table.digest() for key, table in threaded.sides.items()} == digests


def test_any_number_of_threads_applies_marks_equally() -> None:
    one, other = decode_book(large()), decode_book(large())
    moved = m.SetMarks(time_ms=2, marks={"BTC": 97, "SOL": 100, "XRP": 104})
    with ThreadPoolExecutor(4) as pool:
        assert step(one, moved) == step(other, moved, pool.map)
    assert one.take_changes() == other.take_changes()
    assert encode_book(one) == encode_book(other) != large()
    audit(other)
