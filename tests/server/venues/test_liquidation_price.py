"""The liquidation price is where equity meets maintenance: checked at that very price."""

from fractions import Fraction
from typing import Any

import pytest

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import (
    BalanceRow,
    ContractKind,
    DefineAccount,
    DefineContract,
    DefinePool,
    MarginTier,
    PoolKind,
    PositionRow,
    Rejected,
    SetBalances,
    SetMarks,
    SetPositions,
    Side,
)
from delever.server.engine.account_snapshot import account_snapshot_of
from delever.server.venues.account_reader import liquidation_ticks

TIERS = (
    MarginTier(notional_from=0, maintenance_rate="0.005"),
    MarginTier(notional_from=50_000, maintenance_rate="0.01"),
)


class Market:
    """A book with one contract, C, and its settle asset S."""

    def __init__(self, kind: ContractKind = ContractKind.LINEAR) -> None:
        self.book = Book()
        self.say(
            DefinePool(time_ms=0, pool="p", kind=PoolKind.SHARED, asset="S", rules="bybit"),
            DefineContract(
                time_ms=0,
                contract="C",
                kind=kind,
                settle="S",
                pool="p",
                tick_size="0.01",
                lot_size=1,
                margin_tiers=TIERS,
            ),
        )
        self.mark(100)

    def say(self, *commands: Any) -> None:
        for command in commands:
            events = step(self.book, command)
            assert not isinstance(events[0], Rejected), events[0]

    def mark(self, price: int | str) -> None:
        self.say(SetMarks(time_ms=0, marks={"C": price}))

    def account(self, name: str, balance: int, *, hedge_mode: bool = False) -> None:
        row = BalanceRow(account=name, asset="S", balance=balance)
        self.say(
            DefineAccount(time_ms=0, account=name, hedge_mode=hedge_mode),
            SetBalances(time_ms=0, version=1, balances=(row,)),
        )

    def hold(
        self, name: str, side: Side, quantity: int, entry: int, margin: int | None = None
    ) -> None:
        row = PositionRow(
            account=name,
            contract="C",
            side=side,
            quantity=quantity,
            entry_price=entry,
            isolated_margin=margin,
        )
        self.say(SetPositions(time_ms=0, version=1, positions=(row,)))

    def prices(self, name: str) -> list[Fraction | None]:
        """Return the liquidation price of each of an account's positions, in ticks."""
        holdings = account_snapshot_of(self.book, name)
        assert holdings is not None
        state = self.book.contracts["C"]
        return [
            liquidation_ticks(held, holdings, state.terms, state.mark)
            for held in holdings.positions
        ]

    def excess(self, name: str) -> int:
        """Return equity less maintenance of an account that is all cross."""
        wallets, row = self.book.assets["S"].wallets, self.book.accounts.index[name]
        return int(wallets.balance[row] + wallets.unrealized_pnl[row] - wallets.maintenance[row])


@pytest.mark.parametrize(
    ("kind", "side", "quantity", "balance"),
    [
        (ContractKind.LINEAR, Side.LONG, 100, 2_000),
        (ContractKind.LINEAR, Side.SHORT, 100, 2_000),
        (ContractKind.LINEAR, Side.LONG, 900, 18_000),
        (ContractKind.LINEAR, Side.SHORT, 900, 18_000),
        (ContractKind.INVERSE, Side.LONG, 100, 1),
        (ContractKind.INVERSE, Side.LONG, 900, 2),
        (ContractKind.INVERSE, Side.SHORT, 900, 2),
    ],
)
def test_a_cross_position_is_liquidated_just_past_its_liquidation_price(
    kind: ContractKind, side: Side, quantity: int, balance: int
) -> None:
    market = Market(kind)
    market.account("ann", balance)
    market.hold("ann", side, quantity, 90)
    (price,) = market.prices("ann")
    assert price is not None
    ticks = int(price)
    safe, lost = (ticks + 1, ticks - 1) if side is Side.LONG else (ticks - 1, ticks + 1)
    found = []
    for mark in (safe, lost):
        market.mark(f"{mark // 100}.{mark % 100:02d}")
        found.append(market.excess("ann"))
    assert found[0] > 0 > found[1]


def test_a_covered_inverse_short_has_no_liquidation_price() -> None:
    market = Market(ContractKind.INVERSE)
    market.account("ann", 2)
    market.hold("ann", Side.SHORT, 100, 100)
    assert market.prices("ann") == [None]


def test_both_sides_of_a_hedge_have_one_liquidation_price() -> None:
    market = Market()
    market.account("ann", 500, hedge_mode=True)
    market.hold("ann", Side.LONG, 100, 100)
    market.hold("ann", Side.SHORT, 60, 100)
    # 500 + 40 (p - 100) = 0.005 * 160 p, in ticks of 0.01
    assert market.prices("ann") == [Fraction(3_500 * 1000 * 100, 39_200)] * 2


def test_an_isolated_position_has_its_own_liquidation_price_and_a_safe_one_has_none() -> None:
    market = Market()
    market.account("ann", 10**6)
    market.hold("ann", Side.LONG, 10, 100, margin=100)
    # 100 + 10 (p - 100) = 0.005 * 10 p
    assert market.prices("ann") == [Fraction(900 * 1000 * 100, 9_950)]
    market.account("bea", 10**6)
    market.hold("bea", Side.LONG, 10, 100)
    assert market.prices("bea") == [None]


def test_without_a_mark_there_is_no_liquidation_price() -> None:
    market = Market()
    market.account("ann", 10)
    market.hold("ann", Side.LONG, 10, 100, margin=100)
    holdings = account_snapshot_of(market.book, "ann")
    assert holdings is not None
    terms = market.book.contracts["C"].terms
    assert liquidation_ticks(holdings.positions[0], holdings, terms, 0) is None
