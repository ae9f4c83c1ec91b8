"""Stress tests: what a crash does to a book, under its own rule sets or under others.

Every pool manages liquidation: it takes over accounts at or below maintenance margin, unwinds into
depth and deleverages, first at the current marks, then at those of each step of the scenario. Depth
moves with its mark. A minute passes after the last step, so that waiting times of triggers end. A
`Shock` is a scenario of a single step: what is bankrupt by the end is taken over at the last
price, the fund pays all losses at once, and an ADL price that is the previous mark (Hyperliquid) is
the mark before the crash. docs/lab.md shows what a path changes.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import polars as pl

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Amount, Command, Event, MarkUnconfirmed, Rejected, SetTime
from delever.core.rules import RULE_SETS, RuleSet, rule_sets_of, with_policy
from delever.core.rules.policies import LotPolicy, policy_named
from delever.formatting import rejection_text
from delever.lab.errors import InputError, check_book
from delever.lab.measures.adl_distribution import PLACES, AdlDistribution, adl_distributions
from delever.lab.measures.contract_totals import ContractTotal
from delever.lab.policies.catalog import AnyPolicy, lot_policy
from delever.lab.queries.position_queries import rule_set
from delever.lab.runs.managed_book import check_read, given_caps, managed_copy
from delever.lab.runs.market_paths.commands import (
    StartingMarket,
    check_scenario,
    rounding_notes,
    scenario_commands,
)
from delever.lab.runs.market_paths.path import Scenario, Shock, check_distinct, scenario_of
from delever.lab.runs.run import RunResult, Submit, run_commands
from delever.lab.tables.book_reader import Locate, depth_commands
from delever.lab.tables.defaults import Pool
from delever.lab.tables.table import SCHEMAS, Tabular, as_floats, table_of
from delever.rule_registry import own_registry

Crash = Shock | Scenario

Policies = str | AnyPolicy | Sequence[str | AnyPolicy]


class RoundedPriceWarning(UserWarning):
    """A shocked price is rounded to its tick by more than 5 bp: the shock is another one.

    >>> import warnings
    >>> import delever
    >>> from delever import lab
    >>> row = {"account": "ann", "contract": "X", "side": "long", "quantity": 1, "entry_price": 3,
    ...        "leverage": 2}
    >>> book = delever.book_of([row], {"X": 3}, contracts="linear")
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     _ = lab.simulate(book, lab.Shock({"X": "-0.1"}))
    >>> caught[0].category is lab.RoundedPriceWarning
    True
    """


def simulate(
    book: Book,
    crash: Crash,
    *,
    rules: str | RuleSet | None = None,
    pool: Pool | None = None,
    depth: Tabular | None = None,
    vault_cap: Amount | None = None,
    loss_threshold: Amount | None = None,
) -> RunResult:
    """Return what a crash, a `Shock` or a `Scenario`, does to a copy of the book.

    The copy has all of the book, inventory and ADL under way included, so that `result.book`
    can be simulated in turn. `rules`, a name or a `RuleSet`, replaces the rule set of every
    pool (and drops limits of another venue), `pool` the balance of every pool, or of the pools
    that it names, `depth` the order books of its contracts. `vault_cap` and `loss_threshold`
    are the limits of a vault whose venue publishes no number (Hyperliquid); where neither they
    nor the book's pools give one, the vault pays until its equity is negative, and `notes` says
    so. Shocked prices are rounded to the nearest tick, with a `RoundedPriceWarning` beyond 5
    bp. Raises InputError and UnknownNameError for invalid arguments, and for a mark that the
    engine rejects.

        >>> import delever
        >>> book = delever.read_book("examples/book")
        >>> result = delever.simulate(book, delever.Shock({"BTCUSDT": "-0.10"}), rules="bybit")
        >>> total = result.summary.contracts[0]
        >>> total.taken_over, total.unwound, total.closed, total.haircut
        ('2.5', '0.95', '1.55', '2552.075')
        >>> later = delever.simulate(result.book, delever.Shock({"BTCUSDT": "-0.05"}))
        >>> later.summary.pools[0].rules
        'bybit'
    """
    check_book(book)
    scenario = scenario_of(crash)
    check_scenario(book, scenario)
    caps = given_caps(vault_cap=vault_cap, loss_threshold=loss_threshold)
    managed, notes = managed_copy(book, rules, pool, caps)
    before = (
        [] if depth is None else list(depth_commands(table_of(depth, SCHEMAS["depth"], "depth")))
    )
    calm = run_commands(managed, _located(managed, before), _calm_commands(managed, before))
    market = StartingMarket.of(managed)
    rounding = rounding_notes(managed, market, scenario)
    for note in rounding:
        warnings.warn(note, RoundedPriceWarning, stacklevel=2)
    commands = (command for _, command in scenario_commands(managed, market, scenario))
    crashed = run_commands(managed, partial(_submit, managed, scenario), commands)
    return RunResult(
        managed,
        calm.outcomes + crashed.outcomes,
        calm.observations + crashed.observations,
        calm.marks,
        calm.fund_equity,
        (*notes, *rounding, *_unconfirmed(crashed.events)),
    )


def _calm_commands(book: Book, depth: Iterable[tuple[Command, Locate]]) -> list[Command]:
    """Return the commands before the crash: order books, then a step at the marks as they are."""
    given = (msgspec.structs.replace(command, time_ms=book.time_ms) for command, _ in depth)
    return [*given, SetTime(time_ms=book.time_ms)]


def _located(book: Book, depth: Sequence[tuple[Command, Locate]]) -> Submit:
    """Return a function that submits the commands before the crash, and raises their errors."""
    places = iter([locate for _, locate in depth])

    def submit(command: Command) -> Sequence[Event]:
        events = step(book, command)
        locate = next(places, None)
        for event in events:
            if isinstance(event, Rejected) and locate is not None:
                raise locate(event)
        return events

    return submit


def _submit(book: Book, scenario: Scenario, command: Command) -> Sequence[Event]:
    """Run a command of a scenario; raises InputError if the engine rejects it."""
    events = step(book, command)
    for event in events:
        if isinstance(event, Rejected):
            raise InputError(
                f"the engine rejects {event.command}: {rejection_text(event.reason)}",
                file=scenario.name,
                column=event.field,
                value=event.value,
                reason=event.reason,
            )
    return events


def _unconfirmed(events: Iterable[Event]) -> list[str]:
    """Return a line for each contract whose mark went beyond its own limits."""
    names = dict.fromkeys(e.contract for e in events if isinstance(e, MarkUnconfirmed))
    return [
        f"{name}: a mark is beyond the contract's mark_limits: liquidation and ADL paused."
        for name in names
    ]


def compare(
    book: Book,
    crash: Crash,
    *,
    rules: str | RuleSet | Sequence[str | RuleSet] = tuple(RULE_SETS),
    policies: Policies = (),
    pool: Pool | None = None,
    depth: Tabular | None = None,
    vault_cap: Amount | None = None,
    loss_threshold: Amount | None = None,
    as_float: bool = False,
) -> pl.DataFrame:
    """Return what a crash does under several rule sets: one row per rule set and contract.

    `rules` are names or `RuleSet` objects, or one of them, and so are `policies` names or objects,
    of the engine or of `delever.lab.policies`. With `policies`, a rule set with a queue is
    simulated with each of them in place of its own, named like `bybit+pro_rata`. Columns are those
    of `RunResult.summary.contracts`, as exact decimals (float64 with `as_float`), and of
    `delever.lab.measures.adl_distribution`; `exhausted` is true if inventory remains although ADL
    is on. `note` says what was assumed of a rule set for which `vault_cap` or `loss_threshold` is
    missing, as in `simulate`. A rule set under which nothing happens has one row without a
    contract.

        >>> import delever
        >>> book = delever.read_book("examples/book")
        >>> shock = delever.Shock({"BTCUSDT": "-0.10"})
        >>> table = delever.compare(book, shock, rules=["bybit", "binance"])
        >>> table.select("rules", "closed").rows()
        [('bybit', Decimal('1.55')), ('binance', Decimal('0.00'))]
    """
    rows: list[dict[str, Any]] = []
    caps = given_caps(vault_cap=vault_cap, loss_threshold=loss_threshold)
    known, compared = with_variants(book, rules, policies)
    check_distinct("rules", compared)
    check_read(caps, [rule_set(name, rule_sets_of(known)) for name in compared])
    for name in compared:
        needed = rule_set(name, rule_sets_of(known)).managed_limits
        given = {cap: caps[cap] for cap in needed if cap in caps}
        result = simulate(known, crash, rules=name, pool=pool, depth=depth, **given)
        note = " ".join(result.notes) or None
        totals = result.summary.contracts
        distributions = adl_distributions(result.events, totals)
        rows += [
            {
                "rules": name,
                "note": note,
                **_total_row(result, total),
                **_distribution_row(distributions, total),
            }
            for total in totals
        ] or [{"rules": name, "note": note}]
    frame = pl.DataFrame(rows, schema=COMPARED_SCHEMA).with_columns(
        pl.col(name).cast(pl.Decimal(38, _places(rows, name))) for name in COMPARED_EXACT
    )
    return as_floats(frame) if as_float else frame


COMPARED_EXACT = (
    "taken_over",
    "unwound",
    "closed",
    "inventory",
    "realized_pnl",
    "haircut",
    "pool_pnl",
    "unfunded",
)
COMPARED_SCHEMA: dict[str, Any] = {
    "rules": pl.String,
    "contract": pl.String,
    "asset": pl.String,
    "taken_over": pl.String,
    "unwound": pl.String,
    "closed": pl.String,
    "inventory": pl.String,
    "accounts": pl.Int64,
    "realized_pnl": pl.String,
    "haircut": pl.String,
    "pool_pnl": pl.String,
    "unfunded": pl.String,
    "exhausted": pl.Boolean,
    "ranked": pl.Int64,
    "haircut_ratio": pl.Decimal(38, PLACES),
    "largest_share": pl.Decimal(38, PLACES),
    "gini": pl.Decimal(38, PLACES),
    "note": pl.String,
}


def _total_row(result: RunResult, total: ContractTotal) -> dict[str, Any]:
    state = result.book.contracts[total.contract]
    exhausted = bool(state.exhausted and state.active)
    return {**msgspec.structs.asdict(total), "exhausted": exhausted}


def _distribution_row(
    distributions: Mapping[str, AdlDistribution], total: ContractTotal
) -> dict[str, Any]:
    distribution = distributions.get(total.contract)
    return {} if distribution is None else msgspec.structs.asdict(distribution)


def with_variants(
    book: Book, rules: str | RuleSet | Sequence[str | RuleSet], policies: Policies
) -> tuple[Book, list[str]]:
    """Return a copy of the book that knows rule sets and policies of one's own, and all variants.

    Raises UnknownNameError and InputError for policies that do not exist or cannot be named.
    """
    check_book(book)
    chosen = [rules] if isinstance(rules, str | RuleSet) else rules
    known = book.copy()
    own = own_registry(one for one in chosen if isinstance(one, RuleSet))
    known.use_registry({**book.registry, **own})
    names = [one.name if isinstance(one, RuleSet) else one for one in chosen]
    compared = variant_rule_sets(names, policies, rule_sets_of(known))
    new = own_registry(one for one in compared if one.name not in rule_sets_of(known))
    known.use_registry({**known.registry, **new})
    return known, [one.name for one in compared]


def variant_rule_sets(
    rules: Iterable[str], policies: Policies, known: Mapping[str, RuleSet] = RULE_SETS
) -> list[RuleSet]:
    """Return rule sets by name, those with a queue combined with each of the policies.

    A rule set keeps its plain name with its own policy. Raises UnknownNameError, and InputError for
    a policy without a usable name.
    """
    chosen = [_divider(policy) for policy in _as_sequence(policies)]
    found: list[RuleSet] = []
    for name in rules:
        own = rule_set(name, known)
        try:
            with_each = [with_policy(own, policy) for policy in chosen if own.cases]
        except ValueError as error:
            raise InputError(str(error), column="policies") from error
        found += with_each or [own]
    return found


def _as_sequence(policies: Policies) -> Sequence[str | AnyPolicy]:
    """Return policies, of which there may be a single one."""
    if isinstance(policies, Sequence) and not isinstance(policies, str):
        return policies
    return [policies]


def _divider(policy: str | AnyPolicy) -> str | LotPolicy:
    """Return a policy as `with_policy` takes it: the name of one of the engine, or an object."""
    if isinstance(policy, str) and policy_named(policy) is not None:
        return policy
    return lot_policy(policy)


def variants(
    rules: Iterable[str], policies: Policies, known: Mapping[str, RuleSet] = RULE_SETS
) -> list[str]:
    """Return the names of `variant_rule_sets`."""
    return [one.name for one in variant_rule_sets(rules, policies, known)]


def _places(rows: Sequence[Mapping[str, Any]], name: str) -> int:
    """Return the decimals that a column needs."""
    return max((len(row.get(name, "").partition(".")[2]) for row in rows), default=0)
