"""The worker that makes plans for the rounds of a server, over its API."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import msgspec

from delever.core.book import Book
from delever.journal.snapshot import decode_book
from delever.lab.errors import InputError
from delever.lab.policies.plans.live.live_plan import LivePlan, live_plans
from delever.lab.policies.plans.shadow_prices import Ties
from delever.lab.runs.market_paths.path import Scenario, Shock
from delever.rule_registry import installed_rule_sets, registry

POLL_S = 0.2
"""Interval at which the server is asked for rounds that await a plan."""

TIMEOUT_S = 60.0


class PlanWorker:
    """Makes plans from a server's book, stores their certificates and submits them.

    `scenarios` returns the scenarios of a book, `log` writes a line. The server's rule set decides
    wherever no plan arrives in time, so that an error of the worker stops no ADL.
    """

    def __init__(
        self,
        url: str,
        key: str,
        scenarios: Callable[[Book], Sequence[Shock | Scenario]],
        *,
        folder: Path | None,
        ties: Ties,
        slippage: str,
        log: Callable[[str], None],
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)
        self._scenarios, self._folder, self._log = scenarios, folder, log
        self._ties, self._slippage = ties, slippage
        self._read_until: int | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def work(self, wait: Callable[[float], object], *, once: bool) -> bool:
        """Make plans until interrupted, or `once`; return whether all of them were accepted.

        `wait` is called with the seconds between two requests to the server, such as `time.sleep`.
        A lost connection is logged and tried again; with `once` it raises InputError.
        """
        while True:
            try:
                accepted = self.make_plans()
            except (httpx2.HTTPError, InputError) as error:
                if once:
                    raise InputError(str(error), column="server") from error
                self._log(f"no plan: {error}")
                accepted = False
            if once:
                return accepted
            wait(POLL_S)

    def make_plans(self) -> bool:
        """Submit a plan for each asset with rounds that await one; return whether all passed.

        The book is read at first, after a request for a plan, and after a plan was rejected.
        """
        if self._read_until is not None and not self._has_requests(self._read_until):
            return True
        book = decode_book(self._get("/v1/book").content)
        book.use_registry(registry(installed_rule_sets()))
        self._read_until = book.sequence
        if not any(state.plan_requests for state in book.contracts.values()):
            return True
        plans = live_plans(
            book, scenarios=self._scenarios(book), ties=self._ties, slippage=self._slippage
        )
        accepted = [self._submit(plan) for plan in plans]
        if not all(accepted):
            self._read_until = None
        return all(accepted)

    def _has_requests(self, after: int) -> bool:
        """Return whether a round has requested a plan since a sequence, and read on from there."""
        page = self._get(f"/v1/events?type=plan_requested&after={after}").json()
        self._read_until = page["next_after"]
        return bool(page["events"])

    def _submit(self, live: LivePlan) -> bool:
        """Store a plan's certificate, submit the plan, and log the answer."""
        command = live.command
        if self._folder is not None:
            live.plan.write_certificate(self._folder / f"{command.certificate}.npz")
        body = msgspec.json.decode(msgspec.json.encode(command))
        del body["time_ms"], body["by"]  # the server's clock, and the name of the key
        body["id"] = f"plan-{command.book_sequence}-{command.certificate[:16]}"
        response = self._client.post("/v1/commands", json=body)
        contracts = ", ".join(planned.contract for planned in command.rounds)
        self._log(f"{contracts}: {_outcome(response)}; {command.note}")
        return response.status_code == httpx2.codes.OK

    def _get(self, path: str) -> httpx2.Response:
        response = self._client.get(path)
        if response.status_code != httpx2.codes.OK:
            raise InputError(f"{path}: {_outcome(response)}", column="server")
        return response


def _outcome(response: httpx2.Response) -> str:
    """Return whether the server accepted a plan, or its error in words."""
    if response.status_code == httpx2.codes.OK:
        return "accepted"
    try:
        error: dict[str, Any] = response.json()["error"]
    except (KeyError, TypeError, ValueError):
        return f"HTTP {response.status_code}"
    return f"{response.status_code} {error.get('reason')}: {error.get('message')}"
