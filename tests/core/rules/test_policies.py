"""Policies of a round: what each takes, what a filter leaves out, and what is divided again."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World

from delever.core import messages as m
from delever.core.engine import step
from delever.core.execution.adl_round import PolicyError
from delever.core.messages import Side
from delever.core.rules import RULE_SETS, RuleSet, with_policy
from delever.core.rules.adl_price import Quote
from delever.core.rules.policies import POLICIES, ContractProRata, policy_named
from delever.core.rules.policies.min_max_leverage import drain
from delever.core.rules.ranking import Queue
from delever.core.units import Ints
from delever.rule_registry import registry
from table import Row, cases


def shorts_of(world: World, text: str) -> None:
    """Open isolated shorts `name:lots@entry+margin` at a lot of 1."""
    rows = []
    for part in text.split(","):
        name, _, rest = part.partition(":")
        lots, _, rest = rest.partition("@")
        entry, _, margin = rest.partition("+")
        rows.append(world.row(name, "X", Side.SHORT, f"-{lots}", at=entry, margin=margin))
    world.positions(*rows)


@pytest.mark.parametrize("row", cases("policies.txt"))
def test_a_round_under_each_policy(row: Row) -> None:
    """CORE-07"""
    world = World(f"kucoin+{row['policy']}")
    world.contract("X", tick_size="1")
    world.mark(X=100)
    shorts_of(world, row["shorts"])
    world.submit(m.PauseAdl, contract="X", paused=True, note="until the round is forced")
    lots, price = row["inventory"].split("@")
    world.inventory("X", Side.LONG, int(lots), price)
    world.submit(m.ForceAdl, contract="X", note="test")
    filled = world.filled()
    assert ",".join(f"{name}:{lots}" for name, lots in sorted(filled.items())) == row["closed"]
    skips = world.events(m.CounterpartySkipped)
    assert ",".join(sorted(skip.account for skip in skips)) == row["skipped"].replace("-", "")


# --- min-max leverage ---


def drained_one_by_one(
    held: list[int], least: list[int], equity: list[int], wanted: int
) -> list[int]:
    """Return the lots closed if each is that of the member with the highest leverage, by rank."""
    left = list(held)
    for _ in range(wanted):
        open_ = [i for i, lots in enumerate(left) if lots > least[i]]
        if open_:
            left[max(open_, key=lambda i: (Fraction(left[i], equity[i]), -i))] -= 1
    return [lots - rest for lots, rest in zip(held, left, strict=True)]


equities = st.integers(1, 9) | st.integers(1, 10**6) | st.integers(1, 2**61)
member_lists = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 12), equities), min_size=1, max_size=6
)


@given(member_lists, st.integers(0, 80))
def test_the_most_levered_lot_is_closed_first(
    members: list[tuple[int, int, int]], wanted: int
) -> None:
    held, least, equity = (list(column) for column in zip(*members, strict=True))
    least = [min(pair) for pair in zip(held, least, strict=True)]
    columns = (np.array(column, np.int64) for column in (held, least, equity))
    assert drain(*columns, wanted).tolist() == drained_one_by_one(held, least, equity, wanted)


huge = st.lists(st.tuples(st.integers(1, 2**58), st.integers(1, 2**61)), min_size=1, max_size=8)


@given(huge, st.fractions(0, 1))
def test_large_positions_are_drained_to_one_level(
    members: list[tuple[int, int]], part: Fraction
) -> None:
    """No lot that is closed has a lower leverage than one that stays open."""
    held, equity = (list(column) for column in zip(*members, strict=True))
    wanted = int(sum(held) * part)
    columns = np.array(held), np.zeros(len(held), np.int64), np.array(equity)
    closed = drain(*columns, wanted).tolist()
    assert sum(closed) == wanted
    left = [lots - own for lots, own in zip(held, closed, strict=True)]
    highest = max(Fraction(n, e) for n, e in zip(left, equity, strict=True))
    lowest = [Fraction(n + 1, e) for n, e, c in zip(left, equity, closed, strict=True) if c]
    assert not lowest or highest <= min(lowest)


# --- policies of one's own ---


@dataclass(frozen=True)
class LastFirst:
    """The last of the queue is closed first."""

    excess: int = 0
    name: str = "last_first"

    def allocate(self, queue: Queue, wanted_lots: int, _quote: Quote) -> Ints:
        """Return the lots of each counterparty."""
        lots = queue.closable_lots[queue.order][::-1]
        filled = np.clip(wanted_lots - (np.cumsum(lots) - lots), 0, lots)
        return filled[::-1] + self.excess


def own_world(policy: LastFirst) -> World:
    rules = with_policy(RULE_SETS["kucoin"], policy)
    world = World("kucoin")
    world.book.use_registry(registry([rules]))
    world.submit(m.AmendPool, pool="main", rules=rules.name, note="policy of one's own")
    world.contract("X", tick_size="1")
    world.mark(X=100)
    shorts_of(world, "amy:10@110+100,ben:10@100+500")
    world.submit(m.PauseAdl, contract="X", paused=True, note="until the round is forced")
    world.inventory("X", Side.LONG, 5, "101")
    return world


def test_an_object_is_a_policy() -> None:
    world = own_world(LastFirst())
    world.submit(m.ForceAdl, contract="X", note="test")
    assert world.filled() == {"ben": 5}


@pytest.mark.parametrize("excess", [-6, 6, 1])
def test_impossible_lots_of_an_own_policy_stop_the_step(excess: int) -> None:
    world = own_world(LastFirst(excess))
    with pytest.raises(PolicyError, match="policy last_first: lots are negative"):
        step(world.book, m.ForceAdl(time_ms=0, contract="X", note="test"))


def test_policies_have_names() -> None:
    for name, policy in POLICIES.items():
        assert policy_named(name) is policy
        assert with_policy(RULE_SETS["bybit"], policy).policy is RULE_SETS["bybit"].policy or (
            with_policy(RULE_SETS["bybit"], policy) == RULE_SETS[f"bybit+{name}"]
        )
    everyone = with_policy(RULE_SETS["bybit"], ContractProRata("everyone"))
    assert everyone == RULE_SETS["bybit+pro_rata=everyone"]
    assert "bybit+pro_rata=losers" not in RULE_SETS
    assert "bybit+queue=everyone" not in RULE_SETS


@pytest.mark.parametrize("name", ["", "a+b", "a=b", "queue", "water_filling"])
def test_an_own_policy_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="a name of one's own is not empty"):
        with_policy(RULE_SETS["bybit"], LastFirst(name=name))


def test_only_a_queue_can_be_divided() -> None:
    no_queue: RuleSet = RULE_SETS["vega"]
    with pytest.raises(ValueError, match="rule set vega has no queue"):
        with_policy(no_queue, "queue")
    with pytest.raises(KeyError, match="fair"):
        with_policy(RULE_SETS["bybit"], "fair")
