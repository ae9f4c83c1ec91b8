"""Small random markets for the rating, built by commands through the engine.

Prices are whole numbers and maintenance margin is 0.5 % flat, so that nothing is rounded in the
linear contract and two equal holders equal one of twice the size.
"""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import ContractKind, Rating, Side
from delever.core.risk.rating import rating_of
from delever.core.rules import RULE_SETS

MARK = 100
MINUTE_MS = 60_000
RULES = sorted(RULE_SETS)


@dataclass(frozen=True)
class Holder:
    """One account: a position in the market, cash, and perhaps a position elsewhere."""

    side: Side = Side.LONG
    lots: int = 10
    entry: int = MARK
    cash: int = 100
    leverage: int = 10
    isolated: bool = False
    elsewhere: int = 0


NEEDED_LIMITS = {"hyperliquid": m.TriggerLimits(vault_cap="0.1", loss_threshold=100)}
"""The limits of rule sets that need some in a managed pool."""


@dataclass(frozen=True)
class Market:
    """One contract, BTC, with its pool; OTHER is a second one behind the same pool."""

    holders: tuple[Holder, ...] = ()
    rules: str = "binance"
    kind: ContractKind = ContractKind.LINEAR
    managed: bool = False
    rate: str = "0.005"
    slippage: str = "0.025"
    fund: int = 100
    swing: int = 0
    bids: tuple[tuple[str, int], ...] = ()
    asks: tuple[tuple[str, int], ...] = ()

    def with_holder(self, place: int, **changes: Any) -> "Market":
        holders = list(self.holders)
        holders[place] = replace(holders[place], **changes)
        return replace(self, holders=tuple(holders))


def submit(book: Book, kind: type[m.Command], /, **fields: Any) -> tuple[m.Event, ...]:
    """Run one command that is accepted."""
    events = step(book, kind(**{"time_ms": book.time_ms, **fields}))
    assert not isinstance(events[0], m.Rejected), events[0]
    return events


def book_of(market: Market) -> Book:
    """Return the book of a market, an hour after its first mark."""
    book = Book()
    submit(
        book,
        m.DefinePool,
        pool="main",
        kind=m.PoolKind.SHARED,
        asset="USDT",
        rules=market.rules,
        managed=market.managed,
        limits=NEEDED_LIMITS.get(market.rules, m.TriggerLimits()),
        max_slippage=market.slippage,
    )
    for name, kind in (("BTC", market.kind), ("OTHER", ContractKind.LINEAR)):
        submit(
            book,
            m.DefineContract,
            contract=name,
            kind=kind,
            settle="USDT",
            pool="main",
            tick_size="0.01",
            lot_size=1,
            multiplier=1 if kind is ContractKind.LINEAR else MARK,
            margin_tiers=(m.MarginTier(notional_from=0, maintenance_rate=market.rate),),
        )
    if market.fund:
        submit(book, m.FundPool, pool="main", amount=market.fund, reason=m.FundingReason.SEED)
    for minute in range(60):
        mark = MARK + (market.swing if minute % 2 == 0 else 0)
        submit(book, m.SetMarks, time_ms=minute * MINUTE_MS, marks={"BTC": mark, "OTHER": MARK})
    submit_holders(book, market.holders)
    submit(book, m.SetDepth, contract="BTC", bids=market.bids, asks=market.asks)
    return book


def submit_holders(book: Book, holders: tuple[Holder, ...]) -> None:
    names = [f"h{number:02d}" for number in range(len(holders))]
    for name in names:
        submit(book, m.DefineAccount, account=name, hedge_mode=True)
    balances = [
        m.BalanceRow(account=name, asset="USDT", balance=0 if holder.isolated else holder.cash)
        for name, holder in zip(names, holders, strict=True)
    ]
    rows = [
        row for name, holder in zip(names, holders, strict=True) for row in rows_of(name, holder)
    ]
    submit(book, m.SetBalances, version=1, balances=tuple(balances))
    submit(book, m.SetPositions, version=1, positions=tuple(rows))


def rows_of(name: str, holder: Holder) -> list[m.PositionRow]:
    row = m.PositionRow(
        account=name,
        contract="BTC",
        side=holder.side,
        quantity=holder.lots,
        entry_price=holder.entry,
        leverage=holder.leverage,
        isolated_margin=holder.cash if holder.isolated else None,
    )
    if not holder.elsewhere:
        return [row]
    other = m.PositionRow(
        account=name, contract="OTHER", side=Side.LONG, quantity=holder.elsewhere, entry_price=MARK
    )
    return [row, other]


def rated(market: Market) -> Rating:
    rating = rating_of(book_of(market), "BTC")
    assert rating is not None
    return rating


def levels_at(*prices: str) -> st.SearchStrategy[tuple[tuple[str, int], ...]]:
    """Return depth at these prices, best first, the last of them beyond the pool's slippage."""
    lots = st.lists(st.integers(1, 40), max_size=len(prices))
    return lots.map(lambda offered: tuple(zip(prices, offered, strict=False)))


def sound(side: Side, lots: int, margin: int, **more: Any) -> Holder:
    """Return a holder with this much cash a lot, above maintenance margin."""
    return Holder(side, lots=lots, cash=lots * margin, **more)


holders = st.builds(
    Holder,
    side=st.sampled_from(Side),
    lots=st.integers(1, 40),
    entry=st.integers(80, 120),
    cash=st.integers(0, 400),
    leverage=st.integers(1, 50),
    isolated=st.booleans(),
    elsewhere=st.sampled_from([0, 0, 5]),
)
sound_holders = st.builds(
    sound,
    side=st.sampled_from(Side),
    lots=st.integers(5, 40),
    margin=st.integers(2, 20),
    isolated=st.booleans(),
    elsewhere=st.sampled_from([0, 0, 1]),
)


def markets_of(drawn: st.SearchStrategy[Holder]) -> st.SearchStrategy[Market]:
    return st.builds(
        Market,
        holders=st.lists(drawn, min_size=2, max_size=6).map(tuple),
        rules=st.sampled_from(RULES),
        kind=st.sampled_from(ContractKind),
        slippage=st.sampled_from(["0", "0.025", "0.1"]),
        fund=st.sampled_from([0, 1, 20, 100, 500]),
        swing=st.integers(0, 10),
        bids=levels_at("100", "99", "98", "80"),
        asks=levels_at("100", "101", "102", "120"),
    )


markets = markets_of(holders)
sound_markets = markets_of(sound_holders).map(lambda market: replace(market, managed=True))
