"""What account/bills answers: the account's ADL fills and takeovers of the last seven days."""

from collections.abc import Mapping

from delever.server.engine.service import Runner
from delever.server.venues.account_reader import AccountSnapshot
from delever.server.venues.fill_log import FillLog
from delever.server.venues.okx import payloads as wire
from delever.server.venues.okx.bill_payloads import TYPES, Bill
from delever.server.venues.symbols import SymbolMapCache
from delever.server.venues.symbols import Instrument

WEEK_MS = 7 * 24 * 3_600_000
MOST = 100

Params = Mapping[str, str]


class Bills:
    """The bills of every account, out of the log of closings."""

    def __init__(self, runner: Runner, symbol_maps: SymbolMapCache, fills: FillLog) -> None:
        self._runner, self._symbol_maps, self._fills = runner, symbol_maps, fills

    def of(self, seen: AccountSnapshot, params: Params) -> list[dict[str, str]] | wire.Fault:
        """Return what is asked for, newest first; a parameter that cannot be used is a fault."""
        fault = _fault(params)
        if fault is not None:
            return fault
        asked = {name: int(params[name]) for name in _NUMBERS if params.get(name)}
        now_ms, hedge_mode = self._runner.now_ms(), seen.holdings.hedge_mode
        closings = self._fills.of(
            seen.holdings.account,
            since_ms=max(asked.get("begin", 0), now_ms - WEEK_MS),
            until_ms=asked.get("end", now_ms),
        )
        found = [Bill(*closing) for closing in reversed(closings)]
        rows = [
            row
            for bill in found
            if asked.get("before", -1) < bill.id < asked.get("after", bill.id + 1)
            if (row := self._row(bill, hedge_mode=hedge_mode)) is not None
            if self._fits(row, params)
        ]
        return rows[: min(asked.get("limit", MOST), MOST)]

    def _row(self, bill: Bill, *, hedge_mode: bool) -> dict[str, str] | None:
        """Return a bill's row, or None for a contract that is not listed."""
        instrument = self._instrument(bill.event.contract)
        if instrument is None:
            return None
        shown = self._runner.board.contracts[bill.event.contract]
        return bill.row(instrument, shown.terms, shown.cash_decimals, hedge_mode=hedge_mode)

    def _instrument(self, contract: str) -> Instrument | None:
        return self._symbol_maps.of(self._runner.board).by_contract.get(contract)

    def _fits(self, row: Mapping[str, str], params: Params) -> bool:
        """Return whether a bill is among those asked for by the values of its own fields."""
        names = ("instType", "instId", "ccy", "mgnMode", "type", "subType")
        if any(params.get(name, "") not in {"", row[name]} for name in names):
            return False
        instrument = self._symbol_maps.of(self._runner.board).by_okx[row["instId"]]
        kind = "linear" if instrument.linear else "inverse"
        return params.get("ctType", "") in {"", kind}


_NUMBERS = ("before", "after", "begin", "end", "limit")


def _fault(params: Params) -> wire.Fault | None:
    """Return the fault of the first parameter that cannot be used."""
    allowed = {
        "instType": wire.INSTRUMENT_TYPES,
        "mgnMode": ("isolated", "cross"),
        "ctType": ("linear", "inverse"),
        "type": TYPES,
    }
    for name, values in allowed.items():
        if params.get(name, "") not in {"", *values}:
            return wire.WRONG.saying(name=name)
    for name in (*_NUMBERS, "subType"):
        text = params.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 24):
            return wire.WRONG.saying(name=name)
    return None
