"""Where the same positions stand under every venue's rules."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Reason, Side
from delever.core.rules import RULE_SETS, RuleSet
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import PPM
from delever.core.valuation.side_valuation import SideValuation, value_side
from delever.formatting import PERCENT_DECIMALS, exact
from delever.lab.errors import in_words, unknown
from delever.lab.queries.queries import contract_of, rule_set

POSITION = ("contract", "side", "account", "position", "quantity")
"""What names a row of positions."""


def compare_rules(
    book: Book,
    *,
    contract: str | None = None,
    account: str | None = None,
    rules: Iterable[str | RuleSet] | None = None,
) -> pl.DataFrame:
    """Return a row for each position and rule set: rank, indicator and score, and the trigger.

    `rank` counts from 1 `of` those in line, `indicator` from 5 in front, both empty with a `reason` for
    who is not in line; `shown` is the indicator on the venue's own scale; `ahead` is the quantity
    closed before. `trigger` is the one by which the
    rule set would start ADL in the contract: the first whose start `holds` now, or else the one
    that is farthest on its way, at `progress` percent (its first where none is on its way); both
    are empty where there is no queue. Pools, peaks and limits are those of the book; a rule set's
    own limits count where these say nothing. Positions are in order of contract, side, account and
    number, rule sets as given, or all. Raises UnknownNameError.
    """
    states = [*book.contracts.values()] if contract is None else [contract_of(book, contract)]
    if account is not None and account not in book.accounts.index:
        raise unknown("account", account, book.accounts.names)
    chosen = [*RULE_SETS.values()] if rules is None else [rule_set(each) for each in rules]
    places = max((state.terms.lot[1] for state in states), default=0)
    rows = [row for state in states for row in _contract_rows(book, state, account, chosen)]
    quantity = pl.Decimal(38, places)
    return pl.DataFrame(rows, schema=PLACES_SCHEMA | {"quantity": quantity, "ahead": quantity})


def at_a_glance(compared: pl.DataFrame) -> list[dict[str, Any]]:
    """Return what fits a screen: rule sets side by side, or below one another if they are more."""
    rule_sets = compared["rules"].n_unique()
    few = compared.height < rule_sets * rule_sets
    return turned(compared) if few else side_by_side(compared)


def side_by_side(compared: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each position with a column for each rule set: rank, of how many, indicator.

    After the positions of a contract a row says by which trigger each rule set would start ADL.
    Numbers of positions are left out where there is none but 0.
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


def turned(compared: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the same with a row for each rule set and a column for each position and trigger."""
    rows: dict[str, dict[str, Any]] = {}
    for place in side_by_side(compared):
        named = [place.pop(name) for name in POSITION if name in place]
        heading = "_".join(str(name) for name in named[:-1] if name not in {None, 0})
        for rules, cell in place.items():
            rows.setdefault(rules, {"rules": rules})[heading] = cell
    return list(rows.values())


PLACES_SCHEMA: dict[str, Any] = {
    "contract": pl.String,
    "side": pl.String,
    "account": pl.String,
    "position": pl.Int64,
    "quantity": pl.Decimal,
    "rules": pl.String,
    "rank": pl.Int64,
    "of": pl.Int64,
    "indicator": pl.Int64,
    "shown": pl.String,
    "ahead": pl.Decimal,
    "score": pl.Float64,
    "reason": pl.String,
    "trigger": pl.String,
    "holds": pl.Boolean,
    "progress": pl.Decimal(38, 4),
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
                place = _standing(state, queue, row, reason.get(row))
                shown = str(rules.indicator_scale.to_venue(place["indicator"] or 0))
                named = {"rules": rules.name, "shown": shown}
                yield {**position, **named, **place, **starts[rules.name]}


def _reasons(queue: Queue) -> dict[int, Reason]:
    """Return why rows do not stand in line."""
    return {row: reason for reason, rows in queue.ineligible.items() for row in rows.tolist()}


def _rows_of(book: Book, view: SideValuation, account: str | None) -> list[int]:
    """Return the rows of a table, or of one account in it, by account name and position number."""
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


def _standing(
    state: ContractState, queue: Queue, row: int, reason: Reason | None
) -> dict[str, Any]:
    ranked = reason is None
    return {
        "rank": int(queue.rank[row]) if ranked else None,
        "of": len(queue.order),
        "indicator": int(queue.indicator[row]) if ranked else None,
        "ahead": _quantity(state, int(queue.ahead_lots[row])) if ranked else None,
        "score": float(queue.score.value[row]),
        "reason": None if reason is None else str(reason),
    }


def _start(book: Book, state: ContractState, rules: RuleSet) -> dict[str, Any]:
    """Return the trigger that would start ADL: the first that holds, or the one farthest on."""
    if not rules.cases:
        return {"trigger": None, "holds": False, "progress": None}
    readings = [(case.trigger.name, case.trigger.read(book, state)) for case in rules.cases]
    name, reading = max(
        readings, key=lambda read: (read[1].starts, read[1].starts or read[1].trigger_used_ppm)
    )
    progress = min(max(reading.trigger_used_ppm, 0), PPM)
    return {"trigger": name, "holds": reading.starts, "progress": exact(progress, PERCENT_DECIMALS)}


def _quantity(state: ContractState, lots: int) -> Decimal:
    mantissa, places = state.terms.lot
    return exact(lots * mantissa, places)


# --- for the screen ---


def _place(row: dict[str, Any]) -> str:
    if row["reason"] is not None:
        return in_words(row["reason"])
    return f"{row['rank']} of {row['of']}, indicator {row['indicator']}"


def _trigger_text(row: dict[str, Any]) -> str:
    if row["trigger"] is None:
        return "none"
    way = "holds" if row["holds"] else f"{row['progress'].normalize():f} %"
    return f"{in_words(row['trigger'])}: {way}"
