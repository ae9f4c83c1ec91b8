"""Transformations of a session that must not change who is deleveraged, and by how much."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step


def outcomes_of(commands: Iterable[m.Command], names: dict[str, str] | None = None) -> list[object]:
    """Return every fill and socialized loss: account, amount, price, in order."""
    book, names, outcomes = Book(), names or {}, []
    for command in commands:
        for event in step(book, command):
            match event:
                case m.AdlFilled():
                    outcomes.append(_fill_outcome(event, names))
                case m.LossSocialized():
                    accounts = [names.get(account, account) for account in event.accounts]
                    outcomes.append((accounts, event.sides, event.positions, event.amount_cash))
                case m.WithdrawalHaircutSet():
                    outcomes.append(event)
    return outcomes


def _fill_outcome(fill: m.AdlFilled, names: dict[str, str]) -> object:
    return (
        names.get(fill.account, fill.account),
        names.get(fill.liquidated_account, fill.liquidated_account),
        fill.contract,
        fill.position,
        fill.lots,
        fill.price_ticks,
        fill.realized_pnl_cash,
        fill.rank,
        fill.indicator,
    )


def changed(command: m.Command, **fields: object) -> m.Command:
    return msgspec.structs.replace(command, **fields)


def reordered(commands: Sequence[m.Command], seed: int) -> list[m.Command]:
    """Return the session with rows, and the first accounts and pools, in another order."""
    draw = random.Random(seed)

    def shuffled(rows: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(draw.sample(rows, len(rows)))

    transformed: list[m.Command] = []
    for command in commands:
        match command:
            case m.SetPositions():
                transformed.append(changed(command, positions=shuffled(command.positions)))
            case m.SetBalances():
                transformed.append(changed(command, balances=shuffled(command.balances)))
            case m.SetMarks():
                transformed.append(
                    changed(command, marks=dict(shuffled(list(command.marks.items()))))
                )
            case _:
                transformed.append(command)
    for kind in (m.DefineAccount, m.DefinePool):
        where = [i for i, c in enumerate(transformed) if isinstance(c, kind) and c.time_ms == 0]
        for place, command in zip(where, shuffled([transformed[i] for i in where]), strict=True):
            transformed[place] = command
    return transformed


def renamed(commands: Sequence[m.Command]) -> tuple[list[m.Command], dict[str, str]]:
    """Return the session with other account names in the same order, and the new names."""
    accounts = sorted({c.account for c in commands if isinstance(c, m.DefineAccount)})
    new = {name: f"{number:04d}-renamed" for number, name in enumerate(accounts)}

    def row(old: Any) -> Any:
        return msgspec.structs.replace(old, account=new.get(old.account, old.account))

    transformed: list[m.Command] = []
    for command in commands:
        match command:
            case m.SetPositions():
                transformed.append(changed(command, positions=tuple(map(row, command.positions))))
            case m.SetBalances():
                transformed.append(changed(command, balances=tuple(map(row, command.balances))))
            case m.DefineAccount():
                owner = new.get(command.owner, command.owner)
                transformed.append(changed(row(command), owner=owner))
            case m.AllocateAdl():
                rounds = tuple(
                    msgspec.structs.replace(planned, fills=tuple(map(row, planned.fills)))
                    for planned in command.rounds
                )
                transformed.append(changed(command, rounds=rounds))
            case m.Takeover() | m.Compensate() | m.SetAccountMargin():
                transformed.append(row(command))
            case _:
                transformed.append(command)
    return transformed, new
