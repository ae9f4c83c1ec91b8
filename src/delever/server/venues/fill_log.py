"""Past ADL fills and takeovers by account: what venues list as forced orders and executions.

The newest of each account are kept in memory, as the runner remembers and tells them.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from delever.core.messages import AdlFilled, FillCancelled, TakenOver
from delever.journal.sqlite import LAST
from delever.server.engine.service import Committed, Runner

PER_ACCOUNT = 1_000
"""Closings kept of one account; older ones stand in the journal only."""


class Closing(NamedTuple):
    """One ADL fill or takeover of an account, with its place in the journal."""

    sequence: int
    time_ms: int
    event: AdlFilled | TakenOver

    @property
    def adl(self) -> bool:
        """Whether it was ADL, not a takeover."""
        return isinstance(self.event, AdlFilled)


class FillLog:
    """ADL fills and takeovers of every account, the newest PER_ACCOUNT of each.

    A fill that is cancelled later is forgotten. Made before the runner starts; used on the event
    loop only.
    """

    def __init__(self, runner: Runner) -> None:
        self._closings: dict[str, deque[Closing]] = {}
        runner.remember(self._hear)

    def of(
        self,
        account: str,
        contract: str | None = None,
        *,
        since_ms: int = 0,
        until_ms: int = LAST,
        limit: int = PER_ACCOUNT,
        adl: bool | None = None,
    ) -> list[Closing]:
        """Return the newest closings of an account that fit, at most `limit`, oldest first.

        Both ends of the time are included. `adl` picks ADL fills (True) or takeovers (False).
        """
        found: list[Closing] = []
        for closing in reversed(self._closings.get(account, ())):
            if len(found) == limit:
                break
            fits = contract in {None, closing.event.contract} and adl in {None, closing.adl}
            if fits and since_ms <= closing.time_ms <= until_ms:
                found.append(closing)
        return found[::-1]

    def _hear(self, commits: Sequence[Committed]) -> None:
        for sequence, time_ms, _, events in commits:
            for event in events:
                match event:
                    case AdlFilled() | TakenOver():
                        kept = self._closings.setdefault(event.account, deque(maxlen=PER_ACCOUNT))
                        kept.append(Closing(sequence, time_ms, event))
                    case FillCancelled():
                        self._forget(event.fill)
                    case _:
                        pass

    def _forget(self, fill: AdlFilled) -> None:
        kept = self._closings.get(fill.account, ())
        left = [closing for closing in kept if closing.event != fill]
        self._closings[fill.account] = deque(left, maxlen=PER_ACCOUNT)
