"""The cycle: one command in, its events out, each applied to the book before the next is computed.

1. intake        the command is rejected whole, or becomes events; marks too old are guarded
2. liquidation   (managed pools) accounts at or below maintenance margin are taken over
3. unwinding     inventory is netted; (managed pools) it is closed against depth
4. observation   depth is compared with inventory, pools are measured, peaks move
5. triggers      ADL starts or stops; the operator is warned when 80 % of a trigger is used
6. rounds        inventory is closed against the ADL queue; contracts take turns by loss; where
                 plans are awaited, a round waits for one before the rule set's policy runs
7. last resort   a deficit that no queue covers is socialized, where the rule set does that
8. publication   ratings of contracts whose state moved; ratings and indicators on command
9. invariants    checked, or the step raises

Steps 4 to 7 run twice, so that a trigger whose condition a round has ended also stops; they run
once if they yield no events. A step that raises leaves a broken book: its caller restores the
book from before it, and applies `internal_error`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from delever.core.accounting.invariants import StepCheck
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.execution.deleveraging import deleverage, round_key
from delever.core.execution.notices import notices_of, unallocated_funds
from delever.core.execution.planned_round import (
    PlannedAllocation,
    is_awaiting_plan,
    planned_allocations,
    request_plan,
)
from delever.core.intake.handlers import admit, rejection_of, take_over_named
from delever.core.intake.live_terms.closing import settle_closed
from delever.core.intake.live_terms.delisting import share_settlement_loss
from delever.core.intake.marks import check_ages
from delever.core.kernels import ParallelMap
from delever.core.market.validation import Rejection
from delever.core.messages import (
    Accepted,
    AdlStarted,
    AdlStopped,
    AllocateAdl,
    AmendContract,
    AmendPool,
    Command,
    Event,
    ForceAdl,
    Notice,
    NoticeKind,
    Reason,
    Rejected,
    SettleContract,
    Side,
    Takeover,
)
from delever.core.messages.fill_batch import FillBatch
from delever.core.risk.publication.schedule import REFRESHES, refresh, rerate
from delever.core.rules import RegisteredRules, rule_set_of, rule_sets_of
from delever.core.rules.policies.policy import LotPolicy
from delever.core.rules.ruleset import Case, RuleSet
from delever.core.rules.triggers import WARNING_PPM, Trigger, TriggerEvaluation
from delever.core.units import PPM
from delever.core.valuation.insurance import absorb, observe, watch_depth
from delever.core.valuation.liquidation import Share, liquidate_cross, liquidate_isolated
from delever.core.valuation.netting import net_inventory

WARNING_CLEARED_PPM = WARNING_PPM - 100_000
"""A warning is cleared 10 points below its level, so that it does not come and go."""


AMENDMENTS = frozenset({AmendContract, AmendPool})
"""Commands whose own step takes nobody over: accounts can react to new terms first."""

CLOSING_COMMANDS = frozenset({AmendContract, SettleContract})
"""Commands that may close positions: new units leave parts of a lot, a settlement leaves none."""


def step(
    book: Book,
    command: Command,
    parallel_map: ParallelMap = map,
    registry: Mapping[str, RegisteredRules] | None = None,
) -> tuple[Event, ...]:
    """Apply one command to the book and return its events; a rejected one is a single event.

    `parallel_map` runs independent parts of the work, with the contract of the built-in `map`; that
    of a thread pool is faster on a large book and gives the same events. `registry` replaces the
    book's rule sets of one's own, for this step and later ones; see `delever.registry`.

    >>> import delever
    >>> from delever.core.messages import DefineAccount, SetTime
    >>> book = delever.Book()
    >>> accepted, defined = delever.step(book, DefineAccount(time_ms=5, account="ann"))
    >>> accepted.sequence, defined.account
    (1, 'ann')
    >>> (rejected,) = delever.step(book, SetTime(time_ms=4))
    >>> rejected.reason, rejected.field, rejected.value
    (<Reason.TIME_IN_PAST: 'time_in_past'>, 'time_ms', '4')
    """
    if registry is not None:
        book.use_registry(registry)
    admitted = admit(book, command)
    if type(command) is AllocateAdl and not isinstance(admitted, Rejected):
        admitted = _rehearse(book, command, admitted)
    if isinstance(admitted, Rejected):
        book.apply(admitted)
        return (admitted,)
    return _run(book, command, admitted, parallel_map)


def _rehearse(book: Book, command: AllocateAdl, admitted: list[Event]) -> list[Event] | Rejected:
    """Return a plan's acceptance, or its rejection where a copy of the book finds a fault in it."""
    try:
        _run(book.copy(), command, admitted, map)
    except Rejection as rejection:
        return rejection_of(command, rejection)
    return admitted


def _run(
    book: Book, command: Command, admitted: list[Event], parallel_map: ParallelMap
) -> tuple[Event, ...]:
    """Run the cycle of an admitted command; raise Rejection for a plan that its rounds disprove."""
    kind = type(command)
    accepted = Accepted(sequence=book.sequence + 1, time_ms=command.time_ms)
    plan = planned_allocations(book, command) if isinstance(command, AllocateAdl) else {}
    run = _Step(book, accepted, parallel_map, plan)
    run.emit(admitted)
    if type(command) is Takeover:
        run.emit(take_over_named(book, command, admitted))
    if kind in CLOSING_COMMANDS:
        run.emit(settle_closed(book, admitted))
        run.emit(share_settlement_loss(book, run.events))
    run.emit(check_ages(book))
    shares = {} if kind in AMENDMENTS else _managed_shares(book)
    if shares:
        run.emit(liquidate_isolated(book, shares))
        nets = {name for name in shares if _nets_hedged_legs(book, name)}
        run.emit(liquidate_cross(book, shares, nets))
    run.emit(_net_inventory(book))
    run.emit(_unwind(book, shares))
    has_work = not _is_idle(book)
    if has_work:
        _run_pools(run, command.contract if isinstance(command, ForceAdl) else "")
    for unused in run.plan.values():
        contract = unused.planned.contract
        raise Rejection(f"{unused.path}.contract", contract, Reason.PLAN_NOT_AWAITED)
    if has_work or kind in AMENDMENTS:
        run.emit(rerate(book, run.events))
    if kind in REFRESHES:
        run.emit(refresh(book, command, parallel_map))
    run.check.close()
    return (*run.events, *notices_of(run.events))  # notices change no book


def internal_error(command: Command, error: Exception) -> Rejected:
    """Return the rejection of a command whose step raised; its value is the name of the error.

    >>> from delever.core.messages import SetTime
    >>> rejected = internal_error(SetTime(time_ms=4), OverflowError())
    >>> rejected.command, rejected.reason, rejected.value
    ('set_time', <Reason.INTERNAL_ERROR: 'internal_error'>, 'OverflowError')
    """
    return Rejected(
        command=str(command.__struct_config__.tag),
        reason=Reason.INTERNAL_ERROR,
        field="",
        value=type(error).__name__,
    )


def is_internal_error(events: Sequence[Event]) -> bool:
    """Return whether events say that the step of their command raised."""
    first = events[0] if events else None
    return isinstance(first, Rejected) and first.reason is Reason.INTERNAL_ERROR


def _managed_shares(book: Book) -> dict[str, Share]:
    """Return the takeover share of each contract of a managed pool whose mark is confirmed."""
    if not book.has_managed_pools:
        return {}
    return {
        state.name: rule_set_of(book, state).takeover_share
        for state in book.contracts.values()
        if book.pool_of(state).definition.managed and state.mark > 0 and not state.mark_unconfirmed
    }


def _nets_hedged_legs(book: Book, contract: str) -> bool:
    return rule_set_of(book, book.contracts[contract]).nets_hedged_legs


def _run_pools(run: "_Step", forced: str) -> None:
    """Run steps 4 to 7 twice, or once if they yield nothing; then measure the pools again.

    A forced round that yields nothing says nothing about the rounds of triggers.
    """
    book = run.book
    for forced_now in (forced, ""):
        before = len(run.events)
        run.emit(_watch_depth(book))
        run.emit(observe(book))
        for state in book.monitored():
            run.evaluate(state)
        _run_rounds(run, forced_now)
        run.emit(_resolve_deficits(book))
        if len(run.events) == before and not forced_now:
            break
    run.emit(observe(book))


class _Step:
    """The events of one step; each event, or all fills of a round, is applied before the next."""

    def __init__(
        self,
        book: Book,
        accepted: Accepted,
        parallel_map: ParallelMap,
        plan: dict[tuple[str, Side], PlannedAllocation],
    ) -> None:
        self.book = book
        self.plan = plan
        self.parallel_map = parallel_map
        self.events: list[Event] = [accepted]
        self.check = StepCheck(book)
        self.capped: set[tuple[str, Side]] = set()
        self._evaluated: dict[str, int] = {}
        book.apply(accepted)

    def emit(self, events: Iterable[Event | FillBatch]) -> None:
        """Check, apply and collect events."""
        for event in events:
            if isinstance(event, FillBatch):
                self.check.before_fills(event)
                self.book.apply_fills(event)
                self.events += event.events
            else:
                self.check.before(event)
                self.book.apply(event, self.parallel_map)
                self.events.append(event)

    def evaluate(self, state: ContractState) -> None:
        """Evaluate a contract's triggers, unless the book is as at their last evaluation."""
        before = len(self.events)
        if self._evaluated.get(state.name) != before:
            self._evaluated[state.name] = before
            self.emit(_evaluate_all(self.book, state))

    def run_round(self, state: ContractState, side: Side, *, forced: bool) -> None:
        """Run the round of one side, unless it has had one under a cap in this step, or waits."""
        if (state.name, side) in self.capped:
            return
        planned = None if forced else self.plan.pop((state.name, side), None)
        if not forced and planned is None and state.plan_wait_ms:
            self.emit(_request_plan(self.book, state, side))
            if is_awaiting_plan(self.book, state, side):
                return
        before = len(self.events)
        self.emit(_round(self.book, state, side, forced=forced, planned=planned))
        if rule_set_of(self.book, state).ranking.cap_ppm < PPM and len(self.events) > before:
            self.capped.add((state.name, side))


def _is_idle(book: Book) -> bool:
    """Return whether steps 4 to 7 would yield nothing: no pool has anything to measure or pay."""
    if book.monitored() or book.unobserved_pools:
        return False
    return not any(pool.balance < 0 or pool.withdrawal_haircut_ppm for pool in book.pools.values())


def _net_inventory(book: Book) -> Iterator[Event]:
    """Yield the netting of long and short inventory that one pool has in one contract."""
    for state in book.monitored():
        rules = rule_set_of(book, state)
        if rules.nets_inventory and state.mark and not state.mark_unconfirmed:
            unlimited = rules.unwinds_beyond_balance
            yield from net_inventory(book.pool_of(state), state, beyond_balance=unlimited)


def _unwind(book: Book, contracts: Iterable[str]) -> Iterator[Event]:
    """Yield the unwinding of inventory into depth, as far as the pool can pay for it.

    A contract in ADL leaves its inventory to the queue.
    """
    for state in map(book.contracts.__getitem__, contracts):
        if not state.active and state.fund_pays:
            unlimited = rule_set_of(book, state).unwinds_beyond_balance
            for side in Side:
                yield from absorb(book.pool_of(state), state, side, beyond_balance=unlimited)


def _watch_depth(book: Book) -> Iterator[Event]:
    for state in book.monitored():
        if not state.mark_unconfirmed:
            yield from watch_depth(book, state)


def _evaluate_all(book: Book, state: ContractState) -> Iterator[Event]:
    """Yield the starts and stops of a contract's ADL, and warnings before a start."""
    if state.mark_unconfirmed:
        return
    for case in rule_set_of(book, state).cases:
        yield from _evaluate(book, state, case.trigger)


def _evaluate(book: Book, state: ContractState, trigger: Trigger) -> Iterator[Event]:
    evaluation = trigger.evaluate(book, state)
    if trigger.name in state.active:
        if evaluation.stops:
            yield AdlStopped(
                contract=state.name,
                pool=state.pool,
                trigger=trigger.name,
                reason=trigger.reason,
                numbers=evaluation.numbers,
            )
    elif evaluation.starts:
        yield AdlStarted(
            contract=state.name,
            pool=state.pool,
            trigger=trigger.name,
            reason=trigger.reason,
            numbers=evaluation.numbers,
        )
        if len(state.active) == 1:
            yield from unallocated_funds(book, state)
    else:
        yield from _warn(state, trigger, evaluation)


def _warn(state: ContractState, trigger: Trigger, evaluation: TriggerEvaluation) -> Iterator[Event]:
    """Yield the warning that most of a trigger is used, or that the warning is cleared."""
    warned, used_ppm = trigger.name in state.warned, evaluation.trigger_used_ppm
    if not warned and used_ppm >= WARNING_PPM:
        kind = NoticeKind.ADL_WARNING
    elif warned and used_ppm < WARNING_CLEARED_PPM:
        kind = NoticeKind.ADL_WARNING_CLEARED
    else:
        return
    numbers = evaluation.numbers
    yield Notice(kind=kind, subject=trigger.name, account="", contract=state.name, numbers=numbers)


def _run_rounds(run: "_Step", forced: str) -> None:
    """Run one round for each contract in ADL and each side of its inventory.

    Contracts take turns by the loss of their inventory, the largest first. Pools are measured and a
    contract's triggers evaluated again before each round, so that the loss of one contract closes
    nothing in another once the fund is above its stop. A paused contract, or one without a
    confirmed mark, has no rounds.
    """
    book = run.book
    for state in sorted(book.monitored(), key=_losses):
        for side in Side:
            if not state.mark or state.mark_unconfirmed:
                continue
            if state.name == forced or _closes_at_once(book, state):
                run.run_round(state, side, forced=True)
            elif state.active and not state.paused:
                run.evaluate(state)
                run.run_round(state, side, forced=False)
            run.emit(observe(book, changed_only=True))


def _closes_at_once(book: Book, state: ContractState) -> bool:
    """Return whether the fund takes no part in a contract, so that ADL closes its inventory."""
    return not state.fund_pays and not state.paused and bool(rule_set_of(book, state).cases)


def _losses(state: ContractState) -> int:
    """Return the losses of a contract's inventory at the mark in Cash, not positive."""
    return sum(min(state.inventory_pnl(side), 0) for side in Side)


def _request_plan(book: Book, state: ContractState, side: Side) -> Iterator[Event]:
    rules = rule_set_of(book, state)
    case = _case_of(book, state, side, rules, forced=False)
    if case is not None:
        yield from request_plan(book, state, side, rules, case)


def _case_of(
    book: Book, state: ContractState, side: Side, rules: RuleSet, *, forced: bool
) -> Case | None:
    """Return the case of the first active trigger that has inventory of a side to close.

    In a forced contract every trigger counts as active.
    """
    cases = [case for case in rules.cases if forced or case.trigger.name in state.active]
    closing = (case for case in cases if case.trigger.tranches(book, state, side))
    return next(closing, cases[0] if forced else None)


def _round(
    book: Book, state: ContractState, side: Side, *, forced: bool, planned: LotPolicy | None
) -> Iterator[Event | FillBatch]:
    """Yield the round of a side; one that has closed nothing runs again once its inputs change."""
    rules = rule_set_of(book, state)
    key = None if forced or planned else round_key(book, state, rules)
    if key is not None and book.idle_rounds.get((state.name, side)) == key:
        return
    case = _case_of(book, state, side, rules, forced=forced)
    is_idle = True
    if case is not None:
        for event in deleverage(book, state, side, rules, case, forced=forced, planned=planned):
            is_idle = False
            yield event
    if is_idle and key is not None:
        book.cache_idle_round(state.name, side, key)


def _resolve_deficits(book: Book) -> Iterator[Event]:
    """Yield the last resort of rule sets that have one, without a queue or with it exhausted."""
    monitored = book.monitored()
    names = {n for n, p in book.pools.items() if p.balance < 0 or p.withdrawal_haircut_ppm}
    for name in sorted(names.union(state.pool for state in monitored)):
        pool = book.pools[name]
        rules = rule_sets_of(book)[pool.definition.rules]
        members = [state for state in monitored if state.pool == name]
        if any(state.mark_unconfirmed for state in members):
            continue
        if rules.last_resort and (not rules.cases or _queue_is_exhausted(members)):
            yield from rules.last_resort.resolve(book, pool)


def _queue_is_exhausted(members: list[ContractState]) -> bool:
    """Return whether no counterparty is left to close any inventory against, or there is none."""
    exhausted = [
        bool(state.active) and side in state.exhausted
        for state in members
        for side in Side
        if state.inventory[side].tranches
    ]
    return all(exhausted)
