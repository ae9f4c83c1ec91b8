"""Contracts, insurance funds and ADL fills over time, of a run or of a server, for the scrubber.

Amounts are exact decimals; every value is valid until the next one.
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


class TimelinePool(NamedTuple):
    """An insurance fund at one time."""

    time_ms: int
    sequence: int
    balance: Decimal
    equity: Decimal
    balance_peak: Decimal


class TimelineContract(NamedTuple):
    """A contract at one time.

    `start_level` and `stop_level` are the contract PnL at which ADL starts and stops, None if its
    rule set has no drawdown trigger.
    """

    time_ms: int
    sequence: int
    pool: str
    contract_pnl: Decimal
    contract_pnl_peak: Decimal
    start_level: Decimal | None
    stop_level: Decimal | None


class TimelineFill(NamedTuple):
    """One ADL fill."""

    time_ms: int
    fill: int
    account: str
    side: str
    quantity: Decimal
    price: Decimal
    realized_pnl: Decimal
    rank: int


@dataclass(slots=True)
class Timeline:
    """One run, or a range of a server's journal; every list is ordered by time."""

    name: str
    pools: dict[str, list[TimelinePool]] = field(default_factory=dict)
    contracts: dict[str, list[TimelineContract]] = field(default_factory=dict)
    fills: dict[str, list[TimelineFill]] = field(default_factory=dict)

    def end_times(self) -> Iterable[int]:
        """Yield the first and the last time of every pool and contract."""
        for pool_points in self.pools.values():
            yield from (point.time_ms for point in (*pool_points[:1], *pool_points[-1:]))
        for points in self.contracts.values():
            yield from (point.time_ms for point in (*points[:1], *points[-1:]))

    def contract_at(self, contract: str, time_ms: int) -> TimelineContract | None:
        """Return a contract at a time, None before its first point."""
        return _latest(self.contracts.get(contract, []), time_ms)

    def pool_at(self, pool: str, time_ms: int) -> TimelinePool | None:
        """Return an insurance fund at a time, None before its first point."""
        return _latest(self.pools.get(pool, []), time_ms)

    def pool_points_of(self, contract: str) -> list[TimelinePool]:
        """Return the points of a contract's insurance fund, of each fund while it was a member."""
        points = self.contracts.get(contract, [])
        if not points:
            return []
        stays = [(pool, next(run).time_ms) for pool, run in groupby(points, attrgetter("pool"))]
        begins = [0, *(begin for _, begin in stays[1:])]
        ends = [*begins[1:], inf]
        return [
            point
            for (pool, _), begin, end in zip(stays, begins, ends, strict=True)
            for point in self.pools.get(pool, [])
            if begin <= point.time_ms < end
        ]

    def fills_until(self, contract: str, time_ms: int) -> list[TimelineFill]:
        """Return a contract's ADL fills up to a time, the time itself included."""
        fills = self.fills.get(contract, [])
        return fills[: bisect_right(fills, time_ms, key=_time)]


_time = attrgetter("time_ms")
PointT = TypeVar("PointT", TimelinePool, TimelineContract)


def _latest(points: Sequence[PointT], time_ms: int) -> PointT | None:
    place = bisect_right(points, time_ms, key=_time)
    return points[place - 1] if place else None


def timeline_of_run(name: str, stored: StoredRun) -> Timeline:
    """Return the timeline of a finished run."""
    timeline = Timeline(name)
    for row in stored.pools.iter_rows(named=True):
        point = (row["time_ms"], row["sequence"], row["balance"], row["equity"])
        pool_point = TimelinePool(*point, row["balance_peak"])
        timeline.pools.setdefault(row["pool"], []).append(pool_point)
    for row in stored.contracts.iter_rows(named=True):
        contract_point = TimelineContract(
            row["time_ms"],
            row["sequence"],
            row["pool"],
            row["contract_pnl"],
            row["contract_pnl_peak"],
            row["adl_start_pnl"],
            row["adl_stop_pnl"],
        )
        timeline.contracts.setdefault(row["contract"], []).append(contract_point)
    for row in stored.fills.iter_rows(named=True):
        names = ("time_ms", "fill", "account", "side", "quantity", "price", "realized_pnl", "rank")
        fill = TimelineFill(*(row[name] for name in names))
        timeline.fills.setdefault(row["contract"], []).append(fill)
    return timeline


def timeline_of_history(
    contract: str,
    contract_points: Iterable[ContractHistoryPoint],
    pool_points: Mapping[str, Iterable[PoolHistoryPoint]],
    fills: Iterable[FillResponse],
    limits: tuple[Decimal, Decimal] | None,
) -> Timeline:
    """Return the timeline of one contract from a server's history.

    `limits` are the current ratios at which its drawdown trigger starts and stops ADL.
    """
    timeline = Timeline("journal")
    for name, points in pool_points.items():
        timeline.pools[name] = list(map(_pool_point, points))
    timeline.contracts[contract] = [_contract_point(point, limits) for point in contract_points]
    timeline.fills[contract] = list(map(_fill, fills))
    return timeline


def _pool_point(point: PoolHistoryPoint) -> TimelinePool:
    balance, equity, peak = map(Decimal, (point.balance, point.equity, point.balance_peak))
    return TimelinePool(point.time_ms, point.sequence, balance, equity, peak)


def _contract_point(
    point: ContractHistoryPoint, limits: tuple[Decimal, Decimal] | None
) -> TimelineContract:
    contract_pnl, peak = Decimal(point.contract_pnl), Decimal(point.contract_pnl_peak)
    balance_peak = Decimal(point.pool_balance_peak)
    start = stop = None
    if limits is not None and balance_peak > 0:
        start, stop = (peak + ratio * balance_peak for ratio in limits)
    return TimelineContract(
        point.time_ms, point.sequence, point.pool, contract_pnl, peak, start, stop
    )


def _fill(fill: FillResponse) -> TimelineFill:
    return TimelineFill(
        fill.time_ms,
        fill.fill,
        fill.account,
        fill.side,
        Decimal(fill.quantity),
        Decimal(fill.price),
        Decimal(fill.realized_pnl),
        fill.rank,
    )
