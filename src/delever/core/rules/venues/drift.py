"""Drift v2: no ADL; every open base unit, long and short, bears the same part of a loss."""

from collections.abc import Sequence

from delever.core.rules.loss_socialization import Claim, SocializedLoss
from delever.core.rules.ranking import UNPUBLISHED, Ranking, unranked
from delever.core.rules.ruleset import OrderScope, Rule, RuleSet
from delever.core.units import div_ceil

CODE = "drift-labs protocol-v2 @0ae3e3b, controller/liquidation.rs resolve_perp_bankruptcy"


def per_lot(claims: Sequence[Claim], loss_cash: int) -> list[int]:
    """Return the same for every open lot, rounded up to one unit; nothing where none is open."""
    lots = sum(claim.lots for claim in claims)
    each = div_ceil(loss_cash, lots) if lots else 0
    return [claim.lots * each for claim in claims]


DRIFT = RuleSet(
    name="drift",
    venue="Drift v2",
    cases=(),
    ranking=Ranking("none: losses are socialized", unranked, closes=False),
    indicator_scale=UNPUBLISHED,
    last_resort=SocializedLoss("per_lot", per_lot, after_unwinding=True),
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "DRI-01",
            "A bankrupt perpetual account's loss is first paid by the insurance fund, up to a "
            "limit of the market, then by the fees of its automated market maker.",
            CODE,
            "official",
            "the pool's balance pays first, without limit; nothing is closed by ADL",
        ),
        Rule(
            "DRI-02",
            "The rest is divided by all open base units, long and short, and rounded up.",
            CODE,
            "official",
            "per lot, rounded up to one unit of cash; the pool keeps what that is too much",
        ),
        Rule(
            "DRI-03",
            "It is taken through the cumulative funding rate, when a position is next touched.",
            CODE,
            "official",
            "at once, from each position's equity",
        ),
        Rule(
            "DRI-04",
            "A bankruptcy is resolved when the account holds no position any more.",
            CODE,
            "official",
            "the pool's inventory of the contract is closed first; without any open lot the loss "
            "stays with the pool",
        ),
    ),
)
