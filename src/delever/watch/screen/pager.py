"""The watch on a terminal: pages of lines, of which as many are displayed as the terminal has.

Alerts and ADL fills come first, then one line a position, the most endangered first. Long lines are
wrapped between words, so that a symbol is never cut; 80 columns and 24 lines suffice. Pure: a key
changes the state, and the state with a view gives the lines.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from delever.watch.alerts.contract_status import AdlState
from delever.watch.market_data.fill_details import summary
from delever.watch.market_data.observations import FillObservation
from delever.watch.screen.view import (
    Advice,
    ContractView,
    PositionView,
    SourceView,
    WatchView,
    age,
    age_of_refresh,
)

MIN_WIDTH = 40
DISPLAYED_FILLS = 8
"""The newest ADL fills on the overview, above the positions; another page has all."""

INDENT = "    "
HEADER_LINES = 2
FOOTER = "1-6 pages  / filter  arrows, space: scroll  q quit"
STATE_RANK = {AdlState.ADL: 0, AdlState.STALE: 1, AdlState.STOPPED: 2, AdlState.WATCH: 3}
FAR = Decimal(10**9)

UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END = "up", "down", "page_up", "page_down", "home", "end"
BACKSPACE, ENTER, ESCAPE = "\x7f", "\r", "\x1b"
SCROLL_BY = {UP: -1, "k": -1, DOWN: 1, "j": 1}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page, with a style of rich."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class PagerState:
    """What is displayed: the page, the first line, and a text that lines must contain."""

    page: int = 0
    offset: int = 0
    filter: str = ""
    typing: bool = False


# --- keys ---


def press(state: PagerState, key: str, lines: int, height: int) -> PagerState | None:
    """Return the state after a key, or None to quit; `lines` are those of the page now."""
    if state.typing:
        return _type(state, key)
    if key == "q":
        return None
    pages = {str(number): number - 1 for number in range(1, len(PAGES) + 1)}
    pages["\t"] = (state.page + 1) % len(PAGES)
    if key in pages:
        return replace(state, page=pages[key], offset=0)
    if key in {"/", ESCAPE}:
        return replace(state, typing=key == "/", filter="", offset=0)
    room = max(1, height - HEADER_LINES - 1)
    last = max(0, lines - room)
    moves = {PAGE_UP: -room, PAGE_DOWN: room, " ": room, HOME: -last, END: last, "G": last}
    moved = state.offset + (SCROLL_BY | moves).get(key, 0)
    return replace(state, offset=min(max(0, moved), last))


def _type(state: PagerState, key: str) -> PagerState:
    if key in {ENTER, "\n"}:
        return replace(state, typing=False)
    if key == ESCAPE:
        return replace(state, typing=False, filter="")
    if key == BACKSPACE:
        return replace(state, filter=state.filter[:-1])
    return (
        replace(state, filter=state.filter + key) if len(key) == 1 and key.isprintable() else state
    )


# --- pages ---


def frame(view: WatchView, state: PagerState, width: int, height: int) -> list[Line]:
    """Return exactly `height` lines: the header, a part of the page, and the keys."""
    lines = page_lines(view, state, width)
    room = max(1, height - HEADER_LINES - 1)
    offset = min(state.offset, max(0, len(lines) - room))
    body = lines[offset : offset + room]
    body += [Line("")] * (room - len(body))
    return [*_header(view, state), *body, _footer(state, offset, len(lines), room)]


def _header(view: WatchView, state: PagerState) -> list[Line]:
    at = datetime.fromtimestamp(view.time_ms / 1000, UTC)
    failing = sorted({failure.venue for failure in view.failures})
    parts = [f"delever watch {at:%H:%M:%S} UTC"]
    parts += [f"{len(view.alerts)} alerts"] if view.alerts else []
    parts += [f"{view.undelivered} not delivered"] if view.undelivered else []
    parts += [f"FAILING: {', '.join(failing)}"] if failing else []
    tabs = "  ".join(
        f"[{number} {name}]" if number - 1 == state.page else f"{number} {name}"
        for number, (name, _) in enumerate(PAGES, 1)
    )
    return [Line("   ".join(parts), "bold"), Line(tabs, "dim")]


def _footer(state: PagerState, offset: int, lines: int, room: int) -> Line:
    if state.typing:
        return Line(f"/{state.filter}_   Enter: keep, Esc: clear", "reverse")
    place = f"   lines {offset + 1}-{min(lines, offset + room)} of {lines}" if lines > room else ""
    chosen = f"   filter: {state.filter}" if state.filter else ""
    return Line(FOOTER + place + chosen, "dim")


def page_lines(view: WatchView, state: PagerState, width: int) -> list[Line]:
    """Return all lines of a page; of a filtered page those items that contain the text."""
    _, build = PAGES[state.page]
    lines: list[Line] = []
    for item in build(view):
        if state.filter.lower() in item.text.lower():
            lines += _wrapped(item, max(width, MIN_WIDTH))
    if not lines:
        lines = [Line("nothing" + (f" contains {state.filter!r}" if state.filter else ""), "dim")]
    return lines


def _wrapped(line: Line, width: int) -> Iterator[Line]:
    """Yield a line in parts that fit; a word longer than the width stays whole."""
    for text in textwrap.wrap(
        line.text,
        width,
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    ) or [""]:
        yield Line(text, line.style)


def _overview(view: WatchView) -> Iterator[Line]:
    for alert in view.alerts:
        since = age(view.time_ms - alert.since_ms)
        yield Line(f"! {alert.rule} ({since}): {alert.text}", "bold red")
    for fill in view.fills[:DISPLAYED_FILLS]:
        yield Line(_fill(fill), "red")
    if len(view.fills) > DISPLAYED_FILLS:
        yield Line(f"{len(view.fills) - DISPLAYED_FILLS} earlier ADL fills: page 2", "red")
    contracts = {(c.status.venue, c.status.contract): c for c in view.contracts}
    for position in sorted(view.positions, key=lambda row: _danger(row, contracts)):
        observed = position.position
        contract = contracts.get((observed.venue, observed.name))
        yield Line(_position(position, contract), _style(position, contract))
    if not view.positions:
        yield from _contracts(view)


def _fills(view: WatchView) -> Iterator[Line]:
    for fill in view.fills:
        yield Line(_fill(fill), "red")


def _fill(fill: FillObservation) -> str:
    at = datetime.fromtimestamp(fill.venue_time_ms / 1000, UTC)
    price = "" if fill.price is None else f" at {_plain(fill.price)}"
    text = f"ADL {at:%m-%d %H:%M:%S} {fill.venue} {fill.name} {fill.side} {_plain(fill.quantity)}"
    return "; ".join(part for part in (text + price, summary(fill), fill.why) if part)


def _danger(
    row: PositionView, contracts: Mapping[tuple[str, str], ContractView]
) -> tuple[int, int, Decimal, str]:
    """Return the key by which positions are sorted, the most endangered first."""
    contract = contracts.get((row.position.venue, row.position.name))
    state = 4 if contract is None else STATE_RANK.get(contract.status.state, 4)
    distance = None if contract is None else contract.start_percent
    return state, -row.fifth, FAR if distance is None else distance, row.position.name


def _position(row: PositionView, contract: ContractView | None) -> str:
    position, indicator = row.position, row.indicator
    place = (
        f"{row.fifth}/5" if row.fifth or indicator is not None else "-/5" if row.place else "?/5"
    )
    parts = [place, position.venue, position.name, position.side, _plain(position.quantity)]
    if contract is not None:
        parts.append(contract.status.label)
        start = contract.distances[0]
        parts += [f"start {start}"] if start.endswith("%") else []
    parts += [row.place] if row.place else []
    old = age(row.age_ms if row.indicator is None else row.indicator_age_ms)
    parts.append(f"STALE {old}" if row.stale else old)
    return "  ".join(parts)


def _style(row: PositionView, contract: ContractView | None) -> str:
    if row.stale:
        return "dim"
    if contract is not None and contract.status.state is AdlState.ADL:
        return "bold red"
    level = 0 if row.indicator is None else row.indicator.indicator
    return "red" if level >= 5 else "yellow" if level == 4 else ""


def _contracts(view: WatchView) -> Iterator[Line]:
    ranked = sorted(
        view.contracts, key=lambda c: (STATE_RANK.get(c.status.state, 4), c.status.contract)
    )
    for contract in ranked:
        status, risk = contract.status, contract.risk
        start, stop = contract.distances
        parts = [status.venue, status.contract, status.label.upper()]
        parts.append(age(view.time_ms - status.since_ms))
        parts += [f"risk {risk.raw}"] if risk is not None else []
        parts += [f"start {start}"] if start else []
        parts += [f"stop {stop}"] if stop else []
        parts += [status.reason] if status.reason else []
        parts.append(f"({contract.ages})")
        style = "bold red" if status.state is AdlState.ADL else ""
        yield Line("  ".join(parts), style)


def _advice(view: WatchView) -> Iterator[Line]:
    for row in view.positions:
        if row.advice is not None:
            position = row.position
            name = f"{position.venue} {position.name} {position.side}"
            yield from _options(name, row.advice)


def _options(name: str, advice: Advice) -> Iterator[Line]:
    score = "?" if advice.score is None else f"{advice.score:.4g}"
    yield Line(f"{name}: score {score} by {advice.rules} rules: {advice.formula}", "bold")
    for option in advice.options:
        times = "" if option.score_ratio is None else f"score x {option.score_ratio:.2f}"
        parts = [part for part in (option.change, times, option.note) if part]
        yield Line(f"{name}: {'; '.join(parts)}")
    for unknown in advice.unknown:
        yield Line(f"{name}: unknown: {unknown}", "dim")


def _funds(view: WatchView) -> Iterator[Line]:
    for row in sorted(view.pools, key=lambda row: (-row.drawdown_percent, row.pool.name)):
        pool = row.pool
        late = " STALE" if row.stale else ""
        below = f"{row.drawdown_percent:.1f} % below peak"
        text = f"{pool.venue}  {pool.name}  {_plain(pool.balance)} {pool.asset}  {below}"
        yield Line(f"{text}  {age_of_refresh('', row.age_ms, pool.refresh_ms)}{late}")


def _venues(view: WatchView) -> Iterator[Line]:
    for venue in view.venues:
        key = "" if venue.keyed else " (no key)"
        budget = f"{venue.used}/{venue.limit} in {age(venue.window_ms)}"
        yield Line(f"{venue.venue}{key}  {budget}  clock {venue.skew_ms:+} ms", "bold")
        for source in venue.sources:
            yield _source(venue.venue, source, view.time_ms)


def _source(venue: str, source: SourceView, now_ms: int) -> Line:
    answered = None if source.answered_ms is None else now_ms - source.answered_ms
    failure = source.failure
    if failure is None:
        return Line(f"{venue}  {source.name}  {age(answered)}")
    since = age(now_ms - failure.since_ms)
    text = f"{venue}  {source.name}  {age(answered)}  {failure.kind} for {since}: {failure.text}"
    return Line(text, "red")


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


PAGES: Sequence[tuple[str, Callable[[WatchView], Iterator[Line]]]] = (
    ("overview", _overview),
    ("fills", _fills),
    ("contracts", _contracts),
    ("advice", _advice),
    ("funds", _funds),
    ("venues", _venues),
)
"""Every page's name and lines; its key is its number."""
