"""All accounts' positions from a supplied file, and a position's place in their queue.

No public endpoint lists all accounts' positions; a node has them, and archives publish them daily.
The file is a table in Parquet or CSV with the columns of the perp snapshots of Hydromancer's
Reservoir (docs.hydromancer.xyz, Schema reference, Snapshots): one row an account and market.

Assumed: since the file's time no other account has traded, and its equity has moved only by the
unrealized PnL of the ranked position; an isolated position's margin is its entry notional over its
leverage. Numbers are rounded to 8 decimals.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import polars as pl

from delever.config import ConfigError
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import (
    BalanceRow,
    Command,
    DefineAccount,
    PositionRow,
    Rejected,
    SetBalances,
    SetMarks,
    SetPositions,
    Side,
)
from delever.lab.queries.position_queries import rank
from delever.lab.tables.book_reader import book_of
from delever.watch.market_data.errors import MalformedAnswerError
from delever.watch.market_data.observations import PositionObservation, QueuePlaceObservation

COLUMNS = ("user", "market", "size", "entry_price", "leverage_type", "leverage", "account_value")
DECIMALS = 8
UNIT = Decimal(1).scaleb(-DECIMALS)
MAX_SIZE_DECIMALS = 6
REFRESH_MS = 24 * 3_600_000
"""The archive's interval: one snapshot a day."""

_FILE_NAME = re.compile(r"\d+_(\d{13})$")
"""The block and the time in milliseconds in an archive's file name."""


@dataclass(slots=True)
class PositionBook:
    """The positions of all accounts at one time; books of markets are built when first needed."""

    name: str
    time_ms: int
    rules: str
    frame: pl.DataFrame
    _books: dict[tuple[str, str], Book] = field(default_factory=dict)

    def place(
        self, position: PositionObservation, account: str, equity: Decimal
    ) -> QueuePlaceObservation:
        """Return the place of an account's present position among all others of its side.

        `equity` is the value of the position's margin: of the cross account, or of the isolated
        position. All positions are valued at the position's mark.
        """
        key = (position.name, position.side)
        if key not in self._books:
            self._books[key] = self._build(position, account)
        book = self._books[key]
        _submit(book, position, account, equity)
        queue = rank(book, position.name, position.side)
        row = queue.filter(pl.col("account") == account).row(0, named=True)
        reason = row["reason"] or ""
        return QueuePlaceObservation(
            venue=position.venue,
            name=position.name,
            venue_time_ms=self.time_ms,
            received_ms=position.received_ms,
            refresh_ms=REFRESH_MS,
            side=position.side,
            rank=row["rank"],
            ranked=queue.height - queue["reason"].count(),
            quantity_ahead=row["quantity_ahead"] or Decimal(0),
            book=self.name,
            reason=reason.replace("_", " "),
        )

    def _build(self, position: PositionObservation, account: str) -> Book:
        """Return the book of one side of a market, without the account and unreadable rows."""
        sign = 1 if position.side == "long" else -1
        rows = self.frame.filter(
            (pl.col("market") == position.name)
            & (pl.col("user").str.to_lowercase() != account)
            & (pl.col("size") * sign > 0)
            & (pl.col("entry_price") > 0)
            & pl.col("account_value").is_finite()
        ).unique("user", keep="first", maintain_order=True)
        mark = position.mark
        quantity = pl.col("size").abs().round(DECIMALS)
        notional = quantity * pl.col("entry_price")
        pnl = sign * (quantity * float(mark) - notional)
        is_isolated = pl.col("leverage_type") == "isolated"
        rows = rows.with_columns(
            quantity=quantity,
            isolated_margin=pl.when(is_isolated).then(notional / pl.col("leverage")),
            balance=pl.when(is_isolated).then(0.0).otherwise(pl.col("account_value") - pnl),
        ).filter(pl.col("quantity") > 0)
        lot = _lot([*rows["quantity"].to_list(), float(position.quantity)])
        named = rows.select(pl.col("user").alias("account"))
        positions = rows.select("quantity", "entry_price", "isolated_margin").with_columns(
            account=named["account"],
            contract=pl.lit(position.name),
            side=pl.lit(position.side),
            leverage=pl.lit("1"),
        )
        balances = named.with_columns(asset=pl.lit(position.settle), balance=rows["balance"])
        contract = {
            "contract": position.name,
            "kind": "linear",
            "settle": position.settle,
            "tick_size": f"{UNIT / lot:f}",
            "lot_size": f"{lot:f}",
        }
        return book_of(
            positions,
            {position.name: f"{mark:f}"},
            balances=balances,
            contracts=[contract],
            rules=self.rules,
            asset=position.settle,
            floats=f"round:{DECIMALS}",
        )


def open_position_book(path: str, rules: str) -> PositionBook:
    """Return the book of a file; ConfigError if it cannot be read or lacks a column.

    Its time is that of the archive's file name, `{block}_{milliseconds}.parquet`; of a file with
    another name, its time of modification.
    """
    file = Path(path)
    try:
        frame = _read(file)
        modified_ms = file.stat().st_mtime_ns // 1_000_000
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"book = {path!r}: {str(error).splitlines()[0]}") from None
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ConfigError(f"book = {path!r}: lacks the columns {', '.join(missing)}")
    named = _FILE_NAME.search(file.stem)
    numbers = ("size", "entry_price", "leverage", "account_value")
    typed = frame.select(COLUMNS).with_columns(pl.col(*numbers).cast(pl.Float64, strict=False))
    return PositionBook(file.name, int(named[1]) if named else modified_ms, rules, typed)


def _read(file: Path) -> pl.DataFrame:
    if file.suffix == ".parquet":
        return pl.read_parquet(file)
    return pl.read_csv(file, infer_schema=False)


def _lot(sizes: Sequence[float]) -> Decimal:
    """Return the largest power of ten that divides all sizes, at most 1."""
    column = pl.Series(sizes)
    for decimals in range(MAX_SIZE_DECIMALS):
        if (column - column.round(decimals)).abs().max() < 10**-DECIMALS:
            return Decimal(1).scaleb(-decimals)
    return Decimal(1).scaleb(-MAX_SIZE_DECIMALS)


def _submit(book: Book, position: PositionObservation, account: str, equity: Decimal) -> None:
    """Set the mark, and the account's position and balance, to the present ones."""
    change = position.mark - position.entry_price
    pnl = position.quantity * (change if position.side == "long" else -change)
    margin = _text(equity - pnl)
    now: dict[str, Any] = {"time_ms": max(position.received_ms, book.time_ms)}
    version: dict[str, Any] = {"version": book.sequence + 1, **now}
    own = PositionRow(
        account=account,
        contract=position.name,
        side=Side(position.side),
        quantity=f"{position.quantity:f}",
        entry_price=f"{position.entry_price:f}",
        isolated_margin=margin if position.isolated else None,
        leverage="1",
    )
    balance = BalanceRow(
        account=account, asset=position.settle, balance="0" if position.isolated else margin
    )
    commands: list[Command] = [
        SetMarks(marks={position.name: f"{position.mark:f}"}, **now),
        SetBalances(balances=(balance,), strict=True, **version),
        SetPositions(positions=(own,), strict=True, **version),
    ]
    if book.accounts.names.find(account) < 0:
        commands.insert(0, DefineAccount(account=account, **now))
    for command in commands:
        first = step(book, command)[0]
        if isinstance(first, Rejected):
            raise MalformedAnswerError(f"{first.field} ({first.reason})", first.value)


def _text(amount: Decimal) -> str:
    return f"{amount.quantize(UNIT, ROUND_DOWN):f}"
