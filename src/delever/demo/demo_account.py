"""The account of the served demo: positions of every kind, one of which the crash closes early.

It is in hedge mode and has a linear short across, a hedge, an isolated short and an inverse short,
all small. `PEER` has the other side of each, with money that no crash exhausts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import (
    AdlFilled,
    BalanceRow,
    Command,
    DefineAccount,
    PositionRow,
    SetBalances,
    SetPositions,
    Side,
)
from delever.core.units import div_floor
from delever.demo.crash_generator import ASSET, START_MS, Crash
from delever.demo.synthetic_market import CASH_PER_LOT_TICK, UNIT, SyntheticContract

DEMO, PEER = "demo", "demo-peer"

NAMES = {
    "BTCUSDT": 4,
    "ETHUSDT": 3,
    "SOLUSDT": 2,
    "BNBUSDT": 2,
    "XRPUSDT": 0,
    "DOGEUSDT": -1,
    "AVAXUSDT": 1,
    "LINKUSDT": 1,
    "LTCUSDT": 1,
    "ADAUSDT": -1,
    "TRXUSDT": -1,
    "BCHUSDT": 2,
}
"""Symbols of the demo's contracts, the largest first, with the power of ten of their prices."""

USD = 5_000
"""The notional of each of the demo's positions, in dollars, at the start."""

ENTRY_PERCENT = 150
"""Entry of the isolated short, in percent of the start price: it is first in the queue."""

LEAD_S = 40
"""Seconds of the crash before the demo's isolated position is closed."""

MAX_SECONDS = 400
"""The crash is searched for that second only so far."""


def with_real_names(crash: Crash) -> Crash:
    """Return a crash with the symbols of real contracts; further contracts stay as they are.

    A contract's price moves by powers of ten, its notionals stay.
    """
    listed = zip(crash.contracts, NAMES.items(), strict=False)
    named = tuple(
        replace(contract, name=name, decade=decade) for contract, (name, decade) in listed
    )
    return replace(crash, contracts=(*named, *crash.contracts[len(named) :]))


@dataclass(frozen=True, slots=True)
class DemoPosition:
    """One position of the demo, in lots of a contract, and its entry in ticks."""

    contract: SyntheticContract
    side: Side
    lots: int
    entry_ticks: int
    isolated: bool = False

    def row(self, account: str, side: Side, *, isolated: bool) -> PositionRow:
        """Return the position of an account on a side."""
        value_cash = self.lots * self.entry_ticks * CASH_PER_LOT_TICK
        margin = f"{div_floor(value_cash, 20 * UNIT)}.01" if isolated else None
        return PositionRow(
            account=account,
            contract=self.contract.name,
            side=side,
            quantity=self.contract.quantity(self.lots),
            entry_price=self.contract.price(self.entry_ticks),
            isolated_margin=margin,
            leverage=20 if isolated else 10,
        )


def demo_positions(crash: Crash, isolated: int) -> Iterator[DemoPosition]:
    """Yield the demo's linear positions; the isolated one in the contract of an index."""
    others = [c for index, c in enumerate(crash.contracts) if index != isolated]
    yield _position(others[0], Side.SHORT, 1)
    yield _position(others[1], Side.LONG, 1)
    yield _position(others[1], Side.SHORT, 2)
    chosen = crash.contracts[isolated]
    entry = div_floor(chosen.start_ticks * ENTRY_PERCENT, 100)
    yield replace(_position(chosen, Side.SHORT, 1), entry_ticks=entry, isolated=True)


def _position(contract: SyntheticContract, side: Side, times: int) -> DemoPosition:
    lots = div_floor(times * USD * UNIT, contract.start_ticks * CASH_PER_LOT_TICK)
    return DemoPosition(contract, side, max(lots, 1), contract.start_ticks)


def demo_commands(
    positions: Sequence[DemoPosition], inverse: Sequence[PositionRow]
) -> Iterator[Command]:
    """Yield the demo's accounts, balances and positions; `inverse` are its inverse ones."""
    time_ms = START_MS
    for account in (DEMO, PEER):
        yield DefineAccount(
            time_ms=time_ms, account=account, hedge_mode=True, adl_exempt=account == PEER
        )
    amounts = {(DEMO, ASSET): "6000", (DEMO, "BTC"): "0.1"}
    amounts |= {(PEER, ASSET): "10000000", (PEER, "BTC"): "100"}
    balances = [
        BalanceRow(account=account, asset=asset, balance=amount)
        for (account, asset), amount in amounts.items()
    ]
    yield SetBalances(time_ms=time_ms, version=1, balances=tuple(balances))
    rows = [position.row(DEMO, position.side, isolated=position.isolated) for position in positions]
    rows += [position.row(PEER, position.side.opposite, isolated=False) for position in positions]
    yield SetPositions(time_ms=time_ms, version=1, positions=(*rows, *inverse))


Second = Callable[[int], Sequence[Command]]
"""The commands of a second of the crash."""


def first_fill(opening: Sequence[Command], second: Second) -> tuple[int, AdlFilled] | None:
    """Return the second and the event of the first ADL fill of a crash, or None."""
    return _find_fill(opening, second, lambda _: True)


def demo_fill(opening: Sequence[Command], second: Second) -> int | None:
    """Return the second in which the demo's position is closed, or None."""
    found = _find_fill(opening, second, lambda fill: fill.account == DEMO)
    return None if found is None else found[0]


def _find_fill(
    opening: Sequence[Command], second: Second, is_wanted: Callable[[AdlFilled], bool]
) -> tuple[int, AdlFilled] | None:
    """Run a crash on a book of its own until a wanted ADL fill."""
    book = Book()
    for command in opening:
        step(book, command)
    for number in range(MAX_SECONDS):
        for command in second(number):
            for event in step(book, command):
                if isinstance(event, AdlFilled) and is_wanted(event):
                    return number, event
    return None
