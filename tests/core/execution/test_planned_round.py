"""Plans of `allocate_adl`: rounds that wait, plans that are executed, plans that are rejected."""

from typing import Any

import pytest
from world import World

from delever.core import messages as m
from delever.core.messages import PlannedFill, PlannedRound, Reason, Side

DIGEST = "ab" * 32
START_MS, WAIT_MS = 10_000, 5_000


def waiting_world(rules: str = "kucoin") -> World:
    """Return a world whose fund is empty: a round of 4 BTC, long, waits for a plan."""
    world = World(rules, balance=1000)
    world.contract("BTC", tick_size="0.5", lot_size="0.01")
    world.mark(BTC=100)
    world.wallets(ann=500, cyd=500, dan=500)
    world.short("cyd", "BTC", 3, at=120)
    world.short("dan", "BTC", 3, at=110)
    world.long("ann", "BTC", 2, at=110)
    world.inventory("BTC", Side.LONG, 4, 100)
    world.time_ms = START_MS
    world.submit(m.SetPlanWait, contract="BTC", wait_ms=WAIT_MS, note="plans are made")
    world.fund(-1000, reason=m.FundingReason.WITHDRAWAL)
    world.mark(BTC=80)
    return world


def plan_of(world: World, *fills: tuple[Any, ...], **fields: Any) -> m.AllocateAdl:
    """Return a plan for the waiting round: (account, quantity) or (account, quantity, position)."""
    planned = PlannedRound(
        contract=fields.pop("contract", "BTC"),
        side=fields.pop("side", Side.LONG),
        price_limit=fields.pop("price_limit", 200),
        fills=tuple(
            PlannedFill(account=account, quantity=quantity, position=(*rest, 0)[0])
            for account, quantity, *rest in fills
        ),
    )
    named = {"book_sequence": world.book.sequence, "certificate": DIGEST, "note": "optimal"}
    named |= {"rounds": (planned,), "time_ms": world.time_ms} | fields
    return m.AllocateAdl(**named)


def fills_of(world: World) -> list[tuple[str, int]]:
    return [(fill.account, fill.lots) for fill in world.events(m.AdlFilled)]


def test_a_round_requests_a_plan_and_waits() -> None:
    world = waiting_world()
    (requested,) = world.events(m.PlanRequested)
    assert (requested.contract, requested.side, requested.wanted_lots) == ("BTC", "long", 400)
    assert requested.until_ms == START_MS + WAIT_MS
    world.mark(BTC=81)
    assert not world.events(m.PlanRequested), "one request"
    assert not world.events(m.AdlFilled)


def test_the_policy_of_the_rule_set_runs_when_the_wait_is_over() -> None:
    world = waiting_world()
    world.time_ms += WAIT_MS - 1
    world.submit(m.SetTime)
    assert not fills_of(world)
    world.time_ms += 1
    world.submit(m.SetTime)
    assert fills_of(world) == [("cyd", 300), ("dan", 100)]


def test_a_valid_plan_is_executed_at_the_price_of_the_rule_set() -> None:
    world = waiting_world()
    world.run(plan_of(world, ("dan", "2.5"), ("cyd", "1.5")))
    (accepted,) = world.events(m.PlanAccepted)
    assert (accepted.certificate, accepted.contracts) == (DIGEST, ("BTC",))
    assert fills_of(world) == [("cyd", 150), ("dan", 250)]
    assert {fill.price_ticks for fill in world.events(m.AdlFilled)} == {200}, "at bankruptcy: 100"
    (closed,) = world.events(m.RoundClosed)
    assert (closed.wanted_lots, closed.filled_lots) == (400, 400)
    assert not world.book.contracts["BTC"].plan_requests


def test_what_a_plan_leaves_open_waits_for_another_or_for_the_policy() -> None:
    world = waiting_world()
    plan = plan_of(world, ("dan", 1))
    world.run(plan)
    assert not world.events(m.AdlExhausted)
    assert world.rejected(plan).reason is Reason.PLAN_STALE, "made before the last round"
    world.time_ms += WAIT_MS
    world.submit(m.SetTime)
    assert fills_of(world) == [("cyd", 300)]


def test_without_a_wait_nothing_is_requested() -> None:
    world = waiting_world()
    world.submit(m.SetPlanWait, contract="BTC", wait_ms=0, note="no plans")
    assert fills_of(world) == [("cyd", 300), ("dan", 100)]
    rejected = world.rejected(plan_of(world, ("dan", 1)))
    assert rejected.reason is Reason.PLAN_NOT_AWAITED


FAULTS = {
    "late": ([("dan", 1)], {"time_ms": START_MS + WAIT_MS}, "time_ms", Reason.PLAN_TOO_LATE),
    "stale": ([("dan", 1)], {"book_sequence": 5}, "book_sequence", Reason.PLAN_STALE),
    "more than held": (
        *([("dan", "3.01")], {}),
        *("rounds[0].fills[0].quantity", Reason.PLAN_EXCEEDS_POSITION),
    ),
    "not ranked": (
        *([("dan", 1), ("ann", 1)], {}),
        *("rounds[0].fills[1].account", Reason.COUNTERPARTY_INELIGIBLE),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_plan_is_rejected_whole_and_the_policy_runs_in_its_place(fault: str) -> None:
    fills, fields, field, reason = FAULTS[fault]
    world = waiting_world()
    before = world.book.copy()
    rejected = world.rejected(plan_of(world, *fills, **fields))
    assert (rejected.field, rejected.reason) == (field, reason)
    assert world.book.contracts["BTC"].tables[Side.SHORT].total_lots == 600
    assert world.book.pools["main"].balance == before.pools["main"].balance
    world.time_ms += WAIT_MS
    world.submit(m.SetTime)
    assert fills_of(world) == [("cyd", 300), ("dan", 100)]


def test_a_plan_cannot_close_an_account_that_its_fill_would_bankrupt() -> None:
    """The filter of the rule set decides about the plan's lots, as about those of any policy."""
    world = waiting_world()
    world.wallets(dan=-60)
    rejected = world.rejected(plan_of(world, ("dan", 3)))
    assert (rejected.value, rejected.reason) == ("dan", Reason.COUNTERPARTY_INELIGIBLE)
    world.wallets(cyd=-70)
    rejected = world.rejected(plan_of(world, ("cyd", 3)))
    assert (rejected.value, rejected.reason) == ("cyd", Reason.COUNTERPARTY_INELIGIBLE)
    world.wallets(cyd=500)
    world.run(plan_of(world, ("cyd", 3)))
    assert fills_of(world) == [("cyd", 300)]


def test_a_paused_contract_awaits_no_plan() -> None:
    world = waiting_world()
    world.submit(m.PauseAdl, contract="BTC", paused=True, note="feed is broken")
    rejected = world.rejected(plan_of(world, ("dan", 1)))
    assert (rejected.value, rejected.reason) == ("BTC", Reason.PLAN_NOT_AWAITED)


@pytest.mark.parametrize("wait_ms", [-1, 600_001])
def test_a_wait_that_is_out_of_range_is_rejected(wait_ms: int) -> None:
    world = waiting_world()
    command = m.SetPlanWait(time_ms=world.time_ms, contract="BTC", wait_ms=wait_ms, note="long")
    rejected = world.rejected(command)
    assert (rejected.field, rejected.value) == ("wait_ms", str(wait_ms))
    assert rejected.reason is Reason.OUT_OF_RANGE


def test_two_contracts_are_closed_by_one_plan_or_by_none() -> None:
    world = World("kucoin", balance=1000)
    for name in ("BTC", "ETH"):
        world.contract(name, tick_size="0.5", lot_size="0.01")
        world.mark(**{name: 100})
        world.wallets(cyd=500, dan=500)
        world.short("cyd", name, 3, at=120)
        world.short("dan", name, 3, at=110)
        world.inventory(name, Side.LONG, 4, 100)
        world.submit(m.SetPlanWait, contract=name, wait_ms=WAIT_MS, note="plans are made")
    world.fund(-1000, reason=m.FundingReason.WITHDRAWAL)
    world.mark(BTC=80, ETH=80)
    bad = plan_of(world, ("dan", 4), contract="ETH").rounds[0]
    plan = plan_of(world, ("dan", 2))
    rejected = world.rejected(plan_of(world, rounds=(*plan.rounds, bad)))
    assert (rejected.field, rejected.reason) == (
        "rounds[1].fills[0].quantity",
        Reason.PLAN_EXCEEDS_POSITION,
    )
    good = plan_of(world, ("cyd", 2), contract="ETH").rounds[0]
    world.run(plan_of(world, rounds=(*plan.rounds, good)))
    assert fills_of(world) == [("dan", 200), ("cyd", 200)]
