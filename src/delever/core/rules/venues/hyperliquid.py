"""Hyperliquid: bankrupt accounts are closed against winners at the previous mark.

Since 27 March 2025 a vault that takes positions over stops paying at a cap on its liquidator's
loss; before, it paid until its own value was negative (`hyperliquid@2025-03`).
"""

from dataclasses import replace

from delever.core.rules.adl_price import AtPreviousMark
from delever.core.rules.ranking import UNPUBLISHED, Ranking, Score, price_move, quotient_score
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import AccountEquity, LiquidatorLoss
from delever.core.rules.triggers.sizing import Sizing
from delever.core.valuation.side_valuation import SideValuation

DOCS = "Hyperliquid docs, Auto-deleveraging"
STATEMENT = "Hyperliquid Foundation, statement of 2025-03-27 (copy of its channel)"


def score(valuation: SideValuation) -> Score:
    """Return (mark / entry) x (notional / account value); entry / mark for shorts."""
    terms = {
        "notional": valuation.notional,
        "entry_notional": valuation.entry_notional,
        "equity": valuation.equity,
    }
    quotients = {"price_move": price_move(valuation), "account_leverage": ("notional", "equity")}
    return quotient_score(terms, quotients)


_BACKSTOP = Rule(
    "HYP-06",
    "Below 2/3 of maintenance margin a vault takes positions over with their margin; the vault has "
    "no priority in ADL.",
    "Hyperliquid docs, Liquidations",
    "official",
    "a managed pool is that vault: it takes over at 2/3; the venue sends the market orders that "
    "come before",
)

HYPERLIQUID = RuleSet(
    name="hyperliquid",
    venue="Hyperliquid",
    cases=(Case(LiquidatorLoss(), AtPreviousMark()),),
    sizing=Sizing.WHOLE,
    ranking=Ranking(
        "(mark / entry) x (notional / account value), entry / mark for shorts",
        score,
        profitable_only=True,
    ),
    indicator_scale=UNPUBLISHED,
    takeover_share=(2, 3),
    managed_limits=("vault_cap", "loss_threshold"),
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
        _BACKSTOP,
        Rule(
            "HYP-08",
            "The liquidator of the vault gets a tight cap, a small part of the vault's account "
            "value, and ADL starts when it has lost more than a threshold, instead of drawing on "
            "the other parts of the vault.",
            STATEMENT,
            "partly read",
            "no number is published: a managed pool must set `vault_cap` and `loss_threshold`; the "
            "loss is that of the day, whose opening at 00:00 UTC rebalances the liquidator",
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

HYPERLIQUID_2025_03 = replace(
    HYPERLIQUID,
    name="hyperliquid@2025-03",
    venue="Hyperliquid before 27 March 2025",
    cases=(Case(AccountEquity(backstop=True), AtPreviousMark()),),
    managed_limits=(),
    rules=(
        *(rule for rule in HYPERLIQUID.rules if rule.id != "HYP-08"),
        Rule(
            "HYP-09",
            "Before 27 March 2025 the parts of the vault shared their collateral: ADL started when "
            "the vault's own value was negative.",
            STATEMENT,
            "partly read",
            "in a managed pool ADL waits until its equity is negative",
        ),
    ),
)
