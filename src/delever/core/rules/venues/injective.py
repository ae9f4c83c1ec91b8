"""Injective: no ADL; a market that settles with a deficit pays it from profits, then payouts."""

from collections.abc import Sequence

from delever.core.rules.loss_socialization import LossClaim, SocializedLoss
from delever.core.rules.policies.allocation import share
from delever.core.rules.ranking import UNPUBLISHED, Ranking, unranked
from delever.core.rules.ruleset import OrderScope, Rule, RuleSet
from delever.core.rules.triggers.sizing import Sizing

CODE = "injective-core @151e3f0, exchange/keeper/markets_settlement.go"


def of_profits_then_payouts(claims: Sequence[LossClaim], loss_cash: int) -> list[int]:
    """Return each position's share of a loss: first from profits, then from the rest of payouts.

    Each tier is shared pro rata by largest remainder; what both tiers cannot pay is not socialized.
    """
    profits = [min(claim.gain_cash, claim.payout_cash) for claim in claims]
    rests = [claim.payout_cash - profit for claim, profit in zip(claims, profits, strict=True)]
    first = min(loss_cash, sum(profits))
    second = min(loss_cash - first, sum(rests))
    of_profits, of_rests = share(first, profits, profits), share(second, rests, rests)
    return [a + b for a, b in zip(of_profits, of_rests, strict=True)]


INJECTIVE = RuleSet(
    name="injective",
    venue="Injective",
    cases=(),
    sizing=Sizing.NOT_APPLICABLE,
    unwinds_beyond_balance=True,
    ranking=Ranking("none: losses are socialized", unranked, closes=False),
    indicator_scale=UNPUBLISHED,
    last_resort=SocializedLoss("of_profits_then_payouts", of_profits_then_payouts),
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "INJ-01",
            "When a market settles, its insurance fund pays what bankrupt positions owe.",
            CODE,
            "official",
            "whenever pool equity is negative; positions stay open, the market is not paused",
        ),
        Rule(
            "INJ-02",
            "First tier: every position in profit pays profit x deficit / sum of profits.",
            CODE,
            "official",
            "exact to one unit of Cash, by largest remainder",
        ),
        Rule(
            "INJ-03",
            "Second tier: when all profits are used, the rest is paid from all positive payouts.",
            CODE,
            "official",
            "payout = margin + PnL; in cross margin, the share of equity by maintenance margin",
        ),
        Rule(
            "INJ-04",
            "Third tier: if that does not suffice either, all payouts are 0 and the rest is "
            "reported as missing funds.",
            CODE,
            "official",
            "reported as unfunded_cash",
        ),
        Rule(
            "INJ-05",
            "There is no queue to close against.",
            CODE,
            "official",
            "sizing `not_applicable`",
        ),
        Rule(
            "INJ-06",
            "At a market's settlement the fund pays first, then the haircuts of INJ-02 to INJ-04.",
            CODE,
            "official",
            "winners pay by realized PnL, at most their equity; the other tiers are not modeled",
        ),
    ),
    winners_pay_settlement=True,
)
