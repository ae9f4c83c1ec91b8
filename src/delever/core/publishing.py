"""What is published of the whole book at once, now and then: ratings, and lights.

Both are asked for by commands, so that they stand in the journal and replay; `due` says which ones
are due, and whoever holds the clock sends them. A rating is small and kept in the book. Lights are
as many as there are positions: `publish` computes them from the book, the event carries a digest of
each lane, and whoever shows them calls `publish` again after the step, from the same book.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from delever.core.book import Book
from delever.core.holdings import ContractState
from delever.core.kernels import kernels_for
from delever.core.lanes import Lane as Positions
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
from delever.core.ranking import Product, Ranking, rank_lane
from delever.core.rating import rate_all
from delever.core.rules import RULE_SETS
from delever.core.valuation import lane_columns, view_lane

Lane = tuple[str, Side]


@dataclass(frozen=True, slots=True)
class ShownLane:
    """What one lane shows, by account number, then position; rank and light 0: not in line."""

    account: np.ndarray
    position: np.ndarray
    rank: np.ndarray
    light: np.ndarray
    digests: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """Return the BLAKE2b-256 of all of it, in hexadecimal; computed once."""
        if not self.digests:
            shown = hashlib.blake2b(digest_size=32)
            for column in (self.account, self.position, self.rank, self.light):
                shown.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
            self.digests.append(shown.hexdigest())
        return self.digests[0]


@dataclass(frozen=True, slots=True)
class Arranged:
    """A lane's positions in the order in which they are shown, and where each row stands in it.

    It holds until a position is opened or closed.
    """

    opened_or_closed: int
    account: np.ndarray
    position: np.ndarray
    place: np.ndarray


@dataclass(frozen=True, slots=True)
class ShownContract:
    """What both lanes of a contract show as of one sequence, under one rule set."""

    as_of: int
    rules: str
    lanes: dict[Side, ShownLane]
    arranged: dict[Side, Arranged]


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


def due(
    book: Book, time_ms: int, *, ratings_every_ms: int, lights_every_ms: int
) -> tuple[Command, ...]:
    """Return the refreshes that are due at a time: what its period has passed since, or never was.

    Before the first mark there is nothing to publish. A contract whose first mark came after the
    last ratings is rated with the next ones.
    """
    if not any(state.mark for state in book.contracts.values()):
        return ()
    rated = [state.rating.time_ms for state in book.contracts.values() if state.rating]
    commands: list[Command] = []
    if not rated or time_ms - max(rated) >= ratings_every_ms:
        commands.append(RefreshRatings(time_ms=time_ms))
    if book.lights is None or time_ms - book.lights.time_ms >= lights_every_ms:
        commands.append(RefreshLights(time_ms=time_ms))
    return tuple(commands)


def publish(book: Book) -> Published:
    """Return the lights and ranks of every lane of a contract with a mark.

    A contract is ranked again only where its positions, its mark, or the wallet of somebody who
    holds it has changed since it was last published.
    """
    lanes: dict[Lane, ShownLane] = {}
    for state in book.contracts.values():
        if state.mark:
            shown = show_contract(book, state)
            book.remember(state.name, shown)
            lanes |= {(state.name, side): lane for side, lane in shown.lanes.items()}
    return Published(book.sequence, book.time_ms, lanes)


def show_contract(book: Book, state: ContractState) -> ShownContract:
    """Return what both lanes show now: what they showed before, where that still holds."""
    before: ShownContract | None = book.shown.get(state.name)
    if before is not None and not _is_stale(book, state, before):
        return before
    rules = book.pool_of(state).definition.rules
    arranged = {
        side: _arranged(lane, before.arranged[side] if before else None)
        for side, lane in state.lanes.items()
    }
    ranking = RULE_SETS[rules].ranking
    ranked = {side: _ranked(book, state, side, ranking, arranged[side].place) for side in Side}
    light = {side: lights for side, (_, lights) in ranked.items()}
    if ranking.joint:
        light = _joint_lights(book, state, arranged, light)
    lanes = {
        side: ShownLane(arranged[side].account, arranged[side].position, rank, light[side])
        for side, (rank, _) in ranked.items()
    }
    return ShownContract(book.sequence, rules, lanes, arranged)


def _is_stale(book: Book, state: ContractState, shown: ShownContract) -> bool:
    """Whether anything that the ranks depend on has changed since."""
    rules = book.pool_of(state).definition.rules
    if shown.rules != rules or RULE_SETS[rules].ranking.timed:
        return True
    wallets = book.asset_of(state).wallets
    kernels = kernels_for(wallets.size)
    return any(
        lane.changed_at > shown.as_of
        or kernels.is_stale(lane.account[: lane.size], wallets.rows, shown.as_of)
        for lane in state.lanes.values()
    )


def _arranged(lane: Positions, before: Arranged | None) -> Arranged:
    if before is not None and before.opened_or_closed == lane.opened_or_closed:
        return before
    account, position = lane.account[: lane.size], lane.position[: lane.size]
    order = np.lexsort((position, account))
    place = np.empty(lane.size, np.int32)
    place[order] = np.arange(lane.size)
    one_number = lane.labels <= {0}  # then one stands for all
    numbers = np.broadcast_to(np.int32(0), lane.size) if one_number else position[order]
    return Arranged(lane.opened_or_closed, account[order], numbers, place)


def _ranked(
    book: Book, state: ContractState, side: Side, ranking: Ranking, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return rank and light of a lane's positions, in the order in which they are shown."""
    rank, light = np.empty(len(place), np.int32), np.empty(len(place), np.int8)
    closes = ranking.closes and not state.terms.adl_exempt and not ranking.exempts(state.terms)
    if closes and isinstance(ranking.score, Product):
        columns = lane_columns(book, state, side)
        gain, leverage = ranking.score.places()
        by_count = ranking.weighting == "count"
        kernels_for(book.accounts.size).show_lane(
            *columns, gain, leverage, ranking.profitable_only, ranking.levels, by_count,
            place, rank, light,
        )  # fmt: skip
    else:
        queue = rank_lane(view_lane(book, state, side), ranking)
        rank[place], light[place] = queue.rank, queue.light
    return rank, light


def _joint_lights(
    book: Book, state: ContractState, arranged: dict[Side, Arranged], lights: dict[Side, np.ndarray]
) -> dict[Side, np.ndarray]:
    """Return lights with the higher of both sides where an account hedges across both."""
    if not book.accounts.any_hedges:
        return lights
    long, short = (_hedging(book, state.lanes[side]) for side in Side)
    joint = np.intersect1d(long, short, assume_unique=True)
    if not len(joint):
        return lights
    highest = np.zeros(len(joint), np.int8)
    found = {side: np.searchsorted(joint, shown.account) for side, shown in arranged.items()}
    for side, shown in arranged.items():
        found[side][found[side] == len(joint)] = 0
        own = joint[found[side]] == shown.account
        np.maximum.at(highest, found[side][own], lights[side][own])
    return {
        side: np.where(joint[found[side]] == shown.account, highest[found[side]], lights[side])
        for side, shown in arranged.items()
    }


def _hedging(book: Book, lane: Positions) -> np.ndarray:
    """Return the accounts in hedge mode that hold positions in a lane, and none isolated."""
    account, isolated = lane.account[: lane.size], lane.isolated[: lane.size]
    held = np.unique(account[book.accounts.hedge_mode[account]])
    return np.setdiff1d(held, account[isolated], assume_unique=False)


def _summary(key: Lane, lane: ShownLane) -> LaneLights:
    return LaneLights(
        contract=key[0],
        side=key[1],
        positions=len(lane.account),
        in_line=int(np.count_nonzero(lane.rank)),
        digest=lane.digest(),
    )
