"""Injective: no ADL; a market that settles short takes profits, then payouts."""

from collections.abc import Sequence

from delever.core.rules.allocation import share
from delever.core.rules.loss_socialization import Claim, SocializedLoss
from delever.core.rules.ranking import UNPUBLISHED, Ranking, unranked
from delever.core.rules.ruleset import OrderScope, Rule, RuleSet

CODE = "injective-core @151e3f0, exchange/keeper/markets_settlement.go"


def of_profits_then_payouts(claims: Sequence[Claim], loss_cash: int) -> list[int]:
    """Return shares of the profits, then of what else the positions would pay out.

    In each tier by its amounts, to the largest remainder; beyond both tiers nothing is taken.
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
    ranking=Ranking("none: losses are socialized", unranked, closes=False),
    indicator_scale=UNPUBLISHED,
    last_resort=SocializedLoss("of_profits_then_payouts", of_profits_then_payouts),
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "INJ-01",
            "When a market settles, its insurance fund pays what negative positions leave unpaid.",
            CODE,
            "official",
            "any time the pool's equity is below 0; positions stay open, the market is not paused",
        ),
        Rule(
            "INJ-02",
            "First tier: every profitable position loses profit x missing / sum of profits.",
            CODE,
            "official",
            "to the last unit, by largest remainder",
        ),
        Rule(
            "INJ-03",
            "Second tier: with all profit gone, the rest is taken from all positive payouts.",
            CODE,
            "official",
            "payout = margin + profit, in cross the share of the equity by maintenance margin",
        ),
        Rule(
            "INJ-04",
            "Third tier: where that is not enough either, all payouts are 0 and the rest is "
            "reported as missing.",
            CODE,
            "official",
            "reported as left_cash",
        ),
    ),
)
