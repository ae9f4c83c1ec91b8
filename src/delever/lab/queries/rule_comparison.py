"""The same positions ranked under every venue's rules."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Reason, Side
from delever.core.rules import RuleSet, rule_sets_of
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import PPM
from delever.core.valuation.side_valuation import SideValuation, value_side
from delever.formatting import PERCENT_DECIMALS, decimal_text, exact_decimal, humanize
from delever.lab.errors import unknown
from delever.lab.queries.position_queries import contract_of, rule_set

POSITION = ("contract", "side", "account", "position", "quantity")
"""The columns that identify a position."""


def rank_all(
    book: Book,
    *,
    contract: str | None = None,
    account: str | None = None,
    rules: Iterable[str | RuleSet] | None = None,
) -> pl.DataFrame:
    """Return the rank of each position under each rule set, with the trigger that starts ADL.

    `rank` counts from 1 among `ranked` positions, `indicator` from 5 at the front; both are empty,
    with a `reason`, for an ineligible position. `venue_indicator` is the indicator on the venue's
    own scale; `quantity_ahead` is the quantity closed before. `trigger` is the one by which the
    rule set would start ADL in the contract: the first that `holds` now, or else the one with the
    largest `trigger_used` in percent; both are empty without a queue. Pools, peaks and limits are
    those of the book, with a rule set's own limits as defaults. Rows are in order of contract,
    side, account and position id, rule sets as given, or all. Raises UnknownNameError.
    """
    states = [*book.contracts.values()] if contract is None else [contract_of(book, contract)]
    if account is not None and account not in book.accounts.index:
        raise unknown("account", account, book.accounts.names)
    known = rule_sets_of(book)
    chosen = [*known.values()] if rules is None else [rule_set(name, known) for name in rules]
    places = max((state.terms.lot[1] for state in states), default=0)
    rows = [row for state in states for row in _contract_rows(book, state, account, chosen)]
    quantity = pl.Decimal(38, places)
    exacts = {"quantity": quantity, "quantity_ahead": quantity}
    return pl.DataFrame(rows, schema=COMPARISON_SCHEMA | exacts)


MAX_COLUMNS = 6
"""Rule sets that a terminal table has a column for; with more, it summarizes each position."""

FEW_POSITIONS = 2
"""Positions that a terminal table has a column for, with a row for each rule set."""


def terminal_table(compared: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a table for a terminal: a row for each position.

    Few rule sets have a column each; of many, the ranks are summarized. One or two positions under
    many rule sets are the columns of a table with a row for each rule set.
    """
    if compared["rules"].n_unique() <= MAX_COLUMNS:
        return columns_by_rule_set(compared)
    few = compared.unique(POSITION).height <= FEW_POSITIONS
    return rows_by_rule_set(compared) if few else position_summaries(compared)


def position_summaries(compared: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each position: its best, median and worst rank over the rule sets.

    `first_under` counts the rule sets under which it is closed first, `ranked_under` those that
    rank it, `of` all of them. Position ids are omitted if all are 0.
    """
    rank = pl.col("rank")
    summed = compared.group_by(POSITION, maintain_order=True).agg(
        rank.min().alias("best"),
        rank.quantile(0.5, "lower").cast(pl.Int64).alias("median"),
        rank.max().alias("worst"),
        (rank == 1).sum().cast(pl.Int64).alias("first_under"),
        rank.count().cast(pl.Int64).alias("ranked_under"),
        pl.len().cast(pl.Int64).alias("of"),
    )
    single = (compared["position"] == 0).all()
    return (summed.drop("position") if single else summed).to_dicts()


def columns_by_rule_set(compared: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each position, with its rank and indicator in a column per rule set.

    The positions of a contract are followed by a row with the trigger that would start ADL.
    Position ids are omitted if all are 0.
    """
    names = [name for name in POSITION if name != "position" or (compared[name] != 0).any()]
    positions: dict[tuple[Any, ...], dict[str, Any]] = {}
    triggers: dict[str, dict[str, Any]] = {}
    for row in compared.iter_rows(named=True):
        key = tuple(row[name] for name in POSITION)
        position = positions.setdefault(key, {name: row[name] for name in names})
        position[row["rules"]] = _place(row)
        blank = {**dict.fromkeys(names), "contract": row["contract"], "side": "trigger"}
        triggers.setdefault(row["contract"], blank)[row["rules"]] = _trigger_text(row)
    by_contract: dict[str, list[dict[str, Any]]] = {contract: [] for contract in triggers}
    for position in positions.values():
        by_contract[position["contract"]].append(position)
    return [row for contract in triggers for row in (*by_contract[contract], triggers[contract])]


def rows_by_rule_set(compared: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each rule set, with a column per position and trigger."""
    rows: dict[str, dict[str, Any]] = {}
    for position in columns_by_rule_set(compared):
        named = [position.pop(name) for name in POSITION if name in position]
        heading = "_".join(str(name) for name in named[:-1] if name not in {None, 0})
        for rules, cell in position.items():
            rows.setdefault(rules, {"rules": rules})[heading] = cell
    return list(rows.values())


COMPARISON_SCHEMA: dict[str, Any] = {
    "contract": pl.String,
    "side": pl.String,
    "account": pl.String,
    "position": pl.Int64,
    "quantity": pl.Decimal,
    "rules": pl.String,
    "rank": pl.Int64,
    "ranked": pl.Int64,
    "indicator": pl.Int64,
    "venue_indicator": pl.String,
    "quantity_ahead": pl.Decimal,
    "score": pl.Float64,
    "reason": pl.String,
    "trigger": pl.String,
    "holds": pl.Boolean,
    "trigger_used": pl.Decimal(38, PERCENT_DECIMALS),
}


def _contract_rows(
    book: Book, state: ContractState, account: str | None, chosen: list[RuleSet]
) -> Iterator[dict[str, Any]]:
    starts = {rules.name: _start(book, state, rules) for rules in chosen}
    for side in Side:
        view = value_side(book, state, side)
        queues = [(rules, rank_side(view, rules.ranking)) for rules in chosen]
        reasons = [_reasons(queue) for _, queue in queues]
        for row in _rows_of(book, view, account):
            position = _position(book, state, view, row)
            for (rules, queue), reason in zip(queues, reasons, strict=True):
                place = _queue_place(state, queue, row, reason.get(row))
                indicator = str(rules.indicator_scale.to_venue(place["indicator"] or 0))
                named = {"rules": rules.name, "venue_indicator": indicator}
                yield {**position, **named, **place, **starts[rules.name]}


def _reasons(queue: Queue) -> dict[int, Reason]:
    """Return the reason of each ineligible row."""
    return {row: reason for reason, rows in queue.ineligible.items() for row in rows.tolist()}


def _rows_of(book: Book, view: SideValuation, account: str | None) -> list[int]:
    """Return the rows of a side, or of one account, by account name and position id."""
    rows = list(range(view.size))
    if account is not None:
        index = book.accounts.index[account]
        rows = [row for row in rows if view.account[row] == index]
    return sorted(rows, key=lambda row: (int(view.account_order[row]), int(view.position[row])))


def _position(book: Book, state: ContractState, view: SideValuation, row: int) -> dict[str, Any]:
    return {
        "contract": state.name,
        "side": str(view.side),
        "account": book.accounts.names[int(view.account[row])],
        "position": int(view.position[row]),
        "quantity": _quantity(state, int(view.lots[row])),
    }


def _queue_place(
    state: ContractState, queue: Queue, row: int, reason: Reason | None
) -> dict[str, Any]:
    is_ranked = reason is None
    ahead_lots = int(queue.quantity_ahead_lots[row])
    return {
        "rank": int(queue.rank[row]) if is_ranked else None,
        "ranked": len(queue.order),
        "indicator": int(queue.indicator[row]) if is_ranked else None,
        "quantity_ahead": _quantity(state, ahead_lots) if is_ranked else None,
        "score": float(queue.score.value[row]),
        "reason": None if reason is None else str(reason),
    }


def _start(book: Book, state: ContractState, rules: RuleSet) -> dict[str, Any]:
    """Return the trigger that would start ADL: the first that holds, or the most used."""
    if not rules.cases:
        return {"trigger": None, "holds": False, "trigger_used": None}
    evaluations = [(case.trigger.name, case.trigger.evaluate(book, state)) for case in rules.cases]
    name, evaluation = max(
        evaluations, key=lambda pair: (pair[1].starts, pair[1].starts or pair[1].trigger_used_ppm)
    )
    used_ppm = min(max(evaluation.trigger_used_ppm, 0), PPM)
    return {
        "trigger": name,
        "holds": evaluation.starts,
        "trigger_used": exact_decimal(used_ppm, PERCENT_DECIMALS),
    }


def _quantity(state: ContractState, lots: int) -> Decimal:
    mantissa, places = state.terms.lot
    return exact_decimal(lots * mantissa, places)


# --- cells of a terminal table ---


def _place(row: dict[str, Any]) -> str:
    if row["reason"] is not None:
        return humanize(row["reason"])
    return f"{row['rank']} of {row['ranked']}, indicator {row['indicator']}"


def _trigger_text(row: dict[str, Any]) -> str:
    if row["trigger"] is None:
        return "none"
    used = "holds" if row["holds"] else f"{decimal_text(row['trigger_used'])} %"
    return f"{humanize(row['trigger'])}: {used}"
