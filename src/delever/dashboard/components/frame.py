"""The frame of every page: navigation, search, keyboard, theme, errors and the age of the data.

A page creates a `PageFrame`, fills its `body`, and registers functions that refresh it. If the
server cannot be reached or asks for a key, the frame displays the error and the page keeps its last
content.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from nicegui import app, ui

from delever.api_types.market import MASK, ContractResponse
from delever.dashboard.components.live_html import LiveHtml
from delever.dashboard.data.api_client import ApiClient, ApiClientError, StreamRecord
from delever.dashboard.data.event_stream import EventStream
from delever.dashboard.format import ADL_STATES, clock, state_of, utc

PAGES = {
    "/": "Overview",
    "/contracts": "Contracts",
    "/pools": "Insurance funds",
    "/events": "ADL events",
    "/accounts": "Accounts",
    "/lab": "Lab",
    "/replay": "Replay",
}
"""Title of every page in the navigation, by its path."""

REFRESH_S = 1.0

STATE_REFRESH_S = 5.0
"""Interval at which the tab's title and icon are brought up to date."""

KEYS = {
    "/": "search a contract, an account or a fill",
    "j k": "next and previous row",
    "Enter": "open the row, or sort by the heading",
    "1 to 7": "open a page of the navigation",
    "Esc": "leave an input",
    "?": "this list",
}
"""Keys and what they do."""

_HERE = Path(__file__).parent
STYLE = (_HERE / "style.css").read_text(encoding="utf-8")
SCRIPT = (_HERE / "page.js").read_text(encoding="utf-8")


class PageFrame:
    """One visitor's page; `client` sends the key that was entered in this tab, if any."""

    def __init__(self, client: ApiClient, title: str, section: str) -> None:
        self.client = client
        self.prefix = _prefix()
        request = ui.context.client.request
        self._path = quote(request.url.path.removeprefix(request.scope.get("root_path", "")))
        self._query: dict[str, object] = dict(request.query_params)
        self._url = ""
        self._errors: dict[object, ApiClientError] = {}
        self._names_in_adl: list[str] = []
        self._is_left = False
        ui.context.client.on_delete(self._leave)
        ui.page_title(f"{title} · delever")
        ui.add_css(STYLE)
        ui.add_body_html(f'<script type="module">{SCRIPT}</script>{_KEYS_DIALOG}')
        self._dark = ui.dark_mode(None)
        self._header(section)
        with ui.element("div").classes("page").props("id=content"):
            html(f"<h1>{escape(title)}</h1>")
            self._as_of = ui.label("").classes("asof")
            self._alert = ui.element("div").props("role=alert")
            self.body = ui.element("div").style("width: 100%")

    def _leave(self) -> None:
        self._is_left = True

    async def connect(self) -> None:
        """Wait for the browser's connection, then apply the key and theme stored for its tab."""
        await ui.context.client.connected(timeout=30.0)
        key = app.storage.tab.get("key", "")
        if key:
            self.client = self.client.with_key(key)
        self._dark.value = app.storage.tab.get("dark")
        ui.timer(REFRESH_S, self._report_arrival)
        ui.timer(STATE_REFRESH_S, self._refresh_state)

    async def _report_arrival(self) -> None:
        """Report to the browser that the server answers; an error of its own is an answer, too."""
        try:
            time = f"{clock(await self.client.now_ms())[:8]} UTC"
        except ApiClientError as error:
            if not error.status:
                return
            time = ""
        ui.run_javascript(f"dataArrived({time!r})")

    async def _refresh_state(self) -> None:
        """Show in the tab's title and icon which contracts are in ADL."""
        with contextlib.suppress(ApiClientError):
            self.display_state(await self.client.contracts())

    def display_state(self, contracts: Sequence[ContractResponse]) -> None:
        """Show in the tab's title and icon which of all contracts are in ADL."""
        names = [found.contract for found in contracts if state_of(found) in ADL_STATES]
        if names != self._names_in_adl:
            self._names_in_adl = names
            icon = favicon("#e5534b" if names else "#4c8dff")
            listed = msgspec.json.encode(names).decode().replace("<", "\\u003c")
            ui.run_javascript(f"displayState({listed}, {icon!r})")

    # --- URLs ---

    def url(self, path: str, **query: object) -> str:
        """Return the URL of a page of this dashboard; empty query values are left out."""
        params = {name: value for name, value in query.items() if value not in {None, ""}}
        return f"{self.prefix}{path}{'?' + urlencode(params) if params else ''}"

    def contract_url(self, name: str) -> str:
        """Return the URL of a contract's page."""
        return self.url(f"/contracts/{quote(name, safe='')}")

    def pool_url(self, name: str) -> str:
        """Return the URL of an insurance fund's page."""
        return self.url(f"/pools/{quote(name, safe='')}")

    def account_url(self, name: str, **query: object) -> str:
        """Return the URL of an account's page, empty for a masked account."""
        if name.startswith(MASK):
            return ""
        return self.url(f"/accounts/{quote(name, safe='')}", **query)

    def update_url(self, **query: object) -> None:
        """Write query parameters into the address bar, so that the view can be shared.

        Parameters that are not given keep their last value.
        """
        self._query |= query
        url = self.url(self._path, **self._query)
        if url != self._url:
            self._url = url
            ui.navigate.history.replace(url)

    def remember_sort(self, element: ui.table) -> None:
        """Keep the order of a table in the address: `sort=mark`, or `-mark` where descending."""
        name = str(self._query.get("sort", ""))
        if name.removeprefix("-") in {column["name"] for column in element.columns}:
            descending = name.startswith("-")
            element.pagination |= {"sortBy": name.removeprefix("-"), "descending": descending}

        def changed(event: Any) -> None:
            sign = "-" if event.value.get("descending") else ""
            sorted_by = event.value.get("sortBy")
            self.update_url(sort=f"{sign}{sorted_by}" if sorted_by else "")

        element.on_pagination_change(changed)

    # --- data ---

    def as_of(self, sequence: int, time_ms: int) -> None:
        """Display the sequence and the time of the page's data."""
        self._as_of.set_text(f"as of sequence {sequence}, {utc(time_ms)} UTC")

    async def attempt(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Run a function that sends requests and return whether it succeeded.

        The error of a request is displayed until the same function succeeds.
        """
        before = dict(self._errors)
        try:
            await work()
            self._errors.pop(work, None)
        except ApiClientError as error:
            self._errors[work] = error
        if set(map(str, before.values())) != set(map(str, self._errors.values())):
            self._display_errors()
        return work not in self._errors

    async def every(self, work: Callable[[], Awaitable[None]], seconds: float = REFRESH_S) -> None:
        """Run a function now, and repeatedly as long as the page is open."""

        async def attempt() -> None:
            await self.attempt(work)

        await attempt()
        if not self._is_left:
            ui.timer(seconds, attempt, immediate=False)

    def follow(
        self,
        stream: EventStream,
        on_record: Callable[[StreamRecord], None],
        on_change: Callable[[], None],
    ) -> None:
        """Read an event stream as long as the page is open."""

        async def read() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await stream.run(self.client, on_record, on_change)

        task = asyncio.create_task(read())
        self.client.tasks.add(task)
        task.add_done_callback(self.client.tasks.discard)
        ui.context.client.on_delete(task.cancel)

    async def exists(
        self,
        kind: str,
        name: str,
        request: Awaitable[object],
        known: Callable[[], Awaitable[Mapping[str, str]]] | None = None,
    ) -> bool:
        """Send a request and return whether the server knows the name that the page is about.

        Otherwise the page displays that it does not, with the most similar names of `known`, which
        returns the URL of each.
        """
        try:
            await request
        except ApiClientError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                return True
        else:
            return True
        self.body.clear()
        urls = await known() if known else {}
        similar = get_close_matches(name, urls, cutoff=0.5) or list(urls)[:5]
        links = ", ".join(f'<a href="{urls[each]}">{escape(each)}</a>' for each in similar)
        with self.body:
            html(
                f'<p class="unknown">There is no {kind} <b>{escape(name)}</b>.'
                f"{f' Perhaps: {links}.' if links else ''}</p>"
            )
        return False

    def _display_errors(self) -> None:
        """Display every different error once, with a button where the server asks for a key."""
        self._alert.clear()
        errors = {str(error): error for error in self._errors.values()}
        for text, error in errors.items():
            with self._alert, ui.element("div").classes("api-error"):
                ui.label(text)
                if error.needs_key:
                    ui.button("Enter a key", on_click=self._ask_key).props("flat dense no-caps")

    # --- header ---

    def _header(self, section: str) -> None:
        html('<div class="offline" aria-live="polite"></div>')
        with ui.element("header").classes("top"):
            html(
                '<a class="skip" href="#content">Skip to content</a>'
                f'<a class="brand" href="{self.url("/")}">◆ delever</a>'
                '<span class="age">connecting</span>'
                '<button class="menu" aria-expanded="false">Menu</button>'
            ).classes("bar-left")
            links = "".join(
                f'<a href="{self.url(path)}"{_current(path == section)}>{name}</a>'
                for path, name in PAGES.items()
            )
            html(f'<nav aria-label="pages">{links}</nav>').classes("links")
            with ui.element("div").classes("tools"):
                search = ui.input(placeholder="contract or account  ( / )")
                search.classes("search").props('dense outlined aria-label="search"')
                search.on("keydown.enter", lambda: self._find(search.value))
                html(f'<a href="{escape(self.client.url or _forwarded_prefix())}/schema">API</a>')
                ui.button("Key", on_click=self._ask_key).props("flat dense no-caps")
                ui.button("Theme", on_click=self._toggle_theme).props("flat dense no-caps")

    async def _find(self, name: str) -> None:
        """Open the page of the contract with that name, otherwise of the account."""
        name = name.strip()
        if not name or name.startswith(MASK):
            return

        async def find() -> None:
            contracts = {contract.contract for contract in await self.client.contracts()}
            matches = [text for text in (name, name.upper()) if text in contracts]
            url = self.contract_url(matches[0]) if matches else self.account_url(name)
            ui.navigate.to(url.removeprefix(self.prefix))

        await self.attempt(find)

    def _toggle_theme(self) -> None:
        self._dark.value = not self._dark.value
        app.storage.tab["dark"] = self._dark.value

    def _ask_key(self) -> None:
        """Ask for the visitor's key, which stays in this process's memory for the tab only."""
        with ui.dialog(value=True) as dialog, ui.card():
            ui.label("API key as ID.SECRET; stays in memory, for this tab only.")
            key = ui.input("key", password=True).props("outlined dense autofocus")

            def use() -> None:
                app.storage.tab["key"] = key.value.strip()
                dialog.close()
                ui.navigate.reload()

            key.on("keydown.enter", use)
            ui.button("Use it", on_click=use).props("no-caps")


@contextmanager
def panel(title: str, size: str = "", *, about: str = "") -> Iterator[ui.element]:
    """Open a titled panel: `wide` is 8, `half` 6 and `slim` 4 of 12 columns; the default is 12."""
    with ui.element("section").classes(f"panel {size}") as element:
        small = f"<small>{escape(about)}</small>" if about else ""
        html(f"<h2>{escape(title)}{small}</h2>")
        yield element


@contextmanager
def grid() -> Iterator[ui.element]:
    """Open the grid of 12 columns that contains panels."""
    with ui.element("div").classes("grid") as element:
        yield element


def html(text: str = "") -> LiveHtml:
    """Display HTML in which this package has already escaped every name and text."""
    return LiveHtml(text)


def favicon(color: str) -> str:
    """Return the icon of the pages in a color, as a data URL."""
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
        f'<path d="M8 1l7 7-7 7-7-7z" fill="{color}"/></svg>'
    )
    return f"data:image/svg+xml,{quote(picture)}"


_KEYS_DIALOG = (
    '<dialog class="keys" aria-label="keys"><h2>Keys</h2><dl class="pairs">'
    + "".join(f"<dt><kbd>{key}</kbd></dt><dd>{does}</dd>" for key, does in KEYS.items())
    + '</dl><form method="dialog"><button>Close</button></form></dialog>'
)


def _prefix() -> str:
    """Return the path under which the dashboard is mounted."""
    return _forwarded_prefix() + str(ui.context.client.request.scope.get("root_path", ""))


def _forwarded_prefix() -> str:
    """Return the path under which a reverse proxy serves the server."""
    prefix: str = ui.context.client.request.headers.get("X-Forwarded-Prefix", "")
    return prefix


def _current(is_current: bool) -> str:
    return ' class="here" aria-current="page"' if is_current else ""
