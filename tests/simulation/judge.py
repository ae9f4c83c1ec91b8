"""One ADL round, judged: who stands in line, who is closed, for how much, and what is told of it.

Scores are recomputed from the venues' texts in exact fractions. The engine's are floats, so that
positions whose exact scores agree to one part in 10^12 may stand in either order.
"""

from dataclasses import dataclass
from fractions import Fraction

from model import (
    SIDES,
    TOP_TICKS,
    Contract,
    Model,
    Parcel,
    Pool,
    Position,
    expect,
    other,
    same,
    sign,
)
from watch import limits_of

from delever.core import messages as m
from delever.core.messages import Reason, Side

NEAR = Fraction(1, 10**12)

PRICES = {
    ("bybit", "pool_equity"): "shared_shortfall",
    ("bybit", "contract_drawdown"): "drawdown_limit",
    ("hyperliquid", "account_equity"): "previous_mark",
}
"""All others close at the bankruptcy price of the position taken over."""

BY_QUANTITY = {"bitmex"}
CANCELS = {"hyperliquid": "none", "bitmex": "contract"}


@dataclass
class Candidate:
    account: str
    number: int
    held: Position
    score: Fraction
    equity: int
    rank: int = 0
    ahead: int = 0
    light: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return self.account, self.number


def over(top: Fraction | int, bottom: Fraction | int) -> Fraction:
    """Top / bottom, and 0 where that is undefined."""
    return Fraction(top) / bottom if bottom else Fraction(0)


def score_of(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> Fraction:
    """A position's score under the rules of its contract's pool (venues.md 1, 3, 4, 6, 12)."""
    rules = model.pools[contract.pool].told.rules
    held = contract.positions[side][key]
    profit, notional = contract.profit(side, held), contract.notional(side, held)
    balance, bucket_profit, bucket_maintenance = model.bucket(key[0], contract, side, held)
    equity = balance + bucket_profit
    if rules in {"binance", "binance_legacy"}:
        profit, notional = _joint(model, contract, side, key, profit, notional)
    if rules == "binance":
        gain, leverage = over(profit, notional), over(notional, equity)
        return gain * leverage if gain > 0 else over(gain, leverage)
    if rules == "binance_legacy":
        gain = over(max(profit, 0), max(balance, contract.unit))
        return gain * (over(bucket_maintenance, equity) if equity > 0 else 0)
    if rules == "bitmart":
        initial = abs(held.cost) * 100 // held.leverage
        return Fraction(0) if held.under_liquidation else max(over(profit, initial), Fraction(0))
    if rules == "hyperliquid":
        entry = abs(held.cost)
        rising = contract.linear == (side == "long")
        return (over(notional, entry) if rising else over(entry, notional)) * over(notional, equity)
    gain = over(profit, abs(held.cost))
    maintenance = contract.maintenance(side, held)
    part = over(maintenance, bucket_maintenance) if bucket_maintenance else Fraction(1)
    leverage = over(notional, equity * part)
    return gain * leverage if gain > 0 else over(gain, leverage)


def _joint(
    model: Model, contract: Contract, side: Side, key: tuple[str, int], profit: int, notional: int
) -> tuple[int, int]:
    """In hedge mode cross positions share one value where there are some of both sides."""
    held = contract.positions[side][key]
    if held.isolated or not model.accounts[key[0]].hedge:
        return profit, notional
    shared = {each: _shared(contract, each, key[0]) for each in SIDES}
    if shared[other(side)][1] == 0:
        return profit, notional
    return sum(p for p, _ in shared.values()), sum(n for _, n in shared.values())


def _shared(contract: Contract, side: Side, account: str) -> tuple[int, int]:
    """Profit and notional of an account's cross positions of one side."""
    held = [
        position
        for (name, _), position in contract.positions[side].items()
        if name == account and not position.isolated
    ]
    profit = sum(contract.profit(side, position) for position in held)
    return profit, sum(contract.notional(side, position) for position in held)


def why_not(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> Reason | None:
    """Why a position does not stand in line."""
    held = contract.positions[side][key]
    balance, bucket_profit, _ = model.bucket(key[0], contract, side, held)
    if contract.told.adl_exempt:
        return Reason.CONTRACT_IS_EXEMPT
    if model.accounts[key[0]].exempt:
        return Reason.ACCOUNT_IS_EXEMPT
    if held.under_liquidation:
        return Reason.POSITION_IS_UNDER_LIQUIDATION
    if balance + bucket_profit <= 0:
        return Reason.EQUITY_IS_NOT_POSITIVE
    rules = model.pools[contract.pool].told.rules
    if rules == "hyperliquid" and contract.profit(side, held) <= 0:
        return Reason.PROFIT_IS_NOT_POSITIVE
    return None


def line_up(
    model: Model, contract: Contract, side: Side, told: dict[tuple[str, int], int]
) -> tuple[list[Candidate], dict[str, int]]:
    """The queue, and how many stay out of it for which reason; `told` orders near ties."""
    queue: list[Candidate] = []
    out: dict[str, int] = {}
    for key, held in contract.positions[side].items():
        if reason := why_not(model, contract, side, key):
            out[str(reason)] = out.get(str(reason), 0) + 1
            continue
        balance, profit, _ = model.bucket(key[0], contract, side, held)
        score = score_of(model, contract, side, key)
        queue.append(Candidate(*key, held, score, balance + profit))
    queue.sort(key=lambda c: (-c.score, c.account, c.number))
    queue = _settle_ties(queue, told)
    by_quantity = model.pools[contract.pool].told.rules in BY_QUANTITY
    total, through = sum(c.held.lots for c in queue), 0
    for rank, candidate in enumerate(queue, 1):
        candidate.rank, candidate.ahead = rank, through
        through += candidate.held.lots
        part = Fraction(through, total) if by_quantity else Fraction(rank, len(queue))
        candidate.light = 6 - -int(-5 * part // 1) if rank > 1 or by_quantity else 5
    return queue, out


def _settle_ties(queue: list[Candidate], told: dict[tuple[str, int], int]) -> list[Candidate]:
    """Order near ties as the engine says, those it does not name behind the ones it does."""
    settled: list[Candidate] = []
    group: list[Candidate] = []
    for candidate in [*queue, None]:
        if candidate and group:
            gap = group[-1].score - candidate.score
            if gap <= NEAR * max(abs(candidate.score), NEAR):
                group.append(candidate)
                continue
        last = len(queue) + 1
        settled += sorted(group, key=lambda c: (told.get(c.key, last), c.account, c.number))
        group = [candidate] if candidate else []
    return settled


def parcels_of(contract: Contract, side: Side, trigger: str) -> dict[int, Parcel]:
    """What ADL is to close while a trigger is on."""
    parcels = contract.parcels[side]
    if trigger in {"account_equity", "fund_exhausted"}:
        return {
            takeover: parcel
            for takeover, parcel in parcels.items()
            if sign(side) * (parcel.ticks - contract.mark) > 0
        }
    if trigger == "illiquidity" and contract.missing_since[side] is None:
        return {}
    return dict(parcels)


def price_rule_of(pool: Pool, trigger: str) -> str:
    return PRICES.get((pool.told.rules, trigger), "bankruptcy_price")


def target_of(model: Model, contract: Contract, side: Side, rule: str) -> int:
    """What the inventory is to be worth at a pool-level price."""
    pool = model.pools[contract.pool]
    lots, cost = contract.inventory(side)
    worth = contract.value(side, lots, contract.mark)
    if rule == "drawdown_limit":
        start = limits_of(model, contract, "contract_drawdown").start
        assert start is not None
        peak = contract.profits.peak(model.time_ms)
        limit = peak - int(start * pool.balances.peak(model.time_ms) // 1)
        without = contract.pool_profit - contract.inventory_profit(side)
        target = cost + limit - without
    else:
        shortfall = max(-model.pool_equity(pool.name), 0)
        losses = [
            max(-member.inventory_profit(each), 0)
            for member in model.members(pool.name)
            for each in SIDES
        ]
        own = max(-contract.inventory_profit(side), 0)
        target = worth - int(-Fraction(shortfall * own, sum(losses)) // 1 if any(losses) else 0)
    return max(min(target, cost), worth)


def bankrupted(
    contract: Contract, side: Side, queue: list[Candidate], wanted: int, ticks: list[int]
) -> dict[tuple[str, int], int]:
    """Whom a fill as large and as bad as it can become would leave with less than nothing."""
    worst = min(ticks) if side == "long" else max(ticks)

    def change(held: Position) -> int:
        lots = min(held.lots, wanted)
        return contract.value(side, lots, worst) - contract.value(side, lots, contract.mark)

    shared: dict[str, int] = {}
    for (account, _), held in contract.positions[side].items():
        if not held.isolated:
            shared[account] = shared.get(account, 0) + change(held)
    after = {
        c.key: c.equity + (change(c.held) if c.held.isolated else shared[c.account]) for c in queue
    }
    return {key: equity for key, equity in after.items() if equity < 0}


def orders_to_cancel(model: Model, contract: Contract, account: str) -> tuple[str, ...]:
    scope = CANCELS.get(model.pools[contract.pool].told.rules, "account")
    names = {"none": [], "contract": [contract.name]}.get(scope, list(model.contracts))
    return tuple(order for name in names for order in model.orders.get((account, name), ()))


def check_fill(
    model: Model, contract: Contract, fill: m.AdlFilled, candidate: Candidate, parcel: Parcel
) -> None:
    """Every number of one fill, against what the position and the parcel hold now."""
    held, side = contract.positions[fill.side][candidate.key], fill.side
    same("value", fill.value_cash, contract.value(side, fill.lots, fill.price_ticks))
    same("cost", fill.cost_cash, held.cost * fill.lots // held.lots)
    same("released margin", fill.released_cash, held.margin * fill.lots // held.lots)
    same("realised", fill.realised_cash, fill.value_cash - fill.cost_cash)
    same("pool cost", fill.pool_cost_cash, parcel.cost * fill.lots // parcel.lots)
    same("pool realised", fill.pool_realised_cash, -fill.value_cash - fill.pool_cost_cash)
    same("fee", fill.fee_cash, 0)
    same("fill number", fill.fill, model.last_fill + 1)
    same("pool", fill.pool, contract.pool)
    same("takeover price", fill.takeover_price_ticks, parcel.ticks)
    same("liquidated account", fill.liquidated_account, parcel.account)
    expect(fill.account != parcel.account, "closed against its own inventory")
    same("isolated", fill.isolated, held.isolated)
    same("leverage", fill.leverage_hundredths, held.leverage)
    same("rank", fill.rank, candidate.rank)
    same("quantity ahead", fill.quantity_ahead_lots, candidate.ahead)
    same("light", fill.light, candidate.light)
    exact = candidate.score
    expect(abs(Fraction(fill.score) - exact) <= abs(exact) / 10**9, "score", fill.score, exact)
    same("orders", fill.cancel_orders, orders_to_cancel(model, contract, fill.account))


def least_price(contract: Contract, side: Side, target: int) -> int:
    """The least favourable price, found by halving, at which the inventory is worth the target."""
    lots, _ = contract.inventory(side)
    low, high = 1, TOP_TICKS  # for a long: worth too little at low - 1, enough at high
    if side == "long":
        while low < high:
            middle = (low + high) // 2
            enough = contract.exact(side, lots, middle) >= target
            low, high = (low, middle) if enough else (middle + 1, high)
        return low
    while low < high:
        middle = (low + high + 1) // 2
        enough = contract.exact(side, lots, middle) >= target
        low, high = (middle, high) if enough else (low, middle - 1)
    return low
