"""A parallel map in which the calling thread works too."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from delever.core.kernels import WorkSharing


def test_results_are_in_the_order_of_the_tasks() -> None:
    with ThreadPoolExecutor(3) as pool:
        shared = WorkSharing(pool, threads=4)
        assert shared(lambda a, b: a - b, range(100), range(100, 0, -1)) == [
            n - (100 - n) for n in range(100)
        ]
        assert shared(str, []) == []


def test_the_calling_thread_and_another_work_at_the_same_time() -> None:
    meeting = threading.Barrier(2)

    def work(_task: int) -> int:
        meeting.wait(timeout=30)  # nobody passes alone
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        workers = WorkSharing(pool, threads=2)(work, range(2))
    assert len(set(workers)) == 2
    assert threading.get_ident() in workers


def test_the_calling_thread_does_all_of_it_where_no_other_is_free() -> None:
    busy = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(busy.wait)
        workers = WorkSharing(pool, threads=2)(lambda _task: threading.get_ident(), range(5))
        busy.set()
    assert set(workers) == {threading.get_ident()}


def test_the_first_error_of_a_task_is_raised_after_all_threads_have_stopped() -> None:
    running: set[int] = set()

    def work(task: int) -> None:
        running.add(task)
        try:
            if task % 2:
                raise ValueError(task)
        finally:
            running.discard(task)

    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match=r"\d"):
        WorkSharing(pool, threads=3)(work, range(50))
    assert not running
