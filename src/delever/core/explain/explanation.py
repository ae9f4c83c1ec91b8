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
    bankruptcy_prices,
    find_position,
    queue_position_of,
)
from delever.core.messages import Side
from delever.core.rules import RuleSet, rule_set_of
from delever.core.rules.ranking import equity_share, rank_side
from delever.core.units import PPM, Mark, Ticks, ratio_ppm
from delever.core.valuation.bankruptcy import OpenPosition, cross_positions, equity_of
from delever.core.valuation.multi_asset import is_pooled
from delever.core.valuation.side_valuation import value_side


class TriggerState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one trigger of a contract is on, how much of it is used, and what it compares."""

    trigger: str
    on: bool
    since_ms: int | None
    trigger_used_ppm: int
    price_rule: str
    numbers: dict[str, int]


class CrossPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One of the positions that share an account's cross margin; Cash of its settle asset."""

    contract: str
    side: Side
    position: int
    lots: int
    unrealized_pnl_cash: int
    notional_cash: int
    maintenance_cash: int


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One position with every number that decides its place; Cash, lots and ticks as in the book.

    `as_of` is the book's sequence. `quantity_ahead_lots` of the queue position is the inventory
    that must arrive before this position is deleveraged; `queue_lots` is the size of the whole
    queue. Balance, `bucket_pnl_cash`, equity and `maintenance_cash` belong to the margin bucket,
    which is the isolated position, or the account's cross margin with its `cross_positions`. The
    position's share of the equity is by `position_maintenance_cash` in `shared_maintenance_cash`.
    Joint PnL and notional include the other side of a hedge. `bankruptcy_ticks` is None where the
    position cannot lose its margin.
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
    joint_pnl_cash: int
    joint_notional_cash: int
    initial_margin_cash: int
    balance_cash: int
    bucket_pnl_cash: int
    equity_cash: int
    maintenance_cash: int
    position_maintenance_cash: int
    shared_maintenance_cash: int
    share_of_equity_cash: int
    bankruptcy_ticks: Ticks | None
    multi_asset: bool
    cross_positions: tuple[CrossPosition, ...]
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
        joint_pnl_cash=int(valuation.joint_pnl[row]),
        joint_notional_cash=int(valuation.joint_notional[row]),
        initial_margin_cash=int(valuation.initial_margin[row]),
        balance_cash=int(valuation.balance[row]),
        bucket_pnl_cash=int(valuation.bucket_pnl[row]),
        equity_cash=equity,
        maintenance_cash=maintenance,
        position_maintenance_cash=int(valuation.maintenance[row]),
        shared_maintenance_cash=int(valuation.shared_maintenance[row]),
        share_of_equity_cash=int(equity_share(valuation)[row]),
        bankruptcy_ticks=bankruptcy_prices(book, state, valuation, [row])[0],
        multi_asset=not holding.isolated and is_pooled(book, holding.account, state.terms.settle),
        cross_positions=_cross_positions(book, holding),
        margin_ratio_ppm=ratio_ppm(maintenance, equity_of(book, holding)),
        queue_position=queue_position_of(queue, row),
        queue_lots=int(queue.closable_lots[queue.order].sum()),
        opposite_inventory_lots=state.inventory[side.opposite].total_lots,
        triggers=trigger_states(book, state, rules),
    )


def _cross_positions(book: Book, holding: OpenPosition) -> tuple[CrossPosition, ...]:
    if holding.isolated:
        return ()
    settle = holding.state.terms.settle
    return tuple(_cross_position(each) for each in cross_positions(book, holding.account, settle))


def _cross_position(holding: OpenPosition) -> CrossPosition:
    table, row = holding.state.tables[holding.side], holding.row
    pnl = table.unrealized_pnl.item(row)
    return CrossPosition(
        contract=holding.state.name,
        side=holding.side,
        position=holding.position,
        lots=table.lots.item(row),
        unrealized_pnl_cash=pnl,
        notional_cash=abs(table.cost.item(row) + pnl),
        maintenance_cash=table.maintenance.item(row),
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
