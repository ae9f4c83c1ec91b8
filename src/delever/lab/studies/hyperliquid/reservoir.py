"""Hydromancer Reservoir's Parquet files: the book of a day, rolled forward by fills to an instant.

A snapshot has a row for each account and market, with signed sizes (docs.hydromancer.xyz,
reservoir/schema-reference); fills have a row for each side of each trade. Both are scanned lazily
and column by column, so that memory is bounded by the open positions. Rows that say nothing are
counted by reason, and never cost another row.

Equity is exact without average prices: what an account had, plus size times the move of the mark
since the snapshot, plus fill size times the move since the fill.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from delever.lab.errors import InputError

SNAPSHOT = {
    "user": pl.String,
    "market": pl.String,
    "size": pl.Float64,
    "notional": pl.Float64,
    "entry_price": pl.Float64,
    "account_value": pl.Float64,
}
FILLS = {"address": pl.String, "coin": pl.String, "side": pl.String, "price": pl.Float64}
FILLS |= {"size": pl.Float64}
TIME = "timestamp"

SMALLEST_PART = 1e-9
"""Part of what was traded below which a rolled size is rounding of float64, and closed."""


@dataclass(frozen=True, slots=True)
class RolledBook:
    """All open positions at an instant, and the rows that were skipped, by reason.

    `positions` has account, coin, size (negative: short), mark, entry, notional, profit (unrealized
    PnL) and the account's equity, in USD.
    """

    positions: pl.DataFrame
    skipped: dict[str, int]


def scan_snapshot(path: str | Path) -> pl.LazyFrame:
    """Return a snapshot's columns; raises InputError for a file of another form."""
    return _scan(Path(path), SNAPSHOT)


def scan_fills(path: str | Path) -> pl.LazyFrame:
    """Return fills with `time_ms` and a signed `size`; raises InputError for another form."""
    frame = _scan(Path(path), FILLS, time=True)
    signed = pl.col("size").abs() * pl.when(pl.col("side") == "buy").then(1.0).otherwise(-1.0)
    return frame.select(
        pl.col("address").alias("account"),
        "coin",
        signed.alias("size"),
        "price",
        "side",
        pl.col(TIME).alias("time_ms"),
    )


def _scan(path: Path, columns: dict[str, type[pl.DataType]], *, time: bool = False) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(path)
        schema = frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot be read: {reason}", file=str(path)) from None
    for name in [*columns, *([TIME] if time else [])]:
        if name not in schema:
            raise InputError("the column is missing", file=str(path), column=name)
    chosen = [pl.col(name).cast(kind, strict=False) for name, kind in columns.items()]
    if time:
        is_time = isinstance(schema[TIME], pl.Datetime)
        chosen.append(pl.col(TIME).dt.epoch("ms") if is_time else pl.col(TIME).cast(pl.Int64))
    return frame.select(chosen)


def _is_number(*names: str) -> pl.Expr:
    return pl.all_horizontal(pl.col(name).is_finite().fill_null(value=False) for name in names)


def usable_fills(fills: pl.LazyFrame) -> pl.LazyFrame:
    """Return the fills with a price, a size, a time and a side."""
    return fills.filter(
        _is_number("size", "price"),
        pl.col("price") > 0,
        pl.col("side").is_in(["buy", "sell"]),
        pl.col("time_ms").is_not_null(),
    )


def roll_forward(
    snapshot: pl.LazyFrame,
    fills: pl.LazyFrame,
    from_ms: int,
    until_ms: int,
    *,
    deposits: pl.DataFrame | None = None,
    funding_rate: float = 0.0,
) -> RolledBook:
    """Return the book just before an instant.

    Marks are the last fill prices, or those of the snapshot. What neither file has is an argument:
    `deposits` (account, amount; negative: withdrawn) and `funding_rate`, the part of the notional
    of the snapshot that longs paid to shorts in the meantime. Fees are not counted.
    """
    usable = _is_number("size", "notional", "entry_price", "account_value") & (pl.col("size") != 0)
    counts = snapshot.select(pl.len().alias("rows"), usable.sum().alias("usable")).collect()
    window = fills.filter(pl.col("time_ms") >= from_ms, pl.col("time_ms") < until_ms)
    used = usable_fills(window)
    held = snapshot.filter(usable).select(
        pl.col("user").alias("account"),
        pl.col("market").alias("coin"),
        pl.col("size").alias("held"),
        (pl.col("notional").abs() / pl.col("size").abs()).alias("mark_before"),
        "entry_price",
        "account_value",
    )
    traded = used.group_by("account", "coin").agg(
        pl.col("size").sum().alias("net"),
        (pl.col("size") * pl.col("price")).sum().alias("paid"),
        pl.col("size").abs().sum().alias("volume"),
    )
    positions = _marked(held, traded, used).pipe(_with_equity, held, deposits, funding_rate)
    skipped = {
        "positions without size, price or account value": int(
            counts["rows"][0] - counts["usable"][0]
        ),
        "fills without price, size, side or time": _count(window) - _count(used),
        "accounts that the snapshot does not have": positions["equity"].null_count(),
    }
    open_ = positions.filter(pl.col("size") != 0, pl.col("equity").is_not_null())
    return RolledBook(open_.sort("coin", "account"), {k: n for k, n in skipped.items() if n})


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect().item())


def _marked(held: pl.LazyFrame, traded: pl.LazyFrame, fills: pl.LazyFrame) -> pl.LazyFrame:
    """Return positions of accounts with their size, mark, entry price and gain since before."""
    last = fills.group_by("coin").agg(pl.col("price").sort_by("time_ms").last().alias("traded_at"))
    before = held.group_by("coin").agg(pl.col("mark_before").median().alias("mark_held"))
    size = pl.col("held") + pl.col("net")
    is_rounding = size.abs() <= SMALLEST_PART * (pl.col("held").abs() + pl.col("volume"))
    average = (pl.col("held") * pl.col("entry_price") + pl.col("paid")) / size
    grown = (pl.col("held") * pl.col("net") > 0) | (pl.col("held") == 0)
    shrunk = (pl.col("held") * size > 0) & (pl.col("held") * pl.col("net") <= 0)
    return (
        held.select("account", "coin", "held", "mark_before", "entry_price")
        .join(traded, on=["account", "coin"], how="full", coalesce=True)
        .join(last, on="coin", how="left")
        .join(before, on="coin", how="left")
        .with_columns(pl.col("held", "net", "paid", "volume", "entry_price").fill_null(0.0))
        .with_columns(
            size=pl.when(is_rounding).then(0.0).otherwise(size),
            mark=pl.coalesce("traded_at", "mark_held"),
        )
        .with_columns(
            entry=pl.when(shrunk)
            .then("entry_price")
            .when(grown)
            .then(average)
            .otherwise(pl.col("paid") / pl.col("net")),
            gain=pl.col("held") * (pl.col("mark") - pl.coalesce("mark_before", "mark"))
            + pl.col("net") * pl.col("mark")
            - pl.col("paid"),
        )
    )


def _with_equity(
    positions: pl.LazyFrame, held: pl.LazyFrame, deposits: pl.DataFrame | None, funding_rate: float
) -> pl.DataFrame:
    """Return positions with notional, profit, and the equity of their accounts."""
    funding = -funding_rate * (pl.col("held") * pl.col("mark_before")).sum()
    value = held.group_by("account").agg(pl.col("account_value").first(), funding.alias("funding"))
    given = pl.LazyFrame(
        {"account": [], "amount": []}, schema={"account": pl.String, "amount": pl.Float64}
    )
    if deposits is not None:
        given = deposits.lazy().group_by("account").agg(pl.col("amount").cast(pl.Float64).sum())
    gains = positions.group_by("account").agg(pl.col("gain").sum())
    equity = (
        value.join(gains, on="account", how="left")
        .join(given, on="account", how="left")
        .select(
            "account",
            equity=pl.col("account_value")
            + pl.col("gain").fill_null(0.0)
            + pl.col("funding")
            + pl.col("amount").fill_null(0.0),
        )
    )
    return (
        positions.join(equity, on="account", how="left")
        .select(
            "account",
            "coin",
            "size",
            "mark",
            "entry",
            notional=pl.col("size").abs() * pl.col("mark"),
            profit=pl.col("size") * (pl.col("mark") - pl.col("entry")),
            equity=pl.col("equity"),
        )
        .collect(engine="streaming")
    )
