"""Rule sets of one's own: wherever a name is taken, in the journal by digest, from packages."""

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import delever
from delever import rule_registry
from delever.core.messages import DefinePool, Event, PoolDefined, PoolKind, Rejected
from delever.core.rules import RULE_SETS, RuleSet
from delever.core.rules.ranking import Ranking, Score
from delever.core.valuation.side_valuation import SideValuation
from delever.journal import JournalError


def largest_winner(valuation: SideValuation) -> Score:
    return Score(valuation.unrealized_pnl.astype(float), {})


def largest_loser(valuation: SideValuation) -> Score:
    return Score(-valuation.unrealized_pnl.astype(float), {})


HOUSE = replace(
    RULE_SETS["binance"], name="house", ranking=Ranking("unrealized PnL", largest_winner)
)
POOL = DefinePool(time_ms=0, pool="fund", kind=PoolKind.SHARED, asset="USDT", rules="house")

# Mark 90: bob wins 1 x 10 = 10 (100 % of margin and more), cyd 3 x 4 = 12.
POSITIONS = [
    {"account": name, "contract": "BTC", "side": side, "quantity": quantity, "entry_price": entry}
    | {"leverage": leverage}
    for name, side, quantity, entry, leverage in (
        ("ann", "long", 4, 100, 8),
        ("bob", "short", 1, 100, 5),
        ("cyd", "short", 3, 94, 2),
    )
]


def book(rules: str | RuleSet = "binance") -> delever.Book:
    return delever.book_of(POSITIONS, {"BTC": 90}, contracts="linear", rules=rules)


def test_rank_takes_an_object_and_the_pools_own_rules() -> None:
    assert delever.rank(book(), "BTC", "short")["account"].to_list() == ["bob", "cyd"]
    assert delever.rank(book(), "BTC", "short", rules=HOUSE)["account"].to_list() == ["cyd", "bob"]
    assert delever.rank(book(HOUSE), "BTC", "short")["account"].to_list() == ["cyd", "bob"]
    assert delever.explain(book(HOUSE), "BTC", "cyd").explanation.rules == "house"


def test_simulate_and_compare_take_objects() -> None:
    shock = delever.Shock({"BTC": "-0.10"})
    by_house = delever.simulate(book(), shock, rules=HOUSE)
    assert by_house.summary.pools[0].rules == "house"
    assert by_house.fills["account"].to_list()[:1] == ["cyd"]
    table = delever.compare(book(), shock, rules=[HOUSE, "binance"], policies=["pro_rata"])
    assert table["rules"].to_list() == ["house+pro_rata", "binance+pro_rata"]


def test_a_venues_own_object_needs_no_registry() -> None:
    assert delever.compare(book(), delever.Shock({}), rules=RULE_SETS["bybit"]).height == 1
    assert not book(RULE_SETS["bybit"]).registry


def test_step_takes_a_registry() -> None:
    empty = delever.Book()
    (rejected,) = delever.step(empty, POOL)
    assert isinstance(rejected, Rejected)
    own = delever.registry([HOUSE])
    assert digest_in(delever.step(empty, POOL, registry=own)) == own["house"].digest
    with_policy = delever.step(delever.Book(own), replace_rules("house+pro_rata"))
    assert digest_in(with_policy) == own["house"].digest


def digest_in(events: tuple[Event, ...]) -> str:
    return next(event.rules_digest for event in events if isinstance(event, PoolDefined))


def replace_rules(rules: str) -> DefinePool:
    return DefinePool(time_ms=0, pool="fund", kind=PoolKind.SHARED, asset="USDT", rules=rules)


def test_a_venues_rules_have_no_digest() -> None:
    assert digest_in(delever.step(delever.Book(), replace_rules("bybit"))) == ""


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_journal_opens_only_with_the_rules_it_was_written_with(
    tmp_path: Path, *, snapshot: bool
) -> None:
    path = tmp_path / "journal.db"
    recorder = delever.Recorder.open(path, rule_sets=[HOUSE])
    recorder.submit([POOL])
    recorder.close(snapshot=snapshot)
    with delever.Recorder.open(path, rule_sets=[HOUSE]) as again:
        assert again.head.sequence == 1
    with pytest.raises(JournalError, match="fund: rule set house is not available"):
        delever.Recorder.open(path)
    changed = replace(HOUSE, fee_ppm=100)
    with pytest.raises(JournalError, match="rule set house has digest"):
        delever.Recorder.open(path, rule_sets=[changed])
    assert delever.verify(path, rule_sets=[HOUSE]).ok
    assert not delever.verify(path).ok
    assert not delever.verify(path, rule_sets=[changed]).ok


@pytest.mark.parametrize("name", ["", "bybit", "a+b"])
def test_unusable_names(name: str) -> None:
    with pytest.raises(ValueError, match="rule set"):
        delever.registry([replace(HOUSE, name=name)])


def test_the_digest_covers_parameters_texts_and_code() -> None:
    digest = rule_registry.digest_of(HOUSE)
    assert digest == rule_registry.digest_of(replace(HOUSE))
    changes = (
        replace(HOUSE, fee_ppm=1),
        replace(HOUSE, rules=HOUSE.rules[1:]),
        replace(HOUSE, ranking=replace(HOUSE.ranking, score=largest_loser)),
    )
    assert len({digest, *map(rule_registry.digest_of, changes)}) == 4


def test_packages_provide_rule_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("house", f"{__name__}:HOUSE", rule_registry.GROUP)
    monkeypatch.setattr(rule_registry, "entry_points", lambda **_: [entry])
    (found,) = rule_registry.installed_rule_sets()
    assert found.name == "house"
    assert "house" in rule_registry.with_own([found])
    wrong = EntryPoint("path", "pathlib:Path", rule_registry.GROUP)
    monkeypatch.setattr(rule_registry, "entry_points", lambda **_: [wrong])
    with pytest.raises(TypeError, match="entry point path"):
        rule_registry.installed_rule_sets()
