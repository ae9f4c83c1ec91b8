"""Binance USDS-M and COIN-M: the current ranking, and the one that it replaced."""

from delever.core.rules.adl_price import AtBankruptcyPrice
from delever.core.rules.ranking import QUANTILE, ProductScore, Ranking, Score, wallet_return
from delever.core.rules.ruleset import Case, OrderScope, Rule, RuleSet
from delever.core.rules.triggers import PoolEquity
from delever.core.valuation.side_valuation import SideValuation

FAQ = "Binance support FAQ 360033525471"

_SHARED = (
    Rule(
        "BIN-01",
        "ADL starts when bankrupt positions lose more than the insurance fund can pay.",
        FAQ,
        "partly read",
        "pool equity (balance + unrealized PnL of inventory) <= 0; ADL stops above 0",
    ),
    Rule(
        "BIN-02",
        "A counterparty is closed at the bankruptcy price of the liquidated order, without a fee.",
        FAQ,
        "official",
    ),
    Rule("BIN-03", "The open orders of a deleveraged account are cancelled.", FAQ, "official"),
    Rule(
        "BIN-04",
        "The ADL quantile runs from 0 (low) to 4 (high), by count of accounts, every 30 seconds.",
        "Binance COIN-M API, Position ADL Quantile Estimation",
        "official",
        "quantile = indicator - 1: five equal parts of the queue by count of positions",
    ),
    Rule(
        "BIN-05",
        "In hedge mode, cross positions of both sides share one quantile, from the PnL of both.",
        "Binance COIN-M API, Position ADL Quantile Estimation",
        "official",
        "one score from the sums of PnL and of notional; both sides show the higher of their two "
        "indicators",
    ),
    Rule(
        "BIN-08",
        "The insurance fund takes bankrupt positions over to the extent possible; only the rest "
        "is deleveraged.",
        FAQ + ", copies 2019 to 2025",
        "partly read",
        "sizing `residual`: a round closes the fewest lots that leave pool equity above "
        "`stop_equity` (0 by default); the cap on the net notional of the fund is not modeled",
    ),
    Rule(
        "BIN-09",
        "In the last hour before a delisting the fund takes no part: the rest is deleveraged.",
        "Binance support, delisting notices of 2025 and 2026",
        "third party",
        "a setting, `fund_pays`; winners pay at settlement (assumed); no taker fee",
    ),
)


current_score = ProductScore(
    ("return_on_mark", "joint_pnl", "joint_notional"),
    ("effective_leverage", "joint_notional", "equity"),
)
"""PnL % x effective leverage (for losers, / leverage), joint for cross hedges."""


BINANCE = RuleSet(
    name="binance",
    venue="Binance USDⓈ-M and COIN-M, since 2023 or later",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "PnL / notional x leverage, for losers / leverage; leverage = notional / equity",
        current_score,
        joint=True,
    ),
    indicator_scale=QUANTILE,
    winners_pay_settlement=True,
    cancel_scope=OrderScope.ACCOUNT,
    rules=(
        *_SHARED,
        Rule(
            "BIN-06",
            "PnL % = PnL / notional; effective leverage = notional / (wallet balance + PnL). "
            "Winners are ranked by their product, losers by PnL % / leverage.",
            FAQ + ", current text",
            "third party",
            "PnL and notional are those of the position, equity is that of its margin bucket",
        ),
    ),
)


def legacy_score(valuation: SideValuation) -> Score:
    """Return the return on the wallet times the margin ratio; joint for cross hedges."""
    return wallet_return(valuation.joint_pnl, valuation)


BINANCE_LEGACY = RuleSet(
    name="binance_legacy",
    venue="Binance USDⓈ-M and COIN-M, 2019 to about 2023",
    cases=(Case(PoolEquity(), AtBankruptcyPrice()),),
    ranking=Ranking(
        "max(0, PnL) / max(1, wallet) x maintenance margin / equity", legacy_score, joint=True
    ),
    indicator_scale=QUANTILE,
    winners_pay_settlement=True,
    cancel_scope=OrderScope.ACCOUNT,
    rules=(
        *_SHARED,
        Rule(
            "BIN-07",
            "Profit percent = max(0, PnL) / max(1, wallet balance), times the margin ratio (0 "
            "where equity <= 0).",
            FAQ + ", 2019 text; dev.binance.vision topic 17801",
            "partly read",
            "PnL is that of the position; wallet and margin ratio are those of its margin bucket",
        ),
    ),
)
