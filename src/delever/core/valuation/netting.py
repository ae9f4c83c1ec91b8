"""Netting of opposite positions at the mark: of an account before its takeover, and of a fund.

Only the net exposure of an account's cross positions meets the fund: the smaller side is closed
whole, the larger one keeps its entry price, and there is no fee. Isolated positions stay apart. A
fund that has taken over both sides of a contract closes them against each other.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState, Tranche
from delever.core.messages import Event, InventoryNetted, PositionsNetted, Side, WalletSettled
from delever.core.units import floor_ticks, share_floor
from delever.core.valuation.bankruptcy import OpenPosition, cross_positions, settle_pooled
from delever.core.valuation.insurance import payable_lots
from delever.core.valuation.multi_asset import is_pooled


@dataclass(slots=True)
class _Leg:
    """What is left of a position while its account is netted; cost in Cash."""

    position: int
    lots: int
    cost: int

    def cut(self, lots: int) -> int:
        """Take lots away; return their cost, rounded down."""
        cost = share_floor(self.cost, lots, self.lots)
        self.lots -= lots
        self.cost -= cost
        return cost


def net_legs(
    book: Book, positions: Sequence[OpenPosition], nets: Container[str]
) -> Iterator[PositionsNetted]:
    """Yield the netting of one account's cross positions in the contracts that net.

    Position ids are netted in their order, so that each event closes one of two positions.
    """
    legs: dict[str, dict[Side, list[_Leg]]] = {}
    for position in positions:
        if not position.isolated and position.state.name in nets:
            lots, cost, _ = position.state.tables[position.side].amounts_at(position.row)
            sides = legs.setdefault(position.state.name, {side: [] for side in Side})
            sides[position.side].append(_Leg(position.position, lots, cost))
    for name, sides in legs.items():
        account = book.accounts.names[positions[0].account]
        yield from _pairs(book.contracts[name], account, *sides.values())


def _pairs(
    state: ContractState, account: str, longs: list[_Leg], shorts: list[_Leg]
) -> Iterator[PositionsNetted]:
    while longs and shorts:
        long, short = longs[0], shorts[0]
        before = long.lots, short.lots
        lots = min(before)
        costs = long.cut(lots), short.cut(lots)
        yield PositionsNetted(
            contract=state.name,
            account=account,
            long_position=long.position,
            short_position=short.position,
            long_lots=before[0],
            short_lots=before[1],
            lots=lots,
            mark_ticks=floor_ticks(state.mark),
            long_cost_cash=costs[0],
            short_cost_cash=costs[1],
            realized_pnl_cash=-sum(costs),
        )
        longs, shorts = (legs if legs[0].lots else legs[1:] for legs in (longs, shorts))


def settle_netted(book: Book, account: int, state: ContractState) -> Iterator[Event]:
    """Yield the pool's payment of a negative wallet whose cross positions were all netted."""
    asset = state.terms.settle
    if is_pooled(book, account, asset):
        if not cross_positions(book, account, asset):
            yield from settle_pooled(book, account, {asset: (state.pool, state.name)}, {}, {})
        return
    deficit, _ = book.asset(asset).wallets.margin_of(account)
    if deficit < 0 and not cross_positions(book, account, asset):
        yield WalletSettled(
            account=book.accounts.names[account],
            asset=asset,
            pool=state.pool,
            contract=state.name,
            amount_cash=deficit,
        )


def net_inventory(
    pool: PoolState, state: ContractState, *, beyond_balance: bool
) -> Iterator[InventoryNetted]:
    """Yield the netting of a pool's inventory; each is applied before the next.

    Both sides are netted in the order of their takeovers, as far as the pool can pay for it: what
    it cannot stays open, to be closed by ADL. `beyond_balance`: the pool nets whatever it has.
    """
    long, short = (state.inventory[side].tranches for side in Side)
    while long and short:
        first, second = next(iter(long.values())), next(iter(short.values()))
        lots = min(first.lots, second.lots)

        def costs(part: int, pair: tuple[Tranche, Tranche] = (first, second)) -> list[int]:
            return [share_floor(tranche.cost, part, tranche.lots) for tranche in pair]

        if not beyond_balance:
            lots = payable_lots(lots, pool.balance, lambda part: -sum(costs(part)))
        if not lots:
            return
        long_cost, short_cost = costs(lots)
        yield InventoryNetted(
            contract=state.name,
            pool=pool.name,
            long_takeover=first.takeover,
            short_takeover=second.takeover,
            long_lots=first.lots,
            short_lots=second.lots,
            lots=lots,
            mark_ticks=floor_ticks(state.mark),
            long_cost_cash=long_cost,
            short_cost_cash=short_cost,
            realized_pnl_cash=-(long_cost + short_cost),
        )
