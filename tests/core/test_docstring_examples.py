"""The examples in docstrings of the core, run as doctests."""

import doctest
import importlib

import pytest

from sources import CORE, module_name, python_files, source_text

WITH_EXAMPLES = sorted(
    module_name(path) for path in python_files(CORE) if ">>> " in source_text(path)
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_examples_give_their_output(name: str) -> None:
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted > 0
    assert failed == 0
