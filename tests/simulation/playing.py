"""Plays moves through the engine under audit, and cuts a failing session down to what it needs."""

from collections.abc import Callable, Iterable

import msgspec
from admission import answer
from auditor import Auditor, too_large
from model import SIDES, AuditError, Model, Position, expect, same
from takeovers import OutOfRoomError
from workload import Move, Workload

from delever.core import messages as m
from delever.core.accounting.invariants import InvariantBrokenError, audit
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Event, Reason
from delever.journal.snapshot import encode_book

ATTEMPTS = 300
NO_CHANGES = msgspec.msgpack.encode([])

Engine = Callable[[Book, m.Command], tuple[Event, ...]]
Played = list[tuple[Move, tuple[Event, ...]]]

BROKEN = (AssertionError, InvariantBrokenError, ArithmeticError)
"""How a session fails: the audit, the engine's own invariants, a number out of range."""


class Session:
    """One book, judged step by step; `mirror` is rebuilt from the events alone."""

    def __init__(self, *, vast: bool = False, engine: Engine = step) -> None:
        self.book, self.mirror = Book(), Book()
        self.auditor = Auditor(vast=vast)
        self._engine = engine

    def play(self, move: Move) -> tuple[Event, ...]:
        """Run one command and judge it by every means."""
        foreseen = move.fault or answer(self.auditor.model, move.command)
        before = self._frozen() if isinstance(foreseen, Reason) else b""
        events = self._engine(self.book, move.command)
        if before or too_large(events):
            expect(not before or before == self._frozen(), "a rejected command changed something")
            same("changes of a rejected command", self.book.take_changes(), NO_CHANGES)
        self.auditor.check(move.command, events, move.fault)
        audit(self.book)
        compare(self.auditor.model, self.book)
        for event in events:
            self.mirror.apply(event)
        same("changes", self.book.take_changes(), self.mirror.take_changes())
        msgspec.msgpack.encode(events)  # what does not fit, a journal could not keep
        return events

    def _frozen(self) -> bytes:
        """The whole book but for its sequence, which a refusal moves on too."""
        sequence, self.book.sequence = self.book.sequence, 0
        frozen = encode_book(self.book)
        self.book.sequence = sequence
        return frozen


def compare(model: Model, book: Book) -> None:
    """Raise unless the engine's book holds what the model holds."""
    names = book.accounts.names
    for asset, state in book.assets.items():
        balances = zip(names, state.wallets.balance.tolist(), strict=False)
        found = {name: cash for name, cash in balances if cash}
        right = {name: c for (name, a), c in model.wallets.items() if a == asset and c}
        same(f"wallets in {asset}", found, right)
        same(f"fees in {asset}", state.fees, 0)
    same(
        "pools",
        {n: p.balance for n, p in book.pools.items()},
        {n: p.balance for n, p in model.pools.items()},
    )
    for name, contract in model.contracts.items():
        held = book.contracts[name]
        numbers = (held.mark, held.previous_mark, held.realized, held.injected, held.pool)
        right_numbers = (
            contract.mark,
            contract.previous_mark,
            contract.realized,
            contract.injected,
            contract.pool,
        )
        same(f"numbers of {name}", numbers, right_numbers)
        same(f"ADL of {name}", list(held.active), list(contract.active))
        for side in SIDES:
            table = held.tables[side]
            found_positions = {
                (names[account], number): Position(
                    int(table.lots[row]),
                    int(table.cost[row]),
                    int(table.margin[row]),
                    bool(table.isolated[row]),
                    int(table.leverage[row]),
                    bool(table.under_liquidation[row]),
                )
                for row, (account, number) in enumerate(table.pairs())
            }
            same(f"positions of {name} {side}", found_positions, contract.positions[side])
            tranches = {
                n: (p.account, p.lots, p.cost, p.price_ticks)
                for n, p in held.inventory[side].tranches.items()
            }
            right_parcels = {
                n: (p.account, p.lots, p.cost, p.ticks) for n, p in contract.tranches[side].items()
            }
            same(f"inventory of {name} {side}", list(tranches.items()), list(right_parcels.items()))


def play_seed(seed: int, length: int, *, scale: int = 1, engine: Engine = step) -> Played:
    """Play a seeded workload; raise with the shortest session found that fails."""

    def begin() -> Session:
        return Session(vast=scale > 1, engine=engine)

    workload, session, played = Workload(seed, scale=scale), begin(), Played()
    for number in range(length):
        move = workload.next(session.auditor.model)
        try:
            played.append((move, session.play(move)))
        except OutOfRoomError:
            break
        except BROKEN as error:
            moves = [*(before for before, _ in played), move]
            short = shorten(moves, begin)
            raise AuditError(
                f"seed {seed}, step {number}: {error}\n"
                f"{len(short)} of {len(moves)} commands do it:\n{shown(short)}"
            ) from error
    return played


def fails(moves: Iterable[Move], begin: Callable[[], Session]) -> bool:
    """Whether the last of these moves, and none before it, breaks the engine."""
    session, moves = begin(), list(moves)
    for move in moves:
        try:
            session.play(move)
        except OutOfRoomError:
            return False
        except BROKEN:
            return move is moves[-1]
    return False


def shorten(moves: list[Move], begin: Callable[[], Session]) -> list[Move]:
    """Leave out ever smaller parts for as long as the last command still fails."""
    kept, part, attempts = moves, len(moves) // 2, 0
    while part and attempts < ATTEMPTS:
        start = 0
        while start < len(kept) - 1 and attempts < ATTEMPTS:
            attempts += 1
            fewer = kept[:start] + kept[min(start + part, len(kept) - 1) :]
            if fails(fewer, begin):
                kept = fewer
            else:
                start += part
        part //= 2
    return kept


def shown(moves: Iterable[Move]) -> str:
    """Commands as lines of a scenario."""
    return "\n".join(msgspec.json.encode(move.command).decode() for move in moves)


def replayed(moves: Iterable[Move]) -> list[bytes]:
    """The events of each command, on a new book, in one form."""
    book = Book()
    return [msgspec.json.encode(step(book, move.command)) for move in moves]


def kinds_of(played: Played) -> set[str]:
    """What has happened in a session: events, refusals, triggers, prices, skips."""
    kinds: set[str] = set()
    for _, events in played:
        for event in events:
            kinds.add(event.__struct_config__.tag or "")
            match event:
                case m.Rejected() | m.CounterpartySkipped() | m.AdlExhausted():
                    kinds.add(str(event.reason))
                case m.AdlStarted():
                    kinds.add(event.trigger)
                case m.AdlFilled():
                    kinds.add(event.price_rule)
                case m.PoolDefined(definition=pool):
                    kinds |= {pool.rules, str(pool.kind)}
                case _:
                    pass
    return kinds
