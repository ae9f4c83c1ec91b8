"""What readers see: the market's numbers as of one sequence, immutable, replaced as a whole.

Made on the engine's thread, read on the event loop without a lock. It holds what public endpoints
show: terms, marks, open interest, pools, triggers, ratings, indicators. What only one account or one
page asks for is read from the book on demand (`Runner.read`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from delever.api_types.market import MarketState
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState
from delever.core.engine import rules_of
from delever.core.explain.explanation import TriggerState, trigger_states
from delever.core.market.contract_terms import Terms
from delever.core.messages import DefineContract, DefinePool, Rating, Side
from delever.core.risk.publication import Published
from delever.core.rules.ranking import IndicatorScale
from delever.core.rules.triggers import WARNING_PPM
from delever.core.valuation.insurance import contract_pnl_of, pool_equity

NEVER = 0
"""A time that lies before everything."""


@dataclass(frozen=True, slots=True)
class ContractShown:
    """One contract; lots, ticks and Cash as in the book, times in ms (NEVER: not yet)."""

    name: str
    number: int
    definition: DefineContract
    terms: Terms
    cash_decimals: int
    pool: str
    rules: str
    indicator_scale: IndicatorScale
    joint: bool
    mark_ticks: int
    marked_ms: int
    open_lots: Mapping[Side, int]
    positions: Mapping[Side, int]
    inventory_lots: Mapping[Side, int]
    profit_cash: int
    contract_pnl_peak_cash: int
    state: MarketState
    paused: bool
    triggers: tuple[TriggerState, ...]
    rating: Rating | None
    last_adl_ms: int

    @property
    def trigger_used_ppm(self) -> int:
        """How far the nearest trigger is on its way."""
        return max((trigger.trigger_used_ppm for trigger in self.triggers), default=0)


@dataclass(frozen=True, slots=True)
class PoolShown:
    """One insurance pool; equity is balance and unrealized profit of inventory, in Cash."""

    name: str
    definition: DefinePool
    cash_decimals: int
    balance_cash: int
    equity_cash: int
    balance_peak_cash: int
    withdrawal_cut_ppm: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """The whole market as of `sequence`, made at `made_ms` of the server's clock."""

    sequence: int
    time_ms: int
    made_ms: int
    accounts: int
    contracts: Mapping[str, ContractShown]
    pools: Mapping[str, PoolShown]
    indicators: Published | None

    def is_old(self, now_ms: int, every_ms: int) -> bool:
        """Whether it was made that long ago, by a clock that may have been set back since."""
        return abs(now_ms - self.made_ms) >= every_ms


def board_of(
    book: Book,
    *,
    made_ms: int,
    indicators: Published | None,
    last_adl_ms: Mapping[str, int],
    marked_ms: Mapping[str, int],
) -> Board:
    """Return the board of a book as it stands."""
    contracts = {
        state.name: _contract(
            book, state, last_adl_ms.get(state.name, NEVER), marked_ms.get(state.name, NEVER)
        )
        for state in book.contracts.values()
    }
    return Board(
        sequence=book.sequence,
        time_ms=book.time_ms,
        made_ms=made_ms,
        accounts=book.accounts.size,
        contracts=contracts,
        pools={pool.name: _pool(book, pool) for pool in book.pools.values()},
        indicators=indicators,
    )


def _contract(book: Book, state: ContractState, last_adl_ms: int, marked_ms: int) -> ContractShown:
    rules = rules_of(book, state)
    triggers = trigger_states(book, state, rules) if state.mark else ()
    profit_cash = contract_pnl_of(state)
    return ContractShown(
        name=state.name,
        number=state.number,
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
        profit_cash=profit_cash,
        contract_pnl_peak_cash=state.contract_pnl_peak.peak(book.time_ms, profit_cash),
        state=_market_state(state, triggers),
        paused=state.paused,
        triggers=triggers,
        rating=state.rating,
        last_adl_ms=last_adl_ms,
    )


def _market_state(state: ContractState, triggers: tuple[TriggerState, ...]) -> MarketState:
    if state.active:
        return MarketState.EXHAUSTED if state.exhausted else MarketState.ADL
    near = any(trigger.trigger_used_ppm >= WARNING_PPM for trigger in triggers)
    return MarketState.WATCH if near or state.near else MarketState.CALM


def _pool(book: Book, pool: PoolState) -> PoolShown:
    return PoolShown(
        name=pool.name,
        definition=pool.definition,
        cash_decimals=book.cash_decimals(pool.asset),
        balance_cash=pool.balance,
        equity_cash=pool_equity(book, pool),
        balance_peak_cash=pool.balance_peak.peak(book.time_ms, pool.balance),
        withdrawal_cut_ppm=pool.withdrawal_cut_ppm,
        members=tuple(sorted(state.name for state in book.members(pool))),
    )
