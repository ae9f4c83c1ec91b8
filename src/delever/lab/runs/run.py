"""A book and commands -> what happened: every event, every fill as a row, and totals.

Totals are kept by contract and by pool, each in its own asset; quantities and money are exact.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import (
    Accepted,
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Command,
    Event,
    Rejected,
)
from delever.core.units import format_scaled
from delever.core.valuation.insurance import pool_equity
from delever.formatting import Figures, exact
from delever.journal.snapshot import copy_of
from delever.lab.errors import in_words
from delever.lab.runs.time_series import PoolPoint, contracts_frame, points_after, pools_frame
from delever.lab.runs.totals import ContractTotal, Tally

Submit = Callable[[Command], Sequence[Event]]
Progress = Callable[[int, int], None]
"""Is told (commands done, commands in all)."""


class PoolTotal(msgspec.Struct, frozen=True, kw_only=True):
    """A pool at the end; equity is balance plus unrealized profit of its inventory."""

    pool: str
    rules: str
    asset: str
    balance: str
    equity: str


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One time of ADL in a contract; `stopped_ms` is None while it is on."""

    contract: str
    trigger: str
    started_ms: int
    why: str
    stopped_ms: int | None = None
    why_stopped: str = ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to; numbers of money and quantity are exact text."""

    commands: int
    rejected: int
    takeovers: int
    fills: int
    accounts: int
    from_ms: int
    until_ms: int
    episodes: tuple[Episode, ...]
    contracts: tuple[ContractTotal, ...]
    pools: tuple[PoolTotal, ...]

    def __str__(self) -> str:
        rejected = f", {self.rejected} rejected" if self.rejected else ""
        head = f"{self.commands} commands{rejected}, {self.from_ms} to {self.until_ms} ms"
        told = [*map(_episode_text, self.episodes), *map(_contract_text, self.contracts)]
        pools = [
            f"pool {pool.pool}: balance {pool.balance}, equity {pool.equity} {pool.asset}"
            for pool in self.pools
        ]
        return "\n".join([head, *told, *pools])


@dataclass(frozen=True, slots=True)
class Result:
    """What commands have done: the book after them, and the events of each.

    `marks` are those before the first command, in ticks.
    """

    book: Book
    outcomes: tuple[tuple[Event, ...], ...]
    path: tuple[PoolPoint, ...]
    marks: Mapping[str, int]

    @property
    def events(self) -> list[Event]:
        """Every event, in order."""
        return [event for events in self.outcomes for event in events]

    @property
    def rejected(self) -> dict[int, Rejected]:
        """The refusals by number of the command, from 0."""
        return {
            number: event
            for number, events in enumerate(self.outcomes)
            for event in events
            if isinstance(event, Rejected)
        }

    @property
    def fills(self) -> pl.DataFrame:
        """Every ADL fill as a row."""
        return fills_frame(self.book, self.events)

    @property
    def pools(self) -> pl.DataFrame:
        """Balance, equity and peak of every pool whenever it was observed."""
        return pools_frame(self.path)

    @property
    def contracts(self) -> pl.DataFrame:
        """Mark, profit and the levels of ADL of every contract whenever it was observed."""
        return contracts_frame(self.path)

    @property
    def summary(self) -> Summary:
        """What it came to."""
        return summarise(self.book, self.outcomes, self.marks)


def run(book: Book, commands: Iterable[Command], *, progress: Progress | None = None) -> Result:
    """Return what commands do to a book; the book given stays as it is.

    A rejected command changes nothing, is told in `rejected`, and the run goes on.
    """
    after = copy_of(book)
    return play(after, lambda command: step(after, command), list(commands), progress)


def play(
    book: Book, submit: Submit, commands: Sequence[Command], progress: Progress | None = None
) -> Result:
    """Return what commands do when they are submitted one by one to what moves this book."""
    marks = {name: state.mark for name, state in book.contracts.items()}
    outcomes: list[tuple[Event, ...]] = []
    path: list[PoolPoint] = []
    for done, command in enumerate(commands, start=1):
        outcomes.append(tuple(submit(command)))
        path += points_after(book, outcomes[-1])
        if progress is not None:
            progress(done, len(commands))
    return Result(book, tuple(outcomes), tuple(path), marks)


# --- fills ---

_EXACT = ("quantity", "price", "realized", "released", "fee", "pool_realized_pnl", "ahead")
_COLUMNS: dict[str, type[pl.DataType] | pl.DataType] = {
    "fill": pl.Int64,
    "time_ms": pl.Int64,
    "contract": pl.String,
    "side": pl.String,
    "account": pl.String,
    "position": pl.Int64,
    **dict.fromkeys(_EXACT, pl.Decimal),
    "price_rule": pl.String,
    "rank": pl.Int64,
    "score": pl.Float64,
    "indicator": pl.Int64,
    "takeover": pl.Int64,
    "liquidated_account": pl.String,
    "cancel_orders": pl.String,
}


def fills_frame(book: Book, events: Iterable[Event]) -> pl.DataFrame:
    """Return every ADL fill as a row, in order; money and quantities are exact decimals.

    `realized` is the counterparty's profit, `pool_realized_pnl` that of the pool on the inventory closed.
    """
    rows = list(_fills(book, events))
    places = {
        name: max((-row[name].as_tuple().exponent for row in rows), default=0) for name in _EXACT
    }
    types = _COLUMNS | {name: pl.Decimal(38, places[name]) for name in _EXACT}
    return pl.DataFrame(rows, schema=types)


def _fills(book: Book, events: Iterable[Event]) -> Iterable[dict[str, Any]]:
    time_ms = book.time_ms
    for event in events:
        if isinstance(event, Accepted):
            time_ms = event.time_ms
        elif isinstance(event, AdlFilled):
            yield {"time_ms": time_ms, **_fill_row(book, event)}


def _fill_row(book: Book, fill: AdlFilled) -> dict[str, Any]:
    state = book.contracts[fill.contract]
    terms, cash = state.terms, book.asset_of(state).cash_decimals
    return {
        "fill": fill.fill,
        "contract": fill.contract,
        "side": str(fill.side),
        "account": fill.account,
        "position": fill.position,
        "quantity": exact(fill.lots * terms.lot[0], terms.lot[1]),
        "price": exact(fill.price_ticks * terms.tick[0], terms.tick[1]),
        "realized": exact(fill.realized_pnl_cash, cash),
        "released": exact(fill.margin_returned_cash, cash),
        "fee": exact(fill.fee_cash, cash),
        "pool_realized_pnl": exact(fill.pool_realized_pnl_cash, cash),
        "ahead": exact(fill.quantity_ahead_lots * terms.lot[0], terms.lot[1]),
        "price_rule": fill.price_rule,
        "rank": fill.rank,
        "score": fill.score,
        "indicator": fill.indicator,
        "takeover": fill.takeover,
        "liquidated_account": fill.liquidated_account,
        "cancel_orders": " ".join(fill.cancel_orders),
    }


# --- totals ---


def summarise(book: Book, outcomes: Sequence[Sequence[Event]], marks: Mapping[str, int]) -> Summary:
    """Return what events came to; `book` is the one after them, `marks` those before, in ticks."""
    tally = Tally(book, marks)
    for events in outcomes:
        for event in events:
            tally.add(event)
    times = [
        event.time_ms for events in outcomes for event in events if isinstance(event, Accepted)
    ]
    return Summary(
        commands=len(outcomes),
        rejected=tally.rejected,
        takeovers=tally.takeovers,
        fills=tally.fills,
        accounts=tally.accounts,
        from_ms=times[0] if times else book.time_ms,
        until_ms=times[-1] if times else book.time_ms,
        episodes=tuple(_episodes(book, outcomes)),
        contracts=tally.contracts(),
        pools=tuple(pool_totals(book)),
    )


def pool_totals(book: Book) -> Iterable[PoolTotal]:
    """Yield every pool as it stands."""
    for pool in book.pools.values():
        decimals = book.asset(pool.asset).cash_decimals
        yield PoolTotal(
            pool=pool.name,
            rules=pool.definition.rules,
            asset=pool.asset,
            balance=format_scaled(pool.balance, decimals),
            equity=format_scaled(pool_equity(book, pool), decimals),
        )


def _episodes(book: Book, outcomes: Sequence[Sequence[Event]]) -> list[Episode]:
    """Return every start of ADL with the stop that ended it, in order of the starts."""
    episodes: dict[tuple[str, str, int], Episode] = {}
    running: dict[tuple[str, str], tuple[str, str, int]] = {}
    time_ms = 0
    for event in (event for events in outcomes for event in events):
        if isinstance(event, Accepted):
            time_ms = event.time_ms
        elif isinstance(event, AdlStarted):
            key = (event.contract, event.trigger, len(episodes))
            running[event.contract, event.trigger] = key
            episodes[key] = Episode(
                contract=event.contract,
                trigger=event.trigger,
                started_ms=time_ms,
                why=_numbers(book, event),
            )
        elif isinstance(event, AdlStopped) and (event.contract, event.trigger) in running:
            key = running.pop((event.contract, event.trigger))
            episodes[key] = msgspec.structs.replace(
                episodes[key], stopped_ms=time_ms, why_stopped=_numbers(book, event)
            )
    return list(episodes.values())


def _numbers(book: Book, event: AdlStarted | AdlStopped) -> str:
    """Return the condition with the numbers that were compared."""
    figures = Figures.of(book, book.contracts[event.contract])
    return figures.numbers(event.numbers) or in_words(event.reason)


def _episode_text(episode: Episode) -> str:
    start = f"{episode.contract}: ADL by {in_words(episode.trigger)} from {episode.started_ms} ms"
    end = "still on" if episode.stopped_ms is None else f"to {episode.stopped_ms} ms"
    return f"{start}, {end} ({episode.why})"


def _contract_text(total: ContractTotal) -> str:
    return (
        f"{total.contract}: {total.taken_over} taken over, {total.unwound} unwound, {total.closed} "
        f"closed by ADL of {total.accounts} accounts, who bear {total.borne} {total.asset}; "
        f"{total.left} left with the pool, whose profit is {total.pool_profit} {total.asset}"
    )
