"""A large book copied, pickled, stored in a snapshot, and restarted from it."""

import argparse
import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from large_book import build, large
from measure import Row, in_turns, main, ms

from delever.core import messages as m
from delever.core.kernels import fastest
from delever.journal import Recorder, SqliteJournal
from delever.journal.record import seal_snapshot
from delever.journal.snapshot import decode_book, encode_book


def pickled(item: object) -> bytes:
    """Pickle an item with its columns out of band, as for another process."""
    buffers: list[pickle.PickleBuffer] = []
    return pickle.dumps(item, protocol=5, buffer_callback=buffers.append)


def copied(item: object) -> object:
    """Return a copy of an item, made as `Book.copy` makes it."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(body, buffers=[np.array(buffer.raw()) for buffer in buffers])


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    book = build(large(options.positions))
    body, block = encode_book(book), np.ones(book.positions.nbytes, np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        with Recorder.open(path) as recorder:
            recorder.submit([m.SetTime(time_ms=0)])
            head = recorder.head
        book.sequence = head.sequence  # one record stands for all: a restart reads none of them
        journal = SqliteJournal(path)
        taken = in_turns(
            options.rounds,
            memcpy=lambda _: block.copy(),
            block=lambda _: pickled(book.positions),
            book=lambda _: pickled(book),
            copy=lambda _: book.copy(),
            block_copy=lambda _: copied(book.positions),
            encode=lambda _: encode_book(book),
            decode=lambda _: decode_book(body),
            store=lambda _: journal.add_snapshot(seal_snapshot(head, encode_book(book))),
            restart=lambda _: Recorder.open(path).close(),
        )
        journal.close()
    middle = {name: float(np.median(times)) for name, times in taken.items()}
    yield Row(
        "the block of positions pickled out of band",
        ms(taken["block"]),
        "<= 0.1 ms",
        middle["block"] <= 1e-4,
    )
    yield Row(
        "the whole book pickled out of band", ms(taken["book"]), "<= 2 ms", middle["book"] <= 2e-3
    )
    yield Row("the whole book copied", ms(taken["copy"]))
    ratio = middle["block_copy"] / middle["memcpy"]
    yield Row("  its block of positions copied", ms(taken["block_copy"]))
    yield Row("  memcpy of the bytes of the block", ms(taken["memcpy"]))
    yield Row("  the block beside memcpy", f"{ratio:.2f} x", "<= 1.2 x", ratio <= 1.2)
    yield Row(f"snapshot of {len(body) / 1e6:.0f} MB encoded", ms(taken["encode"]))
    yield Row(
        "  encoded, hashed and durable", ms(taken["store"]), "<= 0.5 s", middle["store"] <= 0.5
    )
    yield Row("  decoded", ms(taken["decode"]), "<= 1 s", middle["decode"] <= 1)
    yield Row("restart from it", ms(taken["restart"]), "< 2 s", middle["restart"] < 2)


if __name__ == "__main__":
    main(rows)
