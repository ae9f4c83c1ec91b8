"""A small line without axes, as the path of an SVG."""

from collections.abc import Sequence

from delever.dashboard.charts.time_series import Point

WIDTH, HEIGHT = 100, 24


def sparkline(points: Sequence[Point], from_ms: int, until_ms: int) -> str:
    """Return a step line between two times as an SVG path in a box of WIDTH x HEIGHT.

    It begins with the first point where that is later than `from_ms`.

    >>> sparkline([(0, 1.0), (50, 3.0)], -5, 100)
    'M0 23H50V1H100'
    """
    if not points:
        return ""
    from_ms = max(from_ms, points[0][0])
    values = [value for _, value in points]
    low, span = min(values), (max(values) - min(values)) or 1.0
    path = ""
    for time_ms, value in points:
        x = WIDTH * (max(time_ms, from_ms) - from_ms) / max(until_ms - from_ms, 1)
        y = 1 + (HEIGHT - 2) * (1 - (value - low) / span)
        path += f"H{x:.4g}V{y:.4g}" if path else f"M{x:.4g} {y:.4g}"
    return f"{path}H{WIDTH}"
