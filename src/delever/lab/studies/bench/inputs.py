"""An instance of the bench: exact columns, their digest, variants of it, and the book of it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import (
    Amount,
    Command,
    ContractKind,
    DefineAccounts,
    DefineContract,
    DefinePool,
    PoolKind,
    Rejected,
    RowsRejected,
    SetBalanceColumns,
    SetMarks,
    SetPositionColumns,
    Side,
)
from delever.core.units import Floats, Ints
from delever.lab.errors import InputError

ASSET = "USDT"
LOTS_PER_UNIT = 10_000
"""A lot is 0.0001 of a contract's unit."""

TICKS_PER_UNIT = 100
"""A tick is 0.01."""

CASH_PER_TICK_LOT = 10**8 // (LOTS_PER_UNIT * TICKS_PER_UNIT)
"""Cash of one lot at a price of one tick."""

RULES = "bybit"
"""The rule set whose ranking orders the queue: leverage times return."""


@dataclass(frozen=True, slots=True)
class BenchInstance:
    """A book, what must be reduced of it, at which price, and the moves that are feared.

    `account` and `contract` number the accounts and `contracts` of positions; `lots` are negative
    for shorts, `entry_ticks` are entry prices. `wanted_lots` has a number a contract: positive
    reduces shorts, negative longs, 0 nothing; `price_ticks` are ADL prices. `moves` has a row a
    scenario and a column a contract, `chances` sum to 1. With `rounds` above 1 the quantity is
    also divided in as many rounds; with `is_split`, account 0 is also split in two.
    """

    name: str
    about: str
    contracts: tuple[str, ...]
    mark_ticks: tuple[int, ...]
    price_ticks: tuple[int, ...]
    wanted_lots: tuple[int, ...]
    account: Ints
    contract: Ints
    lots: Ints
    entry_ticks: Ints
    balance_cash: Ints
    moves: Floats
    chances: Floats
    rounds: int = 1
    is_split: bool = False

    def digest(self) -> str:
        """Return the BLAKE2b-128 of all columns in hexadecimal; moves count to 9 decimals."""
        hashed = hashlib.blake2b(digest_size=16)
        hashed.update(repr((self.contracts, self.rounds, self.is_split)).encode())
        for column in (
            self.mark_ticks,
            self.price_ticks,
            self.wanted_lots,
            self.account,
            self.contract,
            self.lots,
            self.entry_ticks,
            self.balance_cash,
            np.rint(self.moves * 1e9),
            np.rint(self.chances * 1e12),
        ):
            values = np.ascontiguousarray(column, "<i8")
            hashed.update(f"{values.shape}".encode() + values.tobytes())
        return hashed.hexdigest()

    def unrealized_cash(self) -> Ints:
        """Return the unrealized PnL of each position at the marks."""
        marks = np.array(self.mark_ticks, np.int64)[self.contract]
        pnl: Ints = self.lots * (marks - self.entry_ticks) * CASH_PER_TICK_LOT
        return pnl

    def after(self, closed_lots: Ints) -> "BenchInstance":
        """Return the instance after lots of each position were closed at the mark.

        Equity stays as it is: what is realized is added to the balance.
        """
        left = np.where(self.lots < 0, self.lots + closed_lots, self.lots - closed_lots)
        closed = replace(self, lots=left)
        balance = self.balance_cash.copy()
        np.add.at(balance, self.account, self.unrealized_cash() - closed.unrealized_cash())
        return replace(closed, balance_cash=balance)

    def split(self, lots_part: float, balance_part: float) -> "BenchInstance":
        """Return the instance with account 0 split: the last account has these parts of it."""
        own = self.account == 0
        moved_lots = (self.lots[own] * lots_part).astype(np.int64)
        moved_balance = int(self.balance_cash[0] * balance_part)
        lots, balance = self.lots.copy(), self.balance_cash.copy()
        lots[own] -= moved_lots
        balance[0] -= moved_balance
        return replace(
            self,
            account=np.r_[self.account, np.full(int(own.sum()), len(balance))],
            contract=np.r_[self.contract, self.contract[own]],
            lots=np.r_[lots, moved_lots],
            entry_ticks=np.r_[self.entry_ticks, self.entry_ticks[own]],
            balance_cash=np.r_[balance, moved_balance],
        )

    def with_wanted(self, wanted_lots: tuple[int, ...]) -> "BenchInstance":
        """Return the instance with other quantities to be reduced."""
        return replace(self, wanted_lots=wanted_lots)

    def book(self) -> Book:
        """Return the book; account i is named `a<i>`. Raises InputError if a row is rejected."""
        book = Book()
        for command in self._commands():
            for event in step(book, command):
                if isinstance(event, Rejected | RowsRejected):
                    raise InputError(f"is no valid book: {event}", column=self.name)
        return book

    def _commands(self) -> Iterator[Command]:
        yield DefinePool(time_ms=0, pool="main", kind=PoolKind.SHARED, asset=ASSET, rules=RULES)
        for name in self.contracts:
            yield DefineContract(
                time_ms=0,
                contract=name,
                kind=ContractKind.LINEAR,
                settle=ASSET,
                pool="main",
                tick_size="0.01",
                lot_size="0.0001",
            )
        yield DefineAccounts(time_ms=0, accounts=self._names())
        marks: dict[str, Amount] = {
            name: f"{ticks // TICKS_PER_UNIT}.{ticks % TICKS_PER_UNIT:02}"
            for name, ticks in zip(self.contracts, self.mark_ticks, strict=True)
        }
        yield SetMarks(time_ms=0, marks=marks)
        yield SetBalanceColumns(
            time_ms=0,
            version=1,
            asset=ASSET,
            account=_packed(np.arange(len(self.balance_cash)), "<i4"),
            balance_cash=_packed(self.balance_cash, "<i8"),
        )
        yield self._positions()

    def _names(self) -> tuple[str, ...]:
        return tuple(f"a{number}" for number in range(len(self.balance_cash)))

    def _positions(self) -> SetPositionColumns:
        rows = self.lots != 0
        lots = self.lots[rows]
        return SetPositionColumns(
            time_ms=0,
            version=1,
            contracts=self.contracts,
            account=_packed(self.account[rows], "<i4"),
            contract=_packed(self.contract[rows], "<i4"),
            side=_packed(lots < 0, "u1"),
            lots=_packed(np.abs(lots), "<i8"),
            cost_cash=_packed(np.abs(lots) * self.entry_ticks[rows] * CASH_PER_TICK_LOT, "<i8"),
        )


def _packed(column: np.ndarray, layout: str) -> bytes:
    return np.ascontiguousarray(column, layout).tobytes()


def reduced_side(wanted_lots: int) -> Side:
    """Return the side of which lots are closed: positive numbers reduce shorts."""
    return Side.SHORT if wanted_lots > 0 else Side.LONG
