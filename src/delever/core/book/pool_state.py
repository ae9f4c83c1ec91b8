"""The state of one settle asset and of one insurance pool."""

from dataclasses import dataclass

from delever.core.book.account_tables import Wallets
from delever.core.market.collateral import CollateralTerms, collateral_terms
from delever.core.market.rolling_windows import DailyOpening, MinuteFalls, RollingMean, RollingPeak
from delever.core.market.trigger_limits import Limits
from delever.core.messages import DefineCollateral, DefinePool, PoolObserved


class AssetState:
    """One settle asset: its smallest unit, its wallets, and totals for the ledger, in Cash.

    `exposure` is the sum of the exposure bounds of the contracts that settle in the asset, at any
    mark of an inverse contract; `exposure_at_mark` is that at the marks now.
    `collateral` are the asset's terms as collateral at its index price, or None; `collateral_at` is
    the sequence of their last change.
    """

    def __init__(self, name: str, cash_decimals: int) -> None:
        self.name = name
        self.cash_decimals = cash_decimals
        self.wallets = Wallets()
        self.pool_balance = 0
        self.inventory_cost = 0
        self.fees = 0
        self.exposure = 0
        self.exposure_at_mark = 0
        self.key = f"collateral {name}"
        self.definition: DefineCollateral | None = None
        self.index_price = 0
        self.collateral: CollateralTerms | None = None
        self.collateral_at = 0

    def set_collateral(
        self, definition: DefineCollateral, index_price: int, margin_decimals: int, sequence: int
    ) -> None:
        """Set the terms as collateral, and the index price in 10^-10 of the margin currency."""
        self.definition, self.index_price = definition, index_price
        self.collateral = collateral_terms(
            definition, index_price, self.cash_decimals, margin_decimals
        )
        self.collateral_at = sequence

    def scalars(self) -> tuple[object, ...]:
        """Return the asset's terms as collateral, for the hash of changes."""
        return (self.index_price, self.definition)

    def grow_exposure(self, growth: tuple[int, int]) -> None:
        """Add to the exposure bound of all contracts, and to that at the marks."""
        self.exposure += growth[0]
        self.exposure_at_mark += growth[1]

    @property
    def equity_bound(self) -> int:
        """Upper bound, in Cash, on any account's absolute equity."""
        return self.exposure + self.wallets.largest

    @property
    def equity_bound_at_mark(self) -> int:
        """Upper bound, in Cash, on any account's absolute equity at the marks now."""
        return self.exposure_at_mark + self.wallets.largest


@dataclass(slots=True)
class HeldCollateral:
    """What a pool has of an asset that it took over, and what it paid for it.

    `amount` is in Cash of the asset, `cost` in Cash of the pool's. Both are negative for a debt.
    """

    amount: int = 0
    cost: int = 0


class PoolState:
    """One insurance pool: its settled balance, peaks, mean and day's opening, last observation.

    `rules_digest` names the content of a rule set of one's own; it is empty for a venue's.
    `collateral` is what the pool took over of other assets and the venue has not sold yet.
    `amended`: the definition is not the first.
    """

    def __init__(self, definition: DefinePool, limits: Limits, max_slippage_ppm: int) -> None:
        self.definition = definition
        self.limits = limits
        self.max_slippage_ppm = max_slippage_ppm
        self.name = definition.pool
        self.key = f"pool {self.name}"
        self.asset = definition.asset
        self.rules_digest = ""
        self.amended = False
        self.balance = 0
        self.balance_peak = RollingPeak(definition.peak_window_ms)
        self.equity_peak = RollingPeak(definition.peak_window_ms)
        self.equity_mean = RollingMean(definition.peak_window_ms)
        self.equity_opening = DailyOpening()
        self.equity_falls = MinuteFalls()
        self.withdrawal_haircut_ppm = 0
        self.observed: PoolObserved | None = None
        self.collateral: dict[str, HeldCollateral] = {}

    def add_collateral(self, asset: str, amount_cash: int, cost_cash: int) -> None:
        """Add an amount of an asset at a cost; negative ones are taken away."""
        held = self.collateral.setdefault(asset, HeldCollateral())
        held.amount += amount_cash
        held.cost += cost_cash
        if held.amount == 0 and held.cost == 0:
            del self.collateral[asset]

    @property
    def unfunded(self) -> int:
        """The losses that the pool could not pay, in Cash: its balance below 0."""
        return max(-self.balance, 0)

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
        self.equity_opening.observe(time_ms, equity_cash)
        self.equity_falls.observe(time_ms, equity_cash)

    def shift_past(self, amount_cash: int) -> None:
        """Shift past equity by a withdrawal: money that an operator moved is no drawdown."""
        self.equity_peak.shift(amount_cash)
        self.equity_mean.shift(amount_cash)

    def shift_funding(self, amount_cash: int) -> None:
        """Shift the past by what an operator paid in, so that it is neither a rise nor a fall."""
        self.shift_past(min(amount_cash, 0))
        self.equity_opening.shift(amount_cash)
        self.equity_falls.shift(amount_cash)

    def scalars(self) -> tuple[object, ...]:
        """Return the pool's own numbers, for the hash of changes."""
        held = [(name, each.amount, each.cost) for name, each in self.collateral.items()]
        amended = (self.definition, self.rules_digest) if self.amended else ()
        return (self.balance, self.withdrawal_haircut_ppm, *sorted(held), *amended)
