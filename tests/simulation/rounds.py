"""ADL rounds, judged event by event: skips, fills, the round's account, and what is left over."""

from collections.abc import Collection

import judge
import observing
from judge import Counterparty
from model import SIDES, Contract, Position, Tranche, expect, other, same
from reader import Reader

from delever.core import messages as m
from delever.core.messages import Reason, Side


def play_rounds(reader: Reader, forced: str) -> None:
    """Judge one round for each contract in ADL and side; the first trigger with work decides.

    A contract that is paused has none, and one that is forced has all its triggers on.
    """
    model = reader.model
    for contract in model.contracts.values():
        runs = contract.name == forced or (contract.active and not contract.paused)
        if not runs or contract.mark == 0:
            continue
        for side in SIDES:
            for trigger in observing.TRIGGERS[model.pools[contract.pool].told.rules]:
                if trigger not in contract.active and contract.name != forced:
                    continue
                if tranches := judge.parcels_of(contract, side, trigger):
                    _play(reader, contract, side, trigger, tranches)
                    break


def _play(
    reader: Reader, contract: Contract, side: Side, trigger: str, tranches: dict[int, Tranche]
) -> None:
    """Judge one round: the inventory of `side` against the queue on the other side."""
    model, against = reader.model, other(side)
    wanted = sum(tranche.lots for tranche in tranches.values())
    queue, out = judge.line_up(model, contract, against, _told_ranks(reader, contract, against))
    rule = judge.price_rule_of(model.pools[contract.pool], trigger)
    prices, target = _prices(reader, contract, side, rule, tranches)
    ticks = list(prices.values())
    beyond = judge.bankrupted(contract, against, queue, wanted, ticks)
    apart = judge.zero_prices_apart(model, contract, against, queue, ticks)
    liquidated = {tranche.account for tranche in tranches.values()}
    allowed = [
        c for c in queue if c.account not in liquidated and c.key not in apart | beyond.keys()
    ]
    filled = min(wanted, sum(c.held.lots for c in allowed))
    if filled == 0 and contract.told_left.get(side) == wanted:
        return
    meetings = _meet(allowed, tranches)
    last = meetings[-1][0].rank if meetings else 0
    for counterparty in (c for c in queue if c not in allowed):
        if filled < wanted or counterparty.rank < last:
            _skip(reader, contract, against, counterparty, liquidated, beyond)
    cost, earned = contract.inventory(side)[1], 0
    for counterparty, takeover, lots in meetings:
        price = prices[takeover]
        earned += _fill(reader, contract, against, (counterparty, takeover, lots, price))
    kept = 0
    if target is not None and filled == wanted:
        kept = earned - (target - cost)
        expect(kept >= 0, "the pool is beyond its limit", kept)
    right = (contract.name, side, trigger, rule, wanted, filled, kept, len(queue))
    _close(reader, right, out)
    if filled < wanted:
        reason = Reason.QUEUE_EXHAUSTED if queue or out else Reason.NO_OPEN_POSITIONS
        left = wanted - filled
        reader.take(
            m.AdlExhausted(contract=contract.name, side=side, left_lots=left, reason=reason)
        )
    for counterparty, _, _ in meetings:
        _expect_solvent(reader, contract, against, counterparty)


def _told_ranks(reader: Reader, contract: Contract, side: Side) -> dict[tuple[str, int], int]:
    """The ranks that this round's events name."""
    ranks: dict[tuple[str, int], int] = {}
    for event in reader.rest:
        if not isinstance(event, m.CounterpartySkipped | m.AdlFilled):
            break
        if (event.contract, event.side) == (contract.name, side):
            ranks[event.account, event.position] = event.rank
    return ranks


def _prices(
    reader: Reader, contract: Contract, side: Side, rule: str, tranches: dict[int, Tranche]
) -> tuple[dict[int, int], int | None]:
    """The price for each tranche, and the worth that a pool-level price must reach."""
    if rule not in {"drawdown_limit", "shared_deficit"}:
        model = reader.model
        prices = {t: judge.price_of(model, contract, side, rule, p) for t, p in tranches.items()}
        return prices, None
    target = judge.target_of(reader.model, contract, side, rule)
    return dict.fromkeys(tranches, judge.least_price(contract, side, target)), target


def _meet(
    allowed: list[Counterparty], tranches: dict[int, Tranche]
) -> list[tuple[Counterparty, int, int]]:
    """Counterparties in line meet tranches, both first come first."""
    meetings: list[tuple[Counterparty, int, int]] = []
    left = {takeover: tranche.lots for takeover, tranche in tranches.items()}
    for counterparty in allowed:
        open_lots = counterparty.held.lots
        for takeover, unmet in left.items():
            lots = min(open_lots, unmet)
            if lots:
                meetings.append((counterparty, takeover, lots))
                open_lots -= lots
                left[takeover] -= lots
    return meetings


def _skip(
    reader: Reader,
    contract: Contract,
    side: Side,
    counterparty: Counterparty,
    liquidated: set[str],
    beyond: Collection[tuple[str, int]],
) -> None:
    reason = Reason.ZERO_PRICES_NOT_CROSSED
    if counterparty.key in beyond:
        reason = Reason.FILL_WOULD_BANKRUPT_COUNTERPARTY
    if counterparty.account in liquidated:
        reason = Reason.LIQUIDATED_ACCOUNT_ITSELF
    event = reader.see(m.CounterpartySkipped, counterparty, reason)
    told = (event.contract, event.side, event.account, event.position, event.rank, event.reason)
    same("skip", told, (contract.name, side, *counterparty.key, counterparty.rank, reason))
    reader.do()


def _fill(
    reader: Reader, contract: Contract, side: Side, meeting: tuple[Counterparty, int, int, int]
) -> int:
    """Judge one fill; return what the pool has earned."""
    counterparty, takeover, lots, ticks = meeting
    event = reader.see(m.AdlFilled, counterparty, lots)
    who = (event.contract, event.side, event.account, event.position, event.takeover)
    same("who is closed", who, (contract.name, side, *counterparty.key, takeover))
    same("lots and price", (event.lots, event.price_ticks), (lots, ticks))
    tranche = contract.tranches[other(side)][takeover]
    judge.check_fill(reader.model, contract, event, counterparty, tranche)
    reader.do()
    return event.pool_realized_pnl_cash


def _close(reader: Reader, right: tuple[object, ...], out: dict[str, int]) -> None:
    event = reader.see(m.RoundClosed, *right)
    told = (event.contract, event.side, event.trigger, event.price_rule)
    counts = (
        event.wanted_lots,
        event.filled_lots,
        event.rounding_residual_cash,
        event.counterparties,
    )
    same("round", told + counts, right)
    same("ineligible", event.ineligible, out)
    reader.do()


def _expect_solvent(
    reader: Reader, contract: Contract, side: Side, counterparty: Counterparty
) -> None:
    """Nobody who had equity before has less than none after, but for a unit of rounding a fill."""
    held = contract.positions[side].get(counterparty.key)
    if held is None and counterparty.held.isolated:
        return
    backed = held or Position()
    balance, profit, _ = reader.model.bucket(counterparty.account, contract, side, backed)
    expect(balance + profit >= -10, "a fill has bankrupted its counterparty", counterparty)
