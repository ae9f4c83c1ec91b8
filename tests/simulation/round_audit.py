"""ADL rounds, checked event by event: skips, fills, the summary, and what is left over."""

from collections.abc import Collection
from fractions import Fraction

import round_oracle
import trigger_oracle
from event_reader import Reader
from model import SIDES, Contract, Model, Position, Tranche, expect, other, same
from pool_audit import check_pools, check_triggers
from round_oracle import Counterparty
from takeover_audit import net

from delever.core import messages as m
from delever.core.messages import Reason, Side


def check_rounds(reader: Reader, forced: str) -> None:
    """Check one round for each contract in ADL and side; the first trigger with work decides.

    Contracts take turns by the loss of their inventory, the largest first, and triggers are read
    again before each turn. A paused contract has no rounds; a forced one closes all inventory.
    """
    for contract in sorted(reader.model.contracts.values(), key=_losses):
        for side in SIDES:
            start = reader.at
            if contract.mark == 0 or contract.unconfirmed:
                continue
            if contract.name == forced or _closes_at_once(reader.model, contract):
                _check_side(reader, contract, side, forced=True)
            elif contract.active and not contract.paused:
                check_triggers(reader, contract)
                _check_side(reader, contract, side, active=tuple(contract.active))
            if any(isinstance(event, m.AdlFilled) for event in reader.events[start : reader.at]):
                check_pools(reader, [contract.pool])


def _closes_at_once(model: Model, contract: Contract) -> bool:
    """Return whether the fund takes no part in a contract whose rules have a queue."""
    rules = model.pools[contract.pool].definition.rules
    return not (contract.fund_pays or contract.paused) and bool(trigger_oracle.TRIGGERS[rules])


def _losses(contract: Contract) -> int:
    return sum(min(contract.inventory_pnl(side), 0) for side in SIDES)


def _check_side(
    reader: Reader,
    contract: Contract,
    side: Side,
    active: Collection[str] = (),
    *,
    forced: bool = False,
) -> None:
    model = reader.model
    if (contract.name, side) in reader.capped:
        return
    planned = None if forced else reader.plan.pop((contract.name, side), None)
    if not forced and planned is None and contract.plan_wait_ms:
        if side not in contract.plan_requests:
            _check_request(reader, contract, side, active)
        if side in contract.plan_requests and model.time_ms < contract.plan_requests[side][1]:
            return
    if model.pools[contract.pool].venue in OWN_ACCOUNTS_FIRST:
        _check_own_accounts(reader, contract, side, active, forced=forced)
    closed = _inventory_closed(reader, contract, side, active, forced=forced)
    if closed is None:
        return
    rules, tranches, prices, target = closed
    start = reader.at
    while planned is None and _check_netting(reader, contract, side, tranches, prices):
        pass
    _check_round(reader, contract, side, rules, tranches, prices, target, planned)
    if reader.at > start and "cap_per_account" in model.pools[contract.pool].options:
        reader.capped.add((contract.name, side))


Closed = tuple[tuple[str, str], dict[int, Tranche], dict[int, int], int | None]
"""Trigger and price rule, the tranches closed, the price of each, a pool-level value to reach."""


def _inventory_closed(
    reader: Reader, contract: Contract, side: Side, active: Collection[str], *, forced: bool
) -> Closed | None:
    """Return what a round closes of a side, or None where that is nothing."""
    model = reader.model
    rules = model.pools[contract.pool].venue
    triggers = [t for t in trigger_oracle.TRIGGERS[rules] if forced or t in active]
    found = {t: round_oracle.tranches_of(model, contract, side, t) for t in triggers}
    trigger = next((t for t in triggers if found[t]), triggers[0] if forced else None)
    if trigger is None:
        return None
    tranches = round_oracle.in_turn(contract, side) if forced else found[trigger]
    if not tranches:
        return None
    rule = round_oracle.price_rule_of(model.pools[contract.pool], trigger)
    prices, target = _prices_of(reader, contract, side, rule, tranches)
    deficit = trigger_oracle.deficit(model, contract, trigger)
    if not forced and deficit is not None and rules in round_oracle.RESIDUAL:
        tranches = round_oracle.sized(contract, side, tranches, prices, deficit)
        _expect_no_more_than_the_deficit(contract, side, tranches, prices, deficit)
    prices = {takeover: prices[takeover] for takeover in tranches}
    return ((trigger, rule), tranches, prices, target) if tranches else None


def _check_request(reader: Reader, contract: Contract, side: Side, active: Collection[str]) -> None:
    """Expect the request for a plan, where a round has something to close."""
    closed = _inventory_closed(reader, contract, side, active, forced=False)
    wanted = sum(tranche.lots for tranche in closed[1].values()) if closed else 0
    if closed and wanted != contract.exhausted_lots.get(side):
        until_ms = reader.model.time_ms + contract.plan_wait_ms
        requested = m.PlanRequested(
            contract=contract.name,
            side=side,
            trigger=closed[0][0],
            wanted_lots=wanted,
            until_ms=until_ms,
        )
        reader.take(requested)


def lots_of_plan(
    model: Model, command: m.AllocateAdl
) -> dict[tuple[str, str], dict[tuple[str, int], int]]:
    """Return the lots of each position in a plan, by contract and side of the inventory."""
    plan: dict[tuple[str, str], dict[tuple[str, int], int]] = {}
    for planned in command.rounds:
        contract = model.contracts[planned.contract]
        plan[contract.name, planned.side] = {
            (fill.account, fill.position): int(Fraction(fill.quantity) / contract.lot)
            for fill in planned.fills
        }
    return plan


def _cut_to_plan(queue: list[Counterparty], planned: dict[tuple[str, int], int]) -> None:
    """Leave each counterparty what the plan closes, which is no more than a round may close."""
    ranked = {counterparty.key: counterparty.lots for counterparty in queue}
    expect(all(lots <= ranked.get(key, 0) for key, lots in planned.items()), "not closable")
    for counterparty in queue:
        counterparty.lots = planned.get(counterparty.key, 0)


OWN_ACCOUNTS_FIRST = {"deribit"}
"""Rule sets that close inventory against other accounts of the same owner first."""


def _check_own_accounts(
    reader: Reader, contract: Contract, side: Side, active: Collection[str], *, forced: bool
) -> None:
    """Expect a round of each owner's inventory against the owner's other accounts."""
    model, trigger = reader.model, trigger_oracle.TRIGGERS["deribit"][0]
    if not forced and trigger not in active:
        return
    by_owner: dict[str, dict[int, Tranche]] = {}
    for takeover, tranche in round_oracle.in_turn(contract, side).items():
        owner = model.accounts[tranche.account].owner
        by_owner.setdefault(owner, {})[takeover] = tranche
    for owner, tranches in by_owner.items():
        prices = {takeover: tranche.ticks for takeover, tranche in tranches.items()}
        ranks = _event_ranks(reader, contract, other(side))
        queue, out = round_oracle.sort_queue(model, contract, other(side), ranks)
        allowed = _allowed(model, contract, side, tranches, prices)
        own = {c.key for c in allowed if model.accounts[c.account].owner == owner}
        matches = _match([c for c in queue if c.key in own], tranches)
        for counterparty, takeover, lots in matches:
            fill = (counterparty, takeover, lots, prices[takeover])
            _check_fill(reader, contract, other(side), fill, tranches[takeover])
        if matches:
            filled = sum(lots for _, _, lots in matches)
            rule = (trigger, "bankruptcy_price")
            right = (contract.name, side, *rule, filled, filled, 0, len(queue))
            _check_summary(reader, right, out)


def _check_netting(
    reader: Reader,
    contract: Contract,
    side: Side,
    tranches: dict[int, Tranche],
    prices: dict[int, int],
) -> bool:
    """Under `both_legs`, expect the netting of the hedges that a round reaches."""
    model = reader.model
    if "both_legs" not in model.pools[contract.pool].options:
        return False
    wanted = sum(tranche.lots for tranche in tranches.values())
    allowed = _allowed(model, contract, side, tranches, prices)
    if not sum(c.lots for c in allowed) and contract.exhausted_lots.get(side) == wanted:
        return False
    reached, left = [], wanted
    for counterparty in allowed:
        if left > 0:
            reached.append(counterparty)
            left -= counterparty.lots
    accounts = list(dict.fromkeys(c.account for c in reached if c.hedged))
    for account in accounts:
        net(reader, account, [row for row in model.held(account) if row[0] is contract])
    return bool(accounts)


def _allowed(
    model: Model,
    contract: Contract,
    side: Side,
    tranches: dict[int, Tranche],
    prices: dict[int, int],
) -> list[Counterparty]:
    """Return the counterparties of a round that are ranked and not skipped."""
    queue, _ = round_oracle.sort_queue(model, contract, other(side), {})
    wanted, ticks = sum(t.lots for t in tranches.values()), list(prices.values())
    liquidated = {tranche.account for tranche in tranches.values()}
    skipped = _skipped(model, contract, other(side), (queue, wanted, ticks), liquidated)
    return [c for c in queue if c.account not in liquidated and c.key not in set().union(*skipped)]


def _skipped(
    model: Model,
    contract: Contract,
    side: Side,
    taken: tuple[list[Counterparty], int, list[int]],
    liquidated: set[str],
) -> tuple[dict[tuple[str, int], int], set[tuple[str, int]]]:
    """Return the insolvent with their equity, and those with uncrossed zero prices."""
    queue, wanted, ticks = taken
    others = [c for c in queue if c.account not in liquidated]
    uncrossed = round_oracle.zero_price_failures(model, contract, side, others, ticks)
    apart = round_oracle.bankrupted(contract, side, others, wanted, ticks, uncrossed)
    return apart, uncrossed


def _expect_no_more_than_the_deficit(
    contract: Contract,
    side: Side,
    tranches: dict[int, Tranche],
    prices: dict[int, int],
    deficit: int,
) -> None:
    """Check that haircuts are at most the deficit and one lot's relief."""
    whole = one = 0
    for takeover, tranche in tranches.items():
        whole += round_oracle.relief(contract, side, tranche.lots, prices[takeover])
        one = max(one, round_oracle.relief(contract, side, 1, prices[takeover]))
    expect(whole <= max(deficit, 0) + one + 2, "more is closed than the fund needs", whole, deficit)


def _check_round(
    reader: Reader,
    contract: Contract,
    side: Side,
    rules: tuple[str, str],
    tranches: dict[int, Tranche],
    prices: dict[int, int],
    target: int | None,
    planned: dict[tuple[str, int], int] | None,
) -> None:
    """Check one round: the inventory of `side` against the queue of the other side, or a plan."""
    model, against = reader.model, other(side)
    wanted = sum(tranche.lots for tranche in tranches.values())
    queue, out = round_oracle.sort_queue(
        model, contract, against, _event_ranks(reader, contract, against)
    )
    if planned is not None:
        _cut_to_plan(queue, planned)
        expect(sum(planned.values()) <= wanted, "a plan closes more than the round wants")
    ticks = list(prices.values())
    liquidated = {tranche.account for tranche in tranches.values()}
    taken = queue, wanted, ticks
    insolvent, uncrossed = _skipped(model, contract, against, taken, liquidated)
    allowed = [
        c
        for c in queue
        if c.account not in liquidated and c.key not in uncrossed | insolvent.keys()
    ]
    filled = min(wanted, sum(c.lots for c in allowed))
    if filled == 0 and contract.exhausted_lots.get(side) == wanted:
        return
    if planned is not None:
        same("quantity of the plan", filled, sum(planned.values()))
    is_exhausted = filled < wanted and planned is None
    matches = _match(allowed, tranches)
    last = matches[-1][0].rank if matches else 0
    for counterparty in (c for c in queue if c not in allowed):
        if is_exhausted or counterparty.rank < last:
            _check_skip(reader, contract, against, counterparty, liquidated, insolvent)
    cost, earned = sum(tranche.cost for tranche in tranches.values()), 0
    for counterparty, takeover, lots in matches:
        fill = (counterparty, takeover, lots, prices[takeover])
        earned += _check_fill(reader, contract, against, fill, tranches[takeover])
    residual, balance = 0, model.pools[contract.pool].balance
    unfunded = max(max(-balance, 0) - max(earned - balance, 0), 0)  # the balance is now after it
    if target is not None and filled == wanted:
        residual = earned - (target - cost)
        expect(residual >= 0, "the pool is beyond its limit", residual)
    right = (contract.name, side, *rules, wanted, filled, residual, unfunded, len(queue))
    _check_summary(reader, right, out)
    if is_exhausted:
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


def _prices_of(
    reader: Reader, contract: Contract, side: Side, rule: str, tranches: dict[int, Tranche]
) -> tuple[dict[int, int], int | None]:
    """Return the price of each tranche, and the value that a pool-level price must reach."""
    if rule not in {"drawdown_limit", "deficit_share"}:
        model = reader.model
        prices = {
            t: round_oracle.price_of(model, contract, side, rule, p) for t, p in tranches.items()
        }
        return prices, None
    target = round_oracle.target_of(reader.model, contract, side, rule, tranches)
    lots = sum(tranche.lots for tranche in tranches.values())
    return dict.fromkeys(tranches, round_oracle.least_price(contract, side, lots, target)), target


def _match(
    allowed: list[Counterparty], tranches: dict[int, Tranche]
) -> list[tuple[Counterparty, int, int]]:
    """Match counterparties with tranches, both in order."""
    matches: list[tuple[Counterparty, int, int]] = []
    left = {takeover: tranche.lots for takeover, tranche in tranches.items()}
    for counterparty in allowed:
        open_lots = counterparty.lots
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
        event.unfunded_cash,
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
