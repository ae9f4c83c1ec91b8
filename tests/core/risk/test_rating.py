"""The ADL risk rating: the scorecard as a table, and monotone in each of its seven inputs."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rated_market import Holder, Market, book_of, markets, rated, submit
from world import World

from delever.core import messages as m
from delever.core.engine import step
from delever.core.messages import ContractKind, Rating, RatingInput, RatingMethod, RiskLevel, Side
from delever.core.risk.rating import (
    SCORECARD,
    Measure,
    level_of_distance,
    level_of_points,
    rate_all,
    rating_of,
    trigger_used_ppm,
)
from sources import ROOT
from table import Row, cases, rows_of

STEADY = Market(holders=(Holder(Side.LONG), Holder(Side.SHORT)))


def part(rating: Rating, which: RatingInput) -> m.RatingPart:
    return next(part for part in rating.parts if part.input is which)


# --- the tables ---


@pytest.mark.parametrize("row", cases("rating_points.txt"))
def test_points_of_an_input(row: Row) -> None:
    measure = next(measure for measure in SCORECARD if measure.input == row["input"])
    measured = replace(measure, read=lambda _book, _state: (int(row["value_ppm"]), {}))
    book = book_of(STEADY)
    points = measured.part(book, book.contracts["BTC"]).points
    assert {"points": str(points)} == row.expected


@pytest.mark.parametrize("row", cases("rating_levels.txt"))
def test_level_of_each_method(row: Row) -> None:
    nearest = int(row["adl_from_ppm"]) if row["adl_from_ppm"] else None
    scorecard = level_of_points(int(row["points"]))
    stress = level_of_distance(nearest, int(row["volatility_ppm"]))
    assert {"scorecard": scorecard, "stress": stress} == row.expected


# --- inputs ---


def test_the_scorecard_reads_exactly_the_seven_published_inputs() -> None:
    """RSK-01."""
    assert [measure.input for measure in SCORECARD] == list(RatingInput)
    assert [each.input for each in rated(STEADY).parts] == list(RatingInput)


def test_the_worked_example_of_the_document() -> None:
    """RSK-02, RSK-03, RSK-04: docs/risk.md computes these numbers by hand."""
    rating = rated(WORKED)
    assert {each.input: (each.value_ppm, each.points) for each in rating.parts} == {
        RatingInput.FUND_BALANCE: (15_000, 1),
        RatingInput.POSITION_CONCENTRATION: (680_000, 3),
        RatingInput.DEPTH: (100_000, 0),
        RatingInput.PRICE_VOLATILITY: (0, 0),
        RatingInput.AVERAGE_LEVERAGE: (10_000_000, 1),
        RatingInput.UNREALIZED_PNL: (40_000, 0),
        RatingInput.MARGIN_UTILIZATION: (20_833, 0),
    }
    assert (rating.points, rating.scorecard_level) == (5, RiskLevel.LOW)
    assert (rating.adl_from_ppm, rating.stress_level) == (50_000, RiskLevel.LOW)


def test_the_worked_example_on_a_volatile_day() -> None:
    """RSK-04: docs/risk.md."""
    rating = rated(replace(WORKED, swing=2))
    assert (rating.points, rating.scorecard_level) == (8, RiskLevel.MEDIUM)
    assert (rating.level, rating.decided_by) == (RiskLevel.EXTREMELY_HIGH, (RatingMethod.STRESS,))


def test_the_document_states_the_limits_and_the_curve() -> None:
    """RSK-02, RSK-03: the tables of docs/risk.md are those of the code."""
    text = (ROOT / "docs" / "risk.md").read_text(encoding="utf-8")
    unit = 10**8
    for measure in SCORECARD:
        cells = " | ".join(limit_text(measure, limit) for limit in measure.limits_ppm)
        assert re.search(rf"\| `{measure.input}` \| .* \| {re.escape(cells)} \|", text), cells
    for point in rated(WORKED).curve:
        if point.shock_ppm in (-500_000, -70_000, -50_000, -40_000, 500_000):
            loss = f"{point.loss_cash / unit:,.2f}".removesuffix(".00")
            end = f"| {loss} | {point.fund_pays_cash // unit} | {point.adl_lots} |"
            assert f"| {point.shock_ppm // 10_000:+d} % | {point.mark_ticks // 100} |" in text
            assert end in text


def limit_text(measure: Measure, limit_ppm: int) -> str:
    if measure.input is RatingInput.AVERAGE_LEVERAGE:
        return f"{limit_ppm // 1_000_000}x"
    percent = f"{limit_ppm / 10_000:g} %"
    return f"< {percent}" if measure.more_is_safer else percent


WORKED = Market(
    holders=(
        Holder(Side.LONG, lots=80, cash=400),
        Holder(Side.LONG, lots=20, cash=1000),
        Holder(Side.SHORT, lots=50, cash=1500, entry=104),
        Holder(Side.SHORT, lots=50, cash=1500, entry=104),
    ),
    fund=150,
    bids=(("99", 10),),
    asks=(("101", 10),),
)


def test_each_part_has_the_numbers_of_its_value() -> None:
    parts = {each.input: each.numbers for each in rated(WORKED).parts}
    assert parts[RatingInput.DEPTH] == {"bid_lots": 10, "ask_lots": 10, "open_interest_lots": 100}
    assert parts[RatingInput.POSITION_CONCENTRATION] == {"long_ppm": 680_000, "short_ppm": 500_000}
    assert parts[RatingInput.FUND_BALANCE]["balance_cash"] == 150 * 10**8


def test_volatility_is_that_of_the_submitted_marks() -> None:
    """RSK-06: 59 moves of about 2 % make 15.2 % a day."""
    quiet, rough = rated(STEADY), rated(replace(STEADY, swing=2))
    assert part(quiet, RatingInput.PRICE_VOLATILITY).value_ppm == 0
    assert part(rough, RatingInput.PRICE_VOLATILITY).value_ppm == 152_098
    assert quiet.volatility_ppm == 10_000


def test_unknown_depth_counts_as_zero() -> None:
    depth = part(rated(STEADY), RatingInput.DEPTH)
    assert (depth.value_ppm, depth.points) == (0, 3)


def test_an_empty_contract_is_low() -> None:
    rating = rated(Market(fund=0))
    assert (rating.level, rating.points, rating.adl_from_ppm) == (RiskLevel.LOW, 0, None)


def test_a_contract_without_equity_uses_all_of_its_margin() -> None:
    broke = Market(holders=(Holder(Side.LONG, cash=0, entry=101),))
    assert part(rated(broke), RatingInput.MARGIN_UTILIZATION).value_ppm == 1_000_000


def test_extremely_high_is_high_on_three_levels() -> None:
    """RSK-01."""
    assert [level.on_three_levels for level in RiskLevel] == ["low", "medium", "high", "high"]


# --- the two methods ---


@given(markets)
def test_the_rating_is_the_higher_of_both_levels(market: Market) -> None:
    """RSK-04."""
    rating = rated(market)
    levels = {
        RatingMethod.SCORECARD: rating.scorecard_level,
        RatingMethod.STRESS: rating.stress_level,
    }
    assert rating.level.ordinal == max(level.ordinal for level in levels.values())
    assert {*rating.decided_by} == {v for v, level in levels.items() if level is rating.level}
    assert rating.points == sum(each.points for each in rating.parts)


# --- monotone, input by input (RSK-05) ---


def never_safer(before: Rating, after: Rating, moved: RatingInput | None = None) -> None:
    """Check that no level, part or point of the curve is milder, and that other inputs stayed."""
    assert after.level.ordinal >= before.level.ordinal
    assert after.scorecard_level.ordinal >= before.scorecard_level.ordinal
    assert after.stress_level.ordinal >= before.stress_level.ordinal
    for old, new in zip(before.parts, after.parts, strict=True):
        assert new.points >= old.points
        assert moved in (None, new.input) or new.value_ppm == old.value_ppm, new.input
    for point, worse in zip(before.curve, after.curve, strict=True):
        assert worse.adl_lots >= point.adl_lots


@given(markets, st.integers(1, 2000))
def test_more_fund_is_never_riskier(market: Market, more: int) -> None:
    richer = replace(market, fund=market.fund + more)
    never_safer(rated(richer), rated(market), RatingInput.FUND_BALANCE)


@given(markets, st.integers(1, 60), st.booleans())
def test_more_depth_is_never_riskier(market: Market, more: int, deeper: bool) -> None:
    if deeper:
        prices = [("100", "100"), ("99", "101"), ("98", "102")]
        market = replace(market, bids=market.bids[:3], asks=market.asks[:3])
        bids = (*market.bids, *((bid, more) for bid, _ in prices[len(market.bids) :]))
        asks = (*market.asks, *((ask, more) for _, ask in prices[len(market.asks) :]))
    else:
        bids = tuple((price, lots + more) for price, lots in market.bids)
        asks = tuple((price, lots + more) for price, lots in market.asks)
    deep = replace(market, bids=bids, asks=asks)
    never_safer(rated(deep), rated(market), RatingInput.DEPTH)


@given(markets, st.integers(1, 20))
def test_more_volatility_is_never_safer(market: Market, more: int) -> None:
    rougher = replace(market, swing=market.swing + more)
    before, after = rated(market), rated(rougher)
    never_safer(before, after, RatingInput.PRICE_VOLATILITY)
    assert before.curve == after.curve


@given(markets, st.integers(0), st.integers(1, 50))
def test_more_leverage_is_never_safer(market: Market, place: int, more: int) -> None:
    place %= len(market.holders)
    leverage = market.holders[place].leverage + more
    higher = market.with_holder(place, leverage=leverage)
    never_safer(rated(market), rated(higher), RatingInput.AVERAGE_LEVERAGE)


@given(markets, st.integers(0), st.integers(1, 30))
def test_more_unrealized_pnl_is_never_safer(market: Market, place: int, more: int) -> None:
    """The same equity, more of it unrealized: a better entry price, and less cash."""
    alike = tuple(replace(holder, leverage=1) for holder in market.holders)
    market = replace(market, kind=ContractKind.LINEAR, holders=alike)
    place %= len(alike)
    holder = alike[place]
    richer = market.with_holder(place, cash=holder.cash + holder.lots * more)
    winning = market.with_holder(place, entry=holder.entry - holder.side.sign * more)
    before, after = rated(richer), rated(winning)
    never_safer(before, after)
    assert before.curve == after.curve
    for old, new in zip(before.parts, after.parts, strict=True):
        assert new.value_ppm == old.value_ppm or new.input is RatingInput.UNREALIZED_PNL


@given(markets, st.integers(0), st.integers(1, 500))
def test_more_margin_in_use_is_never_safer(market: Market, place: int, less: int) -> None:
    """The same positions on less cash."""
    place %= len(market.holders)
    cash = max(market.holders[place].cash - less, 0)
    thinner = market.with_holder(place, cash=cash)
    never_safer(rated(market), rated(thinner), RatingInput.MARGIN_UTILIZATION)


@given(markets, st.integers(0))
def test_more_concentration_is_never_safer(market: Market, place: int) -> None:
    """Two equal holders become one."""
    market = replace(market, kind=ContractKind.LINEAR)
    twin = market.holders[place % len(market.holders)]
    spread = replace(market, holders=(*market.holders, twin))
    joined = market.with_holder(
        place % len(market.holders),
        lots=2 * twin.lots,
        cash=2 * twin.cash,
        elsewhere=2 * twin.elsewhere,
    )
    never_safer(rated(spread), rated(joined), RatingInput.POSITION_CONCENTRATION)


# --- commands and events ---


def test_ratings_are_refreshed_by_command_and_stored_with_their_sequence() -> None:
    """RSK-07."""
    book = book_of(WORKED)
    events = submit(book, m.RefreshRatings)
    (event,) = [event for event in events if isinstance(event, m.RatingsSet)]
    assert [rating.contract for rating in event.ratings] == ["BTC", "OTHER"]
    rating = book.contracts["BTC"].rating
    assert rating == event.ratings[0] == rating_of(book, "BTC")
    assert rating is not None
    assert (rating.as_of, rating.time_ms) == (book.sequence, book.time_ms)
    submit(book, m.SetTime)
    assert book.contracts["BTC"].rating == rating


def test_only_the_contracts_named_are_rated() -> None:
    book = book_of(WORKED)
    submit(book, m.RefreshRatings, contracts=("OTHER",))
    assert book.contracts["BTC"].rating is None
    assert book.contracts["OTHER"].rating is not None


def test_refreshing_an_unknown_or_unmarked_contract_is_rejected() -> None:
    book = book_of(STEADY)
    new = book.contracts["BTC"].definition
    submit(book, m.DefineContract, **{**fields_of(new), "contract": "NEW"})
    rejections = {
        ("DOGE",): ("contracts[0]", "unknown_contract"),
        ("BTC", "NEW"): ("contracts[1]", "missing_mark_price"),
        ("BTC", "BTC"): ("contracts[1]", "duplicate_row"),
    }
    for contracts, (field, reason) in rejections.items():
        (event,) = step(book, m.RefreshRatings(time_ms=book.time_ms, contracts=contracts))
        assert isinstance(event, m.Rejected)
        assert (event.field, event.reason) == (field, reason)
    assert rating_of(book, "NEW") is None
    assert rating_of(book, "DOGE") is None
    assert [rating.contract for rating in rate_all(book)] == ["BTC", "OTHER"]


def fields_of(command: m.DefineContract) -> dict[str, object]:
    return {name: getattr(command, name) for name in command.__struct_fields__ if name != "time_ms"}


def test_a_contract_is_rated_again_when_its_state_moves() -> None:
    """RSK-04, RSK-07: the rows of the table are one session."""
    world = World("binance", balance=1000)
    world.contract("X")
    world.mark(X=100)
    world.inventory("X", Side.LONG, 100, 100)
    world.submit(m.RefreshRatings)
    state = world.book.contracts["X"]
    for row in rows_of("rated_again.txt"):
        before = state.rating
        world.mark(X=row["mark"])
        assert state.rating is not None
        used_ppm = trigger_used_ppm(world.book, state)
        level = str(state.rating.level) if state.active else "as_inputs"
        assert {"used": f"{used_ppm / 10_000:g}", "level": level} == {
            name: row.expected[name] for name in ("used", "level")
        }
        assert f"{state.rating.trigger_used_ppm / 10_000:g}" == row.expected["rated"]
        assert bool(world.events(m.RatingsSet)) == (state.rating is not before)
        if not state.active:
            assert RatingMethod.STATE not in state.rating.decided_by
