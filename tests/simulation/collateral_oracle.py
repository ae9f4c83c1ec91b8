"""Margin in several assets, from its rules in exact fractions: values, one equity, conversion.

Every amount is Cash of its asset. A value in the margin currency is rounded down asset by asset.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from delever.core import messages as m

if TYPE_CHECKING:
    from model import Contract, Model, Position


class Collateral:
    """The terms of one asset, with its index price."""

    def __init__(self, definition: m.DefineCollateral, price: Fraction) -> None:
        self.definition, self.price = definition, price
        self.price_rejected = False

    def factor(self, which: str) -> Fraction:
        terms = self.definition
        bid = 1 - Fraction(terms.bid_buffer)
        factors = {
            "index": Fraction(1),
            "bid": bid,
            "ask": 1 + Fraction(terms.ask_buffer),
            "conversion": bid * (1 - Fraction(terms.conversion_haircut)),
        }
        return factors[which]


def pooled(model: "Model", account: str, asset: str) -> bool:
    """Return whether an account's cross margin in an asset is pooled."""
    known = model.accounts.get(account)
    return known is not None and known.multi_asset and asset in model.collateral


def price(model: "Model", asset: str, which: str) -> Fraction:
    """Return a price in Cash of the margin currency for one Cash of the asset."""
    terms = model.collateral[asset]
    units = Fraction(model.units[model.margin_currency], model.units[asset])
    return terms.price * terms.factor(which) * units


def worth(model: "Model", asset: str, amount: int, which: str = "bid") -> int:
    """Return a value in the margin currency; what is owed counts at the ask."""
    return int(amount * price(model, asset, which if amount >= 0 else "ask") // 1)


def counted(model: "Model", asset: str, amount: int) -> int:
    """Return the value after collateral haircut: tier by tier, and nothing beyond the cap."""
    if amount < 0:
        return worth(model, asset, amount)
    terms, bid = model.collateral[asset].definition, price(model, asset, "bid")
    unit = model.units[asset]
    counts = Fraction(amount)
    if terms.cap is not None:
        counts = min(counts, Fraction(terms.cap) * unit)
    starts = [
        Fraction(tier.quantity_from) * unit
        if tier.quantity_from is not None
        else Fraction(tier.value_from or 0) * model.units[model.margin_currency] / bid
        for tier in terms.tiers
    ]
    total = Fraction(0)
    for start, end, tier in zip(starts, [*starts[1:], counts], terms.tiers, strict=True):
        total += max(min(counts, max(end, start)) - start, 0) * Fraction(tier.rate)
    return int(total * bid // 1)


def paid_in(model: "Model", asset: str, value: int) -> int:
    """Return a value as an amount of an asset: bought at its ask, or sold at its bid."""
    return int(value / price(model, asset, "ask" if value > 0 else "bid") // 1)


def at_index(model: "Model", asset: str, value: int) -> int:
    """Return a value in the margin currency as an amount of an asset, rounded down."""
    return int(value / price(model, asset, "index") // 1)


# --- an account ---


Rows = Iterable[tuple["Contract", m.Side, int, "Position"]]


def sums(model: "Model", account: str, rows: Rows) -> dict[str, tuple[int, int, int]]:
    """Return balance, unrealized PnL and maintenance margin of each asset that is collateral."""
    found = {asset: (model.wallet(account, asset), 0, 0) for asset in model.collateral}
    for contract, side, _, held in rows:
        balance, pnl, maintenance = found[contract.settle]
        pnl += contract.unrealized_pnl(side, held)
        found[contract.settle] = balance, pnl, maintenance + contract.maintenance(side, held)
    return found


def pooled_numbers(
    model: "Model", account: str, asset: str, rows: Rows, *, haircut: bool
) -> tuple[int, int, int]:
    """Return equity, unrealized PnL and maintenance margin of a pooled account, in an asset."""
    value = counted if haircut else worth
    equity = pnl = maintenance = 0
    for name, (balance, profit, margin) in sums(model, account, rows).items():
        index = price(model, name, "index")
        equity += value(model, name, balance + profit)
        pnl += int(profit * index // 1)
        maintenance += int(margin * index // 1)
    numbers = (at_index(model, asset, each) for each in (equity, pnl, maintenance))
    equity, pnl, maintenance = numbers
    return equity, pnl, maintenance


def convertible(model: "Model", account: str, asset: str, rows: Rows) -> int:
    """Return what an account can lose in an asset before a conversion leaves nothing."""
    own = others = 0
    for name, (balance, profit, _) in sums(model, account, rows).items():
        if name == asset:
            own = balance + profit
        else:
            others += worth(model, name, balance + profit, "conversion")
    return own + paid_in(model, asset, others)


# --- conversion ---


def converted(
    model: "Model", account: str, balances: dict[str, int], takers: dict[str, "Contract"]
) -> list[m.CollateralTakenOver]:
    """Return the conversion of an account without positions; `balances` become those after it."""
    events = []

    def move(settle: str, asset: str, amount: int, value: int) -> None:
        balances[asset] -= amount
        balances[settle] += value
        loss = paid_in(model, settle, worth(model, asset, amount)) - value
        taker = takers[settle]
        events.append(
            m.CollateralTakenOver(
                account=account,
                pool=taker.pool,
                contract=taker.name,
                asset=asset,
                amount_cash=amount,
                value_cash=value,
                conversion_loss_cash=max(loss, 0),
            )
        )

    for asset in list(balances):
        if balances[asset] < 0 and asset not in takers:
            settle = list(takers)[-1]
            cost = paid_in(model, settle, worth(model, asset, balances[asset]))
            move(settle, asset, balances[asset], cost)
    for settle in takers:
        debt = max(-balances[settle], 0)
        brings = {
            asset: paid_in(model, settle, worth(model, asset, amount, "conversion"))
            for asset, amount in balances.items()
            if asset != settle and amount > 0
        }
        whole, so_far, given = sum(brings.values()), 0, 0
        for asset, most in brings.items():
            so_far += most
            due = min(debt, whole) * so_far // whole - given if whole else 0
            given += due
            if due:
                needed = -int(-due * price(model, settle, "ask") // 1)
                least = -int(-needed / price(model, asset, "conversion") // 1)
                move(settle, asset, balances[asset] if due == most else least, due)
    return events


def collateral_pnl(model: "Model", pool: str) -> int:
    """Return what the collateral of a pool would bring, less its cost."""
    held, asset = model.pools[pool].collateral, model.pools[pool].asset
    if not held:
        return 0
    brings = sum(worth(model, name, amount, "conversion") for name, (amount, _) in held.items())
    return paid_in(model, asset, brings) - sum(cost for _, cost in held.values())
