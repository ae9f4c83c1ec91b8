"""Routes out: insurance funds and contracts over time."""

from bisect import bisect_left
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from delever.api_types.history import (
    ActivityPoint,
    ContractHistoryPoint,
    MarketActivity,
    PoolDetail,
    PoolFlow,
    PoolHistory,
    PoolHistoryPoint,
    PoolValues,
    PricePoint,
)
from delever.core.messages import Reason
from delever.core.units import format_scaled, ratio_ppm
from delever.formatting import ContractFormatter
from delever.server.api.market import contract_snapshot_of, formatter_of, pool_response_of
from delever.server.api.requests.authorization import reads_market
from delever.server.api.requests.dependencies import ApiServices, Services
from delever.server.api.requests.errors import not_found
from delever.server.engine.market_snapshot import MarketSnapshot, PoolSnapshot
from delever.server.storage.queries import MAX_TIME_MS, PointRange, SqlRows, downsample
from delever.server.storage.rolling_peaks import EventKey, balance_peaks, contract_pnl_peaks

MAX_POINTS = 10_000
"""Points in one response at most."""

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_POINTS)]
From = Annotated[int, QueryParameter(ge=0, le=MAX_TIME_MS)]


@get("/v1/pools/{pool:str}", guards=[reads_market], tags=["pools"])
async def pool(services: Services, pool: FromPath[str]) -> PoolDetail:
    """Return one insurance fund with its largest drawdowns in a day, in 30 days and ever."""
    await services.projector.current()
    snapshot = services.runner.market_snapshot
    found = pool_of(snapshot, pool)
    day, month, all_time = await services.queries.worst_drawdowns(pool, snapshot.time_ms)
    return PoolDetail(
        **msgspec.structs.asdict(pool_response_of(snapshot, found)),
        worst_drawdown_1d_ppm=day,
        worst_drawdown_30d_ppm=month,
        worst_drawdown_ppm=all_time,
    )


@get("/v1/pools/{pool:str}/history", guards=[reads_market], tags=["pools"])
async def pool_history(
    services: Services,
    pool: FromPath[str],
    from_ms: From = 0,
    until_ms: From = MAX_TIME_MS,
    limit: Limit = 500,
) -> PoolHistory:
    """Return an insurance fund over time with its rolling peak, and its flows.

    There are about `limit` points, with every extreme of balance and equity; the first one was
    valid at the beginning of the requested time.
    """
    as_of = await services.projector.current()
    found = pool_of(services.runner.market_snapshot, pool)
    peaks, points = await _pool_points(services, found, from_ms, until_ms)
    sampled = downsample(_since(points, from_ms), limit, [_balance, _equity])
    flows = await services.queries.flows(pool, from_ms, until_ms, limit)
    return PoolHistory(
        as_of=as_of,
        pool=pool,
        asset=found.definition.asset,
        points=tuple(
            _pool_point(row, found, peaks[row.sequence, row.event_index]) for row in sampled
        ),
        flows=tuple(
            PoolFlow(
                sequence=row.sequence,
                time_ms=row.time_ms,
                amount=format_scaled(row.amount_cash, found.cash_decimals),
                reason=row.reason,
                contract=row.contract,
                note=row.note,
            )
            for row in flows
        ),
    )


@get("/v1/contracts/{contract:str}/history", guards=[reads_market], tags=["market"])
async def contract_history(
    services: Services,
    contract: FromPath[str],
    from_ms: From = 0,
    until_ms: From = MAX_TIME_MS,
    limit: Limit = 500,
) -> list[ContractHistoryPoint]:
    """Return a contract's PnL over time and its fund's balance, each with its rolling peak.

    There are about `limit` points, with every extreme of both; the first one was valid at the
    beginning of the requested time.
    """
    await services.projector.current()
    snapshot = services.runner.market_snapshot
    formatter = formatter_of(contract_snapshot_of(snapshot, contract))
    windows = {name: pool.definition.peak_window_ms for name, pool in snapshot.pools.items()}
    since_ms = from_ms - max(windows.values())
    points = await services.queries.contract(contract, since_ms, until_ms)
    flows = await services.queries.contract_flows(contract, since_ms, until_ms)
    pnl_peaks = contract_pnl_peaks(points, flows, windows)
    balance_peaks_at: dict[EventKey, int] = {}
    for pool in {row.pool for row in points.rows}:
        peaks, _ = await _pool_points(services, snapshot.pools[pool], from_ms, until_ms)
        balance_peaks_at |= peaks
    rows = [
        row
        for row in _since(points, from_ms)
        if (row.sequence, row.event_index) in balance_peaks_at
    ]
    sampled = downsample(rows, limit, [_contract_pnl, _pool_balance])
    keys = [(row.sequence, row.event_index) for row in sampled]
    return [
        _contract_point(row, formatter, pnl_peaks[key], balance_peaks_at[key])
        for row, key in zip(sampled, keys, strict=True)
    ]


@get("/v1/contracts/{contract:str}/prices", guards=[reads_market], tags=["market"])
async def contract_prices(
    services: Services,
    contract: FromPath[str],
    from_ms: From = 0,
    until_ms: From = MAX_TIME_MS,
    limit: Limit = 500,
) -> list[PricePoint]:
    """Return a contract's marks over time, without changes below 0.05 %.

    There are about `limit` points, with every extreme; the first one was valid at the beginning of
    the requested time.
    """
    await services.projector.current()
    formatter = formatter_of(contract_snapshot_of(services.runner.market_snapshot, contract))
    points = await services.queries.prices(contract, from_ms, until_ms)
    return [
        PricePoint(
            sequence=row.sequence,
            time_ms=row.time_ms,
            mark=formatter.at(row.sequence).price(row.mark_ticks),
        )
        for row in downsample(points.rows, limit, [_mark])
    ]


@get("/v1/contracts/{contract:str}/activity", guards=[reads_market], tags=["market"])
async def contract_activity(
    services: Services,
    contract: FromPath[str],
    from_ms: From = 0,
    until_ms: From = MAX_TIME_MS,
    limit: Limit = 200,
) -> list[ActivityPoint]:
    """Return liquidations and ADL fills of a contract, and the flows of its insurance fund.

    Each kind has at most `limit` points, the sums of as many equal intervals; oldest first.
    """
    await services.projector.current()
    snapshot = services.runner.market_snapshot
    found = contract_snapshot_of(snapshot, contract)
    pool = pool_of(snapshot, found.pool)
    between = from_ms, min(until_ms, snapshot.time_ms)
    kinds = await services.queries.activity(contract, pool.name, between, limit)
    points = [
        ActivityPoint(
            kind=kind,
            sequence=row.sequence,
            time_ms=row.time_ms,
            count=row.events,
            amount=format_scaled(int(row.amount_cash), pool.cash_decimals),
        )
        for kind, rows in zip(MarketActivity, kinds, strict=True)
        for row in rows
    ]
    return sorted(points, key=lambda point: point.sequence)


# --- points ---


def pool_of(snapshot: MarketSnapshot, name: str) -> PoolSnapshot:
    """Return a pool of the market snapshot; raise RequestError for an unknown one."""
    found = snapshot.pools.get(name)
    if found is None:
        raise not_found(Reason.UNKNOWN_POOL, "pool", name)
    return found


def pool_values_of(row: Any, pool: PoolSnapshot) -> PoolValues:
    """Return a row as the values of an insurance fund."""
    return PoolValues(**_pool_values(row, pool))


def _pool_point(row: Any, pool: PoolSnapshot, peak_cash: int) -> PoolHistoryPoint:
    peak = format_scaled(peak_cash, pool.cash_decimals)
    return PoolHistoryPoint(**_pool_values(row, pool), balance_peak=peak)


def _pool_values(row: Any, pool: PoolSnapshot) -> dict[str, Any]:
    contract_pnl: dict[str, int] = msgspec.json.decode(row.contract_pnl)
    decimals = pool.cash_decimals
    return {
        "sequence": row.sequence,
        "time_ms": row.time_ms,
        "balance": format_scaled(row.balance_cash, decimals),
        "equity": format_scaled(row.equity_cash, decimals),
        "contract_pnl": {
            name: format_scaled(cash, decimals) for name, cash in contract_pnl.items()
        },
    }


async def _pool_points(
    services: ApiServices, pool: PoolSnapshot, from_ms: int, until_ms: int
) -> tuple[dict[EventKey, int], PointRange]:
    """Return the peak at each point of a pool, and its points from a window earlier on."""
    window_ms = pool.definition.peak_window_ms
    points = await services.queries.pool(pool.name, from_ms - window_ms, until_ms)
    return balance_peaks(points, window_ms), points


def _since(points: PointRange, from_ms: int) -> SqlRows:
    """Return the rows since a time, and the last one before it."""
    first = bisect_left(points.rows, from_ms, key=lambda row: int(row.time_ms))
    return points.rows[max(first - 1, 0) :]


def _contract_point(
    row: Any, formatter: ContractFormatter, peak_cash: int, pool_peak_cash: int
) -> ContractHistoryPoint:
    below_peak_cash = row.contract_pnl_cash - peak_cash
    return ContractHistoryPoint(
        sequence=row.sequence,
        time_ms=row.time_ms,
        pool=row.pool,
        contract_pnl=formatter.cash(row.contract_pnl_cash),
        contract_pnl_peak=formatter.cash(peak_cash),
        pool_balance=formatter.cash(row.pool_balance_cash),
        pool_balance_peak=formatter.cash(pool_peak_cash),
        pnl_ratio_ppm=ratio_ppm(below_peak_cash, pool_peak_cash) if pool_peak_cash > 0 else 0,
    )


def _mark(row: Any) -> int:
    return int(row.mark_ticks)


def _balance(row: Any) -> int:
    return int(row.balance_cash)


def _equity(row: Any) -> int:
    return int(row.equity_cash)


def _contract_pnl(row: Any) -> int:
    return int(row.contract_pnl_cash)


def _pool_balance(row: Any) -> int:
    return int(row.pool_balance_cash)


ROUTES = [pool, pool_history, contract_history, contract_prices, contract_activity]
