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
from delever.formatting import count, humanize
from delever.journal import Finding, Head, Recorder
from delever.journal.record import Record
from delever.journal.replay import advance_by_events
from delever.journal.replay import replay as replay_journal
from delever.journal.sqlite import MAX_SEQUENCE
from delever.lab.measures.contract_totals import EventTotals

MAX_AFFECTED = 5
"""Accounts that a report explains."""

MONEY = {
    "notional_taken_over": "positions that the funds took over from liquidated accounts",
    "notional_unwound": "the part of them that the funds sold in the market",
    "notional_closed": "counterparties' positions that ADL closed: what changed hands, not a loss",
    "pnl_at_mark": "what the closed positions had gained at the mark",
    "realized_pnl": "the part of it that the counterparties were paid",
    "haircut": "the part of it that they lost: the mark against the ADL price",
    "fund_result": "what the insurance funds themselves gained or lost, without injections",
    "injected": "money that the operator put into the funds",
    "unfunded": "deficits of ADL rounds that neither fund nor counterparty had paid at that moment",
}
"""Amounts of a crash -> what each one measures, in the order in which money was lost."""


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

    @property
    def pnl_at_mark_cash(self) -> int:
        """What the closed part had gained at the mark: the realized PnL plus the haircut."""
        return self.realized_pnl_cash + self.haircut_cash

    def describe(self) -> str:
        """Return haircut and notional closed, and the reason for the largest fill."""
        place, fill = self.before.queue_position, self.largest
        parts = " and ".join(f"{humanize(name)} {value:.3g}" for name, value in place.parts.items())
        rank = f"rank {place.rank:,} of {place.ranked:,} (indicator {place.indicator} of 5)"
        if place.reason is not None:
            rank = f"no rank ({humanize(place.reason)})"
        return (
            f"{self.account}: haircut {_units(self.haircut_cash)} on a notional of "
            f"{_units(self.notional_cash)}, closed in {count(self.fills, 'fill')}. Its "
            f"{fill.contract} {fill.side} had {rank}, with {parts}, when the largest fill closed "
            f"{_units(abs(fill.value_cash))} of it at the {humanize(fill.price_rule)} against "
            f"{fill.liquidated_account} (rank {fill.rank:,} in the round)."
        )


@dataclass(frozen=True, slots=True)
class CrashReport:
    """The report of a crash. Money is in units of the settle asset in frames, in Cash in totals.

    `timeline` has a row per second, `triggers` one per start or stop of ADL, `contracts` one per
    contract with takeovers, `pools` one per insurance fund, `accounts` one per account with the
    largest haircuts. `finding` is a problem of the journal, or None.
    """

    totals: dict[str, int]
    timeline: pl.DataFrame
    triggers: pl.DataFrame
    contracts: pl.DataFrame
    pools: pl.DataFrame
    accounts: pl.DataFrame
    affected: tuple[AffectedAccount, ...]
    head: Head
    finding: Finding | None

    @property
    def verified(self) -> bool:
        """Whether the journal's chain is intact and its events give its book."""
        return self.finding is None

    def counts(self) -> list[tuple[str, str]]:
        """Return how much happened, and when, as (name, number) text: no amount of money."""
        counted = self.totals.items()
        return [(humanize(name), f"{n:,}") for name, n in counted if not name.endswith("_cash")]

    def money(self) -> list[tuple[str, str, str]]:
        """Return who paid how much as (name, amount, meaning) text, in units of the settle asset.

        The PnL at the mark is the realized PnL plus the haircut.
        """
        return [
            (humanize(name), _units(self.totals[f"{name}_cash"]), meaning)
            for name, meaning in MONEY.items()
        ]

    def headline(self) -> str:
        """Return in two sentences what ADL closed, and who paid for the crash."""
        totals = self.totals
        at_mark, haircut = totals["pnl_at_mark_cash"], totals["haircut_cash"]
        lost = f" ({haircut / at_mark:.1%} of it)" if at_mark > 0 else ""
        realized, result = totals["realized_pnl_cash"], totals["fund_result_cash"]
        return (
            f"ADL closed positions of {totals['accounts_deleveraged']:,} accounts with a "
            f"notional of {_units(totals['notional_closed_cash'])}: at the mark they had a PnL of "
            f"{_units(at_mark)}, of which the accounts realized {_units(realized)} "
            f"and lost {_units(haircut)} as a haircut{lost}. The insurance funds themselves "
            f"{'lost' if result < 0 else 'gained'} {_units(abs(result))}, and their operator "
            f"injected {_units(totals['injected_cash'])}."
        )

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
    opening_cash: dict[str, int] = field(default_factory=dict)
    injected_cash: Counter[str] = field(default_factory=Counter)
    lowest_equity_cash: dict[str, int] = field(default_factory=dict)
    closed: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds_with_fills: list[int] = field(default_factory=list)
    first_takeover: int | None = None
    _second: Counter[str] = field(default_factory=Counter)
    _events: EventTotals = field(init=False)

    def __post_init__(self) -> None:
        self._events = EventTotals(self.book, {})

    def open(self) -> None:
        """Store what the funds have before the crash, once the opening has been added."""
        self.opening_cash = {pool: self._equity_cash(pool) for pool in self.pools}
        self.lowest_equity_cash = dict(self.opening_cash)

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
                    lowest = self.lowest_equity_cash[event.pool]
                    self.lowest_equity_cash[event.pool] = min(lowest, event.equity_cash)
                case RoundClosed():
                    self.totals["unfunded_cash"] += event.unfunded_cash
                case PoolFunded() if second is not None:
                    self.totals["injections"] += 1
                    self.injected_cash[event.pool] += event.amount_cash
                case _:
                    pass

    def _count(self, events: str, notional: str, value_cash: int) -> None:
        for counts in (self.totals, self._second):
            counts[events] += 1
            counts[f"notional_{notional}_cash"] += abs(value_cash)

    def _add_fill(self, sequence: int, fill: AdlFilled) -> None:
        self.fills[fill.account].append((sequence, fill))
        haircut = self.haircuts_cash[fill.fill] = self._events.haircuts_cash[fill.fill]
        for name, amount in (
            ("fills", 1),
            ("notional_closed_cash", abs(fill.value_cash)),
            ("realized_pnl_cash", fill.realized_pnl_cash),
            ("haircut_cash", haircut),
        ):
            self.closed[fill.contract, name] += amount

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
        equity = sum(map(self._equity_cash, self.pools))
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
        realized, haircut = (
            sum(self.closed[contract, name] for contract in self.book.contracts)
            for name in ("realized_pnl_cash", "haircut_cash")
        )
        return {
            "accounts_liquidated": len(self.liquidated),
            "accounts_deleveraged": len(self.fills),
            **dict(sorted(self.totals.items())),
            "realized_pnl_cash": realized,
            "haircut_cash": haircut,
            "pnl_at_mark_cash": realized + haircut,
            "fund_result_cash": sum(map(self._result_cash, self.pools)),
            "injected_cash": sum(self.injected_cash.values()),
            "seconds_from_first_liquidation_to_first_fill": first - (self.first_takeover or 0),
            "seconds_with_fills": len(self.seconds_with_fills),
            "seconds_from_first_fill_to_last": last - first,
        }

    def _equity_cash(self, pool: str) -> int:
        return pool_equity(self.book, self.book.pools[pool])

    def _result_cash(self, pool: str) -> int:
        """Return what a fund has gained since the opening, without injections."""
        return self._equity_cash(pool) - self.opening_cash[pool] - self.injected_cash[pool]

    def pool_rows(self) -> list[dict[str, object]]:
        """Return a row per insurance fund: opening + injected + result = equity."""
        return [
            {
                "pool": pool,
                "opening": self.opening_cash[pool] / UNIT,
                "injected": self.injected_cash[pool] / UNIT,
                "result": self._result_cash(pool) / UNIT,
                "equity": self._equity_cash(pool) / UNIT,
                "lowest_equity": self.lowest_equity_cash[pool] / UNIT,
            }
            for pool in self.pools
        ]

    def contract_rows(self) -> list[dict[str, object]]:
        """Return a row per contract: its triggers, what ADL closed, and the fund's result in it."""
        return [
            {
                "contract": total.contract,
                "pool": self.book.contracts[total.contract].pool,
                **_periods([row for row in self.triggers if row["contract"] == total.contract]),
                "fills": self.closed[total.contract, "fills"],
                **{
                    name: self.closed[total.contract, f"{name}_cash"] / UNIT
                    for name in ("notional_closed", "realized_pnl", "haircut")
                },
                "fund_result": float(total.pool_pnl),
            }
            for total in self._events.contracts()
        ]


def _periods(rows: list[dict[str, object]]) -> dict[str, object]:
    """Return how often each trigger started ADL, with the first start and the last stop."""
    started = Counter(str(row["trigger"]) for row in rows if row["adl"] == "started")
    starts = [row["second"] for row in rows if row["adl"] == "started"]
    stops = [row["second"] for row in rows if row["adl"] == "stopped"]
    return {
        "triggers": ", ".join(f"{humanize(name)} x{n}" for name, n in sorted(started.items())),
        "first_start_s": starts[0] if starts else None,
        "last_stop_s": stops[-1] if stops else None,
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
        contracts=pl.DataFrame(totals.contract_rows()),
        pools=pl.DataFrame(totals.pool_rows()),
        accounts=pl.DataFrame([_account_row(account) for account in affected]),
        affected=affected,
        head=recorder.head,
        finding=replayed.finding,
    )


def _largest_fills(totals: CrashTotals) -> dict[str, tuple[int, AdlFilled]]:
    """Return the largest fill of the accounts with the largest haircuts, in that order."""

    def order(account: str) -> tuple[int, str]:
        haircut = sum(totals.haircuts_cash[fill.fill] for _, fill in totals.fills[account])
        return -haircut, account

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
        "haircut": affected.haircut_cash / UNIT,
        "notional_closed": affected.notional_cash / UNIT,
        "pnl_at_mark": affected.pnl_at_mark_cash / UNIT,
        "realized_pnl": affected.realized_pnl_cash / UNIT,
        "fills": affected.fills,
        "contract": affected.largest.contract,
        "rank": affected.largest.rank,
        "score": affected.largest.score,
        "indicator": place.indicator,
        **place.parts,
        "record": affected.sequence,
    }
