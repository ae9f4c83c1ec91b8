"""Scores, queue order and indicators, and which positions the inventory is closed against."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from world import World

from delever.core import messages as m
from delever.core.explain.explanation import Explanation, explain
from delever.core.messages import ContractKind, Side
from delever.core.risk.publication.cache import publish
from table import Row, cases, grouped_cases


def scored(world: World, contract: str, side: Side, account: str, position: int = 0) -> Explanation:
    """Return the explanation of an open position."""
    explained = explain(world.book, contract, side, account, position=position)
    assert isinstance(explained, Explanation), explained
    return explained


@pytest.mark.parametrize("row", cases("scores.txt"))
def test_score(row: Row) -> None:
    world = World(row["rules"])
    kind, side = ContractKind(row["kind"]), Side(row["side"])
    world.contract("X", kind=kind, tick_size="0.1", rate=row["rate"])
    world.mark(X=row["mark"])
    if row["wallet"]:
        world.wallets(ann=row["wallet"])
    margin, leverage = row["margin"] or None, row["leverage"]
    held = world.row("ann", "X", side, row["lots"], at=row["entry"], margin=margin)
    world.positions(replace(held, leverage=leverage))
    place = scored(world, "X", side, "ann").queue_position
    value = place.parts[row["part"]] if row["part"] else place.score
    assert f"{value:.6f}" == row["score"]


def test_cross_positions_share_the_equity_behind_their_leverage() -> None:
    """BMX-03: equity 130, maintenance 20 and 10: cover 86.67 and 43.33 for values of 1,000 each."""
    world = World("bitmex")
    world.contract("X", rate="0.02")
    world.contract("Y", rate="0.01")
    world.mark(X=100, Y=100)
    world.wallets(ann=50)
    world.long("ann", "X", 10, at=90)
    world.short("ann", "Y", 10, at=98)
    leverage = {
        name: scored(world, name, side, "ann").queue_position.parts["effective_leverage"]
        for name, side in (("X", Side.LONG), ("Y", Side.SHORT))
    }
    assert leverage == {"X": pytest.approx(1000 * 30 / 2600), "Y": pytest.approx(1000 * 30 / 1300)}


def queue_world(rows: list[Row]) -> World:
    """Return a world with the positions of the rows."""
    first = rows[0]
    world = World(first["rules"])
    world.contract("X")
    for mark in first["marks"].split(","):
        world.mark(X=mark)
    for row in rows:
        world.account(row["account"], adl_exempt=row["flag"] == "exempt")
        held = world.row("", "X", Side(row["side"]), row["lots"], cost=row["cost"])
        held = replace(
            held,
            account=row["account"],
            position=int(row["position"]),
            isolated_margin=row["margin"],
            under_liquidation=row["flag"] == "liquidation",
        )
        world.positions(held)
    return world


@pytest.mark.parametrize("rows", grouped_cases("queues.txt", by="case"))
def test_queue(rows: list[Row]) -> None:
    world, side = queue_world(rows), Side(rows[0]["side"])
    keys = [(row["account"], int(row["position"])) for row in rows]
    before = [scored(world, "X", side, *key).queue_position for key in keys]
    world.inventory("X", side.opposite, rows[0]["wanted"], rows[0]["price"])
    for row, key, place in zip(rows, keys, before, strict=True):
        fills = [f for f in world.events(m.AdlFilled) if (f.account, f.position) == key]
        assert row.expected == {
            "score": f"{place.score:.6f}",
            "rank": str(place.rank),
            "indicator": str(place.indicator),
            "ahead": str(place.quantity_ahead_lots),
            "closed": str(sum(fill.lots for fill in fills)),
            "at": "".join(world.price(fill) for fill in fills),
            "reason": place.reason or "",
        }
        indicators = {(f.rank, f.indicator, f.quantity_ahead_lots, f.score) for f in fills}
        explained = (place.rank, place.indicator, place.quantity_ahead_lots, place.score)
        assert indicators <= {explained}


@pytest.mark.parametrize("row", cases("joint.txt"))
def test_joint_score(row: Row) -> None:
    world = World("binance")
    world.contract("LIN")
    world.contract("INV", kind=ContractKind.INVERSE)
    world.mark(LIN=100, INV=100)
    for other in ("LIN", "INV"):  # rank 1 of the longs, last of the shorts
        world.long("x", other, 1, at=1, margin=1)
        world.short("y", other, 1, at=1, margin=1000)
    name, contract, hedge = row["account"], row["contract"], row["hedge"] == "yes"
    world.account(name, hedge_mode=hedge)
    world.wallets(**{name: row["wallet"]})
    for number, side in enumerate(Side):
        margin = row[f"{side}_margin"] or None
        held = world.row(name, contract, side, row[side], at=row[f"{side}_entry"], margin=margin)
        world.positions(replace(held, position=0 if hedge else number))
    published, index = publish(world.book), world.book.accounts.index[name]
    indicators = tuple(published.indicator(contract, side, index) for side in Side)
    scores = {}
    for number, side in enumerate(Side):
        scores[side] = ""
        if row[side] != "0":
            place = scored(world, contract, side, name, 0 if hedge else number).queue_position
            scores[side] = f"{place.score:.6f}"
            assert place.indicator == (1 if side is Side.LONG else 5)
    assert {
        "joint": "yes" if scores[Side.LONG] == scores[Side.SHORT] else "no",
        "long_score": scores[Side.LONG],
        "short_score": scores[Side.SHORT],
    } == row.expected
    own_indicators = (1, 5 if row["short"] != "0" else 0)
    assert indicators == ((5, 5) if row["joint"] == "yes" else own_indicators)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"), st.integers(0, 2), st.integers(1, 9), st.integers(80, 99)
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda row: row[:2],
    ),
    st.sampled_from(["bitmex", "binance", "binance_legacy", "bitmart", "bybit"]),
    st.randoms(use_true_random=False),
)
def test_a_queue_does_not_depend_on_the_order_of_submission(
    rows: list[tuple[str, int, int, int]], rules: str, random: object
) -> None:
    """CORE-05: rank, indicator and quantity ahead depend on score, account and position only."""
    shuffled = sorted(rows, key=lambda _: random.random())
    ranks = []
    for submitted in (rows, shuffled):
        world = World(rules)
        world.contract("X")
        world.mark(X=100)
        for account, position, lots, entry in submitted:
            held = world.row(account, "X", Side.LONG, lots, at=entry, margin=500)
            world.positions(replace(held, position=position))
        places = {key[:2]: scored(world, "X", Side.LONG, *key[:2]).queue_position for key in rows}
        ranks.append(
            {key: (s.rank, s.indicator, s.quantity_ahead_lots) for key, s in places.items()}
        )
    assert ranks[0] == ranks[1]
    in_order = sorted(rows, key=lambda row: ranks[0][row[:2]][0])
    assert [ranks[0][row[:2]][2] for row in in_order] == [
        sum(row[2] for row in in_order[:place]) for place in range(len(rows))
    ]
    best = [scored(world, "X", Side.LONG, *row[:2]).queue_position.score for row in in_order]
    assert best == sorted(best, reverse=True)
