"""The whole book as bytes, and back: a restored book continues exactly as the original would.

Equal books give equal bytes, so that a snapshot can be compared with a replayed book. Each record
class below stores fields of one class of the core under the same names; the other fields are
derived from them. A test fails for a field of the core that is neither stored nor listed as
derived.
"""

from dataclasses import replace
from typing import TypeVar

import msgspec

from delever.core.book import Book
from delever.core.book.account_tables import AccountIndex, Table, VenueMargins, Wallets
from delever.core.book.contract_state import ContractState
from delever.core.book.outstanding import OutstandingLoss
from delever.core.book.pool_state import AssetState, HeldCollateral, Inventory, PoolState, Tranche
from delever.core.book.position_table import PositionTable
from delever.core.market.contract_terms import FormerUnits, terms_of
from delever.core.market.rolling_windows import (
    DailyOpening,
    MinuteFalls,
    RollingMean,
    RollingPeak,
    RollingVolatility,
)
from delever.core.market.trigger_limits import exact_limits, slippage_ppm
from delever.core.messages import (
    AdlFilled,
    Compensated,
    DefineCollateral,
    DefineContract,
    DefinePool,
    IndicatorsPublished,
    PoolObserved,
    Rating,
    Side,
    TradingStatus,
)
from delever.core.units import pack_mark, unpack_mark
from delever.journal.record import ExactDecoder, encode_exact


class StateRecord(msgspec.Struct, forbid_unknown_fields=True):
    """The stored fields of one object."""


RecordT = TypeVar("RecordT", bound=StateRecord)


class TableRecord(StateRecord):
    """A table: its size and the bytes of each column, none for a column of zeros."""

    size: int
    columns: dict[str, memoryview]


class AccountsRecord(TableRecord):
    """Fields of `Accounts`; `names` has the text of all names, and where each ends."""

    names: tuple[memoryview, memoryview]
    owners: dict[int, str]


class WalletsRecord(TableRecord):
    """Fields of `Wallets`."""

    total: int
    largest: int
    stale: list[str] = []
    margins: TableRecord | None = None


class PositionTableRecord(StateRecord):
    """Fields of `PositionTable`, whose columns are in `PositionsRecord`; totals follow from them.

    Position ids are stored: those of closed positions still count towards a bound.
    """

    size: int
    max_lots: int
    max_cost: int
    position_ids: list[int]


class PositionsRecord(StateRecord):
    """The columns of all positions: sides of contracts in order, by account and position id."""

    columns: dict[str, memoryview]


class RollingPeakRecord(StateRecord):
    """Fields of `RollingPeak`."""

    window_ms: int
    entries: list[tuple[int, int]]


class RollingMeanRecord(StateRecord):
    """Fields of `RollingMean`."""

    window_ms: int
    entries: list[tuple[int, int]]


class RollingVolatilityRecord(StateRecord):
    """Fields of `RollingVolatility`, with prices as `pack_mark` packs them."""

    entries: list[tuple[int, int | str]]


class DailyOpeningRecord(StateRecord):
    """Fields of `DailyOpening`."""

    entries: list[tuple[int, int]]


class MinuteFallsRecord(StateRecord):
    """Fields of `MinuteFalls`."""

    entries: list[tuple[int, int]]


class AssetRecord(StateRecord):
    """Fields of `AssetState`."""

    name: str
    cash_decimals: int
    wallets: WalletsRecord
    pool_balance: int
    inventory_cost: int
    fees: int
    definition: DefineCollateral | None = None
    index_price: int = 0
    index_price_rejected: bool = False


class ContractRecord(StateRecord):
    """Fields of `ContractState`; an inventory is stored as its tranches, in order."""

    definition: DefineContract
    pool: str
    mark: int | str
    previous_mark: int | str
    volatility: RollingVolatilityRecord
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    depth_known: bool
    depth_insufficient_since_ms: dict[Side, int | None]
    tables: dict[Side, PositionTableRecord]
    inventory: dict[Side, list[Tranche]]
    realized_pnl: int
    injected: int
    contract_pnl_peak: RollingPeakRecord
    contract_pnl_opening: DailyOpeningRecord
    active: dict[str, int]
    warned: list[str]
    exhausted: dict[Side, int]
    is_observed: bool
    rating: Rating | None
    paused: bool = False
    status: TradingStatus = TradingStatus.TRADING
    fund_pays: bool = True
    settlement_price: str = ""
    price_unit: str = ""
    amendments: int = 0
    former_units: list[FormerUnits] = []
    mark_rejected: bool = False
    marked_ms: int = 0
    mark_unconfirmed: bool = False
    last_confirmed_mark: int | str = 0
    stale: list[tuple[Side, str, int]] = []
    plan_wait_ms: int = 0
    plan_requests: dict[Side, tuple[int, int]] = {}


class PoolRecord(StateRecord):
    """Fields of `PoolState`."""

    definition: DefinePool
    rules_digest: str
    balance: int
    balance_peak: RollingPeakRecord
    equity_peak: RollingPeakRecord
    equity_mean: RollingMeanRecord
    equity_opening: DailyOpeningRecord
    equity_falls: MinuteFallsRecord
    withdrawal_haircut_ppm: int
    observed: PoolObserved | None
    collateral: dict[str, HeldCollateral]
    amended: bool = False


class OutstandingRecord(StateRecord):
    """Fields of `Outstanding`."""

    fills: dict[int, AdlFilled]
    losses: dict[str, list[OutstandingLoss]]
    compensations: dict[str, list[Compensated]]


class BookRecord(StateRecord):
    """Fields of `Book`; assets, contracts and pools are in order of definition."""

    sequence: int
    time_ms: int
    accounts: AccountsRecord
    assets: list[AssetRecord]
    contracts: list[ContractRecord]
    positions: PositionsRecord
    pools: list[PoolRecord]
    open_orders: dict[tuple[str, str], tuple[str, ...]]
    outstanding: OutstandingRecord
    last_fill: int
    last_takeover: int
    indicators: IndicatorsPublished | None
    unobserved_pools: list[str]
    margin_currency: str


_decoder: ExactDecoder[BookRecord] = ExactDecoder(BookRecord)


def encode_book(book: Book) -> bytes:
    """Return the bytes of a book, without the changes that `take_changes` has yet to return.

    The columns of all positions are written in one piece each, without Python for a position.
    """
    return encode_exact(record_of(book))


def decode_book(body: bytes) -> Book:
    """Return the book of some bytes.

    Raises msgspec.MsgspecError for bytes of another version of the book: its journal is then
    replayed from the records before (`delever.journal.replay.newest_book`).
    """
    return restore_book(_decoder.decode(body))


def record_of(book: Book) -> BookRecord:
    """Return the stored fields of a book."""
    return _copy_fields(
        BookRecord,
        book,
        accounts=_copy_fields(
            AccountsRecord,
            book.accounts,
            columns=book.accounts.state(),
            names=book.accounts.names.packed(),
        ),
        assets=[
            _copy_fields(AssetRecord, asset, wallets=_wallets_record(asset.wallets))
            for asset in book.assets.values()
        ],
        contracts=[_contract_record(state, book.time_ms) for state in book.contracts.values()],
        positions=PositionsRecord(book.positions.packed(_tables(book))),
        pools=[
            _copy_fields(
                PoolRecord,
                pool,
                balance_peak=_peak_record(pool.balance_peak, book.time_ms),
                equity_peak=_peak_record(pool.equity_peak, book.time_ms),
                equity_mean=_mean_record(pool.equity_mean, book.time_ms),
                equity_opening=DailyOpeningRecord(entries=pool.equity_opening.entries()),
                equity_falls=MinuteFallsRecord(entries=pool.equity_falls.entries()),
            )
            for pool in book.pools.values()
        ],
        outstanding=_copy_fields(OutstandingRecord, book.outstanding),
        unobserved_pools=sorted(book.unobserved_pools),
    )


def _contract_record(state: ContractState, time_ms: int) -> ContractRecord:
    return _copy_fields(
        ContractRecord,
        state,
        tables={side: _position_table_record(table) for side, table in state.tables.items()},
        inventory={
            side: list(inventory.tranches.values()) for side, inventory in state.inventory.items()
        },
        mark=pack_mark(state.mark),
        previous_mark=pack_mark(state.previous_mark),
        last_confirmed_mark=pack_mark(state.last_confirmed_mark),
        volatility=RollingVolatilityRecord(
            entries=[(minute, pack_mark(price)) for minute, price in state.volatility.entries()]
        ),
        contract_pnl_peak=_peak_record(state.contract_pnl_peak, time_ms),
        contract_pnl_opening=DailyOpeningRecord(entries=state.contract_pnl_opening.entries()),
        warned=sorted(state.warned),
        stale=sorted(state.stale),
    )


def _tables(book: Book) -> list[PositionTable]:
    """Return all position tables, in the order in which their rows are stored."""
    return [table for state in book.contracts.values() for table in state.tables.values()]


def _position_table_record(table: PositionTable) -> PositionTableRecord:
    return _copy_fields(PositionTableRecord, table, position_ids=sorted(table.position_ids))


def _wallets_record(wallets: Wallets) -> WalletsRecord:
    columns, stale = wallets.state(), sorted(wallets.stale)
    margins = _table_record(TableRecord, wallets.margins) if wallets.margins.size else None
    return _copy_fields(WalletsRecord, wallets, columns=columns, stale=stale, margins=margins)


def _table_record(kind: type[RecordT], table: Table) -> RecordT:
    return _copy_fields(kind, table, columns=table.state())


def _peak_record(peak: RollingPeak, time_ms: int) -> RollingPeakRecord:
    # Reading the peak drops the entries before the window. Equal books may differ in whether the
    # peak has been read, so it is read here.
    peak.peak(time_ms)
    return RollingPeakRecord(window_ms=peak.window_ms, entries=peak.entries())


def _mean_record(mean: RollingMean, time_ms: int) -> RollingMeanRecord:
    mean.area(time_ms)  # drops the entries before the window, as for a peak
    return RollingMeanRecord(window_ms=mean.window_ms, entries=mean.entries())


def _copy_fields(kind: type[RecordT], source: object, **translated: object) -> RecordT:
    """Return a record of the source's fields, some of them translated."""
    names = [name for name in kind.__struct_fields__ if name not in translated]
    return kind(**{name: getattr(source, name) for name in names}, **translated)


def restore_book(record: BookRecord) -> Book:
    """Return the book of a record."""
    book = Book()
    _assign_fields(
        book,
        record,
        skip=(
            *("accounts", "assets", "contracts", "positions", "pools"),
            *("outstanding", "unobserved_pools"),
        ),
    )
    _assign_fields(book.outstanding, record.outstanding, skip=())
    book.unobserved_pools = set(record.unobserved_pools)
    _load_table(book.accounts, record.accounts)
    book.accounts.load_names(AccountIndex.of_bytes(*record.accounts.names))
    book.assets = {asset.name: _restore_asset(asset) for asset in record.assets}
    for asset in book.assets.values():
        if asset.definition is not None:
            decimals = book.assets[book.margin_currency].cash_decimals
            asset.set_collateral(asset.definition, asset.index_price, decimals, book.sequence)
    for pool in record.pools:
        decimals = book.assets[pool.definition.asset].cash_decimals
        book.pools[pool.definition.pool] = _restore_pool(pool, decimals)
    for contract in record.contracts:
        decimals = book.assets[contract.definition.settle].cash_decimals
        state = _restore_contract(contract, decimals, book)
        book.contracts[state.name] = state
    sizes = [table.size for contract in record.contracts for table in contract.tables.values()]
    book.positions.load(sizes, record.positions.columns)
    for table, size in zip(_tables(book), sizes, strict=True):
        table.restore(size)
    book.reindex()
    return book


def _restore_asset(record: AssetRecord) -> AssetState:
    asset = AssetState(record.name, record.cash_decimals)
    _assign_fields(asset, record, skip=("wallets",))
    asset.wallets = _load_table(Wallets(), record.wallets)
    asset.wallets.stale = set(record.wallets.stale)
    asset.wallets.margins = VenueMargins()
    if record.wallets.margins is not None:
        _load_table(asset.wallets.margins, record.wallets.margins)
    return asset


def _restore_pool(record: PoolRecord, cash_decimals: int) -> PoolState:
    limits = exact_limits(record.definition.limits, cash_decimals)
    pool = PoolState(record.definition, limits, slippage_ppm(record.definition))
    windows = (*("balance_peak", "equity_peak", "equity_mean"), *("equity_opening", "equity_falls"))
    _assign_fields(pool, record, skip=windows)
    pool.balance_peak = _restore_peak(record.balance_peak)
    pool.equity_peak = _restore_peak(record.equity_peak)
    pool.equity_mean = RollingMean(record.equity_mean.window_ms, record.equity_mean.entries)
    pool.equity_opening = DailyOpening(record.equity_opening.entries)
    pool.equity_falls = MinuteFalls(record.equity_falls.entries)
    return pool


def _restore_contract(record: ContractRecord, cash_decimals: int, book: Book) -> ContractState:
    terms = terms_of(record.definition, cash_decimals, record.price_unit)
    terms = replace(terms, former=tuple(record.former_units))
    limits = exact_limits(record.definition.limits, cash_decimals)
    window_ms = record.contract_pnl_peak.window_ms
    state = ContractState(record.definition, terms, limits, window_ms, book.positions, book.marks)
    _assign_fields(
        state,
        record,
        skip=(
            *("mark", "previous_mark", "last_confirmed_mark", "volatility"),
            *("contract_pnl_peak", "contract_pnl_opening"),
            *("tables", "inventory", "warned", "stale"),
        ),
    )
    state.mark = unpack_mark(record.mark)
    state.previous_mark = unpack_mark(record.previous_mark)
    state.last_confirmed_mark = unpack_mark(record.last_confirmed_mark)
    for side, table in record.tables.items():
        _assign_fields(state.tables[side], table, skip=("size", "position_ids"))
        state.tables[side].position_ids = set(table.position_ids)
    state.inventory = {side: Inventory(tranches) for side, tranches in record.inventory.items()}
    state.volatility = RollingVolatility(
        (minute, unpack_mark(price)) for minute, price in record.volatility.entries
    )
    state.contract_pnl_peak = _restore_peak(record.contract_pnl_peak)
    state.contract_pnl_opening = DailyOpening(record.contract_pnl_opening.entries)
    state.warned = set(record.warned)
    state.stale = set(record.stale)
    return state


def _restore_peak(record: RollingPeakRecord) -> RollingPeak:
    return RollingPeak(record.window_ms, record.entries)


TableT = TypeVar("TableT", bound=Table)


def _load_table(table: TableT, record: TableRecord) -> TableT:
    """Load the columns of a table, then its other stored fields."""
    table.load(record.columns, record.size)
    _assign_fields(table, record, skip=("size", "columns", "names"))
    return table


def _assign_fields(target: object, record: StateRecord, skip: tuple[str, ...]) -> None:
    """Set the stored fields on the target, except some."""
    for name in record.__struct_fields__:
        if name not in skip:
            setattr(target, name, getattr(record, name))
