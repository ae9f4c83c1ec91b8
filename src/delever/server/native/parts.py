"""What every route works with."""

from dataclasses import dataclass

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from delever.config import Config
from delever.server.native.feed import Feed
from delever.server.runner import Runner


@dataclass(frozen=True, slots=True)
class Parts:
    """The engine, its configuration, and the feed of what it does.

    `patience_s` is how long a stream waits for a reader who does not take what it is sent.
    """

    runner: Runner
    config: Config
    feed: Feed
    patience_s: float

    def waits_for(self) -> str | None:
        """Return what is not there yet, or None."""
        return None


PartsOf = NamedDependency[SkipValidation[Parts]]
"""As the type of a route's parameter `parts`."""
