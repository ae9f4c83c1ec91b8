"""The stress curve compared with the engine, which runs on a copy of the book."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rated_market import Holder, Market, book_of, markets, sound_markets, submit

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.market.contract_terms import MAX_TICKS
from delever.core.messages import ContractKind, Side, StressPoint
from delever.core.risk.stress_curve import SHOCKS_PPM, curve_of
from delever.core.units import PPM, div_nearest
from delever.journal.snapshot import decode_book, encode_book

CRASH = Market(
    holders=(
        Holder(Side.LONG, lots=80, cash=400),
        Holder(Side.LONG, lots=20, cash=5000),
        Holder(Side.SHORT, lots=50, cash=5000),
        Holder(Side.SHORT, lots=50, cash=5000),
    ),
    managed=True,
    slippage="0",
    fund=150,
    bids=(("100", 10),),
)


class Outcome:
    """The engine's events when the mark moves at once, and depth with it."""

    def __init__(self, book: Book, point: StressPoint) -> None:
        copy = decode_book(encode_book(book))
        state = copy.contracts["BTC"]

        def moved(levels: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
            return tuple(
                (div_nearest(t * (PPM + point.shock_ppm), PPM), lots) for t, lots in levels
            )

        copy.apply(m.DepthSet(contract="BTC", bids=moved(state.bids), asks=moved(state.asks)))
        price = f"{point.mark_ticks // 100}.{point.mark_ticks % 100:02d}"
        events = submit(copy, m.SetMarks, marks={"BTC": price})
        here = [event for event in events if getattr(event, "contract", "") == "BTC"]
        self.taken = [event for event in here if isinstance(event, m.TakenOver)]
        self.liquidated = Counter[Side]()
        for taken in self.taken:
            self.liquidated[taken.side] += taken.lots
        self.absorbed = sum(event.lots for event in here if isinstance(event, m.Unwound))
        self.wanted = {
            e.side: e.wanted_lots for e in reversed(here) if isinstance(e, m.RoundClosed)
        }

    @property
    def adl_lots(self) -> int:
        return sum(self.wanted.values())


def curve(book: Book) -> tuple[StressPoint, ...]:
    return curve_of(book, book.contracts["BTC"])


def at(book: Book, shock_ppm: int) -> StressPoint:
    return next(point for point in curve(book) if point.shock_ppm == shock_ppm)


far = [shock for shock in SHOCKS_PPM if shock >= 50_000]
points = st.builds(
    int.__mul__, st.sampled_from((-1, 1)), st.sampled_from([0, *SHOCKS_PPM, *2 * far])
)


@given(sound_markets, points)
def test_the_engine_liquidates_and_absorbs_as_estimated(market: Market, shock_ppm: int) -> None:
    """RSK-03: lot for lot, as long as ADL is not on already and the fund can pay for all of it.

    Otherwise at least as much as estimated is absorbed.
    """
    book = book_of(market)
    assume(not book.contracts["BTC"].active)
    point = at(book, shock_ppm)
    outcome = Outcome(book, point)
    assert outcome.liquidated[Side.LONG] == point.liquidated_long_lots
    assert outcome.liquidated[Side.SHORT] == point.liquidated_short_lots
    if point.loss_cash <= max(book.pools["main"].balance, 0):
        assert outcome.absorbed == point.absorbed_lots
    assert outcome.absorbed >= point.absorbed_lots


@given(sound_markets, points)
def test_the_engine_never_leaves_more_for_adl_than_estimated(
    market: Market, shock_ppm: int
) -> None:
    """RSK-03."""
    book = book_of(market)
    point = at(book, shock_ppm)
    assert Outcome(book, point).adl_lots <= point.adl_lots


@given(sound_markets, points, st.sampled_from(["lighter", "binance"]))
def test_the_estimate_is_exact_if_every_account_taken_over_is_bankrupt(
    market: Market, shock_ppm: int, rules: str
) -> None:
    """RSK-03: no slippage, no inventory before, and every account taken over is bankrupt.

    Under `residual` sizing it is exact for one account, whose loss is the same for every lot.
    """
    market = replace(market, rules=rules, slippage="0")
    book = book_of(market)
    state = book.contracts["BTC"]
    assume(not state.active and not state.has_inventory)
    # Smaller shocks count as well, so this one is checked only where they leave nothing.
    before = [p for p in curve(book) if p.shock_ppm * shock_ppm > 0 and p.adl_lots]
    point = at(book, shock_ppm)
    assume(all(abs(p.shock_ppm) >= abs(shock_ppm) for p in before))
    outcome = Outcome(book, point)
    assume(all(taken.equity_cash < 0 for taken in outcome.taken))
    alone = len(outcome.taken) <= 1 and not any(h.elsewhere for h in market.holders)
    assume(rules == "lighter" or alone)
    assume(all(1 < taken.price_ticks < MAX_TICKS for taken in outcome.taken))
    assert outcome.adl_lots == point.adl_lots


def test_a_crash_by_hand() -> None:
    """RSK-03: 80 lots fall at 95 with nothing left; at 93 they lose 160, more than the pool has.

    At 2 a lot the pool of 150 carries 74 lots and stays above 0; 6 are left.
    """
    book = book_of(CRASH)
    fell, lost = at(book, -50_000), at(book, -70_000)
    assert (fell.liquidated_long_lots, fell.absorbed_lots) == (80, 10)
    assert (fell.loss_cash, fell.adl_lots) == (0, 0)
    assert (lost.mark_ticks, lost.loss_cash) == (9_300, 160 * 10**8)
    assert (lost.fund_pays_cash, lost.adl_lots) == (150 * 10**8, 6)
    assert Outcome(book, lost).adl_lots == 6
    assert all(point.liquidated_short_lots == 0 for point in curve(book))


FUND_CAPACITY = {
    "binance": 150,
    "bybit": 45,  # 30 % of the peak
    "bitmart": 30,  # 20 %
    "okx": 45,  # 30 %
    "okx_2025": 150,  # 50,000 below the mean is more than the pool has
    "gmx": 127.5,  # traders may win 85 % of the pool
    "deribit": 0,  # the rest beyond depth is closed at once
    "hyperliquid": 15.00000001,  # the first unit beyond a vault cap of 10 %
    "hyperliquid@2025-03": 0.00000001,  # the first unit of loss
    "extended": 3.75000001,  # the first unit beyond 2.5 % in a contract a day
    "drift": 150,
}


@pytest.mark.parametrize(("rules", "capacity"), FUND_CAPACITY.items())
def test_fund_capacity_depends_on_the_rule_set(rules: str, capacity: float) -> None:
    """RSK-03: until a trigger starts; 80 lots lose 260, more than all of it, at 93.

    Under `residual` sizing a fund of 150 carries 46 lots at 3.25.
    """
    lost = at(book_of(replace(CRASH.with_holder(0, cash=300), rules=rules)), -70_000)
    assert lost.fund_pays_cash == int(capacity * 10**8)
    assert lost.adl_lots == (34 if rules == "binance" else 70)


@pytest.mark.parametrize(("fund", "lots"), [(159, 1), (160, 1), (161, 0)])
def test_a_pool_that_is_just_depleted_leaves_the_rest_to_adl(fund: int, lots: int) -> None:
    """RSK-03: the loss at 93 is 160, and a pool at 0 with inventory starts ADL."""
    book = book_of(replace(CRASH, fund=fund))
    point = at(book, -70_000)
    assert (point.adl_lots, Outcome(book, point).adl_lots) == (lots, lots)


@pytest.mark.parametrize(("cash", "lots"), [(438, 80), (439, 0)])
def test_equity_that_just_meets_maintenance_is_liquidated(cash: int, lots: int) -> None:
    """RSK-03: at 95, 80 lots have lost 400 and need 38."""
    book = book_of(CRASH.with_holder(0, cash=cash))
    point = at(book, -50_000)
    assert (point.liquidated_long_lots, Outcome(book, point).liquidated[Side.LONG]) == (lots, lots)


@pytest.mark.parametrize(
    ("isolated", "cash", "lots"),
    [(False, 561, 0), (False, 560, 0), (False, 559, 80), (True, 561, 0), (True, 560, 80)],
)
def test_a_contract_without_maintenance_margin(isolated: bool, cash: int, lots: int) -> None:
    """RSK-03: at 93, 80 lots have lost 560; an account is taken over below 0, a position at 0."""
    book = book_of(replace(CRASH.with_holder(0, isolated=isolated, cash=cash), rate="0"))
    point = at(book, -70_000)
    assert (point.liquidated_long_lots, Outcome(book, point).liquidated[Side.LONG]) == (lots, lots)


def test_inventory_is_closed_with_what_is_liquidated() -> None:
    """RSK-03: 80 lots taken over at 95 lose 400 at 90; of 150 the pool carries 29 of them."""
    book = book_of(replace(CRASH, managed=False))
    submit(book, m.Takeover, account="h00", contract="BTC", price="95")
    assert not book.contracts["BTC"].active
    held, lost = at(book, -50_000), at(book, -100_000)
    assert (held.loss_cash, held.absorbed_lots, held.adl_lots) == (0, 10, 0)
    assert (lost.loss_cash, lost.absorbed_lots, lost.adl_lots) == (400 * 10**8, 10, 51)
    assert lost.liquidated_long_lots == 0


def test_losses_of_other_contracts_reduce_the_fund_capacity() -> None:
    """RSK-03: five lots of OTHER, taken over at 110 and worth 100, leave 100 of 150."""
    book = book_of(replace(CRASH, managed=False).with_holder(1, elsewhere=5))
    submit(book, m.Takeover, account="h01", contract="OTHER", price="110")
    assert at(book, -70_000).fund_pays_cash == 100 * 10**8


def test_neither_depth_nor_the_pool_takes_anything_while_adl_is_on() -> None:
    """RSK-03."""
    book = book_of(replace(CRASH, fund=0, managed=False))
    submit(book, m.Takeover, account="h01", contract="BTC", price="101")
    assert book.contracts["BTC"].active
    point = at(book, -70_000)
    assert (point.liquidated_long_lots, point.absorbed_lots) == (80, 0)
    assert (point.fund_pays_cash, point.adl_lots) == (0, 80)


@given(markets)
def test_the_curve_never_decreases_away_from_the_mark(market: Market) -> None:
    """RSK-05."""
    book = book_of(market)
    shocks = [point.shock_ppm for point in curve(book)]
    assert shocks == sorted({0, *SHOCKS_PPM, *(-shock for shock in SHOCKS_PPM)})
    lots = [point.adl_lots for point in curve(book)]
    middle = len(lots) // 2
    assert lots[: middle + 1] == sorted(lots[: middle + 1], reverse=True)
    assert lots[middle:] == sorted(lots[middle:])


@given(markets)
def test_absorbed_lots_and_payments_stay_within_their_totals(market: Market) -> None:
    """RSK-03: the pool pays at most the loss, and closed lots are absorbed or left."""
    for point in curve(book_of(market)):
        liquidated = point.liquidated_long_lots + point.liquidated_short_lots
        assert 0 <= point.fund_pays_cash <= point.loss_cash
        assert 0 <= point.absorbed_lots <= liquidated
        assert point.loss_cash == 0 or liquidated


def test_prices_stay_inside_the_numeric_range() -> None:
    book = book_of(Market())
    submit(book, m.SetMarks, marks={"BTC": 10**6})
    submit(book, m.DefineAccount, account="whale")
    row = m.PositionRow(
        account="whale", contract="BTC", side=Side.SHORT, quantity=20_000, entry_price=10**6
    )
    submit(book, m.SetPositions, version=1, positions=(row,))
    for point in curve(book):
        assert point.loss_cash >= 0
        assert point.adl_lots in (0, 20_000)
    assert at(book, 500_000).loss_cash > 10**18


def test_an_inverse_contract_and_a_price_of_one_tick() -> None:
    holder = Holder(Side.LONG, lots=5, cash=1)
    book = book_of(Market(holders=(holder,), kind=ContractKind.INVERSE, slippage="1"))
    submit(book, m.SetMarks, marks={"BTC": "0.01"})
    assert all(point.mark_ticks >= 1 for point in curve(book))
    assert step(book, m.RefreshRatings(time_ms=book.time_ms))
