"""ADL rounds, judged event by event: skips, fills, the round's account, and what is left over."""

from collections.abc import Collection

import judge
import observing
from judge import Candidate
from model import SIDES, Contract, Parcel, Position, expect, other, same
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
                if parcels := judge.parcels_of(contract, side, trigger):
                    _play(reader, contract, side, trigger, parcels)
                    break


def _play(
    reader: Reader, contract: Contract, side: Side, trigger: str, parcels: dict[int, Parcel]
) -> None:
    """Judge one round: the inventory of `side` against the queue on the other side."""
    model, against = reader.model, other(side)
    wanted = sum(parcel.lots for parcel in parcels.values())
    queue, out = judge.line_up(model, contract, against, _told_ranks(reader, contract, against))
    rule = judge.price_rule_of(model.pools[contract.pool], trigger)
    prices, target = _prices(reader, contract, side, rule, parcels)
    ticks = list(prices.values())
    beyond = judge.bankrupted(contract, against, queue, wanted, ticks)
    apart = judge.zero_prices_apart(model, contract, against, queue, ticks)
    liquidated = {parcel.account for parcel in parcels.values()}
    allowed = [
        c for c in queue if c.account not in liquidated and c.key not in apart | beyond.keys()
    ]
    filled = min(wanted, sum(c.held.lots for c in allowed))
    if filled == 0 and contract.told_left.get(side) == wanted:
        return
    meetings = _meet(allowed, parcels)
    last = meetings[-1][0].rank if meetings else 0
    for candidate in (c for c in queue if c not in allowed):
        if filled < wanted or candidate.rank < last:
            _skip(reader, contract, against, candidate, liquidated, beyond)
    cost, earned = contract.inventory(side)[1], 0
    for candidate, takeover, lots in meetings:
        price = prices[takeover]
        earned += _fill(reader, contract, against, (candidate, takeover, lots, price))
    kept = 0
    if target is not None and filled == wanted:
        kept = earned - (target - cost)
        expect(kept >= 0, "the pool is beyond its limit", kept)
    right = (contract.name, side, trigger, rule, wanted, filled, kept, len(queue))
    _close(reader, right, out)
    if filled < wanted:
        reason = Reason.QUEUE_IS_EXHAUSTED if queue or out else Reason.LANE_IS_EMPTY
        left = wanted - filled
        reader.take(
            m.AdlExhausted(contract=contract.name, side=side, left_lots=left, reason=reason)
        )
    for candidate, _, _ in meetings:
        _expect_solvent(reader, contract, against, candidate)


def _told_ranks(reader: Reader, contract: Contract, side: Side) -> dict[tuple[str, int], int]:
    """The ranks that this round's events name."""
    ranks: dict[tuple[str, int], int] = {}
    for event in reader.rest:
        if not isinstance(event, m.CandidateSkipped | m.AdlFilled):
            break
        if (event.contract, event.side) == (contract.name, side):
            ranks[event.account, event.position] = event.rank
    return ranks


def _prices(
    reader: Reader, contract: Contract, side: Side, rule: str, parcels: dict[int, Parcel]
) -> tuple[dict[int, int], int | None]:
    """The price for each parcel, and the worth that a pool-level price must reach."""
    if rule not in {"drawdown_limit", "shared_shortfall"}:
        model = reader.model
        prices = {t: judge.price_of(model, contract, side, rule, p) for t, p in parcels.items()}
        return prices, None
    target = judge.target_of(reader.model, contract, side, rule)
    return dict.fromkeys(parcels, judge.least_price(contract, side, target)), target


def _meet(allowed: list[Candidate], parcels: dict[int, Parcel]) -> list[tuple[Candidate, int, int]]:
    """Candidates in line meet parcels, both first come first."""
    meetings: list[tuple[Candidate, int, int]] = []
    left = {takeover: parcel.lots for takeover, parcel in parcels.items()}
    for candidate in allowed:
        open_lots = candidate.held.lots
        for takeover, unmet in left.items():
            lots = min(open_lots, unmet)
            if lots:
                meetings.append((candidate, takeover, lots))
                open_lots -= lots
                left[takeover] -= lots
    return meetings


def _skip(
    reader: Reader,
    contract: Contract,
    side: Side,
    candidate: Candidate,
    liquidated: set[str],
    beyond: Collection[tuple[str, int]],
) -> None:
    reason = Reason.ZERO_PRICES_DO_NOT_CROSS
    if candidate.key in beyond:
        reason = Reason.FILL_WOULD_BANKRUPT_CANDIDATE
    if candidate.account in liquidated:
        reason = Reason.CANDIDATE_IS_THE_LIQUIDATED_ACCOUNT
    event = reader.see(m.CandidateSkipped, candidate, reason)
    told = (event.contract, event.side, event.account, event.position, event.rank, event.reason)
    same("skip", told, (contract.name, side, *candidate.key, candidate.rank, reason))
    reader.do()


def _fill(
    reader: Reader, contract: Contract, side: Side, meeting: tuple[Candidate, int, int, int]
) -> int:
    """Judge one fill; return what the pool has earned."""
    candidate, takeover, lots, ticks = meeting
    event = reader.see(m.AdlFilled, candidate, lots)
    who = (event.contract, event.side, event.account, event.position, event.takeover)
    same("who is closed", who, (contract.name, side, *candidate.key, takeover))
    same("lots and price", (event.lots, event.price_ticks), (lots, ticks))
    parcel = contract.parcels[other(side)][takeover]
    judge.check_fill(reader.model, contract, event, candidate, parcel)
    reader.do()
    return event.pool_realised_cash


def _close(reader: Reader, right: tuple[object, ...], out: dict[str, int]) -> None:
    event = reader.see(m.RoundClosed, *right)
    told = (event.contract, event.side, event.trigger, event.price_rule)
    counts = (event.wanted_lots, event.filled_lots, event.kept_by_pool_cash, event.candidates)
    same("round", told + counts, right)
    same("ineligible", event.ineligible, out)
    reader.do()


def _expect_solvent(reader: Reader, contract: Contract, side: Side, candidate: Candidate) -> None:
    """Nobody who had equity before has less than none after, but for a unit of rounding a fill."""
    held = contract.positions[side].get(candidate.key)
    if held is None and candidate.held.isolated:
        return
    backed = held or Position()
    balance, profit, _ = reader.model.bucket(candidate.account, contract, side, backed)
    expect(balance + profit >= -10, "a fill has bankrupted its candidate", candidate)
