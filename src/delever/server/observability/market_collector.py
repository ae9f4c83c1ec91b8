"""Gauges of the newest market snapshot, sampled when Prometheus reads them."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from delever.api_types.market import MarketState
from delever.core.messages import Side, TradingStatus
from delever.core.units import PPM
from delever.formatting import ContractFormatter
from delever.server.engine.market_snapshot import ContractSnapshot, MarketSnapshot, PoolSnapshot


class MarketCollector(Collector):
    """Gauges of the newest market snapshot."""

    def __init__(self) -> None:
        self._snapshot: MarketSnapshot | None = None

    def update(self, snapshot: MarketSnapshot) -> None:
        """Replace the market snapshot."""
        self._snapshot = snapshot

    def describe(self) -> Iterable[Metric]:
        """Return the gauges without samples."""
        return _families().values()

    def collect(self) -> Iterator[Metric]:
        """Yield all gauges of the market snapshot."""
        families, snapshot = _families(), self._snapshot
        if snapshot is not None:
            families["sequence"].add_metric([], snapshot.sequence)
            families["accounts"].add_metric([], snapshot.accounts)
            for pool in snapshot.pools.values():
                _add_pool(families, pool)
            for contract in snapshot.contracts.values():
                _add_contract(families, contract, snapshot)
        yield from families.values()


def _families() -> dict[str, GaugeMetricFamily]:
    families: dict[str, tuple[str, list[str]]] = {
        "sequence": ("Sequence of the market snapshot", []),
        "accounts": ("Accounts in the book", []),
        "pool_balance": ("Balance of an insurance fund, in its asset", ["pool", "asset"]),
        "pool_equity": ("Balance plus unrealized PnL of the fund's inventory", ["pool", "asset"]),
        "pool_unfunded": ("Losses that neither fund nor queue has paid", ["pool", "asset"]),
        "pool_balance_peak": ("Highest balance in the fund's rolling window", ["pool", "asset"]),
        "contract_state": ("1 for the state of a contract, else 0", ["contract", "state"]),
        "contract_status": ("1 for the status of a contract, else 0", ["contract", "status"]),
        "contract_pnl": ("PnL of the insurance fund in a contract", ["contract"]),
        "pnl_ratio": ("Contract PnL below its peak, divided by the fund's peak", ["contract"]),
        "trigger_distance_ratio": (
            "Share of a trigger's threshold that is not used: 0 is ADL",
            ["contract", "trigger"],
        ),
        "inventory": ("Inventory of the insurance fund, in units", ["contract", "side"]),
        "mark": ("Mark price of a contract", ["contract"]),
        "mark_unconfirmed": ("1 while a contract's mark is beyond its limits", ["contract"]),
        "mark_age_seconds": ("Age of a contract's mark", ["contract"]),
    }
    return {
        name: GaugeMetricFamily(f"delever_{name}", text, labels=labels)
        for name, (text, labels) in families.items()
    }


def _add_pool(families: dict[str, GaugeMetricFamily], pool: PoolSnapshot) -> None:
    labels, scale = [pool.name, pool.definition.asset], 10**pool.cash_decimals
    families["pool_balance"].add_metric(labels, pool.balance_cash / scale)
    families["pool_equity"].add_metric(labels, pool.equity_cash / scale)
    families["pool_unfunded"].add_metric(labels, pool.unfunded_cash / scale)
    families["pool_balance_peak"].add_metric(labels, pool.balance_peak_cash / scale)


def _add_contract(
    families: dict[str, GaugeMetricFamily], contract: ContractSnapshot, snapshot: MarketSnapshot
) -> None:
    name, peak_cash = contract.name, snapshot.pools[contract.pool].balance_peak_cash
    for state in MarketState:
        families["contract_state"].add_metric([name, state], float(contract.state is state))
    for status in TradingStatus:
        families["contract_status"].add_metric([name, status], float(contract.status is status))
    scale = 10**contract.cash_decimals
    families["contract_pnl"].add_metric([name], contract.contract_pnl_cash / scale)
    fall_cash = contract.contract_pnl_cash - contract.contract_pnl_peak_cash
    families["pnl_ratio"].add_metric([name], fall_cash / peak_cash if peak_cash else 0)
    for trigger in contract.triggers:
        unused = 1 - trigger.trigger_used_ppm / PPM
        families["trigger_distance_ratio"].add_metric([name, trigger.trigger], unused)
    mantissa, decimals = contract.terms.lot
    for side in Side:
        quantity = contract.inventory_lots[side] * mantissa / 10**decimals
        families["inventory"].add_metric([name, side], quantity)
    families["mark_unconfirmed"].add_metric([name], float(contract.mark_unconfirmed))
    if contract.marked_ms:
        formatter = ContractFormatter(contract.terms, contract.cash_decimals)
        price = float(formatter.exact_price(contract.mark_ticks))
        families["mark"].add_metric([name], price)
        age = abs(snapshot.taken_ms - contract.marked_ms) / 1_000  # the clock may be set back
        families["mark_age_seconds"].add_metric([name], age)
