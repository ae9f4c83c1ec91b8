"""Under every rule set a transformed session deleverages the same accounts, to the last bit."""

import hashlib
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from metamorphic import outcomes_of, renamed, reordered
from venue_workloads import RecordedSession, recorded_session

from delever.core.book import Book
from delever.core.book.account_tables import Wallets
from delever.core.book.pool_state import AssetState
from delever.core.engine import step
from delever.core.risk.publication.cache import publish
from delever.core.rules import RULE_SETS
from delever.journal.record import decode_command, encode_command, encode_events
from delever.journal.recorder import Recorder
from delever.journal.replay import replay_commands, replay_events
from delever.journal.snapshot import decode_book, encode_book

FACTOR = settings().max_examples // 50
SEEDS = range(FACTOR)
LENGTH = 110

every_session = pytest.mark.parametrize(
    ("rules", "seed"), [(rules, seed) for rules in RULE_SETS for seed in SEEDS]
)


def session(rules: str, seed: int) -> RecordedSession:
    return recorded_session(rules, seed, LENGTH)


@every_session
def test_order_and_names_never_change_the_outcome(rules: str, seed: int) -> None:
    """Rows permuted, accounts and pools defined in another order, accounts renamed in order."""
    commands = session(rules, seed).commands
    right = outcomes_of(commands)
    assert outcomes_of(reordered(commands, seed)) == right
    transformed, names = renamed(commands)
    assert outcomes_of(transformed) == outcomes_of(commands, names)


@every_session
def test_batch_sizes_and_replays_give_the_same_hashes(rules: str, seed: int) -> None:
    original, draw = session(rules, seed), random.Random(f"{rules} {seed}")
    with Recorder.open(":memory:") as whole, Recorder.open(":memory:", snapshot_every=29) as parts:
        assert whole.submit(original.commands) == original.events
        left = list(original.commands)
        while left:
            size = draw.choice([1, 1, 2, 5, 20])
            parts.submit(left[:size])
            left = left[size:]
        assert parts.head == whole.head
        for replay in (replay_commands, replay_events):
            for recorder, from_zero in ((whole, True), (parts, False)):
                again = replay(recorder.journal, from_zero=from_zero)
                assert again.finding is None
                assert again.head == whole.head
                assert encode_book(again.book) == encode_book(whole.book)


@every_session
def test_a_restored_book_continues_with_the_same_events(rules: str, seed: int) -> None:
    original, book = session(rules, seed), Book()
    cut = random.Random(f"{seed} {rules}").randrange(LENGTH)
    for command in original.commands[:cut]:
        step(book, command)
    restored = decode_book(encode_book(book))
    book.take_changes()
    for command, events in list(zip(original.commands, original.events, strict=True))[cut:]:
        assert step(restored, command) == step(book, command) == events
        assert restored.take_changes() == book.take_changes()
    assert encode_book(restored) == encode_book(book)


def stale_ranks(rules: str) -> list[int]:
    """Return the commands after which published ranks are not those of a fresh copy of the book."""
    book, stale = Book(), []
    for number, command in enumerate(session(rules, 0).commands):
        step(book, command)
        published, fresh = (
            {key: ranked.digest() for key, ranked in publish(one).sides.items()}
            for one in (book, book.copy())
        )
        if published != fresh:
            stale.append(number)
    return stale


@pytest.mark.parametrize("rules", RULE_SETS)
def test_cached_ranks_are_those_of_a_fresh_copy(rules: str) -> None:
    assert stale_ranks(rules) == []


def test_a_wallet_changed_without_its_stamp_publishes_stale_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A planted fault, which the comparison above notices."""
    add = Wallets.add

    def add_unstamped(wallets: Wallets, account: int, amount_cash: int) -> None:
        stamp = wallets.changed_at.item(account)
        add(wallets, account, amount_cash)
        wallets.changed_at[account] = stamp

    monkeypatch.setattr(Wallets, "add", add_unstamped)
    assert any(stale_ranks(rules) for rules in list(RULE_SETS)[:5])


def session_digest(commands: list[bytes]) -> str:
    """Return a hash of every event and of the final book of a session."""
    book, digest = Book(), hashlib.sha256()
    for command in commands:
        digest.update(encode_events(step(book, decode_command(command))))
    digest.update(encode_book(book))
    return digest.hexdigest()


ELSEWHERE = """
import sys
sys.path[:0] = {path!r}
import msgspec
from test_metamorphic import session_digest
sessions = msgspec.msgpack.decode(sys.stdin.buffer.read())
print(*map(session_digest, sessions), sep="\\n")
"""


def test_threads_never_change_the_outcome() -> None:
    """Neither threads of numerical libraries in another process, nor several engines in one."""
    sessions = [[encode_command(c) for c in session(rules, 0).commands] for rules in RULE_SETS]
    right = list(map(session_digest, sessions))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(session_digest, sessions)) == right
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE.format(path=sys.path)],
        env={**os.environ, **dict.fromkeys(names, "1"), "PYTHONHASHSEED": "1"},
        input=msgspec.msgpack.encode(sessions),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().split() == right


def test_an_index_price_set_without_its_stamp_publishes_stale_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A planted fault: multi-asset accounts are ranked again when an index price moves."""
    set_collateral = AssetState.set_collateral

    def set_unstamped(asset: AssetState, *terms: Any) -> None:
        set_collateral(asset, *terms)
        asset.collateral_at = 0

    monkeypatch.setattr(AssetState, "set_collateral", set_unstamped)
    assert any(stale_ranks(rules) for rules in reversed(RULE_SETS))  # few sessions notice it
