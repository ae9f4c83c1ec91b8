"""The engine's runner: order, durability, idempotency, market snapshots."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import structlog.testing
from manual_clock import ManualClock

from delever.api_types.market import MarketState
from delever.config import Config
from delever.core.book import Book
from delever.core.messages import (
    AdlFilled,
    Command,
    DefineAccount,
    Reason,
    RefreshIndicators,
    RefreshRatings,
    Rejected,
    SetTime,
)
from delever.journal import JournalError, Recorder, SqliteJournal, verify
from delever.lab.runs.scenario import read_scenario
from delever.server.engine.listeners import MAX_FAILURES_IN_A_ROW
from delever.server.engine.runner import (
    HEARTBEAT_MS,
    NOW,
    TICK_MS,
    BusyError,
    Committed,
    DuplicateIdError,
    Outcome,
    Runner,
    StoppedError,
)

T = TypeVar("T")
EXAMPLE = Path(__file__).parents[3] / "examples" / "crash.ndjson"


def config(path: Path | str, **journal: int) -> Config:
    return msgspec.convert({"journal": {"path": str(path), **journal}}, Config)


def running(runner: Runner, use: Callable[[Runner], Awaitable[T]]) -> T:
    async def go() -> T:
        await runner.start(auto_tick=False)
        try:
            return await use(runner)
        finally:
            await runner.stop()

    return asyncio.run(go())


def crash() -> list[Command]:
    return list(read_scenario(EXAMPLE))


def committed(outcome: Outcome | DuplicateIdError) -> Committed:
    assert isinstance(outcome, Outcome)
    return outcome.committed


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000)


def test_outcomes_are_durable_in_order_and_reported_to_listeners(
    tmp_path: Path, clock: ManualClock
) -> None:
    reported: list[Committed] = []

    async def use(runner: Runner) -> list[Outcome | DuplicateIdError]:
        runner.listeners.append(reported.extend)
        answers = await asyncio.gather(*(runner.submit([command]) for command in crash()))
        with SqliteJournal(tmp_path / "j.db", readonly=True) as journal:
            head = journal.head()
            assert head is not None
            assert head.sequence == len(answers)
        return [outcome for answer in answers for outcome in answer]

    outcomes = running(Runner(config(tmp_path / "j.db"), clock), use)
    sequences = [committed(outcome).sequence for outcome in outcomes]
    assert sequences == list(range(1, len(crash()) + 1))
    assert [each.sequence for each in reported] == sequences
    fills = [e for each in reported for e in each.events if isinstance(e, AdlFilled)]
    assert [fill.account for fill in fills] == ["cyd", "bob", "dan"]
    assert not verify(tmp_path / "j.db").findings


def test_an_id_runs_once_in_one_commit_later_and_after_a_restart(
    tmp_path: Path, clock: ManualClock
) -> None:
    one = DefineAccount(time_ms=NOW, id="a-1", account="ann")
    other = DefineAccount(time_ms=NOW, id="a-1", account="bea")

    async def twice(runner: Runner) -> list[Outcome | DuplicateIdError]:
        together = await runner.submit([one, one])
        clock.ms += 5
        return [*together, *await runner.submit([one, other])]

    outcomes = running(Runner(config(tmp_path / "j.db"), clock), twice)
    assert [committed(each).sequence for each in outcomes[:3]] == [1, 1, 1]
    assert [isinstance(o, Outcome) and o.repeated for o in outcomes[:3]] == [False, True, True]
    reused = outcomes[3]
    assert isinstance(reused, DuplicateIdError)
    assert reused.sequence == 1

    async def once_more(runner: Runner) -> list[Outcome | DuplicateIdError]:
        return await runner.submit([one])

    (repeated,) = running(Runner(config(tmp_path / "j.db"), clock), once_more)
    assert committed(repeated).sequence == 1


def test_a_restart_replays_the_journal_to_listeners_first(
    tmp_path: Path, clock: ManualClock
) -> None:
    class Memory:
        def __init__(self, runner: Runner) -> None:
            self.heard: list[Committed] = []
            runner.replay_to(self.heard.extend)

    async def nothing(_runner: Runner) -> None:
        pass

    async def submit_all(runner: Runner) -> None:
        await runner.submit(crash()[:-1])

    async def go_on(runner: Runner) -> None:
        assert runner.market_snapshot.contracts["BTCUSDT"].last_adl_ms == 3_000
        assert runner.market_snapshot.contracts["BTCUSDT"].marked_ms == 3_000
        await runner.submit(crash()[-1:])

    heard = []
    for use in (submit_all, nothing, go_on):
        runner = Runner(config(tmp_path / "j.db"), clock)
        memory = Memory(runner)
        running(runner, use)
        heard.append([(each.sequence, each.time_ms, each.events) for each in memory.heard])
    assert heard[0] == heard[1] == heard[2][:-1]
    assert [sequence for sequence, _, _ in heard[2]] == [*range(1, len(crash()) + 1)]


def test_the_idempotency_window_limits_ids_before_and_after_a_restart(
    tmp_path: Path, clock: ManualClock
) -> None:
    settings = config(tmp_path / "j.db", idempotency_window=4)
    commands = [SetTime(time_ms=NOW, id=f"t-{number}") for number in range(3)]

    async def submit_all(runner: Runner) -> None:
        await runner.submit([*commands, SetTime(time_ms=NOW), SetTime(time_ms=NOW)])

    async def again(runner: Runner) -> list[Outcome | DuplicateIdError]:
        return await runner.submit(commands[::-1])

    running(Runner(settings, clock), submit_all)
    outcomes = running(Runner(settings, clock), again)
    assert [isinstance(o, Outcome) and o.repeated for o in outcomes] == [True, True, False]


def test_a_duplicate_id_in_one_commit_is_rejected(clock: ManualClock) -> None:
    one = DefineAccount(time_ms=NOW, id="x", account="ann")
    other = DefineAccount(time_ms=NOW, id="x", account="bea")

    async def use(runner: Runner) -> list[Outcome | DuplicateIdError]:
        outcomes = await runner.submit([one, other])
        assert await runner.read(lambda book: list(book.accounts.names)) == ["ann"]
        return outcomes

    outcomes = running(Runner(config(":memory:"), clock), use)
    assert isinstance(outcomes[1], DuplicateIdError)


def test_commands_without_a_time_are_stamped_and_time_never_runs_backwards(
    clock: ManualClock,
) -> None:
    async def use(runner: Runner) -> list[int]:
        times = []
        for ms, command_ms in ((1_000, NOW), (900, NOW), (950, 2_000), (1_500, NOW), (3_000, NOW)):
            clock.ms = ms
            (outcome,) = await runner.submit([SetTime(time_ms=command_ms)])
            times.append(committed(outcome).command.time_ms)
        return times

    assert running(Runner(config(":memory:"), clock), use) == [1_000, 1_000, 2_000, 2_000, 3_000]


def test_commands_beyond_the_queue_limit_are_refused_whole(clock: ManualClock) -> None:
    async def use(runner: Runner) -> None:
        many = [SetTime(time_ms=NOW)] * 11
        with pytest.raises(BusyError):
            await runner.submit(many)
        assert runner.queued == 0
        await runner.submit(many[:10])

    running(Runner(config(":memory:", queue_limit=10), clock), use)


def test_a_rejection_is_an_outcome_and_a_stopped_runner_raises(clock: ManualClock) -> None:
    async def use(runner: Runner) -> None:
        (outcome,) = await runner.submit([crash()[-1]])
        assert isinstance(committed(outcome).events[0], Rejected)

    runner = Runner(config(":memory:"), clock)
    running(runner, use)

    async def late() -> None:
        await runner.submit([SetTime(time_ms=NOW)])

    with pytest.raises(StoppedError):
        asyncio.run(late())


def test_a_number_beyond_the_journal_fails_alone(tmp_path: Path, clock: ManualClock) -> None:
    async def use(runner: Runner) -> None:
        good, bad = SetTime(time_ms=NOW), SetTime(time_ms=2**70)
        answers = await asyncio.gather(
            *(runner.submit([each]) for each in (good, bad, good)), return_exceptions=True
        )
        assert isinstance(answers[1], ValueError)
        assert [isinstance(answer, list) for answer in answers] == [True, False, True]

    running(Runner(config(tmp_path / "j.db"), clock), use)
    assert not verify(tmp_path / "j.db").findings


def test_a_journal_written_by_another_process_stops_the_engine(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "j.db"

    async def use(runner: Runner) -> None:
        await runner.submit([SetTime(time_ms=NOW)])
        with Recorder.open(path) as thief:
            thief.submit([SetTime(time_ms=clock.ms)])
        with pytest.raises(StoppedError):
            await runner.submit([SetTime(time_ms=NOW)])
        assert isinstance(runner.failed, JournalError)
        with pytest.raises(StoppedError):
            await runner.submit([SetTime(time_ms=NOW)])

    running(Runner(config(path), clock), use)
    assert not verify(path).findings


def test_a_tick_submits_refreshes_at_the_configured_intervals() -> None:
    clock = ManualClock(0)
    reported: list[Command] = []
    periods = {"publication": {"ratings_interval_ms": 5_000, "indicators_interval_ms": 2_000}}
    settings = msgspec.convert({"journal": {"path": ":memory:"}, **periods}, Config)

    async def use(runner: Runner) -> None:
        await runner.submit(crash()[:7])
        runner.listeners.append(lambda fresh: reported.extend(each.command for each in fresh))
        for clock.ms in (0, 1_000):
            await runner.tick()
        assert reported == [], "no mark, nothing to publish"
        await runner.submit(crash()[7:])
        reported.clear()
        for clock.ms in (20_000, 21_000, 22_000, 25_000):
            await runner.tick()

    running(Runner(settings, clock), use)
    ratings, indicators = RefreshRatings, RefreshIndicators
    kinds = [(type(command), command.time_ms) for command in reported]
    assert kinds == [
        (ratings, 20_000),
        (indicators, 20_000),
        (SetTime, 21_000),  # time passes for a monitored contract
        (indicators, 22_000),
        (ratings, 25_000),
        (indicators, 25_000),
    ]


def test_the_market_snapshot_is_refreshed_per_interval_and_at_once_for_adl(
    clock: ManualClock,
) -> None:
    async def use(runner: Runner) -> None:
        sequences: list[int] = []
        runner.snapshot_listeners.append(lambda snapshot: sequences.append(snapshot.sequence))
        commands = crash()
        for command in commands[:7]:
            await runner.submit([command])
        assert list(runner.market_snapshot.contracts) == ["BTCUSDT"], "refreshed once defined"
        sequences.clear()
        for command in commands[7:-1]:
            await runner.submit([command])
        assert len(sequences) <= 1
        outcomes = await runner.submit(commands[-1:])
        await runner.submit([RefreshIndicators(time_ms=NOW)])
        assert runner.market_snapshot.indicators is not None
        assert committed(outcomes[0]).sequence <= runner.market_snapshot.sequence
        contract = runner.market_snapshot.contracts["BTCUSDT"]
        assert contract.last_adl_ms > 0
        assert contract.state in MarketState
        clock.ms += 60_000
        await runner.tick()
        assert runner.market_snapshot.taken_ms == clock.ms

    running(Runner(config(":memory:"), clock), use)


def test_a_second_process_on_a_journal_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "j.db"

    async def use(runner: Runner) -> None:
        with pytest.raises(JournalError, match="another process writes this journal"):
            Runner(config(path), clock)
        assert len(await runner.submit([SetTime(time_ms=NOW)])) == 1

    running(Runner(config(path), clock), use)
    running(Runner(config(path), clock), use)


def test_a_stopped_engine_logs_why_and_cannot_be_read(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "j.db"

    async def use(runner: Runner) -> None:
        with Recorder.open(path) as thief:
            thief.submit([SetTime(time_ms=clock.ms)])
        with pytest.raises(StoppedError), structlog.testing.capture_logs() as lines:
            await runner.submit([DefineAccount(time_ms=NOW, account="ann")])
        (line,) = lines
        assert (line["event"], line["log_level"]) == ("the engine has stopped", "critical")
        assert "does not follow the head" in line["error"]
        with pytest.raises(StoppedError):
            await runner.read(lambda book: "ann" in book.accounts.index)

    running(Runner(config(path), clock), use)


def test_a_clock_set_back_is_logged_and_snapshots_continue(clock: ManualClock) -> None:
    async def use(runner: Runner) -> None:
        for command in read_scenario(EXAMPLE):
            await runner.submit([msgspec.structs.replace(command, time_ms=NOW)])
        clock.ms -= 3_600_000
        with structlog.testing.capture_logs() as lines:
            for _ in range(2):
                await runner.tick()
                assert runner.market_snapshot.taken_ms == clock.ms
                clock.ms += 1_000
            await runner.submit([DefineAccount(time_ms=NOW, account="zoe")])
            await runner.tick()
            accounts = runner.market_snapshot.accounts
            clock.ms += 3_600_000
            await runner.tick()
        events = [line["event"] for line in lines]
        assert events == ["the clock is behind the journal", "the clock has caught up"]
        assert lines[0]["behind_ms"] == 3_600_000
        assert accounts == runner.market_snapshot.accounts

    clock.ms += 7_200_000
    running(Runner(config(":memory:"), clock), use)


def break_step(book: Book) -> None:
    """Damage the book in memory, so that the next step raises."""
    book.contracts["BTCUSDT"].pool = "nowhere"


def test_a_command_whose_step_raises_is_rejected_once_logged_and_counted(
    tmp_path: Path, clock: ManualClock
) -> None:
    """CORE-55."""
    bad = SetTime(time_ms=NOW, id="t-1")

    async def use(runner: Runner) -> list[Committed]:
        await runner.submit(crash()[:-1])
        await runner.read(break_step)
        with structlog.testing.capture_logs() as lines:
            outcomes = await runner.submit([bad])
        (line,) = [each for each in lines if each["log_level"] == "critical"]
        assert (line["sequence"], line["command"], line["id"]) == (14, "set_time", "t-1")
        assert isinstance(line["exc_info"], KeyError)
        outcomes += await runner.submit([bad])
        assert runner.errors == {"step": 1}
        assert runner.failed is None
        outcomes += await runner.submit(crash()[-1:])
        return [committed(outcome) for outcome in outcomes]

    first, again, *others = running(Runner(config(tmp_path / "j.db"), clock), use)
    (rejected,) = first.events
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, again.events) == (Reason.INTERNAL_ERROR, first.events)
    assert not any(isinstance(each.events[0], Rejected) for each in others)
    assert not verify(tmp_path / "j.db").findings


def test_a_listener_that_raises_delays_no_answer_and_no_other_listener(clock: ManualClock) -> None:
    reported: list[Committed] = []
    calls = 0

    def raises(_commits: object) -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    async def use(runner: Runner) -> None:
        runner.listeners.append(raises)
        runner.snapshot_listeners.append(raises)
        runner.listeners.append(reported.extend)
        with structlog.testing.capture_logs() as lines:
            for number in range(MAX_FAILURES_IN_A_ROW + 2):
                await runner.submit([DefineAccount(time_ms=NOW, account=f"a{number}")])
                clock.ms += 5_000
                await runner.tick()
        logged = [each for each in lines if each["event"] == "a listener raised"]
        assert [each["detached"] for each in logged].count(True) == 2
        assert calls == runner.errors["listener"] == 2 * MAX_FAILURES_IN_A_ROW
        assert len(reported) == MAX_FAILURES_IN_A_ROW + 2
        assert runner.failed is None

    running(Runner(config(":memory:"), clock), use)


def test_the_runner_fails_where_its_pump_or_its_tick_ends(clock: ManualClock) -> None:
    async def end(task: int) -> Runner:
        runner = Runner(config(":memory:"), clock)
        calls: list[bool] = []
        runner.on_failed = lambda: calls.append(True)
        await runner.start()
        runner._tasks[task].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(StoppedError):
            await runner.submit([SetTime(time_ms=NOW)])
        await runner.stop()
        assert calls == [True]
        return runner

    for task in (0, 1):
        assert isinstance(asyncio.run(end(task)).failed, RuntimeError)


def test_a_tick_that_raises_is_counted_and_the_next_one_runs(clock: ManualClock) -> None:
    def no_clock() -> int:
        raise OSError

    async def use() -> None:
        runner = Runner(config(":memory:"), clock)
        await runner.start()
        runner.now_ms = no_clock
        await asyncio.sleep(TICK_MS * 1.5 / 1000)
        assert runner.errors["tick"] == 1
        assert runner.failed is None
        await runner.stop()

    asyncio.run(use())


def test_commands_are_held_while_the_clock_is_too_far_ahead(tmp_path: Path) -> None:
    """CORE-56: after a year ahead, the venue's time goes on where it was; ids can be sent again."""
    clock, year_ms = ManualClock(1_700_000_000_000), 365 * 24 * 3_600_000
    define = DefineAccount(time_ms=NOW, id="d-1", account="ann")

    async def use(runner: Runner) -> list[str]:
        await runner.submit([SetTime(time_ms=NOW)])
        await runner.tick()
        clock.ms += year_ms
        sequence = committed((await runner.submit([define]))[0]).sequence
        with structlog.testing.capture_logs() as lines:
            for _ in range(3):
                await runner.tick()
        assert [line["event"] for line in lines] == [
            "the clock is too far ahead; commands are held"
        ]
        assert runner.time_is_held
        assert runner.market_snapshot.sequence == sequence == 2, "no command of the ticks is held"
        clock.ms -= year_ms
        outcomes = await runner.submit([define])
        clock.ms += year_ms
        confirmed = SetTime(time_ms=NOW, confirmed=True, note="a stop of a year")
        outcomes += await runner.submit([confirmed, define, SetTime(time_ms=NOW)])
        return [str(type(committed(outcome).events[0]).__name__) for outcome in outcomes]

    assert running(Runner(config(tmp_path / "j.db"), clock), use) == ["Accepted"] * 4
    assert not verify(tmp_path / "j.db").findings


def test_time_follows_the_clock_without_commands(clock: ManualClock) -> None:
    async def use(runner: Runner) -> None:
        await runner.submit([SetTime(time_ms=NOW)])
        for _ in range(20):
            clock.ms += HEARTBEAT_MS
            await runner.tick()
            assert runner.clock_skew_ms == 0

    running(Runner(config(":memory:"), clock), use)
