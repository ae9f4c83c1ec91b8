"""Out: pools and contracts as they were."""

from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromPath, QueryParameter

from delever.core.messages import Reason
from delever.core.rolling import RollingPeak
from delever.core.units import format_scaled, ratio_ppm
from delever.lab.figures import Figures
from delever.server import board as shown
from delever.server.history.queries import EVER_MS, Rows, thinned
from delever.server.native.access import reads_market
from delever.server.native.answers_past import (
    ContractPoint,
    Flow,
    PoolDetail,
    PoolHistory,
    PoolPoint,
)
from delever.server.native.errors import unknown
from delever.server.native.market import contract_shown, figures_of, pool_shown
from delever.server.native.parts import PartsOf

PAGE = 1_000
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
    """Return a pool over time, in about `limit` points with every extreme, and its flows."""
    as_of = await parts.history.current()
    each = pool_of(parts.runner.board, pool)
    points, flows = await parts.past.pool(pool, from_ms, until_ms, limit)
    return PoolHistory(
        as_of=as_of,
        pool=pool,
        asset=each.definition.asset,
        points=tuple(point_of(row, each) for row in points),
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
    """Return a contract's profit over time, against its own peak and that of its pool."""
    await parts.history.current()
    board = parts.runner.board
    figures = figures_of(contract_shown(board, contract))
    windows = {name: each.definition.peak_window_ms for name, each in board.pools.items()}
    rows = await parts.past.contract(contract, from_ms - max(windows.values()), until_ms)
    ratios = _ratios(rows, windows)
    wanted = [row for row in rows if row.time_ms >= from_ms]
    kept = thinned(wanted, lambda row: int(row.profit_cash), limit)
    return [_contract_point(row, figures, *ratios[row.sequence, row.place]) for row in kept]


# --- pools and contracts ---


def pool_of(board: shown.Board, name: str) -> shown.PoolShown:
    """Return a pool of the board; Problem where there is none."""
    each = board.pools.get(name)
    if each is None:
        raise unknown(Reason.POOL_IS_UNKNOWN, "pool", name)
    return each


def point_of(row: Any, pool: shown.PoolShown) -> PoolPoint:
    """Return a row as a point of a pool's history."""
    profits: dict[str, int] = msgspec.json.decode(row.profits)
    decimals = pool.cash_decimals
    return PoolPoint(
        sequence=row.sequence,
        time_ms=row.time_ms,
        balance=format_scaled(row.balance_cash, decimals),
        equity=format_scaled(row.equity_cash, decimals),
        contracts={name: format_scaled(cash, decimals) for name, cash in profits.items()},
    )


def _ratios(rows: Rows, windows: dict[str, int]) -> dict[tuple[int, int], tuple[int, int]]:
    """Return each point's peak of profit, and its fall below it by the peak of the pool's balance.

    Peaks are those of the pool's window; a contract that moves to another pool begins anew.
    """
    found: dict[tuple[int, int], tuple[int, int]] = {}
    pool = ""
    profits = balances = RollingPeak(0)
    for row in rows:
        if row.pool != pool:
            pool = row.pool
            profits, balances = RollingPeak(windows[pool]), RollingPeak(windows[pool])
        profits.observe(row.time_ms, row.profit_cash)
        balances.observe(row.time_ms, row.pool_balance_cash)
        peak, most = profits.peak(row.time_ms), balances.peak(row.time_ms)
        ratio = ratio_ppm(row.profit_cash - peak, most) if most > 0 else 0
        found[row.sequence, row.place] = peak, ratio
    return found


def _contract_point(row: Any, figures: Figures, peak_cash: int, ratio: int) -> ContractPoint:
    return ContractPoint(
        sequence=row.sequence,
        time_ms=row.time_ms,
        pool=row.pool,
        profit=figures.cash(row.profit_cash),
        profit_peak=figures.cash(peak_cash),
        pool_balance=figures.cash(row.pool_balance_cash),
        pnl_ratio_ppm=ratio,
    )


ROUTES = [pool, pool_history, contract_history]
