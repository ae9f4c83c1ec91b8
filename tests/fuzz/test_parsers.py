"""Parsers answer any bytes with a value or with their own error: valid inputs with changed bytes.

`make fuzz` searches further, guided by coverage.
"""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parsers import PARSERS, seeds

from delever.server.api import arrow
from delever.server.api.requests.errors import RequestError

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


COLUMNS = dict.fromkeys(["account", "contract", "side"], pa.string()) | {"cost_cash": pa.int64()}
RUNS, UNION = (
    pa.run_end_encoded(pa.int64(), pa.int64()),
    pa.sparse_union([pa.field("a", pa.int8())]),
)

UNUSUAL_TYPES = [
    ({"lots": RUNS}, "has more rows than bytes"),
    (COLUMNS | {"lots": RUNS}, "is not of integers"),
    (COLUMNS | {"lots": UNION}, "is not of integers"),
    (COLUMNS | {"side": UNION, "lots": pa.int64()}, "is not text"),
]


@pytest.mark.parametrize(("types", "error"), UNUSUAL_TYPES)
def test_an_arrow_stream_of_unusual_types_is_an_error_of_the_request(
    types: dict[str, pa.DataType], error: str
) -> None:
    """Found by atheris: a few bytes of 2^31 rows took all memory, a union was a 500."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema(types.items())) as stream:
        if len(types) == 1:
            runs = pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1]), pa.array([7]))
            stream.write(pa.record_batch({"lots": runs}))
    with pytest.raises(RequestError, match=error):
        arrow._columns(arrow._table(sink.getvalue().to_pybytes()), {})


@pytest.mark.parametrize("kind", [pa.month_day_nano_interval(), UNION, pa.list_(UNION)])
def test_rows_of_unusual_types_are_an_error_of_the_request(kind: pa.DataType) -> None:
    columns = {"open_orders": pa.array([["a"]]), "note": pa.chunked_array([], kind)}
    table = pa.table({name: column[:0] for name, column in columns.items()})
    with pytest.raises(RequestError, match="is not a type of rows"):
        arrow._rows(table, arrow.PositionRow)
