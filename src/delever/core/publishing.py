"""What is published of the whole book at once: ratings every 30 minutes, lights every 30 seconds.

Both are asked for by commands, so that they stand in the journal and replay; `due` says which ones
are due, and whoever holds the clock sends them. A rating is small and kept in the book. Lights are
as many as there are positions: `publish` computes them from the book, the event carries a digest of
each lane, and whoever shows them calls `publish` again after the step, from the same book.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.holdings import ContractState
from delever.core.messages import (
    Command,
    Event,
    LaneLights,
    LightsRefreshed,
    RatingsSet,
    RefreshLights,
    RefreshRatings,
    Side,
)
from delever.core.ranking import Queue, rank_lane
from delever.core.rating import rate_all
from delever.core.rules import RULE_SETS
from delever.core.units import Bools, Ints
from delever.core.valuation import view_lane

RATINGS_EVERY_MS = 30 * 60_000
LIGHTS_EVERY_MS = 30_000

Lane = tuple[str, Side]


@dataclass(frozen=True, slots=True)
class ShownLane:
    """What one lane shows, by account number, then position; rank and light 0: not in line."""

    account: Ints
    position: Ints
    rank: Ints
    light: Ints

    def digest(self) -> str:
        """Return the BLAKE2b-256 of all of it, in hexadecimal."""
        columns = (self.account, self.position, self.rank, self.light)
        shown = hashlib.blake2b(digest_size=32)
        for column in columns:
            shown.update(column.astype("<i8").tobytes())
        return shown.hexdigest()


@dataclass(frozen=True, slots=True)
class Published:
    """The lights and ranks of all lanes with a mark, as of one sequence."""

    as_of: int
    time_ms: int
    lanes: dict[Lane, ShownLane]

    def light(self, contract: str, side: Side, account: int) -> int:
        """Return the light of an account (by number), the highest of several positions, or 0."""
        lane = self.lanes.get((contract, side))
        if lane is None:
            return 0
        first, last = np.searchsorted(lane.account, (account, account + 1))
        return int(lane.light[first:last].max(initial=0))


def published(book: Book, command: Command) -> Iterator[Event]:
    """Yield what a refresh publishes, from the book as the step leaves it."""
    match command:
        case RefreshRatings(contracts=contracts):
            yield RatingsSet(ratings=rate_all(book, contracts))
        case RefreshLights():
            shown = publish(book)
            lanes = tuple(_summary(key, lane) for key, lane in shown.lanes.items())
            yield LightsRefreshed(as_of=shown.as_of, time_ms=shown.time_ms, lanes=lanes)
        case _:
            return


def due(book: Book, time_ms: int) -> tuple[Command, ...]:
    """Return the refreshes that are due at a time: what its period has passed since, or never was.

    A contract whose first mark came after the last ratings is rated with the next ones.
    """
    rated = [state.rating.time_ms for state in book.contracts.values() if state.rating]
    commands: list[Command] = []
    if book.contracts and (not rated or time_ms - max(rated) >= RATINGS_EVERY_MS):
        commands.append(RefreshRatings(time_ms=time_ms))
    if book.lights is None or time_ms - book.lights.time_ms >= LIGHTS_EVERY_MS:
        commands.append(RefreshLights(time_ms=time_ms))
    return tuple(commands)


def publish(book: Book) -> Published:
    """Return the lights and ranks of every lane of a contract with a mark."""
    lanes: dict[Lane, ShownLane] = {}
    for state in book.contracts.values():
        if state.mark:
            lanes |= {(state.name, side): lane for side, lane in _lanes(book, state).items()}
    return Published(book.sequence, book.time_ms, lanes)


def _lanes(book: Book, state: ContractState) -> dict[Side, ShownLane]:
    ranking = RULE_SETS[book.pool_of(state).definition.rules].ranking
    queues = {side: rank_lane(view_lane(book, state, side), ranking) for side in Side}
    light = {side: queue.light for side, queue in queues.items()}
    if ranking.joint:
        light = _joint_lights(book, queues)
    return {side: _shown(queue, light[side]) for side, queue in queues.items()}


def _shown(queue: Queue, light: Ints) -> ShownLane:
    view = queue.view
    order = np.lexsort((view.position, view.account))
    return ShownLane(view.account[order], view.position[order], queue.rank[order], light[order])


def _joint_lights(book: Book, queues: dict[Side, Queue]) -> dict[Side, Ints]:
    """Return lights with the higher of both sides where an account hedges across both."""
    joint: Bools = book.accounts.hedge_mode[: book.accounts.size].copy()
    highest = np.zeros(book.accounts.size, np.int64)
    for queue in queues.values():
        view = queue.view
        held = np.zeros(len(joint), bool)
        held[view.account] = True
        held[view.account[view.isolated]] = False
        joint &= held
        np.maximum.at(highest, view.account, queue.light)
    return {
        side: np.where(joint[queue.view.account], highest[queue.view.account], queue.light)
        for side, queue in queues.items()
    }


def _summary(key: Lane, lane: ShownLane) -> LaneLights:
    return LaneLights(
        contract=key[0],
        side=key[1],
        positions=len(lane.account),
        in_line=int(np.count_nonzero(lane.rank)),
        digest=lane.digest(),
    )
