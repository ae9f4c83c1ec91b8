"""The services that routes use, injected into their argument `services`."""

from dataclasses import dataclass

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from delever.config import Config
from delever.server.api.event_stream import EventFeed
from delever.server.engine.fill_explainer import FillExplainer
from delever.server.engine.runner import Runner
from delever.server.notifications.notifier import Notifier
from delever.server.storage.projector import HistoryProjector
from delever.server.storage.queries import HistoryQueries


@dataclass(frozen=True, slots=True)
class ApiServices:
    """Engine, configuration, event feed, history, notifier and explanations of fills."""

    runner: Runner
    config: Config
    feed: EventFeed
    projector: HistoryProjector
    queries: HistoryQueries
    notifier: Notifier
    explainer: FillExplainer

    @property
    def send_timeout_s(self) -> float:
        """How long a stream waits for a reader that does not read, in seconds."""
        return self.config.listen.send_timeout_ms / 1000

    def waiting_for(self) -> str | None:
        """Return the part that is not ready, or None."""
        if self.runner.waiting_for is not None:
            return self.runner.waiting_for
        return None if self.projector.caught_up else "history"


Services = NamedDependency[SkipValidation[ApiServices]]
"""The type of a route's argument `services`."""
