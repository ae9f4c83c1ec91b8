"""The past of each contract's security fund: what moved it, and when ADL began and ended.

The newest lines are kept in memory, as the runner remembers and tells what they follow from. A line
is what one command has done to a fund for one contract; balances are the pool's equity, which is
what OKX's rules compare.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from delever.core.messages import (
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Event,
    PoolObserved,
    TakenOver,
    Unwound,
    WalletSettled,
)
from delever.server.engine.service import Committed, Runner
from delever.server.venues.okx.payloads import ADL_ENDS, FundEntry, FundType, adl_start

PER_CONTRACT = 1_000
"""Lines kept of one contract; older ones stand in the journal only."""


class FundLog:
    """Lines by contract. Made before the runner starts; used on the event loop only."""

    def __init__(self, runner: Runner) -> None:
        self._entries: dict[str, deque[FundEntry]] = {}
        self._equity: dict[str, int] = {}
        runner.remember(self._hear)

    def of(self, contracts: Iterable[str]) -> list[FundEntry]:
        """Return the lines of some contracts, newest first."""
        found = [entry for name in contracts for entry in reversed(self._entries.get(name, ()))]
        return sorted(found, key=lambda entry: -entry.time_ms)

    def _hear(self, commits: Sequence[Committed]) -> None:
        for _, time_ms, _, events in commits:
            self._take(time_ms, events)

    def _take(self, time_ms: int, events: Sequence[Event]) -> None:
        """Add what one command has done; its observations say what the funds are worth after it."""
        moved: dict[str, int] = {}
        for event in events:
            if isinstance(event, PoolObserved):
                self._equity |= dict.fromkeys(event.contracts, event.equity_cash)
            for contract, amount in _moved(event):
                moved[contract] = moved.get(contract, 0) + amount
            if isinstance(event, AdlStarted | AdlStopped):
                self._add(event.contract, self._turn(event, time_ms))
        for contract, amount in moved.items():
            if amount:
                kind = FundType.DEPOSIT if amount > 0 else FundType.LOSS
                balance = self._equity.get(contract, 0)
                self._add(contract, FundEntry(kind, time_ms, balance, amount))

    def _turn(self, event: AdlStarted | AdlStopped, time_ms: int) -> FundEntry:
        """Return the line of ADL that begins or ends, with the numbers that were compared."""
        numbers, starts = event.numbers, isinstance(event, AdlStarted)
        known = self._equity.get(event.contract, 0)
        return FundEntry(
            kind=FundType.ADL,
            time_ms=time_ms,
            balance_cash=numbers.get("equity_cash", numbers.get("balance_cash", known)),
            peak_cash=numbers.get("equity_peak_cash", numbers.get("balance_peak_cash")),
            adl=adl_start(event.reason) if starts else ADL_ENDS,
        )

    def _add(self, contract: str, entry: FundEntry) -> None:
        self._entries.setdefault(contract, deque(maxlen=PER_CONTRACT)).append(entry)


def _moved(event: Event) -> list[tuple[str, int]]:
    """Return the money that an event has brought into, or taken out of, a contract's pool."""
    match event:
        case TakenOver(contract=contract, to_pool_cash=amount):
            return [(contract, amount)]
        case WalletSettled(contract=contract, amount_cash=amount):
            return [(contract, amount)]
        case Unwound(contract=contract, realized_pnl_cash=amount):
            return [(contract, amount)]
        case AdlFilled(contract=contract, pool_realized_pnl_cash=amount):
            return [(contract, amount)]
        case _:
            return []
