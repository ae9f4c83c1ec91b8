"""Lights, profit ratio and risk over time, as a picture."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime

from delever.watch.scale import RISKS
from delever.watch.state import State
from delever.watch.store import Kept

PANELS = {
    "light": "light (5 next)",
    "pnl_ratio": "profit ratio",
    "risk": "ADL risk",
    "state": "state",
}
"""What is drawn, by what it is called at the side."""

STATES = tuple(State)


def draw(kept: Sequence[Kept], kind: str) -> bytes:
    """Return the picture of a history, png or svg; panels of which nothing is kept are left out."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    panels = [what for what in PANELS if any(line.what == what for line in kept)]
    figure = Figure(figsize=(10, 1 + 2.5 * max(len(panels), 1)), layout="constrained")
    axes = figure.subplots(max(len(panels), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axis, what in zip(axes, panels, strict=False):
        axis.set_ylabel(PANELS[what])
        for name, lines in _series(kept, what).items():
            times = [datetime.fromtimestamp(line.at_ms / 1000, UTC) for line in lines]
            axis.step(times, [_height(line) for line in lines], where="post", label=name)
        _limits(axis, what, kept)
        axis.legend(loc="upper left", fontsize="small")
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("time (UTC)")
    written = io.BytesIO()
    figure.savefig(written, format=kind)
    return written.getvalue()


def _series(kept: Sequence[Kept], what: str) -> dict[str, list[Kept]]:
    found: dict[str, list[Kept]] = {}
    for line in kept:
        if line.what == what:
            found.setdefault(" ".join(filter(None, (line.venue, line.name, line.side))), []).append(
                line
            )
    return found


def _height(line: Kept) -> float:
    return STATES.index(State(line.raw)) if line.what == "state" else line.value or 0.0


def _limits(axis, what: str, kept: Sequence[Kept]) -> None:  # type: ignore[no-untyped-def]
    """Draw the scale of a panel: every light and word, or where ADL starts and stops."""
    match what:
        case "light":
            axis.set_ylim(-0.2, 5.2)
        case "risk":
            axis.set_yticks(range(1, len(RISKS) + 1), RISKS)
        case "state":
            axis.set_yticks(range(len(STATES)), STATES)
        case "pnl_ratio":
            for limit, colour in (("start_ratio", "red"), ("stop_ratio", "orange")):
                for value in {line.value for line in kept if line.what == limit}:
                    axis.axhline(value, color=colour, linestyle="--", linewidth=1)
