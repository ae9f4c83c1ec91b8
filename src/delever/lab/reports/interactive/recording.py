"""A crash under several rule sets and policies: the book before it, and the events of each variant.

A recording is applied to a copy of its book event by event, so that a reader of it has the book of
every moment, that before a round of ADL included.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from delever.core.book import Book
from delever.core.messages import AdlFilled, Command, DefinePool, Event, Side
from delever.core.rules import RuleSet
from delever.lab.errors import InputError
from delever.lab.queries.position_queries import rule_set
from delever.lab.runs.journal_commands import commands_under
from delever.lab.runs.managed_book import managed_copy
from delever.lab.runs.run import Progress, RunResult, run
from delever.lab.runs.stress_test import Crash, Policies, simulate, variant_rule_sets, with_variants
from delever.lab.tables.defaults import Pool
from delever.rule_registry import installed_rule_sets, registry, with_own

ContractSide = tuple[str, Side]
"""A contract, and the side of the positions that ADL closes."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A crash under one variant: a rule set, or one with another policy (`bybit+pro_rata`).

    `before` is the book before the first event, `result` the run.
    """

    variant: str
    before: Book
    result: RunResult

    @property
    def outcomes(self) -> tuple[tuple[Event, ...], ...]:
        """The events of each command."""
        return self.result.outcomes


def record_commands(
    commands: Sequence[Command],
    rules: Sequence[str] = (),
    policies: Policies = (),
    progress: Progress | None = None,
) -> list[Recording]:
    """Return a recording of commands as they are, then one under each other variant.

    `rules` adds rule sets, `policies` each of all rule sets with another policy. Raises
    UnknownNameError and InputError.

        >>> from delever.lab.runs.scenario import read_scenario
        >>> crash = read_scenario("examples/crash.ndjson")
        >>> [one.variant for one in record_commands(crash, policies=["pro_rata"])]
        ['bybit', 'bybit+pro_rata']
    """
    own = next((c.rules for c in commands if isinstance(c, DefinePool)), None)
    if own is None:
        raise InputError("defines no pool: there is no insurance fund to show")
    known = with_own(installed_rule_sets())
    base = registry(installed_rule_sets())
    recordings = [Recording(own, Book(base), run(Book(base), commands, progress=progress))]
    for chosen in _others(own, rules, policies, known):
        under, _ = commands_under(commands, chosen)
        first = Book({**base, **registry([chosen])}) if chosen.name not in known else Book(base)
        recordings.append(Recording(chosen.name, first, run(first, under, progress=progress)))
    return recordings


def record_crash(
    book: Book,
    crash: Crash,
    rules: Sequence[str] = (),
    policies: Policies = (),
    pool: Pool | None = None,
) -> list[Recording]:
    """Return a recording of a crash of a book for its own rule set, and for each other variant.

    >>> import delever
    >>> book = delever.read_book("examples/book")
    >>> recordings = record_crash(book, delever.Shock({"BTCUSDT": "-0.1"}), rules=["okx"])
    >>> [(one.variant, len(one.result.fills)) for one in recordings]
    [('bybit', 2), ('okx', 2)]
    """
    own = next((pool.definition.rules for pool in book.pools.values()), "bybit")
    known, names = with_variants(book, [own, *(name for name in rules if name != own)], policies)
    variants = dict.fromkeys([own, *rules, *names])
    return [
        Recording(
            name, managed_copy(known, name, pool)[0], simulate(known, crash, rules=name, pool=pool)
        )
        for name in variants
    ]


def _others(
    own: str, rules: Sequence[str], policies: Policies, known: Mapping[str, RuleSet]
) -> list[RuleSet]:
    """Return the variants besides a scenario's own rule set, each once."""
    chosen = {name: rule_set(name, known) for name in dict.fromkeys([own, *rules])}
    combined = variant_rule_sets(list(chosen), policies, known) if policies else []
    found = chosen | {one.name: one for one in combined}
    return [one for name, one in found.items() if name != own]


def closed_sides(recordings: Sequence[Recording]) -> list[ContractSide]:
    """Return the contract sides that ADL closed, those of most accounts first.

    Sides that were closed under the first recording precede those of the others.
    """
    ordered: dict[ContractSide, None] = {}
    for recording in recordings:
        accounts: defaultdict[ContractSide, set[str]] = defaultdict(set)
        for events in recording.outcomes:
            for event in events:
                if isinstance(event, AdlFilled):
                    accounts[event.contract, event.side].add(event.account)
        by_size = sorted(accounts, key=lambda key: -len(accounts[key]))
        ordered |= dict.fromkeys(by_size)
    return list(ordered)
