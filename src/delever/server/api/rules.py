"""Out: the rule sets, with their sources."""

from litestar import get
from litestar.params import FromPath

from delever.api_types.market import CaseShown, RuleShown, RulesShown
from delever.core.messages import Reason
from delever.core.rules import RULE_SETS, RuleSet
from delever.lab.errors import UnknownNameError
from delever.lab.queries.queries import rule_set
from delever.server.api.authorization import reads_market
from delever.server.api.errors import unknown


@get("/v1/rules", guards=[reads_market], tags=["rules"])
async def rules() -> list[RulesShown]:
    """Return every rule set."""
    return [_shown(each) for each in RULE_SETS.values()]


@get("/v1/rules/{name:str}", guards=[reads_market], tags=["rules"])
async def rules_named(name: FromPath[str]) -> RulesShown:
    """Return one rule set."""
    try:
        return _shown(rule_set(name))
    except UnknownNameError as error:
        raise unknown(Reason.UNKNOWN_RULE_SET, "name", name, str(error)) from None


def _shown(chosen: RuleSet) -> RulesShown:
    return RulesShown(
        name=chosen.name,
        venue=chosen.venue,
        cases=tuple(
            CaseShown(
                trigger=case.trigger.name,
                reason=str(case.trigger.reason),
                price_rule=case.price.name,
            )
            for case in chosen.cases
        ),
        formula=chosen.ranking.formula,
        profitable_only=chosen.ranking.profitable_only,
        joint=chosen.ranking.joint,
        indicator_scale=chosen.indicator_scale.says,
        policy=chosen.policy.name,
        last_resort=chosen.last_resort.name if chosen.last_resort else None,
        fee_ppm=chosen.fee_ppm,
        cancels=str(chosen.cancels),
        rules=tuple(
            RuleShown(
                id=rule.id,
                says=rule.says,
                source=rule.source,
                confidence=rule.confidence,
                assumes=rule.assumes,
            )
            for rule in chosen.rules
        ),
    )


ROUTES = [rules, rules_named]
