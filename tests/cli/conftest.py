"""The command line in the test's own process."""

import pytest
from command_line import Call

from delever.cli import call


@pytest.fixture
def delever(capfd: pytest.CaptureFixture[str]) -> Call:
    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = call(words)
        except SystemExit as usage_error:
            code = int(str(usage_error.code))
        out, err = capfd.readouterr()
        return code, out, err

    return run
