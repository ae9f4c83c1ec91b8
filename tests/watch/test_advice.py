"""Scores under the venues' own rules from one account's numbers, and what changes them."""

from decimal import Decimal

import pytest
from msgspec import structs
from numbers_read import position, wallet

from delever.watch.advice import advise
from delever.watch.reading import Position
from delever.watch.view import Advice

CROSS = position()
ISOLATED = position(isolated=True, margin=Decimal(3_000))


def told(held: Position, rules: str, *others: Position, money: str = "3000") -> Advice:
    return advise(held, [held, *others], wallet(money, held.settle), rules)


def options(advice: Advice) -> dict[str, float | None]:
    return {option.change: option.times for option in advice.options}


def test_scores_are_those_of_a_pocket_calculator() -> None:
    """0.5 BTC from 60,000 to 66,000 on 3,000: profit 3,000, value 33,000, equity 6,000."""
    binance = told(CROSS, "binance")  # BIN-06: 3,000 / 33,000 x 33,000 / 6,000
    assert binance.parts == pytest.approx({"return_on_mark": 1 / 11, "effective_leverage": 5.5})
    assert binance.score == pytest.approx(0.5)
    bybit = told(ISOLATED, "bybit")  # BYB-07: 3,000 / 30,000 x 33,000 / 6,000
    assert bybit.score == pytest.approx(0.55)
    okx = told(CROSS, "okx_2025")  # OKX-03: 3,000 / 30,000 / (6,000 / 165)
    assert okx.score == pytest.approx(0.1 * 165 / 6_000)


def test_what_lowers_a_cross_position() -> None:
    """Its set leverage is not part of any score; its size and the wallet are."""
    advice = told(CROSS, "binance")
    assert options(advice) == pytest.approx(
        {
            "leverage 10 -> 5": 1,
            "add 3000 USDT of margin": 2 / 3,
            "close 0.25, half of it": 1 / 2,
            "take the profit: close, and open again at the mark": 0,
        }
    )
    (unchanged, *_) = advice.options
    assert unchanged.note == "changes nothing: the venue's score does not look at it"


def test_what_lowers_an_isolated_position() -> None:
    """Closing half takes half of the margin along: a smaller position, the same score."""
    assert options(told(ISOLATED, "binance")) == pytest.approx(
        {
            "leverage 10 -> 5": 2 / 3,
            "add 3000 USDT of margin": 2 / 3,
            "close 0.25, half of it": 1,
            "take the profit: close, and open again at the mark": 0,
        }
    )


def test_a_hedge_is_offered_in_hedge_mode_only() -> None:
    hedged = position(hedged=True)
    assert "hedge 0.25" in options(told(hedged, "binance"))
    assert "hedge 0.25" not in options(told(CROSS, "binance"))


def test_other_positions_share_the_wallet() -> None:
    """A losing ether position takes 1,500 of the equity: 3,000 / 33,000 x 33,000 / 4,500."""
    ether = position(name="ETHUSDT", quantity=Decimal(5), entry_price=Decimal(3_300))
    ether = position(**{**_fields(ether), "mark": Decimal(3_000), "maintenance": Decimal(75)})
    assert told(CROSS, "binance", ether).score == pytest.approx(3_000 / 4_500)
    elsewhere = position(name="BTCUSDC", settle="USDC", mark=Decimal(30_000))
    assert told(CROSS, "binance", elsewhere).score == pytest.approx(0.5)


def _fields(held: Position) -> dict[str, object]:
    return {name: getattr(held, name) for name in held.__struct_fields__}


def test_contracts_of_other_sizes_and_inverse_ones_are_scored() -> None:
    inverse = position(
        name="BTCUSD",
        inverse=True,
        quantity=Decimal(30_000),
        settle="BTC",
        isolated=True,
        margin=Decimal("0.05"),
        maintenance=Decimal("0.0023"),
    )
    profit = 0.5 - 30_000 / 66_000
    leverage = (30_000 / 66_000) / (0.05 + profit)
    expected = profit / 0.5 * leverage
    assert told(inverse, "bybit").score == pytest.approx(expected, rel=1e-6)
    thousands = position(
        quantity=Decimal(33),
        multiplier=Decimal(1_000),
        entry_price=Decimal("0.12"),
        mark=Decimal("0.1345678"),
        maintenance=Decimal(20),
    )
    gain = 33_000 * (0.1345678 - 0.12)
    expected = gain / (33_000 * 0.12) / ((3_000 + gain) / 20)
    assert told(thousands, "okx_2025").score == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("multiplier", ["0.025", "10", "0.0001"])
def test_odd_sizes_and_long_marks_stay_exact_enough(multiplier: str) -> None:
    odd = position(
        quantity=Decimal("33.5"),
        multiplier=Decimal(multiplier),
        entry_price=Decimal("1.2"),
        mark=Decimal("1.34567812345"),
        maintenance=None,
    )
    assert told(odd, "binance").score is not None


def test_what_cannot_be_known_is_said() -> None:
    advice = told(CROSS, "bybit")
    assert any("the positions of all other accounts" in unknown for unknown in advice.unknown)
    assert any("BYB-07" in unknown for unknown in advice.unknown)
    blind = advise(CROSS, [CROSS], None, "binance")
    assert (blind.score, blind.options) == (None, ())
    assert blind.unknown[0] == "the score: the wallet in USDT has not been read"
    alone = advise(ISOLATED, [ISOLATED], None, "binance")
    assert alone.score == pytest.approx(0.5)  # an isolated position needs no wallet


def test_numbers_that_do_not_fit_together_are_a_state_and_no_crash() -> None:
    nonsense = position(quantity=Decimal("1e30"))
    advice = told(nonsense, "binance")
    assert advice.score is None
    assert "the score: " in advice.unknown[0]


def test_isolated_margins_are_taken_out_of_a_wallet_that_holds_them() -> None:
    """Bybit tells one balance: 6,000 with an isolated margin of 3,000 leave 3,000 for cross."""
    alone = structs.replace(ISOLATED, name="ETHUSDT", entry_price=CROSS.mark)
    whole = structs.replace(wallet("6000"), with_isolated=True)
    mixed = advise(CROSS, [CROSS, alone], whole, "bybit")
    apart = advise(CROSS, [CROSS, alone], wallet("3000"), "bybit")
    assert mixed.score == apart.score is not None
    assert advise(alone, [CROSS, alone], whole, "bybit").score == 0
    beyond = advise(CROSS, [CROSS, alone], structs.replace(whole, balance=Decimal(100)), "bybit")
    assert beyond.score is not None  # a wallet that is short backs the position with less
