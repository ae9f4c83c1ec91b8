"""Scores of one account's positions under the venues' rules, and the options to change them."""

from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from msgspec import structs
from observation_samples import position as sample_position
from observation_samples import wallet

from delever import rule_registry
from delever.core.rules import RULE_SETS, RuleSet
from delever.watch.market_data.observations import PositionObservation
from delever.watch.screen.advice import advise
from delever.watch.screen.view import Advice

CROSS = sample_position()
ISOLATED = sample_position(isolated=True, margin=Decimal(3_000))


def advice_of(
    position: PositionObservation, rules: str, *others: PositionObservation, balance: str = "3000"
) -> Advice:
    return advise(position, [position, *others], wallet(balance, position.settle), rules)


def options(advice: Advice) -> dict[str, float | None]:
    return {option.change: option.score_ratio for option in advice.options}


def test_scores_follow_the_published_formulas() -> None:
    """0.5 BTC from 60,000 to 66,000 on 3,000: PnL 3,000, notional 33,000, equity 6,000."""
    binance = advice_of(CROSS, "binance")  # BIN-06: 3,000 / 33,000 x 33,000 / 6,000
    assert binance.parts == pytest.approx({"return_on_mark": 1 / 11, "effective_leverage": 5.5})
    assert binance.score == pytest.approx(0.5)
    bybit = advice_of(ISOLATED, "bybit")  # BYB-07: 3,000 / 30,000 x 33,000 / 6,000
    assert bybit.score == pytest.approx(0.55)
    okx = advice_of(CROSS, "okx_2025")  # OKX-03: 3,000 / 30,000 / (6,000 / 165)
    assert okx.score == pytest.approx(0.1 * 165 / 6_000)


def test_advice_by_a_rule_set_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    house = replace(RULE_SETS["binance"], name="house", ranking=RULE_SETS["bybit"].ranking)
    monkeypatch.setattr(rule_registry, "entry_points", lambda **_: [Entry(house)])
    advice = advice_of(ISOLATED, "house")
    assert (advice.rules, advice.score) == ("house", pytest.approx(0.55))
    assert advice.options
    assert advice_of(ISOLATED, "bybit+net_exposure").score == pytest.approx(0.55)


@dataclass
class Entry:
    """An entry point that is loaded already."""

    rules: RuleSet
    name: str = "house"

    def load(self) -> RuleSet:
        return self.rules


def test_options_of_a_cross_position() -> None:
    """The set leverage is no input of the score; the size and the wallet are."""
    advice = advice_of(CROSS, "binance")
    assert options(advice) == pytest.approx(
        {
            "leverage 10 -> 5": 1,
            "add 3000 USDT of margin": 2 / 3,
            "close 0.25, half of it": 1 / 2,
            "take profit: close, and open again at the mark": 0,
        }
    )
    (unchanged, *_) = advice.options
    assert unchanged.note == "no effect: the venue's score does not depend on it"


def test_options_of_an_isolated_position() -> None:
    """Closing half returns half of the margin: a smaller position with the same score."""
    assert options(advice_of(ISOLATED, "binance")) == pytest.approx(
        {
            "leverage 10 -> 5": 2 / 3,
            "add 3000 USDT of margin": 2 / 3,
            "close 0.25, half of it": 1,
            "take profit: close, and open again at the mark": 0,
        }
    )


def test_a_hedge_is_offered_in_hedge_mode_only() -> None:
    hedged = sample_position(hedged=True)
    assert "hedge 0.25" in options(advice_of(hedged, "binance"))
    assert "hedge 0.25" not in options(advice_of(CROSS, "binance"))


def test_a_losing_position_is_not_advised_to_add_margin() -> None:
    """It is ranked behind all winners: margin would only add to what it can lose."""
    for losing in (CROSS, ISOLATED):
        found = options(advice_of(structs.replace(losing, entry_price=Decimal(70_000)), "binance"))
        assert list(found) == ["close 0.25, half of it"]


@pytest.mark.parametrize(
    ("position", "rules", "change", "note"),
    [
        (ISOLATED, "bybit", "close 0.25, half of it", "half of the margin is returned"),
        (sample_position(hedged=True), "binance", "hedge 0.25", "the hedge opens at the mark"),
    ],
)
def test_an_equal_score_is_explained(
    position: PositionObservation, rules: str, change: str, note: str
) -> None:
    (option,) = [o for o in advice_of(position, rules).options if o.change == change]
    assert option.score_ratio == 1
    assert note in option.note


def test_other_positions_share_the_wallet() -> None:
    """A losing ether position takes 1,500 of the equity: 3,000 / 33,000 x 33,000 / 4,500."""
    ether = sample_position(name="ETHUSDT", quantity=Decimal(5), entry_price=Decimal(3_300))
    ether = sample_position(
        **{**_fields(ether), "mark": Decimal(3_000), "maintenance": Decimal(75)}
    )
    assert advice_of(CROSS, "binance", ether).score == pytest.approx(3_000 / 4_500)
    elsewhere = sample_position(name="BTCUSDC", settle="USDC", mark=Decimal(30_000))
    assert advice_of(CROSS, "binance", elsewhere).score == pytest.approx(0.5)


def _fields(observed: PositionObservation) -> dict[str, object]:
    return {name: getattr(observed, name) for name in observed.__struct_fields__}


def test_inverse_contracts_and_multipliers_are_scored() -> None:
    inverse = sample_position(
        name="BTCUSD",
        inverse=True,
        quantity=Decimal(30_000),
        settle="BTC",
        isolated=True,
        margin=Decimal("0.05"),
        maintenance=Decimal("0.0023"),
    )
    pnl = 0.5 - 30_000 / 66_000
    leverage = (30_000 / 66_000) / (0.05 + pnl)
    expected = pnl / 0.5 * leverage
    assert advice_of(inverse, "bybit").score == pytest.approx(expected, rel=1e-6)
    thousands = sample_position(
        quantity=Decimal(33),
        multiplier=Decimal(1_000),
        entry_price=Decimal("0.12"),
        mark=Decimal("0.1345678"),
        maintenance=Decimal(20),
    )
    gain = 33_000 * (0.1345678 - 0.12)
    expected = gain / (33_000 * 0.12) / ((3_000 + gain) / 20)
    assert advice_of(thousands, "okx_2025").score == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("multiplier", ["0.025", "10", "0.0001"])
def test_odd_quantities_and_marks_with_many_decimals_are_scored(multiplier: str) -> None:
    odd = sample_position(
        quantity=Decimal("33.5"),
        multiplier=Decimal(multiplier),
        entry_price=Decimal("1.2"),
        mark=Decimal("1.34567812345"),
        maintenance=None,
    )
    assert advice_of(odd, "binance").score is not None


def test_unknown_inputs_are_named() -> None:
    advice = advice_of(CROSS, "bybit")
    assert any("all other accounts' positions" in unknown for unknown in advice.unknown)
    assert any("BYB-07" in unknown for unknown in advice.unknown)
    blind = advise(CROSS, [CROSS], None, "binance")
    assert (blind.score, blind.options) == (None, ())
    assert blind.unknown[0] == "the score: the wallet in USDT has not been observed"
    alone = advise(ISOLATED, [ISOLATED], None, "binance")
    assert alone.score == pytest.approx(0.5)  # an isolated position needs no wallet


def test_inconsistent_values_give_no_score_and_name_the_error() -> None:
    nonsense = sample_position(quantity=Decimal("1e30"))
    advice = advice_of(nonsense, "binance")
    assert advice.score is None
    assert "the score: " in advice.unknown[0]


def test_isolated_margins_are_subtracted_from_a_wallet_that_includes_them() -> None:
    """Bybit states one balance: 6,000 less an isolated margin of 3,000 is 3,000 for cross."""
    alone = structs.replace(ISOLATED, name="ETHUSDT", entry_price=CROSS.mark)
    whole = structs.replace(wallet("6000"), includes_isolated=True)
    mixed = advise(CROSS, [CROSS, alone], whole, "bybit")
    apart = advise(CROSS, [CROSS, alone], wallet("3000"), "bybit")
    assert mixed.score == apart.score is not None
    assert advise(alone, [CROSS, alone], whole, "bybit").score == 0
    beyond = advise(CROSS, [CROSS, alone], structs.replace(whole, balance=Decimal(100)), "bybit")
    assert beyond.score is not None  # a smaller wallet lowers the equity only
