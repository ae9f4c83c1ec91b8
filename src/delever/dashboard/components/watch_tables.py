"""What `delever watch` knows, as rows of tables, as banners, and as lines of a chart."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    RED,
    Point,
    steps,
    time_charts,
)
from delever.dashboard.components.table import Column
from delever.dashboard.format import NOTHING, plain, utc
from delever.watch.market_data.indicator_scale import RISKS
from delever.watch.screen.view import (
    Advice,
    ContractView,
    PoolView,
    PositionView,
    SourceView,
    VenueView,
    WatchView,
    age_of_refresh,
    age,
)
from delever.watch.store import RECORD_INTERVAL_MS, AlertDelivery, HistoryRecord

Row = dict[str, Any]
_Record = tuple[str, list[Point], str, str]

POSITIONS = (
    Column("venue", "Venue"),
    Column("contract", "Contract"),
    Column("indicator", "Indicator", "indicator"),
    Column("raw", "Venue's value"),
    Column("side", "Side"),
    Column("quantity", "Quantity", "number"),
    Column("age", "Age", "state"),
    Column("state", "State", "state"),
    Column("risk", "Contract's ADL risk"),
    Column("start", "To start"),
    Column("stop", "To stop"),
)
CONTRACTS = (
    Column("venue", "Venue"),
    Column("contract", "Contract"),
    Column("state", "State", "state"),
    Column("for", "For"),
    Column("risk", "ADL risk"),
    Column("ratio", "PnL ratio", "number"),
    Column("start", "To start"),
    Column("stop", "To stop"),
    Column("ages", "Age of each number", "wrapped"),
    Column("why", "Reason", "wrapped"),
)
ADVICE = (
    Column("position", "Position"),
    Column("times", "Score ratio", "number"),
    Column("score", "Score", "number"),
    Column("change", "Option"),
    Column("note", "", "wrapped"),
)
DELIVERIES = (
    Column("time", "Made (UTC)"),
    Column("channel", "Channel"),
    Column("state", "State", "state"),
    Column("attempts", "Attempts", "number"),
    Column("text", "Alert", "wrapped"),
    Column("error", "Error", "wrapped"),
)
FILLS = (
    Column("time", "Time (UTC)"),
    Column("venue", "Venue"),
    Column("contract", "Contract"),
    Column("side", "Side"),
    Column("quantity", "Quantity", "number"),
    Column("price", "Price", "number"),
)
POOLS = (
    Column("venue", "Venue"),
    Column("pool", "Fund"),
    Column("balance", "Balance", "number"),
    Column("asset", "Asset"),
    Column("fell", "Below its peak %", "number"),
    Column("age", "Age", "state"),
)
SOURCES = (
    Column("venue", "Venue"),
    Column("source", "Source"),
    Column("last", "Last answer"),
    Column("next", "Next poll in"),
    Column("every", "Interval"),
    Column("weight", "Weight", "number"),
    Column("state", "State", "state"),
    Column("text", "", "wrapped"),
)

CHARTS = {"indicator": ("Indicator (5 is next)", (0, 5)), "ratio": ("PnL ratio", None)}
CHARTS |= {"risk": ("ADL risk (4 is extremely high)", (1, 4))}
_ANSWERS = ("answers", "not polled yet")
_COLOURS = (BLUE, GREEN, AMBER, GREY)
_RATIOS = {"pnl_ratio": ("PnL ratio", BLUE, "solid"), "start_ratio": ("start", RED, "dashed")}
_RATIOS |= {"stop_ratio": ("stop", AMBER, "dashed")}


def positions(view: WatchView) -> Iterator[Row]:
    """Yield a row a position: its indicator, and how its contract stands."""
    standing = {(c.status.venue, c.status.contract): c for c in view.contracts}
    for held in view.positions:
        contract = standing.get((held.position.venue, held.position.name))
        yield _position(held) | _standing(contract) | _distances(contract)


def _position(held: PositionView) -> Row:
    position, indicator = held.position, held.indicator
    old = age(None)
    if indicator is not None and held.indicator_age_ms is not None:
        old = age_of_refresh("", held.indicator_age_ms, indicator.refresh_ms)
    return {
        "id": "/".join(position.key),
        "venue": position.venue,
        "contract": position.name,
        "side": position.side,
        "quantity": plain(position.quantity),
        "indicator": None if indicator is None else indicator.indicator,
        "raw": "not observed" if indicator is None else f"{indicator.raw} ({indicator.scale})",
        **_aged(old, stale=held.stale),
    }


def _aged(old: str, *, stale: bool) -> Row:
    return {"age": f"STALE: {old}" if stale else old, "age_kind": "stale" if stale else "calm"}


def _standing(contract: ContractView | None) -> Row:
    if contract is None:
        return {"state": NOTHING, "state_kind": "none", "risk": NOTHING}
    state, risk = contract.status.state, contract.risk
    told = NOTHING if risk is None else f"{RISKS[risk.level - 1]} ({risk.raw})"
    return {"state": str(state), "state_kind": str(state), "risk": told}


def _distances(contract: ContractView | None) -> Row:
    if contract is None or contract.drawdown is None:
        return {"ratio": None, "start": NOTHING, "stop": NOTHING}
    start, stop = contract.distances
    return {"ratio": str(contract.drawdown.pnl_ratio), "start": start, "stop": stop}


def contracts(view: WatchView) -> Iterator[Row]:
    """Yield a row a contract: its state and why, and how old each number is."""
    for contract in view.contracts:
        status = contract.status
        yield {
            "id": f"{status.venue}/{status.contract}",
            "venue": status.venue,
            "contract": status.contract,
            "for": age(view.time_ms - status.since_ms),
            "ages": contract.ages,
            "why": status.reason,
            **_standing(contract),
            **_distances(contract),
        }


def advice(view: WatchView) -> Iterator[Row]:
    """Yield what could be done about each position; below 1, then / now is further back."""
    for held in view.positions:
        position = held.position
        name = f"{position.venue} {position.name} {position.side}"
        for place, row in enumerate(_advised(held.advice) if held.advice else ()):
            yield {"id": f"{name}/{place}", "position": "" if place else name, **row}


def _advised(told: Advice) -> Iterator[Row]:
    score = None if told.score is None else f"{told.score:.4g}"
    now = f"unchanged, by {told.rules} rules"
    yield {"change": now, "score": score, "times": None, "note": told.formula}
    for option in told.options:
        yield {
            "change": option.change,
            "score": None if option.score is None else f"{option.score:.4g}",
            "times": None if option.score_ratio is None else f"{option.score_ratio:.2f}",
            "note": option.note,
        }


def unknown(view: WatchView) -> str:
    """Return HTML of what nobody outside a venue can know, each once."""
    told: dict[str, dict[str, None]] = {}
    for held in view.positions:
        for text in held.advice.unknown if held.advice else ():
            told.setdefault(text, {})[held.position.venue] = None
    lines = [f"{', '.join(venues)}: {text}" for text, venues in told.items()]
    return f"Unknown:<ul>{_items(lines)}</ul>" if told else ""


def deliveries(told: Sequence[AlertDelivery]) -> Iterator[Row]:
    """Yield a row a delivery of an alert."""
    kinds = {"sent": "calm", "waiting": "watch", "failed": "adl"}
    for delivery in told:
        yield {
            "id": delivery.id,
            "time": utc(delivery.created_ms),
            "channel": delivery.channel,
            "state": delivery.state,
            "state_kind": kinds.get(delivery.state, "none"),
            "attempts": str(delivery.attempts),
            "text": delivery.alert.text,
            "error": delivery.error,
        }


def fills(view: WatchView) -> Iterator[Row]:
    """Yield a row an ADL fill of the account, newest first."""
    for fill in view.fills:
        yield {
            "id": "/".join(fill.key),
            "time": utc(fill.venue_time_ms),
            "venue": fill.venue,
            "contract": fill.name,
            "side": fill.side,
            "quantity": plain(fill.quantity),
            "price": None if fill.price is None else plain(fill.price),
        }


def pools(view: WatchView) -> Iterator[Row]:
    """Yield a row a pool."""
    yield from map(_pool, view.pools)


def _pool(shown: PoolView) -> Row:
    pool = shown.pool
    return {
        "id": "/".join(pool.key),
        "venue": pool.venue,
        "pool": pool.name,
        "balance": plain(pool.balance),
        "asset": pool.asset,
        "fell": f"{shown.drawdown_percent:.1f}",
        **_aged(age_of_refresh("", shown.age_ms, pool.refresh_ms), stale=shown.stale),
    }


def sources(view: WatchView) -> Iterator[Row]:
    """Yield a row a source: when it answered, when it is asked again, and what is wrong."""
    for venue in view.venues:
        for source in venue.sources:
            yield {"id": f"{venue.venue}/{source.name}", "venue": venue.venue} | _source(
                source, view.time_ms
            )


def _source(source: SourceView, now_ms: int) -> Row:
    failure, answered = source.failure, source.answered_ms
    due_ms = failure.retry_ms if failure else source.due_ms
    streams = not source.interval_ms
    return {
        "source": source.name,
        "last": NOTHING if answered is None else f"{age(now_ms - answered)} ago",
        "next": "stream" if streams and not failure else age(max(0, due_ms - now_ms)),
        "every": "streamed" if streams else age(source.interval_ms),
        "weight": None if streams else str(source.weight),
        "state": failure.kind if failure else "connected" if streams else _ANSWERS[answered is None],
        "state_kind": "adl" if failure else "calm" if streams or answered else "none",
        "text": f"for {age(now_ms - failure.since_ms)}: {failure.text}" if failure else "",
    }


def banners(view: WatchView) -> str:
    """Return HTML of the rules that hold and of what cannot be read; never nothing."""
    held: dict[str, list[str]] = {}
    for alert in view.alerts:
        line = f"{alert.text} (for {age(view.time_ms - alert.since_ms)})"
        held.setdefault(alert.rule, []).append(line)
    for failure in view.failures:
        since, wait = age(view.time_ms - failure.since_ms), max(0, failure.retry_ms - view.time_ms)
        line = f"{failure.source}: {failure.text} (for {since}, retry in {age(wait)})"
        held.setdefault(f"{failure.venue}: {failure.kind.replace('_', ' ')}", []).append(line)
    if not held:
        return '<div class="banner"><b>No alert is active, and every source can be read.</b></div>'
    return "".join(_banner(title, lines) for title, lines in held.items())


def _banner(title: str, lines: Sequence[str]) -> str:
    told = f"<b>{escape(title)}</b><ul>{_items(lines)}</ul>"
    return f'<div class="banner banner-watch">{told}</div>'


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in lines)


def budgets(view: WatchView) -> str:
    """Return HTML of what asking has cost of each venue's limit, and how its clock goes."""
    rows = "".join(f"<dt>{escape(v.venue)}</dt><dd>{_budget(v)}</dd>" for v in view.venues)
    return f'<dl class="pairs">{rows}</dl>'


def _budget(venue: VenueView) -> str:
    used = f"{venue.used} of {venue.limit} in {age(venue.window_ms)}"
    key = "reads the account" if venue.keyed else "no key: public numbers only"
    return f"{used}; clock {venue.skew_ms:+} ms; {key}"


def drawn(kept: Sequence[HistoryRecord], since_ms: int, now_ms: int) -> tuple[int, dict[str, Any]]:
    """Return how many charts there are of a contract's past, and the charts."""
    by_chart = {chart: list(_lines(kept, chart, now_ms)) for chart in CHARTS}
    shown = [chart for chart, lines in by_chart.items() if lines] or ["indicator"]
    series = [
        steps(name, points, colour, grid=grid, line=line)
        for grid, chart in enumerate(shown)
        for name, points, colour, line in by_chart[chart]
    ]
    titles = [CHARTS[chart][0] for chart in shown]
    options = time_charts(titles, series, [_span(chart, by_chart[chart]) for chart in shown])
    first_ms = min((line.at_ms for line in kept), default=since_ms)
    for axis in options["xAxis"]:
        axis |= {"min": max(first_ms, since_ms), "max": now_ms}
    return len(shown), options


def _span(chart: str, lines: Sequence[_Record]) -> tuple[float, float]:
    """Return what a chart has to show: the whole scale, or from what was lowest up to 0."""
    whole = CHARTS[chart][1]
    values = [value for _, points, _, _ in lines for _, value in points]
    return whole or (min(0.0, *values), max(0.0, *values))


def _lines(kept: Sequence[HistoryRecord], chart: str, now_ms: int) -> Iterator[_Record]:
    """Yield the lines of one chart: name, points, colour, solid or dashed."""
    names = tuple(_RATIOS) if chart == "ratio" else (chart,)
    sides = sorted({(line.metric, line.side) for line in kept if line.metric in names})
    for place, (what, side) in enumerate(sides):
        points = [(k.at_ms, k.value or 0.0) for k in kept if (k.metric, k.side) == (what, side)]
        last_ms, last = points[-1]
        points.append((min(now_ms, last_ms + RECORD_INTERVAL_MS), last))  # it would be kept again then
        told = (f"{what} {side}".strip(), _COLOURS[place % len(_COLOURS)], "solid")
        name, colour, line = _RATIOS.get(what, told)
        yield name, points, colour, line
