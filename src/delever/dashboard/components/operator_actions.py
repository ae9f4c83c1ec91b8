"""Operator commands on the pages: each needs a key with the role, a reason and a confirmation.

A command is sent with the key that the visitor has entered in the tab. The server rejects it if
that key lacks the role `operate`, and otherwise journals it with its reason.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from html import escape
from typing import Any

from nicegui import ui

from delever.api_types.market import ContractDetail
from delever.core.messages import FundingReason
from delever.dashboard.components.frame import PageFrame, html
from delever.dashboard.data.api_client import ApiClient, ApiClientError

Preview = Callable[[ApiClient, Mapping[str, Any]], Awaitable[str]]
"""Returns HTML of what a command would do, given its fields; those not typed yet are empty."""


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One operator command: the label of its button, and the text to type as confirmation.

    `fixed` are the fields that the page sets, `inputs` the labels of fields that the visitor fills
    in, `choices` the options of fields with a fixed set of values. The inputs named in `integers`
    are sent as integers, those in `optional` not at all where they are empty. `limits.start` is the
    field `start` of the object `limits`. `applies` is whether the action is offered for a contract
    as it is now; `preview` describes what the command would do.
    """

    label: str
    confirm: str
    fixed: Mapping[str, object]
    inputs: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    integers: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    applies: Callable[[ContractDetail], bool] = lambda _: True
    preview: Preview | None = None


LIMITS = {
    "limits.start": "start of ADL: drawdown, 0.30 is 30 %",
    "limits.stop": "stop of ADL: drawdown",
    "limits.trigger_threshold": "balance above which a drawdown counts",
    "limits.wait_ms": "wait for depth, ms",
    "limits.stop_equity": "fund equity that a round restores",
}
"""The inputs of the limits of a contract or a fund; together they replace the former ones."""

FUNDING_REASONS = tuple(map(str, FundingReason))


def action_button(frame: PageFrame, action: OperatorAction) -> ui.button:
    """Display a button that opens the form of an action."""
    button = ui.button(f"{action.label} …", on_click=lambda: _Form(frame, action).preview())
    button.props("flat dense no-caps").classes("action")
    return button


def typed_amount(text: object) -> Decimal | None:
    """Return an amount that was typed, None while it is no number.

    >>> typed_amount("-1.5"), typed_amount("1e"), typed_amount("NaN")
    (Decimal('-1.5'), None, None)
    """
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


class _Form:
    """The form of an action: what it would do, its inputs, the reason and the confirmation."""

    def __init__(self, frame: PageFrame, action: OperatorAction) -> None:
        self._frame, self._action = frame, action
        with ui.dialog(value=True) as dialog, ui.card().style("width: min(32rem, 92vw)"):
            ui.label(action.label).style("font-weight: 650")
            self._preview = html()
            self._inputs = {name: _input(label) for name, label in action.inputs.items()}
            self._choices = {
                name: ui.select(list(options), label=name, value=options[0])
                .props("outlined dense")
                .style("width: 100%")
                for name, options in action.choices.items()
            }
            for element in (*self._inputs.values(), *self._choices.values()):
                element.on_value_change(self.preview)
            self._note = _input("reason (stored in the journal)")
            self._confirm = _input(f"type {action.confirm} to confirm")
            self._status = ui.label("").props("role=status")
            with ui.element("div").classes("bits"):
                ui.button("Submit", on_click=self._submit).props("no-caps unelevated")
                ui.button("Close", on_click=dialog.close).props("flat no-caps")

    async def preview(self) -> None:
        """Display what the command would do with the fields as they are."""
        if self._action.preview is None:
            return
        try:
            text = await self._action.preview(self._frame.client, self._command())
        except ApiClientError as error:
            text = f"No preview: {escape(str(error))}."
        self._preview.set_content(f'<div class="preview" data-preview>{text}</div>')

    def _command(self) -> dict[str, Any]:
        action = self._action
        typed = {
            name: _value(action, name, field.value)
            for name, field in self._inputs.items()
            if name not in action.optional or (field.value or "").strip()
        }
        chosen = {name: field.value for name, field in self._choices.items()}
        return {**action.fixed, **_nested(typed), **chosen, "note": self._note.value.strip()}

    async def _submit(self) -> None:
        confirm, expected = self._confirm.value, self._action.confirm
        if confirm != expected:
            self._status.set_text(f"Not done: {confirm!r} is not {expected!r}.")
            return
        try:
            response = await self._frame.client.submit(self._command())
        except ApiClientError as error:
            self._status.set_text(f"Not done: {error}.")
            return
        self._status.set_text(f"Done, as sequence {response['sequence']}.")


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
