"""Queries: queues, explanations, what-ifs, ranks under all rules, risk ratings; rule sets."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from delever.cli import UsageError
from delever.cli.output import (
    TO_STDOUT,
    Output,
    json_text,
    log,
    progress,
    write,
    write_rows,
    write_sections,
)
from delever.formatting import humanize

if TYPE_CHECKING:
    from cyclopts import Token

    from delever.core.rules import RuleSet


def _side(_kind: object, tokens: Sequence["Token"]) -> str:
    """Return a side by delever's or a venue's name, by the mapping of tables."""
    from delever.lab.queries.position_queries import side_of  # noqa: PLC0415 - slow to import

    return str(side_of(tokens[0].value))


SideName = Annotated[Literal["long", "short"], Parameter(converter=_side)]
"""A side; venues' names (LONG, Buy) are taken, too."""

BookPath = Annotated[
    Path, Parameter(help="Book directory: one CSV or Parquet file for each table.")
]
Contract = Annotated[str, Parameter(help="Contract name.")]
Account = Annotated[str, Parameter(help="Account name.")]
SideOption = Annotated[
    SideName | None, Parameter(help="Side, where the account has positions on both.")
]
PositionOption = Annotated[
    int, Parameter(help="Position id, where the account has several on that side.")
]
RulesOption = Annotated[
    str | None, Parameter(help="Rule set. Default: that of the contract's insurance fund.")
]
Json = Annotated[bool, Parameter(negative="", help="Write JSON instead of text.")]


def rank(
    book: BookPath,
    /,
    *,
    contract: Contract,
    side: Annotated[SideName, Parameter(help="Side of the positions to rank.")],
    rules: RulesOption = None,
    top: Annotated[
        int | None,
        Parameter(name=["--top", "-n"], help="Maximum number of rows.", validator=Number(gte=1)),
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """List the ADL queue of one side of a contract, highest rank first."""
    from delever.lab.queries import position_queries  # noqa: PLC0415 - slow to import
    from delever.lab.tables.book_reader import read_book  # noqa: PLC0415
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    loaded = read_book(book, rule_sets=installed_rule_sets())
    queue = position_queries.rank(loaded, contract, side, rules=rules)
    if (queue["position"] == 0).all() and out.resolved_format == "table":
        queue = queue.drop("position")
    used = position_queries.rules_named(
        rules, loaded, position_queries.contract_of(loaded, contract)
    )
    metadata = {"contract": contract, "side": side, "rules": used.name, "as_of": loaded.sequence}
    write_rows(queue, out, schema="delever.rank/1", metadata=metadata, top=top)


def rank_all(
    book: BookPath,
    /,
    *,
    contract: Annotated[str | None, Parameter(help="Only this contract.")] = None,
    account: Annotated[str | None, Parameter(help="Only this account.")] = None,
    rules: Annotated[
        list[str] | None, Parameter(help="Rule set; repeatable. Default: all of them.")
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Rank the same positions under every venue's rules, with the trigger that would start ADL.

    On a terminal, each position is a row: with a column for each of up to six rule sets, else with
    its best, median and worst rank. One or two positions have a row for each rule set. Other
    formats have a row for each position and rule set.
    """
    from delever.lab.queries import rule_comparison  # noqa: PLC0415 - slow to import
    from delever.lab.tables.book_reader import read_book  # noqa: PLC0415
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    loaded = read_book(book, rule_sets=installed_rule_sets())
    compared = rule_comparison.rank_all(loaded, contract=contract, account=account, rules=rules)
    metadata = {"contract": contract, "account": account, "as_of": loaded.sequence}
    on_terminal = out.resolved_format == "table"
    rows = rule_comparison.terminal_table(compared) if on_terminal else compared
    write_rows(rows, out, schema="delever.rank_all/1", metadata=metadata)


def explain(
    book: Annotated[Path | None, Parameter(help="Book directory, for an open position.")] = None,
    /,
    *,
    account: Annotated[str | None, Parameter(help="Account name.")] = None,
    contract: Annotated[str | None, Parameter(help="Contract name.")] = None,
    side: SideOption = None,
    position: PositionOption = 0,
    rules: RulesOption = None,
    journal: Annotated[Path | None, Parameter(help="Journal, for a past ADL fill.")] = None,
    fill: Annotated[int | None, Parameter(help="Fill number in the journal.")] = None,
    receipt: Annotated[
        Path | None, Parameter(help="File for the receipt of a past fill: .html, .svg or .png.")
    ] = None,
    json: Json = False,
) -> None:
    """Explain an open position's rank in the ADL queue, or a past ADL fill.

    An open position: BOOK --account A --contract C. A past fill: --journal J --fill N.
    """
    if journal is not None or fill is not None:
        if (book, account, contract, side, rules) != (None,) * 5 or position:
            raise UsageError("--journal and --fill cannot be combined with other options")
        if journal is None or fill is None:
            raise UsageError("a past fill needs both --journal and --fill")
        _explain_fill(journal, fill, receipt, json=json)
        return
    if receipt is not None:
        raise UsageError("--receipt needs --journal and --fill")
    if book is None or account is None or contract is None:
        raise UsageError("expected BOOK --account A --contract C, or --journal J --fill N")
    from delever.lab.queries import position_queries  # noqa: PLC0415 - slow to import
    from delever.lab.tables.book_reader import read_book  # noqa: PLC0415
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    explanation = position_queries.explain(
        read_book(book, rule_sets=installed_rule_sets()),
        contract,
        account,
        side=side,
        position=position,
        rules=rules,
    )
    _write_answer(str(explanation), explanation.facts(), "delever.explanation/1", json=json)


def _explain_fill(journal: Path, fill: int, receipt: Path | None, *, json: bool) -> None:
    from delever.lab.queries.fill_explanation import explain_fill  # noqa: PLC0415 - slow
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    with progress("replay") as report_progress:
        explanation = explain_fill(
            journal, fill, progress=report_progress, rule_sets=installed_rule_sets()
        )
    if receipt is not None:
        _write_receipt(explanation.facts(), str(explanation), receipt)
    _write_answer(str(explanation), explanation.facts(), "delever.fill/1", json=json)


def _write_receipt(facts: dict[str, Any], text: str, file: Path) -> None:
    from delever.lab.reports.interactive import receipt  # noqa: PLC0415 - slow to import

    match file.suffix:
        case ".html":
            content = receipt.receipt_page(facts, text).encode()
        case ".svg":
            content = receipt.receipt_svg(facts).encode()
        case ".png":
            content = receipt.receipt_png(facts)
        case suffix:
            raise UsageError(f"--receipt {file}: {suffix!r} is none of .html, .svg and .png")
    file.write_bytes(content)
    log(f"{file}: {len(content):,} bytes")


def _write_answer(text: str, facts: Mapping[str, object], schema: str, *, json: bool) -> None:
    write(json_text({"schema": schema, **facts}).rstrip() if json else text)


def whatif(
    book: BookPath,
    /,
    *,
    account: Account,
    contract: Contract,
    leverage: Annotated[str | None, Parameter(help="New leverage.")] = None,
    add_margin: Annotated[
        str | None, Parameter(help="Margin to add; a negative amount removes margin.")
    ] = None,
    close: Annotated[str | None, Parameter(help="Quantity to close at the mark.")] = None,
    hedge: Annotated[
        str | None, Parameter(help="Quantity to open at the mark on the other side.")
    ] = None,
    side: SideOption = None,
    position: PositionOption = 0,
    rules: RulesOption = None,
    json: Json = False,
) -> None:
    """Show how one change would move a position in the ADL queue."""
    from delever.lab.queries import position_queries  # noqa: PLC0415 - slow to import
    from delever.lab.tables.book_reader import read_book  # noqa: PLC0415
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    if sum(change is not None for change in (leverage, add_margin, close, hedge)) != 1:
        raise UsageError("expected one of --leverage, --add-margin, --close and --hedge")
    outcome = position_queries.what_if(
        read_book(book, rule_sets=installed_rule_sets()),
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
    _write_answer(str(outcome), outcome.facts(), "delever.whatif/1", json=json)


def risk(
    book: BookPath,
    /,
    *,
    contract: Annotated[
        str | None, Parameter(help="Contract to rate in detail: inputs and stress curve.")
    ] = None,
    json: Json = False,
) -> None:
    """Rate how likely liquidations are to end in ADL; --contract adds the inputs and the curve."""
    from delever.lab.queries import risk_tables  # noqa: PLC0415 - slow to import
    from delever.lab.tables.book_reader import read_book  # noqa: PLC0415
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    loaded = read_book(book, rule_sets=installed_rule_sets())
    ratings = risk_tables.rate(loaded, None if contract is None else [contract])
    sections = {"risk": risk_tables.levels(ratings)}
    if contract is not None:
        sections["inputs"] = risk_tables.inputs(loaded, ratings[0])
        sections["curve"] = risk_tables.curve(loaded, ratings[0])
    metadata = {"as_of": loaded.sequence}
    write_sections(sections, json=json, schema="delever.risk/1", metadata=metadata)


# --- rule sets ---

TERMINAL_COLUMNS = ("rules", "venue", "triggers", "price")
"""Columns of `delever rules` on a terminal; `delever rules NAME` displays the rest."""


def rules(
    name: Annotated[str | None, Parameter(help="Rule set. Default: list all.")] = None,
    /,
    *,
    out: Output = TO_STDOUT,
) -> None:
    """List rule sets; with NAME, list its rules with source, confidence and assumption."""
    from delever.lab.queries.position_queries import rule_set as named  # noqa: PLC0415 - slow
    from delever.rule_registry import installed_rule_sets, with_own  # noqa: PLC0415

    known = with_own(installed_rule_sets())

    on_terminal = out.resolved_format == "table"
    if name is None:
        rows = [_summary(rule_set) for rule_set in known.values()]
        if on_terminal:
            rows = [{key: humanize(row[key]) for key in TERMINAL_COLUMNS} for row in rows]
        write_rows(rows, out, schema="delever.rules/1")
        return
    rule_set = named(name, known)
    if on_terminal:
        for key, text in _summary(rule_set).items():
            write(f"{humanize(key)}: {humanize(text)}")
        write("")
    listed = [dataclasses.asdict(rule) for rule in rule_set.rules]
    write_rows(listed, out, schema="delever.rule_set/1", metadata=_summary(rule_set))


def _summary(rule_set: "RuleSet") -> dict[str, str]:
    """Return the names of a rule set's parts."""
    return {
        "rules": rule_set.name,
        "venue": rule_set.venue,
        "triggers": ", ".join(case.trigger.name for case in rule_set.cases),
        "price": ", ".join(dict.fromkeys(case.price.name for case in rule_set.cases)),
        "score": rule_set.ranking.formula,
        "indicators": rule_set.indicator_scale.description,
        "policy": rule_set.policy.name,
        "orders_cancelled": str(rule_set.cancel_scope),
    }
