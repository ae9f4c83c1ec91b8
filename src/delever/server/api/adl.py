"""Routes out: the history of ADL in episodes, rounds and fills."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromQuery, PathParameter, QueryParameter

from delever.api_types.history import (
    AdlTotalResponse,
    EpisodeResponse,
    FillExplanationResponse,
    FillResponse,
    NettedResponse,
    RecomputeResponse,
    RoundResponse,
    TakeoverResponse,
    UnwindResponse,
    Waterfall,
)
from delever.core.messages import Side
from delever.core.units import Mark
from delever.formatting import ContractFormatter, decimal_text
from delever.journal import JournalError, SqliteJournal
from delever.journal.replay import advance_by_command, replay_events
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.fill_report import FillExplanation
from delever.rule_registry import installed_rule_sets, registry
from delever.server.api.formatting import numbers_of
from delever.server.api.history import pool_of, pool_values_of
from delever.server.api.market import contract_snapshot_of, formatter_of
from delever.server.api.requests.authorization import (
    check_can_read,
    masking_of,
    reads_everything,
    reads_market,
    reads_masked,
)
from delever.server.api.requests.dependencies import ApiServices, Services
from delever.server.api.requests.errors import AnyRequest, not_found
from delever.server.api.requests.masking import Masking
from delever.server.storage.queries import MAX_TIME_MS, SqlRows

MAX_ROWS = 1_000
"""Episodes or fills in one response at most."""

MAX_TOTALLED = 100_000
"""Fills that are totalled at most."""

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_ROWS)]
After = Annotated[int, QueryParameter(ge=0, le=MAX_TIME_MS)]
Id = Annotated[int, PathParameter(ge=0, le=MAX_TIME_MS)]


@get("/v1/adl", guards=[reads_market], tags=["adl"])
async def episodes(
    services: Services,
    contract: FromQuery[str | None] = None,
    before: After = MAX_TIME_MS,
    limit: Limit = 100,
) -> list[EpisodeResponse]:
    """Return ADL episodes, newest first, with ids below `before`."""
    await services.projector.current()
    rows = await services.queries.episodes(contract, before, limit)
    return [EpisodeResponse(**await _episode(services, row)) for row in rows]


@get("/v1/adl/{episode:int}", guards=[reads_masked], tags=["adl"])
async def episode(request: AnyRequest, services: Services, episode: Id) -> Waterfall:
    """Return one episode in full: takeovers, unwinds, the insurance fund, rounds with fills.

    Accounts that the caller may not read are masked.
    """
    await services.projector.current()
    row = await services.queries.episode(episode)
    if row is None:
        raise not_found("unknown_episode", "episode", episode)
    return masking_of(request).mask(await _waterfall(services, row))


@get("/v1/adl/rounds/{sequence:int}/recompute", guards=[reads_everything], tags=["adl"])
async def recompute(services: Services, sequence: Id) -> RecomputeResponse:
    """Run the command of a record again on the book before it, and compare the events."""
    response = await services.runner.look_up(lambda journal: _recomputed(journal, sequence))
    if response is None:
        raise not_found("unknown_record", "sequence", sequence)
    return response


@get("/v1/adl/totals", guards=[reads_market], tags=["adl"])
async def totals(
    services: Services, from_ms: After = 0, until_ms: After = MAX_TIME_MS
) -> list[AdlTotalResponse]:
    """Return what ADL closed in each contract in a time range, by contract.

    Of more than MAX_TOTALLED fills the newest count.
    """
    await services.projector.current()
    rows = await services.queries.fills_between(from_ms, until_ms, MAX_TOTALLED)
    of_contract: dict[str, list[Any]] = {}
    for row in rows:
        of_contract.setdefault(row.contract, []).append(row)
    return [_total(services, name, of_contract[name]) for name in sorted(of_contract)]


@get("/v1/fills", guards=[reads_market], tags=["adl"])
async def fills(
    request: AnyRequest,
    services: Services,
    account: FromQuery[str | None] = None,
    contract: FromQuery[str | None] = None,
    after: After = 0,
    limit: Limit = 100,
) -> list[FillResponse]:
    """Return ADL fills with ids above `after`, oldest first; without the role read, one's own."""
    check_can_read(request, account)
    await services.projector.current()
    rows = await services.queries.fills(account, contract, after, limit)
    masking = masking_of(request)
    return [masking.mask(_fill(services, row)) for row in rows]


@get("/v1/fills/{fill:int}", guards=[reads_market], tags=["adl"])
async def fill(request: AnyRequest, services: Services, fill: Id) -> FillExplanationResponse:
    """Return why an ADL fill closed its position, recomputed from the journal."""
    await services.projector.current()
    row = await services.queries.fill(fill)
    if row is None:
        raise not_found("unknown_fill", "fill", fill)
    check_can_read(request, row.account)
    try:
        why = await services.explainer.explain(fill)
    except UnknownNameError as error:
        raise not_found("unknown_fill", "fill", fill, str(error)) from None
    except InputError as error:
        raise JournalError(str(error)) from error
    why = _masked(why, masking_of(request))
    return FillExplanationResponse(
        fill=fill, record=why.sequence, recomputed=why.recomputed, facts=why.facts(), text=str(why)
    )


def _masked(why: FillExplanation, masking: Masking) -> FillExplanation:
    """Return the explanation with the names that the caller may read."""
    return replace(
        why,
        fill=masking.mask(why.fill),
        filled_before=tuple(map(masking.mask, why.filled_before)),
        skipped=tuple(map(masking.mask, why.skipped)),
    )


# --- episodes ---


def _total(services: ApiServices, contract: str, rows: Sequence[Any]) -> AdlTotalResponse:
    newest = _formatter(services, contract)
    quantity, haircut_cash = Decimal(0), 0
    for row in rows:
        formatter = newest.at(row.sequence)
        mark = _mark(row, formatter)
        quantity += formatter.exact_quantity(row.lots)
        haircut_cash += 0 if mark is None else _haircut_cash(row, formatter, mark)
    return AdlTotalResponse(
        contract=contract,
        asset=newest.terms.settle,
        fills=len(rows),
        accounts=len({row.account for row in rows}),
        quantity=decimal_text(quantity),
        notional=newest.cash(sum(abs(row.value_cash) for row in rows)),
        haircut=newest.cash(haircut_cash),
    )


def _formatter(services: ApiServices, contract: str) -> ContractFormatter:
    return formatter_of(contract_snapshot_of(services.runner.market_snapshot, contract))


def _numbers(formatter: ContractFormatter, encoded: str) -> dict[str, str]:
    return numbers_of(formatter, msgspec.json.decode(encoded))


async def _episode(services: ApiServices, row: Any) -> dict[str, Any]:
    formatter = _formatter(services, row.contract)
    stopped, stop = row.stop_numbers, formatter.at(row.stopped_sequence or 0)
    return {
        "episode": row.episode,
        "contract": row.contract,
        "pool": row.pool,
        "trigger": row.trigger,
        "reason": row.reason,
        "started_sequence": row.started_sequence,
        "started_ms": row.started_ms,
        "stopped_sequence": row.stopped_sequence,
        "stopped_ms": row.stopped_ms,
        "numbers": _numbers(formatter.at(row.started_sequence), row.numbers),
        "stop_numbers": None if stopped is None else _numbers(stop, stopped),
        "fills": int(row.fills),
        "quantity": await _quantity_closed(services, row, formatter),
        "notional": formatter.cash(int(row.value_cash)),
        "accounts": int(row.accounts),
    }


async def _quantity_closed(services: ApiServices, row: Any, formatter: ContractFormatter) -> str:
    """Return the quantity that an episode closed; its lots may have changed in between."""
    if not formatter.terms.former:
        return formatter.quantity(int(row.lots))
    _, fills = await services.queries.rounds(row.episode)
    valid = [fill for fill in fills if fill.cancelled_sequence is None]
    quantities = (formatter.at(fill.sequence).exact_quantity(fill.lots) for fill in valid)
    return decimal_text(sum(quantities, Decimal(0)))


async def _waterfall(services: ApiServices, row: Any) -> Waterfall:
    """Return an episode with its rounds, fills, takeovers, unwinds and netted inventory."""
    formatter, queries = _formatter(services, row.contract), services.queries
    last = row.stopped_sequence or services.projector.sequence
    rounds, fills = await queries.rounds(row.episode)
    of_fills = await queries.takeovers(sorted({fill.takeover for fill in fills}))
    flows = await queries.inventory_flows(row.contract, row.started_sequence, last)
    since, unwinds, netted = flows
    takeovers = {taken.takeover: taken for taken in (*of_fills, *since)}
    before, after = await queries.pool_around(row.pool, row.started_sequence, last)
    pool = pool_of(services.runner.market_snapshot, row.pool)
    hashes = await services.runner.look_up(lambda journal: _hashes(journal, rounds))
    return Waterfall(
        **await _episode(services, row),
        takeovers=tuple(_takeover(taken, formatter) for _, taken in sorted(takeovers.items())),
        unwinds=tuple(_unwind(unwound, formatter) for unwound in unwinds),
        netted=tuple(_netted(pair, formatter) for pair in netted),
        pool_before=None if before is None else pool_values_of(before, pool),
        pool_after=None if after is None else pool_values_of(after, pool),
        rounds=tuple(_round(services, row, fills, hashes, formatter) for row in rounds),
    )


def _hashes(journal: SqliteJournal, rounds: SqlRows) -> dict[int, str]:
    records = (journal.intact_record(sequence) for sequence in {row.sequence for row in rounds})
    return {record.sequence: record.hash.hex() for record in records if record is not None}


def _takeover(row: Any, formatter: ContractFormatter) -> TakeoverResponse:
    formatter = formatter.at(row.sequence)
    return TakeoverResponse(
        takeover=row.takeover,
        sequence=row.sequence,
        time_ms=row.time_ms,
        side=row.side,
        account=row.account,
        position=row.position,
        quantity=formatter.quantity(row.lots),
        price=formatter.price(row.price_ticks),
        to_pool=formatter.cash(row.to_pool_cash),
        reason=row.reason,
    )


def _unwind(row: Any, formatter: ContractFormatter) -> UnwindResponse:
    formatter = formatter.at(row.sequence)
    return UnwindResponse(
        takeover=row.takeover,
        sequence=row.sequence,
        time_ms=row.time_ms,
        side=row.side,
        quantity=formatter.quantity(row.lots),
        price=formatter.price(row.price_ticks),
        realized_pnl=formatter.cash(row.realized_pnl_cash),
    )


def _netted(row: Any, formatter: ContractFormatter) -> NettedResponse:
    return NettedResponse(
        sequence=row.sequence,
        time_ms=row.time_ms,
        long_takeover=row.long_takeover,
        short_takeover=row.short_takeover,
        quantity=formatter.quantity(row.lots),
        mark=formatter.price(row.mark_ticks),
        realized_pnl=formatter.cash(row.realized_pnl_cash),
    )


def _round(
    services: ApiServices,
    row: Any,
    fills: SqlRows,
    hashes: dict[int, str],
    formatter: ContractFormatter,
) -> RoundResponse:
    key, formatter = (row.sequence, row.event_index), formatter.at(row.sequence)
    return RoundResponse(
        sequence=row.sequence,
        time_ms=row.time_ms,
        hash=hashes.get(row.sequence, ""),
        side=row.side,
        trigger=row.trigger,
        price_rule=row.price_rule,
        numbers=_numbers(formatter, row.numbers),
        wanted=formatter.quantity(row.wanted_lots),
        filled=formatter.quantity(row.filled_lots),
        unfilled=formatter.quantity(row.wanted_lots - row.filled_lots),
        rounding_residual=formatter.cash(row.rounding_residual_cash),
        unfunded=formatter.cash(row.unfunded_cash),
        counterparties=row.counterparties,
        fills=tuple(
            _fill(services, fill) for fill in fills if (fill.sequence, fill.round_index) == key
        ),
    )


def _fill(services: ApiServices, row: Any) -> FillResponse:
    formatter = _formatter(services, row.contract).at(row.sequence)
    mark = _mark(row, formatter)
    return FillResponse(
        fill=row.fill,
        sequence=row.sequence,
        time_ms=row.time_ms,
        episode=row.episode,
        contract=row.contract,
        pool=row.pool,
        side=row.side,
        account=row.account,
        position=row.position,
        quantity=formatter.quantity(row.lots),
        price=formatter.price(row.price_ticks),
        mark=None if mark is None else formatter.price(mark),
        notional=formatter.cash(abs(row.value_cash)),
        haircut=None if mark is None else formatter.cash(_haircut_cash(row, formatter, mark)),
        price_rule=row.price_rule,
        realized_pnl=formatter.cash(row.realized_pnl_cash),
        pool_realized_pnl=formatter.cash(row.pool_realized_pnl_cash),
        fee=formatter.cash(row.fee_cash),
        takeover=row.takeover,
        liquidated_account=row.liquidated_account,
        rank=row.rank,
        score=row.score,
        indicator=row.indicator,
        quantity_ahead=formatter.quantity(row.quantity_ahead_lots),
        cancelled_sequence=row.cancelled_sequence,
    )


def _mark(row: Any, formatter: ContractFormatter) -> Mark | None:
    """Return the mark at which a fill was executed, None where the history has none."""
    if row.mark_ticks is None:
        return None
    return formatter.terms.join_mark(row.mark_ticks, row.mark_fraction)


def _haircut_cash(row: Any, formatter: ContractFormatter, mark: Mark) -> int:
    """Return what a fill's counterparty lost against the mark in Cash."""
    lots = Side(row.side).sign * row.lots
    return int(formatter.terms.trade_cash(lots, mark)) - int(row.value_cash)


def _recomputed(journal: SqliteJournal, sequence: int) -> RecomputeResponse | None:
    """Replay the journal up to a record and run its command; None where there is no record."""
    record = journal.intact_record(sequence)
    if record is None:
        return None
    own = registry(installed_rule_sets())
    before = replay_events(journal, until=sequence - 1, registry=own)
    finding = before.finding or advance_by_command(before.book, record)
    return RecomputeResponse(
        sequence=sequence,
        hash=record.hash.hex(),
        matches=finding is None,
        difference=None if finding is None else str(finding),
    )


ROUTES = [episodes, episode, totals, recompute, fills, fill]
