"""One contract: what would start ADL, how far it is, and who would be closed."""

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from time import monotonic
from typing import Any

from nicegui import ui

from delever.api_types.market import ContractResponse, PoolResponse, RatingResponse, TriggerResponse
from delever.dashboard.charts.contract_history import MOMENTS, NAMES, Past, window
from delever.dashboard.charts.time_series import curve, pixels, time_charts
from delever.dashboard.components.frame import View, grid, html, panel
from delever.dashboard.components.operator_actions import Action, action_button
from delever.dashboard.components.queue_table import Ladder
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import Source
from delever.dashboard.format import (
    STATES,
    banner,
    grouped,
    loss_room,
    percent,
    plain,
    state_of,
    utc,
    words,
)
from delever.lab.queries.risk_tables import input_value

LADDER_S, RATING_S, PAST_S, DRAWN_S = 2.0, 30.0, 60.0, 5.0
"""How often each is asked for; a chart on which nothing has changed is drawn less often."""

_PARTS = (Column("input", "Input"), Column("value", "Value"), Column("points", "Points", "number"))


async def show(
    source: Source,
    contract: str,
    side: str = "short",
    offset: int = 0,
    account: str = "",
    range: str = "8h",  # noqa: A002 - its name in the address
) -> None:
    """Show a contract; `side`, `offset` and `account` say which page of its ladder.

    `range` is how much of the past is drawn.
    """
    view = View(source, contract, "/contracts")
    with view.body:
        head = html()
        with grid():
            with panel("Pool and profit", "wide", about="one cursor; times in UTC"):
                charts = _Charts(view, contract, range)
            with panel("How far from ADL", "slim"):
                distance = html()
                with ui.element("div").classes("bits"):
                    for action in _actions(contract):
                        action_button(view, action)
        ladder = Ladder(view, contract, side, offset, account)
        with grid():
            with panel("Price → ADL", "half", about="what a move of the mark would leave for ADL"):
                curved = ui.echart(curve([])).style("height: 260px")
                ui.label(
                    "From the contract's last rating: depth as told, every account closed at the "
                    "worst price within the pool's slippage."
                ).classes("note")
            with panel("ADL risk taken apart", "half"):
                level_shown = html()
                parts = table(_PARTS, [], "input")
    await view.connect()

    async def refresh() -> None:
        now = await view.source.contract(contract)
        pool = next(each for each in await view.source.pools() if each.pool == now.pool)
        view.as_of(now.as_of, now.time_ms)
        head.set_content(_head(view, now))
        distance.set_content(_distance(now, pool))
        await charts.follow(now, pool)

    async def rate() -> None:
        rating = await view.source.rating(contract)
        if rating is not None:
            level_shown.set_content(_level(rating))
            curved.options.update(curve(_moves(rating)))
            curved.update()
            parts.rows = _parts(rating)

    await view.every(refresh)
    await view.every(ladder.refresh, LADDER_S)
    await view.every(rate, RATING_S)


class _Charts:
    """The pool and the contract over the range chosen; asked for now and then, followed between."""

    def __init__(self, view: View, contract: str, chosen: str) -> None:
        self._view, self._contract = view, contract
        self._past = Past(chosen)
        self._asked_s = self._drawn_s = -PAST_S
        with ui.element("div").classes("bits"):
            ui.label("Range").classes("quiet")
            ranges = ui.toggle(NAMES, value=self._past.range, on_change=self._turn)
            ranges.props("dense no-caps unelevated")
        self._chart = ui.echart(time_charts(["", ""], [])).style(f"height: {pixels(2)}px")

    async def follow(self, contract: ContractResponse, pool: PoolResponse) -> None:
        """Take up what is now, and what was wherever it is time to ask for it."""
        now_s, past = monotonic(), self._past
        if now_s - self._asked_s >= PAST_S or past.is_long:
            self._asked_s, self._drawn_s = now_s, -PAST_S
            moments = await self._view.source.contract_history(
                self._contract, from_ms=past.from_ms(contract), limit=MOMENTS
            )
            past.begin(contract, moments)
        changed = past.add(contract, pool)
        if changed or now_s - self._drawn_s >= DRAWN_S:
            self._drawn_s = now_s
            self._chart.options.clear()
            self._chart.options.update(past.options(contract, pool))
            self._chart.update()

    async def _turn(self, event: Any) -> None:
        self._past, self._asked_s = Past(event.value), -PAST_S
        self._view.keep_url(range=event.value)


def _actions(contract: str) -> list[Action]:
    """Return what an operator may do to a contract."""
    return [
        Action(
            label="Pause rounds",
            confirm=contract,
            fixed={"type": "pause_adl", "contract": contract, "paused": True},
        ),
        Action(
            label="Let rounds go on",
            confirm=contract,
            fixed={"type": "pause_adl", "contract": contract, "paused": False},
        ),
        Action(
            label="Force a round",
            confirm=contract,
            fixed={"type": "force_adl", "contract": contract},
        ),
        Action(
            label="Move to another pool",
            confirm=contract,
            fixed={"type": "move_contract", "contract": contract},
            asked={"pool": "name of the pool"},
        ),
    ]


# --- the state ---


def _head(view: View, contract: ContractResponse) -> str:
    state = state_of(contract)
    return (
        f'<div class="banner banner-{state}" data-state="{state}">'
        f'<b class="state state-{state}">{STATES[state]}</b>'
        f"<span>{escape(banner(contract))}</span>"
        f'<span class="quiet">mark {grouped(contract.mark)} at {utc(contract.marked_ms)} · rules '
        f'of {escape(contract.rules)} · pool <a href="{view.pool(contract.pool)}">'
        f"{escape(contract.pool)}</a></span></div>"
    )


def _distance(contract: ContractResponse, pool: PoolResponse) -> str:
    """Return the gauge of each trigger, and the drawdown's numbers written out."""
    drawdown = contract.trigger("contract_drawdown")
    told = _drawdown(drawdown, contract.settle) if drawdown else ""
    others = [_gauge(each) for each in contract.triggers if each is not drawdown]
    pairs = {
        "contract profit": grouped(contract.contract_pnl),
        f"profit, {window(pool.peak_window_ms)} peak": grouped(contract.contract_pnl_peak),
        f"pool {pool.pool}, balance": grouped(pool.balance),
        f"balance, {window(pool.peak_window_ms)} peak": grouped(pool.balance_peak),
        "equity": grouped(pool.equity),
        "inventory long": grouped(contract.inventory_long),
        "inventory short": grouped(contract.inventory_short),
        "open interest": grouped(contract.open_interest_long),
        "last ADL": utc(contract.last_adl_ms),
    }
    return f"{told}{''.join(others)}{_pairs(pairs)}"


def _drawdown(trigger: TriggerResponse, asset: str) -> str:
    numbers = trigger.numbers
    start, stop = numbers["start_ppm"], numbers["stop_ppm"]
    band = 100 * Decimal(stop) / Decimal(start)
    arithmetic = (
        f"({grouped(numbers['contract_pnl'])} - {grouped(numbers['contract_pnl_peak'])}) ÷ "
        f"{grouped(numbers['balance_peak'])} = <b>{percent(numbers['pnl_ratio_ppm'])}</b>"
    )
    return (
        "<div>pnlRatio = (profit - its peak) ÷ peak balance of the pool</div>"
        f"<div>{arithmetic}</div>"
        f"{_gauge(trigger, float(band), (percent(stop), percent(start)))}"
        f"{_pairs({f'loss room, {asset}': grouped(plain(loss_room(trigger)))})}"
    )


def _gauge(trigger: TriggerResponse, band: float | None = None, marks: Sequence[str] = ()) -> str:
    """Return how far a trigger is; `band` is where it stops, in percent of the way."""
    filled = min(max(trigger.trigger_used_ppm / 10_000, 0), 100)
    shaded = f'<span class="band" style="left:{band:.2f}%;right:0"></span>' if band else ""
    labels = ""
    if band is not None and len(marks) == 2:
        labels = (
            f'<span class="mark" style="left:0;transform:none">stops above {marks[0]}</span>'
            '<span class="mark" style="right:0;left:auto;transform:none">'
            f"starts at {marks[1]}</span>"
        )
    on = " on" if trigger.on else ""
    way = "on" if trigger.on else f"{percent(trigger.trigger_used_ppm)} of the way"
    name = words(trigger.trigger)
    return (
        f'<div>{escape(name)}: <b>{way}</b></div><div class="gauge" role="meter" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{filled:.1f}" aria-label="{escape(name)}">'
        f'<span class="track">{shaded}<span class="fill{on}" style="width:{filled:.2f}%"></span>'
        f"</span>{labels}</div>"
    )


def _pairs(pairs: dict[str, str]) -> str:
    """Return names and values; names are text, values HTML."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in pairs.items())
    return f'<dl class="pairs">{rows}</dl>'


# --- the rating ---


def _level(rating: RatingResponse) -> str:
    start = "no move up to the last rung"
    if rating.adl_from_ppm is not None:
        start = f"a move of {percent(rating.adl_from_ppm)}"
    return (
        f'<div><span class="state state-{escape(rating.level)}">{words(rating.level)}</span> '
        f"scorecard {words(rating.scorecard_level)} with {rating.points} points, stress "
        f"{words(rating.stress_level)}: ADL begins at {start} · rated {utc(rating.time_ms)}</div>"
    )


def _moves(rating: RatingResponse) -> list[dict[str, float]]:
    return [
        {
            "move": each.shock_ppm / 10_000,
            "liquidated": float(each.liquidated_long) + float(each.liquidated_short),
            "absorbed": float(each.absorbed),
            "adl": float(each.adl),
        }
        for each in sorted(rating.curve, key=lambda each: each.shock_ppm)
    ]


def _parts(rating: RatingResponse) -> list[dict[str, Any]]:
    return [
        {
            "input": words(part.input),
            "value": input_value(part.input, part.value_ppm),
            "points": part.points,
        }
        for part in rating.parts
    ]
