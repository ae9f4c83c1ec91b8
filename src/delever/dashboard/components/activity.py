"""What happened, by meaning: ADL, insurance funds, liquidations, operator; newest first.

Lines begin with the history of any age, and continue with the server's event stream. Takeovers of
one record are one line a contract, and a warning replaces the warning before it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.history import EpisodeResponse, PoolFlow
from delever.api_types.market import ContractResponse
from delever.dashboard.components.frame import PageFrame, html
from delever.dashboard.data.api_client import StreamRecord
from delever.dashboard.data.event_stream import EventStream
from delever.dashboard.format import clock, grouped, humanize
from delever.formatting import count, decimal_text

LINES = 60
"""Lines of a tab."""

LOOK_BACK = 500
"""Sequences before the current one that are read when the page is opened."""

REDRAW_S = 0.3
"""Interval at which new lines are drawn."""

TABS = {"adl": "ADL", "funds": "Funds", "liquidations": "Liquidations", "operator": "Operator"}

TAB_EVENTS = {
    "adl_started": ("adl", "ADL started"),
    "adl_stopped": ("adl", "ADL ended"),
    "adl_forced": ("adl", "ADL forced"),
    "plan_wait_set": ("adl", "wait for plans"),
    "plan_requested": ("adl", "plan requested"),
    "plan_accepted": ("adl", "plan accepted"),
    "round_closed": ("adl", "ADL round"),
    "adl_exhausted": ("adl", "ADL exhausted"),
    "loss_socialized": ("adl", "loss socialized"),
    "pool_funded": ("funds", "fund flow"),
    "collateral_taken_over": ("funds", "collateral taken over"),
    "collateral_converted": ("funds", "collateral sold"),
    "compensated": ("funds", "account compensated"),
    "taken_over": ("liquidations", "taken over"),
    "adl_paused": ("operator", "ADL paused"),
    "contract_moved": ("operator", "contract moved"),
    "contract_amended": ("operator", "contract amended"),
    "pool_amended": ("operator", "fund amended"),
    "contract_status_set": ("operator", "contract status"),
    "contract_settled": ("operator", "contract settled"),
    "fill_cancelled": ("operator", "fill cancelled"),
    "notice": ("operator", "notice"),
}
"""Tab and text of every event type that is displayed."""

NOTICES = {
    "adl_warning": ("adl", "ADL warning"),
    "adl_warning_cleared": ("adl", "warning cleared"),
    "mark_rejected": ("operator", "mark rejected"),
    "index_price_rejected": ("operator", "index price rejected"),
    "row_rejected": ("operator", "row rejected"),
    "fill_exceeds_position": ("operator", "fill exceeds position"),
    "fund_unallocated": ("operator", "fund unallocated"),
    "mark_unconfirmed": ("operator", "mark unconfirmed"),
    "mark_confirmed": ("operator", "mark confirmed"),
}
"""Tab and text of the notices that are displayed; all others repeat an event."""


@dataclass(frozen=True, slots=True)
class ActivityLine:
    """One line: a later line with the same key replaces it."""

    key: str
    sequence: int
    time_ms: int
    title: str
    detail: str
    """HTML."""


class Activity:
    """The lines of the chosen tab, with the state of the stream."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self._lines: dict[str, dict[str, ActivityLine]] = {tab: {} for tab in TABS}
        self._contracts: Mapping[str, ContractResponse] = {}
        self._stream: EventStream | None = None
        self._last_event_ms = 0
        self.funded: set[str] = set()
        """Funds with a new flow, whose amount the stream has in the asset's smallest unit only."""
        self._tabs = ui.toggle(TABS, value="adl", on_change=self._draw)
        self._tabs.props("dense no-caps unelevated aria-label=activity").classes("tabs")
        self._status = html()
        self._feed = html('<div class="feed"></div>')

    def start(self, sequence: int, episodes: Sequence[EpisodeResponse]) -> None:
        """Display the history, and read the stream from LOOK_BACK records before a sequence."""
        if self._stream is not None:
            return
        for episode in episodes:
            self._add_episode(episode)
        self._stream = EventStream(max(0, sequence - LOOK_BACK), tuple(TAB_EVENTS))
        self._frame.follow(self._stream, self._add_record, self._draw)
        ui.timer(REDRAW_S, self._draw)

    def set_contracts(self, contracts: Sequence[ContractResponse]) -> None:
        """Set the contracts by whose lot size quantities are formatted."""
        self._contracts = {contract.contract: contract for contract in contracts}

    def add_flows(self, pool: str, asset: str, flows: Sequence[PoolFlow]) -> None:
        """Add the in- and outflows of a fund."""
        for flow in flows[-LINES:]:
            reason = " · ".join(filter(None, [humanize(flow.reason), flow.note]))
            detail = f"{self._pool(pool)} {grouped(flow.amount)} {escape(asset)} {escape(reason)}"
            key = f"{flow.sequence}/pool_funded/{pool}"
            self._add("funds", ActivityLine(key, flow.sequence, flow.time_ms, "fund flow", detail))

    # --- lines ---

    def _add_episode(self, episode: EpisodeResponse) -> None:
        link = self._contract(episode.contract)
        trigger = escape(humanize(episode.trigger))
        key = f"{episode.contract}/{episode.trigger}"
        line = ActivityLine(
            f"{episode.started_sequence}/adl_started/{key}",
            episode.started_sequence,
            episode.started_ms,
            "ADL started",
            f"{link} {trigger}",
        )
        self._add("adl", line)
        if episode.stopped_sequence is not None:
            closed = f"{grouped(episode.quantity)} closed in {count(episode.fills, 'fill')}"
            line = ActivityLine(
                f"{episode.stopped_sequence}/adl_stopped/{key}",
                episode.stopped_sequence,
                episode.stopped_ms or 0,
                "ADL ended",
                f"{link} {trigger}: {closed}",
            )
            self._add("adl", line)

    def _add_record(self, record: StreamRecord) -> None:
        self._last_event_ms = record.time_ms
        taken = [event for event in record.events if event["type"] == "taken_over"]
        for contract, number in Counter(event["contract"] for event in taken).items():
            self._add_takeovers(record, contract, number, taken)
        for event in record.events:
            if event["type"] != "taken_over":
                self._add_event(record, event)

    def _add_takeovers(
        self, record: StreamRecord, contract: str, number: int, taken: Sequence[dict[str, Any]]
    ) -> None:
        lots = sum(event["lots"] for event in taken if event["contract"] == contract)
        quantity = self._quantity(contract, lots)
        detail = f"{self._contract(contract)} {count(number, 'liquidation')}, {quantity}"
        key = f"{record.sequence}/taken_over/{contract}"
        line = ActivityLine(key, record.sequence, record.time_ms, "taken over", detail)
        self._add("liquidations", line)

    def _add_event(self, record: StreamRecord, event: dict[str, Any]) -> None:
        kind = event["type"]
        found = NOTICES.get(event["kind"]) if kind == "notice" else TAB_EVENTS.get(kind)
        if found is None:
            return
        if kind == "pool_funded":
            self.funded.add(event["pool"])
        if kind == "round_closed" and not event["filled_lots"]:
            return
        tab, title = found
        name = event.get("contract") or event.get("pool") or ""
        link = self._contract(name) if event.get("contract") else self._pool(name)
        key = f"{record.sequence}/{kind}/{name}"
        if kind in {"adl_started", "adl_stopped"}:
            key += f"/{event['trigger']}"
        elif kind == "notice" and tab == "adl":
            key = f"warning/{name}/{event['subject']}"
        elif kind == "adl_exhausted":
            key = f"exhausted/{name}"
        elif kind in {"round_closed", "notice"}:
            key += f"/{event.get('side', '')}{event.get('subject', '')}"
        detail = f"{link} {' · '.join(self._parts(event))}"
        self._add(tab, ActivityLine(key, record.sequence, record.time_ms, title, detail))

    def _parts(self, event: dict[str, Any]) -> Iterator[str]:
        """Yield the parts of an event's text as HTML."""
        fields = {
            "adl_started": ("trigger",),
            "adl_stopped": ("trigger",),
            "adl_forced": ("note",),
            "plan_wait_set": ("note",),
            "plan_requested": ("trigger",),
            "plan_accepted": ("note",),
            "adl_paused": ("note",),
            "collateral_taken_over": ("account", "asset"),
            "collateral_converted": ("asset",),
            "pool_funded": ("reason", "note"),
            "notice": ("subject", "account"),
        }.get(event["type"], ())
        yield from (escape(humanize(event[name])) for name in fields if event[name])
        if event["type"] == "round_closed":
            closed = self._quantity(event["contract"], event["filled_lots"])
            yield f"{closed} {event['side']} closed"

    def _quantity(self, contract: str, lots: int) -> str:
        """Return lots as a quantity in HTML, or in lots for an unknown contract."""
        found = self._contracts.get(contract)
        if found is None:
            return count(lots, "lot")
        return grouped(decimal_text(lots * Decimal(found.lot_size)))

    def _contract(self, name: str) -> str:
        return f'<a href="{self._frame.contract_url(name)}">{escape(name)}</a>' if name else ""

    def _pool(self, name: str) -> str:
        return f'<a href="{self._frame.pool_url(name)}">{escape(name)}</a>' if name else ""

    def _add(self, tab: str, line: ActivityLine) -> None:
        lines = self._lines[tab]
        lines.pop(line.key, None)
        lines[line.key] = line
        if len(lines) > 2 * LINES:
            for old in sorted(lines.values(), key=_order)[:-LINES]:
                del lines[old.key]

    # --- display ---

    def _draw(self) -> None:
        """Display the chosen tab and the state of the stream."""
        if self._feed.is_deleted:
            return
        error = self._stream.error if self._stream else ""
        newest = sorted(self._lines[self._tabs.value].values(), key=_order, reverse=True)[:LINES]
        lines = "".join(map(_line, newest)) or f'<span class="quiet">{_NOTHING_YET}</span>'
        self._feed.set_content(f'<div class="feed{" stale" if error else ""}">{lines}</div>')
        self._status.set_content(_stale(error, self._last_event_ms) if error else _LIVE)


_NOTHING_YET = "Nothing yet."

_LIVE = '<div class="stream" role="status" data-stream="live"></div>'


def _order(line: ActivityLine) -> tuple[int, str]:
    return line.sequence, line.key


def _line(line: ActivityLine) -> str:
    return (
        f'<div data-key="{escape(line.key)}"><span class="clock" title="record {line.sequence}">'
        f"{clock(line.time_ms)[:8]}</span><span><b>{line.title}</b> {line.detail}</span></div>"
    )


def _stale(error: str, last_event_ms: int) -> str:
    last = f"; the last event is of {clock(last_event_ms)}" if last_event_ms else ""
    return (
        '<div class="stream" role="status" data-stream="stale"><span class="state state-stale">'
        f"stale</span> {escape(error)}{last}; trying again</div>"
    )
