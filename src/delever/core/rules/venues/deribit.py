"""Deribit: what nobody took is transferred at once, a spread beside the mark."""

from delever.core.market.contract_terms import Terms
from delever.core.rules.adl_price import AtTransferPrice
from delever.core.rules.ranking import UNPUBLISHED, Ranking, leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import Unplaced

DOCS = "Deribit docs, articles/lsp-api-guide"


def not_linear(terms: Terms) -> bool:
    """Whether the contract is inverse."""
    return not terms.linear


DERIBIT = RuleSet(
    name="deribit",
    venue="Deribit linear perpetuals",
    cases=(Case(Unplaced(), AtTransferPrice(spread_ppm=1_000)),),
    ranking=Ranking(
        "profit / entry value x leverage, / leverage when losing (assumed)",
        leveraged_return,
        exempts=not_linear,
    ),
    indicator_scale=UNPUBLISHED,
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "DER-01",
            "A position in breach goes to liquidity providers with capacity, then to ADL, and only "
            "then to the order book.",
            DOCS,
            "official",
            "what providers take is told as smaller positions before the takeover; inventory is "
            "closed at once",
        ),
        Rule(
            "DER-02",
            "The transfer price is a reference price with a small spread against the liquidated "
            "account: below it for its longs, above it for its shorts.",
            DOCS,
            "official",
            "the reference is the mark, the spread 0.1 %",
        ),
        Rule(
            "DER-03",
            "Only linear perpetuals; never options, dated futures or inverse contracts.",
            DOCS,
            "official",
            "inverse contracts are exempt; define others with adl_exempt",
        ),
        Rule(
            "DER-04",
            "The order of counterparties.",
            DOCS,
            "not documented",
            "the BitMEX form; own accounts of the same owner are not closed first",
        ),
        Rule(
            "DER-05",
            "The commission falls on the liquidated account.",
            DOCS,
            "official",
            "a counterparty pays no fee; the venue books the commission itself",
        ),
        Rule("DER-06", "Open orders.", DOCS, "not documented", "none are cancelled"),
    ),
)
