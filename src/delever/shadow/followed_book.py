"""The book that follows the venue: its commands and its own ADL fills, and no ADL of the engine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import AssetState
from delever.core.market.validation import Rejection, reject_unless
from delever.core.messages import (
    AllocateAdl,
    BalanceRow,
    CancelAdl,
    Command,
    Compensate,
    ContractDefined,
    DefinePool,
    Event,
    ForceAdl,
    PauseAdl,
    PositionRow,
    Reason,
    Rejected,
    SetBalances,
    SetPlanWait,
    SetPositions,
    UnwindFill,
)
from delever.core.rules import RULE_SETS, RegisteredRules, RuleSet
from delever.core.units import Lots, Ticks, format_scaled, share_floor
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError
from delever.lab.queries.position_queries import LEVERAGE_DECIMALS
from delever.lab.runs.command_runner import CommandRunner
from delever.shadow.venue_feed import VenueAdlFill

NOTE = "shadow: the venue's own ADL decides"

OWN_ADL = AllocateAdl, CancelAdl, Compensate, ForceAdl, PauseAdl, SetPlanWait
"""Commands about ADL fills of the engine, which a shadow does not have."""


class FollowedBook:
    """Runs the venue's commands on `book`, in which ADL is evaluated and never executed.

    Every contract is paused, and no rule set has a last resort. Takeovers are the venue's: a
    managed pool is refused. `on_failure` is called with the error of a step that raised.
    """

    def __init__(
        self, registry: Mapping[str, RegisteredRules], on_failure: Callable[[Exception], None]
    ) -> None:
        book = Book(registry)
        book.use_segment(0, _without_last_resort(registry))
        self._runner = CommandRunner(book)
        self._on_failure = on_failure

    @property
    def book(self) -> Book:
        """The book after the newest command."""
        return self._runner.book

    def submit(self, command: Command) -> tuple[Event, ...]:
        """Run a command of the venue and return its events.

        Raises InputError for a command that a shadow cannot run.
        """
        if isinstance(command, OWN_ADL):
            raise InputError("there are no ADL fills of delever in a shadow; leave it out")
        if isinstance(command, DefinePool) and command.managed:
            why = "a shadow takes nobody over; define the pool without, and submit takeovers"
            raise InputError(why, column="managed", value="true")
        events = self._run(command)
        for event in events:
            if isinstance(event, ContractDefined):
                self._pause(event.definition.contract, command.time_ms)
        return events

    def _run(self, command: Command) -> tuple[Event, ...]:
        """Run a command; report an error of its step."""
        events = self._runner.submit(command)
        while self._runner.errors:
            self._on_failure(self._runner.errors.popitem()[1])
        return events

    def _pause(self, contract: str, time_ms: int) -> None:
        self._run(PauseAdl(time_ms=time_ms, contract=contract, paused=True, note=NOTE))

    def validate(self, fill: VenueAdlFill) -> "ValidFill | Rejected":
        """Return the lots and the price of a fill, or its rejection."""
        try:
            return self._valid(fill)
        except Rejection as error:
            tag = str(fill.__struct_config__.tag)
            return Rejected(command=tag, reason=error.reason, field=error.field, value=error.value)

    def _valid(self, fill: VenueAdlFill) -> "ValidFill":
        state = self.book.contracts.get(fill.contract)
        if state is None:
            raise Rejection("contract", fill.contract, Reason.UNKNOWN_CONTRACT)
        known = fill.account in self.book.accounts.index
        reject_unless(known, "account", fill.account, Reason.UNKNOWN_ACCOUNT)
        lots = state.terms.read_lots("quantity", fill.quantity)
        reject_unless(lots > 0, "quantity", fill.quantity, Reason.NOT_POSITIVE)
        inventory = state.inventory[fill.side.opposite].total_lots
        reject_unless(inventory >= lots, "quantity", fill.quantity, Reason.EXCEEDS_INVENTORY)
        return ValidFill(lots, state.terms.read_ticks("price", fill.price))

    def follow(self, fill: VenueAdlFill, valid: "ValidFill") -> tuple[Event, ...]:
        """Close inventory and position as the venue did, and return the events."""
        unwind = UnwindFill(
            time_ms=fill.time_ms,
            contract=fill.contract,
            side=fill.side.opposite,
            quantity=fill.quantity,
            price=fill.price,
        )
        events = self._run(unwind)
        if isinstance(events[0], Rejected):
            return events
        followed = list(map(self._run, self._closing(fill, valid)))
        return tuple(chain(events, *followed))

    def _closing(self, fill: VenueAdlFill, valid: "ValidFill") -> Iterator[Command]:
        """Yield position and balance after a fill, unless a snapshot that has it was submitted."""
        accounts, state = self.book.accounts, self.book.contracts[fill.contract]
        account, table = accounts.index[fill.account], state.tables[fill.side]
        row = table.find(account, fill.position)
        positions_version = accounts.positions_version.item(account)
        if row is None or 0 < fill.version <= positions_version:
            return
        held, cost, margin = (col.item(row) for col in (table.lots, table.cost, table.margin))
        closed = min(valid.lots, held)
        closed_cost, returned = (share_floor(part, closed, held) for part in (cost, margin))
        rest = _Rest(held - closed, cost - closed_cost, margin - returned)
        position = _position_row(fill, self.book, state, row, rest)
        version = max(positions_version, fill.version)
        yield SetPositions(time_ms=fill.time_ms, version=version, positions=(position,))
        balances_version = accounts.balances_version.item(account)
        if not 0 < fill.version <= balances_version:
            value = state.terms.value_cash(fill.side.sign * closed, valid.price_ticks)
            paid = value - closed_cost + returned
            balance = _balance_row(fill.account, account, self.book.asset_of(state), paid)
            version = max(balances_version, fill.version, 0)
            yield SetBalances(time_ms=fill.time_ms, version=version, balances=(balance,))


class ValidFill(NamedTuple):
    """Lots and price of a fill of the venue that the book can follow."""

    lots: Lots
    price_ticks: Ticks


class _Rest(NamedTuple):
    """What a fill leaves of a position: Lots, and Cash of cost and isolated margin."""

    lots: int
    cost: int
    margin: int


def _position_row(
    fill: VenueAdlFill, book: Book, state: ContractState, row: int, rest: _Rest
) -> PositionRow:
    """Return the row of a position after a fill."""
    table, formatter = state.tables[fill.side], ContractFormatter.of(book, state)
    isolated = table.isolated.item(row)
    return PositionRow(
        account=fill.account,
        contract=fill.contract,
        side=fill.side,
        quantity=formatter.quantity(rest.lots),
        entry_cost=formatter.cash(abs(rest.cost)),
        isolated_margin=formatter.cash(rest.margin) if isolated else None,
        leverage=format_scaled(table.leverage.item(row), LEVERAGE_DECIMALS),
        position=fill.position,
        under_liquidation=table.under_liquidation.item(row),
        open_orders=book.open_orders.get((fill.account, fill.contract), ()),
    )


def _balance_row(name: str, account: int, asset: AssetState, paid_cash: int) -> BalanceRow:
    """Return the balance of an account after a payment."""
    balance = asset.wallets.balance.item(account) + paid_cash
    text = format_scaled(balance, asset.cash_decimals)
    return BalanceRow(account=name, asset=asset.name, balance=text)


def _without_last_resort(registry: Mapping[str, RegisteredRules]) -> dict[str, RuleSet]:
    """Return the rule sets that would socialize losses, without it."""
    own = {name: registered.rules for name, registered in registry.items()}
    found = {name: rules for name, rules in (own | RULE_SETS).items() if rules.last_resort}
    return {name: replace(rules, last_resort=None) for name, rules in found.items()}
