"""Bybit's adlAlert and insurance pools from a market snapshot; REST results are cached.

REST renews `adlAlert` and isolated pools every minute and shared pools every day (UTC). A result
is also renewed when contracts or pools are added or moved, or get their first mark or balance.
"""

from collections.abc import Iterator, Mapping

from delever.config import Config
from delever.core.messages import PoolKind
from delever.server.engine.market_snapshot import ContractSnapshot, MarketSnapshot, PoolSnapshot
from delever.server.venues import amounts
from delever.server.venues.bybit import payloads
from delever.server.venues.symbols import Instrument, SymbolMap, SymbolMapCache, usd_price

ALERTS, INSURANCE = "/v5/market/adlAlert", "/v5/market/insurance"
DRAWDOWN = "contract_drawdown"


def alerts(
    snapshot: MarketSnapshot, symbols: SymbolMap
) -> Iterator[tuple[Instrument, payloads.AdlAlert]]:
    """Yield every contract's alert, sorted by symbol."""
    for instrument in sorted(symbols.all, key=lambda listed: listed.bybit):
        contract = snapshot.contracts[instrument.contract]
        yield instrument, _alert(instrument, contract, snapshot.pools[contract.pool])


def _alert(
    instrument: Instrument, contract: ContractSnapshot, pool: PoolSnapshot
) -> payloads.AdlAlert:
    limits = [each.numbers for each in contract.triggers if each.trigger == DRAWDOWN]
    fall_cash = contract.contract_pnl_peak_cash - contract.contract_pnl_cash
    return payloads.adl_alert(
        coin=instrument.settle,
        symbol=instrument.bybit,
        decimals=pool.cash_decimals,
        equity_cash=pool.equity_cash,
        drawdown_cash=(fall_cash, pool.balance_peak_cash),
        limits=limits[0] if limits else None,
    )


def pools(
    snapshot: MarketSnapshot, symbols: SymbolMap
) -> Iterator[tuple[str, payloads.InsurancePool]]:
    """Yield every pool that has contracts, sorted by name."""
    for name, pool in sorted(snapshot.pools.items()):
        members = [symbols.by_contract[member] for member in pool.members]
        if members:
            usd = usd_price(snapshot, symbols, pool.definition.asset)
            yield name, _pool(pool, members, usd)


def _pool(
    pool: PoolSnapshot, members: list[Instrument], usd: tuple[int, int] | None
) -> payloads.InsurancePool:
    isolated = pool.definition.kind is PoolKind.ISOLATED
    return payloads.InsurancePool(
        group=payloads.group_of(members[0]),
        coin=pool.definition.asset,
        symbols=tuple(sorted(member.bybit for member in members)),
        balance=amounts.cash(pool.balance_cash, pool.cash_decimals),
        value=amounts.value_at(pool.balance_cash, pool.cash_decimals, usd),
        isolated=isolated,
    )


class MarketDataCache:
    """The encoded results of REST adlAlert and insurance, by path and raw query."""

    def __init__(
        self, config: Config, symbol_maps: SymbolMapCache, snapshot: MarketSnapshot
    ) -> None:
        self._alert_ms = config.publication.adl_alert_interval_ms
        self._shared_ms = config.publication.shared_pools_interval_ms
        self._symbol_maps = symbol_maps
        self._alerts_version: object = None
        self._pools: dict[str, tuple[int, payloads.InsurancePool]] = {}
        self.results: dict[tuple[str, bytes], bytes] = {}
        self.update(snapshot)

    def update(self, snapshot: MarketSnapshot) -> None:
        """Encode the results that are due for renewal from a new market snapshot."""
        symbols = self._symbol_maps.of(snapshot)
        self._update_alerts(snapshot, symbols)
        self._update_pools(snapshot, symbols)

    def _update_alerts(self, snapshot: MarketSnapshot, symbols: SymbolMap) -> None:
        known = {
            (
                contract.name,
                contract.pool,
                bool(contract.triggers),
                snapshot.pools[contract.pool].balance_cash > 0,
            )
            for contract in snapshot.contracts.values()
        }
        version = (snapshot.taken_ms // self._alert_ms, known)
        if version != self._alerts_version:
            self._alerts_version = version
            rows = {alert.symbol: alert.rest() for _, alert in alerts(snapshot, symbols)}
            single = {f"symbol={symbol}": [row] for symbol, row in rows.items()}
            self._encode(ALERTS, {"": [*rows.values()], **single}, snapshot.taken_ms)

    def _update_pools(self, snapshot: MarketSnapshot, symbols: SymbolMap) -> None:
        changed = False
        for name, pool in pools(snapshot, symbols):
            period = snapshot.taken_ms // (self._alert_ms if pool.isolated else self._shared_ms)
            cached = self._pools.get(name)
            new = cached is None or cached[0] != period or cached[1].symbols != pool.symbols
            if new or (cached and cached[1].balance == "0" != pool.balance):
                self._pools[name] = period, pool
                changed = True
        removed = self._pools.keys() - {name for name, p in snapshot.pools.items() if p.members}
        for name in removed:
            del self._pools[name]
        if changed or removed or (INSURANCE, b"") not in self.results:
            self._encode_pools(snapshot.taken_ms)

    def _encode_pools(self, taken_ms: int) -> None:
        rows = [pool for _, pool in self._pools.values()]
        by_coin = {
            f"coin={coin}": [pool.rest() for pool in rows if pool.coin == coin]
            for coin in {pool.coin for pool in rows}
        }
        self._encode(INSURANCE, {"": [pool.rest() for pool in rows], **by_coin}, taken_ms)

    def _encode(self, path: str, rows: Mapping[str, list[dict[str, str]]], taken_ms: int) -> None:
        for key in [key for key in self.results if key[0] == path]:
            del self.results[key]
        for query, listed in rows.items():
            self.results[path, query.encode()] = payloads.listed(listed, taken_ms)
