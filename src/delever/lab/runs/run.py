"""A book and commands -> what happened: every event, every fill as a row, and a summary.

Totals are by contract and by pool, each in its own asset; quantities and money are exact.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import msgspec
import polars as pl

from delever.core.book import Book
from delever.core.messages import (
    Accepted,
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Command,
    Event,
    PartRejected,
    Rejected,
    rejected_parts,
)
from delever.core.units import Mark, format_scaled
from delever.core.valuation.insurance import pool_equity
from delever.formatting import ContractFormatter, humanize, moment
from delever.lab.errors import InputError, unknown
from delever.lab.measures.account_outcomes import (
    PositionKey,
    PositionOutcome,
    accounts_frame,
    position_outcomes,
)
from delever.lab.measures.contract_totals import ContractTotal, EventTotals
from delever.lab.measures.markout import markouts
from delever.lab.measures.run_measures import (
    AccountVectors,
    account_vectors,
    assets_of,
    main_asset,
    measure,
)
from delever.lab.measures.time_series import (
    ObservedPool,
    contracts_frame,
    observations,
    pools_frame,
)
from delever.lab.runs.command_runner import CommandRunner
from delever.lab.runs.market_paths.path import check_whole

Submit = Callable[[Command], Sequence[Event]]
Progress = Callable[[int, int], None]
"""Called with (commands done, commands in total)."""


class PoolTotal(msgspec.Struct, frozen=True, kw_only=True):
    """An insurance fund at the end; equity is balance plus unrealized PnL of its inventory.

    `unfunded` is what the balance is below 0: losses that nobody has paid.
    """

    pool: str
    rules: str
    asset: str
    balance: str
    equity: str
    unfunded: str


class AdlEpisode(msgspec.Struct, frozen=True, kw_only=True):
    """One episode of ADL in a contract, with the numbers that its trigger compared.

    `stopped_ms` is None while ADL is on.
    """

    contract: str
    trigger: str
    started_ms: int
    start_numbers: str
    stopped_ms: int | None = None
    stop_numbers: str = ""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The summary of a run; money and quantities are exact text, `notes` what was assumed."""

    commands: int
    rejected: int
    takeovers: int
    fills: int
    accounts: int
    from_ms: int
    until_ms: int
    episodes: tuple[AdlEpisode, ...]
    contracts: tuple[ContractTotal, ...]
    pools: tuple[PoolTotal, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        rejected = f", {self.rejected} rejected" if self.rejected else ""
        head = f"{self.commands} commands{rejected}, {self.from_ms} to {self.until_ms} ms"
        contracts = [*map(_episode_text, self.episodes), *map(_contract_text, self.contracts)]
        pools = [
            f"pool {pool.pool}: balance {pool.balance}, equity {pool.equity} {pool.asset}"
            f"{_unfunded_text(pool)}"
            for pool in self.pools
        ]
        return "\n".join([head, *contracts, *pools, *self.notes])


MAX_LISTED_FILLS = 10
"""Fills that the HTML of a run lists."""


@dataclass(frozen=True, slots=True, repr=False)
class RunResult:
    """What commands did: the book after them, the events of each command, and observations.

    `marks` in Ticks and `fund_equity` by pool in Cash are those before the first command; `notes`
    are assumptions of the run.

        >>> import delever
        >>> commands = delever.read_scenario("examples/crash.ndjson")
        >>> result = delever.run(delever.Book(), commands)
        >>> isinstance(result, delever.RunResult), result.rejected
        (True, {})
        >>> result.fills.select("account", "quantity", "price").row(0)
        ('cyd', Decimal('30.000'), Decimal('56500.0'))
    """

    book: Book
    outcomes: tuple[tuple[Event, ...], ...]
    observations: tuple[ObservedPool, ...]
    marks: Mapping[str, Mark]
    fund_equity: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<RunResult: {str(self.summary).partition(chr(10))[0]}>"

    def _repr_html_(self) -> str:
        fills = self.fills.head(MAX_LISTED_FILLS)._repr_html_()
        return f"<pre>{escape(str(self.summary))}</pre>{fills}"

    @property
    def events(self) -> list[Event]:
        """Every event, in order."""
        return [event for events in self.outcomes for event in events]

    @property
    def rejected(self) -> dict[int, Rejected]:
        """The rejections by number of the command, from 0."""
        return {
            number: event
            for number, events in enumerate(self.outcomes)
            for event in events
            if isinstance(event, Rejected)
        }

    @property
    def partial_rejections(self) -> list[tuple[int, PartRejected]]:
        """The marks and rows rejected alone, each with the number of its command, from 0."""
        return [
            (number, event)
            for number, events in enumerate(self.outcomes)
            for event in rejected_parts(events)
        ]

    @property
    def fills(self) -> pl.DataFrame:
        """Every ADL fill as a row; see `fills_frame`."""
        return fills_frame(self.book, self.events)

    @property
    def accounts(self) -> pl.DataFrame:
        """What ADL did to each position, as a row; see `accounts_frame`."""
        return accounts_frame(self.book, self.events, self.marks)

    def vectors(
        self,
        asset: str,
        *,
        markout_ms: int | None = None,
        outcomes: Mapping[PositionKey, PositionOutcome] | None = None,
    ) -> AccountVectors:
        """Return what the measures in one settle asset are computed from.

        `outcomes` are those of `outcomes_by_position`, where they are known.
        """
        found = self.outcomes_by_position() if outcomes is None else outcomes
        vectors = account_vectors(self.book, self.events, found, self.fund_equity, asset)
        if markout_ms is None:
            return vectors
        cash = markouts(self.book, self.events, self.marks, markout_ms, asset)
        return replace(vectors, markout=cash / 10 ** self.book.cash_decimals(asset))

    def outcomes_by_position(self) -> dict[PositionKey, PositionOutcome]:
        """Return what ADL and socialized losses did to each position, in Cash and Lots."""
        return position_outcomes(self.book, self.events, self.marks)

    def measures(
        self, asset: str = "", *, markout_ms: int | None = None
    ) -> dict[str, float | None]:
        """Return the measures in a settle asset, by name.

        The asset may be omitted where takeovers, ADL and socialized losses of the run are in one;
        ADL in contracts of other assets is not in the measures. Markouts are to the last marks of
        the run, or to those in force `markout_ms` after each fill.
        `delever.lab.measures.run_measures` defines each measure, with its formula. Raises
        InputError for a run in several assets without a name, UnknownNameError for one that there
        is not.

            >>> import delever
            >>> book = delever.read_book("examples/book")
            >>> result = delever.simulate(book, delever.Shock({"BTCUSDT": "-0.1"}))
            >>> measures = result.measures("USDT")
            >>> measures["haircut_total"], measures["full_close_share"]
            (2552.075, 0.5)
        """
        if asset and asset not in self.book.assets:
            raise unknown("asset", asset, self.book.assets)
        if markout_ms is not None:
            check_whole("markout_ms", markout_ms, 0)
        return measure(self.vectors(asset or self._only_asset(), markout_ms=markout_ms))

    @property
    def assets(self) -> list[str]:
        """The settle assets in which the run has taken over or deleveraged, by name."""
        return assets_of(self.book, self.events)

    def _only_asset(self) -> str:
        """Return the asset of the run; without any takeover, that of most open positions."""
        if len(self.assets) > 1:
            named = " or ".join(f'"{asset}"' for asset in self.assets)
            raise InputError(f"the run is in several assets: give one, {named}", column="asset")
        return self.assets[0] if self.assets else main_asset(self.book)

    @property
    def pools(self) -> pl.DataFrame:
        """Balance, equity and peak at each observation of each pool."""
        return pools_frame(self.observations)

    @property
    def contracts(self) -> pl.DataFrame:
        """Mark, contract PnL and ADL levels at each observation of each contract."""
        return contracts_frame(self.observations)

    @property
    def summary(self) -> RunSummary:
        """The totals of the run."""
        summary = summarize(self.book, self.outcomes, self.marks)
        return msgspec.structs.replace(summary, notes=self.notes)


def run(book: Book, commands: Iterable[Command], *, progress: Progress | None = None) -> RunResult:
    """Return what commands do to a copy of the book.

    A rejected command changes nothing, is reported in `rejected`, and the run continues.

        >>> import delever
        >>> commands = delever.read_scenario("examples/crash.ndjson")
        >>> summary = delever.run(delever.Book(), commands).summary
        >>> summary.takeovers, summary.fills, summary.contracts[0].closed
        (1, 3, '100')
    """
    runner = CommandRunner(book)
    return run_commands(runner.book, runner.submit, list(commands), progress)


def _with_progress(commands: Iterable[Command], progress: Progress | None) -> Iterator[Command]:
    """Yield commands, with a call of `progress` after each is done."""
    if progress is None:
        yield from commands
        return
    known = list(commands)
    for done, command in enumerate(known, start=1):
        yield command
        progress(done, len(known))


def run_commands(
    book: Book, submit: Submit, commands: Iterable[Command], progress: Progress | None = None
) -> RunResult:
    """Submit commands one by one to the engine of this book, and return what they did.

    Without `progress`, a command is only asked for when those before it are done.
    """
    marks = {name: state.mark for name, state in book.contracts.items()}
    fund_equity = {name: pool_equity(book, pool) for name, pool in book.pools.items()}
    outcomes: list[tuple[Event, ...]] = []
    observed: list[ObservedPool] = []
    for command in _with_progress(commands, progress):
        outcomes.append(tuple(submit(command)))
        observed += observations(book, outcomes[-1])
    return RunResult(book, tuple(outcomes), tuple(observed), marks, fund_equity)


# --- fills ---

_EXACT = (
    "quantity",
    "price",
    "realized_pnl",
    "margin_returned",
    "fee",
    "pool_realized_pnl",
    "quantity_ahead",
)
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

    `realized_pnl` is the counterparty's, `pool_realized_pnl` that of the fund on the inventory
    closed.
    """
    rows = list(_fills(book, events))
    places = {
        name: max((-row[name].as_tuple().exponent for row in rows), default=0) for name in _EXACT
    }
    types = _COLUMNS | {name: pl.Decimal(38, places[name]) for name in _EXACT}
    return pl.DataFrame(rows, schema=types)


def _fills(book: Book, events: Iterable[Event]) -> Iterable[dict[str, Any]]:
    time_ms, sequence = book.time_ms, book.sequence
    for event in events:
        if isinstance(event, Accepted):
            time_ms = event.time_ms
            sequence = event.sequence
        elif isinstance(event, AdlFilled):
            yield {"time_ms": time_ms, **_fill_row(book, event, sequence)}


def _fill_row(book: Book, fill: AdlFilled, sequence: int) -> dict[str, Any]:
    formatter = ContractFormatter.of(book, book.contracts[fill.contract]).at(sequence)
    return {
        "fill": fill.fill,
        "contract": fill.contract,
        "side": str(fill.side),
        "account": fill.account,
        "position": fill.position,
        "quantity": formatter.exact_quantity(fill.lots),
        "price": formatter.exact_price(fill.price_ticks),
        "realized_pnl": formatter.exact_cash(fill.realized_pnl_cash),
        "margin_returned": formatter.exact_cash(fill.margin_returned_cash),
        "fee": formatter.exact_cash(fill.fee_cash),
        "pool_realized_pnl": formatter.exact_cash(fill.pool_realized_pnl_cash),
        "quantity_ahead": formatter.exact_quantity(fill.quantity_ahead_lots),
        "price_rule": fill.price_rule,
        "rank": fill.rank,
        "score": fill.score,
        "indicator": fill.indicator,
        "takeover": fill.takeover,
        "liquidated_account": fill.liquidated_account,
        "cancel_orders": " ".join(fill.cancel_orders),
    }


# --- summary ---


def summarize(
    book: Book, outcomes: Sequence[Sequence[Event]], marks: Mapping[str, Mark]
) -> RunSummary:
    """Return the summary of events; `book` is as after them, `marks` as before, in Ticks."""
    totals = EventTotals(book, marks)
    for events in outcomes:
        for event in events:
            totals.add(event)
    times = [
        event.time_ms for events in outcomes for event in events if isinstance(event, Accepted)
    ]
    return RunSummary(
        commands=len(outcomes),
        rejected=totals.rejected,
        takeovers=totals.takeovers,
        fills=totals.fills,
        accounts=totals.accounts,
        from_ms=times[0] if times else book.time_ms,
        until_ms=times[-1] if times else book.time_ms,
        episodes=tuple(_episodes(book, outcomes)),
        contracts=totals.contracts(),
        pools=tuple(pool_totals(book)),
    )


def pool_totals(book: Book) -> Iterable[PoolTotal]:
    """Yield the total of every pool of the book."""
    for pool in book.pools.values():
        decimals = book.asset(pool.asset).cash_decimals
        yield PoolTotal(
            pool=pool.name,
            rules=pool.definition.rules,
            asset=pool.asset,
            balance=format_scaled(pool.balance, decimals),
            equity=format_scaled(pool_equity(book, pool), decimals),
            unfunded=format_scaled(pool.unfunded, decimals),
        )


def _episodes(book: Book, outcomes: Sequence[Sequence[Event]]) -> list[AdlEpisode]:
    """Return every start of ADL with the stop that ended it, in order of the starts."""
    episodes: dict[tuple[str, str, int], AdlEpisode] = {}
    running: dict[tuple[str, str], tuple[str, str, int]] = {}
    time_ms = sequence = 0
    for event in (event for events in outcomes for event in events):
        if isinstance(event, Accepted):
            time_ms, sequence = event.time_ms, event.sequence
        elif isinstance(event, AdlStarted):
            key = (event.contract, event.trigger, len(episodes))
            running[event.contract, event.trigger] = key
            episodes[key] = AdlEpisode(
                contract=event.contract,
                trigger=event.trigger,
                started_ms=time_ms,
                start_numbers=_numbers_text(book, event, sequence),
            )
        elif isinstance(event, AdlStopped) and (event.contract, event.trigger) in running:
            key = running.pop((event.contract, event.trigger))
            episodes[key] = msgspec.structs.replace(
                episodes[key], stopped_ms=time_ms, stop_numbers=_numbers_text(book, event, sequence)
            )
    return list(episodes.values())


def _numbers_text(book: Book, event: AdlStarted | AdlStopped, sequence: int) -> str:
    """Return the numbers that a trigger compared, or else its reason."""
    formatter = ContractFormatter.of(book, book.contracts[event.contract]).at(sequence)
    return formatter.labeled_amounts(event.numbers) or humanize(event.reason)


def _episode_text(episode: AdlEpisode) -> str:
    start = (
        f"{episode.contract}: ADL by {humanize(episode.trigger)} from {moment(episode.started_ms)}"
    )
    end = "still on" if episode.stopped_ms is None else f"to {moment(episode.stopped_ms)}"
    return f"{start}, {end} ({episode.start_numbers})"


def _contract_text(total: ContractTotal) -> str:
    return (
        f"{total.contract}: {total.taken_over} taken over, {total.unwound} unwound, {total.closed} "
        f"closed by ADL of {total.accounts} accounts, haircut {total.haircut} {total.asset}; "
        f"inventory {total.inventory}, pool PnL {total.pool_pnl} {total.asset}"
        f"{_unfunded_text(total)}"
    )


def _unfunded_text(total: ContractTotal | PoolTotal) -> str:
    return "" if total.unfunded == "0" else f", unfunded {total.unfunded} {total.asset}"
