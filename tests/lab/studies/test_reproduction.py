"""Published figures computed again: the stored table, the verdicts, and invalid tables."""

import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from delever.lab.errors import InputError
from delever.lab.studies.reproduction import event, learning
from delever.lab.studies.reproduction.figure import figure
from delever.lab.studies.reproduction.four_traders import exact_loss
from delever.lab.studies.reproduction.reproduce import reproduce

STORED = Path(__file__).parents[3] / "docs" / "results" / "reproduction.csv"
DATA = Path(os.environ.get("DELEVER_DATA", Path(__file__).parents[4] / "shared" / "data"))
EVENT = DATA / "hyperliquid-2025-10-10"

needs_event = pytest.mark.skipif(
    not EVENT.is_dir(), reason=f"no tables of the event: {EVENT}, or DELEVER_DATA"
)


def compare(computed: pl.DataFrame, stored: pl.DataFrame) -> None:
    assert computed.height == stored.height
    for ours, theirs in zip(computed.to_dicts(), stored.to_dicts(), strict=True):
        for name in ("published", "computed"):
            assert ours.pop(name) == pytest.approx(theirs.pop(name), rel=1e-9, abs=1e-3)
        assert {name: text or None for name, text in ours.items()} == theirs


def test_figures_without_data_are_as_stored() -> None:
    computed = reproduce()
    compare(computed, pl.read_csv(STORED).tail(computed.height))
    assert set(computed["verdict"]) == {"holds", "holds after correction", "does not stand"}


@needs_event
def test_all_figures_are_as_stored() -> None:
    compare(reproduce(EVENT), pl.read_csv(STORED))


def test_a_figure_is_judged_by_its_tolerance_and_correction() -> None:
    def verdict(published: float, computed: float, correction: str = "") -> str:
        return figure("X", "", "", published, computed, correction=correction).verdict  # type: ignore[arg-type]

    assert verdict(1.0, 1.004) == "holds"
    assert verdict(1.0, 1.006) == "does not stand"
    assert verdict(1.0, 2.0, "minor") == "holds after correction"
    assert verdict(1.0, 1.0, "material") == "does not stand"
    assert figure("X", "", "", 1, 1).computed_by.startswith("test_reproduction.test_a_figure")


def test_the_closed_form_does_not_depend_on_the_grid() -> None:
    assert exact_loss(2_001) == pytest.approx(exact_loss(4_001), rel=1e-5)


def test_a_folder_that_does_not_exist_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no directory with the tables of the event"):
        reproduce(tmp_path / "missing")
    with pytest.raises(InputError, match=r"hr_adl_by_user_REALTIME\.csv: cannot be read"):
        reproduce(tmp_path)


def test_a_table_of_another_form_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "plu_policy_per_wave_metrics.csv").write_text("wave,budget_needed\n1,2\n")
    with pytest.raises(InputError, match=r"plu_policy_per_wave_metrics\.csv: cannot be read"):
        learning.waves_of(tmp_path)
    (tmp_path / "viz_adl_flow_data.json").write_text("{}")
    with pytest.raises(InputError, match=r"viz_adl_flow_data\.json: cannot be read: 'timeBuckets'"):
        event.bursts(tmp_path)


@needs_event
def test_a_changed_table_changes_the_verdict(tmp_path: Path) -> None:
    name = "hr_adl_by_coin_REALTIME.csv"
    shutil.copy(EVENT / "hr_adl_by_user_REALTIME.csv", tmp_path)
    lines = (EVENT / name).read_text().splitlines()
    (tmp_path / name).write_text("\n".join(lines[:-1]))
    verdicts = {each.quantity: each.verdict for each in event.totals(tmp_path)}
    assert verdicts["coins"] == "does not stand"
    assert verdicts["accounts deleveraged"] == "holds"
