"""The state of one settle asset, of one insurance pool, and of its inventory.

The inventory is what the pool took over: positions, in tranches of one takeover each.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from delever.core.book.account_tables import Wallets
from delever.core.market.collateral import CollateralTerms, collateral_terms
from delever.core.market.rolling_windows import DailyOpening, MinuteFalls, RollingMean, RollingPeak
from delever.core.market.trigger_limits import Limits
from delever.core.messages import AdlFilled, DefineCollateral, DefinePool, PoolObserved
from delever.core.units import Mark, Ratio, share_floor


class AssetState:
    """One settle asset: its smallest unit, its wallets, and totals for the ledger, in Cash.

    `exposure` is the sum of the exposure bounds of the contracts that settle in the asset, at any
    mark of an inverse contract; `exposure_at_mark` is that at the marks now.
    `collateral` are the asset's terms as collateral at its index price, or None; `collateral_at` is
    the sequence of their last change. `index_price_rejected`: the newest index price was rejected.
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
        self.index_price_rejected = False

    def set_collateral(
        self, definition: DefineCollateral, index_price: int, margin_decimals: int, sequence: int
    ) -> None:
        """Set the terms as collateral, and the index price in 10^-10 of the margin currency."""
        self.definition, self.index_price = definition, index_price
        self.collateral = collateral_terms(
            definition, index_price, self.cash_decimals, margin_decimals
        )
        self.collateral_at = sequence

    def reject_index_price(self) -> bool:
        """Flag that the newest index price was rejected; return whether the asset had no flag."""
        is_new = self.definition is not None and not self.index_price_rejected
        self.index_price_rejected |= is_new
        return is_new

    def scalars(self) -> tuple[object, ...]:
        """Return the asset's terms as collateral, for the hash of changes."""
        rejected = ("index_price_rejected",) if self.index_price_rejected else ()
        return (self.index_price, self.definition, *rejected)

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


@dataclass(slots=True)
class Tranche:
    """The open part of one takeover; cost in Cash.

    `equity` and `maintenance` are those of the account's margin bucket when it was taken over, in
    Cash; both are 0 for a tranche that a cancelled fill has opened again.
    """

    takeover: int
    account: str
    lots: int
    cost: int
    price_ticks: int
    equity: int = 0
    maintenance: int = 0


class Inventory:
    """A pool's open tranches of one contract and side, oldest takeover first."""

    __slots__ = ("_underwater", "changed", "total_cost", "total_lots", "tranches")

    def __init__(self, tranches: Iterable[Tranche] = (), changed: Iterable[int] = ()) -> None:
        self.tranches = {tranche.takeover: tranche for tranche in tranches}
        self.total_lots = sum(tranche.lots for tranche in self.tranches.values())
        self.total_cost = sum(tranche.cost for tranche in self.tranches.values())
        self.changed = set(changed)
        self._underwater: tuple[int, Mark, list[Tranche]] | None = None

    def __reduce__(self) -> tuple[type["Inventory"], tuple[object, ...]]:
        """Return what a copy takes, faster than slots do by themselves."""
        return Inventory, (tuple(self.tranches.values()), tuple(self.changed))

    def underwater(self, sign: int, mark_ticks: Mark) -> list[Tranche]:
        """Return the tranches that a mark values below their takeover price; `sign` is the side's.

        They are computed once for a mark, as long as no tranche changes.
        """
        cached = self._underwater
        if cached is None or cached[:2] != (sign, mark_ticks):
            below = [
                tranche
                for tranche in self.tranches.values()
                if sign * (tranche.price_ticks - mark_ticks) > 0
            ]
            cached = self._underwater = sign, mark_ticks, below
        return cached[2]

    def add(self, tranche: Tranche) -> None:
        """Add the tranche of a new takeover."""
        self.tranches[tranche.takeover] = tranche
        self.total_lots += tranche.lots
        self.total_cost += tranche.cost
        self.changed.add(tranche.takeover)
        self._underwater = None

    def reduce(self, takeover: int, lots: int, cost_cash: int) -> None:
        """Close lots of a tranche, and the cost that belongs to them."""
        tranche = self.tranches[takeover]
        tranche.lots -= lots
        tranche.cost -= cost_cash
        self.total_lots -= lots
        self.total_cost -= cost_cash
        self.changed.add(takeover)
        self._underwater = None
        if tranche.lots == 0:
            del self.tranches[takeover]

    def restore(self, fill: AdlFilled) -> None:
        """Reopen what an ADL fill closed; a tranche that was closed whole is added last."""
        if fill.takeover not in self.tranches:
            self.tranches[fill.takeover] = Tranche(
                fill.takeover, fill.liquidated_account, 0, 0, fill.takeover_price_ticks
            )
        self.reduce(fill.takeover, -fill.lots, -fill.pool_cost_cash)

    def rescale(self, lots_ratio: Ratio, price_ratio: Ratio) -> None:
        """Express lots and prices in new units: each times its ratio, which gives whole numbers."""
        for tranche in self.tranches.values():
            tranche.lots = share_floor(tranche.lots, *lots_ratio)
            tranche.price_ticks = share_floor(tranche.price_ticks, *price_ratio)
        self.total_lots = share_floor(self.total_lots, *lots_ratio)
        self.changed.update(self.tranches)
        self._underwater = None

    def take_changes(self) -> list[tuple[object, ...]]:
        """Return (takeover, lots, cost) of the tranches that changed since the last call.

        A closed tranche is (takeover,).
        """
        if not self.changed:
            return []
        changed = [(takeover, self.tranches.get(takeover)) for takeover in sorted(self.changed)]
        self.changed.clear()
        return [(takeover, t.lots, t.cost) if t else (takeover,) for takeover, t in changed]
