"""Incidents: the ADL of one contract by all of its triggers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from delever.api_types.history import EpisodeResponse

INCIDENT_MS = 30 * 60_000
"""Time for which an incident counts as recent after its end, and within which it continues."""


@dataclass(frozen=True, slots=True)
class Incident:
    """The ADL of one contract, by all of its triggers, from its first start to its last stop."""

    contract: str
    pool: str
    episodes: Sequence[EpisodeResponse]

    @property
    def started_ms(self) -> int:
        """The start of its first episode."""
        return min(episode.started_ms for episode in self.episodes)

    @property
    def stopped_ms(self) -> int | None:
        """The stop of its last episode, None while one of them is on."""
        stops = [episode.stopped_ms for episode in self.episodes]
        return max(stop for stop in stops if stop) if all(stops) else None

    def is_recent(self, now_ms: int) -> bool:
        """Return whether it has ended, at most INCIDENT_MS ago."""
        return self.stopped_ms is not None and now_ms - self.stopped_ms <= INCIDENT_MS


def incidents_of(episodes: Iterable[EpisodeResponse]) -> list[Incident]:
    """Return the incidents of one contract, oldest first.

    An episode that starts while another one is on, or within INCIDENT_MS of its stop, continues
    its incident.
    """
    groups: list[list[EpisodeResponse]] = []
    for episode in sorted(episodes, key=lambda found: found.started_ms):
        if groups and _continues(groups[-1], episode):
            groups[-1].append(episode)
        else:
            groups.append([episode])
    return [Incident(group[0].contract, group[0].pool, group) for group in groups]


def _continues(group: Sequence[EpisodeResponse], episode: EpisodeResponse) -> bool:
    stops = [found.stopped_ms for found in group]
    if not all(stops):
        return True
    return episode.started_ms - max(stop for stop in stops if stop) <= INCIDENT_MS
