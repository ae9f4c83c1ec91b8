"""Properties of every rule set: coverage by its workloads, queues, indicator scales, leverage."""

import dataclasses
import functools
import random

import numpy as np
import pytest
from runner import kinds_of
from venue_workloads import recorded_session

from delever.core import messages as m
from delever.core.book import Book
from delever.core.messages import Event
from delever.core.rules import RULE_SETS, RuleSet
from delever.core.rules.loss_socialization import WithdrawalHaircut
from delever.core.rules.ranking import Queue, rank_side
from delever.core.valuation.side_valuation import SideValuation, value_side

SEEDS = range(3)
MAX_SESSIONS = 40
LENGTH = 110

SCALES = {
    "indicator": [0, 1, 2, 3, 4, 5],
    "quantile": [0, 0, 1, 2, 3, 4],
    "reversed": [6, 5, 4, 3, 2, 1],
    "percentile": ["0", "0.2", "0.4", "0.6", "0.8", "1"],
    "none": [0, 1, 2, 3, 4, 5],
}
"""A venue's values for each indicator from 0, by the kind of its scale."""

every_rule_set = pytest.mark.parametrize("rules", RULE_SETS)


def session(rules: str, seed: int) -> list[tuple[Event, ...]]:
    return recorded_session(rules, seed, LENGTH).events


@functools.lru_cache(maxsize=200)
def round_valuations(rules: str, seed: int) -> list[SideValuation]:
    """Return each side that inventory was closed against, valued right before its round."""
    book, valuations, in_round = Book(), [], False
    for event in (event for events in session(rules, seed) for event in events):
        of_round = isinstance(event, m.CounterpartySkipped | m.AdlFilled | m.RoundClosed)
        if of_round and not in_round:
            side = event.side.opposite if isinstance(event, m.RoundClosed) else event.side
            valuations.append(value_side(book, book.contracts[event.contract], side))
        in_round = of_round and not isinstance(event, m.RoundClosed)
        book.apply(event)
    return valuations


def valuations_of(rules: str) -> list[tuple[RuleSet, SideValuation]]:
    """Return the rule set with each side valued before a round of the first sessions."""
    return [(RULE_SETS[rules], v) for seed in SEEDS for v in round_valuations(rules, seed)]


@every_rule_set
def test_workloads_cover_what_the_rule_set_does(rules: str) -> None:
    """An auditor finds no fault in a rule that never applies; rare ones need more sessions."""
    rule_set = RULE_SETS[rules]
    wanted = {"equity_below_maintenance"}  # takeovers by the engine itself
    for case in rule_set.cases:
        wanted |= {"adl_filled", case.trigger.name, case.price.name, "cross", "isolated", "hedged"}
        wanted |= {"adl_exhausted", "liquidated_account_itself", "long", "short"}
    if rule_set.last_resort and not rule_set.cases:
        haircut = isinstance(rule_set.last_resort, WithdrawalHaircut)
        wanted |= {"withdrawal_haircut_set" if haircut else "loss_socialized"}
    covered: set[str] = set()
    for seed in range(MAX_SESSIONS):
        covered |= kinds_of(session(rules, seed))
        if wanted <= covered:
            return
    assert wanted <= covered, f"never happened: {sorted(wanted - covered)}"


def test_workloads_cover_what_venues_share() -> None:
    wanted = {"inverse", "linear", "fill_cancelled", "venue_takeover", "one_way"}
    wanted |= {"exempt_contract", "exempt_account", "position_under_liquidation"}
    wanted |= {"equity_not_positive", "unrealized_pnl_not_positive", "no_open_positions"}
    wanted |= {"fill_would_bankrupt_counterparty", "zero_prices_not_crossed"}
    covered: set[str] = set()
    for seed in range(MAX_SESSIONS):
        covered.update(*(kinds_of(session(rules, seed)) for rules in RULE_SETS))
        if wanted <= covered:
            return
    assert wanted <= covered, f"never happened: {sorted(wanted - covered)}"


@every_rule_set
def test_indicators_decrease_with_rank_and_fit_the_venues_scale(rules: str) -> None:
    rule_set = RULE_SETS[rules]
    levels = rule_set.ranking.levels
    values = [rule_set.indicator_scale.to_venue(indicator) for indicator in range(levels + 1)]
    assert values == SCALES[rule_set.indicator_scale.kind]
    for _, valuation in valuations_of(rules):
        queue = rank_side(valuation, rule_set.ranking)
        ranked = queue.indicator[queue.order].tolist()
        assert ranked == sorted(ranked, reverse=True)
        assert set(ranked) <= set(range(1, levels + 1))
        unranked = np.setdiff1d(np.arange(valuation.size), queue.order)
        assert not queue.indicator[unranked].any()
        assert not queue.rank[unranked].any()


def keys(queue: Queue) -> list[tuple[int, int, float, int]]:
    """Return the queue in order: account, position, score and indicator."""
    valuation, order = queue.valuation, queue.order
    columns = valuation.account[order], valuation.position[order], queue.score.value[order]
    return list(zip(*(c.tolist() for c in (*columns, queue.indicator[order])), strict=True))


def rearranged(valuation: SideValuation, rows: np.ndarray) -> SideValuation:
    """Return the same positions in other rows, in arrays that are not contiguous."""
    columns = {
        field.name: np.repeat(column[rows], 3)[1::3]
        for field in dataclasses.fields(valuation)
        if isinstance(column := getattr(valuation, field.name), np.ndarray)
    }
    return dataclasses.replace(valuation, **columns)


@every_rule_set
def test_the_order_of_rows_and_their_memory_never_change_the_queue(rules: str) -> None:
    draw = random.Random(rules)
    for rule_set, valuation in valuations_of(rules):
        rows = np.array(draw.sample(range(valuation.size), valuation.size), np.int64)
        other = rearranged(valuation, rows)
        assert keys(rank_side(other, rule_set.ranking)) == keys(
            rank_side(valuation, rule_set.ranking)
        )


NOT_BY_EQUITY = {
    "bitmart": "by the initial margin, which follows from the leverage setting",
    "dydx": "a scan",
    "gmx": "by unrealized PnL only",
    "drift": "no queue",
    "vega": "no queue",
    "injective": "no queue",
    "paradex": "no queue",
    "paradex_example": "no queue",
    "xcoin_portfolio": "by return and net quantity in the contract",
}
"""Rule sets under which equity does not change a position's rank, and why."""

BY_SETTING = {"bitmart", "bullish", "coinex"}
"""Rule sets under which the leverage setting counts (CoinEx: of cross positions)."""


def with_less_equity(valuation: SideValuation, row: int, part: float) -> SideValuation:
    """Return the valuation with a part of one position's equity withdrawn from its bucket."""
    taken = int(int(valuation.equity[row]) * part)
    less = {name: int(getattr(valuation, name)[row]) - taken for name in ("balance", "equity")}
    if valuation.isolated[row]:
        less["margin"] = max(int(valuation.margin[row]) - taken, 1)
    return valuation.with_rows({row: less})


def with_higher_setting(valuation: SideValuation, row: int, part: float) -> SideValuation:
    """Return the valuation with less initial margin, as by a higher leverage setting."""
    initial = max(int(valuation.initial_margin[row] * (1 - part)), 1)
    return valuation.with_rows({row: {"initial_margin": initial}})


REVERSED = {"htx_maintenance"}
"""Rule sets under which more equity moves a winner forward."""


@every_rule_set
def test_more_leverage_never_lowers_a_rank(rules: str) -> None:
    """Less equity moves a position forward or not at all, as far as the rule set reads it."""
    draw = random.Random(rules)
    for rule_set, valuation in valuations_of(rules):
        before = rank_side(valuation, rule_set.ranking)
        for row in before.order.tolist():
            part = draw.uniform(0.01, 0.9)
            levered = [
                with_less_equity(valuation, row, part),
                with_higher_setting(valuation, row, part),
            ]
            by_margin, by_choice = (rank_side(changed, rule_set.ranking) for changed in levered)
            if by_margin.rank[row] and rules not in REVERSED:
                assert by_margin.rank[row] <= before.rank[row]
            if rules != "bullish":  # reads initial margin, which a higher setting makes less
                assert by_choice.rank[row] <= before.rank[row]
            if rules in NOT_BY_EQUITY:
                assert by_margin.rank[row] in {0, before.rank[row]}
            if rules not in BY_SETTING:
                assert by_choice.rank[row] == before.rank[row]


def moves_a_rank(rules: str, seed: int) -> bool:
    """Return whether more leverage moves a ranked position forward in a session."""
    change = with_higher_setting if rules == "bitmart" else with_less_equity
    for valuation in round_valuations(rules, seed):
        queue = rank_side(valuation, RULE_SETS[rules].ranking)
        for row in queue.order[1:].tolist():
            after = rank_side(change(valuation, row, 0.999), RULE_SETS[rules].ranking)
            if 0 < after.rank[row] < queue.rank[row]:
                return True
    return False


@every_rule_set
def test_leverage_changes_a_rank_where_it_counts(rules: str) -> None:
    """The test above has positions that move, unless the rule set has a reason against it."""
    counts = rules not in (NOT_BY_EQUITY.keys() | REVERSED) - BY_SETTING
    seeds = range(MAX_SESSIONS) if counts else SEEDS
    assert any(moves_a_rank(rules, seed) for seed in seeds) == counts
