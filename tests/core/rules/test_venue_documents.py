"""Numbers in venues' documents and tests, reproduced to the last unit."""

import pytest
from world import World, cash

from delever.core import messages as m
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from delever.core.units import div_floor, format_scaled
from table import Row, cases, grouped_cases

PRICES = {"BTC": 50_000, "ETH": 3_000}
USD_DECIMALS = 12
QUANTUM = 10**6
"""Cash (10^-12 USD) in one quote quantum of dYdX (10^-6 USD)."""


def dydx() -> World:
    world = World("dydx")
    world.submit(m.DefineAsset, asset="USD", cash_decimals=USD_DECIMALS)
    world.pool("chain", rules="dydx", asset="USD")
    steps = {"tick_size": "0.0001", "lot_size": "0.00000001"}
    for name in PRICES:
        world.contract(name, settle="USD", pool="chain", rate="0.1", **steps)
    world.mark(**PRICES)
    return world


def set_account(world: World, account: str, quote: int, **quantities: str) -> None:
    """Set an account's quote balance and positions; in dYdX, equity = quote balance + values."""
    open_quantities = {name: quantity for name, quantity in quantities.items() if quantity}
    cost = sum(cash(quantity, 8) * PRICES[name] for name, quantity in open_quantities.items())
    world.wallets(asset="USD", **{account: format_scaled(quote * 10**8 + cost, 8)})
    for name, quantity in open_quantities.items():
        side = Side.SHORT if quantity.startswith("-") else Side.LONG
        row = world.row(account, name, side, quantity.lstrip("-"), at=PRICES[name])
        world.positions(row)


@pytest.mark.parametrize("row", cases("dydx_prices.txt"))
def test_dydx_bankruptcy_price(row: Row) -> None:
    world = dydx()
    set_account(world, "carl", int(row["quote"]), BTC=row["btc"], ETH=row["eth"])
    world.takeover("carl", contract=row["leg"])
    (taken,) = world.events(m.TakenOver)
    lots = taken.side.sign * cash(row["delta"])
    value = world.state(row["leg"]).terms.value_cash(lots, taken.price_ticks)
    quantums = -div_floor(-value, QUANTUM)
    assert {"price": world.price(taken), "quantums": str(quantums)} == row.expected


@pytest.mark.parametrize("rows", grouped_cases("dydx_offsets.txt", by="case"))
def test_dydx_offsets(rows: list[Row]) -> None:
    world, case = dydx(), rows[0]
    set_account(world, "carl", int(case["quote"]), BTC=case["btc"], ETH=case["eth"])
    for row in rows:
        set_account(world, row["account"], int(row["has"]), BTC=row["holds"])
    world.takeover("carl", contract="BTC")
    events = world.last_events + world.mark(BTC=case["mark"])
    fills = {event.account: event for event in events if isinstance(event, m.AdlFilled)}
    skips = {
        event.account: event.reason for event in events if isinstance(event, m.CounterpartySkipped)
    }
    for row in rows:
        fill, name = fills.get(row["account"]), row["account"]
        wallet = cash(world.wallet(name, "USD"))
        left = world.lots(name, "BTC", Side.LONG if int(row["holds"]) > 0 else Side.SHORT)
        quote = wallet - int(row["holds"]) * left * 50_000 * 10**4
        assert row.expected == {
            "price": world.price(fill) if fill else "",
            "closed": format_scaled(fill.lots if fill else 0, 8),
            "usd": format_scaled(quote, USD_DECIMALS),
            "skipped": skips.get(name, "") if left else "",
        }
    if case["eth"]:
        assert (world.wallet("carl", "USD"), world.lots("carl", "ETH", Side.LONG)) == ("0", 10**8)


@pytest.mark.parametrize("row", cases("lighter_zero.txt"))
def test_lighter_matches_where_zero_prices_cross(row: Row) -> None:
    world = World("lighter")
    for name in "XY":
        world.contract(name, rate="0.05")
    world.mark(X=100, Y=95)
    world.wallets(bust=row["value"], ann=row["wallet"])
    world.long("bust", "X", 1, at=100)
    world.short("ann", "X", 1, at=80)
    if row["other"] != "0":
        world.long("ann", "Y", row["other"], at=95)
    world.takeover("bust")
    (taken,) = world.events(m.TakenOver)
    world.mark(X=95)
    assert row.expected == {
        "zero": world.price(taken),
        "closed": str(sum(world.filled().values())),
        "skipped": "".join(skip.reason for skip in world.events(m.CounterpartySkipped)),
    }


@pytest.mark.parametrize("row", cases("gmx_factor.txt"))
def test_gmx_closes_down_to_the_second_factor(row: Row) -> None:
    limits = m.TriggerLimits(start="0.1", stop="0.02")
    world, side = World("gmx", balance=10_000_000, limits=limits), Side(row["side"])
    world.contract("ETH")
    world.mark(ETH=5000)
    holds = int(row["holds"])
    for name, lots in (("ann", holds), ("market_maker", 400 - holds)):
        world.account(name, adl_exempt=name != "ann")
        if lots:
            row_of = world.row(name, "ETH", side, lots, at=5000, margin=1_000_000)
            world.positions(row_of)
    world.inventory("ETH", side.opposite, 400, 5000, account="liquidity")
    world.mark(ETH=row["mark"])
    trigger = RULE_SETS["gmx"].cases[0].trigger
    numbers = trigger.evaluate(world.book, world.state("ETH")).numbers
    assert row.expected == {
        "closed": str(sum(world.filled().values())),
        "ratio": str(numbers["ratio_ppm"]),
        "pool": world.balance(),
        "on": world.on("ETH"),
    }
