"""The whole book as bytes, and back: a book restored goes on exactly as the first would have.

Equal books give equal bytes, so that a snapshot can be compared with a book that was replayed. Each
class below keeps the fields of one class of the core under the same names; what is not kept
follows from the rest. A test fails where the core has a field that is neither kept nor named as
following.
"""

from typing import TypeVar

import msgspec

from delever.core.book import Book
from delever.core.book.account_tables import Table, Wallets
from delever.core.book.contract_state import ContractState, OutstandingLoss
from delever.core.book.inventory import Inventory, Tranche
from delever.core.book.pool_state import AssetState, PoolState
from delever.core.book.position_table import PositionTable
from delever.core.market.contract_terms import terms_of
from delever.core.market.rolling_windows import RollingMean, RollingPeak, RollingVolatility
from delever.core.market.trigger_limits import exact_limits, slippage_ppm
from delever.core.messages import (
    AdlFilled,
    DefineContract,
    DefinePool,
    IndicatorsPublished,
    PoolObserved,
    Rating,
    Side,
)


class Kept(msgspec.Struct, forbid_unknown_fields=True):
    """What a snapshot keeps of one object."""


KeptT = TypeVar("KeptT", bound=Kept)


class KeptTable(Kept):
    """A table: its columns, row after row, as arrays hold them."""

    size: int
    columns: dict[str, bytes]


class KeptAccounts(KeptTable):
    """Of `Accounts`."""

    names: list[str]


class KeptWallets(KeptTable):
    """Of `Wallets`."""

    total: int
    largest: int


class KeptLane(KeptTable):
    """Of `PositionTable`; its totals and index of rows follow from the columns.

    Its position numbers do not: those of positions that are closed still count for a bound.
    """

    largest_lots: int
    largest_cost: int
    labels: list[int]


class KeptPeak(Kept):
    """Of `RollingPeak`."""

    window_ms: int
    entries: list[tuple[int, int]]


class KeptMean(Kept):
    """Of `RollingMean`."""

    window_ms: int
    entries: list[tuple[int, int]]


class KeptVolatility(Kept):
    """Of `RollingVolatility`."""

    entries: list[tuple[int, int]]


class KeptAsset(Kept):
    """Of `AssetState`."""

    name: str
    cash_decimals: int
    wallets: KeptWallets
    pool_balance: int
    inventory_cost: int
    fees: int


class KeptContract(Kept):
    """Of `ContractState`; an inventory is kept as its tranches, in their order."""

    definition: DefineContract
    pool: str
    mark: int
    previous_mark: int
    marks: KeptVolatility
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    depth_known: bool
    depth_missing_since_ms: dict[Side, int | None]
    tables: dict[Side, KeptLane]
    inventory: dict[Side, list[Tranche]]
    realized: int
    injected: int
    contract_pnl_peak: KeptPeak
    active: dict[str, int]
    near: list[str]
    exhausted: dict[Side, int]
    counted: bool
    rating: Rating | None
    paused: bool = False


class KeptPool(Kept):
    """Of `PoolState`."""

    definition: DefinePool
    balance: int
    balance_peak: KeptPeak
    equity_peak: KeptPeak
    equity_mean: KeptMean
    withdrawal_cut_ppm: int
    observed: PoolObserved | None


class KeptBook(Kept):
    """Of `Book`; assets, contracts and pools in the order of their definition."""

    sequence: int
    time_ms: int
    accounts: KeptAccounts
    assets: list[KeptAsset]
    contracts: list[KeptContract]
    pools: list[KeptPool]
    open_orders: dict[tuple[str, str], tuple[str, ...]]
    outstanding: dict[int, AdlFilled]
    losses: dict[str, list[OutstandingLoss]]
    last_fill: int
    last_takeover: int
    indicators: IndicatorsPublished | None
    unobserved: list[str]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(KeptBook)


def encode_book(book: Book) -> bytes:
    """Return the book's bytes. Changes not yet taken (`take_changes`) are not part of them."""
    return _encoder.encode(keep(book))


def decode_book(body: bytes) -> Book:
    """Return a book that goes on where the other stood.

    Raises msgspec.MsgspecError where the bytes are of another version of the book.
    """
    return restore(_decoder.decode(body))


def keep(book: Book) -> KeptBook:
    """Return what is kept of a book."""
    return _copy(
        KeptBook,
        book,
        accounts=_copy(
            KeptAccounts,
            book.accounts,
            columns=book.accounts.state(),
            names=list(book.accounts.names),
        ),
        assets=[
            _copy(KeptAsset, asset, wallets=_keep_table(KeptWallets, asset.wallets))
            for asset in book.assets.values()
        ],
        contracts=[_keep_contract(state, book.time_ms) for state in book.contracts.values()],
        pools=[
            _copy(
                KeptPool,
                pool,
                balance_peak=_keep_peak(pool.balance_peak, book.time_ms),
                equity_peak=_keep_peak(pool.equity_peak, book.time_ms),
                equity_mean=_keep_mean(pool.equity_mean, book.time_ms),
            )
            for pool in book.pools.values()
        ],
        unobserved=sorted(book.unobserved),
    )


def _keep_contract(state: ContractState, time_ms: int) -> KeptContract:
    return _copy(
        KeptContract,
        state,
        tables={side: _keep_lane(table) for side, table in state.tables.items()},
        inventory={side: list(held.tranches.values()) for side, held in state.inventory.items()},
        marks=KeptVolatility(entries=state.marks.entries()),
        contract_pnl_peak=_keep_peak(state.contract_pnl_peak, time_ms),
        near=sorted(state.near),
    )


def _keep_lane(table: PositionTable) -> KeptLane:
    return _copy(KeptLane, table, columns=table.state(), labels=sorted(table.labels))


def _keep_table(kept: type[KeptT], table: Table) -> KeptT:
    return _copy(kept, table, columns=table.state())


def _keep_peak(peak: RollingPeak, time_ms: int) -> KeptPeak:
    # Asking for the peak forgets what lies before the window. It is asked here because some books
    # were asked before and others were not, and they are equal.
    peak.peak(time_ms)
    return KeptPeak(window_ms=peak.window_ms, entries=peak.entries())


def _keep_mean(mean: RollingMean, time_ms: int) -> KeptMean:
    mean.area(time_ms)  # forgets what lies before the window, as asking for a peak does
    return KeptMean(window_ms=mean.window_ms, entries=mean.entries())


def _copy(kept: type[KeptT], source: object, **translated: object) -> KeptT:
    """Return what is kept of the source: fields as they are, but for the translated ones."""
    names = [name for name in kept.__struct_fields__ if name not in translated]
    return kept(**{name: getattr(source, name) for name in names}, **translated)


def restore(kept: KeptBook) -> Book:
    """Return the book of which this was kept."""
    book = Book()
    _assign(book, kept, but=("accounts", "assets", "contracts", "pools", "unobserved"))
    book.unobserved = set(kept.unobserved)
    _load(book.accounts, kept.accounts)
    book.accounts.load_names(kept.accounts.names)
    book.assets = {asset.name: _restore_asset(asset) for asset in kept.assets}
    for pool in kept.pools:
        decimals = book.assets[pool.definition.asset].cash_decimals
        book.pools[pool.definition.pool] = _restore_pool(pool, decimals)
    for contract in kept.contracts:
        decimals = book.assets[contract.definition.settle].cash_decimals
        book.contracts[contract.definition.contract] = _restore_contract(contract, decimals)
    book.reindex()
    return book


def _restore_asset(kept: KeptAsset) -> AssetState:
    asset = AssetState(kept.name, kept.cash_decimals)
    _assign(asset, kept, but=("wallets",))
    asset.wallets = _load(Wallets(), kept.wallets)
    return asset


def _restore_pool(kept: KeptPool, cash_decimals: int) -> PoolState:
    limits = exact_limits(kept.definition.limits, cash_decimals)
    pool = PoolState(kept.definition, limits, slippage_ppm(kept.definition))
    _assign(pool, kept, but=("balance_peak", "equity_peak", "equity_mean"))
    pool.balance_peak = _restore_peak(kept.balance_peak)
    pool.equity_peak = _restore_peak(kept.equity_peak)
    pool.equity_mean = RollingMean(kept.equity_mean.window_ms, kept.equity_mean.entries)
    return pool


def _restore_contract(kept: KeptContract, cash_decimals: int) -> ContractState:
    terms = terms_of(kept.definition, cash_decimals)
    limits = exact_limits(kept.definition.limits, cash_decimals)
    state = ContractState(kept.definition, terms, limits, kept.contract_pnl_peak.window_ms)
    _assign(state, kept, but=("tables", "inventory", "marks", "contract_pnl_peak", "near"))
    state.tables = {side: _restore_lane(table) for side, table in kept.tables.items()}
    state.inventory = {side: _restore_parcels(held) for side, held in kept.inventory.items()}
    state.marks = RollingVolatility(kept.marks.entries)
    state.contract_pnl_peak = _restore_peak(kept.contract_pnl_peak)
    state.near = set(kept.near)
    return state


def _restore_lane(kept: KeptLane) -> PositionTable:
    table = _load(PositionTable(), kept)
    table.labels = set(kept.labels)
    return table


def _restore_parcels(tranches: list[Tranche]) -> Inventory:
    inventory = Inventory()
    for tranche in tranches:
        inventory.add(tranche)
    inventory.changed.clear()
    return inventory


def _restore_peak(kept: KeptPeak) -> RollingPeak:
    return RollingPeak(kept.window_ms, kept.entries)


TableT = TypeVar("TableT", bound=Table)


def _load(table: TableT, kept: KeptTable) -> TableT:
    """Give the table back its columns, then what it had counted over its life."""
    table.load(kept.columns, kept.size)
    _assign(table, kept, but=("size", "columns", "names", "labels"))
    return table


def _assign(target: object, kept: Kept, but: tuple[str, ...]) -> None:
    """Give the target the fields that were kept as they are."""
    for name in kept.__struct_fields__:
        if name not in but:
            setattr(target, name, getattr(kept, name))


def copy_of(book: Book) -> Book:
    """Return a book that is equal and independent."""
    return decode_book(encode_book(book))
