"""An ADL round that touches 1,000 accounts of a large book, through journal and invariants.

ADL is paused while the pool takes a position over, so that only the step of the round is timed:
`force_adl`, from the command to durable events. Its kernels value one side of a contract, compute
scores, ranks and indicators, and allocate lots. Closed positions are resubmitted before the next
round, so that all rounds have the same queue.
"""

import argparse
import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from large_book import (
    RULES,
    LargeBook,
    account_commands,
    contract_names,
    definition_commands,
    large,
    position_commands,
)
from measure import Row, main, ms, seconds
from recording import NO_SNAPSHOTS, UNCHECKED, submit

from delever.core import engine
from delever.core import messages as m
from delever.core.book.contract_state import ContractState
from delever.core.intake.column_packing import position_columns
from delever.core.kernels import fastest
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from delever.core.rules.adl_price import Quote
from delever.core.rules.ranking import Queue, rank_side
from delever.core.valuation.side_valuation import value_side
from delever.journal import Recorder

TOUCHED = 1_000
TURNS = 32
"""Timed rounds per requested round, half of them without invariants."""


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    book = large(options.positions)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder.open(Path(folder) / "journal.db", snapshot_every=NO_SNAPSHOTS)
        with recorder:
            for command in (
                *definition_commands(),
                *account_commands(book),
                *position_commands(book),
            ):
                submit(recorder, [command])
            first = dict.fromkeys(contract_names(), 100)
            submit(recorder, [m.SetMarks(time_ms=0, marks=first)])
            submit(recorder, [m.DefineAccount(time_ms=0, account="bankrupt")])
            submit(recorder, [m.PauseAdl(time_ms=0, contract="C000", paused=True, note="timed")])
            gc.collect()
            gc.freeze()  # as the server does after start
            timed = TimedRounds(recorder, book)
            for turn in range(TURNS * options.rounds):
                timed.turn(turn, checked=turn % 2 == 0)
    yield from timed.rows()


class TimedRounds:
    """Times of rounds and of their parts, in seconds."""

    def __init__(self, recorder: Recorder, large_book: LargeBook) -> None:
        self.recorder = recorder
        self.large = large_book
        shorts = np.diff(large_book.side_starts[1:3]).item()
        self.touched = min(TOUCHED, shorts // 4)
        self.step_check = engine.StepCheck
        self.whole: list[float] = []
        self.unchecked: list[float] = []
        self.valued: list[float] = []
        self.ranked: list[float] = []
        self.takeovers: list[float] = []

    def turn(self, turn: int, *, checked: bool) -> None:
        """Time the kernels alone, a takeover, and the round that closes it."""
        state = self.recorder.book.contracts["C000"]
        self.resubmit(2 + turn)
        lots = self.kernels(state)
        row = m.PositionRow(
            account="bankrupt",
            contract="C000",
            side=Side.LONG,
            quantity=f"{lots / 1000:.3f}",
            entry_price=100,
            isolated_margin=0,
        )
        position = m.SetPositions(time_ms=0, version=2 + turn, positions=(row,))
        submit(self.recorder, [position])
        takeover = m.Takeover(time_ms=0, account="bankrupt")
        self.takeovers.append(seconds(lambda: submit(self.recorder, [takeover])))
        engine.StepCheck = self.step_check if checked else lambda _book: UNCHECKED
        force = m.ForceAdl(time_ms=0, contract="C000", note="timed")
        outcome = []
        taken = seconds(lambda: outcome.extend(self.recorder.submit([force])))
        engine.StepCheck = self.step_check
        (self.whole if checked else self.unchecked).append(taken)
        fills = sum(isinstance(event, m.AdlFilled) for event in outcome[0])
        if fills != self.touched:
            raise SystemExit(f"the round closed {fills} positions, not {self.touched}")

    def resubmit(self, version: int) -> None:
        """Resubmit the shorts of the largest contract, with all fills so far included."""
        shorts = slice(*self.large.side_starts[1:3].tolist())
        columns = self.large.columns(shorts)
        command = position_columns(
            time_ms=0,
            version=version,
            contracts=contract_names(),
            columns=columns,
            last_fill=self.recorder.book.last_fill,
        )
        submit(self.recorder, [command])

    def kernels(self, state: ContractState) -> int:
        """Time the kernels; return the lots of the first positions in the queue."""
        rules, views, queues = RULE_SETS[RULES], [], []
        view = lambda: views.append(value_side(self.recorder.book, state, Side.SHORT))  # noqa: E731
        self.valued.append(seconds(view))
        queues.append(rank_side(views[0], rules.ranking))
        lots = int(views[0].lots[queues[0].order[: self.touched]].sum())

        def sort_queue() -> None:
            queue: Queue = rank_side(views[0], rules.ranking)
            rules.policy.allocate(queue, lots, Quote((), {}))

        self.ranked.append(seconds(sort_queue))
        return lots

    def rows(self) -> Iterator[Row]:
        whole, valued, ranked = map(np.array, (self.whole, self.valued, self.ranked))
        kernels, worst = float(np.median(valued + ranked)), float(np.quantile(whole, 0.99))
        middle = float(np.median(whole))
        yield Row(
            f"ADL round of {self.touched:,} in {self.large.size:,} positions, durable", ms(whole)
        )
        table = self.recorder.book.contracts["C000"].tables[Side.SHORT].size
        yield Row(f"  its kernels: {table:,} positions valued", ms(valued))
        yield Row("  its kernels: scored, ranked, indicated, allocated", ms(ranked))
        ratio = middle / kernels
        yield Row("  median against its kernels", f"{ratio:.2f} x", "<= 2.5 x", ratio <= 2.5)
        yield Row(
            "  p99 against its kernels",
            f"{worst * 1e3:.3g} ms, {worst / kernels:.1f} x",
            "<= 3 x",
            worst <= 3 * kernels,
        )
        alone = float(np.quantile(valued + ranked, 0.99))
        beside = f"{alone * 1e3:.3g} ms, {worst / alone:.1f} x"
        yield Row("  p99 against the p99 of its kernels, equally disturbed", beside)
        yield Row("  per fill, everything included", f"{middle * 1e6 / self.touched:.0f} us")
        quiet, bare = (float(np.quantile(taken, 0.25)) for taken in (whole, self.unchecked))
        share = (
            1 - bare / quiet
        )  # of the faster ones, which other load on the machine disturbs least
        yield Row("share of invariants in the round", f"{share:.1%}", "< 10 %", share < 0.1)
        yield Row("the takeover before it, in 500 contracts", ms(np.array(self.takeovers)))


if __name__ == "__main__":
    main(rows)
