"""The rules that apply under every rule set: the engine's own, and those of the risk rating."""

from delever.core.rules.ruleset import Rule

_TEXTS = (
    (
        "A bankruptcy price is rounded in favor of the position's account (up for a long, down for "
        "a short) and is between one tick and the highest price."
    ),
    (
        "The equity of a cross account is shared over its positions by maintenance margin, or by "
        "notional if there is none."
    ),
    (
        "Profit and loss of inventory against its takeover price belong to the pool. If the venue "
        "sets the takeover price, a cross surplus stays in the wallet; the pool pays a cross "
        "deficit when no cross position is left."
    ),
    (
        "Lots are neither lost nor created: tiers are used up in order, the last one by largest "
        "remainder, inventory in the order of CORE-26. A fill's part of cost and margin is rounded "
        "down; the rest stays with the position."
    ),
    (
        "Ties go by account id, then by position id; the order in which rows are submitted does "
        "not matter."
    ),
    (
        "An indicator by quantity is the level that contains a position's last lot, a boundary "
        "belonging to the level in front. Indicators by count do the same with ranks, and rank 1 "
        "always has the highest level."
    ),
    (
        "A counterparty whose equity a fill would make negative is skipped (exactly 0 is allowed), "
        "and so is the liquidated account itself. Skips are reported only if they moved another "
        "counterparty forward."
    ),
    (
        "An exhausted queue is reported once for each quantity and tried again at every step; "
        "positions that are not ranked are counted by reason."
    ),
    (
        "A pool-level price is a whole tick, rounded for the pool, never better than the mark for "
        "counterparties, and never above cost for the pool unless the mark is. The rounding "
        "residual is reported."
    ),
    (
        "Peaks are exact over their window; a value counts from the start to the end of the time "
        "in which it applied, both included."
    ),
    (
        "A start includes its limit; between start and stop the state stays. A contract's own "
        "limits override its pool's, and those the rule set's. The operator is warned when 80 % of "
        "a trigger is used; the warning is cleared below 70 %."
    ),
    ("A withdrawal is no drawdown, and only an injection booked to a contract counts for its PnL."),
    (
        "A contract that is moved to another pool starts again there: its PnL and peaks at their "
        "current values, its triggers off."
    ),
    (
        "A command is applied whole, or rejected whole with a reason, the field and the value; "
        "marks are rejected one by one (CORE-23)."
    ),
    (
        "Exact numbers are text or whole JSON numbers; a number too fine for its unit is rejected, "
        "never rounded."
    ),
    (
        "A managed pool takes over at equity at or below maintenance margin (tiers are marginal), "
        "and unwinds into the best depth within its slippage."
    ),
    (
        "A row with an older version than its account's is ignored alone; a row with the same "
        "version is accepted."
    ),
    (
        "Outstanding fills are applied again on top of snapshots that do not include them, and "
        "dropped when both positions and balances include them; socialized losses, which have "
        "numbers in the sequence of fills, when positions do."
    ),
    "A cancelled fill leaves no trace, and its inventory is tried again while ADL is on.",
    (
        "Submitted positions are absolute: they replace what is known, and in one-way mode close "
        "the other side. An entry cost is rounded to nearest from a price, or given exactly."
    ),
    (
        "A limit of a pool or a contract that no trigger of the pool's rule set reads is rejected, "
        "and so is a contract's move to a pool whose rule set does not read the contract's limits."
    ),
    (
        "A command whose result could leave 64-bit integers is rejected. The balances of an "
        "asset's pools sum to less than 2^63 of its smallest units, an account's equity to less "
        "than 2^62; an asset with fewer `cash_decimals` has a larger range."
    ),
    (
        "A mark that cannot be taken is rejected alone, with a notice: its contract keeps the mark "
        "before, and the other marks of the command are taken. A strict command is rejected whole."
    ),
    (
        "A fill larger than what it closes (an unwinding beyond the inventory, an outstanding ADL "
        "fill on a smaller position) closes what is there, with a notice of both quantities."
    ),
    (
        "Under the option net_exposure of a rule set (bybit+net_exposure), of an account with "
        "cross positions on both sides of a contract only the lots beyond the other side are "
        "ranked and closed; several positions of a side share them by size, rounded down."
    ),
    (
        "The account with the lowest equity / maintenance margin at its takeover is closed out "
        "first, then the largest loss at the mark, then the oldest takeover. No venue publishes "
        "its order: this one is delever's own."
    ),
    (
        "Contracts in ADL take turns by the loss of their inventory, the largest first; triggers "
        "are evaluated again before each round. Inventory in profit is never closed for a loss of "
        "the pool."
    ),
    (
        "Under the sizing `residual` a round closes the fewest lots whose relief (their value at "
        "the ADL price instead of the mark, in the pool's favor) brings the amount that the "
        "trigger watches above its stop: haircuts sum to at most that deficit and the relief of "
        "one lot. Under `least_to_stop`, `whole` and `fund_after` a round closes all that the "
        "trigger names."
    ),
    (
        "Before a takeover that names no side, opposite cross positions of the account in one "
        "contract are netted at the mark, without a fee: the smaller side whole, the larger keeps "
        "its entry price. A managed pool does not take over an account that is then above its "
        "maintenance margin. Bybit, OKX and Bitget document it; elsewhere it is assumed. Isolated "
        "positions are never netted."
    ),
)

_TERMS = {
    40: (
        "The terms of a live contract (tick, lot, margin tiers, limits, exemption) and the rules "
        "of a pool (rule set, limits, slippage, window) are amended at once, by an operator with "
        "a note. Costs, margins, wallets, peaks, versions and outstanding fills keep their value "
        "to the last unit; prices between the ticks of a coarser tick stay what they are, and new "
        "fills are on the new tick. New margin tiers apply to open positions (Binance, Bybit); a "
        "managed pool takes nobody over before the next command."
    ),
    41: (
        "A quantity that is no multiple of a new lot rejects the amendment, naming the first. With "
        "`odd_lots` close_at_mark the odd lots of positions and inventory are closed at the mark "
        "without a fee, 2,135 becomes 2,100 and 99 becomes 0 (BitMEX, 8 June 2021), and depth is "
        "rounded down. What longs and shorts do not match is the venue's, outside the book "
        "(assumed); the pool pays what an emptied isolated or cross account lacks."
    ),
    42: (
        "Under new rules of a pool ADL stops where its trigger is no trigger of theirs, and a "
        "haircut on withdrawals ends. Rated contracts are rated again after an amendment."
    ),
    43: (
        "A contract is trading, close_only, settling or settled. Unless it is trading, a position "
        "that is new or larger than the one known, after outstanding fills, is rejected; smaller "
        "ones, takeovers and ADL go on. With `fund_pays` false the fund takes no part before the "
        "settlement: its inventory is not sold, but closed by ADL at once and whole, at the price "
        "of the rule set's first case."
    ),
    44: (
        "At its settlement price, which is given, all positions and the inventory of a contract "
        "are closed in one step, without a fee; values are rounded down and the pool has the rest, "
        "so that sums are zero. The pool pays what an isolated position lost beyond its margin, "
        "and the negative wallet of an account without other cross positions. What it has not is "
        "shared over the contract's winners by realized PnL, up to that and their equity (dYdX, "
        "Drift, Injective; OKX by a copy of its help of November 2022; Binance assumed), or stays "
        "an open deficit (elsewhere, assumed)."
    ),
}

API = "Binance USDⓈ-M API, ADL Risk"


def _own_rule(number: int, text: str) -> Rule:
    return Rule(f"RSK-{number:02d}", text, "", "official")


RISK = (
    Rule(
        "RSK-01",
        "A contract's ADL risk is low, medium or high, rated from the fund balance, position "
        "concentration, depth, price volatility, average leverage, unrealized PnL and margin "
        "utilization.",
        API,
        "official",
        "how the inputs become a level is not published: RSK-02 to RSK-06 are delever's own; a "
        "fourth level, extremely high, is published as high on scales of three levels",
    ),
    _own_rule(
        2,
        "Scorecard: each input gives 0 to 3 points by fixed limits; their sum gives a level, which "
        "the rating is at least.",
    ),
    _own_rule(
        3,
        "Stress estimate: the mark moves at once, by shocks of increasing size. Accounts that fall "
        "to maintenance margin are closed at the worst price within the pool's slippage; depth "
        "absorbs what it can, the pool pays until a trigger would start, and what depth has not "
        "absorbed is left for ADL. The smallest such shock, in daily volatilities, gives a level, "
        "which the rating is at least. The engine itself never leaves more.",
    ),
    _own_rule(
        4,
        "The rating is the higher of both levels; both are reported, with the method that decided. "
        "A contract in ADL is rated extremely high, which is high on a scale of three.",
    ),
    _own_rule(
        5,
        "More fund balance or depth never raises the rating; more concentration, volatility, "
        "leverage, PnL or utilization never lowers it. The stress curve never decreases away from "
        "the mark.",
    ),
    _own_rule(
        6,
        "Volatility is realized over 24 hours: the root of the sum of squared relative changes of "
        "the mark from minute to minute, and at least 1 % in the stress estimate.",
    ),
    Rule(
        "RSK-07",
        "Ratings are refreshed every 30 minutes.",
        API,
        "official",
        "and on demand, by a command in the journal; each rating has the sequence it is as of. A "
        "rated contract is rated again when ADL starts or stops, and when the trigger used passes "
        "a tenth",
    ),
    Rule(
        "RSK-08",
        "Indicators are refreshed every 30 seconds.",
        "Binance COIN-M API, Position ADL Quantile Estimation",
        "official",
        "by a command in the journal, whose event has a digest of the indicators of each side",
    ),
)

GENERAL: tuple[Rule, ...] = (
    *(Rule(f"CORE-{number:02d}", text, "", "official") for number, text in enumerate(_TEXTS, 1)),
    *(Rule(f"CORE-{number}", text, "", "official") for number, text in _TERMS.items()),
    *RISK,
)
