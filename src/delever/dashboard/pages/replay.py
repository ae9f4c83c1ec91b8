"""Replay: a range of the served journal, or a file, through time at a chosen speed."""

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from nicegui import run, ui

from delever.api_types.history import FillResponse
from delever.dashboard.charts.contract_history import drawdown_limits
from delever.dashboard.components.frame import PageFrame, grid, panel
from delever.dashboard.components.scrubber import ONE_TIMELINE, Scrubber
from delever.dashboard.data.api_client import ApiClient, ApiClientError
from delever.dashboard.data.lab.crash_runs import MAX_FILE_BYTES, run_file
from delever.dashboard.data.timeline import Timeline, timeline_of_history, timeline_of_run
from delever.dashboard.format import utc

MAX_TIME_MS = 2**53
"""A time after all that is stored."""

POINTS = 10_000
"""Points of a range; a longer history is thinned, extremes stay."""

FILLS_PER_REQUEST = 1_000

MAX_FILLS = 20_000
"""Most fills of a range that are displayed."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?Z?")


class InvalidTimeError(Exception):
    """An input that is neither a sequence of the journal nor a time."""


async def show(
    client: ApiClient,
    since: str = "",
    until: str = "",
    contract: str = "",
    at: int = -1,
    speed: float = 1,
) -> None:
    """Build the replay; `since` and `until` are sequences or times in UTC."""
    frame = PageFrame(client, "Replay", "/replay")
    with frame.body, grid():
        with panel("Range"):
            controls = _RangeControls(frame, since, until)
        with panel("Through time", about="linked charts; drag the slider, or play"):
            scrubber = Scrubber(frame, ONE_TIMELINE, contract, at, speed)
    controls.scrubber = scrubber
    scrubber.on_contract(controls.contract_changed)
    await frame.connect()
    await controls.load()


@dataclass(frozen=True, slots=True)
class _TimeRange:
    """First and last time of a range, in milliseconds."""

    from_ms: int
    until_ms: int


class _RangeControls:
    """The inputs, and the timeline that was loaded from the server or from a file."""

    scrubber: Scrubber

    def __init__(self, frame: PageFrame, since: str, until: str) -> None:
        self._frame = frame
        self._file: Timeline | None = None
        with ui.element("div").classes("bits"):
            self._since = _time_input("from", since, "the beginning")
            self._until = _time_input("to", until, "now")
            ui.button("Show", on_click=self.load).props("no-caps unelevated")
            upload = ui.upload(
                max_file_size=MAX_FILE_BYTES,
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
            "A range of the served journal, by sequence or time in UTC; or a scenario or journal "
            "file."
        ).classes("note")
        self._status = ui.label("").props("role=status").classes("quiet")

    async def load(self) -> None:
        """Load the range from the server and display it."""
        self._file = None
        await self._frame.attempt(self._load)

    async def contract_changed(self) -> None:
        """Load the chosen contract from the server; a file already has all of them."""
        if self._file is None:
            await self.load()

    # --- from the server ---

    async def _load(self) -> None:
        client = self._frame.client
        since, until = self._since.value or "", self._until.value or ""
        try:
            time_range = _TimeRange(
                await self._time_ms(since, 0), await self._time_ms(until, MAX_TIME_MS)
            )
        except InvalidTimeError as error:
            self._status.set_text(str(error))
            return
        contracts = sorted(contract.contract for contract in await client.contracts())
        requested = self.scrubber.contract
        chosen = requested if requested in contracts else await self._most_closed(contracts)
        if not chosen:
            self._status.set_text("No contract is defined yet.")
            return
        self._status.set_text("Loading …")
        try:
            timeline, is_thinned = await self._request(chosen, time_range)
        except ApiClientError:
            self._status.set_text("")
            raise
        self._frame.update_url(since=since, until=until)
        points, fills = len(timeline.contracts[chosen]), len(timeline.fills[chosen])
        first = "the first " if fills == MAX_FILLS else ""
        note = "; thinned, extremes stay: choose a shorter range for all" if is_thinned else ""
        self._status.set_text(f"{points} points, {first}{fills} fills{note}")
        self.scrubber.load([timeline], contracts, chosen)

    async def _most_closed(self, contracts: Sequence[str]) -> str:
        """Return the contract with the most ADL fills, otherwise the first one, empty for none."""
        fills = Counter[str]()
        for episode in await self._frame.client.episodes():
            fills[episode.contract] += episode.fills
        return max(contracts, key=fills.__getitem__, default="")

    async def _time_ms(self, typed: str, default: int) -> int:
        """Return the time of a sequence or of a text; raises InvalidTimeError for neither."""
        text = typed.strip().removeprefix("#")
        if not text:
            return default
        if not (text.isascii() and text.isdigit()):
            return parse_time(text)
        not_written = InvalidTimeError(f"There is no sequence {text} yet.")
        try:
            page = await self._frame.client.events(max(int(text) - 1, 0), limit=1)
        except ApiClientError as error:
            if error.status != HTTPStatus.CONFLICT:  # other than beyond the journal's end
                raise
            raise not_written from None
        if not page.events:
            raise not_written
        return page.events[0].time_ms

    async def _request(self, contract: str, time_range: _TimeRange) -> tuple[Timeline, bool]:
        """Return the timeline of a range, and whether the server has thinned its points."""
        client, between = self._frame.client, (time_range.from_ms, time_range.until_ms)
        now = await client.contract(contract)
        points = await client.contract_history(
            contract, from_ms=time_range.from_ms, until_ms=time_range.until_ms, limit=POINTS
        )
        pools = {
            name: (await client.pool_history(name, between=between, limit=POINTS)).points
            for name in sorted({point.pool for point in points} or {now.pool})
        }
        fills = await self._fills(contract, time_range)
        ratios = drawdown_limits(now)
        limits = (ratios["start"], ratios["stop"]) if ratios else None
        timeline = timeline_of_history(contract, points, pools, fills, limits)
        return timeline, len(points) > POINTS // 2

    async def _fills(self, contract: str, time_range: _TimeRange) -> list[FillResponse]:
        """Return the fills of a range, at most MAX_FILLS, requested page by page."""
        found: list[FillResponse] = []
        after = 0
        while len(found) < MAX_FILLS:
            page = await self._frame.client.fills(contract, after=after, limit=FILLS_PER_REQUEST)
            found += [
                fill for fill in page if time_range.from_ms <= fill.time_ms <= time_range.until_ms
            ]
            if len(page) < FILLS_PER_REQUEST or page[-1].time_ms > time_range.until_ms:
                break
            after = page[-1].fill
        return found[:MAX_FILLS]

    # --- from a file ---

    def _reject(self) -> None:
        limit = MAX_FILE_BYTES // 1024**2
        self._status.set_text(f"Not run: larger than {limit} MB; run it with `delever run`.")

    async def _upload(self, event: Any) -> None:
        """Run a file in a worker process, for visitors with the role `read`."""
        event.sender.reset()
        if not await self._frame.attempt(self._frame.client.check_reads):
            self._status.set_text("Not run: this needs a key with the role read.")
            return
        name = event.file.name
        self._status.set_text(f"Running {name} …")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "uploaded"
            await event.file.save(path)
            finished = await run.cpu_bound(run_file, path, name)
        if finished is None or self._status.is_deleted:
            return
        if isinstance(finished, str):
            self._status.set_text(f"Not run: {finished}")
            return
        self._file = timeline_of_run(name, finished.stored)
        summary = finished.stored.summary
        rejected = f", {finished.rejected} of them rejected" if finished.rejected else ""
        self._status.set_text(
            f"{name}: {summary.commands} commands{rejected}, {utc(summary.from_ms)} to "
            f"{utc(summary.until_ms)} UTC, {summary.fills} fills"
        )
        self.scrubber.load([self._file], sorted(self._file.contracts))


def _time_input(name: str, value: str, placeholder: str) -> ui.input:
    element = ui.input(name, value=value, placeholder=placeholder)
    element.props(f'dense outlined stack-label aria-label="{name}"').style("min-width: 15rem")
    return element


def parse_time(text: str) -> int:
    """Return the milliseconds of a time in UTC: 2026-11-27, with 13:05, 13:05:07 or 13:05:07.250.

    Raises InvalidTimeError for any other text.
    """
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError  # noqa: TRY301 - reported below
        time = datetime.fromisoformat(f"{match[1]} {match[2] or '00:00'}").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidTimeError(
            f"{text!r} is neither a sequence nor a time such as 2026-11-27 13:05:07.250"
        ) from None
    return (time - _EPOCH) // timedelta(milliseconds=1)
