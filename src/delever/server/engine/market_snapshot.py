"""The whole market as of one sequence: immutable, replaced as a whole.

A market snapshot is taken on the engine's thread and read on the event loop without a lock. It has
the data of all public endpoints: terms, marks, open interest, insurance funds, triggers, ratings,
indicators. Data of a single account or queue is read from the book on request (`Runner.read`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from delever.api_types.market import MarketState
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState
from delever.core.explain.explanation import TriggerState, trigger_states
from delever.core.market.contract_terms import ContractTerms
from delever.core.messages import DefineContract, DefinePool, Rating, Side, TradingStatus
from delever.core.risk.publication.cache import PublishedIndicators
from delever.core.rules import rule_set_of
from delever.core.rules.ranking import IndicatorScale
from delever.core.rules.triggers import WARNING_PPM
from delever.core.units import Mark
from delever.core.valuation.insurance import contract_pnl_of, pool_equity
from delever.core.valuation.stale_rows import is_incomplete

NO_TIME_MS = 0
"""The time of an event that has not happened yet."""


@dataclass(frozen=True, slots=True)
class ContractSnapshot:
    """One contract, in lots, ticks and Cash; NO_TIME_MS is the time of an event yet to happen."""

    name: str
    definition: DefineContract
    terms: ContractTerms
    cash_decimals: int
    pool: str
    rules: str
    indicator_scale: IndicatorScale
    joint: bool
    mark_ticks: Mark
    marked_ms: int
    open_lots: Mapping[Side, int]
    positions: Mapping[Side, int]
    inventory_lots: Mapping[Side, int]
    contract_pnl_cash: int
    contract_pnl_peak_cash: int
    state: MarketState
    status: TradingStatus
    fund_pays: bool
    settlement_price: str
    paused: bool
    mark_rejected: bool
    mark_unconfirmed: bool
    confirmed_mark_ticks: Mark
    incomplete: bool
    triggers: tuple[TriggerState, ...]
    rating: Rating | None
    last_adl_ms: int

    @property
    def trigger_used_ppm(self) -> int:
        """Share of its threshold that the nearest trigger has used."""
        return max((trigger.trigger_used_ppm for trigger in self.triggers), default=0)


@dataclass(frozen=True, slots=True)
class HeldCollateralSnapshot:
    """What a pool took over of an asset; the cost is in the pool's."""

    asset: str
    decimals: int
    amount_cash: int
    cost_cash: int


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """One insurance fund, in Cash; equity is the balance plus the PnL of its inventory."""

    name: str
    definition: DefinePool
    cash_decimals: int
    balance_cash: int
    equity_cash: int
    unfunded_cash: int
    balance_peak_cash: int
    withdrawal_haircut_ppm: int
    members: tuple[str, ...]
    collateral: tuple[HeldCollateralSnapshot, ...]


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    """The whole market as of `sequence`, taken at `taken_ms` of the server's clock."""

    sequence: int
    time_ms: int
    taken_ms: int
    accounts: int
    contracts: Mapping[str, ContractSnapshot]
    pools: Mapping[str, PoolSnapshot]
    indicators: PublishedIndicators | None

    def is_old(self, now_ms: int, interval_ms: int) -> bool:
        """Whether the snapshot is due for a refresh; the clock may have been set back since."""
        return abs(now_ms - self.taken_ms) >= interval_ms


def market_snapshot_of(
    book: Book,
    *,
    taken_ms: int,
    indicators: PublishedIndicators | None,
    last_adl_ms: Mapping[str, int],
    marked_ms: Mapping[str, int],
) -> MarketSnapshot:
    """Return the market snapshot of a book."""
    contracts = {
        state.name: _contract(
            book,
            state,
            last_adl_ms.get(state.name, NO_TIME_MS),
            marked_ms.get(state.name, NO_TIME_MS),
        )
        for state in book.contracts.values()
    }
    return MarketSnapshot(
        sequence=book.sequence,
        time_ms=book.time_ms,
        taken_ms=taken_ms,
        accounts=book.accounts.size,
        contracts=contracts,
        pools={pool.name: _pool(book, pool) for pool in book.pools.values()},
        indicators=indicators,
    )


def _contract(
    book: Book, state: ContractState, last_adl_ms: int, marked_ms: int
) -> ContractSnapshot:
    rules = rule_set_of(book, state)
    settled = state.status is TradingStatus.SETTLED
    triggers = () if settled else trigger_states(book, state, rules)
    contract_pnl_cash = contract_pnl_of(state)
    return ContractSnapshot(
        name=state.name,
        definition=state.definition,
        terms=state.terms,
        cash_decimals=book.asset_of(state).cash_decimals,
        pool=state.pool,
        rules=rules.name,
        indicator_scale=rules.indicator_scale,
        joint=rules.ranking.joint,
        mark_ticks=state.mark,
        marked_ms=marked_ms,
        open_lots={side: table.total_lots for side, table in state.tables.items()},
        positions={side: table.size for side, table in state.tables.items()},
        inventory_lots={side: held.total_lots for side, held in state.inventory.items()},
        contract_pnl_cash=contract_pnl_cash,
        contract_pnl_peak_cash=state.contract_pnl_peak.peak(book.time_ms, contract_pnl_cash),
        state=_market_state(state, triggers),
        status=state.status,
        fund_pays=state.fund_pays,
        settlement_price=state.settlement_price,
        paused=state.paused,
        mark_rejected=state.mark_rejected,
        mark_unconfirmed=state.mark_unconfirmed,
        confirmed_mark_ticks=state.confirmed_mark,
        incomplete=is_incomplete(book, state),
        triggers=triggers,
        rating=state.rating,
        last_adl_ms=last_adl_ms,
    )


def _market_state(state: ContractState, triggers: tuple[TriggerState, ...]) -> MarketState:
    if state.active:
        return MarketState.EXHAUSTED if state.exhausted else MarketState.ADL
    warns = any(trigger.trigger_used_ppm >= WARNING_PPM for trigger in triggers)
    return MarketState.WATCH if warns or state.warned else MarketState.CALM


def _pool(book: Book, pool: PoolState) -> PoolSnapshot:
    return PoolSnapshot(
        name=pool.name,
        definition=pool.definition,
        cash_decimals=book.cash_decimals(pool.asset),
        balance_cash=pool.balance,
        equity_cash=pool_equity(book, pool),
        unfunded_cash=pool.unfunded,
        balance_peak_cash=pool.balance_peak.peak(book.time_ms, pool.balance),
        withdrawal_haircut_ppm=pool.withdrawal_haircut_ppm,
        members=tuple(sorted(state.name for state in book.members(pool))),
        collateral=tuple(
            HeldCollateralSnapshot(name, book.cash_decimals(name), held.amount, held.cost)
            for name, held in sorted(pool.collateral.items())
        ),
    )
