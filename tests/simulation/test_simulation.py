"""Seeded sessions in which every step of the engine is judged by an auditor that knows no engine.

A failure prints the seed and the shortest session found that fails: lines of a scenario, which
`delever run` takes as they stand.
"""

import functools
import re

import msgspec
import pytest
from hypothesis import settings
from market import RULES
from model import AuditError
from observing import TRIGGERS
from playing import Engine, kinds_of, play_seed, replayed

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Event

FACTOR = settings().max_examples // 50
"""1 as a rule; 100 under `make fuzz`."""

SEEDS = range(60 * FACTOR)
VAST_SEEDS = range(11 * FACTOR)
LENGTH = 150

play = functools.cache(play_seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_step_is_right(seed: int) -> None:
    play_seed(seed, LENGTH)


@pytest.mark.parametrize("seed", VAST_SEEDS)
def test_amounts_at_the_edge_of_the_range_are_right_or_refused(seed: int) -> None:
    play_seed(seed, LENGTH, scale=10 ** (5 + seed % 11))


@pytest.mark.parametrize("seed", range(0, 60, 10))
def test_the_same_commands_give_the_same_events(seed: int) -> None:
    moves = [move for move, _ in play(seed, LENGTH)]
    assert replayed(moves) == replayed(moves)
    again = [msgspec.json.encode(events) for _, events in play_seed(seed, LENGTH)]
    assert replayed(moves) == again


TOLD_IN_COLUMNS = {m.AccountsDefined, m.BalanceColumnsSet, m.PositionColumnsSet, m.RowsIgnored}
"""What a test of the journal compares, event by event, with what is told in rows."""


def test_sessions_reach_every_rule() -> None:
    """A judge who sees nothing finds nothing wrong."""
    wanted = {name for rules in RULES for name in TRIGGERS[rules]} | set(RULES)
    wanted |= {"bankruptcy_price", "previous_mark", "drawdown_limit", "shared_deficit"}
    wanted |= {event.__struct_config__.tag for event in Event.__subclasses__()}
    wanted -= {"loss_socialized", "withdrawal_cut_set"}  # of venues without a queue
    wanted -= {event.__struct_config__.tag for event in TOLD_IN_COLUMNS}
    wanted |= {kind.value for kind in m.PoolKind}
    wanted |= {"no_open_positions", "queue_exhausted", "fill_would_bankrupt_counterparty"}
    wanted |= {"liquidated_account_itself", "exceeds_inventory", "stale_version"}
    seen = {"stale_version"}  # the only reason of row_ignored, which is wanted too
    for seed in range(60):
        seen |= kinds_of(play(seed, LENGTH))
        if wanted <= seen:
            return
    assert wanted <= seen, f"never happened: {sorted(wanted - seen)}"


def generous(book: Book, command: m.Command) -> tuple[Event, ...]:
    """An engine that says it paid each counterparty one unit more than it did."""
    return tuple(
        msgspec.structs.replace(event, realized_pnl_cash=event.realized_pnl_cash + 1)
        if isinstance(event, m.AdlFilled)
        else event
        for event in step(book, command)
    )


def silent(book: Book, command: m.Command) -> tuple[Event, ...]:
    """An engine that forgets to tell whom it has passed over."""
    events = step(book, command)
    return tuple(event for event in events if not isinstance(event, m.CounterpartySkipped))


@pytest.mark.parametrize("engine", [generous, silent])
def test_a_wrong_engine_is_found_out_in_few_commands(engine: Engine) -> None:
    with pytest.raises(AuditError, match=r"\d+ of \d+ commands do it") as found:
        list(map(functools.partial(play_seed, length=LENGTH, engine=engine), range(20)))
    counts = re.search(r"(\d+) of \d+ commands", str(found.value))
    assert counts
    assert int(counts[1]) < 30
