"""The limits of a trigger in exact numbers."""

import functools
from dataclasses import dataclass, fields
from operator import attrgetter

from delever.core.messages import Amount, DefinePool, TriggerLimits
from delever.core.units import parse_decimal, scaled

UNSET = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in exact numbers; an UNSET limit is that of the pool, or else of the rule set."""

    start_ppm: int = UNSET
    stop_ppm: int = UNSET
    trigger_threshold_cash: int = UNSET
    wait_ms: int = UNSET
    stop_equity_cash: int = UNSET
    takeover_loss_cash: int = UNSET
    contract_daily_loss_ppm: int = UNSET
    pool_daily_loss_ppm: int = UNSET
    vault_cap_ppm: int = UNSET
    loss_threshold_cash: int = UNSET
    backlog_cash: int = UNSET

    def __reduce__(self) -> tuple[type["Limits"], tuple[object, ...]]:
        """Return what a copy takes, faster than a dataclass does by itself."""
        return Limits, _fields_of(self)

    def over(self, general: "Limits") -> "Limits":
        """Return these limits, completed by more general ones."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        unset = [name for name, limit in own.items() if limit == UNSET]
        return Limits(**own | {name: getattr(general, name) for name in unset})


_fields_of = attrgetter(*(field.name for field in fields(Limits)))


@functools.lru_cache(maxsize=256)
def exact_limits(limits: TriggerLimits, cash_decimals: int) -> Limits:
    """Return validated limits in exact numbers; most contracts of a venue share their limits."""

    def exact(amount: Amount | None, decimals: int) -> int:
        number = None if amount is None else parse_decimal(amount)
        scaled_amount = None if number is None else scaled(number, decimals)
        return UNSET if scaled_amount is None else scaled_amount

    return Limits(
        start_ppm=exact(limits.start, 6),
        stop_ppm=exact(limits.stop, 6),
        trigger_threshold_cash=exact(limits.trigger_threshold, cash_decimals),
        wait_ms=UNSET if limits.wait_ms is None else limits.wait_ms,
        stop_equity_cash=exact(limits.stop_equity, cash_decimals),
        takeover_loss_cash=exact(limits.takeover_loss, cash_decimals),
        contract_daily_loss_ppm=exact(limits.contract_daily_loss, 6),
        pool_daily_loss_ppm=exact(limits.pool_daily_loss, 6),
        vault_cap_ppm=exact(limits.vault_cap, 6),
        loss_threshold_cash=exact(limits.loss_threshold, cash_decimals),
        backlog_cash=exact(limits.backlog, cash_decimals),
    )


def slippage_ppm(definition: DefinePool) -> int:
    """Return a pool's maximum slippage from the mark in ppm."""
    slippage = parse_decimal(definition.max_slippage)
    return (slippage and scaled(slippage, 6)) or 0
