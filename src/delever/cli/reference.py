"""Reference data: each venue's rules with their sources, and the JSON Schema of a command."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from delever.cli.output import TO_STDOUT, Output, json_text, write, write_rows
from delever.formatting import humanize

if TYPE_CHECKING:
    from delever.core.rules import RuleSet

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


def schema() -> None:
    """Print the JSON Schema of a command: one line of a scenario."""
    from delever.lab.runs import scenario  # noqa: PLC0415 - slow to import

    write(json_text(scenario.schema()).rstrip())
