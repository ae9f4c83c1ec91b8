"""Workloads of one venue each, in which its pools fall short again and again; played and kept."""

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from effects import apply
from market import Market, opening, text
from model import SIDES, Contract, Model, other, sign
from workload import Move, Workload

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Event, Side

NAMES = ("XRP", "BTC-PERP", "BTCUSDT")
"""With contracts among them that some venues treat in their own way."""

SCALES = (1, 1_000)
"""Some venues look at falls only from 50,000 units on."""


class Arena(Market):
    """A market in which wallets are as large as positions."""

    def balance(self, asset: str) -> str:
        return text(Fraction(super().balance(asset)) * self.scale)


class Siege(Workload):
    """One rule set, few contracts, many positions, and takeovers at which the pools lose."""

    def __init__(self, rules: str, seed: int) -> None:
        super().__init__(seed)
        self.random = random.Random(f"{rules} {seed}")
        self.market = Arena(
            self.random,
            scale=SCALES[seed % len(SCALES)],
            coarse=seed % 4 == 2,
            rules=(rules,),
            names=NAMES,
        )
        self.opening = [Move(command) for command in opening(self.market)]

    def _makers(self) -> dict[Callable[[Model], m.Command], int]:
        return super()._makers() | {
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
        """Mostly one position, often at a price that is too good for the account."""
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
        """The market takes all inventory of one contract, far from the mark."""
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
        return text(max(ticks, 1) * contract.tick)


@dataclass
class Played:
    """A session: its commands, and the events of each."""

    rules: str
    commands: list[m.Command] = field(default_factory=list)
    events: list[tuple[Event, ...]] = field(default_factory=list)


@functools.lru_cache(maxsize=200)
def played(rules: str, seed: int, length: int) -> Played:
    """Play a session; money and lots are conserved by each event (`apply` sees to it)."""
    siege, model, book, kept = Siege(rules, seed), Model(), Book(), Played(rules)
    for _ in range(length):
        command = siege.next(model).command
        events = step(book, command)
        for event in events:
            apply(model, event)
        kept.commands.append(command)
        kept.events.append(events)
    return kept
