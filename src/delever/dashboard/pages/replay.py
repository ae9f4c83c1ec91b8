"""Replay: a stretch of the served journal, or a file, through time at a chosen speed."""

import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from nicegui import run, ui

from delever.api_types.history import FillResponse
from delever.dashboard.charts.contract_history import limits_of
from delever.dashboard.components.frame import View, grid, panel
from delever.dashboard.components.scrubber import ALONE, Scrubber
from delever.dashboard.data.api_client import Source, SourceError
from delever.dashboard.data.lab_runs import LARGEST_FILE, play_file
from delever.dashboard.data.timeline import Course, course_of_past, course_of_run
from delever.dashboard.format import utc

EVER_MS = 2**53
"""A time that lies after all that is kept."""

POINTS = 10_000
"""Points of a stretch; what has more is thinned, with every extreme kept."""

FILLS = 1_000
"""Fills that are asked for at a time."""

MOST_FILLS = 20_000
"""Fills of a stretch that are shown."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?Z?")


class UnclearError(Exception):
    """What was typed is neither a sequence nor a time."""


async def show(
    source: Source,
    since: str = "",
    until: str = "",
    contract: str = "",
    at: int = -1,
    speed: float = 1,
) -> None:
    """Show a stretch of the journal; `since` and `until` are sequences or times in UTC."""
    view = View(source, "Replay", "/replay")
    with view.body, grid():
        with panel("What is replayed"):
            stretch = _Stretch(view, since, until)
        with panel("Through time", about="linked charts; drag the slider, or play"):
            scrubber = Scrubber(view, ALONE, contract, at, speed)
    stretch.scrubber = scrubber
    scrubber.on_contract(stretch.turn)
    await view.connect()
    await stretch.load()


@dataclass(frozen=True, slots=True)
class _Ends:
    """Where a stretch begins and ends, in milliseconds."""

    from_ms: int
    until_ms: int


class _Stretch:
    """The controls, and what they have fetched: from the server, or out of a file."""

    scrubber: Scrubber

    def __init__(self, view: View, since: str, until: str) -> None:
        self._view = view
        self._file: Course | None = None
        with ui.element("div").classes("bits"):
            self._since = _end("from", since, "the beginning")
            self._until = _end("to", until, "now")
            ui.button("Show", on_click=self.load).props("no-caps unelevated")
            upload = ui.upload(
                max_file_size=LARGEST_FILE,
                max_files=1,
                auto_upload=True,
                on_upload=self._upload,
                on_rejected=self._reject,
            )
            upload.props('accept=".ndjson,.jsonl,.json,.txt,.db,.sqlite"')
            upload.classes("hidden-upload")
            pick = ui.button("Open a file …", on_click=lambda: upload.run_method("pickFiles"))
            pick.props("flat no-caps")
        ui.label(
            "Of the served journal, by sequence or time in UTC; or of a scenario or journal file."
        ).classes("note")
        self._told = ui.label("").props("role=status").classes("quiet")

    async def load(self) -> None:
        """Fetch the stretch from the server and show it."""
        self._file = None
        await self._view.attempt(self._load)

    async def turn(self) -> None:
        """Fetch another contract, where the server is replayed; a file has all of them."""
        if self._file is None:
            await self.load()

    # --- from the server ---

    async def _load(self) -> None:
        source = self._view.source
        try:
            since, until = self._since.value, self._until.value
            ends = _Ends(await self._time(since, 0), await self._time(until, EVER_MS))
        except UnclearError as error:
            self._told.set_text(str(error))
            return
        contracts = sorted(each.contract for each in await source.contracts())
        wanted = self.scrubber.contract
        chosen = wanted if wanted in contracts else next(iter(contracts), "")
        if not chosen:
            self._told.set_text("No contract is defined yet.")
            return
        self._told.set_text("Fetching …")
        try:
            course, thinned = await self._fetch(chosen, ends)
        except SourceError:
            self._told.set_text("")
            raise
        self._view.keep_url(since=self._since.value or "", until=self._until.value or "")
        note = "; thinned, with every extreme: choose a shorter stretch for all" if thinned else ""
        count = len(course.contracts.get(chosen, []))
        closed = len(course.fills.get(chosen, []))
        first = "the first " if closed == MOST_FILLS else ""
        self._told.set_text(f"{count} points, {first}{closed} fills{note}")
        self.scrubber.show([course], contracts)

    async def _time(self, typed: str, default: int) -> int:
        """Return the time of a sequence or of a text; UnclearError where it is neither."""
        text = (typed or "").strip().removeprefix("#")
        if not text:
            return default
        if text.isascii() and text.isdigit():
            unknown = UnclearError(f"There is no sequence {text} yet.")
            try:
                page = await self._view.source.events(max(int(text) - 1, 0), limit=1)
            except SourceError as error:
                if error.status != HTTPStatus.CONFLICT:  # the journal does not reach so far
                    raise
                raise unknown from None
            if not page.events:
                raise unknown
            return page.events[0].time_ms
        return time_of(text)

    async def _fetch(self, contract: str, ends: _Ends) -> tuple[Course, bool]:
        source, between = self._view.source, (ends.from_ms, ends.until_ms)
        now = await source.contract(contract)
        moments = await source.contract_history(
            contract, from_ms=ends.from_ms, until_ms=ends.until_ms, limit=POINTS
        )
        names = {each.pool for each in moments} or {now.pool}
        pools = {
            name: (await source.pool_history(name, between=between, limit=POINTS)).points
            for name in sorted(names)
        }
        fills = await self._fills(contract, ends)
        limits = limits_of(now)
        ratios = (limits["start"], limits["stop"]) if limits else None
        course = course_of_past(contract, moments, pools, fills, ratios)
        return course, len(moments) > POINTS // 2

    async def _fills(self, contract: str, ends: _Ends) -> list[FillResponse]:
        """Return the fills of a stretch, page by page."""
        found: list[FillResponse] = []
        after = 0
        while len(found) < MOST_FILLS:
            page = await self._view.source.fills(contract, after=after, limit=FILLS)
            found += [each for each in page if ends.from_ms <= each.time_ms <= ends.until_ms]
            if len(page) < FILLS or page[-1].time_ms > ends.until_ms:
                break
            after = page[-1].fill
        return found[:MOST_FILLS]

    # --- from a file ---

    def _reject(self) -> None:
        limit = LARGEST_FILE // 1024**2
        self._told.set_text(f"Not played: larger than {limit} MB; play it with `delever run`.")

    async def _upload(self, event: Any) -> None:
        """Play a file in a process of its own, for who may read everything here."""
        event.sender.reset()
        if not await self._view.attempt(self._view.source.check_reads):
            self._told.set_text("Not played: this needs a key with the role read.")
            return
        name = event.file.name
        self._told.set_text(f"Playing {name} …")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "uploaded"
            await event.file.save(path)
            trial = await run.cpu_bound(play_file, path, name)
        if trial is None or self._told.is_deleted:
            return
        if isinstance(trial, str):
            self._told.set_text(f"Not played: {trial}")
            return
        self._file = course_of_run(name, trial.stored)
        summary = trial.stored.summary
        rejected = f", {trial.rejected} of them rejected" if trial.rejected else ""
        self._told.set_text(
            f"{name}: {summary.commands} commands{rejected}, {utc(summary.from_ms)} to "
            f"{utc(summary.until_ms)} UTC, {summary.fills} fills"
        )
        self.scrubber.show([self._file], sorted(self._file.contracts))


def _end(name: str, value: str, placeholder: str) -> ui.input:
    shown = ui.input(name, value=value, placeholder=placeholder)
    shown.props(f'dense outlined stack-label aria-label="{name}"').style("min-width: 15rem")
    return shown


def time_of(text: str) -> int:
    """Return the milliseconds of a time in UTC: 2026-11-27, with 13:05, 13:05:07 or 13:05:07.250.

    Raises UnclearError where it is none.
    """
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError  # noqa: TRY301 - said below
        told = datetime.fromisoformat(f"{found[1]} {found[2] or '00:00'}").replace(tzinfo=UTC)
    except ValueError:
        raise UnclearError(
            f"{text!r} is neither a sequence nor a time such as 2026-11-27 13:05:07.250"
        ) from None
    return (told - _EPOCH) // timedelta(milliseconds=1)
