"""delever lab: each command's rows, files, reports and errors."""

import json
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from command_line import BOOK, Call, run_process

from delever.cli import ExitCode
from waiting import wait_until

SHOCK = ("--move.BTCUSDT=-0.15", "--fund.main", "1000")
PATHS = ("--model", "student_t", "--volatility", "9", "--count", "6", "--steps", "4", "--seed", "2")


def test_simulate_summarizes_a_crash_and_lists_the_deleveraged(delever: Call) -> None:
    code, out, err = delever("lab", "simulate", BOOK, *SHOCK, "--rules", "bybit")
    assert (code, err) == (ExitCode.SUCCESS, "")
    assert "2.389 closed by ADL of 2 accounts, haircut 21392.3005 USDT" in out
    listed = out.partition("# deleveraged positions\n")[2].splitlines()
    header, *rows = [line.split("\t") for line in listed]
    row = dict(zip(header, rows[0], strict=True))
    assert (row["account"], row["haircut"], row["pnl_kept"]) == ("dan", "13431.75", "6068.625")


def test_simulate_writes_json_a_file_and_a_report(delever: Call, tmp_path: Path) -> None:
    file, page = tmp_path / "accounts.parquet", tmp_path / "out.html"
    words = ("--json", "-o", str(file), "--report", str(page))
    code, out, err = delever("lab", "simulate", BOOK, *SHOCK, *words)
    answer = json.loads(out)
    assert (code, answer["schema"]) == (ExitCode.SUCCESS, "delever.lab.simulate/1")
    assert answer["measures"]["USDT"]["haircut_total"] == 21392.3005
    assert len(answer["accounts"]) == pl.read_parquet(file).height == 2
    assert "Deleveraged accounts" in page.read_text()
    assert err.startswith(f"{page}: ")


def test_a_path_of_steps_or_of_a_file_replaces_the_shock(delever: Call, tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text("time_ms,contract,price\n0,BTCUSDT,100\n500,BTCUSDT,92.5\n900,BTCUSDT,85\n")
    from_file = delever("lab", "simulate", BOOK, "--prices", str(prices))
    stepped = delever("lab", "simulate", BOOK, "--move.BTCUSDT=-0.15", "--steps", "2")
    for code, out, _ in (from_file, stepped):
        assert code == ExitCode.SUCCESS
        assert out.startswith("BTCUSDT: ", out.index("\n") + 1)
    assert (
        from_file[1].splitlines()[1:]
        != delever("lab", "simulate", BOOK, *SHOCK)[1].splitlines()[1:]
    )
    thin = delever("lab", "simulate", BOOK, "--move.BTCUSDT=-0.15", "--depth", "0")[1]
    assert "0 unwound" in thin
    assert "0.95 unwound" in delever("lab", "simulate", BOOK, "--move.BTCUSDT=-0.15")[1]


def test_compare_has_a_row_for_each_rule_set_and_policy(delever: Call, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    rules = ("--rules", "bybit", "--policy", "queue", "--policy", "pro_rata", "--json")
    code, out, _ = delever("lab", "compare", BOOK, *SHOCK, *rules, "--report", str(page))
    assert code == ExitCode.SUCCESS
    assert [row["rules"] for row in json.loads(out)["rows"]] == ["bybit", "bybit+pro_rata"]
    assert "under 2 rule sets" in page.read_text()


def test_a_sweep_writes_intervals_and_its_rows(delever: Call, tmp_path: Path) -> None:
    folder, page = tmp_path / "sweep", tmp_path / "out.html"
    words = ("--pool", "main", "--size", "0", "--size", "5000", "--folder", str(folder), "--json")
    code, out, _ = delever("lab", "sweep", BOOK, *PATHS, *words, "--report", str(page))
    answer = json.loads(out)
    assert (code, answer["runs"], answer["asset"]) == (ExitCode.SUCCESS, 12, "USDT")
    haircuts = [row for row in answer["rows"] if row["measure"] == "haircut_total"]
    assert [row["fund"] for row in haircuts] == ["main=0", "main=5000"]
    assert pl.read_parquet(folder / "sweep.parquet").height == 12
    assert "<svg" in page.read_text()
    other = delever("lab", "sweep", BOOK, *PATHS, "--folder", str(folder))
    assert other[0] == ExitCode.INVALID_INPUT
    assert "is of a sweep with other inputs" in other[2]
    words = ("--policy", "queue", "--policy", "pro_rata", "--markout-ms", "0", "--asset", "USDT")
    code, out, _ = delever("lab", "sweep", BOOK, *PATHS, *words, "--json", "--report", str(page))
    later = [row for row in json.loads(out)["rows"] if row["measure"] == "markout_opportunity"]
    assert [(row["rules"], row["mean"]) for row in later] == [("bybit", 0), ("bybit+pro_rata", 0)]
    assert "Regret: haircut_total" in page.read_text()


def test_fund_writes_the_curve_and_its_optimum(delever: Call, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    sizes = ("--size", "0", "--size", "1000", "--size", "50000", "--pool", "main")
    code, out, err = delever("lab", "fund", BOOK, *PATHS, *sizes, "--json", "--report", str(page))
    answer = json.loads(out)
    assert code == ExitCode.SUCCESS
    assert [row["fund"] for row in answer["rows"]] == [0, 1000, 50000]
    assert answer["optimum"]["low"] <= answer["optimum"]["fund"] <= answer["optimum"]["high"]
    assert err.startswith("optimum: ")
    assert "Probability of ADL" in page.read_text()


def test_odds_are_a_row_for_each_position_and_rule_set(delever: Call, tmp_path: Path) -> None:
    file, page = tmp_path / "odds.parquet", tmp_path / "out.html"
    words = ("--account", "bob", "--fund.main", "0", "-o", str(file), "--report", str(page))
    assert delever("lab", "odds", BOOK, *PATHS, *words)[0] == ExitCode.SUCCESS
    assert pl.read_parquet(file)["contract"].to_list() == ["BTCUSDT"]
    assert "Odds of bob" in page.read_text()


def test_allocate_has_a_column_for_each_policy_on_a_terminal(delever: Call, tmp_path: Path) -> None:
    queue = ("--contract", "BTCUSDT", "--side", "short", "--quantity", "3")
    policies = ("--policy", "queue", "--policy", "min_max_leverage")
    asked = ("lab", "allocate", BOOK, *queue, *policies)
    lines = [line.split() for line in delever(*asked, "--format", "table")[1].splitlines()]
    assert ["1", "bob", "4", "3", "1.547"] in lines
    page = tmp_path / "out.html"
    rows = json.loads(delever(*asked, "--json", "--report", str(page))[1])["rows"]
    assert [row["policy"] for row in rows] == ["queue"] * 4 + ["min_max_leverage"] * 4
    assert sum(Decimal(row["reduced"]) for row in rows) == 6
    assert "Allocation<" in page.read_text()


def test_the_sides_of_venues_are_taken_by_the_command(delever: Call) -> None:
    queue = ("rank", BOOK, "--contract", "BTCUSDT", "--json", "--side")
    assert delever(*queue, "SHORT") == delever(*queue, "Sell") == delever(*queue, "short")
    code, _, err = delever(*queue, "up")
    assert (code, "there is no side 'up'; there is long, short" in err) != (0, False)


@pytest.mark.parametrize("crash", [("--move.BTCUSDT=-0.1",), ("--model", "gbm")])
def test_a_crash_of_no_steps_is_an_error(delever: Call, crash: tuple[str, ...]) -> None:
    code, out, err = delever("lab", "simulate", BOOK, *crash, "--steps", "0")
    assert (code, out) == (ExitCode.INVALID_INPUT, "")
    assert "steps '0': must be a whole number, at least 1" in err


def test_policies_of_the_literature_are_accepted_by_name(delever: Call) -> None:
    queue = ("--contract", "BTCUSDT", "--side", "short", "--quantity", "3", "--json")
    for command in (
        ("allocate", BOOK, *queue),
        ("compare", BOOK, *SHOCK, "--rules", "bybit", "--json"),
    ):
        code, out, _ = delever("lab", *command, "--policy", "wealth_pro_rata")
        (row, *_) = json.loads(out)["rows"]
        assert (code, row.get("policy", row.get("rules", "")).split("+")[-1]) == (
            ExitCode.SUCCESS,
            "wealth_pro_rata",
        )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("simulate",), ExitCode.USAGE_ERROR, "expected one of --move.CONTRACT=MOVE, --prices"),
        (("simulate", *SHOCK, *PATHS), ExitCode.USAGE_ERROR, "expected one of --move"),
        (("simulate", *PATHS), ExitCode.USAGE_ERROR, "use `delever lab sweep`"),
        (("simulate", "--move.BTCUSDT=-2"), ExitCode.INVALID_INPUT, "leaves no price above 0"),
        (("simulate", "--prices", "no.csv"), ExitCode.INVALID_INPUT, "no.csv: cannot be read"),
        (("fund", *PATHS), ExitCode.USAGE_ERROR, "expected sizes of the fund"),
        (("fund", *PATHS, "--size", "0"), ExitCode.INVALID_INPUT, "name one of the pools: main"),
        (("odds", *PATHS, "--account", "bo"), ExitCode.USAGE_ERROR, "did you mean 'bob'"),
        (("sweep", *PATHS, "--policy", "quue"), ExitCode.USAGE_ERROR, "no policy 'quue'; did you"),
        (
            ("sweep", "--model", "gbm", "--correlation", "1"),
            ExitCode.INVALID_INPUT,
            "correlation: is singular",
        ),
        (
            ("allocate", "--contract", "BTCUSDT", "--side", "short", "--quantity", "300"),
            ExitCode.INVALID_INPUT,
            "quantity '300': is infeasible: the 4 ranked positions can close 7.5",
        ),
        (
            ("allocate", "--contract", "BTCUSDT", "--side", "short", "--quantity", "0.0001"),
            ExitCode.INVALID_INPUT,
            "quantity '0.0001': must be a multiple of 0.001, above 0",
        ),
    ],
)
def test_invalid_options_are_rejected(
    delever: Call, words: tuple[str, ...], code: ExitCode, message: str
) -> None:
    command, *rest = words
    found = delever("lab", command, BOOK, *rest)
    assert (found[0], found[1]) == (code, "")
    assert message in found[2]


def test_a_rounded_price_is_reported_once(delever: Call, tmp_path: Path) -> None:
    tables = {
        "pools": "pool,kind,asset,rules,balance\np,shared,USDT,bybit,0\n",
        "contracts": "contract,kind,settle,pool,tick_size,lot_size\nX,linear,USDT,p,1,1\n",
        "marks": "contract,mark\nX,3\n",
        "accounts": "account\na\n",
        "balances": "account,asset,balance\na,USDT,9\n",
        "positions": "account,contract,side,quantity,entry_price\na,X,long,1,3\n",
    }
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    code, _, err = delever("lab", "simulate", str(tmp_path), "--move.X=-0.1")
    assert code == ExitCode.SUCCESS
    assert err == (
        "delever: X: a shocked price is rounded by 1111 bp to its tick of 1: give a finer "
        "tick_size.\n"
    )


def test_an_interrupted_sweep_continues_with_the_same_command(tmp_path: Path) -> None:
    """SIGINT after the first part; the rows are those of a sweep that was not interrupted."""
    many = ("--model", "gbm", "--volatility", "9", "--count", "120", "--seed", "4")
    words = ("lab", "sweep", BOOK, *many, "--rules", "binance", "--folder", str(tmp_path), "--json")
    command = [sys.executable, "-m", "delever", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        wait_until((tmp_path / "part-000000.parquet").exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (ExitCode.INTERRUPTED, "")
    assert err == f"the same command continues from {tmp_path}\ndelever: interrupted\n"
    done = len([*tmp_path.glob("part-*.parquet")])
    assert 0 < done < 8
    assert not (tmp_path / "sweep.parquet").exists()
    assert run_process(*words).returncode == ExitCode.SUCCESS
    rows = pl.read_parquet(tmp_path / "sweep.parquet")
    assert rows["task"].to_list() == list(range(120))


def test_a_sweep_runs_in_processes_from_the_command_line() -> None:
    done = run_process("lab", "sweep", BOOK, *PATHS, "--workers", "2", "--json")
    assert done.returncode == ExitCode.SUCCESS
    assert json.loads(done.stdout)["runs"] == 6
