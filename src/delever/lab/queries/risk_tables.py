"""The ADL risk of a book's contracts as rows: levels side by side, and one rating taken apart."""

from collections.abc import Iterable

from delever.core.book import Book
from delever.core.messages import Rating, RatingInput
from delever.core.risk.rating import rating_of
from delever.formatting import Figures, percent, times
from delever.lab.errors import InputError
from delever.lab.queries.queries import contract_of

Row = dict[str, object]


def rate(book: Book, contracts: Iterable[str] | None = None) -> list[Rating]:
    """Return the ratings of some contracts, or of all that have a mark.

    Raises UnknownNameError for a contract that is not there, InputError for one without a mark.
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
    """Return one row a contract: its level, who decided, and how far ADL is."""
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
    """Return the scorecard: one row an input, with its points and what it was made of."""
    figures = Figures.of(book, contract_of(book, rating.contract))
    return [
        {
            "input": part.input.replace("_", " "),
            "value": measured(part.input, part.value_ppm),
            "points": part.points,
            "points_at": ("below " if part.more_is_safer else "")
            + ", ".join(measured(part.input, limit) for limit in part.limits_ppm),
            "made_of": figures.numbers(part.numbers),
        }
        for part in rating.parts
    ]


def measured(name: str, ppm: int) -> str:
    """Return the value of an input in its unit: leverage as a multiple, all others in percent."""
    return times(ppm) if name == RatingInput.AVERAGE_LEVERAGE else percent(ppm)


def curve(book: Book, rating: Rating) -> list[Row]:
    """Return the price -> ADL curve: one row a rung, from the deepest fall to the highest rise."""
    figures = Figures.of(book, contract_of(book, rating.contract))
    return [
        {
            "move": percent(point.shock_ppm),
            "mark": figures.price(point.mark_ticks),
            "liquidated_long": figures.quantity(point.liquidated_long_lots),
            "liquidated_short": figures.quantity(point.liquidated_short_lots),
            "absorbed": figures.quantity(point.absorbed_lots),
            "loss": figures.cash(point.loss_cash),
            "pool_pays": figures.cash(point.fund_pays_cash),
            "adl": figures.quantity(point.adl_lots),
        }
        for point in rating.curve
    ]
