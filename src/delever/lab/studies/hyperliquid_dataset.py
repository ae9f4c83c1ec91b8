"""HyperReplay's record of one ADL instant on Hyperliquid, read exactly.

One row a position that was closed, in the venue's own order. Every number is text; a row that is
not a short in profit, closed by no more than it held, is rejected with its place.
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
class Row:
    """One real fill. Sizes and prices as in the file; cash and profit are the whole account's."""

    number: int
    account: str
    coin: str
    time_ms: int
    price: str
    closed: str
    held: str
    entry: str
    cash: str
    profit: str
    liquidated: str


@dataclass(frozen=True, slots=True)
class Queue:
    """One coin: its real fills in order, and the grid that its decimals span."""

    coin: str
    price: str
    price_decimals: int
    size_decimals: int
    rows: tuple[Row, ...]

    def lots(self, size: str) -> int:
        """Return a size in lots, without sign."""
        return abs(exact(size, self.size_decimals))

    @property
    def real_lots(self) -> int:
        """Everything that the venue closed."""
        return sum(self.lots(row.closed) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Real:
    """The file, understood: queues in its order, and each account's equity in Cash.

    `repaired` are the accounts whose published equity is not positive although they were closed as
    winners; their cash alone stands for it.
    """

    time_ms: int
    liquidated: str
    queues: tuple[Queue, ...]
    equity_cash: dict[str, int]
    repaired: tuple[str, ...]


def read(path: str | Path) -> Real:
    """Return the file in exact numbers; InputError names the row and column that is wrong."""
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
            why = "the bankrupt account cannot stand in the queue against itself"
            raise InputError(why, file=str(path), row=row.number, column="user", value=row.account)
    coins = dict.fromkeys(row.coin for row in rows)
    queues = tuple(_queue([row for row in rows if row.coin == coin], path) for coin in coins)
    equity, repaired = _equities(rows)
    return Real(first.time_ms, first.liquidated, queues, equity, repaired)


def _equities(rows: list[Row]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return each account's equity from its first row, and whose was not positive."""
    equity: dict[str, int] = {}
    repaired: list[str] = []
    for row in rows:
        if row.account not in equity:
            own_cash = cash(row.cash)
            equity[row.account] = own_cash + cash(row.profit)
            if equity[row.account] <= 0:
                equity[row.account] = own_cash
                repaired.append(row.account)
    return equity, tuple(repaired)


def _rows(path: Path) -> list[Row]:
    """Return the rows as text, each number checked to be a plain decimal."""
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
        rows.append(Row(number, user, coin, int(time), *rest))
    return rows


def _check(path: Path, number: int, cells: dict[str, str | None]) -> None:
    """Refuse a row that is not a short in profit, closed by no more than it held."""
    for name, cell in cells.items():
        if not cell:
            raise InputError("is empty", file=str(path), row=number, column=name)
        if name in NUMBERS and parse_decimal(cell) is None:
            why = "must be a plain decimal"
            raise InputError(why, file=str(path), row=number, column=name, value=cell)
    time, price, closed, held, entry = (exact(cells[name] or "", FINEST) for name in NUMBERS[:5])
    faults = {
        "time": time < 0 or time % 10**FINEST != 0,
        "adl_price": price <= 0,
        "adl_size": not 0 < closed <= -held,
        "entry_price": entry <= price,
    }
    for name, fault in faults.items():
        if fault:
            why = "is not of a short in profit, closed by no more than it held"
            raise InputError(why, file=str(path), row=number, column=name, value=cells[name])


def _queue(rows: list[Row], path: str | Path) -> Queue:
    """Return one coin's queue; its tick and lot are the finest decimals of its prices and sizes."""
    seen: set[str] = set()
    for row in rows:
        if row.price != rows[0].price:
            why = f"every fill of a coin has one price, here {rows[0].price}"
            raise InputError(
                why, file=str(path), row=row.number, column="adl_price", value=row.price
            )
        if row.account in seen:
            why = "the account stands twice in one queue"
            raise InputError(why, file=str(path), row=row.number, column="user", value=row.account)
        seen.add(row.account)
    sizes = [size for row in rows for size in (row.closed, row.held)]
    return Queue(
        coin=rows[0].coin,
        price=rows[0].price,
        price_decimals=_decimals(rows[0].price),
        size_decimals=max(map(_decimals, sizes)),
        rows=tuple(rows),
    )


def _decimals(text: str) -> int:
    """Return the decimals that carry anything: '5.0' has none."""
    return len(text.partition(".")[2].rstrip("0"))


def exact(text: str, decimals: int) -> int:
    """Return a checked number in units of 10^-decimals, which it must be a multiple of."""
    number = parse_decimal(text)
    amount = None if number is None else scaled(number, decimals)
    if amount is None:
        raise InputError(f"is finer than {decimals} decimals", value=text)
    return amount


def cash(text: str) -> int:
    """Return an amount in Cash, to nearest: the file has up to 14 decimals."""
    number = parse_decimal(text) or (0, 0)
    return div_nearest(number[0] * 10**CASH_DECIMALS, 10 ** number[1])
