"""Why me, and why not me: the queue's own numbers for one position.

Nothing is computed twice: an explanation reads the same view, score and queue that a round would
use.
"""

from typing import Literal

import msgspec

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.engine import rules_of
from delever.core.messages import Reason, Side
from delever.core.rules import RuleSet
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import PPM, ratio_ppm
from delever.core.valuation.side_valuation import value_side


class TriggerState(msgspec.Struct, frozen=True, kw_only=True):
    """How far one trigger of the contract is, with every number it compares."""

    trigger: str
    on: bool
    since_ms: int | None
    trigger_used_ppm: int
    price_rule: str
    numbers: dict[str, int]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a position stands; rank, indicator and quantity are 0 where `reason` keeps it out."""

    lots: int
    rank: int
    of: int
    indicator: int
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


class Indicators(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is shown for one contract: 0 where no position of that side is in line.

    `joint` marks one value for both sides, the higher of the two.
    """

    as_of: int
    long: int
    short: int
    joint: bool


Missing = Literal["unknown_contract", "unknown_account", "position_is_unknown"]


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
    found = find_position(book, contract, side, account, position)
    if isinstance(found, str):
        return found
    state, row = found
    rules = rules or rules_of(book, state)
    view = value_side(book, state, side)
    queue = rank_side(view, rules.ranking)
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
        standing=queue_position_of(queue, row),
        queue_lots=int(view.lots[queue.order].sum()),
        opposite_inventory_lots=state.inventory[side.opposite].total_lots,
        triggers=trigger_states(book, state, rules),
    )


def indicators_of(
    book: Book, contract: str, account: str, *, rules: RuleSet | None = None
) -> Indicators | Missing:
    """Return the indicators of an account's positions in a contract, on the internal scale 1-5."""
    state, index = book.contracts.get(contract), book.accounts.index.get(account)
    if state is None:
        return "unknown_contract"
    if index is None:
        return "unknown_account"
    ranking = (rules or rules_of(book, state)).ranking
    shown: dict[Side, int] = {}
    cross = bool(book.accounts.hedge_mode[index])
    for side, table in state.tables.items():
        indicator = rank_side(value_side(book, state, side), ranking).indicator
        rows = [table.row_of(index, number) for number in table.positions_of(index)]
        shown[side] = max((int(indicator[row]) for row in rows), default=0)
        cross = cross and bool(rows) and not table.isolated[rows].any()
    if joint := ranking.joint and cross:
        shown = dict.fromkeys(Side, max(shown.values()))
    return Indicators(
        as_of=book.sequence, long=shown[Side.LONG], short=shown[Side.SHORT], joint=joint
    )


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
                trigger_used_ppm=min(max(reading.trigger_used_ppm, 0), PPM),
                price_rule=case.price.name,
                numbers=reading.numbers,
            )
        )
    return tuple(states)


def find_position(
    book: Book, contract: str, side: Side, account: str, position: int
) -> tuple[ContractState, int] | Missing:
    """Return a position's contract and its row in the table, or what is not there."""
    state = book.contracts.get(contract)
    if state is None:
        return "unknown_contract"
    index = book.accounts.index.get(account)
    if index is None:
        return "unknown_account"
    row = state.tables[side].find(index, position)
    return "position_is_unknown" if row is None else (state, row)


def queue_position_of(queue: Queue, row: int) -> Standing:
    """Return where the position in a row of a queue stands."""
    return Standing(
        lots=int(queue.view.lots[row]),
        rank=int(queue.rank[row]),
        of=len(queue.order),
        indicator=int(queue.indicator[row]),
        ahead_lots=int(queue.ahead_lots[row]),
        score=float(queue.score.value[row]),
        parts={name: float(part[row]) for name, part in queue.score.parts.items()},
        reason=queue.reason(row),
    )
