"""What a book says: its queues, why somebody stands where they stand, and what if."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from delever.cli import UsageError
from delever.cli.output import TO_STDOUT, Output, json_text, show, tell

BookPath = Annotated[Path, Parameter(help="Book directory: one CSV or Parquet file a table.")]
Contract = Annotated[str, Parameter(help="Name of the contract.")]
Account = Annotated[str, Parameter(help="Name of the account.")]
SideName = Literal["long", "short"]
OneSide = Annotated[SideName | None, Parameter(help="Side, where the account holds both.")]
Number = Annotated[int, Parameter(help="Number of the position, where there are several.")]
Rules = Annotated[str | None, Parameter(help="Rule set; that of the contract's pool if not said.")]
Json = Annotated[bool, Parameter(negative="", help="JSON instead of text.")]


def rank(
    book: BookPath,
    /,
    *,
    contract: Contract,
    side: Annotated[SideName, Parameter(help="Side whose positions stand in line.")],
    rules: Rules = None,
    top: Annotated[int | None, Parameter(name=["--top", "-n"], help="Only so many rows.")] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Show the queue of one contract and side, next to be closed first."""
    from delever.lab import frames, results  # noqa: PLC0415 - heavy

    read = frames.read_book(book)
    queue = results.rank(read, contract, side, rules=rules)
    if (queue["position"] == 0).all() and out.form == "table":
        queue = queue.drop("position")
    used = results.rules_named(rules, read, results.contract_of(read, contract))
    about = {"contract": contract, "side": side, "rules": used.name, "as_of": read.sequence}
    show(queue, out, schema="delever.rank/1", about=about, top=top)


def explain(
    book: BookPath,
    /,
    *,
    account: Account,
    contract: Contract,
    side: OneSide = None,
    position: Number = 0,
    rules: Rules = None,
    json: Json = False,
) -> None:
    """Say why an account's position stands where it stands in the queue."""
    from delever.lab import frames, results  # noqa: PLC0415 - heavy

    why = results.explain(
        frames.read_book(book), contract, account, side=side, position=position, rules=rules
    )
    if json:
        tell(json_text({"schema": "delever.explanation/1", **why.facts()}).rstrip())
    else:
        tell(str(why))


def whatif(
    book: BookPath,
    /,
    *,
    account: Account,
    contract: Contract,
    leverage: Annotated[str | None, Parameter(help="Another leverage.")] = None,
    add_margin: Annotated[str | None, Parameter(help="Cash put in; negative: taken out.")] = None,
    close: Annotated[str | None, Parameter(help="Quantity closed at the mark.")] = None,
    hedge: Annotated[
        str | None, Parameter(help="Quantity opened at the mark on the other side.")
    ] = None,
    side: OneSide = None,
    position: Number = 0,
    rules: Rules = None,
    json: Json = False,
) -> None:
    """Say what one change would make of a position's place in the queue."""
    from delever.lab import frames, results  # noqa: PLC0415 - heavy

    if sum(change is not None for change in (leverage, add_margin, close, hedge)) != 1:
        raise UsageError("say one of --leverage, --add-margin, --close and --hedge")
    outcome = results.what_if(
        frames.read_book(book),
        contract,
        account,
        leverage=leverage,
        add_margin=add_margin,
        close=close,
        hedge=hedge,
        side=side,
        position=position,
        rules=rules,
    )
    if json:
        tell(json_text({"schema": "delever.whatif/1", **outcome.facts()}).rstrip())
    else:
        tell(str(outcome))
