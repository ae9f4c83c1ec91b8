"""Socialized losses and withdrawal haircuts, predicted from the venues' documents and code.

A deficit is a pool's negative equity. It is shared over the pool's losing contracts by their
losses, and in each over open positions by the venue's own rule.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from event_reader import Reader
from model import SIDES, Contract, Model, Pool, nearest, pro_rata
from takeover_audit import covered
from trigger_oracle import TRIGGERS

from delever.core import messages as m
from delever.core.messages import Side


@dataclass
class Claim:
    account: str
    side: Side
    number: int
    lots: int
    gain: int
    payout: int


def per_lot(claims: list[Claim], loss: int) -> list[int]:
    """Return the same amount for each lot, rounded up (Drift)."""
    amount = -(-loss // (sum(claim.lots for claim in claims) or 1))
    return [claim.lots * amount for claim in claims]


def of_gains(claims: list[Claim], loss: int) -> list[int]:
    """Return the unpaid gains; rounding goes to the last positions, up to their gains (Vega)."""
    expected = sum(claim.gain for claim in claims)
    collected = max(expected - loss, 0)
    unpaid = [claim.gain - claim.gain * collected // (expected or 1) for claim in claims]
    rounding = sum(unpaid) - (expected - collected)
    for i in reversed(range(len(unpaid))):
        part = min(unpaid[i], rounding)
        unpaid[i] -= part
        rounding -= part
    return unpaid


def of_profits_then_payouts(claims: list[Claim], loss: int) -> list[int]:
    """Return shares of profits, then of the rest of payouts (Injective)."""
    profits = [min(claim.gain, claim.payout) for claim in claims]
    rests = [claim.payout - profit for claim, profit in zip(claims, profits, strict=True)]
    first = min(loss, sum(profits))
    second = min(loss - first, sum(rests))
    tiers = pro_rata(first, profits), pro_rata(second, rests)
    return [sum(parts) for parts in zip(*tiers, strict=True)]


def by_notional(claims: list[Claim], loss: int) -> list[int]:
    """Return shares by notional, each at most its payout; the rest is shared again (Cube)."""
    shares = [0] * len(claims)
    left, open_ = loss, [i for i, claim in enumerate(claims) if claim.payout]
    while open_:
        whole = sum(claims[i].lots for i in open_)
        full = [i for i in open_ if left * claims[i].lots // whole >= claims[i].payout]
        if not full:
            parts = pro_rata(left, [claims[i].lots for i in open_])
            for i, part in zip(open_, parts, strict=True):
                shares[i] = part
            return shares
        for i in full:
            shares[i] = claims[i].payout
            left -= shares[i]
        open_ = [i for i in open_ if i not in full]
    for i, claim in enumerate(claims):
        if not shares[i]:
            shares[i] = min(claim.payout, left)
            left -= shares[i]
    return shares


def by_profit_per_lot(claims: list[Claim], loss: int) -> list[int]:
    """Return the loss taken from profits, the largest a lot first (Bullish)."""
    shares = [0] * len(claims)
    order = sorted(range(len(claims)), key=lambda i: (-claims[i].gain / claims[i].lots, i))
    for i in order:
        shares[i] = min(claims[i].gain, claims[i].payout, loss)
        loss -= shares[i]
    return shares


SHARES: dict[str, tuple[str, Callable[[list[Claim], int], list[int]]]] = {
    "drift": ("per_lot", per_lot),
    "injective": ("of_profits_then_payouts", of_profits_then_payouts),
    "vega": ("of_gains", of_gains),
    "cube": ("by_notional", by_notional),
    "bullish": ("by_profit_per_lot", by_profit_per_lot),
}
"""By rule set: the name of the rule, and each position's share of a loss."""


def check_last_resorts(reader: Reader) -> None:
    """Expect what each pool's rule set does about its deficit now."""
    for _, pool in sorted(reader.model.pools.items()):
        if any(contract.unconfirmed for contract in reader.model.members(pool.name)):
            continue
        if pool.venue in {"paradex", "paradex_example"}:
            _check_haircut(reader, pool)
        elif pool.venue in SHARES and not _queue_can_close(reader.model, pool):
            for event in _losses(reader.model, pool):
                reader.take(event)


def _queue_can_close(model: Model, pool: Pool) -> bool:
    """Return whether the rule set has a queue, and inventory for which it is not exhausted."""
    return bool(TRIGGERS[pool.venue]) and any(
        not contract.active or side not in contract.exhausted_lots
        for contract in model.members(pool.name)
        for side in SIDES
        if contract.tranches[side]
    )


def _losses(model: Model, pool: Pool) -> Iterator[m.LossSocialized]:
    """Yield the loss of each contract; each is predicted after the one before is applied."""
    deficit = max(-model.pool_equity(pool.name), 0)
    weights = {c.name: _weight(pool, c) for c in model.members(pool.name)}
    losing = [contract for contract in model.members(pool.name) if weights[contract.name] > 0]
    parts = pro_rata(deficit, [weights[contract.name] for contract in losing])
    name, shares_of = SHARES[pool.venue]
    for contract, part in zip(losing, parts, strict=True):
        waits = name == "per_lot" and contract.has_inventory
        if not part or waits:
            continue
        claims = list(_claims(model, contract))
        shares = shares_of(claims, part)
        paying = [(claim, share) for claim, share in zip(claims, shares, strict=True) if share]
        if paying:
            yield m.LossSocialized(
                fill=model.last_fill + 1,
                contract=contract.name,
                rule=name,
                loss_cash=part,
                unfunded_cash=max(part - sum(shares), 0),
                accounts=tuple(claim.account for claim, _ in paying),
                sides=tuple(claim.side for claim, _ in paying),
                positions=tuple(claim.number for claim, _ in paying),
                amount_cash=tuple(share for _, share in paying),
            )


def _weight(pool: Pool, contract: Contract) -> int:
    """Return a contract's loss, or under Cube's rules the notional of its open positions."""
    if pool.venue != "cube":
        return max(-contract.contract_pnl, 0)
    lots = {side: sum(p.lots for p in contract.positions[side].values()) for side in SIDES}
    if not contract.mark:
        return 0
    return sum(abs(contract.value(side, n, contract.mark)) for side, n in lots.items())


def _claims(model: Model, contract: Contract) -> Iterator[Claim]:
    """Yield a contract's open positions by account, side and position id."""
    rows = [(account, side, n) for side in SIDES for account, n in contract.positions[side]]
    for account, side, number in sorted(rows):
        held = contract.positions[side][account, number]
        pnl = contract.unrealized_pnl(side, held)
        cover, _, _ = covered(model, account, (contract, side, number, held))
        yield Claim(account, side, number, held.lots, max(pnl, 0), max(cover + pnl, 0))


def _check_haircut(reader: Reader, pool: Pool) -> None:
    """Expect the fraction of withdrawals that is deducted, if it has changed (Paradex)."""
    model = reader.model
    deficit = max(-model.pool_equity(pool.name), 0)
    total = _total_equity(model, pool.asset) if deficit else 0
    total += deficit if pool.venue == "paradex" else 0
    exact = Fraction(deficit * 10**6, total) if total else Fraction(0)
    haircut_ppm = min(max(nearest(exact), 0), 10**6)
    if haircut_ppm != pool.haircut_ppm:
        reader.take(
            m.WithdrawalHaircutSet(
                pool=pool.name, haircut_ppm=haircut_ppm, deficit_cash=deficit, total_cash=total
            )
        )


def _total_equity(model: Model, asset: str) -> int:
    """Return the equity of all accounts and pools of an asset."""
    total = sum(cash for (_, owned), cash in model.wallets.items() if owned == asset)
    for contract in model.contracts.values():
        if contract.settle == asset:
            for side in SIDES:
                held = contract.positions[side].values()
                total += sum(p.margin + contract.unrealized_pnl(side, p) for p in held)
    pools = (pool.name for pool in model.pools.values() if pool.asset == asset)
    return total + sum(map(model.pool_equity, pools))
