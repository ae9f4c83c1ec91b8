"""Starts and stops of ADL, rule set by rule set."""

import msgspec
import pytest
from world import World

from delever.core import messages as m
from delever.core.engine import step
from delever.core.messages import FundingReason, NoticeKind, Side
from table import Row, cases


def take_step(world: World, contract: str, side: Side, text: str) -> None:
    """Run one step of a table row."""
    word, _, value = text.partition(":")
    amount, _, second = value.partition("@")
    match word:
        case "mark":
            world.mark(**{contract: amount})
        case "fund":
            outflow = amount.startswith("-")
            reason = FundingReason.WITHDRAWAL if outflow else FundingReason.INJECTION
            world.fund(amount, reason=reason)
        case "wait":
            world.wait(int(amount))
        case "depth":
            levels = ((amount, second),) if amount else ()
            name = "bids" if side is Side.LONG else "asks"
            world.submit(m.SetDepth, contract=contract, **{name: levels})
        case "unwind":
            world.unwind(contract, side, amount, second)
        case _:
            raise AssertionError(text)


@pytest.mark.parametrize("row", cases("triggers.txt"))
def test_trigger(row: Row) -> None:
    limits = m.TriggerLimits(start=row["start"] or None, stop=row["stop"] or None)
    world = World(row["rules"], balance=row["seed"], limits=limits)
    contract, side = row["contract"], Side(row["side"])
    world.contract(contract)
    world.mark(**{contract: row["taken"]})
    world.inventory(contract, side, row["lots"], row["taken"])
    assert world.on(contract) == ""
    reasons = []
    for text in row["steps"].split(";"):
        take_step(world, contract, side, text)
        reasons += [event.reason for event in world.events(m.AdlStarted)]
    assert {"on": world.on(contract), "started": "+".join(reasons)} == row.expected


def test_start_and_stop_have_every_number_compared() -> None:
    world = World(balance=1_000_000)
    world.contract("A")
    world.mark(A=98)
    world.inventory("A", Side.LONG, 10_000, 98)
    world.mark(A=63)
    (started,) = world.events(m.AdlStarted)
    unit = 10**8
    assert started.numbers == {
        "balance_cash": 1_000_000 * unit,
        "trigger_threshold_cash": unit,
        "balance_peak_cash": 1_000_000 * unit,
        "contract_pnl_cash": -350_000 * unit,
        "contract_pnl_peak_cash": 0,
        "pnl_ratio_ppm": -350_000,
        "start_ppm": -300_000,
        "stop_ppm": -250_000,
    }
    world.mark(A=80)
    (stopped,) = world.events(m.AdlStopped)
    assert stopped.numbers["pnl_ratio_ppm"] == -180_000
    kinds = [notice.kind for notice in world.events(m.Notice)]
    assert kinds == [NoticeKind.ADL_STOPPED]


def test_a_warning_is_raised_at_80_percent_and_cleared_below_70() -> None:
    """CORE-11: of the way to the start at -0.30, -0.24 is 80 % and -0.21 is 70 %."""
    world = World(balance=1_000_000)
    world.contract("A")
    world.mark(A=1000)
    world.inventory("A", Side.LONG, 1000, 1000)
    kinds = []
    for price in ("760.01", "760", "750", "790", "760", "790.01", "760"):
        world.mark(A=price)
        kinds.append("+".join(notice.kind for notice in world.events(m.Notice)))
    assert kinds == ["", "adl_warning", "", "", "", "adl_warning_cleared", "adl_warning"]


@pytest.mark.parametrize("row", cases("limits.txt"))
def test_only_limits_that_a_trigger_reads_are_accepted(row: Row) -> None:
    world = World(row["rules"])
    values: dict[str, m.Amount] = {
        "start": "0.3",
        "stop": "0.2",
        "trigger_threshold": 1,
        "wait_ms": 1,
        "stop_equity": 1,
        "takeover_loss": 1,
        "contract_daily_loss": "0.1",
        "pool_daily_loss": "0.1",
        "vault_cap": "0.1",
        "loss_threshold": 1,
        "backlog": 1,
    }
    accepted = []
    for name, value in values.items():
        limits = msgspec.convert({name: value}, m.TriggerLimits)
        pool = m.DefinePool(
            time_ms=0,
            pool=name,
            kind=m.PoolKind.SHARED,
            asset="USDT",
            rules=row["rules"],
            limits=limits,
        )
        (*_, event) = step(world.book, pool)
        if isinstance(event, m.Rejected):
            found = event.reason, event.field, event.value
            assert found == (m.Reason.LIMIT_NOT_SUPPORTED, f"limits.{name}", row["rules"])
        else:
            accepted.append(name)
            world.contract(name, limits=limits)
    assert {"overridable": "+".join(accepted)} == row.expected


def test_limits_of_a_contract_override_those_of_its_pool() -> None:
    """CORE-11: limits that a contract does not set are its pool's, then the rule set's."""
    world = World(balance=1_000_000, limits=m.TriggerLimits(start="0.4", stop="0.35"))
    world.contract("A")
    world.contract("B", limits=m.TriggerLimits(start="0.1", stop="0.05"))
    world.contract("C", limits=m.TriggerLimits(start="0.5"))
    world.mark(A=1000, B=1000, C=1000)
    for name in "ABC":
        world.inventory(name, Side.LONG, 1000, 1000)
    marks_on = {}
    for name in "ABC":
        for price in range(999, 0, -1):
            world.mark(**{name: price})
            if world.on(name):
                marks_on[name] = price
                world.mark(**{name: 1000})
                break
    assert marks_on == {"A": 600, "B": 900, "C": 500}
