"""Insurance funds: balance, equity and drawdown, and in- and outflows with their reasons."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.history import PoolDetail, PoolFlow, PoolHistoryPoint
from delever.api_types.market import PoolResponse
from delever.dashboard.charts.pool_history import pool_history_charts
from delever.dashboard.charts.time_series import charts_height
from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.components.operator_actions import (
    FUNDING_REASONS,
    LIMITS,
    OperatorAction,
    action_button,
    typed_amount,
)
from delever.dashboard.components.table import Column, set_labels, table
from delever.dashboard.data.api_client import ApiClient
from delever.dashboard.format import (
    NOTHING,
    grouped,
    humanize,
    money,
    pairs,
    percent,
    utc,
    window_length,
)
from delever.formatting import decimal_text

CHART_POINTS = 1_000
"""Points of the chart."""

FILE_POINTS = 10_000
"""Most points, and flows, of a downloaded file; a longer history is thinned, extremes stay."""

HISTORY_REFRESH_S = 5.0

_POOLS = (
    Column("pool", "Insurance fund", "link"),
    Column("kind", "Kind"),
    Column("rules", "Rules"),
    Column("asset", "Asset"),
    Column("balance", "Balance", "money"),
    Column("equity", "Equity", "money"),
    Column("unfunded", "Unfunded", "money"),
    Column("peak", "Peak balance", "money"),
    Column("drawdown", "Drawdown, %", "number"),
    Column("cut", "Withdrawals cut, %", "number"),
    Column("collateral", "Collateral"),
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


async def show_all(client: ApiClient) -> None:
    """Build the list of all insurance funds."""
    frame = PageFrame(client, "Insurance funds", "/pools")
    with frame.body, grid(), panel("Insurance funds", about="click a heading to sort"):
        pools = table(_POOLS, [], "pool")
    await frame.connect()

    async def refresh() -> None:
        found = await frame.client.pools()
        if found:
            frame.as_of(found[0].as_of, found[0].time_ms)
        pools.rows = [_row(frame, pool) for pool in found]

    await frame.every(refresh)


async def show(client: ApiClient, pool: str) -> None:
    """Build the page of one insurance fund."""
    frame = PageFrame(client, f"Insurance fund {pool}", "/pools")

    async def download_history() -> None:
        history = await frame.client.pool_history(pool, limit=FILE_POINTS)
        ui.download.content(_points_csv(history.points), f"{pool}.csv", "text/csv")

    async def download_flows() -> None:
        history = await frame.client.pool_history(pool, limit=FILE_POINTS)
        ui.download.content(_flows_csv(history.flows), f"{pool}-flows.csv", "text/csv")

    with frame.body, grid():
        with panel("History", "wide", about="balance, equity and drawdown"):
            chart = ui.echart(pool_history_charts([])).style(f"height: {charts_height(2)}px")
        with panel("Now", "slim"):
            now = html()
            action_button(frame, _fund_action(pool))
            action_button(frame, _amend_action(pool))
        with panel("In- and outflows"):
            flows = table(_FLOWS, [], "id")
            with ui.element("div").classes("bits"):
                for label, action in (
                    ("Download history as CSV", download_history),
                    ("Download in- and outflows as CSV", download_flows),
                ):
                    button = ui.button(label, on_click=partial(frame.attempt, action))
                    button.props("flat dense no-caps")
    await frame.connect()

    async def known() -> dict[str, str]:
        return {each.pool: frame.pool_url(each.pool) for each in await frame.client.pools()}

    if not await frame.exists("insurance fund", pool, frame.client.pool(pool), known):
        return

    async def refresh() -> None:
        detail = await frame.client.pool(pool)
        frame.as_of(detail.as_of, detail.time_ms)
        now.set_content(_now(frame, detail))
        set_labels(flows, amount=f"Amount, {detail.asset}")

    async def refresh_history() -> None:
        history = await frame.client.pool_history(pool, limit=CHART_POINTS)
        chart.options.update(pool_history_charts(history.points))
        chart.update()
        flows.rows = [_flow_row(flow) for flow in reversed(history.flows)]

    await frame.every(refresh)
    await frame.every(refresh_history, HISTORY_REFRESH_S)


def _row(frame: PageFrame, pool: PoolResponse) -> dict[str, Any]:
    return {
        "pool": pool.pool,
        "pool_href": frame.pool_url(pool.pool),
        "kind": humanize(pool.kind),
        "rules": pool.rules,
        "asset": pool.asset,
        "balance": pool.balance,
        "equity": pool.equity,
        "unfunded": pool.unfunded,
        "peak": pool.balance_peak,
        "drawdown": percent(pool.drawdown_ppm).removesuffix(" %"),
        "cut": percent(pool.withdrawal_haircut_ppm).removesuffix(" %"),
        "collateral": ", ".join(f"{held.quantity} {held.asset}" for held in pool.collateral),
        "members": ", ".join(pool.members),
    }


def _now(frame: PageFrame, pool: PoolDetail) -> str:
    members = ", ".join(
        f'<a href="{frame.contract_url(name)}">{escape(name)}</a>' for name in pool.members
    )
    peak = f"{window_length(pool.peak_window_ms)} peak balance"
    return pairs(
        {
            f"balance, {pool.asset}": grouped(pool.balance),
            f"equity, {pool.asset}": grouped(pool.equity),
            f"unfunded, {pool.asset}": grouped(pool.unfunded),
            peak: grouped(pool.balance_peak),
            f"equity below {peak}, now": percent(pool.drawdown_ppm),
            "equity below its highest, worst of 1 day": percent(pool.worst_drawdown_1d_ppm),
            "equity below its highest, worst of 30 days": percent(pool.worst_drawdown_30d_ppm),
            "equity below its highest, worst ever": percent(pool.worst_drawdown_ppm),
            "withdrawals cut": percent(pool.withdrawal_haircut_ppm),
            "rules": escape(pool.rules),
            "contracts": members,
        }
    )


def _fund_action(pool: str) -> OperatorAction:
    return OperatorAction(
        label="Fund or withdraw",
        confirm=pool,
        fixed={"type": "fund_pool", "pool": pool},
        inputs={"amount": "amount (negative: withdrawn)"},
        choices={"reason": FUNDING_REASONS},
        preview=_preview_funding,
    )


async def _preview_funding(client: ApiClient, command: Mapping[str, Any]) -> str:
    """Return balance and equity before and after."""
    now = await client.pool(command["pool"])
    amount = typed_amount(command["amount"])
    if amount is None:
        return f"Balance {money(now.balance)} {escape(now.asset)}; enter an amount."
    changes = (
        f"{name} {money(before)} → {money(decimal_text(Decimal(before) + amount))}"
        for name, before in (("balance", now.balance), ("equity", now.equity))
    )
    return f"{', '.join(changes)} {escape(now.asset)}."


def _amend_action(pool: str) -> OperatorAction:
    rules = {
        "rules": "new rule set",
        "max_slippage": "new maximum slippage, 0.025 is 2.5 %",
        "peak_window_ms": "new window of peaks, ms",
    }
    inputs = rules | LIMITS
    return OperatorAction(
        label="Amend rules",
        confirm=pool,
        fixed={"type": "amend_pool", "pool": pool},
        inputs=inputs,
        integers=frozenset({"peak_window_ms", "limits.wait_ms"}),
        optional=frozenset(inputs),
    )


def _flow_row(flow: PoolFlow) -> dict[str, Any]:
    return {
        "id": f"{flow.sequence}/{flow.amount}/{flow.reason}",
        "time": utc(flow.time_ms),
        "amount": flow.amount,
        "reason": humanize(flow.reason),
        "contract": flow.contract or NOTHING,
        "note": flow.note,
        "sequence": flow.sequence,
    }


def _points_csv(points: Sequence[PoolHistoryPoint]) -> bytes:
    """Return a fund's points with the contract PnL of each member, exact, as CSV."""
    contracts = sorted({name for point in points for name in point.contract_pnl})
    header = ["sequence", "time_ms", "balance", "equity", "balance_peak"]
    rows = (
        [getattr(point, name) for name in header]
        + [point.contract_pnl.get(name, "") for name in contracts]
        for point in points
    )
    return _csv([*header, *contracts], rows)


def _flows_csv(flows: Sequence[PoolFlow]) -> bytes:
    """Return in- and outflows, exact, with their reasons, as CSV."""
    header = ["sequence", "time_ms", "amount", "reason", "contract", "note"]
    return _csv(header, ([getattr(flow, name) for name in header] for flow in flows))


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
