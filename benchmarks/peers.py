"""The same refresh in DuckDB, Polars and Redis, each of which is optional.

`ranks(ticks)` gives rank and indicator in the order of the large book's rows, or raises `Absent`.
"""
# ruff: noqa: PLC0415 - a peer is imported only if it is installed

import importlib.util
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from large_book import CASH_PER_LOT_TICK, LargeBook


class Absent(Exception):  # noqa: N818 - a peer that is not installed is no error
    """Raised with the reason why a peer is omitted."""


def _need(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise Absent(f"{module} is not installed (the extra `bench`)")


class Polars:
    """Lazy frames over all cores."""

    def __init__(self, book: LargeBook) -> None:
        _need("polars")
        import polars as pl

        self.pl = pl
        self.positions = pl.DataFrame(
            {
                "contract": book.contract,
                "side": book.side,
                "account": book.account,
                "sign": book.sign,
                "lots": book.lots,
                "cost": book.cost,
            }
        ).with_row_index("row")
        self.accounts = pl.DataFrame(
            {"account": np.arange(book.accounts, dtype=np.int32), "balance": book.balance}
        )

    def ranks(self, ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pl = self.pl
        c = pl.col
        marks = pl.DataFrame(
            {"contract": np.arange(len(ticks), dtype=np.int32), "mark": ticks.astype(np.int64)}
        )
        valued = (
            self.positions.lazy()
            .join(marks.lazy(), on="contract")
            .with_columns(notional=c.lots * c.mark * CASH_PER_LOT_TICK)
            .with_columns(pnl=c.sign * (c.notional - c.cost))
        )
        equity = (
            valued.group_by("account")
            .agg(c.pnl.sum())
            .join(self.accounts.lazy(), on="account")
            .select("account", equity=c.balance + c.pnl)
        )
        return_rate, leverage = c.pnl / c.cost, c.notional / c.equity
        queue = ["contract", "side"]
        found = (
            valued.join(equity, on="account")
            .filter(c.equity > 0)
            .with_columns(score=_score(pl, return_rate, leverage))
            .sort([*queue, "score", "account"], descending=[False, False, True, False])
            .with_columns(rank=pl.int_range(1, pl.len() + 1).over(queue), n=pl.len().over(queue))
            .with_columns(indicator=6 - -(-5 * c.rank // c.n))
            .select("row", "rank", "indicator")
            .collect()
        )
        return _by_row(len(self.positions), found["row"], found["rank"], found["indicator"])


def _score(pl: Any, return_rate: Any, leverage: Any) -> Any:
    scaled = pl.when(return_rate > 0).then(return_rate * leverage)
    return scaled.otherwise(return_rate / leverage)


class DuckDB:
    """Window functions over tables in memory."""

    def __init__(self, book: LargeBook) -> None:
        _need("duckdb")
        import duckdb
        import polars as pl

        self.size = book.size
        self.connection = duckdb.connect()
        positions = pl.DataFrame(
            {
                "row": np.arange(book.size),
                "contract": book.contract,
                "side": book.side,
                "account": book.account,
                "sign": book.sign,
                "lots": book.lots,
                "cost": book.cost,
            }
        ).to_arrow()
        accounts = pl.DataFrame(
            {"account": np.arange(book.accounts, dtype=np.int32), "balance": book.balance}
        ).to_arrow()
        for name, table in (("positions", positions), ("accounts", accounts)):
            self.connection.register("source", table)
            self.connection.execute(f"CREATE TABLE {name} AS SELECT * FROM source")

    def ranks(self, ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import polars as pl

        marks = pl.DataFrame({"contract": np.arange(len(ticks)), "mark": ticks}).to_arrow()
        self.connection.register("marks", marks)
        found = self.connection.execute(
            f"""
            WITH valued AS (
                SELECT p.*, lots * mark * {CASH_PER_LOT_TICK} AS notional,
                       sign * (lots * mark * {CASH_PER_LOT_TICK} - cost) AS pnl
                FROM positions p JOIN marks USING (contract)
            ), equities AS (
                SELECT account, any_value(balance) + sum(pnl)::BIGINT AS equity
                FROM valued JOIN accounts USING (account) GROUP BY account
            ), scored AS (
                SELECT row, contract, side, account,
                       pnl::DOUBLE / cost::DOUBLE AS return_rate,
                       notional::DOUBLE / equity::DOUBLE AS leverage
                FROM valued JOIN equities USING (account) WHERE equity > 0
            ), ranked AS (
                SELECT row, row_number() OVER queue AS rank,
                       count(*) OVER (PARTITION BY contract, side) AS n
                FROM scored
                WINDOW queue AS (
                    PARTITION BY contract, side
                    ORDER BY CASE WHEN return_rate > 0 THEN return_rate * leverage
                             ELSE return_rate / leverage END DESC, account
                )
            )
            SELECT row, rank, 6 - (5 * rank + n - 1) // n AS indicator FROM ranked
            """
        ).fetchnumpy()
        return _by_row(self.size, found["row"], found["rank"], found["indicator"])


def _by_row(size: int, row: Any, rank: Any, indicator: Any) -> tuple[np.ndarray, np.ndarray]:
    ranks, indicators = np.zeros(size, np.int64), np.zeros(size, np.int64)
    ranks[np.asarray(row)], indicators[np.asarray(row)] = np.asarray(rank), np.asarray(indicator)
    indicators[ranks == 1] = 5
    return ranks, indicators


class Redis:
    """A sorted set per side of a contract, rewritten with a pipeline; the scores are an input."""

    def __init__(self, book: LargeBook, client: Any) -> None:
        self.book, self.client = book, client
        self.members = [f"a{account:08d}" for account in book.account.tolist()]

    def rewrite(self, scores: np.ndarray) -> None:
        starts, values = self.book.side_starts.tolist(), scores.tolist()
        for number in range(len(starts) - 1):
            rows = slice(starts[number], starts[number + 1])
            pipeline = self.client.pipeline(transaction=False)
            pipeline.delete(f"queue{number}")
            if rows.start < rows.stop:
                pipeline.zadd(
                    f"queue{number}", dict(zip(self.members[rows], values[rows], strict=True))
                )
            pipeline.execute()

    def queue(self, number: int) -> list[str]:
        return [name.decode() for name in self.client.zrange(f"queue{number}", 0, -1)]


@contextmanager
def redis_server() -> Iterator[Any]:
    """Start a server on a socket file, without persistence."""
    _need("redis")
    program = shutil.which("redis-server")
    if program is None:
        raise Absent("redis-server is absent: apt-get install redis-server")
    import redis

    with tempfile.TemporaryDirectory() as folder:
        socket = str(Path(folder) / "redis.sock")
        command = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            while not Path(socket).exists():
                time.sleep(0.01)
            yield redis.Redis(unix_socket_path=socket)
        finally:
            server.terminate()
            server.wait()
