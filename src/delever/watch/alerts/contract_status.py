"""The ADL status of one contract at one venue: calm, watch, adl, stopped or stale.

Pure: observations and the time are arguments, the next status is the result. Active ADL is latched:
it stays active while the venue cannot be read, until the venue's own stop.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from delever.core.units import div_floor
from delever.watch.market_data.observations import (
    DrawdownObservation,
    FillObservation,
    IndicatorObservation,
    Observation,
    RiskObservation,
    WarningObservation,
)

WATCH_SHARE = Decimal("0.8")
"""Assumed: a contract is in the state watch once 80 % of its drawdown trigger is used."""

HIGH_RISK, HIGH_INDICATOR = 3, 4
FILL_MS = 60_000
"""How long an ADL fill of the account implies active ADL, if the venue does not report it."""


NO_FILL = f"no fill for {div_floor(FILL_MS, 1000)} s; the venue does not report the end of ADL"


class AdlState(StrEnum):
    """The ADL state of a contract."""

    CALM = "calm"
    WATCH = "watch"
    ADL = "adl"
    STOPPED = "stopped"
    STALE = "stale"


class ContractStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A contract's state, since when, and the reason.

    `adl_active` is latched; `venue_reported` is set if the venue itself reported the ADL, and not a
    fill of the account; `stopped_ms` is when ADL last stopped. `stop_inferred` is set if no venue
    has reported that stop: there has been no fill for FILL_MS, which is all that is known.
    """

    venue: str
    contract: str
    state: AdlState
    since_ms: int
    reason: str
    adl_active: bool = False
    venue_reported: bool = False
    stopped_ms: int | None = None
    stop_inferred: bool = False

    @property
    def label(self) -> str:
        """The state as it is displayed."""
        inferred = self.state is AdlState.STOPPED and self.stop_inferred
        return "no fill" if inferred else str(self.state)


def next_status(
    before: ContractStatus | None,
    observations: Sequence[Observation],
    now_ms: int,
    stopped_for_ms: int,
) -> ContractStatus:
    """Return a contract's status from all its observations (at least one)."""
    fresh = [observation for observation in observations if not observation.is_stale(now_ms)]
    stale = [observation for observation in observations if observation.is_stale(now_ms)]
    blind = any(isinstance(each, DrawdownObservation | WarningObservation) for each in stale)
    was_reported = before is not None and before.venue_reported
    reported, reason = _venue_report(fresh, was_reported=was_reported, blind=blind)
    stopped_ms = now_ms if was_reported and not reported else before.stopped_ms if before else None
    fill_reason = _recent_fill(fresh, now_ms, stopped_ms)
    active = reported or bool(fill_reason)
    inferred = before is not None and before.stop_inferred and not (was_reported and not reported)
    if before is not None and before.adl_active and not active:
        stopped_ms, inferred = now_ms, not was_reported
    stop_text = NO_FILL if inferred else "ADL has stopped"
    signs = "; ".join(_signs(fresh))
    if stale:
        state, reason = AdlState.STALE, "; ".join(f"no new {each.kind}" for each in stale)
    elif active:
        state, reason = AdlState.ADL, reason if reported else fill_reason
    elif stopped_ms is not None and now_ms - stopped_ms < stopped_for_ms:
        state, reason = AdlState.STOPPED, "; ".join(filter(None, (stop_text, signs)))
    else:
        state, reason = (AdlState.WATCH, signs) if signs else (AdlState.CALM, "")
    same = before is not None and before.state is state
    return ContractStatus(
        venue=observations[0].venue,
        contract=observations[0].name,
        state=state,
        since_ms=before.since_ms if before is not None and same else now_ms,
        reason=reason,
        adl_active=active,
        venue_reported=reported,
        stopped_ms=stopped_ms,
        stop_inferred=inferred,
    )


def _venue_report(
    fresh: Sequence[Observation], *, was_reported: bool, blind: bool
) -> tuple[bool, str]:
    """Return whether the venue reports ADL, and the reason; without a fresh report, as before."""
    for observation in fresh:
        match observation:
            case DrawdownObservation() if observation.meets_start or (
                was_reported and not observation.meets_stop
            ):
                return True, _drawdown_text(observation)
            case WarningObservation(state="adl"):
                return True, "reported by the venue"
    return was_reported and blind, "as last observed"


def _recent_fill(fresh: Sequence[Observation], now_ms: int, stopped_ms: int | None) -> str:
    """Return the text of an ADL fill of the last FILL_MS and after the last stop, or ""."""
    since_ms = max(now_ms - FILL_MS, stopped_ms or 0)
    for observation in fresh:
        if isinstance(observation, FillObservation) and observation.venue_time_ms > since_ms:
            return f"ADL closed {observation.quantity} of the account's {observation.side}"
    return ""


def _drawdown_text(observation: DrawdownObservation) -> str:
    if observation.balance <= 0:
        return f"the fund's balance is {observation.balance} {observation.asset}"
    if observation.start_ratio is None:
        return f"fund balance {observation.balance} (no drawdown rule)"
    ratios = f"start {observation.start_ratio}, stop {observation.stop_ratio}"
    return f"PnL ratio {observation.pnl_ratio} ({ratios})"


def _signs(fresh: Sequence[Observation]) -> Iterator[str]:
    """Yield the reasons to watch a contract."""
    for observation in fresh:
        match observation:
            case DrawdownObservation() if (
                observation.is_armed
                and observation.start_ratio is not None
                and observation.start_ratio < 0
                and observation.pnl_ratio <= observation.start_ratio * WATCH_SHARE
            ):
                yield f"near ADL: {_drawdown_text(observation)}"
            case WarningObservation(state="warning"):
                yield "warning of the venue"
            case RiskObservation() if observation.level >= HIGH_RISK:
                yield f"risk {observation.raw}"
            case IndicatorObservation() if observation.indicator >= HIGH_INDICATOR:
                yield f"indicator {observation.indicator} of the {observation.side}"
