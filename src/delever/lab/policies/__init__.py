"""Policies of the literature, in two spaces that are never mixed: money of profit, and lots.

context         what a policy may know besides the queue: scenarios, factor, exposures, state
haircuts        money of profit divided over winners: pro rata, by risk, by burden
lot_policies    CVaR cut-off, factor water filling, tear-up, and haircuts turned into lots
side_index      lazy side indices: a pro-rata round without a fill for each account
catalog         every policy by name, and as a policy of rule sets
plans           several contracts reduced at once, with a proof of how good the plan is

The engine divides lots only: a haircut policy takes part in a run as the lots that its haircuts
stand for. None of these is used live; `delever.core.rules.policies` has those that are.
"""

from delever.lab.policies.catalog import LAB_POLICIES, lot_policy, policy_of
from delever.lab.policies.context import PolicyContext, ScenarioPolicy
from delever.lab.policies.haircuts.ordered import MinMaxBurden, RiskGreedy
from delever.lab.policies.haircuts.pro_rata import (
    CappedProRata,
    GlobalHaircut,
    RiskAwareProRata,
    VmGainsHaircut,
    WealthProRata,
)
from delever.lab.policies.haircuts.winners import HaircutPolicy, Winners
from delever.lab.policies.lot_policies import CvarCutoff, FactorWaterFilling, HaircutLots, TearUp
from delever.lab.policies.side_index import LazySideIndex, SideIndex

__all__ = [
    "LAB_POLICIES",
    "CappedProRata",
    "CvarCutoff",
    "FactorWaterFilling",
    "GlobalHaircut",
    "HaircutLots",
    "HaircutPolicy",
    "LazySideIndex",
    "MinMaxBurden",
    "PolicyContext",
    "RiskAwareProRata",
    "RiskGreedy",
    "ScenarioPolicy",
    "SideIndex",
    "TearUp",
    "VmGainsHaircut",
    "WealthProRata",
    "Winners",
    "lot_policy",
    "policy_of",
]
