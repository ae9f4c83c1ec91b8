"""An ADL round that touches 1,000 accounts of a large book, through journal and invariants."""
# ruff: noqa: B023 - what is timed is called before the loop goes on

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from large_book import RULES, contract_names, holders, large, opening, told
from measure import Row, main, ms, seconds
from recording import NEVER, UNCHECKED, submit

from delever.core import engine
from delever.core import messages as m
from delever.core.kernels import fastest
from delever.core.messages import Side
from delever.core.ranking import rank_lane
from delever.core.rules import RULE_SETS
from delever.core.valuation import view_lane
from delever.journal import Recorder

TOUCHED = 1_000


def rows(options: argparse.Namespace) -> Iterator[Row]:
    fastest()
    book, ranking = large(options.positions), RULE_SETS[RULES].ranking
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder.open(Path(folder) / "journal.db", snapshot_every=NEVER)
        with recorder:
            for command in (*opening(), *holders(book), *told(book)):
                submit(recorder, [command])
            first = dict.fromkeys(contract_names(), 100)
            submit(recorder, [m.SetMarks(time_ms=0, marks=first)])
            submit(recorder, [m.DefineAccount(time_ms=0, account="bankrupt")])
            state = recorder.book.contracts["C000"]
            whole, alone, unchecked = [], [], []
            checked = engine.StepCheck
            for turn in range(4 * options.rounds):
                view = view_lane(recorder.book, state, Side.SHORT)
                alone.append(seconds(lambda: rank_lane(view, ranking)))
                queue = rank_lane(view, ranking)
                lots = int(queue.view.lots[queue.order[:TOUCHED]].sum())
                row = m.PositionRow(
                    account="bankrupt",
                    contract="C000",
                    side=Side.LONG,
                    quantity=f"{lots / 1000:.3f}",
                    entry_price=100,
                    isolated_margin=0,
                )
                position = m.SetPositions(time_ms=0, version=10 + turn, positions=(row,))
                submit(recorder, [position])
                takeover = [m.Takeover(time_ms=0, account="bankrupt")]
                engine.StepCheck = (lambda _book: UNCHECKED) if turn % 2 else checked
                outcome = []
                taken = seconds(lambda: outcome.extend(recorder.submit(takeover)))
                (unchecked if turn % 2 else whole).append(taken)
                fills = sum(isinstance(event, m.AdlFilled) for event in outcome[0])
                if fills != TOUCHED:
                    raise SystemExit(f"the round closed {fills} positions, not {TOUCHED}")
            engine.StepCheck = checked
    times, kernels = np.array(whole), np.array(alone)
    worst, floor = float(np.quantile(times, 0.99)), float(np.median(kernels))
    yield Row(f"ADL round of {TOUCHED:,} in {book.size:,} positions, durable", ms(times))
    yield Row("  its kernels: the lane scored, in line, lit", ms(kernels))
    yield Row(
        "  p99 against its kernels",
        f"{worst * 1e3:.3g} ms, {worst / floor:.1f} x",
        "<= 3 x",
        worst <= 3 * floor,
    )
    yield Row("  a fill, all included", f"{float(np.median(times)) * 1e6 / TOUCHED:.0f} us")
    share = 1 - float(np.median(unchecked)) / float(np.median(whole))
    yield Row("invariants' part of the round", f"{share:.1%}", "< 10 %", share < 0.1)


if __name__ == "__main__":
    main(rows)
