"""A clock that a test sets by hand."""


class ManualClock:
    """Returns `ms` when called."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms
