"""Published ranks and indicators: whole columns of contracts ranked together, and views of them.

Published columns are never written again. Objects for a contract or a side are made when they are
read: there are many, and few are read.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from delever.core.messages import Side
from delever.core.units import Bools, Ints

TABLES_PER_CONTRACT = len(Side)


@dataclass(slots=True)
class RankedSide:
    """Rank and indicator of each position of a side, 0 where it is not ranked."""

    account: np.ndarray
    position: np.ndarray
    rank: np.ndarray
    indicator: np.ndarray
    _digest: str = ""

    def digest(self) -> str:
        """Return the BLAKE2b-256 of all columns, in hexadecimal; computed once."""
        if not self._digest:
            digest = hashlib.blake2b(digest_size=32)
            for column in (self.account, self.position, self.rank, self.indicator):
                digest.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
            self._digest = digest.hexdigest()
        return self._digest


@dataclass(frozen=True, slots=True)
class BatchLayout:
    """The positions of several tables in the order of publication: by account, then position id.

    `tables` are the numbers of the tables, ascending, both sides of each contract; `versions` their
    layout versions, by which a layout is valid until a position is opened or closed. The columns of
    one table follow those of the one before and end at its entry of `ends`.
    """

    tables: Ints
    versions: Ints
    ends: Ints
    account: np.ndarray
    position: np.ndarray

    @property
    def size(self) -> int:
        """The number of positions."""
        return len(self.account)

    def part(self, tables: Ints, versions: Ints) -> "BatchLayout | None":
        """Return the layout of some tables that follow each other here, if it is still valid."""
        first = int(self.tables.searchsorted(tables[0]))
        rows = slice(first, first + len(tables))
        if len(tables) == len(self.tables) and first == 0:
            part = self
        else:
            start = int(self.ends[first - 1]) if first else 0
            ends = self.ends[rows]
            of_tables = slice(start, int(ends[-1]))
            columns = self.account[of_tables], self.position[of_tables]
            part = BatchLayout(self.tables[rows], self.versions[rows], ends - start, *columns)
        is_valid = part.tables.tobytes() == tables.tobytes()
        return part if is_valid and part.versions.tobytes() == versions.tobytes() else None

    def version_of(self, table: int) -> int:
        """Return the version of a table."""
        return int(self.versions[np.searchsorted(self.tables, table)])

    def size_of(self, table: int) -> int:
        """Return the number of positions of a table."""
        rows = self.rows_of(table)
        return int(rows.stop - rows.start)

    def rows_of(self, table: int) -> slice:
        """Return the rows of a table, which is one of `tables`."""
        at = int(np.searchsorted(self.tables, table))
        return slice(int(self.ends[at - 1]) if at else 0, int(self.ends[at]))


@dataclass(frozen=True, slots=True)
class RankedBatch:
    """Ranks and indicators of contracts ranked together, in the order of their layout."""

    layout: BatchLayout
    rank: np.ndarray
    indicator: np.ndarray

    def side(self, table: int) -> RankedSide:
        """Return the ranks of one table."""
        rows, layout = self.layout.rows_of(table), self.layout
        of_side = layout.account[rows], layout.position[rows]
        return RankedSide(*of_side, self.rank[rows], self.indicator[rows])

    def set_side(self, table: int, place: Ints, rank: Ints, indicator: Ints) -> None:
        """Set the ranks of one table; `place` is a row's index in the order of publication."""
        rows = self.layout.rows_of(table)
        self.rank[rows][place], self.indicator[rows][place] = rank, indicator


def merged(sides: Sequence[tuple[RankedBatch, int]]) -> RankedBatch:
    """Return a batch of tables, given by number, ascending, each with the batch that has it."""
    ranked = [batch.side(table) for batch, table in sides]
    account, position, rank, indicator = (
        np.concatenate([getattr(side, name) for side in ranked])
        for name in ("account", "position", "rank", "indicator")
    )
    tables = np.array([table for _, table in sides])
    versions = np.array([batch.layout.version_of(table) for batch, table in sides])
    ends = np.cumsum([len(side.account) for side in ranked])
    return RankedBatch(BatchLayout(tables, versions, ends, account, position), rank, indicator)


class RankedContract:
    """Ranks and indicators of both sides of a contract."""

    def __init__(self, batch: RankedBatch, order: int) -> None:
        self._batch = batch
        self._first = TABLES_PER_CONTRACT * order

    @cached_property
    def sides(self) -> dict[Side, RankedSide]:
        """Both sides, each with its own columns."""
        return {side: self._batch.side(self._first + n) for n, side in enumerate(Side)}


class RankedContracts(Mapping[str, RankedContract]):
    """The ranks of contracts by name, each made when it is first read.

    `orders` has the order of definition of every contract of the book, `is_ranked` and `batches` an
    entry for each. Contracts that are defined later are not among them.
    """

    def __init__(self, orders: Mapping[str, int], is_ranked: Bools, batches: np.ndarray) -> None:
        self._orders = orders
        self._is_ranked = is_ranked
        self._batches = batches
        self._made: dict[str, RankedContract] = {}

    def __getitem__(self, name: str) -> RankedContract:
        """Return the ranks of a contract; raises KeyError for one that is not ranked."""
        if name not in self._made:
            order = self._orders[name]
            if order >= len(self._is_ranked) or not self._is_ranked[order]:
                raise KeyError(name)
            self._made[name] = RankedContract(self._batches[order], order)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return itertools.compress(tuple(self._orders), self._is_ranked.tolist())

    def __len__(self) -> int:
        return int(np.count_nonzero(self._is_ranked))
