"""Vega: no ADL; every gain is paid in proportion to what was collected."""

from collections.abc import Sequence

from delever.core.rules.loss_socialization import LossClaim, SocializedLoss
from delever.core.rules.ranking import UNPUBLISHED, Ranking, unranked
from delever.core.rules.ruleset import OrderScope, Rule, RuleSet
from delever.core.rules.triggers.sizing import Sizing
from delever.core.units import share_floor

CODE = "vegaprotocol vega @a50750c, core/collateral"


def of_gains(claims: Sequence[LossClaim], loss_cash: int) -> list[int]:
    """Return the unpaid part of each gain: the cash collected is shared over gains, floored.

    Each position is paid floor(gain * collected / expected). The remainder goes to the last gain,
    as in the venue's code, but never beyond the gain itself: then to the one before.
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
    sizing=Sizing.NOT_APPLICABLE,
    unwinds_beyond_balance=True,
    ranking=Ranking("none: losses are socialized", unranked, closes=False),
    indicator_scale=UNPUBLISHED,
    last_resort=SocializedLoss("of_gains", of_gains),
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "VEG-01",
            "At each settlement, losses are collected from margin, then from the account, then "
            "from the market's insurance pool; the rest is socialized.",
            CODE,
            "official",
            "every command after which pool equity is negative is a settlement",
        ),
        Rule(
            "VEG-02",
            "Each gain is paid floor(gain x collected / expected).",
            CODE,
            "official",
            "the gain is a position's unrealized PnL since entry, not since the last mark",
        ),
        Rule(
            "VEG-03",
            "The remainder of whole units goes to the last position in the list.",
            CODE,
            "official",
            "the last by account id, and never more than its gain (the venue's code does not check "
            "that); delever's own rule elsewhere is the largest remainder",
        ),
        Rule(
            "VEG-04",
            "There is no queue to close against.",
            CODE,
            "official",
            "sizing `not_applicable`",
        ),
    ),
)
