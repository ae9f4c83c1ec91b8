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
        "Lots are neither lost nor created: a queue is filled in order, shares are rounded by "
        "largest remainder, ties by rank; inventory is closed in the order of CORE-26. A fill's "
        "part of cost and margin is rounded down; the rest stays with the position."
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
        "A counterparty whose equity would be negative after what the policy takes from it is "
        "skipped (exactly 0 is allowed), and the policy divides the quantity again without it; so "
        "is the liquidated account itself. Skips are reported only if they moved another "
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
        "marks and rows are rejected one by one (CORE-23, CORE-37)."
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
    (
        "A managed pool sells in the market only what it can pay for: the last lot sold is the "
        "last that leaves its balance at 0 or above, a gain is always taken, and a takeover whose "
        "loss it cannot pay is passed over. The rest stays open for ADL. Pools without a queue and "
        "pools that are the counterparty of all positions (GMX) sell everything; other pools sell "
        "what the venue reports."
    ),
    (
        "What a pool's balance is below 0 is unfunded: a loss that neither fund nor queue has "
        "paid. A round reports by how much it has added to that; it does so only where the ADL "
        "price is worse for the pool than the takeover price. Money of a pool whose contracts have "
        "no position and no inventory is unallocated: an alarm when ADL starts in another pool of "
        "its asset."
    ),
    (
        "A pool that has taken over both sides of a contract closes them against each other at the "
        "mark, both in the order of takeover, as far as it can pay for it; what it cannot stays "
        "open for ADL. It happens in every step, before unwinding. No venue documents it; a pool "
        "that is the counterparty of all positions (GMX) nets nothing."
    ),
    (
        "While a mark is beyond its contract's `mark_limits` (it moved too far from the mark "
        "before it, or is too old), the engine takes nothing over in the contract, nets and "
        "unwinds nothing there, and neither starts, stops nor runs ADL; cross accounts with a "
        "position in it wait, and its inventory counts at the last confirmed mark. A later mark "
        "confirms it by a move within the limit, from the mark before it or from the last "
        "confirmed one; so does an operator. The alarm is a notice."
    ),
    (
        "A compensation for a wrong ADL fill goes from the contract's pool to the account's "
        "wallet, at most what the pool has. Position and inventory stay, and it is no drawdown of "
        "the pool. It has a number in the sequence of fills: balances that do not include it are "
        "corrected."
    ),
)

_SNAPSHOTS = {
    35: (
        "A mark may be finer than the contract's tick: up to ten decimals, or as many as the tick. "
        "The value of a position, or of inventory, at such a mark is computed exactly and rounded "
        "down once, so that unrealized PnL is rounded against the account on both sides. Trades, "
        "takeovers and ADL fills are on the tick grid."
    ),
    36: (
        "An ADL price that is a mark, the previous mark, or a mark less a spread is rounded to the "
        "tick in the counterparties' favor: down for long inventory, up for short. ADL at a mark "
        "has no haircut; the fund pays less than one tick on the lots closed."
    ),
    37: (
        "A row of a snapshot of positions or balances that cannot be taken is rejected alone, with "
        "its reason and a notice of its contract; the last accepted row stays, and the other rows "
        "are taken. Of rows that do not fit the numeric range together the largest are rejected. A "
        "strict command is rejected whole. A row older than its account's snapshot is ignored."
    ),
    38: (
        "A position whose newest row was rejected is stale until a row of it is taken (in one-way "
        "mode a row of either side); with a rejected balance all cross positions of the account in "
        "that asset are stale. A stale position is not ranked. Nothing is taken over from a margin "
        "bucket with a stale row in it."
    ),
    39: (
        "Where the venue's own risk engine submits an account's equity and maintenance margin in "
        "an asset, these replace the engine's sums over balance and cross positions: in scores, "
        "indicators, takeover prices and the decision to take over. They do not move with marks, "
        "balances and positions, which the venue's engine has in it; ADL fills, takeovers and "
        "netting change the equity by what the account gains or loses against the mark, and the "
        "maintenance margin ends with the last position. Bankruptcy prices share the equity by the "
        "maintenance margins of the contracts' own tiers. It ends with the next one, or with null."
    ),
}
_CAPS = {
    50: (
        "Where a rule set caps the fund's losses, a day begins at 00:00 UTC; its loss is the fall "
        "of the contract's PnL or of the pool's equity since then, and money that an operator "
        "moves is neither gain nor loss. The cap itself may be lost: ADL starts beyond it, and "
        "under `residual` closes the fewest lots that bring the loss back to it. A managed pool "
        "must set the caps for which its rule set has no number."
    ),
    51: (
        "Under the option both_legs of a rule set (bybit+both_legs), a hedge is ranked whole, and "
        "when a round closes or passes it, its cross legs are closed against each other at the "
        "mark, the smaller one whole and without a fee; then the queue is ranked again. Only the "
        "lots beyond the other side are closed against inventory."
    ),
    52: (
        "Under the option cap_per_account of a rule set (bybit+cap_per_account, or with a number, "
        "bybit+cap_per_account=0.25), a round closes at most that part of each position, one half "
        "without a number, rounded up to whole lots, and a side of a contract has one round a "
        "step. What the caps leave open waits for the next step."
    ),
    53: (
        "Accounts with the same owner are subaccounts. Where the rule set says so (Deribit), a "
        "round first closes the inventory of an account against its owner's other accounts, in the "
        "order of the queue and at the takeover price, so that the fund neither gains nor loses; "
        "whom such a fill would bankrupt is left out."
    ),
}


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

_SAFETY = {
    55: "A command whose step raises an error is rejected alone, and the book is as before it; the "
    "record of the rejection is replayed as stated.",
    56: "A command whose time is further after the venue's time than the journal's limit is "
    "rejected, so that one wrong clock cannot move the venue's time; an operator can confirm it.",
}

SHAPE_OF_COLLATERAL = "Binance Multi-Assets Mode, Bybit UTA, OKX multi-currency margin, and others"

COLLATERAL = (
    Rule(
        "CORE-45",
        "A positive balance of collateral counts at the bid (index price less a buffer) and at the "
        "rate of each tier, up to a cap; a negative one at the ask, without tiers. Equity in an "
        "asset is balance plus unrealized PnL of what settles in it. Values are exact and floored "
        "once, to the smallest unit of the margin currency.",
        SHAPE_OF_COLLATERAL,
        "official",
    ),
    Rule(
        "CORE-46",
        "All cross positions of an account in multi-asset mode that settle in collateral have one "
        "margin bucket. Takeover and margin ratio read its equity after the rates of tiers; score, "
        "leverage and indicator read it without them. A settle asset that is no collateral keeps "
        "a margin of its own.",
        SHAPE_OF_COLLATERAL,
        "official",
        "no venue says which equity its score reads: a rate protects the venue's lending and says "
        "nothing about a position's risk, so equal wealth has an equal place in the queue",
    ),
    Rule(
        "CORE-47",
        "The bankruptcy price of a position of a multi-asset account is where its share of the "
        "equity without rates is lost, apportioned by maintenance margin at index prices. Other "
        "assets than the one it settles in count at what their conversion brings.",
        "",
        "not documented",
        "published by no venue",
    ),
    Rule(
        "CORE-48",
        "When the last cross position of a multi-asset account is taken over, its assets are "
        "converted for its debts, pro rata to what each brings: the bid less a conversion "
        "haircut. Conversion losses are thus the account's before they are the fund's, which pays "
        "what is still lacking. The fund holds the collateral at cost until the venue reports its "
        "sale, and its equity includes the difference to what it would bring.",
        "Binance multi-asset mode: a debt of 5,000 at 0.975 takes 5,128.20 of BTC, several assets "
        "pro rata",
        "official",
        "that the fund takes the collateral over at that price, and sells it later",
    ),
    Rule(
        "CORE-49",
        "A book has one margin currency; its own index price is 1. New terms and index prices of "
        "collateral apply at once, and can cause takeovers. A bad index price is rejected alone. "
        "Equity over several assets is less than 2^61 of the margin currency's smallest units.",
        "",
        "not documented",
        "one book is one margin domain",
    ),
)
"""Margin in several assets."""

GENERAL: tuple[Rule, ...] = (
    *(Rule(f"CORE-{number:02d}", text, "", "official") for number, text in enumerate(_TEXTS, 1)),
    *(
        Rule(f"CORE-{number}", text, "", "official")
        for texts in (_SNAPSHOTS, _TERMS, _CAPS, _SAFETY)
        for number, text in texts.items()
    ),
    *COLLATERAL,
    *RISK,
)
