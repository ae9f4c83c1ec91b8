"""Eligibility by net exposure: of a cross hedge only the lots beyond the other side are closed."""

import pytest
from msgspec.structs import replace
from world import World

from delever.core import messages as m
from delever.core.messages import Reason, Side
from delever.core.risk.publication.cache import publish
from delever.core.rules import RULE_SETS
from table import Row, cases


@pytest.mark.parametrize("row", cases("net_exposure.txt"))
def test_only_net_exposure_is_closed(row: Row) -> None:
    world = World(row["rules"], balance=0)
    world.contract("X")
    world.mark(X=100)
    world.account("flat", hedge_mode=True)
    world.wallets(flat=1000)
    for side, lots in ((Side.LONG, row["long"]), (Side.SHORT, row["short"])):
        if int(lots):
            isolated = row["margin"] or None
            held = world.row("flat", "X", side, lots, at=100, margin=isolated)
            world.positions(replace(held, leverage=10))
    world.short("plain", "X", 30, at=100, margin=3000)
    world.inventory("X", Side.LONG, int(row["wanted"]), 100)
    world.mark(X=80)
    closed = world.filled()
    assert {name: str(closed.get(name, 0)) for name in ("flat", "plain")} == row.expected


def test_the_reason_is_reported() -> None:
    world = World("binance+net_exposure", balance=0)
    world.contract("X")
    world.mark(X=100)
    world.account("flat", hedge_mode=True)
    world.wallets(flat=1000)
    world.long("flat", "X", 30, at=100)
    world.short("flat", "X", 30, at=100)
    world.inventory("X", Side.LONG, 10, 100)
    world.mark(X=80)
    (closed,) = world.events(m.RoundClosed)
    assert publish(world.book).sides["X", Side.SHORT].rank.tolist() == [0]
    assert closed.ineligible == {Reason.NO_NET_EXPOSURE: 1}


def test_options_combine() -> None:
    rules = RULE_SETS["bybit+pro_rata+net_exposure"]
    assert (rules.policy.name, rules.ranking.net_exposure) == ("pro_rata", True)
    assert "drift+net_exposure" not in RULE_SETS
    assert "bybit+fair" not in RULE_SETS
