"""Run moves through the engine under audit, and shrink a failing session."""

import itertools
from collections.abc import Callable, Iterable

import msgspec
from auditor import Auditor, has_fault_of_plan, too_large
from command_oracle import answer
from model import SIDES, AuditError, Model, Position, expect, same
from takeover_audit import PoolRangeError
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
SessionEvents = list[tuple[Move, tuple[Event, ...]]]

BROKEN = (AssertionError, InvariantBrokenError, ArithmeticError)
"""How a session fails: by the audit, the engine's own invariants, or a number out of range."""


class Session:
    """One book, checked step by step; `mirror` is built from the events alone."""

    def __init__(self, *, vast: bool = False, engine: Engine = step) -> None:
        self.book, self.mirror = Book(), Book()
        self.auditor = Auditor(vast=vast)
        self._engine = engine

    def run(self, move: Move) -> tuple[Event, ...]:
        """Run one command and check its events, the book, its changes and the mirror."""
        expected = move.fault or answer(self.auditor.model, move.command)
        before = self._frozen() if isinstance(expected, Reason) else b""
        events = self._engine(self.book, move.command)
        disproved = isinstance(move.command, m.AllocateAdl) and has_fault_of_plan(events)
        if before or too_large(events) or disproved:
            expect(not before or before == self._frozen(), "a rejected command changed something")
            same("changes of a rejected command", self.book.take_changes(), NO_CHANGES)
        self.auditor.check(move.command, events, move.fault)
        audit(self.book)
        compare(self.auditor.model, self.book)
        for event in events:
            self.mirror.apply(event)
        same("changes", self.book.take_changes(), self.mirror.take_changes())
        msgspec.msgpack.encode(events)  # the journal must be able to store it
        return events

    def _frozen(self) -> bytes:
        """Return the whole book without its sequence, which a rejection increments too."""
        sequence, self.book.sequence = self.book.sequence, 0
        frozen = encode_book(self.book)
        self.book.sequence = sequence
        return frozen


def compare(model: Model, book: Book) -> None:
    """Check that the engine's book equals the model."""
    names = book.accounts.names
    for asset, state in book.assets.items():
        balances = zip(names, state.wallets.balance.tolist(), strict=False)
        found = {name: cash for name, cash in balances if cash}
        right = {name: c for (name, a), c in model.wallets.items() if a == asset and c}
        same(f"wallets in {asset}", found, right)
        submitted = {
            name: margin
            for row, name in enumerate(names)
            if (margin := state.wallets.margins.margin_of(row))
        }
        right_margins = {
            account: (margin.equity, margin.maintenance)
            for (account, each), margin in model.margins.items()
            if each == asset and margin.equity is not None
        }
        same(f"submitted margins in {asset}", submitted, right_margins)
        stale = {account for account, each in model.stale_wallets if each == asset}
        same(f"stale balances in {asset}", state.wallets.stale, stale)
        same(f"fees in {asset}", state.fees, 0)
    same(
        "collateral of pools",
        {
            n: {a: (h.amount, h.cost) for a, h in p.collateral.items()}
            for n, p in book.pools.items()
        },
        {n: p.collateral for n, p in model.pools.items()},
    )
    same(
        "pools",
        {n: (p.balance, p.withdrawal_haircut_ppm) for n, p in book.pools.items()},
        {n: (p.balance, p.haircut_ppm) for n, p in model.pools.items()},
    )
    for name, contract in model.contracts.items():
        held = book.contracts[name]
        numbers = (held.mark, held.previous_mark, held.realized_pnl, held.injected, held.pool)
        right_numbers = (
            contract.mark,
            contract.previous_mark,
            contract.realized,
            contract.injected,
            contract.pool,
        )
        same(f"numbers of {name}", numbers, right_numbers)
        same(f"rejected mark of {name}", held.mark_rejected, contract.mark_rejected)
        same(f"stale rows of {name}", held.stale, contract.stale)
        same(f"ADL of {name}", list(held.active), list(contract.active))
        same(f"requests for plans of {name}", held.plan_requests, contract.plan_requests)
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
                for row, (account, number) in enumerate(table.keys())
            }
            same(f"positions of {name} {side}", found_positions, contract.positions[side])
            tranches = {
                n: (p.account, p.lots, p.cost, p.price_ticks)
                for n, p in held.inventory[side].tranches.items()
            }
            right_tranches = {
                n: (p.account, p.lots, p.cost, p.ticks) for n, p in contract.tranches[side].items()
            }
            same(
                f"inventory of {name} {side}", list(tranches.items()), list(right_tranches.items())
            )


def run_seed(seed: int, length: int, *, scale: int = 1, engine: Engine = step) -> SessionEvents:
    """Run a seeded workload; raise with the shortest session found that fails."""

    def begin() -> Session:
        return Session(vast=scale > 1, engine=engine)

    workload, session, done = Workload(seed, scale=scale), begin(), SessionEvents()
    for number in range(length):
        move = workload.next(session.auditor.model)
        try:
            done.append((move, session.run(move)))
        except PoolRangeError:
            break
        except BROKEN as error:
            moves = [*(before for before, _ in done), move]
            short = shrink(moves, begin)
            raise AuditError(
                f"seed {seed}, step {number}: {error}\n"
                f"{len(short)} of {len(moves)} commands do it:\n{scenario_lines(short)}"
            ) from error
    return done


def fails(moves: Iterable[Move], begin: Callable[[], Session]) -> bool:
    """Return whether the last of these moves, and none before it, fails."""
    session, moves = begin(), list(moves)
    for move in moves:
        try:
            session.run(move)
        except PoolRangeError:
            return False
        except BROKEN:
            return move is moves[-1]
    return False


def shrink(moves: list[Move], begin: Callable[[], Session]) -> list[Move]:
    """Return the session without the parts that the failure of its last command does not need."""
    needed, part, attempts = moves, len(moves) // 2, 0
    while part and attempts < ATTEMPTS:
        start = 0
        while start < len(needed) - 1 and attempts < ATTEMPTS:
            attempts += 1
            fewer = needed[:start] + needed[min(start + part, len(needed) - 1) :]
            if fails(fewer, begin):
                needed = fewer
            else:
                start += part
        part //= 2
    return needed


def scenario_lines(moves: Iterable[Move]) -> str:
    """Return commands as lines of a scenario."""
    return "\n".join(msgspec.json.encode(move.command).decode() for move in moves)


def replayed(moves: Iterable[Move]) -> list[bytes]:
    """Return the encoded events of each command on a new book."""
    book = Book()
    return [msgspec.json.encode(step(book, move.command)) for move in moves]


def kinds_of(session: Iterable[tuple[Event, ...]]) -> set[str]:
    """Return what a session's events cover: kinds, reasons, triggers, prices, margin modes."""
    kinds: set[str] = set()
    hedging: dict[str, bool] = {}
    contracts: dict[str, str] = {}
    for event in itertools.chain.from_iterable(session):
        kinds.add(event.__struct_config__.tag or "")
        match event:
            case m.Rejected() | m.CounterpartySkipped() | m.AdlExhausted() | m.TakenOver():
                kinds.add(str(event.reason))
            case m.Notice():
                kinds.add(event.kind)
            case m.AccountDefined():
                hedging[event.account] = event.hedge_mode
            case m.ContractDefined(definition=contract):
                contracts[contract.contract] = str(contract.kind)
            case m.PoolDefined(definition=pool):
                kinds |= {pool.rules, str(pool.kind)}
            case m.AdlFilled():
                kinds |= {event.side, contracts[event.contract]}
                kinds.add("isolated" if event.isolated else "cross")
                kinds.add("hedged" if hedging[event.account] else "one_way")
            case m.RoundClosed(filled_lots=0):
                kinds |= event.ineligible.keys()
            case m.RoundClosed():
                kinds |= {event.trigger, event.price_rule}
    return kinds
