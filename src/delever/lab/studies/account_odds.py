"""The odds of one account: how likely ADL is to close its positions, under each rule set."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.messages import Side
from delever.core.rules import RuleSet
from delever.core.units import Floats, Ints
from delever.lab.errors import InputError, check_book, unknown
from delever.lab.measures.account_outcomes import PositionOutcome
from delever.lab.measures.intervals import RESAMPLES
from delever.lab.runs.market_paths.path import check_distinct, check_list, check_part
from delever.lab.runs.stress_test import Crash, Policies, simulate, with_variants
from delever.lab.tables.defaults import Pool


def my_odds(
    book: Book,
    account: str,
    scenarios: Sequence[Crash],
    *,
    rules: str | RuleSet | Sequence[str | RuleSet] = "bybit",
    policies: Policies = (),
    pool: Pool | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Return a row for each position of an account and each rule set and policy.

    `rules` and `policies` are those of `compare`. `reduced` is the probability that ADL closes
    any of it, `closed` that it closes all; `part` the expected part closed, `part_at_risk` the part
    that is not exceeded with a probability of `level`; `haircut` the expected loss against the
    mark. Each has a percentile bootstrap interval over scenarios, `_low` and `_high`, paired: the
    same draw for every measure and rule set. Scenarios are equally likely. Raises InputError and
    UnknownNameError.

        >>> import delever
        >>> from delever import lab
        >>> book = delever.read_book("examples/book")
        >>> paths = lab.scenarios(book, volatility=10.0, steps=3, count=5, seed=1)
        >>> odds = lab.my_odds(book, "bob", paths, rules=["bybit", "binance"], pool={"main": 0})
        >>> odds.select("rules", "contract", "side").row(0)
        ('bybit', 'BTCUSDT', 'short')
    """
    check_book(book)
    if account not in book.accounts.index:
        raise unknown("account", account, book.accounts.index)
    check_list("scenarios", scenarios, "shocks and paths")
    check_part("level", level)
    if not scenarios:
        raise InputError("is empty", column="scenarios")
    known, names = with_variants(book, rules, policies)
    check_distinct("rules", names)
    positions = list(_positions(book, account))
    if not positions:
        raise InputError("has no position", column="account", value=account)
    rows = []
    for name in names:
        outcomes = [_outcomes(known, crash, name, pool) for crash in scenarios]
        rows += [
            {"rules": name, **key, **_odds(account, key, lots, outcomes, book, level, seed)}
            for key, lots in positions
        ]
    return pl.DataFrame(rows)


def _positions(book: Book, account: str) -> Iterator[tuple[dict[str, Any], int]]:
    row = book.accounts.index[account]
    for name, state in book.contracts.items():
        for side, table in state.tables.items():
            for position in table.positions_of(row):
                lots = table.lots.item(table.row_of(row, position))
                yield {"contract": name, "side": str(side), "position": position}, lots


Outcomes = dict[tuple[str, str, Side, int], PositionOutcome]


def _outcomes(book: Book, crash: Crash, rules: str, pool: Pool | None) -> Outcomes:
    result = simulate(book, crash, rules=rules, pool=pool)
    return result.outcomes_by_position()


def _odds(
    account: str,
    key: dict[str, Any],
    lots: int,
    outcomes: Sequence[Outcomes],
    book: Book,
    level: float,
    seed: int,
) -> dict[str, float]:
    at = account, key["contract"], Side(key["side"]), key["position"]
    found = [each.get(at, PositionOutcome()) for each in outcomes]
    parts = np.array([outcome.lots / lots for outcome in found])
    settle = book.contracts[key["contract"]].terms.settle
    haircuts = np.array([outcome.haircut_cash for outcome in found]) / 10 ** book.cash_decimals(
        settle
    )
    draws = np.random.default_rng(seed).integers(len(found), size=(RESAMPLES, len(found)))

    def at_risk(values: Floats) -> Floats:
        found: Floats = np.quantile(values, level, axis=-1, method="inverted_cdf")
        return found

    return {
        **_with_interval("reduced", (parts > 0).astype(float), draws, level),
        **_with_interval("closed", (parts >= 1).astype(float), draws, level),
        **_with_interval("part", parts, draws, level),
        **_with_interval("part_at_risk", parts, draws, level, at_risk),
        **_with_interval("haircut", haircuts, draws, level),
    }


def _mean(values: Floats) -> Floats:
    means: Floats = values.mean(axis=-1)
    return means


def _with_interval(
    name: str,
    values: Floats,
    draws: Ints,
    level: float,
    statistic: Callable[[Floats], Floats] = _mean,
) -> dict[str, float]:
    """Return a statistic of scenarios, and its bootstrap interval over them."""
    bounds = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(statistic(values[draws]), bounds, method="inverted_cdf")
    found = float(statistic(values))
    return {name: found, f"{name}_low": float(low), f"{name}_high": float(high)}
