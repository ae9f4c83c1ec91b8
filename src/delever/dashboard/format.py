"""Times, states and triggers of the API as text and HTML.

Integers are formatted by `delever.formatting`; here is only what is specific to the screens.
"""

from decimal import Decimal
from html import escape

from delever import formatting
from delever.api_types.history import AdlTotalResponse
from delever.api_types.market import ContractResponse, TriggerResponse
from delever.core.messages import TradingStatus
from delever.formatting import count, decimal_text

NOTHING = "-"
"""Text of a value that does not apply."""

STATES = {
    "stale": "Stale",
    "calm": "Calm",
    "watch": "Watch",
    "adl": "ADL running",
    "exhausted": "ADL exhausted: no eligible counterparty left",
}
"""Text of every state of a contract; the part before the colon is its short form."""

SHORT_STATES = {
    "stale": "Stale",
    "calm": "Calm",
    "watch": "Watch",
    "adl": "ADL",
    "exhausted": "Exhausted",
}
"""Short form of every state, for tables."""

ADL_STATES = {"adl", "exhausted"}

MINUTE_MS = 60_000


def utc(time_ms: int | None) -> str:
    """Return a time in UTC with milliseconds."""
    return NOTHING if time_ms is None else formatting.utc(time_ms)


def clock(time_ms: int | None) -> str:
    """Return the time of day in UTC with milliseconds."""
    return utc(time_ms).rpartition(" ")[2]


def window_length(window_ms: int) -> str:
    """Return the length of a fund's rolling window: '8 h', or '90 min' if not whole hours."""
    minutes = Decimal(window_ms) / MINUTE_MS
    return f"{minutes / 60:f} h" if minutes % 60 == 0 else f"{minutes.normalize():f} min"


def percent(ppm: int | str | None) -> str:
    """Return parts per million, an integer or its text, as percent."""
    return NOTHING if ppm is None else formatting.percent(int(ppm))


def humanize(name: str | None) -> str:
    """Return a name of the API as words: 'contract drawdown'; a pool is a fund on the screen."""
    return NOTHING if name is None else formatting.humanize(name).replace("pool", "fund")


def grouped(number: str | None) -> str:
    """Return HTML of a number with its thousands spaced apart; copying gives the plain number."""
    if number is None:
        return NOTHING
    sign = "-" if number.startswith("-") else ""
    whole, point, decimals = number.removeprefix("-").partition(".")
    first = len(whole) % 3 or 3
    groups = [whole[:first], *(whole[i : i + 3] for i in range(first, len(whole), 3))]
    inner = "".join(f"<span>{escape(group)}</span>" for group in groups)
    return f'<span class="number">{sign}{inner}{point}{escape(decimals)}</span>'


def money(amount: str | None) -> str:
    """Return HTML of an amount in cents, or four digits below 100; copying gives it exactly."""
    if amount is None:
        return NOTHING
    exact = Decimal(amount)
    rounded = f"{exact:.2f}" if abs(exact) >= 100 else f"{exact:.4g}"
    text = grouped(decimal_text(Decimal(rounded)))
    return (
        f'<span class="exact" title="{escape(amount)}" data-exact="{escape(amount)}">{text}</span>'
    )


def about(amount: Decimal) -> str:
    """Return an amount with three digits: '50.1k', '12.7M'.

    >>> about(Decimal("50123")), about(Decimal("-282.89"))
    ('50.1k', '-283')
    """
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if abs(amount) >= size:
            return f"{decimal_text(Decimal(f'{amount / size:.3g}'))}{unit}"
    return decimal_text(Decimal(f"{amount:.3g}"))


def duration(span_ms: int) -> str:
    """Return a span of time in its two largest units: '2 m 48 s'."""
    seconds = span_ms // 1000
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} m {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} m"


def pairs(values: dict[str, str]) -> str:
    """Return an HTML list of names and values; names are text, values HTML."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in values.items())
    return f'<dl class="pairs">{rows}</dl>'


def closed_text(total: AdlTotalResponse | None) -> str:
    """Return HTML of what ADL closed in a contract, and what it cost; None where it closed nothing.

    Notional and cost are in the settle asset.
    """
    if total is None:
        return "nothing closed"
    asset = escape(total.asset)
    return (
        f"{grouped(total.quantity)} closed, {money(total.notional)} {asset}, "
        f"on {count(total.accounts, 'account')} in {count(total.fills, 'fill')}, "
        f"cost against the mark {money(total.haircut)} {asset}"
    )


def indicator_dots(indicator: int | None) -> str:
    """Return an ADL indicator as dots and text: '●●●●○ 4 of 5'."""
    if indicator is None:
        return "not ranked"
    return f"{'●' * indicator}{'○' * (5 - indicator)} {indicator} of 5"


# --- contracts ---


def state_of(contract: ContractResponse) -> str:
    """Return a contract's state; 'stale' replaces every state but those of ADL."""
    if contract.stale and contract.state not in ADL_STATES:
        return "stale"
    return contract.state


def nearest_trigger(contract: ContractResponse) -> TriggerResponse | None:
    """Return the trigger that is on, otherwise the one of which most is used."""
    return max(
        contract.triggers, key=lambda trigger: (trigger.on, trigger.trigger_used_ppm), default=None
    )


def pnl_ratio(contract: ContractResponse) -> str:
    """Return the PnL ratio in percent: contract PnL below its peak, by the peak fund balance."""
    drawdown = contract.trigger("contract_drawdown")
    return percent(drawdown.numbers.get("pnl_ratio_ppm")) if drawdown else NOTHING


def banner_text(contract: ContractResponse) -> str:
    """Return one sentence on a contract: nearest trigger, inventory, stale mark and pause."""
    trigger = nearest_trigger(contract)
    text = "no trigger"
    if trigger is not None and trigger.on:
        text = f"{humanize(trigger.trigger)} since {clock(trigger.since_ms)}"
    elif trigger is not None:
        used = percent(trigger.trigger_used_ppm)
        text = f"{humanize(trigger.trigger)}: {used} of the trigger used"
    inventory = inventory_text(contract)
    if inventory:
        text += f"; the insurance fund holds {inventory}"
    if contract.status is not TradingStatus.TRADING:
        price = f" at {contract.settlement_price}" if contract.settlement_price else ""
        fund = "" if contract.fund_pays else ", the fund takes no part"
        text += f"; {humanize(contract.status)}{price}{fund}"
    if contract.stale:
        text += f"; no mark since {clock(contract.marked_ms)}"
    if contract.mark_rejected:
        text += "; the newest mark was rejected"
    if contract.mark_unconfirmed:
        text += (
            f"; the mark is unconfirmed (before: {grouped(contract.confirmed_mark)})"
            ": takeovers, unwinding and ADL are paused"
        )
    if contract.incomplete:
        text += "; incomplete: the newest row of a position was rejected"
    if contract.paused:
        text += "; ADL rounds are paused by the operator"
    return text


def inventory_text(contract: ContractResponse) -> str:
    """Return the insurance fund's inventory in a contract, or an empty text."""
    sides = (("long", contract.inventory_long), ("short", contract.inventory_short))
    return " and ".join(f"{quantity} {side}" for side, quantity in sides if Decimal(quantity))


def headroom(drawdown: TriggerResponse) -> Decimal:
    """Return how much more the contract may lose before its drawdown trigger starts ADL."""
    return Decimal(drawdown.numbers["contract_pnl"]) - trigger_level(drawdown, "start_ppm")


def trigger_level(drawdown: TriggerResponse, limit: str) -> Decimal:
    """Return the contract PnL at a limit of the drawdown: its peak + limit x peak fund balance."""
    numbers = drawdown.numbers
    share = Decimal(numbers[limit]).scaleb(-6) * Decimal(numbers["balance_peak"])
    return Decimal(numbers["contract_pnl_peak"]) + share
