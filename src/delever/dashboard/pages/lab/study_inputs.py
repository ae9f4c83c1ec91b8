"""The form of a study, and its inputs as query parameters."""

from collections.abc import Mapping, Sequence

from nicegui import ui

from delever.core.rules import RULE_SETS
from delever.core.rules.policies import POLICIES
from delever.dashboard.data.lab.study import StudyInputs
from delever.lab.errors import InputError
from delever.lab.policies.catalog import LAB_POLICIES

_NUMBERS = {
    "move": "hourly sd, %",
    "scenarios": "scenarios",
    "seed": "seed",
    "funds": "fund sizes, USDT",
    "capital": "capital cost, %",
    "part": "part to reduce, %",
}
"""Label of each text field, by its query parameter."""

NEEDS_FACTOR = "factor_water_filling"
"""The policy that needs a factor of the market, which the form has no field for."""

POLICY_NAMES = [name for name in (*POLICIES, *LAB_POLICIES) if name != NEEDS_FACTOR]

SIDES = {
    f"{contract} {side}": f"{contract} {side}"
    for contract in ("BTCUSDT", "ETHUSDT")
    for side in ("long", "short")
}


def study_inputs(query: Mapping[str, str]) -> StudyInputs:
    """Return the inputs that query parameters stand for; an empty one is that of the example.

    Raises InputError with the field for text that is no number and for an unknown name.

    >>> study_inputs({"scenarios": "4", "funds": "0, 1000", "side": "ETHUSDT long"}).funds
    ('0', '1000')
    """
    given = _query_of(StudyInputs()) | {name: text for name, text in query.items() if text}
    contract, _, side = given["side"].partition(" ")
    policies = _listed(given["policies"])
    _check_names("rules", [given["rules"]], list(RULE_SETS))
    _check_names("policies", policies, POLICY_NAMES)
    _check_names("side", [given["side"]], list(SIDES))
    inputs = StudyInputs(
        rules=given["rules"],
        policies=policies,
        sd_percent=_number(given, "move"),
        count=_whole(given, "scenarios"),
        seed=_whole(given, "seed"),
        funds=_listed(given["funds"]),
        capital_percent=_number(given, "capital"),
        contract=contract,
        side=side,
        part_percent=_number(given, "part"),
    )
    inputs.check()
    return inputs


def _query_of(inputs: StudyInputs) -> dict[str, str]:
    """Return inputs as query parameters.

    >>> study_inputs(_query_of(StudyInputs())) == StudyInputs()
    True
    """
    return {
        "rules": inputs.rules,
        "policies": ",".join(inputs.policies),
        "move": f"{inputs.sd_percent:g}",
        "scenarios": str(inputs.count),
        "seed": str(inputs.seed),
        "funds": ", ".join(inputs.funds),
        "capital": f"{inputs.capital_percent:g}",
        "side": f"{inputs.contract} {inputs.side}",
        "part": f"{inputs.part_percent:g}",
    }


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in (each.strip() for each in text.split(",")) if part)


def _number(given: Mapping[str, str], name: str) -> float:
    try:
        return float(given[name])
    except ValueError:
        why = "must be a number, such as 12"
        raise InputError(why, column=_NUMBERS[name], value=given[name]) from None


def _whole(given: Mapping[str, str], name: str) -> int:
    try:
        return int(given[name])
    except ValueError:
        why = "must be a whole number, such as 12"
        raise InputError(why, column=_NUMBERS[name], value=given[name]) from None


def _check_names(column: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise InputError(
                f"is unknown; choose one of {', '.join(known)}", column=column, value=name
            )


class StudyForm:
    """The controls, filled with the inputs of a study."""

    def __init__(self, inputs: StudyInputs) -> None:
        query = _query_of(inputs)
        with ui.element("div").classes("bits"):
            self._rules = ui.select(list(RULE_SETS), value=inputs.rules, label="rule set")
            self._rules.props('dense outlined aria-label="rule set"').style("min-width: 9rem")
            self._policies = ui.select(
                POLICY_NAMES, value=list(inputs.policies), multiple=True, label="policies"
            )
            self._policies.props('dense outlined use-chips aria-label="policies"')
            self._side = ui.select(SIDES, value=query["side"], label="plan for")
            self._side.props('dense outlined aria-label="plan for"').style("min-width: 9rem")
            self._fields = {
                name: ui.input(label, value=query[name])
                .props(f'dense outlined aria-label="{label}"')
                .style(f"width: {max(len(query[name]) // 2 + 2, 9)}rem")
                for name, label in _NUMBERS.items()
            }

    def inputs(self) -> tuple[StudyInputs, dict[str, str]]:
        """Return the inputs and their query parameters; raises InputError."""
        query = {name: str(field.value or "") for name, field in self._fields.items()}
        query |= {
            "rules": str(self._rules.value),
            "policies": ",".join(self._policies.value or ()),
            "side": str(self._side.value),
        }
        for name, label in _NUMBERS.items():
            if not query[name].strip():
                raise InputError("is empty: enter a number", column=label)
        if not query["policies"]:
            raise InputError("choose at least one", column="policies")
        return study_inputs(query), query
