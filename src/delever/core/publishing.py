"""What is published of the whole book at once, now and then: ratings, and lights.

Both are asked for by commands, so that they stand in the journal and replay; `due` says which ones
are due, and whoever holds the clock sends them. A rating is small and kept in the book. Lights are
as many as there are positions: `publish` computes them from the book, the event carries a digest of
each lane, and whoever shows them calls `publish` again after the step, from the same book.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np

from delever.core.book import Book
from delever.core.holdings import ContractState
from delever.core.kernels import Shown, kernels_for
from delever.core.lanes import Lane as Positions
from delever.core.lanes import LaneColumns
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
from delever.core.valuation import joint_columns, view_lane

PART_SIZE = 100_000
"""Positions from which a part of the book is worth a thread."""

Lane = tuple[str, Side]
RankAndLight = tuple[np.ndarray, np.ndarray]
Each = Callable[..., Iterable[Any]]
"""`map`, or what does the same."""


class Alike(NamedTuple):
    """What contracts share that are ranked in one go: rules, wallets, and that they can be."""

    rules: str
    settle: str
    at_once: bool


@dataclass(slots=True)
class ShownLane:
    """What one lane shows, by account number, then position; rank and light 0: not in line."""

    account: np.ndarray
    position: np.ndarray
    rank: np.ndarray
    light: np.ndarray
    _digest: str = ""

    def digest(self) -> str:
        """Return the BLAKE2b-256 of all of it, in hexadecimal; computed once."""
        if not self._digest:
            shown = hashlib.blake2b(digest_size=32)
            for column in (self.account, self.position, self.rank, self.light):
                shown.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
            self._digest = shown.hexdigest()
        return self._digest


@dataclass(frozen=True, slots=True)
class Arranged:
    """A lane's positions in the order in which they are shown, and how the kernels take the lane.

    `place` says where each row stands in that order. It holds until a position is opened or closed.
    """

    opened_or_closed: int
    account: np.ndarray
    position: np.ndarray
    place: np.ndarray
    columns: LaneColumns
    where: tuple[int, ...]


Arrangement = tuple[ContractState, dict[Side, Arranged]]


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


def published(book: Book, command: Command, each: Each) -> Iterator[Event]:
    """Yield what a refresh publishes, from the book as the step leaves it."""
    match command:
        case RefreshRatings(contracts=contracts):
            yield RatingsSet(ratings=rate_all(book, contracts))
        case RefreshLights():
            shown = publish(book, each)
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


def publish(book: Book, each: Each = map) -> Published:
    """Return the lights and ranks of every lane of a contract with a mark.

    A contract is ranked again only where its positions, its mark, or the wallet of somebody who
    holds it has changed since it was last published. `each` is as of a step.
    """
    states = [state for state in book.contracts.values() if state.mark]
    lanes: dict[Lane, ShownLane] = {}
    for state, shown in zip(states, show(book, states, each), strict=True):
        book.remember(state.name, shown)
        for side, lane in shown.lanes.items():
            lanes[state.name, side] = lane
    return Published(book.sequence, book.time_ms, lanes)


def show(book: Book, states: Sequence[ContractState], each: Each = map) -> list[ShownContract]:
    """Return what both lanes of contracts show now: what they showed, where that still holds."""
    shown: dict[str, ShownContract] = {}
    anew: dict[Alike, list[Arrangement]] = {}
    for state in states:
        before: ShownContract | None = book.shown.get(state.name)
        if before is not None and not _is_stale(book, state, before):
            shown[state.name] = before
            continue
        arranged = before.arranged if before else {}
        found = {side: _arranged(lane, arranged.get(side)) for side, lane in state.lanes.items()}
        anew.setdefault(_alike(book, state), []).append((state, found))
    parts = [(alike, part) for alike, members in anew.items() for part in _parts(members)]
    for made in each(partial(_show, book), parts):
        shown |= made
    return [shown[state.name] for state in states]


def _alike(book: Book, state: ContractState) -> Alike:
    rules = book.pool_of(state).definition.rules
    ranking = RULE_SETS[rules].ranking
    closes = ranking.closes and not state.terms.adl_exempt and not ranking.exempts(state.terms)
    return Alike(rules, state.terms.settle, closes and isinstance(ranking.score, Product))


def _parts(members: list[Arrangement]) -> Iterator[list[Arrangement]]:
    """Yield the contracts in parts that are worth a thread each."""
    part: list[Arrangement] = []
    size = 0
    for member in members:
        part.append(member)
        size += sum([len(lane.place) for lane in member[1].values()])
        if size >= PART_SIZE:
            yield part
            part, size = [], 0
    if part:
        yield part


def _show(book: Book, part: tuple[Alike, list[Arrangement]]) -> dict[str, ShownContract]:
    """Return what contracts that are ranked alike show now."""
    alike, members = part
    ranking = RULE_SETS[alike.rules].ranking
    ranked = iter((_at_once if alike.at_once else _one_by_one)(book, members, ranking))
    shown = {}
    for state, arranged in members:
        lanes = {
            side: ShownLane(lane.account, lane.position, *next(ranked))
            for side, lane in arranged.items()
        }
        if ranking.joint and book.accounts.any_hedges:
            lanes = _joined(book, state, lanes)
        shown[state.name] = ShownContract(book.sequence, alike.rules, lanes, arranged)
    return shown


def _is_stale(book: Book, state: ContractState, shown: ShownContract) -> bool:
    """Whether anything that the ranks depend on has changed since."""
    rules = book.pool_of(state).definition.rules
    if shown.rules != rules or RULE_SETS[rules].ranking.timed:
        return True
    long, short = state.lanes.values()
    if max(long.changed_at, short.changed_at) > shown.as_of:
        return True
    wallets = book.asset_of(state).wallets
    is_stale = kernels_for(wallets.size).is_stale
    accounts = long.columns().account, short.columns().account
    return any(is_stale(column, wallets.rows, shown.as_of) for column in accounts)


def _arranged(lane: Positions, before: Arranged | None) -> Arranged:
    if before is not None and before.opened_or_closed == lane.opened_or_closed:
        return before
    account, position = lane.account[: lane.size], lane.position[: lane.size]
    order = np.lexsort((position, account))
    place = np.empty(lane.size, np.int32)
    place[order] = np.arange(lane.size)
    one_number = lane.labels <= {0}  # then one stands for all
    numbers = np.broadcast_to(np.int32(0), lane.size) if one_number else position[order]
    where = lane.size, *lane.where(), place.ctypes.data
    columns = lane.columns()
    return Arranged(lane.opened_or_closed, account[order], numbers, place, columns, where)


def _at_once(book: Book, members: list[Arrangement], ranking: Ranking) -> list[RankAndLight]:
    """Return rank and light of each lane's positions, in the order in which they are shown."""
    lanes: list[Shown] = [lane for _, arranged in members for lane in arranged.values()]
    hedging = members if book.accounts.any_hedges else []
    joint = [joint_columns(book, state, side) for state, _ in hedging for side in Side]
    score = cast("Product", ranking.score)
    line = ranking.profitable_only, ranking.levels, ranking.weighting == "count"
    wallets, accounts = book.asset_of(members[0][0]).wallets, book.accounts
    exempt = accounts.adl_exempt if accounts.any_exempt else accounts.adl_exempt[:0]
    around = wallets.rows, exempt, accounts.order()
    ranked: list[RankAndLight] = kernels_for(accounts.size).show_lanes(
        lanes, joint, *around, *score.places(), *line
    )
    return ranked


def _one_by_one(book: Book, members: list[Arrangement], ranking: Ranking) -> Iterator[RankAndLight]:
    """Yield the same where a score is programmed rather than told, or nobody is closed."""
    for state, arranged in members:
        for side in Side:
            place = arranged[side].place
            rank, light = np.empty(len(place), np.int32), np.empty(len(place), np.int8)
            queue = rank_lane(view_lane(book, state, side), ranking)
            rank[place], light[place] = queue.rank, queue.light
            yield rank, light


def _joined(
    book: Book, state: ContractState, lanes: dict[Side, ShownLane]
) -> dict[Side, ShownLane]:
    """Return lanes that show the higher light of both where an account hedges across both."""
    long, short = (_hedging(book, state.lanes[side]) for side in Side)
    joint = np.intersect1d(long, short, assume_unique=True)
    if not len(joint):
        return lanes
    highest = np.zeros(len(joint), np.int8)
    found = {side: np.searchsorted(joint, lane.account) for side, lane in lanes.items()}
    for side, lane in lanes.items():
        found[side][found[side] == len(joint)] = 0
        own = joint[found[side]] == lane.account
        np.maximum.at(highest, found[side][own], lane.light[own])
    joined = {}
    for side, lane in lanes.items():
        own = joint[found[side]] == lane.account
        joined[side] = replace(lane, light=np.where(own, highest[found[side]], lane.light))
    return joined


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
