"""Routes out: the rule sets with their sources."""

from litestar import get
from litestar.params import FromPath

from delever.api_types.market import RuleResponse, RuleSetCaseResponse, RuleSetResponse
from delever.core.messages import Reason
from delever.core.rules import RuleSet
from delever.lab.errors import UnknownNameError
from delever.lab.queries.position_queries import rule_set
from delever.rule_registry import installed_rule_sets, with_own
from delever.server.api.requests.authorization import reads_market
from delever.server.api.requests.errors import not_found


@get("/v1/rules", guards=[reads_market], tags=["rules"])
async def rules() -> list[RuleSetResponse]:
    """Return every rule set."""
    return list(map(_response, with_own(installed_rule_sets()).values()))


@get("/v1/rules/{name:str}", guards=[reads_market], tags=["rules"])
async def rules_named(name: FromPath[str]) -> RuleSetResponse:
    """Return one rule set."""
    try:
        return _response(rule_set(name, with_own(installed_rule_sets())))
    except UnknownNameError as error:
        raise not_found(Reason.UNKNOWN_RULE_SET, "name", name, str(error)) from None


def _response(rules: RuleSet) -> RuleSetResponse:
    return RuleSetResponse(
        name=rules.name,
        venue=rules.venue,
        cases=tuple(
            RuleSetCaseResponse(
                trigger=case.trigger.name,
                reason=str(case.trigger.reason),
                price_rule=case.price.name,
            )
            for case in rules.cases
        ),
        formula=rules.ranking.formula,
        profitable_only=rules.ranking.profitable_only,
        joint=rules.ranking.joint,
        indicator_scale=rules.indicator_scale.description,
        policy=rules.policy.name,
        last_resort=rules.last_resort.name if rules.last_resort else None,
        fee_ppm=rules.fee_ppm,
        cancel_scope=str(rules.cancel_scope),
        rules=tuple(
            RuleResponse(
                id=rule.id,
                text=rule.text,
                source=rule.source,
                confidence=rule.confidence,
                assumption=rule.assumption,
            )
            for rule in rules.rules
        ),
    )


ROUTES = [rules, rules_named]
