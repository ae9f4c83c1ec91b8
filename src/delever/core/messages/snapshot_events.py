"""Events of the venue's snapshots: accounts, balances, positions, marks and depth.

Byte columns are little-endian: 32-bit account indices, position ids and row numbers, 64-bit
amounts, one byte a flag. An account index counts accounts in order of definition, from 0. The
columns of one event have equal length; an empty column stands for its default in every row.
"""

from collections.abc import Iterable, Iterator
from itertools import repeat

import msgspec

from delever.core.messages.enums import Reason, Side


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """A fact. Only events change the book.

    Events and commands are exempt from garbage collection: they contain values only, no cycles.
    """


class BalancesSet(Event, tag="balances_set", frozen=True):
    """Wallet balances were set; columns of equal length."""

    version: int
    last_fill: int
    accounts: tuple[str, ...]
    assets: tuple[str, ...]
    balance_cash: tuple[int, ...]


class PositionsSet(Event, tag="positions_set", frozen=True):
    """Positions of one side of a contract were set; columns of equal length; 0 lots: closed."""

    version: int
    last_fill: int
    contract: str
    side: Side
    accounts: tuple[str, ...]
    positions: tuple[int, ...]
    lots: tuple[int, ...]
    cost_cash: tuple[int, ...]
    isolated: tuple[bool, ...]
    margin_cash: tuple[int, ...]
    leverage_hundredths: tuple[int, ...]
    under_liquidation: tuple[bool, ...]


class AccountMarginSet(Event, tag="account_margin_set", frozen=True, kw_only=True):
    """The cross margin of an account in an asset was set to the venue's; null: the engine's sums.

    Both amounts are null, or neither.
    """

    version: int
    account: str
    asset: str
    equity_cash: int | None
    maintenance_cash: int | None


class OpenOrdersSet(Event, tag="open_orders_set", frozen=True, kw_only=True):
    """An account's open orders in a contract were set."""

    account: str
    contract: str
    orders: tuple[str, ...]


class RowIgnored(Event, tag="row_ignored", frozen=True, kw_only=True):
    """A row was older than the account's newest snapshot, and changed nothing."""

    row: int
    account: str
    version: int
    known_version: int
    reason: Reason = Reason.STALE_VERSION


class RowRejected(Event, tag="row_rejected", frozen=True, kw_only=True):
    """One row of a snapshot was rejected; the last accepted row, if any, stays and is stale.

    `field` and `value` are those that were wrong. A row of a position has contract, side and
    position id, a row of a balance an asset; what the book does not know is named as submitted.
    """

    command: str
    row: int
    account: str
    contract: str = ""
    side: Side | None = None
    position: int = 0
    asset: str = ""
    reason: Reason
    field: str
    value: str


class RowsRejected(Event, tag="rows_rejected", frozen=True, kw_only=True):
    """Rows of a snapshot in columns were rejected for one reason, as `row_rejected` is for one.

    They are of one side of a contract (of none, where the row does not name one), or balances of
    one asset. `values` are those of the column `field`; an account that is not known by its index
    has an empty name.
    """

    command: str
    contract: str = ""
    side: Side | None = None
    asset: str = ""
    reason: Reason
    field: str
    rows: bytes
    accounts: tuple[str, ...]
    positions: bytes = b""
    values: bytes

    def each(self) -> Iterator[RowRejected]:
        """Return the rows, each as an event of its own."""
        rows, values = memoryview(self.rows).cast("i"), memoryview(self.values).cast("q")
        positions = memoryview(self.positions or bytes(4 * len(rows))).cast("i")
        columns = rows, self.accounts, positions, values
        for row, account, position, value in zip(*columns, strict=True):
            yield RowRejected(
                command=self.command,
                row=row,
                account=account,
                contract=self.contract,
                side=self.side,
                position=position,
                asset=self.asset,
                reason=self.reason,
                field=f"{self.field}[{row}]",
                value=account if self.reason is Reason.UNKNOWN_ACCOUNT else str(value),
            )


class MarksSet(Event, tag="marks_set", frozen=True, kw_only=True):
    """Mark prices were set; columns of equal length.

    `mark_ticks` are whole ticks, rounded down. `mark_fractions`, which is empty where every mark is
    on its tick grid, is what each mark is above them, in units of 10^-10 of its price (of the
    tick's last decimal where that is finer).
    """

    contracts: tuple[str, ...]
    mark_ticks: tuple[int, ...]
    mark_fractions: tuple[int, ...] = ()

    def rows(self) -> Iterable[tuple[str, int, int]]:
        """Return (contract, ticks, fraction) of each mark."""
        fractions = self.mark_fractions or repeat(0)
        return zip(self.contracts, self.mark_ticks, fractions)  # noqa: B905 - zeros have no end


class MarkRejected(Event, tag="mark_rejected", frozen=True, kw_only=True):
    """One mark of a command was rejected; its contract, if there is one, keeps the mark before."""

    contract: str
    reason: Reason
    field: str
    value: str


class IndexPriceRejected(Event, tag="index_price_rejected", frozen=True, kw_only=True):
    """An index price was rejected alone; its asset keeps the price before."""

    asset: str
    reason: Reason
    field: str
    value: str


PartRejected = MarkRejected | IndexPriceRejected | RowRejected


def rejected_parts(events: Iterable[Event]) -> Iterator[PartRejected]:
    """Yield the marks, index prices and rows among events that were rejected alone."""
    for event in events:
        if isinstance(event, RowsRejected):
            yield from event.each()
        elif isinstance(event, PartRejected):
            yield event


class DepthSet(Event, tag="depth_set", frozen=True, kw_only=True):
    """The order book of a contract was set: (ticks, lots) levels, best price first."""

    contract: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class AccountsDefined(Event, tag="accounts_defined", frozen=True, kw_only=True):
    """Accounts were opened, or their modes changed."""

    accounts: tuple[str, ...]
    hedge_mode: bytes
    adl_exempt: bytes
    multi_asset: bytes = b""
    owners: tuple[str, ...] = ()


class BalanceColumnsSet(Event, tag="balance_columns_set", frozen=True, kw_only=True):
    """Wallet balances of one asset were set."""

    version: int
    last_fill: int
    asset: str
    account: bytes
    balance_cash: bytes


class PositionColumnsSet(Event, tag="position_columns_set", frozen=True, kw_only=True):
    """Positions of one side of a contract were set; 0 lots: closed.

    Defaults: position id 0, not isolated, no margin, leverage 1, not under liquidation.
    """

    version: int
    last_fill: int
    contract: str
    side: Side
    account: bytes
    position: bytes
    lots: bytes
    cost_cash: bytes
    isolated: bytes
    margin_cash: bytes
    leverage_hundredths: bytes
    under_liquidation: bytes


class RowsIgnored(Event, tag="rows_ignored", frozen=True, kw_only=True):
    """Rows of a command were older than their accounts' newest snapshots, and changed nothing."""

    rows: bytes
    account: bytes
    version: int
    known_versions: bytes
    reason: Reason = Reason.STALE_VERSION
