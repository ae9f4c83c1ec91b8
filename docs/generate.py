"""Generate rules.md, policies.md and reference/ of docs, blocks of docs/venues, and pictures.

`make docs` runs it; tests/test_docs.py fails while a page is out of date.
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
from bench_page import bench_page
from config_page import config_page
from policy_page import policies_page
from reproduction_page import reproduction_page
from rule_pages import rules_page, venues_filled
from testing_page import testing_page

from delever.core import messages
from delever.core.messages import AnyCommand, AnyEvent, Command, Reason
from delever.core.rules import RULE_SETS

ROOT = Path(__file__).parent.parent
CORE = ROOT / "src" / "delever" / "core"
REFERENCE = ROOT / "docs" / "reference"

ROWS = (
    messages.PositionRow,
    messages.BalanceRow,
    messages.MarginTier,
    messages.CollateralTier,
    messages.PlannedRound,
    messages.PlannedFill,
    messages.TriggerLimits,
    messages.MarkLimits,
)
PARTS = (messages.Rating, messages.RatingPart, messages.StressPoint, messages.SideIndicators)
EVENT_ENUMS = (messages.NoticeKind, messages.RiskLevel, messages.RatingInput, messages.RatingMethod)
COMMAND_ENUMS = (
    messages.Side,
    messages.ContractKind,
    messages.PoolKind,
    messages.FundingReason,
    messages.TradingStatus,
    messages.OddLots,
)

MEANINGS = {
    "time_in_past": "The command's time is before that of the last accepted command.",
    "empty_name": "A name is the empty string.",
    "already_defined": "A pool or contract with this name exists; neither can be defined again.",
    "column_length_mismatch": "A column does not have one number for each row.",
    "duplicate_row": "Two rows of one command have the same key.",
    "asset_already_defined": "The asset's smallest unit is set, by definition or first use.",
    "unknown_contract": "No contract has this name.",
    "unknown_pool": "No pool has this name.",
    "unknown_account": "No account has this name.",
    "unknown_asset": "No pool or contract settles in this asset.",
    "unknown_collateral": "The asset is not defined as collateral.",
    "invalid_collateral_tiers": "Collateral tiers do not start at 0, do not ascend, or their rates "
    "rise; or a tier has not exactly one of quantity_from and value_from.",
    "margin_currency_mismatch": "The book has another margin currency.",
    "invalid_index_price": "The margin currency has an index price other than 1, or a buffer.",
    "multi_asset_account": "The account is in multi-asset mode: the engine values its collateral.",
    "exceeds_pool_collateral": "The pool has less of the asset, or none.",
    "unknown_rule_set": "No rule set has this name; `delever rules` lists them.",
    "fill_of_other_position": "The fill is of another account, or in another contract.",
    "mark_unconfirmed": "A mark is beyond its contract's limits; `confirm_mark`, or wait.",
    "mark_moved_too_far": "The move from the mark before is larger than `max_move`.",
    "mark_too_old": "The mark is older than `max_age_ms`.",
    "mark_already_confirmed": "The contract's mark is not beyond its limits.",
    "fill_not_outstanding": "The ADL fill does not exist, or the venue has acknowledged it.",
    "unknown_fill": "A snapshot acknowledges an ADL fill that was never made.",
    "pool_asset_mismatch": "The pool's asset is not the contract's settle asset.",
    "contract_not_in_pool": "The amount is booked to a contract of another pool.",
    "contract_already_in_pool": "The contract is in the target pool already.",
    "second_contract_not_allowed": "An isolated pool has a contract already.",
    "invalid_decimal": "Not digits with at most a sign and a point (`1e3`, `NaN`).",
    "not_positive": "The number is 0 or less.",
    "negative_not_allowed": "The number is less than 0.",
    "too_many_decimals": "The number has more decimals than its unit.",
    "out_of_range": "The number is outside the range of its field.",
    "invalid_lot_multiple": "The quantity is not a whole number of lots.",
    "invalid_tick_multiple": "The price is not a whole number of ticks; a mark may be finer.",
    "price_without_contract": "A takeover with a price needs a contract.",
    "fractional_lot_value": "One lot times one tick is not a whole number of cash units.",
    "invalid_margin_tiers": "Margin tiers do not start at 0, or do not ascend.",
    "invalid_trigger_limits": "ADL would stop at a larger drawdown than it starts at.",
    "limit_not_supported": "No trigger of the rule set reads the limit; the value is the rule set.",
    "missing_entry_price": "Exactly one of entry price and entry cost is required.",
    "side_sign_mismatch": "The sign of the quantity contradicts the side.",
    "hedge_mode_required": "An account in one-way mode has positions on both sides.",
    "exceeds_numeric_range": "The result could leave 64-bit integers: define the asset with fewer "
    "`cash_decimals`.",
    "time_jump_held": "The time would jump further than the journal allows: an operator confirms.",
    "internal_error": "The engine raised an error: nothing changed; the log has the details.",
    "exceeds_inventory": "The pool has no inventory on this side.",
    "exceeds_pool_balance": "The withdrawal is larger than the pool's balance.",
    "odd_lots": "A quantity of the book is no multiple of the new lot; the field names the first.",
    "close_only": "The contract is delisted: positions may only shrink.",
    "contract_settled": "The contract is settled: it has no positions and no ADL any more.",
    "amount_sign_mismatch": "The amount is 0, or its sign contradicts its reason.",
    "invalid_depth_order": "Depth is not sorted by price, best first.",
    "no_open_position": "The account has no such position.",
    "missing_mark_price": "The contract has no mark yet.",
    "invalid_digest": "Not 64 hexadecimal digits in lower case.",
    "empty_plan": "The plan has no rounds, or a round has no fills.",
    "plan_not_awaited": "No round of the contract and side waits for a plan: see `set_plan_wait`.",
    "plan_too_late": "The wait is over, and the policy of the rule set runs: wait longer, or plan "
    "faster.",
    "plan_stale": "The plan is of a book before the request: plan again from the present book.",
    "plan_exceeds_round": "The plan closes more lots than the round wants now; the value is the "
    "plan's.",
    "plan_exceeds_position": "The plan closes more than the position or its cap allows.",
    "price_beyond_plan_limit": "The ADL price is worse for the accounts than the plan's limit.",
    "counterparty_ineligible": "ADL may not close the position: it is not ranked, or the fill "
    "would bankrupt it.",
    "no_inventory_to_close": "No trigger of the rule set has inventory to close.",
    "adl_queue_not_supported": "The rule set has no ADL; it socializes losses instead.",
    "stale_version": "The row is older than the account's current version.",
    "contract_drawdown_limit": "Contract PnL fell too far relative to the pool's peak balance.",
    "pool_equity_not_positive": "The pool's equity (balance plus inventory) is 0 or less.",
    "pool_drawdown_limit": "The pool's equity fell too far below its own peak.",
    "insufficient_depth": "Depth was less than the inventory for longer than the allowed time.",
    "negative_account_equity": "The mark is beyond the takeover price of the inventory.",
    "mark_through_bankruptcy_price": "The same as above, and the pool's equity is 0 or less.",
    "inventory_not_unwound": "The pool has inventory, which the rule set closes at once.",
    "pool_equity_below_mean": "The pool's equity fell too far below its own mean.",
    "limit_required": "The rule set needs the limit in a managed pool; the value is the rule set.",
    "takeover_loss_limit": "The fund's loss on one takeover exceeds its cap.",
    "contract_daily_loss_limit": "The contract's loss since 00:00 UTC exceeds its cap.",
    "pool_daily_loss_limit": "The fund's loss since 00:00 UTC exceeds its cap.",
    "liquidator_loss_limit": "The loss of the vault's liquidator since 00:00 UTC exceeds its cap.",
    "loss_count_limit": "The fund has lost an amount within a minute too often in four hours.",
    "backlog_limit": "The notional of the pool's inventory has reached its limit.",
    "mark_beyond_band": "The mark is further beyond a takeover price than the fund's band.",
    "pnl_to_pool_limit": "The unrealized PnL of one side exceeds its limit relative to the pool.",
    "contract_moved_to_other_pool": "The contract moved to another pool, which ends its ADL.",
    "rules_amended": "The new rules of the pool have no such trigger, which ends its ADL.",
    "fill_would_bankrupt_counterparty": "The fill would leave the counterparty's equity negative.",
    "zero_prices_not_crossed": "The ADL price is beyond the counterparty's own zero price.",
    "adl_not_used": "The rule set has no ADL; it socializes losses instead.",
    "liquidated_account_itself": "An account is never the counterparty of its own inventory.",
    "stale_row": "The newest row of the position, or of its balance, was rejected.",
    "position_under_liquidation": "The position itself is being liquidated.",
    "exempt_account": "The account is exempt from ADL.",
    "exempt_contract": "The contract is exempt from ADL.",
    "equity_not_positive": "The equity of the position, or of its cross account, is 0 or less.",
    "no_net_exposure": "The position is hedged by the other side, and only net exposure is ranked.",
    "unrealized_pnl_not_positive": "The rule set closes winning positions only.",
    "no_open_positions": "The other side has no open positions.",
    "queue_exhausted": "Every counterparty in the queue is closed or was skipped.",
    "venue_takeover": "The venue submitted the takeover.",
    "equity_below_maintenance": "The account's equity is at or below its maintenance margin.",
    "exceeds_position": "The quantity is larger than the position.",
    "position_closed": "The change closes the position in full, so that it has no rank.",
}
"""The meaning of each reason; the generator fails for a reason without an entry."""

COMMANDS = """\
# Commands

The engine's input. A command is one JSON object, in a scenario, in the journal and in the API;
`delever schema` prints the JSON Schema. `type` names the command:

```json
{"type": "set_marks", "time_ms": 2000, "marks": {"BTCUSDT": "57000"}}
```

A *decimal* is exact: a string such as `"0.001"`, or a JSON integer. A JSON number with a point or
an exponent is rejected, and so is an unknown field. A rejected command changes nothing and emits
[`rejected`](events.md#rejected) with the field, the value and a [reason](reasons.md).

Every command has these fields:
"""

EVENTS = """\
# Events

The engine's output, in exact integers. The book applies events, and nothing else changes it. A
field's name ends in its unit: `_cash` (the settle asset's smallest unit, 10^-8 unless
`define_asset` says otherwise), `_lots`, `_ticks`, `_ppm` (parts per million), `_hundredths`, `_ms`
(engine time since the epoch). Costs and values are signed like the position: PnL is always value
minus cost.
"""

REASONS = """\
# Reasons

Every rejection, every skipped counterparty and every start and stop of ADL has one of these
reasons. The last column names the modules of `delever.core` that use it.
"""


def pages() -> dict[Path, str]:
    """Return the text of every generated page by its path."""
    return {
        ROOT / "docs" / "rules.md": rules_page(),
        ROOT / "docs" / "policies.md": policies_page(),
        ROOT / "docs" / "testing.md": testing_page(),
        ROOT / "docs" / "results" / "adl-bench.md": bench_page(),
        ROOT / "docs" / "results" / "reproduction.md": reproduction_page(),
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "api.md": api_page(),
        REFERENCE / "config.md": config_page(),
        REFERENCE / "events.md": events_page(),
        REFERENCE / "reasons.md": reasons_page(),
        **venues_filled(),
        **pictures(),
        ROOT / "README.md": readme(),
    }


def readme() -> str:
    """Return README.md with the current numbers of rule sets and venues."""
    venues = {re.split(r"\W", rules.venue)[0] for rules in RULE_SETS.values()}
    claim = f"[{len(RULE_SETS)} rule sets of {len(venues)} venues]"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\[\d+ rule sets of \d+ venues\]", claim, text)


def commands_page() -> str:
    """Return the page of commands, with their rows and enums."""
    commands = [_struct(command, hidden=Command) for command in typing.get_args(AnyCommand)]
    rows = [_struct(row) for row in ROWS]
    kinds = [_kind(kind) for kind in COMMAND_ENUMS]
    parts = [
        COMMANDS + "\n" + _fields(Command),
        *commands,
        "## Rows\n",
        *rows,
        "## Enums\n",
        *kinds,
    ]
    return "\n".join(parts)


def events_page() -> str:
    """Return the page of events."""
    events = [_struct(event) for event in typing.get_args(AnyEvent)]
    parts = [_struct(part) for part in PARTS]
    kinds = [_kind(kind) for kind in EVENT_ENUMS]
    return "\n".join([EVENTS, *events, "## Parts\n", *parts, "## Enums\n", *kinds])


def reasons_page() -> str:
    """Return the page of reasons, in the groups of the source, with the modules that use them."""
    parts = [REASONS]
    for group, members in _reason_groups().items():
        table = ["| reason | meaning | used by |", "|---|---|---|"]
        table += [f"| `{name}` | {MEANINGS[name]} | {_users(name)} |" for name in members]
        parts.append(f"## {group}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _struct(struct: type[msgspec.Struct], hidden: type[msgspec.Struct] | None = None) -> str:
    """Return a message as a section: docstring and fields, without the hidden ones."""
    tag = struct.__struct_config__.tag
    title = f"`{tag}`" if tag else struct.__name__
    heading = "##" if tag else "###"
    return f"{heading} {title}\n\n{_docstring(struct)}\n\n{_fields(struct, hidden)}"


def _fields(struct: type[msgspec.Struct], hidden: type[msgspec.Struct] | None = None) -> str:
    """Return a table of fields; those of an event have no default."""
    inherited = hidden.__struct_fields__ if hidden else ()
    visible = [field for field in msgspec.structs.fields(struct) if field.name not in inherited]
    if not visible:
        return "No further fields.\n"
    columns = [["field", "type", "default"], ["---"] * 3]
    columns += [[f"`{field.name}`", _type(field.type), _default(field)] for field in visible]
    width = 2 if issubclass(struct, (messages.Event, *PARTS)) else 3
    return "\n".join(f"| {' | '.join(row[:width])} |" for row in columns) + "\n"


def _kind(kind: type[enum.StrEnum]) -> str:
    """Return an enum as a section."""
    members = ", ".join(f"`{member}`" for member in kind)
    return f"### {kind.__name__}\n\n{_docstring(kind)} One of {members}.\n"


def _docstring(documented: type) -> str:
    return inspect.getdoc(documented) or ""


def _type(annotation: typing.Any) -> str:
    """Return a type in terms of JSON, linked where it has a section of its own."""
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
    page = "" if annotation in (*EVENT_ENUMS, *PARTS) else "commands.md"
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


def _users(reason: str) -> str:
    """Return the core modules that name a reason, outside of the output of examples."""
    name = re.compile(rf"(?<!<)\bReason\.{Reason(reason).name}\b")
    paths = [path for path in sorted(CORE.rglob("*.py")) if name.search(path.read_text("utf-8"))]
    return ", ".join(f"`{path.relative_to(CORE).with_suffix('').as_posix()}`" for path in paths)


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
