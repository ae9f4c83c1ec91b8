"""Ranks published step by step equal those that a fresh copy of the book publishes at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from sessions import large, sessions

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Command
from delever.core.risk.publication.cache import PublicationCache, publish
from delever.core.risk.publication.ranked_batch import RankedBatch
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


def test_batches_in_the_cache_are_merged_before_they_have_twice_the_positions() -> None:
    book = decode_book(large())
    first = publish(book)
    digests = {key: side.digest() for key, side in first.sides.items()}
    for turn in range(12):
        step(
            book, m.SetMarks(time_ms=2 + turn, marks={["BTC", "SOL", "XRP"][turn % 3]: 100 + turn})
        )
        again = publish(book)
        stored = {int(number): batch for number, batch in numbered(book)}
        assert sum(batch.layout.size for batch in stored.values()) <= 2 * 150_000
    assert len(stored) < 3  # one batch for each contract would be three
    fresh = publish(decode_book(encode_book(book)))
    assert {key: side.digest() for key, side in again.sides.items()} == {
        key: side.digest() for key, side in fresh.sides.items()
    }
    assert {key: side.digest() for key, side in first.sides.items()} == digests


def numbered(book: Book) -> Iterator[tuple[int, RankedBatch]]:
    """Return the batches in a book's cache, with their numbers."""
    cache: PublicationCache = book.publication_cache
    return (pair for pair in zip(cache.numbers, cache.batches, strict=True) if pair[1])
