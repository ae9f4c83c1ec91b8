"""Every venue's score from its own documents, in exact fractions."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from model import SIDES, Contract, Model, other

from delever.core.messages import Side


def over(top: Fraction | int, bottom: Fraction | int) -> Fraction:
    """Return top / bottom, and 0 if that is undefined."""
    return Fraction(top) / bottom if bottom else Fraction(0)


@dataclass
class ScoreInputs:
    """The inputs of the venues' formulas; equity, balance and maintenance are the bucket's."""

    unrealized_pnl: int
    notional: int
    entry: int
    initial: int
    own_margin: int
    own_maintenance: int
    equity_share: Fraction
    equity: int
    balance: int
    maintenance: int
    unit: int
    rises: bool
    under_liquidation: bool
    net_quantity: Fraction

    @property
    def gain(self) -> Fraction:
        return over(self.unrealized_pnl, self.entry)

    @property
    def move(self) -> Fraction:
        top, bottom = (self.notional, self.entry) if self.rises else (self.entry, self.notional)
        return over(top, bottom)

    @property
    def margin_ratio(self) -> Fraction:
        return over(self.maintenance, self.equity)

    @property
    def leverage(self) -> Fraction:
        return over(self.notional, self.equity)


def score_of(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> Fraction:
    """Return a position's score under the rule set of its contract's pool."""
    rules = model.pools[contract.pool].venue
    if rules == "dydx":
        return -_steps(model, contract, side, key)
    return SCORES[rules](_inputs(model, contract, side, key, joint=rules in JOINT))


def _inputs(
    model: Model, contract: Contract, side: Side, key: tuple[str, int], *, joint: bool
) -> ScoreInputs:
    held = contract.positions[side][key]
    unrealized_pnl, notional = contract.unrealized_pnl(side, held), contract.notional(side, held)
    balance, bucket_pnl, maintenance = model.bucket(key[0], contract, side, held)
    if joint:
        unrealized_pnl, notional = _joint(model, contract, side, key, unrealized_pnl, notional)
    whole = model.shared_maintenance(key[0], contract, side, held)
    initial = abs(held.cost) * 100 // held.leverage
    own = contract.maintenance(side, held)
    return ScoreInputs(
        unrealized_pnl=unrealized_pnl,
        notional=notional,
        entry=abs(held.cost),
        initial=initial,
        own_margin=held.margin if held.isolated else initial,
        own_maintenance=own,
        equity_share=over(own, whole) if whole else Fraction(1),
        equity=balance + bucket_pnl,
        balance=balance,
        maintenance=maintenance,
        unit=contract.unit,
        rises=contract.linear == (side == "long"),
        under_liquidation=held.under_liquidation,
        net_quantity=net_lots(model, contract, side, key) * contract.lot,
    )


def net_lots(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> int:
    """Return a position's lots, those of a cross hedge less its share of the other side's."""
    held = contract.positions[side][key]
    if held.isolated or not model.accounts[key[0]].hedge:
        return held.lots

    def cross_lots(each: Side) -> int:
        positions = contract.positions[each].items()
        return sum(p.lots for (name, _), p in positions if name == key[0] and not p.isolated)

    own, opposite = cross_lots(side), cross_lots(other(side))
    return held.lots * max(own - opposite, 0) // own


def _signed(gain: Fraction, leverage: Fraction) -> Fraction:
    """Return gain x leverage for winners, gain / leverage for losers."""
    return gain * leverage if gain > 0 else over(gain, leverage)


def _classic(n: ScoreInputs) -> Fraction:
    """Return the BitMEX score; leverage = value at mark / (value at mark - bankruptcy value)."""
    return _signed(n.gain, over(n.notional, n.equity * n.equity_share))


def _by_margin_ratio(n: ScoreInputs) -> Fraction:
    return _signed(n.gain, n.margin_ratio)


def _by_account(n: ScoreInputs) -> Fraction:
    return _signed(n.gain, n.leverage)


def _on_wallet(n: ScoreInputs) -> Fraction:
    return over(max(n.unrealized_pnl, 0), max(n.balance, n.unit)) * (
        n.margin_ratio if n.equity > 0 else 0
    )


def _on_initial_margin(n: ScoreInputs) -> Fraction:
    return (
        Fraction(0) if n.under_liquidation else max(over(n.unrealized_pnl, n.initial), Fraction(0))
    )


SCORES: dict[str, Callable[[ScoreInputs], Fraction]] = {
    "aevo": _on_wallet,
    "binance": lambda n: _signed(over(n.unrealized_pnl, n.notional), n.leverage),
    "binance_legacy": _on_wallet,
    "bitget": _by_margin_ratio,
    "bitget_peak": _by_margin_ratio,
    "bitget_threshold": _by_margin_ratio,
    "bitmart": _on_initial_margin,
    "bitmex": _classic,
    "bybit": _classic,
    "bullish": lambda n: over(n.initial, n.equity),
    "coinex": lambda n: n.move * over(n.entry, n.own_margin),
    "cube": lambda n: _signed(Fraction(n.unrealized_pnl, n.unit), n.leverage),
    "delta": _classic,
    "deribit": _classic,
    "ethereal": lambda n: n.leverage,
    "ethereal_step4": lambda n: n.leverage,
    "extended": lambda n: _signed(n.gain, over(n.own_maintenance, max(n.equity, n.unit))),
    "gate": _by_margin_ratio,
    "gmx": lambda n: Fraction(n.unrealized_pnl),
    "htx": _by_margin_ratio,
    "htx_maintenance": lambda n: _signed(n.gain, over(n.equity, n.maintenance)),
    "xcoin_portfolio": lambda n: _signed(n.gain, n.net_quantity),
    "hyperliquid": lambda n: n.move * n.leverage,
    "hyperliquid@2025-03": lambda n: n.move * n.leverage,
    "kucoin": _by_account,
    "lighter": _by_account,
    "okx": _by_margin_ratio,
    "okx_2025": _by_margin_ratio,
    "whitebit": lambda n: _signed(over(n.unrealized_pnl, n.notional), n.leverage),
    "xcoin": _by_margin_ratio,
}

JOINT = {"binance", "binance_legacy"}
"""Rule sets under which cross positions of both sides share one score."""


def _steps(model: Model, contract: Contract, side: Side, key: tuple[str, int]) -> Fraction:
    """Return how many positions the scan of this moment passes before this one."""
    scanned = sorted(contract.positions[side])
    drawn = hashlib.blake2b(f"dydx {model.time_ms}".encode(), digest_size=8).hexdigest()
    return Fraction((scanned.index(key) - int(drawn, 16)) % len(scanned))


def _joint(
    model: Model,
    contract: Contract,
    side: Side,
    key: tuple[str, int],
    unrealized_pnl: int,
    notional: int,
) -> tuple[int, int]:
    """Return PnL and notional of both sides, if the account has a cross hedge in hedge mode."""
    held = contract.positions[side][key]
    if held.isolated or not model.accounts[key[0]].hedge:
        return unrealized_pnl, notional
    shared = {each: _shared(contract, each, key[0]) for each in SIDES}
    if shared[other(side)][1] == 0:
        return unrealized_pnl, notional
    return sum(p for p, _ in shared.values()), sum(n for _, n in shared.values())


def _shared(contract: Contract, side: Side, account: str) -> tuple[int, int]:
    """Return PnL and notional of an account's cross positions of one side."""
    held = [
        position
        for (name, _), position in contract.positions[side].items()
        if name == account and not position.isolated
    ]
    unrealized_pnl = sum(contract.unrealized_pnl(side, position) for position in held)
    return unrealized_pnl, sum(contract.notional(side, position) for position in held)
