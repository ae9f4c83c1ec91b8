"""Hyperliquid: whoever is under water is closed against winners at the previous mark."""

from delever.core.rules.adl_price import AtPreviousMark
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, account_leverage, price_move
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity
from delever.core.valuation.side_valuation import SideValuation

DOCS = "Hyperliquid docs, Auto-deleveraging"


def score(view: SideValuation) -> Score:
    """Return (mark / entry) x (notional / account value); entry / mark for shorts."""
    move, leverage = price_move(view), account_leverage(view.notional, view)
    return Score(move * leverage, {"price_move": move, "account_leverage": leverage})


HYPERLIQUID = RuleSet(
    name="hyperliquid",
    venue="Hyperliquid",
    cases=(Case(AccountEquity(backstop=True), AtPreviousMark()),),
    ranking=Ranking(
        "(mark / entry) x (notional / account value), entry / mark for shorts",
        score,
        profitable_only=True,
    ),
    indicator_scale=UNPUBLISHED,
    takeover_share=(2, 3),
    cancels=OrderScope.NONE,
    rules=(
        Rule(
            "HYP-01",
            "ADL starts when an account's value, or an isolated position's, is negative.",
            DOCS,
            "official",
            "the mark has passed the price at which the position was taken over",
        ),
        Rule(
            "HYP-02",
            "Winners are sorted by (mark price / entry price) x (notional / account value).",
            DOCS,
            "official",
            "for shorts entry / mark: read to the letter, the index would fall with their profit",
        ),
        Rule("HYP-03", "Positions close at the previous mark price.", DOCS, "official"),
        Rule("HYP-04", "Only users in profit are affected.", DOCS, "official"),
        Rule(
            "HYP-05",
            "Open orders of the affected users.",
            DOCS,
            "not documented",
            "none are cancelled",
        ),
        Rule(
            "HYP-06",
            "Below 2/3 of maintenance margin a vault takes positions over with their margin; it "
            "has no special place in ADL, which begins when its own value is negative.",
            "Hyperliquid docs, Liquidations",
            "official",
            "a managed pool is that vault: it takes over at 2/3, and ADL waits until its equity is "
            "negative; the market orders before that are the venue's",
        ),
    ),
)
