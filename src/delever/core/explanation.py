"""Why me, why not me, and what if: the queue's own numbers for one position.

Nothing is computed twice: an explanation reads the same view, score and queue that a round would
use, and a what-if ranks the same lane with one position's numbers changed.
"""

from typing import Literal

import msgspec

from delever.core.book import Book
from delever.core.engine import rules_of
from delever.core.holdings import ContractState
from delever.core.messages import Reason, Side
from delever.core.ranking import Queue, rank_lane
from delever.core.rules import RuleSet
from delever.core.units import PPM, ratio_ppm, share_floor
from delever.core.valuation import LaneView, initial_margin, view_lane


class TriggerState(msgspec.Struct, frozen=True, kw_only=True):
    """How far one trigger of the contract is, with every number it compares."""

    trigger: str
    on: bool
    since_ms: int | None
    progress_ppm: int
    price_rule: str
    numbers: dict[str, int]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a position stands; rank, light and quantity are 0 where `reason` keeps it out."""

    lots: int
    rank: int
    of: int
    light: int
    ahead_lots: int
    score: float
    parts: dict[str, float]
    reason: Reason | None


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One position, taken apart. Cash, lots and ticks as in the book; `as_of` is its sequence.

    `ahead_lots` of `standing` is the inventory that would have to arrive before this position's
    turn. `queue_lots` is what the whole line could absorb.
    """

    as_of: int
    time_ms: int
    rules: str
    formula: str
    contract: str
    side: Side
    account: str
    position: int
    mark_ticks: int
    isolated: bool
    profit_cash: int
    notional_cash: int
    entry_notional_cash: int
    equity_cash: int
    maintenance_cash: int
    margin_rate_ppm: int
    standing: Standing
    queue_lots: int
    opposite_inventory_lots: int
    triggers: tuple[TriggerState, ...]


class Lights(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is shown for one contract: 0 where no position of that side is in line.

    `joint` marks one value for both sides, the higher of the two.
    """

    as_of: int
    long: int
    short: int
    joint: bool


class Change(msgspec.Struct, frozen=True, kw_only=True, tag_field="change"):
    """What a holder could do. Exactly one of the subclasses."""


class AddMargin(Change, tag="add_margin", frozen=True, kw_only=True):
    """Put cash into the position's margin bucket (or, negative, take it out)."""

    amount_cash: int


class PartialClose(Change, tag="partial_close", frozen=True, kw_only=True):
    """Close lots at the mark; the profit goes to the wallet and the isolated margin follows."""

    lots: int


class SetLeverage(Change, tag="set_leverage", frozen=True, kw_only=True):
    """Choose another leverage; an isolated margin is reset to entry value / leverage."""

    leverage_hundredths: int


AnyChange = AddMargin | PartialClose | SetLeverage


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """The same position before and after one change, everybody else as they are."""

    change: AnyChange
    before: Standing
    after: Standing


Missing = Literal["contract_is_unknown", "account_is_unknown", "position_is_unknown"]


def explain(
    book: Book,
    contract: str,
    side: Side,
    account: str,
    *,
    position: int = 0,
    rules: RuleSet | None = None,
) -> Explanation | Missing:
    """Return why a position stands where it stands, under its pool's rules or the given ones."""
    found = _find(book, contract, side, account, position)
    if isinstance(found, str):
        return found
    state, row = found
    rules = rules or rules_of(book, state)
    view = view_lane(book, state, side)
    queue = rank_lane(view, rules.ranking)
    return Explanation(
        as_of=book.sequence,
        time_ms=book.time_ms,
        rules=rules.name,
        formula=rules.ranking.formula,
        contract=contract,
        side=side,
        account=account,
        position=position,
        mark_ticks=state.mark,
        isolated=bool(view.isolated[row]),
        profit_cash=int(view.profit[row]),
        notional_cash=int(view.notional[row]),
        entry_notional_cash=int(view.entry_notional[row]),
        equity_cash=int(view.equity[row]),
        maintenance_cash=int(view.bucket_maintenance[row]),
        margin_rate_ppm=ratio_ppm(int(view.bucket_maintenance[row]), int(view.equity[row])),
        standing=_standing(queue, row),
        queue_lots=int(view.lots[queue.order].sum()),
        opposite_inventory_lots=state.inventory[side.opposite].total_lots,
        triggers=trigger_states(book, state, rules),
    )


def lights_of(
    book: Book, contract: str, account: str, *, rules: RuleSet | None = None
) -> Lights | Missing:
    """Return the lights of an account's positions in a contract, on the internal scale 1-5."""
    state, index = book.contracts.get(contract), book.accounts.index.get(account)
    if state is None:
        return "contract_is_unknown"
    if index is None:
        return "account_is_unknown"
    ranking = (rules or rules_of(book, state)).ranking
    shown: dict[Side, int] = {}
    cross = bool(book.accounts.hedge_mode[index])
    for side, lane in state.lanes.items():
        light = rank_lane(view_lane(book, state, side), ranking).light
        rows = [lane.rows[index, number] for number in lane.positions_of(index)]
        shown[side] = max((int(light[row]) for row in rows), default=0)
        cross = cross and bool(rows) and not lane.isolated[rows].any()
    if joint := ranking.joint and cross:
        shown = dict.fromkeys(Side, max(shown.values()))
    return Lights(as_of=book.sequence, long=shown[Side.LONG], short=shown[Side.SHORT], joint=joint)


def trigger_states(book: Book, state: ContractState, rules: RuleSet) -> tuple[TriggerState, ...]:
    """Return how far each trigger of a contract is under a rule set."""
    states = []
    for case in rules.cases:
        reading = case.trigger.read(book, state)
        states.append(
            TriggerState(
                trigger=case.trigger.name,
                on=case.trigger.name in state.active,
                since_ms=state.active.get(case.trigger.name),
                progress_ppm=min(max(reading.progress_ppm, 0), PPM),
                price_rule=case.price.name,
                numbers=reading.numbers,
            )
        )
    return tuple(states)


def what_if(
    book: Book,
    contract: str,
    side: Side,
    account: str,
    change: AnyChange,
    *,
    position: int = 0,
    rules: RuleSet | None = None,
) -> WhatIf | Missing:
    """Return what one change would make of a position's place, everybody else unchanged."""
    found = _find(book, contract, side, account, position)
    if isinstance(found, str):
        return found
    state, row = found
    rules = rules or rules_of(book, state)
    view = view_lane(book, state, side)
    before = _standing(rank_lane(view, rules.ranking), row)
    changed = view.with_row(row, **_changed(view, row, change))
    after = _standing(rank_lane(changed, rules.ranking), row)
    return WhatIf(change=change, before=before, after=after)


def _find(
    book: Book, contract: str, side: Side, account: str, position: int
) -> tuple[ContractState, int] | Missing:
    state = book.contracts.get(contract)
    if state is None:
        return "contract_is_unknown"
    index = book.accounts.index.get(account)
    if index is None:
        return "account_is_unknown"
    row = state.lanes[side].find(index, position)
    return "position_is_unknown" if row is None else (state, row)


def _standing(queue: Queue, row: int) -> Standing:
    return Standing(
        lots=int(queue.view.lots[row]),
        rank=int(queue.rank[row]),
        of=len(queue.order),
        light=int(queue.light[row]),
        ahead_lots=int(queue.ahead_lots[row]),
        score=float(queue.score.value[row]),
        parts={name: float(part[row]) for name, part in queue.score.parts.items()},
        reason=queue.reason(row),
    )


def _changed(view: LaneView, row: int, change: AnyChange) -> dict[str, int]:
    """Return the columns of one row after a change; equity moves only where money is added."""
    match change:
        case AddMargin():
            return _with_margin(view, row, change.amount_cash)
        case PartialClose():
            return _with_lots(view, row, int(view.lots[row]) - change.lots)
        case SetLeverage():
            leverage = view.lots[row : row + 1] * 0 + change.leverage_hundredths
            wanted = int(initial_margin(view.entry_notional[row : row + 1], leverage)[0])
            added = wanted - int(view.margin[row]) if view.isolated[row] else 0
            return {**_with_margin(view, row, added), "initial_margin": wanted}


def _with_margin(view: LaneView, row: int, amount_cash: int) -> dict[str, int]:
    changes = {
        "balance": int(view.balance[row]) + amount_cash,
        "equity": int(view.equity[row]) + amount_cash,
    }
    if view.isolated[row]:
        changes["margin"] = int(view.margin[row]) + amount_cash
    return changes


def _with_lots(view: LaneView, row: int, left: int) -> dict[str, int]:
    """Return a position cut to `left` lots, its amounts cut in proportion."""
    held = int(view.lots[row])
    left = min(max(left, 0), held)
    cut = {
        name: share_floor(int(getattr(view, name)[row]), left, held)
        for name in ("cost", "notional", "entry_notional", "profit", "maintenance", "margin")
    }
    cut["initial_margin"] = share_floor(int(view.initial_margin[row]), left, held)
    gone = {name: int(getattr(view, name)[row]) - cut[name] for name in cut}
    cut["lots"] = left
    for joint, own in (("joint_profit", "profit"), ("joint_notional", "notional")):
        cut[joint] = int(getattr(view, joint)[row]) - gone[own]
    cut["bucket_profit"] = int(view.bucket_profit[row]) - gone["profit"]
    cut["bucket_maintenance"] = int(view.bucket_maintenance[row]) - gone["maintenance"]
    if view.isolated[row]:
        cut["balance"] = cut["margin"]
        cut["equity"] = cut["margin"] + cut["profit"]
    else:
        cut["balance"] = int(view.balance[row]) + gone["profit"]
    return cut
