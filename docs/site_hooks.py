"""Pages of the site that are not files of docs: README, changelog, notebooks, Python reference.

MkDocs calls these functions (`hooks` of mkdocs.yml). Links that leave docs become plain text, and
scripts of other hosts are removed: the site makes no external request.
"""
# ruff: noqa: INP001 - a script, not a package

import re
from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

import delever
from delever import lab

ROOT = Path(__file__).parent.parent
COPIED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
ROOT_FILE = re.compile(r"\[([^\]]*)\]\((?:SECURITY.md|LICENSE)\)")
EXTERNAL = re.compile(
    r"<script[^>]*>(?:(?!</script>).)*//cdnjs(?:(?!</script>).)*</script>"  # MathJax, unused
    r"|<script[^>]*\bsrc=\"https?://[^>]*>\s*</script>|<link[^>]*https?://[^>]*>",
    re.DOTALL,
)


def on_config(config: Any) -> Any:
    """Add a section with the pages that the navigation does not name yet."""
    named, docs = str(config.nav), ROOT / "docs"
    pages = sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md"))
    if rest := [page for page in pages if f"'{page}'" not in named]:
        config.nav.append({"More": rest})
    return config


@event_priority(100)  # before the plugin that converts notebooks
def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are stored elsewhere, or generated."""
    for source, page in COPIED.items():
        text = (ROOT / source).read_text("utf-8").replace("](docs/", "](")
        for other, target in COPIED.items():
            text = text.replace(f"]({other})", f"]({target})")
        files.append(File.generated(config, page, content=ROOT_FILE.sub(r"\1", text)))
    examples = ROOT / "examples"
    for path in sorted((examples / "notebooks").glob("*.ipynb")):
        name = path.relative_to(examples).as_posix()
        files.append(File(name, str(examples), config.site_dir, use_directory_urls=False))
    files.append(File.generated(config, "python.md", content=python_page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_arguments: Any) -> str:
    """Replace links that leave docs by their text."""
    above = page.file.src_uri.count("/") + 1
    outside = re.compile(rf"\[([^\]]*)\]\((?:\.\./){{{above},}}[^)]*\)")
    return outside.sub(r"\1", markdown.replace("](../README.md)", "](index.md)"))


def on_post_page(output: str, **_arguments: Any) -> str:
    """Remove scripts and styles of other hosts."""
    return EXTERNAL.sub("", output)


def python_page() -> str:
    """Return the Python reference: every public name of `delever` and `delever.lab`."""
    sections = ["# Python", "", "Install `delever`; every name below has an example that runs."]
    for title, module in (("delever", delever), ("delever.lab", lab)):
        sections += ["", f"## `{title}`"]
        for home, names in sorted(module._HOMES.items()):  # noqa: SLF001 - where names are defined
            sections += ["", *(f"::: {home}.{name}\n" for name in names if name in module.__all__)]
    return "\n".join(sections)
