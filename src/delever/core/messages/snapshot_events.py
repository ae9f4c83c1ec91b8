"""What a venue has told of accounts and markets, by name or in bulk, as the book takes it in.

Columns in bytes are little-endian: 32-bit for numbers of accounts, positions and rows, 64-bit for
amounts, a byte for what is yes or no. An account's number counts accounts in order of their
definition, from 0. Columns of one event are of equal length; an empty one holds its default for
all.
"""

import msgspec

from delever.core.messages.enums import Reason, Side


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """What has happened. The book changes by events only.

    Python's collector passes events and commands over: they hold values only, and are in no cycle.
    """


class BalancesSet(Event, tag="balances_set", frozen=True):
    """Wallet balances are now these; columns of equal length."""

    version: int
    last_fill: int
    accounts: tuple[str, ...]
    assets: tuple[str, ...]
    balance_cash: tuple[int, ...]


class PositionsSet(Event, tag="positions_set", frozen=True):
    """Positions of one table are now these; columns of equal length; 0 lots closes a position."""

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


class OpenOrdersSet(Event, tag="open_orders_set", frozen=True, kw_only=True):
    """The account's open orders in this contract are now these."""

    account: str
    contract: str
    orders: tuple[str, ...]


class RowIgnored(Event, tag="row_ignored", frozen=True, kw_only=True):
    """An account's row was older than what the book holds and changed nothing."""

    row: int
    account: str
    version: int
    known_version: int
    reason: Reason = Reason.STALE_VERSION


class MarksSet(Event, tag="marks_set", frozen=True, kw_only=True):
    """Marks are now these."""

    contracts: tuple[str, ...]
    mark_ticks: tuple[int, ...]


class DepthSet(Event, tag="depth_set", frozen=True, kw_only=True):
    """The book that could absorb inventory is now this: (ticks, lots), best first."""

    contract: str
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class AccountsDefined(Event, tag="accounts_defined", frozen=True, kw_only=True):
    """Accounts are open, or their modes have changed."""

    accounts: tuple[str, ...]
    hedge_mode: bytes
    adl_exempt: bytes


class BalanceColumnsSet(Event, tag="balance_columns_set", frozen=True, kw_only=True):
    """Wallet balances of one asset are now these."""

    version: int
    last_fill: int
    asset: str
    account: bytes
    balance_cash: bytes


class PositionColumnsSet(Event, tag="position_columns_set", frozen=True, kw_only=True):
    """Positions of one table are now these; 0 lots closes a position.

    Defaults: position number 0, not isolated, no margin, leverage 1, not under liquidation.
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
    """Rows of a command in columns were older than what the book holds and changed nothing."""

    rows: bytes
    account: bytes
    version: int
    known_versions: bytes
    reason: Reason = Reason.STALE_VERSION
