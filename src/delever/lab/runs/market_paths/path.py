"""Scenarios: what marks, order books and accounts do, step by step.

Everything is relative to the book at the start, so that one scenario runs on any book with its
contracts. A shock is the scenario of one step.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from numbers import Integral
from typing import NamedTuple

from delever.core.messages import Amount
from delever.core.units import parse_decimal
from delever.lab.errors import InputError, check_exact

STEP_MS = 1_000
"""Time between two steps of a scenario, unless it says otherwise."""

WHAT = {"withdrawals": "(account, asset, amount)", "liquidated": "accounts"}
"""What the lists by step are of."""


@dataclass(frozen=True, slots=True)
class Shock:
    """Relative moves of marks by contract: "-0.10" is 10 % down; other marks do not move.

    Raises InputError for a move that is no exact text, or that leaves no price above 0.

    >>> import delever
    >>> delever.Shock({"BTCUSDT": "-0.10"}).ratio("BTCUSDT")
    Fraction(9, 10)
    """

    moves: Mapping[str, Amount]

    def __post_init__(self) -> None:
        check_by_contract("moves", self.moves, '"-0.10"')
        for contract in self.moves:
            self.ratio(contract)

    def ratio(self, contract: str) -> Fraction:
        """Return new mark / old mark, exactly."""
        move = self.moves.get(contract, 0)
        ratio = 1 + exact_fraction(move, contract, 'must be exact text, such as "-0.10"')
        if ratio <= 0:
            raise InputError("leaves no price above 0", column=contract, value=move)
        return ratio


def exact_fraction(amount: object, column: str, why: str = "must be exact text") -> Fraction:
    """Return the number of exact text; raises InputError, for a float with the text to write."""
    check_exact(column, amount)
    number = parse_decimal(amount) if isinstance(amount, str | int) else None
    if number is None:
        raise InputError(why, column=column, value=amount)
    return Fraction(number[0], 10 ** number[1])


def check_by_contract(column: str, given: object, example: str) -> None:
    """Raise InputError unless a value is given for each contract by name."""
    if isinstance(given, Mapping) and all(isinstance(name, str) for name in given):
        return
    why = f'must be values by contract, such as {{"BTCUSDT": {example}}}'
    raise InputError(why, column=column, value=given)


def check_list(column: str, given: object, what: str) -> None:
    """Raise InputError unless several values are given; text is not a list of its letters."""
    if not isinstance(given, Iterable) or isinstance(given, str | Mapping):
        raise InputError(f"must be a list of {what}", column=column, value=given)


def check_whole(column: str, number: object, at_least: int) -> None:
    """Raise InputError unless a number is whole and large enough."""
    if not isinstance(number, Integral) or int(number) < at_least:
        why = f"must be a whole number, at least {at_least}"
        raise InputError(why, column=column, value=number)


def check_part(column: str, number: object) -> None:
    """Raise InputError unless a statistic's number, such as a level, is between 0 and 1."""
    if not isinstance(number, float | int) or not 0 < number < 1:
        raise InputError("must be a number between 0 and 1", column=column, value=number)


def check_distinct(column: str, names: Sequence[str]) -> None:
    """Raise InputError unless there are names, each given once."""
    if not names:
        raise InputError("is empty", column=column)
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"is given {count} times: give it once", column=column, value=name)


class Withdrawal(NamedTuple):
    """An amount of an asset that an account withdraws, at most what its margin leaves free.

    >>> from delever import lab
    >>> lab.Withdrawal("bob", "USDT", "5000").amount
    '5000'
    """

    account: str
    asset: str
    amount: Amount


@dataclass(frozen=True, slots=True)
class MarketStep:
    """What happens at one moment of a scenario, `after_ms` after the one before.

    `ratios` are mark / mark at the start by contract; a contract that is not named has the mark of
    the step before. `depth` is the part of each quantity of the order book at the start that is
    left. Withdrawals precede the marks; `liquidated` are accounts that the venue takes over after
    them, whatever their margin.

    >>> from fractions import Fraction
    >>> from delever import lab
    >>> halved = lab.MarketStep({"BTCUSDT": Fraction(1, 2)}, depth=Fraction(1, 10))
    >>> lab.Scenario((halved,), name="halved").contracts
    ['BTCUSDT']
    """

    ratios: Mapping[str, Fraction] = field(default_factory=dict)
    depth: Fraction = Fraction(1)
    withdrawals: tuple[Withdrawal, ...] = ()
    liquidated: tuple[str, ...] = ()
    after_ms: int = STEP_MS


@dataclass(frozen=True, slots=True)
class Scenario:
    """A path of the market in steps, with a name for tables.

    >>> from delever import lab
    >>> crash = lab.linear_path({"BTCUSDT": "-0.10"}, steps=4)
    >>> [str(step.ratios["BTCUSDT"]) for step in crash.steps]
    ['39/40', '19/20', '37/40', '9/10']
    >>> thin = crash.with_depth(["1", "0.5", "0.2", "0.6"])
    >>> [str(step.depth) for step in thin.steps]
    ['1', '1/2', '1/5', '3/5']
    """

    steps: tuple[MarketStep, ...]
    name: str = "scenario"

    def __post_init__(self) -> None:
        if not self.steps:
            raise InputError("has no steps", column=self.name)

    @property
    def contracts(self) -> list[str]:
        """The contracts whose marks move, in order of first use."""
        return list(dict.fromkeys(name for step in self.steps for name in step.ratios))

    def with_depth(self, parts: Sequence[Amount]) -> "Scenario":
        """Return the scenario with the part of the order books left at each step: "0.2" is 20 %.

        The last part also stands for the steps after it. Raises InputError for a negative part and
        for more parts than steps.
        """
        check_list("depth", parts, "parts")
        if len(parts) > len(self.steps):
            why = f"has {len(parts)} parts, but the scenario {len(self.steps)} steps"
            raise InputError(why, column="depth")
        fractions = [exact_fraction(part, "depth") for part in parts]
        if not fractions or min(fractions) < 0:
            raise InputError("needs parts of at least 0", column="depth", value=list(parts))
        last = len(fractions) - 1
        return self._with_steps(
            replace(step, depth=fractions[min(number, last)])
            for number, step in enumerate(self.steps)
        )

    def with_withdrawals(self, withdrawals: Mapping[int, Sequence[Withdrawal]]) -> "Scenario":
        """Return the scenario with withdrawals by number of the step, from 0."""
        self._check_steps("withdrawals", withdrawals)
        given = {n: tuple(map(_withdrawal, rows)) for n, rows in withdrawals.items()}
        return self._with_steps(
            replace(step, withdrawals=given.get(number, step.withdrawals))
            for number, step in enumerate(self.steps)
        )

    def with_liquidations(self, accounts: Mapping[int, Sequence[str]]) -> "Scenario":
        """Return the scenario with accounts that are liquidated, by number of the step, from 0."""
        self._check_steps("liquidated", accounts)
        return self._with_steps(
            replace(step, liquidated=tuple(accounts.get(number, step.liquidated)))
            for number, step in enumerate(self.steps)
        )

    def _with_steps(self, steps: Iterable[MarketStep]) -> "Scenario":
        return replace(self, steps=tuple(steps))

    def _check_steps(self, name: str, by_step: Mapping[int, Sequence[object]]) -> None:
        for number, rows in by_step.items():
            check_list(name, rows, WHAT[name])
            if not 0 <= number < len(self.steps):
                last = len(self.steps) - 1
                raise InputError(f"is no step: they are 0 to {last}", column=name, value=number)


def _withdrawal(row: object) -> Withdrawal:
    if isinstance(row, tuple | list) and len(row) == len(Withdrawal._fields):
        return Withdrawal(*row)
    why = 'must be account, asset and amount, such as ("bob", "USDT", "5000")'
    raise InputError(why, column="withdrawals", value=row)


def scenario_of(crash: Shock | Scenario) -> Scenario:
    """Return a scenario; a shock is the one of a single step, in which time passes by 1 ms.

    Raises InputError for what is neither.
    """
    if isinstance(crash, Scenario):
        return crash
    if not isinstance(crash, Shock):
        why = 'must be a path of the lab, or a shock such as delever.Shock({"BTCUSDT": "-0.10"})'
        raise InputError(why, column="scenario", value=crash)
    ratios = {contract: crash.ratio(contract) for contract in crash.moves}
    return Scenario((MarketStep(ratios, after_ms=1),), name="shock")
