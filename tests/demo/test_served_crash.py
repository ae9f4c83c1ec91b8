"""The served demo: real symbols, positions of every kind, one of them closed within a minute."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from msgspec import structs

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import AdlFilled, Command, Event
from delever.demo.demo_account import DEMO, NAMES
from delever.demo.served_crash import INVERSE, DemoSize, ServedCrash, depth_generator
from delever.server.engine.account_snapshot import account_snapshot_of
from delever.server.venues import amounts

AnswerT = TypeVar("AnswerT")


class Clocked:
    """A bare engine, whose clock the test turns; with every ADL fill of the demo's account."""

    def __init__(self, size: DemoSize) -> None:
        self.book, self.now_ms = Book(), 1_000_000
        self.fills: list[tuple[int, AdlFilled]] = []
        self.size = size
        self.crash = ServedCrash(size, self.submit, self.read)

    async def submit(self, commands: Sequence[Command]) -> list[Sequence[Event]]:
        done = [step(self.book, structs.replace(c, time_ms=self.now_ms)) for c in commands]
        fills = [event for events in done for event in events if isinstance(event, AdlFilled)]
        self.fills += [(self.now_ms, fill) for fill in fills if fill.account == DEMO]
        return done

    async def read(self, question: Callable[[Book], AnswerT]) -> AnswerT:
        return question(self.book)

    async def play(self, seconds: int) -> None:
        depth = depth_generator(self.size.seed)
        for _ in range(seconds):
            self.now_ms += 1_000
            await self.submit(await self.crash._next_second(depth))
            self.crash.second += 1


def free_cash(book: Book) -> dict[str, int]:
    """Return, by asset, the demo account's cross equity less its initial margin."""
    owner = account_snapshot_of(book, DEMO)
    assert owner is not None
    cross = [position for position in owner.positions if not position.isolated]
    return {
        wallet.asset: wallet.equity_cash
        - sum(
            amounts.initial_margin_cash(position)
            for position in cross
            if book.contracts[position.contract].terms.settle == wallet.asset
        )
        for wallet in owner.wallets
    }


@pytest.mark.parametrize(("seed", "accounts", "contracts"), [(10, 2_000, 8), (7, 500, 5)])
def test_the_demo_account_has_positions_of_every_kind_and_is_closed_within_a_minute(
    seed: int, accounts: int, contracts: int
) -> None:
    engine = Clocked(DemoSize(seed, accounts, contracts))

    async def go() -> None:
        keys = await engine.crash.open_market()
        assert keys[0].accounts == (DEMO,)
        owner = account_snapshot_of(engine.book, DEMO)
        assert owner is not None
        held = [(p.contract, str(p.side), p.isolated) for p in owner.positions]
        names = [name for name, _, isolated in held if not isolated]
        assert len(held) == 5
        assert sum(isolated for *_, isolated in held) == 1
        assert INVERSE in names
        assert any(names.count(name) == 2 for name in names)  # the hedge
        assert {*engine.book.contracts} == {*list(NAMES)[:contracts], INVERSE}
        began_ms = engine.now_ms
        for _ in range(6):
            assert min(free_cash(engine.book).values()) > 0
            await engine.play(10)
        first_ms, fill = engine.fills[0]
        assert first_ms - began_ms <= 60_000
        assert fill.isolated
        assert fill.rank <= 10

    asyncio.run(go())


def test_a_demo_that_ends_says_so() -> None:
    engine = Clocked(DemoSize(10, 100, 4, speed=1_000_000, ends=True))
    finished: list[bool] = []

    async def go() -> None:
        await engine.crash.open_market()
        engine.crash.on_finished = lambda: finished.append(engine.crash.is_finished)
        engine.crash.second = engine.crash._crash.path.seconds + 28
        await engine.crash.run()

    asyncio.run(go())
    assert finished == [True]
