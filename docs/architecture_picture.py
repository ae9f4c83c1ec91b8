"""Pictures of the packages and their imports, as SVG: docs/pictures/{packages,core}.svg.

Each box is a package or module, each arrow an import. An arrow that follows from two others is left
out (A -> C where A -> B -> C), so that the picture displays the order of the layers. The layout is
layered: a box is above everything that it imports.
"""
# ruff: noqa: INP001 - part of a script, not a package

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "delever"
PICTURES = ROOT / "docs" / "pictures"

BOX_WIDTH, BOX_HEIGHT = 104, 30
COLUMN, ROW = 128, 74
MARGIN = 16
SWEEPS = 12
"""Passes over the layers that reduce crossings; more change nothing in graphs of this size."""

Graph = dict[str, set[str]]

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}" role="img" aria-label="{label}">
<style>
rect {{ fill: #f6f8fa; stroke: #57606a; rx: 5px }}
path {{ fill: none; stroke: #8c959f }}
text {{ font: 14px ui-monospace, monospace; fill: #1f2328; text-anchor: middle }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" \
orient="auto"><path d="M0 0 8 4 0 8z" style="fill:#8c959f;stroke:none"/></marker></defs>
<rect width="{width}" height="{height}" style="fill:#fff;stroke:none"/>
"""


def pictures() -> dict[Path, str]:
    """Return both pictures by path: the packages of delever, and the modules of its core."""
    labels = {"packages.svg": "Packages of delever", "core.svg": "Modules of delever.core"}
    graphs = {"packages.svg": import_graph("delever"), "core.svg": import_graph("delever.core")}
    return {PICTURES / name: draw(graphs[name], labels[name]) for name in graphs}


def import_graph(package: str) -> Graph:
    """Return the imports between the direct members of a package."""
    folder = SOURCE.joinpath(*package.split(".")[1:])
    members = {path.stem for path in folder.iterdir() if path.suffix == ".py" or is_package(path)}
    members -= {"__init__", "__main__"}
    graph: Graph = {name: set() for name in members}
    for name in members:
        own = folder / name
        files = own.rglob("*.py") if own.is_dir() else [own.with_suffix(".py")]
        for file in files:
            for target in imported(file):
                member = target.removeprefix(f"{package}.").partition(".")[0]
                if target.startswith(f"{package}.") and member in members - {name}:
                    graph[name].add(member)
    return graph


def is_package(path: Path) -> bool:
    """Return whether a path is a Python package."""
    return (path / "__init__.py").is_file()


def imported(file: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def draw(graph: Graph, label: str) -> str:
    """Return a layered drawing of an acyclic graph as SVG."""
    reduced = transitive_reduction(graph)
    layers = ordered(layered(reduced), reduced)
    columns = max(len(layer) for layer in layers)
    width = columns * COLUMN - (COLUMN - BOX_WIDTH) + 2 * MARGIN
    height = len(layers) * ROW - (ROW - BOX_HEIGHT) + 2 * MARGIN
    center = {
        node: (width / 2 + (place - (len(layer) - 1) / 2) * COLUMN, MARGIN + level * ROW)
        for level, layer in enumerate(layers)
        for place, node in enumerate(layer)
    }
    lines = [HEAD.format(width=width, height=height, label=label)]
    for source in sorted(reduced):
        for target in sorted(reduced[source]):
            points = [center[node] for node in route(source, target, center)]
            lines.append(f'<path d="{curve(points)}" marker-end="url(#head)"/>\n')
    for node, (x, y) in sorted(center.items()):
        if ">" not in node:
            left = x - BOX_WIDTH / 2
            box = f'x="{left:g}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"'
            lines.append(f'<rect {box}/><text x="{x:g}" y="{y + 20}">{node}</text>\n')
    return "".join([*lines, "</svg>\n"])


def transitive_reduction(graph: Graph) -> Graph:
    """Return a graph without the edges that a longer path replaces; cycles raise ValueError."""
    reachable: Graph = {}
    waiting = set(graph)
    while waiting:
        ready = {node for node in waiting if graph[node] <= reachable.keys()}
        if not ready:
            raise ValueError(f"these import each other: {', '.join(sorted(waiting))}")
        for node in ready:
            reachable[node] = graph[node].union(*(reachable[target] for target in graph[node]))
        waiting -= ready
    return {
        node: targets - set().union(*(reachable[target] for target in targets))
        for node, targets in graph.items()
    }


def layered(graph: Graph) -> list[list[str]]:
    """Return the nodes in layers, with a waypoint `a>b>level` where an edge crosses a layer.

    The last layer imports nothing. Every other node is one layer above its highest import.
    """
    depth: dict[str, int] = {}
    while len(depth) < len(graph):
        for node in sorted(graph.keys() - depth.keys()):
            if graph[node] <= depth.keys():
                depth[node] = 1 + max((depth[target] for target in graph[node]), default=-1)
    top = max(depth.values())
    layers: list[list[str]] = [[] for _ in range(top + 1)]
    for node in sorted(graph):
        layers[top - depth[node]].append(node)
        for target in sorted(graph[node]):
            for level in range(top - depth[node] + 1, top - depth[target]):
                layers[level].append(f"{node}>{target}>{level}")
    return layers


def route(source: str, target: str, known: dict[str, tuple[float, int]]) -> list[str]:
    """Return the nodes that an edge passes: source, waypoints from top to bottom, target."""
    waypoints = [node for node in known if node.startswith(f"{source}>{target}>")]
    return [source, *sorted(waypoints, key=lambda node: known[node][1]), target]


def ordered(layers: list[list[str]], graph: Graph) -> list[list[str]]:
    """Return the layers, each sorted by the mean place of its neighbors to reduce crossings."""
    links = [
        pair
        for source in graph
        for target in graph[source]
        for pair in pairwise(waypoints_between(source, target, layers))
    ]
    for sweep in range(SWEEPS):
        place = {node: index for layer in layers for index, node in enumerate(layer)}
        downwards = sweep % 2 == 0
        for layer in layers[1:] if downwards else layers[-2::-1]:
            means = {}
            for node in layer:
                neighbors = [
                    place[upper if downwards else lower]
                    for upper, lower in links
                    if node == (lower if downwards else upper)
                ]
                means[node] = sum(neighbors) / len(neighbors) if neighbors else place[node]
            layer.sort(key=lambda node: (means[node], node))
            place |= {node: index for index, node in enumerate(layer)}
    return layers


def waypoints_between(source: str, target: str, layers: list[list[str]]) -> list[str]:
    """Return the nodes of an edge from top to bottom."""
    prefix = f"{source}>{target}>"
    return [
        source,
        *(node for layer in layers for node in layer if node.startswith(prefix)),
        target,
    ]


def curve(points: list[tuple[float, int]]) -> str:
    """Return a path from the bottom of the first box to the top of the last."""
    (x, y), *rest = points
    y += BOX_HEIGHT
    parts = [f"M{x:g} {y}"]
    for next_x, next_y in rest:
        middle = (y + next_y) / 2
        parts.append(f"C{x:g} {middle:g} {next_x:g} {middle:g} {next_x:g} {next_y}")
        if (next_x, next_y) != rest[-1]:
            parts.append(f"V{next_y + BOX_HEIGHT}")
        x, y = next_x, next_y + BOX_HEIGHT
    return "".join(parts)
