"""Each venue's starts and stops of ADL, and its ADL price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World

from delever.core import messages as m
from delever.core.market.rolling_windows import RollingMean
from delever.core.messages import FundingReason, Side
from table import Row, cases


def take_step(world: World, row: Row, text: str) -> None:
    """Run one step of a table row."""
    word, _, value = text.partition(":")
    amount, _, second = value.partition("@")
    contract, side = row["contract"], Side(row["side"])
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
            world.submit(m.SetDepth, contract=contract, bids=((amount, second),) if amount else ())
        case "unwind":
            world.unwind(contract, side, amount, second)
        case _:
            raise AssertionError(text)


@pytest.mark.parametrize("row", cases("venue_triggers.txt"))
def test_trigger(row: Row) -> None:
    limits = m.TriggerLimits(start=row["start"] or None, stop=row["stop"] or None)
    world = World(row["rules"], balance=row["seed"], limits=limits)
    contract = row["contract"]
    world.contract(contract)
    world.mark(**{contract: row["taken"]})
    world.inventory(contract, Side(row["side"]), row["lots"], row["taken"])
    reasons = [event.reason for event in world.events(m.AdlStarted)]
    for text in row["steps"].split(";"):
        if text:
            take_step(world, row, text)
            reasons += [event.reason for event in world.events(m.AdlStarted)]
    assert {"on": world.on(contract), "started": "+".join(reasons)} == row.expected


@pytest.mark.parametrize("row", cases("venue_prices.txt"))
def test_price(row: Row) -> None:
    world, side = World(row["rules"], balance=row["seed"]), Side(row["side"])
    world.contract("X")
    world.mark(X=row["taken"])
    entry = 1_000_000 if side is Side.LONG else "0.01"
    counterparty = world.row("ann", "X", side.opposite, 100, at=entry, margin=10**9)
    world.positions(counterparty)
    world.inventory("X", side, row["lots"], row["taken"])
    fills = world.events(m.AdlFilled)
    if not fills:
        world.mark(X=row["mark"])
        fills = world.events(m.AdlFilled)
    prices = {world.price(fill) for fill in fills}
    assert {"price": "".join(prices), "pool": world.balance()} == row.expected


def test_a_capped_mark_is_the_better_price_for_the_pool() -> None:
    """ETR-04: of two tranches, one is closed at the mark and one at its takeover price."""
    world = World("ethereal", balance=100)
    world.contract("X")
    world.mark(X=100)
    world.short("ann", "X", 100, at=1000, margin=1000)
    world.inventory("X", Side.LONG, 10, 100, account="early")
    world.inventory("X", Side.LONG, 10, 80, account="late")
    world.contract("Y")
    world.mark(Y=1000)
    world.inventory("Y", Side.LONG, 1, 1000)
    world.mark(Y=750)
    prices = [(fill.liquidated_account, world.price(fill)) for fill in world.events(m.AdlFilled)]
    assert prices == []
    world.mark(X=90)
    prices = [(fill.liquidated_account, world.price(fill)) for fill in world.events(m.AdlFilled)]
    assert prices == [("early", "100"), ("late", "90")]


changes = st.lists(st.tuples(st.integers(0, 30), st.integers(-100, 100)), min_size=1, max_size=12)


@given(changes, st.integers(1, 50), st.integers(1, 40))
def test_a_mean_is_the_average_over_every_moment_of_its_window(
    steps: list[tuple[int, int]], window_ms: int, later_ms: int
) -> None:
    mean, values_at, time_ms = RollingMean(window_ms), {}, 0
    for pause_ms, value in steps:
        time_ms += pause_ms
        mean.observe(time_ms, value)
        values_at[time_ms] = value
        first_ms = max(next(iter(values_at)), time_ms - window_ms)
        span = range(first_ms, time_ms)
        values = [values_at[max(t for t in values_at if t <= ms)] for ms in span]
        assert mean.area(time_ms) == ((sum(values), len(values)) if values else (value, 1))
    now = time_ms + later_ms
    area, span_ms = mean.area(now)
    restored = RollingMean(window_ms, mean.entries())
    assert restored.area(now) == (area, span_ms)
    mean.shift(7)
    assert mean.area(now) == (area + 7 * span_ms, span_ms)


def vault_world(rules: str, *, managed: bool = True, **limits: m.Amount) -> World:
    """Return a Hyperliquid world with a funded pool and an account at 10 times leverage."""
    world = World(rules, balance=100, managed=managed, limits=m.TriggerLimits(**limits))
    world.contract("X", rate="0.03")
    world.mark(X=100)
    world.wallets(bust=100, ann=1000)
    world.long("bust", "X", 10, at=100)
    world.short("ann", "X", 10, at=110)
    return world


@pytest.mark.parametrize(("mark", "taken"), [("92", 0), ("91.84", 0), ("91.83", 1), ("91", 1)])
def test_a_vault_takes_over_below_two_thirds_of_maintenance(mark: str, taken: int) -> None:
    """HYP-06: at 91.84 the equity, 18.4, is still above 2/3 of 27.552; at 91.83 it is below."""
    world = vault_world("hyperliquid@2025-03")
    world.mark(X=mark)
    assert len(world.events(m.TakenOver)) == taken


def test_a_vault_takes_losses_until_its_equity_is_negative() -> None:
    """HYP-09: taken over at 90; with 100 in the vault, ADL waits until the mark is below 80."""
    world = vault_world("hyperliquid@2025-03")
    world.mark(X=91)
    world.mark(X=80)
    assert (world.on("X"), world.filled()) == ("", {})
    world.mark(X="79.99")
    assert (world.on("X"), world.filled()) == ("", {"ann": 10})
    assert [event.reason for event in world.events(m.AdlStarted)] == ["negative_account_equity"]


def test_underwater_inventory_is_closed_at_once_without_a_vault() -> None:
    """HYP-06 HYP-01: if the venue takes over itself, no vault takes losses first."""
    world = vault_world("hyperliquid", managed=False)
    world.mark(X=91)
    world.takeover("bust")
    world.mark(X="89.99")
    assert world.filled() == {"ann": 10}


def test_an_unread_mean_stores_one_window() -> None:
    mean = RollingMean(100)
    for time_ms in range(1000):
        mean.observe(time_ms, time_ms)
    assert len(mean.entries()) == 101
