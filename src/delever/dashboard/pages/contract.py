"""One contract: distance to its triggers, its ADL queue, the stress curve and the risk rating."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from time import monotonic
from typing import Any, TypedDict

import msgspec
from nicegui import ui

from delever.api_types.history import EpisodeResponse
from delever.api_types.market import ContractResponse, PoolResponse, RatingResponse, TriggerResponse
from delever.core.messages import OddLots, TradingStatus
from delever.dashboard.charts.bars import stress_curve
from delever.dashboard.charts.contract_history import (
    HEIGHT,
    HISTORY_POINTS,
    RANGE_NAMES,
    ContractHistoryChart,
)
from delever.dashboard.charts.time_series import charts_height, time_charts
from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.components.operator_actions import (
    LIMITS,
    OperatorAction,
    action_button,
    typed_amount,
)
from delever.dashboard.components.queue_table import QueueTable
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import ApiClient
from delever.dashboard.data.incidents import Incident, incidents_of
from delever.dashboard.format import (
    NOTHING,
    STATES,
    banner_text,
    closed_text,
    grouped,
    headroom,
    humanize,
    inventory_text,
    money,
    pairs,
    percent,
    state_of,
    trigger_level,
    utc,
    window_length,
)
from delever.formatting import count, decimal_text
from delever.lab.queries.risk_tables import input_value

QUEUE_REFRESH_S, RATING_REFRESH_S, HISTORY_REFRESH_S = 2.0, 30.0, 60.0

ACTIVITY_REFRESH_S = 5.0

FLAGS = 120
"""Flags of each kind that are requested: the sums of as many intervals."""

EPISODES = 50
"""Newest ADL events whose time is shaded."""

REDRAW_S = 5.0
"""Interval at which the charts are drawn while their values stay the same."""

PREVIEW_ROWS = 5
"""Rows of a queue in the preview of a forced round."""

NOT_VISIBLE = "not visible to this key"

_PARTS = (Column("input", "Input"), Column("value", "Value"), Column("points", "Points", "number"))


async def show(
    client: ApiClient,
    contract: str,
    side: str = "",
    offset: int = 0,
    account: str = "",
    range: str = "8h",  # noqa: A002 - its name in the URL
) -> None:
    """Build the page of a contract.

    `side`, `offset` and `account` select the page of its ADL queue, by default of the side that
    closes the fund's inventory; `range` is that of its charts.
    """
    frame = PageFrame(client, contract, "/contracts")
    with frame.body:
        head, ended = html(), html()
        with grid():
            with panel("Price, insurance fund, contract PnL", "wide", about="times in UTC"):
                charts = _Charts(frame, contract, range)
            with panel("Distance to trigger", "slim"):
                distance = html()
                with ui.element("div").classes("bits"):
                    actions = [
                        (action, action_button(frame, action)) for action in _actions(contract)
                    ]
        queue = QueueTable(frame, contract, side, offset, account)
        with grid():
            rating_panels = _RatingPanels()
    await frame.connect()

    async def known() -> dict[str, str]:
        found = await frame.client.contracts()
        return {each.contract: frame.contract_url(each.contract) for each in found}

    if not await frame.exists("contract", contract, frame.client.contract(contract), known):
        return

    async def refresh() -> None:
        now = await frame.client.contract(contract)
        pool = next(pool for pool in await frame.client.pools() if pool.pool == now.pool)
        frame.as_of(now.as_of, now.time_ms)
        head.set_content(_head(frame, now))
        distance.set_content(_distance(now, pool, charts.rating))
        queue.set_contract(now)
        for action, button in actions:
            button.set_visibility(action.applies(now))
        await charts.refresh(now, pool)

    async def refresh_activity() -> None:
        episodes = await frame.client.episodes(contract, limit=EPISODES)
        await charts.refresh_activity(episodes)
        incidents = incidents_of(episodes)
        now_ms = await frame.client.now_ms()
        is_over = bool(incidents) and incidents[-1].is_recent(now_ms)
        ended.set_content(await _ended(frame, incidents[-1]) if is_over else "")

    async def refresh_rating() -> None:
        rating = await frame.client.rating(contract)
        if rating is not None:
            rating_panels.display(rating)
            queue.set_rating(rating)
            charts.rating = rating

    await frame.every(refresh)
    await frame.every(refresh_rating, RATING_REFRESH_S)
    await frame.every(queue.refresh, QUEUE_REFRESH_S)
    await frame.every(refresh_activity, ACTIVITY_REFRESH_S)


class _Since(TypedDict):
    """The start of a history, and how many points of it are requested."""

    from_ms: int
    limit: int


class _Charts:
    """The charts over the chosen range: the history is loaded at intervals, values in between."""

    def __init__(self, frame: PageFrame, contract: str, range_name: str) -> None:
        self._frame, self._contract = frame, contract
        self._history = ContractHistoryChart(range_name)
        self._loaded_s = self._drawn_s = -HISTORY_REFRESH_S
        with ui.element("div").classes("bits"):
            ui.label("Range").classes("quiet")
            ranges = ui.toggle(
                RANGE_NAMES, value=self._history.range, on_change=self._range_changed
            )
            ranges.props("dense no-caps unelevated")
        self._from_ms = 0
        self.rating: RatingResponse | None = None
        self._chart = ui.echart(time_charts(["", "", ""], [], height=HEIGHT))
        self._chart.style(f"height: {charts_height(3, HEIGHT)}px")

    async def refresh(self, contract: ContractResponse, pool: PoolResponse) -> None:
        """Add the current values, after loading the history if it is due."""
        now_s, history = monotonic(), self._history
        if now_s - self._loaded_s >= HISTORY_REFRESH_S or history.needs_reload:
            self._loaded_s, self._drawn_s = now_s, -HISTORY_REFRESH_S
            self._from_ms = history.from_ms(contract)
            since: _Since = {"from_ms": self._from_ms, "limit": HISTORY_POINTS}
            points = await self._frame.client.contract_history(self._contract, **since)
            prices = await self._frame.client.prices(self._contract, **since)
            history.load(contract, points, prices)
        changed = history.add(contract, pool)
        if changed or now_s - self._drawn_s >= REDRAW_S:
            self._drawn_s = now_s
            self._chart.options.clear()
            self._chart.options.update(history.options(contract, pool))
            self._chart.update()

    async def refresh_activity(self, episodes: Sequence[EpisodeResponse]) -> None:
        """Request what is flagged, and shade the time of episodes; both are drawn soon."""
        activity = await self._frame.client.activity(
            self._contract, from_ms=self._from_ms, limit=FLAGS
        )
        if self._history.annotate(activity, episodes):
            self._drawn_s = -HISTORY_REFRESH_S

    async def _range_changed(self, event: Any) -> None:
        self._history, self._loaded_s = ContractHistoryChart(event.value), -HISTORY_REFRESH_S
        self._from_ms = 0
        self._frame.update_url(range=event.value)


class _RatingPanels:
    """The stress curve of a contract's latest rating, its level and what it was computed from."""

    def __init__(self) -> None:
        with panel("Stress curve", "half", about="quantity left for ADL after a move of the mark"):
            self._curve = ui.echart(stress_curve([])).style("height: 260px")
            ui.label(
                "From the latest rating: order book depth as submitted; every account is "
                "closed at the worst price within the fund's slippage."
            ).classes("note")
        with panel("ADL risk rating", "half"):
            self._level = html()
            self._parts = table(_PARTS, [], "input")

    def display(self, rating: RatingResponse) -> None:
        """Display a rating."""
        self._level.set_content(_level(rating))
        self._curve.options.update(stress_curve(_curve_points(rating)))
        self._curve.update()
        self._parts.rows = _parts(rating)


# --- operator actions ---


def _actions(contract: str) -> list[OperatorAction]:
    """Return the operator commands that concern a contract."""
    return [
        OperatorAction(
            label="Pause ADL rounds",
            confirm=contract,
            fixed={"type": "pause_adl", "contract": contract, "paused": True},
            applies=lambda now: not now.paused and _is_open(now),
            preview=_preview_pause,
        ),
        OperatorAction(
            label="Resume ADL rounds",
            confirm=contract,
            fixed={"type": "pause_adl", "contract": contract, "paused": False},
            applies=lambda now: now.paused,
            preview=_preview_pause,
        ),
        OperatorAction(
            label="Force an ADL round",
            confirm=contract,
            fixed={"type": "force_adl", "contract": contract},
            applies=lambda now: bool(inventory_text(now)) and not now.mark_unconfirmed,
            preview=_preview_force,
        ),
        OperatorAction(
            label="Compensate an account",
            confirm=contract,
            fixed={"type": "compensate", "contract": contract},
            inputs={"account": "account", "fill": "number of the ADL fill", "amount": "amount"},
            integers=frozenset({"fill"}),
            applies=lambda now: now.last_adl_ms is not None,
        ),
        OperatorAction(
            label="Confirm the mark",
            confirm=contract,
            fixed={"type": "confirm_mark", "contract": contract},
            applies=lambda now: now.mark_unconfirmed,
        ),
        OperatorAction(
            label="Move to another fund",
            confirm=contract,
            fixed={"type": "move_contract", "contract": contract},
            inputs={"pool": "name of the insurance fund"},
            applies=_is_open,
        ),
        *_amendments(contract),
        *_delisting(contract),
    ]


def _is_open(now: ContractResponse) -> bool:
    return now.status is not TradingStatus.SETTLED


def _amendments(contract: str) -> list[OperatorAction]:
    """Return the amendments of a contract's terms; margin tiers are amended through the API."""
    fixed = {"type": "amend_contract", "contract": contract}
    steps = {"tick_size": "new tick size", "lot_size": "new lot size"}
    return [
        OperatorAction(
            label="Amend tick or lot",
            confirm=contract,
            fixed=fixed,
            inputs=steps,
            choices={"odd_lots": tuple(map(str, OddLots))},
            optional=frozenset(steps),
            applies=_is_open,
            preview=_preview_amendment,
        ),
        OperatorAction(
            label="Amend ADL limits",
            confirm=contract,
            fixed=fixed | {"limits": {}},
            inputs=LIMITS,
            integers=frozenset({"limits.wait_ms"}),
            optional=frozenset(LIMITS),
            applies=_is_open,
            preview=_preview_amendment,
        ),
        OperatorAction(
            label="Exempt from ADL",
            confirm=contract,
            fixed=fixed | {"adl_exempt": True},
            applies=lambda now: _is_open(now) and not now.definition.adl_exempt,
            preview=_preview_amendment,
        ),
        OperatorAction(
            label="End the exemption",
            confirm=contract,
            fixed=fixed | {"adl_exempt": False},
            applies=lambda now: _is_open(now) and now.definition.adl_exempt,
            preview=_preview_amendment,
        ),
    ]


def _delisting(contract: str) -> list[OperatorAction]:
    """Return the steps to the end of a contract."""
    delist = {"type": "delist_contract", "contract": contract}
    ending = (TradingStatus.CLOSE_ONLY, TradingStatus.SETTLING, TradingStatus.TRADING)
    statuses = {"status": tuple(map(str, ending))}
    return [
        OperatorAction(
            label="Delist",
            confirm=contract,
            fixed=delist,
            choices=statuses,
            applies=_is_open,
            preview=_preview_delisting,
        ),
        OperatorAction(
            label="Delist without the fund",
            confirm=contract,
            fixed=delist | {"fund_pays": False},
            choices=statuses,
            applies=_is_open,
            preview=_preview_delisting,
        ),
        OperatorAction(
            label="Settle",
            confirm=contract,
            fixed={"type": "settle_contract", "contract": contract},
            inputs={"price": "settlement price"},
            applies=_is_open,
            preview=_preview_settlement,
        ),
    ]


async def _preview_pause(client: ApiClient, command: Mapping[str, Any]) -> str:
    """Return which triggers are on, and what the fund holds while no round runs."""
    now = await client.contract(command["contract"])
    on = [humanize(trigger.trigger) for trigger in now.triggers if trigger.on]
    held = inventory_text(now) or "nothing"
    state = f"on now: {', '.join(on)}" if on else "no trigger is on"
    if command["paused"]:
        return f"No round runs until rounds are resumed ({state}). The fund goes on holding {held}."
    rounds = "Rounds run again at once" if on else "Rounds run again once a trigger is on"
    return f"{rounds} ({state}). The fund holds {held}."


async def _preview_force(client: ApiClient, command: Mapping[str, Any]) -> str:
    """Return the inventory that a round would close, and the beginning of the queues."""
    now = await client.contract(command["contract"])
    lines = []
    for side, opposite, quantity in (
        ("long", "short", now.inventory_long),
        ("short", "long", now.inventory_short),
    ):
        if not Decimal(quantity):
            continue
        page = await client.queue(now.contract, opposite, offset=0, limit=PREVIEW_ROWS)
        first = ", ".join(
            f"{escape(row.account)} {grouped(row.quantity)}"
            for row in page.rows
            if row.quantity_ahead is not None and Decimal(row.quantity_ahead) < Decimal(quantity)
        )
        more = f"; {count(page.ranked, 'position')} ranked" if page.ranked else ""
        lines.append(
            f"Closes up to {grouped(quantity)} {side} of the fund, at the price of the rules of "
            f"{escape(now.rules)}, mark {grouped(now.mark)}. First in the queue: "
            f"{first or (NOT_VISIBLE if page.ranked else 'nobody')}{more}."
        )
    return "<br>".join(lines) or "Nothing: the fund holds no inventory."


async def _preview_amendment(client: ApiClient, command: Mapping[str, Any]) -> str:
    """Return each amended term before and after; limits replace the former ones as a whole."""
    now = (await client.contract(command["contract"])).definition
    lines = [
        _before_and_after(humanize(name), getattr(now, name), command[name])
        for name in ("tick_size", "lot_size", "adl_exempt")
        if command.get(name) is not None
    ]
    if "limits" in command:
        former = {} if now.limits is None else msgspec.to_builtins(now.limits)
        names = [name.removeprefix("limits.") for name in LIMITS]
        lines += [
            _before_and_after(humanize(name), former.get(name), command["limits"].get(name))
            for name in names
            if former.get(name) is not None or name in command["limits"]
        ]
    return "<br>".join(lines) or "Nothing is amended yet."


def _before_and_after(name: str, before: object, after: object) -> str:
    texts = (NOTHING if value is None else humanize(str(value)) for value in (before, after))
    return f"{name}: {' → '.join(map(escape, texts))}"


async def _preview_delisting(client: ApiClient, command: Mapping[str, Any]) -> str:
    """Return the status before and after, and what is open."""
    now = await client.contract(command["contract"])
    held = inventory_text(now)
    text = f"{_before_and_after('status', now.status, command['status'])}. {_open_positions(now)}"
    if command["status"] != TradingStatus.TRADING:
        text += " Positions that are new or larger are rejected."
        if held and command.get("fund_pays") is False:
            text += f" ADL closes the fund's {held} at once."
    return text


async def _preview_settlement(client: ApiClient, command: Mapping[str, Any]) -> str:
    """Return what is closed, and how far the settlement price is from the mark."""
    now = await client.contract(command["contract"])
    held = inventory_text(now)
    inventory = f" and the fund's {held}" if held else ""
    text = f"Closes all positions{inventory}, without a way back. {_open_positions(now)}"
    price = typed_amount(command["price"])
    if price is None or now.mark is None:
        return f"{text} Mark {grouped(now.mark)}."
    away = 100 * (price / Decimal(now.mark) - 1)
    return f"{text} The price is {away:+.2f} % from the mark, {grouped(now.mark)}."


def _open_positions(now: ContractResponse) -> str:
    value = now.open_interest_notional
    notional = f", {money(value)} {escape(now.settle)}" if value else ""
    return (
        f"Open: {count(now.positions_long, 'long')} and {count(now.positions_short, 'short')}, "
        f"{grouped(now.open_interest_long)} contracts long{notional}."
    )


# --- state and triggers ---


def _head(frame: PageFrame, contract: ContractResponse) -> str:
    state = state_of(contract)
    return (
        f'<div class="banner banner-{state}" data-state="{state}">'
        f'<b class="state state-{state}">{STATES[state]}</b>{_status(contract)}'
        f"<span>{escape(banner_text(contract))}</span>"
        f'<span class="quiet">mark {grouped(contract.mark)} at {utc(contract.marked_ms)} · rules '
        f"of {escape(contract.rules)} · insurance fund "
        f'<a href="{frame.pool_url(contract.pool)}">{escape(contract.pool)}</a></span></div>'
    )


async def _ended(frame: PageFrame, incident: Incident) -> str:
    """Return the result of an incident that has ended, as a line."""
    stopped_ms = incident.stopped_ms or incident.started_ms
    totals = await frame.client.adl_totals(incident.started_ms, stopped_ms)
    total = next((each for each in totals if each.contract == incident.contract), None)
    equities = []
    for time_ms in (incident.started_ms - 1, stopped_ms):
        between = (time_ms, time_ms)
        history = await frame.client.pool_history(incident.pool, between=between, limit=1)
        equities += [point.equity for point in history.points[-1:]]
    fund = " → ".join(map(money, equities))
    newest = frame.url(f"/events/{incident.episodes[-1].episode}")
    return (
        f'<div class="banner incident-ended"><b>ADL ended {utc(stopped_ms)} UTC</b> <span>'
        f'{closed_text(total)}; fund equity {fund}</span> <a href="{newest}">event</a></div>'
    )


def _status(contract: ContractResponse) -> str:
    """Return the status of a contract that is not traded any more, as a badge."""
    if contract.status is TradingStatus.TRADING:
        return ""
    price = contract.settlement_price
    at = f" at {grouped(price)} {escape(contract.settle)}" if price else ""
    return f'<b class="state state-watch">{humanize(contract.status)}{at}</b>'


def _distance(contract: ContractResponse, pool: PoolResponse, rating: RatingResponse | None) -> str:
    """Return the gauge of each trigger, and the amounts that the triggers compare."""
    drawdown = contract.trigger("contract_drawdown")
    gauges = [_drawdown(drawdown, contract.settle)] if drawdown else []
    gauges += [_gauge(trigger) for trigger in contract.triggers if trigger is not drawdown]
    peak, asset = f"{window_length(pool.peak_window_ms)} peak", contract.settle
    amounts = {
        "move of the mark to ADL, by the stress test": _adl_from(rating),
        f"contract PnL, {asset}": money(contract.contract_pnl),
        f"{peak} contract PnL, {asset}": money(contract.contract_pnl_peak),
        f"fund balance, {pool.asset}": money(pool.balance),
        f"{peak} fund balance, {pool.asset}": money(pool.balance_peak),
        f"fund equity, {pool.asset}": money(pool.equity),
        **_inventory(contract),
        f"open interest, {asset}": money(contract.open_interest_notional),
        "last ADL": utc(contract.last_adl_ms),
    }
    return f"{''.join(gauges)}{pairs(amounts)}"


def _inventory(contract: ContractResponse) -> dict[str, str]:
    """Return the fund's inventory by side with its notional, or that there is none."""
    if not inventory_text(contract):
        return {"fund inventory": "none"}
    sides = {"long": contract.inventory_long, "short": contract.inventory_short}
    found = {
        f"fund inventory, {side}": grouped(quantity)
        for side, quantity in sides.items()
        if Decimal(quantity)
    }
    return found | {f"its notional, {contract.settle}": money(contract.inventory_notional)}


def _adl_from(rating: RatingResponse | None) -> str:
    """Return the smallest move of the mark at which the stress test starts ADL."""
    if rating is None:
        return NOTHING
    return "none" if rating.adl_from_ppm is None else percent(rating.adl_from_ppm)


def _drawdown(trigger: TriggerResponse, asset: str) -> str:
    """Return the drawdown trigger: the PnL ratio as arithmetic, the gauge, and the headroom."""
    numbers = trigger.numbers
    start, stop = numbers["start_ppm"], numbers["stop_ppm"]
    stop_share = float(100 * Decimal(stop) / Decimal(start))
    arithmetic = (
        f"({grouped(numbers['contract_pnl'])} - {grouped(numbers['contract_pnl_peak'])}) ÷ "
        f"{grouped(numbers['balance_peak'])} = <b>{percent(numbers['pnl_ratio_ppm'])}</b>"
    )
    remaining = {f"headroom to trigger, {asset}": money(decimal_text(headroom(trigger)))}
    if trigger.on:
        missing = trigger_level(trigger, "stop_ppm") - Decimal(numbers["contract_pnl"])
        remaining = {f"contract PnL to gain until ADL stops, {asset}": money(decimal_text(missing))}
    return (
        "<div>PnL ratio = (contract PnL - its peak) ÷ peak balance of the fund</div>"
        f"<div>{arithmetic}</div>"
        f"{_gauge(trigger, stop_share, (percent(stop), percent(start)))}{pairs(remaining)}"
    )


def _gauge(
    trigger: TriggerResponse, stop_share: float | None = None, limits: Sequence[str] = ()
) -> str:
    """Return the gauge of a trigger; `stop_share` is where ADL stops, in percent of its width."""
    filled = min(max(trigger.trigger_used_ppm / 10_000, 0), 100)
    band = labels = ""
    if stop_share is not None:
        band = f'<span class="band" style="left:{stop_share:.2f}%;right:0"></span>'
        labels = (
            f'<span class="mark" style="left:0;transform:none">stops above {limits[0]}</span>'
            '<span class="mark" style="right:0;left:auto;transform:none">'
            f"starts at {limits[1]}</span>"
        )
    color = " on" if trigger.on else ""
    used = "on" if trigger.on else f"{percent(trigger.trigger_used_ppm)} used"
    name = escape(humanize(trigger.trigger))
    return (
        f'<div>{name}: <b>{used}</b></div><div class="gauge" role="meter" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{filled:.1f}" aria-label="{name}">'
        f'<span class="track">{band}<span class="fill{color}" style="width:{filled:.2f}%"></span>'
        f"</span>{labels}</div>"
    )


# --- the rating ---


def _level(rating: RatingResponse) -> str:
    start = "no move up to the largest shock"
    if rating.adl_from_ppm is not None:
        start = f"a move of {percent(rating.adl_from_ppm)}"
    return (
        f'<div><span class="state state-{escape(rating.level)}">{humanize(rating.level)}</span> '
        f"scorecard {humanize(rating.scorecard_level)} with {rating.points} points, stress test "
        f"{humanize(rating.stress_level)}: ADL starts at {start} · rated {utc(rating.time_ms)}, "
        f"{rating.age_ms // 60_000} min ago"
        "</div>"
    )


def _curve_points(rating: RatingResponse) -> list[dict[str, float]]:
    return [
        {
            "move": point.shock_ppm / 10_000,
            "liquidated": float(point.liquidated_long) + float(point.liquidated_short),
            "absorbed": float(point.absorbed),
            "adl": float(point.adl),
        }
        for point in sorted(rating.curve, key=lambda point: point.shock_ppm)
    ]


def _parts(rating: RatingResponse) -> list[dict[str, Any]]:
    return [
        {
            "input": humanize(part.input),
            "value": input_value(part.input, part.value_ppm),
            "points": part.points,
        }
        for part in rating.parts
    ]
