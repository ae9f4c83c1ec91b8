"""The queue of one side as a ladder: who is closed first, and up to which residual."""

from decimal import Decimal
from typing import Any

from nicegui import ui

from delever.api_types.market import QueuePage, QueueRow
from delever.dashboard.components.frame import View, grid, panel
from delever.dashboard.components.table import Column, table

PAGE = 20
"""Rows of the ladder on a page."""

_LADDER = (
    Column("rank", "#", "number"),
    Column("account", "Account", "link"),
    Column("indicator", "Indicator", "indicator"),
    Column("quantity", "Quantity", "number"),
    Column("leverage", "Value ÷ equity", "number"),
    Column("score", "Score", "number"),
    Column("profit", "Profit", "number"),
    Column("cumulative", "Covers a residual up to", "number"),
    Column("share", "", "bar"),
)


class Ladder:
    """One side's queue, page by page; the address bar says which."""

    def __init__(self, view: View, contract: str, side: str, offset: int, account: str) -> None:
        self._view, self._contract = view, contract
        self._side, self._offset, self._account = side, offset, account
        with grid(), panel("Queue ladder", about="next to be closed first"):
            with ui.element("div").classes("bits"):
                sides = ui.toggle(["long", "short"], value=side, on_change=self._turn)
                sides.props("dense no-caps unelevated")
                self._find = ui.input(placeholder="find an account", value=account)
                self._find.props('dense outlined aria-label="find an account"')
                self._find.on("keydown.enter", self._look)
                ui.button("Previous", on_click=lambda: self._page(-1)).props("flat dense no-caps")
                ui.button("Next", on_click=lambda: self._page(1)).props("flat dense no-caps")
                self._where = ui.label("").classes("quiet")
            self._table = table(_LADDER, [], "id")
            self._formula = ui.label("").classes("note")

    async def refresh(self) -> None:
        """Show the page as it is now."""
        page = await self._view.source.queue(
            self._contract,
            self._side,
            offset=self._offset,
            limit=PAGE,
            account=self._account or None,
        )
        self._offset = page.offset
        most = max((Decimal(row.cumulative_quantity or 0) for row in page.rows), default=Decimal(0))
        self._table.rows = [self._row(row, most) for row in page.rows]
        last = min(page.offset + PAGE, page.total)
        self._where.set_text(
            f"{min(page.offset + 1, last)} to {last} of {page.total}, {page.ranked} in line, as "
            f"of sequence {page.as_of}"
        )
        self._formula.set_text(_formula(page))
        self._view.keep_url(side=self._side, offset=self._offset or "", account=self._account)

    def _row(self, row: QueueRow, most: Decimal) -> dict[str, Any]:
        share = (
            float(Decimal(row.cumulative_quantity) / most * 100)
            if row.cumulative_quantity and most
            else 0.0
        )
        return {
            "id": f"{row.account}/{row.position}",
            "rank": row.rank,
            "account": row.account,
            "account_href": self._view.account(
                row.account, contract=self._contract, side=self._side, position=row.position or ""
            ),
            "indicator": row.indicator,
            "quantity": row.quantity,
            "leverage": _leverage(row),
            "score": f"{row.score:.6g}" if row.reason is None else None,
            "profit": row.unrealized_pnl,
            "cumulative": row.cumulative_quantity,
            "share": share,
        }

    async def _turn(self, event: Any) -> None:
        self._side, self._offset, self._account = event.value, 0, ""
        await self._view.attempt(self.refresh)

    async def _page(self, pages: int) -> None:
        self._offset, self._account = max(0, self._offset + pages * PAGE), ""
        await self._view.attempt(self.refresh)

    async def _look(self) -> None:
        self._account = self._find.value.strip()
        await self._view.attempt(self.refresh)


def _leverage(row: QueueRow) -> str | None:
    """Return value at the mark by equity to two digits: what most rules call effective leverage."""
    equity = Decimal(row.equity)
    return f"{Decimal(row.notional) / equity:.2f}" if equity > 0 else None


def _formula(page: QueuePage) -> str:
    return (
        f"Rules of {page.rules}: score = {page.formula}; highest first, ties by account name, then "
        "by number of the position."
    )
