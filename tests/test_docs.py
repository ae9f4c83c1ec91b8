"""Documents are current: links resolve, examples run, generated pages are up to date."""

import importlib
import itertools
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import CycloptsError, ValidationError

from delever.config import parse
from delever.core.messages import PoolKind, Reason
from delever.core.rules import RULE_SETS
from sources import PACKAGE, ROOT, TESTS, location, report, source_text, tracked
from table import RULE_ID

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
REQUIRED = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    DOCS / "decisions.md",
    DOCS / "rules.md",
    DOCS / "tour.md",
    DOCS / "venues" / "README.md",
    REFERENCE / "api.md",
    REFERENCE / "cli.md",
    REFERENCE / "commands.md",
    REFERENCE / "events.md",
    REFERENCE / "reasons.md",
]
PUBLIC_NAMES = 20
SHELLS = {"bash", "console", "sh", "shell"}
ENDS = {"|", ">", ">>", "<", "&", ";"}
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

MARKDOWN = [path for path in tracked() if path.suffix == ".md"]


def text_of(path: Path) -> str:
    """Return the text of a required document."""
    assert path.is_file(), f"{location(path)} is missing"
    return source_text(path)


def blocks(path: Path, languages: set[str]) -> Iterator[str]:
    """Yield the fenced blocks of a document in these languages."""
    yield from (
        code for language, code in FENCE.findall(source_text(path)) if language in languages
    )


def is_argument(word: str) -> bool:
    return word not in ENDS


def shell_lines() -> Iterator[tuple[Path, list[str]]]:
    """Yield the words of every command line in a shell block, up to a pipe or a redirection."""
    for path in MARKDOWN:
        for block in blocks(path, SHELLS):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"\s&&\s", line.removeprefix("$ ")):
                    command = shlex.split(part, comments=True)
                    yield path, list(itertools.takewhile(is_argument, command))


def slug(heading: str) -> str:
    """Return the anchor of a heading, as code hosts generate it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    prose = FENCE.sub("", source_text(path))
    return {slug(heading) for heading in re.findall(r"^#+ (.+)", prose, re.MULTILINE)}


@pytest.mark.parametrize("path", REQUIRED, ids=location)
def test_required_document_exists(path: Path) -> None:
    assert len(text_of(path)) > 200, f"{location(path)} is a stub"


def test_links_resolve() -> None:
    found = []
    for path in MARKDOWN:
        for target in LINK.findall(FENCE.sub("", source_text(path))):
            name, _, anchor = target.partition("#")
            linked = path.parent / name if name else path
            if re.match(r"[a-z]+:", target):
                continue
            if not linked.exists():
                found.append(f"{location(path)}: {target} does not exist")
            elif anchor and linked.suffix == ".md" and anchor not in anchors(linked):
                found.append(f"{location(path)}: {target} names no heading")
    report(found)


def test_paths_in_the_architecture_exist() -> None:
    page = DOCS / "architecture.md"
    found = []
    for name in re.findall(r"(?<![\w/.-])\w+/[\w/]+(?:\.\w+)?", source_text(page)):
        for base in (PACKAGE, ROOT):
            path = base / name
            if (base / name.partition("/")[0]).is_dir():
                if not path.exists() and not path.with_suffix(".py").exists():
                    found.append(f"{location(page)}: {name} does not exist")
                break
    report(found)


@pytest.mark.parametrize(
    "path", [path for path in MARKDOWN if any(blocks(path, {"python"}))], ids=location
)
def test_python_in_documents_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run all blocks of a document in order, in an empty directory with examples/."""
    if (ROOT / "examples").is_dir():
        (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    lines = [""] * (source_text(path).count("\n") + 1)
    for match in FENCE.finditer(source_text(path)):
        if match[1] == "python":
            start = source_text(path)[: match.start(2)].count("\n")
            code = match[2].splitlines()
            lines[start : start + len(code)] = code
    exec(compile("\n".join(lines), str(path), "exec"), {"__name__": "__main__"})


def test_no_two_documents_run_into_the_same_journal() -> None:
    """A reader of README and tour runs both in one directory; `run` refuses a journal in use."""
    journals = [
        (command[command.index("--journal") + 1], location(path))
        for path, command in shell_lines()
        if command[1:2] == ["run"] and "--journal" in command
    ]
    names = [name for name, _ in journals]
    assert len(names) > 1
    report([f"{where}: {name} is used twice" for name, where in journals if names.count(name) > 1])


def test_delever_commands_in_shell_blocks_parse() -> None:
    app = importlib.import_module("delever.cli").app
    found = []
    for path, command in shell_lines():
        if command and Path(command[0]).name == "delever":
            try:
                app.parse_args(command[1:], exit_on_error=False, print_error=False)
            except ValidationError:  # a file that the reader creates first
                continue
            except CycloptsError as error:
                found.append(f"{location(path)}: {shlex.join(command)}: {error}")
    report(found)


def test_commands_in_sentences_exist() -> None:
    names = set(importlib.import_module("delever.cli").app)
    found = [
        f"{location(path)}: `delever {name}` is no command"
        for path in MARKDOWN
        for name in re.findall(r"`delever ([\w-]+)", FENCE.sub("", source_text(path)))
        if name not in names
    ]
    report(found)


def test_make_targets_in_shell_blocks_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", source_text(ROOT / "Makefile"), re.MULTILINE))
    found = [
        f"{location(path)}: make {word}: no such target"
        for path, command in shell_lines()
        if command[:1] == ["make"]
        for word in command[1:]
        if "=" not in word and not word.startswith("-") and word not in targets
    ]
    report(found)


def test_generated_pages_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    generator = runpy.run_path(str(DOCS / "generate.py"))
    report(
        [
            f"docs/generate.py: MEANINGS and Reason differ in {r}"
            for r in set(Reason) ^ {*generator["MEANINGS"]}
        ]
    )
    pages = generator["pages"]()
    stale = [path for path, text in pages.items() if not path.exists() or source_text(path) != text]
    report([f"{location(path)} is not up to date: run `make docs`" for path in stale])


def test_cli_reference_lists_every_command() -> None:
    app = importlib.import_module("delever.cli").app
    names = [name for name in app if not name.startswith("-")]
    text = text_of(REFERENCE / "cli.md")
    report([f"docs/reference/cli.md: delever {n}" for n in names if f"delever {n}" not in text])
    report([f"delever {name} has no help text" for name in names if not app[name].help])


def test_reference_lists_every_pool_kind() -> None:
    text = "\n".join(source_text(path) for path in REFERENCE.glob("*.md"))
    report([f"docs/reference does not mention `{kind}`" for kind in PoolKind if kind not in text])


def test_rules_page_states_every_rule_of_every_rule_set() -> None:
    text = text_of(DOCS / "rules.md")
    rules = {rule for rule_set in RULE_SETS.values() for rule in rule_set.rules}
    ids = [rule.id for rule in rules]
    found = [f"docs/rules.md does not mention `{n}`" for n in RULE_SETS if f"`{n}`" not in text]
    found += [f"docs/rules.md does not state {rule}" for rule in ids if rule not in text]
    report(found + [f"{rule} is the id of two rules" for rule in ids if ids.count(rule) > 1])


def test_every_rule_set_has_one_worked_example() -> None:
    pages = "\n".join(map(source_text, sorted((DOCS / "venues").glob("*.md"))))
    examples = re.findall(r"^<!-- example: ([\w@-]+) -->$", pages, re.MULTILINE)
    assert sorted(examples) == sorted(RULE_SETS)


def test_readme_counts_rule_sets_and_venues() -> None:
    assert re.search(r"\[\d+ rule sets of \d+ venues\]", text_of(ROOT / "README.md"))


def test_tests_cite_every_rule_and_no_unknown_rule() -> None:
    rules = set(RULE_ID.findall(text_of(DOCS / "rules.md")))
    made_up = {TESTS / name for name in ("table.py", "test_table.py", "test_new_venue.py")}
    cited = {
        rule: path
        for path in tracked()
        if path.is_relative_to(TESTS) and path.suffix in {".py", ".txt"} and path not in made_up
        for rule in RULE_ID.findall(source_text(path))
    }
    unknown = cited.keys() - rules - {"CRC-32"}
    found = [f"{location(cited[rule])}: unknown rule {rule}" for rule in unknown]
    report(found + [f"no test and no table cites {rule}" for rule in rules - cited.keys()])


def test_changelog_has_a_section_per_version() -> None:
    heading = r"^## \[?(Unreleased|\d+\.\d+\.\d+)\]?"
    assert re.search(heading, text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)


def test_public_names_are_few_sorted_and_documented() -> None:
    delever = importlib.import_module("delever")
    assert hasattr(delever, "__all__"), "delever.__all__ is missing"
    assert list(delever.__all__) == sorted(set(delever.__all__))
    assert len(delever.__all__) <= PUBLIC_NAMES
    public = {name: getattr(delever, name) for name in delever.__all__}
    report([f"delever.{n} has no docstring" for n, value in public.items() if not value.__doc__])


def test_every_configuration_key_is_documented() -> None:
    page = text_of(REFERENCE / "config.md")
    report([line for line in page.splitlines() if line.startswith("| `") and line.endswith("|  |")])


def test_the_configuration_example_is_valid() -> None:
    (example,) = blocks(REFERENCE / "config.md", {"toml"})
    assert parse(tomllib.loads(example)).listen.port == 8080


def test_commands_of_the_fault_table_select_tests() -> None:
    commands = re.findall(r"`pytest (tests/\S+\.py) -k (\w+)`", text_of(DOCS / "testing.md"))
    assert len(commands) > 15
    for path, word in commands:
        assert re.search(rf"def test_\w*{word}", source_text(ROOT / path)), (path, word)
