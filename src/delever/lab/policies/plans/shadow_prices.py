"""The plan with the smallest expected shortfall, and its shadow prices, by linear programming.

M15 of the literature over given scenarios: minimize sum p_s t_is with t_is >= z_s'(w_i - x_i) -
E_i, t >= 0, 0 <= x <= hi, sum_i x_i = Q. Pairs of account and scenario in which no plan lets the
account default are left out; accounts without a pair are one column a contract, for they are all
alike to the objective. HiGHS (extra `lab`) solves it by dual simplex; its duals are the
certificate.
"""

from typing import Any, Literal

import numpy as np

from delever.core.units import Floats, Ints
from delever.lab.errors import InputError
from delever.lab.policies.plans.certificate import Certificate
from delever.lab.policies.plans.reduction import BLOCK, Reduction

TIE_ROUNDS = 24
"""Turns in which the part that accounts without loss give up is made the same for all."""

SAME_LOSS = 1e-12
"""Part by which the shortfall of a plan may differ from the best one to count as equal."""

SPARING_COST = 1e-6
"""Cost of a unit of reduction of an account at risk, in the choice among the best plans."""

FREE_PRICE = 1e-9
"""Shadow price up to which a contract's reduction costs nothing: accounts are alike to it."""

Ties = Literal["pro_rata", "fewest_accounts"]


def shadow_prices(
    reduction: Reduction, *, ties: Ties = "pro_rata", time_limit_s: float = 600.0
) -> Certificate:
    """Return the plan with the smallest expected shortfall, with its proof.

    Plans of the same shortfall differ in who pays. `fewest_accounts` is the vertex that HiGHS
    finds, with what accounts without risk give up filled from the largest limit; under `pro_rata`
    accounts give up the same part of their limits, as far as they are without loss in every
    scenario and the shadow price of the contract is 0. The same inputs give the same plan on the
    same machine and versions; elsewhere the same
    objective. Raises InputError where HiGHS is not installed, or stops early.

        >>> from delever import lab
        >>> reduction = lab.Reduction.of([[8.0], [4.0]], [2.0, 3.0], [[1.0], [0.75]], [6.0])
        >>> certificate = lab.shadow_prices(reduction)
        >>> float(certificate.plan.sum()), certificate.upper, round(certificate.gap, 12)
        (6.0, 0.5, 0.0)
    """
    accounts, scenarios = _pairs(reduction)
    at_risk = np.unique(accounts)
    program = _Program(reduction, accounts, scenarios, at_risk)
    solution = program.solve(time_limit_s)
    plan = _with_safe(reduction, solution.at_risk, at_risk, ties)
    if ties == "pro_rata" and (np.abs(solution.prices) <= FREE_PRICE).any():
        spared = _with_safe(reduction, program.sparing_accounts_at_risk(), at_risk, ties)
        shared = _shared_by_limits(reduction, spared, accounts, scenarios, solution)
        most = reduction.expected_loss(plan) * (1 + SAME_LOSS)
        equal = (each for each in (shared, spared) if reduction.expected_loss(each) <= most)
        plan = next(equal, plan)
    used = np.flatnonzero(solution.multipliers > 0)
    multipliers = solution.multipliers[used]
    return Certificate(
        plan=plan,
        accounts=accounts[used],
        scenarios=scenarios[used],
        multipliers=multipliers,
        shadow_prices=solution.prices,
        upper=reduction.expected_loss(plan),
        lower=lower_bound(reduction, accounts[used], scenarios[used], multipliers, solution.prices),
        digest=reduction.digest(),
    )


def _pairs(reduction: Reduction) -> tuple[Ints, Ints]:
    """Return the accounts and scenarios in which some plan lets the account default."""
    moves = reduction.adverse_moves.T
    accounts, scenarios = [], []
    for start in range(0, len(reduction.equity), BLOCK):
        rows = slice(start, start + BLOCK)
        worst = reduction.toward_shorts[rows] @ moves
        worst += reduction.limits[rows] @ np.maximum(-moves, 0)  # a plan can break a hedge
        found = np.nonzero(worst > reduction.equity[rows, None])
        accounts.append(found[0] + start)
        scenarios.append(found[1])
    return np.concatenate(accounts), np.concatenate(scenarios)


def lower_bound(
    reduction: Reduction, accounts: Ints, scenarios: Ints, multipliers: Floats, prices: Floats
) -> float:
    """Return the expected shortfall below which no plan is, by weak duality."""
    moves = reduction.adverse_moves[scenarios]
    gains = (moves * reduction.toward_shorts[accounts]).sum(axis=1) - reduction.equity[accounts]
    columns = [
        np.bincount(accounts, multipliers * moves[:, k], len(reduction.equity))
        for k in range(moves.shape[1])
    ]
    reduced = reduction.limits * (prices - np.stack(columns, axis=1))
    return float(multipliers @ gains + np.minimum(reduced, 0).sum() - prices @ reduction.quantity)


def _shared_by_limits(
    reduction: Reduction, plan: Floats, accounts: Ints, scenarios: Ints, solution: "_Solution"
) -> Floats:
    """Return a plan of the same shortfall in which accounts without loss pay pro rata.

    Each such account moves towards the common part of its limits, until a scenario would bankrupt
    it; accounts that no scenario can bankrupt take up the difference.
    """
    moves, limits = reduction.adverse_moves[scenarios], reduction.limits
    free = np.abs(solution.prices) <= FREE_PRICE
    losing = np.zeros(len(plan), bool)
    losing[accounts[solution.multipliers > 0]] = True
    safe = np.ones(len(plan), bool)
    safe[accounts] = False
    room = limits[safe].sum(axis=0)
    movable = free & (room > 0)
    part = np.divide(reduction.quantity, limits.sum(axis=0), out=room * 0, where=movable)
    shared, rest = plan, room * 0
    for _ in range(TIE_ROUNDS):
        toward = np.where(movable & ~losing[:, None], part * limits - plan, 0.0)
        toward[safe] = 0.0
        slack = reduction.equity[accounts] - (
            moves * (reduction.toward_shorts - plan)[accounts]
        ).sum(axis=1)
        grows = -(moves * toward[accounts]).sum(axis=1)
        steps = np.divide(slack, grows, out=np.ones_like(grows), where=grows > 0)
        step = np.ones(len(plan))
        np.minimum.at(step, accounts, np.clip(steps, 0, 1))
        shared = plan + step[:, None] * toward
        rest = reduction.quantity - shared[~safe].sum(axis=0)
        total = reduction.quantity - rest + part * room
        excess = np.divide(total, reduction.quantity, out=np.ones_like(total), where=movable)
        part = np.clip(part / np.maximum(excess, 1e-3), 0, 1)
    if (rest[movable] < 0).any() or (rest > room)[movable].any():
        return plan
    filled = np.divide(rest, room, out=room * 0, where=movable)
    shared[safe] = np.where(movable, limits[safe] * filled, plan[safe])
    return shared


def _with_safe(reduction: Reduction, of_risky: Floats, at_risk: Ints, ties: Ties) -> Floats:
    """Return the plan of accounts at risk, with the rest shared over the others.

    Rounding of the solver is corrected: the sums are what is required.
    """
    plan = np.zeros_like(reduction.limits)
    plan[at_risk] = of_risky
    safe = np.ones(len(plan), bool)
    safe[at_risk] = False
    for k in range(plan.shape[1]):
        limits = np.where(safe, reduction.limits[:, k], 0.0)
        rest = reduction.quantity[k] - plan[:, k].sum()
        taken = min(max(rest, 0.0), float(limits.sum()))
        if ties == "fewest_accounts":
            order = np.argsort(-limits, kind="stable")
            ahead = np.cumsum(limits[order]) - limits[order]
            plan[order, k] += np.clip(taken - ahead, 0, limits[order])
        elif taken > 0:
            plan[:, k] += limits * (taken / limits.sum())
        rest = reduction.quantity[k] - plan[:, k].sum()
        room = plan[:, k] if rest < 0 else reduction.limits[:, k] - plan[:, k]
        if room.sum() > 0:
            plan[:, k] += room * (rest / room.sum())
    return np.clip(plan, 0, reduction.limits)


class _Solution:
    """What HiGHS found: the plan of accounts at risk, multipliers of pairs, shadow prices."""

    def __init__(self, at_risk: Floats, multipliers: Floats, prices: Floats) -> None:
        self.at_risk = at_risk
        self.multipliers = multipliers
        self.prices = prices


class _Program:
    """The linear program: reductions of accounts at risk, of all others together, and defaults."""

    def __init__(
        self, reduction: Reduction, accounts: Ints, scenarios: Ints, at_risk: Ints
    ) -> None:
        self.reduction = reduction
        self.accounts, self.scenarios, self.at_risk = accounts, scenarios, at_risk
        self.contracts = len(reduction.required)
        self.reduced = len(at_risk) * self.contracts
        self.safe = np.maximum(
            reduction.limits.sum(axis=0) - reduction.limits[at_risk].sum(axis=0), 0
        )

    def solve(self, time_limit_s: float) -> _Solution:
        """Return the optimum; raises InputError unless HiGHS proves that it is one."""
        highspy = _highspy()
        solver = highspy._core._Highs()  # noqa: SLF001 - the set-up of callbacks would print
        self.solver = solver
        for option, value in (
            ("output_flag", False),
            ("solver", "simplex"),
            ("threads", 1),
            ("random_seed", 0),
            ("time_limit", time_limit_s),
        ):
            solver.setOptionValue(option, value)
        solver.passModel(self._model(highspy))
        self._run()
        duals = np.array(solver.getSolution().row_dual)
        pairs = len(self.accounts)
        most = self.reduction.chances[self.scenarios]
        return _Solution(self._plan(), np.clip(duals[:pairs], 0, most), -duals[pairs:])

    def sparing_accounts_at_risk(self) -> Floats:
        """Return a best plan that takes little of accounts at risk, from the solved program.

        A small cost of their reductions decides among the plans; a shortfall that is larger for it
        is the caller's to find.
        """
        columns = np.arange(self.reduced, dtype=np.int32)
        self.solver.changeColsCost(len(columns), columns, np.full(len(columns), SPARING_COST))
        self._run()
        return self._plan()

    def _run(self) -> None:
        self.solver.run()
        status = self.solver.modelStatusToString(self.solver.getModelStatus())
        if status != "Optimal":
            raise InputError(f"HiGHS stopped without an optimum: {status}", column="shadow_prices")

    def _plan(self) -> Floats:
        limits = self.reduction.limits[self.at_risk]
        values = np.array(self.solver.getSolution().col_value)[: self.reduced]
        plan: Floats = np.clip(values.reshape(limits.shape), 0, limits)
        return plan

    def _model(self, highspy: Any) -> Any:
        """Return the program for HiGHS: a row a pair, then a row a contract."""
        d, pairs = self.contracts, len(self.accounts)
        reduction, infinite = self.reduction, highspy.kHighsInf
        moves = reduction.adverse_moves[self.scenarios]
        place = np.searchsorted(self.at_risk, self.accounts)
        columns = self.reduced + d + pairs
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = columns, pairs + d
        model.col_cost_ = np.r_[np.zeros(self.reduced + d), reduction.chances[self.scenarios]]
        model.col_lower_ = np.zeros(columns)
        limits = reduction.limits[self.at_risk].ravel()
        model.col_upper_ = np.r_[limits, self.safe, np.full(pairs, infinite)]
        losses = (moves * reduction.toward_shorts[self.accounts]).sum(axis=1)
        model.row_lower_ = np.r_[losses - reduction.equity[self.accounts], reduction.quantity]
        model.row_upper_ = np.r_[np.full(pairs, infinite), reduction.quantity]
        of_pairs = np.empty((pairs, d + 1), np.int64)
        of_pairs[:, :d] = place[:, None] * d + np.arange(d)
        of_pairs[:, d] = self.reduced + d + np.arange(pairs)
        of_contracts = np.arange(self.reduced + d).reshape(-1, d).T
        values = np.r_[np.c_[moves, np.ones(pairs)].ravel(), np.ones(of_contracts.size)]
        lengths = np.r_[np.full(pairs, d + 1), np.full(d, of_contracts.shape[1])]
        matrix = model.a_matrix_
        matrix.format_ = highspy.MatrixFormat.kRowwise
        matrix.num_col_, matrix.num_row_ = columns, pairs + d
        matrix.start_ = np.r_[0, np.cumsum(lengths)].astype(np.int32)
        matrix.index_ = np.r_[of_pairs.ravel(), of_contracts.ravel()].astype(np.int32)
        matrix.value_ = values
        return model


def _highspy() -> Any:
    """Return HiGHS; raises InputError with the remedy where it is not installed."""
    try:
        import highspy  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise InputError(
            "needs HiGHS: pip install 'delever[lab]'", column="shadow_prices"
        ) from error
    return highspy
