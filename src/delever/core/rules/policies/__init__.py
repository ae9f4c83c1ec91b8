"""Policies: how the lots that a round closes are divided over the queue.

1. policy            the protocol of a policy
2. allocation        quantities divided in exact lots
3. queue             in order of rank
4. pro_rata          by size of position
5. min_max_leverage  so that the highest leverage afterwards is as low as possible
"""

from delever.core.rules.policies.min_max_leverage import MinMaxLeverage
from delever.core.rules.policies.policy import LotPolicy
from delever.core.rules.policies.pro_rata import ContractProRata
from delever.core.rules.policies.queue import QueuePolicy

POLICIES: dict[str, LotPolicy] = {
    policy.name: policy for policy in (QueuePolicy(), ContractProRata(), MinMaxLeverage())
}
"""The policies that a rule set can be combined with by name: `bybit+pro_rata`."""

POLICY_ALIASES = {"contract_pro_rata": "pro_rata", "water_filling": "min_max_leverage"}
"""Names of the literature for policies of `POLICIES`."""


def policy_named(name: str) -> LotPolicy | None:
    """Return the policy of a name, of the literature's name, or None.

    `pro_rata=everyone` takes from losers as from winners.

    >>> policy_named("water_filling").name, policy_named("contract_pro_rata=everyone").name
    ('min_max_leverage', 'pro_rata=everyone')
    """
    base, _, takes_from = name.partition("=")
    base = POLICY_ALIASES.get(base, base)
    if takes_from == "everyone" and base == "pro_rata":
        return ContractProRata("everyone")
    return POLICIES.get(base) if "=" not in name else None


__all__ = [
    "POLICIES",
    "POLICY_ALIASES",
    "ContractProRata",
    "LotPolicy",
    "MinMaxLeverage",
    "QueuePolicy",
    "policy_named",
]
