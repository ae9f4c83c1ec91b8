"""The rows of a snapshot that must be rejected alone, and the notices of them."""

import re
from fractions import Fraction

from model import Contract, Model, Position, other

from delever.core import messages as m
from delever.core.messages import Event, Reason, Side

Fault = tuple[Reason, str, object]
"""The reason, the field and the value."""

DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?")


def position_fault(model: Model, row: m.PositionRow) -> Fault | None:
    """Return what is wrong with a row of a position, apart from other rows."""
    if row.account not in model.accounts:
        return Reason.UNKNOWN_ACCOUNT, "account", row.account
    if row.contract not in model.contracts:
        return Reason.UNKNOWN_CONTRACT, "contract", row.contract
    if not 0 <= row.position < 2**31:
        return Reason.OUT_OF_RANGE, "position", row.position
    if fault := _quantity_fault(model.contracts[row.contract], row):
        return fault
    return _amount_fault(row) if Fraction(row.quantity) else None


def _quantity_fault(contract: Contract, row: m.PositionRow) -> Fault | None:
    if not DECIMAL.fullmatch(str(row.quantity)):
        return Reason.INVALID_DECIMAL, "quantity", row.quantity
    if Fraction(row.quantity) % contract.lot:
        return Reason.INVALID_LOT_MULTIPLE, "quantity", row.quantity
    if row.side == "long" and Fraction(row.quantity) < 0:
        return Reason.SIDE_SIGN_MISMATCH, "side", row.side
    return None


def growth_fault(contract: Contract, row: m.PositionRow, held: Position) -> Reason | None:
    """Return why a position of a delisted contract is rejected: it is new or has grown."""
    known = contract.positions[row.side].get((row.account, row.position), Position())
    if contract.status == "trading" or held.lots <= known.lots:
        return None
    return Reason.CONTRACT_SETTLED if contract.status == "settled" else Reason.CLOSE_ONLY


def one_way_fault(
    model: Model, row: m.PositionRow, opened: set[tuple[str, str, int, Side]]
) -> Fault | None:
    """Return the fault of a second open side in one-way mode; record the side if it is open."""
    if Fraction(row.quantity) == 0:
        return None
    against = (row.account, row.contract, row.position, other(row.side))
    if against in opened and not model.accounts[row.account].hedge:
        return Reason.HEDGE_MODE_REQUIRED, "side", row.side
    opened.add((row.account, row.contract, row.position, row.side))
    return None


def _amount_fault(row: m.PositionRow) -> Fault | None:
    if (row.entry_price is None) == (row.entry_cost is None):
        given = "neither" if row.entry_price is None else "both"
        return Reason.MISSING_ENTRY_PRICE, "entry_price", given
    if row.entry_price is not None and Fraction(row.entry_price) <= 0:
        return Reason.NOT_POSITIVE, "entry_price", row.entry_price
    if not 0 < Fraction(row.leverage) <= 10_000:
        return Reason.OUT_OF_RANGE, "leverage", row.leverage
    if row.isolated_margin is not None and Fraction(row.isolated_margin) < 0:
        return Reason.NEGATIVE_NOT_ALLOWED, "isolated_margin", row.isolated_margin
    return None


def balance_fault(model: Model, row: m.BalanceRow) -> Fault | None:
    """Return what is wrong with a row of a balance."""
    if row.account not in model.accounts:
        return Reason.UNKNOWN_ACCOUNT, "account", row.account
    if row.asset not in model.units:
        return Reason.UNKNOWN_ASSET, "asset", row.asset
    cash = Fraction(row.balance) * model.units[row.asset]
    if cash.denominator != 1:
        return Reason.TOO_MANY_DECIMALS, "balance", row.balance
    return (Reason.EXCEEDS_NUMERIC_RANGE, "balance", row.balance) if abs(cash) >= 2**62 else None


def position_rejected(number: int, row: m.PositionRow, fault: Fault) -> m.RowRejected:
    reason, field, value = fault
    named = 0 <= row.position < 2**31
    return m.RowRejected(
        command="set_positions",
        row=number,
        account=row.account,
        contract=row.contract if named else "",
        side=row.side if named else None,
        position=row.position if named else 0,
        reason=reason,
        field=f"positions[{number}].{field}",
        value=str(value),
    )


def balance_rejected(number: int, row: m.BalanceRow, fault: Fault) -> m.RowRejected:
    reason, field, value = fault
    return m.RowRejected(
        command="set_balances",
        row=number,
        account=row.account,
        asset=row.asset,
        reason=reason,
        field=f"balances[{number}].{field}",
        value=str(value),
    )


def with_notices(model: Model, rejected: list[m.RowRejected]) -> list[Event]:
    """Return the rejections, and a notice of each contract that was complete before."""
    reasons: dict[str, list[Reason]] = {}
    for event in rejected:
        names = [name for name, c in model.contracts.items() if _concerns(model, event, c)]
        for name in sorted(names):
            reasons.setdefault(name, []).append(event.reason)
    notices = [
        m.Notice(m.NoticeKind.ROW_REJECTED, of[0], "", name, {"rows": len(of)})
        for name, of in reasons.items()
        if not model.is_incomplete(model.contracts[name])
    ]
    return [*rejected, *notices]


def _concerns(model: Model, event: m.RowRejected, contract: Contract) -> bool:
    held = model.cross(event.account, event.asset) if event.asset else []
    return contract.name == event.contract or any(each is contract for each, *_ in held)
