"""Ratings and indicators published by command, as of one sequence, equal in every replay."""

from dataclasses import replace

import msgspec
from hypothesis import given
from rated_market import Holder, Market, book_of, markets, submit
from world import World

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.explain.explanation import Explanation, explain
from delever.core.messages import Side
from delever.core.risk.publication.cache import publish
from delever.core.risk.publication.schedule import due_refreshes
from delever.core.rules import rule_set_of
from delever.journal.recorder import Recorder
from delever.journal.replay import replay_commands, replay_events
from delever.journal.snapshot import decode_book, encode_book

HEDGED = Market(holders=tuple(Holder(side, lots=n, entry=90 + n) for side in Side for n in (5, 9)))
INTERVALS = {"ratings_interval_ms": 30 * 60_000, "indicators_interval_ms": 30_000}


def refreshed(book: Book) -> m.IndicatorsPublished:
    events = submit(book, m.RefreshIndicators)
    return next(event for event in events if isinstance(event, m.IndicatorsPublished))


def hedge(book: Book) -> None:
    """Open a position of the first account on the other side."""
    row = m.PositionRow(
        account="h00", contract="BTC", side=Side.SHORT, quantity=30, entry_price=120
    )
    submit(book, m.SetPositions, version=2, positions=(row,))


def explained_indicators(book: Book, contract: str, account: str) -> dict[Side, int]:
    """Return an account's highest indicator of each side; a joint one is the same on both sides."""
    state, index = book.contracts[contract], book.accounts.index[account]
    indicators, sides_with_cross = dict.fromkeys(Side, 0), 0
    for side, table in state.tables.items():
        explained = [
            explain(book, contract, side, account, position=position)
            for position in table.positions_of(index)
        ]
        places = [each for each in explained if isinstance(each, Explanation)]
        assert len(places) == len(explained)
        indicators[side] = max((each.queue_position.indicator for each in places), default=0)
        sides_with_cross += bool(places) and not any(each.isolated for each in places)
    joint = rule_set_of(book, state).ranking.joint and book.accounts.hedge_mode[index]
    if joint and sides_with_cross == len(Side):
        indicators = dict.fromkeys(Side, max(indicators.values()))
    return indicators


@given(markets)
def test_published_indicators_equal_explained_ones(market: Market) -> None:
    """RSK-08."""
    book = book_of(market)
    hedge(book)
    published = publish(book)
    assert (published.as_of, published.time_ms) == (book.sequence, book.time_ms)
    for name, index in book.accounts.index.items():
        for contract in book.contracts:
            explained = explained_indicators(book, contract, name)
            assert {side: published.indicator(contract, side, index) for side in Side} == explained


def test_an_unpublished_contract_or_account_has_indicator_zero() -> None:
    published = publish(book_of(HEDGED))
    assert published.indicator("DOGE", Side.LONG, 0) == 0
    assert published.indicator("BTC", Side.LONG, 99) == 0


def test_the_event_has_a_digest_of_published_indicators() -> None:
    """RSK-08."""
    book = book_of(HEDGED)
    before = refreshed(book)
    assert book.indicators == before
    assert (before.as_of, before.time_ms) == (book.sequence, book.time_ms)
    tables = {(table.contract, table.side): table for table in before.tables}
    published = publish(book)
    assert {key: table.digest() for key, table in published.sides.items()} == {
        key: table.digest for key, table in tables.items()
    }
    assert (tables["BTC", Side.LONG].positions, tables["BTC", Side.LONG].ranked) == (2, 2)
    row = m.PositionRow(account="h01", contract="BTC", side=Side.LONG, quantity=9, entry_price=50)
    submit(book, m.SetPositions, version=2, positions=(row,))
    assert refreshed(book).tables[0].digest != before.tables[0].digest


def test_digests_do_not_depend_on_the_order_of_rows() -> None:
    one, other = book_of(HEDGED), book_of(HEDGED)
    gone = m.PositionRow(account="h00", contract="BTC", side=Side.LONG, quantity=0, entry_price=1)
    back = msgspec.structs.replace(gone, quantity=5, entry_price=95, leverage=10)
    for row in (gone, back):
        submit(other, m.SetPositions, version=2, positions=(row,))
    assert (
        one.contracts["BTC"].tables[Side.LONG].keys()
        != other.contracts["BTC"].tables[Side.LONG].keys()
    )
    assert refreshed(one).tables == refreshed(other).tables


def test_refreshes_are_due_when_their_interval_has_passed() -> None:
    """RSK-07, RSK-08."""
    book = book_of(HEDGED)
    start = book.time_ms

    def kinds(time_ms: int) -> list[str]:
        return [
            str(command.__struct_config__.tag)
            for command in due_refreshes(book, time_ms, **INTERVALS)
        ]

    assert kinds(start) == ["refresh_ratings", "refresh_indicators"]
    for command in due_refreshes(book, start, **INTERVALS):
        step(book, command)
    assert kinds(start + 29_999) == []
    assert kinds(start + 30_000) == ["refresh_indicators"]
    assert kinds(start + 1_800_000) == ["refresh_ratings", "refresh_indicators"]


def test_nothing_is_due_before_the_first_mark() -> None:
    book = Book()
    for command in commands_of(HEDGED)[:2]:
        step(book, command)
    assert book.contracts
    assert due_refreshes(book, 10**9, **INTERVALS) == ()


def test_a_replay_gives_the_same_ratings_and_digests() -> None:
    """RSK-07, RSK-08."""
    with Recorder.open(":memory:") as recorder:
        recorder.submit(commands_of(replace(HEDGED, swing=3)))
        by_commands = replay_commands(recorder.journal, from_zero=True)
        by_events = replay_events(recorder.journal, from_zero=True)
        assert by_commands.finding is None
        assert by_events.finding is None
        assert recorder.book.contracts["BTC"].rating is not None
        assert recorder.book.indicators is not None
        for replayed in (by_commands, by_events):
            assert encode_book(replayed.book) == encode_book(recorder.book)


def commands_of(market: Market) -> list[m.Command]:
    """Return a market's marks and holders as commands, with refreshes between them."""
    definition = m.DefinePool(
        time_ms=0, pool="main", kind=m.PoolKind.SHARED, asset="USDT", rules="binance"
    )
    contract = m.DefineContract(
        time_ms=0,
        contract="BTC",
        kind=m.ContractKind.LINEAR,
        settle="USDT",
        pool="main",
        tick_size="0.01",
        lot_size=1,
    )
    commands: list[m.Command] = [definition, contract]
    for number, holder in enumerate(market.holders):
        name, minute = f"h{number:02d}", 60_000 * number
        row = m.PositionRow(
            account=name,
            contract="BTC",
            side=holder.side,
            quantity=holder.lots,
            entry_price=holder.entry,
        )
        commands += [
            m.SetMarks(time_ms=minute, marks={"BTC": 100 + market.swing * number}),
            m.DefineAccount(time_ms=minute, account=name),
            m.SetPositions(time_ms=minute, version=1, positions=(row,)),
            m.RefreshRatings(time_ms=minute + 1),
            m.RefreshIndicators(time_ms=minute + 2),
        ]
    return commands


def test_a_restored_book_has_its_ratings_marks_and_last_refresh() -> None:
    book = book_of(replace(HEDGED, swing=4))
    for command in due_refreshes(book, book.time_ms, **INTERVALS):
        step(book, command)
    restored = decode_book(encode_book(book))
    assert restored.indicators == book.indicators
    assert restored.contracts["BTC"].rating == book.contracts["BTC"].rating
    first, second = (step(each, m.RefreshRatings(time_ms=10**8)) for each in (book, restored))
    assert first == second


def test_joint_indicators_do_not_depend_on_the_number_of_position_ids() -> None:
    """A side with few position ids is searched by account, one with many is summed whole."""
    published = []
    for numbers in (3, 20):
        world = World("binance")
        world.contract("BTC")
        for name in ("ann", "bob", "cyd"):
            world.account(name, hedge_mode=True)
        world.wallets(ann=5_000, bob=5_000, cyd=5_000)
        for number in range(numbers):  # positions beyond the first are closed again
            lots = 5 if number < 3 else 0
            for account, at in (("ann", 90), ("bob", 95)):
                world.long(account, "BTC", lots, at=at, position=number)
                world.short(account, "BTC", lots and 3, at=at + 20, position=number)
        world.short("cyd", "BTC", 30, at=101)
        world.mark(BTC=100)
        tables = publish(world.book).sides
        published.append(
            {key: (table.rank.tolist(), table.indicator.tolist()) for key, table in tables.items()}
        )
    assert published[0] == published[1]
