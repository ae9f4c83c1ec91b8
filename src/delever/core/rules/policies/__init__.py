"""Policies only say who stands in line, and with what weight; `allocate` does the arithmetic."""

from delever.core.rules.policies.base import Line, Policy
from delever.core.rules.policies.pro_rata import ProRata
from delever.core.rules.policies.queue import InOrder

POLICIES: dict[str, Policy] = {policy.name: policy for policy in (InOrder(), ProRata())}

__all__ = ["POLICIES", "InOrder", "Line", "Policy", "ProRata"]
