"""What an operator may do from the page: a key with the role, a reason, and a typed confirmation.

The page itself acts for nobody: a command goes out with the key that the visitor has typed into the
tab, is rejected by the server where the key lacks the role, and lands in the journal with its note.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nicegui import ui

from delever.core.messages import FundingReason
from delever.dashboard.components.frame import View
from delever.dashboard.data.api_client import SourceError


@dataclass(frozen=True, slots=True)
class Action:
    """One operator command: what the button says, and what has to be typed to confirm it.

    `fixed` are fields that the page knows; `asked` those that the visitor fills in, with what they
    are called; `chosen` those with a choice of words; those in `whole` are whole numbers.
    """

    label: str
    confirm: str
    fixed: Mapping[str, object]
    asked: Mapping[str, str] = field(default_factory=dict)
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()


FUNDING_REASONS = tuple(map(str, FundingReason))


def action_button(view: View, action: Action) -> None:
    """Show a button that opens the form of an action."""
    ui.button(f"{action.label} …", on_click=lambda: _form(view, action)).props(
        "flat dense no-caps"
    ).classes("action")


def _form(view: View, action: Action) -> None:
    with ui.dialog(value=True) as dialog, ui.card().style("min-width: min(26rem, 92vw)"):
        ui.label(action.label).style("font-weight: 650")
        typed = {
            name: ui.input(label).props("outlined dense").style("width: 100%")
            for name, label in action.asked.items()
        }
        chosen = {
            name: ui.select(list(options), label=name, value=options[0])
            .props("outlined dense")
            .style("width: 100%")
            for name, options in action.chosen.items()
        }
        note = ui.input("reason (kept in the journal)").props("outlined dense")
        note.style("width: 100%")
        confirm = ui.input(f"type {action.confirm} to confirm").props("outlined dense")
        confirm.style("width: 100%")
        told = ui.label("").props("role=status")

        async def submit() -> None:
            if confirm.value != action.confirm:
                told.set_text(f"Not done: {confirm.value!r} is not {action.confirm!r}.")
                return
            filled = {name: _value(action, name, each.value) for name, each in typed.items()}
            picked = {name: each.value for name, each in chosen.items()}
            command = {**action.fixed, **filled, **picked, "note": note.value.strip()}
            try:
                done = await view.source.submit(command)
            except SourceError as error:
                told.set_text(f"Not done: {error}.")
                return
            told.set_text(f"Done, as sequence {done['sequence']}.")

        with ui.element("div").classes("bits"):
            ui.button("Submit", on_click=submit).props("no-caps unelevated")
            ui.button("Close", on_click=dialog.close).props("flat no-caps")


def _value(action: Action, name: str, typed: str) -> str | int:
    """Return what was typed; a whole number as one, so that the server sees what is meant."""
    text = (typed or "").strip()
    return int(text) if name in action.whole and text.isdecimal() else text
