"""When ADL is to start and to stop, and when somebody is to be warned: hysteresis, modelled apart.

Limits are the contract's, else its pool's, else the venue's own.
"""

from dataclasses import dataclass
from fractions import Fraction

from model import SIDES, Contract, Limits, Model, nearest, sign

HALF, THIRTY, FIFTH = Fraction(1, 2), Fraction(3, 10), Fraction(1, 5)

TRIGGERS = {
    "binance": ("pool_equity",),
    "binance_legacy": ("pool_equity",),
    "bitmart": ("pool_equity", "pool_drawdown", "illiquidity"),
    "bitmex": ("fund_exhausted",),
    "bybit": ("pool_equity", "contract_drawdown"),
    "hyperliquid": ("account_equity",),
    "okx": ("pool_equity", "pool_drawdown", "illiquidity"),
    "okx_2025": ("pool_equity", "pool_below_mean", "illiquidity"),
    "bitget": ("pool_equity",),
    "gate": ("pool_equity",),
    "kucoin": ("pool_equity",),
    "coinex": ("pool_equity", "illiquidity"),
    "delta": ("account_equity",),
    "deribit": ("unplaced",),
    "lighter": ("fund_exhausted",),
    "aevo": ("account_equity",),
    "ethereal": ("pool_equity",),
    "dydx": ("account_equity",),
}
"""In the order in which they decide the price."""

REASONS = {
    "pool_equity": "pool_equity_not_positive",
    "pool_drawdown": "pool_drawdown_limit",
    "illiquidity": "insufficient_depth",
    "fund_exhausted": "mark_through_bankruptcy_price",
    "contract_drawdown": "contract_drawdown_limit",
    "account_equity": "negative_account_equity",
    "pool_below_mean": "pool_equity_below_mean",
    "unplaced": "inventory_not_unwound",
}

WARN, CALM = Fraction(8, 10), Fraction(7, 10)


@dataclass
class Reading:
    starts: bool
    stops: bool
    progress: Fraction


def limits_of(model: Model, contract: Contract, trigger: str) -> Limits:
    own = Limits(None, None, None, None)
    okx = model.pools[contract.pool].told.rules == "okx"
    if trigger == "contract_drawdown":
        own = Limits(Fraction(3, 10), Fraction(1, 4), Fraction(10**8), 0)
    elif trigger == "pool_below_mean" or (okx and trigger == "pool_drawdown"):
        own = Limits(THIRTY, THIRTY, None, None)
    elif trigger == "pool_drawdown":
        ratio = HALF if contract.name in {"BTCUSDT", "ETHUSDT"} else FIFTH
        own = Limits(ratio, ratio, None, None)
    elif trigger == "illiquidity":
        own = Limits(None, None, None, 60_000)

    def first(name: str) -> object:
        levels = (contract.limits, model.pools[contract.pool].limits, own)
        return next((v for level in levels if (v := getattr(level, name)) is not None), None)

    return Limits(*map(first, ("start", "stop", "trigger_threshold", "wait_ms")))  # type: ignore[arg-type]


def rounded(top: Fraction | int, bottom: Fraction | int) -> Fraction:
    """A ratio in whole millionths, 0 where it is undefined."""
    if not bottom:
        return Fraction(0)
    return Fraction(nearest(Fraction(top) * 10**6 / bottom), 10**6)


def read(model: Model, contract: Contract, trigger: str) -> Reading:
    """What holds now."""
    pool, now = model.pools[contract.pool], model.time_ms
    equity = model.pool_equity(pool.name)
    peak = pool.equities.peak(now)
    spent = rounded(peak - equity, peak) if peak > 0 else Fraction(0)
    drowned = sum(
        tranche.lots
        for side in SIDES
        for tranche in contract.tranches[side].values()
        if sign(side) * (tranche.ticks - contract.mark) > 0
    )
    limits = limits_of(model, contract, trigger)
    if trigger == "pool_equity":
        until_empty = pool.told.rules == "ethereal"
        stops = not contract.has_inventory if until_empty else equity > 0
        return Reading(equity <= 0 and contract.has_inventory, stops, spent)
    if trigger == "unplaced":
        held = contract.has_inventory
        return Reading(held, not held, Fraction(held))
    if trigger == "account_equity":
        vault = pool.told.rules == "hyperliquid" and pool.told.managed
        starts = drowned > 0 and not (vault and equity >= 0)
        return Reading(starts, not starts, Fraction(starts))
    if trigger == "fund_exhausted":
        starts = equity <= 0 and drowned > 0
        return Reading(starts, not starts, spent if drowned else Fraction(0))
    if trigger == "illiquidity":
        return _illiquidity(contract, now, limits)
    return _fallen(model, contract, trigger, limits)


def _fallen(model: Model, contract: Contract, trigger: str, limits: Limits) -> Reading:
    """Whether the pool or the contract has lost too much of what it had."""
    pool, now = model.pools[contract.pool], model.time_ms
    equity = model.pool_equity(pool.name)
    peak = pool.equities.peak(now)
    assert limits.start is not None
    assert limits.stop is not None
    stop = min(limits.stop, limits.start)
    if trigger == "pool_below_mean":
        mean, least = pool.equities.mean(now), 50_000 * contract.unit
        fall, start = mean - equity, max(limits.start * mean, Fraction(least))
        starts = fall > start and contract.has_inventory
        return Reading(starts, fall <= max(stop * mean, least), rounded(fall, start))
    if trigger == "pool_drawdown":
        fall = peak - equity
        starts = peak > 0 and fall >= limits.start * peak and contract.has_inventory
        progress = rounded(fall, limits.start * peak) if peak > 0 else Fraction(0)
        return Reading(starts, fall == 0 or fall < stop * peak, progress)
    profit, best = contract.pool_profit, pool.balances.peak(now)
    fall = contract.profits.peak(now) - profit
    assert limits.trigger_threshold is not None
    covered = pool.balance > limits.trigger_threshold
    starts = covered and best > 0 and fall >= limits.start * best
    progress = rounded(fall, limits.start * best) if covered else Fraction(0)
    return Reading(starts, fall == 0 or fall < stop * best, progress)


def _illiquidity(contract: Contract, now: int, limits: Limits) -> Reading:
    since = [ms for ms in contract.missing_since.values() if ms is not None]
    waited = now - min(since) if since else 0
    assert limits.wait_ms is not None
    starts = bool(since) and waited >= limits.wait_ms
    return Reading(starts, not since, rounded(waited, limits.wait_ms))


def depth_is_missing(model: Model, contract: Contract) -> dict[str, bool]:
    """Whether the levels within the pool's slippage hold less than the inventory, by side."""
    reach = model.pools[contract.pool].slippage
    missing = {}
    for side in SIDES:
        worst = contract.mark * (1 - sign(side) * reach) // 1
        levels = contract.bids if side == "long" else contract.asks
        offered = sum(lots for ticks, lots in levels if sign(side) * (ticks - worst) >= 0)
        missing[side] = contract.inventory(side)[0] > offered
    return missing
