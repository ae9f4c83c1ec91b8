"""The cycle: one command in, its events out, and the book moved on by exactly those events.

1. intake        the command is rejected whole, or becomes events
2. liquidation   (managed pools) accounts below maintenance margin are taken over
3. unwinding     (managed pools) inventory is closed against depth
4. observation   pools are measured; peaks move
5. triggers      ADL starts, stops, or comes near
6. rounds        inventory meets the queue, contract by contract
7. last resort   what no queue has covered is shared out, where the venue does that
8. publication   ratings and indicators, where the command asks for them
9. invariants    or the step raises and must not be acknowledged

Steps 4 to 7 run twice, so that a round that ends a trigger's condition also stops it; once is
enough where nothing comes of them.
"""

from collections.abc import Iterable, Iterator

from delever.core.accounting.invariants import StepCheck
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.execution.deleveraging import deleverage
from delever.core.execution.notices import notices_of
from delever.core.intake.handlers import admit
from delever.core.kernels import ParallelMap
from delever.core.messages import (
    Accepted,
    AdlStarted,
    AdlStopped,
    Command,
    Event,
    ForceAdl,
    Notice,
    NoticeKind,
    Rejected,
    Side,
)
from delever.core.messages.fill_batch import Fills
from delever.core.risk.publication import published
from delever.core.rules import RULE_SETS, RuleSet
from delever.core.rules.triggers import WARNING_PPM, Reading, Trigger
from delever.core.valuation.insurance import absorb, observe, watch_depth
from delever.core.valuation.liquidation import liquidate_cross, liquidate_isolated

FAR_PPM = WARNING_PPM - 100_000
"""A warning is withdrawn 10 points below where it is given, so that it does not flicker."""


def step(book: Book, command: Command, parallel_map: ParallelMap = map) -> tuple[Event, ...]:
    """Run one command; return everything that happened. A refusal is one event and no change.

    `parallel_map` runs independent parts of the work, as `map` does: that of a pool of threads is faster
    on a large book and gives the same.
    """
    admitted = admit(book, command)
    if isinstance(admitted, Rejected):
        book.apply(admitted)
        return (admitted,)
    accepted = Accepted(sequence=book.sequence + 1, time_ms=command.time_ms)
    run = _Run(book, accepted, parallel_map)
    run.emit(admitted)
    if book.managed:
        managed = {
            state.name: rules_of(book, state).takeover_share
            for state in book.contracts.values()
            if _managed(book, state)
        }
        run.emit(liquidate_isolated(book, managed))
        run.emit(liquidate_cross(book, managed))
        run.emit(_unwind(book, managed))
    if not _is_quiet(book):
        _watch_pools(run, command.contract if isinstance(command, ForceAdl) else "")
    run.emit(published(book, command, parallel_map))
    run.check.close()
    return (*run.events, *notices_of(run.events))  # these only tell: no book changes by them


def _is_quiet(book: Book) -> bool:
    """Whether no pool has anything to watch: then steps 4 to 7 have nothing to say."""
    if book.engaged() or book.unobserved:
        return False
    return not any(pool.balance < 0 or pool.withdrawal_cut_ppm for pool in book.pools.values())


def _watch_pools(run: "_Run", forced: str) -> None:
    """Run steps 4 to 7 twice, or once where nothing comes of them; observe what they have left."""
    book = run.book
    for each_forced in (forced, ""):
        before = len(run.events)
        run.emit(_watch_depth(book))
        run.emit(observe(book))
        run.emit(_read_triggers(book))
        run.emit(_run_rounds(book, each_forced))
        run.emit(_resolve_deficits(book))
        if len(run.events) == before:
            break
    run.emit(observe(book))


class _Run:
    """Collects the events of one step and applies each (or a round's fills) before the next."""

    def __init__(self, book: Book, accepted: Accepted, parallel_map: ParallelMap) -> None:
        self.book = book
        self.parallel_map = parallel_map
        self.events: list[Event] = [accepted]
        self.check = StepCheck(book)
        book.apply(accepted)

    def emit(self, events: Iterable[Event | Fills]) -> None:
        for event in events:
            if isinstance(event, Fills):
                self.check.before_fills(event)
                self.book.apply_fills(event)
                self.events += event.events
            else:
                self.check.before(event)
                self.book.apply(event, self.parallel_map)
                self.events.append(event)


def rules_of(book: Book, state: ContractState) -> RuleSet:
    """Return the rule set of the pool that stands behind a contract."""
    return RULE_SETS[book.pool_of(state).definition.rules]


def _managed(book: Book, state: ContractState) -> bool:
    return book.pool_of(state).definition.managed and state.mark > 0


def _unwind(book: Book, managed: Iterable[str]) -> Iterator[Event]:
    """Yield the closing of inventory into depth; a contract in ADL leaves it to the queue."""
    for state in map(book.contracts.__getitem__, managed):
        if not state.active:
            for side in Side:
                yield from absorb(state, side, book.pool_of(state).max_slippage_ppm)


def _watch_depth(book: Book) -> Iterator[Event]:
    for state in book.engaged():
        yield from watch_depth(book, state)


def _read_triggers(book: Book) -> Iterator[Event]:
    """Yield the starts and stops of ADL, and the notices that it is near."""
    for state in book.engaged():
        for case in rules_of(book, state).cases:
            yield from _read_trigger(book, state, case.trigger)


def _read_trigger(book: Book, state: ContractState, trigger: Trigger) -> Iterator[Event]:
    reading = trigger.read(book, state)
    if trigger.name in state.active:
        if reading.stops:
            yield AdlStopped(
                contract=state.name,
                pool=state.pool,
                trigger=trigger.name,
                reason=trigger.reason,
                numbers=reading.numbers,
            )
    elif reading.starts:
        yield AdlStarted(
            contract=state.name,
            pool=state.pool,
            trigger=trigger.name,
            reason=trigger.reason,
            numbers=reading.numbers,
        )
    else:
        yield from _warn(state, trigger, reading)


def _warn(state: ContractState, trigger: Trigger, reading: Reading) -> Iterator[Event]:
    """Yield the notice that a trigger has come near, or that it is far again (hysteresis)."""
    was_near = trigger.name in state.near
    if not was_near and reading.trigger_used_ppm >= WARNING_PPM:
        kind = NoticeKind.ADL_WARNING
    elif was_near and reading.trigger_used_ppm < FAR_PPM:
        kind = NoticeKind.ADL_WARNING_CLEARED
    else:
        return
    yield Notice(
        kind=kind, subject=trigger.name, account="", contract=state.name, numbers=reading.numbers
    )


def _run_rounds(book: Book, forced: str) -> Iterator[Event | Fills]:
    """Yield one round for each contract in ADL and each side of its inventory.

    Where several triggers are on, the first of the rule set that has inventory to close decides;
    in the contract that is forced, as if all of them were on. Rounds that are paused wait.
    """
    for state in book.engaged():
        now = state.name == forced
        if state.mark == 0 or not (now or (state.active and not state.paused)):
            continue
        rules = rules_of(book, state)
        cases = [case for case in rules.cases if now or case.trigger.name in state.active]
        for side in Side:
            for case in cases:
                if case.trigger.tranches(book, state, side):
                    yield from deleverage(book, state, side, rules, case)
                    break


def _resolve_deficits(book: Book) -> Iterator[Event]:
    """Yield what venues with a last resort do: those without a queue, or whose queue is used up."""
    engaged = book.engaged()
    short = {name for name, p in book.pools.items() if p.balance < 0 or p.withdrawal_cut_ppm}
    for name in sorted(short.union(state.pool for state in engaged)):
        pool = book.pools[name]
        rules = RULE_SETS[pool.definition.rules]
        members = [state for state in engaged if state.pool == name]
        if rules.last_resort and (not rules.cases or _queue_is_used_up(members)):
            yield from rules.last_resort.resolve(book, pool)


def _queue_is_used_up(members: list[ContractState]) -> bool:
    """Whether there is inventory, and ADL has found nobody left to close any of it against."""
    held = [
        bool(state.active) and side in state.exhausted
        for state in members
        for side in Side
        if state.inventory[side].tranches
    ]
    return bool(held) and all(held)
