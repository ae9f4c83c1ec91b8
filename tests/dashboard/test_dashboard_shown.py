"""Numbers, states and levels as the page writes them, from answers made by hand."""

import asyncio
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest

from delever.api_types.market import ContractShown, MarketState, TriggerShown
from delever.core.messages import ContractKind
from delever.dashboard.charts.contract_history import window
from delever.dashboard.data.api_client import Source, SourceError
from delever.dashboard.data.lab_runs import OWN, own_commands, play
from delever.dashboard.data.timeline import ContractAt, Course, PoolAt
from delever.dashboard.format import (
    banner,
    grouped,
    indicators,
    level,
    loss_room,
    pnl_ratio,
    state_of,
    utc,
)
from delever.dashboard.mount import Message, Receive, Scope, Send
from delever.dashboard.pages.replay import time_of
from delever.lab.errors import InputError

DRAWDOWN = TriggerShown(
    trigger="contract_drawdown",
    on=False,
    since_ms=None,
    trigger_used_ppm=833_333,
    price_rule="drawdown_limit",
    numbers={
        "balance_peak": "1000000.5",
        "profit": "-250000",
        "contract_pnl_peak": "100",
        "pnl_ratio_ppm": "-250099",
        "start_ppm": "-300000",
        "stop_ppm": "-250000",
    },
)


def test_the_pool_behind_a_contract_is_the_one_of_the_time() -> None:
    """Two pools over the same time, and a contract that goes from one to the other and back."""

    def pool_at(time_ms: int, balance: int) -> PoolAt:
        return PoolAt(time_ms, time_ms, Decimal(balance), Decimal(balance), Decimal(100))

    moments = [(2, "main"), (3, "main"), (5, "own"), (7, "main")]
    course = Course("a run")
    course.pools = {
        "main": [pool_at(time_ms, 100 + time_ms) for time_ms in range(1, 9)],
        "own": [pool_at(time_ms, 10) for time_ms in range(4, 9)],
    }
    course.contracts["X"] = [
        ContractAt(time_ms, time_ms, pool, Decimal(0), Decimal(0), None, None)
        for time_ms, pool in moments
    ]
    balances = [(point.time_ms, int(point.balance)) for point in course.behind("X")]
    assert balances == [
        (1, 101), (2, 102), (3, 103), (4, 104), (5, 10), (6, 10), (7, 107), (8, 108)
    ]  # fmt: skip
    assert course.behind("Y") == []


def test_a_time_that_is_typed_is_exact_to_the_millisecond() -> None:
    second = time_of("2025-10-10 21:15:04")
    assert utc(second) == "2025-10-10 21:15:04.000"
    typed = [time_of(f"2025-10-10 21:15:04.{part:03}") for part in range(1000)]
    assert typed == list(range(second, second + 1000))
    assert time_of("2025-10-10") == second - (21 * 3600 + 15 * 60 + 4) * 1000


@pytest.mark.parametrize(
    ("window_ms", "said"),
    [(28_800_000, "8 h"), (86_400_000, "24 h"), (5_400_000, "90 min"), (90_000, "1.5 min")],
)
def test_a_pool_s_window_is_told_in_hours_or_minutes(window_ms: int, said: str) -> None:
    assert window(window_ms) == said


def contract(state: str = "calm", *, stale: bool = False, inventory: str = "0") -> ContractShown:
    return ContractShown(
        as_of=7, time_ms=0, contract="BTCUSDT", kind=ContractKind.LINEAR, settle="USDT",
        pool="main", rules="bybit", tick_size="0.5", lot_size="1", mark="57000", marked_ms=1_000,
        stale=stale, paused=False, state=MarketState(state),
        trigger_used_ppm=833_333, open_interest_long="1", open_interest_short="1", positions_long=1,
        positions_short=1, inventory_long=inventory, inventory_short="0", profit="-250000",
        contract_pnl_peak="100", risk=None, last_adl_ms=None, triggers=(DRAWDOWN,),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "stale", "shown"),
    [
        ("calm", False, "calm"),
        ("calm", True, "stale"),
        ("watch", True, "stale"),
        ("adl", True, "adl"),
        ("exhausted", True, "exhausted"),
    ],
)
def test_stale_input_is_a_state_but_never_hides_adl(state: str, stale: bool, shown: str) -> None:
    assert state_of(contract(state, stale=stale)) == shown


def test_a_banner_has_its_numbers() -> None:
    told = banner(contract("watch", stale=True, inventory="100"))
    assert told == (
        "contract drawdown at 83.3333 % of the way; the pool holds 100 long; "
        "no mark since 00:00:01.000"
    )
    assert pnl_ratio(contract()) == "-25.0099 %"


def test_levels_are_exact_and_stand_on_the_profit() -> None:
    """BYB-01: start at peak profit - 30 % of the pool's peak; what is left is the loss room."""
    assert level(DRAWDOWN, "start_ppm") == Decimal("-299900.15")
    assert level(DRAWDOWN, "stop_ppm") == Decimal("-249900.125")
    assert loss_room(DRAWDOWN) == Decimal("49900.15")


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
def test_thousands_stand_apart_and_are_copied_as_they_are(number: str, html: str) -> None:
    assert grouped(number) == f'<span class="number">{html}</span>'


def test_times_and_indicators_are_text() -> None:
    assert utc(1_760_130_900_007) == "2025-10-10 21:15:00.007"
    assert utc(None) == "-"
    assert indicators(4) == "●●●●○ 4 of 5"
    assert indicators(None) == "not in line"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "scenario: holds no command"),
        ('{"type": "set_marks"', "scenario, line 1: is cut off"),
        ('# none\n{"type": "sett_marks"}', "line 2, type 'sett_marks': is no command"),
        ("x" * 2_000_001, "more than 2,000,000 characters"),
    ],
)
def test_a_scenario_that_is_none_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        own_commands(text)


def test_a_visitor_s_own_scenario_is_read_as_a_file_would_be() -> None:
    command = '{"type": "set_time", "time_ms": 1, "id": "a\u2028b"}'
    told = own_commands(f"\ufeff{command}\n   # why\n\n  {command}\n")
    assert [each.id for each in told] == ["a\u2028b"] * 2


def test_the_laboratory_plays_one_scenario_under_each_rule_set() -> None:
    """BYB-01 BYB-03: 50,000 are borne as in the documentation; venues without a queue bear none."""
    bybit, gmx = (play("one_long_falls", "", rules) for rules in ("bybit", "gmx"))
    (total,) = bybit.kept.summary.contracts
    assert (total.closed, total.accounts, bybit.rejected) == ("100", 3, 0)
    assert (total.borne, total.pool_profit) == ("50000", "-300000")
    assert gmx.kept.fills.height == 0
    again = play(OWN, '{"type": "set_time", "time_ms": 1}', "okx")
    assert again.kept.summary.commands == 1


def test_a_server_that_is_not_there_or_not_one_is_told_as_such() -> None:
    with pytest.raises(SourceError, match="cannot be reached") as silent:
        asyncio.run(_ask("http://127.0.0.1:9"))
    assert (silent.value.status, silent.value.wants_key) == (0, False)
    with other_server() as url, pytest.raises(SourceError, match="answered 404") as other:
        asyncio.run(_ask(url))
    assert other.value.status == 404


async def _ask(url: str) -> None:
    async with Source(url) as source:
        await source.contracts()


@contextmanager
def other_server() -> Iterator[str]:
    """Serve something that is no delever."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Quiet(http.server.BaseHTTPRequestHandler):
    """Knows no path, and says nothing on standard error."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_stream_is_read_from_the_server_s_own_app_as_it_is_written() -> None:
    gone = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in (1, 2):
            body = b'id: %d\ndata: {"sequence":%d,"time_ms":0,"events":[]}\n\n' % (number, number)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await receive()
        await receive()
        gone.set()

    async def read() -> list[int]:
        async with Source(app) as source:
            seen = []
            async for sequence, _ in source.stream(["adl_started"], 0):
                seen.append(sequence)
                if sequence == 2:
                    break
        return seen

    assert asyncio.run(read()) == [0, 1, 2]


def test_what_an_app_does_wrong_is_no_answer() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def refusing(_scope: Scope, _receive: Receive, send: Send) -> None:
        start: Message = {"type": "http.response.start", "status": 403, "headers": []}
        await send(start)
        body = b'{"error": {"reason": "key_lacks_role", "message": "needs the role read"}}'
        await send({"type": "http.response.body", "body": body})

    async def garbled(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"id: 1\ndata: {\n\n"})

    async def read(app: object) -> None:
        async with Source(app) as source:  # type: ignore[arg-type]
            async for _ in source.stream(["adl_started"], 0):
                pass

    for each, why in (
        (app, "cannot be reached"),
        (refusing, "needs the role read"),
        (garbled, "was not understood"),
    ):
        with pytest.raises(SourceError, match=why):
            asyncio.run(read(each))


def test_the_server_and_the_command_line_carry_no_weight_of_the_page() -> None:
    program = "import delever.server.app, delever.cli.dashboard, sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert {"nicegui", "fastapi", "matplotlib"}.isdisjoint(run.stdout.split())
