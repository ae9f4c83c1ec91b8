"""What a book says of the risk of ADL."""

from typing import Annotated

from cyclopts import Parameter

from delever.cli.book import BookPath, Json
from delever.cli.output import show_sections

OneContract = Annotated[str | None, Parameter(help="One contract, taken apart.")]


def risk(book: BookPath, /, *, contract: OneContract = None, json: Json = False) -> None:
    """Rate how likely liquidations are to end in ADL; with --contract, say why."""
    from delever.lab.queries import risk_tables as ratings  # noqa: PLC0415 - heavy
    from delever.lab.tables import book_reader as frames

    read = frames.read_book(book)
    rated = ratings.rate(read, None if contract is None else [contract])
    sections = {"risk": ratings.levels(rated)}
    if contract is not None:
        sections["inputs"] = ratings.inputs(read, rated[0])
        sections["curve"] = ratings.curve(read, rated[0])
    show_sections(sections, json=json, schema="delever.risk/1", about={"as_of": read.sequence})
