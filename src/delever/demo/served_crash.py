"""A crash in real time, for a server with the APIs of several venues.

One second of the crash per second (times `speed`), stamped by the server's clock: a calm market,
the fall, ADL, the operator's injections and the recovery; afterwards marks still move a little, so
that streams continue. Besides the linear contracts of the crash there is an inverse one, BTCUSD,
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
from delever.core.rules import rule_set_of
from delever.core.rules.ranking import rank_side
from delever.core.units import div_floor
from delever.core.valuation.side_valuation import value_side
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

COMMANDS_PER_SUBMISSION = 2_000

INVERSE = "BTCUSD"
INVERSE_START = 60_000
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
    """Seed and size of a crash, and how fast it runs."""

    seed: int = 10
    accounts: int = 2_000
    contracts: int = 8
    speed: int = 1


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
        self._crash = draw_crash(size.seed, size.accounts, size.contracts)
        self.second = 0

    async def open_market(self) -> tuple[DemoKey, ...]:
        """Submit the opening, and return the API keys of the demo.

        The trader's key is for the account that the crash deleverages first.
        """
        commands = [*opening_commands(self._crash), *_inverse_opening(self._crash)]
        for begin in range(0, len(commands), COMMANDS_PER_SUBMISSION):
            await self._submit_valid(commands[begin : begin + COMMANDS_PER_SUBMISSION])
        refreshes = [RefreshRatings(time_ms=START_MS), RefreshIndicators(time_ms=START_MS)]
        await self._submit_valid(refreshes)
        account = await self._read(_first_short_of_largest_contract)
        return (
            DemoKey(TRADER, frozenset({Role.TRADE_ACCOUNT}), (account,)),
            DemoKey(RISK_DESK, frozenset({Role.READ})),
            DemoKey(ENGINE, frozenset({Role.READ, Role.INGEST, Role.OPERATE})),
        )

    async def run(self) -> None:
        """Run the crash second by second, then a calm market, until cancelled."""
        depth = depth_generator(self._size.seed)
        while True:
            await self._submit_valid(await self._next_second(depth))
            self.second += 1
            await asyncio.sleep(1 / self._size.speed)

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


def _first_short_of_largest_contract(book: Book) -> str:
    state = next(iter(book.contracts.values()))
    queue = rank_side(value_side(book, state, Side.SHORT), rule_set_of(book, state).ranking)
    return book.accounts.names[int(queue.valuation.account[queue.order[0]])]


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
