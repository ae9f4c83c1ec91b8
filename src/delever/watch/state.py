"""The state of one contract at one venue: calm, watch, adl, stopped or stale.

Pure: what has been read and the time come in, the next situation comes out. What is latched (ADL is
on until the venue's own stop) outlives a time in which nothing could be read.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from delever.watch.reading import Drawdown, Fill, IndicatorReading, Reading, Risk, Warned

NEAR_TENTHS = Decimal("0.8")
"""Assumed: at 80 % of the way to the start of ADL a contract is worth watching."""

HIGH_RISK, HIGH_INDICATOR = 3, 4
FILL_MS = 60_000
"""How long an ADL fill of the account shows that ADL is on, where the venue says nothing of it."""


class State(StrEnum):
    """What is to be thought of a contract."""

    CALM = "calm"
    WATCH = "watch"
    ADL = "adl"
    STOPPED = "stopped"
    STALE = "stale"


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """A contract's state, since when, and why.

    What is remembered: whether ADL is `on`, whether the venue itself has `told` so (else a fill of
    the account has), and when it last stopped.
    """

    venue: str
    contract: str
    state: State
    since_ms: int
    why: str
    on: bool = False
    told: bool = False
    stopped_ms: int | None = None


def judge(
    before: Situation | None, read: Sequence[Reading], now_ms: int, stopped_for_ms: int
) -> Situation:
    """Return a contract's situation from everything that was read of it (at least one reading)."""
    fresh = [reading for reading in read if not reading.stale(now_ms)]
    late = [reading for reading in read if reading.stale(now_ms)]
    blind = any(isinstance(reading, Drawdown | Warned) for reading in late)
    told, why_on = _told(fresh, was_on=before is not None and before.told, blind=blind)
    ended = before is not None and before.told and not told
    stopped_ms = now_ms if ended else before.stopped_ms if before else None
    hit = _hit(fresh, now_ms, stopped_ms)
    on, why_on = told or bool(hit), why_on if told else hit
    if before is not None and before.on and not on:
        stopped_ms = now_ms
    signs = "; ".join(_signs(fresh))
    if late:
        state, why = State.STALE, "; ".join(map(_what, late))
    elif on:
        state, why = State.ADL, why_on
    elif stopped_ms is not None and now_ms - stopped_ms < stopped_for_ms:
        state, why = State.STOPPED, "; ".join(filter(None, ("ADL has ended", signs)))
    else:
        state, why = (State.WATCH, signs) if signs else (State.CALM, "")
    same = before is not None and before.state is state
    return Situation(
        venue=read[0].venue,
        contract=read[0].name,
        state=state,
        since_ms=before.since_ms if before is not None and same else now_ms,
        why=why,
        on=on,
        told=told,
        stopped_ms=stopped_ms,
    )


def _told(fresh: Sequence[Reading], *, was_on: bool, blind: bool) -> tuple[bool, str]:
    """Return whether the venue says that ADL is on; where its word is missing, as it was."""
    for reading in fresh:
        match reading:
            case Drawdown() if reading.starts or (was_on and not reading.stops):
                return True, _drawdown(reading)
            case Warned(state="adl"):
                return True, "the venue says so"
    return was_on and blind, "as last read"


def _hit(fresh: Sequence[Reading], now_ms: int, stopped_ms: int | None) -> str:
    """Return what ADL has just closed, or nothing; what came before a stop says nothing new."""
    since_ms = max(now_ms - FILL_MS, stopped_ms or 0)
    for reading in fresh:
        if isinstance(reading, Fill) and reading.of_ms > since_ms:
            return f"ADL closed {reading.quantity} of the account's {reading.side}"
    return ""


def _drawdown(reading: Drawdown) -> str:
    if reading.balance <= 0:
        return f"the pool's balance is {reading.balance} {reading.asset}"
    ratios = f"start {reading.start_ratio}, stop {reading.stop_ratio}"
    return f"profit ratio {reading.pnl_ratio} ({ratios})"


def _signs(fresh: Sequence[Reading]) -> Iterator[str]:
    """Yield why a contract is worth watching."""
    for reading in fresh:
        match reading:
            case Drawdown() if (
                reading.armed
                and reading.start_ratio < 0
                and reading.pnl_ratio <= reading.start_ratio * NEAR_TENTHS
            ):
                yield f"near ADL: {_drawdown(reading)}"
            case Warned(state="warning"):
                yield "the venue warns"
            case Risk() if reading.level >= HIGH_RISK:
                yield f"risk {reading.raw}"
            case IndicatorReading() if reading.indicator >= HIGH_INDICATOR:
                yield f"indicator {reading.indicator} of the {reading.side}"


def _what(reading: Reading) -> str:
    return f"no new {reading.kind}"
