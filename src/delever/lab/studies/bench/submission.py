"""Policies on the bench: one of a Python file, or those that are shipped; a row an instance."""

import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from delever.core.rules.policies import POLICIES
from delever.lab.errors import InputError
from delever.lab.policies.catalog import LAB_POLICIES, policy_of
from delever.lab.policies.plans.certificate import Certificate
from delever.lab.policies.plans.reduction import Reduction
from delever.lab.policies.plans.shadow_prices import shadow_prices
from delever.lab.studies.bench.instances import BUILDERS, instance_named
from delever.lab.studies.bench.scores import (
    COMPARISONS,
    DECIMALS,
    MEASURES,
    BenchPolicy,
    PreparedInstance,
    score,
)

ALL = "all"
"""The instance of the row with the mean over the instances on which a measure is defined."""


@dataclass(frozen=True, slots=True)
class ShadowPricePlans:
    """The plan with the smallest expected shortfall, certified; extra `lab`."""

    name: str = field(default="shadow_prices", init=False)

    def plan(self, reduction: Reduction) -> Certificate:
        """Return the certified plan."""
        return shadow_prices(reduction)


SHIPPED: tuple[str, ...] = (*POLICIES, *LAB_POLICIES, ShadowPricePlans().name)
"""The policies of the table, by name."""


def read_submission(path: str | Path) -> BenchPolicy:
    """Return the object `policy` of a Python file, which is executed.

    It has a `name` and one of `allocate(queue, wanted_lots, quote)`, `haircuts(winners, budget,
    context)` and `plan(reduction)`. Raises InputError for a file without one.
    """
    file = Path(path)
    spec = importlib.util.spec_from_file_location(f"submission_{file.stem}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise InputError("is no Python file with an object `policy`", file=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"cannot be run: {error!r}", file=str(path)) from error
    return _checked(getattr(module, "policy", None), str(path))


def _checked(policy: Any, file: str) -> BenchPolicy:
    divides = [name for name in ("allocate", "haircuts", "plan") if hasattr(policy, name)]
    if not isinstance(getattr(policy, "name", None), str) or not divides:
        raise InputError(
            "has no object `policy` with a `name` and one of `plan(reduction)`, "
            "`allocate(queue, wanted_lots, quote)`, `haircuts(winners, budget, context)`",
            file=file,
        )
    found: BenchPolicy = policy
    return found


def shipped_policy(name: str) -> BenchPolicy:
    """Return a policy of the table by name; raises UnknownNameError."""
    return ShadowPricePlans() if name == ShadowPricePlans().name else policy_of(name)


def bench(
    policies: Iterable[BenchPolicy | str],
    instances: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pl.DataFrame:
    """Return the scores of policies: a row an instance, and the mean of each measure.

    The columns are those of `MEASURES` and `COMPARISONS`, documented there. The same policy gives
    the same rows on every machine. Raises InputError where an allocation is outside the limits,
    UnknownNameError for a policy or instance that does not exist.

        >>> table = bench(["queue", "wealth_pro_rata"], ["largest_survivor"])
        >>> table.filter(instance="all").select("policy", "largest_survivor").rows()
        [('queue', 0.9), ('wealth_pro_rata', 0.47368)]
    """
    names = list(BUILDERS) if instances is None else list(instances)
    chosen = [shipped_policy(each) if isinstance(each, str) else each for each in policies]
    rows: dict[str, list[dict[str, Any]]] = {policy.name: [] for policy in chosen}
    for done, name in enumerate(names, start=1):
        ready = PreparedInstance.of(instance_named(name))
        for policy in chosen:
            rows[policy.name].append(score(policy, ready))
        if progress is not None:
            progress(done, len(names))
    return pl.concat([_with_mean(scored) for scored in rows.values()])


def _with_mean(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return the rows of one policy with their mean."""
    numbers = [*MEASURES, *COMPARISONS, "unfilled"]
    schema = dict.fromkeys(numbers, pl.Float64) | {"certificate": pl.String}
    frame = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)
    means = frame.select(
        pl.col("policy").first(),
        pl.lit(ALL).alias("instance"),
        *(pl.col(name).mean().round(DECIMALS) for name in numbers),
        pl.lit(None, pl.String).alias("certificate"),
    )
    return pl.concat([frame, means])
