"""Every venue's score from its own text, in exact fractions."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from model import SIDES, Contract, Model, other

from delever.core.messages import Side


def over(top: Fraction | int, bottom: Fraction | int) -> Fraction:
    """Top / bottom, and 0 where that is undefined."""
    return Fraction(top) / bottom if bottom else Fraction(0)


@dataclass
class Numbers:
    """What the venues' formulas are about; the margin bucket's equity, balance and maintenance."""

    profit: int
    notional: int
    entry: int
    initial: int
    own_margin: int
    part: Fraction
    equity: int
    balance: int
    maintenance: int
    unit: int
    rising: bool
    under_liquidation: bool

    @property
    def gain(self) -> Fraction:
        return over(self.profit, self.entry)

    @property
    def move(self) -> Fraction:
        top, bottom = (self.notional, self.entry) if self.rising else (self.entry, self.notional)
        return over(top, bottom)

    @property
    def rate(self) -> Fraction:
        return over(self.maintenance, self.equity)

    @property
    def leverage(self) -> Fraction:
        return over(self.notional, self.equity)


def score_of(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> Fraction:
    """A position's score under the rules of its contract's pool, as the venues describe it."""
    rules = model.pools[contract.pool].told.rules
    if rules == "dydx":
        return -_steps(model, contract, side, key)
    return SCORES[rules](_numbers(model, contract, side, key, joint=rules in JOINT))


def _numbers(
    model: Model, contract: Contract, side: Side, key: tuple[str, int], *, joint: bool
) -> Numbers:
    held = contract.positions[side][key]
    profit, notional = contract.profit(side, held), contract.notional(side, held)
    balance, bucket_profit, maintenance = model.bucket(key[0], contract, side, held)
    if joint:
        profit, notional = _joint(model, contract, side, key, profit, notional)
    initial = abs(held.cost) * 100 // held.leverage
    own = contract.maintenance(side, held)
    return Numbers(
        profit=profit,
        notional=notional,
        entry=abs(held.cost),
        initial=initial,
        own_margin=held.margin if held.isolated else initial,
        part=over(own, maintenance) if maintenance else Fraction(1),
        equity=balance + bucket_profit,
        balance=balance,
        maintenance=maintenance,
        unit=contract.unit,
        rising=contract.linear == (side == "long"),
        under_liquidation=held.under_liquidation,
    )


def _signed(gain: Fraction, leverage: Fraction) -> Fraction:
    """Leverage moves both winners and losers forward."""
    return gain * leverage if gain > 0 else over(gain, leverage)


def _classic(n: Numbers) -> Fraction:
    """Effective leverage: value at mark / (value at mark - bankrupt value)."""
    return _signed(n.gain, over(n.notional, n.equity * n.part))


def _by_margin_rate(n: Numbers) -> Fraction:
    return _signed(n.gain, n.rate)


def _by_account(n: Numbers) -> Fraction:
    return _signed(n.gain, n.leverage)


def _on_wallet(n: Numbers) -> Fraction:
    return over(max(n.profit, 0), max(n.balance, n.unit)) * (n.rate if n.equity > 0 else 0)


def _on_initial_margin(n: Numbers) -> Fraction:
    return Fraction(0) if n.under_liquidation else max(over(n.profit, n.initial), Fraction(0))


SCORES: dict[str, Callable[[Numbers], Fraction]] = {
    "aevo": _on_wallet,
    "binance": lambda n: _signed(over(n.profit, n.notional), n.leverage),
    "binance_legacy": _on_wallet,
    "bitget": _by_margin_rate,
    "bitmart": _on_initial_margin,
    "bitmex": _classic,
    "bybit": _classic,
    "coinex": lambda n: n.move * over(n.entry, n.own_margin),
    "delta": _classic,
    "deribit": _classic,
    "ethereal": lambda n: n.leverage,
    "gate": _by_margin_rate,
    "hyperliquid": lambda n: n.move * n.leverage,
    "kucoin": _by_account,
    "lighter": _by_account,
    "okx": _by_margin_rate,
    "okx_2025": _by_margin_rate,
}

JOINT = {"binance", "binance_legacy"}
"""Where cross positions of both sides share one score."""


def _steps(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> Fraction:
    """How far a position stands behind the one at which the scan of this moment starts."""
    scanned = sorted(contract.positions[side])
    drawn = hashlib.blake2b(f"dydx {model.time_ms}".encode(), digest_size=8).hexdigest()
    return Fraction((scanned.index(key) - int(drawn, 16)) % len(scanned))


def _joint(
    model: Model, contract: Contract, side: Side, key: tuple[str, int], profit: int, notional: int
) -> tuple[int, int]:
    """In hedge mode cross positions share one value where there are some of both sides."""
    held = contract.positions[side][key]
    if held.isolated or not model.accounts[key[0]].hedge:
        return profit, notional
    shared = {each: _shared(contract, each, key[0]) for each in SIDES}
    if shared[other(side)][1] == 0:
        return profit, notional
    return sum(p for p, _ in shared.values()), sum(n for _, n in shared.values())


def _shared(contract: Contract, side: Side, account: str) -> tuple[int, int]:
    """Profit and notional of an account's cross positions of one side."""
    held = [
        position
        for (name, _), position in contract.positions[side].items()
        if name == account and not position.isolated
    ]
    profit = sum(contract.profit(side, position) for position in held)
    return profit, sum(contract.notional(side, position) for position in held)
