"""Paradex: no ADL; a public part of every withdrawal stays behind while the fund is short."""

from delever.core.rules.loss_socialization import WithdrawalCut
from delever.core.rules.ranking import UNPUBLISHED, Ranking, unranked
from delever.core.rules.ruleset import OrderScope, Rule, RuleSet

DOCS = "Paradex docs, socialized losses, with an example read in a fork"

PARADEX = RuleSet(
    name="paradex",
    venue="Paradex",
    cases=(),
    ranking=Ranking("none: withdrawals are cut", unranked, closes=False),
    indicator_scale=UNPUBLISHED,
    last_resort=WithdrawalCut(),
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "PDX-01",
            "The deficit is what bankrupt accounts owe beyond the insurance fund.",
            DOCS,
            "partly read",
            "bankrupt positions are taken over by the pool: the deficit is its negative equity",
        ),
        Rule(
            "PDX-02",
            "A public factor of every withdrawal stays behind; who does not withdraw is not "
            "affected.",
            DOCS,
            "partly read",
            "deficit / total equity, as the example computes it (25 %); the printed formula, "
            "deficit / (total + deficit), would give 20 %",
        ),
        Rule("PDX-03", "The factor returns to 0 when the fund has recovered.", DOCS, "partly read"),
        Rule(
            "PDX-04",
            "A last resort settles positions after a visible delay.",
            DOCS,
            "partly read",
            "not modelled",
        ),
    ),
)
