"""Inventory is closed against other accounts of its owner first, where the rule set says so."""

import pytest
from world import World

from delever.core import messages as m
from delever.core.messages import Side
from delever.journal.snapshot import decode_book, encode_book
from table import Row, cases


@pytest.mark.parametrize("row", cases("own_accounts.txt"))
def test_own_accounts_are_closed_first(row: Row) -> None:
    world = World(row["rules"], balance=1000)
    world.contract("X", tick_size="0.1")
    for name in ("desk1", "desk2"):
        world.account(name, owner=row["owner"])
    world.mark(X=95)
    world.wallets(desk2=100, ann=1000)
    world.long("desk1", "X", 10, at=100, margin=100)
    world.short("desk2", "X", row["own"], at=row["entry"])
    world.short("ann", "X", 10, at=100)
    world.takeover("desk1", contract="X", price=row["taken"])
    fills = [f"{f.account}:{f.lots}@{world.price(f)}" for f in world.events(m.AdlFilled)]
    found = {"fills": ",".join(fills), "fund": world.balance()}
    assert found == row.expected


def test_a_round_of_own_accounts_has_its_summary() -> None:
    world = World("deribit", balance=1000)
    world.contract("X")
    world.account("desk1", owner="desk")
    world.account("desk2", owner="desk")
    world.mark(X=95)
    world.wallets(desk2=100)
    world.long("desk1", "X", 10, at=100, margin=100)
    world.short("desk2", "X", 4, at=100)
    world.takeover("desk1")
    own, rest = world.events(m.RoundClosed)
    assert (own.price_rule, own.wanted_lots, own.filled_lots) == ("bankruptcy_price", 4, 4)
    assert (rest.price_rule, rest.wanted_lots, rest.filled_lots) == ("transfer_price", 6, 0)


def test_an_account_owns_itself_unless_it_has_an_owner() -> None:
    world = World()
    world.account("main")
    world.account("sub", owner="main")
    world.submit(m.DefineAccounts, accounts=("x", "y"), owners=("main", "y"))
    accounts = decode_book(encode_book(world.book)).accounts
    owners = {name: accounts.owner_of(row) for row, name in enumerate(accounts.names)}
    assert owners == {"main": "main", "sub": "main", "x": "main", "y": "y"}
    world.account("sub")
    world.submit(m.DefineAccounts, accounts=("x",))
    assert world.book.accounts.owners == {}


@pytest.mark.parametrize("side", Side)
def test_the_fund_neither_gains_nor_loses_between_own_accounts(side: Side) -> None:
    """CORE-53: whatever the takeover price is."""
    world = World("deribit", balance=1000)
    world.contract("X")
    world.account("a", owner="o")
    world.account("b", owner="o")
    world.mark(X=100)
    world.wallets(b=10_000)
    world.positions(
        world.row("a", "X", side, 7, at=90, margin=0), world.row("b", "X", side.opposite, 9, at=110)
    )
    world.takeover("a", contract="X", price=101)
    assert world.filled() == {"b": 7}
    (fill,) = world.events(m.AdlFilled)
    assert fill.pool_realized_pnl_cash == 0
