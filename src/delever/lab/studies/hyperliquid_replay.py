"""The ADL of Hyperliquid on 2025-10-10, replayed under any rule set.

The file is HyperReplay's, and whoever runs this brings it: one row a position that was closed, in
the venue's own order. So the data give the queue, coin by coin from front to cut, and nobody who
was spared; the pool is ours. What was closed is therefore nearly forced, and what is measured is
the order in which a rule set would have closed it.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from delever.core.book import Book
from delever.core.engine import step
from delever.core.market.contract_terms import Terms, terms_of
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
from delever.lab.errors import InputError, in_words, unknown
from delever.lab.studies.hyperliquid_dataset import CASH_DECIMALS, Queue, Real, Row, exact, read
from delever.lab.studies.rank_correlation import Closed, fits, in_step, spearman

ASSET = "USDC"
POOL = "backstop"
Progress = Callable[[int, int], None]
"""Is told (steps done, steps in all)."""


WITH_QUEUE = tuple(
    name
    for name, told in RULE_SETS.items()
    if any(case.trigger.name != "profit_to_pool" for case in told.cases)
)
"""The rule sets under which what a bankrupt account leaves meets a queue, whatever the pool holds:
not those that share losses, nor one that closes who has won too much of its pool."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One real event under several rule sets.

    `by_coin` has a row a coin and rule set, `by_rules` one a rule set (means weighted by
    positions), `formulas` one a formula that could have given the real order, `marks` one a coin:
    the price at which the file valued profits, where several accounts agree on it. Quantities are
    exact decimals as text.
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
) -> Comparison:
    """Return what each rule set makes of the real queues; all in `WITH_QUEUE` where none is named.

    Raises InputError, naming row and column, where the file is not what it should be.
    """
    names = list(WITH_QUEUE if rule_names is None else rule_names)
    for name in names:
        if name not in RULE_SETS:
            raise unknown("rule set", name, RULE_SETS)
    real = read(path)
    total = len(names) * len(real.queues)
    records: list[dict[str, object]] = []
    for name in names:
        book = build(real, name)
        for queue in real.queues:
            records.append({"rules": name, **close(book, real, queue)})
            if progress is not None:
                progress(len(records), total)
    by_coin = pl.DataFrame(records)
    found = fits([[closed_row(row, queue) for row in queue.rows] for queue in real.queues])
    return Comparison(
        by_coin=by_coin.select("coin", pl.exclude("coin")),
        by_rules=_by_rules(by_coin),
        formulas=pl.DataFrame([asdict(each) for each in found]),
        marks=pl.DataFrame([_implied_mark(queue) for queue in real.queues]),
        positions=sum(len(queue.rows) for queue in real.queues),
        accounts=len(real.equity_cash),
        repaired=real.repaired,
    )


# --- the book ---


def build(real: Real, rules: str) -> Book:
    """Return the real book at the marks of the event, the bankrupt account's longs included.

    Wallets are set so that each account's equity at the marks is what the file says, to 10^-8.
    """
    book = Book()
    for command in commands(real, rules):
        _run(book, command)
    return book


def commands(real: Real, rules: str) -> list[Command]:
    """Return what makes the book: an empty pool, and all that the file knows."""
    time_ms = real.time_ms
    contracts = [_contract(queue, time_ms) for queue in real.queues]
    pool = DefinePool(time_ms=time_ms, pool=POOL, kind=PoolKind.SHARED, asset=ASSET, rules=rules)
    accounts = [*real.equity_cash, real.liquidated]
    balances = _wallets(real, contracts)
    return [
        *(DefineAccount(time_ms=time_ms, account=account) for account in accounts),
        pool,
        *contracts,
        SetMarks(time_ms=time_ms, marks={queue.coin: queue.price for queue in real.queues}),
        SetBalances(time_ms=time_ms, version=1, balances=balances),
        SetPositions(
            time_ms=time_ms,
            version=1,
            positions=tuple(row for queue in real.queues for row in _positions(real, queue)),
        ),
    ]


def _contract(queue: Queue, time_ms: int) -> DefineContract:
    return DefineContract(
        time_ms=time_ms,
        contract=queue.coin,
        kind=ContractKind.LINEAR,
        settle=ASSET,
        pool=POOL,
        tick_size=format_scaled(1, queue.price_decimals),
        lot_size=format_scaled(1, queue.size_decimals),
    )


def _terms(queue: Queue, contract: DefineContract) -> Terms:
    try:
        return terms_of(contract, CASH_DECIMALS)
    except Rejection:
        raise InputError(f"the decimals of {queue.coin} are too fine", value=queue.price) from None


def _wallets(real: Real, contracts: list[DefineContract]) -> tuple[BalanceRow, ...]:
    """Return each account's equity less the profit of its known positions at the marks."""
    balance = {**real.equity_cash, real.liquidated: 0}
    for queue, contract in zip(real.queues, contracts, strict=True):
        terms = _terms(queue, contract)
        mark = exact(queue.price, queue.price_decimals)
        for row in queue.rows:
            lots, entry = queue.lots(row.held), parse_decimal(row.entry) or (0, 0)
            cost = terms.cost_cash(Side.SHORT, lots, entry)
            balance[row.account] -= terms.value_cash(-lots, mark) - cost
    return tuple(
        BalanceRow(account=account, asset=ASSET, balance=format_scaled(cash, CASH_DECIMALS))
        for account, cash in balance.items()
    )


def _positions(real: Real, queue: Queue) -> list[PositionRow]:
    """Return the shorts in the file's order, and the long that stands against all that closed."""
    shorts = [
        PositionRow(
            account=row.account,
            contract=queue.coin,
            side=Side.SHORT,
            quantity=row.held,
            entry_price=row.entry,
        )
        for row in queue.rows
    ]
    long = PositionRow(
        account=real.liquidated,
        contract=queue.coin,
        side=Side.LONG,
        quantity=format_scaled(queue.real_lots, queue.size_decimals),
        entry_price=_takeover_price(queue),
    )
    return [*shorts, long]


def _takeover_price(queue: Queue) -> str:
    """Return one tick above the mark: the pool takes over what is already under water."""
    mark = exact(queue.price, queue.price_decimals)
    return format_scaled(mark + 1, queue.price_decimals)


def _run(book: Book, command: Command) -> tuple[Event, ...]:
    events = step(book, command)
    if isinstance(events[0], Rejected):
        rejected = events[0]
        raise InputError(
            in_words(rejected.reason),
            column=rejected.field,
            value=rejected.value,
            reason=rejected.reason,
        )
    return events


# --- one queue under one rule set ---


def close(book: Book, real: Real, queue: Queue) -> dict[str, object]:
    """Take over the bankrupt account's long in one coin, and compare the ADL that follows."""
    scores = _scores(book, queue)
    command = Takeover(
        time_ms=real.time_ms,
        account=real.liquidated,
        contract=queue.coin,
        price=_takeover_price(queue),
    )
    ours: dict[str, int] = {}
    for event in _run(book, command):
        if isinstance(event, AdlFilled):
            ours[event.account] = ours.get(event.account, 0) + event.lots
    theirs = {row.account: queue.lots(row.closed) for row in queue.rows}
    same = sum(min(ours.get(account, 0), lots) for account, lots in theirs.items())
    return {
        "coin": queue.coin,
        "positions": len(queue.rows),
        "real_quantity": format_scaled(queue.real_lots, queue.size_decimals),
        "closed_quantity": format_scaled(sum(ours.values()), queue.size_decimals),
        "accounts_touched": len(ours),
        "overlap_quantity": same / queue.real_lots,
        "overlap_accounts": len(ours.keys() & theirs.keys()) / len(theirs),
        "rank_correlation": spearman(scores),
        "in_step": in_step(scores) / len(scores),
    }


def _scores(book: Book, queue: Queue) -> list[float]:
    """Return the rule set's scores in the real order; the last of all for who is not in line."""
    state = book.contracts[queue.coin]
    ranking = RULE_SETS[book.pool_of(state).definition.rules].ranking
    line = rank_side(value_side(book, state, Side.SHORT), ranking)
    table = state.tables[Side.SHORT]
    rows = [table.row_of(book.accounts.index[row.account], 0) for row in queue.rows]
    return [float(line.score.value[row]) if line.rank[row] else float("-inf") for row in rows]


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
        pl.col("accounts_touched").sum(),
        *(
            mean(name).alias(name)
            for name in ("overlap_quantity", "overlap_accounts", "rank_correlation", "in_step")
        ),
    )


# --- what the file says of its own order ---


def closed_row(row: Row, queue: Queue) -> Closed:
    """Return a row in floats, for scores only; the account's figures are the row's own."""
    price, entry, size = float(queue.price), float(row.entry), abs(float(row.held))
    cash = float(row.cash)
    return Closed(
        price=price,
        entry=entry,
        value=size * price,
        profit=size * (entry - price),
        equity=cash + float(row.profit),
        cash=cash,
    )


def _implied_mark(queue: Queue) -> dict[str, object]:
    """Return the price at which the file must have valued the coin, and how many accounts say so.

    An account with no other position has profit = size x (entry - mark): the mark follows, and all
    such accounts must give the same one. None where no two do.
    """
    marks = [
        f"{float(row.entry) - float(row.profit) / abs(float(row.held)):.5g}" for row in queue.rows
    ]
    most = max(marks, key=marks.count)
    agreeing = marks.count(most)
    mark = float(most) if agreeing > 1 else None
    return {
        "coin": queue.coin,
        "closed_at": float(queue.price),
        "valued_at": mark,
        "accounts_agreeing": agreeing,
        "positions": len(queue.rows),
        "below": None if mark is None else 1 - mark / float(queue.price),
    }
