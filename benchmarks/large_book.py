"""A large venue, drawn from a seed: columns, and the commands that submit them.

N positions over 500 contracts of Zipf sizes, long and short, of a third as many accounts, cross.
Position sizes are spread over four powers of ten; entry prices are around the mark.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.intake.column_packing import position_columns

CONTRACTS = 500
TICKS = 10_000
"""First mark of every contract: 100.00 with a tick of 0.01."""
CASH_PER_LOT_TICK = 1_000
"""A lot is 0.001, a tick 0.01, cash 10^-8."""
CHUNK = 1_000_000
RULES = "kucoin"
"""Its score is PnL / entry notional x leverage (divided for losers); the peers compute the same."""


@dataclass(frozen=True)
class LargeBook:
    """The columns, ordered by contract, side and account, with a row per position."""

    seed: int
    balance: np.ndarray
    contract: np.ndarray
    side: np.ndarray
    account: np.ndarray
    lots: np.ndarray
    entry_ticks: np.ndarray

    @property
    def size(self) -> int:
        return len(self.lots)

    @property
    def accounts(self) -> int:
        return len(self.balance)

    @cached_property
    def cost(self) -> np.ndarray:
        """Unsigned cost, in Cash."""
        return self.lots * self.entry_ticks * CASH_PER_LOT_TICK

    @cached_property
    def sign(self) -> np.ndarray:
        return 1 - 2 * self.side.astype(np.int64)

    @cached_property
    def side_starts(self) -> np.ndarray:
        """First row of each side of a contract, which has the number 2 x contract + side."""
        number = 2 * self.contract.astype(np.int64) + self.side
        return np.searchsorted(number, np.arange(2 * CONTRACTS + 1))

    def marks(self, round_number: int) -> np.ndarray:
        """Return new marks of all contracts, in Ticks, a few percent from the first."""
        rng = np.random.default_rng((self.seed, round_number))
        return TICKS + rng.integers(-500, 500, CONTRACTS)

    def columns(self, rows: slice) -> dict[str, np.ndarray]:
        """Return the columns of a position command for some rows."""
        names = "contract", "side", "lots", "account"
        return {name: getattr(self, name)[rows] for name in names} | {"cost_cash": self.cost[rows]}


def large(positions: int, seed: int = 7) -> LargeBook:
    """Draw the columns; some positions fewer, because an account has a contract at most once."""
    rng = np.random.default_rng(seed)
    accounts = positions // 3
    weight = 1 / np.arange(1, CONTRACTS + 1)
    sizes = np.maximum((weight / weight.sum() * positions).astype(np.int64), 2)
    sizes = np.minimum(sizes, accounts)
    contract = np.repeat(np.arange(CONTRACTS, dtype=np.int64), sizes)
    account = rng.integers(0, accounts, len(contract))
    keys = np.unique(contract << 32 | account)  # one-way accounts: one position per contract
    contract, account = keys >> 32, keys & 0xFFFFFFFF
    n = len(keys)
    side = rng.integers(0, 2, n)
    order = np.lexsort((rng.random(n), 2 * contract + side))
    lots = (10 ** rng.uniform(0, 4, n)).astype(np.int64)
    balance = (10 ** rng.uniform(11.5, 14, accounts)).astype(np.int64)
    return LargeBook(
        seed,
        balance,
        contract[order].astype(np.int32),
        side[order].astype(np.int8),
        account[order].astype(np.int32),
        lots,
        TICKS + rng.integers(-800, 800, n),
    )


def contract_names() -> list[str]:
    return [f"C{number:03d}" for number in range(CONTRACTS)]


def account_names(book: LargeBook) -> tuple[str, ...]:
    return tuple(f"a{number:08d}" for number in range(book.accounts))


def definition_commands(rules: str = RULES, pool_balance: int = 0) -> Iterator[m.Command]:
    """Yield the definitions of pool and contracts."""
    yield m.DefinePool(time_ms=0, pool="main", kind=m.PoolKind.SHARED, asset="USDT", rules=rules)
    tiers = tuple(
        m.MarginTier(notional_from=start, maintenance_rate=rate)
        for start, rate in ((0, "0.005"), (10_000, "0.01"), (100_000, "0.025"))
    )
    for name in contract_names():
        yield m.DefineContract(
            time_ms=0,
            contract=name,
            kind=m.ContractKind.LINEAR,
            settle="USDT",
            pool="main",
            tick_size="0.01",
            lot_size="0.001",
            margin_tiers=tiers,
        )
    if pool_balance:
        yield m.FundPool(time_ms=0, pool="main", amount=pool_balance, reason=m.FundingReason.SEED)


def account_commands(book: LargeBook) -> Iterator[m.Command]:
    """Yield all accounts and their balances."""
    names = account_names(book)
    yield m.DefineAccounts(time_ms=0, accounts=names)
    yield m.SetBalanceColumns(
        time_ms=0,
        version=1,
        asset="USDT",
        account=np.arange(book.accounts, dtype="<i4").tobytes(),
        balance_cash=book.balance.astype("<i8").tobytes(),
    )


def position_commands(book: LargeBook, version: int = 1, chunk: int = CHUNK) -> Iterator[m.Command]:
    """Yield all positions in chunks, with accounts by index."""
    for start in range(0, book.size, chunk):
        yield position_columns(
            time_ms=0,
            version=version,
            contracts=contract_names(),
            columns=book.columns(slice(start, start + chunk)),
        )


def marks(book: LargeBook, round_number: int, *contracts: int) -> m.SetMarks:
    """Return new marks of some contracts, or of all."""
    ticks = book.marks(round_number).tolist()
    chosen = contracts or range(CONTRACTS)
    return m.SetMarks(time_ms=0, marks={f"C{c:03d}": f"{ticks[c] / 100:.2f}" for c in chosen})


def build(book: LargeBook, rules: str = RULES) -> Book:
    """Return the book of all columns at the first marks."""
    built = Book()
    first = m.SetMarks(time_ms=0, marks=dict.fromkeys(contract_names(), TICKS // 100))
    for command in (
        *definition_commands(rules),
        *account_commands(book),
        *position_commands(book),
        first,
    ):
        rejected = step(built, command)[0]
        if isinstance(rejected, m.Rejected):
            raise SystemExit(f"the large book is rejected: {rejected}")
        built.take_changes()
    return built
