"""ADL fills and takeovers by account: what venues list as forced orders and executions.

The newest of each account are in memory; the runner replays the journal's at a restart.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from delever.core.messages import AdlFilled, FillCancelled, TakenOver
from delever.journal.sqlite import MAX_SEQUENCE
from delever.server.engine.runner import Committed, Runner

MAX_ORDERS_PER_ACCOUNT = 1_000
"""Forced orders in memory for one account; older ones are in the journal only."""

ForcedEvent = AdlFilled | TakenOver
"""An event that closes a position without its owner: ADL, or the fund's takeover."""


class ForcedOrder(NamedTuple):
    """One ADL fill or takeover of an account, with its sequence and time in the journal."""

    sequence: int
    time_ms: int
    event: ForcedEvent

    @property
    def is_adl(self) -> bool:
        """Whether it was ADL, not a takeover."""
        return isinstance(self.event, AdlFilled)


class FillLog:
    """The newest MAX_ORDERS_PER_ACCOUNT forced orders of every account.

    A fill that is cancelled later is removed. Construct it before the runner starts; it is used on
    the event loop only.
    """

    def __init__(self, runner: Runner) -> None:
        self._orders: dict[str, deque[ForcedOrder]] = {}
        runner.replay_to(self._apply)

    def of(
        self,
        account: str,
        contract: str | None = None,
        *,
        since_ms: int = 0,
        until_ms: int = MAX_SEQUENCE,
        limit: int = MAX_ORDERS_PER_ACCOUNT,
        adl: bool | None = None,
    ) -> list[ForcedOrder]:
        """Return the newest matching orders of an account, at most `limit`, oldest first.

        Both ends of the time are included. `adl` selects ADL fills (True) or takeovers (False).
        """
        found: list[ForcedOrder] = []
        for order in reversed(self._orders.get(account, ())):
            if len(found) == limit:
                break
            matches = contract in {None, order.event.contract} and adl in {None, order.is_adl}
            if matches and since_ms <= order.time_ms <= until_ms:
                found.append(order)
        return found[::-1]

    def _apply(self, commits: Sequence[Committed]) -> None:
        for sequence, time_ms, _, events in commits:
            for event in events:
                match event:
                    case AdlFilled() | TakenOver():
                        orders = self._orders.setdefault(
                            event.account, deque(maxlen=MAX_ORDERS_PER_ACCOUNT)
                        )
                        orders.append(ForcedOrder(sequence, time_ms, event))
                    case FillCancelled():
                        self._remove(event.fill)
                    case _:
                        pass

    def _remove(self, fill: AdlFilled) -> None:
        orders = self._orders.get(fill.account, ())
        left = [order for order in orders if _fill_number(order.event) != fill.fill]
        self._orders[fill.account] = deque(left, maxlen=MAX_ORDERS_PER_ACCOUNT)


def _fill_number(event: ForcedEvent) -> int:
    """Return the number of an ADL fill; 0 for a takeover.

    A cancelled fill is known by its number: its units may be others since an amendment.
    """
    return event.fill if isinstance(event, AdlFilled) else 0
