"""What every step measures, checked: depth, pools, and the starts and stops of triggers."""

from collections.abc import Collection

import trigger_oracle
from event_reader import Reader
from model import Contract, Model, same

from delever.core import messages as m


def check_depth(reader: Reader) -> None:
    """Expect an event where depth begins or ceases to suffice for inventory."""
    for contract in reader.model.contracts.values():
        if contract.depth_known and not contract.unconfirmed:
            for side, missing in trigger_oracle.depth_is_missing(reader.model, contract).items():
                if missing != (contract.missing_since[side] is not None):
                    name = contract.name
                    reader.take(
                        m.DepthSufficiencySet(contract=name, side=side, sufficient=not missing)
                    )


def check_pools(reader: Reader, names: Collection[str] | None = None) -> None:
    """Expect an observation of each pool, of these names, whose numbers have changed."""
    for name, pool in sorted(reader.model.pools.items()):
        if names is not None and name not in names:
            continue
        members = [c for c in reader.model.members(name) if is_monitored(reader.model, c)]
        observed = m.PoolObserved(
            pool=name,
            balance_cash=pool.balance,
            equity_cash=reader.model.pool_equity(name),
            contracts=tuple(c.name for c in members),
            contract_pnl_cash=tuple(c.contract_pnl for c in members),
        )
        if observed != pool.observed:
            reader.take(observed)


def is_monitored(model: Model, contract: Contract) -> bool:
    """Return whether a contract has ever had inventory, PnL or a trigger in its pool."""
    if contract.status == "settled":
        return False
    if contract.has_inventory or contract.realized or contract.injected:
        return True
    waits = any(ms is not None for ms in contract.missing_since.values())
    if contract.active or contract.warned or waits:
        return True
    return contract.name in model.pools[contract.pool].monitored


def check_all_triggers(reader: Reader) -> None:
    """Check the triggers of each contract that is monitored."""
    for contract in reader.model.contracts.values():
        if is_monitored(reader.model, contract):
            check_triggers(reader, contract)


def check_triggers(reader: Reader, contract: Contract) -> None:
    """Expect the starts and stops of one contract's triggers, and warnings."""
    model = reader.model
    if contract.unconfirmed:
        return
    for trigger in trigger_oracle.TRIGGERS[model.pools[contract.pool].venue]:
        evaluation = trigger_oracle.evaluate(model, contract, trigger)
        if trigger in contract.active:
            if evaluation.stops:
                _expect_switch(reader, m.AdlStopped, contract, trigger)
        elif evaluation.starts:
            _expect_switch(reader, m.AdlStarted, contract, trigger)
            if len(contract.active) == 1:
                for pool in _unallocated(model, contract.settle):
                    _expect_notice(reader, m.NoticeKind.FUND_UNALLOCATED, contract, pool)
        elif trigger not in contract.warned and evaluation.used >= trigger_oracle.WARNING:
            _expect_notice(reader, m.NoticeKind.ADL_WARNING, contract, trigger)
        elif trigger in contract.warned and evaluation.used < trigger_oracle.WARNING_CLEARED:
            _expect_notice(reader, m.NoticeKind.ADL_WARNING_CLEARED, contract, trigger)


def _expect_switch(
    reader: Reader, kind: type[m.AdlStarted | m.AdlStopped], contract: Contract, trigger: str
) -> None:
    event = reader.expect_next(kind, contract.name, trigger)
    found = (event.contract, event.pool, event.trigger, event.reason)
    reason = trigger_oracle.REASONS[trigger]
    same("start or stop", found, (contract.name, contract.pool, trigger, reason))
    reader.consume()


def _expect_notice(reader: Reader, kind: m.NoticeKind, contract: Contract, subject: str) -> None:
    event = reader.expect_next(m.Notice, kind, contract.name, subject)
    found = (event.kind, event.subject, event.account, event.contract)
    same("notice", found, (kind, subject, "", contract.name))
    reader.consume()


def _unallocated(model: Model, asset: str) -> list[str]:
    """Return the pools of an asset whose money no position and no inventory can use."""
    funded = [name for name, p in model.pools.items() if p.asset == asset and p.balance > 0]
    used = {
        contract.pool
        for contract in model.contracts.values()
        if contract.has_inventory or any(contract.positions.values())
    }
    return [name for name in funded if name not in used]
