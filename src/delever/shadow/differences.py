"""Rows of a report: each episode, and each position that the rule set or the venue closed in it."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

import polars as pl

from delever.formatting import rejection_text
from delever.shadow.decisions import Closing, PositionKey
from delever.shadow.episodes import Episode, lots_of


class Cause(StrEnum):
    """Why the closings of a position differ, the most fundamental cause first."""

    AGREES = "agrees"
    """The same quantity at the same price."""
    TRIGGER = "trigger"
    """Only one of both closed anything in the episode."""
    NO_POSITION = "no_position"
    """The venue closed a position that the book did not have when the episode began."""
    INELIGIBLE = "ineligible"
    """The venue closed a position that the rule set does not rank, or skips."""
    RANK = "rank"
    """The venue closed positions in another order than the rule set's queue."""
    QUANTITY = "quantity"
    """The order is the same, and one of both closed more."""
    PRICE = "price"
    """The same quantity at another price."""


def position_rows(episode: Episode) -> list[dict[str, Any]]:
    """Return a row for each position closed in an episode: the rule set's order, then the venue's.

    `difference` is the haircut by the venue less that by the rule set: what the account loses
    by the venue's ADL and would not have lost by the rule set's. A price that is an average is
    rounded down to the tick.
    """
    keys = dict.fromkeys(each.key for each in (*episode.rules_closed, *episode.venue_closed))
    return [_position_row(episode, key) for key in keys]


def _position_row(episode: Episode, key: PositionKey) -> dict[str, Any]:
    contract, side = episode.key
    formatter = episode.formatter
    ours, theirs = (
        [closing for closing in closed if closing.key == key]
        for closed in (episode.rules_closed, episode.venue_closed)
    )
    haircuts = [sum(each.haircut_cash for each in closed) for closed in (ours, theirs)]
    return {
        "episode": episode.number,
        "time_ms": episode.begin.time_ms,
        "contract": contract,
        "side": str(side),
        "account": key[0],
        "position": key[1],
        "delever_quantity": formatter.exact_quantity(_lots(ours)),
        "venue_quantity": formatter.exact_quantity(_lots(theirs)),
        "delever_price": _price(episode, ours),
        "venue_price": _price(episode, theirs),
        "delever_haircut": formatter.exact_cash(haircuts[0]),
        "venue_haircut": formatter.exact_cash(haircuts[1]),
        "difference": formatter.exact_cash(haircuts[1] - haircuts[0]),
        "asset": formatter.terms.settle,
        "cause": str(_cause(episode, key, ours, theirs)),
        "place": _place(episode, key),
    }


def _lots(closings: Iterable[Closing]) -> int:
    return sum(closing.lots for closing in closings)


def _average_ticks(closings: Sequence[Closing]) -> int:
    return sum(each.lots * each.price_ticks for each in closings) // _lots(closings)


def _price(episode: Episode, closings: Sequence[Closing]) -> Decimal | None:
    """Return the average price of closings, or None without any."""
    return episode.formatter.exact_price(_average_ticks(closings)) if closings else None


def _cause(
    episode: Episode, key: PositionKey, ours: Sequence[Closing], theirs: Sequence[Closing]
) -> Cause:
    if not episode.rules_closed or not episode.venue_closed:
        return Cause.TRIGGER
    if _lots(ours) == _lots(theirs):
        same_price = _average_ticks(ours) == _average_ticks(theirs)
        return Cause.AGREES if same_price else Cause.PRICE
    if theirs and not ours:
        row = episode.begin.row(key)
        if row is None:
            return Cause.NO_POSITION
        if _ineligible_reason(episode, key, row):
            return Cause.INELIGIBLE
    return Cause.RANK if _is_another_order(episode) else Cause.QUANTITY


def _is_another_order(episode: Episode) -> bool:
    """Return whether one of both closed lots that the other did not, and both have such lots."""
    ours, theirs = lots_of(episode.rules_closed), lots_of(episode.venue_closed)
    return bool(ours - theirs) and bool(theirs - ours)


def _ineligible_reason(episode: Episode, key: PositionKey, row: int) -> str:
    """Return why the rule set does not close a position, or ""."""
    reason = episode.begin.queue.reason(row)
    return rejection_text(reason) if reason else episode.skipped.get(key, "")


def _place(episode: Episode, key: PositionKey) -> str:
    """Return the place of a position in the rule set's queue when the episode began."""
    row, queue = episode.begin.row(key), episode.begin.queue
    if row is None:
        return "the book has no such position"
    if reason := _ineligible_reason(episode, key, row):
        return f"ineligible: {reason}"
    ahead = episode.formatter.quantity(int(queue.quantity_ahead_lots[row]))
    return f"rank {queue.rank[row]} of {len(queue.order)}, {ahead} ahead"


def episode_row(episode: Episode) -> dict[str, Any]:
    """Return the row of an episode; `same_quantity` is what both closed of the same positions.

    `trigger` is the state of the rule set's triggers when the episode began.
    """
    contract, side = episode.key
    formatter = episode.formatter
    ours, theirs = lots_of(episode.rules_closed), lots_of(episode.venue_closed)
    haircuts = [
        sum(each.haircut_cash for each in closed)
        for closed in (episode.rules_closed, episode.venue_closed)
    ]
    return {
        "episode": episode.number,
        "contract": contract,
        "side": str(side),
        "delever_ms": episode.rules_ms,
        "venue_ms": episode.venue_ms,
        "mark": formatter.price(episode.begin.mark),
        "delever_quantity": formatter.exact_quantity(ours.total()),
        "venue_quantity": formatter.exact_quantity(theirs.total()),
        "same_quantity": formatter.exact_quantity((ours & theirs).total()),
        "delever_haircut": formatter.exact_cash(haircuts[0]),
        "venue_haircut": formatter.exact_cash(haircuts[1]),
        "asset": formatter.terms.settle,
        "trigger": episode.begin.trigger,
    }


_EXACT = {
    "delever_quantity",
    "venue_quantity",
    "same_quantity",
    "delever_price",
    "venue_price",
    "delever_haircut",
    "venue_haircut",
    "difference",
}
_INTEGERS = {"episode", "time_ms", "position", "delever_ms", "venue_ms"}

EPISODE_COLUMNS = (
    "episode",
    "contract",
    "side",
    "delever_ms",
    "venue_ms",
    "mark",
    "delever_quantity",
    "venue_quantity",
    "same_quantity",
    "delever_haircut",
    "venue_haircut",
    "asset",
    "trigger",
)

POSITION_COLUMNS = (
    "episode",
    "time_ms",
    "contract",
    "side",
    "account",
    "position",
    "delever_quantity",
    "venue_quantity",
    "delever_price",
    "venue_price",
    "delever_haircut",
    "venue_haircut",
    "difference",
    "asset",
    "cause",
    "place",
)


def episodes_frame(episodes: Iterable[Episode]) -> pl.DataFrame:
    """Return the rows of episodes; money and quantities are exact decimals."""
    return _frame([*map(episode_row, episodes)], EPISODE_COLUMNS)


def positions_frame(episodes: Iterable[Episode]) -> pl.DataFrame:
    """Return the rows of all positions closed in episodes; money and quantities are exact."""
    rows = [row for episode in episodes for row in position_rows(episode)]
    return _frame(rows, POSITION_COLUMNS)


def _frame(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={name: _type(name, rows) for name in columns})


def _type(name: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataType:
    """Return the type of a column; a decimal has as many places as its longest value."""
    if name in _INTEGERS:
        return pl.Int64()
    if name not in _EXACT:
        return pl.String()
    exponents = [row[name].as_tuple().exponent for row in rows if row[name] is not None]
    return pl.Decimal(38, max((-exponent for exponent in exponents), default=0))
