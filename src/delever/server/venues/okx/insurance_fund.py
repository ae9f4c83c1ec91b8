"""The history of each contract's security fund: changes, and the start and end of ADL.

The newest entries are in memory; the runner replays the journal's at a restart. An entry is one
command's change of a fund by one contract. Balances are the pool's equity, which OKX's rules
compare.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from delever.core.messages import (
    AdlFilled,
    AdlStarted,
    AdlStopped,
    ContractSettled,
    Event,
    InventoryClosed,
    PoolObserved,
    PositionsClosed,
    SettlementLossShared,
    TakenOver,
    Unwound,
    WalletSettled,
)
from delever.server.engine.runner import Committed, Runner
from delever.server.venues.okx.payloads import ADL_ENDS, FundEntry, FundType, adl_start

MAX_ENTRIES_PER_CONTRACT = 1_000
"""Entries in memory for one contract; older ones are in the journal only."""


class FundLog:
    """Fund entries by contract. Construct it before the runner starts; event loop only."""

    def __init__(self, runner: Runner) -> None:
        self._entries: dict[str, deque[FundEntry]] = {}
        self._equity: dict[str, int] = {}
        runner.replay_to(self._on_commits)

    def of(self, contracts: Iterable[str]) -> list[FundEntry]:
        """Return the entries of some contracts, newest first."""
        found = [entry for name in contracts for entry in reversed(self._entries.get(name, ()))]
        return sorted(found, key=lambda entry: -entry.time_ms)

    def _on_commits(self, commits: Sequence[Committed]) -> None:
        for _, time_ms, _, events in commits:
            self._apply(time_ms, events)

    def _apply(self, time_ms: int, events: Sequence[Event]) -> None:
        """Add the entries of one command; its PoolObserved events have the equity after it."""
        changes: dict[str, int] = {}
        for event in events:
            if isinstance(event, PoolObserved):
                self._equity |= dict.fromkeys(event.contracts, event.equity_cash)
            change = _fund_change(event)
            if change is not None:
                contract, amount = change
                changes[contract] = changes.get(contract, 0) + amount
            if isinstance(event, AdlStarted | AdlStopped):
                self._add(event.contract, self._adl_entry(event, time_ms))
        for contract, amount in changes.items():
            if amount:
                kind = FundType.DEPOSIT if amount > 0 else FundType.LOSS
                balance = self._equity.get(contract, 0)
                self._add(contract, FundEntry(kind, time_ms, balance, amount))

    def _adl_entry(self, event: AdlStarted | AdlStopped, time_ms: int) -> FundEntry:
        """Return the entry of a start or end of ADL, with the numbers that were compared."""
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
        entries = self._entries.setdefault(contract, deque(maxlen=MAX_ENTRIES_PER_CONTRACT))
        entries.append(entry)


def _fund_change(event: Event) -> tuple[str, int] | None:
    """Return (contract, signed amount) of an event that changes a contract's pool, or None."""
    match event:
        case (
            TakenOver(contract=contract, to_pool_cash=amount)
            | WalletSettled(contract=contract, amount_cash=amount)
            | Unwound(contract=contract, realized_pnl_cash=amount)
            | AdlFilled(contract=contract, pool_realized_pnl_cash=amount)
            | ContractSettled(contract=contract, rounding_cash=amount)
        ):
            return contract, amount
        case (
            PositionsClosed(contract=contract, to_pool_cash=amounts)
            | InventoryClosed(contract=contract, realized_pnl_cash=amounts)
            | SettlementLossShared(contract=contract, amount_cash=amounts)
        ):
            return contract, sum(amounts)
        case _:
            return None
