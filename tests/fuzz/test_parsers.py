"""Parsers answer any bytes with a value or with their own error: valid inputs with changed bytes.

`make fuzz` searches further, guided by coverage.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parsers import PARSERS, seeds

SLOW = {"journal_file", "csv_positions"}
"""Parsers of files, of which a default run tries fewer inputs."""

LONG = settings().max_examples > 50


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """Return a valid input with bytes replaced, inserted, removed or repeated."""
    content = bytearray(draw(st.sampled_from(seeds(name))))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(content)))
        size = draw(st.sampled_from([0, 1, 1, 4, 50]))
        fresh = draw(st.binary(max_size=8) | st.sampled_from([content[place : place + 20]]))
        content[place : place + size] = fresh
    return bytes(content[: draw(st.sampled_from([len(content), len(content) // 2]))])


@pytest.mark.parametrize("name", PARSERS)
def test_any_bytes_give_a_value_or_the_error_of_the_parser(name: str) -> None:
    @settings(max_examples=8 if name in SLOW and not LONG else settings().max_examples)
    @given(damaged(name))
    def try_parser(content: bytes) -> None:
        PARSERS[name](content)

    for seed in seeds(name):
        PARSERS[name](seed)
    try_parser()
