"""Field errors: msgspec rejects a value exactly where a field error is found, and it is named."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.config import Config
from delever.core.messages import AnyCommand
from delever.field_errors import FieldProblem, find_field_error

COMMANDS: tuple[dict[str, Any], ...] = (
    {"type": "set_time", "time_ms": 1},
    {"type": "set_marks", "time_ms": 1, "marks": {"A": "1", "B": 2}},
    {"type": "fund_pool", "time_ms": 1, "pool": "p", "amount": 1, "reason": "seed"},
    {"type": "set_positions", "time_ms": 1, "version": 1, "positions": [
        {"account": "a", "contract": "C", "side": "long", "quantity": "1", "position": 0}]},
    {"type": "define_contract", "time_ms": 1, "contract": "C", "kind": "linear", "settle": "USDT",
     "pool": "p", "tick_size": "0.1", "lot_size": "1", "limits": {"start": "0.3"},
     "margin_tiers": [{"notional_from": 0, "maintenance_rate": "0.01"}]},
)  # fmt: skip

PATHS = """
problem  path                       name          value   value or command
INVALID  time_ms                    -             x       {"type":"set_time","time_ms":"x"}
INVALID  time_ms                    -             True    {"type":"set_time","time_ms":true}
INVALID  type                       -             none    {"type":"none"}
MISSING  -                          type          None    {}
MISSING  -                          time_ms       None    {"type":"set_time"}
UNKNOWN  -                          tiem          None    {"type":"set_time","tiem":1}
INVALID  marks                      -             None    {"type":"set_marks","marks":[]}
INVALID  marks.A                    -             1.5     {"type":"set_marks","marks":{"A":1.5}}
INVALID  positions[1]               -             1       {"type":"set_positions","positions":[{"account":"a","contract":"C","side":"long","quantity":1},1]}
INVALID  positions[0].side          -             up      {"type":"set_positions","positions":[{"side":"up"}]}
MISSING  margin_tiers[0]            notional_from None    {"type":"define_contract","margin_tiers":[{"maintenance_rate":"0"}]}
UNKNOWN  limits                     begin         None    {"type":"define_contract","limits":{"begin":1}}
INVALID  -                          -             5       5
"""  # noqa: E501


@pytest.mark.parametrize("row", PATHS.strip().splitlines()[1:])
def test_the_first_field_that_does_not_fit_is_named(row: str) -> None:
    problem, path, name, value, body = row.split(maxsplit=4)
    found = find_field_error(msgspec.json.decode(body), AnyCommand)
    assert found is not None
    actual = (found.problem.name, found.path or "-", found.name or "-", str(found.value))
    assert actual == (problem, path, name, value)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"listen": {"port": "x"}}, "listen.port = 'x': must be a whole number"),
        ({"listen": {"prot": 1}}, "listen: there is no field 'prot'; did you mean 'port'?"),
        ({"keys": [{"id": 1}]}, "keys[0].id = 1: must be text"),
        ({"keys": {}}, "keys: must be a list"),
        ({"contracts": []}, "contracts: must be an object"),
    ],
)
def test_a_message_names_field_value_and_remedy(config: dict[str, Any], why: str) -> None:
    assert str(find_field_error(config, Config)) == why


def test_text_is_converted_where_asked() -> None:
    command = {"type": "set_time", "time_ms": "5"}
    assert find_field_error(command, AnyCommand, strict=False) is None
    assert find_field_error(command, AnyCommand) is not None


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.sampled_from(["", "1", "0.5", "long", "seed", "set_time", "1e3"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "time_ms", "side", "start", "A"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)


def changed(value: Any, data: st.DataObject) -> Any:
    """Return a value with one thing in it replaced, removed or added."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        name = data.draw(st.sampled_from(sorted(value)))
        if data.draw(st.booleans()):
            return {key: inner for key, inner in value.items() if key != name}
        return value | {name: changed(value[name], data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        return [changed(value[0], data), *value[1:]]
    if isinstance(value, dict) and data.draw(st.booleans()):
        return value | {data.draw(st.sampled_from(["id", "note", "odd"])): data.draw(VALUES)}
    return data.draw(VALUES)


@given(st.sampled_from(COMMANDS), st.data(), st.booleans())
def test_msgspec_rejects_where_a_field_error_is_found(
    command: dict[str, Any], data: st.DataObject, strict: bool
) -> None:
    value = changed(command, data)
    try:
        msgspec.convert(value, AnyCommand, strict=strict)
    except msgspec.ValidationError:
        rejected = True
    else:
        rejected = False
    found = find_field_error(value, AnyCommand, strict=strict)
    assert (found is not None) == rejected, found
    assert found is None or found.problem in FieldProblem
