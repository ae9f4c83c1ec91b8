"""Out: ADL as it was. Episodes from start to stop, rounds, fills."""

from dataclasses import replace
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromQuery, PathParameter, QueryParameter

from delever.api_types.history import (
    Episode,
    ExplainedFill,
    FillShown,
    Recomputed,
    RoundShown,
    TakeoverShown,
    UnwindShown,
    Waterfall,
)
from delever.formatting import Figures
from delever.journal import JournalError, SqliteJournal
from delever.journal.replay import advance_by_command, replay_events
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.queries.fill_explanation import explain_fill_of
from delever.lab.queries.fill_report import WhyFilled
from delever.server.api.authorization import (
    check_sees,
    reads_everything,
    reads_market,
    reads_masked,
    sight_of,
)
from delever.server.api.dependencies import Parts, PartsOf
from delever.server.api.errors import AnyRequest, unknown
from delever.server.api.formatting import numbers_of
from delever.server.api.history import point_of, pool_of
from delever.server.api.market import contract_shown, figures_of
from delever.server.api.masking import Sight
from delever.server.storage.queries import EVER_MS, Rows

PAGE = 1_000
"""Episodes or fills that one answer holds at the most."""

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE)]
After = Annotated[int, QueryParameter(ge=0, le=EVER_MS)]
Number = Annotated[int, PathParameter(ge=0, le=EVER_MS)]


@get("/v1/adl", guards=[reads_market], tags=["adl"])
async def episodes(
    parts: PartsOf,
    contract: FromQuery[str | None] = None,
    before: After = EVER_MS,
    limit: Limit = 100,
) -> list[Episode]:
    """Return ADL episodes, newest first; `before` an episode goes on to older ones."""
    await parts.history.current()
    rows = await parts.past.episodes(contract, before, limit)
    return [Episode(**_episode(parts, row)) for row in rows]


@get("/v1/adl/{episode:int}", guards=[reads_masked], tags=["adl"])
async def episode(request: AnyRequest, parts: PartsOf, episode: Number) -> Waterfall:
    """Return one episode from top to bottom: takeovers, unwinds, the pool, rounds with fills.

    Accounts that the caller does not see are masked.
    """
    await parts.history.current()
    row = await parts.past.episode(episode)
    if row is None:
        raise unknown("episode_is_unknown", "episode", episode)
    return sight_of(request).told(await _waterfall(parts, row))


@get("/v1/adl/rounds/{sequence:int}/recompute", guards=[reads_everything], tags=["adl"])
async def recompute(parts: PartsOf, sequence: Number) -> Recomputed:
    """Run a record's command again on the book of that moment, and compare all that follows."""
    told = await parts.runner.look_up(lambda journal: _recomputed(journal, sequence))
    if told is None:
        raise unknown("record_is_unknown", "sequence", sequence)
    return told


@get("/v1/fills", guards=[reads_market], tags=["adl"])
async def fills(
    request: AnyRequest,
    parts: PartsOf,
    account: FromQuery[str | None] = None,
    contract: FromQuery[str | None] = None,
    after: After = 0,
    limit: Limit = 100,
) -> list[FillShown]:
    """Return ADL fills after a number, oldest first; without the role read, an account's own."""
    check_sees(request, account)
    await parts.history.current()
    rows = await parts.past.fills(account, contract, after, limit)
    sight = sight_of(request)
    return [sight.told(_fill(parts, row)) for row in rows]


@get("/v1/fills/{fill:int}", guards=[reads_market], tags=["adl"])
async def fill(request: AnyRequest, parts: PartsOf, fill: Number) -> ExplainedFill:
    """Return why a fill closed whom it closed, computed again from the journal."""
    await parts.history.current()
    row = await parts.past.fill(fill)
    if row is None:
        raise unknown("unknown_fill", "fill", fill)
    check_sees(request, row.account)
    try:
        why = await parts.runner.look_up(lambda journal: explain_fill_of(journal, fill))
    except UnknownNameError as error:
        raise unknown("unknown_fill", "fill", fill, str(error)) from None
    except InputError as error:
        raise JournalError(str(error)) from error
    why = _masked(why, sight_of(request))
    return ExplainedFill(
        fill=fill, record=why.sequence, recomputed=why.recomputed, facts=why.facts(), text=str(why)
    )


def _masked(why: WhyFilled, sight: Sight) -> WhyFilled:
    """Return the same with the names that the caller is told."""
    return replace(
        why,
        fill=sight.told(why.fill),
        ahead=tuple(map(sight.told, why.ahead)),
        skipped=tuple(map(sight.told, why.skipped)),
    )


# --- episodes ---


def _figures(parts: Parts, contract: str) -> Figures:
    return figures_of(contract_shown(parts.runner.board, contract))


def _numbers(figures: Figures, encoded: str) -> dict[str, str]:
    return numbers_of(figures, msgspec.json.decode(encoded))


def _episode(parts: Parts, row: Any) -> dict[str, Any]:
    figures = _figures(parts, row.contract)
    stopped = row.stop_numbers
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
        "numbers": _numbers(figures, row.numbers),
        "stop_numbers": None if stopped is None else _numbers(figures, stopped),
        "fills": int(row.fills),
        "quantity": figures.quantity(int(row.lots)),
        "accounts": int(row.accounts),
    }


async def _waterfall(parts: Parts, row: Any) -> Waterfall:
    """Return an episode's rounds and fills, and all that led to them."""
    figures, past = _figures(parts, row.contract), parts.past
    last = row.stopped_sequence or parts.history.sequence
    told, closed = await past.rounds(row.episode)
    taken = await past.brought(sorted({each.takeover for each in closed}))
    since, unwound = await past.moves(row.contract, row.started_sequence, last)
    known = {each.takeover: each for each in (*taken, *since)}
    before, after = await past.pool_around(row.pool, row.started_sequence, last)
    pool = pool_of(parts.runner.board, row.pool)
    hashes = await parts.runner.look_up(lambda journal: _hashes(journal, told))
    return Waterfall(
        **_episode(parts, row),
        takeovers=tuple(_takeover(each, figures) for _, each in sorted(known.items())),
        unwinds=tuple(_unwind(each, figures) for each in unwound),
        pool_before=None if before is None else point_of(before, pool),
        pool_after=None if after is None else point_of(after, pool),
        rounds=tuple(_round(parts, each, closed, hashes, figures) for each in told),
    )


def _hashes(journal: SqliteJournal, rounds: Rows) -> dict[int, str]:
    records = (journal.record(sequence) for sequence in {each.sequence for each in rounds})
    return {record.sequence: record.hash.hex() for record in records if record is not None}


def _takeover(row: Any, figures: Figures) -> TakeoverShown:
    return TakeoverShown(
        takeover=row.takeover,
        sequence=row.sequence,
        time_ms=row.time_ms,
        side=row.side,
        account=row.account,
        position=row.position,
        quantity=figures.quantity(row.lots),
        price=figures.price(row.price_ticks),
        to_pool=figures.cash(row.to_pool_cash),
        reason=row.reason,
    )


def _unwind(row: Any, figures: Figures) -> UnwindShown:
    return UnwindShown(
        takeover=row.takeover,
        sequence=row.sequence,
        time_ms=row.time_ms,
        side=row.side,
        quantity=figures.quantity(row.lots),
        price=figures.price(row.price_ticks),
        realized=figures.cash(row.realized_pnl_cash),
    )


def _round(
    parts: Parts, row: Any, closed: Rows, hashes: dict[int, str], figures: Figures
) -> RoundShown:
    place = row.sequence, row.place
    return RoundShown(
        sequence=row.sequence,
        time_ms=row.time_ms,
        hash=hashes.get(row.sequence, ""),
        side=row.side,
        trigger=row.trigger,
        price_rule=row.price_rule,
        numbers=_numbers(figures, row.numbers),
        wanted=figures.quantity(row.wanted_lots),
        filled=figures.quantity(row.filled_lots),
        left=figures.quantity(row.wanted_lots - row.filled_lots),
        rounding_residual=figures.cash(row.rounding_residual_cash),
        counterparties=row.counterparties,
        fills=tuple(
            _fill(parts, each) for each in closed if (each.sequence, each.round_place) == place
        ),
    )


def _fill(parts: Parts, row: Any) -> FillShown:
    figures = _figures(parts, row.contract)
    return FillShown(
        fill=row.fill,
        sequence=row.sequence,
        time_ms=row.time_ms,
        episode=row.episode,
        contract=row.contract,
        pool=row.pool,
        side=row.side,
        account=row.account,
        position=row.position,
        quantity=figures.quantity(row.lots),
        price=figures.price(row.price_ticks),
        price_rule=row.price_rule,
        realized=figures.cash(row.realized_pnl_cash),
        pool_realized_pnl=figures.cash(row.pool_realized_pnl_cash),
        fee=figures.cash(row.fee_cash),
        takeover=row.takeover,
        liquidated_account=row.liquidated_account,
        rank=row.rank,
        score=row.score,
        indicator=row.indicator,
        ahead=figures.quantity(row.quantity_ahead_lots),
        cancelled_sequence=row.cancelled_sequence,
    )


def _recomputed(journal: SqliteJournal, sequence: int) -> Recomputed | None:
    """Replay the journal up to a record and run its command; None where there is no record."""
    record = journal.record(sequence)
    if record is None:
        return None
    before = replay_events(journal, until=sequence - 1)
    finding = before.finding or advance_by_command(before.book, record)
    return Recomputed(
        sequence=sequence,
        hash=record.hash.hex(),
        same=finding is None,
        differs=None if finding is None else str(finding),
    )


ROUTES = [episodes, episode, recompute, fills, fill]
