"""Advice: a position's score under its venue's rules, and its score after one change.

The observations of one account are loaded into a book, and the engine that ranks whole markets
scores it. Advice names what is unknown: only the venue has the other accounts' positions, so a
lower score does not always mean a lower indicator.
"""

from collections.abc import Iterator, Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Any

from msgspec import structs

from delever.core.book import Book
from delever.core.explain.explanation import Explanation, explain
from delever.core.explain.what_if import (
    AddMargin,
    AnyChange,
    OpenHedge,
    PartialClose,
    SetLeverage,
    WhatIf,
    what_if,
)
from delever.core.messages import Side
from delever.core.rules import RuleSet
from delever.lab.errors import InputError
from delever.lab.tables.book_reader import book_of
from delever.rule_registry import installed_rule_sets, with_own
from delever.watch.market_data.observations import PositionObservation, WalletObservation
from delever.watch.screen.view import Advice, AdviceOption

ME = "me"
UNIT = Decimal("0.00000001")
OTHERS = "the rank: it needs all other accounts' positions, which no venue publishes"


def advise(
    position: PositionObservation,
    positions: Sequence[PositionObservation],
    wallet: WalletObservation | None,
    rules: str,
) -> Advice:
    """Return a position's score and the options to change it.

    `positions` are all of the account's positions at the venue, `wallet` its cross balance in the
    position's settle asset. Without the wallet a cross position has no score.
    """
    rule_set = with_own(installed_rule_sets())[rules]
    unknown = [OTHERS, *_unpublished(rule_set)]
    if rule_set.ranking.timed:
        unknown.insert(0, "the score: the venue has none, the order is drawn at random")
        return _without(rule_set, unknown)
    own = [p for p in positions if p.settle == position.settle]
    if wallet is None and any(not p.isolated for p in own):
        unknown.insert(0, f"the score: the wallet in {position.settle} has not been observed")
        return _without(rule_set, unknown)
    try:
        book = _book(own, wallet, rules)
        explanation = explain(book, position.name, Side(position.side), ME)
    except InputError as error:
        unknown.insert(0, f"the score: {error}")
        return _without(rule_set, unknown)
    if isinstance(explanation, str):
        unknown.insert(0, f"the score: {explanation}")
        return _without(rule_set, unknown)
    return Advice(
        rules=rules,
        formula=explanation.formula,
        score=explanation.queue_position.score,
        parts=explanation.queue_position.parts,
        options=tuple(_options(book, position, own, wallet, explanation)),
        unknown=tuple(unknown),
    )


def score_text(advice: Advice) -> str:
    """Return a position's score with its formula and parts as text, "" without a score."""
    if advice.score is None:
        return ""
    parts = ", ".join(f"{name} {value:.4g}" for name, value in advice.parts.items())
    return f"score {advice.score:.4g} by {advice.rules} rules: {advice.formula} ({parts})"


def _without(rule_set: RuleSet, unknown: Sequence[str]) -> Advice:
    return Advice(
        rules=rule_set.name,
        formula=rule_set.ranking.formula,
        score=None,
        parts={},
        options=(),
        unknown=tuple(unknown),
    )


def _unpublished(rule_set: RuleSet) -> Iterator[str]:
    """Yield delever's assumptions about the venue's ranking."""
    for rule in rule_set.rules:
        if rule.assumption and "rank" in rule.text.lower():
            yield f"the venue's exact score ({rule.id}): {rule.assumption}"


# --- the account as a book ---


def _book(own: Sequence[PositionObservation], wallet: WalletObservation | None, rules: str) -> Book:
    """Return the book of one account; InputError if its values are inconsistent."""
    settle = own[0].settle
    tables: dict[str, Any] = {
        "balances": [
            {"account": ME, "asset": settle, "balance": _cash(_cross_balance(own, wallet))}
        ],
        "accounts": [{"account": ME, "hedge_mode": "true" if _hedged(own) else "false"}],
        "margin_tiers": list({p.name: _tier(p) for p in own}.values()),
        "contracts": list({p.name: _terms(p) for p in own}.values()),
    }
    positions = [_row(p) for p in own]
    marks = {p.name: f"{_on_tick(p.mark, p):f}" for p in own}
    rule_set = with_own(installed_rule_sets())[rules]
    return book_of(positions, marks, rules=rule_set, asset=settle, **tables)


def _cross_balance(own: Sequence[PositionObservation], wallet: WalletObservation | None) -> Decimal:
    """Return the cross wallet balance, without isolated margins."""
    if wallet is None:
        return Decimal(0)
    isolated = sum((p.margin or Decimal(0) for p in own if p.isolated), Decimal(0))
    return wallet.balance - isolated if wallet.includes_isolated else wallet.balance


def _hedged(own: Sequence[PositionObservation]) -> bool:
    return any(p.hedged for p in own)


def _row(position: PositionObservation) -> dict[str, str]:
    row = {
        "account": ME,
        "contract": position.name,
        "side": position.side,
        "quantity": f"{position.quantity:f}",
        "entry_price": f"{position.entry_price:f}",
        "leverage": f"{_leverage(position):f}",
    }
    if position.isolated:
        row["isolated_margin"] = _cash(position.margin or 0)
    return row


def _leverage(position: PositionObservation) -> Decimal:
    return (position.leverage or Decimal(1)).quantize(Decimal("0.01"), ROUND_DOWN)


def _on_tick(price: Decimal, position: PositionObservation) -> Decimal:
    """Return a mark on the book's ticks: a venue's mark has more decimals than its prices."""
    return price.quantize(_tick(position)) or _tick(position)


def _tick(position: PositionObservation) -> Decimal:
    """Return a tick at which a mark loses at most a millionth, and values stay exact."""
    finest = Decimal(1).scaleb(position.mark.adjusted() - 6)
    if position.inverse:
        return finest
    return max(finest, UNIT / _lot(position) / _last_digit(position.multiplier))


def _lot(position: PositionObservation) -> Decimal:
    """Return a lot that divides half of the position; inverse lots are contracts."""
    whole = min(Decimal(1), _last_digit(position.quantity))
    return whole if position.inverse else whole / 10


def _last_digit(number: Decimal) -> Decimal:
    """Return the power of ten of a number's last digit."""
    return Decimal(1).scaleb(int(number.normalize().as_tuple().exponent))


def _terms(position: PositionObservation) -> dict[str, str]:
    return {
        "contract": position.name,
        "kind": "inverse" if position.inverse else "linear",
        "settle": position.settle,
        "tick_size": f"{_tick(position):f}",
        "lot_size": f"{_lot(position):f}",
        "multiplier": f"{position.multiplier:f}",
    }


def _tier(position: PositionObservation) -> dict[str, str]:
    """Return a margin tier with the venue's maintenance rate, 0.5 % if it publishes none."""
    value = _value(position)
    rate = Decimal("0.005")
    if position.maintenance is not None and value > 0:
        rate = min(position.maintenance / value, Decimal(1)).quantize(Decimal("0.000001"))
    return {"contract": position.name, "notional_from": "0", "maintenance_rate": f"{rate:f}"}


def _value(position: PositionObservation) -> Decimal:
    size = position.quantity * position.multiplier
    return size / position.mark if position.inverse else size * position.mark


def _cash(amount: Decimal | int) -> str:
    return f"{Decimal(amount).quantize(UNIT, ROUND_DOWN):f}"


# --- options ---


def _options(
    book: Book,
    position: PositionObservation,
    own: Sequence[PositionObservation],
    wallet: WalletObservation | None,
    explanation: Explanation,
) -> Iterator[AdviceOption]:
    """Yield half the leverage, more margin, half the size, a hedge, and taking profit.

    Leverage and margin are for positions in profit only: a losing position is ranked behind all
    winners, and more margin would add to what it can lose.
    """
    state = book.contracts[position.name]
    unit = Decimal(10) ** book.asset_of(state).cash_decimals
    margin_cash = max(explanation.equity_cash // 2, 1)
    lots = explanation.queue_position.lots
    halved = max(int(_leverage(position) * 50), 100)
    changes: list[tuple[str, AnyChange]] = []
    wins = explanation.unrealized_pnl_cash > 0
    if wins and halved < int(_leverage(position) * 100):
        changes.append(
            (
                f"leverage {_plain(_leverage(position))} -> {_plain(Decimal(halved) / 100)}",
                SetLeverage(leverage_hundredths=halved),
            )
        )
    added = f"add {_plain(Decimal(margin_cash) / unit)} {position.settle} of margin"
    if wins:
        changes.append((added, AddMargin(amount_cash=margin_cash)))
    if lots > 1:
        half = _plain(position.quantity * (lots // 2) / lots)
        changes.append((f"close {half}, half of it", PartialClose(lots=lots // 2)))
        if position.hedged:
            changes.append((f"hedge {half}", OpenHedge(lots=lots // 2)))
    for text, change in changes:
        yield _option(book, position, explanation, text, change)
    if wins:
        yield _take_profit(position, own, wallet, explanation)


def _option(
    book: Book,
    position: PositionObservation,
    explanation: Explanation,
    text: str,
    change: AnyChange,
) -> AdviceOption:
    outcome = what_if(book, position.name, Side(position.side), ME, change)
    if not isinstance(outcome, WhatIf):
        why = outcome if isinstance(outcome, str) else outcome.reason
        return AdviceOption(
            change=text, score=None, score_ratio=None, note=f"cannot be done: {why}"
        )
    then = outcome.after.score
    note = _unchanged(change, position) if then == outcome.before.score else ""
    return AdviceOption(
        change=text, score=then, score_ratio=_score_ratio(then, explanation), note=note
    )


def _unchanged(change: AnyChange, position: PositionObservation) -> str:
    """Return why a change leaves the score as it is."""
    match change:
        case PartialClose() if position.isolated:
            return "score unchanged: half of the margin is returned with half of the PnL"
        case PartialClose():
            return "score unchanged: it is a ratio of this position's own PnL and size"
        case OpenHedge():
            return "score unchanged: the hedge opens at the mark, without PnL and with its own size"
        case _:
            return "no effect: the venue's score does not depend on it"


def _take_profit(
    position: PositionObservation,
    own: Sequence[PositionObservation],
    wallet: WalletObservation | None,
    explanation: Explanation,
) -> AdviceOption:
    """Return the option to close and open again at the mark, with the PnL in the wallet."""
    text = "take profit: close, and open again at the mark"
    pnl = Decimal(explanation.unrealized_pnl_cash) * UNIT
    again = structs.replace(position, entry_price=_on_tick(position.mark, position))
    others = [again if p is position else p for p in own]
    if wallet is not None:
        wallet = structs.replace(wallet, balance=wallet.balance + pnl)
    book = _book(others, wallet, explanation.rules)
    after = explain(book, position.name, Side(position.side), ME)
    if isinstance(after, str):
        return AdviceOption(
            change=text, score=None, score_ratio=None, note=f"cannot be done: {after}"
        )
    then = after.queue_position.score
    note = "costs two fees and the spread; the position stays as large"
    return AdviceOption(
        change=text, score=then, score_ratio=_score_ratio(then, explanation), note=note
    )


def _score_ratio(then: float, explanation: Explanation) -> float | None:
    return then / explanation.queue_position.score if explanation.queue_position.score else None


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
