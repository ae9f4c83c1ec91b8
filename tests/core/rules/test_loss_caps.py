"""Caps on what the fund loses: on a takeover, in a contract or in all a day, as a vault (D10)."""

import msgspec
import pytest
from test_triggers import take_step
from world import World

from delever.core import messages as m
from delever.core.messages import Side
from delever.core.risk.stress_curve import fund_capacity
from table import Row, cases

JELLY_TIERS = (m.MarginTier(notional_from=0, maintenance_rate="0.1666"),)


@pytest.mark.parametrize("row", cases("loss_caps.txt"))
def test_the_fund_loses_no_more_than_its_caps(row: Row) -> None:
    pairs = [pair.split(":") for pair in row["limits"].split(";") if pair]
    limits = msgspec.convert(dict(pairs), m.TriggerLimits)
    world = World(row["rules"], balance=10_000, limits=limits)
    world.contract("X")
    world.mark(X=1000)
    world.short("ann", "X", 10, at=1000, margin=100_000)
    world.inventory("X", Side.LONG, 10, 1000)
    closed = haircut = 0
    for text in row["steps"].split(";"):
        take_step(world, "X", Side.LONG, text)
        state, fills = world.state("X"), world.events(m.AdlFilled)
        closed += sum(fill.lots for fill in fills)
        haircut += sum(
            state.terms.value_cash(-fill.lots, state.mark) - fill.value_cash for fill in fills
        )
    observed = world.book.pools["main"].observed
    assert observed is not None
    found = {
        "on": world.on("X"),
        "closed": str(closed),
        "haircut": f"{haircut / 10**8:.6g}",
        "equity": f"{observed.equity_cash / 10**8:.9g}",
    }
    assert found == row.expected


def jelly_world(rules: str, **limits: m.Amount) -> World:
    """Return case D10: a short of 430 million JELLY before a vault of 10,000,000 takes it over."""
    world = World(rules, balance=10_000_000, managed=True, limits=m.TriggerLimits(**limits))
    world.contract("JELLY", tick_size="0.000001", margin_tiers=JELLY_TIERS)
    world.mark(JELLY="0.0095")
    world.wallets(longA=3_000_000, longB=2_000_000)
    world.short("att", "JELLY", 430_000_000, at="0.0095", margin=1_400_000, leverage=3)
    for account in ("longA", "longB"):
        world.long(account, "JELLY", 215_000_000, at="0.0095", leverage=3)
    for price in ("0.0105", "0.0115"):
        world.mark(JELLY=price)
    assert world.events(m.TakenOver)
    return world


@pytest.mark.parametrize(
    ("vault_cap", "loss_threshold"), [("0.01", 10_000_000), (1, 100_000), ("0.01", 100_000)]
)
def test_a_small_coin_does_not_eat_the_vault(vault_cap: str, loss_threshold: int) -> None:
    """HYP-08 CORE-50: the liquidator may lose 100,000; at 0.02 it has lost more and ADL closes all.

    The price is the previous mark, 0.0125, below the takeover price: the vault has gained 110,000.
    """
    world = jelly_world("hyperliquid", vault_cap=vault_cap, loss_threshold=loss_threshold)
    world.mark(JELLY="0.0125")
    assert not world.events(m.AdlFilled)
    world.mark(JELLY="0.02")
    (started,) = world.events(m.AdlStarted)
    assert started.trigger == "liquidator_loss"
    assert started.numbers == {"loss_cash": 3_115_000 * 10**8, "loss_cap_cash": 100_000 * 10**8}
    assert world.filled() == {"longA": 215_000_000, "longB": 215_000_000}
    assert world.balance() == "10110000"


def test_before_27_march_2025_it_ate_the_vault() -> None:
    """HYP-09: at 0.03 the vault has lost 7,415,000 of 10,000,000 and nobody is closed."""
    world = jelly_world("hyperliquid@2025-03")
    for price in ("0.0125", "0.02", "0.03"):
        world.mark(JELLY=price)
        assert not world.events(m.AdlFilled)
    observed = world.book.pools["main"].observed
    assert observed is not None
    assert observed.equity_cash == 2_585_000 * 10**8
    world.mark(JELLY="0.04")
    assert world.filled() == {"longA": 215_000_000, "longB": 215_000_000}


def test_what_the_liquidator_has_lost_leaves_less_to_lose() -> None:
    """CORE-50: unwinding 200 million at 0.02 loses 1,449,000; 350 were left of the takeover."""
    world = jelly_world("hyperliquid", vault_cap="0.4", loss_threshold=10_000_000)
    assert fund_capacity(world.book, world.state("JELLY")) == 4_000_350 * 10**8 + 1
    world.unwind("JELLY", Side.SHORT, 200_000_000, "0.02")
    assert fund_capacity(world.book, world.state("JELLY")) == 2_551_350 * 10**8 + 1
    world.mark(JELLY="0.023")
    assert not world.events(m.AdlStarted)
    world.mark(JELLY="0.024")
    (started,) = world.events(m.AdlStarted)
    assert started.numbers["loss_cash"] == (1_448_650 + 230 * (24_000 - 12_755)) * 10**8
