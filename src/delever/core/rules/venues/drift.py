"""Drift v2: no ADL; every open base unit, long or short, pays the same part of a loss."""

from collections.abc import Sequence

from delever.core.rules.loss_socialization import LossClaim, SocializedLoss
from delever.core.rules.ranking import UNPUBLISHED, Ranking, unranked
from delever.core.rules.ruleset import OrderScope, Rule, RuleSet
from delever.core.rules.triggers.sizing import Sizing
from delever.core.units import div_ceil

CODE = "drift-labs protocol-v2 @0ae3e3b, controller/liquidation.rs resolve_perp_bankruptcy"


def per_lot(claims: Sequence[LossClaim], loss_cash: int) -> list[int]:
    """Return the same amount for every open lot, rounded up to one unit of Cash."""
    lots = sum(claim.lots for claim in claims)
    amount = div_ceil(loss_cash, lots) if lots else 0
    return [claim.lots * amount for claim in claims]


DRIFT = RuleSet(
    name="drift",
    venue="Drift v2",
    cases=(),
    sizing=Sizing.NOT_APPLICABLE,
    unwinds_beyond_balance=True,
    ranking=Ranking("none: losses are socialized", unranked, closes=False),
    indicator_scale=UNPUBLISHED,
    last_resort=SocializedLoss("per_lot", per_lot, after_unwinding=True),
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "DRI-01",
            "The loss of a bankrupt perpetual account is first paid by the insurance fund, up to a "
            "limit of the market, then by the fees of the market's AMM.",
            CODE,
            "official",
            "the pool balance pays first, without a limit; no position is closed by ADL",
        ),
        Rule(
            "DRI-02",
            "The rest is divided over all open base units, long and short, and rounded up.",
            CODE,
            "official",
            "per lot, rounded up to one unit of Cash; the excess stays with the pool",
        ),
        Rule(
            "DRI-03",
            "It is charged through the cumulative funding rate, when a position is next updated.",
            CODE,
            "official",
            "charged at once, to each position's equity",
        ),
        Rule(
            "DRI-04",
            "A bankruptcy is resolved when the account has no position left.",
            CODE,
            "official",
            "the pool's inventory in the contract is closed first; without open lots the loss "
            "stays with the pool",
        ),
        Rule(
            "DRI-05",
            "There is no queue to close against.",
            CODE,
            "official",
            "sizing `not_applicable`",
        ),
        Rule(
            "DRI-06",
            "At expiry the mean of the oracle is altered until all users are solvent.",
            "Drift docs-v2, delisting",
            "official",
            "the price is given; the fund's deficit is shared over the contract's winners by "
            "realized PnL, with the same total",
        ),
    ),
    winners_pay_settlement=True,
)
