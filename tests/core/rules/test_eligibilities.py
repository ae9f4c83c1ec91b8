"""Eligibilities of any rule set: both legs of a hedge together, a cap per account (D19)."""

import numpy as np
import pytest
from world import World, cash_text

from delever.core import messages as m
from delever.core.messages import Side
from delever.core.risk.publication.cache import publish
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import rank_side
from delever.core.valuation.side_valuation import value_side
from table import Row, cases


def d19_world(rules: str, long: str, short: str = "3") -> World:
    """Return case D19: a hedge, a short without one, and a long that is taken over at 59,000."""
    world = World(rules, balance=100)
    world.contract("BTC", tick_size="0.5", lot_size="0.001")
    world.account("flat", hedge_mode=True)
    world.mark(BTC=60_000)
    world.wallets(flat=12_000, plain=400_000)
    world.long("crash", "BTC", 3, at=60_000, margin=3_000)
    world.long("flat", "BTC", long, at=59_000)
    world.short("flat", "BTC", 3, at=61_000)
    if short != "0":
        world.short("plain", "BTC", short, at=60_000)
    world.takeover("crash")
    return world


@pytest.mark.parametrize("row", cases("eligibilities.txt"))
def test_what_is_closed_of_a_hedge(row: Row) -> None:
    world = d19_world(row["rules"], row["flat"], row["plain"])
    closed = {"flat": 0, "plain": 0}
    for price in (56_000, 53_000):
        world.mark(BTC=price)
        for account, lots in world.filled().items():
            closed[account] += lots
    equity = world.book.asset("USDT").wallets.equity()
    index = world.book.accounts.index
    found = {f"closed_{account}": cash_text(lots, 3) for account, lots in closed.items()}
    found |= {str(side): cash_text(world.lots("flat", "BTC", side), 3) for side in Side}
    found |= {f"equity_{name}": cash_text(int(equity[index[name]])) for name in closed}
    assert found == row.expected


def test_both_legs_are_closed_in_one_event_before_the_fills() -> None:
    """CORE-51: the hedge passed is netted; one behind the last counterparty is not."""
    world = d19_world("binance+both_legs", "3")
    world.account("behind", hedge_mode=True)
    world.wallets(behind=10**7)
    world.long("behind", "BTC", 1, at=60_000)
    world.short("behind", "BTC", 2, at=60_000)
    world.mark(BTC=56_000)
    (netted,) = world.events(m.PositionsNetted)
    assert (netted.account, netted.long_lots, netted.short_lots, netted.lots) == (
        *("flat", 3_000, 3_000),
        3_000,
    )
    kinds = [type(event) for event in world.last_events]
    assert kinds.index(m.PositionsNetted) < kinds.index(m.AdlFilled)
    assert world.lots("behind", "BTC", Side.LONG) == 1_000


def test_a_queue_of_hedges_alone_is_exhausted() -> None:
    world = d19_world("bitmex+both_legs", "3", short="0")
    ranked = rank_side(value_side(world.book, world.state("BTC"), Side.SHORT), RULES.ranking)
    assert ranked.indicator.tolist() == [1]
    assert ranked.closable_lots.tolist() == [0]
    world.mark(BTC=56_000)
    assert [event.remaining_lots for event in world.events(m.AdlExhausted)] == [2_967]
    assert len(world.events(m.PositionsNetted)) == 1


RULES = RULE_SETS["bitmex+both_legs"]


def test_a_side_has_one_round_a_step_under_a_cap() -> None:
    """CORE-52: Bitmart has two triggers, and the second would close as much again."""
    world = d19_world("bitmart+cap_per_account=0.1", "3")
    world.mark(BTC=56_000)
    assert [closed.trigger for closed in world.events(m.RoundClosed)] == ["pool_equity"]
    assert world.filled() == {"flat": 300, "plain": 300}
    world.mark(BTC=56_000)
    assert world.filled() == {"flat": 270, "plain": 270}


def test_a_cap_of_a_large_position_is_exact_and_rounded_up() -> None:
    """A quarter of 2,500,001 lots is 625,000.25; found by a mutant that no other test killed."""
    world = World("binance+cap_per_account=0.25", balance=100)
    world.contract("BTC", tick_size="0.5", lot_size="0.001")
    world.mark(BTC=60_000)
    world.wallets(whale=10**9)
    world.short("whale", "BTC", "2500.001", at=61_000)
    ranking = RULE_SETS["binance+cap_per_account=0.25"].ranking
    ranked = rank_side(value_side(world.book, world.state("BTC"), Side.SHORT), ranking)
    assert ranked.closable_lots.tolist() == [625_001]


def test_options_have_a_spelling_and_combine() -> None:
    rules = RULE_SETS["bybit+both_legs+cap_per_account=0.123456+pro_rata"]
    assert rules.name == "bybit+both_legs+cap_per_account=0.123456+pro_rata"
    assert (rules.policy.name, rules.ranking.both_legs, rules.ranking.cap_ppm) == (
        *("pro_rata", True),
        123_456,
    )
    assert RULE_SETS["okx+cap_per_account"].ranking.cap_ppm == 500_000
    assert RULE_SETS["okx+cap_per_account=1"].ranking.closes_whole
    for wrong in ("0", "1.1", "-1", "", "x", "0.1234567"):
        assert f"okx+cap_per_account={wrong}" not in RULE_SETS
    assert "drift+both_legs" not in RULE_SETS
    assert "okx+both_legs=1" not in RULE_SETS
    with pytest.raises(KeyError):
        RULE_SETS["okx+fair"]


def test_published_ranks_are_those_of_a_round() -> None:
    for rules in ("bitmex+cap_per_account=0.1", "bitmex+both_legs", "binance+both_legs"):
        world = d19_world(rules, "2")
        published = publish(world.book).sides["BTC", Side.SHORT]
        ranking = RULE_SETS[rules].ranking
        queue = rank_side(value_side(world.book, world.state("BTC"), Side.SHORT), ranking)
        assert np.array_equal(published.rank, queue.rank)
        assert np.array_equal(published.indicator, queue.indicator)
