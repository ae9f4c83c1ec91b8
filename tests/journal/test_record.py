"""Commands and events are equal after encoding and decoding, whatever their values."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sessions import position, sessions

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Side
from delever.journal.record import decode_command, decode_events, encode_command, encode_events


@given(sessions())
def test_commands_and_events_of_any_session_round_trip(session: list[m.Command]) -> None:
    book = Book()
    for command in session:
        body = encode_command(command)
        assert encode_command(decode_command(body)) == body
        events = step(book, command)
        body = encode_events(events)
        assert decode_events(body) == events
        assert encode_events(decode_events(body)) == body


@given(st.dictionaries(st.text(), st.integers(0, 2**64 - 1) | st.text()))
def test_the_order_of_marks_is_preserved(marks: dict[str, int | str]) -> None:
    command = m.SetMarks(time_ms=1, marks=marks)
    decoded = decode_command(encode_command(command))
    assert isinstance(decoded, m.SetMarks)
    assert list(decoded.marks.items()) == list(marks.items())


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -(2**63)])
def test_integers_of_64_bits_round_trip(number: int) -> None:
    command = m.SetMarks(time_ms=1, marks={"BTC": number})
    assert decode_command(encode_command(command)) == command


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**400])
def test_an_amount_beyond_64_bits_is_encoded_as_text(number: int) -> None:
    row = position("ann", Side.SHORT, number, isolated_margin=1, open_orders=("o-1",))
    command = m.SetPositions(time_ms=1, version=1, positions=(row, row))
    as_text = msgspec.structs.replace(row, quantity=str(number))
    expected = msgspec.structs.replace(command, positions=(as_text, as_text))
    assert decode_command(encode_command(command)) == expected


def test_a_version_beyond_64_bits_is_not_decoded() -> None:
    command = m.SetBalances(time_ms=1, version=2**64, balances=())
    with pytest.raises(msgspec.ValidationError, match=r"version"):
        decode_command(encode_command(command))


def test_a_float_amount_is_not_decoded_and_its_field_is_named() -> None:
    row = position("ann", Side.LONG, 1, entry_price=0.1)
    command = m.SetPositions(time_ms=1, version=1, positions=(row,))
    with pytest.raises(msgspec.ValidationError, match=r"positions\[0\]\.entry_price"):
        decode_command(encode_command(command))


@pytest.mark.parametrize("body", [b"", b"{", b"\x80", b"\xc1", b"[]", b"\x90"])
def test_invalid_bytes_are_not_decoded(body: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_command(body)
