"""The receipt of one ADL fill: the card, the lines that verify it, and its explanation."""

import json
from html import escape
from urllib.parse import quote

from nicegui import ui

from delever.api_types.history import FillExplanationResponse
from delever.dashboard.components.frame import PageFrame, html, panel
from delever.dashboard.data.api_client import ApiClient
from delever.lab.reports.interactive.receipt import commands_of, receipt_page, receipt_svg

_SAVE = """
const picture = new Image();
picture.onload = () => {
  const canvas = document.createElement("canvas");
  canvas.width = 1200; canvas.height = 700;
  canvas.getContext("2d").drawImage(picture, 0, 0, 1200, 700);
  const link = document.createElement("a");
  link.href = canvas.toDataURL("image/png");
  link.download = NAME;
  link.click();
};
picture.src = document.querySelector("img.receipt").src;
"""


async def show(client: ApiClient, fill: str) -> None:
    """Build the page of a fill, whose explanation is recomputed from the journal."""
    frame = PageFrame(client, f"Fill {fill}", "")
    with frame.body, panel(f"Fill {fill}", about="recomputed from the journal") as body:
        waiting = html("<p class='quiet'>Recomputing …</p>")
    await frame.connect()

    async def request() -> None:
        found = await client.fill_explanation(int(fill) if fill.isdecimal() else 0)
        with body:
            _receipt(found)

    await frame.attempt(request)
    waiting.set_content("")


def _receipt(found: FillExplanationResponse) -> None:
    name = f"fill-{found.fill}"
    sized = receipt_svg(found.facts).replace("<svg ", '<svg width="1200" height="700" ', 1)
    source = f"data:image/svg+xml;charset=utf-8,{quote(sized)}"
    html(f'<img class="receipt" src="{source}" alt="The receipt of fill {found.fill}">')
    page = receipt_page(found.facts, found.text)
    save = _SAVE.replace("NAME", json.dumps(f"{name}.png"))
    with ui.row():
        ui.button("PNG", on_click=lambda: ui.run_javascript(save)).props("flat no-caps")
        ui.button(
            "HTML", on_click=lambda: ui.download.content(page, f"{name}.html", "text/html")
        ).props("flat no-caps")
    lines = "\n".join(commands_of(found.facts))
    html(
        f'<p class="note">Verify it with the venue\'s journal:</p><pre>{escape(lines)}</pre>'
        f'<div class="proof" data-fill="{found.fill}"><b>Recomputed: {escape(found.recomputed)}'
        f"</b><pre>{escape(found.text)}</pre></div>"
    )
