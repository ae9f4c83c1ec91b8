"""Overview: how near to ADL every contract is, and what has just happened."""

from collections import deque
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.market import ContractResponse, PoolResponse
from delever.dashboard.components.frame import View, grid, html, panel
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import RecordTold, Source
from delever.dashboard.data.event_stream import Following
from delever.dashboard.format import (
    NOTHING,
    STATES,
    banner,
    clock,
    inventory,
    pnl_ratio,
    state_of,
    utc,
    words,
)

FEED = 60
"""Events that the feed keeps."""

LOOK_BACK = 500
"""Sequences that the feed looks back when the page is opened."""

LOUD = {
    "adl_started": "ADL started",
    "adl_stopped": "ADL stopped",
    "adl_forced": "ADL forced",
    "adl_paused": "ADL paused",
    "round_closed": "ADL round",
    "adl_exhausted": "nobody left",
    "taken_over": "takeover",
    "pool_funded": "pool funded",
    "contract_moved": "contract moved",
    "fill_cancelled": "fill taken back",
    "loss_socialized": "loss shared",
    "notice": "notice",
}
"""Events that the feed tells, and how it calls them."""

NEARNESS = {None, "adl_warning", "adl_warning_cleared"}
"""Kinds of notices that the feed tells; the others say what an event beside them has said."""

_COLUMNS = (
    Column("contract", "Contract", "link"),
    Column("state", "State", "state"),
    Column("progress", "% of the way", "number"),
    Column("risk", "ADL risk", "state"),
    Column("pnl_ratio", "pnlRatio %", "number"),
    Column("mark", "Mark", "number"),
    Column("pool", "Pool", "link"),
    Column("balance", "Pool balance", "number"),
    Column("open_interest", "Open interest", "number"),
    Column("inventory", "Inventory"),
    Column("last_adl", "Last ADL (UTC)"),
)

_ORDER = ("exhausted", "adl", "stale", "watch", "calm")


async def show(source: Source) -> None:
    """Show the overview."""
    view = View(source, "Overview", "/")
    with view.body:
        banners = html()
        with grid():
            with panel("Contracts", about="click a heading to sort"):
                contracts = table(_COLUMNS, [], "contract")
            with panel("What happens", about="as it happens, newest first"):
                feed = _Feed(view)
    await view.connect()

    async def refresh() -> None:
        found = await view.source.contracts()
        pools = {pool.pool: pool for pool in await view.source.pools()}
        if found:
            view.as_of(found[0].as_of, found[0].time_ms)
        found.sort(key=lambda each: _ORDER.index(state_of(each)))
        told_states = "".join(_banner(view, each) for each in found)
        banners.set_content(f'<div class="banners">{told_states}</div>' if found else _EMPTY)
        contracts.rows = [_row(view, each, pools.get(each.pool)) for each in found]
        feed.begin(found[0].as_of if found else 0)

    await view.every(refresh)


_EMPTY = '<p class="quiet">No contract is defined yet.</p>'


def _banner(view: View, contract: ContractResponse) -> str:
    state = state_of(contract)
    quiet = state == "calm" and not contract.paused
    detail = "" if quiet else f'<span class="quiet">{escape(banner(contract))}</span>'
    return (
        f'<div class="banner banner-{state}" data-contract="{escape(contract.contract)}" '
        f'data-state="{state}"><b><a href="{view.contract(contract.contract)}">'
        f'{escape(contract.contract)}</a></b> <span class="state state-{state}">'
        f"{STATES[state]}</span> {detail}</div>"
    )


def _row(view: View, contract: ContractResponse, pool: PoolResponse | None) -> dict[str, Any]:
    state = state_of(contract)
    ratio = pnl_ratio(contract).removesuffix(" %")
    return {
        "contract": contract.contract,
        "contract_href": view.contract(contract.contract),
        "state": STATES[state].partition(":")[0],
        "state_kind": state,
        "progress": f"{contract.trigger_used_ppm / 10_000:g}",
        "risk": words(contract.risk),
        "risk_kind": contract.risk or "none",
        "pnl_ratio": None if ratio == NOTHING else ratio,
        "mark": contract.mark,
        "pool": contract.pool,
        "pool_href": view.pool(contract.pool),
        "balance": pool.balance if pool else None,
        "open_interest": contract.open_interest_long,
        "inventory": inventory(contract) or "none",
        "last_adl": _since(contract),
    }


def _since(contract: ContractResponse) -> str:
    """Return the time of the last ADL, with its date where that is another day's."""
    last, now = utc(contract.last_adl_ms), utc(contract.time_ms)
    return last.rpartition(" ")[2] if last[:10] == now[:10] else last


class _Feed:
    """The newest loud events, as lines, from the server's stream; says where it is stale."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._lines: deque[str] = deque(maxlen=FEED)
        self._following: Following | None = None
        self._heard_ms = 0
        self._drawn = ""
        self._state = html()
        self._shown = html('<div class="feed"></div>')

    def begin(self, sequence: int) -> None:
        """Follow from a little before a sequence, if it does not yet."""
        if self._following is None:
            self._following = Following(max(0, sequence - LOOK_BACK), tuple(LOUD))
            self._view.follow(self._following, self._tell, self._draw)
            ui.timer(DRAWN_S, self._draw)

    def _tell(self, record: RecordTold) -> None:
        self._heard_ms = record.time_ms
        for event in record.events:
            if _is_loud(event):
                self._lines.appendleft(_line(self._view, record, event))

    def _draw(self) -> None:
        """Show the lines and the state of the stream, where they have changed."""
        trouble = self._following.trouble if self._following else ""
        text = f'<div class="feed{" stale" if trouble else ""}">{"".join(self._lines)}</div>'
        if text + trouble != self._drawn and not self._shown.is_deleted:
            self._drawn = text + trouble
            self._shown.set_content(text if self._lines else _QUIET)
            self._state.set_content(_stale(trouble, self._heard_ms) if trouble else _LIVE)


DRAWN_S = 0.3
"""How often new lines are drawn."""

_LIVE = (
    '<div class="stream" role="status" data-stream="live">'
    '<span class="state state-live">live</span></div>'
)
_QUIET = '<div class="feed"><span class="quiet">Nothing of note so far.</span></div>'


def _stale(trouble: str, heard_ms: int) -> str:
    last = f"; the last event is of {clock(heard_ms)}" if heard_ms else ""
    return (
        '<div class="stream" role="status" data-stream="stale"><span class="state state-stale">'
        f"stale</span> {escape(trouble)}{last}; trying again</div>"
    )


def _is_loud(event: dict[str, Any]) -> bool:
    """Whether an event is told: of notices only those that ADL is near, or far again."""
    return event["type"] in LOUD and event.get("kind") in NEARNESS


def _line(view: View, told: RecordTold, event: dict[str, Any]) -> str:
    name = event.get("contract") or event.get("pool") or ""
    place = escape(name)
    if event.get("contract"):
        place = f'<a href="{view.contract(name)}">{place}</a>'
    return (
        f'<div><span class="clock">{clock(told.time_ms)}</span><b>{LOUD[event["type"]]}</b>'
        f"<span>{place} {escape(_detail(event))} "
        f'<span class="quiet">#{told.sequence}</span></span></div>'
    )


def _detail(event: dict[str, Any]) -> str:
    """Return what an event is about, in words; its numbers stand on the pages it leads to."""
    fields = {
        "adl_started": ("trigger",),
        "adl_stopped": ("trigger",),
        "adl_forced": ("note",),
        "adl_paused": ("note",),
        "round_closed": ("side", "price_rule"),
        "taken_over": ("account", "side"),
        "pool_funded": ("reason", "note"),
        "notice": ("kind", "subject", "account"),
    }.get(event["type"], ())
    return " · ".join(words(event[name]) for name in fields if event[name])
