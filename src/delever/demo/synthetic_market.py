"""A synthetic market in a crash: contracts, positions, path of the marks, and thinning order books.

Notionals, equities and unrealized PnL follow the marginals fitted to the 19,337 accounts that
Hyperliquid deleveraged on 2025-10-10 (two-part normal mixtures of logarithms, joined by a Gaussian
copula); the path second by second follows the same event. Everything else is assumed, as stated at
each constant. All randomness comes from the generator that is passed in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from delever.core.units import Bools, Floats, Ints, format_scaled

NOTIONAL = ((0.223, 5.699, 0.663), (0.777, 6.502, 2.901))
EQUITY = ((0.175, 6.283, 0.482), (0.825, 7.107, 2.805))
PROFIT = ((1.0, math.log(0.01) + 3.855, 0.965),)
"""(weight, mean, deviation) of ln: notional and equity in USD, PnL / notional when closed."""

COPULA = ((1.0, 0.869, -0.185), (0.869, 1.0, 0.176), (-0.185, 0.176, 1.0))
"""Normal-score correlation of notional, equity and PnL: winners deleverage as they win."""

MAX_USD = 330e6
"""The largest notional observed, at which the fitted tail, which has no mean, is cut.

It applies to the largest contract, and is scaled by the size of the others.
"""

POSITIONS = (0.663, 0.178, 0.070, 0.037, 0.020)
"""Share of accounts with 1 to 5 positions."""

ZIPF = 2.1
"""Slope of contract sizes by rank."""

LEVERAGE = (math.log(5.0), math.log(5.0) / 1.645)
LEVERAGE_LIMIT = (25.0, 2.5)
LIMIT_FROM_USD, LIMIT_POWER = 100_000.0, 0.4
"""Assumed: longs open at a lognormal leverage, median 5 and 95 % below 25, within a limit that
falls with size, as risk limits of venues do: from 25 at 100,000 USD to 2.5 at 31 million."""

MIN_MARGIN = 0.03
"""Assumed: smallest equity of any account at the start, as a part of its notional."""

ISOLATED = 0.15
"""Assumed: share of longs with isolated margin."""

MIN_SIZE = 0.01
"""Assumed: smallest size of a contract, relative to the largest."""

CALM_S, FIRST_S, RECOVERY_S = 10, 92, 180
"""Seconds of calm, of an accelerating fall before the first burst, and of recovery.

The event had 61.7 s from the first liquidation to the first ADL; the first is not immediate.
"""

BURSTS, SPAN_S = 100, 652
"""New lows after the first minute, and the seconds that they take, as with ADL in the event."""

FIRST_PART, BOUNCE, RECOVERED_PART, MIN_LIQUIDITY = 0.33, 0.04, 0.6, 0.04
"""Assumed: parts of the fall in the first minute, regained between bursts, and recovered at the
end; part of the calm market's depth that remains at the low."""

LEVELS, SPREAD_PPM = 6, 3_000
"""Assumed: price levels on each side of the order book, this far apart."""

CASH_PER_LOT_TICK = 10_000
"""Prices have five digits and a lot is worth 1 to 9 USD: 10^-4 USD per lot and tick."""

UNIT = 100_000_000
"""Cash in one USD."""


@dataclass(frozen=True, slots=True)
class SyntheticContract:
    """One contract: its start price and the part by which it falls.

    `decade` is the power of ten of its price: a tick is 10^(decade - 4), a lot 10^-decade.
    """

    name: str
    decade: int
    start_ticks: int
    fall: float

    def price(self, ticks: int) -> str:
        """Return a price as text."""
        return format_scaled(ticks, 4 - self.decade)

    def quantity(self, lots: int) -> str:
        """Return a quantity as text."""
        lifted = lots * 10 ** max(-self.decade, 0)
        return format_scaled(lifted, max(self.decade, 0))


@dataclass(frozen=True, slots=True)
class SyntheticPositions:
    """Positions as columns, and the wallet of every account; shorts have negative lots.

    `margin_cash` is -1 for cross positions. Wallets do not include isolated margins. The last
    account is the market maker, whose positions balance longs and shorts.
    """

    account: Ints
    contract: Ints
    lots: Ints
    entry_ticks: Ints
    margin_cash: Ints
    wallet_cash: Ints


def draw_contracts(generator: np.random.Generator, count: int) -> tuple[SyntheticContract, ...]:
    """Draw contracts, the largest first; smaller ones fall further (18 % to 62 %, assumed)."""
    found = []
    for rank in range(count):
        decade = int(generator.integers(-2, 4)) if rank else 4
        fall = 0.18 + 0.44 * min(rank / 8, 1.0) * generator.uniform(0.75, 1.0)
        ticks = int(generator.integers(15_000, 90_000))
        found.append(SyntheticContract(f"C{rank + 1:02}USDT", decade, ticks, float(fall)))
    return tuple(found)


def quantile(mixture: Sequence[tuple[float, float, float]], normal: Floats) -> Floats:
    """Return exp of the mixture's quantile at each normal score, interpolated on a fine grid."""
    low = min(mean - 6 * deviation for _, mean, deviation in mixture)
    high = max(mean + 6 * deviation for _, mean, deviation in mixture)
    grid = np.linspace(low, high, 4001)
    below = [sum(w * NormalDist(m, d).cdf(x) for w, m, d in mixture) for x in grid.tolist()]
    scores = np.linspace(-6, 6, 2401)
    chance = np.interp(normal, scores, [NormalDist().cdf(score) for score in scores.tolist()])
    return np.exp(np.interp(chance, below, grid))


def draw_positions(
    generator: np.random.Generator, contracts: Sequence[SyntheticContract], accounts: int
) -> SyntheticPositions:
    """Draw the positions before the crash.

    Half of the accounts are short, with the fitted notional, equity and PnL at the price after the
    first minute. The other half are long, entered near the start price at a drawn leverage.
    """
    count = 1 + generator.choice(5, accounts, p=np.array(POSITIONS) / sum(POSITIONS))
    count = np.minimum(count, len(contracts))
    account = np.repeat(np.arange(accounts), count)
    contract = _contracts(generator, count, len(contracts))
    short = (generator.random(accounts) < 0.5)[account]
    start = np.array([listed.start_ticks for listed in contracts])[contract]
    fall = np.array([listed.fall for listed in contracts])[contract]
    reached = np.where(short, start * (1 - fall) ** FIRST_PART, start)

    scores = generator.multivariate_normal(np.zeros(3), np.array(COPULA), accounts)
    usd = np.minimum((quantile(NOTIONAL, scores[:, 0]) / count)[account], MAX_USD * _size(contract))
    pnl_ratio = quantile(PROFIT, scores[:, 2])[account]
    near = 1 + generator.normal(0, 0.004, len(account))
    entry = np.rint(np.where(short, reached * (1 + pnl_ratio), start * near)).astype(np.int64)
    lots = np.rint(usd * UNIT / (CASH_PER_LOT_TICK * reached)).astype(np.int64)
    lots = np.maximum(lots, 1) * np.where(short, -1, 1)

    limit = np.clip(
        LEVERAGE_LIMIT[0] * (LIMIT_FROM_USD / usd) ** LIMIT_POWER, *LEVERAGE_LIMIT[::-1]
    )
    leverage = np.minimum(np.exp(generator.normal(*LEVERAGE, len(account))), limit)
    margin = (abs(lots) * entry * CASH_PER_LOT_TICK / leverage).astype(np.int64)
    isolated = (generator.random(len(account)) < ISOLATED) & ~short
    own = (quantile(EQUITY, scores[:, 1]) * UNIT).astype(np.int64)
    wallet = np.zeros(accounts, np.int64)
    wallet[account[short]] = own[account[short]]
    pnl_cash = lots * (np.rint(reached).astype(np.int64) - entry) * CASH_PER_LOT_TICK
    np.add.at(wallet, account, np.where(short, -pnl_cash, np.where(isolated, 0, margin)))
    wallet = _floored(wallet, account, lots, start, entry, isolated)
    margin[~isolated] = -1
    return _balanced(SyntheticPositions(account, contract, lots, entry, margin, wallet), contracts)


def _size(contract: Ints) -> Floats:
    """Return the size of contracts by their index, relative to the largest."""
    size: Floats = np.maximum((contract + 1.0) ** -ZIPF, MIN_SIZE)
    return size


def _contracts(generator: np.random.Generator, count: Ints, contracts: int) -> Ints:
    """Draw the contracts of each account without repetition, weighted by size (Gumbel top-k)."""
    drawn = np.log(_size(np.arange(contracts))) + generator.gumbel(size=(len(count), contracts))
    best = np.argsort(-drawn, axis=1, kind="stable")
    first: Ints = best[np.arange(contracts) < count[:, None]]
    return first


def _floored(
    wallet: Ints, account: Ints, lots: Ints, start: Ints, entry: Ints, isolated: Bools
) -> Ints:
    """Return wallets, at least 0, that give every account its minimum margin at the start.

    PnL is drawn by position and may exceed an account's equity: then its cash is 0.
    """
    wallet = np.maximum(wallet, 0)
    cross = ~isolated
    pnl, notional = np.zeros_like(wallet), np.zeros_like(wallet)
    np.add.at(pnl, account[cross], (lots * (start - entry) * CASH_PER_LOT_TICK)[cross])
    np.add.at(notional, account[cross], (abs(lots) * start * CASH_PER_LOT_TICK)[cross])
    floored: Ints = np.maximum(wallet, (notional * MIN_MARGIN).astype(np.int64) - pnl)
    return floored


def _balanced(
    drawn: SyntheticPositions, contracts: Sequence[SyntheticContract]
) -> SyntheticPositions:
    """Return the positions with those of the market maker."""
    net = np.zeros(len(contracts), np.int64)
    np.add.at(net, drawn.contract, drawn.lots)
    open_ = np.flatnonzero(net)
    start = np.array([listed.start_ticks for listed in contracts])[open_]
    notional = int((abs(net[open_]) * start * CASH_PER_LOT_TICK).sum())
    return SyntheticPositions(
        account=np.append(drawn.account, np.full(len(open_), len(drawn.wallet_cash))),
        contract=np.append(drawn.contract, open_),
        lots=np.append(drawn.lots, -net[open_]),
        entry_ticks=np.append(drawn.entry_ticks, start),
        margin_cash=np.append(drawn.margin_cash, np.full(len(open_), -1)),
        wallet_cash=np.append(drawn.wallet_cash, 3 * notional + UNIT),
    )


@dataclass(frozen=True, slots=True)
class CrashPath:
    """The crash second by second: marks in Ticks and liquidity from 0 to 1.

    `marks` has a row per second and a column per contract. Marks rise from `recovery_second` on.
    """

    marks: Ints
    liquidity: Floats
    bursts: Ints
    recovery_second: int

    @property
    def seconds(self) -> int:
        """The number of seconds."""
        return len(self.marks)


def draw_path(generator: np.random.Generator, contracts: Sequence[SyntheticContract]) -> CrashPath:
    """Draw a calm, a first minute of falling, bursts of new lows, and a recovery.

    Gaps between bursts have a median of about 3 s and a maximum of about 52 s; their sizes are so
    skewed that the five largest make most of the fall, as in the event.
    """
    gaps = np.minimum(np.exp(generator.normal(math.log(3), 1.24, BURSTS - 1)), 52)
    gaps = np.maximum(np.rint(gaps * SPAN_S / gaps.sum()), 1)
    begins = CALM_S + FIRST_S
    bursts = begins + np.append(0, np.cumsum(gaps)).astype(np.int64)
    recovery_second = int(bursts[-1]) + 12
    sizes = np.exp(generator.normal(0, 1.9, BURSTS))
    low = np.zeros(recovery_second + RECOVERY_S)
    low[bursts] = (1 - FIRST_PART) * sizes / sizes.sum()
    low = np.cumsum(low)
    low += FIRST_PART * np.clip((np.arange(len(low)) - CALM_S) / FIRST_S, 0, 1) ** 2
    since = np.arange(len(low)) - np.maximum.accumulate(_at(bursts, len(low)))
    bounce = np.where(np.arange(len(low)) > begins, BOUNCE * (1 - np.exp(-since / 8)), 0)
    back = np.clip((np.arange(len(low)) - recovery_second) / RECOVERY_S, 0, 1) * RECOVERED_PART
    depth = (low - bounce) * (1 - back)
    noise = np.cumsum(generator.normal(0, 0.0004, (len(low), len(contracts))), axis=0)
    ln_fall = np.log(1 - np.array([listed.fall for listed in contracts]))
    start = np.array([listed.start_ticks for listed in contracts])
    marks = np.maximum(np.rint(start * np.exp(depth[:, None] * ln_fall + noise)), 1)
    liquidity = np.clip(1 - depth / FIRST_PART, MIN_LIQUIDITY, 1) + back
    return CrashPath(marks.astype(np.int64), np.minimum(liquidity, 1), bursts, recovery_second)


def _at(places: Ints, size: int) -> Ints:
    """Return a column with each place at its own index and 0 elsewhere."""
    column = np.zeros(size, np.int64)
    column[places] = places
    return column


def draw_depth(
    mark_ticks: int, usd: float, generator: np.random.Generator
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Draw bids and asks as (ticks, lots) around a mark, worth about `usd` on each side."""
    book: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    sizes = generator.dirichlet(np.ones(LEVELS), 2) * usd * UNIT
    for sign, side, worth in zip((-1, 1), book, sizes.tolist(), strict=True):
        for place, cash in enumerate(worth, start=1):
            ticks = mark_ticks + sign * max(place, mark_ticks * place * SPREAD_PPM // 1_000_000)
            lots = int(cash / (max(ticks, 1) * CASH_PER_LOT_TICK))
            if lots > 0 and ticks > 0:
                side.append((ticks, lots))
    return book
