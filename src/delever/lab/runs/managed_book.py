"""A copy of a book whose pools manage liquidation, under other rules and with other balances.

The copy keeps positions, inventory and the past of the funds; a fund with another balance starts
its peaks again there. Only events of the engine change it.
"""

from collections.abc import Iterable, Mapping

import msgspec

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.pool_state import PoolState
from delever.core.engine import step
from delever.core.intake.live_terms.amendments import amend_pool
from delever.core.messages import Amount, FundingReason, Rejected, TriggerLimits
from delever.core.rules import RuleSet, rule_sets_of, rules_digest
from delever.core.units import format_scaled
from delever.formatting import rejection_text
from delever.lab.errors import InputError
from delever.lab.queries.position_queries import rule_set, venue_of
from delever.lab.tables.defaults import Pool, pool_balances
from delever.rule_registry import own_registry

UNCAPPED = (
    "{rules}: its venue publishes neither vault_cap nor loss_threshold and not both are given: "
    "the vault pays until its equity is negative."
)
"""The note of a run in which the caps of a vault are assumed."""

NOTE = "simulation"


def managed_copy(
    book: Book,
    rules: str | RuleSet | None = None,
    pool: Pool | None = None,
    caps: Mapping[str, Amount] | None = None,
) -> tuple[Book, tuple[str, ...]]:
    """Return a copy of the book with managed pools, and what was assumed of them.

    `rules` replaces the rule set of every pool, and drops the limits of another venue; `pool` are
    balances, `caps` the limits of a vault. Raises InputError and UnknownNameError.
    """
    copied = book.copy()
    own = own_registry([rules] if isinstance(rules, RuleSet) else [])
    copied.use_registry({**book.registry, **own})
    name = None if rules is None else rule_set(rules, rule_sets_of(copied)).name
    definitions = {
        pool.name: _definition(pool, name or pool.definition.rules)
        for pool in copied.pools.values()
    }
    _drop_foreign_limits(copied, definitions)
    assets = {pool.name: pool.asset for pool in copied.pools.values()}
    balances = {} if pool is None else pool_balances(pool, assets)
    notes = _cap_vaults(copied, definitions, balances, caps or {})
    for pool_name, definition in definitions.items():
        _redefine(copied, definition, balances.get(pool_name))
    return copied, notes


def _definition(pool: PoolState, rules: str) -> m.DefinePool:
    """Return the definition of a managed pool under a rule set."""
    foreign = venue_of(rules) != venue_of(pool.definition.rules)
    limits = TriggerLimits() if foreign else pool.definition.limits
    return msgspec.structs.replace(pool.definition, rules=rules, limits=limits, managed=True)


def _drop_foreign_limits(book: Book, definitions: Mapping[str, m.DefinePool]) -> None:
    """Drop the limits of contracts whose pool gets the rules of another venue."""
    for state in book.contracts.values():
        former = book.pool_of(state).definition.rules
        if venue_of(definitions[state.pool].rules) == venue_of(former):
            continue
        definition = msgspec.structs.replace(state.definition, limits=TriggerLimits())
        if definition != state.definition:
            book.apply(
                m.ContractAmended(
                    contract=state.name,
                    definition=definition,
                    price_unit=state.price_unit,
                    note=NOTE,
                )
            )


def _redefine(book: Book, definition: m.DefinePool, balance: Amount | None) -> None:
    """Give a pool its definition and, if there is one, its balance."""
    cash = _checked(book, definition, balance)
    pool = book.pools[definition.pool]
    amendment = m.AmendPool(time_ms=0, pool=pool.name, note=NOTE)
    for event in [*amend_pool(book, amendment, definition)]:  # stops triggers of former rules
        book.apply(event)
    if balance is None:
        return
    if pool.collateral:
        why = "has collateral of accounts, so its balance cannot be replaced"
        raise InputError(why, column="pool", value=pool.name)
    digest = rules_digest(book, definition.rules)
    book.apply(_funded(pool.name, -pool.balance))
    book.apply(m.PoolDefined(definition=definition, rules_digest=digest))
    book.apply(_funded(pool.name, cash))


def _funded(pool: str, amount_cash: int) -> m.PoolFunded:
    reason = FundingReason.CORRECTION
    return m.PoolFunded(pool=pool, contract=None, amount_cash=amount_cash, reason=reason, note=NOTE)


def _checked(book: Book, definition: m.DefinePool, balance: Amount | None) -> int:
    """Return a balance in Cash; raises InputError if the engine rejects it or the definition."""
    scratch = Book(book.registry)
    decimals = book.cash_decimals(definition.asset)
    fund = m.FundPool(
        time_ms=0, pool=definition.pool, amount=balance or 0, reason=FundingReason.CORRECTION
    )
    asset = m.DefineAsset(time_ms=0, asset=definition.asset, cash_decimals=decimals)
    funded = [fund] if str(balance or 0).strip("+-0.") else []
    for command in (asset, msgspec.structs.replace(definition, time_ms=0), *funded):
        for event in step(scratch, command):
            if isinstance(event, Rejected):
                raise InputError(
                    rejection_text(event.reason),
                    file=f"pool {definition.pool}",
                    column="balance" if command is fund else event.field,
                    value=event.value,
                    reason=event.reason,
                )
    return scratch.pools[definition.pool].balance


# --- limits of vaults ---


def given_caps(**caps: Amount | None) -> dict[str, Amount]:
    """Return the limits that are given."""
    return {name: cap for name, cap in caps.items() if cap is not None}


def check_read(caps: Mapping[str, Amount], chosen: Iterable[RuleSet]) -> None:
    """Raise InputError for a cap that none of the rule sets reads."""
    read = {name for rules in chosen for name in rules.managed_limits}
    for name, cap in caps.items():
        if name not in read:
            raise InputError("is a limit that no chosen rule set reads", column=name, value=cap)


def _cap_vaults(
    book: Book,
    definitions: dict[str, m.DefinePool],
    balances: Mapping[str, Amount],
    caps: Mapping[str, Amount],
) -> tuple[str, ...]:
    """Set the limits that managed pools need: those given, else the pool's own, else the vault.

    Returns a note for each rule set that has one of them assumed.
    """
    known = rule_sets_of(book)
    check_read(caps, (rule_set(each.rules, known) for each in definitions.values()))
    assumed: dict[str, str] = {}
    for name, definition in definitions.items():
        pool = book.pools[name]
        balance = format_scaled(pool.balance, book.cash_decimals(pool.asset))
        threshold = str(balances.get(name, balance))
        in_debt = threshold.startswith("-")
        whole = {"vault_cap": "1", "loss_threshold": "0" if in_debt else threshold}
        limits = {}
        for limit in rule_set(definition.rules, known).managed_limits:
            if limit in caps:
                limits[limit] = caps[limit]
            elif getattr(definition.limits, limit) is None:
                limits[limit] = whole[limit]
                assumed[definition.rules] = UNCAPPED.format(rules=definition.rules)
        capped = msgspec.structs.replace(definition.limits, **limits)
        definitions[name] = msgspec.structs.replace(definition, limits=capped)
    return tuple(assumed.values())
