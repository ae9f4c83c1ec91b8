"""The page of the configuration: the structs of delever.config with each key's description."""
# ruff: noqa: INP001 - part of a script, not a package

import ast
from pathlib import Path

import msgspec

from delever import config

SOURCE = Path(config.__file__)

HEAD = """\
# Configuration

`delever serve -c delever.toml` reads one TOML file; every key has a default. `delever config check
delever.toml` validates it and names the invalid key and value. Unknown keys are refused. The file
contains no secrets: it names an environment variable, or a file that only its owner can read.

```toml
[listen]
port = 8080

[journal]
path = "/var/lib/delever/journal.db"

[[keys]]                       # the venue's own engine
id = "engine"
roles = ["ingest", "read"]
secret_file = "/etc/delever/engine.secret"

[[keys]]                       # one trader, through any of the venue APIs
id = "ann-1"
roles = ["trade-account"]
accounts = ["ann"]
secret_env = "DELEVER_KEY_ANN"
```
"""


def config_page() -> str:
    """Return the page: a section for each struct in the order of the source, a row for each key."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    sections = [
        _section(node)
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if issubclass(getattr(config, node.name), msgspec.Struct) and node.name != "Config"
    ]
    return "\n".join([HEAD, *sections])


def _section(node: ast.ClassDef) -> str:
    """Return one section of the file as a table."""
    doc = (ast.get_docstring(node) or "").replace("\n", " ")
    title, _, meaning = doc.partition(": ")
    defaults = {
        field.name: field.default for field in msgspec.structs.fields(getattr(config, node.name))
    }
    rows = ["| key | default | description |", "|---|---|---|"]
    descriptions = _descriptions(node)
    for name, default in defaults.items():
        rows.append(f"| `{name}` | {_default(default)} | {descriptions.get(name, '')} |")
    return f"## {title}\n\n{meaning[:1].upper()}{meaning[1:]}\n\n" + "\n".join(rows) + "\n"


def _descriptions(node: ast.ClassDef) -> dict[str, str]:
    """Return the docstring below each key."""
    found = {}
    for field, below in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = ""
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                text = " ".join(str(below.value.value).split())
            found[field.target.id] = text
    return found


def _default(default: object) -> str:
    if default is msgspec.NODEFAULT:
        return "required"
    if isinstance(default, msgspec.Struct):
        return "a section"
    if default == ():
        return "none"
    return f"`{msgspec.json.encode(default).decode()}`"
