"""Sieges under every rule set that the exact auditor models, each step judged."""

import contextlib

import pytest
from hypothesis import settings
from observing import TRIGGERS
from playing import Session
from siege import Siege
from takeovers import OutOfRoomError

FACTOR = settings().max_examples // 50
SEEDS = range(2 * FACTOR)
LENGTH = 110


@pytest.mark.parametrize("rules", TRIGGERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_step_of_a_siege_is_right(rules: str, seed: int) -> None:
    siege, session = Siege(rules, seed), Session(vast=True)
    with contextlib.suppress(OutOfRoomError):
        for _ in range(LENGTH):
            session.play(siege.next(session.auditor.model))
