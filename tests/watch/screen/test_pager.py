"""The pages on a terminal: the most endangered first, within 80 x 24, symbols whole."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs
from observation_samples import NOW, drawdown, fill, indicator, position

from delever.watch.alerts.contract_status import next_status
from delever.watch.screen.keyboard import split_keys
from delever.watch.screen.pager import (
    BACKSPACE,
    DOWN,
    END,
    ENTER,
    ESCAPE,
    PAGE_DOWN,
    PAGE_UP,
    PAGES,
    PagerState,
    frame,
    page_lines,
    press,
)
from delever.watch.screen.view import (
    Advice,
    AdviceOption,
    AlertView,
    PositionView,
    WatchView,
    contract_view,
)

LONG = "1000000MOGUSDT-PERPETUAL-2026"


def row(name: str, level: int | None, **more: Any) -> PositionView:
    found = None if level is None else structs.replace(indicator(level), name=name)
    advice = Advice(
        rules="binance", formula="PnL / margin", score=0.5, parts={}, unknown=("the rank",),
        options=(AdviceOption(change="close half", score=0.4, score_ratio=0.8, note=""),),
    )  # fmt: skip
    return PositionView(
        position=structs.replace(position(), name=name, **more),
        indicator=found,
        age_ms=0,
        indicator_age_ms=None if found is None else 12_000,
        stale=False,
        advice=advice,
    )


def contract(name: str, ratio: str) -> Any:
    found = [drawdown(ratio, name=name)]
    status = structs.replace(next_status(None, found, NOW, 1), venue="binance")
    return contract_view(status, list(found), NOW)


def view(positions: int = 4, **more: Any) -> WatchView:
    rows = [row("CALMUSDT", 1), row(LONG, 5), row("ADLUSDT", 2), row("NONEUSDT", None)]
    rows += [row(f"X{number:02}USDT", 3) for number in range(positions - 4)]
    alert = AlertView(rule="near", subject="x", text=f"binance {LONG}: near ADL", since_ms=NOW)
    closed = structs.replace(
        fill("1"), name=LONG, mark=Decimal(61_000), haircut=Decimal(500), settle="USDT",
        realized_pnl=Decimal(2_400), orders_cancelled=2, why="indicator 5 of 5 12 s before",
    )  # fmt: skip
    fields: dict[str, Any] = {
        "time_ms": NOW, "venues": (), "wallets": (), "pools": (), "failures": (), "undelivered": 0,
        "contracts": (contract("ADLUSDT", "-0.4"), contract("CALMUSDT", "0")),
        "positions": tuple(rows), "fills": (closed,), "alerts": (alert,),
    }  # fmt: skip
    return WatchView(**(fields | more))


def texts(width: int = 80, state: PagerState | None = None, **more: Any) -> list[str]:
    return [line.text for line in page_lines(view(**more), state or PagerState(), width)]


def test_alerts_and_fills_come_first_and_then_positions_by_danger() -> None:
    lines = texts(200)
    assert [line.split()[0] for line in lines] == ["!", "ADL", "2/5", "5/5", "1/5", "?/5"]
    assert "mark 61000, realized PnL 2400 USDT, haircut 500 USDT, 2 orders cancelled" in lines[1]
    assert lines[2].split()[2] == "ADLUSDT"  # its ADL is on, whatever its indicator


@pytest.mark.parametrize("width", [40, 80, 200])
def test_symbols_are_never_cut_and_lines_fit(width: int) -> None:
    lines = texts(width)
    assert all(len(line) <= width for line in lines)
    assert sum(LONG in line for line in lines) == 3  # alert, fill, position


@pytest.mark.parametrize("page", range(len(PAGES)))
def test_a_page_fills_80_by_24(page: int) -> None:
    lines = frame(view(positions=40), PagerState(page=page), 80, 24)
    assert len(lines) == 24
    assert all(len(line.text) <= 80 for line in lines)
    assert f"[{page + 1} {PAGES[page][0]}]" in lines[1].text


def test_keys_scroll_within_the_page() -> None:
    state: PagerState | None = PagerState()
    for key, offset in (
        (DOWN, 1), ("j", 2), ("k", 1), (PAGE_DOWN, 22), (" ", 29), (PAGE_UP, 8), (END, 29),
        (DOWN, 29), ("home", 0), ("k", 0),
    ):  # fmt: skip
        assert state is not None
        state = press(state, key, 50, 24)
        assert state is not None
        assert state.offset == offset, key
    lines = [line.text for line in frame(view(positions=40), PagerState(offset=99), 80, 24)]
    assert "lines 24-44 of 44" in lines[-1]


def typed(keys: str) -> PagerState:
    state: PagerState | None = PagerState()
    for key in keys:
        assert state is not None
        state = press(state, key, 50, 24)
    assert state is not None
    return state


def test_keys_switch_pages_filter_and_quit() -> None:
    assert (typed("3").page, typed("\t").page, typed("6\t").page) == (2, 1, 0)
    assert (typed("/adlq").filter, typed("/adl").typing) == ("adlq", True)
    chosen = typed(f"/adlx{BACKSPACE}{ENTER}")
    assert (chosen.filter, chosen.typing) == ("adl", False)
    assert typed(f"/x{ESCAPE}") == typed(f"/x{ENTER}{ESCAPE}") == PagerState()
    assert press(PagerState(), "q", 1, 24) is None
    assert [line.split()[0] for line in texts(200, PagerState(filter="calm"))] == ["1/5"]
    assert texts(80, PagerState(filter="nothing-like-it")) == ["nothing contains 'nothing-like-it'"]
    advice = texts(200, PagerState(page=3, filter="calmusdt"))
    assert advice == [
        "binance CALMUSDT long: score 0.5 by binance rules: PnL / margin",
        "binance CALMUSDT long: close half; score x 0.80",
        "binance CALMUSDT long: unknown: the rank",
    ]


def test_no_adl_fill_is_left_out() -> None:
    closed = [structs.replace(fill("1"), name=f"C{number}USDT") for number in range(10)]
    overview = texts(200, PagerState(), fills=tuple(closed))
    assert sum(line.startswith("ADL") for line in overview) == 8
    assert "2 earlier ADL fills: page 2" in overview
    assert len(texts(200, PagerState(page=1), fills=tuple(closed))) == 10


def test_keys_are_split_out_of_what_a_terminal_sends() -> None:
    assert list(split_keys("\x1b[Bj\x1b[5~/a\x1b")) == [DOWN, "j", PAGE_UP, "/", "a", ESCAPE]
