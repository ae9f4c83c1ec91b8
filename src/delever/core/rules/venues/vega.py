"""Vega: no ADL; whoever gains gets as much less as is missing."""

from collections.abc import Sequence

from delever.core.rules.loss_socialization import Claim, SocializedLoss
from delever.core.rules.ranking import UNPUBLISHED, Ranking, unranked
from delever.core.rules.ruleset import OrderScope, Rule, RuleSet
from delever.core.units import share_floor

CODE = "vegaprotocol vega @a50750c, core/collateral"


def of_gains(claims: Sequence[Claim], loss_cash: int) -> list[int]:
    """Return what each gain falls short of where the gains share what is there.

    Each gets floor(gain * collected / expected); what that leaves over goes to the last that gains,
    as the venue's own code does it, but never beyond the gain itself: then to the one before.
    """
    expected = sum(claim.gain_cash for claim in claims)
    collected = max(expected - loss_cash, 0)
    paid = [share_floor(claim.gain_cash, collected, expected or 1) for claim in claims]
    left = collected - sum(paid)
    for place in reversed(range(len(claims))):
        more = min(claims[place].gain_cash - paid[place], left)
        paid[place] += more
        left -= more
    return [claim.gain_cash - part for claim, part in zip(claims, paid, strict=True)]


VEGA = RuleSet(
    name="vega",
    venue="Vega",
    cases=(),
    ranking=Ranking("none: losses are socialized", unranked, closes=False),
    indicator_scale=UNPUBLISHED,
    last_resort=SocializedLoss("of_gains", of_gains),
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "VEG-01",
            "At each settlement losses are taken from margin, then from the account, then from "
            "the market's insurance pool; what is still missing is socialized.",
            CODE,
            "official",
            "a settlement is every command after which the pool's equity is below 0",
        ),
        Rule(
            "VEG-02",
            "Each gain is paid floor(gain x collected / expected).",
            CODE,
            "official",
            "the gain is a position's unrealized profit since entry, not since the last mark",
        ),
        Rule(
            "VEG-03",
            "The remainder of whole units goes to the last in the list.",
            CODE,
            "official",
            "the last by account name, and never more than its gain (the venue's code does not "
            "look); delever's own rule elsewhere is the largest remainder",
        ),
    ),
)
