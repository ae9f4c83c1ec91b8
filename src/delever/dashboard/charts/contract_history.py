"""A contract and its pool over time, as two charts with one cursor, over a range that is chosen.

The trigger is on the contract's profit: its levels are peak profit + ratio x the pool's peak
balance, so they move with both peaks. The ratios are those of now, the peaks those of each moment.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal

from delever.api_types.history import ContractHistoryPoint
from delever.api_types.market import ContractResponse, PoolResponse
from delever.dashboard.charts.time_series import (
    AMBER,
    BLUE,
    GREEN,
    GREY,
    RED,
    Point,
    level_line,
    steps,
    time_charts,
    with_levels,
)
from delever.dashboard.format import percent

RANGES = {"1h": 3_600_000, "8h": 8 * 3_600_000, "1d": 24 * 3_600_000, "all": None}
"""Ranges by their name in the address, in milliseconds; None is all that is kept."""

NAMES = {"1h": "1 hour", "8h": "8 hours", "1d": "1 day", "all": "all"}

MINUTE_MS = 60_000

MOMENTS = 900
"""Points of the past that are asked for; after as many more, they are asked for again."""

Line = Literal["balance", "balance_peak", "profit", "contract_pnl_peak", "start", "stop"]


class Past:
    """Points of the pool and of the contract, from history and as they come."""

    def __init__(self, chosen: str) -> None:
        self.range = chosen if chosen in RANGES else "8h"
        self._lines: defaultdict[Line, list[Point]] = defaultdict(list)
        self._until_ms = 0

    @property
    def is_long(self) -> bool:
        """Whether so much has come that the past should be asked for again."""
        return len(self._lines["balance"]) > 2 * MOMENTS

    def from_ms(self, contract: ContractResponse) -> int:
        """Return when the range that is chosen begins."""
        span_ms = RANGES[self.range]
        return 0 if span_ms is None else max(contract.time_ms - span_ms, 0)

    def begin(self, contract: ContractResponse, moments: Sequence[ContractHistoryPoint]) -> None:
        """Take up the past in place of what was there."""
        self._lines.clear()
        for each in moments:
            balances = Decimal(each.pool_balance), Decimal(each.pool_balance_peak)
            profits = Decimal(each.contract_pnl), Decimal(each.contract_pnl_peak)
            self._take(each.time_ms, balances, profits, contract)

    def add(self, contract: ContractResponse, pool: PoolResponse) -> bool:
        """Take up what is now; return whether anything has changed."""
        before = {name: points[-1][1] for name, points in self._lines.items()}
        balances = Decimal(pool.balance), Decimal(pool.balance_peak)
        profits = Decimal(contract.contract_pnl), Decimal(contract.contract_pnl_peak)
        self._take(contract.time_ms, balances, profits, contract)
        return before != {name: points[-1][1] for name, points in self._lines.items()}

    def _take(
        self,
        time_ms: int,
        balances: tuple[Decimal, Decimal],
        profits: tuple[Decimal, Decimal],
        contract: ContractResponse,
    ) -> None:
        self._until_ms = max(self._until_ms, time_ms)
        self._append("balance", time_ms, balances[0])
        self._append("balance_peak", time_ms, balances[1])
        self._append("profit", time_ms, profits[0])
        self._append("contract_pnl_peak", time_ms, profits[1])
        for name, ratio in limits_of(contract).items():
            if balances[1] > 0:
                self._append(name, time_ms, profits[1] + ratio * balances[1])

    def _append(self, name: Line, time_ms: int, value: Decimal) -> None:
        """Append a point; one that only says that a value still holds takes the last one's place.

        What came before the time known so far is a fall within one moment, and stands there, too.
        """
        points, number = self._lines[name], float(value)
        if len(points) > 1 and points[-1][1] == points[-2][1] == number:
            points.pop()
        if not points or points[-1] != (time_ms, number):
            points.append((time_ms, number))

    def options(self, contract: ContractResponse, pool: PoolResponse) -> dict[str, Any]:
        """Return both charts as they are now."""
        lines = self._lines
        peak = f"{window(pool.peak_window_ms)} peak"
        titles = (
            f"Pool {pool.pool}: balance and its {peak}, {pool.asset}",
            f"Profit of {contract.contract} and its {peak}, {contract.settle}",
        )
        balance = with_levels(
            steps("balance", lines["balance"], BLUE), [level_line(0, "0: empty", GREY)]
        )
        series = [
            balance,
            steps("peak balance", lines["balance_peak"], GREY, line="dashed"),
            steps("profit", lines["profit"], AMBER, grid=1),
            steps("peak profit", lines["contract_pnl_peak"], GREY, grid=1, line="dashed"),
        ]
        limits = limits_of(contract)
        for name, colour in _LEVELS.items():
            if name in limits:
                label = f"ADL {name}s at pnlRatio {percent(int(limits[name] * 1_000_000))}"
                series.append(steps(label, lines[name], colour, grid=1, line="dashed"))
        spans = (
            _span([lines["balance"], lines["balance_peak"]], [0]),
            _span([lines[name] for name in _PROFITS if lines[name]], []),
        )
        return time_charts(titles, series, spans, time=self._time(contract))

    def _time(self, contract: ContractResponse) -> tuple[int, int] | None:
        """Return the ends of the time axis; where all is shown, the points say them.

        A market that is younger than the range fills the chart, from a minute on.
        """
        if RANGES[self.range] is None:
            return None
        first = min((points[0][0] for points in self._lines.values() if points), default=0)
        begins_ms = max(self.from_ms(contract), first)
        return min(begins_ms, self._until_ms - MINUTE_MS), self._until_ms


_LEVELS: dict[Line, str] = {"start": RED, "stop": GREEN}
_PROFITS: tuple[Line, ...] = ("profit", "contract_pnl_peak", "start", "stop")


def limits_of(contract: ContractResponse) -> dict[Line, Decimal]:
    """Return the ratios at which the contract's drawdown starts and stops ADL, where it has one."""
    drawdown = contract.trigger("contract_drawdown")
    if drawdown is None:
        return {}
    return {
        "start": Decimal(drawdown.numbers["start_ppm"]).scaleb(-6),
        "stop": Decimal(drawdown.numbers["stop_ppm"]).scaleb(-6),
    }


def window(window_ms: int) -> str:
    """Return the length of a pool's window: '8 h', or '90 min' where it is not whole hours."""
    minutes = Decimal(window_ms) / MINUTE_MS
    return f"{minutes / 60:f} h" if minutes % 60 == 0 else f"{minutes.normalize():f} min"


def _span(lines: Sequence[Sequence[Point]], levels: Sequence[float]) -> tuple[float, float]:
    """Return the least and the largest of all points and levels."""
    values = [*levels, *(value for points in lines for _, value in points)]
    return min(values, default=0.0), max(values, default=0.0)
