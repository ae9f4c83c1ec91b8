"""Binance USDS-M and COIN-M: the current ranking, and the one it replaced."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import QUANTILE, Product, Ranking, Score, wallet_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity
from delever.core.valuation.side_valuation import SideValuation

FAQ = "Binance support FAQ 360033525471"

_SHARED = (
    Rule(
        "BIN-01",
        "ADL starts when the loss of bankrupt positions is more than the insurance pool can take.",
        FAQ,
        "partly read",
        "pool equity (balance plus unrealized profit of inventory) <= 0; it stops above 0",
    ),
    Rule(
        "BIN-02",
        "A counterparty is closed at the bankruptcy price of the liquidated order, without fee.",
        FAQ,
        "official",
    ),
    Rule("BIN-03", "The open orders of a deleveraged account are cancelled.", FAQ, "official"),
    Rule(
        "BIN-04",
        "A quantile 0-4, from low to high, refreshed every 30 s, by count of accounts.",
        "Binance COIN-M API, Position ADL Quantile Estimation",
        "official",
        "quantile = indicator - 1, five equal parts of the queue by count",
    ),
    Rule(
        "BIN-05",
        "Cross positions of both sides in hedge mode share one value, from both profits.",
        "Binance COIN-M API, Position ADL Quantile Estimation",
        "official",
        "one score from the sums of profit and of notional; each side shows the higher of both "
        "indicators",
    ),
)


current_score = Product(
    ("return_on_mark", "joint_profit", "joint_notional"),
    ("effective_leverage", "joint_notional", "equity"),
)
"""PNL% x effective leverage, divided for losers; joint for cross hedges."""


BINANCE = RuleSet(
    name="binance",
    venue="Binance USDⓈ-M and COIN-M, since 2023 or later",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "profit / notional x leverage, / leverage when losing; leverage = notional / equity",
        current_score,
        joint=True,
    ),
    indicator_scale=QUANTILE,
    cancels=OrderScope.ACCOUNT,
    rules=(
        *_SHARED,
        Rule(
            "BIN-06",
            "PNL% = profit / notional, effective leverage = notional / (wallet + profit); "
            "their product ranks winners, their quotient losers.",
            FAQ + ", current text",
            "third party",
            "profit and notional are the position's, the equity is its margin bucket's",
        ),
    ),
)


def legacy_score(view: SideValuation) -> Score:
    """Return the return on the wallet times the margin ratio; joint for cross hedges."""
    return wallet_return(view.joint_profit, view)


BINANCE_LEGACY = RuleSet(
    name="binance_legacy",
    venue="Binance USDⓈ-M and COIN-M, 2019 to about 2023",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "max(0, profit) / max(1, wallet) x maintenance margin / equity", legacy_score, joint=True
    ),
    indicator_scale=QUANTILE,
    cancels=OrderScope.ACCOUNT,
    rules=(
        *_SHARED,
        Rule(
            "BIN-07",
            "Profit percent = max(0, profit) / max(1, wallet balance), times the margin ratio "
            "(0 where equity <= 0).",
            FAQ + ", 2019 text; dev.binance.vision topic 17801",
            "partly read",
            "profit is the position's, wallet and margin ratio its margin bucket's",
        ),
    ),
)
