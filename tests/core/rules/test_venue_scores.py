"""Each venue's score of a position, its queue, and its scale of indicators."""

import itertools

import pytest
from msgspec.structs import replace
from world import World

from delever.core import messages as m
from delever.core.explain.explanation import Explanation, explain
from delever.core.market.contract_terms import terms_of
from delever.core.messages import ContractKind, Reason, Side
from delever.core.rules import RULE_SETS
from table import Row, cases, grouped_cases


def explained(world: World, account: str, side: Side) -> Explanation:
    """Return the explanation of an open position in X."""
    explanation = explain(world.book, "X", side, account)
    assert isinstance(explanation, Explanation), explanation
    return explanation


@pytest.mark.parametrize("row", cases("venue_scores.txt"))
def test_score(row: Row) -> None:
    world = World(row["rules"])
    side = Side(row["side"])
    world.contract("X", kind=ContractKind(row["kind"]), tick_size="0.1", rate=row["rate"])
    world.contract("Y", rate=row["rate"])
    world.mark(X=row["mark"], Y=110)
    if row["wallet"]:
        world.wallets(ann=row["wallet"])
    if row["other"]:
        world.long("ann", "Y", row["other"], at=100)
    held = world.row("ann", "X", side, row["lots"], at=row["entry"], margin=row["margin"] or None)
    world.positions(replace(held, leverage=row["leverage"]))
    place = explained(world, "ann", side).queue_position
    value = place.parts[row["part"]] if row["part"] else place.score
    assert f"{value:.6f}" == row["score"]


@pytest.mark.parametrize("rows", grouped_cases("venue_queues.txt", by="case"))
def test_queue(rows: list[Row]) -> None:
    world, side = World(rows[0]["rules"]), Side(rows[0]["side"])
    world.contract("X")
    world.mark(X=rows[0]["mark"])
    for row in rows:
        flag = row["flag"] == "liquidation"
        held = world.row(row["account"], "X", side, row["lots"], cost=row["cost"])
        world.positions(replace(held, isolated_margin=row["margin"], under_liquidation=flag))
    before = {row["account"]: explained(world, row["account"], side).queue_position for row in rows}
    price, wanted = rows[0]["price"], rows[0]["wanted"]
    world.inventory("X", side.opposite, wanted, price)
    closed = world.filled()
    for row in rows:
        place = before[row["account"]]
        assert row.expected == {
            "score": f"{place.score:.6f}",
            "rank": str(place.rank),
            "indicator": str(place.indicator),
            "closed": str(closed.get(row["account"], 0)),
        }
    assert {world.price(fill) for fill in world.events(m.AdlFilled)} <= {price}


@pytest.mark.parametrize("row", cases("venue_indicators.txt"))
def test_indicators_have_the_venues_own_scale(row: Row) -> None:
    scale = RULE_SETS[row["rules"]].indicator_scale
    values = {str(indicator): str(scale.to_venue(indicator)) for indicator in range(6)}
    assert {"kind": scale.kind, **values} == row.expected


def test_every_rule_set_has_an_indicator_in_the_table() -> None:
    assert {case.values[0]["rules"] for case in cases("venue_indicators.txt")} == set(RULE_SETS)


@pytest.mark.parametrize("row", cases("venue_exempt.txt"))
def test_venues_exempt_contracts(row: Row) -> None:
    rules = RULE_SETS[row["rules"]]
    definition = m.DefineContract(
        time_ms=0,
        contract=row["contract"],
        kind=ContractKind(row["kind"]),
        settle="USDT",
        pool="main",
        tick_size="0.01",
        lot_size=1,
    )
    exempt = rules.ranking.exempts(terms_of(definition, 8))
    assert {"exempt": "yes" if exempt else "no"} == row.expected


def test_an_exempt_contract_is_not_deleveraged_and_the_rest_is_reported() -> None:
    """AEV-04: the quantity that the exemption leaves is reported."""
    world = World("aevo")
    world.contract("BTC-PERP")
    world.submit(m.SetMarks, marks={"BTC-PERP": 100})
    world.short("ann", "BTC-PERP", 10, at=120, margin=100)
    world.inventory("BTC-PERP", Side.LONG, 5, 101)
    (exhausted,) = world.events(m.AdlExhausted)
    (closed,) = world.events(m.RoundClosed)
    assert (exhausted.remaining_lots, world.filled()) == (5, {})
    assert closed.ineligible == {Reason.EXEMPT_CONTRACT: 1}


def test_no_position_is_ranked_without_a_queue() -> None:
    """DRI-01: the reason is adl_not_used."""
    world = World("drift")
    world.contract("X")
    world.mark(X=100)
    world.long("ann", "X", 1, at=90, margin=50)
    place = explained(world, "ann", Side.LONG).queue_position
    assert (place.rank, place.indicator, place.reason) == (0, 0, Reason.ADL_NOT_USED)


def ethereal_order(*rows: tuple[str, int, int, int]) -> str:
    """Return the accounts in order of rank; rows have lots, entry price and isolated margin."""
    world = World("ethereal")
    world.contract("X")
    world.mark(X=100)
    for account, lots, entry, margin in rows:
        world.long(account, "X", lots, at=entry, margin=margin)
    places = {name: explained(world, name, Side.LONG).queue_position.rank for name, *_ in rows}
    return "".join(sorted(places, key=places.__getitem__))


def test_ties_go_by_the_criteria_in_order() -> None:
    """ETR-03: leverage, then PnL, then lower balance, then higher account id."""
    assert ethereal_order(("a", 10, 100, 100), ("b", 10, 100, 50)) == "ba"
    same_leverage = ("a", 10, 100, 100), ("b", 10, 95, 50), ("c", 20, 100, 200)
    assert ethereal_order(*same_leverage) == "bac"
    assert ethereal_order(("a", 10, 100, 100), ("b", 20, 100, 200), ("c", 10, 100, 100)) == "cab"


def scan_order(names: str, time_ms: int) -> str:
    """Return the accounts of a dYdX world in the order of the scan at a time."""
    world = World("dydx")
    world.contract("X")
    world.mark(X=100)
    for name in names:
        world.long(name, "X", 1, at=100, margin=50)
    world.wait(time_ms)
    ranks = {name: explained(world, name, Side.LONG).queue_position.rank for name in names}
    return "".join(sorted(ranks, key=ranks.__getitem__))


def test_a_scan_passes_each_account_once_from_a_start_that_replays() -> None:
    """DYX-02: the start depends on the time only, not on the order of input."""
    rotations = {"abcdefgh"[start:] + "abcdefgh"[:start] for start in range(8)}
    orders = [scan_order("abcdefgh", time_ms) for time_ms in range(30)]
    assert set(orders) == rotations
    assert orders == [scan_order("hgfedcba", time_ms) for time_ms in range(30)]


@pytest.mark.parametrize("name", sorted(RULE_SETS))
def test_ranks_are_one_to_n_in_any_order_of_input(name: str) -> None:
    """Ranks do not depend on which account was submitted first."""
    orders = set()
    for names in itertools.islice(itertools.permutations("abcd"), 0, None, 5):
        world = World(name)
        world.contract("X")
        world.mark(X=100)
        for account in names:
            world.long(account, "X", 10, at=90 + ord(account) % 3, margin=100)
        places = [explained(world, account, Side.LONG).queue_position for account in "abcd"]
        orders.add(tuple(place.rank for place in places))
    (ranks,) = orders
    assert sorted(ranks) == ([1, 2, 3, 4] if RULE_SETS[name].ranking.closes else [0] * 4)
