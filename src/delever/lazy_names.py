"""Public names of a package that are imported when they are first used, so that it loads fast."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: dict[str, Any], homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package, given its globals (PEP 562).

    `homes` are the public names by the module that defines them; each is imported once.

    >>> namespace = {"__name__": "numbers_of_pi"}
    >>> get, names = lazy_names(namespace, {"math": ("pi", "tau")})
    >>> round(get("pi"), 2), "pi" in namespace, "tau" in names()
    (3.14, True, True)
    """
    modules = {name: module for module, names in homes.items() for name in names}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        package[name] = getattr(importlib.import_module(modules[name]), name)
        return package[name]

    def names() -> list[str]:
        return sorted({*package, *modules})

    return get, names
