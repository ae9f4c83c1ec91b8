"""Every table of a block has its own rows, wherever its range moves."""

import pickle
from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from delever.core.book.account_tables import FIRST_CAPACITY
from delever.core.book.position_table import (
    PositionBlock,
    PositionTable,
    pack_tables,
    unpack_tables,
)

TABLES = 4
ACTIONS = st.lists(
    st.tuples(
        st.integers(0, TABLES - 1), st.sampled_from(["open", "close", "copy"]), st.integers(0, 60)
    ),
    max_size=60,
)


def filled(table: PositionTable, account: int) -> None:
    """Open a position whose columns follow from its account."""
    row = table.upsert(account, account % 3)
    table.set_row(row, 10 + account, -account, account * 7)
    table.isolated[row], table.leverage[row] = account % 2, account


def contents(table: PositionTable) -> set[tuple[int, ...]]:
    return {table.row_values(row) for row in range(table.size)}


def copied(tables: list[PositionTable]) -> tuple[PositionBlock, list[PositionTable]]:
    """Return copies of a block and its tables, as a copy of a book has."""
    block, packed = pickle.loads(pickle.dumps((tables[0].block, pack_tables(tables))))
    return block, unpack_tables(packed, block)


def expected(accounts: set[int]) -> set[tuple[int, ...]]:
    return {(a, a % 3, 10 + a, -a, a * 7, a, a % 2) for a in accounts}


@given(ACTIONS)
def test_tables_of_one_block_never_share_a_row(actions: list[tuple[int, str, int]]) -> None:
    block = PositionBlock()
    tables = [PositionTable(block) for _ in range(TABLES)]
    accounts: list[set[int]] = [set() for _ in range(TABLES)]
    for number, action, count in actions:
        if action == "open":
            new = range(100 * number, 100 * number + count)
            for account in new:
                filled(tables[number], account)
            accounts[number].update(new)
        elif action == "close":
            for account in sorted(accounts[number])[:count]:
                tables[number].remove(tables[number].row_of(account, account % 3))
                accounts[number].remove(account)
        else:
            block, tables = copied(tables)
        assert [contents(table) for table in tables] == [expected(rows) for rows in accounts]
    ranges = sorted(zip(block.starts, block.capacities, strict=True))
    for (start, rows), (following, _) in zip(ranges, [*ranges[1:], (block.end, 0)], strict=True):
        assert start + rows <= following


def test_gaps_are_reused_and_closed() -> None:
    """Gaps of moved ranges never exceed half of the rows; a copy has no rows in reserve."""
    block = PositionBlock()
    tables = [PositionTable(block) for _ in range(50)]
    assert block.starts.tolist() == [FIRST_CAPACITY * number for number in range(50)]
    for account in range(1_000):
        for table in tables:
            table.upsert(account, 0)
    assert [table.size for table in tables] == [1_000] * 50
    assert all(rows <= 1_250 for rows in block.capacities)
    assert block.end <= 1.5 * block.capacities.sum()
    assert deepcopy(block).capacity == block.end


def test_closing_gaps_sorts_the_tables_that_do_not_grow() -> None:
    block = PositionBlock()
    tables = [PositionTable(block) for _ in range(6)]
    for table in tables:
        for account in range(40, 0, -1):
            filled(table, account)
    is_sorted = [table.keys() == sorted(table.keys()) for table in tables]
    assert is_sorted == [True] * 5 + [False]
    for table in tables:
        assert contents(table) == expected(set(table.account[: table.size].tolist()))
        assert all(table.find(*key) == row for row, key in enumerate(table.keys()))


def test_columns_are_unchanged_when_the_block_grows_under_another_table() -> None:
    block = PositionBlock()
    first, second = PositionTable(block), PositionTable(block)
    filled(first, 5)
    before = first.lots
    for account in range(200):
        filled(second, account)
    assert first.lots is not before
    assert contents(first) == expected({5})


def test_copied_tables_have_a_block_of_their_own() -> None:
    table = PositionTable()
    filled(table, 5)
    _, (other,) = copied([table])
    other.lots[0] = 1
    filled(other, 6)
    assert contents(table) == expected({5})
    assert other.row_values(0)[2] == 1
    assert [other.find(account, account % 3) for account in (5, 6)] == [0, 1]
