"""A policy run on an instance of the bench: a dozen measures, and its certificate checked."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from delever.core.book import Book
from delever.core.rules.adl_price import Quote
from delever.core.units import Floats, Ints, Ticks
from delever.lab.errors import InputError
from delever.lab.measures.run_measures import HEDGED_BELOW, gini_coefficient
from delever.lab.policies.catalog import AnyPolicy, lot_policy
from delever.lab.policies.context import PolicyContext
from delever.lab.policies.plans.book_plan import money_of_lots, rounded_lots
from delever.lab.policies.plans.book_reduction import BookReduction, book_reduction
from delever.lab.policies.plans.certificate import Certificate
from delever.lab.policies.plans.check import check
from delever.lab.policies.plans.reduction import BLOCK, Reduction
from delever.lab.runs.market_paths.path import Shock
from delever.lab.studies.bench.inputs import LOTS_PER_UNIT, BenchInstance, reduced_side

SPLITS = ((0.5, 0.5), (0.5, 0.9), (0.5, 0.1), (0.1, 0.5))
"""Parts of positions and of the balance that the new account of a split receives."""

DECIMALS = 6

SMALLEST_GAP = 1e-9
"""Gaps below this are rounding of float64, which differs between machines."""


class PlanPolicy(Protocol):
    """A policy that reduces all contracts of an instance at once, in money."""

    @property
    def name(self) -> str:
        """The policy's name in tables."""

    def plan(self, reduction: Reduction) -> Floats | Certificate:
        """Return what each account gives up of each contract, or a certificate with it."""


BenchPolicy = AnyPolicy | PlanPolicy


@dataclass(frozen=True, slots=True)
class PreparedInstance:
    """An instance with its book and reduction; `factor` are the contracts' moves with the first."""

    instance: BenchInstance
    book: Book
    target: BookReduction
    factor: dict[str, float]

    @classmethod
    def of(cls, instance: BenchInstance) -> "PreparedInstance":
        """Return an instance prepared for any policy."""
        book = instance.book()
        need = {
            (name, str(reduced_side(lots))): _quantity(abs(lots))
            for name, lots in zip(instance.contracts, instance.wanted_lots, strict=True)
            if lots
        }
        target = book_reduction(book, need, [Shock({instance.contracts[0]: "0"})])
        reduction = replace(target.reduction, moves=instance.moves, chances=instance.chances)
        first = instance.moves[:, 0]
        scale = np.sqrt(instance.chances @ first**2)
        factor = (instance.chances * first) @ instance.moves / scale
        named = dict(zip(instance.contracts, factor.tolist(), strict=True))
        return cls(instance, book, replace(target, reduction=reduction), named)

    def context(self) -> PolicyContext:
        """Return what a policy may know: the scenarios, the factor, exposures and equities."""
        context = PolicyContext.of(self.book, factor=self.factor)
        return replace(context, scenarios=self.instance.moves)


def _quantity(lots: int) -> str:
    return f"{lots // LOTS_PER_UNIT}.{lots % LOTS_PER_UNIT:04}"


# --- what a policy takes ---


@dataclass(frozen=True, slots=True)
class BenchAllocation:
    """Lots of each ranked position, by contract, and the certificate of a plan."""

    lots: dict[int, Ints]
    certificate: Certificate | None = None


def allocate_instance(policy: BenchPolicy, ready: PreparedInstance) -> BenchAllocation:
    """Return what a policy takes; raises InputError for lots or a plan outside the limits."""
    divider: Any = policy
    if hasattr(divider, "plan"):
        return _planned(divider, ready)
    if not hasattr(policy, "allocate"):
        divider = lot_policy(divider)  # a haircut policy, as lots
    if hasattr(divider, "in_context"):
        divider = divider.in_context(ready.context())
    found = {}
    for k, closable in ready.target.positions.items():
        quote = Quote((Ticks(ready.instance.price_ticks[k]),), {})
        lots = np.asarray(divider.allocate(closable.queue, closable.wanted_lots, quote))
        _check_lots(policy, ready, lots, closable.lots, closable.wanted_lots)
        found[k] = lots
    return BenchAllocation(found)


def _planned(policy: PlanPolicy, ready: PreparedInstance) -> BenchAllocation:
    reduction = ready.target.reduction
    answer = policy.plan(reduction)
    certificate = answer if isinstance(answer, Certificate) else None
    plan = np.asarray(answer.plan if isinstance(answer, Certificate) else answer, float)
    scale = max(float(reduction.quantity.max()), 1.0) * 1e-9
    if plan.shape != reduction.limits.shape or not np.isfinite(plan).all():
        raise _invalid(policy, ready, "must be a number for each account and contract")
    if (plan < -scale).any() or (plan > reduction.limits + scale).any():
        raise _invalid(policy, ready, "takes more of an account than its limit, or less than 0")
    if (np.abs(plan.sum(axis=0) - reduction.quantity) > scale).any():
        raise _invalid(policy, ready, "does not sum to what is required")
    lots = {k: rounded_lots(ready.target, k, plan) for k in ready.target.positions}
    return BenchAllocation(lots, certificate)


def _check_lots(
    policy: BenchPolicy, ready: PreparedInstance, lots: np.ndarray, caps: Ints, wanted: int
) -> None:
    if lots.shape != caps.shape or not np.issubdtype(lots.dtype, np.integer):
        raise _invalid(policy, ready, "must be whole lots, one number for each counterparty")
    if (lots < 0).any() or (lots > caps).any() or int(lots.sum()) > wanted:
        raise _invalid(policy, ready, "takes more lots than there are, or than are wanted")


def _invalid(policy: BenchPolicy, ready: PreparedInstance, why: str) -> InputError:
    return InputError(why, column=policy.name, value=ready.instance.name)


# --- measures ---


@dataclass(frozen=True, slots=True)
class BenchOutcome:
    """An instance after a policy, in money: by account and contract, or by closable position."""

    reduction: Reduction
    plan: Floats
    haircut: Floats
    part: Floats
    profit: Floats
    value: Floats
    account: Ints

    @classmethod
    def of(cls, ready: PreparedInstance, lots: dict[int, Ints]) -> "BenchOutcome":
        """Return the outcome of lots of each ranked position, by contract."""
        target, instance = ready.target, ready.instance
        plan = money_of_lots(target, lots)
        markup = np.array(instance.price_ticks) / np.array(instance.mark_ticks) - 1
        haircut = plan @ (markup * np.where(target.reduction.required < 0, -1.0, 1.0))
        positions = target.positions
        unit = 10.0**8
        profit = [
            np.maximum(c.queue.valuation.unrealized_pnl[c.queue.order], 0) / unit
            for c in positions.values()
        ]
        part = [lots[k] / np.maximum(c.lots, 1) for k, c in positions.items()]
        return cls(
            target.reduction,
            plan,
            haircut,
            np.concatenate(part),
            np.concatenate(profit),
            np.concatenate([c.value for c in positions.values()]),
            np.concatenate([c.bucket for c in positions.values()]),
        )

    def losses(self) -> Floats:
        """Return the venue's loss in each scenario, with haircuts taken from equity."""
        reduction = self.reduction
        left, moves = reduction.toward_shorts - self.plan, reduction.adverse_moves.T
        equity, total = reduction.equity - self.haircut, np.zeros(len(reduction.moves))
        for start in range(0, len(left), BLOCK):
            rows = slice(start, start + BLOCK)
            total += np.maximum(left[rows] @ moves - equity[rows, None], 0).sum(axis=0)
        return total

    def exposure_after(self) -> Floats:
        """Return the exposure of each account and contract, positive for shorts."""
        signs = np.where(self.reduction.required < 0, -1.0, 1.0)
        return self.reduction.exposure - signs * self.plan


def expected_loss(o: BenchOutcome) -> float | None:
    """Return the expected loss of the venue over the scenarios, as part of that without ADL."""
    before = o.reduction.losses(np.zeros_like(o.plan)) @ o.reduction.chances
    return _part(float(o.losses() @ o.reduction.chances), float(before))


def worst_loss(o: BenchOutcome) -> float | None:
    """Return the largest loss of the venue in a scenario, as part of that without ADL."""
    before = o.reduction.losses(np.zeros_like(o.plan)).max()
    return _part(float(o.losses().max()), float(before))


def max_leverage(o: BenchOutcome) -> float | None:
    """Return the highest leverage of an account after ADL, as part of the highest before."""
    equity = o.reduction.equity
    sound = (equity > 0) & (equity - o.haircut > 0)
    before = np.abs(o.reduction.exposure).sum(axis=1)[sound] / equity[sound]
    after = np.abs(o.exposure_after()).sum(axis=1)[sound] / (equity - o.haircut)[sound]
    return _part(float(after.max(initial=0)), float(before.max(initial=0)))


def accounts_touched(o: BenchOutcome) -> float | None:
    """Return the part of the accounts with closable positions that lose some of them."""
    touched = np.unique(o.account[o.part > 0])
    return _part(float(len(touched)), float(len(np.unique(o.account))))


def full_closes(o: BenchOutcome) -> float | None:
    """Return the part of the touched positions that are closed whole."""
    return _part(float((o.part >= 1).sum()), float((o.part > 0).sum()))


def largest_burden(o: BenchOutcome) -> float | None:
    """Return the largest notional closed of an account, in times of its equity."""
    sound = o.reduction.equity > 0
    closed = o.plan.sum(axis=1)[sound] / o.reduction.equity[sound]
    return float(closed.max(initial=0))


def gini_of_closed(o: BenchOutcome) -> float | None:
    """Return the Gini coefficient of the notional closed, over closable positions."""
    return gini_coefficient(o.value * o.part)


def largest_survivor(o: BenchOutcome) -> float | None:
    """Return the largest PnL still open, as part of the largest before."""
    return _part(float((o.profit * (1 - o.part)).max(initial=0)), float(o.profit.max(initial=0)))


def order_reversed(o: BenchOutcome) -> float | None:
    """Return the part of adjacent positions by PnL whose open PnL is then in reverse order."""
    order = np.argsort(o.profit, kind="stable")
    survivors = (o.profit * (1 - o.part))[order]
    tolerance = 1e-6 * np.abs(survivors).max(initial=0)
    return _part(float((np.diff(survivors) < -tolerance).sum()), float(len(survivors) - 1))


def hedge_broken(o: BenchOutcome) -> float | None:
    """Return the net exposure that ADL opens in hedged accounts, as part of their gross."""
    exposure, after = o.reduction.exposure, o.exposure_after()
    gross, net = np.abs(exposure).sum(axis=1), np.abs(exposure.sum(axis=1))
    hedged = net < HEDGED_BELOW * gross
    opened = np.maximum(np.abs(after.sum(axis=1)) - net, 0)
    return _part(float(opened[hedged].sum()), float(gross[hedged].sum()))


MEASURES: dict[str, Callable[[BenchOutcome], float | None]] = {
    function.__name__: function
    for function in (
        expected_loss,
        worst_loss,
        max_leverage,
        accounts_touched,
        full_closes,
        largest_burden,
        gini_of_closed,
        largest_survivor,
        order_reversed,
        hedge_broken,
    )
}
"""Measures of one allocation; `split_gain` and `path_change` compare two of them."""

COMPARISONS = {
    "split_gain": "Part of its lots that an account avoids when split in two, at best.",
    "path_change": "Part of the quantity that other accounts supply when it comes in rounds.",
}


def _part(amount: float, whole: float) -> float | None:
    return amount / whole if whole else None


def score(policy: BenchPolicy, ready: PreparedInstance) -> dict[str, Any]:
    """Return a row of the bench: measures, the part left unfilled, and the certificate's state.

    Raises InputError for an allocation outside the limits.
    """
    instance = ready.instance
    allocation = allocate_instance(policy, ready)
    outcome = BenchOutcome.of(ready, allocation.lots)
    row: dict[str, Any] = {"policy": policy.name, "instance": instance.name}
    row |= {name: _rounded(function(outcome)) for name, function in MEASURES.items()}
    row["split_gain"] = _rounded(_split_gain(policy, ready, allocation.lots))
    row["path_change"] = _rounded(_path_change(policy, ready, allocation.lots))
    wanted = sum(abs(lots) for lots in instance.wanted_lots)
    row["unfilled"] = _rounded(
        1 - sum(int(lots.sum()) for lots in allocation.lots.values()) / wanted
    )
    row["certificate"] = _certificate(allocation, ready)
    return row


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DECIMALS) + 0.0


def _certificate(allocation: BenchAllocation, ready: PreparedInstance) -> str | None:
    """Return what the certificate proves, as the checker derives it; None without one."""
    if allocation.certificate is None:
        return None
    found = check(allocation.certificate, ready.target.reduction)
    if not found.ok:
        return f"not proved: {'; '.join(found.findings)}"
    return f"proved, gap <= {max(found.gap, SMALLEST_GAP):.0e}"


def lots_by_row(ready: PreparedInstance, lots: dict[int, Ints]) -> Ints:
    """Return the closed lots of each position, in the order of the instance's columns."""
    instance = ready.instance
    closed = np.zeros((len(instance.contracts), len(instance.balance_cash)), np.int64)
    for k, taken in lots.items():
        queue = ready.target.positions[k].queue
        names = [ready.book.accounts.names[a] for a in queue.valuation.account[queue.order]]
        closed[k, [int(name.removeprefix("a")) for name in names]] = taken
    of_side = np.sign(instance.lots) == -np.sign(np.array(instance.wanted_lots))[instance.contract]
    rows: Ints = np.where(of_side, closed[instance.contract, instance.account], 0)
    return rows


def _split_gain(
    policy: BenchPolicy, unsplit: PreparedInstance, lots: dict[int, Ints]
) -> float | None:
    """Return the largest 1 - lots of both parts / lots of the whole account over splits."""
    instance = unsplit.instance
    if not instance.is_split:
        return None
    whole = lots_by_row(unsplit, lots)[instance.account == 0].sum()
    gains = []
    for lots_part, balance_part in SPLITS:
        parts = instance.split(lots_part, balance_part)
        ready = PreparedInstance.of(parts)
        taken = lots_by_row(ready, allocate_instance(policy, ready).lots)
        own = (parts.account == 0) | (parts.account == len(instance.balance_cash))
        gains.append(1 - taken[own].sum() / max(int(whole), 1))
    return float(max(*gains, 0.0)) if whole else None


def _path_change(
    policy: BenchPolicy, single: PreparedInstance, lots: dict[int, Ints]
) -> float | None:
    """Return half of the absolute differences between one round and several, by quantity."""
    instance = single.instance
    if instance.rounds == 1:
        return None
    at_once = lots_by_row(single, lots)
    closed, left = np.zeros_like(at_once), np.array(instance.wanted_lots)
    for rounds_left in range(instance.rounds, 0, -1):
        turn = left // rounds_left
        now = instance.after(closed).with_wanted(tuple(turn.tolist()))
        ready = PreparedInstance.of(now)
        closed += lots_by_row(ready, allocate_instance(policy, ready).lots)
        left = left - turn
    return float(np.abs(closed - at_once).sum() / 2 / np.abs(instance.wanted_lots).sum())
