"""A calculator: scores and bankruptcy prices computed again from what an explanation prints."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

import delever
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Rejected
from delever.core.rules import RULE_SETS
from delever.lab.queries.position_queries import PositionExplanation, explain
from delever.lab.runs.scenario import read_scenario

EXAMPLES = Path(__file__).parents[3] / "examples"
NUMBER = r"(-?[\d.]+(?:e[+-]?\d+)?)"
QUOTIENT = re.compile(rf"^.+? = {NUMBER} \([^()]+\) / {NUMBER} \([^()]+\) = {NUMBER}\.$")
PLAIN = re.compile(rf"^[^=:]+ = {NUMBER}\.$")
SCORE = re.compile(rf"^Score = (?:.+? ([x/]) .+? = )?(?:{NUMBER} \w+ in units of {NUMBER} = )?"
                   rf"{NUMBER}: ")  # fmt: skip
PLACE = re.compile(r"place (\d+), start (\d+), positions (\d+)")


def hedged_book() -> Book:
    """Return accounts with several cross positions: a hedge, an inverse one, a loser."""
    rows = [
        ("ann", "BTCUSDT", "long", "4", "100", None),
        ("ann", "BTCUSDT", "short", "3", "90", None),
        ("ann", "ETHUSDT", "short", "7", "11", None),
        ("bob", "BTCUSDT", "short", "5", "120", None),
        ("bob", "BTCUSDT", "long", "2", "80", "60"),
        ("cyd", "ETHUSDT", "long", "50", "12", None),
        ("cyd", "BTCUSDT", "long", "1", "95", None),
        ("dan", "ETHUSDT", "short", "60", "9", "77"),
    ]
    names = ("account", "contract", "side", "quantity", "entry_price", "isolated_margin")
    positions = [dict(zip(names, row, strict=True)) | {"leverage": "10"} for row in rows]
    accounts = [{"account": name, "hedge_mode": True} for name in ("ann", "bob", "cyd", "dan")]
    balances = [
        {"account": name, "asset": "USDT", "balance": amount}
        for name, amount in (("ann", "70"), ("bob", "90"), ("cyd", "200"), ("dan", "5"))
    ]
    return delever.book_of(
        positions,
        {"BTCUSDT": "101", "ETHUSDT": "10"},
        contracts="linear",
        accounts=accounts,
        balances=balances,
    )


def multi_asset_book() -> Book:
    """Return the multi-asset example before its crash."""
    book = Book()
    for command in read_scenario(EXAMPLES / "multi_asset.ndjson"):
        if command.time_ms <= 2_000:
            assert not isinstance(step(book, command)[0], Rejected)
    return book


BOOKS = {
    "examples": delever.read_book(EXAMPLES / "book"),
    "hedged": hedged_book(),
    "multi_asset": multi_asset_book(),
}


def explanations(book: Book, rules: str) -> Iterator[PositionExplanation]:
    for state in book.contracts.values():
        for side, table in state.tables.items():
            for account, position in table.keys():  # noqa: SIM118 - a table is no mapping
                name = book.accounts.names[account]
                yield explain(book, state.name, name, side=side, position=position, rules=rules)


def score_of(lines: list[str]) -> float:
    """Return the score that a reader computes from the lines of an explanation alone."""
    (score,) = (line for line in lines if line.startswith("Score = "))
    quotients = [found for line in lines if (found := QUOTIENT.match(line))]
    parts = [_divided(*found.groups()[:2]) for found in quotients]
    for found, part in zip(quotients, parts, strict=True):
        assert float(found[3]) == pytest.approx(float(part), rel=1e-5)
    if place := PLACE.search(score):
        at, start, positions = map(int, place.groups())
        return -((at - start) % positions)
    printed = SCORE.match(score)
    assert printed, score
    operator, amount, unit, _ = printed.groups()
    if amount:
        return float(Fraction(amount) / Fraction(unit))
    if not operator:
        return float(parts[0]) if parts else 0.0
    if len(parts) == 1:
        (plain,) = (found[1] for line in lines if (found := PLAIN.match(line)))
        parts.append(Fraction(plain))
    return float(_divided(parts[0], parts[1]) if operator == "/" else parts[0] * parts[1])


def _divided(numerator: str | Fraction, denominator: str | Fraction) -> Fraction:
    bottom = Fraction(denominator)
    return Fraction(numerator) / bottom if bottom else Fraction(0)


@pytest.mark.parametrize("rules", RULE_SETS)
def test_a_score_follows_from_the_printed_numbers_alone(rules: str) -> None:
    checked = 0
    for name, book in BOOKS.items():
        for why in explanations(book, rules):
            score = why.explanation.queue_position.score
            computed = score_of(why.lines())
            assert computed == pytest.approx(score, rel=1e-8, abs=1e-12), (name, str(why))
            checked += 1
    assert checked > 25


def test_the_share_of_equity_and_the_bankruptcy_price_follow_from_the_printed_numbers() -> None:
    """Linear contracts: the mark less (for shorts, plus) the share of equity over the quantity."""
    shares = re.compile(
        rf"^Share of equity: (?:{NUMBER} equity x {NUMBER} / {NUMBER} maintenance margin = )?"
        rf"{NUMBER} \w+; (?:bankruptcy price {NUMBER}|it cannot lose all of it)\.$"
    )
    several = 0
    for why in explanations(BOOKS["hedged"], "bybit"):
        found = next(found for line in why.lines() if (found := shares.match(line)))
        equity, part, whole, share, price = found.groups()
        if equity:
            expected = Fraction(equity) * Fraction(part) / Fraction(whole)
            assert float(share) == pytest.approx(float(expected), abs=1e-8)
            several += 1
        if price:
            explanation = why.explanation
            quantity = Fraction(why.facts()["quantity"])
            mark = Fraction(why.facts()["mark"])
            exact = mark - explanation.side.sign * Fraction(share) / quantity
            assert abs(exact - Fraction(price)) <= Fraction(1)  # on the tick of 1
    assert several >= 5


def test_equity_is_the_balance_and_the_pnl_of_the_listed_positions() -> None:
    line = re.compile(rf"margin: {NUMBER} balance \+ {NUMBER} unrealized PnL = {NUMBER} USDT")
    listed = re.compile(rf"\(PnL {NUMBER}, maintenance margin {NUMBER}\)")
    why = explain(BOOKS["hedged"], "BTCUSDT", "ann", side="long")
    text = " ".join(why.lines())
    found = line.search(text)
    assert found
    balance, pnl, equity = map(Fraction, found.groups())
    assert balance + pnl == equity
    assert sum(Fraction(each[0]) for each in listed.findall(text)) == pnl
    assert "3 positions share the margin: BTCUSDT long" in text
    joint = re.search(rf"joint PnL {NUMBER} USDT, notional {NUMBER}", text)
    assert joint
    assert Fraction(joint[1]) == 4 * (101 - 100) + 3 * (90 - 101)
    assert Fraction(joint[2]) == 7 * 101


def test_a_multi_asset_account_says_that_its_equity_is_in_all_assets() -> None:
    why = explain(BOOKS["multi_asset"], "BTCUSDT", "bob")
    assert "in all its assets at index prices: 110000 balance + 25000" in why.lines()[1]


def test_rank_has_the_bankruptcy_price_of_the_explanation() -> None:
    for book in BOOKS.values():
        for state in book.contracts.values():
            for side in state.tables:
                queue = delever.rank(book, state.name, side)
                for row in queue.iter_rows(named=True):
                    why = explain(book, state.name, row["account"], side=side)
                    price = row["bankruptcy_price"]
                    text = None if price is None else f"{price.normalize():f}"
                    assert why.facts()["bankruptcy_price"] == text


def test_the_numbers_of_triggers_are_a_table() -> None:
    table = str(explain(BOOKS["examples"], "BTCUSDT", "bob")).split("\n\n")[-1].splitlines()
    assert table[0] == "trigger            pool equity    contract drawdown"
    assert table[-1] == "stop                              -25 %"
    assert table[4] == "balance            40000 USDT     40000 USDT"
