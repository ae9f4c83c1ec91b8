"""Rule sets of one's own: a registry with their digests, and those that packages provide.

A digest covers every field of a rule set: names and parameters of its parts, texts, and the source
of each function and class that is not delever's own. It does not depend on the version of Python.
"""

import hashlib
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from delever.core.book import Book
from delever.core.rules import RULE_SETS, RegisteredRules, RuleSet, rule_sets_of

GROUP = "delever.rule_sets"
"""Entry-point group of packages that provide rule sets: each entry is a RuleSet."""


def registry(rule_sets: Iterable[RuleSet]) -> dict[str, RegisteredRules]:
    """Return rule sets of one's own by name, with their digests, for `Book` and `step`.

    Raises ValueError for an unusable name: empty, a venue's, given twice, or with a `+` that is not
    before the name of its policy, as `with_policy` writes it.

        >>> import delever
        >>> from dataclasses import replace
        >>> from delever.core.rules import RULE_SETS
        >>> house = replace(RULE_SETS["binance"], name="house", fee_ppm=100)
        >>> book = delever.Book(delever.registry([house]))
        >>> list(book.registry)
        ['house']
    """
    registered: dict[str, RegisteredRules] = {}
    for rules in rule_sets:
        name = rules.name
        if not name or "+" in name.removesuffix(f"+{rules.policy.name}"):
            raise ValueError(
                f"rule set {name!r}: a name is not empty and has no '+', except before its policy"
            )
        if name in RULE_SETS or name in registered:
            raise ValueError(f"rule set {name!r}: there is one of this name already")
        registered[name] = RegisteredRules(rules, digest_of(rules))
    return registered


def own_registry(rule_sets: Iterable[RuleSet]) -> dict[str, RegisteredRules]:
    """Return the registry of those rule sets that are not a venue's unchanged."""
    return registry(
        rules
        for rules in rule_sets
        if rules.name not in RULE_SETS or RULE_SETS[rules.name] != rules
    )


def with_own(rule_sets: Iterable[RuleSet]) -> Mapping[str, RuleSet]:
    """Return every venue's rule set and those of one's own by name."""
    return rule_sets_of(Book(registry(rule_sets)))


def installed_rule_sets() -> list[RuleSet]:
    """Return the rule sets of the entry-point group `delever.rule_sets`, by name of the entry.

    Raises TypeError for an entry that is no RuleSet.
    """
    found = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        rules = entry.load()
        if not isinstance(rules, RuleSet):
            raise TypeError(f"entry point {entry.name} of {GROUP}: {entry.value} is no RuleSet")
        found.append(rules)
    return found


def digest_of(rules: RuleSet) -> str:
    """Return the BLAKE2b-256 of a rule set's content, in hexadecimal."""
    return hashlib.blake2b(repr(_content(rules)).encode(), digest_size=32).hexdigest()


def _content(value: Any) -> object:
    """Return what a value is made of, as nested tuples of texts and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = tuple((field.name, _content(getattr(value, field.name))) for field in fields(value))
        return (_code(type(value)), parts)
    if isinstance(value, Mapping):
        return tuple(sorted((repr(key), repr(_content(inner))) for key, inner in value.items()))
    if isinstance(value, tuple | list | np.ndarray):
        return tuple(map(_content, value if not isinstance(value, np.ndarray) else value.tolist()))
    if value is None or isinstance(value, str | int | float):
        return str(value) if isinstance(value, str) else value
    if callable(value):
        return _code(value)
    return (_code(type(value)), tuple(sorted((k, _content(v)) for k, v in vars(value).items())))


def _code(code: Any) -> tuple[str, str]:
    """Return the name of a function or class and, unless it is delever's own, its source."""
    name = f"{code.__module__}.{code.__qualname__}"
    return (name, "") if name.startswith("delever.") else (name, _source(code))


def _source(code: Any) -> str:
    """Return the source of a function or class; where there is no file, what stands for it."""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        compiled = getattr(code, "__code__", None)
        return "" if compiled is None else compiled.co_code.hex() + repr(compiled.co_consts)
