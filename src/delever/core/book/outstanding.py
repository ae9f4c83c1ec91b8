"""What the venue's snapshots of an account may not include yet: fills, losses, compensations."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from delever.core.book.account_tables import Accounts
from delever.core.messages import AdlFilled, Compensated, LossSocialized, Side
from delever.core.units import Ints, Ratio, share_floor


@dataclass(frozen=True, slots=True)
class OutstandingLoss:
    """A position's share of a socialized loss that the venue's snapshots may not include yet."""

    fill: int
    contract: str
    side: Side
    position: int
    amount_cash: int


class Outstanding:
    """Fills by number; socialized losses and compensations by account, oldest first.

    A fill is dropped once positions and balances both include it, a loss once positions do, a
    compensation once balances do.
    """

    def __init__(self) -> None:
        self.fills: dict[int, AdlFilled] = {}
        self.losses: dict[str, list[OutstandingLoss]] = {}
        self.compensations: dict[str, list[Compensated]] = {}
        self._fills_of: dict[str, list[int]] = {}

    def __contains__(self, account: object) -> bool:
        """Return whether an account may have anything outstanding."""
        fills, losses, compensations = self._fills_of, self.losses, self.compensations
        return account in fills or account in losses or account in compensations

    def fills_of(self, account: str) -> list[AdlFilled]:
        """Return an account's fills, oldest first."""
        return [self.fills[fill] for fill in self._fills_of.get(account, ())]

    def accounts(self) -> set[str]:
        """Return the accounts with anything outstanding."""
        with_fills = {name for name, fills in self._fills_of.items() if fills}
        return with_fills | self.losses.keys() | self.compensations.keys()

    def add_fills(self, fills: Iterable[AdlFilled]) -> None:
        """Add the fills of a round, in order of execution."""
        for fill in fills:
            self.fills[fill.fill] = fill
            self._fills_of.setdefault(fill.account, []).append(fill.fill)

    def drop_fill(self, fill: AdlFilled) -> None:
        """Drop a fill that was cancelled, or that every snapshot includes."""
        del self.fills[fill.fill]
        self._fills_of[fill.account].remove(fill.fill)

    def add_losses(self, event: LossSocialized) -> None:
        """Add the shares of a socialized loss."""
        columns = event.accounts, event.sides, event.positions, event.amount_cash
        for name, side, position, amount in zip(*columns, strict=True):
            loss = OutstandingLoss(event.fill, event.contract, side, position, amount)
            self.losses.setdefault(name, []).append(loss)

    def add_compensation(self, event: Compensated) -> None:
        """Add a compensation."""
        self.compensations.setdefault(event.account, []).append(event)

    def acknowledge(self, accounts: Accounts, name: str) -> None:
        """Drop what no snapshot of an account can miss any more."""
        if name not in self:
            return
        row = accounts.index[name]
        included, paid = accounts.positions_fill.item(row), accounts.balances_fill.item(row)
        for fill in self.fills_of(name):
            if fill.fill <= min(included, paid):
                self.drop_fill(fill)
        owed = self.compensations.pop(name, ())
        if owed := [event for event in owed if event.compensation > paid]:
            self.compensations[name] = owed
        losses = [loss for loss in self.losses.pop(name, ()) if loss.fill > included]
        if losses:
            self.losses[name] = losses

    def acknowledge_all(self, accounts: Accounts, rows: Ints) -> None:
        """Acknowledge for many accounts, few of which have anything outstanding."""
        if not (self._fills_of or self.losses or self.compensations):
            return
        submitted = set(rows.tolist())
        for name in sorted(self.accounts()):
            if accounts.index[name] in submitted:
                self.acknowledge(accounts, name)

    def rescale(self, contract: str, lots_ratio: Ratio, price_ratio: Ratio) -> None:
        """Express the fills of a contract in new units, which gives whole numbers."""
        for number, fill in self.fills.items():
            if fill.contract == contract:
                self.fills[number] = msgspec.structs.replace(
                    fill,
                    lots=share_floor(fill.lots, *lots_ratio),
                    quantity_ahead_lots=share_floor(fill.quantity_ahead_lots, *lots_ratio),
                    price_ticks=share_floor(fill.price_ticks, *price_ratio),
                    takeover_price_ticks=share_floor(fill.takeover_price_ticks, *price_ratio),
                )

    def reindex(self) -> None:
        """Compute the fills of each account, after a snapshot was restored."""
        fills, self._fills_of = self.fills, {}
        for fill in fills.values():
            self._fills_of.setdefault(fill.account, []).append(fill.fill)
