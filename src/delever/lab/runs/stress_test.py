"""Marks that move at once: what a venue's rules, or several venues', would make of it.

The book is set up anew from its own tables, in pools that are managed: the engine liquidates,
unwinds into depth, and deleverages, first at the marks as they are, then at those of the shock.
Depth moves with its mark. After the shock a minute passes, so that waits end. The shock is a single
step: a rule that closes at the previous mark (Hyperliquid) closes at the mark before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import msgspec
import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Amount, Command, SetDepth, SetMarks, SetTime
from delever.core.rules import RULE_SETS
from delever.core.rules.policies import POLICIES
from delever.core.units import div_nearest, parse_decimal
from delever.formatting import Figures
from delever.lab.errors import InputError, unknown
from delever.lab.measures.fairness import PLACES, Measures, measures
from delever.lab.queries.queries import contract_of, rule_set, venue_of
from delever.lab.runs.run import Result, run
from delever.lab.tables.book_reader import build
from delever.lab.tables.book_writer import frames_of
from delever.lab.tables.table import SHAPES, Table, Tabular, table_of

PAUSE_MS = 60_000

Levels = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Shock:
    """By how much each mark moves, by contract: "-0.10" is 10 % down. The others stay."""

    moves: Mapping[str, Amount]

    def ratio(self, contract: str) -> Fraction:
        """Return new mark / old mark, exactly; raises InputError where it is not above 0."""
        move = self.moves.get(contract, 0)
        number = parse_decimal(move) if isinstance(move, str | int) else None
        if number is None:
            raise InputError('must be exact text, such as "-0.10"', column=contract, value=move)
        ratio = 1 + Fraction(number[0], 10 ** number[1])
        if ratio <= 0:
            raise InputError("leaves no price above 0", column=contract, value=move)
        return ratio


def simulate(
    book: Book,
    shock: Shock,
    *,
    rules: str | None = None,
    pool: Amount | Mapping[str, Amount] | None = None,
    depth: Tabular | None = None,
) -> Result:
    """Return what a shock does to a book; the book given stays as it is.

    `rules` replaces the rule set of every pool (and drops limits set for another venue's), `pool`
    the balance of every pool (or of those named), `depth` the order books. Shocked prices are
    rounded to the nearest tick. Raises InputError and UnknownNameError for what cannot be used.
    """
    for contract in shock.moves:
        if contract_of(book, contract).mark == 0:
            raise InputError("has no mark that could move", column=contract)
    managed = _managed(book, rules, pool, depth)
    calm = run(managed, _marked(book))
    shocked = run(calm.book, _shocked(calm.book, shock))
    outcomes, path = calm.outcomes + shocked.outcomes, calm.path + shocked.path
    return Result(shocked.book, outcomes, path, calm.marks)


def compare(
    book: Book,
    shock: Shock,
    *,
    rules: str | Sequence[str] = tuple(RULE_SETS),
    policies: str | Sequence[str] = (),
    pool: Amount | Mapping[str, Amount] | None = None,
    depth: Tabular | None = None,
) -> pl.DataFrame:
    """Return what a shock does under several rule sets: one row a rule set and contract.

    `rules` and `policies` are names, or one name. With `policies` a rule set with a queue is tried
    with each of them in place of its own, as `bybit+pro_rata`. Columns as in
    `Result.summary.contracts`, as exact decimals, and those of `delever.lab.measures`;
    `exhausted` says that inventory is left although ADL is on. A rule set under which nothing happens has one
    row without contract.
    """
    rows: list[dict[str, Any]] = []
    for name in variants(_several(rules), _several(policies)):
        result = simulate(book, shock, rules=name, pool=pool, depth=depth)
        totals, shared = result.summary.contracts, measures(result)
        rows += [
            {"rules": name, **_row(result, total.contract, total), **_shared(shared, total)}
            for total in totals
        ] or [{"rules": name}]
    return pl.DataFrame(rows, schema=COMPARED_SCHEMA).with_columns(
        pl.col(name).cast(pl.Decimal(38, _places(rows, name))) for name in COMPARED_EXACT
    )


COMPARED_EXACT = ("taken_over", "unwound", "closed", "left", "realized", "borne", "pool_profit")
COMPARED_SCHEMA: dict[str, Any] = {
    "rules": pl.String,
    "contract": pl.String,
    "asset": pl.String,
    "taken_over": pl.String,
    "unwound": pl.String,
    "closed": pl.String,
    "left": pl.String,
    "accounts": pl.Int64,
    "realized": pl.String,
    "borne": pl.String,
    "pool_profit": pl.String,
    "exhausted": pl.Boolean,
    "ranked": pl.Int64,
    "haircut": pl.Decimal(38, PLACES),
    "largest": pl.Decimal(38, PLACES),
    "gini": pl.Decimal(38, PLACES),
}


def _row(result: Result, contract: str, total: Any) -> dict[str, Any]:
    state = result.book.contracts[contract]
    told = {name: getattr(total, name) for name in total.__struct_fields__}
    return {**told, "exhausted": bool(state.exhausted and state.active)}


def _shared(shared: Mapping[str, Measures], total: Any) -> dict[str, Any]:
    found = shared.get(total.contract)
    return {} if found is None else msgspec.structs.asdict(found)


def _several(names: str | Sequence[str]) -> Sequence[str]:
    """Return names; a single one may be told as it is."""
    return [names] if isinstance(names, str) else names


def variants(rules: Iterable[str], policies: Sequence[str]) -> list[str]:
    """Return the names of rule sets, each with a queue once a policy; none is its own policy.

    Raises UnknownNameError.
    """
    for policy in policies:
        if policy not in POLICIES:
            raise unknown("policy", policy, POLICIES)
    names: list[str] = []
    for name in rules:
        chosen = rule_set(name)
        own = [name if policy == chosen.policy.name else f"{name}+{policy}" for policy in policies]
        names += own if own and chosen.cases else [name]
    return names


def _places(rows: Sequence[Mapping[str, Any]], name: str) -> int:
    """Return how many decimals a column needs."""
    return max((len(row.get(name, "").partition(".")[2]) for row in rows), default=0)


def _managed(
    book: Book, rules: str | None, pool: Amount | Mapping[str, Amount] | None, depth: Tabular | None
) -> Book:
    """Return the book set up anew, its pools managed, with what is to be replaced.

    It has no marks yet: from the first one on its pools liquidate, and that is to be told.
    """
    frames: dict[str, Tabular] = dict(frames_of(book))
    frames["marks"] = frames["marks"].clear()
    if depth is not None:
        frames["depth"] = depth
    tables = {name: table_of(frame, SHAPES[name], name) for name, frame in frames.items()}
    balances = pool if isinstance(pool, Mapping) else dict.fromkeys(book.pools, pool)
    for name in balances:
        if name not in book.pools:
            raise unknown("pool", name, book.pools)
    if rules is not None:
        _replace_rules(tables, rule_set(rules).name)
    for row in tables["pools"].rows:
        row["managed"] = "true"
        if (balance := balances.get(row["pool"])) is not None:
            row["balance"] = str(balance)
    return build(tables)


def _replace_rules(tables: Mapping[str, Table], rules: str) -> None:
    """Put every pool under a rule set; limits set for another venue's do not hold for it."""
    venue = venue_of(rules)
    foreign = {row["pool"] for row in tables["pools"].rows if venue_of(row["rules"]) != venue}
    for name in ("pools", "contracts"):
        for row in tables[name].rows:
            if row["pool"] in foreign:
                for limit in [column for column in row if column.startswith("limits.")]:
                    del row[limit]
    for row in tables["pools"].rows:
        row["rules"] = rules


def _marked(book: Book) -> list[Command]:
    """Return the marks before the shock."""
    marks: dict[str, Amount] = {
        name: Figures.of(book, state).price(state.mark)
        for name, state in book.contracts.items()
        if state.mark
    }
    return [SetMarks(time_ms=0, marks=marks)]


def _shocked(book: Book, shock: Shock) -> list[Command]:
    """Return depth and marks as the shock leaves them, and the minute after."""
    time_ms = book.time_ms + 1
    states = [book.contracts[name] for name in shock.moves]
    depths: list[Command] = [
        _moved_depth(book, state, shock.ratio(state.name), time_ms)
        for state in states
        if state.depth_known
    ]
    marks: dict[str, Amount] = {
        state.name: Figures.of(book, state).price(_moved(state.mark, shock.ratio(state.name)))
        for state in states
    }
    told: list[Command] = [SetMarks(time_ms=time_ms, marks=marks)] if marks else []
    return [*depths, *told, SetTime(time_ms=time_ms + PAUSE_MS)]


def _moved_depth(book: Book, state: ContractState, ratio: Fraction, time_ms: int) -> SetDepth:
    figures = Figures.of(book, state)

    def moved(levels: Levels) -> tuple[tuple[str, str], ...]:
        """Return levels at their new prices; those that now share a tick become one."""
        lots_at: dict[int, int] = {}
        for ticks, lots in levels:
            price = _moved(ticks, ratio)
            lots_at[price] = lots_at.get(price, 0) + lots
        return tuple((figures.price(t), figures.quantity(lots)) for t, lots in lots_at.items())

    return SetDepth(
        time_ms=time_ms, contract=state.name, bids=moved(state.bids), asks=moved(state.asks)
    )


def _moved(ticks: int, ratio: Fraction) -> int:
    """Return a price moved, to the nearest tick, at least one."""
    return max(div_nearest(ticks * ratio.numerator, ratio.denominator), 1)
