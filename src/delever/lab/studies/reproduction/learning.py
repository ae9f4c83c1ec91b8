"""The tables of Autodeleveraging as Online Learning (P2), from its authors' results."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from delever.core.units import Floats
from delever.lab.studies.reproduction.figure import P1, P2, PublishedFigure, figure, read_table

POLICIES = {
    "production": ("budget_prod", "max_pct_prod"),
    "integer pro rata": ("budget_contract_pr", "max_pct_contract_pr"),
    "vector mirror descent": ("budget_vector", "max_pct_vector"),
    "min-max ILP": ("budget_fixed_point_ilp_integer", "max_pct_fixed_point_ilp_integer"),
    "continuous pro rata": ("budget_pr", "max_pct_pr"),
}
"""The columns of each policy: what it takes a wave, and the largest part of an equity."""

TABLE_2 = {
    "production": (53_782_490.53, 11_077_031.68),
    "integer pro rata": (3_020_120.65, 384_064.35),
    "vector mirror descent": (1_793_022.03, 2_620_345.57),
    "min-max ILP": (106_205.81, 0.0),
    "continuous pro rata": (0.0, 2_732_437.29),
}
"""P2, Table 2: tracking and fairness regret, USD."""

REPEATED_LOSS = 10_925_707.159377944
"""The largest loss of nine waves, to the last digit."""

WAVE_COLUMNS = {"wave": pl.Int64, "budget_needed": pl.Float64} | {
    column: pl.Float64 for pair in POLICIES.values() for column in pair
}
EQUITY_COLUMNS = dict.fromkeys(("deficit_usd", "max_loss_usd", "theta_needed_capped"), pl.Float64)


def waves_of(folder: Path) -> pl.DataFrame:
    """Return the policies wave by wave."""
    return read_table(folder, "plu_policy_per_wave_metrics.csv", WAVE_COLUMNS)


def equities_of(folder: Path) -> pl.DataFrame:
    """Return deficits and severities wave by wave."""
    return read_table(folder, "plu_two_pass_equity_delta_by_wave_h0.csv", EQUITY_COLUMNS)


def sums_over_waves(folder: Path) -> Iterator[PublishedFigure]:
    """Yield T2: what was needed and taken, the deficit, and the overshoot."""
    waves, equities = waves_of(folder), equities_of(folder)
    over = (waves["budget_prod"] - waves["budget_needed"]).to_numpy()
    needed, taken = float(waves["budget_needed"].sum()), float(waves["budget_prod"].sum())
    yield figure("T2", P2, "budget needed, USD", 15_079_669.61, needed)
    yield figure("T2", P2, "production haircut at 0 ms, USD", 60_108_335.33, taken)
    losses = equities["deficit_usd"].to_numpy()
    repeats = int((equities["max_loss_usd"].to_numpy() == REPEATED_LOSS).sum())
    yield figure(
        "T2",
        P2,
        "deficit over 16 waves, USD",
        100_063_386.69,
        float(losses.sum()) - REPEATED_LOSS * (repeats - 1),
        correction="material",
        why=f"one account of {REPEATED_LOSS:,.2f} is counted in {repeats} waves; severities, "
        "PTSR, PMR and the regret bound inherit it",
    )
    yield figure("F6", P2, "overshoot, signed sum, USD", 45_028_665.72, float(over.sum()))
    yield figure(
        "F6",
        P2,
        "overshoot [H - B]+ of section 5.1, USD",
        45_000_000,
        float(over[over > 0].sum()),
        tolerance=50_000,
        why="the published number is the signed sum; production is below the need in "
        f"{int((over < 0).sum())} waves",
    )


HORIZONS = {
    0: 45_028_665.72,
    500: 51_673_606.61,
    1000: 51_012_123.23,
    2000: 47_446_692.11,
    5000: 49_273_475.02,
}
DISCOUNTED = {0.5: 48_826_870.04, 1: 48_962_725.56, 2: 48_885_470.66, 5: 48_840_149.76}


def overshoot_by_horizon(folder: Path) -> Iterator[PublishedFigure]:
    """Yield T2's overshoot at later prices, and discounted with a half-life."""
    sweep = read_table(
        folder,
        "plu_eval_horizon_sweep_gap_ms=5000.csv",
        {"eval_horizon_ms": pl.Int64, "total_overshoot_prod_minus_needed_usd": pl.Float64},
    ).sort("eval_horizon_ms")
    seconds = sweep["eval_horizon_ms"].to_numpy() / 1000
    over = sweep["total_overshoot_prod_minus_needed_usd"].to_numpy()
    for second, computed in zip(seconds.tolist(), over.tolist(), strict=True):
        horizon = round(second * 1000)
        yield figure("T2", P2, f"overshoot at {horizon} ms, USD", HORIZONS[horizon], computed)
    for half_life, published in DISCOUNTED.items():
        weight = np.exp(-np.log(2) / half_life * seconds)
        computed = float(np.trapezoid(over * weight, seconds) / np.trapezoid(weight, seconds))
        yield figure("T2", P2, f"overshoot, half-life {half_life} s, USD", published, computed)


def regrets(folder: Path) -> Iterator[PublishedFigure]:
    """Yield T3: tracking and fairness of each policy, with the fairness corrected (F7)."""
    waves = waves_of(folder)
    needed = waves["budget_needed"].to_numpy()
    reference = waves[POLICIES["min-max ILP"][1]].to_numpy()
    for name, (budget, largest) in POLICIES.items():
        tracking, fairness = TABLE_2[name]
        missed = np.abs(waves[budget].to_numpy() - needed)
        yield figure("T3", P2, f"tracking regret, {name}, USD", tracking, float(missed.sum()))
        computed = float(needed @ np.abs(waves[largest].to_numpy() - reference))
        yield figure("T3", P2, f"fairness regret, {name}, USD", fairness, computed)
    for name, (_, largest) in POLICIES.items():
        yield figure(
            "F7",
            P2,
            f"fairness of {name} against the fairest, USD",
            TABLE_2[name][1],
            float(needed @ _above(waves, largest)),
            correction="material",
            why="a distance to the reference penalizes who is fairer, and the reference is no "
            "minimum: (m - m of pro rata)+ reverses the published order",
        )


def _above(waves: pl.DataFrame, column: str) -> Floats:
    """Return how far the largest burden is above that of continuous pro rata, wave by wave."""
    fairest = waves[POLICIES["continuous pro rata"][1]].to_numpy()
    above: Floats = np.maximum(waves[column].to_numpy() - fairest, 0)
    return above


def reference_policy(folder: Path) -> Iterator[PublishedFigure]:
    """Yield in how many waves the published minimum is below continuous pro rata."""
    waves = waves_of(folder)
    lower = int((_above(waves, POLICIES["min-max ILP"][1]) <= 0).sum())
    yield figure(
        "F7",
        P1,
        "waves in which the min-max ILP burdens nobody more than pro rata",
        waves.height,
        lower,
        tolerance=0,
        why="its solver was not installed in the published run: the column is a greedy fallback",
    )


def regret_bound(folder: Path) -> Iterator[PublishedFigure]:
    """Yield the bound on dynamic regret, as published and without the repeated account."""
    equities = equities_of(folder)
    severity = equities["theta_needed_capped"].to_numpy()
    path = float(np.abs(np.diff(severity)).sum())
    deficits = equities["deficit_usd"].to_numpy()
    bound = float(np.sqrt((1 + 2 * path) * (deficits**2).sum()))
    yield figure("T3", P2, "path length P_T", 7.05952, path, tolerance=5e-6)
    yield figure("T3", P2, "B_inst from the published deficits, USD", 129_699_802.43, bound)
    repeated = equities["max_loss_usd"].to_numpy() == REPEATED_LOSS
    repeated[np.flatnonzero(repeated)[0]] = False
    once = np.maximum(deficits - np.where(repeated, REPEATED_LOSS, 0.0), 0)
    yield figure(
        "T3",
        P2,
        "B_inst with every account counted once, USD",
        129_699_802.43,
        float(np.sqrt((1 + 2 * path) * (once**2).sum())),
        correction="material",
        why="with the published path of severities, which the repeated account also distorts; "
        "production's 64.86 M, half of the published bound, is above this one",
    )


def gaps_by_coin(folder: Path) -> Iterator[PublishedFigure]:
    """Yield T4: sums over coins of |mark - execution| times size are the budgets needed."""
    gaps = read_table(
        folder,
        "plu_two_pass_wave_coin_gap_per_contract_h0.csv",
        {"wave": pl.Int64, "gap_usd_x_qty": pl.Float64},
    )
    joined = (
        gaps.group_by("wave").agg(pl.col("gap_usd_x_qty").sum()).join(waves_of(folder), on="wave")
    )
    largest = (joined["gap_usd_x_qty"] - joined["budget_needed"]).abs().to_numpy().max()
    yield figure("T4", P2, "largest difference of a wave from its coins, USD", 0, float(largest))


def queue_overshoot(folder: Path) -> Iterator[PublishedFigure]:
    """Yield T5: the overshoot of the queue by coin and cluster, which is of no deficit."""
    shocks = read_table(
        folder,
        "plu_per_shock_metrics_queue.csv",
        dict.fromkeys(("overshoot_queue_usd", "residual_queue_usd", "deficit_usd"), pl.Float64),
    )
    deficit = shocks["deficit_usd"]
    yield figure(
        "T5",
        P1,
        "residual of the queue, USD",
        16_690_263.85,
        float(shocks["residual_queue_usd"].sum()),
    )
    yield figure("T5", P1, "deficit of counterparties, USD", 23_191_104.48, float(deficit.sum()))
    yield figure(
        "T5",
        P1,
        "overshoot of the queue, USD",
        653_552_663.51,
        float(shocks["overshoot_queue_usd"].sum()),
    )
    yield figure(
        "T5",
        P1,
        "overshoot of the queue in clusters with a deficit, USD",
        653_552_663.51,
        float(shocks.filter(deficit > 0)["overshoot_queue_usd"].sum()),
        correction="material",
        why=f"{int((deficit == 0).sum())} of {shocks.height:,} clusters have no deficit: there "
        "the budget is realized PnL, so that the sum is no overshoot over a need",
    )
