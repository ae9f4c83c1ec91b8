"""Queries of the history; rows are named tuples, amounts are integers of the book."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from delever.core.units import ratio_ppm
from delever.server.storage import tables

SqlRows = Sequence[sa.Row[Any]]

DAY_MS = 24 * 3_600_000
MAX_TIME_MS = 2**62

CACHE_MS = 10_000
"""How long the worst drawdowns of a pool are cached."""

TIE_FACTOR = 1 - 1e-9
"""Drawdowns whose floats are closer than this factor are compared as integers."""


class PointRange(NamedTuple):
    """Points in order, from the last one before a time on; `whole` where none was before it."""

    rows: SqlRows
    whole: bool


class HistoryQueries:
    """Queries of the history; each is one read transaction."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self._worst: dict[str, tuple[int, tuple[int, int, int]]] = {}

    async def _all(self, *queries: sa.Select[Any]) -> list[SqlRows]:
        async with self._database.connect() as connection:
            return [(await connection.execute(query)).all() for query in queries]

    async def pool(self, pool: str, from_ms: int, until_ms: int) -> PointRange:
        """Return the points of a pool in a time range."""
        points = tables.pool_points
        return await self._point_range(points, points.c.pool == pool, from_ms, until_ms)

    async def contract(self, contract: str, from_ms: int, until_ms: int) -> PointRange:
        """Return the points of a contract in a time range."""
        points = tables.contract_points
        return await self._point_range(points, points.c.contract == contract, from_ms, until_ms)

    async def _point_range(
        self, points: sa.Table, of: sa.ColumnElement[bool], from_ms: int, until_ms: int
    ) -> PointRange:
        held = sa.select(points).where(of, points.c.time_ms < from_ms)
        newest = [column.desc() for column in _order(points)]
        before, since = await self._all(
            held.order_by(points.c.time_ms.desc(), *newest).limit(1),
            _between(points, of, from_ms, until_ms),
        )
        return PointRange([*before, *since], not before)

    async def prices(self, contract: str, from_ms: int, until_ms: int) -> PointRange:
        """Return the stored marks of a contract in a time range."""
        points = tables.price_points
        return await self._point_range(points, points.c.contract == contract, from_ms, until_ms)

    async def activity(
        self, contract: str, pool: str, between: tuple[int, int], intervals: int
    ) -> list[SqlRows]:
        """Return liquidations and ADL fills of a contract, and flows of a pool, by interval.

        `between` is the first and the last time; the time from the first row on is divided into
        `intervals`. A row is the last sequence and time of an interval, the number of events, and
        the sum of their amounts. Cancelled fills are not counted.
        """
        taken, fills, flows = tables.takeovers, tables.fills, tables.flows
        valid = sa.and_(fills.c.contract == contract, fills.c.cancelled_sequence.is_(None))
        kinds = [
            (taken, sa.func.abs(taken.c.value_cash), taken.c.contract == contract),
            (fills, sa.func.abs(fills.c.value_cash), valid),
            (flows, flows.c.amount_cash, flows.c.pool == pool),
        ]
        limited = [
            (table, amount, of & table.c.time_ms.between(*between)) for table, amount, of in kinds
        ]
        starts = await self._all(
            *(sa.select(sa.func.min(table.c.time_ms)).where(of) for table, _, of in limited)
        )
        first_ms = min((start for ((start,),) in starts if start is not None), default=between[1])
        width_ms = (between[1] - first_ms) // intervals + 1
        return await self._all(*(_by_interval(*kind, first_ms, width_ms) for kind in limited))

    async def fills_between(self, from_ms: int, until_ms: int, limit: int) -> SqlRows:
        """Return the ADL fills of a time range that are not cancelled, newest first."""
        table = tables.fills
        valid = table.c.time_ms.between(from_ms, until_ms), table.c.cancelled_sequence.is_(None)
        query = sa.select(table).where(*valid).order_by(table.c.fill.desc()).limit(limit)
        (found,) = await self._all(query)
        return found

    async def flows(self, pool: str, from_ms: int, until_ms: int, limit: int) -> SqlRows:
        """Return the operator's deposits to and withdrawals from a pool, oldest first."""
        flows = tables.flows
        of_pool = _between(flows, flows.c.pool == pool, from_ms, until_ms)
        (moved,) = await self._all(of_pool.limit(limit))
        return moved

    async def contract_flows(self, contract: str, from_ms: int, until_ms: int) -> SqlRows:
        """Return the flows that are booked to a contract, oldest first."""
        flows = tables.flows
        (moved,) = await self._all(_between(flows, flows.c.contract == contract, from_ms, until_ms))
        return moved

    async def worst_drawdowns(self, pool: str, now_ms: int) -> tuple[int, int, int]:
        """Return the largest drawdowns of a pool's equity below its earlier peak, in ppm.

        They are those of the last day, of the last 30 days and of all time. A withdrawal lowers the
        peak, too. The result is cached for 10 s.
        """
        cached_ms, worst = self._worst.get(pool, (-CACHE_MS, (0, 0, 0)))
        if now_ms - cached_ms >= CACHE_MS:
            worst = await self._worst_drawdowns(pool, now_ms)
            self._worst[pool] = now_ms, worst
        return worst

    async def _worst_drawdowns(self, pool: str, now_ms: int) -> tuple[int, int, int]:
        since = (now_ms - DAY_MS, now_ms - 30 * DAY_MS, 0)
        found = await self._all(*(_deepest(pool, since_ms) for since_ms in since))
        day, month, all_time = (
            max((ratio_ppm(int(row.loss), int(row.peak)) for row in rows), default=0)
            for rows in found
        )
        return day, month, all_time

    async def episodes(self, contract: str | None, before: int, limit: int) -> SqlRows:
        """Return episodes, newest first, with the totals of their fills."""
        query = _episodes().where(tables.episodes.c.episode < before)
        if contract is not None:
            query = query.where(tables.episodes.c.contract == contract)
        newest = query.order_by(tables.episodes.c.episode.desc()).limit(limit)
        (found,) = await self._all(newest)
        return found

    async def episode(self, episode: int) -> sa.Row[Any] | None:
        """Return one episode with the totals of its fills, or None."""
        (found,) = await self._all(_episodes().where(tables.episodes.c.episode == episode))
        return found[0] if found else None

    async def rounds(self, episode: int) -> tuple[SqlRows, SqlRows]:
        """Return the rounds of an episode and their fills."""
        rounds, fills = tables.rounds, tables.fills
        episode_rounds, episode_fills = await self._all(
            sa.select(rounds).where(rounds.c.episode == episode).order_by(*_order(rounds)),
            sa.select(fills).where(fills.c.episode == episode).order_by(fills.c.fill),
        )
        return episode_rounds, episode_fills

    async def inventory_flows(
        self, contract: str, first: int, last: int
    ) -> tuple[SqlRows, SqlRows, SqlRows]:
        """Return a contract's takeovers, unwinds and netted inventory in records first to last."""
        queries = [
            sa.select(table)
            .where(table.c.contract == contract, table.c.sequence.between(first, last))
            .order_by(*_order(table))
            for table in (tables.takeovers, tables.unwinds, tables.netted)
        ]
        taken, unwound, netted = await self._all(*queries)
        return taken, unwound, netted

    async def takeovers(self, takeovers: Sequence[int]) -> SqlRows:
        """Return takeovers by their ids."""
        table = tables.takeovers
        query = sa.select(table).where(table.c.takeover.in_(takeovers)).order_by(table.c.takeover)
        (found,) = await self._all(query)
        return found

    async def pool_around(self, pool: str, first: int, last: int) -> tuple[Any, Any]:
        """Return the last point of a pool before record `first`, and its last one up to `last`."""
        points = tables.pool_points
        newest = sa.select(points).where(points.c.pool == pool)
        newest = newest.order_by(points.c.sequence.desc(), points.c.event_index.desc()).limit(1)
        before, after = await self._all(
            newest.where(points.c.sequence < first), newest.where(points.c.sequence <= last)
        )
        return next(iter(before), None), next(iter(after), None)

    async def fills(
        self, account: str | None, contract: str | None, after: int, limit: int
    ) -> SqlRows:
        """Return ADL fills with ids above `after`, oldest first."""
        table = tables.fills
        query = sa.select(table).where(table.c.fill > after)
        for column, wanted in ((table.c.account, account), (table.c.contract, contract)):
            query = query if wanted is None else query.where(column == wanted)
        (found,) = await self._all(query.order_by(table.c.fill).limit(limit))
        return found

    async def fill(self, fill: int) -> sa.Row[Any] | None:
        """Return one ADL fill, or None."""
        (found,) = await self._all(sa.select(tables.fills).where(tables.fills.c.fill == fill))
        return found[0] if found else None


def _order(table: sa.Table) -> tuple[sa.Column[Any], sa.Column[Any]]:
    return table.c.sequence, table.c.event_index


def _by_interval(
    table: sa.Table,
    amount: sa.ColumnElement[int],
    of: sa.ColumnElement[bool],
    first_ms: int,
    width_ms: int,
) -> sa.Select[Any]:
    """Return the query of the sums of a table by interval of time, oldest first."""
    last = sa.func.max(table.c.sequence).label("sequence")
    sums: list[sa.ColumnElement[Any]] = [
        last,
        sa.func.max(table.c.time_ms).label("time_ms"),
        sa.func.count().label("events"),
        sa.func.sum(amount).label("amount_cash"),
    ]
    interval = (table.c.time_ms - first_ms) // width_ms
    return sa.select(*sums).where(of).group_by(interval).order_by(last)


def _between(
    table: sa.Table, of: sa.ColumnElement[bool], from_ms: int, until_ms: int
) -> sa.Select[Any]:
    chosen = sa.select(table).where(of, table.c.time_ms.between(from_ms, until_ms))
    return chosen.order_by(*_order(table))


def _deepest(pool: str, since_ms: int) -> sa.Select[Any]:
    """Return the query for the largest drawdowns (loss, peak) of a pool's equity since a time.

    The equity at the beginning of that time counts as a peak. A withdrawal is not a loss: it lowers
    all earlier equity, so levels are compared as if nothing had ever been withdrawn. The database
    divides in floats; drawdowns that floats cannot order are all returned.
    """
    levels = _without_withdrawals(pool, since_ms)
    order = levels.c.sequence, levels.c.event_index
    top = sa.func.max(levels.c.level).over(order_by=order)
    loss = (top - levels.c.level).label("loss")
    falls = sa.select(loss, (loss + levels.c.equity_cash).label("peak")).subquery()
    depth = sa.cast(falls.c.loss, sa.Double) / falls.c.peak
    ranked = (
        sa.select(falls, depth.label("depth"), sa.func.max(depth).over().label("deepest"))
        .where(falls.c.loss > 0, falls.c.peak > 0)
        .subquery()
    )
    close = ranked.c.depth >= ranked.c.deepest * TIE_FACTOR
    return sa.select(ranked.c.loss, ranked.c.peak).where(close).distinct()


def _without_withdrawals(pool: str, since_ms: int) -> sa.Subquery:
    """Return the points of a pool since a time, with `level`: equity without any withdrawals."""
    points, flows = tables.pool_points, tables.flows
    moved = sa.literal(0).label("moved")
    rows = sa.select(*_order(points), points.c.equity_cash, moved).where(points.c.pool == pool)
    newest = (column.desc() for column in (points.c.time_ms, *_order(points)))
    before = rows.where(points.c.time_ms < since_ms).order_by(*newest).limit(1).subquery()
    withdrawn = sa.select(flows.c.sequence, sa.literal(-1), sa.null(), flows.c.amount_cash).where(
        flows.c.pool == pool, flows.c.amount_cash < 0, flows.c.time_ms >= since_ms
    )
    since = rows.where(points.c.time_ms >= since_ms)
    merged = sa.union_all(since, withdrawn, sa.select(before)).subquery()
    moves = sa.func.sum(merged.c.moved).over(order_by=(merged.c.sequence, merged.c.event_index))
    return sa.select(merged, (merged.c.equity_cash - moves).label("level")).subquery()


def _episodes() -> sa.Select[Any]:
    episodes, fills = tables.episodes, tables.fills
    closed = (
        sa.select(
            fills.c.episode,
            sa.func.count().label("fills"),
            sa.func.sum(fills.c.lots).label("lots"),
            sa.func.sum(sa.func.abs(fills.c.value_cash)).label("value_cash"),
            sa.func.count(sa.distinct(fills.c.account)).label("accounts"),
        )
        .where(fills.c.cancelled_sequence.is_(None))
        .group_by(fills.c.episode)
        .subquery()
    )
    counts = [
        sa.func.coalesce(closed.c[name], 0).label(name)
        for name in ("fills", "lots", "value_cash", "accounts")
    ]
    return sa.select(episodes, *counts).outerjoin(closed, closed.c.episode == episodes.c.episode)


def downsample(
    rows: SqlRows, limit: int, values: Sequence[Callable[[sa.Row[Any]], int]]
) -> list[sa.Row[Any]]:
    """Return about `limit` rows that include every peak and trough of each value.

    Rows are divided into stretches; of each the first and the extremes of each value are returned,
    and the last row of all.
    """
    if len(rows) <= limit:
        return list(rows)
    stretches = max((limit - 1) // (1 + 2 * len(values)), 1)
    selected: set[int] = {len(rows) - 1}
    for stretch in range(stretches):
        begin = len(rows) * stretch // stretches
        end = len(rows) * (stretch + 1) // stretches
        selected |= {begin, *_extremes(rows, range(begin, end), values)}
    return [rows[index] for index in sorted(selected)]


def _extremes(
    rows: SqlRows, indexes: range, values: Sequence[Callable[[sa.Row[Any]], int]]
) -> Iterable[int]:
    """Yield the indexes of the minimum and the maximum of each value."""
    for value in values:
        numbers = [value(rows[index]) for index in indexes]
        yield indexes[numbers.index(min(numbers))]
        yield indexes[numbers.index(max(numbers))]
