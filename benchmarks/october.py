"""The whole book of 10 October: a snapshot of a million positions rolled forward, and divided.

The files are made here in the form of Hydromancer Reservoir, in a temporary directory. Times are of
the processor, over all threads.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from measure import Row, main

from delever.lab.studies.hyperliquid.counterfactual import compare_policies
from delever.lab.studies.hyperliquid.reservoir import (
    roll_forward,
    scan_fills,
    scan_snapshot,
    usable_fills,
)

POSITIONS, FILLS, ADL, COINS = 1_000_000, 5_000_000, 35_000, 200
START = 1_760_000_000_000


def write_files(folder: Path) -> None:
    """Write a snapshot, fills and ADL fills of random accounts."""
    rng = np.random.default_rng(1)
    account = np.arange(POSITIONS) % (POSITIONS // 3)
    coin = rng.integers(0, COINS, POSITIONS)
    side = np.where(rng.random(POSITIONS) < 0.5, 1.0, -1.0)
    notional = rng.lognormal(6.5, 2.6, POSITIONS)
    users = np.char.add("0x", account.astype("U7"))
    frame = pl.DataFrame(
        {
            "user": users,
            "market": np.char.add("C", coin.astype("U3")),
            "size": side * notional / 10,
            "notional": notional,
            "entry_price": rng.uniform(8, 12, POSITIONS),
            "account_value": rng.lognormal(8, 2.5, POSITIONS // 3)[account],
        }
    ).unique(["user", "market"], maintain_order=True)
    frame.write_parquet(folder / "snapshot.parquet")
    traded = rng.integers(0, frame.height, FILLS)
    fills = frame[traded].select(
        pl.col("user").alias("address"),
        pl.col("market").alias("coin"),
        pl.Series("side", np.where(rng.random(FILLS) < 0.5, "buy", "sell")),
        pl.col("size").abs() * pl.Series(rng.uniform(0, 0.2, FILLS)),
        pl.Series("price", rng.uniform(5, 11, FILLS)),
        pl.Series("timestamp", START + rng.integers(0, 86_400_000, FILLS)).cast(pl.Datetime("ms")),
    )
    fills.write_parquet(folder / "fills.parquet")
    fills.filter(pl.col("side") == "buy").tail(ADL).with_columns(
        timestamp=pl.lit(START + 80_000_000).cast(pl.Datetime("ms"))
    ).write_parquet(folder / "adl.parquet")


def rows(_options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        started = time.process_time()
        adl = usable_fills(scan_fills(folder / "adl.parquet")).collect()
        snapshot, fills = (
            scan_snapshot(folder / "snapshot.parquet"),
            scan_fills(folder / "fills.parquet"),
        )
        book = roll_forward(snapshot, fills, START, START + 80_000_000)
        rolled = time.process_time()
        study = compare_policies(book.positions, adl)
        done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    size = f"{book.positions.height:,} positions, {FILLS:,} fills"
    yield Row(
        f"rolled forward: {size}",
        f"{rolled - started:.1f} s of CPU",
        "<= 10 s",
        rolled - started <= 10,
    )
    policies = study.summary.height - 1
    yield Row(
        f"  {policies} policies compared",
        f"{done - rolled:.1f} s of CPU",
        "<= 10 s",
        done - rolled <= 10,
    )
    yield Row("  peak memory, with the files made", f"{peak:.1f} GiB")


if __name__ == "__main__":
    main(rows)
