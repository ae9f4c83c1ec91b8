"""Sweeps: the same rows and bytes whatever runs them; an interrupted one continues."""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import delever
from delever import lab
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.runs.sweeps import sweep as sweeps
from delever.lab.runs.sweeps.executors import SerialExecutor, SharedBook
from delever.lab.runs.sweeps.tasks import Row, SweepInputs

ROOT = Path(__file__).parents[3]
BOOK = delever.read_book(ROOT / "examples" / "book")
PATHS = lab.scenarios(BOOK, volatility=8.0, count=10, steps=6, seed=3)
ARGUMENTS: dict[str, Any] = {
    "rules": ["bybit", "binance"],
    "funds": [{"main": 0}, {"main": 5000}],
    "next_shocks": [lab.Shock({"BTCUSDT": "0.2"}), lab.Shock({"BTCUSDT": "-0.2"})],
}
TASKS = len(PATHS) * 4


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sweep, run in this process."""
    folder = tmp_path_factory.mktemp("serial")
    lab.sweep(BOOK, PATHS, folder=folder, **ARGUMENTS)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_sweep_has_a_row_for_each_combination(serial: Path) -> None:
    frame = pl.read_parquet(serial / "sweep.parquet")
    assert frame["task"].to_list() == list(range(TASKS))
    assert frame.select("scenario", "rules", "fund").unique().height == TASKS
    assert frame["adl"].any()
    assert not frame["adl"].all()
    one = lab.simulate(BOOK, PATHS[0], rules="binance", pool={"main": 5000})
    row = frame.row(3, named=True)
    assert (row["rules"], row["fund"], row["asset"]) == ("binance", "main=5000", "USDT")
    assert {name: row[name] for name in one.measures()} == one.measures()
    assert row["fund_before"] == 5000
    assert frame["cvar_after"].min() >= 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rules": ["bybit", "binance", "bybit"]}, "rules 'bybit': is given 2 times: give it once"),
        ({"rules": []}, "rules: is empty"),
        ({"funds": "1000"}, "funds '1000': must be a list of balances"),
        ({"funds": [0, 0]}, "funds '0': is given 2 times"),
        ({"funds": [{"main": 1.5}]}, "pool main '1.5': must be exact text: write \"1.5\""),
        ({"funds": [1.5]}, "pool '1.5': must be exact text: write \"1.5\""),
        ({"markout_ms": -1}, "markout_ms '-1': must be a whole number, at least 0"),
        ({"alpha": "0.9"}, "alpha '0.9': must be a number, at least 0 and below 1"),
        ({"book": "examples/book"}, "must be a book, such as delever.read_book('examples/book')"),
        ({"folder": "/dev/null/rows"}, "/dev/null/rows: cannot be written: Not a directory; give"),
    ],
)
def test_inputs_that_no_sweep_can_have_are_rejected(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        lab.sweep(**{"book": BOOK, "scenarios": PATHS, **arguments})
    assert message in str(caught.value)


def test_a_sweep_can_be_measured_in_another_asset() -> None:
    coin = lab.sweep(BOOK, [lab.Shock({"BTCUSD": "-0.4"})], rules="binance", asset="BTC")
    assert (coin["asset"][0], coin["fund_before"][0]) == ("BTC", 0.4)
    with pytest.raises(UnknownNameError, match="no asset 'ETH'"):
        lab.sweep(BOOK, PATHS, asset="ETH")


def test_a_sweep_can_mark_out_at_a_delay() -> None:
    """As a run alone does; 0 ms after a fill the mark is that of the fill."""
    found = {
        delay: lab.sweep(BOOK, PATHS[:2], rules="bybit", funds=[{"main": 0}], markout_ms=delay)
        for delay in (0, 600_000)
    }
    for delay, frame in found.items():
        one = lab.simulate(BOOK, PATHS[1], rules="bybit", pool={"main": 0})
        total = frame["markout_total"][1]
        assert total == one.measures("USDT", markout_ms=delay)["markout_total"]
    assert found[0]["markout_opportunity"].to_list() == [0, 0]
    assert not found[0]["markout_total"].equals(found[600_000]["markout_total"])


def test_processes_give_the_same_bytes(serial: Path, tmp_path: Path) -> None:
    lab.sweep(BOOK, PATHS, folder=tmp_path, workers=2, **ARGUMENTS)
    assert files(tmp_path) == files(serial)


class Interrupted:
    """Runs two parts, then is interrupted."""

    def run(self, inputs: SweepInputs, parts: Iterable[range]) -> Iterator[list[Row]]:
        rows = SerialExecutor().run(inputs, parts)
        yield next(rows)
        yield next(rows)
        raise KeyboardInterrupt


class Counted(SerialExecutor):
    """Counts the tasks that it runs."""

    ran = 0

    def run(self, inputs: SweepInputs, parts: Iterable[range]) -> Iterator[list[Row]]:
        for rows in super().run(inputs, parts):
            self.ran += len(rows)
            yield rows


def test_an_interrupted_sweep_continues(serial: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        lab.sweep(BOOK, PATHS, folder=tmp_path, executor=Interrupted(), **ARGUMENTS)
    assert not (tmp_path / "sweep.parquet").exists()
    (tmp_path / "part-000032.unfinished").write_bytes(b"cut off")
    rest = Counted()
    reported: list[tuple[int, int, float | None]] = []
    lab.sweep(
        BOOK, PATHS, folder=tmp_path, executor=rest, progress=lambda *at: reported.append(at),
        **ARGUMENTS,
    )  # fmt: skip
    assert rest.ran == TASKS - 2 * sweeps.PART_SIZE
    assert files(tmp_path) == files(serial)
    assert reported[0] == (2 * sweeps.PART_SIZE, TASKS, None)
    assert reported[-1] == (TASKS, TASKS, 0.0)
    done = Counted()
    lab.sweep(BOOK, PATHS, folder=tmp_path, executor=done, **ARGUMENTS)
    assert done.ran == 0


def test_a_folder_of_another_sweep_is_rejected(serial: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is of a sweep with other inputs"):
        lab.sweep(BOOK, PATHS[1:], folder=serial, **ARGUMENTS)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="has other files"):
        lab.sweep(BOOK, PATHS, folder=tmp_path, **ARGUMENTS)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rules": ["bibyt"]}, UnknownNameError, "did you mean 'bybit'"),
        ({"policies": ["prorata"]}, UnknownNameError, "there is no policy 'prorata'"),
        ({"funds": [{"mian": 1}]}, UnknownNameError, "did you mean 'main'"),
        ({"funds": [1]}, InputError, "the book has pools in BTC and USDT"),
        ({"funds": []}, InputError, "funds: is empty"),
        ({"scenarios": []}, InputError, "scenarios: is empty"),
        ({"scenarios": [lab.Shock({"DOGE": "-0.1"})]}, UnknownNameError, "no contract 'DOGE'"),
        ({"vault_cap": "0.2"}, InputError, "no chosen rule set reads"),
    ],
)
def test_invalid_inputs_are_rejected_before_anything_runs(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    executor = Counted()
    arguments = {"scenarios": PATHS, **ARGUMENTS, "executor": executor, **change}
    with pytest.raises(error) as caught:
        lab.sweep(BOOK, **arguments)
    assert message in str(caught.value)
    assert executor.ran == 0


def test_a_book_whose_rules_processes_cannot_import_is_rejected() -> None:
    book = BOOK.copy()
    book.use_registry({"house": lambda: None})
    with pytest.raises(InputError, match="define its rule sets in a module"):
        SharedBook(book)


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_bytes(serial: Path, tmp_path: Path) -> None:
    """Ray has an environment of its own, and a local cluster of two workers here."""
    subprocess.run(["make", "--silent", ".venv-ray/ray"], cwd=ROOT, check=True)
    program = (
        "import sys, ray; sys.path[:0] = sys.argv[1:2];"
        "import test_sweeps as t; from delever import lab;"
        "ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False);"
        "lab.sweep(t.BOOK, t.PATHS, folder=sys.argv[2], executor=lab.RayExecutor(), **t.ARGUMENTS)"
    )
    python = ROOT / ".venv-ray" / "bin" / "python"
    subprocess.run([python, "-c", program, Path(__file__).parent, tmp_path], check=True, cwd=ROOT)
    assert files(tmp_path) == files(serial)
