"""ADL episodes: each from the liquidation to the stop, computed again where anybody doubts it."""

import io
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any

import msgspec
import polars as pl
from nicegui import ui

from delever.api_types.history import EpisodeResponse, FillResponse, RoundResponse, Waterfall
from delever.dashboard.charts.time_series import AMBER, BLUE, GREY, RED, waterfall
from delever.dashboard.components.frame import View, grid, html, panel
from delever.dashboard.components.operator_actions import Action, action_button
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import Source
from delever.dashboard.format import NOTHING, clock, grouped, percent, plain, utc, words

REFRESH_S = 2.0

_EPISODES = (
    Column("episode", "Episode", "link"),
    Column("contract", "Contract"),
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
    Column("what", "What"),
    Column("detail", "Who, and with which numbers", "wrapped"),
    Column("quantity", "Quantity", "number"),
    Column("price", "Price", "number"),
    Column("money", "To or from the pool", "number"),
)

_ROUNDS = (
    Column("sequence", "Sequence", "number"),
    Column("time", "Time (UTC)"),
    Column("side", "Inventory"),
    Column("rule", "Price rule"),
    Column("wanted", "Wanted", "number"),
    Column("filled", "Filled", "number"),
    Column("left", "Left", "number"),
    Column("counterparties", "In line", "number"),
    Column("hash", "Hash of the record", "hash"),
)

_FILLS = (
    Column("fill", "Fill", "number"),
    Column("account", "Account", "link"),
    Column("quantity", "Quantity", "number"),
    Column("price", "Price", "number"),
    Column("realized", "Realized", "number"),
    Column("rank", "Rank", "number"),
    Column("indicator", "Indicator", "indicator"),
    Column("ahead", "Ahead", "number"),
    Column("liquidated", "Bankrupt account", "link"),
    Column("sequence", "Round", "number"),
    Column("state", "State"),
)


TAKE_BACK = Action(
    label="Take a fill back",
    confirm="take back",
    fixed={"type": "cancel_adl"},
    asked={"fill": "number of the fill"},
    whole=frozenset({"fill"}),
)


async def show_all(source: Source, contract: str = "") -> None:
    """List ADL episodes, newest first; `contract` says of which contract."""
    view = View(source, "ADL events", "/events")

    async def refresh() -> None:
        name = (wanted.value or "").strip()
        episodes.rows = [_row(view, each) for each in await view.source.episodes(name)]
        view.keep_url(contract=name)

    with view.body, grid(), panel("Episodes", about="from a trigger's start to its stop"):
        wanted = ui.input(placeholder="only this contract", value=contract)
        wanted.props('dense outlined clearable aria-label="only this contract"')
        wanted.on("keydown.enter", lambda: view.attempt(refresh))
        episodes = table(_EPISODES, [], "episode")
    await view.connect()
    await view.every(refresh, REFRESH_S)


async def show(source: Source, episode: int) -> None:
    """Show one episode as a waterfall, step by step, with its fills."""
    view = View(source, f"ADL episode {episode}", "/events")
    files = _Files(episode)
    with view.body:
        head = html()
        with grid():
            with panel(
                "Who took what",
                "wide",
                about="bankrupt quantity: to the market, to counterparties, left",
            ):
                chart = ui.echart(waterfall([])).style("height: 280px")
            with panel("Pool", "slim"):
                pool = html()
                with ui.element("div").classes("bits"):
                    ui.button("JSON", on_click=files.json).props("flat dense no-caps")
                    ui.button("Parquet", on_click=files.parquet).props("flat dense no-caps")
            with panel("Step by step", about="liquidation, takeover, trigger, rounds, stop"):
                steps = table(_STEPS, [], "id")
            with panel("Rounds", about="each can be computed again from the journal"):
                rounds = table(_ROUNDS, [], "id")
                proof = _Proof(view)
            with panel("Fills"):
                fills = table(_FILLS, [], "fill")
                action_button(view, TAKE_BACK)
    await view.connect()

    async def refresh() -> None:
        told = await view.source.waterfall(episode)
        files.told = told
        head.set_content(_head(view, told))
        chart.options.update(waterfall(_stages(told)))
        chart.update()
        pool.set_content(_pool(told))
        steps.rows = list(_steps(told))
        rounds.rows = [_round(each) for each in told.rounds]
        fills.rows = [_fill(view, fill) for each in told.rounds for fill in each.fills]
        proof.offer([each.sequence for each in told.rounds])

    await view.every(refresh, REFRESH_S)


def _row(view: View, episode: EpisodeResponse) -> dict[str, Any]:
    state = "calm" if episode.stopped_ms else "adl"
    return {
        "episode": episode.episode,
        "episode_href": view.href(f"/events/{episode.episode}"),
        "contract": episode.contract,
        "state": "stopped" if episode.stopped_ms else "running",
        "state_kind": state,
        "trigger": words(episode.trigger),
        "started": utc(episode.started_ms),
        "stopped": utc(episode.stopped_ms),
        "fills": episode.fills,
        "quantity": episode.quantity,
        "accounts": episode.accounts,
    }


# --- one episode ---


def _head(view: View, told: Waterfall) -> str:
    state = "calm" if told.stopped_ms else "adl"
    end = f"stopped {utc(told.stopped_ms)}" if told.stopped_ms else "still running"
    return (
        f'<div class="banner banner-{state}"><b><a href="{view.contract(told.contract)}">'
        f'{escape(told.contract)}</a></b><span class="state state-{state}">{words(told.trigger)}'
        f"</span><span>started {utc(told.started_ms)}, {end} UTC</span>"
        f'<span class="quiet">{escape(_numbers(told.numbers))}</span></div>'
    )


def _numbers(numbers: Mapping[str, str]) -> str:
    """Return what was compared, in one line."""
    return ", ".join(_number(name, value) for name, value in numbers.items())


def _number(name: str, value: str) -> str:
    if name.endswith("_ppm"):
        return f"{words(name.removesuffix('_ppm'))} {percent(value)}"
    return f"{words(name)} {value}"


def _total(amounts: Iterator[str]) -> Decimal:
    return sum(map(Decimal, amounts), Decimal(0))


def _stages(told: Waterfall) -> list[tuple[str, float, str]]:
    """Return bankrupt quantity, and where it went: market, counterparties, or still with the pool."""
    taken = _total(each.quantity for each in told.takeovers)
    unwound = _total(each.quantity for each in told.unwinds)
    closed = Decimal(told.quantity)
    left = max(taken - unwound - closed, Decimal(0))
    named = (
        ("bankrupt", taken, GREY),
        ("market", unwound, BLUE),
        ("ADL", closed, RED),
        ("left", left, AMBER),
    )
    return [(name, float(amount), colour) for name, amount, colour in named]


def _pool(told: Waterfall) -> str:
    pairs: dict[str, str] = {"pool": escape(told.pool)}
    for name, point in (("before", told.pool_before), ("after", told.pool_after)):
        if point is not None:
            pairs[f"balance {name}"] = grouped(point.balance)
            pairs[f"equity {name}"] = grouped(point.equity)
    if told.pool_before and told.pool_after:
        moved = Decimal(told.pool_after.equity) - Decimal(told.pool_before.equity)
        pairs["equity moved by"] = grouped(plain(moved))
    pairs |= {
        "fills": str(told.fills),
        "accounts closed": str(told.accounts),
        "quantity closed": grouped(told.quantity),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs.items())
    return f'<dl class="pairs">{rows}</dl>'


def _steps(told: Waterfall) -> list[dict[str, Any]]:
    """Return everything that happened, oldest first."""
    steps = [*_before(told), *_after(told)]
    ordered = sorted(enumerate(steps), key=lambda each: (each[1]["sequence"], each[0]))
    return [step | {"id": place, "time": clock(step["time"])} for place, step in ordered]


def _before(told: Waterfall) -> Iterator[dict[str, Any]]:
    for taken in told.takeovers:
        detail = f"{taken.account} {taken.side}: {words(taken.reason)}"
        yield _step(taken, "takeover", detail, taken.quantity, taken.price, taken.to_pool)
    for sold in told.unwinds:
        yield _step(
            sold, "unwound in the market", sold.side, sold.quantity, sold.price, sold.realized_pnl
        )
    yield {
        **_step(None, "ADL starts", f"{words(told.trigger)}: {_numbers(told.numbers)}"),
        "sequence": told.started_sequence,
        "time": told.started_ms,
    }


def _after(told: Waterfall) -> Iterator[dict[str, Any]]:
    for each in told.rounds:
        detail = f"{words(each.price_rule)}: {_numbers(each.numbers)}"
        money = plain(_total(fill.pool_realized_pnl for fill in each.fills))
        yield _step(each, f"round, {len(each.fills)} fills", detail, each.filled, None, money)
    if told.stopped_sequence is not None:
        yield {
            **_step(None, "ADL stops", _numbers(told.stop_numbers or {})),
            "sequence": told.stopped_sequence,
            "time": told.stopped_ms,
        }


def _step(
    told: Any,
    what: str,
    detail: str,
    quantity: str | None = None,
    price: str | None = None,
    money: str | None = None,
) -> dict[str, Any]:
    place = {} if told is None else {"sequence": told.sequence, "time": told.time_ms}
    return {
        **place,
        "what": what,
        "detail": detail,
        "quantity": quantity,
        "price": price,
        "money": money,
    }


def _round(told: RoundResponse) -> dict[str, Any]:
    return {
        "id": f"{told.sequence}/{told.side}",
        "sequence": told.sequence,
        "time": utc(told.time_ms),
        "side": told.side,
        "rule": words(told.price_rule),
        "wanted": told.wanted,
        "filled": told.filled,
        "left": told.unfilled,
        "counterparties": told.counterparties,
        "hash": told.hash,
    }


def _fill(view: View, fill: FillResponse) -> dict[str, Any]:
    taken_back = fill.cancelled_sequence
    return {
        "fill": fill.fill,
        "account": fill.account,
        "account_href": view.account(fill.account, contract=fill.contract, side=fill.side),
        "quantity": fill.quantity,
        "price": fill.price,
        "realized": fill.realized_pnl,
        "rank": fill.rank,
        "indicator": fill.indicator,
        "ahead": fill.quantity_ahead,
        "liquidated": fill.liquidated_account,
        "liquidated_href": view.account(fill.liquidated_account),
        "sequence": fill.sequence,
        "state": f"taken back by {taken_back}" if taken_back else "stands",
    }


class _Proof:
    """Computes a round again, and says whether the same bytes came out."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._offered: Sequence[int] = ()
        with ui.element("div").classes("bits"):
            self._round = ui.select([], label="round").props("dense outlined options-dense")
            self._round.style("min-width: 9rem")
            ui.button("Recompute", on_click=self._recompute).props("no-caps unelevated dense")
        self._told = html()

    def offer(self, sequences: Sequence[int]) -> None:
        """Let one of these rounds be chosen."""
        if list(sequences) != list(self._offered):
            self._offered = sequences
            chosen = self._round.value or (sequences[0] if sequences else None)
            self._round.set_options(list(dict.fromkeys(sequences)), value=chosen)

    async def _recompute(self) -> None:
        if self._round.value is None:
            return

        async def ask() -> None:
            told = await self._view.source.recompute(int(self._round.value))
            verdict = "the same bytes" if told.matches else f"differs: {told.difference or NOTHING}"
            self._told.set_content(
                f'<p data-same="{str(told.matches).lower()}">Record {told.sequence} computed again: '
                f'<b>{escape(verdict)}</b> <span class="hash">{escape(told.hash)}</span></p>'
            )

        await self._view.attempt(ask)


class _Files:
    """The episode as files: everything as JSON, its fills as Parquet."""

    def __init__(self, episode: int) -> None:
        self._name = f"adl-{episode}"
        self.told: Waterfall | None = None

    def json(self) -> None:
        """Download everything that is told of the episode."""
        if self.told is not None:
            body = msgspec.json.format(msgspec.json.encode(self.told))
            ui.download.content(body, f"{self._name}.json", "application/json")

    def parquet(self) -> None:
        """Download the fills, numbers as exact decimals."""
        if self.told is not None:
            fills = [fill for each in self.told.rounds for fill in each.fills]
            ui.download.content(parquet_of(fills), f"{self._name}-fills.parquet")


def parquet_of(fills: Sequence[FillResponse]) -> bytes:
    """Return fills as Parquet, a row a fill, money and quantities as exact decimals."""
    exact = {"quantity", "price", "realized", "pool_realized_pnl", "fee", "ahead"}
    rows = [
        {
            name: Decimal(value) if name in exact else _bare(value)
            for name, value in msgspec.structs.asdict(fill).items()
        }
        for fill in fills
    ]
    written = io.BytesIO()
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(written)
    return written.getvalue()


def _bare(value: Any) -> Any:
    """Return a word of the core as plain text."""
    return str(value) if isinstance(value, str) else value
