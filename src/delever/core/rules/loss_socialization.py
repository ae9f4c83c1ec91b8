"""What happens instead of a queue, or after it is exhausted: the loss is shared out.

A deficit is a pool's negative equity. It is divided over the pool's losing contracts by their
losses, and in each over open positions, whose cost rises by their shares: equity falls at once, and
a holder pays where the position is closed. The pool receives what the positions give up.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState
from delever.core.messages import Event, LossSocialized, Side, WithdrawalCutSet
from delever.core.rules.allocation import share
from delever.core.units import PPM, ratio_ppm
from delever.core.valuation.bankruptcy import Holding, cover_of
from delever.core.valuation.insurance import pool_equity, profit_of


class Claim(NamedTuple):
    """One open position as a loss meets it.

    `gain_cash` is its unrealized profit and `payout_cash` its part of the margin bucket's equity,
    by maintenance margin; neither is below 0.
    """

    account: str
    side: Side
    position: int
    lots: int
    gain_cash: int
    payout_cash: int


Shares = Callable[[Sequence[Claim], int], list[int]]
"""(claims, loss in Cash) -> what each position gives up in Cash, in the order of the claims."""


class LastResort(Protocol):
    """What a venue does about a deficit that no queue has covered."""

    @property
    def name(self) -> str:
        """The rule's name in events and documents."""

    def resolve(self, book: Book, pool: PoolState) -> Iterator[Event]:
        """Yield what follows from the pool's equity as it is now."""


@dataclass(frozen=True, slots=True)
class SocializedLoss:
    """Open positions give up what the pool is short of.

    Under `after_unwinding` a contract is left alone while the pool still holds inventory of it.
    """

    name: str
    shares: Shares
    after_unwinding: bool = False

    def resolve(self, book: Book, pool: PoolState) -> Iterator[Event]:
        """Yield one loss a contract, where there is a deficit and somebody to bear it."""
        deficit = max(-pool_equity(book, pool), 0)
        losing = [state for state in book.members(pool) if profit_of(state) < 0]
        losses = [-profit_of(state) for state in losing]
        parts = share(deficit, [deficit] * len(losses), losses)
        for state, part in zip(losing, parts, strict=True):
            if part and not (self.after_unwinding and state.has_inventory):
                yield from self._socialize(book, state, part)

    def _socialize(self, book: Book, state: ContractState, loss_cash: int) -> Iterator[Event]:
        claims = claims_of(book, state)
        shares = self.shares(claims, loss_cash)
        paying = [(claim, paid) for claim, paid in zip(claims, shares, strict=True) if paid]
        if paying:
            yield LossSocialized(
                fill=book.last_fill + 1,
                contract=state.name,
                rule=self.name,
                loss_cash=loss_cash,
                left_cash=max(loss_cash - sum(shares), 0),
                accounts=tuple(claim.account for claim, _ in paying),
                sides=tuple(claim.side for claim, _ in paying),
                positions=tuple(claim.position for claim, _ in paying),
                amount_cash=tuple(paid for _, paid in paying),
            )


@dataclass(frozen=True, slots=True)
class WithdrawalCut:
    """Nobody pays; whoever withdraws while the pool is short leaves a public part behind.

    The part is deficit / (equity of all accounts and pools of the asset).
    """

    name: str = field(default="withdrawal_cut", init=False)

    def resolve(self, book: Book, pool: PoolState) -> Iterator[Event]:
        """Yield the part where it has changed."""
        deficit = max(-pool_equity(book, pool), 0)
        total = total_equity(book, pool.asset) if deficit else 0
        cut_ppm = min(max(ratio_ppm(deficit, total), 0), PPM)
        if cut_ppm != pool.withdrawal_cut_ppm:
            yield WithdrawalCutSet(
                pool=pool.name, cut_ppm=cut_ppm, deficit_cash=deficit, total_cash=total
            )


def claims_of(book: Book, state: ContractState) -> list[Claim]:
    """Return a contract's open positions, by account name, side and number."""
    claims = []
    for side, table in state.tables.items():
        for row, (account, position) in enumerate(table.pairs()):
            holding = Holding(state, side, account, position)
            profit = int(table.profit[row])
            claims.append(
                Claim(
                    account=book.accounts.names[account],
                    side=side,
                    position=position,
                    lots=int(table.lots[row]),
                    gain_cash=max(profit, 0),
                    payout_cash=max(cover_of(book, holding) + profit, 0),
                )
            )
    return sorted(claims, key=lambda claim: claim[:3])


def total_equity(book: Book, asset: str) -> int:
    """Return the equity of all accounts and pools of a settle asset, in Cash."""
    total = sum(map(int, book.asset(asset).wallets.equity()))
    for state in book.contracts.values():
        if state.terms.settle == asset:
            for table in state.tables.values():
                isolated = table.isolated[: table.size]
                held = table.margin[: table.size] + table.profit[: table.size]
                total += sum(map(int, held[isolated]))
    return total + sum(pool_equity(book, p) for p in book.pools.values() if p.asset == asset)
