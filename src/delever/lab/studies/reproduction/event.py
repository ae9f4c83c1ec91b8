"""Totals of Hyperliquid's ADL of 10 October 2025, from HyperReplay's tables and its bursts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from delever.lab.errors import InputError
from delever.lab.studies.reproduction.figure import (
    HYPERREPLAY,
    P2,
    PublishedFigure,
    figure,
    read_table,
)

MONEY = pl.Float64
BY_USER = {"adl_notional": MONEY, "closed_pnl": MONEY, "num_adl_events": pl.Int64}
BY_COIN = {"coin": pl.String, "adl_notional": MONEY, "num_events": pl.Int64}
BURST_MS = 1_000

LOSER_WAVES = {"t_start_ms": pl.Int64, "t_end_ms": pl.Int64, "n_rows": pl.Int64}


def totals(folder: Path) -> Iterator[PublishedFigure]:
    """Yield T1: events, accounts, coins, notional and realized PnL."""
    users = read_table(folder, "hr_adl_by_user_REALTIME.csv", BY_USER)
    coins = read_table(folder, "hr_adl_by_coin_REALTIME.csv", BY_COIN)
    for name, published, computed in (
        ("ADL fills", 34_983, users["num_adl_events"].sum()),
        ("ADL fills, by coin", 34_983, coins["num_events"].sum()),
        ("accounts deleveraged", 19_337, users.height),
        ("coins", 162, coins.height),
        ("notional closed, USD", 2_103_111_430.86, users["adl_notional"].sum()),
        ("notional closed, by coin, USD", 2_103_111_430.86, coins["adl_notional"].sum()),
        ("realized PnL, USD", 834_295_749.29, users["closed_pnl"].sum()),
    ):
        yield figure("T1", HYPERREPLAY, name, published, float(computed))
    winners = users.filter(pl.col("closed_pnl") > 0)
    yield figure("T1", HYPERREPLAY, "accounts closed in profit", 19_230, winners.height)
    top = coins.sort("adl_notional", descending=True).head(3)
    share = 100 * float(top["adl_notional"].sum()) / float(coins["adl_notional"].sum())
    yield figure("T1", HYPERREPLAY, "BTC, ETH and SOL, % of notional", 64.43, share)


def omitted_bursts(folder: Path) -> Iterator[PublishedFigure]:
    """Yield what the waves of P1 and P2 leave out: bursts without a loser of negative equity."""
    waves = read_table(folder, "plu_bad_debt_loser_waves.csv", LOSER_WAVES)
    users = read_table(folder, "hr_adl_by_user_REALTIME.csv", BY_USER)
    starts = waves["t_start_ms"].to_numpy() // BURST_MS * BURST_MS
    ends = waves["t_end_ms"].to_numpy()
    omitted = [
        burst
        for burst in bursts(folder)
        if not ((starts <= burst["time"]) & (burst["time"] <= ends)).any()
    ]
    events = int(users["num_adl_events"].sum())
    yield figure(
        "T4",
        P2,
        "ADL fills that the 16 waves cover",
        34_983,
        float(waves["n_rows"].sum()),
        correction="minor",
        why=f"{events - int(waves['n_rows'].sum()):,} fills of waves without a loser are left out",
    )
    yield figure(
        "T4",
        P2,
        "notional outside the 16 waves, USD",
        0,
        float(sum(burst["notionalInBucket"] for burst in omitted)),
        correction="minor",
        why=f"{len(omitted)} bursts, the two largest of the day among them: sums over waves "
        "are not of the whole event",
    )


def bursts(folder: Path) -> list[dict[str, Any]]:
    """Return the seconds with ADL; raises InputError for a file of another form."""
    file = folder / "viz_adl_flow_data.json"
    try:
        found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["timeBuckets"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot be read: {error}", file=str(file)) from None
    return found
