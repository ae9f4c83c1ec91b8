"""Sweeps of simulations: tasks run in parts, stored as Parquet, and resumed."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl

from delever.core.book import Book
from delever.core.messages import Amount
from delever.core.rules import RuleSet, rule_sets_of
from delever.journal.snapshot import encode_book
from delever.lab.errors import InputError, unknown
from delever.lab.measures.run_measures import main_asset
from delever.lab.measures.tail_risk import check_alpha
from delever.lab.queries.position_queries import rule_set
from delever.lab.runs.managed_book import check_read, given_caps
from delever.lab.runs.market_paths.commands import check_scenario
from delever.lab.runs.market_paths.path import (
    Shock,
    check_distinct,
    check_list,
    check_whole,
    scenario_of,
)
from delever.lab.runs.stress_test import Crash, Policies, with_variants
from delever.lab.runs.sweeps.executors import ProcessExecutor, SerialExecutor, SweepExecutor
from delever.lab.runs.sweeps.tasks import Row, SweepInputs, encoded, fund_text, parts_of, row_schema
from delever.lab.tables.defaults import Pool, pool_balances

PART_SIZE = 16
"""Tasks a part: what an interrupted sweep loses at most for each worker."""

SweepProgress = Callable[[int, int, float | None], None]
"""Called with (tasks done, tasks in total, seconds left), the last None before the first part."""


def sweep(
    book: Book,
    scenarios: Sequence[Crash],
    *,
    rules: str | RuleSet | Sequence[str | RuleSet] = "bybit",
    policies: Policies = (),
    funds: Sequence[Pool | None] = (None,),
    next_shocks: Sequence[Shock] = (),
    alpha: float = 0.0,
    asset: str = "",
    markout_ms: int | None = None,
    vault_cap: Amount | None = None,
    loss_threshold: Amount | None = None,
    workers: int = 0,
    executor: SweepExecutor | None = None,
    folder: str | Path | None = None,
    progress: SweepProgress | None = None,
) -> pl.DataFrame:
    """Return a row of totals and measures for each scenario, rule set, policy and fund size.

    `rules` and `policies` are those of `compare`; a fund is a balance, balances by pool, or None
    for the book's own. With `next_shocks`, `cvar_after` is the expected shortfall (of the
    worst 1 - `alpha`) of the book that each run leaves. Measures are in `asset`, by
    default the settle asset of most positions, and defined in `delever.lab.measures.run_measures`;
    markouts are to the marks `markout_ms` after each fill, or else to the last ones. `adl` is true
    if ADL has closed anything or a loss was socialized. Seeds are in the scenarios.

    `workers` processes share the memory of the book (0: this process); `executor` replaces them.
    Rows and files are the same whatever runs them. With a `folder`, parts are stored as they are
    done, an interrupted sweep continues there, and `sweep.parquet` has all rows in the end. Raises
    InputError and UnknownNameError, also for a folder with another sweep.

        >>> import delever
        >>> from delever import lab
        >>> book = delever.read_book("examples/book")
        >>> paths = lab.scenarios(book, volatility=6.0, count=3, seed=1)
        >>> frame = lab.sweep(book, paths, rules=["bybit", "binance"], funds=[{"main": 100}])
        >>> frame.select("scenario", "rules", "fund").row(1)
        ('student_t-1-0', 'binance', 'main=100')
    """
    check_whole("workers", workers, 0)
    check_alpha(alpha)
    if markout_ms is not None:
        check_whole("markout_ms", markout_ms, 0)
    known, compared = with_variants(book, rules, policies)
    caps = given_caps(vault_cap=vault_cap, loss_threshold=loss_threshold)
    inputs = _inputs(known, scenarios, compared, funds, next_shocks, alpha, caps, asset, markout_ms)
    own = ProcessExecutor(workers) if workers else SerialExecutor()
    parts = list(parts_of(len(inputs.tasks), PART_SIZE))
    store = None if folder is None else SweepFolder(Path(folder), inputs)
    rows = _run(inputs, parts, executor or own, store, progress)
    frame = pl.concat(rows)
    if store is not None:
        store.write("sweep", frame)
    return frame


def _inputs(
    book: Book,
    scenarios: Sequence[Crash],
    rules: Sequence[str],
    funds: Sequence[Pool | None],
    next_shocks: Sequence[Shock],
    alpha: float,
    caps: dict[str, Amount],
    asset: str,
    markout_ms: int | None,
) -> SweepInputs:
    """Return the inputs; raises InputError and UnknownNameError before anything is run."""
    known = rule_sets_of(book)
    check_read(caps, [rule_set(name, known) for name in rules])
    check_list("scenarios", scenarios, "shocks and paths")
    paths = tuple(scenario_of(crash) for crash in scenarios)
    check_list("funds", funds, "balances, such as [0, 10000], or of balances by pool")
    for name, given in (("scenarios", paths), ("funds", funds)):
        if not given:
            raise InputError("is empty", column=name)
    check_distinct("rules", rules)
    check_distinct("funds", [fund_text(fund) for fund in funds])
    check_list("next_shocks", next_shocks, 'shocks, such as delever.Shock({"BTCUSDT": "-0.10"})')
    for shock in next_shocks:
        if not isinstance(shock, Shock):
            why = 'must be a shock, such as delever.Shock({"BTCUSDT": "-0.10"})'
            raise InputError(why, column="next_shocks", value=shock)
    for path in (*paths, *map(scenario_of, next_shocks)):
        check_scenario(book, path)
    for fund in funds:
        if fund is not None:
            pool_balances(fund, {pool.name: pool.asset for pool in book.pools.values()})
    if asset and asset not in book.assets:
        raise unknown("asset", asset, book.assets)
    return SweepInputs(
        book,
        paths,
        tuple(rules),
        tuple(funds),
        tuple(next_shocks),
        alpha,
        {
            name: {cap: caps[cap] for cap in rule_set(name, known).managed_limits if cap in caps}
            for name in rules
        },
        asset or main_asset(book),
        markout_ms,
    )


def _run(
    inputs: SweepInputs,
    parts: Sequence[range],
    executor: SweepExecutor,
    store: "SweepFolder | None",
    progress: SweepProgress | None,
) -> list[pl.DataFrame]:
    """Return the rows of every part, those of the folder included; runs the others."""
    schema = row_schema(with_cvar=bool(inputs.next_shocks))
    stored = {} if store is None else store.parts(parts)
    todo = [part for part in parts if part not in stored]
    clock = _Clock(sum(map(len, parts)), sum(map(len, stored)), progress)
    for part, rows in zip(todo, _rows(executor, inputs, todo), strict=True):
        frame = pl.DataFrame(rows, schema=schema)
        stored[part] = frame
        if store is not None:
            store.write(_part_name(part), frame)
        clock.add(len(part))
    return [stored[part] for part in parts]


def _rows(
    executor: SweepExecutor, inputs: SweepInputs, todo: Sequence[range]
) -> Iterator[list[Row]]:
    return executor.run(inputs, todo) if todo else iter(())


class _Clock:
    """Reports progress: the time left is that of the tasks run here, by their mean."""

    def __init__(self, total: int, done: int, progress: SweepProgress | None) -> None:
        self._total, self._done, self._progress = total, done, progress
        self._started, self._run = time.monotonic(), 0
        if progress is not None:
            progress(done, total, None)

    def add(self, count: int) -> None:
        self._done += count
        self._run += count
        if self._progress is not None:
            a_task = (time.monotonic() - self._started) / self._run
            self._progress(self._done, self._total, a_task * (self._total - self._done))


def _part_name(part: range) -> str:
    return f"part-{part.start:06}"


class SweepFolder:
    """The folder of a sweep: the digest of its inputs, and the parts that are done."""

    def __init__(self, folder: Path, inputs: SweepInputs) -> None:
        self._folder = folder
        digest = hashlib.blake2b(encode_book(inputs.book) + encoded(inputs), digest_size=32)
        named = folder / "inputs.digest"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "rows.unfinished").touch()
            (folder / "rows.unfinished").unlink()
        except OSError as error:
            why = f"cannot be written: {error.strerror}; give another folder"
            raise InputError(why, file=str(folder)) from None
        if not named.exists():
            if any(folder.iterdir()):
                raise InputError("has other files: give an empty folder", file=str(folder))
            named.write_text(digest.hexdigest(), encoding="ascii")
        elif named.read_text(encoding="ascii") != digest.hexdigest():
            why = "is of a sweep with other inputs: give another folder, or the same inputs"
            raise InputError(why, file=str(folder))

    def parts(self, parts: Sequence[range]) -> dict[range, pl.DataFrame]:
        """Return the parts that are done."""
        files = {part: self._folder / f"{_part_name(part)}.parquet" for part in parts}
        return {part: pl.read_parquet(file) for part, file in files.items() if file.exists()}

    def write(self, name: str, frame: pl.DataFrame) -> None:
        """Store a frame; a file is there whole or not at all."""
        target = self._folder / f"{name}.parquet"
        unfinished = target.with_suffix(".unfinished")
        frame.write_parquet(unfinished)
        unfinished.replace(target)
