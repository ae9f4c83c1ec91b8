"""Rate limits in windows aligned to the clock, and bans that double."""

from delever.server.transport.rate_limits import BAN_HISTORY_MS, AddressBans, RateLimiter


def test_a_window_counts_weights_by_subject_and_then_resets() -> None:
    now = [60_000]
    windows = RateLimiter(10, 60_000, lambda: now[0])
    assert [windows.use("a", 4).used for _ in range(3)] == [4, 8, 12]
    last = windows.use("a", 1)
    assert (last.exceeded, last.remaining, last.resets_ms) == (True, 0, 120_000)
    assert windows.use("b").remaining == 9
    now[0] = 119_999
    assert windows.use("a").exceeded
    now[0] = 120_000
    assert windows.use("a").used == 1


def test_bans_double_up_to_the_maximum() -> None:
    now = [0]
    bans = AddressBans(100, 300, lambda: now[0])
    assert bans.until("a") is None
    for length in (100, 200, 300, 300):
        until = bans.ban("a")
        assert until == now[0] + length
        assert bans.until("a") == until
        now[0] = until
        assert bans.until("a") is None
    assert bans.until("b") is None


def test_a_ban_is_short_again_a_day_after_the_last_one() -> None:
    now = [0]
    bans = AddressBans(100, 10**9, lambda: now[0])
    assert bans.ban("a") == 100
    now[0] = 100 + BAN_HISTORY_MS - 1
    assert bans.ban("a") == now[0] + 200
    now[0] += 200 + BAN_HISTORY_MS
    assert bans.ban("a") == now[0] + 100
