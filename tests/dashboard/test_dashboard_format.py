"""Texts of the screens: numbers, times, states and trigger levels."""

from decimal import Decimal
from typing import Any

import pytest

from delever.api_types.market import ContractResponse, MarketState, QueueRow, TriggerResponse
from delever.core.messages import ContractKind, TradingStatus
from delever.dashboard.components.queue_table import pnl_percent, reach_ends
from delever.dashboard.format import (
    banner_text,
    grouped,
    headroom,
    indicator_dots,
    pnl_ratio,
    state_of,
    trigger_level,
    utc,
    window_length,
)
from delever.dashboard.pages.replay import parse_time

DRAWDOWN = TriggerResponse(
    trigger="contract_drawdown",
    on=False,
    since_ms=None,
    trigger_used_ppm=833_333,
    price_rule="drawdown_limit",
    numbers={
        "balance_peak": "1000000.5",
        "contract_pnl": "-250000",
        "contract_pnl_peak": "100",
        "pnl_ratio_ppm": "-250099",
        "start_ppm": "-300000",
        "stop_ppm": "-250000",
    },
)


def contract(
    state: str = "calm", *, is_stale: bool = False, inventory: str = "0"
) -> ContractResponse:
    return ContractResponse(
        as_of=7, time_ms=0, contract="BTCUSDT", kind=ContractKind.LINEAR, settle="USDT",
        pool="main", rules="bybit", tick_size="0.5", lot_size="1", mark="57000", marked_ms=1_000,
        stale=is_stale, paused=False, mark_rejected=False, incomplete=False,
        state=MarketState(state), status=TradingStatus.TRADING, fund_pays=True,
        settlement_price=None, mark_unconfirmed=False, confirmed_mark=None,
        trigger_used_ppm=833_333, open_interest_long="1", open_interest_short="1", positions_long=1,
        positions_short=1, inventory_long=inventory, inventory_short="0",
        open_interest_notional="57000", inventory_notional="0", contract_pnl="-250000",
        contract_pnl_peak="100", risk=None, last_adl_ms=None, triggers=(DRAWDOWN,),
    )  # fmt: skip


def test_typed_time_is_exact_to_the_millisecond() -> None:
    second = parse_time("2025-10-10 21:15:04")
    assert utc(second) == "2025-10-10 21:15:04.000"
    parsed = [parse_time(f"2025-10-10 21:15:04.{part:03}") for part in range(1000)]
    assert parsed == list(range(second, second + 1000))
    assert parse_time("2025-10-10") == second - (21 * 3600 + 15 * 60 + 4) * 1000


@pytest.mark.parametrize(
    ("window_ms", "text"),
    [(28_800_000, "8 h"), (86_400_000, "24 h"), (5_400_000, "90 min"), (90_000, "1.5 min")],
)
def test_window_length_is_in_hours_or_minutes(window_ms: int, text: str) -> None:
    assert window_length(window_ms) == text


@pytest.mark.parametrize(
    ("state", "is_stale", "displayed"),
    [
        ("calm", False, "calm"),
        ("calm", True, "stale"),
        ("watch", True, "stale"),
        ("adl", True, "adl"),
        ("exhausted", True, "exhausted"),
    ],
)
def test_stale_replaces_every_state_but_adl(state: str, is_stale: bool, displayed: str) -> None:
    assert state_of(contract(state, is_stale=is_stale)) == displayed


def test_banner_names_trigger_inventory_and_stale_mark() -> None:
    assert banner_text(contract("watch", is_stale=True, inventory="100")) == (
        "contract drawdown: 83.3333 % of the trigger used; the insurance fund holds 100 long; "
        "no mark since 00:00:01.000"
    )
    assert pnl_ratio(contract()) == "-25.0099 %"


def test_trigger_levels_and_headroom_are_exact() -> None:
    """BYB-01: ADL starts at the peak contract PnL less 30 % of the fund's peak balance."""
    assert trigger_level(DRAWDOWN, "start_ppm") == Decimal("-299900.15")
    assert trigger_level(DRAWDOWN, "stop_ppm") == Decimal("-249900.125")
    assert headroom(DRAWDOWN) == Decimal("49900.15")


@pytest.mark.parametrize(
    ("number", "html"),
    [
        ("1234567.89", "<span>1</span><span>234</span><span>567</span>.89"),
        ("-999", "-<span>999</span>"),
        ("1000", "<span>1</span><span>000</span>"),
        ("0.00012345", "<span>0</span>.00012345"),
        ("<b>", "<span>&lt;b&gt;</span>"),
    ],
)
def test_thousands_are_spaced_apart_without_characters_between_them(number: str, html: str) -> None:
    assert grouped(number) == f'<span class="number">{html}</span>'


def test_times_and_indicators_have_a_text_for_missing_values() -> None:
    assert utc(1_760_130_900_007) == "2025-10-10 21:15:00.007"
    assert utc(None) == "-"
    assert indicator_dots(4) == "●●●●○ 4 of 5"
    assert indicator_dots(None) == "not ranked"


@pytest.mark.parametrize(
    ("is_long", "inverse", "notional", "pnl", "percent"),
    [
        (True, False, "110", "10", "10.00"),  # 1 at 100, now 110
        (False, False, "110", "-10", "-10.00"),
        (True, True, "0.5", "0.5", "50.00"),  # 100 USD at 100, now 200
        (False, True, "0.5", "-0.5", "-50.00"),
        (True, False, "10", "10", None),
    ],
)
def test_pnl_percent_is_of_the_notional_at_entry(
    is_long: bool, inverse: bool, notional: str, pnl: str, percent: str | None
) -> None:
    row = queue_row(notional=notional, unrealized_pnl=pnl)
    assert pnl_percent(row, is_long=is_long, inverse=inverse) == percent


def test_a_quantity_ends_in_the_row_that_reaches_it() -> None:
    rows = [
        queue_row(account=name, quantity="10", cumulative_quantity=until)
        for name, until in (("ann", "10"), ("bob", "20"), ("cyd", None))
    ]
    reaches = {"inventory": Decimal(10), "-5 %": Decimal(11), "-10 %": Decimal(20)}
    reaches["far"] = Decimal(21)
    assert reach_ends(rows, reaches) == {"ann/0": "inventory", "bob/0": "-5 %, -10 %"}


def queue_row(**values: Any) -> QueueRow:
    row: dict[str, Any] = {
        "rank": 1, "account": "ann", "position": 0, "quantity": "1", "score": 1.0, "indicator": 5,
        "quantity_ahead": "0", "cumulative_quantity": "1", "leverage": "1", "margin_mode": "cross",
        "unrealized_pnl": "0", "equity": "1", "notional": "1", "reason": None,
    }  # fmt: skip
    return QueueRow(**row | values)
