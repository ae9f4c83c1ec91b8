"""The lab: crashes simulated, rules and policies compared, funds sized, quantities allocated."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from delever.cli import ExitCode, UsageError, needs_extra
from delever.cli.book import BookPath, Json, SideName
from delever.cli.output import (
    TO_STDOUT,
    Output,
    json_text,
    log,
    progress,
    write,
    write_rows,
    write_sections,
)

if TYPE_CHECKING:
    import polars as pl

    from delever.core.book import Book
    from delever.lab.reports.interactive.recording import Recording
    from delever.lab.runs.market_paths.path import Scenario
    from delever.lab.runs.run import RunResult

app = App(name="lab", help="Simulate crashes, compare rules and policies, size funds.")

MAX_LISTED_ACCOUNTS = 20
"""Deleveraged positions that `delever lab simulate` lists; -o and --json have all of them."""

REGRETS = ("haircut_total", "max_haircut_ratio", "gini_of_haircuts", "unfunded")
"""Measures whose regret the report of a sweep has; of all, less is better."""

Rules = Annotated[
    list[str] | None, Parameter(name="--rules", help="Rule set; repeatable. Default: bybit.")
]
Policies = Annotated[
    list[str] | None,
    Parameter(name="--policy", help="Policy in place of the rule set's own; repeatable."),
]
Fund = Annotated[
    dict[str, str] | None,
    Parameter(
        name="--fund",
        negative="",
        help="Balance of a fund, as --fund.main 1000. Default: the book's.",
    ),
]
Report = Annotated[Path | None, Parameter(help="HTML file with tables and pictures.")]
PoolName = Annotated[
    str, Parameter(name="--pool", help="Insurance fund whose size is varied; one is the default.")
]
Sizes = Annotated[
    list[str] | None, Parameter(name="--size", help="Size of the fund; repeatable, ascending.")
]
Workers = Annotated[int, Parameter(help="Processes that share the book's memory; 0: this one.")]

CrashSource = Annotated[
    Path, Parameter(help="Journal, scenario (NDJSON), or book directory with a crash to run on it.")
]
Page = Annotated[Path, Parameter(name=["--output", "-o"], help="HTML file to write.")]
Film = Annotated[Path, Parameter(name=["--output", "-o"], help="File to write: .html or .gif.")]
OtherRules = Annotated[
    list[str] | None,
    Parameter(name="--rules", help="Other rule set to switch to; repeatable. Default: pro_rata."),
]
PageTitle = Annotated[str | None, Parameter(help="Title. Default: the name of the source.")]


@Parameter(name="*")
@dataclass(frozen=True)
class CrashOptions:
    """What the market does: moves, a file of prices, or a random model."""

    move: Annotated[dict[str, str], Parameter(negative="")] = field(default_factory=dict)
    """Relative move of a contract's mark, as --move.BTCUSDT=-0.15."""

    steps: int | None = None
    """Steps of a move or of a random path. Default: 1 for a move (a shock), 12 for a model."""

    prices: Path | None = None
    """CSV or Parquet file with time_ms, contract and price: a historical path."""

    model: Literal["gbm", "student_t", "jump"] | None = None
    """Random model of the paths."""

    volatility: float = 0.8
    """Annual volatility of a model."""

    correlation: float = 0.7
    """Correlation of all contracts in a model, or of each with the factor."""

    factor: str = ""
    """Contract that moves all others in a model."""

    horizon: int = 3_600
    """Length of a random path in seconds."""

    count: int = 100
    """Number of random paths."""

    seed: int = 0
    """Seed of the random paths."""

    depth: Annotated[list[str], Parameter(negative="")] = field(default_factory=list)
    """Part of the order books left at each step, as --depth 1 --depth 0.3; the last one stays."""


NO_CRASH = CrashOptions()


@Parameter(name="*")
@dataclass(frozen=True)
class PlanWorkerOptions:
    """The server whose rounds get plans, and how plans are made."""

    server: str = ""
    """URL of a server for whose rounds plans are made, instead of a book."""

    key_variable: str = "DELEVER_API_KEY"
    """Environment variable with the API key (name.secret); its roles are read and operate."""

    certificates: Path | None = None
    """Directory for the certificates of submitted plans, which `delever verify --plans` reads."""

    ties: Literal["pro_rata", "fewest_accounts"] = "pro_rata"
    """Who pays among plans of the same expected shortfall."""

    slippage: str = "0.005"
    """How much worse for the accounts than now the ADL price may be when the plan arrives."""

    once: bool = False
    """Make the plans that are awaited now, and end; exit code 3 if one is rejected."""


NO_SERVER = PlanWorkerOptions()


def crashes(book: "Book", crash: CrashOptions) -> list["Scenario"]:
    """Return the scenarios that options describe; raises UsageError unless it is one kind."""
    from delever.lab.runs.market_paths import models  # noqa: PLC0415 - slow to import
    from delever.lab.runs.market_paths.path import Shock, scenario_of  # noqa: PLC0415

    given = [name for name in ("move", "prices", "model") if getattr(crash, name)]
    if len(given) != 1:
        raise UsageError("expected one of --move.CONTRACT=MOVE, --prices FILE and --model NAME")
    if crash.prices is not None:
        found = [models.historical_path(_prices(crash.prices), name=crash.prices.stem)]
    elif crash.model is None:
        is_shock = crash.steps in {None, 1}
        steps = 1 if crash.steps is None else crash.steps
        shock = scenario_of(Shock(crash.move)) if is_shock else None
        found = [shock or models.linear_path(crash.move, steps=steps)]
    else:
        found = models.scenarios(
            book,
            model=crash.model,
            volatility=crash.volatility,
            correlation=crash.correlation,
            factor=crash.factor,
            horizon_ms=crash.horizon * 1_000,
            steps=12 if crash.steps is None else crash.steps,
            count=crash.count,
            seed=crash.seed,
        )
    return [path.with_depth(crash.depth) for path in found] if crash.depth else found


def _prices(file: Path) -> "pl.DataFrame":
    import polars as pl  # noqa: PLC0415 - slow to import

    from delever.lab.errors import InputError  # noqa: PLC0415

    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file)
        return pl.read_csv(file, schema_overrides={"price": pl.String})
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read: {error}", file=str(file)) from None


def _read(book: Path) -> "Book":
    from delever.lab.tables.book_reader import read_book  # noqa: PLC0415 - slow to import
    from delever.rule_registry import installed_rule_sets  # noqa: PLC0415

    return read_book(book, rule_sets=installed_rule_sets())


@contextmanager
def _warnings() -> Iterator[None]:
    """Write warnings of the block to standard error, each text once."""
    import warnings  # noqa: PLC0415 - with the context only

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        log(f"delever: {text}")


def _one(paths: Sequence["Scenario"]) -> "Scenario":
    if len(paths) != 1:
        raise UsageError("a simulation is of one path: add --count 1, or use `delever lab sweep`")
    return paths[0]


@app.command(
    help="Run a crash: liquidation, takeovers, unwinding, ADL, and what it did to accounts."
)
def simulate(
    book: BookPath,
    /,
    *,
    crash: CrashOptions = NO_CRASH,
    rules: Annotated[str | None, Parameter(help="Rule set. Default: each fund's own.")] = None,
    fund: Fund = None,
    output: Annotated[
        Path | None,
        Parameter(name=["--output", "-o"], help="File with a row for each deleveraged position."),
    ] = None,
    report: Report = None,
    json: Json = False,
) -> None:
    """Run a crash on a copy of a book, and summarize it; a row for each deleveraged position."""
    from delever.lab.runs import stress_test  # noqa: PLC0415 - slow to import

    loaded = _read(book)
    with _warnings():
        result = stress_test.simulate(loaded, _one(crashes(loaded, crash)), rules=rules, pool=fund)
    accounts = result.accounts
    if output is not None:
        write_rows(accounts, Output(output=output), schema="delever.lab.simulate/1")
    _write_run_report(result, report)
    if json:
        _write_run_json(result, accounts)
        return
    write(str(result.summary))
    if accounts.height:
        more = accounts.height - MAX_LISTED_ACCOUNTS
        rest = f" (the first {MAX_LISTED_ACCOUNTS} of {accounts.height})" if more > 0 else ""
        listed = accounts.drop("position").head(MAX_LISTED_ACCOUNTS).to_dicts()
        write("")
        title = f"deleveraged positions{rest}"
        write_sections({title: listed}, json=False, schema="", metadata={})


def _write_run_json(result: "RunResult", accounts: "pl.DataFrame") -> None:
    answer = {
        "schema": "delever.lab.simulate/1",
        "summary": result.summary,
        "measures": {asset: result.measures(asset) for asset in result.assets},
        "accounts": accounts.to_dicts(),
    }
    write(json_text(answer).rstrip())


@app.command(help="Run a crash under several rule sets and policies: who pays, and what it leaves.")
def compare(
    book: BookPath,
    /,
    *,
    crash: CrashOptions = NO_CRASH,
    rules: Annotated[
        list[str] | None, Parameter(help="Rule set; repeatable. Default: all of them.")
    ] = None,
    policies: Policies = None,
    fund: Fund = None,
    report: Report = None,
    out: Output = TO_STDOUT,
) -> None:
    """Run one crash under several rule sets and policies; a row for each and contract."""
    from delever.core.rules import RULE_SETS  # noqa: PLC0415 - slow to import
    from delever.lab.runs import stress_test  # noqa: PLC0415

    loaded = _read(book)
    with _warnings():
        table = stress_test.compare(
            loaded,
            _one(crashes(loaded, crash)),
            rules=rules or tuple(RULE_SETS),
            policies=policies or (),
            pool=fund,
        )
    _write_comparison_report(table, report)
    metadata = {"as_of": loaded.sequence}
    write_rows(table, out, schema="delever.lab.compare/1", metadata=metadata)


@app.command(help="Run many scenarios under rule sets, policies and fund sizes, in processes.")
def sweep(
    book: BookPath,
    /,
    *,
    crash: CrashOptions = NO_CRASH,
    rules: Rules = None,
    policies: Policies = None,
    pool: PoolName = "",
    sizes: Sizes = None,
    asset: Annotated[
        str, Parameter(help="Settle asset of the measures. Default: that of most positions.")
    ] = "",
    markout_ms: Annotated[
        int | None,
        Parameter(help="Markouts to the marks so long after each fill. Default: the last ones."),
    ] = None,
    workers: Workers = 0,
    folder: Annotated[
        Path | None, Parameter(help="Directory for the rows; an interrupted sweep continues there.")
    ] = None,
    report: Report = None,
    out: Output = TO_STDOUT,
) -> None:
    """Run a sweep and write each measure's mean, sd and interval; --folder has all rows.

    A report has the regret of each rule set and policy, too, where there are several.
    """
    from delever.lab.measures.intervals import intervals, regret  # noqa: PLC0415 - slow to import
    from delever.lab.runs.sweeps import sweep as sweeps  # noqa: PLC0415
    from delever.lab.studies.fund_curve import pool_named  # noqa: PLC0415

    loaded = _read(book)
    name = pool_named(loaded, pool) if sizes else ""
    with _resumable(folder), _warnings(), _tasks("sweep") as report_progress:
        frame = sweeps.sweep(
            loaded,
            crashes(loaded, crash),
            rules=rules or "bybit",
            policies=policies or (),
            funds=[{name: size} for size in sizes] if sizes else [None],
            asset=asset,
            markout_ms=markout_ms,
            workers=workers,
            folder=folder,
            progress=report_progress,
        )
    table = intervals(frame, ["rules", "fund"])
    several = frame["rules"].n_unique() > 1
    regrets = {f"Regret: {name}": regret(frame, name) for name in REGRETS if several}
    _write_study_report("Sweep", table, report, regrets)
    metadata = {"runs": frame.height, "asset": frame["asset"][0]}
    write_rows(table, out, schema="delever.lab.sweep/1", metadata=metadata)


@app.command(
    help="Size an insurance fund: P(ADL), haircuts and cost of each size, and the optimum."
)
def fund(
    book: BookPath,
    /,
    *,
    sizes: Sizes = None,
    crash: CrashOptions = NO_CRASH,
    pool: PoolName = "",
    rules: Annotated[str, Parameter(help="Rule set.")] = "bybit",
    capital_cost: Annotated[
        str, Parameter(help="Cost of a unit of fund over the horizon of the scenarios.")
    ] = "0.05",
    damage: Annotated[
        str, Parameter(help="Cost to the venue of a unit of haircut or of unfunded loss.")
    ] = "1",
    workers: Workers = 0,
    report: Report = None,
    out: Output = TO_STDOUT,
) -> None:
    """Write a row for each size of the fund; the optimum goes to standard error and to JSON."""
    from delever.lab.studies.fund_curve import fund_curve  # noqa: PLC0415 - slow to import

    if not sizes:
        raise UsageError("expected sizes of the fund: --size 0 --size 10000 ...")
    loaded = _read(book)
    with _warnings(), _tasks("fund") as report_progress:
        curve = fund_curve(
            loaded,
            crashes(loaded, crash),
            sizes,
            pool=pool,
            rules=rules,
            capital_cost=capital_cost,
            damage_per_unit=damage,
            workers=workers,
            progress=report_progress,
        )
    best = curve.optimum
    found = {"fund": best.fund, "low": best.low, "high": best.high, "cost": best.cost}
    log(
        f"optimum: {best.fund:,.0f} ({best.low:,.0f} to {best.high:,.0f}), expected cost "
        f"{best.cost:,.2f}; closed form: {curve.newsvendor:,.0f} "
        f"({curve.newsvendor_low:,.0f} to {curve.newsvendor_high:,.0f})"
    )
    _write_study_report("Fund size", curve.frame, report)
    metadata = {"optimum": found, "newsvendor": curve.newsvendor}
    write_rows(curve.frame, out, schema="delever.lab.fund/1", metadata=metadata)


@app.command(help="How likely ADL is to close one account's positions, under each rule set.")
def odds(
    book: BookPath,
    /,
    *,
    account: Annotated[str, Parameter(help="Account name.")],
    crash: CrashOptions = NO_CRASH,
    rules: Rules = None,
    policies: Policies = None,
    fund: Fund = None,
    report: Report = None,
    out: Output = TO_STDOUT,
) -> None:
    """Write the odds of an account: a row for each position, rule set and policy."""
    from delever.lab.studies.account_odds import my_odds  # noqa: PLC0415 - slow to import

    loaded = _read(book)
    with _warnings():
        table = my_odds(
            loaded,
            account,
            crashes(loaded, crash),
            rules=rules or "bybit",
            policies=policies or (),
            pool=fund,
        )
    _write_study_report(f"Odds of {account}", table, report)
    write_rows(table, out, schema="delever.lab.odds/1", metadata={"account": account})


@app.command(help="Divide a quantity over the ADL queue, or make plans for a server's ADL.")
def allocate(
    book: Annotated[
        Path | None, Parameter(help="Book directory: one CSV or Parquet file for each table.")
    ] = None,
    /,
    *,
    contract: Annotated[str, Parameter(help="Contract name.")] = "",
    side: Annotated[SideName | None, Parameter(help="Side of the positions to close.")] = None,
    quantity: Annotated[str, Parameter(help="Quantity to close.")] = "",
    policies: Annotated[
        list[str] | None, Parameter(name="--policy", help="Policy; repeatable. Default: queue.")
    ] = None,
    rules: Annotated[str | None, Parameter(help="Rule set. Default: the fund's own.")] = None,
    price: Annotated[str | None, Parameter(help="ADL price. Default: the mark.")] = None,
    report: Report = None,
    worker: PlanWorkerOptions = NO_SERVER,
    crash: CrashOptions = NO_CRASH,
    out: Output = TO_STDOUT,
) -> int:
    """Write what each policy takes from each position of a book.

    On a terminal a row is an account, with a column for each policy. With --server no book is read:
    plans over all contracts, optimal for the scenarios, are submitted whenever rounds of the server
    await one (`set_plan_wait`).
    """
    from delever.lab.queries import allocation  # noqa: PLC0415 - slow to import

    if worker.server:
        if book is not None:
            raise UsageError("expected a book or --server, not both")
        return _work_for_server(worker, crash)
    if book is None or side is None or not (contract and quantity):
        raise UsageError("expected --server URL, or a book with --contract, --side and --quantity")
    loaded = _read(book)
    table = allocation.allocate(
        loaded, contract, side, quantity, policies=policies or ["queue"], rules=rules, price=price
    )
    _write_study_report(f"{contract} {side}: {quantity}", table, report)
    on_terminal = out.resolved_format == "table"
    rows = allocation.columns_by_policy(table) if on_terminal else table
    metadata = {"contract": contract, "side": side, "quantity": quantity}
    write_rows(rows, out, schema="delever.lab.allocate/1", metadata=metadata)
    return ExitCode.SUCCESS


def _work_for_server(worker: PlanWorkerOptions, crash: CrashOptions) -> int:
    """Make plans until interrupted; with --once for what awaits one now."""
    try:
        from delever.lab.policies.plans.live.plan_worker import PlanWorker  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed: install delever[lab]") from None

    plans = PlanWorker(
        worker.server,
        os.environ.get(worker.key_variable, ""),
        lambda book: crashes(book, crash),
        folder=worker.certificates,
        ties=worker.ties,
        slippage=worker.slippage,
        log=log,
    )
    with plans:
        accepted = plans.work(time.sleep, once=worker.once)
    return ExitCode.SUCCESS if accepted else ExitCode.CHECK_FAILED


@app.command(help="Check the certificate of a plan, without a solver.")
def check(
    certificate: Annotated[Path, Parameter(help="File of `Plan.write_certificate`.")],
    /,
    *,
    json: Json = False,
) -> int:
    """Write the bounds as derived again, and what is not true; exit code 3 if anything is not."""
    from delever.lab.policies.plans.certificate import read_certificate  # noqa: PLC0415 - slow to import
    from delever.lab.policies.plans.check import check as check_certificate  # noqa: PLC0415

    found = check_certificate(*read_certificate(certificate))
    rows = [{"finding": finding} for finding in found.findings]
    bounds = {"upper": found.upper, "lower": found.lower, "gap": found.gap}
    metadata = {"certificate": str(certificate), "ok": found.ok, **bounds}
    if json:
        write(json_text({"schema": "delever.lab.check/1", **metadata, "findings": rows}).rstrip())
    else:
        verdict = "proved" if found.ok else "NOT proved"
        write(f"{verdict}: expected shortfall {found.upper:,.4f}, no plan below {found.lower:,.4f}")
        write("\n".join(found.findings) or f"gap {found.gap:.2e}")
    return ExitCode.SUCCESS if found.ok else ExitCode.CHECK_FAILED


@app.command(help="Score policies on ADL-Bench: twelve frozen instances, a dozen measures.")
def bench(
    files: Annotated[
        list[Path] | None, Parameter(help="Python file with an object `policy`; it is executed.")
    ] = None,
    /,
    *,
    policies: Annotated[
        list[str] | None, Parameter(name="--policy", help="Shipped policy; repeatable.")
    ] = None,
    shipped: Annotated[bool, Parameter(negative="", help="All shipped policies.")] = False,
    instances: Annotated[
        list[str] | None,
        Parameter(name="--instance", help="Instance; repeatable. Default: all of them."),
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Write a row for each policy and instance, and the mean of each policy."""
    from delever.lab.studies.bench import submission  # noqa: PLC0415 - slow to import

    names = [*(submission.SHIPPED if shipped else ()), *(policies or ())]
    chosen = [*names, *map(submission.read_submission, files or ())]
    if not chosen:
        raise UsageError("expected FILE.py, --policy NAME or --shipped")
    with progress("bench") as report_progress:
        table = submission.bench(chosen, instances, report_progress)
    write_rows(table, out, schema="delever.lab.bench/1")


@app.command(help="Compute published figures about ADL again, each with a verdict.")
def reproduce(
    folder: Annotated[
        Path | None, Parameter(help="Directory with the tables of 10 October 2025, if you have it.")
    ] = None,
    /,
    *,
    out: Output = TO_STDOUT,
) -> None:
    """Write a row for each figure: published, computed, verdict, reason, and what shows it."""
    from delever.lab.studies.reproduction import reproduce as figures  # noqa: PLC0415 - slow

    if folder is None:
        log("without a directory of tables: figures of the event of 10 October 2025 are left out")
    write_rows(figures.reproduce(folder), out, schema="delever.lab.reproduce/1")


@app.command(help="Compare policies on the whole book of a day with what the venue closed.")
def october(
    *,
    snapshot: Annotated[Path, Parameter(help="Positions of before (Reservoir, Parquet).")],
    fills: Annotated[Path, Parameter(help="All fills since then (Reservoir, Parquet).")],
    adl: Annotated[Path, Parameter(help="ADL fills (Reservoir, Parquet).")],
    snapshot_ms: Annotated[int, Parameter(help="Time of the snapshot: in its file's name.")],
    policies: Annotated[
        list[str] | None, Parameter(name="--policy", help="Policy; repeatable. Default: all.")
    ] = None,
    deposits: Annotated[
        Path | None, Parameter(help="CSV with account and amount: deposits since the snapshot.")
    ] = None,
    funding_rate: Annotated[
        float, Parameter(help="Part of notional that longs have paid to shorts since then.")
    ] = 0.0,
    positions: Annotated[
        Path | None, Parameter(help="Parquet file with a row for each position.")
    ] = None,
    out: Output = TO_STDOUT,
) -> None:
    """Write a row for each policy: touched, spared and newly touched positions, and overlap."""
    import polars as pl  # noqa: PLC0415 - slow to import

    from delever.lab.studies.hyperliquid import counterfactual, reservoir  # noqa: PLC0415

    closed = reservoir.usable_fills(reservoir.scan_fills(adl)).collect()
    if closed.is_empty():
        raise UsageError(f"{adl}: has no ADL fill")
    book = reservoir.roll_forward(
        reservoir.scan_snapshot(snapshot),
        reservoir.scan_fills(fills),
        snapshot_ms,
        int(closed["time_ms"].to_numpy().min()),
        deposits=None if deposits is None else pl.read_csv(deposits),
        funding_rate=funding_rate,
    )
    for reason, rows in book.skipped.items():
        log(f"skipped: {rows:,}: {reason}")
    study = counterfactual.compare_policies(book.positions, closed, policies)
    log(f"unexplained: {study.unexplained:,} accounts and coins with ADL but no such position")
    if positions is not None:
        study.positions.write_parquet(positions)
    write_rows(study.summary, out, schema="delever.lab.october/1")


# --- pages to share ---


@app.command(
    help="Write a crash that plays, as HTML or GIF: price, fund, and the queue as ADL closes it."
)
def playback(
    source: CrashSource,
    /,
    *,
    output: Film,
    crash: CrashOptions = NO_CRASH,
    rules: OtherRules = None,
    policies: Policies = None,
    fund: Fund = None,
    title: PageTitle = None,
) -> None:
    """Write a crash that plays: HTML with a switch between rule sets and policies, or a GIF."""
    from delever.lab.reports.interactive import playback as page  # noqa: PLC0415 - slow to import

    _check_page(output, (".html", ".gif"))
    heading = title or f"{source.stem}: the crash"
    with _warnings():
        recordings = _recordings(source, crash, rules or (), policies, fund)
    if output.suffix == ".gif":
        _write_file(_gif(recordings, heading), output)
    else:
        _write_file(page.playback_page(recordings, heading), output)


def _gif(recordings: "list[Recording]", title: str) -> bytes:
    from delever.lab.reports.interactive.playback_gif import playback_gif  # noqa: PLC0415 - slow

    with needs_extra("plot"):
        return playback_gif(recordings, title)


@app.command(
    help="Write positions by leverage and return, and whom each rule set and policy closes."
)
def fairness_map(
    source: CrashSource,
    /,
    *,
    output: Page,
    crash: CrashOptions = NO_CRASH,
    rules: OtherRules = None,
    policies: Policies = None,
    fund: Fund = None,
    title: PageTitle = None,
) -> None:
    """Write one HTML file: positions, whom each variant closes, Lorenz curve and Gini."""
    from delever.lab.reports.interactive.fairness_map import fairness_page  # noqa: PLC0415 - slow

    _check_page(output, (".html",))
    with _warnings():
        recordings = _recordings(source, crash, rules or (), policies, fund)
    _write_file(fairness_page(recordings, title or f"{source.stem}: whom ADL closes"), output)


def _check_page(file: Path, suffixes: Sequence[str]) -> None:
    """Raise UsageError for a file that cannot be written, before the minute that a page takes."""
    if file.suffix not in suffixes:
        raise UsageError(f"-o {file}: must end in {' or '.join(suffixes)}")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"-o {file}: there is no directory {file.parent}")


def _recordings(
    source: Path,
    crash: CrashOptions,
    rules: Sequence[str],
    policies: list[str] | None,
    fund: dict[str, str] | None,
) -> "list[Recording]":
    """Return the recordings of a book and a crash, or of a journal or scenario as it is."""
    from delever.lab.reports.interactive import recording  # noqa: PLC0415 - slow to import
    from delever.lab.runs.journal_commands import read_commands  # noqa: PLC0415

    chosen = ["pro_rata"] if policies is None and not rules else policies or []
    if source.is_dir():
        book = _read(source)
        return recording.record_crash(book, _one(crashes(book, crash)), rules, chosen, fund)
    if crash != NO_CRASH or fund:
        raise UsageError("a journal or scenario has its own crash and funds: omit --move, --fund")
    with progress("crash") as report_progress:
        return recording.record_commands(read_commands(source), rules, chosen, report_progress)


# --- progress and reports ---


@contextmanager
def _resumable(folder: Path | None) -> Iterator[None]:
    """Say how an interrupted block continues, where it has a folder."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None:
            log(f"the same command continues from {folder}")
        raise


@contextmanager
def _tasks(name: str) -> Iterator[Callable[[int, int, float | None], None] | None]:
    """Yield a callback of a sweep's progress that draws a bar, or None without a terminal."""
    with progress(name) as bar:
        yield None if bar is None else lambda done, total, _seconds_left: bar(done, total)


# Each writes nothing where the option --report is not given.


def _write_run_report(result: "RunResult", file: Path | None) -> None:
    if file is None:
        return
    from delever.lab.reports.run_store import stored_run  # noqa: PLC0415 - slow to import

    reports = _html_report()
    _write_file(reports.report_of(stored_run(result), "delever: simulation"), file)


def _write_comparison_report(table: "pl.DataFrame", file: Path | None) -> None:
    if file is not None:
        _write_file(_html_report().report_of(table, "delever: comparison"), file)


def _write_study_report(
    title: str,
    table: "pl.DataFrame",
    file: Path | None,
    more: "Mapping[str, pl.DataFrame] | None" = None,
) -> None:
    if file is None:
        return
    from delever.lab.reports.table_store import study_of  # noqa: PLC0415 - slow to import

    study = study_of(table, more or {})
    _write_file(_html_report().report_of(study, f"delever: {title}"), file)


def _html_report() -> Any:
    with needs_extra("plot"):
        from delever.lab.reports import html_report  # noqa: PLC0415 - slow to import
    return html_report


def _write_file(content: str | bytes, file: Path) -> None:
    encoded = content.encode() if isinstance(content, str) else content
    file.write_bytes(encoded)
    log(f"{file}: {len(encoded):,} bytes")
