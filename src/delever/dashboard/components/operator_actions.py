"""Operator commands on the pages: each needs a key with the role, a reason and a confirmation.

A command is sent with the key that the visitor has entered in the tab. The server rejects it if
that key lacks the role `operate`, and otherwise journals it with its reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nicegui import ui

from delever.core.messages import FundingReason
from delever.dashboard.components.frame import PageFrame
from delever.dashboard.data.api_client import ApiClientError


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One operator command: the label of its button, and the text to type as confirmation.

    `fixed` are the fields that the page sets, `inputs` the labels of fields that the visitor fills
    in, `choices` the options of fields with a fixed set of values. The inputs named in `integers`
    are sent as integers, those in `optional` not at all where they are empty. `limits.start` is the
    field `start` of the object `limits`.
    """

    label: str
    confirm: str
    fixed: Mapping[str, object]
    inputs: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    integers: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()


LIMITS = {
    "limits.start": "start of ADL: drawdown, 0.30 is 30 %",
    "limits.stop": "stop of ADL: drawdown",
    "limits.trigger_threshold": "balance above which a drawdown counts",
    "limits.wait_ms": "wait for depth, ms",
    "limits.stop_equity": "fund equity that a round restores",
}
"""The inputs of the limits of a contract or a fund; together they replace the former ones."""

FUNDING_REASONS = tuple(map(str, FundingReason))


def action_button(frame: PageFrame, action: OperatorAction) -> None:
    """Display a button that opens the form of an action."""
    button = ui.button(f"{action.label} …", on_click=lambda: _form(frame, action))
    button.props("flat dense no-caps").classes("action")


def _form(frame: PageFrame, action: OperatorAction) -> None:
    with ui.dialog(value=True) as dialog, ui.card().style("min-width: min(26rem, 92vw)"):
        ui.label(action.label).style("font-weight: 650")
        inputs = {name: _input(label) for name, label in action.inputs.items()}
        choices = {
            name: ui.select(list(options), label=name, value=options[0])
            .props("outlined dense")
            .style("width: 100%")
            for name, options in action.choices.items()
        }
        note = _input("reason (stored in the journal)")
        confirm = _input(f"type {action.confirm} to confirm")
        status = ui.label("").props("role=status")

        async def submit() -> None:
            if confirm.value != action.confirm:
                status.set_text(f"Not done: {confirm.value!r} is not {action.confirm!r}.")
                return
            typed = _nested(
                {
                    name: _value(action, name, field.value)
                    for name, field in inputs.items()
                    if name not in action.optional or (field.value or "").strip()
                }
            )
            chosen = {name: field.value for name, field in choices.items()}
            command = {**action.fixed, **typed, **chosen, "note": note.value.strip()}
            try:
                response = await frame.client.submit(command)
            except ApiClientError as error:
                status.set_text(f"Not done: {error}.")
                return
            status.set_text(f"Done, as sequence {response['sequence']}.")

        with ui.element("div").classes("bits"):
            ui.button("Submit", on_click=submit).props("no-caps unelevated")
            ui.button("Close", on_click=dialog.close).props("flat no-caps")


def _input(label: str) -> ui.input:
    element = ui.input(label).props("outlined dense")
    element.style("width: 100%")
    return element


def _nested(fields: Mapping[str, str | int]) -> dict[str, object]:
    """Return fields as an object, `limits.start` as the field `start` of `limits`."""
    nested: dict[str, Any] = {}
    for path, value in fields.items():
        name, _, inner = path.partition(".")
        if inner:
            nested.setdefault(name, {})[inner] = value
        else:
            nested[name] = value
    return nested


def _value(action: OperatorAction, name: str, typed: str) -> str | int:
    """Return the value of an input; text that is no integer is left for the server to reject."""
    text = (typed or "").strip()
    return int(text) if name in action.integers and text.isdecimal() else text
