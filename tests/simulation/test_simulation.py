"""Seeded sessions in which an independent auditor checks every step of the engine.

A failure prints the seed and the shortest session found that fails: lines of a scenario, which
`delever run` accepts as they are.
"""

import functools
import re

import msgspec
import pytest
from hypothesis import settings
from model import AuditError
from random_market import RULES
from runner import Engine, kinds_of, replayed, run_seed
from trigger_oracle import TRIGGERS

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Event

FACTOR = settings().max_examples // 50
"""1 as a rule; 100 under `make slow`."""

SEEDS = range(40 * FACTOR)
VAST_SEEDS = range(11 * FACTOR)
LENGTH = 150

run_cached = functools.cache(run_seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_step_passes_the_audit(seed: int) -> None:
    run_cached(seed, LENGTH)


@pytest.mark.parametrize("seed", VAST_SEEDS)
def test_amounts_near_the_numeric_range_pass_the_audit_or_are_rejected(seed: int) -> None:
    run_seed(seed, LENGTH, scale=10 ** (5 + seed % 11))


@pytest.mark.parametrize("seed", range(0, 40, 10))
def test_repeated_commands_give_the_same_events(seed: int) -> None:
    moves = [move for move, _ in run_cached(seed, LENGTH)]
    assert replayed(moves) == replayed(moves)
    again = [msgspec.json.encode(events) for _, events in run_seed(seed, LENGTH)]
    assert replayed(moves) == again


BULK_EVENTS = {m.AccountsDefined, m.BalanceColumnsSet, m.PositionColumnsSet}
BULK_EVENTS |= {m.RowsIgnored, m.RowsRejected}
"""Events of bulk commands, which tests of the journal compare with the same rows one by one."""


def test_sessions_cover_every_rule() -> None:
    """An auditor finds no fault in a rule that never applies."""
    wanted = {name for rules in RULES for name in TRIGGERS[rules]} | set(RULES)
    wanted |= {"bankruptcy_price", "previous_mark", "drawdown_limit", "deficit_share"}
    wanted |= {event.__struct_config__.tag for event in Event.__subclasses__()}
    wanted -= {"loss_socialized", "withdrawal_haircut_set"}  # of venues without a queue
    wanted -= {event.__struct_config__.tag for event in BULK_EVENTS}
    wanted |= {kind.value for kind in m.PoolKind}
    wanted |= {"no_open_positions", "queue_exhausted", "fill_would_bankrupt_counterparty"}
    wanted |= {"liquidated_account_itself", "fill_exceeds_position", "stale_version"}
    covered = {"stale_version"}  # the only reason of row_ignored, which is wanted too
    for seed in range(60):
        covered |= kinds_of(events for _, events in run_cached(seed, LENGTH))
        if wanted <= covered:
            return
    assert wanted <= covered, f"never happened: {sorted(wanted - covered)}"


def overpaying(book: Book, command: m.Command) -> tuple[Event, ...]:
    """An engine that reports one unit too much realized PnL of each fill."""
    return tuple(
        msgspec.structs.replace(event, realized_pnl_cash=event.realized_pnl_cash + 1)
        if isinstance(event, m.AdlFilled)
        else event
        for event in step(book, command)
    )


def omitting_skips(book: Book, command: m.Command) -> tuple[Event, ...]:
    """An engine that does not report skipped counterparties."""
    events = step(book, command)
    return tuple(event for event in events if not isinstance(event, m.CounterpartySkipped))


@pytest.mark.parametrize("engine", [overpaying, omitting_skips])
def test_a_wrong_engine_fails_the_audit_with_few_commands(engine: Engine) -> None:
    with pytest.raises(AuditError, match=r"\d+ of \d+ commands do it") as found:
        list(map(functools.partial(run_seed, length=LENGTH, engine=engine), range(20)))
    counts = re.search(r"(\d+) of \d+ commands", str(found.value))
    assert counts
    assert int(counts[1]) < 30
