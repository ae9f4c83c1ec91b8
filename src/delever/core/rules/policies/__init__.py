"""Policies: how the quantity to close is divided over the queue.

A policy only arranges the queue in weighted tiers; `allocation` does the arithmetic for them all.

1. policy      tiers of counterparties, and the protocol of a policy
2. queue       in order of rank
3. pro_rata    by size of position
4. allocation  tiers -> exact lots
"""

from delever.core.rules.policies.policy import AllocationTiers, Policy
from delever.core.rules.policies.pro_rata import ProRataPolicy
from delever.core.rules.policies.queue import QueuePolicy

POLICIES: dict[str, Policy] = {policy.name: policy for policy in (QueuePolicy(), ProRataPolicy())}

__all__ = ["POLICIES", "AllocationTiers", "Policy", "ProRataPolicy", "QueuePolicy"]
