"""Keys of a terminal, one at a time and without echo, on the event loop."""

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from delever.watch.screen.pager import DOWN, END, HOME, PAGE_DOWN, PAGE_UP, UP

SEQUENCES = {
    "\x1b[A": UP,
    "\x1b[B": DOWN,
    "\x1b[5~": PAGE_UP,
    "\x1b[6~": PAGE_DOWN,
    "\x1b[H": HOME,
    "\x1b[F": END,
    "\x1bOA": UP,
    "\x1bOB": DOWN,
}
"""The escape sequences of keys, as terminals send them."""


def split_keys(text: str) -> Iterator[str]:
    """Yield the keys in a text that a terminal has sent."""
    while text:
        name = next((each for each in SEQUENCES if text.startswith(each)), None)
        yield SEQUENCES[name] if name else text[0]
        text = text[len(name) if name else 1 :]


@contextmanager
def keys(on_key: Callable[[str], None]) -> Iterator[None]:
    """Call a function with each key until the block ends; without a terminal never."""
    if not sys.stdin.isatty():
        yield
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    loop = asyncio.get_running_loop()

    def read() -> None:
        for key in split_keys(os.read(number, 1024).decode(errors="replace")):
            on_key(key)

    tty.setcbreak(number)
    loop.add_reader(number, read)
    try:
        yield
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)
