"""A watch as rich tables for a terminal: each value with its age, stale values marked."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from delever.watch.market_data.fill_details import summary
from delever.watch.market_data.indicator_scale import RISKS
from delever.watch.screen.view import (
    Advice,
    ContractView,
    PositionView,
    SourceView,
    VenueView,
    WatchView,
    age,
    age_of_refresh,
)

STYLES = {"calm": "green", "watch": "yellow", "adl": "bold red", "stopped": "cyan", "stale": "dim"}
MAX_INDICATOR = 5


def screen(view: WatchView) -> RenderableType:
    """Return all tables that have rows."""
    at = datetime.fromtimestamp(view.time_ms / 1000, UTC)
    parts: list[RenderableType] = [Text(f"delever watch {at:%Y-%m-%d %H:%M:%S} UTC", "bold")]
    parts += [_alerts(view), _fills(view), _positions(view), _contracts(view)]
    parts += [_options(view), _pools(view), _venues(view)]
    return Group(*[part for part in parts if not isinstance(part, Table) or part.row_count])


def dots(indicator: int) -> str:
    """Return an indicator as dots and a number, readable without colors."""
    return f"{'●' * indicator}{'○' * (MAX_INDICATOR - indicator)} {indicator}"


def _table(title: str, columns: Iterable[str]) -> Table:
    from rich import box  # noqa: PLC0415 - beside its only use

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _add(table: Table, cells: Iterable[str | Text], style: str = "") -> None:
    """Add a row without markup: its text is from venues and users."""
    table.add_row(*(Text(c) if isinstance(c, str) else c for c in cells), style=style)


def _positions(view: WatchView) -> Table:
    columns = ("venue", "contract", "side", "quantity", "indicator", "venue's value", "age")
    table = _table("Positions", columns)
    for row in view.positions:
        _add(table, _position(row), style="dim" if row.stale else "")
    return table


def _position(row: PositionView) -> Sequence[str]:
    position, indicator = row.position, row.indicator
    indicator_cells = (
        [dots(indicator.indicator), f"{indicator.raw} ({indicator.scale})"]
        if indicator
        else [dots(row.fifth) if row.fifth else "?", row.place or "not observed"]
    )
    late = " STALE" if row.stale else ""
    old = (
        age_of_refresh("", row.indicator_age_ms or 0, indicator.refresh_ms)
        if indicator
        else age(row.age_ms)
    )
    return [
        position.venue,
        position.name,
        position.side,
        f"{position.quantity.normalize():f}",
        *indicator_cells,
        old + late,
    ]


def _options(view: WatchView) -> Table:
    """Return the options of each position: a score ratio below 1 is further back in the queue."""
    columns = ("venue", "contract", "side", "option", "score", "score ratio", "note")
    table = _table("Options (all other accounts unchanged)", columns)
    for position in view.positions:
        if position.advice is not None:
            observed = position.position
            name = (observed.venue, observed.name, observed.side)
            for place, row in enumerate(_advice(position.advice)):
                _add(table, (*(name if place == 0 else ("", "", "")), *row))
    return table


def _advice(advice: Advice) -> Iterable[Sequence[str]]:
    now = "?" if advice.score is None else f"{advice.score:.4g}"
    yield [f"unchanged, by {advice.rules} rules", now, "", advice.formula]
    for option in advice.options:
        score = "" if option.score is None else f"{option.score:.4g}"
        times = "" if option.score_ratio is None else f"{option.score_ratio:.2f}"
        yield [option.change, score, times, option.note]
    for unknown in advice.unknown:
        yield ["unknown", "", "", unknown]


def _contracts(view: WatchView) -> Table:
    columns = ("venue", "contract", "state", "for", "risk", "PnL ratio", "to start", "to stop")
    table = _table("Contracts", (*columns, "age", "reason"))
    for contract in view.contracts:
        _add(table, _contract(contract, view.time_ms))
    return table


def _contract(contract: ContractView, now_ms: int) -> Sequence[str | Text]:
    status, risk, drawdown = contract.status, contract.risk, contract.drawdown
    return [
        status.venue,
        status.contract,
        Text(status.label.upper(), STYLES[status.state]),
        age(now_ms - status.since_ms),
        "" if risk is None else f"{RISKS[risk.level - 1]} ({risk.raw})",
        "" if drawdown is None else str(drawdown.pnl_ratio),
        *contract.distances,
        contract.ages,
        status.reason,
    ]


def _alerts(view: WatchView) -> Table:
    title = "Active alerts" + (f" ({view.undelivered} not delivered)" if view.undelivered else "")
    table = _table(title, ("rule", "for", "alert"))
    for alert in view.alerts:
        _add(table, (alert.rule, age(view.time_ms - alert.since_ms), alert.text))
    return table


def _fills(view: WatchView) -> Table:
    columns = ("venue", "contract", "side", "quantity", "price", "time (UTC)", "cost", "why me")
    table = _table("ADL fills of the account", columns)
    for fill in view.fills:
        price = "" if fill.price is None else f"{fill.price.normalize():f}"
        quantity = f"{fill.quantity.normalize():f}"
        at = f"{datetime.fromtimestamp(fill.venue_time_ms / 1000, UTC):%m-%d %H:%M:%S}"
        row = (fill.venue, fill.name, fill.side, quantity, price, at, summary(fill), fill.why)
        _add(table, row)
    return table


def _pools(view: WatchView) -> Table:
    columns = ("venue", "fund", "balance", "asset", "below peak", "age")
    table = _table("Insurance funds", columns)
    for row in view.pools:
        pool = row.pool
        late = " STALE" if row.stale else ""
        drawdown = f"{row.drawdown_percent:.1f} %"
        balance = f"{pool.balance.normalize():f}"
        old = age(row.age_ms) + late
        _add(table, (pool.venue, pool.name, balance, pool.asset, drawdown, old))
    return table


def _venues(view: WatchView) -> Table:
    table = _table("Venues", ("venue", "budget", "clock", "source", "last", "next", "failure"))
    for venue in view.venues:
        for place, source in enumerate(venue.sources):
            first = _venue(venue) if place == 0 else ("", "", "")
            _add(table, (*first, *_source(source, view.time_ms)))
    return table


def _venue(venue: VenueView) -> Sequence[str]:
    name = venue.venue + ("" if venue.keyed else " (no key)")
    window = age(venue.window_ms)
    return [name, f"{venue.used}/{venue.limit} in {window}", f"{venue.skew_ms:+} ms"]


def _source(source: SourceView, now_ms: int) -> Sequence[str]:
    answered = None if source.answered_ms is None else now_ms - source.answered_ms
    failure = source.failure
    due = "stream" if not source.due_ms else age(max(0, source.due_ms - now_ms))
    text = f"{failure.kind} for {age(now_ms - failure.since_ms)}: {failure.text}" if failure else ""
    if failure:
        due = age(max(0, failure.retry_ms - now_ms))
    return [source.name, age(answered), due, text]
