"""One ADL round, judged: who stands in line, who is closed, for how much, and what is told of it.

The engine's scores are floats, so that positions whose exact scores agree to one part in 10^12 may
stand in either order.
"""

from dataclasses import dataclass
from fractions import Fraction

from model import SIDES, TOP_TICKS, Contract, Model, Pool, Position, Tranche, expect, same, sign
from observing import limits_of
from scoring import score_of

from delever.core import messages as m
from delever.core.messages import Reason, Side

NEAR = Fraction(1, 10**12)

PRICES = {
    ("bybit", "pool_equity"): "shared_deficit",
    ("bybit", "contract_drawdown"): "drawdown_limit",
    ("hyperliquid", ""): "previous_mark",
    ("okx", ""): "mark_unless_spent",
    ("okx_2025", ""): "mark_unless_spent",
    ("deribit", ""): "transfer_price",
    ("aevo", ""): "mark",
    ("ethereal", ""): "capped_mark",
}
"""By rule set and trigger; all others close at the bankruptcy price of the takeover."""

BY_QUANTITY = {"bitmex"}
CANCELS = dict.fromkeys(("bitmex", "okx", "okx_2025", "bitget", "kucoin", "delta"), "contract")
CANCELS |= dict.fromkeys(("hyperliquid", "deribit", "lighter", "aevo", "ethereal", "dydx"), "none")


@dataclass
class Counterparty:
    account: str
    number: int
    held: Position
    score: Fraction
    equity: int
    rank: int = 0
    ahead: int = 0
    indicator: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return self.account, self.number


def why_not(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> Reason | None:
    """Why a position does not stand in line."""
    held = contract.positions[side][key]
    balance, bucket_profit, _ = model.bucket(key[0], contract, side, held)
    rules = model.pools[contract.pool].told.rules
    spared = rules == "aevo" and contract.name in {"BTC-PERP", "ETH-PERP", "SOL-PERP"}
    spared |= rules == "deribit" and not contract.linear
    if contract.told.adl_exempt or spared:
        return Reason.EXEMPT_CONTRACT
    if model.accounts[key[0]].exempt:
        return Reason.EXEMPT_ACCOUNT
    if held.under_liquidation:
        return Reason.POSITION_UNDER_LIQUIDATION
    if balance + bucket_profit <= 0:
        return Reason.EQUITY_NOT_POSITIVE
    if rules == "hyperliquid" and contract.profit(side, held) <= 0:
        return Reason.UNREALIZED_PNL_NOT_POSITIVE
    return None


def line_up(
    model: Model, contract: Contract, side: Side, told: dict[tuple[str, int], int]
) -> tuple[list[Counterparty], dict[str, int]]:
    """The queue, and how many stay out of it for which reason; `told` orders near ties."""
    queue: list[Counterparty] = []
    out: dict[str, int] = {}
    for key, held in contract.positions[side].items():
        if reason := why_not(model, contract, side, key):
            out[str(reason)] = out.get(str(reason), 0) + 1
            continue
        balance, profit, _ = model.bucket(key[0], contract, side, held)
        score = score_of(model, contract, side, key)
        queue.append(Counterparty(*key, held, score, balance + profit))
    queue.sort(key=lambda c: (-c.score, c.account, c.number))
    if model.pools[contract.pool].told.rules == "ethereal":
        _settle_by_criteria(model, contract, side, queue)
    queue = _settle_ties(queue, told)
    by_quantity = model.pools[contract.pool].told.rules in BY_QUANTITY
    total, through = sum(c.held.lots for c in queue), 0
    for rank, counterparty in enumerate(queue, 1):
        counterparty.rank, counterparty.ahead = rank, through
        through += counterparty.held.lots
        part = Fraction(through, total) if by_quantity else Fraction(rank, len(queue))
        counterparty.indicator = 6 - -int(-5 * part // 1) if rank > 1 or by_quantity else 5
    return queue, out


def _settle_by_criteria(
    model: Model, contract: Contract, side: Side, queue: list[Counterparty]
) -> None:
    """Ties: more profit, less balance, the higher account name."""

    def balance(counterparty: Counterparty) -> int:
        return model.bucket(counterparty.account, contract, side, counterparty.held)[0]

    queue.sort(key=lambda c: c.account, reverse=True)
    queue.sort(key=lambda c: (-c.score, -contract.profit(side, c.held), balance(c)))


def _settle_ties(queue: list[Counterparty], told: dict[tuple[str, int], int]) -> list[Counterparty]:
    """Order near ties as the engine says, those it does not name behind the ones it does."""
    settled: list[Counterparty] = []
    group: list[Counterparty] = []
    for counterparty in [*queue, None]:
        if counterparty and group:
            gap = group[-1].score - counterparty.score
            if gap <= NEAR * max(abs(counterparty.score), NEAR):
                group.append(counterparty)
                continue
        last = len(queue) + 1
        settled += sorted(group, key=lambda c: (told.get(c.key, last), c.account, c.number))
        group = [counterparty] if counterparty else []
    return settled


def parcels_of(contract: Contract, side: Side, trigger: str) -> dict[int, Tranche]:
    """What ADL is to close while a trigger is on."""
    tranches = contract.tranches[side]
    if trigger in {"account_equity", "fund_exhausted"}:
        return {
            takeover: tranche
            for takeover, tranche in tranches.items()
            if sign(side) * (tranche.ticks - contract.mark) > 0
        }
    if trigger == "illiquidity" and contract.missing_since[side] is None:
        return {}
    return dict(tranches)


def price_rule_of(pool: Pool, trigger: str) -> str:
    rules = pool.told.rules
    return PRICES.get((rules, trigger)) or PRICES.get((rules, ""), "bankruptcy_price")


def price_of(model: Model, contract: Contract, side: Side, rule: str, tranche: Tranche) -> int:
    """The price for one tranche of inventory, where it does not take the pool's limit to say."""
    pool, mark = model.pools[contract.pool], contract.mark
    if rule == "mark_unless_spent":
        equity, peak = model.pool_equity(pool.name), pool.equities.peak(model.time_ms)
        rule = "bankruptcy_price" if 10 * equity <= peak else "mark"
    spread = Fraction(1 - sign(side) * Fraction(1, 1000)) * mark
    transfer = spread // 1 if side == "long" else -(-spread // 1)
    capped = max(mark, tranche.ticks) if side == "long" else min(mark, tranche.ticks)
    return {
        "bankruptcy_price": tranche.ticks,
        "mark": mark,
        "previous_mark": contract.previous_mark,
        "transfer_price": max(int(transfer), 1),
        "capped_mark": capped,
    }[rule]


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
        without = contract.pool_profit - contract.inventory_pnl(side)
        target = cost + limit - without
    else:
        deficit = max(-model.pool_equity(pool.name), 0)
        losses = [
            max(-member.inventory_pnl(each), 0)
            for member in model.members(pool.name)
            for each in SIDES
        ]
        own = max(-contract.inventory_pnl(side), 0)
        target = worth - int(-Fraction(deficit * own, sum(losses)) // 1 if any(losses) else 0)
    return max(min(target, cost), worth)


def bankrupted(
    contract: Contract, side: Side, queue: list[Counterparty], wanted: int, ticks: list[int]
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


def zero_prices_apart(
    model: Model, contract: Contract, side: Side, queue: list[Counterparty], ticks: list[int]
) -> set[tuple[str, int]]:
    """Whose part of the equity, by maintenance margin, the worst price would more than use up."""
    if model.pools[contract.pool].told.rules != "lighter":
        return set()
    worst, apart = min(ticks) if side == "long" else max(ticks), set()
    for counterparty in queue:
        held = counterparty.held
        whole = model.bucket(counterparty.account, contract, side, held)[2]
        part = contract.maintenance(side, held)
        own = counterparty.equity * part // whole if whole else counterparty.equity
        loss = contract.value(side, held.lots, contract.mark)
        loss -= contract.value(side, held.lots, worst)
        if own < loss:
            apart.add(counterparty.key)
    return apart


def orders_to_cancel(model: Model, contract: Contract, account: str) -> tuple[str, ...]:
    scope = CANCELS.get(model.pools[contract.pool].told.rules, "account")
    names = {"none": [], "contract": [contract.name]}.get(scope, list(model.contracts))
    return tuple(order for name in names for order in model.orders.get((account, name), ()))


def check_fill(
    model: Model,
    contract: Contract,
    fill: m.AdlFilled,
    counterparty: Counterparty,
    tranche: Tranche,
) -> None:
    """Every number of one fill, against what the position and the tranche hold now."""
    held, side = contract.positions[fill.side][counterparty.key], fill.side
    same("value", fill.value_cash, contract.value(side, fill.lots, fill.price_ticks))
    same("cost", fill.cost_cash, held.cost * fill.lots // held.lots)
    same("released margin", fill.margin_returned_cash, held.margin * fill.lots // held.lots)
    same("realized", fill.realized_pnl_cash, fill.value_cash - fill.cost_cash)
    same("pool cost", fill.pool_cost_cash, tranche.cost * fill.lots // tranche.lots)
    same("pool realized", fill.pool_realized_pnl_cash, -fill.value_cash - fill.pool_cost_cash)
    same("fee", fill.fee_cash, 0)
    same("fill number", fill.fill, model.last_fill + 1)
    same("pool", fill.pool, contract.pool)
    same("takeover price", fill.takeover_price_ticks, tranche.ticks)
    same("liquidated account", fill.liquidated_account, tranche.account)
    expect(fill.account != tranche.account, "closed against its own inventory")
    same("isolated", fill.isolated, held.isolated)
    same("leverage", fill.leverage_hundredths, held.leverage)
    same("rank", fill.rank, counterparty.rank)
    same("quantity ahead", fill.quantity_ahead_lots, counterparty.ahead)
    same("indicator", fill.indicator, counterparty.indicator)
    exact = counterparty.score
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
