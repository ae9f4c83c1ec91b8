"""What every page has: navigation, search, keys, theme, and how old its data are.

A page opens a `View`, fills its `body`, and asks for `every` second; a server that cannot be
reached, or wants a key, is said on the page and never hides what was there before.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from urllib.parse import quote, urlencode

from nicegui import app, ui

from delever.api_types.market import MASK
from delever.dashboard.data.api_client import RecordTold, Source, SourceError
from delever.dashboard.data.event_stream import Following
from delever.dashboard.format import utc

PAGES = {
    "/": "Overview",
    "/pools": "Pools",
    "/events": "ADL events",
    "/accounts": "Accounts",
    "/lab": "Lab",
    "/replay": "Replay",
}

REFRESH_S = 1.0

_HERE = Path(__file__).parent
STYLE = (_HERE / "style.css").read_text(encoding="utf-8")
KEYS = (_HERE / "keys.js").read_text(encoding="utf-8")


class View:
    """One visitor's page. `source` asks with the key that was typed into this tab, if any."""

    def __init__(self, source: Source, title: str, here: str) -> None:
        self.source = source
        self.prefix = _prefix()
        request = ui.context.client.request
        self._path = quote(request.url.path.removeprefix(request.scope.get("root_path", "")))
        self._query: dict[str, object] = dict(request.query_params)
        self._address = ""
        self._troubles: dict[object, SourceError] = {}
        ui.page_title(f"{title} · delever")
        ui.add_css(STYLE)
        ui.add_body_html(f"<script>{KEYS}</script>")
        self._dark = ui.dark_mode(None)
        self._bar(here)
        with ui.element("main").classes("page"):
            ui.html(f"<h1>{escape(title)}</h1>", sanitize=False)
            self._asof = ui.label("").classes("asof")
            self._trouble = ui.element("div").props("role=alert")
            self.body = ui.element("div").style("width: 100%")

    async def connect(self) -> None:
        """Wait for the visitor's browser, and take up the key and theme of its tab."""
        await ui.context.client.connected(timeout=30.0)
        key = app.storage.tab.get("key", "")
        if key:
            self.source = self.source.with_key(key)
        self._dark.value = app.storage.tab.get("dark")

    def href(self, path: str, **query: object) -> str:
        """Return the address of a page of this dashboard."""
        asked = {name: value for name, value in query.items() if value not in {None, ""}}
        return f"{self.prefix}{path}{'?' + urlencode(asked) if asked else ''}"

    def contract(self, name: str) -> str:
        """Return the address of a contract's page."""
        return self.href(f"/contracts/{quote(name, safe='')}")

    def pool(self, name: str) -> str:
        """Return the address of a pool's page."""
        return self.href(f"/pools/{quote(name, safe='')}")

    def account(self, name: str, **query: object) -> str:
        """Return the address of an account's page; a masked account has none."""
        return (
            "" if name.startswith(MASK) else self.href(f"/accounts/{quote(name, safe='')}", **query)
        )

    def keep_url(self, **query: object) -> None:
        """Let the address bar say what is shown, so that it can be shared and opened again.

        What is not named stays as it was said before, or as the page was opened.
        """
        self._query |= query
        address = self.href(self._path, **self._query)
        if address != self._address:
            self._address = address
            ui.navigate.history.replace(address)

    def as_of(self, sequence: int, time_ms: int) -> None:
        """Say which sequence the page shows."""
        self._asof.set_text(f"as of sequence {sequence}, {utc(time_ms)} UTC")

    async def attempt(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do something that asks the server; while it fails, the page says so."""
        before = dict(self._troubles)
        try:
            await work()
            self._troubles.pop(work, None)
        except SourceError as error:
            self._troubles[work] = error
        if {str(error) for error in before.values()} != {str(e) for e in self._troubles.values()}:
            self._say()
        return work not in self._troubles

    async def every(self, work: Callable[[], Awaitable[None]], seconds: float = REFRESH_S) -> None:
        """Do it now, and again and again as long as the page is open."""

        async def again() -> None:
            await self.attempt(work)

        await again()
        ui.timer(seconds, again, immediate=False)

    def follow(
        self, following: Following, tell: Callable[[RecordTold], None], changed: Callable[[], None]
    ) -> None:
        """Follow a stream as long as the page is open."""

        async def until_gone() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await following.follow(self.source, tell, changed)

        task = asyncio.create_task(until_gone())
        self.source.tasks.add(task)
        task.add_done_callback(self.source.tasks.discard)
        ui.context.client.on_delete(task.cancel)

    def _say(self) -> None:
        """Show every trouble there is, each once, and a button where a key would help."""
        self._trouble.clear()
        told = {str(error): error for error in self._troubles.values()}
        for text, error in told.items():
            with self._trouble, ui.element("div").classes("trouble"):
                ui.label(text)
                if error.wants_key:
                    ui.button("Enter a key", on_click=self._ask_key).props("flat dense no-caps")

    def _bar(self, here: str) -> None:
        with ui.element("header").classes("top"):
            ui.html('<span class="brand">◆ delever</span>', sanitize=False)
            links = "".join(
                f'<a href="{self.href(path)}"{_here(path == here)}>{name}</a>'
                for path, name in PAGES.items()
            )
            ui.html(f'<nav aria-label="pages">{links}</nav>', sanitize=False)
            with ui.element("div").classes("tools"):
                search = ui.input(placeholder="contract or account  ( / )")
                search.classes("search").props('dense outlined aria-label="search"')
                search.on("keydown.enter", lambda: self._find(search.value))
                html(f'<a href="{escape(self.source.url or _forwarded())}/schema">API</a>')
                ui.button("Key", on_click=self._ask_key).props("flat dense no-caps")
                ui.button("Theme", on_click=self._turn).props("flat dense no-caps")

    async def _find(self, name: str) -> None:
        """Go to the contract of that name, or else to the account."""
        name = name.strip()
        if not name or name.startswith(MASK):
            return

        async def find() -> None:
            contracts = {each.contract for each in await self.source.contracts()}
            found = name if name in contracts else name.upper() if name.upper() in contracts else ""
            address = self.contract(found) if found else self.account(name)
            ui.navigate.to(address.removeprefix(self.prefix))

        await self.attempt(find)

    def _turn(self) -> None:
        self._dark.value = not self._dark.value
        app.storage.tab["dark"] = self._dark.value

    def _ask_key(self) -> None:
        """Ask for the visitor's key; it stays in the server's memory for this tab only."""
        with ui.dialog(value=True) as dialog, ui.card():
            ui.label("API key as ID.SECRET; kept in memory for this tab only.")
            typed = ui.input("key", password=True).props("outlined dense autofocus")

            def use() -> None:
                app.storage.tab["key"] = typed.value.strip()
                dialog.close()
                ui.navigate.reload()

            typed.on("keydown.enter", use)
            ui.button("Use it", on_click=use).props("no-caps")


@contextmanager
def panel(title: str, size: str = "", *, about: str = "") -> Iterator[ui.element]:
    """Give a titled panel: `wide` 8, `half` 6, `slim` 4 of 12 columns, all where not said."""
    with ui.element("section").classes(f"panel {size}") as shown:
        small = f"<small>{escape(about)}</small>" if about else ""
        ui.html(f"<h2>{escape(title)}{small}</h2>", sanitize=False)
        yield shown


@contextmanager
def grid() -> Iterator[ui.element]:
    """Give the grid that panels stand in."""
    with ui.element("div").classes("grid") as shown:
        yield shown


def html(text: str = "") -> ui.html:
    """Show HTML that this package has made and escaped itself."""
    return ui.html(text, sanitize=False)


def _prefix() -> str:
    """Return the path under which the dashboard is mounted."""
    return _forwarded() + str(ui.context.client.request.scope.get("root_path", ""))


def _forwarded() -> str:
    """Return the path under which a proxy shows the server."""
    forwarded: str = ui.context.client.request.headers.get("X-Forwarded-Prefix", "")
    return forwarded


def _here(here: bool) -> str:
    return ' class="here" aria-current="page"' if here else ""
