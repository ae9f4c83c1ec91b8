"""ADL risk ratings of contracts as rows: levels, the scorecard and the stress curve."""

from collections.abc import Iterable

from delever.core.book import Book
from delever.core.messages import Rating, RatingInput
from delever.core.risk.rating import rating_of
from delever.formatting import ContractFormatter, humanize, multiple, percent
from delever.lab.errors import InputError
from delever.lab.queries.position_queries import contract_of

Row = dict[str, object]


def rate(book: Book, contracts: Iterable[str] | None = None) -> list[Rating]:
    """Return the ratings of some contracts, or of all with a mark.

    Raises UnknownNameError for an unknown contract, InputError for one without a mark.
    """
    if contracts is None:
        return [r for name in book.contracts if (r := rating_of(book, name)) is not None]
    return [_rating(book, name) for name in contracts]


def _rating(book: Book, contract: str) -> Rating:
    rating = rating_of(book, contract_of(book, contract).name)
    if rating is None:
        raise InputError(
            "a contract without a mark has no rating", column="contract", value=contract
        )
    return rating


def levels(ratings: Iterable[Rating]) -> list[Row]:
    """Return one row per contract: its level, what decided it, and the move that starts ADL."""
    return [
        {
            "contract": rating.contract,
            "risk": rating.level,
            "decided_by": " and ".join(rating.decided_by),
            "scorecard": rating.scorecard_level,
            "points": rating.points,
            "stress": rating.stress_level,
            "adl_from": None if rating.adl_from_ppm is None else percent(rating.adl_from_ppm),
            "volatility": percent(rating.volatility_ppm),
        }
        for rating in ratings
    ]


def inputs(book: Book, rating: Rating) -> list[Row]:
    """Return the scorecard: one row per input, with its points and the numbers behind it."""
    formatter = ContractFormatter.of(book, contract_of(book, rating.contract))
    return [
        {
            "input": humanize(part.input),
            "value": input_value(part.input, part.value_ppm),
            "points": part.points,
            "points_at": ("below " if part.more_is_safer else "")
            + ", ".join(input_value(part.input, limit) for limit in part.limits_ppm),
            "numbers": formatter.labeled_amounts(part.numbers),
        }
        for part in rating.parts
    ]


def input_value(name: str, ppm: int) -> str:
    """Return the value of an input in its unit: leverage as a multiple, others in percent."""
    return multiple(ppm) if name == RatingInput.AVERAGE_LEVERAGE else percent(ppm)


def curve(book: Book, rating: Rating) -> list[Row]:
    """Return the stress curve: one row per move of the mark, from the lowest to the highest."""
    formatter = ContractFormatter.of(book, contract_of(book, rating.contract))
    return [
        {
            "move": percent(point.shock_ppm),
            "mark": formatter.price(point.mark_ticks),
            "liquidated_long": formatter.quantity(point.liquidated_long_lots),
            "liquidated_short": formatter.quantity(point.liquidated_short_lots),
            "absorbed": formatter.quantity(point.absorbed_lots),
            "loss": formatter.cash(point.loss_cash),
            "fund_pays": formatter.cash(point.fund_pays_cash),
            "adl": formatter.quantity(point.adl_lots),
        }
        for point in rating.curve
    ]
