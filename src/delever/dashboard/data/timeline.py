"""What happened to contracts and pools over time, from a run or from a server: for the scrubber.

Numbers are exact; a moment holds until the next one.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from math import inf
from operator import attrgetter
from typing import NamedTuple, TypeVar

from delever.api_types.history import ContractHistoryPoint, FillResponse, PoolHistoryPoint
from delever.lab.reports.run_store import StoredRun


class PoolAt(NamedTuple):
    """A pool at a moment."""

    time_ms: int
    sequence: int
    balance: Decimal
    equity: Decimal
    peak: Decimal


class ContractAt(NamedTuple):
    """A contract at a moment; `start` and `stop` are the profits at which ADL does, if any."""

    time_ms: int
    sequence: int
    pool: str
    profit: Decimal
    peak: Decimal
    start: Decimal | None
    stop: Decimal | None


class Closed(NamedTuple):
    """One fill of ADL."""

    time_ms: int
    fill: int
    account: str
    side: str
    quantity: Decimal
    price: Decimal
    realized: Decimal
    rank: int


@dataclass(slots=True)
class Course:
    """One run, or a stretch of a server's journal: everything by name, in order of time."""

    name: str
    pools: dict[str, list[PoolAt]] = field(default_factory=dict)
    contracts: dict[str, list[ContractAt]] = field(default_factory=dict)
    fills: dict[str, list[Closed]] = field(default_factory=dict)

    def times(self) -> Iterable[int]:
        """Yield the first and the last time of everything in it."""
        for held in self.pools.values():
            yield from (point.time_ms for point in (*held[:1], *held[-1:]))
        for moments in self.contracts.values():
            yield from (moment.time_ms for moment in (*moments[:1], *moments[-1:]))

    def contract_at(self, contract: str, time_ms: int) -> ContractAt | None:
        """Return a contract as it was at a time."""
        return _held(self.contracts.get(contract, []), time_ms)

    def pool_at(self, pool: str, time_ms: int) -> PoolAt | None:
        """Return a pool as it was at a time."""
        return _held(self.pools.get(pool, []), time_ms)

    def behind(self, contract: str) -> list[PoolAt]:
        """Return the pool behind a contract over time: one after the other where it was moved."""
        moments = self.contracts.get(contract, [])
        if not moments:
            return []
        stays = [(pool, next(held).time_ms) for pool, held in groupby(moments, attrgetter("pool"))]
        begins = [0, *(begin for _, begin in stays[1:])]
        ends = [*begins[1:], inf]
        return [
            point
            for (pool, _), begin, end in zip(stays, begins, ends, strict=True)
            for point in self.pools.get(pool, [])
            if begin <= point.time_ms < end
        ]

    def closed_by(self, contract: str, time_ms: int) -> list[Closed]:
        """Return the fills up to a time."""
        fills = self.fills.get(contract, [])
        return fills[: bisect_right(fills, time_ms, key=_time)]


_time = attrgetter("time_ms")
HeldT = TypeVar("HeldT", PoolAt, ContractAt)


def _held(points: Sequence[HeldT], time_ms: int) -> HeldT | None:
    place = bisect_right(points, time_ms, key=_time)
    return points[place - 1] if place else None


def course_of_run(name: str, stored: StoredRun) -> Course:
    """Return a run's course."""
    course = Course(name)
    for row in stored.pools.iter_rows(named=True):
        point = (row["time_ms"], row["sequence"], row["balance"], row["equity"])
        course.pools.setdefault(row["pool"], []).append(PoolAt(*point, row["balance_peak"]))
    for row in stored.contracts.iter_rows(named=True):
        moment = ContractAt(
            row["time_ms"],
            row["sequence"],
            row["pool"],
            row["contract_pnl"],
            row["contract_pnl_peak"],
            row["adl_start_pnl"],
            row["adl_stop_pnl"],
        )
        course.contracts.setdefault(row["contract"], []).append(moment)
    for row in stored.fills.iter_rows(named=True):
        names = ("time_ms", "fill", "account", "side", "quantity", "price", "realized_pnl", "rank")
        course.fills.setdefault(row["contract"], []).append(Closed(*(row[name] for name in names)))
    return course


def course_of_past(
    contract: str,
    moments: Iterable[ContractHistoryPoint],
    pools: Mapping[str, Iterable[PoolHistoryPoint]],
    fills: Iterable[FillResponse],
    limits: tuple[Decimal, Decimal] | None,
) -> Course:
    """Return the course of one contract that a server tells.

    `limits` are the ratios at which its drawdown starts and stops ADL, as they are now.
    """
    course = Course("journal")
    for name, points in pools.items():
        course.pools[name] = list(map(_pool_at, points))
    course.contracts[contract] = [_contract_at(each, limits) for each in moments]
    course.fills[contract] = list(map(_closed, fills))
    return course


def _pool_at(told: PoolHistoryPoint) -> PoolAt:
    money = [Decimal(each) for each in (told.balance, told.equity, told.balance_peak)]
    return PoolAt(told.time_ms, told.sequence, money[0], money[1], money[2])


def _contract_at(told: ContractHistoryPoint, limits: tuple[Decimal, Decimal] | None) -> ContractAt:
    profit, peak = Decimal(told.contract_pnl), Decimal(told.contract_pnl_peak)
    most = Decimal(told.pool_balance_peak)
    start = stop = None
    if limits is not None and most > 0:
        start, stop = (peak + ratio * most for ratio in limits)
    return ContractAt(told.time_ms, told.sequence, told.pool, profit, peak, start, stop)


def _closed(told: FillResponse) -> Closed:
    return Closed(
        told.time_ms,
        told.fill,
        told.account,
        told.side,
        Decimal(told.quantity),
        Decimal(told.price),
        Decimal(told.realized_pnl),
        told.rank,
    )
