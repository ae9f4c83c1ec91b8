"""WhiteBIT: what the book does not take is closed against winners, each whole except the last."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import QUANTILE, ProductScore, Ranking
from delever.core.rules.ruleset import Case, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity

DOCS = "whitebit-exchange/docs, concepts/auto-deleveraging.mdx"
API = "WhiteBIT API v4, collateral-account/adl-quantile"

score = ProductScore(
    ("return_on_mark", "unrealized_pnl", "notional"), ("effective_leverage", "notional", "equity")
)
"""PnL % x effective leverage, as on Binance but without joint hedges."""

WHITEBIT = RuleSet(
    name="whitebit",
    venue="WhiteBIT",
    cases=(Case(AccountEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "PnL / notional x leverage; leverage = notional / equity", score, profitable_only=True
    ),
    indicator_scale=QUANTILE,
    rules=(
        Rule(
            "WBT-01",
            "A liquidation goes to the book first; what is left of it is closed by ADL.",
            DOCS,
            "official",
            "the mark has passed the takeover price; the text names no fund",
        ),
        Rule(
            "WBT-02",
            "Counterparties are ranked by PnL % x leverage; only positive ratings are closed.",
            DOCS,
            "official",
            "each factor as on Binance",
        ),
        Rule(
            "WBT-03",
            "ADL places post-only limit orders of the counterparties, each for a whole "
            "position, the last one smaller, at the bankruptcy price.",
            "WhiteBIT help, ADL",
            "partly read",
            "contested: a second reading has last price x (1 +/- (margin fraction - 2 x taker "
            "fee)); the bankruptcy price is used",
        ),
        Rule(
            "WBT-04",
            "The quantile is 0 (safest) to 4, and null without a position. Its limits are the "
            "fractions 0.5, 0.73, 0.87 and 0.95 of the queue.",
            API,
            "official",
            "levels by equal counts: the unequal limits are not modeled",
        ),
        Rule("WBT-05", "The counterparty's orders of the market are cancelled.", DOCS, "official"),
    ),
)
