"""ADL-Bench: frozen instances, scores with known values, and the published table recomputed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from delever.core.units import Floats
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.policies import Winners
from delever.lab.policies.plans.certificate import Certificate
from delever.lab.policies.plans.reduction import Reduction
from delever.lab.policies.plans.shadow_prices import shadow_prices
from delever.lab.studies.bench.instances import BUILDERS, instance_named
from delever.lab.studies.bench.scores import (
    COMPARISONS,
    MEASURES,
    BenchPolicy,
    PreparedInstance,
    allocate_instance,
    lots_by_row,
    score,
)
from delever.lab.studies.bench.submission import SHIPPED, bench, read_submission, shipped_policy

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "docs" / "results" / "adl-bench.csv"
SUBMISSIONS = sorted((ROOT / "examples" / "bench").glob("*.py"))
LARGE = "zipf_100000"
SMALL = [name for name in BUILDERS if name != LARGE]


@cache
def ready(name: str) -> PreparedInstance:
    return PreparedInstance.of(instance_named(name))


@dataclass(frozen=True)
class Planner:
    """A policy of a test: a plan, or a certificate, as a function of the reduction."""

    answer: Callable[[Reduction], Floats | Certificate]
    name: str = "planner"

    def plan(self, reduction: Reduction) -> Floats | Certificate:
        return self.answer(reduction)


class VectorMirrorDescent:
    """The published projection of 0 onto the budget, which F4 shows to reward splitting."""

    name = "vector_mirror_descent"

    def haircuts(self, winners: Winners, budget: float, _context: object = None) -> Floats:
        low, high = 0.0, 1 / winners.profit.min()
        for _ in range(100):
            middle = (low + high) / 2
            taken = (winners.profit * np.minimum(1, middle * winners.profit)).sum()
            low, high = (low, middle) if taken > budget else (middle, high)
        return winners.profit * np.minimum(1, low * winners.profit)


def units(policy: BenchPolicy, name: str) -> list[float]:
    """Return what a policy closes of each position, in units of the contract."""
    lots = allocate_instance(policy, ready(name)).lots
    return [round(n / 10_000, 4) for n in lots_by_row(ready(name), lots).tolist()]


def test_the_instances_are_frozen() -> None:
    assert len({instance_named(name).digest() for name in BUILDERS}) == len(BUILDERS) == 12
    with pytest.raises(UnknownNameError, match="five_accounts"):
        instance_named("five_acounts")


def test_a_changed_instance_has_another_digest() -> None:
    instance = instance_named("five_accounts")
    assert replace(instance, wanted_lots=(75_001,)).digest() != instance.digest()
    assert replace(instance, moves=instance.moves + 1e-8).digest() != instance.digest()


def test_the_worked_example_of_p1() -> None:
    assert units(shipped_policy("wealth_pro_rata"), "five_accounts") == [4.8, 2.4, 0.3, 0, 0]


def test_the_claims_that_do_not_stand() -> None:
    def survivor(policy: str) -> float:
        return score(shipped_policy(policy), ready("largest_survivor"))["largest_survivor"] * 10

    assert (survivor("queue"), round(survivor("wealth_pro_rata"), 2)) == (9.0, 4.74)
    split = [
        score(policy, ready("account_splitting"))["split_gain"]
        for policy in (VectorMirrorDescent(), shipped_policy("pro_rata"))
    ]
    assert split == pytest.approx([0.25, 0], abs=1e-4)  # 20.00 in halves instead of 26.67


def test_the_plan_of_four_accounts_is_the_optimum_of_the_linear_program() -> None:
    row = score(shipped_policy("shadow_prices"), ready("four_accounts"))
    reduction = ready("four_accounts").target.reduction
    before = reduction.expected_loss(np.zeros_like(reduction.limits))
    assert before == pytest.approx(8232.5, abs=0.1)
    assert row["expected_loss"] * before == pytest.approx(2212.646, abs=0.02)
    assert row["certificate"] == "proved, gap <= 1e-09"


def test_a_certificate_that_proves_nothing_is_reported() -> None:
    def tampered(reduction: Reduction) -> Certificate:
        certificate = shadow_prices(reduction)
        return replace(certificate, lower=certificate.upper * 2)

    row = score(Planner(tampered), ready("hedged_pairs"))
    assert row["certificate"].startswith("not proved: lower: ")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda r: r.limits, "does not sum to what is required"),
        (lambda r: r.limits * 2, "takes more of an account than its limit"),
        (lambda r: r.limits[:1], "must be a number for each account and contract"),
        (lambda r: r.limits * np.nan, "must be a number for each account and contract"),
    ],
)
def test_a_plan_outside_the_limits_is_rejected(
    answer: Callable[[Reduction], Floats], why: str
) -> None:
    with pytest.raises(InputError, match=rf"planner 'five_accounts': {why}"):
        score(Planner(answer), ready("five_accounts"))


SUBMISSION = """
class Everything:
    name = "everything"

    def allocate(self, queue, wanted_lots, quote):
        return queue.closable_lots[queue.order]{change}

policy = Everything()
"""


def test_a_submission_is_scored(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SUBMISSION.format(change=" * 0"))
    table = bench([read_submission(file), "queue"], ["five_accounts", "two_rounds"])
    assert table.height == 6
    nothing = table.filter(policy="everything", instance="all").row(0, named=True)
    assert (nothing["unfilled"], nothing["expected_loss"], nothing["path_change"]) == (1, 1, 0)
    assert set(table.columns) >= {*MEASURES, *COMPARISONS, "certificate"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (SUBMISSION.format(change=""), "takes more lots than there are, or than are wanted"),
        (SUBMISSION.format(change=" / 2"), "must be whole lots"),
    ],
)
def test_lots_outside_the_limits_are_rejected(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(InputError, match=why):
        score(read_submission(file), ready("five_accounts"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no object `policy`"),
        ("policy = 7", "has no object `policy`"),
        ("1 / 0", "cannot be run: ZeroDivisionError"),
        (None, "is no Python file"),
    ],
)
def test_a_file_without_a_policy_is_rejected(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=rf"mine.py: {why}"):
        read_submission(file)


# --- the published table ---

EXACT_ON_EVERY_MACHINE = ["expected_loss", "unfilled", "certificate"]
"""Columns of a plan that do not depend on which of several optima the solver finds."""


def compare_with_the_table(policies: list[str], instances: list[str], *, submitted: bool) -> None:
    chosen = [*policies, *(map(read_submission, SUBMISSIONS) if submitted else ())]
    computed = bench(chosen, instances).filter(pl.col("instance") != "all")
    published = pl.read_csv(TABLE, schema=computed.schema)
    assert computed.height == len(chosen) * len(instances)
    for row in computed.iter_rows(named=True):
        key = {"policy": row["policy"], "instance": row["instance"]}
        (of_table,) = published.filter(**key).to_dicts()
        names = EXACT_ON_EVERY_MACHINE if row["certificate"] else list(row)
        numbers = {name: row[name] for name in names}
        assert numbers == pytest.approx({name: of_table[name] for name in names}, abs=3e-6), key


def test_the_table_is_what_the_shipped_policies_score() -> None:
    compare_with_the_table(list(SHIPPED), SMALL[:7], submitted=True)


@pytest.mark.slow
def test_the_whole_table_is_what_the_policies_score() -> None:
    compare_with_the_table(list(SHIPPED), list(BUILDERS), submitted=True)


def test_the_table_has_every_policy_and_instance_once() -> None:
    published = pl.read_csv(TABLE)
    names = {*SHIPPED, *(read_submission(file).name for file in SUBMISSIONS)}
    assert set(published["policy"]) == names
    assert published.height == len(names) * (len(BUILDERS) + 1)
    assert published.select("policy", "instance").is_unique().all()
