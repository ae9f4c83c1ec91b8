"""Who pays for the demo's crash under each rule set: counterparties, funds, or nobody.

    python benchmarks/haircuts.py --accounts 5000 --contracts 8

The funds are managed, and the operator injects nothing. `haircut` is what counterparties and
socialized losses paid against the mark of the moment, `fund` what the funds gained or lost with
inventory at the mark, `unfunded` their balances below 0 at the end; all in USDT. The script runs
with the engine of any commit that has the demo, for a table before and after a change.
"""

import argparse
from collections.abc import Iterable, Iterator

import msgspec

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Command, DefinePool, Event, PoolFunded, Rejected, Unwound
from delever.core.rules import RULE_SETS
from delever.core.valuation.insurance import pool_equity
from delever.demo.crash_generator import (
    depth_generator,
    draw_crash,
    market_commands,
    opening_commands,
)
from delever.demo.synthetic_market import UNIT
from delever.lab.measures.contract_totals import EventTotals

COLUMNS = ("rules", "unwound", "fills", "accounts", "haircut", "fund", "unfunded")


def crash_commands(seed: int, accounts: int, contracts: int) -> Iterator[Command]:
    """Yield the commands of a crash, without the operator's."""
    crash, depth = draw_crash(seed, accounts, contracts), depth_generator(seed)
    yield from opening_commands(crash)
    for second in range(crash.path.seconds):
        yield from market_commands(crash, second, depth)


def under(rules: str, commands: Iterable[Command]) -> Iterator[Command]:
    """Yield the commands with all pools under a rule set."""
    for command in commands:
        is_pool = isinstance(command, DefinePool)
        yield msgspec.structs.replace(command, rules=rules) if is_pool else command


def outcome(rules: str, commands: Iterable[Command]) -> tuple[str, ...]:
    """Return the cells of a rule set's row."""
    book = Book()
    events: list[Event] = []
    seeds = 0
    for command in under(rules, commands):
        done = step(book, command)
        if isinstance(done[0], Rejected):
            raise TypeError(f"the generator made an invalid command: {done[0]}")
        seeds += sum(event.amount_cash for event in done if isinstance(event, PoolFunded))
        events += done
    totals = EventTotals(book, {})
    for event in events:
        totals.add(event)
    contracts = totals.contracts()
    equity = sum(pool_equity(book, pool) for pool in book.pools.values())
    return (
        rules,
        str(sum(isinstance(event, Unwound) for event in events)),
        str(totals.fills),
        str(totals.accounts),
        f"{sum(float(total.haircut) for total in contracts):,.0f}",
        f"{(equity - seeds) / UNIT:,.0f}",
        f"{sum(max(-pool.balance, 0) for pool in book.pools.values()) / UNIT:,.0f}",
    )


def main() -> None:
    """Print a Markdown table, a row a rule set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=10)
    parser.add_argument("--accounts", type=int, default=5_000)
    parser.add_argument("--contracts", type=int, default=8)
    parser.add_argument("--rules", nargs="*", default=sorted(RULE_SETS))
    options = parser.parse_args()
    commands = list(crash_commands(options.seed, options.accounts, options.contracts))
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for rules in options.rules:
        print(f"| {' | '.join(outcome(rules, commands))} |", flush=True)


if __name__ == "__main__":
    main()
