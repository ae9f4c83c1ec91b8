"""Lab: a study of one book over many scenarios, which opens on an example.

It runs in a process of its own: the page shows how far it is, the time left, and each part as soon
as it is finished.
"""

import asyncio
import contextlib

from nicegui import background_tasks, ui

from delever.dashboard.components.frame import PageFrame, grid, html, panel
from delever.dashboard.data.api_client import ApiClient
from delever.dashboard.data.lab.study import StudyInputs, StudyResult
from delever.dashboard.data.lab.study_queue import StudyError, StudyProgress, StudyQueue
from delever.dashboard.format import duration
from delever.dashboard.pages.lab.study_inputs import StudyForm, study_inputs
from delever.dashboard.pages.lab.study_results import StudyPanels
from delever.lab.errors import InputError

_QUEUE = StudyQueue()
"""The studies of this process, which has one dashboard."""

_ABOUT = (
    "An example of 120 accounts with one insurance fund, in an hour of fat-tailed moves. "
    "Change anything and run it again; the address contains the study. "
)


async def show(
    client: ApiClient,
    rules: str = "",
    policies: str = "",
    move: str = "",
    scenarios: str = "",
    seed: str = "",
    funds: str = "",
    capital: str = "",
    side: str = "",
    part: str = "",
) -> None:
    """Build the page of a study; parameters that are empty are those of the example."""
    frame = PageFrame(client, "Lab", "/lab")
    given = {
        "rules": rules, "policies": policies, "move": move, "scenarios": scenarios, "seed": seed,
        "funds": funds, "capital": capital, "side": side, "part": part,
    }  # fmt: skip
    with frame.body:
        link = f'<a href="{frame.url("/lab/crash")}">One crash through time</a>'
        html(f'<p class="note lead">{_ABOUT}{link}</p>')
        running = _RunningStudy(frame)
        try:
            inputs = study_inputs(given)
        except InputError as error:
            running.report(f"Not run: {error}")
            inputs = None
        running.add_form(inputs or StudyInputs())
    await frame.connect()
    if inputs:
        running.start(inputs)


class _RunningStudy:
    """The study of one page: its form, its progress and its panels."""

    def __init__(self, frame: PageFrame) -> None:
        self._frame = frame
        self._task: asyncio.Task[None] | None = None
        with grid():
            with panel("Study", about="policies, fund sizes and a plan, same scenarios"):
                self._place = ui.element("div")
                with ui.element("div").classes("bits study-run"):
                    self._run = ui.button("Run", on_click=self._restart)
                    self._run.props("no-caps unelevated")
                    self._cancel = ui.button("Cancel", on_click=self._cancel_task)
                    self._cancel.props("no-caps outline")
                    self._bar = ui.linear_progress(0, show_value=False)
                    self._bar.props('aria-label="progress of the study"')
                    self._status = ui.label("").props("role=status").classes("quiet")
            self._panels = StudyPanels()
        self._show_running(is_running=False)
        ui.context.client.on_delete(self._cancel_task)

    def add_form(self, inputs: StudyInputs) -> None:
        """Add the form with the inputs of the address."""
        with self._place:
            self._form = StudyForm(inputs)

    def report(self, text: str) -> None:
        """Show the state of the study as text."""
        self._status.set_text(text)

    def start(self, inputs: StudyInputs) -> None:
        """Run a study in the background."""
        self._task = background_tasks.create(self._run_study(inputs), name="study")

    def _restart(self) -> None:
        try:
            inputs, query = self._form.inputs()
        except InputError as error:
            self.report(f"Not run: {error}")
            return
        self._frame.update_url(**query)
        self.start(inputs)

    def _cancel_task(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _show_running(self, *, is_running: bool) -> None:
        self._run.set_enabled(not is_running)
        self._cancel.set_visibility(is_running)
        self._bar.set_visibility(is_running)

    async def _run_study(self, inputs: StudyInputs) -> None:
        """Run a study to its end, and say how it ended."""
        self._bar.set_value(0)
        self._show_running(is_running=True)
        self._panels.clear()
        try:
            result = await _QUEUE.run(inputs, self._progressed)
        except StudyError as error:
            self.report(f"Not finished: {error}")
        except asyncio.CancelledError:
            self.report("Cancelled. The parts that were finished are below.")
        else:
            self._panels.display(result)
            self.report(f"{inputs.runs} runs in {duration(int(result.seconds * 1_000))}")
        with contextlib.suppress(RuntimeError):  # of a visitor who has gone
            self._show_running(is_running=False)

    def _progressed(self, progress: StudyProgress | StudyResult | None) -> None:
        if isinstance(progress, StudyResult):
            self._panels.display(progress)
        elif progress is None:
            self.report("Waiting for a worker …")
        else:
            left = progress.seconds_left
            rest = "" if left is None else f", {duration(int(left * 1_000))} left"
            self._bar.set_value(progress.done / progress.total)
            self.report(f"{progress.done} of {progress.total} runs{rest}")
