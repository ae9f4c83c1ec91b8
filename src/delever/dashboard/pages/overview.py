"""Overview: one sentence, five figures in money, contracts by danger, incidents and activity."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.history import AdlTotalResponse, EpisodeResponse
from delever.api_types.market import ContractResponse, PoolResponse
from delever.dashboard.charts.sparkline import sparkline
from delever.dashboard.components.activity import Activity
from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import ApiClient
from delever.dashboard.data.incidents import Incident, incidents_of
from delever.dashboard.format import (
    ADL_STATES,
    NOTHING,
    SHORT_STATES,
    STATES,
    about,
    banner_text,
    clock,
    duration,
    grouped,
    headroom,
    humanize,
    inventory_text,
    money,
    pairs,
    pnl_ratio,
    state_of,
    utc,
)
from delever.formatting import count, decimal_text

HOUR_MS = 3_600_000

TOTALS_REFRESH_S, LINES_REFRESH_S = 2.0, 15.0

LINES = 25
"""Contracts, the most endangered first, of which a sparkline is drawn."""

SPARK_POINTS = 60

FLOWS = 1_000
"""In- and outflows of a fund that are requested."""

LARGE_MARKET = 60
"""Contracts from which the table is refreshed every few seconds only."""

_COLUMNS = (
    Column("contract", "Contract", "link"),
    Column("state", "State", "state"),
    Column("trigger_used", "Trigger used", "trigger"),
    Column("mark", "Mark", "number"),
    Column("change", "1 h, %", "number"),
    Column("line", "Fund PnL, 1 h", "spark"),
    Column("headroom", "Headroom", "money"),
    Column("open_interest", "OI", "money"),
    Column("inventory", "Inventory"),
    Column("pool", "Fund", "link"),
    Column("equity", "Fund equity", "money"),
)

_ALL_COLUMNS = (
    Column("contract", "Contract", "link"),
    Column("state", "State", "state"),
    Column("status", "Status"),
    Column("trigger_used", "Trigger used", "trigger"),
    Column("risk", "ADL risk", "state"),
    Column("pnl_ratio", "PnL ratio, %", "number"),
    Column("headroom", "Headroom", "money"),
    Column("mark", "Mark", "number"),
    Column("open_interest", "OI, notional", "money"),
    Column("inventory", "Fund inventory"),
    Column("inventory_notional", "Inventory, notional", "money"),
    Column("settle", "Settles in"),
    Column("pool", "Fund", "link"),
    Column("rules", "Rules"),
    Column("last_adl", "Last ADL (UTC)"),
)

_STATE_ORDER = ("calm", "watch", "stale", "adl", "exhausted")

_RISK_ORDER = (None, "low", "medium", "high", "extremely_high")

_CARD = (
    '<div><a :href="props.row.contract_href"><b>{{props.row.contract}}</b></a> '
    "<span :class=\"'state state-' + props.row.state_kind\">{{props.row.state}}</span> "
    '<span class="used" :class="{on: props.row.trigger_used >= 100, near: '
    'props.row.trigger_used >= 80}"><i><b :style="{width: Math.min(props.row.trigger_used, 100) '
    "+ '%'}\"></b></i>{{Number(props.row.trigger_used.toFixed(1))}} %</span></div>"
    '<div class="quiet"><span>{{props.row.mark}}</span> <span>headroom '
    "{{props.row.headroom === null ? '-' : Math.round(props.row.headroom)}}</span> <span>fund "
    "{{props.row.pool}} {{Math.round(props.row.equity)}}</span></div>"
)

_NO_CONTRACT = '<p class="quiet">No contract is defined yet.</p>'


async def show(client: ApiClient) -> None:
    """Build the overview."""
    frame = PageFrame(client, "Overview", "/")
    with frame.body:
        headline, figures = html(), html()
        with grid():
            with panel("Contracts", "main", about="the most endangered first"):
                contracts = table(_COLUMNS, [], "contract", card=_CARD, scrolls=True)
                frame.remember_sort(contracts)
            with ui.element("div").classes("side"):
                incidents = html()
                with panel("Activity"):
                    activity = Activity(frame)
    await frame.connect()
    market = _Market()

    async def refresh() -> None:
        await market.request(frame.client)
        found = market.contracts
        if found:
            frame.as_of(found[0].as_of, found[0].time_ms)
        frame.display_state(found)
        headline.set_content(_headline(frame, market) if found else _NO_CONTRACT)
        figures.set_content(_figures(market) if found else "")
        activity.set_contracts(found)
        if market.is_due:
            contracts.rows = [_row(frame, contract, market) for contract in found]

    async def refresh_totals() -> None:
        await market.request_totals(frame.client)
        activity.start(market.as_of, market.episodes)
        incidents.set_content(_incidents(frame, market))
        await request_flows({name for name in activity.funded if name in market.pools})

    async def refresh_lines() -> None:
        await market.request_lines(frame.client)

    async def request_flows(names: Iterable[str]) -> None:
        activity.funded.clear()
        for name in names:
            history = await frame.client.pool_history(name, limit=FLOWS)
            activity.add_flows(name, history.asset, history.flows)

    await frame.every(refresh)
    await frame.every(refresh_totals, TOTALS_REFRESH_S)
    await frame.every(refresh_lines, LINES_REFRESH_S)
    activity.funded.update(list(market.pools)[:LINES])


async def show_contracts(client: ApiClient, contract: str = "") -> None:
    """Build the list of all contracts; `contract` is a part of the names that are listed."""
    frame = PageFrame(client, "Contracts", "/contracts")
    with frame.body, grid(), panel("Contracts", about="click a heading to sort"):
        search = ui.input(placeholder="only names with", value=contract).style("max-width: 16rem")
        search.props('dense outlined clearable aria-label="only names with"')
        contracts = table(_ALL_COLUMNS, [], "contract", card=_CARD, scrolls=True)
        contracts.bind_filter_from(search, "value")
        frame.remember_sort(contracts)
    search.on_value_change(lambda event: frame.update_url(contract=event.value or ""))
    await frame.connect()
    market = _Market()

    async def refresh() -> None:
        await market.request(frame.client)
        if market.contracts and market.is_due:
            frame.as_of(market.contracts[0].as_of, market.contracts[0].time_ms)
            contracts.rows = [_row(frame, each, market) for each in market.contracts]

    await frame.every(refresh)


# --- the market ---


class _Market:
    """What the overview knows: contracts by danger, funds, totals, episodes and sparklines."""

    def __init__(self) -> None:
        self.contracts: list[ContractResponse] = []
        self.pools: dict[str, PoolResponse] = {}
        self.episodes: list[EpisodeResponse] = []
        self.totals: list[AdlTotalResponse] = []
        self.by_incident: dict[str, AdlTotalResponse] = {}
        self.lines: dict[str, str] = {}
        self.changes: dict[str, str] = {}
        self._refreshes = 0

    @property
    def as_of(self) -> int:
        """The sequence of the data, 0 without a contract."""
        return self.contracts[0].as_of if self.contracts else 0

    @property
    def now_ms(self) -> int:
        """The time of the data."""
        return self.contracts[0].time_ms if self.contracts else 0

    @property
    def is_due(self) -> bool:
        """Whether the table is refreshed: every time, or every fifth one in a large market."""
        return len(self.contracts) < LARGE_MARKET or self._refreshes % 5 == 1

    async def request(self, client: ApiClient) -> None:
        """Request contracts and insurance funds."""
        self._refreshes += 1
        self.contracts = sorted(await client.contracts(), key=_danger, reverse=True)
        self.pools = {pool.pool: pool for pool in await client.pools()}

    async def request_totals(self, client: ApiClient) -> None:
        """Request episodes and what ADL has closed in the last hour."""
        self.episodes = await client.episodes(limit=50)
        self.totals = await client.adl_totals(max(self.now_ms - HOUR_MS, 0))
        for incident in _incidents_of(self):
            totals = await client.adl_totals(incident.started_ms, incident.stopped_ms)
            self.by_incident |= {each.contract: each for each in totals if _is_of(incident, each)}

    async def request_lines(self, client: ApiClient) -> None:
        """Request the PnL and the price of the last hour, of the most endangered contracts."""
        since_ms = max(self.now_ms - HOUR_MS, 0)
        for contract in self.contracts[:LINES]:
            name = contract.contract
            points = await client.contract_history(name, from_ms=since_ms, limit=SPARK_POINTS)
            values = [(point.time_ms, float(point.contract_pnl)) for point in points]
            self.lines[name] = sparkline(values, since_ms, self.now_ms)
            prices = await client.prices(name, from_ms=since_ms, limit=SPARK_POINTS)
            if prices and contract.mark:
                change = 100 * (Decimal(contract.mark) / Decimal(prices[0].mark) - 1)
                self.changes[name] = f"{change:.1f}"


def _is_of(incident: Incident, total: AdlTotalResponse) -> bool:
    return total.contract == incident.contract


def _danger(contract: ContractResponse) -> tuple[int, int]:
    """Return the sort key of a contract: its state, then how much of a trigger is used."""
    return _STATE_ORDER.index(state_of(contract)), contract.trigger_used_ppm


# --- sentence and figures ---


def _headline(frame: PageFrame, market: _Market) -> str:
    """Return the state of the market as one sentence, with a line for what needs attention."""
    in_adl = [found for found in market.contracts if state_of(found) in ADL_STATES]
    other = [found for found in market.contracts if _needs_attention(found)]
    calm = len(market.contracts) - len(in_adl) - len(other)
    state = state_of(market.contracts[0])
    if in_adl:
        title = f"{count(len(in_adl), 'contract')} in ADL"
    elif other:
        title = f"No ADL. {count(len(other), 'contract')} to watch"
    else:
        title = f"Calm: no ADL, {count(len(market.contracts), 'contract')}"
    details = "".join(_detail(frame, found) for found in (*in_adl, *other))
    if calm and (in_adl or other):
        details += f'<span class="quiet">{calm} calm</span>'
    return (
        f'<div class="headline banner-{state}" data-state="{state}"><b>{title}</b> {details}</div>'
    )


def _needs_attention(contract: ContractResponse) -> bool:
    """Return whether a contract outside of ADL is near a trigger, stale, paused or on hold."""
    return state_of(contract) not in ADL_STATES and (
        state_of(contract) != "calm"
        or contract.paused
        or contract.mark_rejected
        or contract.mark_unconfirmed
        or contract.incomplete
    )


def _detail(frame: PageFrame, contract: ContractResponse) -> str:
    state = state_of(contract)
    text = banner_text(contract)
    if state == "exhausted" and contract.inventory_notional:
        value = about(Decimal(contract.inventory_notional))
        text = f"{inventory_text(contract)} (≈ {value} {contract.settle}) uncovered; {text}"
    return (
        f'<span data-key="{escape(contract.contract)}" '
        f'data-contract="{escape(contract.contract)}" data-state="{state}">'
        f'<a href="{frame.contract_url(contract.contract)}">{escape(contract.contract)}</a> '
        f'<span class="state state-{state}">{STATES[state]}</span> {escape(text)}</span>'
    )


def _figures(market: _Market) -> str:
    """Return the five figures as HTML."""
    figures = (_funds(market), _closed(market), _cost(market), _uncovered(market), _next(market))
    return f'<div class="figures">{"".join(map(_figure, figures))}</div>'


@dataclass(frozen=True, slots=True)
class _Figure:
    """One figure: HTML of the value, and text below it."""

    title: str
    value: str
    note: str
    kind: str = ""


def _figure(figure: _Figure) -> str:
    return (
        f'<div class="figure {figure.kind}"><span>{figure.title}</span><b>{figure.value}</b>'
        f"<small>{escape(figure.note)}</small></div>"
    )


def _amounts(amounts: Iterable[tuple[str, Decimal]]) -> str:
    """Return sums by asset as HTML, the largest number first."""
    sums: dict[str, Decimal] = {}
    for asset, amount in amounts:
        sums[asset] = sums.get(asset, Decimal(0)) + amount
    ordered = sorted(sums.items(), key=lambda each: abs(each[1]), reverse=True)
    texts = [
        f"{money(decimal_text(amount))} {escape(asset)}" for asset, amount in ordered if amount
    ]
    return " + ".join(texts) or "0"


def _funds(market: _Market) -> _Figure:
    pools = market.pools.values()
    falls = []
    for asset in {pool.asset for pool in pools}:
        of_asset = [pool for pool in pools if pool.asset == asset]
        peak = sum(Decimal(pool.balance_peak) for pool in of_asset)
        balance = sum(Decimal(pool.balance) for pool in of_asset)
        if peak > 0:
            falls.append((balance / peak - 1, asset))
    note = f"{100 * min(falls)[0]:.1f} % from the peak" if falls else ""
    total = _amounts((pool.asset, Decimal(pool.balance)) for pool in pools)
    return _Figure(f"Insurance funds ({len(market.pools)})", total, note)


def _closed(market: _Market) -> _Figure:
    total = _amounts((each.asset, Decimal(each.notional)) for each in market.totals)
    fills = sum(each.fills for each in market.totals)
    accounts = sum(each.accounts for each in market.totals)
    note = f"{count(fills, 'fill')}, {count(accounts, 'account')}" if fills else "no fill"
    return _Figure("Closed by ADL, last hour", total, note)


def _cost(market: _Market) -> _Figure:
    total = _amounts((each.asset, Decimal(each.haircut)) for each in market.totals)
    notional = sum(Decimal(each.notional) for each in market.totals)
    haircut = sum(Decimal(each.haircut) for each in market.totals)
    note = f"{100 * haircut / notional:.2f} % of notional, against the mark" if notional else ""
    return _Figure("Cost to deleveraged accounts", total, note)


def _uncovered(market: _Market) -> _Figure:
    """Return the inventory that found no counterparty, and what funds owe."""
    exhausted = [each for each in market.contracts if state_of(each) == "exhausted"]
    amounts = [(each.settle, Decimal(each.inventory_notional or 0)) for each in exhausted]
    amounts += [(pool.asset, Decimal(pool.unfunded)) for pool in market.pools.values()]
    names = ", ".join(each.contract for each in exhausted)
    kind = "alarm" if any(amount for _, amount in amounts) else ""
    return _Figure("Uncovered inventory and unfunded", _amounts(amounts), names, kind)


def _next(market: _Market) -> _Figure:
    """Return the headroom of the contract of which most of a drawdown trigger is used."""
    ready = [each for each in market.contracts if state_of(each) not in ADL_STATES]
    known = [(each, _headroom(each)) for each in ready if _headroom(each) is not None]
    title = "Headroom to the next trigger"
    if not known:
        return _Figure(title, NOTHING, "")
    contract, amount = max(known, key=lambda each: each[0].trigger_used_ppm)
    kind = "warning" if state_of(contract) == "watch" else ""
    used = f"{contract.contract}, {contract.trigger_used_ppm / 10_000:.1f} % of the trigger used"
    value = f"{money(decimal_text(amount or Decimal(0)))} {escape(contract.settle)}"
    return _Figure(title, value, used, kind)


def _headroom(contract: ContractResponse) -> Decimal | None:
    drawdown = contract.trigger("contract_drawdown")
    return None if drawdown is None or drawdown.on else headroom(drawdown)


# --- the table ---


def _row(frame: PageFrame, contract: ContractResponse, market: _Market) -> dict[str, Any]:
    state, pool = state_of(contract), market.pools.get(contract.pool)
    ratio = pnl_ratio(contract).removesuffix(" %")
    room = _headroom(contract)
    return {
        "contract": contract.contract,
        "contract_href": frame.contract_url(contract.contract),
        "state": SHORT_STATES[state],
        "state_kind": state,
        "state_order": _STATE_ORDER.index(state),
        "status": humanize(contract.status),
        "trigger_used": contract.trigger_used_ppm / 10_000,
        "risk": humanize(contract.risk),
        "risk_kind": contract.risk or "none",
        "risk_order": _RISK_ORDER.index(contract.risk),
        "pnl_ratio": None if ratio == NOTHING else ratio,
        "mark": contract.mark,
        "change": market.changes.get(contract.contract),
        "line": market.lines.get(contract.contract, ""),
        "headroom": None if room is None else decimal_text(room),
        "open_interest": contract.open_interest_notional,
        "inventory": inventory_text(contract) or NOTHING,
        "inventory_order": float(contract.inventory_notional or 0),
        "inventory_notional": contract.inventory_notional,
        "settle": contract.settle,
        "pool": contract.pool,
        "pool_href": frame.pool_url(contract.pool),
        "rules": contract.rules,
        "equity": pool.equity if pool else None,
        "last_adl": utc(contract.last_adl_ms),
    }


# --- incidents ---


def _incidents_of(market: _Market) -> list[Incident]:
    """Return what is on, or has ended recently, newest first; the newest a contract."""
    of_contract: dict[str, list[EpisodeResponse]] = {}
    for episode in market.episodes:
        of_contract.setdefault(episode.contract, []).append(episode)
    newest = (incidents_of(found)[-1] for found in of_contract.values())
    return [
        incident
        for incident in newest
        if incident.stopped_ms is None or incident.is_recent(market.now_ms)
    ]


def _incidents(frame: PageFrame, market: _Market) -> str:
    states = {found.contract: found for found in market.contracts}
    return "".join(
        _incident(frame, incident, states.get(incident.contract), market)
        for incident in _incidents_of(market)
    )


def _incident(
    frame: PageFrame, incident: Incident, contract: ContractResponse | None, market: _Market
) -> str:
    total, stopped_ms = market.by_incident.get(incident.contract), incident.stopped_ms
    state = "ended" if stopped_ms or contract is None else state_of(contract)
    since = f"{clock(incident.started_ms)[:8]}"
    span = duration((stopped_ms or market.now_ms) - incident.started_ms)
    triggers = dict.fromkeys(humanize(each.trigger) for each in incident.episodes)
    values = {
        "since": f"{since} ({span})" if not stopped_ms else f"{since}, ended after {span}",
        "trigger": escape(", ".join(triggers)),
    }
    if total is not None:
        values["closed"] = (
            f"{grouped(total.quantity)} ≈ {about(Decimal(total.notional))} {escape(total.asset)} · "
            f"{count(total.accounts, 'account')}"
        )
        values["cost vs mark"] = f"{money(total.haircut)} {escape(total.asset)}"
    if state == "exhausted" and contract is not None and contract.inventory_notional:
        value = about(Decimal(contract.inventory_notional))
        values["uncovered"] = f"{inventory_text(contract)} ≈ {value} {escape(contract.settle)}"
    pool = market.pools.get(incident.pool)
    if pool is not None:
        values["fund equity"] = f"{money(pool.equity)} {escape(pool.asset)}"
    title = "ADL ended" if state == "ended" else STATES[state].partition(":")[0]
    newest = incident.episodes[-1].episode
    return (
        f'<section class="panel incident incident-{state}" data-key="{escape(incident.contract)}">'
        f'<h2><a href="{frame.url(f"/events/{newest}")}">{escape(incident.contract)}</a> '
        f'<span class="state state-{state}">{title}</span></h2>{pairs(values)}</section>'
    )
