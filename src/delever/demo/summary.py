"""What a crash has done: totals, a line a second, and why the most affected accounts were closed.

Totals are counted from events as they happen. The reasons come from the journal afterwards: while
its events are replayed to verify it, the book is stopped before the fills in question and asked.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from delever.core.book import Book
from delever.core.explain.explanation import Explanation, explain
from delever.core.messages import (
    AdlExhausted,
    AdlFilled,
    AdlStarted,
    AdlStopped,
    Event,
    PoolFunded,
    PoolObserved,
    TakenOver,
    Unwound,
)
from delever.core.valuation.insurance import pool_equity
from delever.journal import Finding, Head, Recorder
from delever.journal.record import Record
from delever.journal.replay import advance_by_events
from delever.journal.replay import replay as replay_journal
from delever.journal.sqlite import LAST
from delever.lab.errors import in_words

UNIT = 100_000_000
"""Cash in one unit of the settle asset."""

MOST_AFFECTED = 5


@dataclass(frozen=True, slots=True)
class Affected:
    """One deleveraged account: everything closed, and its largest fill explained.

    `before` is how the position stood before the command that closed it.
    """

    account: str
    fills: int
    value_cash: int
    realized_pnl_cash: int
    largest: AdlFilled
    sequence: int
    before: Explanation

    def words(self) -> str:
        """Return why, in one sentence."""
        standing, fill = self.before.standing, self.largest
        parts = " and ".join(
            f"{in_words(name)} {value:.3g}" for name, value in standing.parts.items()
        )
        place = f"rank {standing.rank:,} of {standing.of:,}"
        if standing.reason is not None:
            place = f"not in line ({in_words(standing.reason)})"
        return (
            f"{self.account} gave up {self.value_cash / UNIT:,.0f} in {self.fills} "
            f"fill{'s' if self.fills > 1 else ''}, the largest {abs(fill.value_cash) / UNIT:,.0f} "
            f"of its {fill.contract} {fill.side} against {fill.liquidated_account}, because it "
            f"stood in front: {place} just before, {standing.indicator} of 5 indicators, with "
            f"{parts}; it was closed as number {fill.rank:,} at the {in_words(fill.price_rule)}, "
            f"and kept {fill.realized_pnl_cash / UNIT:,.0f} of profit."
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """A crash that has been played. Money is in whole units of the settle asset in frames.

    `totals` counts; `timeline` has a row a second, `triggers` one a contract, trigger and start or
    stop, `accounts` one a most affected account. `finding` is what is wrong with the journal.
    """

    totals: dict[str, int]
    timeline: pl.DataFrame
    triggers: pl.DataFrame
    accounts: pl.DataFrame
    affected: tuple[Affected, ...]
    records: int
    head: str
    finding: Finding | None

    @property
    def verified(self) -> bool:
        """Whether the journal's chain holds and its events make its book again."""
        return self.finding is None

    def summary(self) -> list[tuple[str, str]]:
        """Return the totals as (what, how much), money in whole units."""
        return [
            (in_words(name.removesuffix("_cash")), f"{amount / UNIT:,.0f}")
            if name.endswith("_cash")
            else (in_words(name), f"{amount:,}")
            for name, amount in self.totals.items()
        ]

    def reasons(self) -> list[str]:
        """Return a sentence for each of the most affected accounts."""
        return [each.words() for each in self.affected]

    def verdict(self) -> str:
        """Return what the verification found, in one line."""
        if self.finding is not None:
            return f"journal NOT verified: {self.finding}"
        return f"journal verified: {self.records:,} records, head {self.head[:16]}"


@dataclass(slots=True)
class Tally:
    """Counts events as they happen, in total and by second."""

    pools: tuple[str, ...]
    totals: Counter[str] = field(default_factory=Counter)
    fills: defaultdict[str, list[tuple[int, AdlFilled]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    taken: set[str] = field(default_factory=set)
    seconds: list[dict[str, object]] = field(default_factory=list)
    switches: list[dict[str, object]] = field(default_factory=list)
    lowest: dict[str, int] = field(default_factory=dict)
    adl_seconds: list[int] = field(default_factory=list)
    first_takeover: int | None = None
    _now: Counter[str] = field(default_factory=Counter)

    def add(self, sequence: int, second: int | None, events: tuple[Event, ...]) -> None:
        """Count one command's events."""
        for event in events:
            match event:
                case TakenOver():
                    self._count("takeovers", event.value_cash)
                    self.taken.add(event.account)
                case Unwound():
                    self._count("unwound", event.value_cash)
                case AdlFilled():
                    self._count("fills", event.value_cash)
                    self.totals["pool_gained_by_adl_cash"] += event.pool_realized_pnl_cash
                    self.fills[event.account].append((sequence, event))
                case AdlStarted() | AdlStopped():
                    self._switch(second, event)
                case AdlExhausted():
                    self.totals["exhausted"] += 1
                case PoolObserved():
                    low = self.lowest.get(event.pool, event.equity_cash)
                    if second is not None:
                        self.lowest[event.pool] = min(low, event.equity_cash)
                case PoolFunded() if second is not None:
                    self.totals["injections"] += 1
                    self.totals["injected_cash"] += event.amount_cash
                case _:
                    pass

    def _count(self, what: str, value_cash: int) -> None:
        for counts in (self.totals, self._now):
            counts[what] += 1
            counts[f"{what}_value_cash"] += abs(value_cash)

    def _switch(self, second: int | None, event: AdlStarted | AdlStopped) -> None:
        what = "started" if isinstance(event, AdlStarted) else "stopped"
        self.totals[f"{event.trigger}_{what}"] += 1
        self.switches.append(
            {
                "second": second,
                "contract": event.contract,
                "pool": event.pool,
                "trigger": event.trigger,
                "adl": what,
                "pnl_ratio": _ratio(event.numbers.get("pnl_ratio_ppm")),
            }
        )

    def close_second(self, book: Book, second: int) -> None:
        """Keep the second's line."""
        now = self._now
        if now["takeovers"] and self.first_takeover is None:
            self.first_takeover = second
        if now["fills"]:
            self.adl_seconds.append(second)
        equity = sum(pool_equity(book, pool) for pool in book.pools.values())
        inventory = sum(abs(asset.inventory_cost) for asset in book.assets.values())
        self.seconds.append(
            {
                "second": second,
                "takeovers": now["takeovers"],
                "taken_over": now["takeovers_value_cash"] / UNIT,
                "unwound": now["unwound_value_cash"] / UNIT,
                "fills": now["fills"],
                "deleveraged": now["fills_value_cash"] / UNIT,
                "contracts_in_adl": sum(bool(s.active) for s in book.contracts.values()),
                "pools_equity": equity / UNIT,
                "inventory": inventory / UNIT,
            }
        )
        now.clear()

    def summary(self) -> dict[str, int]:
        """Return the totals, with what only the whole run can say."""
        first = self.adl_seconds[0] if self.adl_seconds else 0
        last = self.adl_seconds[-1] if self.adl_seconds else 0
        return {
            "accounts_liquidated": len(self.taken),
            "accounts_deleveraged": len(self.fills),
            **dict(sorted(self.totals.items())),
            "seconds_from_first_liquidation_to_first_fill": first - (self.first_takeover or 0),
            "seconds_with_fills": len(self.adl_seconds),
            "seconds_from_first_fill_to_last": last - first,
            **{f"lowest_equity_of_{pool}_cash": self.lowest.get(pool, 0) for pool in self.pools},
        }


def look_back(
    recorder: Recorder, tally: Tally, head: Head, progress: Callable[[int, int], None]
) -> Outcome:
    """Verify the journal by chain and events, and explain the most affected accounts on the way."""
    largest = _largest(tally)
    wanted: defaultdict[int, list[AdlFilled]] = defaultdict(list)
    for sequence, fill in largest.values():
        wanted[sequence].append(fill)
    found: dict[int, Explanation] = {}

    def advance(book: Book, record: Record) -> Finding | None:
        for fill in wanted.get(record.sequence, ()):
            found[fill.fill] = _ask(book, fill)
        return advance_by_events(book, record)

    replayed = replay_journal(
        recorder.journal, advance, from_zero=True, until=LAST, progress=progress
    )
    affected = tuple(
        _affected(tally, account, sequence, fill, found[fill.fill])
        for account, (sequence, fill) in largest.items()
        if fill.fill in found
    )
    return Outcome(
        totals=tally.summary(),
        timeline=pl.DataFrame(tally.seconds),
        triggers=pl.DataFrame(tally.switches),
        accounts=pl.DataFrame([_row(each) for each in affected]),
        affected=affected,
        records=head.sequence,
        head=head.hash.hex(),
        finding=replayed.finding,
    )


def _largest(tally: Tally) -> dict[str, tuple[int, AdlFilled]]:
    """Return the largest fill of each of the accounts that gave up most, most first."""

    def given(account: str) -> tuple[int, str]:
        return -sum(abs(fill.value_cash) for _, fill in tally.fills[account]), account

    most = sorted(tally.fills, key=given)[:MOST_AFFECTED]
    return {
        account: max(tally.fills[account], key=lambda each: abs(each[1].value_cash))
        for account in most
    }


def _ask(book: Book, fill: AdlFilled) -> Explanation:
    answer = explain(book, fill.contract, fill.side, fill.account, position=fill.position)
    if isinstance(answer, str):
        raise KeyError(f"{fill.account} in {fill.contract}: {in_words(answer)}")
    return answer


def _affected(
    tally: Tally, account: str, sequence: int, largest: AdlFilled, before: Explanation
) -> Affected:
    fills = [fill for _, fill in tally.fills[account]]
    return Affected(
        account=account,
        fills=len(fills),
        value_cash=sum(abs(fill.value_cash) for fill in fills),
        realized_pnl_cash=sum(fill.realized_pnl_cash for fill in fills),
        largest=largest,
        sequence=sequence,
        before=before,
    )


def _row(each: Affected) -> dict[str, object]:
    standing = each.before.standing
    return {
        "account": each.account,
        "fills": each.fills,
        "value": each.value_cash / UNIT,
        "profit_kept": each.realized_pnl_cash / UNIT,
        "contract": each.largest.contract,
        "rank": each.largest.rank,
        "score": each.largest.score,
        "indicators_before": standing.indicator,
        **standing.parts,
        "record": each.sequence,
    }


def _ratio(ppm: int | None) -> float | None:
    """Return a ratio to show, or None where the trigger has none."""
    return None if ppm is None else ppm / 1e6
