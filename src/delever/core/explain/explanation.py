"""Why a position has its place in the queue, or why it is not ranked.

Nothing is computed twice: an explanation reads the valuation, scores and queue that a round would
use.
"""

import msgspec

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.explain.queue_position import (
    Missing,
    QueuePosition,
    find_position,
    queue_position_of,
)
from delever.core.messages import Side
from delever.core.rules import RuleSet, rule_set_of
from delever.core.rules.ranking import rank_side
from delever.core.units import PPM, Mark, ratio_ppm
from delever.core.valuation.bankruptcy import OpenPosition, equity_of
from delever.core.valuation.side_valuation import value_side


class TriggerState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one trigger of a contract is on, how much of it is used, and what it compares."""

    trigger: str
    on: bool
    since_ms: int | None
    trigger_used_ppm: int
    price_rule: str
    numbers: dict[str, int]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One position with every number that decides its place; Cash, lots and ticks as in the book.

    `as_of` is the book's sequence. `quantity_ahead_lots` of the queue position is the inventory
    that must arrive before this position is deleveraged; `queue_lots` is the size of the whole
    queue.
    """

    as_of: int
    time_ms: int
    rules: str
    formula: str
    contract: str
    side: Side
    account: str
    position: int
    mark_ticks: Mark
    isolated: bool
    unrealized_pnl_cash: int
    notional_cash: int
    entry_notional_cash: int
    equity_cash: int
    maintenance_cash: int
    margin_ratio_ppm: int
    queue_position: QueuePosition
    queue_lots: int
    opposite_inventory_lots: int
    triggers: tuple[TriggerState, ...]


def explain(
    book: Book,
    contract: str,
    side: Side,
    account: str,
    *,
    position: int = 0,
    rules: RuleSet | None = None,
) -> Explanation | Missing:
    """Return the explanation of one position under its pool's rule set, or under the one given."""
    found = find_position(book, contract, side, account, position)
    if isinstance(found, str):
        return found
    state, row = found
    rules = rules or rule_set_of(book, state)
    valuation = value_side(book, state, side)
    queue = rank_side(valuation, rules.ranking)
    maintenance, equity = int(valuation.bucket_maintenance[row]), int(valuation.equity[row])
    holding = OpenPosition(state, side, book.accounts.index[account], position)
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
        isolated=bool(valuation.isolated[row]),
        unrealized_pnl_cash=int(valuation.unrealized_pnl[row]),
        notional_cash=int(valuation.notional[row]),
        entry_notional_cash=int(valuation.entry_notional[row]),
        equity_cash=equity,
        maintenance_cash=maintenance,
        margin_ratio_ppm=ratio_ppm(maintenance, equity_of(book, holding)),
        queue_position=queue_position_of(queue, row),
        queue_lots=int(queue.closable_lots[queue.order].sum()),
        opposite_inventory_lots=state.inventory[side.opposite].total_lots,
        triggers=trigger_states(book, state, rules),
    )


def trigger_states(book: Book, state: ContractState, rules: RuleSet) -> tuple[TriggerState, ...]:
    """Return the state of each trigger of a contract under a rule set."""
    states = []
    for case in rules.cases:
        trigger, evaluation = case.trigger, case.trigger.evaluate(book, state)
        states.append(
            TriggerState(
                trigger=trigger.name,
                on=trigger.name in state.active,
                since_ms=state.active.get(trigger.name),
                trigger_used_ppm=min(max(evaluation.trigger_used_ppm, 0), PPM),
                price_rule=case.price.name,
                numbers=evaluation.numbers,
            )
        )
    return tuple(states)
