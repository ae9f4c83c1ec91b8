"""Follows the engine command by command and raises where it has given a wrong answer.

An independent model foretells every event that can be foretold and checks the arithmetic of the
rest; it never looks at the engine's own state. One step has one shape:

    what the command says; liquidation and unwinding (managed pools);
    twice: depth watched, pools observed, triggers read, rounds;
    pools observed, what a refresh publishes, notices.
"""

from collections.abc import Iterable
from fractions import Fraction

import observing
from admission import answer, named
from model import AuditError, Contract, Model, expect, same
from reader import Reader
from rounds import play_rounds
from takeovers import manage, take_over

from delever.core import messages as m
from delever.core.messages import Event, Reason

Told = tuple[m.NoticeKind, str, str, str]


class Auditor:
    """Judges steps, one after the other.

    `vast` amounts may be rejected for their size, whatever else would be right.
    """

    def __init__(self, *, vast: bool = False) -> None:
        self.model = Model()
        self._vast = vast

    def check(
        self, command: m.Command, events: tuple[Event, ...], fault: Reason | None = None
    ) -> None:
        """Judge one step; `fault` is the reason for which the command must be rejected."""
        reader = Reader(self.model, events)
        try:
            right = fault or answer(self.model, command)
            if self._vast and too_large(events):
                right = Reason.EXCEEDS_NUMERIC_RANGE
            if isinstance(right, Reason):
                self._refused(reader, command, right)
            else:
                self._accepted(reader, command, right)
            expect(not reader.rest, "an event too many")
        except (AssertionError, LookupError, TypeError) as error:
            here = reader.rest[:1] or "the end"
            what = error if isinstance(error, AuditError) else repr(error)
            raise AuditError(f"{what}\n  command: {command}\n  at: {here}") from error

    def _refused(self, reader: Reader, command: m.Command, reason: Reason) -> None:
        rejected = reader.see(m.Rejected, reason)
        same("reason of refusal", rejected.reason, reason)
        same("rejected command", rejected.command, command.__struct_config__.tag)
        reader.do()
        self.model.sequence += 1

    def _accepted(self, reader: Reader, command: m.Command, right: list[Event] | None) -> None:
        accepted = m.Accepted(sequence=self.model.sequence + 1, time_ms=command.time_ms)
        reader.take(accepted)
        if isinstance(command, m.Takeover):
            rows = named(self.model, command)
            price = command.price
            ticks = None if price is None else int(Fraction(price) / rows[0][0].tick)
            take_over(reader, command.account, rows, ticks, Reason.VENUE_TAKEOVER)
        for event in right or []:
            reader.take(event)
        manage(reader)
        forced = command.contract if isinstance(command, m.ForceAdl) else ""
        for each_forced in (forced, ""):
            _watch_depth(reader)
            _observe(reader)
            _read_triggers(reader)
            play_rounds(reader, each_forced)
        _observe(reader)
        _read_refresh(reader, command)
        _read_notices(reader)


def too_large(events: tuple[Event, ...]) -> bool:
    """Whether a command was rejected for its size."""
    first = events[0]
    return isinstance(first, m.Rejected) and first.reason is Reason.EXCEEDS_NUMERIC_RANGE


def _watch_depth(reader: Reader) -> None:
    for contract in reader.model.contracts.values():
        if contract.depth_known:
            for side, missing in observing.depth_is_missing(reader.model, contract).items():
                if missing != (contract.missing_since[side] is not None):
                    name = contract.name
                    reader.take(m.DepthWatched(contract=name, side=side, missing=missing))


def _observe(reader: Reader) -> None:
    """Every pool whose numbers have changed says so; its peaks are made of that."""
    for name, pool in sorted(reader.model.pools.items()):
        members = [c for c in reader.model.members(name) if _counts(reader.model, c)]
        seen = m.PoolObserved(
            pool=name,
            balance_cash=pool.balance,
            equity_cash=reader.model.pool_equity(name),
            contracts=tuple(c.name for c in members),
            contract_pnl_cash=tuple(c.pool_profit for c in members),
        )
        if seen != pool.observed:
            reader.take(seen)


def _read_refresh(reader: Reader, command: m.Command) -> None:
    """What is published says as of when it holds, and speaks of every contract with a mark."""
    model = reader.model
    marked = [contract for contract in model.contracts.values() if contract.mark]
    if isinstance(command, m.RefreshRatings):
        rated = reader.see(m.RatingsSet, "ratings").ratings
        same("contracts rated", [rating.contract for rating in rated], [c.name for c in marked])
        for rating, contract in zip(rated, marked, strict=True):
            same("rated as of", (rating.as_of, rating.time_ms), (model.sequence, model.time_ms))
            balance = model.pools[contract.pool].balance
            same("fund rated", rating.parts[0].numbers["balance_cash"], balance)
        reader.do()
    elif isinstance(command, m.RefreshIndicators):
        shown = reader.see(m.IndicatorsPublished, "indicators")
        same("indicators as of", (shown.as_of, shown.time_ms), (model.sequence, model.time_ms))
        tables = [(c.name, side, len(c.positions[side])) for c in marked for side in m.Side]
        same("tables shown", [(e.contract, e.side, e.positions) for e in shown.tables], tables)
        reader.do()


def _counts(model: Model, contract: Contract) -> bool:
    """Whether a contract has ever had to do with its pool."""
    if contract.has_inventory or contract.realized or contract.injected:
        return True
    waits = any(ms is not None for ms in contract.missing_since.values())
    if contract.active or contract.near or waits:
        return True
    return contract.name in model.pools[contract.pool].counted


def _read_triggers(reader: Reader) -> None:
    model = reader.model
    for contract in model.contracts.values():
        if not _counts(model, contract):
            continue
        for trigger in observing.TRIGGERS[model.pools[contract.pool].told.rules]:
            reading = observing.read(model, contract, trigger)
            if trigger in contract.active:
                if reading.stops:
                    _switch(reader, m.AdlStopped, contract, trigger)
            elif reading.starts:
                _switch(reader, m.AdlStarted, contract, trigger)
            elif trigger not in contract.near and reading.progress >= observing.WARN:
                _warn(reader, m.NoticeKind.ADL_WARNING, contract, trigger)
            elif trigger in contract.near and reading.progress < observing.CALM:
                _warn(reader, m.NoticeKind.ADL_WARNING_CLEARED, contract, trigger)


def _switch(
    reader: Reader, kind: type[m.AdlStarted | m.AdlStopped], contract: Contract, trigger: str
) -> None:
    event = reader.see(kind, contract.name, trigger)
    told = (event.contract, event.pool, event.trigger, event.reason)
    same("switch", told, (contract.name, contract.pool, trigger, observing.REASONS[trigger]))
    reader.do()


def _warn(reader: Reader, kind: m.NoticeKind, contract: Contract, trigger: str) -> None:
    event = reader.see(m.Notice, kind, contract.name, trigger)
    told = (event.kind, event.subject, event.account, event.contract)
    same("warning", told, (kind, trigger, "", contract.name))
    reader.do()


def _read_notices(reader: Reader) -> None:
    """Who must be told of the step: the operator in order of events, then each account."""
    for told, sums in _due(reader.events):
        event = reader.see(m.Notice, told)
        same("notice", (event.kind, event.subject, event.account, event.contract), told)
        if sums:
            same("sums told", (event.numbers["lots"], event.numbers["realized_pnl_cash"]), sums)
        reader.do()


def _due(events: Iterable[Event]) -> list[tuple[Told, tuple[int, int] | None]]:
    due: list[tuple[Told, tuple[int, int] | None]] = []
    closed: dict[tuple[str, str], list[m.AdlFilled]] = {}
    for event in events:
        match event:
            case m.AdlStarted():
                due.append(((m.NoticeKind.ADL_STARTED, event.trigger, "", event.contract), None))
            case m.AdlStopped():
                due.append(((m.NoticeKind.ADL_STOPPED, event.trigger, "", event.contract), None))
            case m.AdlExhausted():
                due.append(((m.NoticeKind.ADL_EXHAUSTED, event.reason, "", event.contract), None))
            case m.AdlFilled():
                closed.setdefault((event.account, event.contract), []).append(event)
    for (account, contract), fills in sorted(closed.items()):
        sums = (sum(f.lots for f in fills), sum(f.realized_pnl_cash for f in fills))
        kind = m.NoticeKind.POSITION_DELEVERAGED
        due.append(((kind, fills[0].price_rule, account, contract), sums))
    return due
