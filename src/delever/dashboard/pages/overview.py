"""Overview: the state of every contract, and the latest events as they happen."""

from collections import deque
from collections.abc import Sequence
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.market import ContractResponse, PoolResponse
from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.components.table import Column, set_labels, table
from delever.dashboard.data.api_client import ApiClient, StreamRecord
from delever.dashboard.data.event_stream import EventStream
from delever.dashboard.format import (
    NOTHING,
    STATES,
    banner_text,
    clock,
    humanize,
    inventory_text,
    pnl_ratio,
    state_of,
    utc,
)

FEED_LINES = 60
"""Events that the feed displays."""

FEED_LOOK_BACK = 500
"""Sequences before the current one that the feed reads when the page is opened."""

FEED_REDRAW_S = 0.3
"""Interval at which new events are drawn."""

FEED_EVENTS = {
    "adl_started": "ADL started",
    "adl_stopped": "ADL stopped",
    "adl_forced": "ADL forced",
    "adl_paused": "ADL paused",
    "round_closed": "ADL round",
    "adl_exhausted": "ADL exhausted",
    "taken_over": "takeover",
    "collateral_taken_over": "collateral taken over",
    "collateral_converted": "collateral sold",
    "pool_funded": "fund flow",
    "contract_moved": "contract moved",
    "contract_amended": "contract amended",
    "pool_amended": "fund amended",
    "contract_status_set": "contract status",
    "contract_settled": "contract settled",
    "fill_cancelled": "fill cancelled",
    "compensated": "account compensated",
    "loss_socialized": "loss socialized",
    "notice": "notice",
}
"""Event types of the feed, with their text."""

FEED_NOTICES = {
    None,
    "adl_warning",
    "adl_warning_cleared",
    "mark_rejected",
    "row_rejected",
    "fill_exceeds_position",
    "fund_unallocated",
    "mark_unconfirmed",
    "mark_confirmed",
}
"""Kinds of notices on the feed; all others repeat an event that is on the feed itself."""

_COLUMNS = (
    Column("contract", "Contract", "link"),
    Column("state", "State", "state"),
    Column("trigger_used", "Trigger used, %", "number"),
    Column("risk", "ADL risk", "state"),
    Column("pnl_ratio", "PnL ratio, %", "number"),
    Column("mark", "Mark", "number"),
    Column("pool", "Fund", "link"),
    Column("balance", "Fund balance", "number"),
    Column("open_interest", "Open interest", "number"),
    Column("inventory", "Inventory"),
    Column("last_adl", "Last ADL (UTC)"),
)

_STATE_ORDER = ("exhausted", "adl", "stale", "watch", "calm")


async def show(client: ApiClient) -> None:
    """Build the overview."""
    frame = PageFrame(client, "Overview", "/")
    with frame.body:
        banners = html()
        with grid():
            with panel("Contracts", about="click a heading to sort"):
                contracts = table(_COLUMNS, [], "contract")
            with panel("Events", about="as they happen, newest first"):
                feed = _Feed(frame)
    await frame.connect()

    async def refresh() -> None:
        found = await frame.client.contracts()
        pools = {pool.pool: pool for pool in await frame.client.pools()}
        if found:
            frame.as_of(found[0].as_of, found[0].time_ms)
        found.sort(key=lambda contract: _STATE_ORDER.index(state_of(contract)))
        texts = "".join(_banner(frame, contract) for contract in found)
        banners.set_content(f'<div class="banners">{texts}</div>' if found else _NO_CONTRACT)
        contracts.rows = [_row(frame, contract, pools.get(contract.pool)) for contract in found]
        set_labels(contracts, balance=_balance_label(found))
        feed.start(found[0].as_of if found else 0)

    await frame.every(refresh)


_NO_CONTRACT = '<p class="quiet">No contract is defined yet.</p>'


def _banner(frame: PageFrame, contract: ContractResponse) -> str:
    state = state_of(contract)
    is_calm = state == "calm" and not contract.paused
    detail = "" if is_calm else f'<span class="quiet">{escape(banner_text(contract))}</span>'
    return (
        f'<div class="banner banner-{state}" data-contract="{escape(contract.contract)}" '
        f'data-state="{state}"><b><a href="{frame.contract_url(contract.contract)}">'
        f'{escape(contract.contract)}</a></b> <span class="state state-{state}">'
        f"{STATES[state]}</span> {detail}</div>"
    )


def _row(frame: PageFrame, contract: ContractResponse, pool: PoolResponse | None) -> dict[str, Any]:
    state = state_of(contract)
    ratio = pnl_ratio(contract).removesuffix(" %")
    return {
        "contract": contract.contract,
        "contract_href": frame.contract_url(contract.contract),
        "state": STATES[state].partition(":")[0],
        "state_kind": state,
        "trigger_used": f"{contract.trigger_used_ppm / 10_000:g}",
        "risk": humanize(contract.risk),
        "risk_kind": contract.risk or "none",
        "pnl_ratio": None if ratio == NOTHING else ratio,
        "mark": contract.mark,
        "pool": contract.pool,
        "pool_href": frame.pool_url(contract.pool),
        "balance": pool.balance if pool else None,
        "open_interest": contract.open_interest_long,
        "inventory": inventory_text(contract) or "none",
        "last_adl": _last_adl(contract),
    }


def _balance_label(contracts: Sequence[ContractResponse]) -> str:
    """Return the heading of fund balances, with the asset if it is the same for all of them."""
    assets = {contract.settle for contract in contracts}
    return f"Fund balance, {assets.pop()}" if len(assets) == 1 else "Fund balance"


def _last_adl(contract: ContractResponse) -> str:
    """Return the time of the last ADL, with its date unless it is today's."""
    last, now = utc(contract.last_adl_ms), utc(contract.time_ms)
    return last.rpartition(" ")[2] if last[:10] == now[:10] else last


class _Feed:
    """The latest events as lines, read from the server's stream, with the state of the stream."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self._lines: deque[str] = deque(maxlen=FEED_LINES)
        self._stream: EventStream | None = None
        self._last_event_ms = 0
        self._drawn = ""
        self._status = html()
        self._feed = html('<div class="feed"></div>')

    def start(self, sequence: int) -> None:
        """Read the stream from FEED_LOOK_BACK records before a sequence, unless already reading."""
        if self._stream is None:
            self._stream = EventStream(max(0, sequence - FEED_LOOK_BACK), tuple(FEED_EVENTS))
            self._frame.follow(self._stream, self._add, self._draw)
            ui.timer(FEED_REDRAW_S, self._draw)

    def _add(self, record: StreamRecord) -> None:
        self._last_event_ms = record.time_ms
        for event in record.events:
            if _is_displayed(event):
                self._lines.appendleft(_line(self._frame, record, event))

    def _draw(self) -> None:
        """Draw lines and status if either has changed."""
        error = self._stream.error if self._stream else ""
        text = f'<div class="feed{" stale" if error else ""}">{"".join(self._lines)}</div>'
        if text + error != self._drawn and not self._feed.is_deleted:
            self._drawn = text + error
            self._feed.set_content(text if self._lines else _NO_EVENT)
            self._status.set_content(_stale(error, self._last_event_ms) if error else _LIVE)


_LIVE = (
    '<div class="stream" role="status" data-stream="live">'
    '<span class="state state-live">live</span></div>'
)
_NO_EVENT = '<div class="feed"><span class="quiet">No event yet.</span></div>'


def _stale(error: str, last_event_ms: int) -> str:
    last = f"; the last event is of {clock(last_event_ms)}" if last_event_ms else ""
    return (
        '<div class="stream" role="status" data-stream="stale"><span class="state state-stale">'
        f"stale</span> {escape(error)}{last}; trying again</div>"
    )


def _is_displayed(event: dict[str, Any]) -> bool:
    return event["type"] in FEED_EVENTS and event.get("kind") in FEED_NOTICES


def _line(frame: PageFrame, record: StreamRecord, event: dict[str, Any]) -> str:
    name = event.get("contract") or event.get("pool") or ""
    link = escape(name)
    if event.get("contract"):
        link = f'<a href="{frame.contract_url(name)}">{link}</a>'
    return (
        f'<div><span class="clock">{clock(record.time_ms)}</span>'
        f"<b>{FEED_EVENTS[event['type']]}</b>"
        f"<span>{link} {escape(_detail(event))} "
        f'<span class="quiet">#{record.sequence}</span></span></div>'
    )


def _detail(event: dict[str, Any]) -> str:
    """Return the words of an event; its numbers are on the page that the line links to."""
    fields = {
        "adl_started": ("trigger",),
        "adl_stopped": ("trigger",),
        "adl_forced": ("note",),
        "adl_paused": ("note",),
        "round_closed": ("side", "price_rule"),
        "taken_over": ("account", "side"),
        "collateral_taken_over": ("account", "asset"),
        "collateral_converted": ("asset",),
        "pool_funded": ("reason", "note"),
        "notice": ("kind", "subject", "account"),
    }.get(event["type"], ())
    return " · ".join(humanize(event[name]) for name in fields if event[name])
