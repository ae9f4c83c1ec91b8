"""One account: rank of each position, its explanation, what-if, wallets and notifications."""

from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.accounts import (
    AccountResponse,
    ExplanationResponse,
    MarginResponse,
    PositionResponse,
    QueuePositionResponse,
    WalletResponse,
    WhatIfResponse,
)
from delever.dashboard.components.closed_by_adl import ClosedByAdl
from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.components.table import Column, card_field, card_lines, table
from delever.dashboard.data.api_client import ApiClient
from delever.dashboard.format import NOTHING, grouped, humanize, indicator_dots, percent, utc
from delever.formatting import decimal_text, significant

REFRESH_S = 2.0


@dataclass(frozen=True, slots=True)
class _ChangeKind:
    """One kind of change: its text, the API field of its amount, and the range of its slider.

    With `is_percent` the slider is a percentage of the position's quantity, or for margin of its
    equity; otherwise it is the amount itself.
    """

    text: str
    field: str
    low: float
    high: float
    step: float
    is_percent: bool = True


CHANGES = {
    "set_leverage": _ChangeKind("Leverage", "leverage", 0.5, 100, 0.5, is_percent=False),
    "add_margin": _ChangeKind("Margin added (negative: withdrawn)", "amount", -100, 300, 1),
    "partial_close": _ChangeKind("Quantity closed at the mark", "quantity", 1, 100, 1),
    "open_hedge": _ChangeKind("Quantity opened on the other side", "quantity", 1, 100, 1),
}

_POSITIONS = (
    Column("contract", "Contract", "link"),
    Column("side", "Side"),
    Column("indicator", "ADL indicator", "indicator"),
    Column("rank", "Rank", "number"),
    Column("of", "Of", "number"),
    Column("quantity", "Quantity", "number"),
    Column("entry", "Entry price", "number"),
    Column("mark", "Mark", "number"),
    Column("unrealized_pnl", "Unrealized PnL", "number"),
    Column("leverage", "Leverage", "number"),
    Column("mode", "Margin mode"),
    Column("ahead", "Quantity ahead", "number"),
    Column("why", "Why me", "link"),
)

_POSITION_CARD = card_lines(
    f"{card_field('contract', 'link')} {card_field('side', 'text')} "
    f"{card_field('indicator', 'indicator')} rank {card_field('rank', 'number')} of "
    f"{card_field('of', 'number')} {card_field('why', 'link')}",
    f"{card_field('quantity', 'number')} from {card_field('entry', 'number')}, mark "
    f"{card_field('mark', 'number')}, PnL {card_field('unrealized_pnl', 'money')}",
)

_WALLETS = (
    Column("asset", "Asset"),
    Column("balance", "Balance", "number"),
    Column("equity", "Equity", "number"),
    Column("maintenance", "Maintenance margin", "number"),
    Column("source", "Margin by"),
    Column("value", "Collateral value", "number"),
    Column("counted", "After haircut", "number"),
)


@dataclass(frozen=True, slots=True)
class _Selection:
    """The position that is explained, with its quantity."""

    contract: str
    side: str
    position: int
    quantity: Decimal


async def find(client: ApiClient) -> None:
    """Build the page that asks for the name of an account."""
    frame = PageFrame(client, "Accounts", "/accounts")
    with frame.body, grid(), panel("Find an account"):
        name = ui.input("name of the account").props("outlined dense autofocus")

        def open_account() -> None:
            url = frame.account_url(name.value.strip()) if name.value.strip() else ""
            if url:
                ui.navigate.to(url.removeprefix(frame.prefix))

        name.on("keydown.enter", open_account)
        button = ui.button("Show", on_click=open_account)
        button.props("no-caps unelevated").style("margin: .6rem 0")
        ui.label("Or choose one from the ADL queue of a contract.").classes("note")
    await frame.connect()


async def show(
    client: ApiClient,
    account: str,
    contract: str = "",
    side: str = "",
    position: int = 0,
    fill: int = 0,
) -> None:
    """Build an account's page; `contract`, `side` and `position` select what is explained.

    `fill` is the ADL fill whose proof is displayed.
    """
    frame = PageFrame(client, account, "/accounts")
    with frame.body, grid():
        with panel("Closed by ADL", about="newest first; each fill opens its proof"):
            closed = ClosedByAdl(frame, account)
        with panel("Positions"):
            positions = table(_POSITIONS, [], "id", "No open position.", card=_POSITION_CARD)
        with panel("Why me", "half"):
            explanation_html = html()
        with panel("What if", "half", about="ranked by the engine, all other accounts unchanged"):
            what_if = _WhatIf(frame, account)
        with panel("Wallets", "half"):
            wallets = table(_WALLETS, [], "asset")
            margin_html = html()
        with panel("Notifications sent", "half"):
            notifications = html()
    await frame.connect()
    if not await frame.exists("account", account, frame.client.account(account)):
        return

    async def refresh() -> None:
        now = await frame.client.account(account)
        frame.as_of(now.as_of, now.time_ms)
        positions.rows = [_position_row(frame, account, row) for row in now.positions]
        wallets.rows = [_wallet_row(wallet) for wallet in now.wallets if _is_used(wallet)]
        margin_html.set_content(_margin_text(now.margin))
        selection = _select(now, contract, side, position)
        if selection is None:
            explanation_html.set_content('<p class="quiet">No open position.</p>')
            return
        explanation = await frame.client.explain(
            account, selection.contract, selection.side, selection.position
        )
        explanation_html.set_content(_explanation(selection, explanation))
        lot = (await frame.client.contract(selection.contract)).lot_size
        what_if.select(selection, Decimal(explanation.equity), Decimal(lot))

    async def refresh_notifications() -> None:
        notifications.set_content(_notifications(await frame.client.notices(account)))

    await frame.every(closed.refresh, REFRESH_S)
    await frame.every(refresh, REFRESH_S)
    await frame.every(refresh_notifications, 10 * REFRESH_S)
    await closed.prove(fill)


def _select(account: AccountResponse, contract: str, side: str, position: int) -> _Selection | None:
    """Return the requested position, otherwise the one with the highest ADL indicator."""
    matching = [
        row
        for row in account.positions
        if contract in {"", row.contract} and side in {"", row.side}
    ]
    exact = [row for row in matching if row.position == position] or matching or account.positions
    if not exact:
        return None
    first = max(exact, key=lambda row: row.indicator or 0)
    return _Selection(first.contract, first.side, first.position, Decimal(first.quantity))


def _position_row(frame: PageFrame, account: str, row: PositionResponse) -> dict[str, Any]:
    query = {"contract": row.contract, "side": row.side, "position": row.position or ""}
    return {
        "id": f"{row.contract}/{row.side}/{row.position}",
        "contract": row.contract,
        "contract_href": frame.contract_url(row.contract),
        "why": "explain",
        "why_href": frame.account_url(account, **query),
        "side": row.side if not row.position else f"{row.side} {row.position}",
        "indicator": row.indicator,
        "rank": row.rank,
        "of": row.ranked,
        "quantity": row.quantity,
        "entry": row.entry_price,
        "mark": row.mark,
        "unrealized_pnl": row.unrealized_pnl,
        "leverage": row.leverage,
        "mode": row.margin_mode,
        "ahead": row.quantity_ahead,
    }


def _wallet_row(wallet: WalletResponse) -> dict[str, Any]:
    return {
        "asset": wallet.asset,
        "balance": wallet.balance,
        "equity": wallet.equity,
        "maintenance": wallet.maintenance_margin,
        "source": "the venue" if wallet.venue_margin else "delever",
        "value": wallet.value or "",
        "counted": wallet.value_after_haircut or "",
    }


def _margin_text(margin: MarginResponse | None) -> str:
    """Return the margin of a multi-asset account as one line, or nothing."""
    if margin is None:
        return ""
    return (
        '<p class="quiet">Multi-asset margin: equity '
        f"{grouped(margin.equity)} {escape(margin.currency)}, after collateral haircut "
        f"{grouped(margin.equity_after_haircut)}, maintenance margin "
        f"{grouped(margin.maintenance_margin)}, margin ratio "
        f"{percent(margin.margin_ratio_ppm)}</p>"
    )


def _is_used(wallet: WalletResponse) -> bool:
    return {wallet.balance, wallet.equity, wallet.maintenance_margin} != {"0"}


# --- why me ---


def _explanation(selection: _Selection, explanation: ExplanationResponse) -> str:
    """Return the explanation of a rank as a numbered list of its arithmetic."""
    items = "".join(f"<li>{escape(line)}</li>" for line in explanation.lines)
    place = indicator_dots(explanation.indicator)
    if explanation.reason is not None:
        place = f"not ranked: {humanize(explanation.reason)}"
    return (
        f'<div data-rank="{explanation.rank or 0}"><b>{escape(selection.contract)} '
        f'{escape(selection.side)}</b> <span class="indicators">{place}</span></div>'
        f'<ol class="why">{items}</ol><p class="note">As of sequence {explanation.as_of}, '
        f"{utc(explanation.time_ms)} UTC, rules of {escape(explanation.rules)}.</p>"
    )


# --- what if ---


class _WhatIf:
    """The controls of one change, and the rank before and after it."""

    def __init__(self, frame: PageFrame, account: str) -> None:
        self._frame, self._account = frame, account
        self._selection: _Selection | None = None
        self._equity = self._lot = Decimal(0)
        with ui.element("div").classes("bits"):
            texts = {name: kind.text for name, kind in CHANGES.items()}
            self._change = ui.select(texts, value="set_leverage", on_change=self._change_changed)
            self._change.props('dense outlined aria-label="change"')
            self._amount = ui.input(value="2").props('dense outlined aria-label="amount"')
            self._amount.on("keydown.enter", self.compare)
            ui.button("Try", on_click=self.compare).props(
                "no-caps dense unelevated padding='4px 14px'"
            )
        self._slider = ui.slider(min=0.5, max=100, step=0.5, value=2, on_change=self._slider_moved)
        self._slider.props('label aria-label="how much" throttle=300')
        self._result = html('<p class="quiet">Choose a change.</p>')

    def select(self, selection: _Selection, equity: Decimal, lot: Decimal) -> None:
        """Set the position to compare, with its equity and the lot size of its contract."""
        self._selection, self._equity, self._lot = selection, equity, lot

    @property
    def _kind(self) -> _ChangeKind:
        return CHANGES[str(self._change.value)]

    def _change_changed(self) -> None:
        limits = {"min": self._kind.low, "max": self._kind.high, "step": self._kind.step}
        self._slider.props.update(limits)
        self._label(float(self._slider.value))

    def _label(self, value: float) -> None:
        """Display the slider's value on it, with its unit."""
        self._slider.props["label-value"] = (
            f"{value:g} %" if self._kind.is_percent else f"{value:g}"
        )
        self._slider.update()

    async def _slider_moved(self, event: Any) -> None:
        self._label(float(event.value))
        self._amount.value = self._amount_at(float(event.value))
        await self.compare()

    def _amount_at(self, value: float) -> str:
        """Return the amount at the slider's value: margin in 0.01, quantity in whole lots."""
        selection = self._selection
        if not self._kind.is_percent or selection is None:
            return f"{value:g}"
        share = Decimal(str(value)) / 100
        if self._change.value == "add_margin":
            return decimal_text((share * abs(self._equity)).quantize(Decimal("0.01")))
        lots = int(share * selection.quantity / self._lot) or 1
        return decimal_text(lots * self._lot)

    async def compare(self) -> None:
        """Request the rank after the change and display it beside the current one."""
        selection = self._selection
        if selection is None:
            return
        change = {"change": str(self._change.value), self._kind.field: self._amount.value.strip()}

        async def request() -> None:
            response = await self._frame.client.what_if(
                self._account, selection.contract, selection.side, selection.position, change
            )
            self._result.set_content(_comparison(response))

        await self._frame.attempt(request)


def _comparison(response: WhatIfResponse) -> str:
    before, after = response.before, response.after
    rows = [
        ("", "now", "after"),
        ("rank", _rank(before), _rank(after)),
        ("ADL indicator", indicator_dots(before.indicator), indicator_dots(after.indicator)),
        ("score", significant(before.score), significant(after.score)),
        ("quantity", grouped(before.quantity), grouped(after.quantity)),
        ("quantity ahead", grouped(before.quantity_ahead), grouped(after.quantity_ahead)),
    ]
    cells = "".join(
        f"<tr><th scope='row'>{name}</th><td>{now}</td><td>{then}</td></tr>"
        for name, now, then in rows
    )
    ranks = f'data-before="{before.rank or 0}" data-after="{after.rank or 0}"'
    return f'<table class="compared" {ranks}>{cells}</table>'


def _rank(place: QueuePositionResponse) -> str:
    if place.reason is not None:
        return f"not ranked: {humanize(place.reason)}"
    return f"{place.rank} of {place.ranked}"


# --- notifications ---


def _notifications(deliveries: list[dict[str, Any]]) -> str:
    if not deliveries:
        return '<p class="quiet">None yet.</p>'
    names = list(deliveries[0])
    head = "".join(f"<th>{escape(humanize(name))}</th>" for name in names)
    rows = "".join(
        "<tr>"
        + "".join(f"<td>{escape(_cell(name, delivery.get(name)))}</td>" for name in names)
        + "</tr>"
        for delivery in deliveries
    )
    return f'<table class="compared"><tr>{head}</tr>{rows}</table>'


def _cell(name: str, value: object) -> str:
    if value is None or value == "":
        return NOTHING
    return utc(value) if name.endswith("_ms") and isinstance(value, int) else str(value)
