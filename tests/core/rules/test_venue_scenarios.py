"""Each rule set from the first loss to the final book: the scenarios of examples/venues."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec
import pytest

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.book import Book
from delever.core.engine import step
from delever.core.rules import RULE_SETS
from delever.core.units import format_scaled
from delever.journal.record import decode_events, encode_events
from delever.journal.snapshot import decode_book, encode_book
from sources import ROOT
from table import Row, cases

SCENARIOS = ROOT / "examples" / "venues"
E = TypeVar("E", bound=m.Event)

_commands: msgspec.json.Decoder[m.AnyCommand] = msgspec.json.Decoder(m.AnyCommand)


def commands(name: str) -> list[m.Command]:
    lines = (SCENARIOS / f"{name}.ndjson").read_text(encoding="utf-8").splitlines()
    return [_commands.decode(line) for line in lines]


def run(book: Book, session: list[m.Command]) -> list[tuple[m.Event, ...]]:
    """Run commands; none may be rejected."""
    steps = []
    for command in session:
        events = step(book, command)
        audit(book)
        assert not isinstance(events[0], m.Rejected), events[0]
        steps.append(events)
    return steps


class ScenarioRun:
    """A scenario that was run, and its outcome as in the table."""

    def __init__(self, name: str) -> None:
        self.book = Book()
        self.steps = run(self.book, commands(name))
        (self.state,) = self.book.contracts.values()
        (self.pool,) = self.book.pools.values()

    def events(self, kind: type[E]) -> Iterator[E]:
        return (event for events in self.steps for event in events if isinstance(event, kind))

    def fills(self) -> Iterator[str]:
        """Yield account:quantity@price of each fill, in order."""
        terms = self.state.terms
        for fill in self.events(m.AdlFilled):
            quantity = format_scaled(fill.lots * terms.lot[0], terms.lot[1])
            price = format_scaled(fill.price_ticks * terms.tick[0], terms.tick[1])
            yield f"{fill.account}:{quantity}@{price}"

    def socialized(self) -> Iterator[str]:
        """Yield account:amount of each socialized loss, or the withdrawal haircut."""
        for loss in self.events(m.LossSocialized):
            for account, amount in zip(loss.accounts, loss.amount_cash, strict=True):
                yield f"{account}:{format_scaled(amount, 8)}"
        yield from (
            format_scaled(haircut.haircut_ppm, 6) for haircut in self.events(m.WithdrawalHaircutSet)
        )

    def outcome(self) -> dict[str, str]:
        wallets = self.book.assets[self.pool.asset].wallets.balance
        accounts = self.book.accounts.index
        left = sum(inventory.total_lots for inventory in self.state.inventory.values())
        return {
            "started": "+".join(event.trigger for event in self.events(m.AdlStarted)),
            "fills": ",".join(self.fills()),
            "socialized": ",".join(self.socialized()),
            "stopped": "+".join(event.trigger for event in self.events(m.AdlStopped)),
            "left": str(left),
            "pool": format_scaled(self.pool.balance, 8),
            "wallets": ",".join(
                format_scaled(int(wallets[accounts[name]]), 8) for name in ("ann", "bob", "cyd")
            ),
        }


@pytest.mark.parametrize("row", cases("venue_scenarios.txt"))
def test_scenario(row: Row) -> None:
    assert ScenarioRun(row["rules"]).outcome() == row.expected


def test_every_rule_set_has_a_scenario_and_a_row() -> None:
    assert {path.stem for path in SCENARIOS.iterdir()} == set(RULE_SETS)
    assert [case.values[0]["rules"] for case in cases("venue_scenarios.txt")] == list(RULE_SETS)


@pytest.mark.parametrize("name", RULE_SETS)
def test_a_scenario_continues_the_same_from_any_snapshot(name: str) -> None:
    session, first = commands(name), Book()
    for place, command in enumerate(session):
        restored = decode_book(encode_book(first))
        (events,) = run(first, [command])
        changes = first.take_changes()
        assert decode_events(encode_events(events)) == events
        assert (step(restored, command), restored.take_changes()) == (events, changes), place
    assert encode_book(decode_book(encode_book(first))) == encode_book(first)


@pytest.mark.parametrize("name", RULE_SETS)
def test_cancelled_orders_are_those_of_the_venues_scope(name: str) -> None:
    """BGT-06 KUC-06 OKX-07 CEX-05 DEL-05 DER-06 LIT-06 AEV-05 ETR-05 DYX-05 GAT-05."""
    fills = [fill for fill in ScenarioRun(name).events(m.AdlFilled) if fill.account == "ann"]
    cancelled = ("a-1", "a-2") if RULE_SETS[name].cancel_scope != "none" else ()
    has_orders = "a-1" in (SCENARIOS / f"{name}.ndjson").read_text(encoding="utf-8")
    assert {fill.cancel_orders for fill in fills} <= {cancelled if has_orders else ()}
    assert {fill.fee_cash for fill in fills} <= {0}
