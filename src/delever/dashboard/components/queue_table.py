"""The ADL queue of one side of a contract, page by page, with what would reach how far.

Lines below rows: where the fund's inventory ends (the next round reaches so far), and where the
quantity that the stress test leaves for ADL at moves of 5 % and 10 % ends.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from nicegui import ui

from delever.api_types.market import ContractResponse, QueuePage, QueueRow, RatingResponse
from delever.core.messages import ContractKind
from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.components.table import Column, set_labels, table
from delever.dashboard.format import grouped
from delever.formatting import decimal_text, significant

PAGE_ROWS = 20

MOVES_PPM = (50_000, 100_000)
"""Moves of the mark whose reach is drawn; against the other side of the queue."""

_COLUMNS = (
    Column("rank", "Rank", "number"),
    Column("account", "Account", "link"),
    Column("indicator", "ADL indicator", "indicator"),
    Column("quantity", "Quantity", "number"),
    Column("size", "Size", "bar"),
    Column("notional", "Notional", "money"),
    Column("unrealized_pnl", "Unrealized PnL", "money"),
    Column("pnl_percent", "PnL, %", "number"),
    Column("leverage", "Notional ÷ equity", "number"),
    Column("score", "Score", "number"),
    Column("cumulative", "Cumulative quantity", "number"),
    Column("reach", "Reached by", "reach"),
)


class QueueTable:
    """One side's queue; the URL stores side, page and searched account."""

    def __init__(
        self, frame: PageFrame, contract: str, side: str, offset: int, account: str
    ) -> None:
        self._frame, self._contract = frame, contract
        self._side, self._offset, self._account = side, offset, account
        self._terms: ContractResponse | None = None
        self._rating: RatingResponse | None = None
        with grid(), panel("ADL queue", about="rank 1 is closed first"):
            with ui.element("div").classes("bits"):
                sides = ui.toggle(["long", "short"], value=side or None)
                sides.props("dense no-caps unelevated").on_value_change(self._side_changed)
                self._sides = sides
                self._search = ui.input(placeholder="find an account", value=account)
                self._search.props('dense outlined aria-label="find an account"')
                self._search.on("keydown.enter", self._find)
                for label, pages in (("Previous", -1), ("Next", 1)):
                    button = ui.button(label, on_click=lambda pages=pages: self._turn(pages))
                    button.props("flat dense no-caps")
                self._range = ui.label("").classes("quiet")
            self._reach = html()
            self._table = table(_COLUMNS, [], "id")
            self._formula = ui.label("").classes("note")

    def set_contract(self, contract: ContractResponse) -> None:
        """Set inventory and units; without a chosen side, that which closes the inventory."""
        self._terms = contract
        if not self._side:
            is_short = Decimal(contract.inventory_short) > Decimal(contract.inventory_long)
            self._side = "long" if is_short else "short"
            self._sides.value = self._side
        asset = contract.settle
        set_labels(
            self._table, notional=f"Notional, {asset}", unrealized_pnl=f"Unrealized PnL, {asset}"
        )

    def set_rating(self, rating: RatingResponse) -> None:
        """Set the stress test, whose quantities left for ADL are drawn."""
        self._rating = rating

    async def refresh(self) -> None:
        """Request the current page and display it."""
        if not self._side:
            return
        page = await self._frame.client.queue(
            self._contract,
            self._side,
            offset=self._offset,
            limit=PAGE_ROWS,
            account=self._account or None,
        )
        self._offset = page.offset
        self._display(page)
        self._frame.update_url(side=self._side, offset=self._offset or "", account=self._account)

    def _display(self, page: QueuePage) -> None:
        largest = max((Decimal(row.quantity) for row in page.rows), default=Decimal(0))
        reaches = self._reaches()
        ends = reach_ends(page.rows, reaches)
        self._table.rows = [self._row(row, largest, ends) for row in page.rows]
        self._reach.set_content(_reach_text(reaches))
        last = min(page.offset + PAGE_ROWS, page.total)
        self._range.set_text(
            f"{min(page.offset + 1, last)} to {last} of {page.total}, {page.ranked} ranked, as of "
            f"sequence {page.as_of}"
        )
        self._formula.set_text(
            f"Rules of {page.rules}: score = {page.formula}; highest first, ties by account name, "
            "then by position id."
        )

    def _reaches(self) -> dict[str, Decimal]:
        """Return how much would be closed of this side: by the inventory, and by moves."""
        terms, is_short = self._terms, self._side == "short"
        if terms is None:
            return {}
        inventory = terms.inventory_long if is_short else terms.inventory_short
        found = {"inventory": Decimal(inventory)}
        curve = self._rating.curve if self._rating else ()
        for point in sorted(curve, key=lambda point: abs(point.shock_ppm)):
            against = -point.shock_ppm if is_short else point.shock_ppm
            if against in MOVES_PPM:
                sign = "-" if is_short else "+"
                found[f"{sign}{against // 10_000} %"] = Decimal(point.adl)
        return {name: quantity for name, quantity in found.items() if quantity > 0}

    def _row(self, row: QueueRow, largest: Decimal, ends: Mapping[str, str]) -> dict[str, Any]:
        inverse = self._terms is not None and self._terms.kind is ContractKind.INVERSE
        return {
            "id": f"{row.account}/{row.position}",
            "rank": row.rank,
            "account": row.account,
            "account_href": self._frame.account_url(
                row.account, contract=self._contract, side=self._side, position=row.position or ""
            ),
            "indicator": row.indicator,
            "quantity": row.quantity,
            "size": float(Decimal(row.quantity) / largest * 100) if largest else 0.0,
            "notional": row.notional,
            "unrealized_pnl": row.unrealized_pnl,
            "pnl_percent": pnl_percent(row, is_long=self._side == "long", inverse=inverse),
            "leverage": _leverage(row),
            "score": significant(row.score) if row.reason is None else None,
            "cumulative": row.cumulative_quantity,
            "reach": ends.get(f"{row.account}/{row.position}", ""),
        }

    async def _side_changed(self, event: Any) -> None:
        if event.value == self._side:
            return
        self._side, self._offset, self._account = event.value, 0, ""
        await self._frame.attempt(self.refresh)

    async def _turn(self, pages: int) -> None:
        self._offset, self._account = max(0, self._offset + pages * PAGE_ROWS), ""
        await self._frame.attempt(self.refresh)

    async def _find(self) -> None:
        self._account = self._search.value.strip()
        await self._frame.attempt(self.refresh)


def reach_ends(rows: Sequence[QueueRow], reaches: Mapping[str, Decimal]) -> dict[str, str]:
    """Return the names of the quantities that end in each of these rows, by account/position.

    A quantity ends in the row whose cumulative quantity is the first that is not below it.
    """
    ends: dict[str, str] = {}
    for row in rows:
        if row.cumulative_quantity is None:
            continue
        until = Decimal(row.cumulative_quantity)
        before = until - Decimal(row.quantity)
        names = [name for name, quantity in reaches.items() if before < quantity <= until]
        if names:
            ends[f"{row.account}/{row.position}"] = ", ".join(names)
    return ends


def pnl_percent(row: QueueRow, *, is_long: bool, inverse: bool) -> str | None:
    """Return the unrealized PnL in percent of the notional at entry, with two digits.

    The notional at entry follows from that at the mark; None where it is not positive.
    """
    pnl = Decimal(row.unrealized_pnl)
    rises = is_long is not inverse
    entry = Decimal(row.notional) - pnl if rises else Decimal(row.notional) + pnl
    return f"{100 * pnl / entry:.2f}" if entry > 0 else None


def _reach_text(reaches: Mapping[str, Decimal]) -> str:
    """Return the quantities whose ends are drawn, as a line of text."""
    texts = [
        f"the fund's inventory, {grouped(decimal_text(quantity))}"
        if name == "inventory"
        else f"a move of {name} would leave {grouped(decimal_text(quantity))} for ADL"
        for name, quantity in reaches.items()
    ]
    return f'<p class="note reaches">Lines: {"; ".join(texts)}.</p>' if texts else ""


def _leverage(row: QueueRow) -> str | None:
    """Return notional at the mark divided by equity, with two digits; None without equity."""
    equity = Decimal(row.equity)
    return f"{Decimal(row.notional) / equity:.2f}" if equity > 0 else None
