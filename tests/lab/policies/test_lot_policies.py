"""Policies of the lab in runs of the engine: lots, contexts, comparisons, and side indices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import delever
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from delever.lab.errors import InputError, UnknownNameError
from delever.lab.policies import (
    LAB_POLICIES,
    CvarCutoff,
    FactorWaterFilling,
    PolicyContext,
    RiskAwareProRata,
    SideIndex,
    WealthProRata,
    lot_policy,
    policy_of,
)
from delever.lab.policies.catalog import AnyPolicy
from delever.lab.policies.lot_policies import share_by_float
from delever.lab.runs.stress_test import variant_rule_sets

SHOCK = delever.Shock({"X": "-0.10"})


def book_of_shorts(*shorts: tuple[str, int, int, int]) -> delever.Book:
    """Return a book at mark 100: bust's long of 40 at 101, and shorts of (name, lots, entry, cash).

    After a fall of 10 % bust is bankrupt at 99.
    """
    rows = [("bust", "long", 40, 101, 80)]
    rows += [(name, "short", lots, entry, cash) for name, lots, entry, cash in shorts]
    columns = ("account", "side", "quantity", "entry_price")
    positions = [{"contract": "X", **dict(zip(columns, row, strict=False))} for row in rows]
    balances = [{"account": row[0], "asset": "USDT", "balance": row[-1]} for row in rows]
    return delever.book_of(
        positions, {"X": 100}, balances=balances, contracts="linear", rules="kucoin"
    )


SHORTS = (("amy", 30, 110, 600), ("ben", 30, 100, 3000), ("cyd", 20, 120, 200))


def closed(policy: AnyPolicy | str, *shorts: tuple[str, int, int, int]) -> dict[str, int]:
    """Return the lots that each account closes under a policy."""
    (rules,) = variant_rule_sets(["kucoin"], [policy])
    result = delever.simulate(book_of_shorts(*(shorts or SHORTS)), SHOCK, rules=rules)
    fills = result.fills.select("account", "quantity").sort("account")
    return {name: int(lots) for name, lots in fills.iter_rows()}


# At the mark of 90 profits are 600, 300, 600, equities 1200, 3300, 800, leverages 2.25, 0.82, 2.25;
# each of 40 lots closed at 99 costs 9. Equal shares go by rank: cyd, amy, ben.
EXPECTED = {
    "queue": {"amy": 20, "cyd": 20},
    "contract_pro_rata": {"amy": 15, "ben": 15, "cyd": 10},
    "wealth_pro_rata": {"amy": 16, "ben": 8, "cyd": 16},
    "capped_pro_rata": {"amy": 16, "ben": 8, "cyd": 16},
    "risk_aware_pro_rata": {"amy": 19, "ben": 1, "cyd": 20},  # 19.36, 1.28, 19.36
    "risk_greedy": {"amy": 30, "cyd": 10},  # amy has more equity per profit; the rest by rank
    "min_max_burden": {"amy": 9, "ben": 25, "cyd": 6},  # 9.06, 24.91, 6.04
    "min_max_leverage": {"amy": 22, "ben": 3, "cyd": 15},  # leaves 8/930, 27/3030, 5/620
    "cvar_cutoff": {"amy": 22, "ben": 3, "cyd": 15},  # nobody is above 1 / 0.16
    "vm_gains_haircut": {"amy": 16, "ben": 8, "cyd": 16},
    "tear_up": {"amy": 15, "ben": 15, "cyd": 10},
    "global_haircut": {"amy": 16, "ben": 8, "cyd": 16},
    "lazy_side_index": {"amy": 15, "ben": 15, "cyd": 10},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_policy_by_name(name: str) -> None:
    assert closed(name) == EXPECTED[name]


def test_every_policy_has_an_expected_round() -> None:
    assert {*EXPECTED} >= {*LAB_POLICIES} - {"factor_water_filling"}


def test_a_comparison_takes_names_and_objects() -> None:
    policies = ["tear_up", RiskAwareProRata(exponent=0.0), "water_filling"]
    table = delever.compare(
        book_of_shorts(*SHORTS), SHOCK, rules=["kucoin", "vega"], policies=policies
    )
    assert table["rules"].to_list() == [
        "kucoin+tear_up", "kucoin+risk_aware_pro_rata", "kucoin+water_filling", "vega",
    ]  # fmt: skip
    one = delever.compare(book_of_shorts(*SHORTS), SHOCK, rules="kucoin", policies=WealthProRata())
    assert one["closed"].to_list() == table["closed"].to_list()[:1]


def test_a_context_decides_the_cutoff() -> None:
    """A rise by 200 % bankrupts leverage above 0.5: 23, 11 and 15 lots are above, 40 go by rank."""
    book = book_of_shorts(*SHORTS)
    shocks = [delever.Shock({"X": move}) for move in ("-0.5", "2")]
    cutoff = CvarCutoff(alpha=0.5).in_context(PolicyContext.of(book, shocks))
    assert cutoff.value_at_risk("X", Side.SHORT) == pytest.approx(2)
    assert cutoff.value_at_risk("X", Side.LONG) == pytest.approx(0.5)
    assert closed(cutoff) == {"amy": 23, "ben": 2, "cyd": 15}


def test_a_haircut_policy_reads_the_moves_against_the_winners() -> None:
    """A rise bankrupts amy before cyd, per unit of profit; a fall nobody: then ranks decide."""
    book, greedy = book_of_shorts(*SHORTS), lot_policy("risk_greedy")
    found = [
        closed(greedy.in_context(PolicyContext.of(book, [delever.Shock({"X": move})])))
        for move in ("0.7", "-0.5")
    ]
    assert found == [{"amy": 30, "cyd": 10}, {"amy": 20, "cyd": 20}]


def test_water_filling_on_a_factor_leaves_hedges_alone() -> None:
    """Exposures 300, 300, 200 behind 900, 3000, 600: level 0.0978 leaves 88, 293.3 and 58.7."""
    context = PolicyContext.of(book_of_shorts(*SHORTS), factor={"X": 0.1})
    factor = FactorWaterFilling().in_context(context)
    assert closed(factor) == {"amy": 23, "ben": 1, "cyd": 16}
    hedged = PolicyContext(
        context.contracts,
        factor=context.factor,
        exposure={**context.exposure, "amy": (0.0,)},
        equity=context.equity,
    )
    assert closed(factor.in_context(hedged)).keys() == {"ben", "cyd"}


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("fair", "no policy 'fair'"),
        ("factor_water_filling", "needs a factor"),
        (object(), "has no `allocate"),
    ],
)
def test_an_unusable_policy_is_an_error(policy: AnyPolicy, why: str) -> None:
    with pytest.raises((InputError, UnknownNameError), match=why):
        delever.compare(book_of_shorts(*SHORTS), SHOCK, rules="kucoin", policies=policy)


def test_contexts_and_parameters_are_checked() -> None:
    with pytest.raises(InputError, match="column for each contract"):
        PolicyContext(("X",), np.zeros((2, 2)))
    with pytest.raises(InputError, match="finite"):
        PolicyContext(("X",), np.array([[np.nan]]))
    with pytest.raises(InputError, match="number for each contract"):
        PolicyContext(("X",), factor=(0.1, 0.2))
    with pytest.raises(InputError, match="no scenario"):
        PolicyContext(("X",)).moves("X")
    with pytest.raises(InputError, match="below 1"):
        CvarCutoff(alpha=1.0)
    assert policy_of(CvarCutoff()).name == "cvar_cutoff"
    (rules,) = variant_rule_sets(["kucoin"], [CvarCutoff(alpha=0.9)])
    assert rules.name == "kucoin+cvar_cutoff"
    assert rules.policy != RULE_SETS["kucoin"].policy


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8), st.floats(0, 1))
def test_shares_by_float_sum_to_the_lots(caps: list[int], part: float) -> None:
    wanted = int(part * sum(caps))
    weights = np.sqrt(np.array(caps, float))
    weights[0] = 0
    lots = share_by_float(wanted, np.array(caps), weights)
    assert lots.sum() == wanted
    assert ((lots >= 0) & (lots <= caps)).all()


# --- side indices (M20) ---

rounds = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10**12)), max_size=6)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=8), rounds)
def test_side_indices_conserve_lots_and_cash(
    positions: list[int], reductions: list[tuple[int, int]]
) -> None:
    """Nobody has more lots than are open, and deficits are paid, each up to a unit an account."""
    side = SideIndex(sum(positions))
    entered = [side.position(lots) for lots in positions]
    deficits = 0
    for percent, deficit in reductions:
        side = side.reduced(side.open_lots * percent // 100, deficit)
        deficits += deficit
    settled = [side.settled(position) for position in entered]
    dust = side.open_lots - sum(lots for lots, _ in settled)
    assert 0 <= dust <= len(positions) * (1 + len(reductions))
    excess = sum(owed for _, owed in settled) - deficits
    assert 0 <= excess <= len(positions) + len(reductions) + deficits // 10**9
    ratios = [lots / position for (lots, _), position in zip(settled, positions, strict=True)]
    assert max(ratios) - min(ratios) <= 1 / min(positions) + 1e-9


def test_a_side_that_is_closed_whole_starts_again() -> None:
    side = SideIndex(30)
    amy = side.position(30)
    side = side.reduced(30, deficit_cash=60)
    assert side.drains_only
    assert side.settled(amy) == (0, 60)
    with pytest.raises(InputError, match="only closes"):
        side.position(1)
    with pytest.raises(InputError, match="must be from 0 to the 0 open lots"):
        side.reduced(0, deficit_cash=1)
    side = side.restarted().opened(5)
    assert side.settled(side.position(5)) == (5, 0)
    assert side.settled(amy) == (0, 60)
    with pytest.raises(InputError, match="has open lots"):
        side.restarted()
