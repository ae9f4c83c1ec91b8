"""The ADL queue of one side of a contract, page by page."""

from decimal import Decimal
from typing import Any

from nicegui import ui

from delever.api_types.market import QueueRow
from delever.dashboard.components.frame import PageFrame, grid, panel
from delever.dashboard.components.table import Column, set_labels, table
from delever.formatting import significant

PAGE_ROWS = 20

_COLUMNS = (
    Column("rank", "Rank", "number"),
    Column("account", "Account", "link"),
    Column("indicator", "ADL indicator", "indicator"),
    Column("quantity", "Quantity", "number"),
    Column("leverage", "Notional ÷ equity", "number"),
    Column("score", "Score", "number"),
    Column("unrealized_pnl", "Unrealized PnL", "number"),
    Column("cumulative", "Cumulative quantity", "number"),
    Column("share", "", "bar"),
)


class QueueTable:
    """One side's queue; the URL stores side, page and searched account."""

    def __init__(
        self, frame: PageFrame, contract: str, side: str, offset: int, account: str
    ) -> None:
        self._frame, self._contract = frame, contract
        self._side, self._offset, self._account = side, offset, account
        with grid(), panel("ADL queue", about="rank 1 is closed first"):
            with ui.element("div").classes("bits"):
                sides = ui.toggle(["long", "short"], value=side, on_change=self._side_changed)
                sides.props("dense no-caps unelevated")
                self._search = ui.input(placeholder="find an account", value=account)
                self._search.props('dense outlined aria-label="find an account"')
                self._search.on("keydown.enter", self._find)
                for label, pages in (("Previous", -1), ("Next", 1)):
                    button = ui.button(label, on_click=lambda pages=pages: self._turn(pages))
                    button.props("flat dense no-caps")
                self._range = ui.label("").classes("quiet")
            self._table = table(_COLUMNS, [], "id")
            self._formula = ui.label("").classes("note")

    def set_asset(self, asset: str) -> None:
        """Add the settle asset to the headings of amounts."""
        set_labels(self._table, unrealized_pnl=f"Unrealized PnL, {asset}")

    async def refresh(self) -> None:
        """Request the current page and display it."""
        page = await self._frame.client.queue(
            self._contract,
            self._side,
            offset=self._offset,
            limit=PAGE_ROWS,
            account=self._account or None,
        )
        self._offset = page.offset
        largest = max(
            (Decimal(row.cumulative_quantity or 0) for row in page.rows), default=Decimal(0)
        )
        self._table.rows = [self._row(row, largest) for row in page.rows]
        last = min(page.offset + PAGE_ROWS, page.total)
        self._range.set_text(
            f"{min(page.offset + 1, last)} to {last} of {page.total}, {page.ranked} ranked, as of "
            f"sequence {page.as_of}"
        )
        self._formula.set_text(
            f"Rules of {page.rules}: score = {page.formula}; highest first, ties by account name, "
            "then by position id."
        )
        self._frame.update_url(side=self._side, offset=self._offset or "", account=self._account)

    def _row(self, row: QueueRow, largest: Decimal) -> dict[str, Any]:
        cumulative = Decimal(row.cumulative_quantity or 0)
        return {
            "id": f"{row.account}/{row.position}",
            "rank": row.rank,
            "account": row.account,
            "account_href": self._frame.account_url(
                row.account, contract=self._contract, side=self._side, position=row.position or ""
            ),
            "indicator": row.indicator,
            "quantity": row.quantity,
            "leverage": _leverage(row),
            "score": significant(row.score) if row.reason is None else None,
            "unrealized_pnl": row.unrealized_pnl,
            "cumulative": row.cumulative_quantity,
            "share": float(cumulative / largest * 100) if largest else 0.0,
        }

    async def _side_changed(self, event: Any) -> None:
        self._side, self._offset, self._account = event.value, 0, ""
        await self._frame.attempt(self.refresh)

    async def _turn(self, pages: int) -> None:
        self._offset, self._account = max(0, self._offset + pages * PAGE_ROWS), ""
        await self._frame.attempt(self.refresh)

    async def _find(self) -> None:
        self._account = self._search.value.strip()
        await self._frame.attempt(self.refresh)


def _leverage(row: QueueRow) -> str | None:
    """Return notional at the mark divided by equity, with two digits; None without equity."""
    equity = Decimal(row.equity)
    return f"{Decimal(row.notional) / equity:.2f}" if equity > 0 else None
