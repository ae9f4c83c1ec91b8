"""Stress tests: marks move at once, under the rules of one venue or of several.

The book is rebuilt from its own tables, with managed pools: the engine liquidates, unwinds into
depth and deleverages, first at the current marks, then at those of the shock. Depth moves with its
mark. A minute passes after the shock, so that waiting times of triggers end. The shock is a single
step: an ADL price that is the previous mark (Hyperliquid) is the mark before it.
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
from delever.core.rules import RULE_SETS, RuleSet, rule_sets_of, rule_sets_with
from delever.core.rules.policies import POLICIES
from delever.core.units import Mark, div_nearest, parse_decimal
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError, unknown
from delever.lab.measures.adl_distribution import PLACES, AdlDistribution, adl_distributions
from delever.lab.measures.contract_totals import ContractTotal
from delever.lab.queries.position_queries import contract_of, rule_set, venue_of
from delever.lab.runs.run import RunResult, run
from delever.lab.tables.book_reader import build
from delever.lab.tables.book_writer import frames_of
from delever.lab.tables.table import SCHEMAS, Tabular, TextTable, table_of
from delever.rule_registry import own_registry

UNCAPPED = (
    "{rules}: its venue publishes neither vault_cap nor loss_threshold and not both are given: "
    "the vault pays until its equity is negative."
)
"""The note of a run in which the caps of a vault are assumed."""

PAUSE_MS = 60_000
"""Time between the shock and the end of the simulation."""

Levels = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Shock:
    """Relative moves of marks by contract: "-0.10" is 10 % down; other marks do not move.

    >>> import delever
    >>> delever.Shock({"BTCUSDT": "-0.10"}).ratio("BTCUSDT")
    Fraction(9, 10)
    """

    moves: Mapping[str, Amount]

    def ratio(self, contract: str) -> Fraction:
        """Return new mark / old mark, exactly; raises InputError unless it is above 0."""
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
    rules: str | RuleSet | None = None,
    pool: Amount | Mapping[str, Amount] | None = None,
    depth: Tabular | None = None,
    vault_cap: Amount | None = None,
    loss_threshold: Amount | None = None,
) -> RunResult:
    """Return what a shock does to a copy of the book.

    `rules`, a name or a `RuleSet`, replaces the rule set of every pool (and drops limits of another
    venue), `pool` the balance of every pool (or of the pools that it names), `depth` the order
    books. `vault_cap` and `loss_threshold` are the limits of a vault whose venue publishes no
    number (Hyperliquid); where neither they nor the book's pools give one, the vault pays until its
    equity is negative, and `notes` says so. Shocked prices are rounded to the nearest tick. Raises
    InputError and UnknownNameError for invalid arguments.

        >>> import delever
        >>> book = delever.read_book("examples/book")
        >>> result = delever.simulate(book, delever.Shock({"BTCUSDT": "-0.10"}), rules="bybit")
        >>> total = result.summary.contracts[0]
        >>> total.taken_over, total.unwound, total.closed, total.haircut
        ('2.5', '0.95', '1.55', '2552.075')
    """
    for contract in shock.moves:
        if contract_of(book, contract).mark == 0:
            raise InputError("has no mark to move", column=contract)
    caps = _given(vault_cap=vault_cap, loss_threshold=loss_threshold)
    managed, notes = _managed(book, rules, pool, depth, caps)
    calm = run(managed, _calm_commands(book))
    shocked = run(calm.book, _shock_commands(calm.book, shock))
    return RunResult(
        shocked.book,
        calm.outcomes + shocked.outcomes,
        calm.observations + shocked.observations,
        calm.marks,
        notes,
    )


def compare(
    book: Book,
    shock: Shock,
    *,
    rules: str | RuleSet | Sequence[str | RuleSet] = tuple(RULE_SETS),
    policies: str | Sequence[str] = (),
    pool: Amount | Mapping[str, Amount] | None = None,
    depth: Tabular | None = None,
    vault_cap: Amount | None = None,
    loss_threshold: Amount | None = None,
) -> pl.DataFrame:
    """Return what a shock does under several rule sets: one row per rule set and contract.

    `rules` are names or `RuleSet` objects, or one of them, and `policies` names. With `policies`, a
    rule set with a queue is simulated with each of them in place of its own, named like
    `bybit+pro_rata`. Columns are those of `RunResult.summary.contracts`, as exact decimals, and of
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
    chosen = [rules] if isinstance(rules, str | RuleSet) else rules
    own = [one for one in chosen if isinstance(one, RuleSet)]
    known = book.copy()
    known.use_registry({**book.registry, **own_registry(own)})
    names = [one.name if isinstance(one, RuleSet) else one for one in chosen]
    caps = _given(vault_cap=vault_cap, loss_threshold=loss_threshold)
    compared = variants(names, _as_sequence(policies), rule_sets_of(known))
    _check_read(caps, [rule_set(name, rule_sets_of(known)) for name in compared])
    for name in compared:
        needed = rule_set(name, rule_sets_of(known)).managed_limits
        given = {cap: caps[cap] for cap in needed if cap in caps}
        result = simulate(known, shock, rules=name, pool=pool, depth=depth, **given)
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
    return pl.DataFrame(rows, schema=COMPARED_SCHEMA).with_columns(
        pl.col(name).cast(pl.Decimal(38, _places(rows, name))) for name in COMPARED_EXACT
    )


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


def _as_sequence(names: str | Sequence[str]) -> Sequence[str]:
    """Return names, of which there may be a single one."""
    return [names] if isinstance(names, str) else names


def variants(
    rules: Iterable[str], policies: Sequence[str], known: Mapping[str, RuleSet] = RULE_SETS
) -> list[str]:
    """Return the names of rule sets, those with a queue combined with each of the policies.

    A rule set keeps its plain name with its own policy. Raises UnknownNameError.
    """
    for policy in policies:
        if policy not in POLICIES:
            raise unknown("policy", policy, POLICIES)
    names: list[str] = []
    for name in rules:
        chosen = rule_set(name, known)
        own = [name if policy == chosen.policy.name else f"{name}+{policy}" for policy in policies]
        names += own if own and chosen.cases else [name]
    return names


def _places(rows: Sequence[Mapping[str, Any]], name: str) -> int:
    """Return the decimals that a column needs."""
    return max((len(row.get(name, "").partition(".")[2]) for row in rows), default=0)


def _managed(
    book: Book,
    rules: str | RuleSet | None,
    pool: Amount | Mapping[str, Amount] | None,
    depth: Tabular | None,
    caps: Mapping[str, Amount],
) -> tuple[Book, tuple[str, ...]]:
    """Return the book rebuilt with managed pools and its replacements, still without marks; notes.

    Managed pools liquidate from the first mark on, which belongs into the result.
    """
    frames: dict[str, Tabular] = dict(frames_of(book))
    frames["marks"] = frames["marks"].clear()
    if depth is not None:
        frames["depth"] = depth
    tables = {name: table_of(frame, SCHEMAS[name], name) for name, frame in frames.items()}
    balances = pool if isinstance(pool, Mapping) else dict.fromkeys(book.pools, pool)
    for name in balances:
        if name not in book.pools:
            raise unknown("pool", name, book.pools)
    if rules is not None:
        _replace_rules(tables, rule_set(rules, rule_sets_of(book)).name)
    for row in tables["pools"].rows:
        row["managed"] = "true"
        if (balance := balances.get(row["pool"])) is not None:
            row["balance"] = str(balance)
    own = own_registry([rules] if isinstance(rules, RuleSet) else [])
    registry = {**book.registry, **own}
    notes = _cap_vaults(tables["pools"], rule_sets_with(registry), caps)
    return build(tables, registry), notes


def _given(**caps: Amount | None) -> dict[str, Amount]:
    return {name: cap for name, cap in caps.items() if cap is not None}


def _check_read(caps: Mapping[str, Amount], chosen: Iterable[RuleSet]) -> None:
    """Raise InputError for a cap that none of the rule sets reads."""
    read = {name for rules in chosen for name in rules.managed_limits}
    for name, cap in caps.items():
        if name not in read:
            raise InputError("is a limit that no chosen rule set reads", column=name, value=cap)


def _cap_vaults(
    pools: TextTable, known: Mapping[str, RuleSet], caps: Mapping[str, Amount]
) -> tuple[str, ...]:
    """Set the limits that managed pools need: those given, else the pool's own, else the vault.

    Returns a note for each rule set that has one of them assumed.
    """
    chosen = {row["rules"]: rule_set(row["rules"], known) for row in pools.rows}
    _check_read(caps, chosen.values())
    assumed: dict[str, str] = {}
    for row in pools.rows:
        whole = {"vault_cap": "1", "loss_threshold": row.get("balance") or "0"}
        for name in chosen[row["rules"]].managed_limits:
            column = f"limits.{name}"
            if name in caps:
                row[column] = str(caps[name])
            elif not row.get(column):
                row[column] = whole[name]
                assumed[row["rules"]] = UNCAPPED.format(rules=row["rules"])
    return tuple(assumed.values())


def _replace_rules(tables: Mapping[str, TextTable], rules: str) -> None:
    """Set the rule set of every pool; limits of another venue do not apply to it."""
    venue = venue_of(rules)
    foreign = {row["pool"] for row in tables["pools"].rows if venue_of(row["rules"]) != venue}
    for name in ("pools", "contracts"):
        for row in tables[name].rows:
            if row["pool"] in foreign:
                for limit in [column for column in row if column.startswith("limits.")]:
                    del row[limit]
    for row in tables["pools"].rows:
        row["rules"] = rules


def _calm_commands(book: Book) -> list[Command]:
    """Return the command that sets the marks before the shock."""
    marks: dict[str, Amount] = {
        name: ContractFormatter.of(book, state).price(state.mark)
        for name, state in book.contracts.items()
        if state.mark
    }
    return [SetMarks(time_ms=0, marks=marks, strict=True)]


def _shock_commands(book: Book, shock: Shock) -> list[Command]:
    """Return the commands that set depth and marks of the shock, and the minute after."""
    time_ms = book.time_ms + 1
    states = [book.contracts[name] for name in shock.moves]
    depths: list[Command] = [
        _moved_depth(book, state, shock.ratio(state.name), time_ms)
        for state in states
        if state.depth_known
    ]
    marks: dict[str, Amount] = {
        state.name: ContractFormatter.of(book, state).price(
            _moved_ticks(state.mark, shock.ratio(state.name))
        )
        for state in states
    }
    moved: list[Command] = [SetMarks(time_ms=time_ms, marks=marks, strict=True)] if marks else []
    return [*depths, *moved, SetTime(time_ms=time_ms + PAUSE_MS)]


def _moved_depth(book: Book, state: ContractState, ratio: Fraction, time_ms: int) -> SetDepth:
    formatter = ContractFormatter.of(book, state)

    def moved_levels(levels: Levels) -> tuple[tuple[str, str], ...]:
        """Return levels at their new prices; levels that share a tick are merged."""
        lots_at: dict[int, int] = {}
        for ticks, lots in levels:
            price = _moved_ticks(ticks, ratio)
            lots_at[price] = lots_at.get(price, 0) + lots
        return tuple((formatter.price(t), formatter.quantity(lots)) for t, lots in lots_at.items())

    return SetDepth(
        time_ms=time_ms,
        contract=state.name,
        bids=moved_levels(state.bids),
        asks=moved_levels(state.asks),
    )


def _moved_ticks(ticks: Mark, ratio: Fraction) -> int:
    """Return a moved price, to the nearest tick, at least one tick."""
    return max(div_nearest(ticks * ratio.numerator, ratio.denominator), 1)
