"""Where the loss of an ADL event went: from the bankrupt accounts to those who paid it.

The deficit is what the positions taken over lost beyond their accounts' margin: between the price
at which the fund took them over and the mark at which they were closed (for the market: the price
that it paid). It is paid by the fund, by counterparties (the haircut of their fills), or by nobody.
A gain is a negative loss.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from delever.api_types.history import FillResponse, Waterfall
from delever.core.messages import ContractKind, Side

FUND, COUNTERPARTIES, UNFUNDED, OPEN = "insurance fund", "counterparties", "unfunded", "open"

ADL, MARKET, NETTED, TAKEOVER, REMAINING = "ADL", "market", "netted", "takeover", "still open"


@dataclass(frozen=True, slots=True)
class LossFlow:
    """A part of the deficit: how the positions were closed, who paid, and how much."""

    outlet: str
    payer: str
    amount: Decimal


def loss_flows(episode: Waterfall, kind: ContractKind, mark: str | None) -> list[LossFlow]:
    """Return the parts of an event's deficit, without those that are 0; their sum is the deficit.

    Inventory that is still open counts at `mark`, the contract's mark now.
    """
    fills = [
        fill
        for adl_round in episode.rounds
        for fill in adl_round.fills
        if fill.cancelled_sequence is None
    ]
    unfunded = _sum(adl_round.unfunded for adl_round in episode.rounds)
    by_fund = -_sum(fill.pool_realized_pnl for fill in fills)
    flows = [
        LossFlow(TAKEOVER, FUND, -_sum(taken.to_pool for taken in episode.takeovers)),
        LossFlow(MARKET, FUND, -_sum(unwind.realized_pnl for unwind in episode.unwinds)),
        LossFlow(NETTED, FUND, -_sum(pair.realized_pnl for pair in episode.netted)),
        LossFlow(ADL, FUND, by_fund - unfunded),
        LossFlow(ADL, COUNTERPARTIES, _sum(fill.haircut or "0" for fill in fills)),
        LossFlow(ADL, UNFUNDED, unfunded),
        LossFlow(REMAINING, OPEN, _open_loss(episode, fills, kind, mark)),
    ]
    return [flow for flow in flows if flow.amount]


def _sum(amounts: Iterable[str]) -> Decimal:
    return sum(map(Decimal, amounts), Decimal(0))


def _open_loss(
    episode: Waterfall, fills: Iterable[FillResponse], kind: ContractKind, mark: str | None
) -> Decimal:
    """Return the loss at the mark of what is left of each takeover."""
    if mark is None or episode.stopped_ms is not None:
        return Decimal(0)
    closed: dict[int, Decimal] = {}
    for takeover, quantity in (
        *((unwind.takeover, unwind.quantity) for unwind in episode.unwinds),
        *((fill.takeover, fill.quantity) for fill in fills),
        *((pair.long_takeover, pair.quantity) for pair in episode.netted),
        *((pair.short_takeover, pair.quantity) for pair in episode.netted),
    ):
        closed[takeover] = closed.get(takeover, Decimal(0)) + Decimal(quantity)
    return sum(
        (
            _loss(
                kind,
                taken.side,
                max(Decimal(taken.quantity) - closed.get(taken.takeover, Decimal(0)), Decimal(0)),
                (Decimal(taken.price), Decimal(mark)),
            )
            for taken in episode.takeovers
        ),
        Decimal(0),
    )


def _loss(
    kind: ContractKind, side: Side, quantity: Decimal, prices: tuple[Decimal, Decimal]
) -> Decimal:
    """Return the loss of a position between two prices; of an inverse one to 8 decimals."""
    before, after = prices
    if kind is ContractKind.INVERSE:
        fall = (quantity / after - quantity / before).quantize(Decimal("1e-8"))
    else:
        fall = quantity * (before - after)
    return fall if side is Side.LONG else -fall


def by_payer(flows: Iterable[LossFlow]) -> Mapping[str, Decimal]:
    """Return what each payer paid, in the order of the flows."""
    paid: dict[str, Decimal] = {}
    for flow in flows:
        paid[flow.payer] = paid.get(flow.payer, Decimal(0)) + flow.amount
    return paid
