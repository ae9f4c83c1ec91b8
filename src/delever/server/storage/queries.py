"""What is asked of the past. Rows come as named tuples; amounts are the book's integers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from delever.core.units import ratio_ppm
from delever.server.storage import tables

Rows = Sequence[sa.Row[Any]]

DAY_MS = 24 * 3_600_000
EVER_MS = 2**62

KEPT_MS = 10_000
"""How long a worst drawdown is shown before it is looked for again."""

CLOSE = 1 - 1e-9
"""Falls whose floats are nearer to each other than this are compared as whole numbers."""


class Stretch(NamedTuple):
    """Points in order, from the one that held when a window opened; `whole`: none was before."""

    rows: Rows
    whole: bool


class Past:
    """Queries of a database of the past; each is one read transaction."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self._worst: dict[str, tuple[int, tuple[int, int, int]]] = {}

    async def _all(self, *queries: sa.Select[Any]) -> list[Rows]:
        async with self._database.connect() as connection:
            return [(await connection.execute(query)).all() for query in queries]

    async def pool(self, pool: str, from_ms: int, until_ms: int) -> Stretch:
        """Return a pool's points, all of them."""
        points = tables.pool_points
        return await self._stretch(points, points.c.pool == pool, from_ms, until_ms)

    async def contract(self, contract: str, from_ms: int, until_ms: int) -> Stretch:
        """Return a contract's points, all of them."""
        points = tables.contract_points
        return await self._stretch(points, points.c.contract == contract, from_ms, until_ms)

    async def _stretch(
        self, points: sa.Table, of: sa.ColumnElement[bool], from_ms: int, until_ms: int
    ) -> Stretch:
        held = sa.select(points).where(of, points.c.time_ms < from_ms)
        newest = [column.desc() for column in _order(points)]
        before, since = await self._all(
            held.order_by(points.c.time_ms.desc(), *newest).limit(1),
            _between(points, of, from_ms, until_ms),
        )
        return Stretch([*before, *since], not before)

    async def flows(self, pool: str, from_ms: int, until_ms: int, limit: int) -> Rows:
        """Return what operators have moved into a pool and out of it, oldest first."""
        flows = tables.flows
        of_pool = _between(flows, flows.c.pool == pool, from_ms, until_ms)
        (moved,) = await self._all(of_pool.limit(limit))
        return moved

    async def booked(self, contract: str, from_ms: int, until_ms: int) -> Rows:
        """Return the flows that were booked to a contract, oldest first."""
        flows = tables.flows
        (moved,) = await self._all(_between(flows, flows.c.contract == contract, from_ms, until_ms))
        return moved

    async def worst_drawdowns(self, pool: str, now_ms: int) -> tuple[int, int, int]:
        """Return the deepest fall of a pool's equity below its own earlier peak, in ppm.

        Over the last day, the last 30 days, and ever; a withdrawal moves the peak with it. Looked
        at anew every 10 s.
        """
        seen_ms, worst = self._worst.get(pool, (-KEPT_MS, (0, 0, 0)))
        if now_ms - seen_ms >= KEPT_MS:
            worst = await self._worst_drawdowns(pool, now_ms)
            self._worst[pool] = now_ms, worst
        return worst

    async def _worst_drawdowns(self, pool: str, now_ms: int) -> tuple[int, int, int]:
        since = (now_ms - DAY_MS, now_ms - 30 * DAY_MS, 0)
        found = await self._all(*(_deepest(pool, each) for each in since))
        day, month, ever = (
            max((ratio_ppm(int(row.loss), int(row.peak)) for row in rows), default=0)
            for rows in found
        )
        return day, month, ever

    async def episodes(self, contract: str | None, before: int, limit: int) -> Rows:
        """Return episodes, newest first, with how much was closed in each."""
        query = _episodes().where(tables.episodes.c.episode < before)
        if contract is not None:
            query = query.where(tables.episodes.c.contract == contract)
        newest = query.order_by(tables.episodes.c.episode.desc()).limit(limit)
        (found,) = await self._all(newest)
        return found

    async def episode(self, episode: int) -> sa.Row[Any] | None:
        """Return one episode with how much was closed in it, or None."""
        (found,) = await self._all(_episodes().where(tables.episodes.c.episode == episode))
        return found[0] if found else None

    async def rounds(self, episode: int) -> tuple[Rows, Rows]:
        """Return an episode's rounds and all their fills."""
        rounds, fills = tables.rounds, tables.fills
        told, closed = await self._all(
            sa.select(rounds).where(rounds.c.episode == episode).order_by(*_order(rounds)),
            sa.select(fills).where(fills.c.episode == episode).order_by(fills.c.fill),
        )
        return told, closed

    async def moves(self, contract: str, first: int, last: int) -> tuple[Rows, Rows]:
        """Return the takeovers and unwinds of a contract between two records, both included."""
        queries = [
            sa.select(table)
            .where(table.c.contract == contract, table.c.sequence.between(first, last))
            .order_by(*_order(table))
            for table in (tables.takeovers, tables.unwinds)
        ]
        taken, unwound = await self._all(*queries)
        return taken, unwound

    async def brought(self, takeovers: Sequence[int]) -> Rows:
        """Return these takeovers."""
        table = tables.takeovers
        query = sa.select(table).where(table.c.takeover.in_(takeovers)).order_by(table.c.takeover)
        (found,) = await self._all(query)
        return found

    async def pool_around(self, pool: str, first: int, last: int) -> tuple[Any, Any]:
        """Return a pool's last point before a record, and its last one up to another."""
        points = tables.pool_points
        newest = sa.select(points).where(points.c.pool == pool)
        newest = newest.order_by(points.c.sequence.desc(), points.c.place.desc()).limit(1)
        before, after = await self._all(
            newest.where(points.c.sequence < first), newest.where(points.c.sequence <= last)
        )
        return next(iter(before), None), next(iter(after), None)

    async def fills(
        self, account: str | None, contract: str | None, after: int, limit: int
    ) -> Rows:
        """Return ADL fills after a number, oldest first."""
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
    return table.c.sequence, table.c.place


def _between(
    table: sa.Table, of: sa.ColumnElement[bool], from_ms: int, until_ms: int
) -> sa.Select[Any]:
    chosen = sa.select(table).where(of, table.c.time_ms.between(from_ms, until_ms))
    return chosen.order_by(*_order(table))


def _deepest(pool: str, since_ms: int) -> sa.Select[Any]:
    """Return the query for the deepest falls (loss, peak) below the highest equity since a time.

    What stood when the time began is part of it. A withdrawal is no loss: it lowers all that stood
    before it, so equity is compared as if withdrawals had never been. The database's quotients are
    floats; what they cannot tell from the deepest is returned with it.
    """
    seen = _without_withdrawals(pool, since_ms)
    order = seen.c.sequence, seen.c.place
    top = sa.func.max(seen.c.level).over(order_by=order)
    loss = (top - seen.c.level).label("loss")
    falls = sa.select(loss, (loss + seen.c.equity_cash).label("peak")).subquery()
    depth = sa.cast(falls.c.loss, sa.Double) / falls.c.peak
    ranked = (
        sa.select(falls, depth.label("depth"), sa.func.max(depth).over().label("deepest"))
        .where(falls.c.loss > 0, falls.c.peak > 0)
        .subquery()
    )
    close = ranked.c.depth >= ranked.c.deepest * CLOSE
    return sa.select(ranked.c.loss, ranked.c.peak).where(close).distinct()


def _without_withdrawals(pool: str, since_ms: int) -> sa.Subquery:
    """Return a pool's points since a time, with `level`, its equity had nothing been withdrawn."""
    points, flows = tables.pool_points, tables.flows
    moved = sa.literal(0).label("moved")
    seen = sa.select(*_order(points), points.c.equity_cash, moved).where(points.c.pool == pool)
    newest = (each.desc() for each in (points.c.time_ms, *_order(points)))
    stood = seen.where(points.c.time_ms < since_ms).order_by(*newest).limit(1).subquery()
    withdrawn = sa.select(flows.c.sequence, sa.literal(-1), sa.null(), flows.c.amount_cash).where(
        flows.c.pool == pool, flows.c.amount_cash < 0, flows.c.time_ms >= since_ms
    )
    seen = seen.where(points.c.time_ms >= since_ms)
    all_ = sa.union_all(seen, withdrawn, sa.select(stood)).subquery()
    moves = sa.func.sum(all_.c.moved).over(order_by=(all_.c.sequence, all_.c.place))
    return sa.select(all_, (all_.c.equity_cash - moves).label("level")).subquery()


def _episodes() -> sa.Select[Any]:
    episodes, fills = tables.episodes, tables.fills
    closed = (
        sa.select(
            fills.c.episode,
            sa.func.count().label("fills"),
            sa.func.sum(fills.c.lots).label("lots"),
            sa.func.count(sa.distinct(fills.c.account)).label("accounts"),
        )
        .where(fills.c.cancelled_sequence.is_(None))
        .group_by(fills.c.episode)
        .subquery()
    )
    counts = [
        sa.func.coalesce(closed.c[name], 0).label(name) for name in ("fills", "lots", "accounts")
    ]
    return sa.select(episodes, *counts).outerjoin(closed, closed.c.episode == episodes.c.episode)


def thinned(
    rows: Rows, limit: int, values: Sequence[Callable[[sa.Row[Any]], int]]
) -> list[sa.Row[Any]]:
    """Return about `limit` rows: of each stretch the first, and each value's extremes; the last.

    So every trough and peak of each value is among them.
    """
    if len(rows) <= limit:
        return list(rows)
    stretches = max((limit - 1) // (1 + 2 * len(values)), 1)
    kept: set[int] = {len(rows) - 1}
    for stretch in range(stretches):
        begin, end = (len(rows) * each // stretches for each in (stretch, stretch + 1))
        kept |= {begin, *_extremes(rows, range(begin, end), values)}
    return [rows[place] for place in sorted(kept)]


def _extremes(
    rows: Rows, places: range, values: Sequence[Callable[[sa.Row[Any]], int]]
) -> Iterable[int]:
    """Yield where each value is lowest and where it is highest."""
    for value in values:
        told = [value(rows[place]) for place in places]
        yield places[told.index(min(told))]
        yield places[told.index(max(told))]
