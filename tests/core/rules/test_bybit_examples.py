"""The worked examples of Bybit's documentation, from the first loss to the stop of ADL."""

from fractions import Fraction

import pytest
from world import World, cash, cash_text

from delever.core import messages as m
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from delever.core.units import format_scaled
from table import Row, cases, grouped_cases, rows_of

DRAWDOWN = RULE_SETS["bybit"].case("contract_drawdown").trigger


def ratio(world: World, contract: str) -> str:
    """Return the pnlRatio of a contract, to six digits."""
    numbers = DRAWDOWN.evaluate(world.book, world.state(contract)).numbers
    return format_scaled(numbers["pnl_ratio_ppm"], 6)


def open_counterparties(world: World, contract: str, side: Side, lots: str) -> None:
    """Open positions of three counterparties that stay solvent at any price of these tables."""
    for number, name in enumerate(("ann", "bob", "cyd"), 1):
        entry = 400_000 if side is Side.LONG else 1
        margin = 10**9 * number
        part = int(lots) if number == 3 else int(lots) // 3 + 1
        row = world.row(name, contract, side.opposite, part, at=entry, margin=margin)
        world.positions(row)


def haircut(world: World, fills: list[m.AdlFilled]) -> int:
    """Return the counterparties' haircut against the mark, in Cash."""
    total = 0
    for fill in fills:
        state = world.state(fill.contract)
        signed = fill.side.sign * fill.lots
        total += state.terms.value_cash(signed, state.mark) - fill.value_cash
    return total


@pytest.mark.parametrize("row", cases("bybit_drawdown.txt"))
def test_a_drawdown_ends_at_its_limit(row: Row) -> None:
    side = Side(row["side"])
    world = World(balance=row["seed"], limits=m.TriggerLimits(trigger_threshold=row["above"]))
    for name in "ABC":
        world.contract(name)
    world.mark(A=row["taken"])
    earned = int(row["earned"])
    if earned:
        world.inventory("A", Side.LONG, abs(earned), row["taken"])
        world.unwind("A", Side.LONG, abs(earned), int(row["taken"]) + (1 if earned > 0 else -1))
    bust = world.row("bust", "A", side, row["lots"], at=row["entry"], margin=row["margin"])
    world.positions(bust)
    (taken,) = [e for e in world.takeover("bust") if isinstance(e, m.TakenOver)]
    assert (world.price(taken), taken.to_pool_cash) == (row["taken"], 0)
    open_counterparties(world, "A", side, row["lots"])
    world.mark(A=row["mark"])
    fills, started = world.events(m.AdlFilled), world.events(m.AdlStarted)
    residuals = [cash_text(closed.rounding_residual_cash) for closed in world.events(m.RoundClosed)]
    before = started[0].numbers["pnl_ratio_ppm"] if started else None
    assert row.expected == {
        "on": world.on("A"),
        "ratio": ratio(world, "A") if before is None else format_scaled(before, 6),
        "price": "".join({world.price(fill) for fill in fills}),
        "haircut": cash_text(haircut(world, fills)),
        "residual": "".join(residuals),
        "contract_pnl": cash_text(world.book.pools["main"].observed.contract_pnl_cash[0]),
        "pool": world.balance(),
    }
    if fills:
        assert sum(fill.lots for fill in fills) == int(row["lots"])
    if residuals == ["0"]:
        assert ratio(world, "A") == "-0.3"


@pytest.mark.parametrize("row", cases("bybit_release.txt"))
def test_a_drawdown_lasts_until_its_ratio_is_above_the_stop(row: Row) -> None:
    world = World(balance=1_000_000)
    world.contract("A")
    world.mark(A=98)
    world.inventory("A", Side.LONG, 10_000, 98)
    open_counterparties(world, "A", Side.LONG, "10000")
    world.mark(A=63)
    assert (ratio(world, "A"), world.balance()) == ("-0.3", "700000")
    if row["happens"] == "wait":
        world.wait(int(row["amount"]))
    else:
        booked = "A" if row["booked"] == "yes" else None
        world.fund(row["amount"], reason=m.FundingReason(row["happens"]), contract=booked)
    now = {"on": world.on("A"), "ratio": ratio(world, "A"), "pool": world.balance()}
    assert now == row.expected
    assert [stop.reason for stop in world.events(m.AdlStopped)] == (
        [] if row["on"] else [m.Reason.CONTRACT_DRAWDOWN_LIMIT]
    )


def test_inventory_taken_over_in_a_drawdown_is_closed_at_once() -> None:
    """BYB-02: the trigger stays on without inventory; a new takeover adds nothing to the loss."""
    world = World(balance=1_000_000)
    world.contract("A")
    world.mark(A=98)
    world.inventory("A", Side.LONG, 10_000, 98)
    open_counterparties(world, "A", Side.LONG, "20000")
    world.mark(A=63)
    assert world.on("A") == "contract_drawdown"
    world.inventory("A", Side.LONG, 1_000, 65)
    assert [world.price(fill) for fill in world.events(m.AdlFilled)] == ["65"]
    assert (ratio(world, "A"), world.on("A")) == ("-0.3", "contract_drawdown")


def test_counterparties_do_not_pay_losses_realized_before() -> None:
    """BYB-03 CORE-09: if losses are beyond the limit, losing inventory is closed at its cost."""
    world = World(balance=1_000_000)
    world.contract("A")
    world.mark(A=98)
    world.inventory("A", Side.LONG, 20_000, 98)
    open_counterparties(world, "A", Side.LONG, "20000")
    world.unwind("A", Side.LONG, 10_000, 63)
    assert (world.on("A"), world.filled()) == ("contract_drawdown", {})
    world.mark(A=97)
    assert {world.price(fill) for fill in world.events(m.AdlFilled)} == {"98"}
    assert (ratio(world, "A"), world.balance()) == ("-0.35", "650000")


def shared_world(rows: list[Row]) -> World:
    """Return a world whose pool has the inventory of the rows, before their marks."""
    limits = m.TriggerLimits(start=rows[0]["start"] or None)
    world = World(balance=rows[0]["seed"], limits=limits)
    for row in rows:
        world.contract(row["contract"])
        world.mark(**{row["contract"]: row["taken"]})
        world.inventory(row["contract"], Side(row["side"]), row["lots"], row["taken"])
        open_counterparties(world, row["contract"], Side(row["side"]), row["lots"])
    return world


def equity(world: World) -> int:
    pool = world.book.pools["main"]
    assert pool.observed is not None
    return pool.observed.equity_cash


@pytest.mark.parametrize("rows", grouped_cases("bybit_shared.txt", by="case"))
def test_a_deficit_is_shared_over_the_losing_contracts(rows: list[Row]) -> None:
    world = shared_world(rows)
    world.mark(**{row["contract"]: row["mark"] for row in rows})
    for row in rows:
        fills = [fill for fill in world.events(m.AdlFilled) if fill.contract == row["contract"]]
        assert row.expected == {
            "share": cash_text(haircut(world, fills)) if fills else "",
            "price": "".join({world.price(fill) for fill in fills}),
            "on": world.on(row["contract"]),
            "equity": cash_text(equity(world)),
        }
    if rows[0]["on"]:
        world.fund("0.00000001")
        assert {world.on(row["contract"]) for row in rows} == {""}


def test_a_share_of_a_fractional_tick_is_rounded_for_the_pool() -> None:
    """CORE-09: the first price is rounded up; the residual reduces the shares after it.

    A, with the largest loss, goes first, and C, with the smallest, last.
    """
    rows = rows_of("bybit_shared.txt")[:4]
    for row, lots in zip(rows, ("997", "1003", "1007", "991"), strict=True):
        row["lots"] = lots
    world = shared_world(rows)
    losses = {row["contract"]: int(row["lots"]) * (1000 - int(row["mark"])) for row in rows}
    deficit = sum(losses.values()) - 1_000_000
    world.mark(**{row["contract"]: row["mark"] for row in rows})
    tick = Fraction(1, 100)
    for row in rows:
        share = Fraction(deficit * losses[row["contract"]], sum(losses.values()))
        exact = int(row["mark"]) + share / int(row["lots"])
        fill = next(f for f in world.events(m.AdlFilled) if f.contract == row["contract"])
        assert abs(Fraction(world.price(fill)) - exact) < tick
        assert row["contract"] != "A" or Fraction(world.price(fill)) > exact
    *_, last = world.events(m.RoundClosed)
    assert 0 < last.rounding_residual_cash == equity(world) < cash("0.01") * 1007
    assert {world.on(row["contract"]) for row in rows} == {""}


@pytest.mark.parametrize("row", cases("bybit_samples.txt"))
def test_published_samples_have_the_documented_state(row: Row) -> None:
    world = World(balance=0)
    world.submit(m.DefineAsset, asset="USD", cash_decimals=int(row["decimals"]))
    world.pool("live", asset="USD", limits=m.TriggerLimits(trigger_threshold=row["above"]))
    world.contract("A", settle="USD", pool="live", tick_size=row["tick"])
    world.contract("B", settle="USD", pool="live", tick_size="0.00001")
    world.fund(row["peak"], pool="live")
    world.mark(A=row["taken"], B=8_000_000)
    lost = Fraction(row["peak"]) - Fraction(row["balance"])
    if lost:
        world.inventory("B", Side.LONG, 4, 8_000_000)
        price = format_scaled(int((8_000_000 - lost / 4) * 10**5), 5)
        world.unwind("B", Side.LONG, 4, price)
    world.inventory("A", Side.LONG, row["lots"], row["taken"])
    assert world.on("A") == ""
    world.mark(A=row["mark"])
    assert format_scaled(world.book.pools["live"].balance, int(row["decimals"])) == row["balance"]
    assert row.expected == {"on": world.on("A"), "ratio": ratio(world, "A")}


@pytest.mark.parametrize("row", cases("bybit_ejected.txt"))
def test_a_contract_in_an_isolated_pool_depends_on_its_own_pool_equity(row: Row) -> None:
    world = World(balance=1_000_000)
    world.pool("own", kind=m.PoolKind.ISOLATED)
    for name in "AB":
        world.contract(name)
    world.mark(A=98, B=10)
    world.inventory("A", Side.LONG, 10_000, 98)
    world.mark(A=63)
    assert world.on("A") == "contract_drawdown"
    if row["own"] != "0":
        world.fund(row["own"], pool="own", reason=m.FundingReason.SEED)
    world.submit(m.MoveContract, contract="A", pool="own", note="protects the others")
    (stopped,) = world.events(m.AdlStopped)
    assert (stopped.pool, stopped.reason) == ("main", m.Reason.CONTRACT_MOVED_TO_OTHER_POOL)
    open_counterparties(world, "A", Side.LONG, "10000")
    fills = world.events(m.AdlFilled)
    world.mark(A=row["mark"])
    fills += world.events(m.AdlFilled)
    own = world.book.pools["own"].observed
    assert row.expected == {
        "on": world.on("A"),
        "price": "".join({world.price(fill) for fill in fills}),
        "equity": cash_text(own.equity_cash),
        "main": world.balance(),
    }
