"""HyperReplay's record of the ADL on Hyperliquid, read exactly, instant by instant.

One row per deleveraged position, in the venue's order. Every number is text. Fills of one instant
against one bankrupt account belong together. A row that says nothing that could be replayed is
counted and skipped, so that one such row costs no other.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from delever.core.messages import Side
from delever.core.units import div_nearest, parse_decimal, scaled
from delever.lab.errors import InputError

CASH_DECIMALS = 8
COLUMNS = (
    "user",
    "coin",
    "time",
    "adl_price",
    "adl_size",
    "position_size",
    "entry_price",
    "account_value_realtime",
    "total_unrealized_pnl",
    "liquidated_user",
)
NUMBERS = COLUMNS[2:9]
FINEST = 30
"""No number has more decimals than a plain decimal may have."""

MIN_PRICE_TICKS = 2


@dataclass(frozen=True, slots=True)
class RecordedFill:
    """One real fill: sizes and prices as in the file; cash and unrealized PnL of the account."""

    number: int
    account: str
    coin: str
    time: str
    price: str
    closed: str
    size: str
    entry: str
    cash: str
    unrealized_pnl: str
    liquidated: str

    @property
    def time_ms(self) -> int:
        """The time of the fill."""
        return exact(self.time, 0)

    @property
    def side(self) -> Side:
        """The side of the position, by the sign of its size."""
        return Side.SHORT if self.size.startswith("-") else Side.LONG


@dataclass(frozen=True, slots=True)
class CoinQueue:
    """The real fills of one coin in order: side, price, decimals of prices and of sizes."""

    coin: str
    side: Side
    price: str
    price_decimals: int
    size_decimals: int
    fills: tuple[RecordedFill, ...]

    def lots(self, size: str) -> int:
        """Return a size in lots, without sign."""
        return abs(exact(size, self.size_decimals))

    def closed_lots(self, fills: Sequence[RecordedFill]) -> int:
        """Return the lots that the venue closed of some fills."""
        return sum(self.lots(fill.closed) for fill in fills)


@dataclass(frozen=True, slots=True)
class RecordedAdl:
    """The ADL of one instant against one bankrupt account: queues, and each account's equity.

    Queues are in the order of the file, equity is in Cash. `repaired` are the accounts with a
    published equity of at most 0, although they were deleveraged; their cash is used as equity.
    """

    time_ms: int
    liquidated: str
    queues: tuple[CoinQueue, ...]
    equity_cash: dict[str, int]
    repaired: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """The whole file: its instants in order, and the rows that were skipped, by reason."""

    instants: tuple[RecordedAdl, ...]
    skipped: dict[str, int]

    @property
    def queues(self) -> list[CoinQueue]:
        """The queues of all instants, in order."""
        return [queue for instant in self.instants for queue in instant.queues]


def read_recorded_adl(path: str | Path) -> RecordedEvent:
    """Return the file in exact numbers.

    Raises InputError for a file that cannot be read, and for one of which no row can be replayed.
    """
    skipped: Counter[str] = Counter()
    groups: dict[tuple[str, str], list[RecordedFill]] = {}
    for row in _rows(Path(path), skipped):
        groups.setdefault((row.time, row.liquidated), []).append(row)
    instants = [_instant(rows, skipped) for rows in groups.values()]
    if not instants:
        reasons = ", ".join(skipped)
        raise InputError(f"has no row that can be replayed: {reasons}", file=str(path))
    return RecordedEvent(tuple(instants), dict(skipped))


def _instant(rows: list[RecordedFill], skipped: Counter[str]) -> RecordedAdl:
    by_coin: dict[str, list[RecordedFill]] = {}
    for row in rows:
        queue = by_coin.setdefault(row.coin, [])
        if problem := _misfit(row, queue):
            skipped[problem] += 1
        else:
            queue.append(row)
    queues = tuple(_queue(queue) for queue in by_coin.values())
    equity, repaired = _equities([row for queue in queues for row in queue.fills])
    first = rows[0]
    return RecordedAdl(first.time_ms, first.liquidated, queues, equity, repaired)


def _misfit(row: RecordedFill, queue: list[RecordedFill]) -> str:
    """Return why a row does not belong to the queue of its coin; empty where it does."""
    if queue and (row.side, row.price) != (queue[0].side, queue[0].price):
        return "another side or price than the first of its queue"
    if any(row.account == other.account for other in queue):
        return "the account is in the queue twice"
    return ""


def _equities(rows: list[RecordedFill]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return each account's equity from its first row, and the accounts that were repaired."""
    equity: dict[str, int] = {}
    repaired: list[str] = []
    for row in rows:
        if row.account not in equity:
            own_cash = cash(row.cash)
            equity[row.account] = own_cash + cash(row.unrealized_pnl)
            if equity[row.account] <= 0:
                equity[row.account] = own_cash
                repaired.append(row.account)
    return equity, tuple(repaired)


def _rows(path: Path, skipped: Counter[str]) -> list[RecordedFill]:
    """Return the rows as text that can be replayed; count the others."""
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise InputError("is empty", file=str(path)) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read: {str(error).splitlines()[0]}", file=str(path)) from None
    for name in COLUMNS:
        if name not in frame.columns:
            raise InputError("the column is missing", file=str(path), column=name)
    if frame.height == 0:
        raise InputError("has no rows", file=str(path))
    rows = []
    for number, cells in enumerate(frame.select(COLUMNS).iter_rows(), start=1):
        if problem := _problem(dict(zip(COLUMNS, cells, strict=True))):
            skipped[problem] += 1
        else:
            rows.append(RecordedFill(number, *cells))
    return rows


def _problem(cells: dict[str, str | None]) -> str:
    """Return why a row cannot be replayed; empty where it can."""
    numbers = [parse_decimal(cells[name] or "") for name in NUMBERS]
    if None in numbers or not all(cells.values()):
        return "a cell is empty, or not a plain decimal"
    time, price, closed, size, entry = (exact(cells[name] or "", FINEST) for name in NUMBERS[:5])
    if time < 0 or time % 10**FINEST or price <= 0 or entry <= 0:
        return "time, price or entry price is out of range"
    if not 0 < closed <= abs(size):
        return "not closed by at most its size"
    if cells["user"] == cells["liquidated_user"]:
        return "the bankrupt account is a counterparty of itself"
    return ""


def _queue(rows: list[RecordedFill]) -> CoinQueue:
    """Return one coin's queue, with the finest decimals of its price and sizes.

    A price has at least two ticks, so that there is a tick on either side of it.
    """
    first = rows[0]
    decimals = _decimals(first.price)
    while exact(first.price, decimals) < MIN_PRICE_TICKS:
        decimals += 1
    return CoinQueue(
        coin=first.coin,
        side=first.side,
        price=first.price,
        price_decimals=decimals,
        size_decimals=max(_decimals(size) for row in rows for size in (row.closed, row.size)),
        fills=tuple(rows),
    )


def _decimals(text: str) -> int:
    """Return the decimals of a number without trailing zeros: '5.0' has none."""
    return len(text.partition(".")[2].rstrip("0"))


def exact(text: str, decimals: int) -> int:
    """Return a number in units of 10^-decimals; raises InputError if it is finer."""
    number = parse_decimal(text)
    amount = None if number is None else scaled(number, decimals)
    if amount is None:
        raise InputError(f"is finer than {decimals} decimals", value=text)
    return amount


def cash(text: str) -> int:
    """Return an amount in Cash, rounded to nearest: the file has up to 14 decimals."""
    number = parse_decimal(text) or (0, 0)
    return div_nearest(number[0] * 10**CASH_DECIMALS, 10 ** number[1])
