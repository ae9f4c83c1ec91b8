"""What an ADL fill has cost, from the position as it was read before."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs
from observation_samples import NOW, fill, indicator, position

from delever.watch.market_data.fill_details import summary, with_details


@pytest.mark.parametrize(
    ("more", "price", "realized_pnl", "haircut", "text"),
    [
        # half a bitcoin from 60,000, now at 66,000
        ({}, "65000", "2500", "500", "realized PnL 2500 USDT, haircut 500 USDT"),
        ({"side": "short"}, "65000", "-2500", "-500", "realized PnL -2500 USDT, haircut -500 USDT"),
        ({"side": "short"}, "67000", "-3500", "500", "realized PnL -3500 USDT, haircut 500 USDT"),
        # 0.5 contracts of 100 USD each
        (
            {"inverse": True, "settle": "BTC", "multiplier": Decimal(100)},
            "55000",
            "-0.00007576",
            "0.00015152",
            "realized PnL -0.00007576 BTC, haircut 0.00015152 BTC",
        ),
    ],
)
def test_realized_pnl_and_haircut_are_computed_from_entry_and_mark(
    more: dict[str, Any], price: str, realized_pnl: str, haircut: str, text: str
) -> None:
    held = position(**more)
    closed = structs.replace(fill("1"), price=Decimal(price), side=held.side)
    found = with_details(closed, held, None, "")
    places = Decimal("0.00000001")
    assert found.realized_pnl is not None
    assert found.haircut is not None
    assert found.realized_pnl.quantize(places) == Decimal(realized_pnl)
    assert found.haircut.quantize(places) == Decimal(haircut)
    assert summary(found) == f"mark 66000, {text}"


def test_the_venues_own_realized_pnl_and_the_place_in_the_queue() -> None:
    closed = structs.replace(fill("1", at_ms=NOW + 12_000), realized_pnl=Decimal(2400))
    found = with_details(closed, position(), indicator(5), "score 0.5 by binance rules: x")
    assert found.realized_pnl == 2400
    assert found.why == (
        "indicator 5 of 5 (first in the queue) 12 s before; score 0.5 by binance rules: x"
    )
    text = summary(structs.replace(found, orders_cancelled=2))
    assert text.startswith("mark 66000 (12 s before), realized PnL 2400 USDT, haircut ")
    assert text.endswith("2 orders cancelled")


def test_without_a_position_only_the_venues_numbers_are_stated() -> None:
    found = with_details(fill("1"), None, None, "")
    assert (found.mark, found.haircut, found.why, summary(found)) == (None, None, "", "")
