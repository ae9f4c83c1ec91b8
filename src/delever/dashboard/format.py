"""Numbers, times and states as text: exact, in UTC, one word a thing."""

from decimal import Decimal
from html import escape

from delever import formatting
from delever.api_types.market import ContractResponse, TriggerResponse

NOTHING = "-"
"""What stands where nothing applies."""

STATES = {
    "stale": "Stale",
    "calm": "Calm",
    "watch": "Watch",
    "adl": "ADL running",
    "exhausted": "ADL stopped short: nobody is left in line",
}

ADL_STATES = {"adl", "exhausted"}


def utc(time_ms: int | None) -> str:
    """Return a time as UTC with milliseconds."""
    return NOTHING if time_ms is None else formatting.utc(time_ms)


def clock(time_ms: int | None) -> str:
    """Return the time of day in UTC with milliseconds."""
    return utc(time_ms).rpartition(" ")[2]


def percent(ppm: int | str | None) -> str:
    """Return parts per million as percent, exactly."""
    return NOTHING if ppm is None else formatting.percent(int(ppm))


def words(name: str | None) -> str:
    """Return a name as people read it: 'contract drawdown'."""
    return NOTHING if name is None else formatting.humanize(name)


def indicators(indicator: int | None) -> str:
    """Return a indicator as dots and text: '●●●●○ 4 of 5'."""
    if indicator is None:
        return "not in line"
    return f"{'●' * indicator}{'○' * (5 - indicator)} {indicator} of 5"


def grouped(number: str | None) -> str:
    """Return HTML of a number whose thousands stand apart, and which is copied as it is."""
    if number is None:
        return NOTHING
    sign = "-" if number.startswith("-") else ""
    whole, dot, part = number.removeprefix("-").partition(".")
    first = len(whole) % 3 or 3
    groups = [whole[:first], *(whole[i : i + 3] for i in range(first, len(whole), 3))]
    inner = "".join(f"<span>{escape(group)}</span>" for group in groups)
    return f'<span class="number">{sign}{inner}{dot}{escape(part)}</span>'


def state_of(contract: ContractResponse) -> str:
    """Return a contract's state; ADL goes before stale input, stale input before the rest."""
    if contract.stale and contract.state not in ADL_STATES:
        return "stale"
    return contract.state


def nearest(contract: ContractResponse) -> TriggerResponse | None:
    """Return the trigger that is on, or the one that is farthest on its way."""
    return max(contract.triggers, key=lambda each: (each.on, each.trigger_used_ppm), default=None)


def pnl_ratio(contract: ContractResponse) -> str:
    """Return the contract's profit below its peak by the pool's peak balance, where it counts."""
    drawdown = contract.trigger("contract_drawdown")
    return percent(drawdown.numbers.get("pnl_ratio_ppm")) if drawdown else NOTHING


def banner(contract: ContractResponse) -> str:
    """Return the state of a contract in one sentence with its numbers."""
    trigger = nearest(contract)
    way = "no trigger"
    if trigger is not None:
        way = f"{words(trigger.trigger)} at {percent(trigger.trigger_used_ppm)} of the way"
        if trigger.on:
            way = f"{words(trigger.trigger)} since {clock(trigger.since_ms)}"
    taken = inventory(contract)
    held = f"; the pool holds {taken}" if taken else ""
    stale = f"; no mark since {clock(contract.marked_ms)}" if contract.stale else ""
    paused = "; rounds are paused by the operator" if contract.paused else ""
    return f"{way}{held}{stale}{paused}"


def inventory(contract: ContractResponse) -> str:
    """Return what the pool holds of a contract, or nothing."""
    sides = (("long", contract.inventory_long), ("short", contract.inventory_short))
    return " and ".join(f"{held} {side}" for side, held in sides if Decimal(held))


def loss_room(drawdown: TriggerResponse) -> Decimal:
    """Return how much more the contract may lose before its drawdown starts ADL."""
    return Decimal(drawdown.numbers["contract_pnl"]) - level(drawdown, "start_ppm")


def level(drawdown: TriggerResponse, limit: str) -> Decimal:
    """Return the profit at which the drawdown meets a limit: peak + limit * the pool's peak."""
    numbers = drawdown.numbers
    share = Decimal(numbers[limit]).scaleb(-6) * Decimal(numbers["balance_peak"])
    return Decimal(numbers["contract_pnl_peak"]) + share


def plain(number: Decimal) -> str:
    """Return a number without trailing zeros."""
    return formatting.decimal_text(number)
