"""Writes docs/rules.md, docs/reference/{api,commands,config,events,reasons}.md, venues' tables.

`make docs` runs it; tests/test_docs.py fails where a page is not what it would write.
"""
# ruff: noqa: INP001 - a script, not a package

import enum
import inspect
import re
import types
import typing
from pathlib import Path

import msgspec
from api_page import api_page
from architecture_picture import pictures
from config_page import config_page
from rule_pages import rules_page, venues_filled

from delever.core import messages
from delever.core.messages import AnyCommand, AnyEvent, Command, Reason

ROOT = Path(__file__).parent.parent
CORE = ROOT / "src" / "delever" / "core"
REFERENCE = ROOT / "docs" / "reference"

ROWS = (messages.PositionRow, messages.BalanceRow, messages.MarginTier, messages.TriggerLimits)
PARTS = (messages.Rating, messages.RatingPart, messages.StressPoint, messages.SideIndicators)
TOLD = (messages.NoticeKind, messages.RiskLevel, messages.RatingInput, messages.RatingMethod)
KINDS = (messages.Side, messages.ContractKind, messages.PoolKind, messages.FundingReason)

MEANINGS = {
    "time_in_past": "The command is older than the last one accepted.",
    "empty_name": "A name is the empty text.",
    "already_defined": "A pool or a contract of this name exists; neither is redefined.",
    "column_length_mismatch": "A column does not hold one number for each row.",
    "duplicate_row": "Two rows of one command are about the same thing.",
    "asset_already_defined": "The asset has its smallest unit already, by definition or by first use.",
    "unknown_contract": "No contract of this name is defined.",
    "unknown_pool": "No pool of this name is defined.",
    "unknown_account": "No account of this name is defined.",
    "unknown_asset": "No pool or contract settles in this asset.",
    "unknown_rule_set": "There is no rule set of this name; `delever rules` lists them.",
    "fill_not_outstanding": "The ADL fill does not exist, or the venue has already included it.",
    "unknown_fill": "A snapshot says to include an ADL fill that has not been made.",
    "pool_asset_mismatch": "The pool holds another asset than the contract settles in.",
    "contract_not_in_pool": "Money is booked to a contract that stands behind another pool.",
    "contract_already_in_pool": "The contract is to move to the pool that it stands behind.",
    "second_contract_not_allowed": "An isolated pool already stands behind a contract.",
    "invalid_decimal": "Not digits with at most a sign and a point (`1e3`, `NaN`).",
    "not_positive": "The number is 0 or less.",
    "negative_not_allowed": "The number is less than 0.",
    "too_many_decimals": "The number has more decimals than its unit.",
    "out_of_range": "The number is outside what its field may be.",
    "invalid_lot_multiple": "The quantity is not a whole number of lots.",
    "invalid_tick_multiple": "The price is not a whole number of ticks.",
    "price_without_contract": "A takeover at a price must say of which contract.",
    "fractional_lot_value": "One lot times one tick is not whole cash.",
    "invalid_margin_tiers": "Margin tiers start above 0, or do not ascend.",
    "invalid_trigger_limits": "ADL would stop at a larger drawdown than it starts at.",
    "missing_entry_price": "Neither an entry price nor an entry cost is given, or both are.",
    "side_sign_mismatch": "The quantity has a sign, and it is not that of the side.",
    "hedge_mode_required": "An account without hedge mode is given both sides.",
    "exceeds_numeric_range": "The result could leave the range of 64-bit integers.",
    "exceeds_inventory": "More is to be closed than the pool has taken over.",
    "exceeds_pool_balance": "More is to be withdrawn than the pool holds.",
    "amount_sign_mismatch": "The amount is 0, or its sign is not that of its reason.",
    "invalid_depth_order": "Depth is not ordered best price first.",
    "no_open_position": "The account holds no such position.",
    "missing_mark_price": "A value is needed before the contract's first mark.",
    "no_inventory_to_close": "No trigger of the rules has inventory to close.",
    "adl_queue_not_supported": "The rule set closes nobody; it shares losses instead.",
    "stale_version": "The row is older than what is known of the account.",
    "contract_drawdown_limit": "The contract's profit fell too far for the pool's peak.",
    "pool_equity_not_positive": "The pool's balance with its inventory is 0 or less.",
    "pool_drawdown_limit": "The pool's equity fell too far below its own peak.",
    "insufficient_depth": "Depth has been less than inventory for the time allowed.",
    "negative_account_equity": "The mark is past the takeover price of inventory.",
    "mark_through_bankruptcy_price": "The same, with nothing left in the pool.",
    "inventory_not_unwound": "The pool holds inventory, which the rule set closes at once.",
    "pool_equity_below_mean": "The pool's equity fell too far below its own mean.",
    "pnl_to_pool_limit": "One side has won more than the pool may owe it.",
    "contract_moved_to_other_pool": "The contract was moved, and ADL ended with its old pool.",
    "fill_would_bankrupt_counterparty": "Closing at this price would leave the counterparty below 0.",
    "zero_prices_not_crossed": "The price is beyond the counterparty's own zero price.",
    "adl_not_used": "The rule set has no queue; it shares losses instead.",
    "liquidated_account_itself": "Nobody is closed against their own inventory.",
    "position_under_liquidation": "The position is itself being liquidated.",
    "exempt_account": "The account is never a counterparty.",
    "exempt_contract": "The contract is never deleveraged.",
    "equity_not_positive": "The position, or its account if cross, is worth nothing.",
    "unrealized_pnl_not_positive": "The rule set deleverages positions in profit only.",
    "no_open_positions": "Nobody holds the other side.",
    "queue_exhausted": "All who stood in line are closed, or were skipped.",
    "venue_takeover": "The venue sent the takeover.",
    "equity_below_maintenance": "The engine found the account at or below maintenance margin.",
    "exceeds_position": "More is to be closed than the position holds.",
    "position_closed": "The change closes the position whole: it stands in no line.",
}
"""What each reason means to who reads it; a reason without a line here fails the generator."""

COMMANDS = """\
# Commands

What a venue tells the engine. One JSON object a command, as a line of a scenario and as a record of
the journal; `delever schema` prints the same as JSON Schema. `type` says which command it is.

A *decimal* is exact: text such as `"0.001"`, or a whole JSON number. A JSON number with a point or
an exponent is rejected, and so is a field that is not listed here. A rejected command changes nothing
and gives the event [`rejected`](events.md#rejected) with the field, the value and a
[reason](reasons.md).

Every command carries:
"""

EVENTS = """\
# Events

What has happened, in exact integers: the book applies events, and nothing else changes it. The unit
stands in the name: `_cash` (the settle asset's smallest unit, 10^-8 unless the asset says
otherwise), `_lots`, `_ticks`, `_ppm` (parts per million), `_hundredths`, `_ms` (engine time since
the epoch). Costs and values are signed like the position: profit is always value minus cost.
"""

REASONS = """\
# Reasons

Every refusal, skip, start and stop carries one of these words, never a sentence. The last column
names the modules of `delever.core` that give it.
"""


def pages() -> dict[Path, str]:
    """Return the text of every generated page by its path."""
    return {
        ROOT / "docs" / "rules.md": rules_page(),
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "api.md": api_page(),
        REFERENCE / "config.md": config_page(),
        REFERENCE / "events.md": events_page(),
        REFERENCE / "reasons.md": reasons_page(),
        **venues_filled(),
        **pictures(),
    }


def commands_page() -> str:
    """Return the page of commands, of the rows inside them, and of the words they choose from."""
    commands = [_struct(command, hidden=Command) for command in typing.get_args(AnyCommand)]
    rows = [_struct(row) for row in ROWS]
    kinds = [_kind(kind) for kind in KINDS]
    parts = [
        COMMANDS + "\n" + _fields(Command),
        *commands,
        "## Rows\n",
        *rows,
        "## Words\n",
        *kinds,
    ]
    return "\n".join(parts)


def events_page() -> str:
    """Return the page of events."""
    events = [_struct(event) for event in typing.get_args(AnyEvent)]
    parts = [_struct(part) for part in PARTS]
    kinds = [_kind(kind) for kind in TOLD]
    return "\n".join([EVENTS, *events, "## Parts\n", *parts, "## Words\n", *kinds])


def reasons_page() -> str:
    """Return the page of reasons, in the groups of the source, with the modules that give them."""
    parts = [REASONS]
    for group, members in _reason_groups().items():
        table = ["| reason | means | given by |", "|---|---|---|"]
        table += [f"| `{name}` | {MEANINGS[name]} | {_givers(name)} |" for name in members]
        parts.append(f"## {group}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _struct(struct: type[msgspec.Struct], hidden: type[msgspec.Struct] | None = None) -> str:
    """Return a message as a section: what it says, and its fields besides the hidden ones."""
    tag = struct.__struct_config__.tag
    title = f"`{tag}`" if tag else struct.__name__
    heading = "##" if tag else "###"
    return f"{heading} {title}\n\n{_docstring(struct)}\n\n{_fields(struct, hidden)}"


def _fields(struct: type[msgspec.Struct], hidden: type[msgspec.Struct] | None = None) -> str:
    """Return a table of fields; those of an event are always there."""
    inherited = hidden.__struct_fields__ if hidden else ()
    shown = [field for field in msgspec.structs.fields(struct) if field.name not in inherited]
    if not shown:
        return "No field of its own.\n"
    columns = [["field", "type", "if left out"], ["---"] * 3]
    columns += [[f"`{field.name}`", _type(field.type), _default(field)] for field in shown]
    width = 2 if issubclass(struct, (messages.Event, *PARTS)) else 3
    return "\n".join(f"| {' | '.join(row[:width])} |" for row in columns) + "\n"


def _kind(kind: type[enum.StrEnum]) -> str:
    """Return the words of an enum as a section."""
    members = ", ".join(f"`{member}`" for member in kind)
    return f"### {kind.__name__}\n\n{_docstring(kind)} One of {members}.\n"


def _docstring(documented: type) -> str:
    return inspect.getdoc(documented) or ""


def _type(annotation: typing.Any) -> str:
    """Return a type in the words of JSON, with a link to what is described elsewhere."""
    arguments = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case types.UnionType | typing.Union:
            if set(arguments) >= {str, int}:
                arguments = ("decimal", *(set(arguments) - {str, int}))
            return " or ".join(map(_type, arguments))
        case origin if origin is tuple:
            if arguments[-1] is Ellipsis:
                return f"list of {_type(arguments[0])}"
            return f"[{', '.join(map(_type, arguments))}]"
        case origin if origin is dict:
            return f"object of {_type(arguments[1])}"
        case _:
            return _plain(annotation)


def _plain(annotation: typing.Any) -> str:
    names = {str: "text", int: "integer", bool: "true or false", float: "number"}
    names[bytes] = "column (base64 in JSON)"
    names |= {types.NoneType: "null", Reason: "[reason](reasons.md)"}
    if annotation in names:
        return names[annotation]
    if isinstance(annotation, str):
        return annotation
    name = annotation.__name__
    config = getattr(annotation, "__struct_config__", None)
    page = "" if annotation in (*TOLD, *PARTS) else "commands.md"
    if config is not None and issubclass(annotation, messages.Event):
        page = ""
    anchor = str(config.tag) if config is not None and config.tag else name.lower()
    return f"[{name}]({page}#{anchor})"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory()
    if isinstance(value, msgspec.Struct) and value == type(value)():
        return "`{}`"
    return f"`{msgspec.json.encode(value).decode()}`"


def _reason_groups() -> dict[str, list[str]]:
    """Return the reasons under the comments that group them in the source."""
    source = (CORE / "messages" / "enums.py").read_text(encoding="utf-8")
    _, _, body = source.partition("class Reason(")
    groups: dict[str, list[str]] = {}
    for line in body.partition("\nclass ")[0].splitlines():
        if line.startswith("    # "):
            groups[line.strip(" #.")] = []
        elif match := re.match(r'    [A-Z_]+ = "(\w+)"', line):
            groups[list(groups)[-1]].append(match[1])
    return groups


def _givers(reason: str) -> str:
    """Return the core modules that name a reason."""
    name = re.compile(rf"\bReason\.{Reason(reason).name}\b")
    paths = [path for path in sorted(CORE.rglob("*.py")) if name.search(path.read_text("utf-8"))]
    return ", ".join(f"`{path.relative_to(CORE).with_suffix('').as_posix()}`" for path in paths)


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
