"""What every route works with."""

from dataclasses import dataclass

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from delever.config import Config
from delever.server.api.event_stream import Feed
from delever.server.engine.service import Runner
from delever.server.notifications.notifier import Notifier
from delever.server.storage.projector import History
from delever.server.storage.queries import Past


@dataclass(frozen=True, slots=True)
class Parts:
    """The engine, its configuration, the feed of what it does, and what it did."""

    runner: Runner
    config: Config
    feed: Feed
    history: History
    past: Past
    notifier: Notifier

    @property
    def patience_s(self) -> float:
        """How long a stream waits for a reader who takes nothing, in seconds."""
        return self.config.listen.send_timeout_ms / 1000

    def waits_for(self) -> str | None:
        """Return what is not there yet, or None."""
        if self.runner.failed is not None:
            return "engine"
        return None if self.history.caught_up else "history"


PartsOf = NamedDependency[SkipValidation[Parts]]
"""As the type of a route's parameter `parts`."""
