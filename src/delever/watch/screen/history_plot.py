"""A plot of the history: indicators, PnL ratio, risk and state over time."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from delever.watch.alerts.contract_status import AdlState
from delever.watch.market_data.indicator_scale import RISKS
from delever.watch.store import HistoryRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "indicator": "indicator (5 next)",
    "pnl_ratio": "PnL ratio",
    "risk": "ADL risk",
    "state": "state",
}
"""The panels by metric, with their axis labels."""

STATES = tuple(AdlState)

MIN_SPAN_MS = 60_000
"""The shortest span of the time axis."""

LEGEND_INCHES = 0.19
"""The height of a line of a legend."""


def draw(records: Sequence[HistoryRecord], kind: str) -> bytes:
    """Return the plot of a history as png or svg; panels without records are left out."""
    image = io.BytesIO()
    figure_of(records).savefig(image, format=kind)
    return image.getvalue()


def figure_of(records: Sequence[HistoryRecord]) -> "Figure":
    """Return the figure of a history; a value lasts until the next, the last one to the end."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    panels = [metric for metric in PANELS if any(record.metric == metric for record in records)]
    panel_series = [_series(records, metric) for metric in panels]
    heights = [max(2.5, LEGEND_INCHES * (len(series) + 3)) for series in panel_series] or [2.5]
    figure = Figure(figsize=(10, 1 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    times_ms = [record.at_ms for record in records] or [0]
    end = max(times_ms)
    for axis, metric, series in zip(axes[:, 0], panels, panel_series, strict=False):
        axis.set_ylabel(PANELS[metric])
        for name, own in series.items():
            times = [_utc(at_ms) for at_ms in (*(record.at_ms for record in own), end)]
            values = [_value(record) for record in (*own, own[-1])]
            axis.step(times, values, where="post", label=name, marker=".", markersize=3)
        _limits(axis, metric, records)
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlim(_utc(min(*times_ms, end - MIN_SPAN_MS)), _utc(end))
    axes[-1, 0].set_xlabel("time (UTC)")
    return figure


def _utc(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _series(records: Sequence[HistoryRecord], metric: str) -> dict[str, list[HistoryRecord]]:
    found: dict[str, list[HistoryRecord]] = {}
    for record in records:
        if record.metric == metric:
            name = " ".join(filter(None, (record.venue, record.name, record.side)))
            found.setdefault(name, []).append(record)
    return found


def _value(record: HistoryRecord) -> float:
    if record.metric == "state":
        return STATES.index(AdlState(record.raw))
    return record.value or 0.0


def _limits(axis, metric: str, records: Sequence[HistoryRecord]) -> None:  # type: ignore[no-untyped-def]
    """Set a panel's scale: all indicators, labels or states, or the start and stop of ADL."""
    match metric:
        case "indicator":
            axis.set_ylim(-0.2, 5.2)
        case "risk":
            axis.set_yticks(range(1, len(RISKS) + 1), RISKS)
        case "state":
            axis.set_yticks(range(len(STATES)), STATES)
        case "pnl_ratio":
            for limit, text, color in _RATIOS:
                for value in sorted({r.value or 0.0 for r in records if r.metric == limit}):
                    label = f"{text} {value:g}"
                    axis.axhline(value, color=color, linestyle="--", linewidth=1, label=label)


_RATIOS = (("start_ratio", "ADL starts", "red"), ("stop_ratio", "ADL stops", "orange"))
