"""A book as a reduction: margin buckets with exposure and equity, and the positions to close."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.messages import Amount, Side
from delever.core.rules import rule_set_of
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import Bools, Floats, Ints
from delever.core.valuation.multi_asset import bucket_columns
from delever.core.valuation.side_valuation import value_side
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError
from delever.lab.policies.plans.reduction import Reduction
from delever.lab.queries.position_queries import contract_of, lots_of, side_of
from delever.lab.runs.market_paths.path import Scenario, Shock, scenario_of

Need = Mapping[tuple[str, str], Amount]
"""Quantities to be reduced by contract and side, as exact text."""


@dataclass(frozen=True, slots=True)
class ClosablePositions:
    """The ranked positions of one contract and side that a plan may close, in order of rank.

    `bucket` is each position's row of the reduction, `value` the notional of its closable lots in
    money.
    """

    queue: Queue
    wanted_lots: int
    bucket: Ints
    lots: Ints
    value: Floats


@dataclass(frozen=True, slots=True)
class BookReduction:
    """The reduction of a book, with its contracts, buckets and closable positions.

    A bucket is an account's cross margin in the asset, or one isolated position; its name is that
    of the account.
    """

    reduction: Reduction
    contracts: tuple[str, ...]
    accounts: tuple[str, ...]
    positions: dict[int, ClosablePositions]


def book_reduction(
    book: Book, need: Need, scenarios: Iterable[Shock | Scenario], exclude: Collection[str] = ()
) -> BookReduction:
    """Return the reduction of a book; scenarios count from its marks to their last step.

    Contracts are those that settle in the asset of the needed ones; buckets without equity are left
    out, as they are no counterparties, and accounts in `exclude` give up nothing. Raises InputError
    and UnknownNameError for needs and scenarios that the book cannot have.
    """
    states = _of_one_asset(book, _wanted(book, need))
    moves = [_moves(states, scenario_of(crash)) for crash in scenarios]
    if not moves:
        raise InputError("needs at least one scenario", column="scenarios")
    return reduction_of_moves(book, need, moves, exclude)


def reduction_of_moves(
    book: Book, need: Need, moves: Floats | Sequence[Sequence[float]], exclude: Collection[str] = ()
) -> BookReduction:
    """Return the reduction of a book over relative moves, a row a scenario and a column a contract.

    Raises InputError and UnknownNameError for needs that the book cannot have.
    """
    wanted = _wanted(book, need)
    states = _of_one_asset(book, wanted)
    names = tuple(state.name for state in states)
    unit = float(10 ** book.cash_decimals(states[0].terms.settle))
    columns = _Buckets(book, states, unit, frozenset(exclude))
    sides = {names.index(name): side for name, side in wanted}
    positions = {k: columns.closable(k, side, wanted[names[k], side]) for k, side in sides.items()}
    limits = np.zeros_like(columns.exposure)
    required = np.zeros(len(names))
    for k, closable in positions.items():
        np.add.at(limits[:, k], closable.bucket, closable.value)
        value = closable.value.sum() / max(int(closable.lots.sum()), 1)
        required[k] = -sides[k].sign * closable.wanted_lots * value
    reduction = Reduction.of(columns.exposure, columns.equity, moves, required, limits=limits)
    return BookReduction(reduction, names, columns.names, positions)


def _wanted(book: Book, need: Need) -> dict[tuple[str, Side], int]:
    """Return lots by contract and side."""
    wanted: dict[tuple[str, Side], int] = {}
    for key, quantity in need.items():
        if not isinstance(key, tuple) or len(key) != 2:
            raise InputError(
                'must be (contract, side), such as ("BTCUSDT", "short")', column="need"
            )
        state, side = contract_of(book, key[0]), side_of(key[1])
        if (state.name, side.opposite) in wanted:
            raise InputError("is reduced on both sides", column=state.name)
        wanted[state.name, side] = lots_of(state, state.name, quantity)
    if not wanted:
        raise InputError("is empty", column="need")
    return wanted


def _of_one_asset(book: Book, wanted: Iterable[tuple[str, Side]]) -> list[ContractState]:
    """Return the contracts with a mark that settle as the wanted ones do."""
    assets = {book.contracts[name].terms.settle for name, _ in wanted}
    if len(assets) > 1:
        listed = ", ".join(sorted(assets))
        raise InputError(f"settles in {listed}: one plan for each asset", column="need")
    for name, _ in wanted:
        if not book.contracts[name].mark:
            raise InputError("has no mark", column=name)
    return [s for s in book.contracts.values() if s.terms.settle in assets and s.mark]


def _moves(states: Iterable[ContractState], scenario: Scenario) -> list[float]:
    """Return the relative change of each contract's value at the end of a scenario.

    An inverse contract is worth 1 / price: its value changes by z / (1 + z).
    """
    ratios = {name: ratio for step in scenario.steps for name, ratio in step.ratios.items()}
    moves = []
    for state in states:
        ratio = ratios.pop(state.name, None)
        move = 0.0 if ratio is None else float(ratio - 1)
        moves.append(move if state.terms.linear else move / (1 + move))
    return moves


class _Buckets:
    """Exposure, equity and names of the margin buckets of some contracts, in money."""

    def __init__(
        self, book: Book, states: list[ContractState], unit: float, excluded: frozenset[str]
    ) -> None:
        self.book, self.states, self.unit, self.excluded = book, states, unit, excluded
        cross, isolated = self._cross_accounts(), self._isolated()
        self.row_of_account = {account: row for row, account in enumerate(cross)}
        self.row_of_position = {key: len(cross) + row for row, key in enumerate(isolated)}
        accounts = [*cross, *(account for _, _, account, _ in isolated)]
        self.names = tuple(book.accounts.names[account] for account in accounts)
        self.exposure = np.zeros((len(accounts), len(states)))
        self.equity = np.zeros(len(accounts))
        if cross:
            index = np.array(cross, np.int64)
            balance, pnl, _ = bucket_columns(book, states[0].terms.settle, index)
            self.equity[: len(cross)] = (balance + pnl) / unit
        for k, state in enumerate(states):
            for side, table in state.tables.items():
                self._add(k, state, side, table.size)
        self.equity = np.maximum(self.equity, 0.0)

    def _cross_accounts(self) -> list[int]:
        found = set()
        for state in self.states:
            for table in state.tables.values():
                cross = ~table.isolated[: table.size]
                found |= set(table.account[: table.size][cross].tolist())
        return sorted(found)

    def _isolated(self) -> list[tuple[int, Side, int, int]]:
        return [
            (k, side, int(table.account[row]), int(table.position[row]))
            for k, state in enumerate(self.states)
            for side, table in state.tables.items()
            for row in np.flatnonzero(table.isolated[: table.size]).tolist()
        ]

    def _add(self, k: int, state: ContractState, side: Side, size: int) -> None:
        """Add the positions of one side to their buckets."""
        table = state.tables[side]
        value = np.abs(table.cost[:size] + table.unrealized_pnl[:size]) / self.unit
        rows = self.rows(
            k, side, table.account[:size], table.position[:size], table.isolated[:size]
        )
        np.add.at(self.exposure[:, k], rows, -side.sign * value)
        own = table.isolated[:size]
        equity = (table.margin[:size] + table.unrealized_pnl[:size]) / self.unit
        self.equity[rows[own]] += equity[own]

    def rows(self, k: int, side: Side, account: Ints, position: Ints, isolated: Bools) -> Ints:
        """Return the bucket of each position."""
        keys = zip(account.tolist(), position.tolist(), isolated.tolist(), strict=True)
        return np.array(
            [
                self.row_of_position[k, side, owner, number]
                if alone
                else self.row_of_account[owner]
                for owner, number, alone in keys
            ],
            np.int64,
        )

    def closable(self, k: int, side: Side, wanted_lots: int) -> ClosablePositions:
        """Return the ranked positions of a side, as the rule set of its pool ranks them."""
        state = self.states[k]
        ranking = rule_set_of(self.book, state).ranking
        valuation = value_side(self.book, state, side, net_exposure=ranking.closes_net_lots)
        queue = rank_side(valuation, ranking)
        order = queue.order
        lots = queue.closable_lots[order]
        if self.excluded:
            index = self.book.accounts.index
            excluded = [index[name] for name in self.excluded if name in index]
            lots = np.where(np.isin(valuation.account[order], excluded), 0, lots)
        whole = np.maximum(valuation.lots[order], 1)
        value = valuation.notional[order] / self.unit * (lots / whole)
        bucket = self.rows(
            k, side, valuation.account[order], valuation.position[order], valuation.isolated[order]
        )
        if wanted_lots > int(lots.sum()):
            formatter = ContractFormatter(state.terms, 0)
            there, wanted = map(formatter.quantity, (int(lots.sum()), wanted_lots))
            why = f"is infeasible: the {len(order)} ranked {side} positions can close {there}"
            raise InputError(why, column=state.name, value=wanted)
        return ClosablePositions(queue, wanted_lots, bucket, lots, value)
