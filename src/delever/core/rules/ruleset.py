"""A rule set: what one venue's file composes from triggers, prices, a ranking and its sources."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from delever.core.rules.adl_price import PriceRule
from delever.core.rules.eligibility import EligibilityFilter, FillSolvencyFilter
from delever.core.rules.loss_socialization import LastResort
from delever.core.rules.policies import LotPolicy, QueuePolicy
from delever.core.rules.ranking import INDICATORS, IndicatorScale, Ranking
from delever.core.rules.triggers import Trigger
from delever.core.rules.triggers.sizing import Sizing

Confidence = Literal["official", "partly read", "third party", "not documented"]


class OrderScope(StrEnum):
    """Which open orders of a deleveraged account the venue cancels."""

    NONE = "none"
    CONTRACT = "contract"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a venue, paraphrased, with its source and how sure we are of it.

    `assumption` is what delever does where the venue publishes nothing.
    """

    id: str
    text: str
    source: str
    confidence: Confidence
    assumption: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A trigger of ADL, and the price at which ADL closes under it."""

    trigger: Trigger
    price: PriceRule


@dataclass(frozen=True, slots=True)
class RuleSet:
    """How one venue deleverages. If several triggers are on, the first case sets the price.

    `sizing` is how much a round closes. A venue without a queue has no cases, but a last resort.
    `takeover_share` (numerator and denominator) is the fraction of maintenance margin at which a
    managed pool takes an account over, and `managed_limits` those limits without default that a
    managed pool must set. `nets_hedged_legs`: opposite cross positions of an account in one
    contract are netted before its takeover; `nets_inventory`: so is a pool's long and short
    inventory in one contract. `unwinds_beyond_balance`: a managed pool unwinds inventory in the
    market also where it cannot pay the loss, as no queue takes the rest.
    `closes_own_accounts_first`: inventory of an account is closed against other accounts of its
    owner before anyone else. `winners_pay_settlement`: of a contract that is settled, winners pay
    what neither accounts nor fund can; otherwise that stays open.
    """

    name: str
    venue: str
    cases: tuple[Case, ...]
    ranking: Ranking
    rules: tuple[Rule, ...]
    sizing: Sizing = Sizing.RESIDUAL
    indicator_scale: IndicatorScale = INDICATORS
    policy: LotPolicy = QueuePolicy()  # noqa: RUF009 - stateless
    filters: tuple[EligibilityFilter, ...] = (FillSolvencyFilter(),)
    last_resort: LastResort | None = None
    takeover_share: tuple[int, int] = (1, 1)
    managed_limits: tuple[str, ...] = ()
    fee_ppm: int = 0
    nets_hedged_legs: bool = True
    winners_pay_settlement: bool = False
    nets_inventory: bool = True
    unwinds_beyond_balance: bool = False
    closes_own_accounts_first: bool = False
    cancel_scope: OrderScope = OrderScope.CONTRACT

    @property
    def limit_fields(self) -> frozenset[str]:
        """The fields of `TriggerLimits` that a trigger of the rule set reads."""
        return frozenset(field for case in self.cases for field in case.trigger.limit_fields)

    def case(self, trigger: str) -> Case:
        """Return the case of a trigger, by the trigger's name."""
        return next(case for case in self.cases if case.trigger.name == trigger)


class RegisteredRules(NamedTuple):
    """A rule set of one's own, with the digest by which events and journals name its content."""

    rules: RuleSet
    digest: str
