"""The twelve instances of ADL-Bench, frozen: each is built from whole numbers and has a digest.

Positions are whole numbers, drawn or computed without logarithm or exponential, so that machines
agree on every byte. A version of NumPy that draws others is rejected by the digest.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from delever.core.units import Floats, Ints
from delever.lab.errors import InputError, unknown
from delever.lab.studies.bench.inputs import LOTS_PER_UNIT, TICKS_PER_UNIT, BenchInstance

Position = tuple[int, int, float, float]
"""Account, contract, quantity (negative: short), entry price."""

LADDER = np.arange(1, 49).reshape(-1, 1) / 32
"""Moves of one contract against its shorts, equally likely: 3 % to 150 %."""

CASH = 10**8


def _of_rows(
    name: str,
    about: str,
    positions: Sequence[Position],
    balances: Sequence[float],
    marks: Sequence[float],
    wanted: Sequence[float],
    *,
    prices: Sequence[float] | None = None,
    moves: Floats = LADDER,
    chances: Floats | None = None,
    is_split: bool = False,
) -> BenchInstance:
    """Return an instance of a few rows, in units and prices."""
    account, contract, quantity, entry = (
        np.array(column) for column in zip(*positions, strict=True)
    )
    lots = _whole(quantity, LOTS_PER_UNIT)
    ticks = tuple(_whole(np.array(marks), TICKS_PER_UNIT).tolist())
    price_ticks = _whole(np.array(marks if prices is None else prices), TICKS_PER_UNIT)
    return BenchInstance(
        name=name,
        about=about,
        contracts=tuple(["BTC", "ETH", "SOL", "XRP", "LTC"][: len(marks)]),
        mark_ticks=ticks,
        price_ticks=tuple(price_ticks.tolist()),
        wanted_lots=tuple(_whole(np.array(wanted), LOTS_PER_UNIT).tolist()),
        account=account,
        contract=contract,
        lots=lots,
        entry_ticks=_whole(entry, TICKS_PER_UNIT),
        balance_cash=_whole(np.array(balances), CASH),
        moves=moves,
        chances=np.full(len(moves), 1 / len(moves)) if chances is None else chances,
        is_split=is_split,
    )


def _whole(numbers: Floats, unit: int) -> Ints:
    return np.rint(numbers * unit).astype(np.int64)


def five_accounts() -> BenchInstance:
    """Return P1's example: the winners of five accounts."""
    positions = [(0, 0, -8, 3), (1, 0, -4, 3), (2, 0, -0.5, 3), (3, 0, 3, 3), (4, 0, 12, 3)]
    return _of_rows(
        "five_accounts",
        "P1's example: three winners with PnL 8, 4 and 0.5, two bankrupt accounts; 7.5 to be paid",
        positions,
        [2, 1, 0.5, 0, 0],
        [2],
        [7.5],
        prices=[3],
    )


def gauss_hermite_moves() -> tuple[Floats, Floats]:
    """Return 20 x 20 moves of BTC and ETH over ten days, and their chances (T8)."""
    volatility, years, correlation = np.array([0.6, 0.75]), 10 / 365, 0.85
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    chances = np.outer(weights, weights).ravel()
    first, second = (grid.ravel() for grid in np.meshgrid(nodes, nodes, indexing="ij"))
    normal = np.c_[first, correlation * first + np.sqrt(1 - correlation**2) * second]
    moves = np.exp(-(volatility**2) * years / 2 + volatility * np.sqrt(years) * normal) - 1
    return moves, chances / chances.sum()


def four_accounts() -> BenchInstance:
    """Return P3's example under geometric Brownian motion, on 20 x 20 Gauss-Hermite nodes."""
    held = [(8, 323), (10, -38.7), (8, 326.2), (7, -190)]
    entries = [(72000, 2100), (73544, 2100), (80000, 1904), (80143, 2000)]
    positions = [
        (account, k, -quantity[k], entry[k])
        for account, (quantity, entry) in enumerate(zip(held, entries, strict=True))
        for k in (0, 1)
    ]
    moves, chances = gauss_hermite_moves()
    return _of_rows(
        "four_accounts",
        "The example of P3's code (T8): BTC and ETH, 10 BTC of shorts, geometric Brownian motion",
        positions,
        [137500, 85300, 75400, 43900],
        [67000, 1900],
        [10, 0],
        moves=np.rint(moves * 1e9) / 1e9,
        chances=chances,
    )


def largest_survivor() -> BenchInstance:
    """Return the counterexample to claim F1."""
    return _of_rows(
        "largest_survivor",
        "F1: PnL 10 and 9, 10 to be paid; a queue leaves 9, pro rata 4.74",
        [(0, 0, -10, 3), (1, 0, -9, 3)],
        [5, 9],
        [2],
        [10],
        prices=[3],
    )


def next_deficit() -> BenchInstance:
    """Return the counterexample to claim F2."""
    return _of_rows(
        "next_deficit",
        "F2: leverage 2 and 1, equity 10 and 100, PnL 10 and 1; who is at risk has the larger PnL",
        [(0, 0, -10, 3), (1, 0, -50, 2.02)],
        [0, 99],
        [2],
        [1.1],
        prices=[3],
    )


def unequal_caps() -> BenchInstance:
    """Return the counterexample to claim F3."""
    return _of_rows(
        "unequal_caps",
        "F3: PnL 10 and 9 with equity 19 and 9.9; caps by least equity reverse the survivors",
        [(0, 0, -10, 3), (1, 0, -9, 3)],
        [9, 0.9],
        [2],
        [5],
        prices=[3],
    )


def account_splitting() -> BenchInstance:
    """Return the counterexample to claim F4."""
    return _of_rows(
        "account_splitting",
        "F4: PnL 100, 50, 50, 40 to be paid; the first account is also split in two",
        [(0, 0, -100, 3), (1, 0, -50, 3), (2, 0, -50, 3)],
        [10, 50, 50],
        [2],
        [40],
        prices=[3],
        is_split=True,
    )


def _fat_tailed(rng: np.random.Generator, scenarios: int, contracts: int) -> Floats:
    """Return moves of a common factor and of each contract's own: cubes of whole numbers."""
    own = rng.integers(-512, 513, (scenarios, contracts + 1)).astype(float) / 512
    cubes = own * own * own
    beta = 1 + np.arange(contracts) / 8
    return np.maximum(cubes[:, :1] * beta * 0.5 + cubes[:, 1:] * 0.125, -0.875)


def _of_columns(
    name: str,
    about: str,
    account: Ints,
    contract: Ints,
    notional: Ints,
    equity: Ints,
    rng: np.random.Generator,
    *,
    wanted_part: int = 5,
    markup_percent: int = 0,
    moves: Floats = LADDER[:16],
    rounds: int = 1,
) -> BenchInstance:
    """Return an instance of columns: signed notional of positions, equity of accounts, in money.

    Marks are 100; shorts entered 1 % to 60 % above the mark, longs below it; a part of the shorts
    of each contract is to be closed.
    """
    count = int(contract.max()) + 1
    lots = notional * (LOTS_PER_UNIT // 100)
    away = rng.integers(1, 61, len(notional))
    shorts = [int(-lots[(contract == k) & (lots < 0)].sum()) for k in range(count)]
    instance = BenchInstance(
        name=name,
        about=about,
        contracts=tuple(["BTC", "ETH", "SOL", "XRP", "LTC"][:count]),
        mark_ticks=(100 * TICKS_PER_UNIT,) * count,
        price_ticks=((100 + markup_percent) * TICKS_PER_UNIT,) * count,
        wanted_lots=tuple(short // wanted_part for short in shorts),
        account=account,
        contract=contract,
        lots=lots,
        entry_ticks=(100 - np.sign(lots) * away) * TICKS_PER_UNIT,
        balance_cash=np.zeros(len(equity), np.int64),
        moves=moves,
        chances=np.full(len(moves), 1 / len(moves)),
        rounds=rounds,
    )
    balance = equity * CASH
    np.subtract.at(balance, account, instance.unrealized_cash())
    instance.balance_cash[:] = balance
    return instance


def _leverage_percent(rng: np.random.Generator, count: int, levered_in: int) -> Ints:
    """Return leverages: one in `levered_in` accounts has 4 to 9, the others 0.2 to 1.9."""
    calm, levered = rng.integers(20, 191, count), rng.integers(400, 901, count)
    return np.where(rng.integers(0, levered_in, count) == 0, levered, calm)


def hedged_pairs() -> BenchInstance:
    """Return shorts of which half are hedged in another contract."""
    rng = np.random.default_rng(7)
    count = 200
    size = rng.integers(1_000, 100_000, count)
    hedge = np.where(np.arange(count) % 2 == 0, 1, -1) * size  # the even accounts are long ETH
    equity = 2 * size * 100 // _leverage_percent(rng, count, 2) + 1
    return _of_columns(
        "hedged_pairs",
        "200 accounts short BTC; half of them hedge it with ETH, half have twice the risk",
        np.r_[np.arange(count), np.arange(count)],
        np.r_[np.zeros(count, np.int64), np.ones(count, np.int64)],
        np.r_[-size, hedge],
        equity,
        rng,
        wanted_part=4,
        moves=_fat_tailed(rng, 64, 2),
    ).with_wanted((int(size.sum()) // 4 * (LOTS_PER_UNIT // 100), 0))


def _zipf(name: str, count: int, levered_in: int) -> BenchInstance:
    rng = np.random.default_rng(count)
    size = rng.permutation(50_000_000 // np.arange(1, count + 1))
    equity = size * 100 // _leverage_percent(rng, count, levered_in) + 1
    about = f"{count:,} shorts with sizes of Zipf's law; one in {levered_in} is levered"
    zeros = np.zeros(count, np.int64)
    return _of_columns(name, about, np.arange(count), zeros, -size, equity, rng)


def zipf_1000() -> BenchInstance:
    """Return a thousand sizes of Zipf's law."""
    return _zipf("zipf_1000", 1_000, 5)


def zipf_100000() -> BenchInstance:
    """Return a hundred thousand sizes of Zipf's law."""
    return _zipf("zipf_100000", 100_000, 50)


def _fifty(name: str, about: str, *, markup_percent: int = 0, rounds: int = 1) -> BenchInstance:
    rng = np.random.default_rng(50)
    size = rng.integers(100, 100_000, 50)
    equity = size * 100 // _leverage_percent(rng, 50, 2) + 1
    return _of_columns(
        name,
        about,
        np.arange(50),
        np.zeros(50, np.int64),
        -size,
        equity,
        rng,
        markup_percent=markup_percent,
        rounds=rounds,
        wanted_part=3,
    )


def two_rounds() -> BenchInstance:
    """Return a quantity that comes at once or in two rounds."""
    return _fifty("two_rounds", "50 shorts; the quantity at once, and in two rounds", rounds=2)


def away_from_mark() -> BenchInstance:
    """Return shorts that are closed above the mark."""
    return _fifty("away_from_mark", "50 shorts, closed 5 % above the mark", markup_percent=5)


def several_assets() -> BenchInstance:
    """Return a reduction of five contracts at once."""
    rng = np.random.default_rng(11)
    count = 500
    size = rng.integers(100, 100_000, (count, 5)) * np.where(rng.integers(0, 4, (count, 5)), -1, 1)
    equity = np.abs(size).sum(axis=1) * 100 // _leverage_percent(rng, count, 3) + 1
    return _of_columns(
        "several_assets",
        "500 accounts in five contracts that fall together; a quarter of each one's shorts",
        np.repeat(np.arange(count), 5),
        np.tile(np.arange(5), count),
        size.ravel(),
        equity,
        rng,
        wanted_part=4,
        moves=_fat_tailed(rng, 100, 5),
    )


BUILDERS: dict[str, Callable[[], BenchInstance]] = {
    builder.__name__: builder
    for builder in (
        five_accounts,
        four_accounts,
        largest_survivor,
        next_deficit,
        unequal_caps,
        account_splitting,
        hedged_pairs,
        zipf_1000,
        zipf_100000,
        two_rounds,
        away_from_mark,
        several_assets,
    )
}

DIGESTS = {
    "five_accounts": "6441320aa04328cc972a232ee71fc1e0",
    "four_accounts": "496ee61e00f434d59345431bcdc48335",
    "largest_survivor": "4a98012e65e800294b16710cedb83f13",
    "next_deficit": "05048e12db3bdec2cea2a071622facd0",
    "unequal_caps": "6b0f53d57df3cdc37d7da72db84995f4",
    "account_splitting": "bdc568299d2c15d273f1085fbb69b537",
    "hedged_pairs": "6515ca183e84a746caa7e1e1b50ee445",
    "zipf_1000": "a35b3640e4312c88823feb4c1aecd2fa",
    "zipf_100000": "f32791f177d1f3062f6b6324a20bf008",
    "two_rounds": "594ef9c4bbde191e85eccb8f969fd425",
    "away_from_mark": "fb6ba60c578f9883f6f10636bd70dca2",
    "several_assets": "1b9d34d50c4ca47cf35af2a7c0eb501e",
}
"""The digest that each instance must have."""


@cache
def instance_named(name: str) -> BenchInstance:
    """Return a frozen instance; raises UnknownNameError, and InputError for another digest.

    >>> instance_named("five_accounts").lots.tolist()
    [-80000, -40000, -5000, 30000, 120000]
    """
    if name not in BUILDERS:
        raise unknown("instance", name, BUILDERS)
    instance = BUILDERS[name]()
    if instance.digest() != DIGESTS[name]:
        raise InputError(
            "is not the frozen instance: this version of NumPy builds other numbers",
            column=name,
            value=instance.digest(),
        )
    return instance
