"""What ADL has closed of an account, with the proof of each fill."""

from collections.abc import Sequence
from decimal import Decimal
from html import escape
from typing import Any

from delever.api_types.history import FillResponse
from delever.dashboard.components.frame import PageFrame, html
from delever.dashboard.components.table import Column, PagedTable
from delever.dashboard.format import money, utc
from delever.formatting import count, decimal_text

MAX_FILLS = 20_000
"""Most fills of an account that are requested."""

FILLS_PER_REQUEST = 1_000

_COLUMNS = (
    Column("time", "Time (UTC)"),
    Column("contract", "Contract", "link"),
    Column("side", "Side"),
    Column("quantity", "Closed", "number"),
    Column("price", "ADL price", "number"),
    Column("mark", "Mark", "number"),
    Column("notional", "Notional", "money"),
    Column("realized", "Realized PnL", "money"),
    Column("haircut", "Cost vs mark", "money"),
    Column("rank", "Rank", "number"),
    Column("event", "Event", "link"),
    Column("proof", "Proof", "link"),
)


class ClosedByAdl:
    """The account's fills, newest first, their sums by contract, and the proof of one fill."""

    def __init__(self, frame: PageFrame, account: str) -> None:
        self._frame, self._account = frame, account
        self._fills: list[FillResponse] = []
        self._sums = html(_NONE)
        self._table = PagedTable(_COLUMNS, "fill")
        self._table.element.set_visibility(False)
        self._proof = html()

    async def refresh(self) -> None:
        """Request the fills since the last one, and display them."""
        after = self._fills[-1].fill if self._fills else 0
        new: list[FillResponse] = []
        while len(self._fills) + len(new) < MAX_FILLS:
            after = new[-1].fill if new else after
            page = await self._frame.client.fills_of_account(
                self._account, after=after, limit=FILLS_PER_REQUEST
            )
            new += page
            if len(page) < FILLS_PER_REQUEST:
                break
        if new:
            self._fills += new
            self._sums.set_content(_sums(self._fills))
            self._table.element.set_visibility(True)
            self._table.set_rows([self._row(fill) for fill in reversed(self._fills)])

    async def prove(self, fill: int) -> None:
        """Display the explanation of one fill, recomputed from the journal."""
        if not fill:
            return
        self._proof.set_content(f"<p class='quiet'>Recomputing fill {fill} …</p>")

        async def request() -> None:
            found = await self._frame.client.fill_explanation(fill)
            self._proof.set_content(
                f'<div class="proof" data-fill="{fill}"><b>Fill {fill}: recomputed from the '
                f"journal, {escape(found.recomputed)}</b><pre>{escape(found.text)}</pre>"
                f'<p class="note"><a href="{self._frame.url(f"/fills/{fill}")}">Receipt</a> as a '
                f"page and picture. Record {found.record}. Check it with the venue's journal: "
                f"<code>delever explain --journal JOURNAL --fill {fill}</code></p></div>"
            )

        if not await self._frame.attempt(request):
            self._proof.set_content("")

    def _row(self, fill: FillResponse) -> dict[str, Any]:
        url = self._frame.account_url(self._account, fill=fill.fill)
        episode = fill.episode
        state = "cancelled" if fill.cancelled_sequence else "open"
        return {
            "fill": fill.fill,
            "time": utc(fill.time_ms),
            "contract": fill.contract,
            "contract_href": self._frame.contract_url(fill.contract),
            "side": fill.side,
            "quantity": fill.quantity,
            "price": fill.price,
            "mark": fill.mark,
            "notional": fill.notional,
            "realized": fill.realized_pnl,
            "haircut": fill.haircut,
            "rank": fill.rank,
            "event": "forced" if episode is None else str(episode),
            "event_href": "" if episode is None else self._frame.url(f"/events/{episode}"),
            "proof": "cancelled" if state == "cancelled" else f"fill {fill.fill}",
            "proof_href": url,
        }


_NONE = '<p class="quiet">ADL has not closed anything of this account.</p>'


def _sums(fills: Sequence[FillResponse]) -> str:
    """Return one sentence a contract: what was closed, and what it cost against the mark."""
    lines = []
    for contract in dict.fromkeys(fill.contract for fill in fills):
        found = [fill for fill in fills if fill.contract == contract]
        valid = [fill for fill in found if fill.cancelled_sequence is None]
        quantity = sum((Decimal(fill.quantity) for fill in valid), Decimal(0))
        notional = sum((Decimal(fill.notional) for fill in valid), Decimal(0))
        haircut = sum((Decimal(fill.haircut or 0) for fill in valid), Decimal(0))
        lines.append(
            f"<li><b>{escape(contract)}</b>: {decimal_text(quantity)} closed in "
            f"{count(len(valid), 'fill')}, notional {money(decimal_text(notional))}, cost against "
            f"the mark {money(decimal_text(haircut))}</li>"
        )
    return f'<ul class="sums">{"".join(lines)}</ul>'
