"""Hyperliquid and dYdX: what is public of an address is exact, its place is that of a book."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import onchain_samples as samples
import polars as pl
import pytest
from onchain_samples import ADDRESS, DYDX_ADDRESS, SERVER_MS
from stub_server import Stub, stubbed
from test_adapters import of, poll

from delever.cli import call
from delever.config import ConfigError
from delever.watch.market_data.observations import (
    EligibilityObservation,
    FillObservation,
    Observation,
    PositionObservation,
    QueuePlaceObservation,
    WalletObservation,
)
from delever.watch.screen.advice import advise
from delever.watch.screen.view import place_text
from delever.watch.settings import parse
from delever.watch.venues import ADAPTERS
from delever.watch.venues.adapter import VenueAdapter
from waiting import PATIENCE_S

NOW = SERVER_MS + 1_000


@pytest.fixture
def stub() -> Iterator[Stub]:
    with stubbed() as served:
        yield served


def adapter_of(name: str, url: str, **more: Any) -> VenueAdapter:
    address = {"hyperliquid": ADDRESS, "dydx": DYDX_ADDRESS}[name]
    raw = {"venue": name, "base_url": url, "address": address, **more}
    (venue,) = parse({"venues": [raw]}).venues
    return ADAPTERS[name](venue, lambda: NOW)


# --- Hyperliquid: the account ---


def test_an_address_on_hyperliquid_has_its_exact_score(stub: Stub) -> None:
    samples.hyperliquid(stub)
    observations, failures, _ = poll(adapter_of("hyperliquid", stub.url))
    assert failures == {}
    eth, btc = of(PositionObservation, observations)
    assert (eth.side, eth.quantity, eth.mark) == ("long", Decimal("0.0335"), Decimal("2985.9"))
    assert eth.margin == Decimal("4.981226")  # 4.967826 of equity + 0.0134 of loss
    assert (btc.side, btc.mark, btc.isolated) == ("short", Decimal(80_000), False)
    assert btc.maintenance == Decimal(2_000)  # half of the initial margin at 40x
    (wallet,) = of(WalletObservation, observations)
    assert wallet.balance == Decimal(10_000)  # 50,000 of account value less 40,000 of PnL
    advice = advise(btc, [eth, btc], wallet, "hyperliquid")
    assert advice.score == pytest.approx(1.25 * 3.2)  # 100,000 / 80,000 x 160,000 / 50,000
    isolated = advise(eth, [eth, btc], wallet, "hyperliquid").score
    assert isolated == pytest.approx(2985.9 / 2986.3 * 100.02765 / 4.967826)


def test_only_fills_of_adl_are_displayed_with_the_venues_mark(stub: Stub) -> None:
    samples.hyperliquid(stub)
    observations, _, _ = poll(adapter_of("hyperliquid", stub.url), "ADL fills")
    fill, own, old = of(FillObservation, observations)
    assert old.mark is None
    assert (fill.name, fill.side, fill.quantity, fill.price) == ("BTC", "short", 1, 80_000)
    assert (fill.realized_pnl, fill.mark, fill.why) == (20_000, 79_000, "")
    assert own.side == "long"
    assert own.why.startswith("this account was the bankrupt one")


def test_an_unreadable_position_hides_neither_the_others_nor_itself(stub: Stub) -> None:
    samples.hyperliquid(stub)
    broken = {"type": "oneWay", "position": {**samples.CROSS_BTC["position"], "szi": "two"}}  # type: ignore[dict-item]
    answer = samples.clearinghouse(samples.ISOLATED_ETH, broken)
    stub.set_answer("/info clearinghouseState", answer)
    observations, failures, _ = poll(adapter_of("hyperliquid", stub.url), "positions")
    assert [p.name for p in of(PositionObservation, observations)] == ["ETH"]
    assert of(WalletObservation, observations) == []  # its PnL is not known
    assert "szi: 'two'" in failures["positions"].text


# --- Hyperliquid: the place in a supplied book ---


def snapshot(folder: Path, rows: list[tuple[Any, ...]], name: str = "") -> str:
    """Write an archive's snapshot of a minute ago, and return its path."""
    columns = ("user", "market", "size", "entry_price", "leverage_type", "leverage")
    path = folder / (name or f"926030000_{NOW - 60_000}.parquet")
    frame = pl.DataFrame(rows, schema=(*columns, "account_value"), orient="row")
    frame = frame.with_columns(notional=pl.col("size") * 80_000)
    frame.write_csv(path) if name.endswith(".csv") else frame.write_parquet(path)
    return str(path)


BOOK = [
    # user    market  size  entry      type        leverage  account value
    ("0xa1", "BTC", -1.0, 100_000.0, "cross", 10, 10_000.0),  # 1.25 x  8   = 10
    ("0xa2", "BTC", -0.5, 88_000.0, "cross", 10, 20_000.0),  # 1.1  x  2    =  2.2
    ("0xa3", "BTC", -0.25, 80_800.0, "isolated", 10, 9e9),  # 1.01 x 20,000 / 2,220 = 9.1
    ("0xa4", "BTC", -9.0, 79_000.0, "cross", 40, 90_000.0),  # a loss: not ranked
    ("0xa5", "BTC", 4.0, 50_000.0, "cross", 10, 90_000.0),  # the other side
    ("0xa6", "ETH", -9.0, 9_000.0, "cross", 10, 1.0),  # another market
    (ADDRESS, "BTC", -7.0, 90_000.0, "cross", 10, 1.0),  # the account then: it has changed since
]


@pytest.mark.parametrize("name", ["", "positions.csv"])
def test_the_place_is_that_of_the_present_position_in_the_supplied_book(
    stub: Stub, tmp_path: Path, name: str
) -> None:
    samples.hyperliquid(stub)
    adapter = adapter_of("hyperliquid", stub.url, book=snapshot(tmp_path, BOOK, name))
    observations, failures, _ = poll(adapter, "place in the book")
    assert failures == {}
    eth, btc = of(QueuePlaceObservation, observations)
    assert (btc.rank, btc.ranked) == (3, 4)  # 4.0 is behind 10 and 9.1, before 2.2
    assert btc.quantity_ahead == Decimal("1.25")
    assert (eth.rank, eth.ranked, eth.reason) == (None, 0, "unrealized pnl not positive")
    assert btc.fifth == 3
    if not name:
        text = place_text(btc, None, NOW)
        assert text == f"rank 3 of 4, 1.25 ahead, in 926030000_{NOW - 60_000}.parquet, 60 s old"


def test_the_place_moves_with_the_mark(stub: Stub, tmp_path: Path) -> None:
    samples.hyperliquid(stub)
    adapter = adapter_of("hyperliquid", stub.url, book=snapshot(tmp_path, BOOK))
    source = next(s for s in adapter.sources if s.name == "place in the book")

    def answer(mark: int) -> Any:
        row = {**samples.CROSS_BTC["position"], "positionValue": str(2 * mark)}  # type: ignore[dict-item]
        value = 10_000 + 2 * (100_000 - mark)
        return samples.clearinghouse({"type": "oneWay", "position": row}, cross=str(value))

    async def places(*marks: int) -> list[Any]:
        found = []
        for mark in marks:
            stub.set_answer("/info clearinghouseState", answer(mark))
            found += (await source.fetch()).observations
        await adapter.close()
        return found

    first, second, third = asyncio.run(places(80_000, 84_000, 80_000))
    assert (first.rank, first.ranked) == (3, 4)
    # at 84,000: a1 lost 4,000 of 10,000; a3 is in a loss, as 80,800 < 84,000
    assert (second.rank, second.ranked, second.quantity_ahead) == (2, 3, Decimal(1))
    assert third == first


def test_a_file_without_a_column_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "positions.parquet"
    pl.DataFrame({"user": ["0xa1"], "market": ["BTC"]}).write_parquet(path)
    with pytest.raises(ConfigError, match="lacks the columns size, entry_price"):
        adapter_of("hyperliquid", "http://127.0.0.1:9", book=str(path))
    with pytest.raises(ConfigError, match=r"book = 'none\.parquet'"):
        adapter_of("hyperliquid", "http://127.0.0.1:9", book="none.parquet")


# --- dYdX ---


def test_a_position_on_dydx_has_its_eligibility_and_distance_and_no_score(stub: Stub) -> None:
    samples.dydx(stub)
    observations, failures, _ = poll(adapter_of("dydx", stub.url))
    assert failures == {}
    long, short = of(EligibilityObservation, observations)
    # 50,000 - 45,000 of equity; 10 % of 50,000 is its maintenance margin already
    assert (long.equity, long.maintenance, long.eligible) == (5_000, 5_000, True)
    assert long.price_limit == 45_000
    # 300 - 100 of equity, 50 of maintenance: 200 - 10 x (p - 10) = 0.5 x 10 x p at p = 20
    assert (short.name, short.equity, short.price_limit) == ("OLD-USD/128", 200, 30)
    assert short.liquidation_move == 1
    assert place_text(None, long, NOW) == (
        "eligible, no ranking, skipped below 45000, account is liquidatable"
    )
    assert place_text(None, short, NOW) == (
        "eligible, no ranking, skipped above 30, account is liquidated at +100.0 %, "
        "market FINAL_SETTLEMENT"
    )
    (btc, _) = of(PositionObservation, observations)
    advice = advise(btc, [btc], None, "dydx")
    assert advice.score is None
    assert advice.unknown[0] == "the score: the venue has none, the order is drawn at random"


def test_deleveraging_fills_of_both_sides_are_displayed(stub: Stub) -> None:
    samples.dydx(stub)
    observations, _, _ = poll(adapter_of("dydx", stub.url), "ADL fills")
    offset, own = of(FillObservation, observations)
    assert (offset.name, offset.side, offset.price, offset.why) == ("BTC-USD", "long", 45_001, "")
    assert own.side == "short"
    assert own.why.startswith("this account was the bankrupt one")


# --- the command, streams, configuration ---


def test_the_command_displays_place_and_eligibility(
    stub: Stub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    samples.hyperliquid(stub)
    book = snapshot(tmp_path, BOOK)
    options = ["--address", ADDRESS, "--base-url", stub.url, "--once", "--json"]
    assert call(["watch", "hyperliquid", *options, "--book", book]) == 0
    view = json.loads(capfd.readouterr().out)
    positions, (fill, *_) = view["positions"], view["fills"]
    # the position was first read days after the fill: only the venue's own numbers are known
    assert (fill["mark"], fill["realized_pnl"], fill["haircut"]) == ("79000.0", "20000.0", None)
    assert fill["why"] == ""
    assert [row["place"].partition(",")[0] for row in positions] == [
        f"not ranked (unrealized pnl not positive) in {Path(book).name}",
        "rank 3 of 4",
    ]
    assert call(["watch", "bybit", "--address", ADDRESS]) == 2
    assert "hyperliquid or dydx" in capfd.readouterr().err


def hyperliquid_push(*fills: Any) -> Any:
    return {"channel": "userFills", "data": {"isSnapshot": True, "user": "", "fills": list(fills)}}


def dydx_push(*fills: Any) -> Any:
    contents = {"fills": list(fills)}
    return {"type": "channel_data", "channel": "v4_parent_subaccounts", "contents": contents}


PUSHES = {
    "hyperliquid": ("/ws", hyperliquid_push(samples.fill(), samples.fill(dir="Open Long"))),
    "dydx": ("/v4/ws", dydx_push(samples.dydx_fill("OFFSETTING"), samples.dydx_fill("LIMIT"))),
}


@pytest.mark.parametrize("name", PUSHES)
def test_the_stream_delivers_the_adl_fill(stub: Stub, name: str) -> None:
    path, push = PUSHES[name]
    stub.pushes[path] = [push]
    adapter = adapter_of(name, stub.url)
    found: list[Observation] = []
    delivered = asyncio.Event()

    def deliver(observations: Sequence[Observation]) -> None:
        found.extend(observations)
        delivered.set()

    async def listen() -> None:
        listening = asyncio.ensure_future(adapter.streams[0].listen(deliver))
        await asyncio.wait_for(delivered.wait(), PATIENCE_S)
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        await adapter.close()

    asyncio.run(listen())
    assert isinstance(found[0], FillObservation)
    assert found[0].quantity == 1
    assert any("userFills" in text or DYDX_ADDRESS in text for text in stub.received)


@pytest.mark.parametrize(
    ("venue", "error"),
    [
        ({"venue": "hyperliquid"}, "address = '': must match"),
        ({"venue": "dydx", "address": ADDRESS}, "must match dydx1"),
        ({"venue": "bybit", "address": ADDRESS}, "is for hyperliquid and dydx only"),
        ({"venue": "dydx", "address": DYDX_ADDRESS, "subaccount": 128}, "must be 0 to 127"),
        ({"venue": "dydx", "address": DYDX_ADDRESS, "book": "x"}, "book: is for hyperliquid only"),
        (
            {"venue": "hyperliquid", "address": ADDRESS, "key_env": "K", "secret_env": "S"},
            "an address is sufficient",
        ),
    ],
)
def test_an_unsuitable_key_is_refused(venue: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse({"venues": [venue]})
