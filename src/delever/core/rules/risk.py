"""How a contract's ADL risk is rated and lights are refreshed, under every venue's rules."""

from delever.core.rules.ruleset import Rule

API = "Binance USDⓈ-M API, ADL Risk"


def _ours(number: int, says: str) -> Rule:
    return Rule(f"RSK-{number:02d}", says, "", "official")


RISK = (
    Rule(
        "RSK-01",
        "A contract's ADL risk is low, medium or high, rated from the pool's balance, position "
        "concentration, depth, price volatility, average leverage, unrealised profit and margin "
        "utilisation.",
        API,
        "official",
        "how one becomes the other is not published: RSK-02 to RSK-06 are delever's own; a fourth "
        "level, extremely high, is kept and folds into high where a venue publishes three",
    ),
    _ours(
        2,
        "Scorecard: each input gives 0 to 3 points by fixed limits; the sum says the level that "
        "the rating is at least.",
    ),
    _ours(
        3,
        "Stress estimate: the mark is put elsewhere at once, rung by rung; who falls to "
        "maintenance is closed at the worst price within the pool's slippage; depth absorbs, the "
        "pool pays until a trigger would start, and what depth has left is left for ADL. The "
        "nearest such rung, in daily volatilities, says the level that the rating is at least. "
        "The engine itself never leaves more.",
    ),
    _ours(4, "The rating is the higher of both levels; both are shown, with which one decided."),
    _ours(
        5,
        "More fund or depth never makes a contract riskier; more concentration, volatility, "
        "leverage, profit or utilisation never makes it safer. The curve does not fall away from "
        "the mark.",
    ),
    _ours(
        6,
        "Volatility is realised, over 24 hours: the root of the summed squares of relative changes "
        "of the mark from minute to minute, and at least 1 % in the stress estimate.",
    ),
    Rule(
        "RSK-07",
        "Ratings are refreshed every 30 minutes.",
        API,
        "official",
        "and on demand, by a command in the journal; each says as of which sequence it holds",
    ),
    Rule(
        "RSK-08",
        "Lights are refreshed every 30 seconds.",
        "Binance COIN-M API, Position ADL Quantile Estimation",
        "official",
        "by a command in the journal, whose event holds a digest of what each lane shows",
    ),
)
