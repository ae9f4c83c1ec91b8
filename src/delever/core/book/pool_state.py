"""The state of one settle asset and of one insurance pool."""

from delever.core.book.account_tables import Wallets
from delever.core.market.rolling_windows import RollingMean, RollingPeak
from delever.core.market.trigger_limits import Limits
from delever.core.messages import DefinePool, PoolObserved


class AssetState:
    """One settle asset: its smallest unit, its wallets, and totals for the ledger, in Cash.

    `exposure` is the sum of the exposure bounds of the contracts that settle in the asset.
    """

    def __init__(self, name: str, cash_decimals: int) -> None:
        self.name = name
        self.cash_decimals = cash_decimals
        self.wallets = Wallets()
        self.pool_balance = 0
        self.inventory_cost = 0
        self.fees = 0
        self.exposure = 0

    @property
    def equity_bound(self) -> int:
        """Upper bound, in Cash, on any account's absolute equity."""
        return self.exposure + self.wallets.largest


class PoolState:
    """One insurance pool: its settled balance, rolling peaks and means, and last observation.

    `rules_digest` names the content of a rule set of one's own; it is empty for a venue's.
    `amended`: the definition is not the first.
    """

    def __init__(self, definition: DefinePool, limits: Limits, max_slippage_ppm: int) -> None:
        self.definition = definition
        self.limits = limits
        self.max_slippage_ppm = max_slippage_ppm
        self.name = definition.pool
        self.asset = definition.asset
        self.rules_digest = ""
        self.amended = False
        self.balance = 0
        self.balance_peak = RollingPeak(definition.peak_window_ms)
        self.equity_peak = RollingPeak(definition.peak_window_ms)
        self.equity_mean = RollingMean(definition.peak_window_ms)
        self.withdrawal_haircut_ppm = 0
        self.observed: PoolObserved | None = None

    def amend(
        self,
        time_ms: int,
        definition: DefinePool,
        limits: Limits,
        max_slippage_ppm: int,
        rules_digest: str,
    ) -> None:
        """Replace rules, limits, slippage and window; balances and peaks stay."""
        self.definition, self.limits = definition, limits
        self.max_slippage_ppm, self.rules_digest = max_slippage_ppm, rules_digest
        self.amended = True
        for window in (self.balance_peak, self.equity_peak, self.equity_mean):
            window.resize(time_ms, definition.peak_window_ms)

    def track(self, time_ms: int, balance_cash: int, equity_cash: int) -> None:
        """Add the balance and the equity of this moment to the rolling windows."""
        self.balance_peak.observe(time_ms, balance_cash)
        self.equity_peak.observe(time_ms, equity_cash)
        self.equity_mean.observe(time_ms, equity_cash)

    def shift_past(self, amount_cash: int) -> None:
        """Shift past equity by a withdrawal: money that an operator moved is no drawdown."""
        self.equity_peak.shift(amount_cash)
        self.equity_mean.shift(amount_cash)

    def scalars(self) -> tuple[object, ...]:
        """Return the pool's own numbers, for the hash of changes."""
        amended = (self.definition, self.rules_digest) if self.amended else ()
        return (self.balance, self.withdrawal_haircut_ppm, *amended)
