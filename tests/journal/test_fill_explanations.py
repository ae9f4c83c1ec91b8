"""Every fill of any session is recomputed equally, and an unsound journal is reported."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from forgery import forge, record, spoil
from hypothesis import given
from hypothesis import strategies as st
from sessions import crash, sessions

from delever.core.messages import AdlFilled, Command
from delever.journal import SqliteJournal
from delever.journal.record import decode_events, encode_events
from delever.lab.errors import InputError
from delever.lab.queries.fill_explanation import explain_fill


def fills_of(path: Path) -> list[AdlFilled]:
    with SqliteJournal(path, readonly=True) as journal:
        events = [event for each in journal.records() for event in decode_events(each.events)]
    return [event for event in events if isinstance(event, AdlFilled)]


@given(sessions(), st.sampled_from([5, 10**9]))
def test_every_fill_is_recomputed_the_same(commands: list[Command], snapshot_every: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal.db"
        record(path, commands, snapshot_every=snapshot_every)
        for fill in fills_of(path):
            why = explain_fill(path, fill.fill)
            assert why.fill == fill
            assert why.recomputed == "the same"
            assert (why.start is None) == bool(why.forced)
            closed = {(earlier.account, earlier.position) for earlier in why.filled_before}
            assert len(closed) + len(why.skipped) == fill.rank - 1
            assert sum(earlier.lots for earlier in why.filled_before) <= fill.quantity_ahead_lots
            assert str(why).startswith(f"Fill {fill.fill} closed ")
            msgspec.json.encode(why.facts())


def first_fill(path: Path) -> int:
    """Return the record of the first fill."""
    with SqliteJournal(path, readonly=True) as journal:
        return next(each.sequence for each in journal.records() if b"adl_filled" in each.events)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    record(path, crash())
    return path


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_changed_record_is_reported(journal: Path, before: int) -> None:
    sequence = first_fill(journal) - before
    spoil(journal, f"UPDATE records SET time_ms = time_ms + 1 WHERE sequence = {sequence}")
    with pytest.raises(InputError, match=f"is not sound: record {sequence}: content does not"):
        explain_fill(journal, 1)


def test_a_missing_record_is_reported(journal: Path) -> None:
    spoil(journal, "DELETE FROM records WHERE sequence = 9")
    with pytest.raises(InputError, match="is not sound: record 9 is missing"):
        explain_fill(journal, 1)


def test_a_forged_fill_with_valid_hashes_is_reported(journal: Path) -> None:
    """A forged rank in a chain sealed again: the hashes agree, the computation does not."""
    sequence = first_fill(journal)
    with SqliteJournal(journal, readonly=True) as opened:
        stored = opened.record(sequence)
    assert stored is not None
    events = [
        msgspec.structs.replace(event, rank=7, score=0.5) if isinstance(event, AdlFilled) else event
        for event in decode_events(stored.events)
    ]
    forge(journal, sequence, events=encode_events(events))
    why = explain_fill(journal, 1)
    assert why.differences == ("rank", "score")
    assert "Recomputed: NOT the same: rank, score differ (" in str(why)
    assert why.facts()["recomputed"] == "rank, score differ"


def test_a_round_without_an_end_is_reported(journal: Path) -> None:
    sequence = first_fill(journal)
    with SqliteJournal(journal, readonly=True) as opened:
        stored = opened.record(sequence)
    assert stored is not None
    events = decode_events(stored.events)
    cut = next(place for place, event in enumerate(events) if isinstance(event, AdlFilled)) + 1
    forge(journal, sequence, events=encode_events(events[:cut]))
    with pytest.raises(InputError, match=f"is not sound: record {sequence}: "):
        explain_fill(journal, 1)
