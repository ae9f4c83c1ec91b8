"""What holds under every venue's rules; each is numbered by its place."""

from delever.core.rules.ruleset import Rule

_SAYS = (
    (
        "A bankruptcy price is rounded in the holder's favour (a long's up, a short's down) "
        "and held between one tick and the highest price."
    ),
    (
        "A cross account's equity is shared over its positions by maintenance margin, or by "
        "notional where there is none."
    ),
    (
        "What inventory earns or loses against its takeover price flows into or out of the "
        "pool. At a given takeover price a cross surplus stays in the wallet; the pool pays a "
        "cross deficit once no position is left to carry it."
    ),
    (
        "Lots are neither lost nor created: tiers are used up in order, the last by largest "
        "remainder, oldest inventory first. A fill's part of cost and margin is floored and "
        "the rest stays."
    ),
    (
        "Ties go by account name, then by position number; in which order rows were told does "
        "not matter."
    ),
    (
        "Indicators by quantity show the level in which a position's last lot stands, a boundary "
        "belonging to the level in front; indicators by count do the same with places, and the "
        "first in line always shows all."
    ),
    (
        "A counterparty whom the fill would leave below 0 is passed over (exactly 0 is enough), "
        "and so is the liquidated account itself. Only skips that moved somebody up are told."
    ),
    (
        "An exhausted queue is told once a quantity and tried again at every step; positions "
        "that do not stand in line are counted by reason."
    ),
    (
        "A pool-level price is a whole tick, rounded for the pool, never better than the mark "
        "for counterparties, and never above cost for the pool unless the mark is. What rounding "
        "leaves is shown."
    ),
    (
        "Peaks are exact over their window; a value counts through both ends of the time that "
        "it held."
    ),
    (
        "A start includes its limit; between start and stop the state stays. A contract's own "
        "limits come before its pool's, those before the rule set's. A warning is given at 80 "
        "% of the way and withdrawn below 70 %."
    ),
    (
        "A withdrawal is no drawdown, and only an injection booked to a contract counts for "
        "its profit."
    ),
    (
        "A contract that is moved starts again with profit and peaks as they then stand, its "
        "triggers off."
    ),
    ("A command is applied whole, or rejected whole with a reason, the field and the value."),
    (
        "Exact numbers are text or whole JSON numbers; what their unit cannot hold is "
        "rejected, never rounded."
    ),
    (
        "A managed pool takes over at equity at or below maintenance margin (tiers are "
        "marginal), and unwinds into the best depth within its slippage."
    ),
    (
        "A row older than what is known of its account is ignored alone; a row of the same "
        "version is taken."
    ),
    (
        "Outstanding fills are applied again on top of numbers that do not include them, and "
        "forgotten once positions and balances both do; socialized losses, which count on in the "
        "numbers of fills, once positions do."
    ),
    ("A cancelled fill leaves no trace, and its inventory is tried again while ADL is on."),
    (
        "Positions told are absolute: they replace what is known, and in one-way mode close "
        "the other side. An entry cost is rounded to nearest from a price, or given exactly."
    ),
)

API = "Binance USDⓈ-M API, ADL Risk"


def _ours(number: int, says: str) -> Rule:
    return Rule(f"RSK-{number:02d}", says, "", "official")


RISK = (
    Rule(
        "RSK-01",
        "A contract's ADL risk is low, medium or high, rated from the pool's balance, position "
        "concentration, depth, price volatility, average leverage, unrealized profit and margin "
        "utilization.",
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
        "leverage, profit or utilization never makes it safer. The curve does not fall away from "
        "the mark.",
    ),
    _ours(
        6,
        "Volatility is realized, over 24 hours: the root of the summed squares of relative changes "
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
        "Indicators are refreshed every 30 seconds.",
        "Binance COIN-M API, Position ADL Quantile Estimation",
        "official",
        "by a command in the journal, whose event holds a digest of what each table shows",
    ),
)

GENERAL: tuple[Rule, ...] = (
    *(Rule(f"CORE-{number:02d}", says, "", "official") for number, says in enumerate(_SAYS, 1)),
    *RISK,
)
