"""The ADL of Hyperliquid on 2025-10-10, replayed under any rule set.

The user provides HyperReplay's file: one row per deleveraged position, in the venue's order. The
data have the queue of each coin from its front to the last fill, and no position behind; the
insurance fund is assumed. The total closed is therefore nearly determined, and the study measures
the order in which a rule set would have closed it.
"""

from collections.abc import Callable, Iterable
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
    Side,
    Takeover,
)
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import rank_side
from delever.core.units import format_scaled, parse_decimal
from delever.core.valuation.side_valuation import value_side
from delever.formatting import rejection_text
from delever.lab.errors import InputError, unknown
from delever.lab.studies.hyperliquid_dataset import (
    CASH_DECIMALS,
    CoinQueue,
    RecordedAdl,
    RecordedFill,
    exact,
    read_recorded_adl,
)
from delever.lab.studies.rank_correlation import (
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

    `by_coin` has a row per coin and rule set, `by_rules` one per rule set (means weighted by
    positions), `formulas` one per formula fitted to the real order, `marks` one per coin: the price
    at which the file values positions, if several accounts agree on it. Quantities are exact
    decimals as text.
    """

    by_coin: pl.DataFrame
    by_rules: pl.DataFrame
    formulas: pl.DataFrame
    marks: pl.DataFrame
    positions: int
    accounts: int
    repaired: tuple[str, ...]


def replay(
    path: str | Path, rule_names: Iterable[str] | None = None, progress: Progress | None = None
) -> HyperliquidStudy:
    """Return the real queues under each rule set, by default under all `QUEUE_RULE_SETS`.

    Raises InputError, naming row and column, for an invalid file.
    """
    names = list(QUEUE_RULE_SETS if rule_names is None else rule_names)
    for name in names:
        if name not in RULE_SETS:
            raise unknown("rule set", name, RULE_SETS)
    recorded = read_recorded_adl(path)
    total = len(names) * len(recorded.queues)
    records: list[dict[str, object]] = []
    for name in names:
        book = build(recorded, name)
        for queue in recorded.queues:
            records.append({"rules": name, **close(book, recorded, queue)})
            if progress is not None:
                progress(len(records), total)
    by_coin = pl.DataFrame(records)
    fits = fit_formulas(
        [[closed_position(fill, queue) for fill in queue.fills] for queue in recorded.queues]
    )
    return HyperliquidStudy(
        by_coin=by_coin.select("coin", pl.exclude("coin")),
        by_rules=_by_rules(by_coin),
        formulas=pl.DataFrame([asdict(fit) for fit in fits]),
        marks=pl.DataFrame([_implied_mark(queue) for queue in recorded.queues]),
        positions=sum(len(queue.fills) for queue in recorded.queues),
        accounts=len(recorded.equity_cash),
        repaired=recorded.repaired,
    )


# --- the book ---


def build(recorded: RecordedAdl, rules: str) -> Book:
    """Return the book at the marks of the event, with the longs of the bankrupt account.

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
            cost = terms.cost_cash(Side.SHORT, lots, entry)
            balance[row.account] -= terms.value_cash(-lots, mark) - cost
    return tuple(
        BalanceRow(account=account, asset=ASSET, balance=format_scaled(cash, CASH_DECIMALS))
        for account, cash in balance.items()
    )


def _positions(recorded: RecordedAdl, queue: CoinQueue) -> list[PositionRow]:
    """Return the shorts in the file's order, and the long against which all of them were closed."""
    shorts = [
        PositionRow(
            account=row.account,
            contract=queue.coin,
            side=Side.SHORT,
            quantity=row.size,
            entry_price=row.entry,
        )
        for row in queue.fills
    ]
    long = PositionRow(
        account=recorded.liquidated,
        contract=queue.coin,
        side=Side.LONG,
        quantity=format_scaled(queue.real_lots, queue.size_decimals),
        entry_price=_takeover_price(queue),
    )
    return [*shorts, long]


def _takeover_price(queue: CoinQueue) -> str:
    """Return one tick above the mark, so that the pool takes over at a loss."""
    mark = exact(queue.price, queue.price_decimals)
    return format_scaled(mark + 1, queue.price_decimals)


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
    """Take over the bankrupt account's long in one coin, and compare the ADL with the real one."""
    scores = _scores(book, queue)
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
    real = {fill.account: queue.lots(fill.closed) for fill in queue.fills}
    overlap = sum(min(simulated.get(account, 0), lots) for account, lots in real.items())
    ordered = longest_nonincreasing_subsequence(scores)
    return {
        "coin": queue.coin,
        "positions": len(queue.fills),
        "real_quantity": format_scaled(queue.real_lots, queue.size_decimals),
        "closed_quantity": format_scaled(sum(simulated.values()), queue.size_decimals),
        "accounts_closed": len(simulated),
        "overlap_quantity": overlap / queue.real_lots,
        "overlap_accounts": len(simulated.keys() & real.keys()) / len(real),
        "rank_correlation": spearman(scores),
        "ordered_share": ordered / len(scores),
    }


def _scores(book: Book, queue: CoinQueue) -> list[float]:
    """Return the rule set's scores in the real order; minus infinity for ineligible positions."""
    state = book.contracts[queue.coin]
    ranking = RULE_SETS[book.pool_of(state).definition.rules].ranking
    ranked = rank_side(value_side(book, state, Side.SHORT), ranking)
    table = state.tables[Side.SHORT]
    rows = [table.row_of(book.accounts.index[row.account], 0) for row in queue.fills]
    return [float(ranked.score.value[row]) if ranked.rank[row] else float("-inf") for row in rows]


def _by_rules(by_coin: pl.DataFrame) -> pl.DataFrame:
    """Return the summary of each rule set, means weighted by the positions of a coin."""

    def mean(name: str) -> pl.Expr:
        weight = pl.col("positions").filter(pl.col(name).is_not_null())
        return (pl.col(name) * pl.col("positions")).sum() / weight.sum()

    equal = pl.col("closed_quantity") == pl.col("real_quantity")
    return by_coin.group_by("rules", maintain_order=True).agg(
        pl.col("positions").sum(),
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
        unrealized_pnl=size * (entry - price),
        equity=cash + float(fill.unrealized_pnl),
        cash=cash,
    )


def _implied_mark(queue: CoinQueue) -> dict[str, object]:
    """Return the price at which the file values the coin, and the number of accounts that agree.

    The PnL of an account without another position is size x (entry - mark), which gives the mark;
    all such accounts must give the same one. None if no two do.
    """
    marks = [
        f"{float(fill.entry) - float(fill.unrealized_pnl) / abs(float(fill.size)):.5g}"
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
