"""Scenarios: what happens to a simulated server, one action after another, as lines of JSON.

Each action has its own seed, so that a scenario without some of its actions is a scenario too.
"""

import random
from collections.abc import Callable, Iterator, Sequence

import msgspec


class Action(msgspec.Struct, frozen=True, kw_only=True, tag_field="do"):
    """One action; the event loop makes up to `turns` turns after it."""

    turns: int = 30


class Start(Action, tag="start", frozen=True, kw_only=True):
    """The first line: the seed of disk and event loop."""

    seed: int


class Submit(Action, tag="submit", frozen=True, kw_only=True):
    """A client submits commands in one request; over HTTP where `http`."""

    seed: int
    count: int
    http: bool = False


class Resend(Action, tag="resend", frozen=True, kw_only=True):
    """A client sends the request with this seed again, with the same ids."""

    seed: int
    count: int
    http: bool = False


class DiskFault(Action, tag="disk_fault", frozen=True, kw_only=True):
    """An operation of the disk fails, or the process ends in it: `Fault` of the disk."""

    kind: str
    after: int


class End(Action, tag="end", frozen=True, kw_only=True):
    """The process ends between two turns: by `power`, `kill` or `stop`."""

    kind: str


class Rot(Action, tag="rot", frozen=True, kw_only=True):
    """Bits of the journal change, in the file or in its log."""

    suffix: str
    seed: int
    bits: int


class Clock(Action, tag="clock", frozen=True, kw_only=True):
    """The server's clock jumps."""

    by_ms: int


class FillDisk(Action, tag="fill_disk", frozen=True, kw_only=True):
    """The disk has only this many bytes left; None: no limit any more."""

    bytes_left: int | None


class Receiver(Action, tag="receiver", frozen=True, kw_only=True):
    """The receiver of notices answers, or not."""

    answers: bool


class Read(Action, tag="read", frozen=True, kw_only=True):
    """A client reads records, from a part of the journal on."""

    place: float


class Confirm(Action, tag="confirm", frozen=True, kw_only=True):
    """An operator confirms the time."""


AnyAction = (
    Start | Submit | Resend | DiskFault | End | Rot | Clock | FillDisk | Receiver | Read | Confirm
)
Scenario = Sequence[AnyAction]

_decoder = msgspec.json.Decoder(AnyAction)

LENGTH = 50
"""Actions of a scenario; a long-lived server is many short scenarios, which shrink faster."""

Disturbance = Callable[[random.Random, int], list[AnyAction]]

DAY_MS = 24 * 3_600_000
JUMPS_MS = (-DAY_MS, -5_000, -1, 1, 5_000, 4 * 60_000, 10 * 60_000, 365 * DAY_MS)


def encode(scenario: Scenario) -> bytes:
    """Return a scenario as lines of JSON."""
    return b"".join(msgspec.json.encode(action) + b"\n" for action in scenario)


def decode(lines: bytes) -> list[AnyAction]:
    """Return a scenario; raises msgspec.MsgspecError for a line that is no action."""
    return [_decoder.decode(line) for line in lines.splitlines() if line.strip()]


def generated(seed: int, length: int = LENGTH) -> list[AnyAction]:
    """Return the scenario of a seed; faults of several kinds meet in some, others have one kind."""
    rng = random.Random(seed)
    faults = [_disk_fault, _end, _clock, _fill_disk, _receiver]
    if rng.random() < 0.3:
        faults.append(_rot)
    enabled = rng.sample(faults, rng.randint(1, len(faults)))
    share = rng.choice([0.05, 0.15, 0.3])
    return [Start(seed=seed), *_actions(rng, enabled, share, length)]


def _actions(
    rng: random.Random, faults: Sequence[Disturbance], share: float, length: int
) -> Iterator[AnyAction]:
    requests: list[Submit] = []
    for _ in range(length):
        turns = rng.choice([0, 1, 3, 10, 40, 150])
        chance = rng.random()
        if chance < share:
            yield from rng.choice(faults)(rng, turns)
        elif chance < share + 0.1 and requests:
            old = rng.choice(requests[-6:])
            http = rng.random() < 0.1
            yield Resend(turns=turns, seed=old.seed, count=old.count, http=http)
        elif chance < share + 0.17:
            yield Read(turns=turns, place=rng.random())
        elif chance < share + 0.19:
            yield Confirm(turns=turns)
        else:
            count = rng.choice([1, 2, 4, 6])
            http = rng.random() < 0.04
            requests.append(Submit(turns=turns, seed=rng.randrange(2**32), count=count, http=http))
            yield requests[-1]


def _disk_fault(rng: random.Random, turns: int) -> list[AnyAction]:
    kinds = ["power", "power", "kill", "write", "sync", "sync_and_kill", "read"]
    kind = rng.choice(kinds)
    return [DiskFault(turns=turns, kind=kind, after=rng.choice([1, 2, 5, 10, 30, 80]))]


def _end(rng: random.Random, turns: int) -> list[AnyAction]:
    return [End(turns=turns, kind=rng.choice(["power", "kill", "stop"]))]


def _clock(rng: random.Random, turns: int) -> list[AnyAction]:
    return [Clock(turns=turns, by_ms=rng.choice(JUMPS_MS))]


def _fill_disk(rng: random.Random, turns: int) -> list[AnyAction]:
    return [FillDisk(turns=turns, bytes_left=rng.choice([None, 0, 1_000, 30_000, 200_000]))]


def _receiver(rng: random.Random, turns: int) -> list[AnyAction]:
    return [Receiver(turns=turns, answers=rng.random() < 0.5)]


def _rot(rng: random.Random, turns: int) -> list[AnyAction]:
    """Return a change of bits; often a restart, after which nothing is cached, and reads."""
    suffix, bits = rng.choice(["", "", "-wal"]), rng.choice([1, 80])
    rot = Rot(turns=turns, suffix=suffix, seed=rng.randrange(2**32), bits=bits)
    reads = [Read(turns=turns, place=rng.random()) for _ in range(4)]
    return [rot, *([End(kind="stop")] if rng.random() < 0.5 else []), *reads]


def shrunk(scenario: Scenario, fails: Callable[[Scenario], bool]) -> list[AnyAction]:
    """Return a scenario that still fails without any one of its actions passing.

    Halves, quarters and so on are removed first (Zeller's delta debugging, without complements).
    """
    actions = list(scenario)
    size = len(actions) // 2
    while size:
        place, removed = 1, False  # the first line is the start
        while place < len(actions):
            shorter = actions[:place] + actions[place + size :]
            if fails(shorter):
                actions, removed = shorter, True
            else:
                place += size
        size = size if removed and size == 1 else size // 2
    return actions
