"""Waiting in tests: for a condition, never for a time. PATIENCE_S only ends what would hang."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 60.0

T = TypeVar("T")


def wait_until(holds: Callable[[], T], what: str = "") -> T:
    """Return what a condition gives once that is true; AssertionError says what never was."""
    end = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < end, f"never {what or 'true'}: {found}"
        time.sleep(0.01)
    return found


async def until(holds: Callable[[], T], what: str = "") -> T:
    """Do the same on an event loop, on which everything else goes on."""
    end = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < end, f"never {what or 'true'}: {found}"
        await asyncio.sleep(0.01)
    return found


def becomes(read: Callable[[], T], expected: T) -> None:
    """Wait until reading gives what is expected; AssertionError compares the last reading."""
    end = time.monotonic() + PATIENCE_S
    while (found := read()) != expected and time.monotonic() < end:
        time.sleep(0.05)
    assert found == expected
