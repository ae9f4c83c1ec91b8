"""Measures of a run: who paid how much, whether it was needed, and what it leaves.

Each is a function of `AccountVectors`, in floats of the settle asset: columns by account, and what
the fund lost. Notation as in the papers: endowment w_i, haircut x_i, H = sum x, U = sum w, deficit
D, budget B (the part of the deficit that the fund did not pay), theta = H / D. Ratios are None
where they divide by 0.

Sources: Chitra, Autodeleveraging: Impossibilities and Optimization, arXiv 2512.01112 [P1]; Chitra
et al., Autodeleveraging as Online Learning, arXiv 2602.15182 [P2].
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from delever.core.book import Book
from delever.core.messages import AdlFilled, Event, LossSocialized, Side, TakenOver
from delever.core.units import Floats
from delever.core.valuation.insurance import pool_equity
from delever.lab.measures.account_outcomes import PositionKey, PositionOutcome

HEDGED_BELOW = 0.15
"""An account is hedged if its net notional is less than this part of its gross notional."""


@dataclass(frozen=True, slots=True)
class AccountVectors:
    """Columns by account, and sums of the funds, in units of one settle asset.

    `endowment` is the PnL that the account would have without haircuts, at least 0; `haircut` what
    it lost. Notionals and equity are at the last marks; those `before` add what ADL closed.
    `positions_touched` and `positions_closed` count its positions that ADL reduced and closed.
    `markout` is the value of what ADL closed at the last marks, less what it was closed for: what
    the account would have had, had it not been deleveraged (or at the marks some time after each
    fill). `deficit` is what the funds lost before
    haircuts (takeovers and unwinding, inventory at the last marks), `largest_deficit` the largest
    negative equity of a liquidated margin bucket, `budget` the deficit beyond the funds.
    """

    endowment: Floats
    haircut: Floats
    closed_notional: Floats
    positions_touched: Floats
    positions_closed: Floats
    gross_before: Floats
    gross_after: Floats
    net_before: Floats
    net_after: Floats
    equity_before: Floats
    equity_after: Floats
    markout: Floats
    deficit: float
    largest_deficit: float
    budget: float


def haircut_total(v: AccountVectors) -> float:
    """Return H = sum x_i, [P1]."""
    return float(v.haircut.sum())


def haircut_ratio(v: AccountVectors) -> float | None:
    """Return H / U: the part of all PnL that was taken, [P1]."""
    return _ratio(haircut_total(v), float(v.endowment.sum()))


def max_haircut_ratio(v: AccountVectors) -> float | None:
    """Return m = max x_i / w_i over accounts with an endowment: the largest burden, [P2]."""
    with_pnl = v.endowment > 0
    return float((v.haircut[with_pnl] / v.endowment[with_pnl]).max()) if with_pnl.any() else None


def overshoot_signed(v: AccountVectors) -> float:
    """Return H - B: above 0, winners paid more than the funds lacked, [P2]."""
    return haircut_total(v) - v.budget


def overshoot_positive(v: AccountVectors) -> float:
    """Return (H - B)+: what winners paid beyond need, [P2, 5.1 gives the signed sum for it]."""
    return max(overshoot_signed(v), 0.0)


def overshoot_absolute(v: AccountVectors) -> float:
    """Return |H - B|, the tracking error, [P2]."""
    return abs(overshoot_signed(v))


def residual(v: AccountVectors) -> float:
    """Return (B - H)+: the deficit that neither fund nor winners paid, [P1]."""
    return max(-overshoot_signed(v), 0.0)


def severity(v: AccountVectors) -> float | None:
    """Return theta = H / D, [P1]."""
    return _ratio(haircut_total(v), v.deficit)


def participation(v: AccountVectors) -> float | None:
    """Return the part of the accounts with PnL that ADL touched."""
    touched = v.positions_touched > 0
    population = touched | (v.endowment > 0)
    return _ratio(float(touched.sum()), float(population.sum()))


def full_close_share(v: AccountVectors) -> float | None:
    """Return the part of the positions touched that ADL closed whole."""
    return _ratio(float(v.positions_closed.sum()), float(v.positions_touched.sum()))


def gini_of_haircuts(v: AccountVectors) -> float | None:
    """Return sum((2 i - n - 1) x_(i)) / (n H) over accounts with PnL, x ascending, i from 1."""
    return gini_coefficient(v.haircut[(v.endowment > 0) | (v.haircut > 0)])


def gini_of_notional(v: AccountVectors) -> float | None:
    """Return the Gini coefficient of the notional closed over accounts with PnL."""
    return gini_coefficient(v.closed_notional[(v.endowment > 0) | (v.closed_notional > 0)])


def top_tenth_share(v: AccountVectors) -> float | None:
    """Return the part of H that the tenth of the accounts with the largest haircuts paid."""
    curve = lorenz(v.haircut[(v.endowment > 0) | (v.haircut > 0)])
    return None if curve is None else float(1 - np.interp(0.9, *curve))


def gini_coefficient(values: Floats) -> float | None:
    """Return sum((2 i - n - 1) x_(i)) / (n sum(x)), x ascending, i from 1; None if the sum is 0.

    >>> import numpy as np
    >>> gini_coefficient(np.array([1.0, 3.0]))
    0.25
    """
    size, total = len(values), float(values.sum())
    weights = 2 * np.arange(1, size + 1) - size - 1
    return _ratio(float(weights @ np.sort(values)), size * total)


def lorenz(values: Floats) -> tuple[Floats, Floats] | None:
    """Return the Lorenz curve: parts of the accounts, ascending, and parts of the sum.

    None where the sum is not positive.

    >>> import numpy as np
    >>> curve = lorenz(np.array([1.0, 3.0]))
    >>> [axis.tolist() for axis in curve]
    [[0.0, 0.5, 1.0], [0.0, 0.25, 1.0]]
    """
    total = values.sum()
    if not total > 0:
        return None
    sums = np.concatenate([[0.0], np.cumsum(np.sort(values))])
    return np.linspace(0, 1, len(sums)), sums / total


def hedge_breakage(v: AccountVectors) -> float | None:
    """Return sum (|net after| - |net before|)+ / sum gross before, over hedged accounts.

    An account is hedged if |net| < 15 % of gross before ADL; contracts count with a beta of 1.
    """
    hedged = np.abs(v.net_before) < HEDGED_BELOW * v.gross_before
    broken = np.maximum(np.abs(v.net_after) - np.abs(v.net_before), 0)
    return _ratio(float(broken[hedged].sum()), float(v.gross_before[hedged].sum()))


def leverage_before(v: AccountVectors) -> float | None:
    """Return gross notional / equity before ADL, of all accounts that ADL touched together."""
    touched = v.positions_touched > 0
    return _ratio(float(v.gross_before[touched].sum()), float(v.equity_before[touched].sum()))


def leverage_after(v: AccountVectors) -> float | None:
    """Return gross notional / equity after ADL, of all accounts that ADL touched together."""
    touched = v.positions_touched > 0
    return _ratio(float(v.gross_after[touched].sum()), float(v.equity_after[touched].sum()))


def max_leverage_after(v: AccountVectors) -> float | None:
    """Return the largest gross notional / equity of an account with equity above 0."""
    solvent = (v.equity_after > 0) & (v.gross_after > 0)
    ratios = v.gross_after[solvent] / v.equity_after[solvent]
    return float(ratios.max()) if len(ratios) else None


def ptsr(v: AccountVectors) -> float | None:
    """Return the profitability to solvency ratio, max(w_i - x_i) / (theta D), theta D = H, [P1]."""
    return _ratio(_largest_survivor(v), haircut_total(v))


def rd_ptsr(v: AccountVectors) -> float | None:
    """Return max(w_i - x_i) / (D - H), as the authors' code has it; None if D <= H."""
    left = v.deficit - haircut_total(v)
    return _ratio(_largest_survivor(v), left) if left > 0 else None


def pmr(v: AccountVectors) -> float | None:
    """Return the profit to maximal loss ratio, max(w_i - x_i) / (theta Delta), [P1]."""
    theta = severity(v)
    return None if theta is None else _ratio(_largest_survivor(v), theta * v.largest_deficit)


def rd_nse(v: AccountVectors) -> float | None:
    """Return s / (s + D - H), s = max(w_i - x_i): above 1 where H > D, [authors' code]."""
    survivor = _largest_survivor(v)
    return _ratio(survivor, survivor + v.deficit - haircut_total(v))


def markout_immediate(v: AccountVectors) -> float:
    """Return C_imm = sum Q (M_0 - P), Q > 0 a forced buy: minus the haircut of the fills."""
    return -haircut_total(v)


def markout_opportunity(v: AccountVectors) -> float:
    """Return C_opp = sum Q (M_end - M_0): what the counterparties gained by being closed early.

    M_end is the last mark, or the one in force `markout_ms` after the fill.
    """
    return markout_total(v) - markout_immediate(v)


def markout_total(v: AccountVectors) -> float:
    """Return C_tot = sum Q (M_end - P); negative: the counterparties are worse off."""
    return -float(v.markout.sum())


def regret_tracking(v: AccountVectors) -> float:
    """Return |H - B|, [P2, lambda_track = 1]."""
    return overshoot_absolute(v)


def regret_fairness(v: AccountVectors) -> float | None:
    """Return B (m - m*)+ with m* = min(B / U, 1), the burden of continuous pro-rata.

    P2 takes |m - m_ILP|, which penalizes policies that are fairer than its reference (F7).
    """
    burden, reference = max_haircut_ratio(v), _ratio(v.budget, float(v.endowment.sum()))
    if burden is None or reference is None:
        return None
    return v.budget * max(burden - min(reference, 1.0), 0.0)


def order_inversions(v: AccountVectors) -> float | None:
    """Return the part of adjacent accounts, by endowment, whose survivors are in reverse order."""
    with_pnl = v.endowment > 0
    order = np.argsort(v.endowment[with_pnl], kind="stable")
    survivors = (v.endowment - v.haircut)[with_pnl][order]
    pairs = len(survivors) - 1
    tolerance = 1e-9 * np.abs(survivors).max(initial=0)
    return _ratio(float((np.diff(survivors) < -tolerance).sum()), float(pairs))


MEASURES = {
    function.__name__: function
    for function in (
        haircut_total,
        haircut_ratio,
        max_haircut_ratio,
        overshoot_signed,
        overshoot_positive,
        overshoot_absolute,
        residual,
        severity,
        participation,
        full_close_share,
        gini_of_haircuts,
        gini_of_notional,
        top_tenth_share,
        hedge_breakage,
        leverage_before,
        leverage_after,
        max_leverage_after,
        ptsr,
        rd_ptsr,
        pmr,
        rd_nse,
        markout_immediate,
        markout_opportunity,
        markout_total,
        regret_tracking,
        regret_fairness,
        order_inversions,
    )
}
"""Every measure by name, in the order of tables; each has its formula in its docstring."""


def measure(vectors: AccountVectors) -> dict[str, float | None]:
    """Return every measure."""
    return {name: function(vectors) for name, function in MEASURES.items()}


def _largest_survivor(v: AccountVectors) -> float:
    return float(np.maximum(v.endowment - v.haircut, 0).max(initial=0))


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


# --- a run -> vectors ---


def assets_of(book: Book, events: Iterable[Event]) -> list[str]:
    """Return the settle assets of takeovers, ADL fills and socialized losses, by name."""
    kinds = TakenOver | AdlFilled | LossSocialized
    names = {event.contract for event in events if isinstance(event, kinds)}
    return sorted({book.contracts[name].terms.settle for name in names})


def main_asset(book: Book) -> str:
    """Return the settle asset of most open positions; of equal ones the first by name."""
    counts: dict[str, int] = {}
    for state in book.contracts.values():
        size = sum(table.size for table in state.tables.values())
        counts[state.terms.settle] = counts.get(state.terms.settle, 0) + size
    return min(counts, key=lambda asset: (-counts[asset], asset))


@dataclass(slots=True)
class _Totals:
    """Columns by account of one book, in Cash as floats."""

    unrealized: Floats
    long_notional: Floats
    short_notional: Floats
    equity: Floats


def account_vectors(
    end: Book,
    events: Iterable[Event],
    found: Mapping[PositionKey, PositionOutcome],
    fund_equity: Mapping[str, int],
    asset: str,
) -> AccountVectors:
    """Return the vectors of a run in one settle asset.

    `end` is the book after the events, `found` are the outcomes of positions; `fund_equity` by pool
    in Cash is that before the events.
    """
    size, after = end.accounts.size, _account_totals(end, asset)
    names = "haircut", "realized", "closed", "at_end", "touched", "whole", "long", "short"
    sums = {name: np.zeros(size) for name in names}
    for (contract, side), group in _by_table(end, found, asset).items():
        _add_table(sums, end, contract, side, group)
    unit = 10 ** end.cash_decimals(asset)
    drift = sums["at_end"] - sums["closed"]
    gross = after.long_notional + after.short_notional
    net = after.long_notional - after.short_notional
    closed = sums["long"] + sums["short"]
    before = sum(fund_equity[name] for name, pool in end.pools.items() if pool.asset == asset)
    after_cash = sum(pool_equity(end, p) for p in end.pools.values() if p.asset == asset)
    taken = float(sums["haircut"].sum())
    return AccountVectors(
        endowment=np.maximum(after.unrealized + sums["realized"] + sums["haircut"], 0) / unit,
        haircut=sums["haircut"] / unit,
        closed_notional=closed / unit,
        positions_touched=sums["touched"],
        positions_closed=sums["whole"],
        gross_before=(gross + closed) / unit,
        gross_after=gross / unit,
        net_before=(net + sums["long"] - sums["short"]) / unit,
        net_after=net / unit,
        equity_before=(after.equity + sums["haircut"] + drift) / unit,
        equity_after=after.equity / unit,
        markout=(sums["haircut"] + drift) / unit,
        deficit=max(before - after_cash + taken, 0.0) / unit,
        largest_deficit=_largest_deficit(end, events, asset) / unit,
        budget=max(taken - after_cash, 0.0) / unit,
    )


Group = list[tuple[int, int, PositionOutcome]]
"""Account row, position id and outcome of positions of one side of a contract."""


def _by_table(
    end: Book, found: Mapping[PositionKey, PositionOutcome], asset: str
) -> dict[tuple[str, Side], Group]:
    groups: dict[tuple[str, Side], Group] = {}
    index = end.accounts.index
    for (account, contract, side, position), outcome in found.items():
        group = groups.setdefault((contract, side), [])
        group.append((index[account], position, outcome))
    return {
        key: group for key, group in groups.items() if end.contracts[key[0]].terms.settle == asset
    }


def _add_table(
    sums: Mapping[str, Floats], end: Book, contract: str, side: Side, group: Group
) -> None:
    """Add the outcomes of one side of a contract to the sums by account."""
    state = end.contracts[contract]
    rows = np.array([row for row, _, _ in group])
    lots = np.array([outcome.lots for _, _, outcome in group])
    at_end = state.terms.value_cash(side.sign * lots, state.mark).astype(float)
    positions = np.array([position for _, position, _ in group])
    is_gone = state.tables[side].find_all(rows, positions) < 0
    columns = {
        "haircut": [outcome.haircut_cash for _, _, outcome in group],
        "realized": [outcome.value_cash - outcome.cost_cash for _, _, outcome in group],
        "closed": [outcome.mark_cash for _, _, outcome in group],
        "at_end": at_end,
        str(side): np.abs(at_end),
        "touched": lots > 0,
        "whole": (lots > 0) & is_gone,
    }
    for name, column in columns.items():
        sums[name][:] += np.bincount(rows, np.array(column, float), len(sums[name]))


def _account_totals(book: Book, asset: str) -> _Totals:
    size = book.accounts.size
    totals = _Totals(*(np.zeros(size) for _ in range(4)))
    totals.equity += book.assets[asset].wallets.balance[:size]
    for state in book.contracts.values():
        if state.terms.settle != asset or not state.mark:
            continue
        for side, table in state.tables.items():
            n = table.size
            accounts = table.account[:n]
            value = state.terms.value_cash(side.sign * table.lots[:n], state.mark).astype(float)
            pnl = value - table.cost[:n]
            totals.unrealized += np.bincount(accounts, pnl, size)
            totals.equity += np.bincount(accounts, pnl + table.margin[:n], size)
            notional = np.bincount(accounts, np.abs(value), size)
            if side is Side.LONG:
                totals.long_notional += notional
            else:
                totals.short_notional += notional
    return totals


def _largest_deficit(book: Book, events: Iterable[Event], asset: str) -> int:
    """Return the largest negative equity of a margin bucket that was taken over, in Cash."""
    return max(
        (
            -event.equity_cash
            for event in events
            if isinstance(event, TakenOver)
            and book.contracts[event.contract].terms.settle == asset
            and event.equity_cash < 0
        ),
        default=0,
    )
