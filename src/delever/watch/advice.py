"""What can I do: a position's score under its venue's own rules, and what one change would make.

A book of one account is built from what the venue tells of it, and the engine that ranks whole
markets scores it. What a single account's numbers cannot say is said: nobody outside a venue sees
the other accounts, so a lower score may or may not be a lower indicator.
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
from delever.core.rules import RULE_SETS, RuleSet
from delever.lab.errors import InputError
from delever.lab.tables.book_reader import book_of
from delever.watch.reading import Position, Wallet
from delever.watch.view import Advice, Option

ME = "me"
UNIT = Decimal("0.00000001")
OTHERS = "the rank: it needs the positions of all other accounts, which the venue shows to nobody"


def advise(
    position: Position, held: Sequence[Position], wallet: Wallet | None, rules: str
) -> Advice:
    """Return a position's score and what could be done about it.

    `held` is everything that the account holds at the venue, `wallet` its cross balance in the
    position's settle asset: without it a cross position cannot be scored, and the advice says so.
    """
    rule_set = RULE_SETS[rules]
    unknown = [OTHERS, *_unpublished(rule_set)]
    mine = [p for p in held if p.settle == position.settle]
    if wallet is None and any(not p.isolated for p in mine):
        unknown.insert(0, f"the score: the wallet in {position.settle} has not been read")
        return _without(rule_set, unknown)
    try:
        book = _book(mine, wallet, rules)
        told = explain(book, position.name, Side(position.side), ME)
    except InputError as error:
        unknown.insert(0, f"the score: {error}")
        return _without(rule_set, unknown)
    if isinstance(told, str):
        unknown.insert(0, f"the score: {told}")
        return _without(rule_set, unknown)
    return Advice(
        rules=rules,
        formula=told.formula,
        score=told.standing.score,
        parts=told.standing.parts,
        options=tuple(_options(book, position, mine, wallet, told)),
        unknown=tuple(unknown),
    )


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
    """Yield what delever has had to assume of the venue's ranking."""
    for rule in rule_set.rules:
        if rule.assumes and "rank" in rule.says.lower():
            yield f"the venue's exact score ({rule.id}): {rule.assumes}"


# --- the account as a book ---


def _book(mine: Sequence[Position], wallet: Wallet | None, rules: str) -> Book:
    """Return the book of one account; InputError where its numbers do not fit together."""
    settle = mine[0].settle
    tables: dict[str, Any] = {
        "balances": [
            {"account": ME, "asset": settle, "balance": _cash(_behind_cross(mine, wallet))}
        ],
        "accounts": [{"account": ME, "hedge_mode": "true" if _hedged(mine) else "false"}],
        "margin_tiers": list({p.name: _tier(p) for p in mine}.values()),
        "contracts": list({p.name: _terms(p) for p in mine}.values()),
    }
    positions = [_row(p) for p in mine]
    marks = {p.name: f"{_tidy(p.mark, p):f}" for p in mine}
    return book_of(positions, marks, rules=rules, asset=settle, **tables)


def _behind_cross(mine: Sequence[Position], wallet: Wallet | None) -> Decimal:
    """Return what stands behind cross positions: isolated margins stand behind their own."""
    if wallet is None:
        return Decimal(0)
    alone = sum((p.margin or Decimal(0) for p in mine if p.isolated), Decimal(0))
    return wallet.balance - alone if wallet.with_isolated else wallet.balance


def _hedged(mine: Sequence[Position]) -> bool:
    return any(p.hedged for p in mine)


def _row(position: Position) -> dict[str, str]:
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


def _leverage(position: Position) -> Decimal:
    return (position.leverage or Decimal(1)).quantize(Decimal("0.01"), ROUND_DOWN)


def _tidy(price: Decimal, position: Position) -> Decimal:
    """Return a mark on the ticks of the book: a venue's mark has more digits than its prices."""
    return price.quantize(_tick(position)) or _tick(position)


def _tick(position: Position) -> Decimal:
    """Return a tick so fine that no mark loses more than a millionth, and values stay exact."""
    finest = Decimal(1).scaleb(position.mark.adjusted() - 6)
    if position.inverse:
        return finest
    return max(finest, UNIT / _lot(position) / _last_digit(position.multiplier))


def _lot(position: Position) -> Decimal:
    """Return a lot that half of the position is a whole number of; inverse ones are contracts."""
    whole = min(Decimal(1), _last_digit(position.quantity))
    return whole if position.inverse else whole / 10


def _last_digit(number: Decimal) -> Decimal:
    """Return the power of ten of a number's last digit."""
    return Decimal(1).scaleb(int(number.normalize().as_tuple().exponent))


def _terms(position: Position) -> dict[str, str]:
    return {
        "contract": position.name,
        "kind": "inverse" if position.inverse else "linear",
        "settle": position.settle,
        "tick_size": f"{_tick(position):f}",
        "lot_size": f"{_lot(position):f}",
        "multiplier": f"{position.multiplier:f}",
    }


def _tier(position: Position) -> dict[str, str]:
    """Return the rate that the venue's maintenance margin comes to, 0.5 % where it tells none."""
    value = _value(position)
    rate = Decimal("0.005")
    if position.maintenance is not None and value > 0:
        rate = min(position.maintenance / value, Decimal(1)).quantize(Decimal("0.000001"))
    return {"contract": position.name, "notional_from": "0", "maintenance_rate": f"{rate:f}"}


def _value(position: Position) -> Decimal:
    size = position.quantity * position.multiplier
    return size / position.mark if position.inverse else size * position.mark


def _cash(amount: Decimal | int) -> str:
    return f"{Decimal(amount).quantize(UNIT, ROUND_DOWN):f}"


# --- what could be done ---


def _options(
    book: Book,
    position: Position,
    mine: Sequence[Position],
    wallet: Wallet | None,
    told: Explanation,
) -> Iterator[Option]:
    """Yield half the leverage, more margin, profit taken, half the size, and a hedge."""
    state = book.contracts[position.name]
    unit = Decimal(10) ** book.asset_of(state).cash_decimals
    margin_cash = max(told.equity_cash // 2, 1)
    lots = told.standing.lots
    halved = max(int(_leverage(position) * 50), 100)
    changes: list[tuple[str, AnyChange]] = []
    if halved < int(_leverage(position) * 100):
        changes.append(
            (
                f"leverage {_plain(_leverage(position))} -> {_plain(Decimal(halved) / 100)}",
                SetLeverage(leverage_hundredths=halved),
            )
        )
    added = f"add {_plain(Decimal(margin_cash) / unit)} {position.settle} of margin"
    changes.append((added, AddMargin(amount_cash=margin_cash)))
    if lots > 1:
        half = _plain(position.quantity * (lots // 2) / lots)
        changes.append((f"close {half}, half of it", PartialClose(lots=lots // 2)))
        if position.hedged:
            changes.append((f"hedge {half}", OpenHedge(lots=lots // 2)))
    for words, change in changes:
        yield _option(book, position, told, words, change)
    if told.profit_cash > 0:
        yield _profit_taken(position, mine, wallet, told)


def _option(
    book: Book, position: Position, told: Explanation, words: str, change: AnyChange
) -> Option:
    outcome = what_if(book, position.name, Side(position.side), ME, change)
    if not isinstance(outcome, WhatIf):
        why = outcome if isinstance(outcome, str) else outcome.reason
        return Option(change=words, score=None, times=None, note=f"cannot be done: {why}")
    then = outcome.after.score
    note = (
        "changes nothing: the venue's score does not look at it"
        if (then == outcome.before.score)
        else ""
    )
    return Option(change=words, score=then, times=_times(then, told), note=note)


def _profit_taken(
    position: Position, mine: Sequence[Position], wallet: Wallet | None, told: Explanation
) -> Option:
    """Return what closing and opening again at the mark would make: the profit is in the wallet."""
    words = "take the profit: close, and open again at the mark"
    profit = Decimal(told.profit_cash) * UNIT
    again = structs.replace(position, entry_price=_tidy(position.mark, position))
    others = [again if p is position else p for p in mine]
    if wallet is not None:
        wallet = structs.replace(wallet, balance=wallet.balance + profit)
    book = _book(others, wallet, told.rules)
    after = explain(book, position.name, Side(position.side), ME)
    if isinstance(after, str):
        return Option(change=words, score=None, times=None, note=f"cannot be done: {after}")
    then = after.standing.score
    note = "costs two fees and the spread; the position stays as large"
    return Option(change=words, score=then, times=_times(then, told), note=note)


def _times(then: float, told: Explanation) -> float | None:
    return then / told.standing.score if told.standing.score else None


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
