"""Indicators, profit ratio and risk over time, as a picture."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from delever.watch.scale import RISKS
from delever.watch.state import State
from delever.watch.store import Kept

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "indicator": "indicator (5 next)",
    "pnl_ratio": "profit ratio",
    "risk": "ADL risk",
    "state": "state",
}
"""What is drawn, by what it is called at the side."""

STATES = tuple(State)

LEAST_MS = 60_000
"""What the time axis shows at the least."""

LEGEND_INCHES = 0.19
"""What a line of a legend is high."""


def draw(kept: Sequence[Kept], kind: str) -> bytes:
    """Return the picture of a history, png or svg; panels of which nothing is kept are left out."""
    written = io.BytesIO()
    figure_of(kept).savefig(written, format=kind)
    return written.getvalue()


def figure_of(kept: Sequence[Kept]) -> "Figure":
    """Return the figure of a history; a number holds until the next, the last to the end of all."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    panels = [what for what in PANELS if any(line.what == what for line in kept)]
    series = [_series(kept, what) for what in panels]
    heights = [max(2.5, LEGEND_INCHES * (len(each) + 3)) for each in series] or [2.5]
    figure = Figure(figsize=(10, 1 + sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    times_ms = [line.at_ms for line in kept] or [0]
    end = max(times_ms)
    for axis, what, shown in zip(axes[:, 0], panels, series, strict=False):
        axis.set_ylabel(PANELS[what])
        for name, lines in shown.items():
            times = [_utc(at_ms) for at_ms in (*(line.at_ms for line in lines), end)]
            values = [_height(line) for line in (*lines, lines[-1])]
            axis.step(times, values, where="post", label=name, marker=".", markersize=3)
        _limits(axis, what, kept)
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlim(_utc(min(*times_ms, end - LEAST_MS)), _utc(end))
    axes[-1, 0].set_xlabel("time (UTC)")
    return figure


def _utc(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _series(kept: Sequence[Kept], what: str) -> dict[str, list[Kept]]:
    found: dict[str, list[Kept]] = {}
    for line in kept:
        if line.what == what:
            name = " ".join(filter(None, (line.venue, line.name, line.side)))
            found.setdefault(name, []).append(line)
    return found


def _height(line: Kept) -> float:
    return STATES.index(State(line.raw)) if line.what == "state" else line.value or 0.0


def _limits(axis, what: str, kept: Sequence[Kept]) -> None:  # type: ignore[no-untyped-def]
    """Draw the scale of a panel: every indicator and word, or where ADL starts and stops."""
    match what:
        case "indicator":
            axis.set_ylim(-0.2, 5.2)
        case "risk":
            axis.set_yticks(range(1, len(RISKS) + 1), RISKS)
        case "state":
            axis.set_yticks(range(len(STATES)), STATES)
        case "pnl_ratio":
            for limit, told, colour in _RATIOS:
                for value in sorted({line.value or 0.0 for line in kept if line.what == limit}):
                    label = f"{told} {value:g}"
                    axis.axhline(value, color=colour, linestyle="--", linewidth=1, label=label)


_RATIOS = (("start_ratio", "ADL starts", "red"), ("stop_ratio", "ADL stops", "orange"))
