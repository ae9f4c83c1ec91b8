"""One ADL round, predicted: the queue, eligibility, prices, and every number of a fill.

The engine's scores are floats, so that positions whose exact scores agree to one part in 10^12 may
be ranked in either order.
"""

from dataclasses import dataclass
from fractions import Fraction

from model import (
    SIDES,
    TOP_TICKS,
    Contract,
    Model,
    Pool,
    Position,
    Tranche,
    expect,
    other,
    same,
    sign,
)
from score_oracle import net_lots, score_of
from trigger_oracle import limits_of, pnl_exceeds, rounded

from delever.core import messages as m
from delever.core.messages import Reason, Side

SCORE_TOLERANCE = Fraction(1, 10**12)

PRICES = {
    ("bybit", "pool_equity"): "deficit_share",
    ("bybit", "contract_drawdown"): "drawdown_limit",
    ("hyperliquid", ""): "previous_mark",
    ("hyperliquid@2025-03", ""): "previous_mark",
    ("okx", ""): "mark_unless_depleted",
    ("okx_2025", ""): "mark_unless_depleted",
    ("deribit", ""): "transfer_price",
    ("aevo", ""): "mark",
    ("bullish", ""): "mark",
    ("ethereal", ""): "capped_mark",
    ("ethereal_step4", ""): "capped_mark",
    ("gmx", ""): "mark",
}
"""ADL prices by rule set and trigger; all others are the bankruptcy price of the takeover."""

RESIDUAL = {"binance", "binance_legacy", "bitmart", "bitmex", "bitget", "gate", "kucoin", "coinex"}
RESIDUAL |= {"bitget_peak", "bitget_threshold", "ethereal_step4", "extended"}
RESIDUAL |= {"htx", "htx_maintenance", "xcoin", "xcoin_portfolio"}
"""Rule sets whose rounds close no more than the fund's deficit needs."""

BY_QUANTITY = {"bitmex"}
BY_NET = {"xcoin_portfolio"}
WINNERS_ONLY = {"hyperliquid", "hyperliquid@2025-03", "gmx", "whitebit"}
CANCELS = dict.fromkeys(("bitmex", "okx", "okx_2025", "bitget", "kucoin", "delta"), "contract")
CANCELS |= dict.fromkeys(
    ("hyperliquid", "hyperliquid@2025-03", "deribit", "lighter", "aevo"), "none"
)
CANCELS |= dict.fromkeys(("htx", "htx_maintenance", "whitebit", "xcoin"), "contract")
CANCELS |= dict.fromkeys(("xcoin_portfolio",), "contract")
CANCELS |= dict.fromkeys(("cube", "bullish", "extended"), "contract")
CANCELS |= dict.fromkeys(("bitget_peak", "bitget_threshold"), "contract")
CANCELS |= dict.fromkeys(("ethereal", "ethereal_step4", "dydx", "gmx"), "none")


@dataclass
class Counterparty:
    account: str
    number: int
    held: Position
    score: Fraction
    equity: int
    lots: int  # that one round may close
    hedged: bool
    rank: int = 0
    ahead: int = 0
    indicator: int = 0

    @property
    def key(self) -> tuple[str, int]:
        return self.account, self.number


def ineligible_reason(
    model: Model, contract: Contract, side: Side, key: tuple[str, int]
) -> Reason | None:
    """Return why a position is not ranked, or None if it is."""
    held = contract.positions[side][key]
    balance, bucket_pnl, _ = model.bucket(key[0], contract, side, held)
    rules = model.pools[contract.pool].venue
    exempt = rules == "aevo" and contract.name in {"BTC-PERP", "ETH-PERP", "SOL-PERP"}
    exempt |= rules == "deribit" and not contract.linear
    if contract.definition.adl_exempt or exempt:
        return Reason.EXEMPT_CONTRACT
    if model.accounts[key[0]].exempt:
        return Reason.EXEMPT_ACCOUNT
    if (stale := model.is_stale(contract, side, key)) or held.under_liquidation:
        return Reason.STALE_ROW if stale else Reason.POSITION_UNDER_LIQUIDATION
    if balance + bucket_pnl <= 0:
        return Reason.EQUITY_NOT_POSITIVE
    if rules in WINNERS_ONLY and contract.unrealized_pnl(side, held) <= 0:
        return Reason.UNREALIZED_PNL_NOT_POSITIVE
    by_net = "net_exposure" in model.pools[contract.pool].options or rules in BY_NET
    hedged = by_net and net_lots(model, contract, side, key) == 0
    return Reason.NO_NET_EXPOSURE if hedged else None


def closable_lots(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> int:
    """Return how many lots of a position one round may close."""
    options, lots = model.pools[contract.pool].options, contract.positions[side][key].lots
    by_net = options.keys() & {"net_exposure", "both_legs"}
    if by_net or model.pools[contract.pool].venue in BY_NET:
        lots = net_lots(model, contract, side, key)
    cap = Fraction(options["cap_per_account"] or "0.5") if "cap_per_account" in options else 1
    return -int(-lots * cap // 1)


def sort_queue(
    model: Model, contract: Contract, side: Side, event_ranks: dict[tuple[str, int], int]
) -> tuple[list[Counterparty], dict[str, int]]:
    """Return the queue, and how many positions are not ranked, by reason.

    `event_ranks` orders near ties.
    """
    queue: list[Counterparty] = []
    ineligible: dict[str, int] = {}
    for key, held in contract.positions[side].items():
        if reason := ineligible_reason(model, contract, side, key):
            ineligible[str(reason)] = ineligible.get(str(reason), 0) + 1
            continue
        balance, profit, _ = model.bucket(key[0], contract, side, held)
        score = score_of(model, contract, side, key)
        lots = closable_lots(model, contract, side, key)
        hedged = net_lots(model, contract, side, key) < held.lots
        queue.append(Counterparty(*key, held, score, balance + profit, lots, hedged))
    queue.sort(key=lambda c: (-c.score, c.account, c.number))
    if model.pools[contract.pool].venue in {"ethereal", "ethereal_step4"}:
        _settle_by_criteria(model, contract, side, queue)
    queue = _settle_ties(queue, event_ranks)
    by_quantity = model.pools[contract.pool].venue in BY_QUANTITY
    every = any(c.lots for c in queue) or not by_quantity
    sizes = [c.lots if every else c.held.lots for c in queue]
    total, through = sum(sizes), 0
    for rank, (counterparty, size) in enumerate(zip(queue, sizes, strict=True), 1):
        counterparty.rank, counterparty.ahead = rank, through
        through += size
        part = Fraction(through, total) if by_quantity else Fraction(rank, len(queue))
        counterparty.indicator = 6 - -int(-5 * part // 1) if rank > 1 or by_quantity else 5
    return queue, ineligible


def _settle_by_criteria(
    model: Model, contract: Contract, side: Side, queue: list[Counterparty]
) -> None:
    """Order ties by higher PnL, lower balance, higher account id."""

    def balance(counterparty: Counterparty) -> int:
        return model.bucket(counterparty.account, contract, side, counterparty.held)[0]

    queue.sort(key=lambda c: c.account, reverse=True)
    queue.sort(key=lambda c: (-c.score, -contract.unrealized_pnl(side, c.held), balance(c)))


def _settle_ties(
    queue: list[Counterparty], event_ranks: dict[tuple[str, int], int]
) -> list[Counterparty]:
    """Order near ties as the engine's events do: those without an event take the other ranks."""
    settled: list[Counterparty] = []
    group: list[Counterparty] = []
    for counterparty in [*queue, None]:
        if counterparty and group:
            gap = group[-1].score - counterparty.score
            if gap <= SCORE_TOLERANCE * max(abs(counterparty.score), SCORE_TOLERANCE):
                group.append(counterparty)
                continue
        settled += _by_event(group, len(settled) + 1, event_ranks)
        group = [counterparty] if counterparty else []
    return settled


def _by_event(
    group: list[Counterparty], first: int, event_ranks: dict[tuple[str, int], int]
) -> list[Counterparty]:
    """Return tied counterparties, whose ranks start at `first`, each at the rank of its event."""
    ranks = range(first, first + len(group))
    at = {event_ranks[c.key]: c for c in group if event_ranks.get(c.key) in ranks}
    placed = {counterparty.key for counterparty in at.values()}
    others = iter(c for c in group if c.key not in placed)
    return [at.get(rank) or next(others) for rank in ranks]


def tranches_of(model: Model, contract: Contract, side: Side, trigger: str) -> dict[int, Tranche]:
    """Return the inventory that ADL may close while a trigger is on, in turn.

    A loss of the fund closes no inventory in profit. GMX has no order of takeovers.
    """
    tranches = in_turn(contract, side)
    by_mark = {"account_equity", "fund_depleted", "pool_equity", "pool_drawdown"}
    by_mark |= {"pool_below_mean", "contract_drawdown", "contract_daily_loss", "pool_daily_loss"}
    by_mark |= {"liquidator_loss", "loss_count"}
    until_empty = model.pools[contract.pool].venue == "ethereal"
    if trigger in by_mark and not until_empty:
        return {
            takeover: tranche
            for takeover, tranche in tranches.items()
            if sign(side) * (tranche.ticks - contract.mark) > 0
        }
    if trigger == "bankruptcy_band":
        band = limits_of(model, contract, trigger).start
        assert band is not None
        return {
            takeover: tranche
            for takeover, tranche in tranches.items()
            if sign(side) * (tranche.ticks - contract.mark) > band * tranche.ticks
        }
    if trigger == "takeover_loss":
        return _beyond_cap(model, contract, side)
    if trigger == "illiquidity" and contract.missing_since[side] is None:
        return {}
    if trigger == "pnl_to_pool":
        return _losing_tranches(model, contract, side)
    return dict(tranches)


def _beyond_cap(model: Model, contract: Contract, side: Side) -> dict[int, Tranche]:
    """Return the fewest lots of each tranche without which its loss is at most the cap."""
    cap = int(limits_of(model, contract, "takeover_loss").takeover_loss or 0)

    def cut(tranche: Tranche, lots: int) -> Tranche:
        return Tranche(tranche.account, lots, tranche.cost * lots // tranche.lots, tranche.ticks)

    def loss_without(tranche: Tranche, lots: int) -> int:
        rest, cost = tranche.lots - lots, tranche.cost - cut(tranche, lots).cost
        return cost - contract.value(side, rest, contract.mark)

    closed = {}
    for takeover, tranche in in_turn(contract, side).items():
        underwater = sign(side) * (tranche.ticks - contract.mark) > 0
        if not underwater or loss_without(tranche, 0) <= cap:
            continue
        least, most = 1, tranche.lots
        while least < most:
            middle = (least + most) // 2
            within = loss_without(tranche, middle) <= cap
            least, most = (least, middle) if within else (middle + 1, most)
        closed[takeover] = cut(tranche, least)
    return closed


def in_turn(contract: Contract, side: Side) -> dict[int, Tranche]:
    """Return inventory by the lowest equity / maintenance, largest loss, oldest takeover."""

    def turn(item: tuple[int, Tranche]) -> tuple[Fraction, int, int]:
        takeover, tranche = item
        pnl = contract.value(side, tranche.lots, contract.mark) - tranche.cost
        return rounded(tranche.equity, tranche.maintenance), pnl, takeover

    return dict(sorted(contract.tranches[side].items(), key=turn))


def sized(
    contract: Contract,
    side: Side,
    tranches: dict[int, Tranche],
    prices: dict[int, int],
    deficit: int,
) -> dict[int, Tranche]:
    """Return the fewest lots, in turn, that relieve the fund of a deficit."""
    closed = {}
    for takeover, tranche in tranches.items():
        price, least = prices[takeover], 1
        whole = relief(contract, side, tranche.lots, price)
        if deficit <= 0 or whole <= 0:
            continue
        if whole <= deficit:
            closed[takeover] = tranche
        else:
            most = tranche.lots
            while least < most:
                middle = (least + most) // 2
                enough = relief(contract, side, middle, price) >= deficit
                least, most = (least, middle) if enough else (middle + 1, most)
            cost = tranche.cost * least // tranche.lots
            closed[takeover] = Tranche(tranche.account, least, cost, tranche.ticks)
        deficit -= whole
    return closed


def relief(contract: Contract, side: Side, lots: int, ticks: int) -> int:
    """Return what the fund gains if inventory is closed at a price instead of the mark."""
    closed = -contract.value(other(side), lots, ticks)
    return closed - contract.value(side, lots, contract.mark)


def _losing_tranches(model: Model, contract: Contract, side: Side) -> dict[int, Tranche]:
    """Return the losing inventory, in turn, that brings PnL / balance down to the stop (GMX).

    The last tranche is cut, its lots and cost rounded down.
    """
    pool, limits = model.pools[contract.pool], limits_of(model, contract, "pnl_to_pool")
    trader_pnl = -contract.inventory_pnl(side)
    if not pnl_exceeds(pool, trader_pnl, limits):
        return {}
    assert limits.start is not None
    assert limits.stop is not None
    stop = min(limits.start, limits.stop)
    if stop >= 1:
        return in_turn(contract, side)
    realized = (trader_pnl - stop * pool.balance) / (1 - stop) // 1
    losing = {}
    for takeover, tranche in in_turn(contract, side).items():
        loss = tranche.cost - contract.value(side, tranche.lots, contract.mark)
        if loss <= 0 or realized <= 0:
            continue
        lots = tranche.lots if loss <= realized else int(tranche.lots * realized // loss)
        if lots:
            cost = tranche.cost * lots // tranche.lots
            losing[takeover] = Tranche(tranche.account, lots, cost, tranche.ticks)
        realized -= loss
    return losing


def price_rule_of(pool: Pool, trigger: str) -> str:
    rules = pool.venue
    return PRICES.get((rules, trigger)) or PRICES.get((rules, ""), "bankruptcy_price")


def price_of(model: Model, contract: Contract, side: Side, rule: str, tranche: Tranche) -> int:
    """Return the ADL price of one tranche under a rule that does not depend on the pool's limit."""
    pool = model.pools[contract.pool]
    if rule == "mark_unless_depleted":
        equity, peak = model.pool_equity(pool.name), pool.equities.peak(model.time_ms)
        rule = "bankruptcy_price" if 10 * equity <= peak else "mark"
    long = side == "long"
    mark = contract.on_tick(contract.mark, up=not long)
    capped = max(mark, tranche.ticks) if long else min(mark, tranche.ticks)
    spread = (1 - sign(side) * Fraction(1, 1000)) * contract.mark
    return {
        "bankruptcy_price": contract.on_tick(tranche.ticks, up=long),
        "mark": mark,
        "previous_mark": contract.on_tick(contract.previous_mark, up=not long),
        "transfer_price": contract.on_tick(spread, up=not long),
        "capped_mark": contract.on_tick(capped, up=long),
    }[rule]


def losing(contract: Contract, side: Side) -> tuple[int, int]:
    """Return lots and loss of the inventory that the mark values below its takeover price."""
    losers = [t for t in contract.tranches[side].values() if _is_losing(contract, side, t)]
    lots, cost = sum(t.lots for t in losers), sum(t.cost for t in losers)
    return lots, max(cost - contract.value(side, lots, contract.confirmed_mark), 0)


def _is_losing(contract: Contract, side: Side, tranche: Tranche) -> bool:
    return contract.mark > 0 and sign(side) * (tranche.ticks - contract.mark) > 0


def target_of(
    model: Model, contract: Contract, side: Side, rule: str, tranches: dict[int, Tranche]
) -> int:
    """Return the value that a pool-level price must give to the tranches closed."""
    pool = model.pools[contract.pool]
    lots, cost = sum(t.lots for t in tranches.values()), sum(t.cost for t in tranches.values())
    value = contract.value(side, lots, contract.mark)
    if rule == "drawdown_limit":
        start = limits_of(model, contract, "contract_drawdown").start
        assert start is not None
        peak = contract.pnls.peak(model.time_ms)
        limit = peak - int(start * pool.balances.peak(model.time_ms) // 1)
        without = contract.contract_pnl - (value - cost)
        target = cost + limit - without
    else:
        deficit = max(-model.pool_equity(pool.name), 0)
        losses = [losing(member, each)[1] for member in model.members(pool.name) for each in SIDES]
        own = max(cost - value, 0)
        target = value - int(-Fraction(deficit * own, sum(losses)) // 1 if any(losses) else 0)
    return max(min(target, cost), value)


def takes(queue: list[Counterparty], wanted: int) -> dict[tuple[str, int], int]:
    """Return the lots that a queue would give, one counterparty after the other."""
    taken = {}
    for counterparty in queue:
        taken[counterparty.key] = min(counterparty.lots, wanted)
        wanted -= taken[counterparty.key]
    return taken


def bankrupted(
    contract: Contract,
    side: Side,
    queue: list[Counterparty],
    wanted: int,
    ticks: list[int],
    uncrossed: set[tuple[str, int]],
) -> dict[tuple[str, int], int]:
    """Return the equity of those whom what is taken would bankrupt at the worst price.

    They leave the queue, as do the uncrossed, and the quantity is divided again without them.
    """
    worst = min(ticks) if side == "long" else max(ticks)
    apart: dict[tuple[str, int], int] = {}
    out: set[tuple[str, int]] = set()
    while True:
        taken = takes([c for c in queue if c.key not in out], wanted)
        change = {
            key: contract.value(side, lots, worst) - contract.value(side, lots, contract.mark)
            for key, lots in taken.items()
        }
        shared: dict[str, int] = {}
        for counterparty in queue:
            if not counterparty.held.isolated:
                own = change.get(counterparty.key, 0)
                shared[counterparty.account] = shared.get(counterparty.account, 0) + own
        found = {}
        for c in queue:
            if c.key in taken:
                after = c.equity + (change[c.key] if c.held.isolated else shared[c.account])
                if after < 0:
                    found[c.key] = after
        if not found and out >= uncrossed:
            return apart
        apart |= found
        out |= found.keys() | uncrossed


def zero_price_failures(
    model: Model, contract: Contract, side: Side, queue: list[Counterparty], ticks: list[int]
) -> set[tuple[str, int]]:
    """Return whose share of the equity, by maintenance margin, the worst price would exceed."""
    if model.pools[contract.pool].venue != "lighter":
        return set()
    worst, apart = min(ticks) if side == "long" else max(ticks), set()
    for counterparty in queue:
        held = counterparty.held
        whole = model.shared_maintenance(counterparty.account, contract, side, held)
        part = contract.maintenance(side, held)
        own = counterparty.equity * part // whole if whole else counterparty.equity
        loss = contract.value(side, held.lots, contract.mark)
        loss -= contract.value(side, held.lots, worst)
        if own < loss:
            apart.add(counterparty.key)
    return apart


def orders_to_cancel(model: Model, contract: Contract, account: str) -> tuple[str, ...]:
    scope = CANCELS.get(model.pools[contract.pool].venue, "account")
    names = {"none": [], "contract": [contract.name]}.get(scope, list(model.contracts))
    return tuple(order for name in names for order in model.orders.get((account, name), ()))


def check_fill(
    model: Model,
    contract: Contract,
    fill: m.AdlFilled,
    counterparty: Counterparty,
    tranche: Tranche,
) -> None:
    """Check every number of one fill against position and tranche as they are now."""
    held, side = contract.positions[fill.side][counterparty.key], fill.side
    same("value", fill.value_cash, contract.value(side, fill.lots, fill.price_ticks))
    same("cost", fill.cost_cash, held.cost * fill.lots // held.lots)
    same("margin returned", fill.margin_returned_cash, held.margin * fill.lots // held.lots)
    same("realized", fill.realized_pnl_cash, fill.value_cash - fill.cost_cash)
    same("pool cost", fill.pool_cost_cash, tranche.cost * fill.lots // tranche.lots)
    same("pool realized", fill.pool_realized_pnl_cash, -fill.value_cash - fill.pool_cost_cash)
    same("fee", fill.fee_cash, 0)
    same("fill number", fill.fill, model.last_fill + 1)
    same("pool", fill.pool, contract.pool)
    same("takeover price", fill.takeover_price_ticks, tranche.ticks)
    same("liquidated account", fill.liquidated_account, tranche.account)
    expect(fill.account != tranche.account, "filled against its own inventory")
    same("isolated", fill.isolated, held.isolated)
    same("leverage", fill.leverage_hundredths, held.leverage)
    same("rank", fill.rank, counterparty.rank)
    same("quantity ahead", fill.quantity_ahead_lots, counterparty.ahead)
    same("indicator", fill.indicator, counterparty.indicator)
    exact = counterparty.score
    expect(abs(Fraction(fill.score) - exact) <= abs(exact) / 10**9, "score", fill.score, exact)
    same("orders", fill.cancel_orders, orders_to_cancel(model, contract, fill.account))


def least_price(contract: Contract, side: Side, lots: int, target: int) -> int:
    """Return the least favorable price at which lots are worth the target, by bisection."""
    step = contract.per_tick
    low, high = 1, TOP_TICKS // step  # in ticks; for a long: too low at low - 1, enough at high
    if side == "long":
        while low < high:
            middle = (low + high) // 2
            enough = contract.exact(side, lots, middle * step) >= target
            low, high = (low, middle) if enough else (middle + 1, high)
        return low * step
    while low < high:
        middle = (low + high + 1) // 2
        enough = contract.exact(side, lots, middle * step) >= target
        low, high = (middle, high) if enough else (low, middle - 1)
    return low * step
