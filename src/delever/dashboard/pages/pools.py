"""Insurance pools: what they have, how far they ever fell, and what went in and out and why."""

import csv
import io
from collections.abc import Sequence
from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.history import PoolDetail, PoolFlow, PoolHistoryPoint
from delever.api_types.market import PoolResponse
from delever.dashboard.charts.contract_history import window
from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GREY,
    RED,
    level_line,
    pixels,
    steps,
    time_charts,
    with_levels,
)
from delever.dashboard.components.frame import View, grid, html, panel
from delever.dashboard.components.operator_actions import FUNDING_REASONS, Action, action_button
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import Source
from delever.dashboard.format import grouped, percent, utc, words

POINTS = 1_000
"""Points that are drawn."""

DOWNLOADED = 10_000
"""Points, and flows, of a file; what has more points is thinned, with every extreme kept."""

HISTORY_S = 5.0

_LIST = (
    Column("pool", "Pool", "link"),
    Column("kind", "Kind"),
    Column("rules", "Rules"),
    Column("asset", "Asset"),
    Column("balance", "Balance", "number"),
    Column("equity", "Equity", "number"),
    Column("peak", "Rolling peak", "number"),
    Column("drawdown", "Drawdown %", "number"),
    Column("cut", "Withdrawals cut %", "number"),
    Column("members", "Contracts"),
)

_FLOWS = (
    Column("time", "Time (UTC)"),
    Column("amount", "Amount", "number"),
    Column("reason", "Reason"),
    Column("contract", "Contract"),
    Column("note", "Note"),
    Column("sequence", "Sequence", "number"),
)


async def show_all(source: Source) -> None:
    """List every pool."""
    view = View(source, "Insurance pools", "/pools")
    with view.body, grid(), panel("Pools", about="click a heading to sort"):
        pools = table(_LIST, [], "pool")
    await view.connect()

    async def refresh() -> None:
        found = await view.source.pools()
        if found:
            view.as_of(found[0].as_of, found[0].time_ms)
        pools.rows = [_row(view, pool) for pool in found]

    await view.every(refresh)


async def show(source: Source, pool: str) -> None:
    """Show one pool."""
    view = View(source, f"Pool {pool}", "/pools")

    async def download() -> None:
        history = await view.source.pool_history(pool, limit=DOWNLOADED)
        ui.download.content(_csv(history.points), f"{pool}.csv", "text/csv")

    async def download_flows() -> None:
        history = await view.source.pool_history(pool, limit=DOWNLOADED)
        ui.download.content(_flows_csv(history.flows), f"{pool}-flows.csv", "text/csv")

    with view.body, grid():
        with panel("History", "wide", about="balance, equity, and the fall from the peak so far"):
            chart = ui.echart(time_charts(["", ""], [])).style(f"height: {pixels(2)}px")
        with panel("Now", "slim"):
            now = html()
            action_button(view, _fund(pool))
        with panel("In- and outflows"):
            flows = table(_FLOWS, [], "id")
            with ui.element("div").classes("bits"):
                for label, action in (
                    ("Download history as CSV", download),
                    ("Download in- and outflows as CSV", download_flows),
                ):
                    button = ui.button(label, on_click=partial(view.attempt, action))
                    button.props("flat dense no-caps")
    await view.connect()

    async def refresh() -> None:
        detail = await view.source.pool(pool)
        view.as_of(detail.as_of, detail.time_ms)
        now.set_content(_now(view, detail))

    async def remember() -> None:
        history = await view.source.pool_history(pool, limit=POINTS)
        chart.options.update(_drawn(history.points))
        chart.update()
        flows.rows = [_flow(flow) for flow in reversed(history.flows)]

    await view.every(refresh)
    await view.every(remember, HISTORY_S)


def _row(view: View, pool: PoolResponse) -> dict[str, Any]:
    return {
        "pool": pool.pool,
        "pool_href": view.pool(pool.pool),
        "kind": words(pool.kind),
        "rules": pool.rules,
        "asset": pool.asset,
        "balance": pool.balance,
        "equity": pool.equity,
        "peak": pool.balance_peak,
        "drawdown": percent(pool.drawdown_ppm).removesuffix(" %"),
        "cut": percent(pool.withdrawal_haircut_ppm).removesuffix(" %"),
        "members": ", ".join(pool.members),
    }


def _now(view: View, pool: PoolDetail) -> str:
    members = ", ".join(
        f'<a href="{view.contract(name)}">{escape(name)}</a>' for name in pool.members
    )
    pairs = {
        f"balance, {pool.asset}": grouped(pool.balance),
        "equity": grouped(pool.equity),
        f"balance, {window(pool.peak_window_ms)} peak": grouped(pool.balance_peak),
        "drawdown now": percent(pool.drawdown_ppm),
        "worst of 1 day": percent(pool.worst_drawdown_1d_ppm),
        "worst of 30 days": percent(pool.worst_drawdown_30d_ppm),
        "worst ever": percent(pool.worst_drawdown_ppm),
        "withdrawals cut": percent(pool.withdrawal_haircut_ppm),
        "rules": escape(pool.rules),
        "contracts": members,
    }
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in pairs.items())
    return f'<dl class="pairs">{rows}</dl>'


def _fund(pool: str) -> Action:
    return Action(
        label="Fund or withdraw",
        confirm=pool,
        fixed={"type": "fund_pool", "pool": pool},
        asked={"amount": "amount (negative: taken out)"},
        chosen={"reason": FUNDING_REASONS},
    )


def _drawn(past: Sequence[PoolHistoryPoint]) -> dict[str, Any]:
    balance = [(each.time_ms, float(each.balance)) for each in past]
    equity = [(each.time_ms, float(each.equity)) for each in past]
    peak = [(each.time_ms, float(each.balance_peak)) for each in past]
    fall = _falls(equity)
    money = with_levels(steps("balance", balance, BLUE), [level_line(0, "0: empty", GREY)])
    values = [0.0, *(value for _, value in (*balance, *peak, *equity))]
    series = [
        money,
        steps("peak balance", peak, GREY, line="dashed"),
        steps("equity", equity, AMBER),
        steps("drawdown %", fall, RED, grid=1),
    ]
    least = min((value for _, value in fall), default=0.0)
    spans = ((min(values), max(values)), (min(least, -1.0), 0.0))
    return time_charts(["Balance and equity", "Equity below its highest so far, %"], series, spans)


def _falls(equity: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return by how many percent each value lies below the highest before it."""
    falls, peak = [], 0.0
    for time_ms, value in equity:
        peak = max(peak, value)
        falls.append((time_ms, round(100 * (value - peak) / peak, 4) if peak > 0 else 0.0))
    return falls


def _flow(flow: PoolFlow) -> dict[str, Any]:
    return {
        "id": f"{flow.sequence}/{flow.amount}/{flow.reason}",
        "time": utc(flow.time_ms),
        "amount": flow.amount,
        "reason": words(flow.reason),
        "contract": flow.contract or "-",
        "note": flow.note,
        "sequence": flow.sequence,
    }


def _flows_csv(flows: Sequence[PoolFlow]) -> bytes:
    """Return in- and outflows, exact, with their reasons."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    names = ("sequence", "time_ms", "amount", "reason", "contract", "note")
    writer.writerow(names)
    writer.writerows([getattr(flow, name) for name in names] for flow in flows)
    return written.getvalue().encode()


def _csv(past: Sequence[PoolHistoryPoint]) -> bytes:
    """Return points as rows, to the last digit."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    contracts = sorted({name for each in past for name in each.contract_pnl})
    writer.writerow(["sequence", "time_ms", "balance", "equity", "balance_peak", *contracts])
    for each in past:
        profits = [each.contract_pnl.get(name, "") for name in contracts]
        money = [each.balance, each.equity, each.balance_peak]
        writer.writerow([each.sequence, each.time_ms, *money, *profits])
    return written.getvalue().encode()
