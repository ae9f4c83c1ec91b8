"""The names of delever.lab: few, sorted, each with an example that runs."""

import doctest
import io
from pathlib import Path

import pytest

from delever import lab


@pytest.mark.parametrize("name", lab.__all__)
def test_every_public_name_of_the_lab_has_an_example_that_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    finder = doctest.DocTestFinder(recurse=False)
    (examples,) = finder.find(getattr(lab, name), name, globs={"folder": tmp_path})
    assert examples.examples
    report = io.StringIO()
    doctest.DocTestRunner().run(examples, out=report.write)
    assert not report.getvalue(), report.getvalue()


def test_names_of_the_lab_are_sorted_and_listed() -> None:
    assert sorted(lab.__all__) == lab.__all__
    assert set(lab.__all__) <= set(dir(lab))
    with pytest.raises(AttributeError, match="no attribute 'sweeps'"):
        lab.sweeps  # noqa: B018 - the attribute is the subject
