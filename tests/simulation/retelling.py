"""The same session told differently, and who was closed in it."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step


def closed(commands: Iterable[m.Command], names: dict[str, str] | None = None) -> list[object]:
    """Who is closed, or bears a loss: by how much, at which price, in which order."""
    book, names, told = Book(), names or {}, []
    for command in commands:
        for event in step(book, command):
            match event:
                case m.AdlFilled():
                    told.append(_of_fill(event, names))
                case m.LossSocialized():
                    accounts = [names.get(account, account) for account in event.accounts]
                    told.append((accounts, event.sides, event.positions, event.amount_cash))
                case m.WithdrawalCutSet():
                    told.append(event)
    return told


def _of_fill(fill: m.AdlFilled, names: dict[str, str]) -> object:
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


def mixed(commands: Sequence[m.Command], seed: int) -> list[m.Command]:
    """Rows in another order, and the first accounts and pools defined in another order."""
    draw = random.Random(seed)

    def shuffled(rows: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(draw.sample(rows, len(rows)))

    told: list[m.Command] = []
    for command in commands:
        match command:
            case m.SetPositions():
                told.append(changed(command, positions=shuffled(command.positions)))
            case m.SetBalances():
                told.append(changed(command, balances=shuffled(command.balances)))
            case m.SetMarks():
                told.append(changed(command, marks=dict(shuffled(list(command.marks.items())))))
            case _:
                told.append(command)
    for kind in (m.DefineAccount, m.DefinePool):
        where = [i for i, c in enumerate(told) if isinstance(c, kind) and c.time_ms == 0]
        for place, command in zip(where, shuffled([told[i] for i in where]), strict=True):
            told[place] = command
    return told


def renamed(commands: Sequence[m.Command]) -> tuple[list[m.Command], dict[str, str]]:
    """Accounts with other names in the same order, and the new name of each."""
    accounts = sorted({c.account for c in commands if isinstance(c, m.DefineAccount)})
    new = {name: f"{number:04d}-renamed" for number, name in enumerate(accounts)}

    def row(old: Any) -> Any:
        return msgspec.structs.replace(old, account=new.get(old.account, old.account))

    told: list[m.Command] = []
    for command in commands:
        match command:
            case m.SetPositions():
                told.append(changed(command, positions=tuple(map(row, command.positions))))
            case m.SetBalances():
                told.append(changed(command, balances=tuple(map(row, command.balances))))
            case m.DefineAccount() | m.Takeover():
                told.append(row(command))
            case _:
                told.append(command)
    return told, new
