"""Collateral of a random market, and accounts in multi-asset mode; drawn apart from the market."""

import random
from collections.abc import Iterator
from fractions import Fraction

import msgspec
from model import Model
from random_market import RandomMarket, text

from delever.core import messages as m

GEM = "GEM"
"""An asset that is collateral only: no contract settles in it. It has 8 decimals."""


class RandomCollateral:
    """Draw terms, index prices, modes of accounts and balances; half of the markets have none."""

    def __init__(self, seed: object, market: RandomMarket) -> None:
        self.random = random.Random(f"collateral {seed}")
        self.market = market
        settles = sorted({pool.asset for pool in market.pools})
        self.currency = self.random.choice([settles[0], settles[0], "USD"])
        chosen = [asset for asset in settles if self.random.random() < 0.8]
        self.assets = [*(asset for asset in chosen if asset != self.currency), GEM]
        self.is_used = self.random.random() < 0.5

    # --- commands ---

    def opening(self) -> list[m.Command]:
        """Return the first terms of each asset."""
        if not self.is_used:
            return []
        return [self.terms(asset, 0) for asset in self.random.sample(self.assets, len(self.assets))]

    def account(self, command: m.DefineAccount) -> m.DefineAccount:
        """Return the account in one mode or the other."""
        pooled = self.is_used and self.random.random() < 0.6
        return msgspec.structs.replace(command, multi_asset=pooled)

    def balances(self, command: m.SetBalances) -> m.SetBalances:
        """Return balances with some of the asset that is collateral only."""
        accounts = dict.fromkeys(row.account for row in command.balances)
        rows = [
            m.BalanceRow(account=account, asset=GEM, balance=self._quantity())
            for account in accounts
            if self.is_used and self.random.random() < 0.5
        ]
        return msgspec.structs.replace(command, balances=(*command.balances, *rows))

    def next(self, model: Model, time_ms: int) -> m.Command | None:
        """Return a command about collateral now and then."""
        draw = self.random.random()
        if not self.is_used or draw > 0.1:
            return None
        if draw < 0.02:
            return self.terms(self.random.choice(self.assets), time_ms)
        sale = next(self._sales(model, time_ms), None)
        if sale is not None and draw < 0.05:
            return sale
        moved = self.random.sample(self.assets, self.random.randint(1, len(self.assets)))
        prices = {name: self._price() for name in moved}
        if self.random.random() < 0.2:
            prices |= self.random.choice([{"GOLD": "1"}, {GEM: "0"}, {self.currency: "1.5"}])
        strict = self.random.random() < 0.3
        return m.SetIndexPrices(time_ms=time_ms, prices=prices, strict=strict)

    def terms(self, asset: str, time_ms: int) -> m.DefineCollateral:
        """Return terms of an asset, with tiers by quantity or by value."""
        by = self.random.choice(["quantity", "value"])
        starts = [0, *sorted(self.random.sample(range(1, 900), self.random.choice([0, 0, 1, 3])))]
        rates = sorted((self.random.randint(0, 100) for _ in starts), reverse=True)
        tiers = tuple(
            m.CollateralTier(
                rate=text(Fraction(rate, 100)),
                quantity_from=start if by == "quantity" else None,
                value_from=start if by == "value" else None,
            )
            for start, rate in zip(starts, rates, strict=True)
        )
        return m.DefineCollateral(
            time_ms=time_ms,
            asset=asset,
            index_price=self._price(),
            margin_currency=self.currency if time_ms == 0 else "",
            bid_buffer=self.random.choice([0, 0, "0.01", "0.333333"]),
            ask_buffer=self.random.choice([0, 0, "0.005", 1]),
            tiers=tiers,
            conversion_haircut=self.random.choice([0, "0.025", "0.5"]),
            cap=self.random.choice([None, None, None, 0, 70]),
        )

    def _sales(self, model: Model, time_ms: int) -> Iterator[m.ConvertCollateral]:
        """Yield conversions of all or a part of what a pool has, near its cost."""
        for pool in model.pools.values():
            for asset, (amount, cost) in pool.collateral.items():
                part = Fraction(self.random.choice([1, 1, 2]), self.random.choice([1, 1, 3]))
                sold = int(amount * part) or amount
                proceeds = int(cost * part * self.random.choice([1, 1, 2]))
                if (proceeds > 0) != (amount > 0):
                    proceeds = 0
                yield m.ConvertCollateral(
                    time_ms=time_ms,
                    pool=pool.name,
                    asset=asset,
                    quantity=text(Fraction(sold, model.units[asset])),
                    proceeds=text(Fraction(proceeds, model.units[pool.asset])),
                )

    def _price(self) -> str:
        if self.market.coarse:
            return str(self.random.choice([1, 2, 10]))
        decimals = self.random.choice([0, 2, 10])
        return text(Fraction(self.random.randint(1, 90 * 10**decimals), 10**decimals))

    def _quantity(self) -> str:
        low = -40 if self.random.random() < 0.2 else 0
        unit = 1 if self.market.coarse else 10**8
        return text(Fraction(self.random.randint(low * unit, 200 * unit), unit))
