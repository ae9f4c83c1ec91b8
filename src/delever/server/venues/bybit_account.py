"""What one account sees at Bybit: its positions as the book has them, lights as last published."""

from collections.abc import Iterable, Iterator
from typing import Any

from delever.core.messages import Side
from delever.server.account import Holdings, Position
from delever.server.board import Board, ContractShown, MarketState
from delever.server.venues.listings import usd_price
from delever.wire import amounts
from delever.wire import bybit_account as wire
from delever.wire.names import Names

IN_ADL = (MarketState.ADL, MarketState.EXHAUSTED)


def listing(board: Board, names: Names, contract: str) -> wire.Listing:
    """Return a contract as the payloads need it."""
    shown = board.contracts[contract]
    return wire.Listing(names.by_contract[contract], shown.terms, shown.cash_decimals)


def position_rows(
    board: Board, names: Names, holdings: Holdings, contract: str
) -> Iterator[dict[str, Any]]:
    """Yield the rows of what an account holds in one contract, the long side first."""
    for held in holdings.of(contract):
        row = wire.position_row(
            listing(board, names, contract),
            held,
            _standing(board, holdings, held),
            hedge_mode=holdings.hedge_mode,
        )
        yield row


def empty_rows(
    board: Board, names: Names, holdings: Holdings, contract: str
) -> Iterator[dict[str, Any]]:
    """Yield a row for each side that an account could hold of a contract and does not."""
    held = {position.side for position in holdings.of(contract)}
    sides = set(Side) - held if holdings.hedge_mode else set()
    indexes = [wire.position_index(side, hedge_mode=True) for side in sides]
    if not holdings.hedge_mode and not held:
        indexes = [0]
    mark = board.contracts[contract].mark_ticks
    nothing = wire.Standing(mark, 0, "Normal", holdings.as_of, holdings.time_ms)
    for index in sorted(indexes):
        yield wire.empty_position_row(listing(board, names, contract), nothing, index)


def _standing(board: Board, holdings: Holdings, held: Position) -> wire.Standing:
    shown = board.contracts[held.contract]
    lights = board.lights
    light = lights.light(held.contract, held.side, holdings.index) if lights else 0
    return wire.Standing(
        mark_ticks=shown.mark_ticks,
        light=light,
        status=_status(shown, held, light),
        sequence=holdings.as_of,
        time_ms=holdings.time_ms,
    )


def _status(shown: ContractShown, held: Position, light: int) -> str:
    """Return Liq under liquidation, Adl in line while ADL is on against its side, else Normal."""
    if held.under_liquidation:
        return "Liq"
    closing = shown.state in IN_ADL and shown.inventory_lots[held.side.opposite] > 0
    return "Adl" if closing and light else "Normal"


def coins(
    board: Board, names: Names, holdings: Holdings, assets: Iterable[str]
) -> Iterator[wire.Coin]:
    """Yield an account's settle assets, isolated margins and positions included."""
    wanted = set(assets)
    settled = {contract: shown.terms.settle for contract, shown in board.contracts.items()}
    for wallet in holdings.wallets:
        if wallet.asset not in wanted:
            continue
        mine = [held for held in holdings.positions if settled.get(held.contract) == wallet.asset]
        alone = [held for held in mine if held.isolated]
        yield wire.Coin(
            name=wallet.asset,
            decimals=decimals_of(board, wallet.asset),
            balance_cash=wallet.balance_cash + sum(held.margin_cash for held in alone),
            profit_cash=sum(held.profit_cash for held in mine),
            initial_cash=sum(amounts.initial_margin_cash(held) for held in mine),
            maintenance_cash=sum(held.maintenance_cash for held in mine),
            usd_price=usd_price(board, names, wallet.asset),
        )


def decimals_of(board: Board, asset: str) -> int:
    """Return the decimals of an asset's smallest unit, by any contract that settles in it."""
    found = (
        shown.cash_decimals for shown in board.contracts.values() if shown.terms.settle == asset
    )
    return next(found)
