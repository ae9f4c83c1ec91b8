"""Scenarios: one command a line; errors name line, field and value."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from delever.core.messages import AnyCommand, FundPool, SetTime
from delever.lab.errors import InputError
from delever.lab.runs.scenario import read_lines, read_scenario, schema

TIME = '{"type": "set_time", "time_ms": 5}'

INVALID = [
    ('{"type": "set_time", "time_ms": 5', "is cut off: the JSON ends too early"),
    ('{"type": "set_tim", "time_ms": 5}', "type 'set_tim': is no command; did you mean 'set_time"),
    ('{"time_ms": 5}', "line 4: the field 'type' is missing"),
    ('{"type": "set_time"}', "line 4: the field 'time_ms' is missing"),
    ('{"type": "set_time", "time_ms": 5.5}', "time_ms '5.5': must be a whole number"),
    ('{"type": "set_time", "time_ms": "5"}', "time_ms '5': must be a whole number"),
    ('{"type": "set_time", "time_ms": 5, "tiem": 6}',
     "there is no field 'tiem'; there is by, confirmed, id, note, time_ms"),
    ('{"type": "set_marks", "time_ms": 5, "marks": {"A": "1", "B": 2.5}}',
     "marks.B '2.5': is a float, which is not exact: write it as text"),
    ('{"type": "fund_pool", "time_ms": 5, "amount": "1", "reason": "gift"}',
     "reason 'gift': must be one of seed, injection, withdrawal, "),
    ('{"type": "define_contract", "time_ms": 5, "limits": {"begin": "1"}}',
     "limits: there is no field 'begin'; there is "),
    ('{"type": "set_positions", "time_ms": 5, "positions": [{"account": "a", "side": "buy"}]}',
     "positions[0].side 'buy': must be one of long, short"),
    ('{"type": "takeover", "time_ms": 5, "account": "a", "side": "buy"}',
     "side 'buy': must be one of long, short"),
    ('{"type": "set_marks", "time_ms": 5, "marks": {"A": "1", "B": true}}',
     "marks.B 'True': must be text or a whole number"),
    ('{"type": [[]], "time_ms": 5}', "type: is no command"),
    ("[1]", "line 4: must be an object"),
    ('{"type": "set_ti', "is cut off: the JSON ends too early"),
    ("[1", "is cut off: the JSON ends too early"),
    ("[" * 99_999, "is nested too deeply"),
    ("{type: set_time}", "is not JSON: "),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), INVALID, ids=[message for _, message in INVALID])
def test_an_invalid_line_is_rejected_with_line_field_and_value(
    tmp_path: Path, line: str, message: str
) -> None:
    file = tmp_path / "s.ndjson"
    file.write_text(f"# a comment\n\n{TIME}\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_scenario(file)
    assert str(caught.value).startswith(f"{file}, line 4")
    assert message in str(caught.value)
    assert caught.value.line == 4


def test_bytes_that_are_not_utf_8_are_rejected(tmp_path: Path) -> None:
    file = tmp_path / "s.ndjson"
    file.write_bytes(b'{"type": "set_time", "time_ms": 1, "id": "\xff"}\n')
    with pytest.raises(InputError, match=r"line 1: is not UTF-8 text"):
        read_scenario(file)


def test_files_without_commands_are_rejected(tmp_path: Path) -> None:
    file = tmp_path / "s.ndjson"
    file.write_text("# nothing\n\n")
    with pytest.raises(InputError, match="has no commands"):
        read_scenario(file)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_scenario(tmp_path / "none.ndjson")


def test_comments_and_blank_lines_count_as_lines(tmp_path: Path) -> None:
    file = tmp_path / "s.ndjson"
    file.write_text(f"# one\n\n  {TIME}  \r\n\n{TIME}")
    assert [line.number for line in read_lines(file)] == [3, 5]
    assert read_scenario(file) == [SetTime(time_ms=5)] * 2


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "s.ndjson"
    file.write_bytes(f"\ufeff{TIME}\r\n{TIME}\r\n".encode())
    assert read_scenario(file) == [SetTime(time_ms=5)] * 2


def test_the_schema_describes_every_command() -> None:
    described = schema()
    tags = {kind.__struct_config__.tag for kind in get_args(AnyCommand)}
    assert set(described["discriminator"]["mapping"]) == tags
    amount = described["$defs"][FundPool.__name__]["properties"]["amount"]
    assert {each["type"] for each in amount["anyOf"]} == {"string", "integer"}
    assert b'"delever command"' in msgspec.json.encode(described)
