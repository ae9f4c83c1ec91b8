"""What delever knows: each venue's rules with their sources, and the schema of a command."""

import dataclasses
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from delever.cli.output import TO_STDOUT, Output, json_text, show, tell
from delever.lab.errors import in_words

if TYPE_CHECKING:
    from delever.core.rules import RuleSet


def rules(
    name: Annotated[str | None, Parameter(help="Name of a rule set; all if not said.")] = None,
    /,
    *,
    out: Output = TO_STDOUT,
) -> None:
    """Show what each rule set does; of one, every rule with source, confidence and assumption."""
    from delever.core.rules import RULE_SETS  # noqa: PLC0415 - heavy
    from delever.lab.errors import unknown  # noqa: PLC0415

    if name is None:
        rows = [_outline(told) for told in RULE_SETS.values()]
        if out.form == "table":
            rows = [{what: in_words(row[what]) for what in _AT_A_GLANCE} for row in rows]
        show(rows, out, schema="delever.rules/1")
        return
    if name not in RULE_SETS:
        raise unknown("rule set", name, RULE_SETS)
    told = RULE_SETS[name]
    if out.form == "table":
        for what, text in _outline(told).items():
            tell(f"{in_words(what)}: {in_words(text)}")
        tell("")
    listed = [dataclasses.asdict(rule) for rule in told.rules]
    show(listed, out, schema="delever.rule_set/1", about=_outline(told))


_AT_A_GLANCE = ("rules", "venue", "triggers", "price")  # `rules NAME` shows the rest


def _outline(told: "RuleSet") -> dict[str, str]:
    """Return what a rule set is made of, in words."""
    return {
        "rules": told.name,
        "venue": told.venue,
        "triggers": ", ".join(case.trigger.name for case in told.cases),
        "price": ", ".join(dict.fromkeys(case.price.name for case in told.cases)),
        "score": told.ranking.formula,
        "indicators": told.indicator_scale.says,
        "policy": told.policy.name,
        "orders_cancelled": str(told.cancels),
    }


def schema() -> None:
    """Print the JSON Schema of a command: of one line of a scenario."""
    from delever.lab.runs import scenario  # noqa: PLC0415 - heavy

    tell(json_text(scenario.schema()).rstrip())
