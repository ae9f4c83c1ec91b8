"""What holds under every rule set, old or new: each is besieged, and each step witnessed."""

import dataclasses
import functools
import random

import numpy as np
import pytest
from hypothesis import settings
from siege import played
from witness import Witness, witness

from delever.core.rules import RULE_SETS, RuleSet
from delever.core.rules.loss_socialization import WithdrawalCut
from delever.core.rules.ranking import Queue, rank_side
from delever.core.valuation.side_valuation import SideValuation

FACTOR = settings().max_examples // 50
"""1 as a rule; 100 under `make fuzz`."""

FIRST = range(4)
ENOUGH = 20
SEEDS = range(len(FIRST) * FACTOR)
LENGTH = 110

SCALES = {
    "indicators": [0, 1, 2, 3, 4, 5],
    "quantile": [0, 0, 1, 2, 3, 4],
    "backwards": [6, 5, 4, 3, 2, 1],
    "percentile": ["0", "0.2", "0.4", "0.6", "0.8", "1"],
    "none": [0, 1, 2, 3, 4, 5],
}
"""What a venue shows for each indicator from 0, by the kind of its indicator."""

every_rule_set = pytest.mark.parametrize("rules", RULE_SETS)


@functools.lru_cache(maxsize=200)
def witnessed(rules: str, seed: int) -> Witness:
    return witness(played(rules, seed, LENGTH))


def views(rules: str) -> list[tuple[RuleSet, SideValuation]]:
    """Every table that met inventory, as it stood before the round, in the first sessions."""
    return [view for seed in FIRST for view in witnessed(rules, seed).views]


@every_rule_set
@pytest.mark.parametrize("seed", SEEDS)
def test_every_round_and_every_loss_is_right(rules: str, seed: int) -> None:
    """See witness.py for what right means."""
    witnessed(rules, seed)


@every_rule_set
def test_sessions_reach_what_the_rule_set_does(rules: str) -> None:
    """A witness who sees nothing finds nothing wrong; what is rare may take more sessions."""
    rule_set = RULE_SETS[rules]
    wanted = {"equity_below_maintenance"}  # the engine itself takes over
    for case in rule_set.cases:
        wanted |= {"adl_filled", case.trigger.name, case.price.name, "cross", "isolated", "hedged"}
        wanted |= {"adl_exhausted", "liquidated_account_itself", "long", "short"}
    if rule_set.last_resort and not rule_set.cases:
        cut = isinstance(rule_set.last_resort, WithdrawalCut)
        wanted |= {"withdrawal_cut_set" if cut else "loss_socialized"}
    seen: set[str] = set()
    for seed in range(ENOUGH):
        seen |= witnessed(rules, seed).seen.keys()
        if wanted <= seen:
            return
    assert wanted <= seen, f"never happened: {sorted(wanted - seen)}"


def test_sessions_reach_what_venues_share() -> None:
    wanted = {"inverse", "linear", "fill_cancelled", "venue_takeover", "one_way"}
    wanted |= {"exempt_contract", "exempt_account", "position_under_liquidation"}
    wanted |= {"equity_not_positive", "unrealized_pnl_not_positive", "no_open_positions"}
    wanted |= {"fill_would_bankrupt_counterparty", "zero_prices_not_crossed"}
    seen: set[str] = set()
    for seed in range(ENOUGH):
        seen.update(*(witnessed(rules, seed).seen for rules in RULE_SETS))
        if wanted <= seen:
            return
    assert wanted <= seen, f"never happened: {sorted(wanted - seen)}"


@every_rule_set
def test_indicators_fall_with_rank_and_fit_the_venues_scale(rules: str) -> None:
    rule_set = RULE_SETS[rules]
    levels = rule_set.ranking.levels
    shown = [rule_set.indicator_scale.to_venue(indicator) for indicator in range(levels + 1)]
    assert shown == SCALES[rule_set.indicator_scale.kind]
    for _, view in views(rules):
        queue = rank_side(view, rule_set.ranking)
        ranked = queue.indicator[queue.order].tolist()
        assert ranked == sorted(ranked, reverse=True)
        assert set(ranked) <= set(range(1, levels + 1))
        out = np.setdiff1d(np.arange(view.size), queue.order)
        assert not queue.indicator[out].any()
        assert not queue.rank[out].any()


def keys(queue: Queue) -> list[tuple[int, int, float, int]]:
    """Who stands in line, in order, with score and indicator."""
    view, order = queue.view, queue.order
    columns = view.account[order], view.position[order], queue.score.value[order]
    return list(zip(*(c.tolist() for c in (*columns, queue.indicator[order])), strict=True))


def rearranged(view: SideValuation, rows: np.ndarray) -> SideValuation:
    """The same positions in other rows, in arrays that are not contiguous."""
    columns = {
        each.name: np.repeat(column[rows], 3)[1::3]
        for each in dataclasses.fields(view)
        if isinstance(column := getattr(view, each.name), np.ndarray)
    }
    return dataclasses.replace(view, **columns)


@every_rule_set
def test_the_place_of_rows_and_their_memory_never_change_the_queue(rules: str) -> None:
    draw = random.Random(rules)
    for rule_set, view in views(rules):
        rows = np.array(draw.sample(range(view.size), view.size), np.int64)
        other = rearranged(view, rows)
        assert keys(rank_side(other, rule_set.ranking)) == keys(rank_side(view, rule_set.ranking))


NOT_BY_MARGIN = {
    "bitmart": "by the initial margin, which follows from the leverage chosen",
    "dydx": "a scan",
    "gmx": "by profit alone",
    "drift": "no queue",
    "vega": "no queue",
    "injective": "no queue",
    "paradex": "no queue",
}
"""Rule sets under which what backs a position does not move it, and why."""

BY_CHOICE = {"bitmart", "coinex"}
"""Rule sets under which the leverage chosen counts (CoinEx: of cross positions)."""


def with_less_behind_it(view: SideValuation, row: int, part: float) -> SideValuation:
    """Return the view with a part of one position's equity taken out of its margin bucket."""
    taken = int(int(view.equity[row]) * part)
    less = {name: int(getattr(view, name)[row]) - taken for name in ("balance", "equity")}
    if view.isolated[row]:
        less["margin"] = max(int(view.margin[row]) - taken, 1)
    return view.with_rows({row: less})


def with_more_chosen(view: SideValuation, row: int, part: float) -> SideValuation:
    """Return the view with less initial margin, as by a higher leverage setting."""
    initial = max(int(view.initial_margin[row] * (1 - part)), 1)
    return view.with_rows({row: {"initial_margin": initial}})


@every_rule_set
def test_more_leverage_alone_never_improves_a_place(rules: str) -> None:
    """Less behind a position brings it forward or leaves it, where the rule looks at that."""
    draw = random.Random(rules)
    for rule_set, view in views(rules):
        before = rank_side(view, rule_set.ranking)
        for row in before.order.tolist():
            part = draw.uniform(0.01, 0.9)
            levered = [with_less_behind_it(view, row, part), with_more_chosen(view, row, part)]
            by_margin, by_choice = (rank_side(each, rule_set.ranking) for each in levered)
            if by_margin.rank[row]:
                assert by_margin.rank[row] <= before.rank[row]
            assert by_choice.rank[row] <= before.rank[row]
            if rules in NOT_BY_MARGIN:
                assert by_margin.rank[row] in {0, before.rank[row]}
            if rules not in BY_CHOICE:
                assert by_choice.rank[row] == before.rank[row]


@every_rule_set
def test_leverage_moves_somebody_where_it_counts(rules: str) -> None:
    """The test above sees positions move, unless the rule set says why none can."""
    change = with_more_chosen if rules == "bitmart" else with_less_behind_it
    moved = False
    for rule_set, view in views(rules):
        queue = rank_side(view, rule_set.ranking)
        for row in queue.order[1:].tolist():
            after = rank_side(change(view, row, 0.999), rule_set.ranking)
            moved |= bool(0 < after.rank[row] < queue.rank[row])
    assert moved == (rules not in NOT_BY_MARGIN.keys() - BY_CHOICE)
