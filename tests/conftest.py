"""How the property tests search.

`default` runs the same bounded examples every time, so that a commit passes or fails for good.
`long` (make slow) searches at random, a hundred times as far, and remembers what it found.
"""

from hypothesis import HealthCheck, settings

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
