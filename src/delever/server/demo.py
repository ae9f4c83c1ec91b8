"""The crash of the demonstration, played in real time into a served engine.

One second of the crash a second (times `speed`), stamped by the server's own clock: first a calm
market, then the fall, ADL, the rescue and the recovery; afterwards marks keep moving a little, so
that streams go on. Beside the crash's linear contracts stands one inverse contract, BTCUSD, that
falls along, so that every venue's API has something to show.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
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
from delever.demo.simulation import Crash, draw, market, opening, operator
from delever.journal import JournalError
from delever.server.engine.runner import NOW, DuplicateIdError, Runner
from delever.server.transport.api_keys import ApiKey, Keyring

BATCH = 2_000
"""Commands of one submission while the book is told."""

INVERSE = "BTCUSD"
INVERSE_START = 60_000
INVERSE_HOLDERS = 24
"""Assumed: as many accounts hold the inverse contract on each side, at leverages from 3 up."""

TRADER, RISK_DESK, ENGINE = "demo-trader", "demo-desk", "demo-engine"
SECRET = "demo-secret"  # noqa: S105 - printed for all to see; the demo holds nobody's money


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the demonstration is, and how fast it plays."""

    seed: int = 10
    accounts: int = 2_000
    contracts: int = 8
    speed: int = 1


class Demo:
    """Plays a crash into a runner; `keys` are granted once the book is told.

    Raises JournalError where the journal has records, ValueError for a scale of no market.
    """

    def __init__(self, runner: Runner, keyring: Keyring, scale: Scale) -> None:
        self._runner = runner
        self._keyring = keyring
        self._scale = scale
        self._crash = draw(scale.seed, scale.accounts, scale.contracts)
        if runner.market_snapshot.sequence:
            where = runner.journal_path
            raise JournalError(f"{where}: the demonstration needs a journal of its own")
        self.second = 0

    async def prepare(self) -> None:
        """Tell the engine who holds what, and let the demonstration's keys in."""
        told = [*opening(self._crash), *_inverse_opening(self._crash)]
        for begin in range(0, len(told), BATCH):
            await self._submit(told[begin : begin + BATCH])
        await self._submit([RefreshRatings(time_ms=NOW), RefreshIndicators(time_ms=NOW)])
        account = await self._runner.read(self._next_to_be_closed)
        self._grant(TRADER, frozenset({Role.TRADE_ACCOUNT}), (account,))
        self._grant(RISK_DESK, frozenset({Role.READ}), ())
        self._grant(ENGINE, frozenset({Role.READ, Role.INGEST, Role.OPERATE}), ())

    def _next_to_be_closed(self, book: Book) -> str:
        """Return who stands first among the shorts of the largest contract: the crash closes it."""
        state = next(iter(book.contracts.values()))
        queue = rank_side(value_side(book, state, Side.SHORT), rule_set_of(book, state).ranking)
        return book.accounts.names[int(queue.valuation.account[queue.order[0]])]

    def _grant(self, key_id: str, roles: frozenset[Role], accounts: tuple[str, ...]) -> None:
        self._keyring.add(
            ApiKey(key_id, roles, accounts, SECRET.encode(), _passphrase=SECRET.encode())
        )

    async def play(self) -> None:
        """Play the crash a second at a time, then a calm market, until cancelled."""
        depth = np.random.default_rng([self._scale.seed, 1])
        while True:
            await self._submit(await self._second(depth))
            self.second += 1
            await asyncio.sleep(1 / self._scale.speed)

    async def _second(self, depth: np.random.Generator) -> list[Command]:
        """Return what happens in the next second."""
        crash = self._crash
        second = min(self.second, crash.path.seconds - 1)
        told: list[Command] = list(market(crash, second, depth))
        told += _inverse_second(crash, second, nudge=self.second % 3)
        if self.second < crash.path.seconds:
            rescue = await self._runner.read(lambda book: list(operator(book, crash, second)))
            told += rescue
        return told

    async def _submit(self, commands: Sequence[Command]) -> None:
        timed = [msgspec.structs.replace(command, time_ms=NOW) for command in commands]
        for outcome in await self._runner.submit(timed):
            if isinstance(outcome, DuplicateIdError):
                raise outcome
            if isinstance(outcome.committed.events[0], Rejected):
                raise TypeError(f"the crash was drawn wrongly: {outcome.committed.events[0]}")


# --- the inverse contract ---


def _inverse_opening(crash: Crash) -> Iterator[Command]:
    """Yield the inverse contract, its pool, and who holds it: each long stands against a short."""
    yield DefinePool(
        time_ms=NOW,
        pool="inverse",
        kind=PoolKind.ISOLATED,
        asset="BTC",
        rules="bybit",
        managed=True,
    )
    yield DefineContract(
        time_ms=NOW,
        contract=INVERSE,
        kind=ContractKind.INVERSE,
        settle="BTC",
        pool="inverse",
        tick_size="0.5",
        lot_size=1,
    )
    yield FundPool(time_ms=NOW, pool="inverse", amount=2, reason=FundingReason.SEED)
    yield SetMarks(time_ms=NOW, marks={INVERSE: INVERSE_START})
    names = [name for place in range(INVERSE_HOLDERS) for name in (f"long{place}", f"short{place}")]
    for name in names:
        yield DefineAccount(time_ms=NOW, account=name)
    balances = tuple(BalanceRow(account=name, asset="BTC", balance="0.5") for name in names)
    yield SetBalances(time_ms=NOW, version=1, balances=balances)
    yield SetPositions(time_ms=NOW, version=1, positions=tuple(_inverse_positions(names)))
    yield from _inverse_second(crash, 0, nudge=0)


def _inverse_positions(names: Iterable[str]) -> Iterator[PositionRow]:
    """Yield positions of 90,000 USD and up on half a bitcoin: leverage 3 to 11."""
    for place, name in enumerate(names):
        yield PositionRow(
            account=name,
            contract=INVERSE,
            side=Side.SHORT if place % 2 else Side.LONG,
            quantity=90_000 + 10_000 * div_floor(place, 2),
            entry_price=INVERSE_START,
            leverage=10,
        )


def _inverse_second(crash: Crash, second: int, nudge: int) -> Iterator[Command]:
    """Yield the inverse contract's mark, which falls as the largest contract does, and depth."""
    largest = crash.contracts[0]
    mark = int(crash.path.marks[second, 0])
    halves = div_floor(2 * INVERSE_START * mark, largest.start_ticks) + nudge
    deep = 2_000_000 if crash.path.liquidity[second] > 0.5 else 20_000
    yield SetMarks(time_ms=NOW, marks={INVERSE: _price(halves)})
    yield SetDepth(
        time_ms=NOW,
        contract=INVERSE,
        bids=((_price(halves - 2), deep),),
        asks=((_price(halves + 2), deep),),
    )


def _price(halves: int) -> str:
    whole, half = divmod(halves, 2)
    return f"{whole}.5" if half else str(whole)
