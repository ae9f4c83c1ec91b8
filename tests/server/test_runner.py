"""The single writer: order, durability, one run per id, and what readers see."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import structlog.testing

from delever.api_types.market import MarketState
from delever.config import Config
from delever.core.messages import (
    AdlFilled,
    Command,
    DefineAccount,
    RefreshIndicators,
    RefreshRatings,
    Rejected,
    SetTime,
)
from delever.journal import JournalError, Recorder, SqliteJournal, verify
from delever.lab.runs.scenario import read_scenario
from delever.server.engine.service import (
    NOW,
    BusyError,
    Committed,
    IdReusedError,
    Outcome,
    Runner,
    StoppedError,
)

T = TypeVar("T")
EXAMPLE = Path(__file__).parents[2] / "examples" / "crash.ndjson"


class Clock:
    """A clock that a test turns by hand."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


def config(path: Path | str, **journal: int) -> Config:
    return msgspec.convert({"journal": {"path": str(path), **journal}}, Config)


def running(runner: Runner, use: Callable[[Runner], Awaitable[T]]) -> T:
    async def go() -> T:
        await runner.start()
        try:
            return await use(runner)
        finally:
            await runner.stop()

    return asyncio.run(go())


def crash() -> list[Command]:
    return list(read_scenario(EXAMPLE))


def committed(outcome: Outcome | IdReusedError) -> Committed:
    assert isinstance(outcome, Outcome)
    return outcome.committed


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000)


def test_outcomes_are_durable_in_order_and_told_to_listeners(tmp_path: Path, clock: Clock) -> None:
    told: list[Committed] = []

    async def use(runner: Runner) -> list[Outcome | IdReusedError]:
        runner.listeners.append(told.extend)
        answers = await asyncio.gather(*(runner.submit([command]) for command in crash()))
        with SqliteJournal(tmp_path / "j.db", readonly=True) as journal:
            head = journal.head()
            assert head is not None
            assert head.sequence == len(answers)
        return [outcome for answer in answers for outcome in answer]

    outcomes = running(Runner(config(tmp_path / "j.db"), clock), use)
    sequences = [committed(outcome).sequence for outcome in outcomes]
    assert sequences == list(range(1, len(crash()) + 1))
    assert [each.sequence for each in told] == sequences
    fills = [e for each in told for e in each.events if isinstance(e, AdlFilled)]
    assert [fill.account for fill in fills] == ["cyd", "bob", "dan"]
    assert not verify(tmp_path / "j.db").findings


def test_an_id_runs_once_in_one_commit_later_and_after_a_restart(
    tmp_path: Path, clock: Clock
) -> None:
    one = DefineAccount(time_ms=NOW, id="a-1", account="ann")
    other = DefineAccount(time_ms=NOW, id="a-1", account="bea")

    async def twice(runner: Runner) -> list[Outcome | IdReusedError]:
        together = await runner.submit([one, one])
        clock.ms += 5
        return [*together, *await runner.submit([one, other])]

    outcomes = running(Runner(config(tmp_path / "j.db"), clock), twice)
    assert [committed(each).sequence for each in outcomes[:3]] == [1, 1, 1]
    assert [isinstance(o, Outcome) and o.repeated for o in outcomes[:3]] == [False, True, True]
    reused = outcomes[3]
    assert isinstance(reused, IdReusedError)
    assert reused.sequence == 1

    async def once_more(runner: Runner) -> list[Outcome | IdReusedError]:
        return await runner.submit([one])

    (repeated,) = running(Runner(config(tmp_path / "j.db"), clock), once_more)
    assert committed(repeated).sequence == 1


def test_a_restart_recalls_what_was_told_before_anything_new(tmp_path: Path, clock: Clock) -> None:
    class Memory:
        def __init__(self, runner: Runner) -> None:
            self.heard: list[Committed] = []
            runner.remember(self.heard.extend)

    async def nothing(_runner: Runner) -> None:
        pass

    async def tell(runner: Runner) -> None:
        await runner.submit(crash()[:-1])

    async def go_on(runner: Runner) -> None:
        assert runner.board.contracts["BTCUSDT"].last_adl_ms == 3_000
        assert runner.board.contracts["BTCUSDT"].marked_ms == 3_000
        await runner.submit(crash()[-1:])

    heard = []
    for use in (tell, nothing, go_on):
        runner = Runner(config(tmp_path / "j.db"), clock)
        memory = Memory(runner)
        running(runner, use)
        heard.append([(each.sequence, each.time_ms, each.events) for each in memory.heard])
    assert heard[0] == heard[1] == heard[2][:-1]
    assert [sequence for sequence, _, _ in heard[2]] == [*range(1, len(crash()) + 1)]


def test_as_many_ids_are_remembered_as_asked_for_before_and_after_a_restart(
    tmp_path: Path, clock: Clock
) -> None:
    settings = config(tmp_path / "j.db", idempotency_window=2)
    commands = [SetTime(time_ms=NOW, id=f"t-{number}") for number in range(3)]

    async def tell(runner: Runner) -> None:
        await runner.submit([*commands, SetTime(time_ms=NOW), SetTime(time_ms=NOW)])

    async def again(runner: Runner) -> list[Outcome | IdReusedError]:
        return await runner.submit(commands[::-1])

    running(Runner(settings, clock), tell)
    outcomes = running(Runner(settings, clock), again)
    assert [isinstance(o, Outcome) and o.repeated for o in outcomes] == [True, True, False]


def test_another_command_of_the_same_commit_with_the_same_id_is_refused(clock: Clock) -> None:
    one = DefineAccount(time_ms=NOW, id="x", account="ann")
    other = DefineAccount(time_ms=NOW, id="x", account="bea")

    async def use(runner: Runner) -> list[Outcome | IdReusedError]:
        outcomes = await runner.submit([one, other])
        assert await runner.read(lambda book: list(book.accounts.names)) == ["ann"]
        return outcomes

    outcomes = running(Runner(config(":memory:"), clock), use)
    assert isinstance(outcomes[1], IdReusedError)


def test_the_clock_stamps_what_has_no_time_and_never_runs_backwards(clock: Clock) -> None:
    async def use(runner: Runner) -> list[int]:
        times = []
        for ms, command_ms in ((1_000, NOW), (900, NOW), (950, 2_000), (1_500, NOW), (3_000, NOW)):
            clock.ms = ms
            (outcome,) = await runner.submit([SetTime(time_ms=command_ms)])
            times.append(committed(outcome).command.time_ms)
        return times

    assert running(Runner(config(":memory:"), clock), use) == [1_000, 1_000, 2_000, 2_000, 3_000]


def test_too_many_waiting_commands_are_turned_away_whole(clock: Clock) -> None:
    async def use(runner: Runner) -> None:
        many = [SetTime(time_ms=NOW)] * 11
        with pytest.raises(BusyError):
            await runner.submit(many)
        assert runner.waiting == 0
        await runner.submit(many[:10])

    running(Runner(config(":memory:", queue_limit=10), clock), use)


def test_a_refusal_is_an_outcome_and_a_stopped_runner_says_so(clock: Clock) -> None:
    async def use(runner: Runner) -> None:
        (outcome,) = await runner.submit([crash()[-1]])
        assert isinstance(committed(outcome).events[0], Rejected)

    runner = Runner(config(":memory:"), clock)
    running(runner, use)

    async def late() -> None:
        await runner.submit([SetTime(time_ms=NOW)])

    with pytest.raises(StoppedError):
        asyncio.run(late())


def test_a_number_that_no_journal_holds_fails_alone(tmp_path: Path, clock: Clock) -> None:
    async def use(runner: Runner) -> None:
        good, bad = SetTime(time_ms=NOW), SetTime(time_ms=2**70)
        answers = await asyncio.gather(
            *(runner.submit([each]) for each in (good, bad, good)), return_exceptions=True
        )
        assert isinstance(answers[1], ValueError)
        assert [isinstance(answer, list) for answer in answers] == [True, False, True]

    running(Runner(config(tmp_path / "j.db"), clock), use)
    assert not verify(tmp_path / "j.db").findings


def test_a_journal_moved_by_another_writer_stops_the_engine(tmp_path: Path, clock: Clock) -> None:
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


def test_a_tick_asks_for_what_is_due_by_the_configured_periods() -> None:
    clock = Clock(0)
    told: list[Command] = []
    periods = {"publication": {"ratings_interval_ms": 5_000, "indicators_interval_ms": 2_000}}
    settings = msgspec.convert({"journal": {"path": ":memory:"}, **periods}, Config)

    async def use(runner: Runner) -> None:
        await runner.submit(crash()[:7])
        runner.listeners.append(lambda fresh: told.extend(each.command for each in fresh))
        for clock.ms in (0, 1_000):
            await runner.tick()
        assert told == [], "no mark, nothing to publish"
        await runner.submit(crash()[7:])
        told.clear()
        for clock.ms in (20_000, 21_000, 22_000, 25_000):
            await runner.tick()

    running(Runner(settings, clock), use)
    ratings, indicators = RefreshRatings, RefreshIndicators
    kinds = [(type(command), command.time_ms) for command in told]
    assert kinds == [
        (ratings, 20_000),
        (indicators, 20_000),
        (SetTime, 21_000),  # an engaged contract sees time pass
        (indicators, 22_000),
        (ratings, 25_000),
        (indicators, 25_000),
    ]


def test_board_follows_its_period_but_shows_adl_at_once(clock: Clock) -> None:
    async def use(runner: Runner) -> None:
        seen: list[int] = []
        runner.board_listeners.append(lambda board: seen.append(board.sequence))
        commands = crash()
        for command in commands[:7]:
            await runner.submit([command])
        assert list(runner.board.contracts) == ["BTCUSDT"], "shown once defined"
        seen.clear()
        for command in commands[7:-1]:
            await runner.submit([command])
        assert len(seen) <= 1
        outcomes = await runner.submit(commands[-1:])
        await runner.submit([RefreshIndicators(time_ms=NOW)])
        assert runner.board.indicators is not None
        assert committed(outcomes[0]).sequence <= runner.board.sequence
        shown = runner.board.contracts["BTCUSDT"]
        assert shown.last_adl_ms > 0
        assert shown.state in MarketState
        clock.ms += 60_000
        await runner.tick()
        assert runner.board.made_ms == clock.ms

    running(Runner(config(":memory:"), clock), use)


def test_a_second_server_on_a_journal_is_turned_away_before_it_moves_anything(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "j.db"

    async def use(runner: Runner) -> None:
        with pytest.raises(JournalError, match="another process writes this journal"):
            Runner(config(path), clock)
        assert len(await runner.submit([SetTime(time_ms=NOW)])) == 1

    running(Runner(config(path), clock), use)
    running(Runner(config(path), clock), use)


def test_an_engine_that_stops_says_why_in_the_log_and_shows_nothing_that_is_not_kept(
    tmp_path: Path, clock: Clock
) -> None:
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


def test_a_clock_that_is_set_back_is_told_and_readers_still_see_what_happens(clock: Clock) -> None:
    async def use(runner: Runner) -> None:
        for command in read_scenario(EXAMPLE):
            await runner.submit([msgspec.structs.replace(command, time_ms=NOW)])
        clock.ms -= 3_600_000
        with structlog.testing.capture_logs() as lines:
            for _ in range(2):
                await runner.tick()
                assert runner.board.made_ms == clock.ms
                clock.ms += 1_000
            await runner.submit([DefineAccount(time_ms=NOW, account="zoe")])
            await runner.tick()
            accounts = runner.board.accounts
            clock.ms += 3_600_000
            await runner.tick()
        events = [line["event"] for line in lines]
        assert events == ["the clock is behind the journal", "the clock has caught up"]
        assert lines[0]["behind_ms"] == 3_600_000
        assert accounts == runner.board.accounts

    clock.ms += 7_200_000
    running(Runner(config(":memory:"), clock), use)
