"""What `delever watch` knows, as rows of tables and as the banners above them."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from delever.dashboard.components.table import Column
from delever.dashboard.format import NOTHING, humanize, pairs, utc
from delever.formatting import decimal_text
from delever.watch.market_data.fill_details import summary
from delever.watch.market_data.indicator_scale import RISKS
from delever.watch.screen.view import (
    Advice,
    ContractView,
    PoolView,
    PositionView,
    SourceView,
    VenueView,
    WatchView,
    age,
    age_of_refresh,
)
from delever.watch.store import AlertDelivery

Row = dict[str, Any]

POSITIONS = (
    Column("venue", "Venue"),
    Column("contract", "Contract"),
    Column("indicator", "ADL indicator", "indicator"),
    Column("raw", "Venue's value"),
    Column("side", "Side"),
    Column("quantity", "Quantity", "number"),
    Column("age", "Age", "state"),
    Column("state", "State", "state"),
    Column("risk", "ADL risk"),
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
    Column("time", "Created (UTC)"),
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
    Column("price", "ADL price", "number"),
    Column("cost", "Cost", "wrapped"),
    Column("why", "Why me", "wrapped"),
)
POOLS = (
    Column("venue", "Venue"),
    Column("pool", "Insurance fund"),
    Column("balance", "Balance", "number"),
    Column("asset", "Asset"),
    Column("drawdown", "Below peak, %", "number"),
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
    Column("text", "Error", "wrapped"),
)

_DELIVERY_COLORS = {"sent": "calm", "waiting": "watch", "failed": "adl"}


def positions(view: WatchView) -> Iterator[Row]:
    """Yield one row a position: its ADL indicator and the state of its contract."""
    contracts = {(c.status.venue, c.status.contract): c for c in view.contracts}
    for position_view in view.positions:
        position = position_view.position
        contract = contracts.get((position.venue, position.name))
        yield _position(position_view) | _state(contract) | _distances(contract)


def _position(view: PositionView) -> Row:
    position, indicator = view.position, view.indicator
    indicator_age = age(view.age_ms if view.place else None)
    if indicator is not None and view.indicator_age_ms is not None:
        indicator_age = age_of_refresh("", view.indicator_age_ms, indicator.refresh_ms)
    return {
        "id": "/".join(position.key),
        "venue": position.venue,
        "contract": position.name,
        "side": position.side,
        "quantity": decimal_text(position.quantity),
        "indicator": view.fifth or None,
        "raw": (view.place or "not observed")
        if indicator is None
        else f"{indicator.raw} ({indicator.scale})",
        **_age(indicator_age, stale=view.stale),
    }


def _age(text: str, *, stale: bool) -> Row:
    return {"age": f"STALE: {text}" if stale else text, "age_kind": "stale" if stale else "calm"}


def _state(contract: ContractView | None) -> Row:
    if contract is None:
        return {"state": NOTHING, "state_kind": "none", "risk": NOTHING}
    state, risk = str(contract.status.state), contract.risk
    label = contract.status.label
    risk_text = NOTHING if risk is None else f"{RISKS[risk.level - 1]} ({risk.raw})"
    return {"state": label, "state_kind": state, "risk": risk_text}


def _distances(contract: ContractView | None) -> Row:
    if contract is None or contract.drawdown is None:
        return {"ratio": None, "start": NOTHING, "stop": NOTHING}
    start, stop = contract.distances
    return {"ratio": str(contract.drawdown.pnl_ratio), "start": start, "stop": stop}


def contracts(view: WatchView) -> Iterator[Row]:
    """Yield one row a contract: its state with the reason, and the age of each number."""
    for contract in view.contracts:
        status = contract.status
        yield {
            "id": f"{status.venue}/{status.contract}",
            "venue": status.venue,
            "contract": status.contract,
            "for": age(view.time_ms - status.since_ms),
            "ages": contract.ages,
            "why": status.reason,
            **_state(contract),
            **_distances(contract),
        }


def advice(view: WatchView) -> Iterator[Row]:
    """Yield rows of options for each position; a ratio of scores below 1 is further back."""
    for position_view in view.positions:
        position = position_view.position
        name = f"{position.venue} {position.name} {position.side}"
        rows = _options(position_view.advice) if position_view.advice else ()
        for place, row in enumerate(rows):
            yield {"id": f"{name}/{place}", "position": "" if place else name, **row}


def _options(found: Advice) -> Iterator[Row]:
    yield {
        "change": f"unchanged, by {found.rules} rules",
        "score": _score(found.score),
        "times": None,
        "note": found.formula,
    }
    for option in found.options:
        yield {
            "change": option.change,
            "score": _score(option.score),
            "times": None if option.score_ratio is None else f"{option.score_ratio:.2f}",
            "note": option.note,
        }


def _score(score: float | None) -> str | None:
    return None if score is None else f"{score:.4g}"


def unknown(view: WatchView) -> str:
    """Return HTML of what only the venues know, each text once, with the venues it applies to."""
    venues_of: dict[str, dict[str, None]] = {}
    for position_view in view.positions:
        for text in position_view.advice.unknown if position_view.advice else ():
            venues_of.setdefault(text, {})[position_view.position.venue] = None
    lines = [f"{', '.join(venues)}: {text}" for text, venues in venues_of.items()]
    return f"Unknown:<ul>{_items(lines)}</ul>" if lines else ""


def deliveries(found: Sequence[AlertDelivery]) -> Iterator[Row]:
    """Yield one row a delivery of an alert."""
    for delivery in found:
        yield {
            "id": delivery.id,
            "time": utc(delivery.created_ms),
            "channel": delivery.channel,
            "state": delivery.state,
            "state_kind": _DELIVERY_COLORS.get(delivery.state, "none"),
            "attempts": str(delivery.attempts),
            "text": delivery.alert.text,
            "error": delivery.error,
        }


def fills(view: WatchView) -> Iterator[Row]:
    """Yield one row an ADL fill of the account, newest first."""
    for fill in view.fills:
        yield {
            "id": "/".join(fill.key),
            "time": utc(fill.venue_time_ms),
            "venue": fill.venue,
            "contract": fill.name,
            "side": fill.side,
            "quantity": decimal_text(fill.quantity),
            "price": None if fill.price is None else decimal_text(fill.price),
            "cost": summary(fill),
            "why": fill.why,
        }


def pools(view: WatchView) -> Iterator[Row]:
    """Yield one row an insurance fund."""
    yield from map(_pool, view.pools)


def _pool(view: PoolView) -> Row:
    pool = view.pool
    return {
        "id": "/".join(pool.key),
        "venue": pool.venue,
        "pool": pool.name,
        "balance": decimal_text(pool.balance),
        "asset": pool.asset,
        "drawdown": f"{view.drawdown_percent:.1f}",
        **_age(age_of_refresh("", view.age_ms, pool.refresh_ms), stale=view.stale),
    }


def sources(view: WatchView) -> Iterator[Row]:
    """Yield one row a source: its last answer, its next request and its error."""
    for venue in view.venues:
        for source in venue.sources:
            row = _source(source, view.time_ms)
            yield {"id": f"{venue.venue}/{source.name}", "venue": venue.venue} | row


def _source(source: SourceView, now_ms: int) -> Row:
    failure, answered_ms = source.failure, source.answered_ms
    next_ms = failure.retry_ms if failure else source.due_ms
    is_stream = not source.interval_ms
    if failure:
        state, color = str(failure.kind), "adl"
    elif is_stream:
        state, color = "connected", "calm"
    elif answered_ms is None:
        state, color = "not polled yet", "none"
    else:
        state, color = "answers", "calm"
    return {
        "source": source.name,
        "last": NOTHING if answered_ms is None else f"{age(now_ms - answered_ms)} ago",
        "next": "stream" if is_stream and not failure else age(max(0, next_ms - now_ms)),
        "every": "streamed" if is_stream else age(source.interval_ms),
        "weight": None if is_stream else str(source.weight),
        "state": state,
        "state_kind": color,
        "text": f"for {age(now_ms - failure.since_ms)}: {failure.text}" if failure else "",
    }


def banners(view: WatchView) -> str:
    """Return HTML of active alerts and of errors, or one line that there are none."""
    lines_of: dict[str, list[str]] = {}
    for alert in view.alerts:
        line = f"{alert.text} (for {age(view.time_ms - alert.since_ms)})"
        lines_of.setdefault(alert.rule, []).append(line)
    for failure in view.failures:
        since = age(view.time_ms - failure.since_ms)
        retry = age(max(0, failure.retry_ms - view.time_ms))
        line = f"{failure.source}: {failure.text} (for {since}, retry in {retry})"
        lines_of.setdefault(f"{failure.venue}: {humanize(failure.kind)}", []).append(line)
    if not lines_of:
        return '<div class="banner"><b>No alert is active, and every source can be read.</b></div>'
    return "".join(_banner(title, lines) for title, lines in lines_of.items())


def _banner(title: str, lines: Sequence[str]) -> str:
    return f'<div class="banner banner-watch"><b>{escape(title)}</b><ul>{_items(lines)}</ul></div>'


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in lines)


def budgets(view: WatchView) -> str:
    """Return HTML of the used part of each venue's rate limit and of its clock's difference."""
    return pairs({venue.venue: escape(_budget(venue)) for venue in view.venues})


def _budget(venue: VenueView) -> str:
    used = f"{venue.used} of {venue.limit} in {age(venue.window_ms)}"
    key = "reads the account" if venue.keyed else "no key: public numbers only"
    return f"{used}; clock {venue.skew_ms:+} ms; {key}"
