"""How the property tests search.

`default` runs the same bounded examples every time, so that a commit passes or fails for good.
`long` (make slow) searches at random, a hundred times as far, and remembers what it found.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from brokers import Brokers, running_brokers

EXAMPLES = 50

settings.register_profile(
    "default",
    max_examples=EXAMPLES,
    deadline=None,  # a busy machine is not a wrong result
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    max_examples=100 * EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Three NATS brokers for the tests of a file: each test has a stream of its own."""
    with running_brokers(tmp_path_factory.mktemp("brokers")) as running:
        yield running
