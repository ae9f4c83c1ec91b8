"""Request budgets and poll schedules, with a clock turned by hand."""

from delever.watch.venues.request_budget import PollSchedule, RequestBudget


def test_budget_leaves_the_rest_of_the_limit_to_the_account() -> None:
    budget = RequestBudget(2_400)
    for second in range(12):
        assert budget.allows(50, second * 1_000)
        budget.spend(50, second * 1_000)
    assert budget.used(11_000) == 600
    assert not budget.allows(1, 11_000)  # a quarter is used
    assert budget.allows(50, 60_000)  # the first has left the window
    assert not budget.allows(51, 60_000)


def test_budget_uses_the_count_of_the_venue() -> None:
    """Other programs call from the same address, and are counted with us."""
    budget = RequestBudget(2_400)
    budget.set_venue_count(2_150, 0)
    assert (budget.used(0), budget.allows(10, 0), budget.allows(11, 0)) == (2_150, True, False)
    assert budget.allows(11, 60_000)


def test_schedule_asks_when_the_number_has_been_replaced() -> None:
    schedule = PollSchedule(60_000)
    schedule.answered(venue_time_ms=1_000_000, now_ms=1_050_000)
    assert schedule.due_ms == 1_060_500
    schedule.answered(venue_time_ms=None, now_ms=1_050_000)
    assert schedule.due_ms == 1_110_000
    schedule.answered(venue_time_ms=900_000, now_ms=1_050_000)  # late at the venue: no use to hurry
    assert schedule.due_ms == 1_110_000
    schedule.answered(venue_time_ms=2_000_000, now_ms=1_050_000)  # a clock far ahead delays nothing
    assert schedule.due_ms == 1_110_500


def test_schedule_waits_longer_after_each_failure_or_as_the_venue_asks() -> None:
    schedule = PollSchedule(60_000)
    waits = []
    for _ in range(8):
        schedule.failed(0)
        waits.append(schedule.due_ms)
    assert waits == [1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000, 15_000]
    schedule.failed(0, wait_ms=120_000)
    assert schedule.due_ms == 120_000
    schedule.answered(None, 120_000)
    schedule.failed(180_000)
    assert schedule.due_ms == 181_000
