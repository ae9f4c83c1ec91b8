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
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases, rows_of

DECODER = msgspec.json.Decoder(m.AnyCommand)

SNAPSHOTS = {"set_balances", "set_positions", "set_balance_columns", "set_position_columns"}
STRICT = {"set_marks", "set_index_prices", *SNAPSHOTS}
"""The commands that reject a part alone, unless they are strict."""

FIRST_OTHER_REASON = list(Reason).index(Reason.STALE_VERSION)
"""The index of the first reason that rejects no command."""


def body(row: Row, time_ms: int) -> bytes:
    """Return the row's command as JSON, with its type and time first."""
    fields = json.dumps({"type": row["command"], "time_ms": time_ms})
    own = row["body"].removeprefix("{")
    for name in ("type", "time_ms"):
        if own.startswith(f'"{name}"'):
            fields = json.dumps({k: v for k, v in json.loads(fields).items() if k != name})
    if row["command"] in STRICT and own != "}":
        own = '"strict": true, ' + own
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
    for name, price in {"ENDING": None, "GONE": 100}.items():
        world.contract(name, tick_size="0.5", lot_size="0.01")
        world.submit(m.DelistContract, contract=name, note="announced")
        if price is not None:
            world.submit(m.SettleContract, contract=name, price=price, note="over")
    world.contract("LIMITED", limits=m.TriggerLimits(start="0.10"))
    guard = m.MarkLimits(max_move="0.1")
    world.contract("JUMPED", pool="main", tick_size="0.5", lot_size="0.01", mark_limits=guard)
    world.mark(BTC=100, SOLO=100, SHARED=100, JUMPED=100)
    world.mark(JUMPED=50)
    world.account("bob", hedge_mode=True)
    world.wallets(ann=500, cyd=500)
    world.long("ann", "NEW", 1, at=100)
    world.long("ann", "BTC", 1, at=100, open_orders=("o1",))
    world.short("cyd", "BTC", 5, at=100, margin=50)
    world.short("dan", "JUMPED", 1, at=100, margin=50)
    world.inventory("BTC", Side.LONG, 2, 100)
    world.submit(m.DefineCollateral, asset="COIN", margin_currency="USDT", index_price=10)
    world.account("eve", multi_asset=True)
    world.wallets(asset="COIN", eve=5)
    world.long("eve", "SOLO", 1, at=100)
    world.takeover("eve", contract="SOLO", price=90)  # pool own takes 1 COIN for the loss of 10
    world.unwind("SOLO", Side.LONG, 1, 90)
    world.pool("adl", rules="binance")
    world.contract("OTHER", pool="adl")
    world.fund(10, pool="adl")
    world.mark(OTHER=100)
    world.short("eve", "OTHER", 1, at=100, margin=50)
    world.inventory("OTHER", Side.LONG, 1, 100, account="flo")
    world.submit(m.ForceAdl, contract="OTHER", note="fill 1")
    world.long("eve", "BTC", 1, at=100)
    world.long("eve", "BTC", "1.001", at=100)  # an odd lot: the row before is stale
    plan_world(world)
    world.time_ms = 1000
    world.wait(0)
    return world


def plan_world(world: World) -> None:
    """Add contracts whose rounds await a plan: OPEN until 600,000 ms, LATE until 500 ms."""
    world.pool("plans", rules="kucoin")
    world.account("gus", adl_exempt=True)
    for name, wait_ms in {"OPEN": 600_000, "LATE": 500}.items():
        world.contract(name, pool="plans", tick_size="0.5", lot_size="0.01")
        world.mark(**{name: 100})
        world.wallets(cyd=500, gus=500)
        for account in ("cyd", "gus"):
            world.short(account, name, 5, at=100, margin=50)
        world.inventory(name, Side.LONG, 2, 100)
        world.submit(m.SetPlanWait, contract=name, wait_ms=wait_ms, note="plans are made")
        world.mark(**{name: 90})
    world.submit(m.PauseAdl, contract="LATE", paused=True, note="late")


@pytest.mark.parametrize("row", [*cases("rejections.txt"), *cases("plan_rejections.txt")])
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
    """Three are tested where they arise: in tests/journal, and in test_planned_round.py."""
    reasons = {row["reason"] for row in rows_of("rejections.txt")}
    reasons |= {row["reason"] for row in rows_of("plan_rejections.txt")}
    reasons |= {Reason.PLAN_EXCEEDS_POSITION}
    reasons |= {Reason.INTERNAL_ERROR, Reason.TIME_JUMP_HELD}
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
    bad = m.SetMarks(time_ms=2000, marks={"BTC": "100.00000000001"}, strict=True)
    assert world.rejected(bad).reason is Reason.TOO_MANY_DECIMALS
    assert world.book.time_ms == 1000
    assert world.run(replace(bad, marks={"BTC": "100.5"}))[0] == m.Accepted(
        sequence=world.book.sequence, time_ms=2000
    )


@pytest.mark.parametrize("row", cases("rejected_marks.txt"))
def test_a_bad_mark_is_rejected_alone(row: Row) -> None:
    world = open_world()
    pairs = [text.split(":") for text in row["marks"].split("+")]
    before = {name: state.mark for name, state in world.book.contracts.items()}
    _, *events = world.submit(m.SetMarks, marks=dict(pairs))
    taken = {name: state.mark for name, state in world.book.contracts.items() if state.mark}
    changed = [f"{name}:{mark}" for name, mark in taken.items() if mark != before[name]]
    bad = [event for event in events if isinstance(event, m.MarkRejected)]
    notices = [event.contract for event in events if isinstance(event, m.Notice)]
    assert row.expected == {
        "changed_ticks": "+".join(changed),
        "rejected": "+".join(f"{event.contract}:{event.reason}" for event in bad),
        "notices": "+".join(notices),
    }
    for event in bad:
        assert event.field == f"marks.{event.contract}"
    flagged = {name for name, state in world.book.contracts.items() if state.mark_rejected}
    assert flagged == {event.contract for event in bad} & world.book.contracts.keys()


def test_a_rejected_mark_is_noticed_once_and_cleared_by_the_next_good_one() -> None:
    world = open_world()
    kinds = []
    for price in ("0", "0", "100.5", "0"):
        events = world.mark(BTC=price, SOLO=101)
        kinds += [[event.kind for event in events if isinstance(event, m.Notice)]]
    assert kinds == [["mark_rejected"], [], [], ["mark_rejected"]]
    assert decode_book(encode_book(world.book)).contracts["BTC"].mark_rejected
    assert world.book.contracts["BTC"].mark == 201


def test_marks_that_are_too_large_together_are_taken_as_far_as_they_fit() -> None:
    """1,000,000 lots of each at 30,000: 3 x 10^18 units each, 6 x 10^18 together exceed 2^62."""
    world = World()
    for name in ("X", "Y", "Z"):
        world.contract(name)
        world.long("ann", name, 1_000_000, at=1)
    events = world.mark(X=30_000, Y=30_000, Z=2)
    (rejected,) = [event for event in events if isinstance(event, m.MarkRejected)]
    assert rejected == m.MarkRejected(
        contract="Y", reason=Reason.EXCEEDS_NUMERIC_RANGE, field="marks.Y", value="30000"
    )
    assert [state.mark for state in world.book.contracts.values()] == [3_000_000, 0, 200]


@pytest.mark.parametrize("place", range(5))
def test_one_invalid_row_rejects_all_rows(place: int) -> None:
    """CORE-14: a strict command is applied whole or not at all, whichever row is invalid."""
    world = open_world()
    before = encode_book(world.book)
    rows = [world.row("bob", "BTC", Side.LONG, n + 1, at=100) for n in range(5)]
    rows = [replace(row, position=n) for n, row in enumerate(rows)]
    rows[place] = replace(rows[place], entry_price="nothing")
    command = m.SetPositions(time_ms=1000, version=99, positions=tuple(rows), strict=True)
    (rejected,) = step(world.book, command)
    assert rejected.field == f"positions[{place}].entry_price"
    world.book.sequence -= 1
    assert encode_book(world.book) == before
