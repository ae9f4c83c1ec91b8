"""What a book says: its queues, why somebody stands where they stand, and what if."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number as Within

from delever.cli import UsageError
from delever.cli.output import TO_STDOUT, Output, json_text, progress, show, tell

BookPath = Annotated[Path, Parameter(help="Book directory: one CSV or Parquet file a table.")]
Contract = Annotated[str, Parameter(help="Name of the contract.")]
Account = Annotated[str, Parameter(help="Name of the account.")]
SideName = Literal["long", "short"]
OneSide = Annotated[SideName | None, Parameter(help="Side, where the account holds both.")]
Number = Annotated[int, Parameter(help="Number of the position, where there are several.")]
Rules = Annotated[str | None, Parameter(help="Rule set; that of the contract's pool if not said.")]
AT_LEAST_ONE = Within(gte=1)
Json = Annotated[bool, Parameter(negative="", help="JSON instead of text.")]


def rank(
    book: BookPath,
    /,
    *,
    contract: Contract,
    side: Annotated[SideName, Parameter(help="Side whose positions stand in line.")],
    rules: Rules = None,
    top: Annotated[
        int | None,
        Parameter(name=["--top", "-n"], help="Only so many rows.", validator=AT_LEAST_ONE),
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Show the queue of one contract and side, next to be closed first."""
    from delever.lab.queries import queries as results  # noqa: PLC0415 - heavy
    from delever.lab.tables import book_reader as frames

    read = frames.read_book(book)
    queue = results.rank(read, contract, side, rules=rules)
    if (queue["position"] == 0).all() and out.form == "table":
        queue = queue.drop("position")
    used = results.rules_named(rules, read, results.contract_of(read, contract))
    about = {"contract": contract, "side": side, "rules": used.name, "as_of": read.sequence}
    show(queue, out, schema="delever.rank/1", about=about, top=top)


def compare_rules(
    book: BookPath,
    /,
    *,
    contract: Annotated[str | None, Parameter(help="Only this contract.")] = None,
    account: Annotated[str | None, Parameter(help="Only this account.")] = None,
    rules: Annotated[
        list[str] | None, Parameter(help="Rule set; may be said several times; all if not said.")
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Show where the same positions stand under every venue's rules, and by what ADL would start.

    A table has a row for each position and a column for each rule set, or where rule sets are more
    than positions the other way round; every other form has a row for each position and rule set.
    """
    from delever.lab.queries import rule_comparison as comparing
    from delever.lab.tables import book_reader as frames  # noqa: PLC0415 - heavy

    read = frames.read_book(book)
    compared = comparing.compare_rules(read, contract=contract, account=account, rules=rules)
    about = {"contract": contract, "account": account, "as_of": read.sequence}
    shown = comparing.at_a_glance(compared) if out.form == "table" else compared
    show(shown, out, schema="delever.compare_rules/1", about=about)


def explain(
    book: Annotated[
        Path | None, Parameter(help="Book directory, for an open position; else say --journal.")
    ] = None,
    /,
    *,
    account: Annotated[str | None, Parameter(help="Name of the account.")] = None,
    contract: Annotated[str | None, Parameter(help="Name of the contract.")] = None,
    side: OneSide = None,
    position: Number = 0,
    rules: Rules = None,
    journal: Annotated[Path | None, Parameter(help="Journal, for a fill of the past.")] = None,
    fill: Annotated[int | None, Parameter(help="Number of the fill in the journal.")] = None,
    json: Json = False,
) -> None:
    """Say why a position stands where it stands in the queue, or why a past fill closed it.

    An open position: BOOK --account A --contract C. A past fill: --journal J --fill N.
    """
    if journal is not None or fill is not None:
        if (book, account, contract, side, rules) != (None,) * 5 or position:
            raise UsageError("--journal and --fill explain a past fill, and go with nothing else")
        if journal is None or fill is None:
            raise UsageError("a past fill needs both --journal and --fill")
        _explain_fill(journal, fill, json=json)
        return
    if book is None or account is None or contract is None:
        raise UsageError("say BOOK --account A --contract C, or --journal J --fill N")
    from delever.lab.queries import queries as results  # noqa: PLC0415 - heavy
    from delever.lab.tables import book_reader as frames

    why = results.explain(
        frames.read_book(book), contract, account, side=side, position=position, rules=rules
    )
    _tell(str(why), why.facts(), "delever.explanation/1", json=json)


def _explain_fill(journal: Path, fill: int, *, json: bool) -> None:
    from delever.lab.queries.fill_explanation import explain_fill  # noqa: PLC0415 - heavy

    with progress("replay") as told:
        why = explain_fill(journal, fill, progress=told)
    _tell(str(why), why.facts(), "delever.fill/1", json=json)


def _tell(text: str, facts: Mapping[str, object], schema: str, *, json: bool) -> None:
    tell(json_text({"schema": schema, **facts}).rstrip() if json else text)


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
    from delever.lab.queries import queries as results  # noqa: PLC0415 - heavy
    from delever.lab.tables import book_reader as frames

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
    _tell(str(outcome), outcome.facts(), "delever.whatif/1", json=json)
