"""The watch as tables for a terminal, by rich: each number with its age, what is stale marked."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from delever.watch.scale import RISKS
from delever.watch.view import (
    Advice,
    ContractView,
    PositionView,
    SourceView,
    VenueView,
    View,
    against,
    age,
)

STYLES = {"calm": "green", "watch": "yellow", "adl": "bold red", "stopped": "cyan", "stale": "dim"}
INDICATORS = 5


def screen(view: View) -> RenderableType:
    """Return everything that there is to see."""
    at = datetime.fromtimestamp(view.time_ms / 1000, UTC)
    parts: list[RenderableType] = [Text(f"delever watch {at:%Y-%m-%d %H:%M:%S} UTC", "bold")]
    parts += [_positions(view), _contracts(view)]
    parts += [_alerts(view), _fills(view), _options(view), _pools(view), _venues(view)]
    return Group(*[part for part in parts if not isinstance(part, Table) or part.row_count])


def indicators(indicator: int) -> str:
    """Return a indicator as dots and a number, readable without colours."""
    return f"{'●' * indicator}{'○' * (INDICATORS - indicator)} {indicator}"


def _table(title: str, columns: Iterable[str]) -> Table:
    from rich import box  # noqa: PLC0415 - beside its only use

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _add(table: Table, cells: Iterable[str | Text], style: str = "") -> None:
    """Add a row as it is: what venues and users write is no markup."""
    table.add_row(*(Text(c) if isinstance(c, str) else c for c in cells), style=style)


def _positions(view: View) -> Table:
    columns = ("venue", "contract", "side", "quantity", "indicator", "venue's value", "age")
    table = _table("Positions", columns)
    for held in view.positions:
        _add(table, _position(held), style="dim" if held.stale else "")
    return table


def _position(held: PositionView) -> Sequence[str]:
    position, indicator = held.position, held.indicator
    shown = (
        [indicators(indicator.indicator), f"{indicator.raw} ({indicator.scale})"]
        if indicator
        else ["?", "not read"]
    )
    late = " STALE" if held.stale else ""
    old = against("", held.indicator_age_ms or 0, indicator.cadence_ms) if indicator else age(None)
    return [
        position.venue,
        position.name,
        position.side,
        f"{position.quantity.normalize():f}",
        *shown,
        old + late,
    ]


def _options(view: View) -> Table:
    """Return what could be done about each position: then / now below 1 is further back in line."""
    columns = ("venue", "contract", "side", "what can I do", "score", "then / now", "note")
    table = _table("What can I do (every other account as it is)", columns)
    for held in view.positions:
        if held.advice is not None:
            name = (held.position.venue, held.position.name, held.position.side)
            for place, row in enumerate(_advice(held.advice)):
                _add(table, (*(name if place == 0 else ("", "", "")), *row))
    return table


def _advice(advice: Advice) -> Iterable[Sequence[str]]:
    now = "?" if advice.score is None else f"{advice.score:.4g}"
    yield [f"as it is, by {advice.rules} rules", now, "", advice.formula]
    for option in advice.options:
        score = "" if option.score is None else f"{option.score:.4g}"
        times = "" if option.times is None else f"{option.times:.2f}"
        yield [option.change, score, times, option.note]
    for unknown in advice.unknown:
        yield ["not known from outside", "", "", unknown]


def _contracts(view: View) -> Table:
    columns = ("venue", "contract", "state", "for", "risk", "profit ratio", "to start", "to stop")
    table = _table("Contracts", (*columns, "age", "why"))
    for contract in view.contracts:
        _add(table, _contract(contract, view.time_ms))
    return table


def _contract(contract: ContractView, now_ms: int) -> Sequence[str | Text]:
    situation, risk, drawdown = contract.situation, contract.risk, contract.drawdown
    return [
        situation.venue,
        situation.contract,
        Text(situation.state.upper(), STYLES[situation.state]),
        age(now_ms - situation.since_ms),
        "" if risk is None else f"{RISKS[risk.level - 1]} ({risk.raw})",
        "" if drawdown is None else str(drawdown.pnl_ratio),
        *contract.distances,
        contract.ages,
        situation.why,
    ]


def _alerts(view: View) -> Table:
    title = "Rules that hold" + (f" ({view.undelivered} not delivered)" if view.undelivered else "")
    table = _table(title, ("rule", "for", "what"))
    for alert in view.alerts:
        _add(table, (alert.rule, age(view.time_ms - alert.since_ms), alert.text))
    return table


def _fills(view: View) -> Table:
    table = _table(
        "ADL fills of the account", ("venue", "contract", "side", "quantity", "price", "ago")
    )
    for fill in view.fills:
        price = "" if fill.price is None else f"{fill.price.normalize():f}"
        quantity = f"{fill.quantity.normalize():f}"
        row = (fill.venue, fill.name, fill.side, quantity, price, age(fill.age_ms(view.time_ms)))
        _add(table, row)
    return table


def _pools(view: View) -> Table:
    columns = ("venue", "pool", "balance", "asset", "below its peak", "age")
    table = _table("Insurance pools", columns)
    for shown in view.pools:
        pool = shown.pool
        late = " STALE" if shown.stale else ""
        fell = f"{shown.fall_percent:.1f} %"
        money = f"{pool.balance.normalize():f}"
        old = age(shown.age_ms) + late
        _add(table, (pool.venue, pool.name, money, pool.asset, fell, old))
    return table


def _venues(view: View) -> Table:
    table = _table("Venues", ("venue", "budget", "clock", "source", "last", "next", "trouble"))
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
    fault = source.fault
    due = "streams" if not source.due_ms else age(max(0, source.due_ms - now_ms))
    trouble = f"{fault.kind} for {age(now_ms - fault.since_ms)}: {fault.text}" if fault else ""
    if fault:
        due = age(max(0, fault.retry_ms - now_ms))
    return [source.name, age(answered), due, trouble]
