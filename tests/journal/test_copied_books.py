"""A copied book, in this process or in another, equals the original and is independent of it."""

import copy
import multiprocessing
import pickle
import weakref
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sessions import crash, large, sessions

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Command, Event, Side
from delever.core.risk.publication.cache import publish
from delever.journal.snapshot import decode_book, encode_book


def pickled(book: Book) -> Book:
    """Return a book that was pickled with its columns in the same bytes."""
    copied: Book = pickle.loads(pickle.dumps(book, protocol=5))
    return copied


def pickled_out_of_band(book: Book) -> Book:
    """Return a book whose columns were copied apart from the rest."""
    buffers: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(book, protocol=5, buffer_callback=buffers.append)
    copied: Book = pickle.loads(rest, buffers=[bytearray(buffer.raw()) for buffer in buffers])
    return copied


WAYS = [Book.copy, copy.copy, copy.deepcopy, pickled, pickled_out_of_band]
every_way = pytest.mark.parametrize("copied", WAYS, ids=lambda way: way.__qualname__)

MOVED = m.SetMarks(time_ms=2, marks={"BTC": 97, "SOL": 101, "XRP": 104})


def marked() -> Book:
    """Return a large book with marks and cached ranks."""
    book = decode_book(large())
    publish(book)
    return book


def digests(book: Book) -> dict[tuple[str, Side], str]:
    """Return the digest of the published ranks of every side."""
    return {key: side.digest() for key, side in publish(book).sides.items()}


def run(book: Book, commands: list[Command]) -> list[tuple[tuple[Event, ...], bytes]]:
    """Return the events of each command, and the bytes of its changes."""
    return [(step(book, command), book.take_changes()) for command in commands]


@every_way
def test_a_mark_on_a_copy_of_a_large_book_does_not_change_the_original(
    copied: Callable[[Book], Book],
) -> None:
    book = marked()
    before, ranks = encode_book(book), digests(book)
    other = copied(book)
    assert (encode_book(other), digests(other)) == (before, ranks)
    step(other, MOVED)
    assert (encode_book(book), digests(book)) == (before, ranks)
    assert encode_book(other) != before
    assert digests(other) != ranks
    again = copied(book)
    step(book, MOVED)
    assert (encode_book(book), digests(book)) == (encode_book(other), digests(other))
    assert (encode_book(again), digests(again)) == (before, ranks)
    audit(book)
    audit(other)


@every_way
@pytest.mark.parametrize("cut", range(0, len(crash()), 3))
def test_a_crash_continues_on_a_copy_as_on_the_original(
    copied: Callable[[Book], Book], cut: int
) -> None:
    book = Book()
    run(book, crash()[:cut])
    continues_equally(book, copied(book), crash()[cut:])


@given(sessions(), st.integers(0), st.sampled_from(WAYS))
def test_any_session_continues_on_a_copy_as_on_the_original(
    session: list[Command], place: int, copied: Callable[[Book], Book]
) -> None:
    cut = place % len(session)
    book = Book()
    run(book, session[:cut])
    publish(book)
    continues_equally(book, copied(book), session[cut:])


@given(sessions(), st.integers(0))
def test_changes_not_yet_hashed_are_copied(session: list[Command], place: int) -> None:
    book = Book()
    for command in session[: place % len(session)]:
        step(book, command)
    assert book.copy().take_changes() == book.take_changes()


def continues_equally(book: Book, other: Book, commands: list[Command]) -> None:
    """Assert that both books give the same events and hashes, one after the other."""
    before = encode_book(book)
    outcomes = run(other, commands)
    assert encode_book(book) == before
    after, ranks = encode_book(other), digests(other)
    assert run(book, commands) == outcomes
    assert (encode_book(book), digests(book)) == (after, ranks)
    assert (encode_book(other), digests(other)) == (after, ranks)


def test_a_book_gets_new_accounts_while_its_pickled_columns_are_in_use() -> None:
    book = marked()
    buffers: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(book, protocol=5, buffer_callback=buffers.append)
    columns = [bytearray(buffer.raw()) for buffer in buffers]
    step(book, m.DefineAccount(time_ms=2, account="zoe"))
    assert book.accounts.names[book.accounts.index["zoe"]] == "zoe"
    assert "zoe" not in pickle.loads(rest, buffers=columns).accounts.index


Digests = dict[tuple[str, Side], str]


def after_the_mark(book: Book) -> tuple[Digests, bytes, Digests]:
    """Return ranks before a mark, then the book and its ranks after it."""
    before = digests(book)
    step(book, MOVED)
    return before, encode_book(book), digests(book)


def after_the_mark_in_shared_memory(
    name: str, sizes: list[int], rest: bytes
) -> tuple[Digests, bytes, Digests]:
    """Do the same with a book whose columns lie in shared memory."""
    shared = SharedMemory(name)
    buffers, start = [], 0
    for size in sizes:
        buffers.append(shared.buf[start : start + size])
        start += size + 63 & ~63
    book = pickle.loads(rest, buffers=buffers)
    result = after_the_mark(book)
    memory = weakref.ref(book.positions)
    del book, buffers  # nothing in a book refers back to it: its memory is free at once
    assert memory() is None
    shared.close()
    return result


def test_another_process_ranks_and_marks_a_pickled_book_equally() -> None:
    book = marked()
    before = encode_book(book), digests(book)
    with multiprocessing.get_context("spawn").Pool(1) as processes:
        result = processes.apply(after_the_mark, (book,))
    assert (encode_book(book), digests(book)) == before
    assert result == after_the_mark(book)


def test_another_process_ranks_and_marks_a_book_in_shared_memory_equally() -> None:
    book = marked()
    before = encode_book(book), digests(book)
    buffers: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(book, protocol=5, buffer_callback=buffers.append)
    sizes = [buffer.raw().nbytes for buffer in buffers]
    shared = SharedMemory(create=True, size=sum(size + 63 & ~63 for size in sizes))
    try:
        start = 0
        for buffer, size in zip(buffers, sizes, strict=True):
            shared.buf[start : start + size] = buffer.raw()
            start += size + 63 & ~63
        with multiprocessing.get_context("spawn").Pool(1) as processes:
            arguments = shared.name, sizes, rest
            result = processes.apply(after_the_mark_in_shared_memory, arguments)
    finally:
        shared.close()
        shared.unlink()
    assert (encode_book(book), digests(book)) == before
    assert result == after_the_mark(book)
