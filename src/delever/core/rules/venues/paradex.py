"""Paradex: no ADL; while the fund has a deficit, withdrawals take a public haircut."""

from dataclasses import replace

from delever.core.rules.loss_socialization import WithdrawalHaircut
from delever.core.rules.ranking import UNPUBLISHED, Ranking, unranked
from delever.core.rules.ruleset import OrderScope, Rule, RuleSet
from delever.core.rules.triggers.sizing import Sizing

DOCS = "tradeparadex/paradex-docs, socialized-losses.mdx"

PARADEX = RuleSet(
    name="paradex",
    venue="Paradex",
    cases=(),
    sizing=Sizing.NOT_APPLICABLE,
    unwinds_beyond_balance=True,
    ranking=Ranking("none: withdrawals take a haircut", unranked, closes=False),
    indicator_scale=UNPUBLISHED,
    last_resort=WithdrawalHaircut(),
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "PDX-01",
            "The deficit is what bankrupt accounts owe beyond the insurance fund.",
            DOCS,
            "partly read",
            "the pool takes bankrupt positions over: the deficit is its negative equity",
        ),
        Rule(
            "PDX-02",
            "A public factor is deducted from every withdrawal; accounts that do not withdraw are "
            "not affected.",
            DOCS,
            "partly read",
            "contested: the printed formula, deficit / (total + deficit), is used, because only it "
            "pays out exactly (1,000 and 4,000: 20 %); the printed example has 25 %, which is "
            "`paradex_example`",
        ),
        Rule("PDX-03", "The factor returns to 0 when the fund has recovered.", DOCS, "partly read"),
        Rule(
            "PDX-04",
            "As a last resort, positions are settled after an announced delay.",
            DOCS,
            "partly read",
            "not modeled",
        ),
        Rule(
            "PDX-05",
            "There is no queue to close against.",
            DOCS,
            "partly read",
            "sizing `not_applicable`",
        ),
    ),
)

PARADEX_EXAMPLE = replace(
    PARADEX,
    name="paradex_example",
    venue="Paradex, by the printed example",
    last_resort=WithdrawalHaircut(of_claims=False),
)
"""The other reading of PDX-02: deficit / total equity, 25 % in the example."""
