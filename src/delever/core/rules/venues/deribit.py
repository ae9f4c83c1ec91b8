"""Deribit: inventory is transferred at once, at a small spread from the mark."""

from delever.core.market.contract_terms import ContractTerms
from delever.core.rules.adl_price import AtTransferPrice
from delever.core.rules.ranking import UNPUBLISHED, Ranking, leveraged_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import OpenInventory
from delever.core.rules.triggers.sizing import Sizing

DOCS = "Deribit docs, articles/lsp-api-guide"


def not_linear(terms: ContractTerms) -> bool:
    """Return whether the contract is inverse."""
    return not terms.linear


DERIBIT = RuleSet(
    name="deribit",
    venue="Deribit linear perpetuals",
    cases=(Case(OpenInventory(), AtTransferPrice(spread_ppm=1_000)),),
    sizing=Sizing.FUND_AFTER,
    ranking=Ranking(
        "PnL / entry value x leverage, for losers / leverage (assumed)",
        leveraged_return,
        exempts=not_linear,
    ),
    indicator_scale=UNPUBLISHED,
    cancel_scope=OrderScope.NONE,
    closes_own_accounts_first=True,
    rules=(
        Rule(
            "DER-01",
            "A position in breach is offered to liquidity providers with capacity, then closed by "
            "ADL, and only then in the order book.",
            DOCS,
            "official",
            "what providers take is submitted as smaller positions before the takeover; inventory "
            "is closed at once; where the fund is exhausted, later losses are socialized among the "
            "winners of the day, which has never happened and is not modeled",
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
            "ADL applies only to linear perpetuals, never to options, dated or inverse futures.",
            DOCS,
            "official",
            "inverse contracts are exempt; others are defined with adl_exempt",
        ),
        Rule(
            "DER-04", "The order of counterparties.", DOCS, "not documented", "the BitMEX formula"
        ),
        Rule(
            "DER-05",
            "The liquidated account pays the commission.",
            DOCS,
            "official",
            "a counterparty pays no fee; the venue charges the commission itself",
        ),
        Rule("DER-06", "Open orders.", DOCS, "not documented", "none are cancelled"),
        Rule(
            "DER-07",
            "How much is closed: ADL precedes the order book and does not wait for the fund.",
            DOCS,
            "official",
            "sizing `fund_after`: the whole inventory",
        ),
        Rule(
            "DER-08",
            "ADL may first close against the account's own subaccounts, at the position's average "
            "price.",
            DOCS,
            "official",
            "accounts with the same `owner`, in the order of the queue, at the takeover price: "
            "between accounts of one owner the price moves no money to or from the fund",
        ),
    ),
)
