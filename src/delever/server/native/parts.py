"""What every route works with."""

from dataclasses import dataclass

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from delever.config import Config
from delever.server.history.history import History
from delever.server.history.queries import Past
from delever.server.native.feed import Feed
from delever.server.notify.notifier import Notifier
from delever.server.runner import Runner


@dataclass(frozen=True, slots=True)
class Parts:
    """The engine, its configuration, the feed of what it does, and what it did.

    `patience_s` is how long a stream waits for a reader who does not take what it is sent.
    """

    runner: Runner
    config: Config
    feed: Feed
    history: History
    past: Past
    notifier: Notifier
    patience_s: float

    def waits_for(self) -> str | None:
        """Return what is not there yet, or None."""
        if self.runner.failed is not None:
            return "engine"
        return None if self.history.caught_up else "history"


PartsOf = NamedDependency[SkipValidation[Parts]]
"""As the type of a route's parameter `parts`."""
