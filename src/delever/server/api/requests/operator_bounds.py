"""Bounds of operators' commands: a slip of a digit is refused before it reaches the engine."""

from fractions import Fraction

from delever.config import OperatorsConfig
from delever.core.messages import Command, FundingReason, FundPool, SettleContract
from delever.core.units import parse_decimal
from delever.server.api.requests.errors import ApiError
from delever.server.engine.market_snapshot import MarketSnapshot

BOUNDED = {FundingReason.CORRECTION, FundingReason.WITHDRAWAL}
"""Reasons of money movements that have a bound."""


def bound_error(
    command: Command, market: MarketSnapshot, bounds: OperatorsConfig
) -> ApiError | None:
    """Return the error of a command beyond the operators' bounds, or None.

    What is not a number, or names nothing of the market, is left to the engine.
    """
    match command:
        case SettleContract():
            return _settlement_error(command, market, bounds.max_settlement_distance)
        case FundPool(reason=reason) if reason in BOUNDED:
            return _funding_error(command, market, bounds.max_correction)
    return None


def _settlement_error(
    command: SettleContract, market: MarketSnapshot, part: str
) -> ApiError | None:
    contract, price = market.contracts.get(command.contract), _number(command.price)
    if contract is None or not contract.mark_ticks or price is None:
        return None
    mark = Fraction(*_power(contract.terms.decimal_of(contract.mark_ticks)))
    if abs(price - mark) <= Fraction(part) * mark:
        return None
    limit = f"[operators] max_settlement_distance ({part} of the mark)"
    return _error("price", command.price, f"is farther from the mark than {limit} allows")


def _funding_error(command: FundPool, market: MarketSnapshot, part: str) -> ApiError | None:
    pool, amount = market.pools.get(command.pool), _number(command.amount)
    if pool is None or amount is None:
        return None
    peak = Fraction(pool.balance_peak_cash, 10**pool.cash_decimals)
    if abs(amount) <= Fraction(part) * peak:
        return None
    limit = f"[operators] max_correction ({part} of the fund's peak balance)"
    return _error("amount", command.amount, f"is larger than {limit} allows")


def _number(text: str | int) -> Fraction | None:
    number = parse_decimal(text)
    return None if number is None else Fraction(*_power(number))


def _power(number: tuple[int, int]) -> tuple[int, int]:
    """Return numerator and denominator of a number of units of 10^-decimals."""
    return number[0], 10 ** number[1]


def _error(field: str, value: object, why: str) -> ApiError:
    message = f"{field} {str(value)!r} {why}; check it, or change the bound in the configuration"
    return ApiError(reason="beyond_operators_bound", field=field, value=str(value), message=message)
