"""Workloads of one rule set each, in which its pools have a deficit again and again."""

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from effects import apply
from model import SIDES, Contract, Model, other, sign
from random_market import RandomMarket, text
from workload import Move, Workload

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Event, Side

NAMES = ("XRP", "BTC-PERP", "BTCUSDT")
"""Contract names, among them some that venues treat specially."""

SCALES = (1, 1_000)
"""Sizes of markets; some triggers need a drawdown of at least 50,000 units."""


class VenueMarket(RandomMarket):
    """A market in which wallets are as large as positions."""

    def balance(self, asset: str) -> str:
        return text(Fraction(super().balance(asset)) * self.scale)


class VenueWorkload(Workload):
    """One rule set, few contracts, many positions, and takeovers at which pools lose."""

    def __init__(self, rules: str, seed: int) -> None:
        super().__init__(seed)
        self.random = random.Random(f"{rules} {seed}")
        self.market = VenueMarket(
            self.random,
            scale=SCALES[seed % len(SCALES)],
            coarse=seed % 4 == 2,
            rules=(rules,),
            names=NAMES,
        )
        self._open(f"{rules} {seed}")

    def _draws(self) -> dict[Callable[[Model], m.Command], int]:
        return super()._draws() | {
            self._positions: 30,
            self._takeover: 24,
            self._fund: 3,
            self._clear: 4,
            self._late_snapshot: 3,
            self._move: 1,
            self._account: 1,
        }

    def _some_accounts(self) -> list[str]:
        return self.random.sample(self.market.accounts, self.random.randint(1, 5))

    def _takeover(self, model: Model) -> m.Command:
        """Return the takeover of mostly one position, often at a price too good for the account."""
        held = [
            (contract, side, account)
            for contract in model.contracts.values()
            for side in SIDES
            for account, _ in contract.positions[side]
            if contract.mark
        ]
        if not held or self.random.random() < 0.3:
            return super()._takeover(model)
        contract, side, account = self.random.choice(held)
        return m.Takeover(
            time_ms=self.time_ms,
            account=account,
            contract=contract.name,
            side=side,
            price=self._too_good(contract, side) if self.random.random() < 0.7 else None,
        )

    def _clear(self, model: Model) -> m.Command:
        """Return the unwinding of all inventory of one contract, far from the mark."""
        held = [
            (contract, side)
            for contract in model.contracts.values()
            for side in SIDES
            if contract.has_inventory and contract.inventory(side)[0]
        ]
        if not held:
            return self._marks(model)
        chosen = self.random.choice(held)[0]
        fills = [
            m.UnwindFill(
                time_ms=self.time_ms,
                contract=chosen.name,
                side=side,
                quantity=text(chosen.inventory(side)[0] * chosen.lot),
                price=self._too_good(chosen, other(side)),
            )
            for contract, side in held
            if contract is chosen
        ]
        self.opening += map(Move, fills[1:])
        return fills[0]

    def _too_good(self, contract: Contract, side: Side) -> str:
        beyond = self.random.choice([0.01, 0.1, 0.3])
        ticks = round(contract.mark * (1 + sign(side) * beyond))
        return text(contract.on_tick(ticks, up=False) * contract.tick)


@dataclass
class RecordedSession:
    """The commands of a session, and the events of each."""

    rules: str
    commands: list[m.Command] = field(default_factory=list)
    events: list[tuple[Event, ...]] = field(default_factory=list)


@functools.lru_cache(maxsize=200)
def recorded_session(rules: str, seed: int, length: int) -> RecordedSession:
    """Run a workload; `apply` checks that each event conserves money and lots."""
    workload, session = VenueWorkload(rules, seed), RecordedSession(rules)
    model, book = Model(), Book()
    for _ in range(length):
        command = workload.next(model).command
        events = step(book, command)
        for event in events:
            apply(model, event)
        session.commands.append(command)
        session.events.append(events)
    return session
