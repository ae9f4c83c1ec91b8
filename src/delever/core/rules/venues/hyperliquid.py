"""Hyperliquid: bankrupt accounts are closed against winners at the previous mark."""

from delever.core.rules.adl_price import AtPreviousMark
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, account_leverage, price_move
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity
from delever.core.rules.triggers.sizing import Sizing
from delever.core.valuation.side_valuation import SideValuation

DOCS = "Hyperliquid docs, Auto-deleveraging"


def score(valuation: SideValuation) -> Score:
    """Return (mark / entry) x (notional / account value); entry / mark for shorts."""
    move, leverage = price_move(valuation), account_leverage(valuation.notional, valuation)
    return Score(move * leverage, {"price_move": move, "account_leverage": leverage})


HYPERLIQUID = RuleSet(
    name="hyperliquid",
    venue="Hyperliquid",
    cases=(Case(AccountEquity(backstop=True), AtPreviousMark()),),
    sizing=Sizing.WHOLE,
    ranking=Ranking(
        "(mark / entry) x (notional / account value), entry / mark for shorts",
        score,
        profitable_only=True,
    ),
    indicator_scale=UNPUBLISHED,
    takeover_share=(2, 3),
    cancel_scope=OrderScope.NONE,
    rules=(
        Rule(
            "HYP-01",
            "ADL starts when the value of an account or of an isolated position is negative.",
            DOCS,
            "official",
            "the mark has passed the takeover price",
        ),
        Rule(
            "HYP-02",
            "Winners are sorted by (mark price / entry price) x (notional / account value).",
            DOCS,
            "official",
            "entry / mark for shorts: taken literally, the index would fall with their PnL",
        ),
        Rule("HYP-03", "Positions close at the previous mark price.", DOCS, "official"),
        Rule("HYP-04", "Only users in profit are affected.", DOCS, "official"),
        Rule(
            "HYP-05",
            "Open orders of the affected users.",
            DOCS,
            "not documented",
            "no open orders are cancelled",
        ),
        Rule(
            "HYP-06",
            "Below 2/3 of maintenance margin a vault takes positions over with their margin; the "
            "vault has no priority in ADL, which starts when its own value is negative.",
            "Hyperliquid docs, Liquidations",
            "official",
            "a managed pool is that vault: it takes over at 2/3, and ADL waits until its equity is "
            "negative; the venue sends the market orders that come before",
        ),
        Rule(
            "HYP-07",
            "Opposite traders are closed against the underwater user, so that no bad debt is left.",
            DOCS,
            "official",
            "sizing `whole`: all underwater inventory",
        ),
    ),
)
