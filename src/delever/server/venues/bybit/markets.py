"""What everybody sees at Bybit, out of a board; the REST part of it is kept for a period.

REST `adlAlert` and isolated pools are a snapshot of a minute, shared pools one of a day (UTC). A
snapshot is also taken when contracts or pools are added, moved, or get their first mark or money.
"""

from collections.abc import Iterator, Mapping

from delever.config import Config
from delever.core.messages import PoolKind
from delever.server.engine.market_snapshot import Board, ContractShown, PoolShown
from delever.server.venues import amounts
from delever.server.venues.bybit import payloads as wire
from delever.server.venues.symbols import SymbolMapCache, usd_price
from delever.server.venues.symbols import Instrument, SymbolMap

ALERTS, INSURANCE = "/v5/market/adlAlert", "/v5/market/insurance"
DRAWDOWN = "contract_drawdown"


def alerts(board: Board, symbols: SymbolMap) -> Iterator[tuple[Instrument, wire.Alert]]:
    """Yield every contract's alert, by symbol."""
    for instrument in sorted(symbols.all, key=lambda each: each.bybit):
        shown = board.contracts[instrument.contract]
        yield instrument, _alert(instrument, shown, board.pools[shown.pool])


def _alert(instrument: Instrument, shown: ContractShown, pool: PoolShown) -> wire.Alert:
    limits = [each.numbers for each in shown.triggers if each.trigger == DRAWDOWN]
    return wire.alert(
        coin=instrument.settle,
        symbol=instrument.bybit,
        decimals=pool.cash_decimals,
        equity_cash=pool.equity_cash,
        drawdown_cash=(shown.contract_pnl_peak_cash - shown.profit_cash, pool.balance_peak_cash),
        limits=limits[0] if limits else None,
    )


def pools(board: Board, symbols: SymbolMap) -> Iterator[tuple[str, wire.Pool]]:
    """Yield every pool that stands behind a contract, by its name."""
    for name, pool in sorted(board.pools.items()):
        members = [symbols.by_contract[member] for member in pool.members]
        if members:
            yield name, _pool(pool, members, usd_price(board, names, pool.definition.asset))


def _pool(pool: PoolShown, members: list[Instrument], usd: tuple[int, int] | None) -> wire.Pool:
    isolated = pool.definition.kind is PoolKind.ISOLATED
    return wire.Pool(
        group=wire.group_of(members[0]),
        coin=pool.definition.asset,
        symbols=tuple(sorted(member.bybit for member in members)),
        balance=amounts.cash(pool.balance_cash, pool.cash_decimals),
        value=amounts.worth(pool.balance_cash, pool.cash_decimals, usd),
        isolated=isolated,
    )


class Kept:
    """The results of REST adlAlert and insurance, encoded, by path and raw query."""

    def __init__(self, config: Config, symbol_maps: SymbolMapCache, board: Board) -> None:
        self._alert_ms = config.publication.adl_alert_interval_ms
        self._shared_ms = config.publication.shared_pools_interval_ms
        self._symbol_maps = listings
        self._alerts_as: object = None
        self._pools: dict[str, tuple[int, wire.Pool]] = {}
        self.results: dict[tuple[str, bytes], bytes] = {}
        self.take(board)

    def take(self, board: Board) -> None:
        """Look at a new board, and take of it what is due."""
        names = self._symbol_maps.of(board)
        self._take_alerts(board, names)
        self._take_pools(board, names)

    def _take_alerts(self, board: Board, symbols: SymbolMap) -> None:
        known = {
            (shown.name, shown.pool, bool(shown.triggers), board.pools[shown.pool].balance_cash > 0)
            for shown in board.contracts.values()
        }
        due_as = (board.made_ms // self._alert_ms, known)
        if due_as != self._alerts_as:
            self._alerts_as = due_as
            rows = {alert.symbol: alert.rest() for _, alert in alerts(board, names)}
            single = {f"symbol={symbol}": [row] for symbol, row in rows.items()}
            self._encode(ALERTS, {"": [*rows.values()], **single}, board.made_ms)

    def _take_pools(self, board: Board, symbols: SymbolMap) -> None:
        changed = False
        for name, pool in pools(board, names):
            period = board.made_ms // (self._alert_ms if pool.isolated else self._shared_ms)
            kept = self._pools.get(name)
            new = kept is None or kept[0] != period or kept[1].symbols != pool.symbols
            if new or (kept and kept[1].balance == "0" != pool.balance):
                self._pools[name] = period, pool
                changed = True
        gone = self._pools.keys() - {name for name, shown in board.pools.items() if shown.members}
        for name in gone:
            del self._pools[name]
        if changed or gone or (INSURANCE, b"") not in self.results:
            self._encode_pools(board.made_ms)

    def _encode_pools(self, made_ms: int) -> None:
        rows = [pool for _, pool in self._pools.values()]
        by_coin = {
            f"coin={coin}": [each.rest() for each in rows if each.coin == coin]
            for coin in {each.coin for each in rows}
        }
        self._encode(INSURANCE, {"": [each.rest() for each in rows], **by_coin}, made_ms)

    def _encode(self, path: str, rows: Mapping[str, list[dict[str, str]]], made_ms: int) -> None:
        for key in [key for key in self.results if key[0] == path]:
            del self.results[key]
        for query, listed in rows.items():
            self.results[path, query.encode()] = wire.listed(listed, made_ms)
