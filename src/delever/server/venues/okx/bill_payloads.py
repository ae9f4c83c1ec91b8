"""OKX's bills: what ADL and liquidation did to one account, as account/bills tells it.

A bill's type says which (9 ADL, 5 liquidation), its subtype also which way the position was closed:
`close long` in long/short mode, `sell` in net mode, both of a long.
"""

from typing import NamedTuple

from delever.core.market.contract_terms import Terms
from delever.core.messages import AdlFilled, Side, TakenOver
from delever.server.venues import amounts
from delever.server.venues.okx.payloads import SWAP
from delever.server.venues.symbols import Instrument

Closed = AdlFilled | TakenOver

ADL, LIQUIDATION = "9", "5"
TYPES = tuple(map(str, range(1, 40)))
"""Numbers that OKX gives its types; only two of them ever occur here."""

_SUBTYPES = {  # by type and hedge mode: of a long, of a short
    (ADL, True): ("125", "126"),
    (ADL, False): ("128", "127"),
    (LIQUIDATION, True): ("104", "105"),
    (LIQUIDATION, False): ("107", "106"),
}
_PER_SEQUENCE = 10**10


class Bill(NamedTuple):
    """One closing with the sequence and the time it has in the journal."""

    sequence: int
    time_ms: int
    event: Closed

    @property
    def id(self) -> int:
        """A number that no other bill has, and that grows with time."""
        event = self.event
        number = 2 * event.fill if isinstance(event, AdlFilled) else 2 * event.takeover + 1
        return self.sequence * _PER_SEQUENCE + number

    @property
    def type(self) -> str:
        """Whether it was ADL or liquidation, as OKX numbers them."""
        return ADL if isinstance(self.event, AdlFilled) else LIQUIDATION

    def subtype(self, *, hedge_mode: bool) -> str:
        """Return OKX's number of how the position was closed."""
        long, short = _SUBTYPES[self.type, hedge_mode]
        return long if self.event.side is Side.LONG else short

    def row(
        self, instrument: Instrument, terms: Terms, decimals: int, *, hedge_mode: bool
    ) -> dict[str, str]:
        """Return the bill as account/bills shows it; what is not kept of the past is empty."""
        event = self.event
        isolated = event.isolated if isinstance(event, AdlFilled) else event.margin_cash > 0
        number = str(self.id)
        return {
            "bal": "",
            "balChg": amounts.cash(_paid_cash(event), decimals),
            "billId": number,
            "ccy": instrument.settle,
            "clOrdId": "",
            "earnAmt": "",
            "earnApr": "",
            "execType": "T",
            "fee": amounts.cash(-_fee_cash(event), decimals),
            "fillTime": str(self.time_ms),
            "from": "",
            "instId": instrument.okx,
            "instType": SWAP,
            "interest": "0",
            "mgnMode": "isolated" if isolated else "cross",
            "notes": "",
            "ordId": number,
            "pnl": amounts.cash(event.realized_pnl_cash, decimals),
            "posBal": "",
            "posBalChg": "",
            "px": amounts.price(terms, event.price_ticks),
            "subType": self.subtype(hedge_mode=hedge_mode),
            "sz": amounts.contracts(terms, event.lots),
            "tag": "",
            "to": "",
            "tradeId": "",
            "ts": str(self.time_ms),
            "type": self.type,
        }


def _paid_cash(event: Closed) -> int:
    """Return what has come into the account's wallet."""
    if isinstance(event, TakenOver):
        return event.to_wallet_cash
    return event.realized_pnl_cash + event.margin_returned_cash - event.fee_cash


def _fee_cash(event: Closed) -> int:
    return event.fee_cash if isinstance(event, AdlFilled) else 0
