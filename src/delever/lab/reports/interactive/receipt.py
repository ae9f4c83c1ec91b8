"""The receipt of one ADL fill: what was closed, at which price and rank, and how to verify it.

It is made from the facts of a fill's explanation (`FillExplanation.facts`, `GET /v1/fills/{fill}`):
as a card in SVG or PNG, and as an HTML page with the whole explanation.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

from delever.formatting import count, humanize, moment
from delever.lab.reports.interactive.html_page import html_page

WIDTH, HEIGHT = 1200, 700
MARGIN, VALUE_X = 60, 330

MAX_NAMED = 3
"""Counterparties ahead that the card names."""

_COLORS = {"ink": "#17212b", "quiet": "#566573", "red": "#b3261e", "paper": "#ffffff"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A text of the card: place of its baseline, size in pixels, color and whether it is bold."""

    x: int
    y: int
    size: int
    color: str
    text: str
    bold: bool = False


def receipt_rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of a receipt as pairs of label and text, numbers exact."""
    before, asset = facts["before_round"], facts["asset"]
    price_rule = humanize(facts["trigger"]["price_rule"])
    rows = [
        ("ADL price", f"{facts['price']} ({price_rule})"),
        ("Mark", f"{facts['mark']}; haircut {facts['haircut']} {asset}"),
        ("Realized PnL", f"{facts['realized_pnl']} {asset}; at the mark {facts['pnl_at_mark']}"),
        (
            "Rank",
            f"{before['rank']} of {before['ranked']}, ADL indicator {before['indicator']} of 5",
        ),
        ("Closed before it", _ahead(facts)),
        ("Remaining", f"{facts['remaining']} of the position"),
        ("Trigger", f"{_trigger(facts)}; rules of {facts['rules']}"),
        ("Record", f"{facts['record']}, {moment(facts['time_ms'])}"),
        ("Hash", facts["record_hash"]),
        ("Recomputed", facts["recomputed"]),
    ]
    if facts["cancelled_by_record"] is not None:
        rows.append(("Cancelled", f"by record {facts['cancelled_by_record']}"))
    return rows


def commands_of(facts: dict[str, Any]) -> tuple[str, str]:
    """Return the command lines that verify the receipt against the venue's journal."""
    return ("delever verify JOURNAL", f"delever explain --journal JOURNAL --fill {facts['fill']}")


def receipt_title(facts: dict[str, Any]) -> str:
    """Return what was closed as one line.

    >>> receipt_title({"closed": "1500", "contract": "BTCUSDT", "side": "short",
    ...                "account": "ann", "price": "56500"})
    '1,500 BTCUSDT short of ann closed at 56500'
    """
    return (
        f"{_grouped(facts['closed'])} {facts['contract']} {facts['side']} of {facts['account']} "
        f"closed at {facts['price']}"
    )


def receipt_svg(facts: dict[str, Any]) -> str:
    """Return the card as SVG, 1200 by 700."""
    texts = "\n".join(
        f'<text x="{line.x}" y="{line.y}" font-size="{line.size}" fill="{_COLORS[line.color]}"'
        f"{' font-weight=' + chr(34) + '700' + chr(34) if line.bold else ''}>"
        f"{escape(line.text)}</text>"
        for line in _card(facts)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(receipt_title(facts))}" font-family="system-ui, sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{_COLORS["paper"]}"/>\n'
        f'<rect width="12" height="{HEIGHT}" fill="{_COLORS["red"]}"/>\n{texts}\n</svg>'
    )


def receipt_png(facts: dict[str, Any]) -> bytes:
    """Return the card as PNG, 1200 by 700; needs Pillow, which the extra `plot` brings."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - of an extra

    image = Image.new("RGB", (WIDTH, HEIGHT), _COLORS["paper"])
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 0, 11, HEIGHT), fill=_COLORS["red"])
    for line in _card(facts):
        canvas.text(
            (line.x, line.y),
            line.text,
            fill=_COLORS[line.color],
            font=ImageFont.load_default(line.size),
            anchor="ls",
            stroke_width=1 if line.bold else 0,
        )
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()


def receipt_page(facts: dict[str, Any], explanation: str) -> str:
    """Return the receipt as one HTML page: the card, the explanation, and how to verify it."""
    data = {
        "svg": receipt_svg(facts),
        "name": f"fill-{facts['fill']}",
        "rows": [["", receipt_title(facts)], *receipt_rows(facts)],
        "commands": commands_of(facts),
        "explanation": explanation,
    }
    return html_page("receipt", f"ADL fill {facts['fill']}", data)


# --- texts ---


def _card(facts: dict[str, Any]) -> Iterator[_Line]:
    yield _Line(MARGIN, 66, 22, "quiet", f"Auto-deleveraging: receipt of fill {facts['fill']}")
    title = receipt_title(facts)
    yield _Line(MARGIN, 118, 36 if len(title) < 60 else 26, "ink", title, bold=True)
    y = 172
    for label, text in receipt_rows(facts):
        is_hash = label == "Hash"
        yield _Line(MARGIN, y, 22, "quiet", label)
        color = "red" if text.endswith("differ") or label == "Cancelled" else "ink"
        yield _Line(VALUE_X, y, 19 if is_hash else 22, color, text)
        y += 38
    yield _Line(MARGIN, y + 22, 20, "quiet", "Verify it with the venue's journal:")
    for number, command in enumerate(commands_of(facts)):
        yield _Line(MARGIN, y + 54 + 30 * number, 20, "ink", command)


def _ahead(facts: dict[str, Any]) -> str:
    """Return who was closed before this position in the round, and who was skipped."""
    ahead = facts["filled_before"]
    accounts = list(dict.fromkeys(fill["account"] for fill in ahead))
    named = ", ".join(accounts[:MAX_NAMED])
    more = f" and {len(accounts) - MAX_NAMED} more" if len(accounts) > MAX_NAMED else ""
    skipped = len(facts["skipped"])
    text = f"{count(len(accounts), 'account')}: {named}{more}" if accounts else "nobody"
    return f"{text}; {skipped} skipped as ineligible" if skipped else text


def _trigger(facts: dict[str, Any]) -> str:
    trigger = facts["trigger"]
    name = humanize(trigger["trigger"])
    return f"{name}, forced by an operator" if trigger["forced"] else name


def _grouped(quantity: str) -> str:
    return f"{Decimal(quantity):,f}"
