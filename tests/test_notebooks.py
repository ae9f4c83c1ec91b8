"""The notebooks of examples run, and each ends in a picture; the site's navigation resolves."""

import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import delever
from delever import lab
from sources import ROOT, report, source_text

NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[dict[str, Any]]:
    cells = json.loads(source_text(path))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_ends_in_a_picture(path: Path) -> None:
    mpl.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = code_cells(path)
    for cell in cells:
        exec(compile("".join(cell["source"]), str(path), "exec"), names)
    figure = names["figure"]
    assert isinstance(figure, Figure)
    assert "figure" in "".join(cells[-1]["source"])
    for axis in figure.axes:
        assert axis.get_title()
        assert axis.lines
    plt.close(figure)


def test_notebooks_are_stored_without_outputs() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["quant", "trader", "venue"]
    for path in NOTEBOOKS:
        for cell in code_cells(path):
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_every_page_in_the_navigation_of_the_site_exists() -> None:
    """Pages that the navigation does not name are listed under More: docs/site_hooks.py."""
    config = source_text(ROOT / "mkdocs.yml")
    listed = set(re.findall(r"[\w/-]+\.(?:md|ipynb)\b", config.partition("\nnav:")[2]))
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    pages |= {f"notebooks/{path.name}" for path in NOTEBOOKS}
    pages |= {"index.md", "python.md", "contributing.md", "changelog.md"}  # docs/site_hooks.py
    report([f"mkdocs.yml: {page} does not exist" for page in listed - pages])


@pytest.mark.parametrize("module", [delever, lab], ids=lambda module: module.__name__)
def test_every_public_name_has_an_example(module: Any) -> None:
    documented = {name: getattr(module, name).__doc__ or "" for name in module.__all__}
    report([f"{name}: no example" for name, text in documented.items() if ">>>" not in text])
