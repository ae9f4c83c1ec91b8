"""The auditor checks the engine command by command and raises at the first wrong event.

An independent model predicts every event that can be predicted and checks the arithmetic of the
rest; it never reads the engine's state. Each step has the same order:

    the command's own events; liquidation and unwinding (managed pools);
    twice: depth, pools, triggers, rounds, last resort;
    pools, the events of a refresh, notices.
"""

from collections.abc import Iterable
from fractions import Fraction

import trigger_oracle
from command_oracle import answer, named, too_old
from event_reader import Reader
from loss_oracle import check_last_resorts
from model import AuditError, Contract, Model, expect, same
from pool_audit import check_all_triggers, check_depth, check_pools, is_monitored
from round_audit import check_rounds, lots_of_plan
from settlement_oracle import check_loss_shared
from takeover_audit import manage, net, settle_closed, settle_netted, take_over

from delever.core import messages as m
from delever.core.messages import Event, Reason

NoticeKey = tuple[m.NoticeKind, str, str, str]


class Auditor:
    """Check steps, one after the other.

    With `vast` amounts the engine may reject any command for its size.
    """

    def __init__(self, *, vast: bool = False) -> None:
        self.model = Model()
        self._vast = vast

    def check(
        self, command: m.Command, events: tuple[Event, ...], fault: Reason | None = None
    ) -> None:
        """Check one step; `fault` is the reason for which the command must be rejected."""
        reader = Reader(self.model, events)
        try:
            right = fault or answer(self.model, command)
            if self._vast and too_large(events):
                right = Reason.EXCEEDS_NUMERIC_RANGE
            if isinstance(command, m.AllocateAdl) and has_fault_of_plan(events):
                right = events[0].reason
            if isinstance(right, Reason):
                self._check_rejected(reader, command, right)
            else:
                self._check_accepted(reader, command, right)
            expect(not reader.rest, "unexpected event")
        except (AssertionError, LookupError, TypeError) as error:
            next_event = reader.rest[:1] or "the end"
            message = error if isinstance(error, AuditError) else repr(error)
            raise AuditError(f"{message}\n  command: {command}\n  at: {next_event}") from error

    def _check_rejected(self, reader: Reader, command: m.Command, reason: Reason) -> None:
        rejected = reader.expect_next(m.Rejected, reason)
        same("rejection reason", rejected.reason, reason)
        same("rejected command", rejected.command, command.__struct_config__.tag)
        reader.consume()
        self.model.sequence += 1

    def _check_accepted(
        self, reader: Reader, command: m.Command, right: list[Event] | None
    ) -> None:
        accepted = m.Accepted(sequence=self.model.sequence + 1, time_ms=command.time_ms)
        reader.take(accepted)
        if isinstance(command, m.Takeover):
            rows = named(self.model, command)
            price = command.price
            ticks = None if price is None else int(Fraction(price) / rows[0][0].tick)
            netted = [] if command.side else net(reader, command.account, rows)
            if rows := named(self.model, command):
                take_over(reader, command.account, rows, ticks, Reason.VENUE_TAKEOVER)
            settle_netted(reader, command.account, netted)
        for event in right or []:
            reader.take(event)
        settle_closed(reader, right or [])
        if isinstance(command, m.SettleContract):
            check_loss_shared(reader, command)
        for event in too_old(self.model):
            reader.take(event)
        manage(reader, takes_over=not isinstance(command, m.AmendContract | m.AmendPool))
        if isinstance(command, m.AllocateAdl):
            reader.plan = lots_of_plan(self.model, command)
        forced = command.contract if isinstance(command, m.ForceAdl) else ""
        for forced_now in (forced, ""):
            check_depth(reader)
            check_pools(reader)
            check_all_triggers(reader)
            check_rounds(reader, forced_now)
            check_last_resorts(reader)
        same("rounds of the plan that did not run", reader.plan, {})
        check_pools(reader)
        _check_rerated(reader)
        _check_refresh(reader, command)
        _check_notices(reader)


PLAN_FAULTS = {
    Reason.PLAN_NOT_AWAITED,
    Reason.PLAN_EXCEEDS_ROUND,
    Reason.PLAN_EXCEEDS_POSITION,
    Reason.PRICE_BEYOND_PLAN_LIMIT,
    Reason.COUNTERPARTY_INELIGIBLE,
}


def has_fault_of_plan(events: tuple[Event, ...]) -> bool:
    """Return whether the rounds of a plan disproved it; the auditor checks those of valid plans."""
    first = events[0]
    return isinstance(first, m.Rejected) and first.reason in PLAN_FAULTS


def too_large(events: tuple[Event, ...]) -> bool:
    """Return whether a command was rejected for its size."""
    first = events[0]
    return isinstance(first, m.Rejected) and first.reason is Reason.EXCEEDS_NUMERIC_RANGE


def _check_rerated(reader: Reader) -> None:
    """Expect new ratings of rated contracts that switched or passed a tenth of a trigger."""
    model = reader.model
    switches = (m.AdlStarted, m.AdlStopped, m.ContractAmended)
    switched = {event.contract for event in reader.events if isinstance(event, switches)}
    amended = {event.pool for event in reader.events if isinstance(event, m.PoolAmended)}
    switched |= {c.name for c in model.contracts.values() if c.pool in amended}
    names = [
        contract.name
        for contract in model.contracts.values()
        if contract.rated_used is not None
        and (contract.name in switched or _passed_a_tenth(model, contract))
    ]
    if not names:
        return
    rated = reader.expect_next(m.RatingsSet, "rated again").ratings
    same("contracts rated again", [rating.contract for rating in rated], names)
    for rating in rated:
        contract = model.contracts[rating.contract]
        same("trigger used", rating.trigger_used_ppm, _used_ppm(model, contract))
        if contract.active:
            same("level in ADL", rating.level, m.RiskLevel.EXTREMELY_HIGH)
    reader.consume()


def _passed_a_tenth(model: Model, contract: Contract) -> bool:
    if not is_monitored(model, contract):
        return False
    assert contract.rated_used is not None
    used, tenth = _used_ppm(model, contract), contract.rated_used // 10**5 * 10**5
    return used >= tenth + 10**5 or used < tenth - 20_000


def _used_ppm(model: Model, contract: Contract) -> int:
    triggers = trigger_oracle.TRIGGERS[model.pools[contract.pool].venue]
    used = [trigger_oracle.evaluate(model, contract, trigger).used for trigger in triggers]
    return int(min(max([Fraction(0), *used]), Fraction(1)) * 10**6)


def _check_refresh(reader: Reader, command: m.Command) -> None:
    """Check that ratings and indicators are as of now and cover every contract with a mark."""
    model = reader.model
    marked = [contract for contract in model.contracts.values() if contract.mark]
    if isinstance(command, m.RefreshRatings):
        rated = reader.expect_next(m.RatingsSet, "ratings").ratings
        open_ = [contract for contract in marked if contract.status != "settled"]
        same("contracts rated", [rating.contract for rating in rated], [c.name for c in open_])
        for rating, contract in zip(rated, open_, strict=True):
            same("rated as of", (rating.as_of, rating.time_ms), (model.sequence, model.time_ms))
            balance = model.pools[contract.pool].balance
            same("fund rated", rating.parts[0].numbers["balance_cash"], balance)
        reader.consume()
    elif isinstance(command, m.RefreshIndicators):
        published = reader.expect_next(m.IndicatorsPublished, "indicators")
        as_of = (published.as_of, published.time_ms)
        same("indicators as of", as_of, (model.sequence, model.time_ms))
        sides = [(c.name, side, len(c.positions[side])) for c in marked for side in m.Side]
        found = [(table.contract, table.side, table.positions) for table in published.tables]
        same("sides published", found, sides)
        reader.consume()


def _check_notices(reader: Reader) -> None:
    """Expect the notices of the step: the operator's in order of events, then each account's."""
    for key, sums in _due_notices(reader.events):
        event = reader.expect_next(m.Notice, key)
        same("notice", (event.kind, event.subject, event.account, event.contract), key)
        if sums:
            found = (event.numbers["lots"], event.numbers["realized_pnl_cash"])
            same("sums of a notice", found, sums)
        reader.consume()


def _due_notices(events: Iterable[Event]) -> list[tuple[NoticeKey, tuple[int, int] | None]]:
    due: list[tuple[NoticeKey, tuple[int, int] | None]] = []
    closed: dict[tuple[str, str], list[m.AdlFilled]] = {}
    for event in events:
        match event:
            case m.AdlStarted():
                due.append(((m.NoticeKind.ADL_STARTED, event.trigger, "", event.contract), None))
            case m.AdlStopped():
                due.append(((m.NoticeKind.ADL_STOPPED, event.trigger, "", event.contract), None))
            case m.MarkUnconfirmed():
                kind = m.NoticeKind.MARK_UNCONFIRMED
                due.append(((kind, event.reason, "", event.contract), None))
            case m.MarkConfirmed():
                due.append(((m.NoticeKind.MARK_CONFIRMED, "", "", event.contract), None))
            case m.Compensated():
                kind = m.NoticeKind.ACCOUNT_COMPENSATED
                due.append(((kind, "", event.account, event.contract), None))
            case m.AdlExhausted():
                due.append(((m.NoticeKind.ADL_EXHAUSTED, event.reason, "", event.contract), None))
            case m.AdlFilled():
                closed.setdefault((event.account, event.contract), []).append(event)
    for (account, contract), fills in sorted(closed.items()):
        sums = (sum(f.lots for f in fills), sum(f.realized_pnl_cash for f in fills))
        kind = m.NoticeKind.POSITION_DELEVERAGED
        due.append(((kind, fills[0].price_rule, account, contract), sums))
    return due
