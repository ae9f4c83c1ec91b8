"""Invalid commands: rejected with reason, field and value, and nothing of them applied."""

import json

import msgspec
import pytest
from msgspec.structs import replace
from world import World

from delever.core import messages as m
from delever.core.engine import step
from delever.core.messages import Reason, Side
from delever.field_errors import find_field_error
from delever.journal.snapshot import encode_book
from table import Row, cases, rows_of

DECODER = msgspec.json.Decoder(m.AnyCommand)

FIRST_OTHER_REASON = list(Reason).index(Reason.STALE_VERSION)
"""The index of the first reason that rejects no command."""


def body(row: Row, time_ms: int) -> bytes:
    """Return the row's command as JSON, with its type and time first."""
    fields = json.dumps({"type": row["command"], "time_ms": time_ms})
    own = row["body"].removeprefix("{")
    for name in ("type", "time_ms"):
        if own.startswith(f'"{name}"'):
            fields = json.dumps({k: v for k, v in json.loads(fields).items() if k != name})
    return (fields.removesuffix("}") + (", " if own != "}" else "") + own).encode()


def field_problem(encoded: bytes) -> dict[str, str]:
    """Return the first field that does not fit, as the table names it."""
    try:
        value = msgspec.json.decode(encoded)
    except msgspec.DecodeError:
        return {"problem": "malformed", "path": "", "name": ""}
    error = find_field_error(value, m.AnyCommand)
    assert error is not None
    return {"problem": error.problem.name.lower(), "path": error.path, "name": error.name}


def open_world() -> World:
    """Return a world with pools, contracts, positions, inventory and open orders."""
    world = World(balance=1000)
    world.pool("own", kind=m.PoolKind.ISOLATED)
    world.pool("coin", asset="COIN")
    for name, pool in {"BTC": "main", "SOLO": "own", "NEW": "main"}.items():
        world.contract(name, pool=pool, tick_size="0.5", lot_size="0.01")
    world.pool("sharing", rules="drift")
    world.contract("SHARED", pool="sharing", tick_size="0.5", lot_size="0.01")
    world.mark(BTC=100, SOLO=100, SHARED=100)
    world.account("bob", hedge_mode=True)
    world.wallets(ann=500, cyd=500)
    world.long("ann", "NEW", 1, at=100)
    world.long("ann", "BTC", 1, at=100, open_orders=("o1",))
    world.short("cyd", "BTC", 5, at=100, margin=50)
    world.inventory("BTC", Side.LONG, 2, 100)
    world.time_ms = 1000
    world.wait(0)
    return world


@pytest.mark.parametrize("row", cases("rejections.txt"))
def test_rejected(row: Row) -> None:
    world = open_world()
    world.book.take_changes()
    before = encode_book(world.book)
    rejected = world.rejected(DECODER.decode(body(row, 1000)))
    assert row.expected == {
        "reason": rejected.reason,
        "field": rejected.field,
        "value": rejected.value.replace(" ", ""),
    }
    assert rejected.command == row["command"]
    assert world.book.take_changes() == msgspec.msgpack.encode([])
    world.book.sequence -= 1  # a rejection only increments the sequence
    assert encode_book(world.book) == before


def test_every_rejection_reason_is_in_the_table() -> None:
    reasons = {row["reason"] for row in rows_of("rejections.txt")}
    assert reasons == {str(reason) for reason in list(Reason)[:FIRST_OTHER_REASON]}


@pytest.mark.parametrize("row", cases("decoding.txt"))
def test_undecodable_commands_have_a_path(row: Row) -> None:
    encoded = body(row, 0)
    with pytest.raises(msgspec.DecodeError):
        DECODER.decode(encoded)
    assert field_problem(encoded) == row.expected


def test_a_rejection_does_not_affect_the_next_command() -> None:
    """CORE-14: the corrected command is accepted at the same time."""
    world = open_world()
    bad = m.SetMarks(time_ms=2000, marks={"BTC": "100.1"})
    assert world.rejected(bad).reason is Reason.INVALID_TICK_MULTIPLE
    assert world.book.time_ms == 1000
    assert world.run(replace(bad, marks={"BTC": "100.5"}))[0] == m.Accepted(
        sequence=world.book.sequence, time_ms=2000
    )


@pytest.mark.parametrize("place", range(5))
def test_one_invalid_row_rejects_all_rows(place: int) -> None:
    """CORE-14: a bulk command is applied whole or not at all, whichever row is invalid."""
    world = open_world()
    before = encode_book(world.book)
    rows = [world.row("bob", "BTC", Side.LONG, n + 1, at=100) for n in range(5)]
    rows = [replace(row, position=n) for n, row in enumerate(rows)]
    rows[place] = replace(rows[place], entry_price="nothing")
    (rejected,) = step(world.book, m.SetPositions(time_ms=1000, version=99, positions=tuple(rows)))
    assert rejected.field == f"positions[{place}].entry_price"
    world.book.sequence -= 1
    assert encode_book(world.book) == before
