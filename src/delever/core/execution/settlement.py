"""The fills of one round, column by column, with what each costs and realizes on both sides."""

from collections.abc import Sequence
from operator import neg, sub

import numpy as np

from delever.core.execution.adl_round import AdlRound
from delever.core.messages.fill_batch import FillBatch
from delever.core.rules.policies.allocation import match_tranches
from delever.core.rules.ruleset import OrderScope
from delever.core.units import Ints, scale_ppm, share_floor


def settle(adl_round: AdlRound, rows: Ints, allocated: Ints) -> FillBatch | None:
    """Return the fills that match counterparties with tranches, both in order; None without fills.

    Cost and margin are divided by lots and rounded down at each fill, so that the last fill of a
    position or tranche takes what is left and nothing is lost.
    """
    taken = np.flatnonzero(allocated)
    if not len(taken):
        return None
    closed, tranche_lots = rows[taken], [tranche.lots for tranche in adl_round.tranches]
    matches = match_tranches(allocated[taken], tranche_lots)
    counterparties, met, lots = (column.tolist() for column in matches)
    state, queue = adl_round.state, adl_round.queue
    valuation = queue.valuation
    row, tranches = closed[counterparties], [adl_round.tranches[n] for n in met]
    accounts = valuation.account[row].tolist()
    names = adl_round.book.accounts.names.names_of(accounts)
    ticks = [adl_round.quote.ticks[n] for n in met]
    signed = lots if valuation.side.sign > 0 else list(map(neg, lots))
    value = list(map(state.terms.value_cash, signed, ticks))  # floored: never against the pool
    held = valuation.lots[closed].tolist()
    cost = _parts(valuation.cost[closed].tolist(), held, counterparties, lots)
    margin = _parts(valuation.margin[closed].tolist(), held, counterparties, lots)
    pool_cost = _parts([tranche.cost for tranche in adl_round.tranches], tranche_lots, met, lots)
    fee_ppm, first, n = adl_round.rules.fee_ppm, adl_round.book.last_fill + 1, len(lots)
    columns: dict[str, Sequence[object]] = {
        "fill": range(first, first + n),
        "takeover": [tranche.takeover for tranche in tranches],
        "takeover_price_ticks": [tranche.price_ticks for tranche in tranches],
        "pool": [state.pool] * n,
        "liquidated_account": [tranche.account for tranche in tranches],
        "contract": [state.name] * n,
        "side": [valuation.side] * n,
        "account": names,
        "position": valuation.position[row].tolist(),
        "isolated": valuation.isolated[row].tolist(),
        "leverage_hundredths": state.tables[valuation.side].leverage[row].tolist(),
        "lots": lots,
        "price_ticks": ticks,
        "price_rule": [adl_round.case.price.name] * n,
        "value_cash": value,
        "cost_cash": cost,
        "realized_pnl_cash": list(map(sub, value, cost)),
        "margin_returned_cash": margin,
        "fee_cash": [scale_ppm(abs(cash), fee_ppm) for cash in value] if fee_ppm else [0] * n,
        "pool_cost_cash": pool_cost,
        "pool_realized_pnl_cash": list(map(sub, map(neg, value), pool_cost)),
        "rank": queue.rank[row].tolist(),
        "score": queue.score.value[row].tolist(),
        "indicator": queue.indicator[row].tolist(),
        "quantity_ahead_lots": queue.quantity_ahead_lots[row].tolist(),
        "cancel_orders": _orders_to_cancel(adl_round, names),
    }
    return FillBatch.of(columns, accounts)


def _parts(
    amounts: Sequence[int], held_lots: Sequence[int], owners: Sequence[int], lots: Sequence[int]
) -> list[int]:
    """Return the part of an owner's amount that belongs to the lots of each fill, rounded down.

    `amounts` and `held_lots` have one entry an owner (a position or a tranche); `owners` and `lots`
    one a fill. Each fill takes its part of what the fills before it have left.
    """
    if not any(amounts):
        return [0] * len(lots)
    left, left_lots, parts = list(amounts), list(held_lots), []
    for owner, closed in zip(owners, lots, strict=True):
        part = left[owner]
        if closed < left_lots[owner]:
            part = share_floor(part, closed, left_lots[owner])
        parts.append(part)
        left[owner] -= part
        left_lots[owner] -= closed
    return parts


def _orders_to_cancel(adl_round: AdlRound, accounts: Sequence[str]) -> list[tuple[str, ...]]:
    """Return, for each account, the open orders that the venue cancels with the fill."""
    orders, scope = adl_round.book.open_orders, adl_round.rules.cancel_scope
    if not orders or scope is OrderScope.NONE:
        return [()] * len(accounts)
    own = (adl_round.state.name,)
    contracts = own if scope is OrderScope.CONTRACT else tuple(adl_round.book.contracts)
    return [
        tuple([order for name in contracts for order in orders.get((account, name), ())])
        for account in accounts
    ]
