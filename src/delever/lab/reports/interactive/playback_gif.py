"""The playback of a crash as an animated GIF: mark, fund, and the queue under up to two variants.

It is drawn with Pillow, which the extra `plot` brings, from the frames of the playback and for the
contract side of most closed accounts.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from delever.formatting import count
from delever.lab.reports.interactive.playback import playback
from delever.lab.reports.interactive.recording import Recording

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

WIDTH, MARGIN = 900, 20
TOP, CHART, BAR = 112, 100, 62
CHART_STEP = CHART + 34
"""Height of a chart with its heading."""

QUEUE_STEP = BAR + 64
"""Height of a variant: its heading, the queue, and the fund's inventory below it."""

MAX_VARIANTS = 2
MAX_LINE = 105
"""Characters of a line of the sentence, which has at most two lines."""

LEGEND = (
    "The queue, closed next at the left, darker with a higher ADL indicator; red: closed at this "
    "moment; pale red: before; amber: the fund's inventory"
)

FRAME_MS, LAST_FRAME_MS = 220, 3_000
COLORS_OF_GIF = 64

_INK, _QUIET, _LINE, _PAPER = "#17212b", "#566573", "#dbe1e6", "#fbfcfd"
_BLUE, _RED, _AMBER, _CLOSED, _SHADE = "#2f6fde", "#c9302c", "#b06f00", "#efc1bf", "#f8e3e2"
_INDICATORS = ("#dbe6f7", "#dbe6f7", "#b4cdf2", "#83acea", "#4f88e2", "#2057b5")


def playback_gif(recordings: Sequence[Recording], title: str) -> bytes:
    """Return an animated GIF of the first recordings, the queue of each below the charts.

    Raises InputError if ADL closed nothing under any of the recordings.

        >>> from delever.lab.reports.interactive.recording import record_commands
        >>> from delever.lab.runs.scenario import read_scenario
        >>> playback_gif(record_commands(read_scenario("examples/crash.ndjson")), "Crash")[:6]
        b'GIF89a'
    """
    from PIL.Image import Dither  # noqa: PLC0415 - of an extra

    data = playback(recordings)
    film = _Film(title, data, data["variants"][:MAX_VARIANTS])
    palette = film.palette()
    moments = range(len(data["times"]))
    first, *others = (
        film.picture(at).quantize(palette=palette, dither=Dither.NONE) for at in moments
    )
    written = io.BytesIO()
    first.save(
        written,
        "GIF",
        save_all=True,
        append_images=others,
        duration=[*[FRAME_MS] * len(others), LAST_FRAME_MS],
        loop=0,
    )
    return written.getvalue()


@dataclass(frozen=True, slots=True)
class _Film:
    """The playback's data, and the variants that are drawn."""

    title: str
    data: dict[str, Any]
    variants: Sequence[dict[str, Any]]

    def picture(self, at: int) -> "Image":
        """Return the picture of a moment."""
        from PIL import Image, ImageDraw  # noqa: PLC0415 - of an extra

        height = TOP + 2 * CHART_STEP + len(self.variants) * QUEUE_STEP + MARGIN
        image = Image.new("RGB", (WIDTH, height), _PAPER)
        canvas = ImageDraw.Draw(image)
        self._heading(canvas, at)
        side = self.data["sides"][0]
        sides = [frame["sides"][0] for frame in self.variants[0]["frames"]]
        funds = [frame["funds"].get(side["pool"]) for frame in self.variants[0]["frames"]]
        marks = [one["mark"] for one in sides]
        equity = [None if fund is None else fund[0] for fund in funds]
        is_on = [bool(one.get("on")) for one in sides]
        name = f"Mark of {side['contract']}"
        _chart(canvas, TOP, name, marks, is_on, at, _BLUE)
        name = f"Equity of insurance fund {side['pool']}, {side['asset']}"
        _chart(canvas, TOP + CHART_STEP, name, equity, is_on, at, _AMBER)
        scale = (WIDTH - 2 * MARGIN) / self._span()
        for number, variant in enumerate(self.variants):
            y = TOP + 2 * CHART_STEP + number * QUEUE_STEP
            _queue(canvas, y, variant, side, at, scale)
        _text(canvas, MARGIN, height - 10, LEGEND, 12, _QUIET)
        return image

    def palette(self) -> "Image":
        """Return the colors of every picture, those of the last picture and all that are drawn."""
        from PIL import ImageDraw  # noqa: PLC0415 - of an extra

        image = self.picture(len(self.data["times"]) - 1)
        canvas = ImageDraw.Draw(image)
        for number, color in enumerate((*_INDICATORS, _RED, _AMBER, _CLOSED, _SHADE, _BLUE)):
            canvas.rectangle((40 * number, 0, 40 * number + 39, 39), fill=color)
        return image.quantize(COLORS_OF_GIF)

    def _heading(self, canvas: "ImageDraw", at: int) -> None:
        _text(canvas, MARGIN, 30, self.title, 19, _INK)
        _text(canvas, MARGIN, 52, self.data["times"][at], 13, _QUIET)
        text = self.variants[0]["frames"][at]["text"]
        lines = wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), MAX_LINE, max_lines=2)
        for number, line in enumerate(lines):
            spaced = line.replace("\N{NO-BREAK SPACE}", " ")  # which the font lacks
            _text(canvas, MARGIN, 74 + 18 * number, spaced, 15, _INK)

    def _span(self) -> float:
        """Return the quantity that the picture spans: half as much again as ADL could reach."""
        lot = self.data["sides"][0]["lot"]
        sides = (frame["sides"][0] for one in self.variants for frame in one["frames"])
        reach = max(one.get("closed", 0) + one.get("inventory", 0) * lot for one in sides)
        return max(1.5 * float(reach), float(lot))


def _chart(
    canvas: "ImageDraw",
    y: int,
    name: str,
    values: Sequence[float | None],
    is_on: Sequence[bool],
    at: int,
    color: str,
) -> None:
    """Draw a line over time, the moments to come pale, and the time of ADL shaded."""
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    step = (WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)
    top, bottom = y + 24, y + 24 + CHART
    canvas.rectangle((MARGIN, top, WIDTH - MARGIN, bottom), fill="#ffffff", outline=_LINE)
    for number in (number for number, on in enumerate(is_on) if on and number):
        x = MARGIN + number * step
        canvas.rectangle((x - step, top + 1, x, bottom - 1), fill=_SHADE)
    points = [
        (MARGIN + number * step, bottom - 6 - (CHART - 12) * (value - low) / (high - low or 1))
        for number, value in enumerate(values)
        if value is not None
    ]
    past = points[: at + 1 - (len(values) - len(points))]
    if len(points) > 1:
        canvas.line(points, fill=_LINE, width=2)
    if len(past) > 1:
        canvas.line(past, fill=color, width=3)
    if past:
        x, height = past[-1]
        canvas.ellipse((x - 4, height - 4, x + 4, height + 4), fill=color)
    now = values[at]
    _text(canvas, MARGIN, y + 17, f"{name}: {'' if now is None else f'{now:,.6g}'}", 13, _QUIET)


def _queue(
    canvas: "ImageDraw",
    y: int,
    variant: dict[str, Any],
    side: dict[str, Any],
    at: int,
    scale: float,
) -> None:
    """Draw what ADL has closed, the queue with what the moment closes, and the fund's inventory."""
    frames = [frame["sides"][0] for frame in variant["frames"]]
    now, lot = frames[at], side["lot"]
    closed, inventory = now.get("closed", 0), now.get("inventory", 0) * lot
    accounts = count(now.get("accounts", 0), "account")
    text = (
        f"{variant['rules']}: {_quantity(closed)} closed of {accounts}, "
        f"haircut {now.get('haircut', 0):,.0f} {side['asset']}; inventory {_quantity(inventory)}"
    )
    _text(canvas, MARGIN, y + 17, text, 13, _INK)
    latest = next((n for n in range(at, -1, -1) if frames[n].get("queue")), None)
    blocks = frames[latest]["queue"] if latest is not None else {"front": [], "rest": [0, 0, 0]}
    entries = [*zip(*[iter(blocks["front"])] * 4, strict=True), (0, *blocks["rest"][1:], 1)]
    taken_now = sum(entry[2] for entry in entries) * lot if latest == at else 0
    top, bottom, right = y + 24, y + 24 + BAR, WIDTH - MARGIN
    x = MARGIN + (closed - taken_now) * scale
    if x > MARGIN:
        canvas.rectangle((MARGIN, top, x - 1, bottom), fill=_CLOSED)
    start = x + taken_now * scale
    for _account, lots, taken, indicator in entries:
        end = min(x + lots * lot * scale, right)
        if x >= right or not lots:
            continue
        canvas.rectangle((x, top, max(end - 1, x), bottom), fill=_INDICATORS[indicator or 1])
        if taken and latest == at:
            height = max(BAR * taken / lots, 2)
            canvas.rectangle((x, top, max(end - 1, x), top + height), fill=_RED)
        x = end
    if inventory:
        end = min(start + max(inventory * scale, 2), right)
        canvas.rectangle((start, bottom + 6, end, bottom + 18), fill=_AMBER)


def _quantity(value: float) -> str:
    """Return whole units from 1,000 on, else six digits."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.6g}"


def _text(canvas: "ImageDraw", x: int, y: int, text: str, size: int, color: str) -> None:
    from PIL import ImageFont  # noqa: PLC0415 - of an extra

    canvas.text((x, y), text, fill=color, font=ImageFont.load_default(size), anchor="ls")
