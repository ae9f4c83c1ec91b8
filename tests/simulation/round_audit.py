"""ADL rounds, checked event by event: skips, fills, the summary, and what is left over."""

from collections.abc import Collection

import round_oracle
import trigger_oracle
from event_reader import Reader
from model import SIDES, Contract, Position, Tranche, expect, other, same
from round_oracle import Counterparty

from delever.core import messages as m
from delever.core.messages import Reason, Side


def check_rounds(reader: Reader, forced: str) -> None:
    """Check one round for each contract in ADL and side; the first trigger with work decides.

    A paused contract has no rounds; in a forced contract all triggers count as on.
    """
    model = reader.model
    for contract in model.contracts.values():
        runs = contract.name == forced or (contract.active and not contract.paused)
        if not runs or contract.mark == 0:
            continue
        for side in SIDES:
            for trigger in trigger_oracle.TRIGGERS[model.pools[contract.pool].definition.rules]:
                if trigger not in contract.active and contract.name != forced:
                    continue
                if tranches := round_oracle.tranches_of(model, contract, side, trigger):
                    _check_round(reader, contract, side, trigger, tranches)
                    break


def _check_round(
    reader: Reader, contract: Contract, side: Side, trigger: str, tranches: dict[int, Tranche]
) -> None:
    """Check one round: the inventory of `side` against the queue of the other side."""
    model, against = reader.model, other(side)
    wanted = sum(tranche.lots for tranche in tranches.values())
    queue, out = round_oracle.sort_queue(
        model, contract, against, _event_ranks(reader, contract, against)
    )
    rule = round_oracle.price_rule_of(model.pools[contract.pool], trigger)
    prices, target = _check_prices(reader, contract, side, rule, tranches)
    ticks = list(prices.values())
    insolvent = round_oracle.bankrupted(contract, against, queue, wanted, ticks)
    uncrossed = round_oracle.zero_price_failures(model, contract, against, queue, ticks)
    liquidated = {tranche.account for tranche in tranches.values()}
    allowed = [
        c
        for c in queue
        if c.account not in liquidated and c.key not in uncrossed | insolvent.keys()
    ]
    filled = min(wanted, sum(c.held.lots for c in allowed))
    if filled == 0 and contract.exhausted_lots.get(side) == wanted:
        return
    matches = _match(allowed, tranches)
    last = matches[-1][0].rank if matches else 0
    for counterparty in (c for c in queue if c not in allowed):
        if filled < wanted or counterparty.rank < last:
            _check_skip(reader, contract, against, counterparty, liquidated, insolvent)
    cost, earned = contract.inventory(side)[1], 0
    for counterparty, takeover, lots in matches:
        fill = (counterparty, takeover, lots, prices[takeover])
        earned += _check_fill(reader, contract, against, fill, tranches[takeover])
    residual = 0
    if target is not None and filled == wanted:
        residual = earned - (target - cost)
        expect(residual >= 0, "the pool is beyond its limit", residual)
    right = (contract.name, side, trigger, rule, wanted, filled, residual, len(queue))
    _check_summary(reader, right, out)
    if filled < wanted:
        reason = Reason.QUEUE_EXHAUSTED if queue or out else Reason.NO_OPEN_POSITIONS
        left = wanted - filled
        reader.take(
            m.AdlExhausted(contract=contract.name, side=side, remaining_lots=left, reason=reason)
        )
    for counterparty, _, _ in matches:
        _expect_solvent(reader, contract, against, counterparty)


def _event_ranks(reader: Reader, contract: Contract, side: Side) -> dict[tuple[str, int], int]:
    """Return the ranks in this round's events."""
    ranks: dict[tuple[str, int], int] = {}
    for event in reader.rest:
        if not isinstance(event, m.CounterpartySkipped | m.AdlFilled):
            break
        if (event.contract, event.side) == (contract.name, side):
            ranks[event.account, event.position] = event.rank
    return ranks


def _check_prices(
    reader: Reader, contract: Contract, side: Side, rule: str, tranches: dict[int, Tranche]
) -> tuple[dict[int, int], int | None]:
    """Return the price of each tranche, and the value that a pool-level price must reach."""
    if rule not in {"drawdown_limit", "deficit_share"}:
        model = reader.model
        prices = {
            t: round_oracle.price_of(model, contract, side, rule, p) for t, p in tranches.items()
        }
        return prices, None
    target = round_oracle.target_of(reader.model, contract, side, rule)
    return dict.fromkeys(tranches, round_oracle.least_price(contract, side, target)), target


def _match(
    allowed: list[Counterparty], tranches: dict[int, Tranche]
) -> list[tuple[Counterparty, int, int]]:
    """Match counterparties with tranches, both in order."""
    matches: list[tuple[Counterparty, int, int]] = []
    left = {takeover: tranche.lots for takeover, tranche in tranches.items()}
    for counterparty in allowed:
        open_lots = counterparty.held.lots
        for takeover, unmatched in left.items():
            lots = min(open_lots, unmatched)
            if lots:
                matches.append((counterparty, takeover, lots))
                open_lots -= lots
                left[takeover] -= lots
    return matches


def _check_skip(
    reader: Reader,
    contract: Contract,
    side: Side,
    counterparty: Counterparty,
    liquidated: set[str],
    insolvent: Collection[tuple[str, int]],
) -> None:
    reason = Reason.ZERO_PRICES_NOT_CROSSED
    if counterparty.key in insolvent:
        reason = Reason.FILL_WOULD_BANKRUPT_COUNTERPARTY
    if counterparty.account in liquidated:
        reason = Reason.LIQUIDATED_ACCOUNT_ITSELF
    event = reader.expect_next(m.CounterpartySkipped, counterparty, reason)
    found = (event.contract, event.side, event.account, event.position, event.rank, event.reason)
    same("skip", found, (contract.name, side, *counterparty.key, counterparty.rank, reason))
    reader.consume()


def _check_fill(
    reader: Reader,
    contract: Contract,
    side: Side,
    match: tuple[Counterparty, int, int, int],
    tranche: Tranche,
) -> int:
    """Check one fill against what is left of a tranche; return the pool's realized PnL."""
    counterparty, takeover, lots, ticks = match
    event = reader.expect_next(m.AdlFilled, counterparty, lots)
    who = (event.contract, event.side, event.account, event.position, event.takeover)
    same("who is closed", who, (contract.name, side, *counterparty.key, takeover))
    same("lots and price", (event.lots, event.price_ticks), (lots, ticks))
    round_oracle.check_fill(reader.model, contract, event, counterparty, tranche)
    is_cut = tranche is not contract.tranches[other(side)][takeover]
    reader.consume()
    if is_cut:
        tranche.lots -= lots
        tranche.cost -= event.pool_cost_cash
    return event.pool_realized_pnl_cash


def _check_summary(reader: Reader, right: tuple[object, ...], out: dict[str, int]) -> None:
    event = reader.expect_next(m.RoundClosed, *right)
    found = (event.contract, event.side, event.trigger, event.price_rule)
    counts = (
        event.wanted_lots,
        event.filled_lots,
        event.rounding_residual_cash,
        event.counterparties,
    )
    same("round", found + counts, right)
    same("ineligible", event.ineligible, out)
    reader.consume()


def _expect_solvent(
    reader: Reader, contract: Contract, side: Side, counterparty: Counterparty
) -> None:
    """Check that no counterparty's equity is negative, but for a unit of rounding a fill."""
    held = contract.positions[side].get(counterparty.key)
    if held is None and counterparty.held.isolated:
        return
    backed = held or Position()
    balance, profit, _ = reader.model.bucket(counterparty.account, contract, side, backed)
    expect(balance + profit >= -10, "a fill has bankrupted its counterparty", counterparty)
