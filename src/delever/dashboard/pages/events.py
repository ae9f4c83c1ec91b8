"""ADL episodes: each from liquidation to stop, with rounds that can be executed again and compared.

The page of an episode says where its loss went; it is downloaded as CSV, XLSX, Parquet and JSON.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from html import escape
from time import monotonic
from typing import Any

from nicegui import ui

from delever.api_types.history import EpisodeResponse, FillResponse, RoundResponse, Waterfall
from delever.api_types.market import ContractResponse
from delever.dashboard.charts.loss_sankey import loss_sankey
from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.components.operator_actions import OperatorAction, action_button
from delever.dashboard.components.table import Column, PagedTable, set_labels, table
from delever.dashboard.data.api_client import ApiClient
from delever.dashboard.data.episode_files import (
    csv_file,
    fills_of,
    json_file,
    parquet_file,
    workbook_file,
)
from delever.dashboard.data.episode_loss import LossFlow, by_payer, loss_flows
from delever.dashboard.data.incidents import Incident, incidents_of
from delever.dashboard.format import (
    NOTHING,
    STATES,
    clock,
    closed_text,
    grouped,
    humanize,
    money,
    pairs,
    percent,
    state_of,
    utc,
)
from delever.formatting import count, decimal_text

REFRESH_S = 2.0

RUNNING_REFRESH_S = 10.0
"""Interval at which a running episode is requested while it has no new fill."""

_EPISODES = (
    Column("episode", "Event", "link"),
    Column("contract", "Contract", "link"),
    Column("state", "State", "state"),
    Column("trigger", "Trigger"),
    Column("started", "Started (UTC)"),
    Column("stopped", "Stopped (UTC)"),
    Column("fills", "Fills", "number"),
    Column("quantity", "Quantity closed", "number"),
    Column("accounts", "Accounts", "number"),
)

_STEPS = (
    Column("time", "Time (UTC)"),
    Column("sequence", "Sequence", "number"),
    Column("event", "Event"),
    Column("detail", "Detail", "wrapped"),
    Column("quantity", "Quantity", "number"),
    Column("price", "Price", "number"),
    Column("to_fund", "To the fund", "number"),
)

_ROUNDS = (
    Column("sequence", "Sequence", "number"),
    Column("time", "Time (UTC)"),
    Column("side", "Inventory"),
    Column("rule", "Price rule"),
    Column("wanted", "Target", "number"),
    Column("filled", "Executed", "number"),
    Column("unfilled", "Residual", "number"),
    Column("unfunded", "Unfunded", "number"),
    Column("counterparties", "Counterparties", "number"),
    Column("hash", "Hash of the record", "hash"),
)

_FILLS = (
    Column("fill", "Fill", "link"),
    Column("account", "Counterparty", "link"),
    Column("quantity", "Quantity", "number"),
    Column("price", "ADL price", "number"),
    Column("realized", "Realized PnL", "money"),
    Column("rank", "Rank", "number"),
    Column("indicator", "ADL indicator", "indicator"),
    Column("ahead", "Quantity ahead", "number"),
    Column("liquidated", "Liquidated account", "link"),
    Column("sequence", "Round", "number"),
    Column("state", "State"),
)


_ACCOUNTS = (
    Column("account", "Counterparty", "link"),
    Column("fills", "Fills", "number"),
    Column("quantity", "Closed", "number"),
    Column("notional", "Notional", "money"),
    Column("realized", "Realized PnL", "money"),
    Column("haircut", "Cost vs mark", "money"),
    Column("share", "Share of notional, %", "number"),
)

CANCEL_FILL = OperatorAction(
    label="Cancel a fill",
    confirm="cancel fill",
    fixed={"type": "cancel_adl"},
    inputs={"fill": "id of the fill"},
    integers=frozenset({"fill"}),
)


async def show_all(client: ApiClient, contract: str = "") -> None:
    """Build the list of ADL episodes, newest first; `contract` filters it."""
    frame = PageFrame(client, "ADL events", "/events")

    async def refresh() -> None:
        name = (contract_filter.value or "").strip()
        found = await frame.client.episodes(name)
        states = {now.contract: state_of(now) for now in await frame.client.contracts()}
        episodes.rows = [_episode_row(frame, episode, states) for episode in found]
        frame.update_url(contract=name)

    with frame.body, grid(), panel("ADL events", about="from a trigger's start to its stop"):
        contract_filter = ui.input(placeholder="only this contract", value=contract)
        contract_filter.style("max-width: 16rem")
        contract_filter.props('dense outlined clearable aria-label="only this contract"')
        contract_filter.on("keydown.enter", lambda: frame.attempt(refresh))
        episodes = table(_EPISODES, [], "episode", scrolls=True, card=_EPISODE_CARD)
        frame.remember_sort(episodes)
    await frame.connect()
    await frame.every(refresh, REFRESH_S)


async def show(client: ApiClient, episode: int) -> None:
    """Build the page of one episode: where its loss went, accounts, steps, rounds and fills."""
    frame = PageFrame(client, f"ADL event {episode}", "/events")
    files = _EpisodeFiles(episode)
    with frame.body:
        head, incident_html = html(), html()
        with grid():
            with panel("Where the loss went", "wide", about="deficit, how it was closed, who paid"):
                loss = _Loss()
            with panel("Insurance fund", "slim"):
                fund = html()
                files.buttons()
            with panel("Who was closed", about="by account; cost is the haircut against the mark"):
                accounts = PagedTable(_ACCOUNTS, "account", page_rows=20, card=_ACCOUNT_CARD)
            with panel("Step by step", about="liquidation, takeover, trigger, rounds, stop"):
                steps = PagedTable(_STEPS, "id", card=_STEP_CARD)
            with panel("Rounds", about="each can be computed again from the journal"):
                rounds = PagedTable(_ROUNDS, "id")
                recompute = _Recompute(frame)
            with panel("Fills"):
                fills = PagedTable(_FILLS, "fill", card=_FILL_CARD)
                action_button(frame, CANCEL_FILL)
    await frame.connect()
    if not await frame.exists("ADL event", str(episode), frame.client.waterfall(episode)):
        return

    async def refresh() -> None:
        """Request the episode if its fills or its state have changed, or it runs on."""
        summary = await frame.client.episode_summary(episode)
        is_running = summary is None or summary.stopped_ms is None
        due_s = files.requested_s + RUNNING_REFRESH_S
        if summary == files.summary and not (is_running and monotonic() >= due_s):
            return
        files.requested_s = monotonic()
        response = await frame.client.waterfall(episode)
        contract = await frame.client.contract(response.contract)
        files.summary, files.episode = summary, response
        head.set_content(_head(frame, response))
        loss.display(response, contract)
        fund.set_content(_fund(response))
        files.accounts = _account_rows(frame, fills_of(response))
        accounts.set_rows(files.accounts)
        set_labels(accounts.element, **_with_unit(_ACCOUNTS, contract.settle))
        set_labels(fills.element, **_with_unit(_FILLS, contract.settle))
        steps.set_rows(_steps(response))
        rounds.set_rows([_round_row(adl_round) for adl_round in response.rounds])
        fills.set_rows([_fill_row(frame, fill) for fill in fills_of(response)])
        recompute.offer([adl_round.sequence for adl_round in response.rounds])

    async def refresh_incident() -> None:
        if files.episode is not None:
            incident_html.set_content(await _incident_of(frame, files.episode))

    await frame.every(refresh, REFRESH_S)
    await frame.every(refresh_incident, RUNNING_REFRESH_S)


_EPISODE_CARD = (
    '<div><a :href="props.row.episode_href">{{props.row.contract}} {{props.row.episode}}</a> '
    "<span :class=\"'state state-' + props.row.state_kind\">{{props.row.state}}</span></div>"
    '<div class="quiet">{{props.row.trigger}}, {{props.row.started}}, '
    "{{props.row.fills}} fills</div>"
)


_ACCOUNT_CARD = (
    '<div><a v-if="props.row.account_href" :href="props.row.account_href">{{props.row.account}}</a>'
    "<span v-else>{{props.row.account}}</span> {{props.row.quantity}} closed</div>"
    '<div class="quiet">notional {{props.row.notional}}, cost vs mark {{props.row.haircut}}, '
    "{{props.row.share}} %</div>"
)

_STEP_CARD = (
    "<div>{{props.row.time}} <b>{{props.row.event}}</b></div>"
    '<div class="quiet">{{props.row.detail}}<span v-if="props.row.quantity">; '
    '{{props.row.quantity}}</span><span v-if="props.row.price"> at {{props.row.price}}</span>'
    '<span v-if="props.row.to_fund">; to the fund {{props.row.to_fund}}</span></div>'
)

_FILL_CARD = (
    '<div><a v-if="props.row.account_href" :href="props.row.account_href">{{props.row.account}}</a>'
    "<span v-else>{{props.row.account}}</span> {{props.row.quantity}} at {{props.row.price}}</div>"
    '<div class="quiet">fill {{props.row.fill}}, rank {{props.row.rank}}, realized '
    "{{props.row.realized}}, {{props.row.state}}</div>"
)


def _episode_row(
    frame: PageFrame, episode: EpisodeResponse, states: Mapping[str, str]
) -> dict[str, Any]:
    """Return an episode as a row; `states` are those of the contracts now."""
    state = "ended" if episode.stopped_ms else "running"
    if state == "running" and states.get(episode.contract) == "exhausted":
        state = STATES["exhausted"].partition(":")[0]
    return {
        "episode": episode.episode,
        "episode_href": frame.url(f"/events/{episode.episode}"),
        "contract": episode.contract,
        "contract_href": frame.contract_url(episode.contract),
        "state": state,
        "state_kind": "ended" if episode.stopped_ms else "adl",
        "trigger": humanize(episode.trigger),
        "started": utc(episode.started_ms),
        "stopped": utc(episode.stopped_ms),
        "fills": episode.fills,
        "quantity": episode.quantity,
        "accounts": episode.accounts,
    }


# --- one episode ---


def _head(frame: PageFrame, episode: Waterfall) -> str:
    state = "calm" if episode.stopped_ms else "adl"
    end = f"ended {utc(episode.stopped_ms)} UTC" if episode.stopped_ms else "still running"
    return (
        f'<div class="banner banner-{state}"><b><a href="{frame.contract_url(episode.contract)}">'
        f'{escape(episode.contract)}</a></b><span class="state state-{state}">'
        f"{humanize(episode.trigger)}</span><span>started {utc(episode.started_ms)} UTC, {end}"
        f'</span><span class="quiet">{escape(_numbers(episode.numbers))}</span></div>'
    )


def _numbers(numbers: Mapping[str, str]) -> str:
    """Return the numbers that a trigger or a price rule compared, in one line."""
    return ", ".join(_number(name, value) for name, value in numbers.items())


def _number(name: str, value: str) -> str:
    if name.endswith("_ppm"):
        return f"{humanize(name.removesuffix('_ppm'))} {percent(value)}"
    return f"{humanize(name)} {value}"


def _total(amounts: Iterable[str]) -> Decimal:
    return sum(map(Decimal, amounts), Decimal(0))


def _with_unit(columns: Sequence[Column], asset: str) -> dict[str, str]:
    """Return the headings of amounts of money with their asset."""
    return {column.name: f"{column.label}, {asset}" for column in columns if column.kind == "money"}


class _Loss:
    """Where the loss went: as a Sankey diagram, and exactly."""

    def __init__(self) -> None:
        self._chart = ui.echart(loss_sankey([], "")).style("height: 260px").classes("loss")
        self._paid = html()

    def display(self, episode: Waterfall, contract: ContractResponse) -> None:
        """Display the loss of an episode of this contract."""
        flows = loss_flows(episode, contract.kind, contract.mark)
        self._chart.options.update(loss_sankey(flows, contract.settle))
        self._chart.update()
        self._chart.set_visibility(any(flow.amount > 0 for flow in flows))
        self._paid.set_content(_paid(flows, contract.settle))


def _paid(flows: Sequence[LossFlow], asset: str) -> str:
    """Return the deficit and who paid how much of it, exactly; a gain is named as such."""
    if not flows:
        return '<p class="quiet">No loss: nothing was closed worse than it was taken over.</p>'
    paid = by_payer(flows)
    total = sum(paid.values(), Decimal(0))
    amounts = {f"deficit of bankrupt accounts, {asset}": money(decimal_text(total))}
    for payer, amount in paid.items():
        name = payer if amount > 0 else f"{payer}, gained"
        share = f" ({100 * amount / total:.1f} %)" if total > 0 and amount > 0 else ""
        amounts[f"{name}{share}"] = money(decimal_text(abs(amount)))
    return f'<div class="paid">{pairs(amounts)}</div>'


async def _incident_of(frame: PageFrame, episode: Waterfall) -> str:
    """Return what all triggers of the contract did together, as a line with links."""
    episodes = await frame.client.episodes(episode.contract)
    incidents = incidents_of(episodes)
    found = next((each for each in incidents if episode.episode in _numbers_of(each)), None)
    if found is None:
        return ""
    totals = await frame.client.adl_totals(found.started_ms, found.stopped_ms)
    total = next((each for each in totals if each.contract == episode.contract), None)
    links = ", ".join(
        f'<a href="{frame.url(f"/events/{each.episode}")}">{each.episode}</a> '
        f"({humanize(each.trigger)})"
        for each in found.episodes
    )
    end = f"ended {utc(found.stopped_ms)} UTC" if found.stopped_ms else "still running"
    return (
        f'<p class="incident-line"><b>Incident</b> of {escape(episode.contract)}, '
        f"{count(len(found.episodes), 'event')}: {links}; since {utc(found.started_ms)}, {end}; "
        f"{closed_text(total)}.</p>"
    )


def _numbers_of(incident: Incident) -> set[int]:
    return {episode.episode for episode in incident.episodes}


def _fund(episode: Waterfall) -> str:
    values: dict[str, str] = {"insurance fund": escape(episode.pool)}
    before, after = episode.pool_before, episode.pool_after
    for name, point in (("before", before), ("after", after)):
        if point is not None:
            values[f"balance {name}"] = money(point.balance)
            values[f"equity {name}"] = money(point.equity)
    if before and after:
        change = Decimal(after.equity) - Decimal(before.equity)
        values["change of equity"] = money(decimal_text(change))
    values |= {
        "fills": str(episode.fills),
        "accounts closed": str(episode.accounts),
        **_quantities(episode),
    }
    return pairs(values)


def _quantities(episode: Waterfall) -> dict[str, str]:
    """Return where the quantity taken over went: market, netting, ADL, or still in the fund."""
    taken = _total(takeover.quantity for takeover in episode.takeovers)
    unwound = _total(unwind.quantity for unwind in episode.unwinds)
    netted = 2 * _total(pair.quantity for pair in episode.netted)
    remaining = max(taken - unwound - netted - Decimal(episode.quantity), Decimal(0))
    amounts = {
        "quantity taken over": taken,
        "closed in the market": unwound,
        "netted by the fund": netted,
        "closed by ADL": Decimal(episode.quantity),
        "remaining": remaining,
    }
    return {name: grouped(decimal_text(amount)) for name, amount in amounts.items()}


def _steps(episode: Waterfall) -> list[dict[str, Any]]:
    """Return all steps of an episode as rows, oldest first."""
    steps = [*_steps_before(episode), *_steps_after(episode)]
    steps.sort(key=lambda step: step["sequence"])
    return [step | {"id": place, "time": clock(step["time"])} for place, step in enumerate(steps)]


def _steps_before(episode: Waterfall) -> Iterator[dict[str, Any]]:
    """Yield takeovers, unwinds, netted inventory and the start."""
    for takeover in episode.takeovers:
        yield {
            **_step(takeover.sequence, takeover.time_ms, "liquidation taken over"),
            "detail": f"{takeover.account} {takeover.side}: {humanize(takeover.reason)}",
            "quantity": takeover.quantity,
            "price": takeover.price,
            "to_fund": takeover.to_pool,
        }
    for unwind in episode.unwinds:
        yield {
            **_step(unwind.sequence, unwind.time_ms, "closed in the market"),
            "detail": unwind.side,
            "quantity": unwind.quantity,
            "price": unwind.price,
            "to_fund": unwind.realized_pnl,
        }
    for pair in episode.netted:
        yield {
            **_step(pair.sequence, pair.time_ms, "netted by the fund"),
            "detail": "long and short",
            "quantity": pair.quantity,
            "price": pair.mark,
            "to_fund": pair.realized_pnl,
        }
    yield {
        **_step(episode.started_sequence, episode.started_ms, "ADL starts"),
        "detail": f"{humanize(episode.trigger)}: {_numbers(episode.numbers)}",
    }


def _steps_after(episode: Waterfall) -> Iterator[dict[str, Any]]:
    """Yield rounds and the stop."""
    for adl_round in episode.rounds:
        yield {
            **_step(adl_round.sequence, adl_round.time_ms, f"round, {len(adl_round.fills)} fills"),
            "detail": f"{humanize(adl_round.price_rule)}: {_numbers(adl_round.numbers)}",
            "quantity": adl_round.filled,
            "to_fund": decimal_text(_total(fill.pool_realized_pnl for fill in adl_round.fills)),
        }
    if episode.stopped_sequence is not None:
        yield {
            **_step(episode.stopped_sequence, episode.stopped_ms, "ADL stops"),
            "detail": _numbers(episode.stop_numbers or {}),
        }


def _step(sequence: int, time_ms: int | None, event: str) -> dict[str, Any]:
    empty = {"quantity": None, "price": None, "to_fund": None}
    return {"sequence": sequence, "time": time_ms, "event": event, **empty}


def _round_row(adl_round: RoundResponse) -> dict[str, Any]:
    return {
        "id": f"{adl_round.sequence}/{adl_round.side}",
        "sequence": adl_round.sequence,
        "time": utc(adl_round.time_ms),
        "side": adl_round.side,
        "rule": humanize(adl_round.price_rule),
        "wanted": adl_round.wanted,
        "filled": adl_round.filled,
        "unfilled": adl_round.unfilled,
        "unfunded": adl_round.unfunded,
        "counterparties": adl_round.counterparties,
        "hash": adl_round.hash,
    }


def _fill_row(frame: PageFrame, fill: FillResponse) -> dict[str, Any]:
    cancelled = fill.cancelled_sequence
    return {
        "fill": fill.fill,
        "fill_href": frame.url(f"/fills/{fill.fill}"),
        "account": fill.account,
        "account_href": frame.account_url(fill.account, contract=fill.contract, side=fill.side),
        "quantity": fill.quantity,
        "price": fill.price,
        "realized": fill.realized_pnl,
        "rank": fill.rank,
        "indicator": fill.indicator,
        "ahead": fill.quantity_ahead,
        "liquidated": fill.liquidated_account,
        "liquidated_href": frame.account_url(fill.liquidated_account),
        "sequence": fill.sequence,
        "state": f"cancelled by {cancelled}" if cancelled else "executed",
    }


def _account_rows(frame: PageFrame, fills: Sequence[FillResponse]) -> list[dict[str, Any]]:
    """Return what was closed of each counterparty, the largest notional first."""
    valid = [fill for fill in fills if fill.cancelled_sequence is None]
    total = _total(fill.notional for fill in valid)
    of_account: dict[str, list[FillResponse]] = {}
    for fill in valid:
        of_account.setdefault(fill.account, []).append(fill)
    rows = [_account_row(frame, name, found, total) for name, found in of_account.items()]
    return sorted(rows, key=lambda row: Decimal(row["notional"]), reverse=True)


def _account_row(
    frame: PageFrame, account: str, fills: Sequence[FillResponse], total: Decimal
) -> dict[str, Any]:
    notional = _total(fill.notional for fill in fills)
    return {
        "account": account,
        "account_href": frame.account_url(account),
        "fills": len(fills),
        "quantity": decimal_text(_total(fill.quantity for fill in fills)),
        "notional": decimal_text(notional),
        "realized": decimal_text(_total(fill.realized_pnl for fill in fills)),
        "haircut": decimal_text(_total(fill.haircut or "0" for fill in fills)),
        "share": f"{100 * notional / total:.2f}" if total else None,
    }


class _Recompute:
    """Executes a round's command again on the server and displays whether the record is equal."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self._sequences: Sequence[int] = ()
        with ui.element("div").classes("bits"):
            self._round = ui.select([], label="round").props("dense outlined options-dense")
            self._round.style("min-width: 9rem")
            ui.button("Recompute", on_click=self._recompute).props("no-caps unelevated dense")
        self._result = html()

    def offer(self, sequences: Sequence[int]) -> None:
        """Set the rounds to choose from."""
        if list(sequences) != list(self._sequences):
            self._sequences = sequences
            chosen = self._round.value or (sequences[0] if sequences else None)
            self._round.set_options(list(dict.fromkeys(sequences)), value=chosen)

    async def _recompute(self) -> None:
        if self._round.value is None:
            return

        async def request() -> None:
            response = await self._frame.client.recompute(int(self._round.value))
            matches = str(response.matches).lower()
            verdict = f"differs: {response.difference or NOTHING}"
            if response.matches:
                verdict = "the same bytes"
            self._result.set_content(
                f'<p data-matches="{matches}">Record {response.sequence} computed again: '
                f'<b>{escape(verdict)}</b> <span class="hash">{escape(response.hash)}</span></p>'
            )

        await self._frame.attempt(request)


class _EpisodeFiles:
    """The event on the page, and its downloads."""

    def __init__(self, episode: int) -> None:
        self._name = f"adl-{episode}"
        self.summary: EpisodeResponse | None = None
        self.requested_s = -RUNNING_REFRESH_S
        self.episode: Waterfall | None = None
        self.accounts: Sequence[dict[str, Any]] = ()

    def buttons(self) -> None:
        """Display a button for each format."""
        with ui.element("div").classes("bits"):
            for label, download in (
                ("CSV", lambda episode: (csv_file(episode), "-fills.csv")),
                ("XLSX", lambda episode: (self._workbook(episode), ".xlsx")),
                ("Parquet", lambda episode: (parquet_file(episode), "-fills.parquet")),
                ("JSON", lambda episode: (json_file(episode), ".json")),
            ):
                button = ui.button(label, on_click=partial(self._download, download))
                button.props("flat dense no-caps")

    def _workbook(self, episode: Waterfall) -> bytes:
        rows = [{each.name: _typed(each, row) for each in _ACCOUNTS} for row in self.accounts]
        return workbook_file(episode, rows)

    def _download(self, content: Callable[[Waterfall], tuple[bytes, str]]) -> None:
        if self.episode is not None:
            body, ending = content(self.episode)
            ui.download.content(body, f"{self._name}{ending}")


def _typed(column: Column, row: Mapping[str, Any]) -> Any:
    """Return the value of a row in a column, an amount as a decimal."""
    value = row[column.name]
    is_amount = column.kind in {"number", "money"} and value is not None
    return Decimal(value) if is_amount else value
