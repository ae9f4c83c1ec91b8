"""Loss socialization: what happens instead of ADL, or after the queue is exhausted.

A deficit is a pool's negative equity. It is divided over the pool's losing contracts by their
losses, and in each contract over open positions. A position's share raises its cost: its equity
falls at once, and its account pays when the position is closed. The pool receives all shares.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState
from delever.core.messages import Event, LossSocialized, Side, WithdrawalHaircutSet
from delever.core.rules.policies.allocation import share
from delever.core.units import PPM, ratio_ppm
from delever.core.valuation.bankruptcy import OpenPosition, cover_of
from delever.core.valuation.insurance import contract_pnl_of, pool_equity


class LossClaim(NamedTuple):
    """One open position that a socialized loss can claim from.

    `gain_cash` is its unrealized PnL and `payout_cash` its share of the margin bucket's equity, by
    maintenance margin; both are at least 0.
    """

    account: str
    side: Side
    position: int
    lots: int
    gain_cash: int
    payout_cash: int


Shares = Callable[[Sequence[LossClaim], int], list[int]]
"""(claims, loss in Cash) -> each position's share of the loss in Cash, in the order of claims."""


def losses_of(state: ContractState) -> int:
    """Return what a contract has lost for its pool, in Cash: it pays its part of the deficit."""
    return max(-contract_pnl_of(state), 0)


def open_notional(state: ContractState) -> int:
    """Return the notional of all open positions of a contract at the mark, in Cash."""
    total = 0
    for side, table in state.tables.items():
        if state.mark:
            total += abs(state.terms.value_cash(side.sign * table.total_lots, state.mark))
    return total


class LastResort(Protocol):
    """What a venue does about a deficit that no queue has covered."""

    @property
    def name(self) -> str:
        """The rule's name in events and documents."""

    def resolve(self, book: Book, pool: PoolState) -> Iterator[Event]:
        """Yield the events that follow from the pool's current equity."""


@dataclass(frozen=True, slots=True)
class SocializedLoss:
    """Open positions pay the pool's deficit.

    The deficit is divided over the pool's contracts by `weight`, by default their losses. Under
    `after_unwinding` a contract is not socialized while the pool has inventory in it.
    """

    name: str
    shares: Shares
    after_unwinding: bool = False
    weight: Callable[[ContractState], int] = losses_of

    def resolve(self, book: Book, pool: PoolState) -> Iterator[Event]:
        """Yield one socialized loss a paying contract, if there is a deficit."""
        deficit = max(-pool_equity(book, pool), 0)
        if not deficit:
            return
        weights = {state.name: self.weight(state) for state in book.members(pool)}
        paying = [book.contracts[name] for name, weight in weights.items() if weight]
        parts = share(deficit, [deficit] * len(paying), [weights[each.name] for each in paying])
        for state, part in zip(paying, parts, strict=True):
            if part and not (self.after_unwinding and state.has_inventory):
                yield from self._socialize(book, state, part)

    def _socialize(self, book: Book, state: ContractState, loss_cash: int) -> Iterator[Event]:
        claims = loss_claims(book, state)
        shares = self.shares(claims, loss_cash)
        paying = [(claim, paid) for claim, paid in zip(claims, shares, strict=True) if paid]
        if paying:
            yield LossSocialized(
                fill=book.last_fill + 1,
                contract=state.name,
                rule=self.name,
                loss_cash=loss_cash,
                unfunded_cash=max(loss_cash - sum(shares), 0),
                accounts=tuple(claim.account for claim, _ in paying),
                sides=tuple(claim.side for claim, _ in paying),
                positions=tuple(claim.position for claim, _ in paying),
                amount_cash=tuple(paid for _, paid in paying),
            )


@dataclass(frozen=True, slots=True)
class WithdrawalHaircut:
    """No position pays; while the pool has a deficit, a public fraction of each withdrawal is cut.

    The fraction is deficit / claims: claims are the equity of all accounts and pools of the asset
    plus the deficit, so that all withdrawals together are paid out exactly. Not `of_claims`, it is
    deficit / that equity.
    """

    of_claims: bool = True
    name: str = field(default="withdrawal_haircut", init=False)

    def resolve(self, book: Book, pool: PoolState) -> Iterator[Event]:
        """Yield the fraction if it has changed."""
        deficit = max(-pool_equity(book, pool), 0)
        total = total_equity(book, pool.asset) if deficit else 0
        total += deficit if self.of_claims else 0
        haircut_ppm = min(max(ratio_ppm(deficit, total), 0), PPM)
        if haircut_ppm != pool.withdrawal_haircut_ppm:
            yield WithdrawalHaircutSet(
                pool=pool.name, haircut_ppm=haircut_ppm, deficit_cash=deficit, total_cash=total
            )


def loss_claims(book: Book, state: ContractState) -> list[LossClaim]:
    """Return a contract's open positions, by account id, side and position id."""
    claims = []
    for side, table in state.tables.items():
        for row, (account, position) in enumerate(table.keys()):
            holding = OpenPosition(state, side, account, position)
            unrealized_pnl = int(table.unrealized_pnl[row])
            claims.append(
                LossClaim(
                    account=book.accounts.names[account],
                    side=side,
                    position=position,
                    lots=int(table.lots[row]),
                    gain_cash=max(unrealized_pnl, 0),
                    payout_cash=max(cover_of(book, holding) + unrealized_pnl, 0),
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
                equity = table.margin[: table.size] + table.unrealized_pnl[: table.size]
                total += sum(map(int, equity[isolated]))
    return total + sum(pool_equity(book, p) for p in book.pools.values() if p.asset == asset)
