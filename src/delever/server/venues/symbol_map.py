"""What the venues' APIs share: contracts by their spellings, and what a settle asset is worth."""

from collections.abc import Mapping

from delever.config import Spelling
from delever.server.engine.market_snapshot import Board
from delever.server.venues.symbols import Names

STABLE = ("USDT", "USDC", "USD")
"""Assets that are shown as worth one dollar."""


class Listings:
    """The contracts of the newest board by every spelling; made anew when one is added."""

    def __init__(self, spellings: Mapping[str, Spelling]) -> None:
        self._spellings = spellings
        self._names = Names((), spellings)

    def of(self, board: Board) -> Names:
        """Return the names of a board's contracts."""
        if len(self._names.all) != len(board.contracts):
            definitions = [shown.definition for shown in board.contracts.values()]
            self._names = Names(definitions, self._spellings)
        return self._names


def usd_price(board: Board, names: Names, asset: str) -> tuple[int, int] | None:
    """Return what one unit of an asset is worth in dollars, by a mark, or None."""
    if asset in STABLE:
        return 1, 0
    for instrument in names.all:
        shown = board.contracts[instrument.contract]
        if instrument.base == asset and instrument.quote in STABLE and shown.mark_ticks:
            return shown.mark_ticks * shown.terms.tick[0], shown.terms.tick[1]
    return None
