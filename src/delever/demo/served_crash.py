"""A crash in real time, for a server with the APIs of several venues.

One second of the crash per second (times `speed`), stamped by the server's clock: the fall, ADL,
the operator's injections and the recovery; afterwards marks still move a little, so that streams
continue, or the crash is over. It begins so that the demo's account is closed within a minute.
Besides the linear contracts of the crash, which have real symbols, there is an inverse one, BTCUSD,
which falls with the largest of them, so that every venue's API has contracts to list.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from delever.config import Role
from delever.core.book import Book
from delever.core.messages import (
    BalanceRow,
    Command,
    ContractKind,
    DefineAccount,
    DefineContract,
    DefinePool,
    Event,
    FundingReason,
    FundPool,
    PoolKind,
    PositionRow,
    RefreshIndicators,
    RefreshRatings,
    Rejected,
    SetBalances,
    SetDepth,
    SetMarks,
    SetPositions,
    Side,
)
from delever.core.units import div_floor
from delever.demo.crash_generator import (
    RULES,
    START_MS,
    Crash,
    depth_generator,
    draw_crash,
    market_commands,
    opening_commands,
    operator_commands,
)
from delever.demo.demo_account import (
    DEMO,
    LEAD_S,
    PEER,
    demo_commands,
    demo_fill,
    demo_positions,
    first_fill,
    with_real_names,
)

COMMANDS_PER_SUBMISSION = 2_000
AFTER_S = 30
"""Seconds of calm after a crash that ends."""

INVERSE = "BTCUSD"
INVERSE_START = 60_000
INVERSE_USD = 5_000
INVERSE_POSITIONS = 24
"""Assumed: accounts with the inverse contract on each side, at leverages from 3 up."""

TRADER, RISK_DESK, ENGINE = "demo-trader", "demo-desk", "demo-engine"
SECRET = "demo-secret"  # noqa: S105 - printed to every user; a demo holds nobody's money

AnswerT = TypeVar("AnswerT")

Submit = Callable[[Sequence[Command]], Awaitable[Sequence[Sequence[Event]]]]
"""Submits commands, stamped with the time of the server, and returns their events."""


class Read(Protocol):
    """A reader of the engine's book."""

    async def __call__(self, question: Callable[[Book], AnswerT], /) -> AnswerT:
        """Return a function of the book, called between two commits."""
        ...


@dataclass(frozen=True, slots=True)
class DemoSize:
    """Seed and size of a crash, how fast it runs, and whether it ends."""

    seed: int = 10
    accounts: int = 2_000
    contracts: int = 8
    speed: int = 1
    ends: bool = False


@dataclass(frozen=True, slots=True)
class DemoKey:
    """An API key of the demo, with SECRET as secret and passphrase."""

    id: str
    roles: frozenset[Role]
    accounts: tuple[str, ...] = ()


class ServedCrash:
    """Runs a crash on the engine of a server; raises ValueError for too small a market."""

    def __init__(self, size: DemoSize, submit: Submit, read: Read) -> None:
        self._size = size
        self._submit = submit
        self._read = read
        self._crash = with_real_names(draw_crash(size.seed, size.accounts, size.contracts))
        self._opening, self.second = self._rehearse()
        self.is_finished = False
        self.on_finished: Callable[[], None] = lambda: None

    def _rehearse(self) -> tuple[list[Command], int]:
        """Return the opening with the demo's account, and the second in which to begin.

        The crash is run on a book of its own: the demo's isolated position is in the contract whose
        ADL starts first, and the demo begins LEAD_S before that position is closed.
        """
        crash, depth = self._crash, depth_generator(self._size.seed)

        def second(number: int) -> list[Command]:
            return [*market_commands(crash, number, depth), *_inverse_market(crash, number, 0)]

        market = [*opening_commands(crash), *_inverse_opening(crash)]
        found = first_fill(market, second)
        names = [contract.name for contract in crash.contracts]
        is_linear = found is not None and found[1].contract in names
        isolated = names.index(found[1].contract) if found is not None and is_linear else -1
        positions = list(demo_positions(crash, isolated % len(names)))
        opening = [*market, *demo_commands(positions, tuple(_inverse_rows()))]
        depth = depth_generator(self._size.seed)
        closed = demo_fill(opening, second)
        return opening, max(0, (LEAD_S if closed is None else closed) - LEAD_S)

    async def open_market(self) -> tuple[DemoKey, ...]:
        """Submit the opening, and return the API keys of the demo."""
        commands = self._opening
        for begin in range(0, len(commands), COMMANDS_PER_SUBMISSION):
            await self._submit_valid(commands[begin : begin + COMMANDS_PER_SUBMISSION])
        refreshes = [RefreshRatings(time_ms=START_MS), RefreshIndicators(time_ms=START_MS)]
        await self._submit_valid(refreshes)
        return (
            DemoKey(TRADER, frozenset({Role.TRADE_ACCOUNT}), (DEMO,)),
            DemoKey(RISK_DESK, frozenset({Role.READ})),
            DemoKey(ENGINE, frozenset({Role.READ, Role.INGEST, Role.OPERATE})),
        )

    async def run(self) -> None:
        """Run the crash second by second, then a calm market, until cancelled or its end."""
        depth = depth_generator(self._size.seed)
        last = self._crash.path.seconds + AFTER_S
        while not self._size.ends or self.second < last:
            await self._submit_valid(await self._next_second(depth))
            self.second += 1
            await asyncio.sleep(1 / self._size.speed)
        self.is_finished = True
        self.on_finished()

    async def _next_second(self, depth: np.random.Generator) -> list[Command]:
        """Return the commands of the next second."""
        crash = self._crash
        second = min(self.second, crash.path.seconds - 1)
        commands: list[Command] = list(market_commands(crash, second, depth))
        commands += _inverse_market(crash, second, nudge=self.second % 3)
        if self.second < crash.path.seconds:
            commands += await self._read(lambda book: list(operator_commands(book, crash, second)))
        return commands

    async def _submit_valid(self, commands: Sequence[Command]) -> None:
        for events in await self._submit(commands):
            if isinstance(events[0], Rejected):
                raise TypeError(f"the generator made an invalid command: {events[0]}")


# --- the inverse contract ---


def _inverse_opening(crash: Crash) -> Iterator[Command]:
    """Yield the commands for the inverse contract, its pool, and a short for each long."""
    time_ms = START_MS
    yield DefinePool(
        time_ms=time_ms,
        pool="inverse",
        kind=PoolKind.ISOLATED,
        asset="BTC",
        rules=RULES,
        managed=True,
    )
    yield DefineContract(
        time_ms=time_ms,
        contract=INVERSE,
        kind=ContractKind.INVERSE,
        settle="BTC",
        pool="inverse",
        tick_size="0.5",
        lot_size=1,
    )
    yield FundPool(time_ms=time_ms, pool="inverse", amount=2, reason=FundingReason.SEED)
    yield SetMarks(time_ms=time_ms, marks={INVERSE: INVERSE_START})
    numbers = range(INVERSE_POSITIONS)
    names = [name for number in numbers for name in (f"long{number}", f"short{number}")]
    for name in names:
        yield DefineAccount(time_ms=time_ms, account=name)
    balances = tuple(BalanceRow(account=name, asset="BTC", balance="0.5") for name in names)
    yield SetBalances(time_ms=time_ms, version=1, balances=balances)
    yield SetPositions(time_ms=time_ms, version=1, positions=tuple(_inverse_positions(names)))
    yield from _inverse_market(crash, 0, nudge=0)


def _inverse_positions(names: Iterable[str]) -> Iterator[PositionRow]:
    """Yield positions of 90,000 USD and more on half a bitcoin: leverage 3 to 11."""
    for index, name in enumerate(names):
        yield PositionRow(
            account=name,
            contract=INVERSE,
            side=Side.SHORT if index % 2 else Side.LONG,
            quantity=90_000 + 10_000 * div_floor(index, 2),
            entry_price=INVERSE_START,
            leverage=10,
        )


def _inverse_rows() -> Iterator[PositionRow]:
    """Yield the demo's inverse short, and its other side."""
    for account, side in ((DEMO, Side.SHORT), (PEER, Side.LONG)):
        yield PositionRow(
            account=account,
            contract=INVERSE,
            side=side,
            quantity=INVERSE_USD,
            entry_price=INVERSE_START,
            leverage=5,
        )


def _inverse_market(crash: Crash, second: int, nudge: int) -> Iterator[Command]:
    """Yield mark and order book of the inverse contract, which falls as the largest one does."""
    time_ms = START_MS + 1000 * second
    largest = crash.contracts[0]
    mark = int(crash.path.marks[second, 0])
    halves = div_floor(2 * INVERSE_START * mark, largest.start_ticks) + nudge
    quantity = 2_000_000 if crash.path.liquidity[second] > 0.5 else 20_000
    yield SetMarks(time_ms=time_ms, marks={INVERSE: _price(halves)})
    yield SetDepth(
        time_ms=time_ms,
        contract=INVERSE,
        bids=((_price(halves - 2), quantity),),
        asks=((_price(halves + 2), quantity),),
    )


def _price(halves: int) -> str:
    whole, half = divmod(halves, 2)
    return f"{whole}.5" if half else str(whole)
