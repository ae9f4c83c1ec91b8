"""What holds under every venue's rules; each is numbered by its place."""

from delever.core.rules.risk import RISK
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
        "cross shortfall once no position is left to carry it."
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
        "Lights by quantity show the level in which a position's last lot stands, a boundary "
        "belonging to the level in front; lights by count do the same with places, and the "
        "first in line always shows all."
    ),
    (
        "A candidate whom the fill would leave below 0 is passed over (exactly 0 is enough), "
        "and so is the liquidated account itself. Only skips that moved somebody up are told."
    ),
    (
        "An exhausted queue is told once a quantity and tried again at every step; positions "
        "that do not stand in line are counted by reason."
    ),
    (
        "A pool-level price is a whole tick, rounded for the pool, never better than the mark "
        "for candidates, and never above cost for the pool unless the mark is. What rounding "
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
    ("A command is applied whole, or refused whole with a reason, the field and the value."),
    (
        "Exact numbers are text or whole JSON numbers; what their unit cannot hold is "
        "refused, never rounded."
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
        "forgotten once positions and balances both do; socialised losses, which count on in the "
        "numbers of fills, once positions do."
    ),
    ("A cancelled fill leaves no trace, and its inventory is tried again while ADL is on."),
    (
        "Positions told are absolute: they replace what is known, and in one-way mode close "
        "the other side. An entry cost is rounded to nearest from a price, or given exactly."
    ),
)

GENERAL: tuple[Rule, ...] = (
    *(Rule(f"CORE-{number:02d}", says, "", "official") for number, says in enumerate(_SAYS, 1)),
    *RISK,
)
