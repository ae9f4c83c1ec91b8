"""Plans of a book: lots of each position, what they leave, and why each account pays."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.rules.adl_price import Quote
from delever.core.units import Floats, Ints, floor_ticks
from delever.formatting import ContractFormatter
from delever.lab.errors import InputError
from delever.lab.policies.catalog import AnyPolicy, lot_policy
from delever.lab.policies.lot_policies import share_by_float
from delever.lab.policies.plans.book_reduction import BookReduction, Need, book_reduction
from delever.lab.policies.plans.certificate import Certificate, write_certificate
from delever.lab.policies.plans.reduction import Reduction
from delever.lab.policies.plans.shadow_prices import Ties, shadow_prices
from delever.lab.runs.market_paths.path import Scenario, Shock

SHADOW_PRICES = "shadow_prices"
MONEY_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """Lots to be closed of each position, and the expected shortfall that they leave.

    `frame` has a row for each closable position: account, contract, side, position, quantity,
    `reduced`, the bucket's leverage before and after, `saving`, `price` and a `reason`. `saving`
    is what the expected shortfall falls by for a unit of money more that the account gives up,
    `price` the shadow price at which it pays; both are null for a policy without a certificate.
    `certificate` is that of the plan before rounding to lots, which has its own `gap_in_lots`.
    """

    frame: pl.DataFrame
    reduction: Reduction
    expected_loss: float
    certificate: Certificate | None

    @property
    def gap_in_lots(self) -> float | None:
        """How far the plan in whole lots may be from the best; None without a certificate."""
        if self.certificate is None:
            return None
        excess = max(self.expected_loss - self.certificate.lower, 0.0)
        return excess / self.expected_loss if self.expected_loss else 0.0

    def write_certificate(self, path: str | Path) -> None:
        """Write the certificate and its inputs to a file, for `delever lab check`.

        Raises InputError for a plan without one.
        """
        if self.certificate is None:
            raise InputError("has no certificate; plans of shadow_prices have", column="plan")
        write_certificate(path, self.certificate, self.reduction)


def plan_reduction(
    book: Book,
    need: Need,
    *,
    scenarios: Iterable[Shock | Scenario],
    policy: str | AnyPolicy = SHADOW_PRICES,
    ties: Ties = "pro_rata",
    exclude: Collection[str] = (),
) -> Plan:
    """Return who gives up what, so that a book is reduced by quantities of contracts and sides.

    Under `shadow_prices` the expected shortfall after the plan, over equally likely scenarios, is
    as small as it can be, with a certificate; any other policy divides contract by contract, in the
    order of the pool's rule set, at the mark. Quantities are rounded to lots by largest remainder,
    ties by rank. Accounts in `exclude` give up nothing. Raises InputError and UnknownNameError.

        >>> import delever
        >>> from delever import lab
        >>> book = delever.read_book("examples/book")
        >>> shocks = [delever.Shock({"BTCUSDT": move}) for move in ("0.1", "0.5", "-0.2")]
        >>> plan = lab.plan_reduction(book, {("BTCUSDT", "short"): "1"}, scenarios=shocks)
        >>> plan.frame["reduced"].sum(), plan.certificate.gap < 1e-9
        (Decimal('1.000'), True)
    """
    target = book_reduction(book, need, scenarios, exclude)
    certificate = None
    if policy == SHADOW_PRICES:
        certificate = shadow_prices(target.reduction, ties=ties)
        lots = {k: rounded_lots(target, k, certificate.plan) for k in target.positions}
    else:
        divider = lot_policy(policy)
        lots = {}
        for k, closable in target.positions.items():
            state = book.contracts[target.contracts[k]]
            quote = Quote((floor_ticks(state.mark),), {})
            lots[k] = divider.allocate(closable.queue, closable.wanted_lots, quote)
    in_money = money_of_lots(target, lots)
    frame = _frame(book, target, lots, in_money, certificate)
    loss = target.reduction.expected_loss(in_money)
    return Plan(frame, target.reduction, loss, certificate)


def rounded_lots(target: BookReduction, k: int, plan: Floats) -> Ints:
    """Return the lots of each position of contract k that a plan in money stands for.

    A bucket's amount is divided by size, rounded by largest remainder, ties by rank; the lots sum
    to what is required.
    """
    closable = target.positions[k]
    limits = target.reduction.limits[closable.bucket, k]
    part = np.divide(plan[closable.bucket, k], limits, out=np.zeros_like(limits), where=limits > 0)
    exact = np.minimum(part, 1) * closable.lots
    floors: Ints = np.minimum(np.floor(exact + ROUNDING).astype(np.int64), closable.lots)
    left = closable.wanted_lots - int(floors.sum())
    if left < 0:  # only by rounding: returned by the last ranks
        return floors - share_by_float(-left, floors, np.zeros(len(floors)))
    rest = np.maximum(exact - floors, 0) + ROUNDING * (exact > 0)
    return floors + share_by_float(left, closable.lots - floors, rest)


ROUNDING = 1e-9
"""Part of a lot by which the plan's float64 may miss a whole number."""


def money_of_lots(target: BookReduction, lots: dict[int, Ints]) -> Floats:
    """Return the reduction of each bucket and contract that lots stand for."""
    plan = np.zeros_like(target.reduction.limits)
    for k, closed in lots.items():
        closable = target.positions[k]
        value = closable.value * closed / np.maximum(closable.lots, 1)
        np.add.at(plan[:, k], closable.bucket, value)
    return plan


def _frame(
    book: Book,
    target: BookReduction,
    lots: dict[int, Ints],
    plan: Floats,
    certificate: Certificate | None,
) -> pl.DataFrame:
    """Return the rows of a plan."""
    reduction = target.reduction
    signs = np.where(reduction.required < 0, -1.0, 1.0)
    equity = np.maximum(reduction.equity, 1e-300)
    before = np.abs(reduction.exposure).sum(axis=1) / equity
    after = np.abs(reduction.exposure - signs * plan).sum(axis=1) / equity
    savings = None if certificate is None else _savings(reduction, certificate)
    rows: list[dict[str, Any]] = []
    for k, closed in lots.items():
        closable, name = target.positions[k], target.contracts[k]
        formatter = ContractFormatter.of(book, book.contracts[name])
        valuation, order = closable.queue.valuation, closable.queue.order
        price = None if certificate is None else float(certificate.shadow_prices[k])
        for place, row in enumerate(order.tolist()):
            bucket = int(closable.bucket[place])
            saving = None if savings is None else float(savings[bucket, k])
            part = closed[place] / max(int(closable.lots[place]), 1)
            rows.append(
                {
                    "account": target.accounts[bucket],
                    "contract": name,
                    "side": valuation.side.value,
                    "position": int(valuation.position[row]),
                    "quantity": formatter.exact_quantity(int(valuation.lots[row])),
                    "reduced": formatter.exact_quantity(int(closed[place])),
                    "leverage_before": round(float(before[bucket]), MONEY_DECIMALS),
                    "leverage_after": round(float(after[bucket]), MONEY_DECIMALS),
                    "saving": saving,
                    "price": price,
                    "reason": _reason(float(part), saving, price),
                }
            )
    return pl.DataFrame(rows)


def _savings(reduction: Reduction, certificate: Certificate) -> Floats:
    """Return what a unit more of each account and contract would save, by the multipliers."""
    moves = reduction.adverse_moves[certificate.scenarios]
    columns = [
        np.bincount(
            certificate.accounts, certificate.multipliers * moves[:, k], len(reduction.equity)
        )
        for k in range(moves.shape[1])
    ]
    return np.stack(columns, axis=1)


def _reason(part: float, saving: float | None, price: float | None) -> str:
    """Return why a position gives up this part of itself, in words."""
    if saving is None or price is None:
        return ""
    compared = f"a unit more saves {saving:.6f}, the price is {price:.6f}"
    if part <= 0:
        return f"gives up nothing: {compared}"
    if part >= 1:
        return f"closed whole: {compared}"
    return f"closed in part, where saving and price meet: {compared}"
