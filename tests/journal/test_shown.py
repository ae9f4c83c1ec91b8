"""What is published after any step is what a book that never published anything would show."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from sessions import opening, sessions

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Command
from delever.core.packing import position_columns
from delever.core.publishing import publish, show
from delever.journal.snapshot import decode_book, encode_book


@given(sessions())
def test_lanes_that_are_not_ranked_again_show_what_they_would(commands: list[Command]) -> None:
    book = Book()
    for command in commands:
        step(book, command)
        shown = publish(book)
        anew = publish(decode_book(encode_book(book)))
        assert shown.as_of == anew.as_of
        assert {key: (lane.digest(), lane.rank.tolist()) for key, lane in shown.lanes.items()} == {
            key: (lane.digest(), lane.rank.tolist()) for key, lane in anew.lanes.items()
        }


def test_any_number_of_threads_shows_the_same() -> None:
    rng = np.random.default_rng(5)
    book, count = Book(), 40_000
    for command in opening():
        step(book, command)
    names = tuple(f"n{number:05d}" for number in range(count))
    step(book, m.DefineAccounts(time_ms=1, accounts=names))
    cash = rng.integers(1, 10**12, count)
    accounts = np.arange(5, 5 + count, dtype="<i4").tobytes()
    command = m.SetBalanceColumns(
        time_ms=1, version=1, asset="USDT", account=accounts, balances_cash=cash.tobytes()
    )
    step(book, command)
    columns = {
        "account": np.arange(5, 5 + count),
        "contract": np.zeros(count, int),
        "side": rng.integers(0, 2, count),
        "lots": rng.integers(1, 9, count),
        "costs_cash": rng.integers(1, 10**6, count),
    }
    step(book, position_columns(time_ms=1, version=1, contracts=["BTC"], columns=columns))
    step(book, m.SetMarks(time_ms=1, marks={"BTC": 100}))
    with ThreadPoolExecutor(4) as pool:
        shown = list(pool.map(lambda _: show(book, [book.contracts["BTC"]])[0], range(8)))
    alone = show(decode_book(encode_book(book)), [book.contracts["BTC"]])[0]
    for lane in m.Side:
        assert {each.lanes[lane].digest() for each in shown} == {alone.lanes[lane].digest()}
