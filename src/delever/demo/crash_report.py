"""The report of a crash: totals, a row per second, and the most affected accounts explained.

Totals are added up from events as they happen. The explanations come from the journal afterwards:
while its events are replayed to verify it, the book is explained before each fill in question.
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
    RoundClosed,
    TakenOver,
    Unwound,
)
from delever.core.valuation.insurance import pool_equity
from delever.demo.synthetic_market import UNIT
from delever.formatting import humanize
from delever.journal import Finding, Head, Recorder
from delever.journal.record import Record
from delever.journal.replay import advance_by_events
from delever.journal.replay import replay as replay_journal
from delever.journal.sqlite import MAX_SEQUENCE
from delever.lab.measures.contract_totals import EventTotals

MAX_AFFECTED = 5
"""Accounts that a report explains."""


@dataclass(frozen=True, slots=True)
class AffectedAccount:
    """One deleveraged account: its totals, and its largest fill explained.

    `before` is the explanation of the position before the command that closed it, the record
    `sequence`.
    """

    account: str
    fills: int
    notional_cash: int
    realized_pnl_cash: int
    haircut_cash: int
    largest: AdlFilled
    sequence: int
    before: Explanation

    def describe(self) -> str:
        """Return the explanation in one sentence."""
        place, fill = self.before.queue_position, self.largest
        parts = " and ".join(f"{humanize(name)} {value:.3g}" for name, value in place.parts.items())
        rank = f"rank {place.rank:,} of {place.ranked:,}"
        if place.reason is not None:
            rank = f"not ranked ({humanize(place.reason)})"
        return (
            f"{self.account}: notional closed {_units(self.notional_cash)} in {self.fills} "
            f"fill{'s' if self.fills > 1 else ''}, haircut {_units(self.haircut_cash)}; the "
            f"largest fill closed {_units(abs(fill.value_cash))} of its {fill.contract} "
            f"{fill.side} against {fill.liquidated_account} because of its place in the queue: "
            f"{rank} just before, indicator {place.indicator} of 5, with {parts}. It had rank "
            f"{fill.rank:,} in the round, and realized {_units(fill.realized_pnl_cash)} at the "
            f"{humanize(fill.price_rule)}."
        )


@dataclass(frozen=True, slots=True)
class CrashReport:
    """The report of a crash. Money is in units of the settle asset in frames, in Cash in totals.

    `timeline` has a row per second, `triggers` one per start or stop of ADL, `accounts` one per
    most affected account. `finding` is a problem of the journal, or None.
    """

    totals: dict[str, int]
    timeline: pl.DataFrame
    triggers: pl.DataFrame
    accounts: pl.DataFrame
    affected: tuple[AffectedAccount, ...]
    head: Head
    finding: Finding | None

    @property
    def verified(self) -> bool:
        """Whether the journal's chain is intact and its events give its book."""
        return self.finding is None

    def summary(self) -> list[tuple[str, str]]:
        """Return the totals as (name, value) text, money in units of the settle asset."""
        return [
            (humanize(name.removesuffix("_cash")), _units(amount))
            if name.endswith("_cash")
            else (humanize(name), f"{amount:,}")
            for name, amount in self.totals.items()
        ]

    def explanations(self) -> list[str]:
        """Return a sentence for each of the most affected accounts."""
        return [account.describe() for account in self.affected]

    def verification(self) -> str:
        """Return the result of verifying the journal, in one line."""
        if self.finding is not None:
            return f"journal NOT verified: {self.finding}"
        digits = self.head.hash.hex()[:16]
        return f"journal verified: {self.head.sequence:,} records, head {digits}"


def _units(amount_cash: int) -> str:
    return f"{amount_cash / UNIT:,.0f}"


@dataclass(slots=True)
class CrashTotals:
    """Adds up events of the engine's book, in total and by second."""

    book: Book
    pools: tuple[str, ...]
    totals: Counter[str] = field(default_factory=Counter)
    fills: defaultdict[str, list[tuple[int, AdlFilled]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    haircuts_cash: dict[int, int] = field(default_factory=dict)
    liquidated: set[str] = field(default_factory=set)
    seconds: list[dict[str, object]] = field(default_factory=list)
    triggers: list[dict[str, object]] = field(default_factory=list)
    lowest_equity_cash: dict[str, int] = field(default_factory=dict)
    seconds_with_fills: list[int] = field(default_factory=list)
    first_takeover: int | None = None
    _second: Counter[str] = field(default_factory=Counter)
    _events: EventTotals = field(init=False)

    def __post_init__(self) -> None:
        self._events = EventTotals(self.book, {})

    def add(self, sequence: int, second: int | None, events: tuple[Event, ...]) -> None:
        """Add the events of one command; `second` is None during the opening."""
        for event in events:
            self._events.add(event)
            match event:
                case TakenOver():
                    self._count("takeovers", "taken_over", event.value_cash)
                    self.liquidated.add(event.account)
                case Unwound():
                    self._count("unwinds", "unwound", event.value_cash)
                case AdlFilled():
                    self._count("fills", "closed", event.value_cash)
                    self._add_fill(sequence, event)
                case AdlStarted() | AdlStopped():
                    self._add_trigger(second, event)
                case AdlExhausted():
                    self.totals["queues_exhausted"] += 1
                case PoolObserved() if second is not None:
                    lowest = self.lowest_equity_cash.get(event.pool, event.equity_cash)
                    self.lowest_equity_cash[event.pool] = min(lowest, event.equity_cash)
                case RoundClosed():
                    self.totals["unfunded_cash"] += event.unfunded_cash
                case PoolFunded() if second is not None:
                    self.totals["injections"] += 1
                    self.totals["injected_cash"] += event.amount_cash
                case _:
                    pass

    def _count(self, events: str, notional: str, value_cash: int) -> None:
        for counts in (self.totals, self._second):
            counts[events] += 1
            counts[f"notional_{notional}_cash"] += abs(value_cash)

    def _add_fill(self, sequence: int, fill: AdlFilled) -> None:
        self.fills[fill.account].append((sequence, fill))
        self.haircuts_cash[fill.fill] = self._events.haircuts_cash[fill.fill]
        self.totals["haircut_cash"] += self.haircuts_cash[fill.fill]
        self.totals["pool_pnl_of_adl_cash"] += fill.pool_realized_pnl_cash

    def _add_trigger(self, second: int | None, event: AdlStarted | AdlStopped) -> None:
        what = "started" if isinstance(event, AdlStarted) else "stopped"
        self.totals[f"{event.trigger}_{what}"] += 1
        ratio_ppm = event.numbers.get("pnl_ratio_ppm")
        self.triggers.append(
            {
                "second": second,
                "contract": event.contract,
                "pool": event.pool,
                "trigger": event.trigger,
                "adl": what,
                "pnl_ratio": None if ratio_ppm is None else ratio_ppm / 1e6,
            }
        )

    def end_second(self, second: int) -> None:
        """Append the row of a second, once all of its commands have been added."""
        counts = self._second
        if counts["takeovers"] and self.first_takeover is None:
            self.first_takeover = second
        if counts["fills"]:
            self.seconds_with_fills.append(second)
        equity = sum(pool_equity(self.book, pool) for pool in self.book.pools.values())
        inventory = sum(abs(asset.inventory_cost) for asset in self.book.assets.values())
        self.seconds.append(
            {
                "second": second,
                "takeovers": counts["takeovers"],
                "notional_taken_over": counts["notional_taken_over_cash"] / UNIT,
                "notional_unwound": counts["notional_unwound_cash"] / UNIT,
                "fills": counts["fills"],
                "notional_closed": counts["notional_closed_cash"] / UNIT,
                "contracts_in_adl": sum(bool(s.active) for s in self.book.contracts.values()),
                "fund_equity": equity / UNIT,
                "inventory_cost": inventory / UNIT,
            }
        )
        counts.clear()

    def summary(self) -> dict[str, int]:
        """Return the totals of the whole crash by name."""
        first = self.seconds_with_fills[0] if self.seconds_with_fills else 0
        last = self.seconds_with_fills[-1] if self.seconds_with_fills else 0
        return {
            "accounts_liquidated": len(self.liquidated),
            "accounts_deleveraged": len(self.fills),
            **dict(sorted(self.totals.items())),
            "seconds_from_first_liquidation_to_first_fill": first - (self.first_takeover or 0),
            "seconds_with_fills": len(self.seconds_with_fills),
            "seconds_from_first_fill_to_last": last - first,
            **{
                f"lowest_equity_of_{pool}_cash": self.lowest_equity_cash.get(pool, 0)
                for pool in self.pools
            },
        }


def report_crash(
    recorder: Recorder, totals: CrashTotals, progress: Callable[[int, int], None]
) -> CrashReport:
    """Verify the journal by chain and events, and explain the most affected accounts."""
    largest = _largest_fills(totals)
    fills_at: defaultdict[int, list[AdlFilled]] = defaultdict(list)
    for sequence, fill in largest.values():
        fills_at[sequence].append(fill)
    explanations: dict[int, Explanation] = {}

    def advance(book: Book, record: Record) -> Finding | None:
        for fill in fills_at.get(record.sequence, ()):
            explanations[fill.fill] = _explain(book, fill)
        return advance_by_events(book, record)

    replayed = replay_journal(
        recorder.journal, advance, from_zero=True, until=MAX_SEQUENCE, progress=progress
    )
    affected = tuple(
        _affected(totals, account, sequence, fill, explanations[fill.fill])
        for account, (sequence, fill) in largest.items()
        if fill.fill in explanations
    )
    return CrashReport(
        totals=totals.summary(),
        timeline=pl.DataFrame(totals.seconds),
        triggers=pl.DataFrame(totals.triggers),
        accounts=pl.DataFrame([_account_row(account) for account in affected]),
        affected=affected,
        head=recorder.head,
        finding=replayed.finding,
    )


def _largest_fills(totals: CrashTotals) -> dict[str, tuple[int, AdlFilled]]:
    """Return the largest fill of the accounts with the largest notional closed, in that order."""

    def order(account: str) -> tuple[int, str]:
        return -sum(abs(fill.value_cash) for _, fill in totals.fills[account]), account

    return {
        account: max(totals.fills[account], key=lambda pair: abs(pair[1].value_cash))
        for account in sorted(totals.fills, key=order)[:MAX_AFFECTED]
    }


def _explain(book: Book, fill: AdlFilled) -> Explanation:
    explanation = explain(book, fill.contract, fill.side, fill.account, position=fill.position)
    if isinstance(explanation, str):
        raise KeyError(f"{fill.account} in {fill.contract}: {humanize(explanation)}")
    return explanation


def _affected(
    totals: CrashTotals, account: str, sequence: int, largest: AdlFilled, before: Explanation
) -> AffectedAccount:
    fills = [fill for _, fill in totals.fills[account]]
    return AffectedAccount(
        account=account,
        fills=len(fills),
        notional_cash=sum(abs(fill.value_cash) for fill in fills),
        realized_pnl_cash=sum(fill.realized_pnl_cash for fill in fills),
        haircut_cash=sum(totals.haircuts_cash[fill.fill] for fill in fills),
        largest=largest,
        sequence=sequence,
        before=before,
    )


def _account_row(affected: AffectedAccount) -> dict[str, object]:
    place = affected.before.queue_position
    return {
        "account": affected.account,
        "fills": affected.fills,
        "notional_closed": affected.notional_cash / UNIT,
        "realized_pnl": affected.realized_pnl_cash / UNIT,
        "haircut": affected.haircut_cash / UNIT,
        "contract": affected.largest.contract,
        "rank": affected.largest.rank,
        "score": affected.largest.score,
        "indicator": place.indicator,
        **place.parts,
        "record": affected.sequence,
    }
