"""Charts of one contract and its insurance fund over a chosen range, with one cursor.

The mark is on top, with flags for liquidations, ADL fills and flows of the fund; the time in which
ADL was on is shaded.

The drawdown trigger compares the contract PnL, so its start and stop are levels of the contract
PnL: peak contract PnL + ratio x peak fund balance. They move with both peaks. The ratios are the
current ones, the peaks those of each point.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from delever.api_types.history import (
    ActivityPoint,
    ContractHistoryPoint,
    EpisodeResponse,
    MarketActivity,
    PricePoint,
)
from delever.api_types.market import ContractResponse, PoolResponse
from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GRAY,
    GREEN,
    INK,
    RED,
    Flag,
    Point,
    flags,
    level_line,
    shaded,
    step_line,
    time_charts,
    with_levels,
)
from delever.dashboard.format import about, percent, window_length
from delever.formatting import count

RANGES = {"1h": 3_600_000, "8h": 8 * 3_600_000, "1d": 24 * 3_600_000, "all": None}
"""Ranges in milliseconds by their name in the URL; None is the whole stored history."""

RANGE_NAMES = {"1h": "1 hour", "8h": "8 hours", "1d": "1 day", "all": "all"}

MINUTE_MS = 60_000

HISTORY_POINTS = 900
"""Points that are requested; the history is requested again once as many more have been added."""

HEIGHT = 150
"""Height of one chart, in pixels."""

Line = Literal[
    "mark", "balance", "balance_peak", "contract_pnl", "contract_pnl_peak", "start", "stop"
]


class ContractHistoryChart:
    """The points of the charts: from the history first, then one a refresh."""

    def __init__(self, range_name: str) -> None:
        self.range = range_name if range_name in RANGES else "8h"
        self._lines: defaultdict[Line, list[Point]] = defaultdict(list)
        self._until_ms = 0
        self._activity: Sequence[ActivityPoint] = ()
        self._episodes: Sequence[EpisodeResponse] = ()

    @property
    def needs_reload(self) -> bool:
        """Whether so many points were added that the history should be requested again."""
        return len(self._lines["balance"]) > 2 * HISTORY_POINTS

    def from_ms(self, contract: ContractResponse) -> int:
        """Return the time at which the chosen range begins."""
        span_ms = RANGES[self.range]
        return 0 if span_ms is None else max(contract.time_ms - span_ms, 0)

    def load(
        self,
        contract: ContractResponse,
        points: Sequence[ContractHistoryPoint],
        prices: Sequence[PricePoint],
    ) -> None:
        """Replace all points by those of the history."""
        self._lines.clear()
        for price in prices:
            self._append("mark", max(price.time_ms, self.from_ms(contract)), Decimal(price.mark))
        for point in points:
            balances = Decimal(point.pool_balance), Decimal(point.pool_balance_peak)
            pnl = Decimal(point.contract_pnl), Decimal(point.contract_pnl_peak)
            self._add(point.time_ms, balances, pnl, contract)

    def annotate(
        self, activity: Sequence[ActivityPoint], episodes: Sequence[EpisodeResponse]
    ) -> bool:
        """Set what is flagged and what is shaded; return whether it has changed."""
        changed = (activity, episodes) != (self._activity, self._episodes)
        self._activity, self._episodes = activity, episodes
        return changed

    def add(self, contract: ContractResponse, pool: PoolResponse) -> bool:
        """Add the current values; return whether any of them has changed."""
        before = {name: points[-1][1] for name, points in self._lines.items()}
        balances = Decimal(pool.balance), Decimal(pool.balance_peak)
        pnl = Decimal(contract.contract_pnl), Decimal(contract.contract_pnl_peak)
        self._add(contract.time_ms, balances, pnl, contract)
        if contract.mark is not None:
            self._append("mark", contract.time_ms, Decimal(contract.mark))
        return before != {name: points[-1][1] for name, points in self._lines.items()}

    def _add(
        self,
        time_ms: int,
        balances: tuple[Decimal, Decimal],
        pnl: tuple[Decimal, Decimal],
        contract: ContractResponse,
    ) -> None:
        """Add one point a line; `balances` and `pnl` are each a value and its peak."""
        self._until_ms = max(self._until_ms, time_ms)
        self._append("balance", time_ms, balances[0])
        self._append("balance_peak", time_ms, balances[1])
        self._append("contract_pnl", time_ms, pnl[0])
        self._append("contract_pnl_peak", time_ms, pnl[1])
        for name, ratio in drawdown_limits(contract).items():
            if balances[1] > 0:
                self._append(name, time_ms, pnl[1] + ratio * balances[1])

    def _append(self, name: Line, time_ms: int, value: Decimal) -> None:
        """Append a point; within a run of equal values only the first and the last are stored.

        Several values at one time are all stored: a trough within one millisecond stays visible.
        """
        points, number = self._lines[name], float(value)
        if len(points) > 1 and points[-1][1] == points[-2][1] == number:
            points.pop()
        if not points or points[-1] != (time_ms, number):
            points.append((time_ms, number))

    def options(self, contract: ContractResponse, pool: PoolResponse) -> dict[str, Any]:
        """Return the charts as ECharts options: price, insurance fund, contract PnL."""
        lines = self._lines
        peak = f"{window_length(pool.peak_window_ms)} peak"
        titles = (
            f"Mark of {contract.contract}",
            f"Insurance fund {pool.pool}: balance and {peak}, {pool.asset}",
            f"Contract PnL of {contract.contract} and {peak}, {contract.settle}",
        )
        fund = (0.0,) if _is_near_zero(lines["balance"]) else ()
        balance = step_line("balance", lines["balance"], BLUE, grid=1)
        series = [
            step_line("mark", lines["mark"], INK),
            with_levels(balance, [level_line(0, "0: empty", GRAY)] if fund else []),
            step_line("contract PnL", lines["contract_pnl"], AMBER, grid=2),
        ]
        series = [shaded(line, self._in_adl()) for line in series]
        series += [
            step_line("peak balance", lines["balance_peak"], GRAY, grid=1, line="dashed"),
            step_line("peak contract PnL", lines["contract_pnl_peak"], GRAY, grid=2, line="dotted"),
            *self._levels(contract),
            *self._flags(contract, pool),
        ]
        spans = (
            _span([lines["mark"]], []) if lines["mark"] else None,
            _span([lines["balance"], lines["balance_peak"]], fund),
            _span([lines[name] for name in _PNL_LINES if lines[name]], []),
        )
        return time_charts(titles, series, spans, time=self._time(contract), height=HEIGHT)

    def _levels(self, contract: ContractResponse) -> list[dict[str, Any]]:
        """Return the lines at which ADL starts and stops."""
        limits = drawdown_limits(contract)
        return [
            step_line(
                f"ADL {name}s at {percent(int(limits[name] * 1_000_000))}",
                self._lines[name],
                color,
                grid=2,
                line="dashed",
            )
            for name, color in _LEVELS.items()
            if name in limits
        ]

    def _in_adl(self) -> list[tuple[int, int]]:
        """Return the times in which ADL was on, by any trigger, until now where it still is."""
        spans: list[tuple[int, int]] = []
        for episode in sorted(self._episodes, key=lambda found: found.started_ms):
            start_ms, stop_ms = episode.started_ms, episode.stopped_ms or self._until_ms
            if spans and start_ms <= spans[-1][1]:
                start_ms, stop_ms = spans[-1][0], max(stop_ms, spans.pop()[1])
            spans.append((start_ms, stop_ms))
        return spans

    def _flags(self, contract: ContractResponse, pool: PoolResponse) -> list[dict[str, Any]]:
        """Return liquidations, ADL rounds and flows of the fund as flags on the line of marks."""
        assets = {MarketActivity.FUND_FLOW: pool.asset}
        largest = max((abs(float(point.amount)) for point in self._activity), default=1.0) or 1.0
        found: dict[MarketActivity, list[Flag]] = {kind: [] for kind in _FLAGS}
        for point in self._activity:
            text = _flag_text(point, assets.get(point.kind, contract.settle))
            size = 8.0
            if point.kind is MarketActivity.ADL:
                size += 14 * (abs(float(point.amount)) / largest) ** 0.5
            found[point.kind].append(Flag(point.time_ms, self._mark_at(point.time_ms), size, text))
        return [
            flags(name, found[kind], color, symbol)
            for kind, (name, color, symbol) in _FLAGS.items()
            if found[kind]
        ]

    def _mark_at(self, time_ms: int) -> float:
        """Return the mark at a time, the first one before it."""
        marks = self._lines["mark"]
        place = bisect_right(marks, time_ms, key=lambda point: point[0])
        return marks[max(place - 1, 0)][1] if marks else 0.0

    def _time(self, contract: ContractResponse) -> tuple[int, int] | None:
        """Return the ends of the time axis, None to let the points decide.

        A market younger than the chosen range fills the chart, which covers at least a minute.
        """
        if RANGES[self.range] is None:
            return None
        first_ms = min((points[0][0] for points in self._lines.values() if points), default=0)
        begin_ms = max(self.from_ms(contract), first_ms)
        return min(begin_ms, self._until_ms - MINUTE_MS), self._until_ms


def _is_near_zero(points: Sequence[Point]) -> bool:
    """Return whether the lowest value is less than a quarter of the highest one."""
    low, high = _span([points], [])
    return low < high / 4


def _flag_text(point: ActivityPoint, asset: str) -> str:
    """Return what a flag is about: '3 liquidations, 5.95M USDT'."""
    nouns = {MarketActivity.LIQUIDATION: "liquidation", MarketActivity.ADL: "ADL fill"}
    noun = nouns.get(point.kind, "fund flow")
    return f"{count(point.count, noun)}, {about(Decimal(point.amount))} {asset}"


_FLAGS = {
    MarketActivity.LIQUIDATION: ("liquidations", GRAY, "triangle"),
    MarketActivity.ADL: ("ADL fills", RED, "circle"),
    MarketActivity.FUND_FLOW: ("fund flows", BLUE, "diamond"),
}

_LEVELS: dict[Line, str] = {"start": RED, "stop": GREEN}
_PNL_LINES: tuple[Line, ...] = ("contract_pnl", "contract_pnl_peak", "start", "stop")


def drawdown_limits(contract: ContractResponse) -> dict[Line, Decimal]:
    """Return the ratios at which the contract's drawdown trigger starts and stops ADL, if any."""
    drawdown = contract.trigger("contract_drawdown")
    if drawdown is None:
        return {}
    return {
        "start": Decimal(drawdown.numbers["start_ppm"]).scaleb(-6),
        "stop": Decimal(drawdown.numbers["stop_ppm"]).scaleb(-6),
    }


def _span(lines: Sequence[Sequence[Point]], levels: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and the highest of all points and levels."""
    values = [*levels, *(value for points in lines for _, value in points)]
    return min(values, default=0.0), max(values, default=0.0)
