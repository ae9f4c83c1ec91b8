"""What a policy may know besides the queue: views of the future, and the accounts of a book."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from delever.core.book import Book
from delever.core.messages import Side
from delever.core.rules.policies import LotPolicy
from delever.core.units import Floats
from delever.lab.errors import InputError
from delever.lab.runs.market_paths.path import Shock


@dataclass(frozen=True, slots=True)
class PolicyContext:
    """What a policy may know besides the queue: views of the future, and what earlier rounds left.

    `scenarios` has a row a scenario and a column for each of `contracts`: the relative move of the
    mark, -0.1 for a fall by a tenth. `factor` is the relative move of each contract with one factor
    (one standard deviation of it). `exposure` is each account's net value of positions by contract,
    long positive, and `equity` each account's, both by account name. `state` is a policy's own.
    """

    contracts: tuple[str, ...] = ()
    scenarios: Floats | None = None
    factor: tuple[float, ...] = ()
    exposure: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    equity: Mapping[str, float] = field(default_factory=dict)
    state: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.scenarios is not None:
            if self.scenarios.ndim != 2 or self.scenarios.shape[1] != len(self.contracts):
                raise InputError("must have a column for each contract", column="scenarios")
            if not np.isfinite(self.scenarios).all():
                raise InputError("must be finite numbers", column="scenarios")
        if self.factor and len(self.factor) != len(self.contracts):
            raise InputError("must have a number for each contract", column="factor")

    @classmethod
    def of(
        cls, book: Book, shocks: Sequence[Shock] = (), factor: Mapping[str, float] | None = None
    ) -> "PolicyContext":
        """Return the context of a book: exposures and equities now, shocks as scenarios.

        Exposures and equities of accounts are those of cross margin in each contract's asset.

            >>> import delever
            >>> book = delever.read_book("examples/book")
            >>> context = PolicyContext.of(book, [delever.Shock({"BTCUSDT": "-0.10"})])
            >>> context.contracts[:2], context.exposure["ann"][:2]
            (('BTCUSDT', 'ETHUSDT'), (160001.25, -37803.0))
            >>> context.moves("BTCUSDT").tolist()
            [-0.1]
        """
        names, accounts = tuple(book.contracts), list(book.accounts.names)
        exposure, equity = np.zeros((len(accounts), len(names))), np.zeros(len(accounts))
        for column, state in enumerate(book.contracts.values()):
            unit = float(state.terms.cash_unit)
            for side, table in state.tables.items():
                rows = table.account[: table.size]
                notional = np.abs(table.cost + table.unrealized_pnl)[: table.size] / unit
                np.add.at(exposure[:, column], rows, side.sign * notional)
        for asset in {state.terms.settle for state in book.contracts.values()}:
            held = book.asset(asset).wallets.equity()[: len(accounts)]
            equity[: len(held)] += held / float(10 ** book.cash_decimals(asset))
        moves = [[float(shock.ratio(name) - 1) for name in names] for shock in shocks]
        return cls(
            contracts=names,
            scenarios=np.array(moves) if moves else None,
            factor=tuple((factor or {}).get(name, 0.0) for name in names) if factor else (),
            exposure=dict(zip(accounts, map(tuple, exposure.tolist()), strict=True)),
            equity=dict(zip(accounts, equity.tolist(), strict=True)),
        )

    def moves(self, contract: str) -> Floats:
        """Return the moves of one contract; raises InputError where no scenario has it."""
        if self.scenarios is None or contract not in self.contracts:
            raise InputError("is in no scenario of the policy's context", column=contract)
        moves: Floats = self.scenarios[:, self.contracts.index(contract)]
        return moves

    def against(self, contract: str, side: Side) -> "PolicyContext":
        """Return a context with one column: the moves of a contract against positions of a side."""
        adverse = -side.sign * self.moves(contract)
        return replace(self, contracts=(contract,), scenarios=adverse[:, None], factor=())


class ScenarioPolicy(Protocol):
    """A policy that needs a context before it can divide lots."""

    def in_context(self, context: PolicyContext) -> LotPolicy:
        """Return the policy with the context built in."""
