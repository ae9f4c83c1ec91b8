"""Out: pools and contracts as they were."""

from bisect import bisect_left
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from delever.api_types.history import (
    ContractPoint,
    Flow,
    PoolDetail,
    PoolHistory,
    PoolMoment,
    PoolPoint,
)
from delever.core.messages import Reason
from delever.core.units import format_scaled, ratio_ppm
from delever.formatting import Figures
from delever.server.api.authorization import reads_market
from delever.server.api.dependencies import Parts, PartsOf
from delever.server.api.errors import unknown
from delever.server.api.market import contract_shown, figures_of, pool_shown
from delever.server.engine import market_snapshot as shown
from delever.server.storage.queries import EVER_MS, Rows, Stretch, thinned
from delever.server.storage.rolling_peaks import Place, balance_peaks, profit_peaks

PAGE = 10_000
"""Points that one answer holds at the most."""

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE)]
From = Annotated[int, QueryParameter(ge=0, le=EVER_MS)]


@get("/v1/pools/{pool:str}", guards=[reads_market], tags=["pools"])
async def pool(parts: PartsOf, pool: FromPath[str]) -> PoolDetail:
    """Return one pool as it stands, with its worst drawdowns of a day, of 30 days, and ever."""
    await parts.history.current()
    board = parts.runner.board
    each = pool_of(board, pool)
    day, month, ever = await parts.past.worst_drawdowns(pool, board.time_ms)
    return PoolDetail(
        **msgspec.structs.asdict(pool_shown(board, each)),
        worst_drawdown_1d_ppm=day,
        worst_drawdown_30d_ppm=month,
        worst_drawdown_ppm=ever,
    )


@get("/v1/pools/{pool:str}/history", guards=[reads_market], tags=["pools"])
async def pool_history(
    parts: PartsOf,
    pool: FromPath[str],
    from_ms: From = 0,
    until_ms: From = EVER_MS,
    limit: Limit = 500,
) -> PoolHistory:
    """Return a pool over time with its rolling peak, and its flows.

    In about `limit` points, with every extreme of balance and equity; the first is the one that
    held when the time asked for began.
    """
    as_of = await parts.history.current()
    each = pool_of(parts.runner.board, pool)
    peaks, seen = await _pool_points(parts, each, from_ms, until_ms)
    kept = thinned(_shown(seen, from_ms), limit, [_balance, _equity])
    flows = await parts.past.flows(pool, from_ms, until_ms, limit)
    return PoolHistory(
        as_of=as_of,
        pool=pool,
        asset=each.definition.asset,
        points=tuple(_pool_point(row, each, peaks[row.sequence, row.place]) for row in kept),
        flows=tuple(
            Flow(
                sequence=row.sequence,
                time_ms=row.time_ms,
                amount=format_scaled(row.amount_cash, each.cash_decimals),
                reason=row.reason,
                contract=row.contract,
                note=row.note,
            )
            for row in flows
        ),
    )


@get("/v1/contracts/{contract:str}/history", guards=[reads_market], tags=["market"])
async def contract_history(
    parts: PartsOf,
    contract: FromPath[str],
    from_ms: From = 0,
    until_ms: From = EVER_MS,
    limit: Limit = 500,
) -> list[ContractPoint]:
    """Return a contract's profit over time, and its pool's balance, each with its rolling peak.

    In about `limit` points, with every extreme of both; the first is the one that held when the
    time asked for began.
    """
    await parts.history.current()
    board = parts.runner.board
    figures = figures_of(contract_shown(board, contract))
    windows = {name: each.definition.peak_window_ms for name, each in board.pools.items()}
    since_ms = from_ms - max(windows.values())
    seen = await parts.past.contract(contract, since_ms, until_ms)
    flows = await parts.past.booked(contract, since_ms, until_ms)
    profits = profit_peaks(seen, flows, windows)
    balances: dict[Place, int] = {}
    for pool in {row.pool for row in seen.rows}:
        peaks, _ = await _pool_points(parts, board.pools[pool], from_ms, until_ms)
        balances |= peaks
    told = [row for row in _shown(seen, from_ms) if (row.sequence, row.place) in balances]
    kept = thinned(told, limit, [_profit, _pool_balance])
    places = [(row.sequence, row.place) for row in kept]
    return [
        _contract_point(row, figures, profits[place], balances[place])
        for row, place in zip(kept, places, strict=True)
    ]


# --- pools and contracts ---


def pool_of(board: shown.Board, name: str) -> shown.PoolShown:
    """Return a pool of the board; Problem where there is none."""
    each = board.pools.get(name)
    if each is None:
        raise unknown(Reason.UNKNOWN_POOL, "pool", name)
    return each


def point_of(row: Any, pool: shown.PoolShown) -> PoolMoment:
    """Return a row as a moment of a pool."""
    return PoolMoment(**_moment(row, pool))


def _pool_point(row: Any, pool: shown.PoolShown, peak_cash: int) -> PoolPoint:
    peak = format_scaled(peak_cash, pool.cash_decimals)
    return PoolPoint(**_moment(row, pool), balance_peak=peak)


def _moment(row: Any, pool: shown.PoolShown) -> dict[str, Any]:
    profits: dict[str, int] = msgspec.json.decode(row.profits)
    decimals = pool.cash_decimals
    return {
        "sequence": row.sequence,
        "time_ms": row.time_ms,
        "balance": format_scaled(row.balance_cash, decimals),
        "equity": format_scaled(row.equity_cash, decimals),
        "contracts": {name: format_scaled(cash, decimals) for name, cash in profits.items()},
    }


async def _pool_points(
    parts: Parts, pool: shown.PoolShown, from_ms: int, until_ms: int
) -> tuple[dict[Place, int], Stretch]:
    """Return a pool's points from its window before a time on, and its peak at each."""
    window_ms = pool.definition.peak_window_ms
    seen = await parts.past.pool(pool.name, from_ms - window_ms, until_ms)
    return balance_peaks(seen, window_ms), seen


def _shown(seen: Stretch, from_ms: int) -> Rows:
    """Return the rows since a time, and the one that held when it began."""
    first = bisect_left(seen.rows, from_ms, key=lambda row: int(row.time_ms))
    return seen.rows[max(first - 1, 0) :]


def _contract_point(
    row: Any, figures: Figures, peak_cash: int, pool_peak_cash: int
) -> ContractPoint:
    fallen_cash = row.profit_cash - peak_cash
    return ContractPoint(
        sequence=row.sequence,
        time_ms=row.time_ms,
        pool=row.pool,
        profit=figures.cash(row.profit_cash),
        contract_pnl_peak=figures.cash(peak_cash),
        pool_balance=figures.cash(row.pool_balance_cash),
        pool_balance_peak=figures.cash(pool_peak_cash),
        pnl_ratio_ppm=ratio_ppm(fallen_cash, pool_peak_cash) if pool_peak_cash > 0 else 0,
    )


def _balance(row: Any) -> int:
    return int(row.balance_cash)


def _equity(row: Any) -> int:
    return int(row.equity_cash)


def _profit(row: Any) -> int:
    return int(row.profit_cash)


def _pool_balance(row: Any) -> int:
    return int(row.pool_balance_cash)


ROUTES = [pool, pool_history, contract_history]
