"""Margin in several assets: one equity, takeover by the equity after haircut, conversion."""

from typing import Any

import numpy as np
import pytest
from world import World, cash_text

from delever.core import messages as m
from delever.core.market.collateral import VALUE_LIMIT
from delever.core.messages import CollateralTier, Side
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import rank_side
from delever.core.valuation.multi_asset import pooled_margin, trigger_columns
from delever.core.valuation.side_valuation import value_side
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases


def multi_asset_world(balance: int = 0, **pool: Any) -> World:
    """Return a world with BTCUSDT at 60,000 and collateral in BTC at the index price 60,000."""
    world = World("binance", balance=balance, **pool)
    world.contract("BTCUSDT", tick_size="0.5", lot_size="0.001")
    collateral(world, "BTC", 60_000)
    world.mark(BTCUSDT=60_000)
    return world


def collateral(world: World, asset: str, index_price: m.Amount, **terms: Any) -> None:
    fields = {"asset": asset, "margin_currency": "USDT", "index_price": index_price, **terms}
    world.submit(m.DefineCollateral, **fields)


def pooled(world: World, name: str, *, multi_asset: bool = True, **balances: m.Amount) -> None:
    world.account(name, multi_asset=multi_asset)
    for asset, amount in balances.items():
        world.wallets(asset=asset, **{name: amount})


def rated(rate: m.Amount) -> tuple[CollateralTier, ...]:
    return (CollateralTier(rate=rate, quantity_from=0),)


def margin_of(world: World, name: str) -> tuple[str, str]:
    """Return equity after haircut and maintenance margin in USDT."""
    account = np.array([world.book.accounts.index[name]])
    equity, maintenance = trigger_columns(world.book, "USDT", account)
    return cash_text(int(equity[0])), cash_text(int(maintenance[0]))


@pytest.mark.parametrize("row", cases("conversions.txt"))
def test_conversion_at_a_takeover(row: Row) -> None:
    world = multi_asset_world(balance=1_000_000)
    collateral(world, "BTC", 60_000, conversion_haircut=row["haircut"])
    collateral(world, "ETH", 3_000, conversion_haircut=row["haircut"])
    pooled(world, "cm", **{asset: row[asset] for asset in ("BTC", "ETH", "USDT")})
    world.long("cm", "BTCUSDT", 10, at=60_000)
    world.mark(BTCUSDT=row["mark"])
    price = {"price": row["at"], "contract": "BTCUSDT"} if row["at"] else {}
    world.takeover("cm", **price)
    (taken,) = world.events(m.TakenOver)
    moved = world.events(m.CollateralTakenOver)
    paid = sum(-event.amount_cash for event in world.events(m.WalletSettled))
    held = world.book.pools["main"].collateral
    assert row.expected == {
        "price": world.price(taken),
        "btc": cash_text(sum(e.amount_cash for e in moved if e.asset == "BTC")),
        "eth": cash_text(sum(e.amount_cash for e in moved if e.asset == "ETH")),
        "credit": cash_text(sum(event.value_cash for event in moved)),
        "loss": cash_text(sum(event.conversion_loss_cash for event in moved)),
        "fund": cash_text(paid),
        "left_btc": world.wallet("cm", "BTC"),
        "left_usdt": world.wallet("cm"),
    }
    assert {name: each.amount for name, each in held.items()} == {
        event.asset: event.amount_cash for event in moved
    }


def test_the_equity_of_the_published_example() -> None:
    """CORE-45: Binance's 200 USDT and 220 USDC are worth 416.02 USD."""
    world = World("binance")
    fields = {"asset": "USDT", "margin_currency": "USD", "index_price": "0.99"}
    world.submit(m.DefineCollateral, **fields, bid_buffer="0.01", ask_buffer="0.005")
    world.submit(m.DefineCollateral, asset="USDC", index_price=1)
    pooled(world, "ann", USDT=200, USDC=220)
    (equity,) = pooled_margin(world.book, np.array([0])).equity.tolist()
    assert cash_text(equity) == "416.02"


@pytest.mark.parametrize("rate", ["1", "0.98", "0.5"])
def test_equal_wealth_has_an_equal_score_at_any_rate(rate: str) -> None:
    """CORE-46: case D06, 59,000 / (118,000 + 1,000) = 0.495798; ties go by account id."""
    world = multi_asset_world()
    collateral(world, "BTC", 59_000, tiers=rated(rate))
    pooled(world, "cm", BTC=2)
    pooled(world, "u", USDT=118_000)
    world.positions(*(world.row(name, "BTCUSDT", Side.SHORT, 1, at=60_000) for name in ("cm", "u")))
    world.mark(BTCUSDT=59_000)
    queue = rank_side(
        value_side(world.book, world.state("BTCUSDT"), Side.SHORT), RULE_SETS["binance"].ranking
    )
    leverage = queue.score.parts["effective_leverage"].tolist()
    assert [f"{one:.6f}" for one in leverage] == ["0.495798", "0.495798"]
    assert queue.rank.tolist() == [1, 2]
    counted = {"1": "119000", "0.98": "116640", "0.5": "60000"}[rate]
    assert margin_of(world, "cm") == (counted, "295")


@pytest.mark.parametrize(
    ("rate", "taken"), [("1", []), ("0.9", []), ("0.0026", []), ("0.0024", ["cm"])]
)
def test_a_takeover_reads_equity_after_haircut(rate: str, taken: list[str]) -> None:
    """CORE-46: the managed book of case D06: 120,000 USD of BTC are margin, 0 USDT are enough."""
    world = multi_asset_world(balance=100_000, managed=True)
    collateral(world, "BTC", 60_000, tiers=rated(rate))
    pooled(world, "cm", BTC=2)
    world.wallets(o=500_000)
    world.positions(
        world.row("cm", "BTCUSDT", Side.LONG, 1, at=60_000, leverage=5),
        world.row("o", "BTCUSDT", Side.SHORT, 1, at=60_000),
    )
    assert [event.account for event in world.events(m.TakenOver)] == taken


def test_an_index_price_can_cause_a_takeover() -> None:
    """CORE-49: 10 BTC from 60,000 need 3,000; 0.05 BTC are worth it down to 60,000."""
    world = multi_asset_world(balance=100_000, managed=True)
    pooled(world, "cm", BTC="0.06")
    world.long("cm", "BTCUSDT", 10, at=60_000)
    world.submit(m.SetIndexPrices, prices={"BTC": "50000.5"})
    assert world.events(m.TakenOver) == []
    world.submit(m.SetIndexPrices, prices={"BTC": "50000"})
    (taken,) = world.events(m.TakenOver)
    assert (cash_text(taken.equity_cash), cash_text(taken.maintenance_cash)) == ("3000", "3000")


def test_a_bad_index_price_is_rejected_alone() -> None:
    """CORE-49: the other prices are taken, and its own asset keeps the price before."""
    world = multi_asset_world()
    collateral(world, "ETH", 3_000)
    world.submit(m.SetIndexPrices, prices={"BTC": 0, "ETH": "3100.5", "GOLD": 1})
    rejected = world.events(m.IndexPriceRejected)
    assert [(e.asset, e.reason, e.field, e.value) for e in rejected] == [
        ("BTC", m.Reason.NOT_POSITIVE, "prices.BTC", "0"),
        ("GOLD", m.Reason.UNKNOWN_COLLATERAL, "prices.GOLD", "GOLD"),
    ]
    prices = {name: asset.index_price for name, asset in world.book.assets.items()}
    assert prices == {"USDT": 10**10, "BTC": 60_000 * 10**10, "ETH": 31_005 * 10**9}
    strict = m.SetIndexPrices(time_ms=0, prices={"BTC": 0, "ETH": 1}, strict=True)
    assert world.rejected(strict).field == "prices.BTC"


def test_a_rejected_index_price_is_noticed_once_and_cleared_by_the_next_good_one() -> None:
    """The flag survives a snapshot; an asset that is no collateral has no notice."""
    world = multi_asset_world()
    noticed = []
    for price in (0, 0, 61_000, 0):
        events = world.submit(m.SetIndexPrices, prices={"BTC": price, "GOLD": 1})
        noticed += [[event.subject for event in events if isinstance(event, m.Notice)]]
        world.book = decode_book(encode_book(world.book))
    assert noticed == [["BTC"], [], [], ["BTC"]]
    assert world.book.assets["BTC"].index_price == 61_000 * 10**10


def test_positions_in_two_settle_assets_share_the_margin() -> None:
    """CORE-46 CORE-47: a coin-margined long and a USDT short hedge each other."""
    world = multi_asset_world(balance=1_000_000)
    world.pool("coin", asset="BTC", rules="binance")
    world.contract(
        "BTCUSD",
        kind=m.ContractKind.INVERSE,
        settle="BTC",
        pool="coin",
        tick_size="0.5",
        lot_size=1,
        multiplier=100,
    )
    world.mark(BTCUSD=60_000)
    pooled(world, "ann", USDT=6_000)
    world.long("ann", "BTCUSD", 600, at=60_000)  # 60,000 USD: 1 BTC
    world.short("ann", "BTCUSDT", 1, at=60_000)
    assert margin_of(world, "ann") == ("6000", "600")
    world.takeover("ann")
    prices = {event.contract: world.price(event) for event in world.events(m.TakenOver)}
    assert prices == {"BTCUSDT": "63000", "BTCUSD": "57143"}  # 3,000 USDT, 0.05 BTC each
    (moved,) = world.events(m.CollateralTakenOver)
    assert (moved.pool, moved.asset) == ("coin", "USDT")
    assert cash_text(moved.amount_cash) == "2999.8428"  # 0.04999738 BTC, the loss of 600 at 57,143
    assert world.wallet("ann", "BTC") == "0"


def test_an_asset_without_terms_is_no_collateral() -> None:
    """CORE-46."""
    world = multi_asset_world()
    world.pool("other", asset="EUR", rules="binance")
    world.contract("BTCEUR", settle="EUR", pool="other")
    world.mark(BTCEUR=50_000)
    pooled(world, "ann", USDT=100, EUR=30)
    world.long("ann", "BTCEUR", 1, at=50_000)
    assert margin_of(world, "ann") == ("100", "0")
    (equity,) = value_side(world.book, world.state("BTCEUR"), Side.LONG).equity.tolist()
    assert cash_text(equity) == "30"


def test_the_fund_holds_collateral_at_cost_until_it_is_sold() -> None:
    """CORE-48: equity follows the index price; proceeds less cost are the fund's."""
    world = multi_asset_world(balance=1_000)
    collateral(world, "BTC", 60_000, conversion_haircut="0.025")
    pooled(world, "cm", BTC=2)
    world.long("cm", "BTCUSDT", 10, at=60_000)
    world.takeover("cm")

    def equity() -> str:
        observed = world.book.pools["main"].observed
        assert observed is not None
        return cash_text(observed.equity_cash)

    assert (world.balance(), equity()) == ("1000", "118000")  # the mark is 11,700 above the price
    world.submit(m.SetIndexPrices, prices={"BTC": 50_000})
    assert (world.balance(), equity()) == ("1000", "98500")
    world.submit(m.ConvertCollateral, pool="main", asset="BTC", quantity="0.5", proceeds=25_000)
    assert (world.balance(), equity()) == ("-3250", "99125")
    world.submit(m.ConvertCollateral, pool="main", asset="BTC", quantity="1.5", proceeds=75_000)
    assert world.balance() == "-16000"
    assert world.book.pools["main"].collateral == {}


def test_a_change_of_mode_ends_pooled_margin() -> None:
    """CORE-46: a single-asset account has the equity of its settle asset alone."""
    world = multi_asset_world()
    pooled(world, "ann", BTC=1, USDT=5)
    assert margin_of(world, "ann") == ("60005", "0")
    world.account("ann", multi_asset=False)
    assert margin_of(world, "ann") == ("5", "0")
    row = np.ones(1, "<i1").tobytes()
    world.submit(m.DefineAccounts, accounts=("ann",), multi_asset=row)
    assert margin_of(world, "ann") == ("60005", "0")


def test_values_beyond_the_numeric_range_are_rejected() -> None:
    """CORE-22: 23 billion USDT is the largest equity of several assets at 8 decimals."""
    world = multi_asset_world()
    world.wallets(asset="BTC", ann=300_000)
    too_high = m.SetIndexPrices(time_ms=0, prices={"BTC": 80_000})
    rejected = world.rejected(too_high)
    assert (rejected.reason, rejected.field) == (m.Reason.EXCEEDS_NUMERIC_RANGE, "prices")
    rows = (m.BalanceRow(account="ann", asset="BTC", balance=400_000),)
    rejected = world.rejected(m.SetBalances(time_ms=0, version=9, strict=True, balances=rows))
    assert (rejected.field, rejected.value) == ("balances", "USDT")
    world.wallets(asset="BTC", ann=1)
    world.submit(m.SetIndexPrices, prices={"BTC": 80_000})
    assert world.book.assets["BTC"].index_price == 80_000 * 10**10


def test_ordinary_inverse_positions_fit_the_numeric_range() -> None:
    """CORE-22: 50 million USD of a coin-margined contract; a mark of one tick does not fit."""
    world = multi_asset_world()
    world.pool("coin", asset="BTC", rules="binance")
    world.contract(
        "BTCUSD",
        kind=m.ContractKind.INVERSE,
        settle="BTC",
        pool="coin",
        tick_size="0.5",
        lot_size=1,
        multiplier=100,
    )
    world.mark(BTCUSD=60_000)
    world.long("ann", "BTCUSD", 500_000, at=60_000)
    world.mark(BTCUSD=30_000)
    world.submit(m.SetIndexPrices, prices={"BTC": 30_000})
    rejected = world.rejected(m.SetMarks(time_ms=0, marks={"BTCUSD": "0.5"}, strict=True))
    assert (rejected.reason, rejected.value) == (m.Reason.EXCEEDS_NUMERIC_RANGE, "USDT")


def test_absurd_values_are_cut_off_and_not_wrapped() -> None:
    """CORE-22: a takeover at one tick leaves a debt beyond what the numeric range can value."""
    world = multi_asset_world(balance=1)
    collateral(world, "BTC", 60_000_000)
    column = np.array([10**18, -(10**18), 10**8])
    terms = world.book.assets["BTC"].collateral
    assert terms is not None
    values = terms.equity.of_all(column).tolist()
    assert values[2] == 60_000_000 * 10**8
    assert all(VALUE_LIMIT - 10**8 <= abs(value) <= VALUE_LIMIT for value in values[:2])


def test_the_first_terms_name_the_margin_currency() -> None:
    """CORE-49."""
    world = World()
    rejected = world.rejected(m.DefineCollateral(time_ms=0, asset="BTC", index_price=60_000))
    assert (rejected.reason, rejected.field) == (m.Reason.EMPTY_NAME, "margin_currency")
    collateral(world, "BTC", 60_000)
    world.submit(m.DefineCollateral, asset="ETH", index_price=3_000)
    assert world.book.margin_currency == "USDT"
