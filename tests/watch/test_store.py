"""The watch's SQLite file: what is recorded, what survives a restart, and its export."""

import sqlite3
from pathlib import Path

import pytest
from observation_samples import NOW, drawdown, fill, indicator, pool, risk

from delever.watch.alerts.alert_rules import ActiveAlert
from delever.watch.alerts.contract_status import AdlState, ContractStatus
from delever.watch.store import (
    RECORD_INTERVAL_MS,
    HistoryRecord,
    WatchStore,
    downsample,
    read_history,
)


def test_history_records_changes_and_at_intervals_unchanged_values(
    tmp_path: Path, store: WatchStore
) -> None:
    for minute in range(14):
        store.record([indicator(4 if minute < 3 else 5)], NOW + 60_000 * minute)
    records = read_history(tmp_path / "watch.db")
    found = [((line.at_ms - NOW) // 60_000, line.value) for line in records]
    assert found == [(0, 4), (3, 5), (13, 5)]
    store.record([drawdown("-0.22"), risk(3), pool("7000"), fill("1")], NOW)
    store.record([fill("2", at_ms=NOW + 1), fill("1"), pool("7007"), pool("6999")], NOW + 1)
    store.record([fill("2", at_ms=NOW + 1), fill("1"), pool("7008")], NOW + 2)
    assert [line.venue_time_ms - NOW for line in of_metric(tmp_path, "fill")] == [0, 1]  # each once
    assert [line.raw for line in of_metric(tmp_path, "pool")] == ["7000", "7008"]  # 0.1 % more
    assert {line.metric for line in read_history(tmp_path / "watch.db")} == {
        "indicator", "pnl_ratio", "start_ratio", "stop_ratio", "risk", "pool", "fill",
    }  # fmt: skip
    assert {line.name for line in read_history(tmp_path / "watch.db", name="BTCUSDT")} == {
        "BTCUSDT"
    }
    store.delete_old(30, NOW + 31 * 24 * 3_600_000)
    assert read_history(tmp_path / "watch.db") == []
    assert RECORD_INTERVAL_MS == 600_000


def of_metric(folder: Path, metric: str) -> list[HistoryRecord]:
    return [line for line in read_history(folder / "watch.db") if line.metric == metric]


def test_a_long_history_is_downsampled_to_its_extremes(tmp_path: Path, store: WatchStore) -> None:
    for second in range(1_000):
        ratio = "-0.29" if second == 555 else f"-0.{100 + second % 7}"
        store.record([drawdown(ratio), indicator(1 + second % 2)], NOW + second)
    sampled = downsample(read_history(tmp_path / "watch.db"), 60)
    ratios = [line for line in sampled if line.metric == "pnl_ratio"]
    assert len(ratios) <= 60
    assert (555, "-0.29") in {(line.at_ms - NOW, line.raw) for line in ratios}
    assert ratios[-1].at_ms == NOW + 999
    assert [line.at_ms for line in sampled] == sorted(line.at_ms for line in sampled)


def test_statuses_alerts_and_balances_survive_a_restart(tmp_path: Path) -> None:
    status = ContractStatus(
        venue="okx", contract="X", state=AdlState.ADL, since_ms=NOW, reason="fill", adl_active=True
    )
    alert = ActiveAlert(rule="front", subject="x", text="t", since_ms=NOW, notified_ms=NOW)
    first = WatchStore(tmp_path / "watch.db")
    first.record_statuses([status], NOW)
    first.record([pool("900")], NOW)
    first.save_alerts({("front", "x"): alert}, [], [], NOW)
    first.close()
    second = WatchStore(tmp_path / "watch.db")
    assert second.statuses() == {("okx", "X"): status}
    assert second.active_alerts() == {("front", "x"): alert}
    assert second.pool_balances(NOW) == {pool("900").key: [(NOW, pool("900").balance)]}
    assert second.pool_balances(NOW + 1) == {}
    second.close()


def test_reading_a_missing_file_raises_and_creates_none(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        read_history(tmp_path / "absent.db")
    assert not (tmp_path / "absent.db").exists()
