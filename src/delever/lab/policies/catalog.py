"""Every policy by name, and as a policy that a rule set can carry."""

from typing import Any

from delever.core.rules.policies import POLICIES, POLICY_ALIASES, LotPolicy, policy_named
from delever.lab.errors import InputError, unknown
from delever.lab.policies.haircuts.ordered import MinMaxBurden, RiskGreedy
from delever.lab.policies.haircuts.pro_rata import (
    CappedProRata,
    GlobalHaircut,
    RiskAwareProRata,
    VmGainsHaircut,
    WealthProRata,
)
from delever.lab.policies.haircuts.winners import HaircutPolicy
from delever.lab.policies.lot_policies import CvarCutoff, FactorWaterFilling, HaircutLots, TearUp
from delever.lab.policies.side_index import LazySideIndex

AnyPolicy = LotPolicy | HaircutPolicy

LAB_POLICIES: dict[str, AnyPolicy] = {
    policy.name: policy
    for policy in (
        WealthProRata(),
        CappedProRata(),
        RiskAwareProRata(),
        RiskGreedy(),
        MinMaxBurden(),
        CvarCutoff(),
        FactorWaterFilling(),
        VmGainsHaircut(),
        TearUp(),
        GlobalHaircut(),
        LazySideIndex(),
    )
}
"""The policies of the lab by name, each with its default parameters."""


def policy_of(policy: str | AnyPolicy) -> AnyPolicy:
    """Return a policy by name, or the object itself; raises UnknownNameError.

    >>> policy_of("contract_pro_rata").name, policy_of("risk_greedy").volatility
    ('pro_rata', 0.5)
    """
    if not isinstance(policy, str):
        return policy
    found = policy_named(policy) or LAB_POLICIES.get(policy)
    if found is None:
        raise unknown("policy", policy, [*POLICIES, *POLICY_ALIASES, *LAB_POLICIES])
    return found


def lot_policy(policy: str | AnyPolicy) -> LotPolicy:
    """Return a policy that divides lots: a haircut policy as the lots that its haircuts stand for.

    Raises UnknownNameError for an unknown name, InputError for an object that is no policy
    and for `factor_water_filling` without a context.

        >>> lot_policy("wealth_pro_rata").name
        'wealth_pro_rata'
    """
    found: Any = policy_of(policy)
    if isinstance(found, FactorWaterFilling) and not found.context.factor:
        raise InputError(
            "needs a factor: FactorWaterFilling().in_context(PolicyContext.of(book, factor={...}))",
            column="policy",
            value=found.name,
        )
    if hasattr(found, "allocate"):
        divides_lots: LotPolicy = found
        return divides_lots
    if hasattr(found, "haircuts"):
        return HaircutLots(found)
    raise InputError(
        "has no `allocate(queue, wanted_lots, quote)` and no `haircuts(winners, budget, context)`",
        column="policy",
        value=found,
    )
