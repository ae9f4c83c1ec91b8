"""What a venue's file composes: when, who, at which price, and where the rule is published."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from delever.core.rules.adl_price import PriceRule
from delever.core.rules.eligibility import Skip, WouldBankrupt
from delever.core.rules.loss_socialization import LastResort
from delever.core.rules.policies import InOrder, Policy
from delever.core.rules.ranking import INDICATORS, IndicatorScale, Ranking
from delever.core.rules.triggers import Trigger

Confidence = Literal["official", "partly read", "third party", "not documented"]


class OrderScope(StrEnum):
    """Which open orders of a deleveraged account are to be cancelled."""

    NONE = "none"
    CONTRACT = "contract"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a venue in our words, with where it comes from.

    `assumes` says what delever does where the venue publishes nothing.
    """

    id: str
    says: str
    source: str
    confidence: Confidence
    assumes: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One way into ADL, with the price that goes with it."""

    trigger: Trigger
    price: PriceRule


@dataclass(frozen=True, slots=True)
class RuleSet:
    """How one venue deleverages. Where several cases hold at once, the first decides the price.

    A venue without a queue has no cases, and a last resort. `takeover_share` (numerator and
    denominator) is the part of maintenance margin at or below which a managed pool takes over.
    """

    name: str
    venue: str
    cases: tuple[Case, ...]
    ranking: Ranking
    rules: tuple[Rule, ...]
    indicator_scale: IndicatorScale = INDICATORS
    policy: Policy = InOrder()  # noqa: RUF009 - stateless
    skips: tuple[Skip, ...] = (WouldBankrupt(),)
    last_resort: LastResort | None = None
    takeover_share: tuple[int, int] = (1, 1)
    fee_ppm: int = 0
    cancels: OrderScope = OrderScope.CONTRACT

    def case(self, trigger: str) -> Case:
        """Return the case of a trigger by name."""
        return next(case for case in self.cases if case.trigger.name == trigger)
