"""The state of one settle asset and of one insurance fund."""

from delever.core.book.account_tables import Wallets
from delever.core.market.rolling_windows import RollingMean, RollingPeak
from delever.core.market.trigger_limits import Limits
from delever.core.messages import DefinePool, PoolObserved


class AssetState:
    """One settle asset: its unit, its wallets, and the totals that the ledger must meet."""

    def __init__(self, name: str, cash_decimals: int) -> None:
        self.name = name
        self.cash_decimals = cash_decimals
        self.wallets = Wallets()
        self.pool_balance = 0
        self.inventory_cost = 0
        self.fees = 0
        self.exposure = 0

    @property
    def bound(self) -> int:
        """What no account's equity is beyond: all that one could gain or lose, and a wallet."""
        return self.exposure + self.wallets.largest


class PoolState:
    """One insurance pool: settled cash, its peaks, and what was last observed of it."""

    def __init__(self, definition: DefinePool, limits: Limits, max_slippage_ppm: int) -> None:
        self.definition = definition
        self.limits = limits
        self.max_slippage_ppm = max_slippage_ppm
        self.name = definition.pool
        self.asset = definition.asset
        self.balance = 0
        self.balance_peak = RollingPeak(definition.peak_window_ms)
        self.equity_peak = RollingPeak(definition.peak_window_ms)
        self.equity_mean = RollingMean(definition.peak_window_ms)
        self.withdrawal_cut_ppm = 0
        self.observed: PoolObserved | None = None

    def track(self, time_ms: int, balance_cash: int, equity_cash: int) -> None:
        """Follow the pool's balance and equity over its window."""
        self.balance_peak.observe(time_ms, balance_cash)
        self.equity_peak.observe(time_ms, equity_cash)
        self.equity_mean.observe(time_ms, equity_cash)

    def shift_past(self, amount_cash: int) -> None:
        """Move what equity was so far: money that left by decision is not a loss."""
        self.equity_peak.shift(amount_cash)
        self.equity_mean.shift(amount_cash)

    def scalars(self) -> tuple[object, ...]:
        """Return the pool's own numbers for the hash of changes."""
        return (self.balance, self.withdrawal_cut_ppm)
