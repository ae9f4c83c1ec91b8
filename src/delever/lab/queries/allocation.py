"""A quantity divided over the ADL queue of one side, under several policies, without a crash."""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.execution.adl_round import AdlRound, allocate_round
from delever.core.market.validation import Rejection
from delever.core.messages import Amount
from delever.core.rules import RuleSet
from delever.core.rules.adl_price import Quote
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import Ints, Ticks, floor_ticks
from delever.core.valuation.side_valuation import value_side
from delever.formatting import ContractFormatter, rejection_text
from delever.lab.errors import InputError, check_exact
from delever.lab.policies.catalog import AnyPolicy, lot_policy
from delever.lab.queries.position_queries import (
    contract_of,
    lots_of,
    quantities,
    rules_named,
    side_of,
)


def allocate(
    book: Book,
    contract: str,
    side: str,
    quantity: Amount,
    *,
    policies: str | AnyPolicy | Sequence[str | AnyPolicy] = "queue",
    rules: str | RuleSet | None = None,
    price: Amount | None = None,
) -> pl.DataFrame:
    """Return what closing a quantity takes from each position of a side, under each policy.

    `policies` are names or objects, of the engine or of `delever.lab.policies`; a policy of
    several contracts is `plan_reduction`. `rules` rank the queue and filter who is eligible;
    the default is those of the contract's pool. `price` is the ADL price; the default is the
    mark, rounded down to the tick. `reduced` is the quantity closed, `part` that of the
    position; `haircut` is the loss against the mark in the settle asset; `leverage_before` and
    `leverage_after` are notional / equity of the margin bucket (None without equity). Only
    ranked positions have rows. Raises UnknownNameError, and InputError for a quantity that the
    queue cannot close.

        >>> import delever
        >>> from delever import lab
        >>> book = delever.read_book("examples/book")
        >>> table = lab.allocate(book, "BTCUSDT", "short", "3", policies=["queue", "pro_rata"])
        >>> table.filter(account="bob").select("policy", "reduced").rows()
        [('queue', Decimal('3.000')), ('pro_rata', Decimal('1.778'))]
    """
    state = contract_of(book, contract)
    chosen = rules_named(rules, book, state)
    wanted, ticks = lots_of(state, "quantity", quantity), _price(state, price)
    queue = rank_side(value_side(book, state, side_of(side)), chosen.ranking)
    if not chosen.cases:
        raise InputError("has no ADL queue", column="rules", value=chosen.name)
    found = []
    given = (
        policies if isinstance(policies, Sequence) and not isinstance(policies, str) else [policies]
    )
    for policy in map(lot_policy, given):
        combined = replace(chosen, policy=policy)
        adl_round = AdlRound(
            book,
            state,
            queue.valuation.side.opposite,
            combined,
            combined.cases[0],
            [],
            wanted,
            Quote((ticks,), {}),
            queue,
        )
        allocation = allocate_round(adl_round)
        _check_feasible(state, queue, quantity, wanted, allocation.lots)
        found.append(
            _frame(book, state, queue, policy.name, allocation.rows, allocation.lots, ticks)
        )
    return pl.concat(found)


def _price(state: ContractState, price: Amount | None) -> Ticks:
    if not state.mark:
        raise InputError("has no mark", column=state.name)
    if price is None:
        return floor_ticks(state.mark)
    check_exact("price", price)
    try:
        return state.terms.read_ticks("price", price)
    except Rejection as rejection:
        raise InputError(rejection_text(rejection.reason), column="price", value=price) from None


def _check_feasible(
    state: ContractState, queue: Queue, quantity: Amount, wanted: int, lots: Ints
) -> None:
    """Raise InputError if less than the quantity is closed."""
    closed = int(lots.sum())
    if closed < wanted:
        terms = state.terms
        there = ContractFormatter(terms, 0).quantity(closed)
        raise InputError(
            f"is infeasible: the {len(queue.order)} ranked positions can close {there}",
            column="quantity",
            value=quantity,
        )


def _frame(
    book: Book,
    state: ContractState,
    queue: Queue,
    policy: str,
    rows: Ints,
    lots: Ints,
    ticks: Ticks,
) -> pl.DataFrame:
    view, formatter = queue.valuation, ContractFormatter.of(book, state)
    held, equity = view.lots[rows], view.equity[rows].astype(float)
    taken = np.zeros(view.size, np.int64)
    taken[rows] = lots
    sign, unit = view.side.sign, 10**formatter.cash_decimals
    haircut = [
        state.terms.trade_cash(sign * int(n), state.mark)
        - state.terms.trade_cash(sign * int(n), ticks)
        if n
        else 0
        for n in lots.tolist()
    ]
    notional = view.notional[rows].astype(float)
    left = notional * (1 - lots / np.maximum(held, 1))
    return pl.DataFrame(
        [
            pl.Series("policy", [policy] * len(rows), pl.String),
            pl.Series("rank", queue.rank[rows]),
            pl.Series("account", [book.accounts.names[a] for a in view.account[rows]], pl.String),
            pl.Series("position", view.position[rows]),
            quantities("quantity", held.tolist(), formatter),
            quantities("reduced", lots.tolist(), formatter),
            pl.Series("part", lots / np.maximum(held, 1)),
            pl.Series("haircut", np.array(haircut, float) / unit),
            _leverage("leverage_before", notional, equity),
            _leverage("leverage_after", left, equity - np.array(haircut, float)),
        ]
    )


def _leverage(name: str, notional: np.ndarray, equity: np.ndarray) -> pl.Series:
    pairs = zip(notional.tolist(), equity.tolist(), strict=True)
    return pl.Series(name, [n / e if e > 0 else None for n, e in pairs], pl.Float64)


def columns_by_policy(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each position, with the quantity reduced by each policy in a column."""
    key = ["rank", "account", "position", "quantity"]
    ids = [name for name in key if name != "position" or (table[name] != 0).any()]
    names = table["policy"].unique(maintain_order=True)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in table.iter_rows(named=True):
        listed = rows.setdefault(
            (row["account"], row["position"]),
            {name: row[name] for name in ids} | dict.fromkeys(names),
        )
        listed[row["policy"]] = row["reduced"]
    return sorted(rows.values(), key=itemgetter("rank"))
