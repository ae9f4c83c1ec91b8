"""The ADL of Hyperliquid on 2025-10-10, replayed under any rule set.

The user provides HyperReplay's file: one row per deleveraged position, in the venue's order. The
data have the queue of each coin from its front to the last fill, and no position behind; the
insurance fund is assumed. The total closed is therefore nearly determined, and the study measures
the order in which a rule set would have closed it. Each instant and each bankrupt account has a
book of its own. Positions that a rule set does not rank are counted, and left out under it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from delever.core.book import Book
from delever.core.engine import step
from delever.core.market.contract_terms import ContractTerms, terms_of
from delever.core.market.validation import Rejection
from delever.core.messages import (
    AdlFilled,
    BalanceRow,
    Command,
    ContractKind,
    DefineAccount,
    DefineContract,
    DefinePool,
    Event,
    PoolKind,
    PositionRow,
    Rejected,
    SetBalances,
    SetMarks,
    SetPositions,
    Takeover,
)
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import rank_side
from delever.core.units import format_scaled, parse_decimal
from delever.core.valuation.side_valuation import value_side
from delever.formatting import rejection_text
from delever.lab.errors import InputError, unknown
from delever.lab.studies.hyperliquid.dataset import (
    CASH_DECIMALS,
    CoinQueue,
    RecordedAdl,
    RecordedFill,
    exact,
    read_recorded_adl,
)
from delever.lab.studies.hyperliquid.rank_correlation import (
    ClosedPosition,
    fit_formulas,
    longest_nonincreasing_subsequence,
    spearman,
)

ASSET = "USDC"
POOL = "backstop"
Progress = Callable[[int, int], None]
"""Called with (steps done, steps in total)."""


QUEUE_RULE_SETS = tuple(
    name
    for name, rules in RULE_SETS.items()
    if any(case.trigger.name != "pnl_to_pool" for case in rules.cases)
)
"""Rule sets that close the inventory of a takeover against a queue, whatever the fund's balance.

Excluded are those that socialize losses, and GMX's, which closes positions whose PnL is too large a
part of their pool.
"""


@dataclass(frozen=True, slots=True)
class HyperliquidStudy:
    """The real event under several rule sets.

    `by_coin` has a row per queue (an instant, a bankrupt account, a coin) and rule set, `by_rules`
    one per rule set (means weighted by positions), `formulas` one per formula fitted to the real
    order, `marks` one per queue: the price at which the file values positions, if several accounts
    agree on it. `positions` are those that the rule set ranks, and `unexplained` the others: their
    quantities are not closed. `skipped` counts the rows of the file that no rule set could replay,
    by reason. Quantities are exact decimals as text.
    """

    by_coin: pl.DataFrame
    by_rules: pl.DataFrame
    formulas: pl.DataFrame
    marks: pl.DataFrame
    positions: int
    accounts: int
    instants: int
    repaired: tuple[str, ...]
    skipped: dict[str, int]


def replay(
    path: str | Path, rule_names: Iterable[str] | None = None, progress: Progress | None = None
) -> HyperliquidStudy:
    """Return the real queues under each rule set, by default under all `QUEUE_RULE_SETS`.

    Raises InputError for a file that cannot be read.
    """
    names = list(QUEUE_RULE_SETS if rule_names is None else rule_names)
    for name in names:
        if name not in RULE_SETS:
            raise unknown("rule set", name, RULE_SETS)
    recorded = read_recorded_adl(path)
    queues = recorded.queues
    total = len(names) * len(queues)
    records: list[dict[str, object]] = []
    for name in names:
        for instant in recorded.instants:
            records += _close_all(instant, name)
            if progress is not None:
                progress(len(records), total)
    by_coin = pl.DataFrame(records, schema=BY_COIN)
    fits = fit_formulas(
        [[closed_position(fill, queue) for fill in queue.fills] for queue in queues]
    )
    return HyperliquidStudy(
        by_coin=by_coin,
        by_rules=_by_rules(by_coin),
        formulas=pl.DataFrame([asdict(fit) for fit in fits]),
        marks=pl.DataFrame([_implied_mark(queue) for queue in queues], infer_schema_length=None),
        positions=sum(len(queue.fills) for queue in queues),
        accounts=len({account for each in recorded.instants for account in each.equity_cash}),
        instants=len({instant.time_ms for instant in recorded.instants}),
        repaired=tuple(dict.fromkeys(a for each in recorded.instants for a in each.repaired)),
        skipped=recorded.skipped,
    )


def _close_all(recorded: RecordedAdl, rules: str) -> list[dict[str, object]]:
    """Return the result of each queue of an instant under a rule set.

    A book that the engine rejects explains none of the rows.
    """
    try:
        book = build(recorded, rules)
        results = [close(book, recorded, queue) for queue in recorded.queues]
    except InputError:
        results = [_unexplained(queue) for queue in recorded.queues]
    return [
        {
            "coin": queue.coin,
            "rules": rules,
            "time_ms": recorded.time_ms,
            "side": queue.side,
            **result,
        }
        for queue, result in zip(recorded.queues, results, strict=True)
    ]


# --- the book ---


def build(recorded: RecordedAdl, rules: str) -> Book:
    """Return the book at the marks of an instant, with the positions of the bankrupt account.

    Wallets are set so that each account's equity at the marks is that of the file, to 10^-8.
    """
    book = Book()
    for command in commands(recorded, rules):
        _run(book, command)
    return book


def commands(recorded: RecordedAdl, rules: str) -> list[Command]:
    """Return the commands that make the book: an empty pool, and everything in the file."""
    time_ms = recorded.time_ms
    contracts = [_contract(queue, time_ms) for queue in recorded.queues]
    pool = DefinePool(time_ms=time_ms, pool=POOL, kind=PoolKind.SHARED, asset=ASSET, rules=rules)
    accounts = [*recorded.equity_cash, recorded.liquidated]
    balances = _wallets(recorded, contracts)
    return [
        *(DefineAccount(time_ms=time_ms, account=account) for account in accounts),
        pool,
        *contracts,
        SetMarks(
            strict=True,
            time_ms=time_ms,
            marks={queue.coin: queue.price for queue in recorded.queues},
        ),
        SetBalances(strict=True, time_ms=time_ms, version=1, balances=balances),
        SetPositions(
            strict=True,
            time_ms=time_ms,
            version=1,
            positions=tuple(
                row for queue in recorded.queues for row in _positions(recorded, queue)
            ),
        ),
    ]


def _contract(queue: CoinQueue, time_ms: int) -> DefineContract:
    return DefineContract(
        time_ms=time_ms,
        contract=queue.coin,
        kind=ContractKind.LINEAR,
        settle=ASSET,
        pool=POOL,
        tick_size=format_scaled(1, queue.price_decimals),
        lot_size=format_scaled(1, queue.size_decimals),
    )


def _terms(queue: CoinQueue, contract: DefineContract) -> ContractTerms:
    try:
        return terms_of(contract, CASH_DECIMALS)
    except Rejection:
        raise InputError(f"the decimals of {queue.coin} are too fine", value=queue.price) from None


def _wallets(recorded: RecordedAdl, contracts: list[DefineContract]) -> tuple[BalanceRow, ...]:
    """Return each account's equity less the unrealized PnL of its known positions at the marks."""
    balance = {**recorded.equity_cash, recorded.liquidated: 0}
    for queue, contract in zip(recorded.queues, contracts, strict=True):
        terms = _terms(queue, contract)
        mark = exact(queue.price, queue.price_decimals)
        for row in queue.fills:
            lots, entry = queue.lots(row.size), parse_decimal(row.entry) or (0, 0)
            cost = terms.cost_cash(queue.side, lots, entry)
            balance[row.account] -= terms.value_cash(queue.side.sign * lots, mark) - cost
    return tuple(
        BalanceRow(account=account, asset=ASSET, balance=format_scaled(cash, CASH_DECIMALS))
        for account, cash in balance.items()
    )


def _positions(recorded: RecordedAdl, queue: CoinQueue) -> list[PositionRow]:
    """Return positions in the file's order, and the one against which all of them were closed."""
    counterparties = [
        PositionRow(
            account=row.account,
            contract=queue.coin,
            side=queue.side,
            quantity=row.size,
            entry_price=row.entry,
        )
        for row in queue.fills
    ]
    return [*counterparties, _liquidated(recorded, queue, queue.fills)]


def _liquidated(
    recorded: RecordedAdl, queue: CoinQueue, fills: Sequence[RecordedFill]
) -> PositionRow:
    """Return the position of the bankrupt account that some fills were closed against."""
    return PositionRow(
        account=recorded.liquidated,
        contract=queue.coin,
        side=queue.side.opposite,
        quantity=format_scaled(queue.closed_lots(fills), queue.size_decimals),
        entry_price=_takeover_price(queue),
    )


def _takeover_price(queue: CoinQueue) -> str:
    """Return the price one tick beyond the mark, so that the pool takes over at a loss."""
    mark = exact(queue.price, queue.price_decimals)
    return format_scaled(mark - queue.side.sign, queue.price_decimals)


def _run(book: Book, command: Command) -> tuple[Event, ...]:
    events = step(book, command)
    if isinstance(events[0], Rejected):
        rejected = events[0]
        raise InputError(
            rejection_text(rejected.reason),
            column=rejected.field,
            value=rejected.value,
            reason=rejected.reason,
        )
    return events


# --- one queue under one rule set ---


def close(book: Book, recorded: RecordedAdl, queue: CoinQueue) -> dict[str, object]:
    """Take over the bankrupt account's position in one coin, and compare the ADL with the real one.

    Only as much is taken over as the venue closed of the positions that the rule set ranks.
    """
    scores = _scores(book, queue)
    explained = [fill for fill in queue.fills if fill.account in scores]
    if not explained:
        return _unexplained(queue)
    if len(explained) < len(queue.fills):
        row = _liquidated(recorded, queue, explained)
        _run(book, SetPositions(time_ms=recorded.time_ms, version=1, positions=(row,)))
    command = Takeover(
        time_ms=recorded.time_ms,
        account=recorded.liquidated,
        contract=queue.coin,
        price=_takeover_price(queue),
    )
    simulated: dict[str, int] = {}
    for event in _run(book, command):
        if isinstance(event, AdlFilled):
            simulated[event.account] = simulated.get(event.account, 0) + event.lots
    real = {fill.account: queue.lots(fill.closed) for fill in explained}
    real_lots = sum(real.values())
    overlap = sum(min(simulated.get(account, 0), lots) for account, lots in real.items())
    in_order = list(scores.values())
    return {
        "positions": len(explained),
        "unexplained": len(queue.fills) - len(explained),
        "real_quantity": format_scaled(real_lots, queue.size_decimals),
        "closed_quantity": format_scaled(sum(simulated.values()), queue.size_decimals),
        "accounts_closed": len(simulated),
        "overlap_quantity": overlap / real_lots,
        "overlap_accounts": len(simulated.keys() & real.keys()) / len(real),
        "rank_correlation": spearman(in_order),
        "ordered_share": longest_nonincreasing_subsequence(in_order) / len(explained),
    }


def _unexplained(queue: CoinQueue) -> dict[str, object]:
    """Return the result of a queue of which a rule set ranks nobody."""
    nothing = {"real_quantity": "0", "closed_quantity": "0", "accounts_closed": 0}
    return {"positions": 0, "unexplained": len(queue.fills), **nothing}


def _scores(book: Book, queue: CoinQueue) -> dict[str, float]:
    """Return the rule set's scores of the positions that it ranks, in the real order."""
    state = book.contracts[queue.coin]
    ranking = RULE_SETS[book.pool_of(state).definition.rules].ranking
    ranked = rank_side(value_side(book, state, queue.side), ranking)
    table = state.tables[queue.side]
    rows = {
        fill.account: table.row_of(book.accounts.index[fill.account], 0) for fill in queue.fills
    }
    return {
        account: float(ranked.score.value[row]) for account, row in rows.items() if ranked.rank[row]
    }


BY_COIN: dict[str, type[pl.DataType]] = {
    "coin": pl.String,
    "rules": pl.String,
    "time_ms": pl.Int64,
    "side": pl.String,
    "positions": pl.Int64,
    "unexplained": pl.Int64,
    "real_quantity": pl.String,
    "closed_quantity": pl.String,
    "accounts_closed": pl.Int64,
    "overlap_quantity": pl.Float64,
    "overlap_accounts": pl.Float64,
    "rank_correlation": pl.Float64,
    "ordered_share": pl.Float64,
}


def _by_rules(by_coin: pl.DataFrame) -> pl.DataFrame:
    """Return the summary of each rule set, means weighted by the positions of a coin."""

    def mean(name: str) -> pl.Expr:
        weight = pl.col("positions").filter(pl.col(name).is_not_null()).sum()
        return pl.when(weight > 0).then((pl.col(name) * pl.col("positions")).sum() / weight)

    equal = pl.col("closed_quantity") == pl.col("real_quantity")
    return by_coin.group_by("rules", maintain_order=True).agg(
        pl.col("positions").sum(),
        pl.col("unexplained").sum(),
        equal.sum().alias("coins_exact"),
        pl.len().alias("coins"),
        pl.col("accounts_closed").sum(),
        *(
            mean(name).alias(name)
            for name in (
                "overlap_quantity",
                "overlap_accounts",
                "rank_correlation",
                "ordered_share",
            )
        ),
    )


# --- the order and the marks of the file itself ---


def closed_position(fill: RecordedFill, queue: CoinQueue) -> ClosedPosition:
    """Return a fill in floats, which are for scores only."""
    price, entry, size = float(queue.price), float(fill.entry), abs(float(fill.size))
    cash = float(fill.cash)
    return ClosedPosition(
        price=price,
        entry=entry,
        notional=size * price,
        unrealized_pnl=queue.side.sign * size * (price - entry),
        equity=cash + float(fill.unrealized_pnl),
        cash=cash,
        side=queue.side,
    )


def _implied_mark(queue: CoinQueue) -> dict[str, object]:
    """Return the price at which the file values the coin, and the number of accounts that agree.

    The PnL of an account without another position is signed size x (mark - entry), which gives the
    mark; all such accounts must give the same one. None if no two do.
    """
    marks = [
        f"{float(fill.entry) + float(fill.unrealized_pnl) / float(fill.size):.5g}"
        for fill in queue.fills
    ]
    most = max(marks, key=marks.count)
    agreeing = marks.count(most)
    mark = float(most) if agreeing > 1 else None
    return {
        "coin": queue.coin,
        "closed_at": float(queue.price),
        "valued_at": mark,
        "accounts_agreeing": agreeing,
        "positions": len(queue.fills),
        "below": None if mark is None else 1 - mark / float(queue.price),
    }
