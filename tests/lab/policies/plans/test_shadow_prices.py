"""Plans over several contracts: optimal, certified, checked by code that shares nothing."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reductions import four_accounts, random_plan, synthetic

from delever.core.rules.policies.min_max_leverage import drain
from delever.lab.errors import InputError
from delever.lab.policies.plans.certificate import Certificate
from delever.lab.policies.plans.check import check
from delever.lab.policies.plans.reduction import Reduction
from delever.lab.policies.plans.shadow_prices import shadow_prices

seeds = st.integers(0, 2**32)


def random_reduction(seed: int) -> Reduction:
    """Return a small reduction: several contracts on either side, hedges, no scenario or many."""
    rng = np.random.default_rng(seed)
    accounts, contracts, scenarios = rng.integers([1, 1, 1], [9, 4, 20])
    exposure = rng.normal(0, 100, (accounts, contracts)) * rng.choice(
        [0, 1], (accounts, 1), p=[0.1, 0.9]
    )
    equity = rng.exponential(30, accounts)
    moves = rng.normal(0, rng.choice([0.01, 0.5]), (scenarios, contracts))
    sign = rng.choice([-1, 1], contracts)
    most = np.maximum(sign * exposure, 0).sum(axis=0)
    return Reduction.of(exposure, equity, moves, sign * most * rng.random(contracts))


@given(seeds, st.sampled_from(["pro_rata", "fewest_accounts"]))
@settings(max_examples=40)
def test_no_plan_is_better_and_the_certificate_proves_it(seed: int, ties: str) -> None:
    """O11: bounds meet, the check derives them again, random plans are not below."""
    reduction, rng = random_reduction(seed), np.random.default_rng(seed)
    certificate = shadow_prices(reduction, ties=ties)
    checked = check(certificate, reduction)
    assert checked.ok, checked.findings
    assert certificate.upper - certificate.lower <= 1e-9 * max(certificate.upper, 1)
    for _ in range(5):
        assert reduction.expected_loss(random_plan(rng, reduction)) >= checked.lower - 1e-6


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 1000)), min_size=1, max_size=8),
    st.floats(0.01, 0.99),
    seeds,
)
@settings(max_examples=25)
def test_one_contract_is_water_filling(rows: list[tuple[int, int]], part: float, seed: int) -> None:
    """O9: under moves against the side, the optimum is that of min-max leverage."""
    exposure, equity = np.array(rows, float).T
    moves = np.abs(np.random.default_rng(seed).normal(0, 1, (30, 1)))
    fine = 10**6
    lots = (exposure * fine).astype(np.int64)
    wanted = int(part * int(lots.sum()))
    reduction = Reduction.of(exposure[:, None], equity, moves, [wanted / fine])
    filled = drain(lots, np.zeros_like(lots), (equity * fine).astype(np.int64), wanted) / fine
    best = shadow_prices(reduction).upper
    assert reduction.expected_loss(filled[:, None]) == pytest.approx(best, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize(
    ("quantity", "optimum", "published"),
    [
        ((5, 0), 4327.035, 4329.161),
        ((10, 0), 2212.646, 2212.893),
        ((20, 0), 737.646, 743.581),
        ((10, 100), 1145.924, 1167.110),
    ],
)
def test_four_accounts_have_better_plans_than_published(
    quantity: tuple[float, float], optimum: float, published: float
) -> None:
    """T8 and F9: a solver's "success" is no optimum; the bound proves the distance."""
    reduction = four_accounts(quantity)
    certificate = shadow_prices(reduction)
    assert certificate.upper == pytest.approx(optimum, abs=1e-3)
    assert certificate.gap < 1e-9
    assert check(certificate, reduction).ok
    assert published > certificate.upper + 0.1
    none = reduction.expected_loss(np.zeros_like(reduction.limits))
    assert none == pytest.approx(8232.5, abs=0.1)


def test_ten_thousand_accounts() -> None:
    """The number of the reference, by dual simplex, interior point and a dual Newton method."""
    reduction = synthetic(10_000, 5, 1_000, 1)
    certificate = shadow_prices(reduction, ties="fewest_accounts")
    assert certificate.upper == pytest.approx(55_271.3068, abs=1e-4)
    assert certificate.gap < 1e-9
    assert check(certificate, reduction).ok


def test_ties_decide_who_pays_where_nothing_is_at_stake() -> None:
    """Moves that bankrupt nobody: all alike, or only the largest; one more account is in need."""
    exposure, equity = [[10.0], [20.0], [30.0], [40.0]], [100.0, 100.0, 100.0, 2.0]
    reduction = Reduction.of(exposure, equity, [[0.1], [-0.1]], [50.0])
    alike, fewest = (
        shadow_prices(reduction, ties=ties) for ties in ("pro_rata", "fewest_accounts")
    )
    assert alike.upper == fewest.upper == 0.0
    assert alike.plan[:3, 0] == pytest.approx(alike.plan[2, 0] / 30 * np.array([10, 20, 30]))
    assert alike.plan[3, 0] >= 20 - 1e-9
    assert (fewest.plan > 1e-9).sum() < (alike.plan > 1e-9).sum()
    for certificate in (alike, fewest):
        assert check(certificate, reduction).ok


def test_the_same_inputs_give_the_same_plan() -> None:
    reduction = synthetic(300, 3, 100, 2)
    first, second = shadow_prices(reduction), shadow_prices(reduction)
    assert first.plan.tobytes() == second.plan.tobytes()
    assert first.digest == second.digest != synthetic(300, 3, 100, 3).digest()


# --- a certificate that is not true ---


def tampered(certificate: Certificate) -> dict[str, Certificate]:
    """Return certificates in which one thing is not what was proved."""
    plan, multipliers = certificate.plan.copy(), certificate.multipliers.copy()
    plan[0, 0] += 1.0
    beyond = certificate.plan.copy()
    beyond[[0, 1], 0] += [1e9, -1e9]
    multipliers[0] *= 2
    unknown = certificate.plan * np.nan
    accounts = certificate.accounts.copy()
    accounts[0] = accounts[1]
    scenarios = certificate.scenarios.copy()
    scenarios[0] = scenarios[1]
    absent = certificate.accounts + 10**6
    return {
        "does not reduce": replace(certificate, plan=plan),
        "beyond the limits": replace(certificate, plan=beyond),
        "not a number for each limit": replace(certificate, plan=unknown),
        "of other inputs": replace(certificate, digest="0" * 64),
        "not between 0 and": replace(certificate, multipliers=multipliers),
        "of accounts or scenarios": replace(certificate, accounts=absent),
        "two for one": replace(certificate, accounts=accounts, scenarios=scenarios),
        "not a number for each account": replace(
            certificate, shadow_prices=certificate.shadow_prices[:1]
        ),
        "lower:": replace(certificate, shadow_prices=certificate.shadow_prices + 1.0),
        "upper:": replace(certificate, upper=certificate.upper * 0.99),
        "is not proved": replace(certificate, lower=certificate.upper * 1.01),
    }


def test_every_tampering_is_found() -> None:
    reduction = synthetic(300, 3, 200, 5)
    certificate = shadow_prices(reduction)
    assert check(certificate, reduction).ok
    for why, forged in tampered(certificate).items():
        findings = check(forged, reduction).findings
        assert any(why in finding for finding in findings), (why, findings)
    moved = replace(reduction, moves=reduction.moves * 1.01)
    findings = check(certificate, moved).findings
    assert any("of other inputs" in finding for finding in findings)
    assert any("upper:" in finding for finding in findings)


def test_multipliers_of_zero_prove_nothing_and_are_no_error() -> None:
    reduction = synthetic(300, 3, 200, 5)
    certificate = shadow_prices(reduction)
    idle = replace(
        certificate,
        multipliers=certificate.multipliers * 0,
        shadow_prices=certificate.shadow_prices * 0,
        lower=0.0,
    )
    checked = check(idle, reduction)
    assert checked.ok
    assert checked.gap == 1.0


# --- inputs that cannot be used ---


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"required": [99.0]}, "no plan reduces 99"),
        ({"moves": [[np.nan]]}, "finite"),
        ({"moves": np.zeros((0, 1))}, "at least one scenario"),
        ({"equity": [1.0]}, "shape"),
        ({"equity": [-1.0, 1.0]}, "at least 0"),
        ({"chances": [0.7]}, "sum to 1"),
        ({"moves": [0.1]}, "a column for each contract"),
    ],
)
def test_unusable_reductions_are_errors(changes: dict[str, object], why: str) -> None:
    usable: dict[str, object] = {
        "exposure": [[8.0], [4.0]], "equity": [2.0, 3.0], "moves": [[1.0]], "required": [6.0],
    }  # fmt: skip
    with pytest.raises(InputError, match=why):
        Reduction.of(**(usable | changes))


def test_a_solver_that_stops_early_is_an_error() -> None:
    with pytest.raises(InputError, match="HiGHS stopped without an optimum: Time limit"):
        shadow_prices(synthetic(2_000, 5, 300, 1), time_limit_s=0.0)


def test_without_highs_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highspy", None)
    with pytest.raises(InputError, match="pip install 'delever\\[lab\\]'"):
        shadow_prices(synthetic(10, 1, 10, 1))
