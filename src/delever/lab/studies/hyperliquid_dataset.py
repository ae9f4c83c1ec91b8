"""HyperReplay's record of one instant of ADL on Hyperliquid, read exactly.

One row per deleveraged position, in the venue's order. Every number is text; a row that is not a
profitable short, closed by at most its size, is rejected with its place.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

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


@dataclass(frozen=True, slots=True)
class RecordedFill:
    """One real fill: sizes and prices as in the file; cash and unrealized PnL of the account."""

    number: int
    account: str
    coin: str
    time_ms: int
    price: str
    closed: str
    size: str
    entry: str
    cash: str
    unrealized_pnl: str
    liquidated: str


@dataclass(frozen=True, slots=True)
class CoinQueue:
    """The real fills of one coin in order, with the decimals of its prices and sizes."""

    coin: str
    price: str
    price_decimals: int
    size_decimals: int
    fills: tuple[RecordedFill, ...]

    def lots(self, size: str) -> int:
        """Return a size in lots, without sign."""
        return abs(exact(size, self.size_decimals))

    @property
    def real_lots(self) -> int:
        """The lots that the venue closed."""
        return sum(self.lots(fill.closed) for fill in self.fills)


@dataclass(frozen=True, slots=True)
class RecordedAdl:
    """The whole file: queues in its order, and each account's equity in Cash.

    `repaired` are the accounts with a published equity of at most 0, although they were
    deleveraged as winners; their cash is used as equity.
    """

    time_ms: int
    liquidated: str
    queues: tuple[CoinQueue, ...]
    equity_cash: dict[str, int]
    repaired: tuple[str, ...]


def read_recorded_adl(path: str | Path) -> RecordedAdl:
    """Return the file in exact numbers; raises InputError, naming row and column."""
    rows = _rows(Path(path))
    first = rows[0]
    for row in rows:
        for column, value, same in (
            ("time", row.time_ms, first.time_ms),
            ("liquidated_user", row.liquidated, first.liquidated),
        ):
            if value != same:
                why = f"one instant and one bankrupt account at a time, here {same}"
                raise InputError(why, file=str(path), row=row.number, column=column, value=value)
        if row.account == row.liquidated:
            why = "the bankrupt account cannot be a counterparty of itself"
            raise InputError(why, file=str(path), row=row.number, column="user", value=row.account)
    coins = dict.fromkeys(row.coin for row in rows)
    queues = tuple(_queue([row for row in rows if row.coin == coin], path) for coin in coins)
    equity, repaired = _equities(rows)
    return RecordedAdl(first.time_ms, first.liquidated, queues, equity, repaired)


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


def _rows(path: Path) -> list[RecordedFill]:
    """Return the rows as text; raises InputError unless each number is a plain decimal."""
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
        _check(path, number, dict(zip(COLUMNS, cells, strict=True)))
        user, coin, time, *rest = cells
        rows.append(RecordedFill(number, user, coin, int(time), *rest))
    return rows


def _check(path: Path, number: int, cells: dict[str, str | None]) -> None:
    """Raise InputError unless the row is a profitable short, closed by at most its size."""
    for name, cell in cells.items():
        if not cell:
            raise InputError("is empty", file=str(path), row=number, column=name)
        if name in NUMBERS and parse_decimal(cell) is None:
            why = "must be a plain decimal"
            raise InputError(why, file=str(path), row=number, column=name, value=cell)
    time, price, closed, size, entry = (exact(cells[name] or "", FINEST) for name in NUMBERS[:5])
    violations = {
        "time": time < 0 or time % 10**FINEST != 0,
        "adl_price": price <= 0,
        "adl_size": not 0 < closed <= -size,
        "entry_price": entry <= price,
    }
    for name, violated in violations.items():
        if violated:
            why = "is not of a profitable short, closed by at most its size"
            raise InputError(why, file=str(path), row=number, column=name, value=cells[name])


def _queue(rows: list[RecordedFill], path: str | Path) -> CoinQueue:
    """Return one coin's queue, with the finest decimals of its price and sizes."""
    accounts: set[str] = set()
    for row in rows:
        if row.price != rows[0].price:
            why = f"every fill of a coin has one price, here {rows[0].price}"
            raise InputError(
                why, file=str(path), row=row.number, column="adl_price", value=row.price
            )
        if row.account in accounts:
            why = "the account is in the queue twice"
            raise InputError(why, file=str(path), row=row.number, column="user", value=row.account)
        accounts.add(row.account)
    sizes = [size for row in rows for size in (row.closed, row.size)]
    return CoinQueue(
        coin=rows[0].coin,
        price=rows[0].price,
        price_decimals=_decimals(rows[0].price),
        size_decimals=max(map(_decimals, sizes)),
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
