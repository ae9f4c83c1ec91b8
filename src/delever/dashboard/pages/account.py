"""One account: where each position stands, why, what would change it, and what it was told."""

from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.accounts import (
    AccountResponse,
    ExplanationResponse,
    PositionResponse,
    QueuePositionResponse,
    WhatIfResponse,
)
from delever.dashboard.components.frame import View, grid, html, panel
from delever.dashboard.components.table import Column, table
from delever.dashboard.data.api_client import Source
from delever.dashboard.format import NOTHING, grouped, indicators, plain, utc, words

REFRESH_S = 2.0


@dataclass(frozen=True, slots=True)
class _Change:
    """A change that a what-if knows: its name, the field of its number, and its slider.

    The slider goes from `low` to `high` in steps; with `percent` it is that part of what the
    position has: its quantity, or for margin the equity behind it.
    """

    name: str
    field: str
    low: float
    high: float
    step: float
    percent: bool = True


CHANGES = {
    "set_leverage": _Change("Leverage", "leverage", 0.5, 100, 0.5, percent=False),
    "add_margin": _Change("Margin put in (negative: taken out)", "amount", -100, 300, 1),
    "partial_close": _Change("Quantity closed at the mark", "quantity", 1, 100, 1),
    "open_hedge": _Change("Quantity opened on the other side", "quantity", 1, 100, 1),
}

_POSITIONS = (
    Column("contract", "Contract", "link"),
    Column("side", "Side"),
    Column("indicator", "Indicator", "indicator"),
    Column("rank", "Rank", "number"),
    Column("of", "Of", "number"),
    Column("quantity", "Quantity", "number"),
    Column("entry", "Entry", "number"),
    Column("mark", "Mark", "number"),
    Column("profit", "Profit", "number"),
    Column("leverage", "Leverage", "number"),
    Column("mode", "Margin"),
    Column("ahead", "Quantity ahead", "number"),
)

_WALLETS = (
    Column("asset", "Asset"),
    Column("balance", "Balance", "number"),
    Column("equity", "Equity", "number"),
    Column("maintenance", "Maintenance margin", "number"),
)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The position that is explained, and what there is of it."""

    contract: str
    side: str
    position: int
    quantity: Decimal


async def find(source: Source) -> None:
    """Ask for the name of an account."""
    view = View(source, "Accounts", "/accounts")
    with view.body, grid(), panel("Find an account"):
        name = ui.input("name of the account").props("outlined dense autofocus")

        def go() -> None:
            address = view.account(name.value.strip()) if name.value.strip() else ""
            if address:
                ui.navigate.to(address.removeprefix(view.prefix))

        name.on("keydown.enter", go)
        ui.button("Show", on_click=go).props("no-caps unelevated").style("margin: .6rem 0")
        ui.label("Or take one from a contract's queue ladder.").classes("note")
    await view.connect()


async def show(
    source: Source, account: str, contract: str = "", side: str = "", position: int = 0
) -> None:
    """Show an account; `contract`, `side` and `position` say which position is explained."""
    view = View(source, account, "/accounts")
    with view.body, grid():
        with panel("Positions"):
            positions = table(_POSITIONS, [], "id")
        with panel("Why me", "half"):
            why = html()
        with panel("What if", "half", about="the engine's own ranking, everybody else as is"):
            supposing = _Supposing(view, account)
        with panel("Wallets", "half"):
            wallets = table(_WALLETS, [], "asset")
        with panel("Notices sent", "half"):
            notices = html()
    await view.connect()

    async def refresh() -> None:
        now = await view.source.account(account)
        view.as_of(now.as_of, now.time_ms)
        positions.rows = [_row(view, account, each) for each in now.positions]
        wallets.rows = [_wallet(each) for each in now.wallets if _counts(each)]
        chosen = _choose(now, contract, side, position)
        if chosen is None:
            why.set_content('<p class="quiet">Holds no position.</p>')
            return
        explained = await view.source.explain(
            account, chosen.contract, chosen.side, chosen.position
        )
        why.set_content(_why(chosen, explained))
        lot = (await view.source.contract(chosen.contract)).lot_size
        supposing.about(chosen, Decimal(explained.equity), Decimal(lot))

    async def tell() -> None:
        notices.set_content(_notices(await view.source.notices(account)))

    await view.every(refresh, REFRESH_S)
    await view.every(tell, 10 * REFRESH_S)


def _choose(account: AccountResponse, contract: str, side: str, position: int) -> _Chosen | None:
    """Return the position that is asked for, or the one that is nearest to being closed."""
    held = [
        each
        for each in account.positions
        if contract in {"", each.contract} and side in {"", each.side}
    ]
    exact = [each for each in held if each.position == position] or held or account.positions
    if not exact:
        return None
    first = max(exact, key=lambda each: each.indicator or 0)
    return _Chosen(first.contract, first.side, first.position, Decimal(first.quantity))


def _row(view: View, account: str, held: PositionResponse) -> dict[str, Any]:
    query = {"contract": held.contract, "side": held.side, "position": held.position or ""}
    return {
        "id": f"{held.contract}/{held.side}/{held.position}",
        "contract": held.contract,
        "contract_href": view.account(account, **query),
        "side": held.side if not held.position else f"{held.side} {held.position}",
        "indicator": held.indicator,
        "rank": held.rank,
        "of": held.ranked,
        "quantity": held.quantity,
        "entry": held.entry_price,
        "mark": held.mark,
        "profit": held.unrealized_pnl,
        "leverage": held.leverage,
        "mode": held.margin_mode,
        "ahead": held.quantity_ahead,
    }


def _wallet(wallet: Any) -> dict[str, Any]:
    return {
        "asset": wallet.asset,
        "balance": wallet.balance,
        "equity": wallet.equity,
        "maintenance": wallet.maintenance_margin,
    }


def _counts(wallet: Any) -> bool:
    return {wallet.balance, wallet.equity, wallet.maintenance_margin} != {"0"}


# --- why me ---


def _why(chosen: _Chosen, told: ExplanationResponse) -> str:
    """Return the arithmetic as a numbered list."""
    items = "".join(f"<li>{escape(line)}</li>" for line in told.lines)
    place = (
        indicators(told.indicator) if told.reason is None else f"not in line: {words(told.reason)}"
    )
    return (
        f'<div data-rank="{told.rank or 0}"><b>{escape(chosen.contract)} '
        f'{escape(chosen.side)}</b> <span class="indicators">{place}</span></div>'
        f'<ol class="why">{items}</ol><p class="note">As of sequence {told.as_of}, '
        f"{utc(told.time_ms)} UTC, rules of {escape(told.rules)}.</p>"
    )


# --- what if ---


class _Supposing:
    """One change, tried on the engine's own ranking."""

    def __init__(self, view: View, account: str) -> None:
        self._view, self._account = view, account
        self._chosen: _Chosen | None = None
        self._equity = self._lot = Decimal(0)
        with ui.element("div").classes("bits"):
            names = {change: each.name for change, each in CHANGES.items()}
            self._change = ui.select(names, value="set_leverage", on_change=self._turn)
            self._change.props('dense outlined aria-label="change"')
            self._amount = ui.input(value="2").props('dense outlined aria-label="amount"')
            self._amount.on("keydown.enter", self.suppose)
            ui.button("Try", on_click=self.suppose).props(
                "no-caps dense unelevated padding='4px 14px'"
            )
        self._slider = ui.slider(min=0.5, max=100, step=0.5, value=2, on_change=self._slid)
        self._slider.props('label aria-label="how much" throttle=300')
        self._shown = html('<p class="quiet">Choose a change.</p>')

    def about(self, chosen: _Chosen, equity: Decimal, lot: Decimal) -> None:
        """Ask about this position, with so much equity behind it, in lots of this size."""
        self._chosen, self._equity, self._lot = chosen, equity, lot

    def _turn(self) -> None:
        change = CHANGES[str(self._change.value)]
        bounds = {"min": change.low, "max": change.high, "step": change.step}
        self._slider.props.update(bounds)
        self._label(float(self._slider.value))

    def _label(self, slid: float) -> None:
        """Say on the slider where it stands, and of what it is a part."""
        percent = CHANGES[str(self._change.value)].percent
        self._slider.props["label-value"] = f"{slid:g} %" if percent else f"{slid:g}"
        self._slider.update()

    async def _slid(self, event: Any) -> None:
        self._label(float(event.value))
        self._amount.value = self._part(float(event.value))
        await self.suppose()

    def _part(self, slid: float) -> str:
        """Return the amount at which the slider stands: whole lots, whole cents of margin."""
        kind, chosen = str(self._change.value), self._chosen
        if not CHANGES[kind].percent or chosen is None:
            return f"{slid:g}"
        share = Decimal(str(slid)) / 100
        if kind == "add_margin":
            return plain((share * abs(self._equity)).quantize(Decimal("0.01")))
        lots = int(share * chosen.quantity / self._lot) or 1
        return plain(lots * self._lot)

    async def suppose(self) -> None:
        """Ask what the change would make of the place, and show both side by side."""
        chosen = self._chosen
        if chosen is None:
            return
        kind = str(self._change.value)
        change = {"change": kind, CHANGES[kind].field: self._amount.value.strip()}

        async def ask() -> None:
            told = await self._view.source.what_if(
                self._account, chosen.contract, chosen.side, chosen.position, change
            )
            self._shown.set_content(_compared(told))

        await self._view.attempt(ask)


def _compared(told: WhatIfResponse) -> str:
    rows = [("", "now", "then")]
    rows += [
        (name, show_it(told.before), show_it(told.after))
        for name, show_it in (
            ("rank", _rank),
            ("indicator", lambda standing: indicators(standing.indicator)),
            ("score", lambda standing: f"{standing.score:.6g}"),
            ("quantity", lambda standing: grouped(standing.quantity)),
            ("closed only beyond a residual of", lambda standing: grouped(standing.quantity_ahead)),
        )
    ]
    cells = "".join(
        f"<tr><th scope='row'>{name}</th><td>{before}</td><td>{after}</td></tr>"
        for name, before, after in rows
    )
    ranks = f'data-before="{told.before.rank or 0}" data-after="{told.after.rank or 0}"'
    return f'<table class="compared" {ranks}>{cells}</table>'


def _rank(standing: QueuePositionResponse) -> str:
    if standing.reason is not None:
        return f"not in line: {words(standing.reason)}"
    return f"{standing.rank} of {standing.ranked}"


# --- notices ---


def _notices(deliveries: list[dict[str, Any]]) -> str:
    if not deliveries:
        return '<p class="quiet">None yet.</p>'
    names = list(deliveries[0])
    head = "".join(f"<th>{escape(words(name))}</th>" for name in names)
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(_said(name, each.get(name)))}</td>" for name in names)
        + "</tr>"
        for each in deliveries
    )
    return f'<table class="compared"><tr>{head}</tr>{rows}</table>'


def _said(name: str, value: object) -> str:
    if value is None or value == "":
        return NOTHING
    return utc(value) if name.endswith("_ms") and isinstance(value, int) else str(value)
