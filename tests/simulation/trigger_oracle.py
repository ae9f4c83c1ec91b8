"""When ADL must start and stop, and when the operator must be warned, from the venues' documents.

Limits are the contract's, else its pool's, else the venue's own.
"""

from dataclasses import dataclass, fields
from fractions import Fraction

from model import SIDES, Contract, Limits, Model, Pool, nearest, sign

HALF, THIRTY, FIFTH = Fraction(1, 2), Fraction(3, 10), Fraction(1, 5)

THIRD_OF_PEAK = {"bitget_threshold", "bitget_peak", "okx", "htx", "htx_maintenance", "xcoin"}
THIRD_OF_PEAK |= {"xcoin_portfolio"}
"""Rule sets that start at 30 % below the peak in every contract."""

TRIGGERS = {
    "binance": ("pool_equity",),
    "binance_legacy": ("pool_equity",),
    "bitmart": ("pool_equity", "pool_drawdown", "illiquidity"),
    "bitmex": ("fund_depleted",),
    "bybit": ("pool_equity", "contract_drawdown"),
    "hyperliquid": ("liquidator_loss",),
    "hyperliquid@2025-03": ("account_equity",),
    "okx": ("pool_equity", "pool_drawdown", "illiquidity"),
    "okx_2025": ("pool_equity", "pool_below_mean", "illiquidity"),
    "bitget": ("pool_equity",),
    "gate": ("pool_equity",),
    "kucoin": ("pool_equity",),
    "coinex": ("pool_equity", "illiquidity"),
    "delta": ("bankruptcy_band", "fund_depleted"),
    "deribit": ("open_inventory",),
    "lighter": ("fund_depleted",),
    "aevo": ("account_equity",),
    "ethereal": ("pool_equity",),
    "dydx": ("account_equity",),
    "gmx": ("pnl_to_pool",),
    "htx": ("pool_equity", "pool_drawdown"),
    "htx_maintenance": ("pool_equity", "pool_drawdown"),
    "whitebit": ("account_equity",),
    "xcoin": ("pool_equity", "pool_drawdown", "loss_count", "backlog"),
    "xcoin_portfolio": ("pool_equity", "pool_drawdown", "loss_count", "backlog"),
    "cube": ("account_equity",),
    "bullish": ("open_inventory",),
    "extended": ("contract_daily_loss", "takeover_loss", "pool_daily_loss", "fund_depleted"),
    "bitget_peak": ("pool_equity", "pool_drawdown"),
    "bitget_threshold": ("pool_equity", "pool_drawdown"),
    "ethereal_step4": ("pool_equity",),
    "drift": (),
    "injective": (),
    "paradex": (),
    "paradex_example": (),
    "vega": (),
}
"""The triggers of each rule set, in the order in which they decide the price."""

REASONS = {
    "pool_equity": "pool_equity_not_positive",
    "pool_drawdown": "pool_drawdown_limit",
    "illiquidity": "insufficient_depth",
    "fund_depleted": "mark_through_bankruptcy_price",
    "contract_drawdown": "contract_drawdown_limit",
    "account_equity": "negative_account_equity",
    "pool_below_mean": "pool_equity_below_mean",
    "open_inventory": "inventory_not_unwound",
    "pnl_to_pool": "pnl_to_pool_limit",
    "takeover_loss": "takeover_loss_limit",
    "contract_daily_loss": "contract_daily_loss_limit",
    "pool_daily_loss": "pool_daily_loss_limit",
    "liquidator_loss": "liquidator_loss_limit",
    "loss_count": "loss_count_limit",
    "backlog": "backlog_limit",
    "bankruptcy_band": "mark_beyond_band",
}

LIMITS = {
    "contract_drawdown": {"start", "stop", "trigger_threshold"},
    "pool_drawdown": {"start", "stop"},
    "pool_below_mean": {"start", "stop"},
    "pnl_to_pool": {"start", "stop"},
    "illiquidity": {"wait_ms"},
    "pool_equity": {"stop_equity"},
    "fund_depleted": {"stop_equity"},
    "takeover_loss": {"takeover_loss"},
    "contract_daily_loss": {"contract_daily_loss"},
    "pool_daily_loss": {"pool_daily_loss"},
    "liquidator_loss": {"vault_cap", "loss_threshold"},
    "loss_count": {"loss_threshold"},
    "backlog": {"backlog"},
    "bankruptcy_band": {"start"},
}
"""The limits that a trigger reads, where it reads any; the others are rejected."""

WARNING, WARNING_CLEARED = Fraction(8, 10), Fraction(7, 10)


@dataclass
class Evaluation:
    starts: bool
    stops: bool
    used: Fraction


def ignores_a_limit(limits: object, rules: str) -> bool:
    """Return whether no trigger of the rule set reads one of the limits."""
    ignored = {field.name for field in fields(Limits)} - set(limits_read(rules))
    return any(getattr(limits, name) is not None for name in ignored)


def limits_read(rules: str) -> list[str]:
    """Return the limits that a trigger of the rule set reads."""
    triggers = TRIGGERS[rules.partition("+")[0]]
    return sorted({name for trigger in triggers for name in LIMITS.get(trigger, ())})


def limits_of(model: Model, contract: Contract, trigger: str) -> Limits:
    own = Limits(None, None, None, None)
    third = model.pools[contract.pool].venue in THIRD_OF_PEAK
    if trigger == "contract_drawdown":
        own = Limits(Fraction(3, 10), Fraction(1, 4), Fraction(10**8), 0)
    elif trigger == "pool_below_mean" or (third and trigger == "pool_drawdown"):
        to_peak = model.pools[contract.pool].venue == "bitget_peak"
        own = Limits(THIRTY, Fraction(1, 10) if to_peak else THIRTY, None, None)
    elif trigger == "pool_drawdown":
        ratio = HALF if contract.name in {"BTCUSDT", "ETHUSDT"} else FIFTH
        own = Limits(ratio, ratio, None, None)
    elif trigger == "bankruptcy_band":
        major = contract.name in {"BTCUSD", "BTCUSDT", "ETHUSD", "ETHUSDT"}
        own.start = Fraction(5 if major else 2, 100)
    elif trigger == "loss_count":
        own.loss_threshold = Fraction(5_000_000 * contract.unit)
    elif trigger == "illiquidity":
        own = Limits(None, None, None, 60_000)
    elif trigger == "pnl_to_pool":
        own = Limits(Fraction(85, 100), Fraction(77, 100), None, None)
    elif trigger in {"takeover_loss", "contract_daily_loss", "pool_daily_loss"}:
        own.takeover_loss = Fraction(100_000 * contract.unit)
        own.contract_daily_loss, own.pool_daily_loss = Fraction(25, 1000), Fraction(5, 100)

    def first(name: str) -> object:
        levels = (contract.limits, model.pools[contract.pool].limits, own)
        return next((v for level in levels if (v := getattr(level, name)) is not None), None)

    return Limits(*(first(field.name) for field in fields(Limits)))  # type: ignore[arg-type]


def rounded(top: Fraction | int, bottom: Fraction | int) -> Fraction:
    """Return a ratio in whole millionths, 0 if it is undefined."""
    if not bottom:
        return Fraction(0)
    return Fraction(nearest(Fraction(top) * 10**6 / bottom), 10**6)


def evaluate(model: Model, contract: Contract, trigger: str) -> Evaluation:
    """Return whether a trigger starts and stops now, and how much of it is used."""
    pool, now = model.pools[contract.pool], model.time_ms
    equity = model.pool_equity(pool.name)
    peak = pool.equities.peak(now)
    spent = rounded(peak - equity, peak) if peak > 0 else Fraction(0)
    underwater = sum(losing_lots(contract))
    limits = limits_of(model, contract, trigger)
    if trigger == "pool_equity":
        until_empty = pool.venue == "ethereal"
        stops = not contract.has_inventory if until_empty else equity > (limits.stop_equity or 0)
        return Evaluation(equity <= 0 and contract.has_inventory, stops, spent)
    if trigger == "open_inventory":
        held = contract.has_inventory
        return Evaluation(held, not held, Fraction(held))
    if trigger == "account_equity":
        vault = pool.venue == "hyperliquid@2025-03" and pool.definition.managed
        starts = underwater > 0 and not (vault and equity >= 0)
        return Evaluation(starts, not starts, Fraction(starts))
    if trigger == "fund_depleted":
        starts = equity <= 0 and underwater > 0
        stops = equity > (limits.stop_equity or 0) or not underwater
        return Evaluation(starts, stops, spent if underwater else Fraction(0))
    if trigger in {"illiquidity", "pnl_to_pool"}:
        evaluate_limits = _illiquidity if trigger == "illiquidity" else _pnl_to_pool
        return evaluate_limits(model, contract, limits)
    compare = OTHERS.get(trigger, _loss_cap if trigger in LOSSES else _drawdown)
    return compare(model, contract, trigger, limits)


LOSSES = {"takeover_loss", "contract_daily_loss", "pool_daily_loss", "liquidator_loss"}
"""Triggers on the fund's losses: of one takeover, or since the start of the day."""


def _loss_cap(model: Model, contract: Contract, trigger: str, _limits: Limits) -> Evaluation:
    underwater = any(losing_lots(contract))
    if trigger == "liquidator_loss" and not model.pools[contract.pool].definition.managed:
        return Evaluation(underwater, not underwater, Fraction(underwater))
    lost, cap = loss_and_cap(model, contract, trigger)
    exceeds = underwater and lost > cap
    used = rounded(max(lost, 0), cap) if cap and underwater else Fraction(exceeds)
    return Evaluation(exceeds, not exceeds, used)


def _loss_count(model: Model, contract: Contract, _trigger: str, limits: Limits) -> Evaluation:
    """Compare the minutes of four hours in which the pool lost an amount: XCoin's 3."""
    falls = model.pools[contract.pool].minutes.falls(model.time_ms, 240)
    amount, is_open = limits.loss_threshold or 0, any(losing_lots(contract))
    count = sum(fall > 0 and fall >= amount for fall in falls)
    return Evaluation(is_open and count > 3, not is_open or count < 3, rounded(count, 4))


def _backlog(model: Model, contract: Contract, _trigger: str, limits: Limits) -> Evaluation:
    lots = [(c, side, c.inventory(side)) for c in model.members(contract.pool) for side in SIDES]
    values = [abs(c.value(side, n, c.mark)) if c.mark else abs(cost) for c, side, (n, cost) in lots]
    reached = limits.backlog is not None and contract.has_inventory
    reached = reached and sum(values) >= (limits.backlog or 0)
    used = rounded(sum(values), limits.backlog) if limits.backlog else Fraction(reached)
    return Evaluation(reached, not reached, used)


def _band(_model: Model, contract: Contract, _trigger: str, limits: Limits) -> Evaluation:
    assert limits.start is not None
    beyond = [
        Fraction(sign(side) * (tranche.ticks - contract.mark), tranche.ticks)
        for side in SIDES
        for tranche in contract.tranches[side].values()
    ]
    furthest = max([Fraction(0), *beyond])
    exceeds = furthest > limits.start
    return Evaluation(exceeds, not exceeds, rounded(rounded(furthest, 1), limits.start))


OTHERS = {"loss_count": _loss_count, "backlog": _backlog, "bankruptcy_band": _band}


def losing_lots(contract: Contract) -> list[int]:
    """Return the lots of each tranche that the mark values below its takeover price."""
    return [
        tranche.lots
        for side in SIDES
        for tranche in contract.tranches[side].values()
        if sign(side) * (tranche.ticks - contract.mark) > 0
    ]


def loss_and_cap(model: Model, contract: Contract, trigger: str) -> tuple[int, int]:
    """Return a loss of the fund and its cap, in whole Cash."""
    pool, limits = model.pools[contract.pool], limits_of(model, contract, trigger)
    equity, opening = model.pool_equity(pool.name), pool.openings.opening(model.time_ms)

    def part(ratio: Fraction | None) -> int:
        return int(max(opening, 0) * (1 if ratio is None else ratio) // 1)

    if trigger == "takeover_loss":
        losses = [
            tranche.cost - contract.value(side, tranche.lots, contract.mark)
            for side in SIDES
            for tranche in contract.tranches[side].values()
            if sign(side) * (tranche.ticks - contract.mark) > 0
        ]
        return max(losses, default=0), int(limits.takeover_loss or 0)
    if trigger == "contract_daily_loss":
        fall = contract.openings.opening(model.time_ms) - contract.contract_pnl
        return fall, part(limits.contract_daily_loss)
    if trigger == "pool_daily_loss":
        return opening - equity, part(limits.pool_daily_loss)
    caps = [part(limits.vault_cap)]
    caps += [] if limits.loss_threshold is None else [int(limits.loss_threshold)]
    return opening - equity, min(caps)


def _pnl_to_pool(model: Model, contract: Contract, limits: Limits) -> Evaluation:
    pool = model.pools[contract.pool]
    trader_pnl = max(-contract.inventory_pnl(side) for side in SIDES)
    exceeds = pnl_exceeds(pool, trader_pnl, limits)
    assert limits.start is not None
    return Evaluation(exceeds, not exceeds, rounded(trader_pnl, limits.start * pool.balance))


def pnl_exceeds(pool: Pool, trader_pnl: int, limits: Limits) -> bool:
    """Return whether one side's PnL is more than the start part of the pool balance."""
    assert limits.start is not None
    return pool.balance > 0 and trader_pnl > limits.start * pool.balance


def _drawdown(model: Model, contract: Contract, trigger: str, limits: Limits) -> Evaluation:
    """Evaluate the triggers on drawdown, of a pool or of a contract."""
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
        return Evaluation(starts, fall <= max(stop * mean, least), rounded(fall, start))
    if trigger == "pool_drawdown":
        fall = peak - equity
        starts = peak > 0 and fall >= limits.start * peak and contract.has_inventory
        used = rounded(fall, limits.start * peak) if peak > 0 else Fraction(0)
        return Evaluation(starts, fall == 0 or fall < stop * peak, used)
    profit, best = contract.contract_pnl, pool.balances.peak(now)
    fall = contract.pnls.peak(now) - profit
    assert limits.trigger_threshold is not None
    above_threshold = pool.balance > limits.trigger_threshold
    starts = above_threshold and best > 0 and fall >= limits.start * best
    used = rounded(fall, limits.start * best) if above_threshold else Fraction(0)
    return Evaluation(starts, fall == 0 or fall < stop * best, used)


def deficit(model: Model, contract: Contract, trigger: str) -> int | None:
    """Return by how much the fund's equity must rise for a trigger to stop, if it is about that."""
    pool, limits = model.pools[contract.pool], limits_of(model, contract, trigger)
    equity = model.pool_equity(pool.name)
    if trigger in {"pool_equity", "fund_depleted"}:
        return int(limits.stop_equity or 0) + 1 - equity
    if trigger in {"contract_daily_loss", "pool_daily_loss"}:
        lost, cap = loss_and_cap(model, contract, trigger)
        return lost - cap
    if trigger == "pool_drawdown":
        assert limits.start is not None
        assert limits.stop is not None
        peak = pool.equities.peak(model.time_ms)
        stop = min(limits.start, limits.stop) * peak
        return min(int((peak - stop) // 1) + 1, peak) - equity
    return None


def _illiquidity(model: Model, contract: Contract, limits: Limits) -> Evaluation:
    since = [ms for ms in contract.missing_since.values() if ms is not None]
    waited = model.time_ms - min(since) if since else 0
    assert limits.wait_ms is not None
    starts = bool(since) and waited >= limits.wait_ms
    return Evaluation(starts, not since, rounded(waited, limits.wait_ms))


def depth_is_missing(model: Model, contract: Contract) -> dict[str, bool]:
    """Return by side whether depth within the pool's slippage is less than inventory."""
    reach = model.pools[contract.pool].slippage
    missing = {}
    for side in SIDES:
        worst = contract.mark * (1 - sign(side) * reach) // 1
        levels = contract.bids if side == "long" else contract.asks
        offered = sum(lots for ticks, lots in levels if sign(side) * (ticks - worst) >= 0)
        missing[side] = contract.inventory(side)[0] > offered
    return missing
