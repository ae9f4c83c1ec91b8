"""Venues without a queue: who pays a pool's deficit, and that all shares add up."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World, cash_text

from delever.core import messages as m
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from delever.core.rules.loss_socialization import LossClaim, SocializedLoss, total_equity
from delever.core.rules.venues.drift import per_lot
from delever.core.rules.venues.injective import of_profits_then_payouts
from delever.core.rules.venues.vega import of_gains
from table import Row, grouped_cases


def claim(name: str, lots: int, gain: int, payout: int) -> LossClaim:
    return LossClaim(name, Side.LONG, 0, lots, gain, payout)


@pytest.mark.parametrize("rows", grouped_cases("socialized.txt", by="case"))
def test_shares(rows: list[Row]) -> None:
    rule = RULE_SETS[rows[0]["rules"]].last_resort
    assert isinstance(rule, SocializedLoss)
    claims = [
        claim(row["account"], *(int(row[name]) for name in ("lots", "gain", "payout")))
        for row in rows
    ]
    loss = int(rows[0]["loss"])
    shares = rule.shares(claims, loss)
    assert [str(share) for share in shares] == [row["share"] for row in rows]
    assert max(loss - sum(shares), 0) == int(rows[0]["unfunded"])


amounts = st.integers(0, 10**12)
claims_drawn = st.lists(
    st.builds(
        lambda lots, gain, rest: claim("ann", lots, gain, gain + rest),
        st.integers(1, 10**6),
        amounts,
        amounts,
    ),
    min_size=1,
    max_size=8,
)


@given(claims_drawn, amounts)
def test_no_share_exceeds_its_claim(claims: list[LossClaim], loss: int) -> None:
    gains, payouts = (sum(column) for column in list(zip(*claims, strict=True))[-2:])
    of_gain, of_payout = of_gains(claims, loss), of_profits_then_payouts(claims, loss)
    assert sum(of_gain) == min(loss, gains)
    assert sum(of_payout) == min(loss, payouts)
    for each, gain, payout in zip(claims, of_gain, of_payout, strict=True):
        assert 0 <= gain <= each.gain_cash
        assert 0 <= payout <= each.payout_cash
    by_lot = per_lot(claims, loss)
    assert 0 <= sum(by_lot) - loss < sum(each.lots for each in claims)
    assert len({Fraction(part, each.lots) for part, each in zip(by_lot, claims, strict=True)}) == 1


def world_with_deficit(rules: str, seed: int) -> World:
    """Return a world at mark 70, whose pool has taken over 10 longs at 100: a loss of 300."""
    world = World(rules, balance=seed)
    world.contract("X")
    world.mark(X=100)
    world.wallets(ann=1000, bob=1000)
    world.short("ann", "X", 6, at=100)
    world.short("bob", "X", 4, at=100, margin=50)
    world.inventory("X", Side.LONG, 10, 100)
    world.mark(X=70)
    return world


def equities(world: World) -> tuple[str, str]:
    """Return the equity of ann's cross account and of bob's isolated position."""
    table, wallets = world.state("X").tables[Side.SHORT], world.book.asset("USDT").wallets
    index = world.book.accounts.index
    row = table.row_of(index["bob"], 0)
    ann = int(wallets.balance[index["ann"]] + wallets.unrealized_pnl[index["ann"]])
    return cash_text(ann), cash_text(int(table.margin[row] + table.unrealized_pnl[row]))


def test_gains_pay_the_deficit_and_the_pool_is_at_zero() -> None:
    """VEG-01 VEG-02: a deficit of 100 of 300; ann gains 180, bob 120; positions stay open."""
    world = world_with_deficit("vega", 200)
    (loss,) = world.events(m.LossSocialized)
    assert (loss.loss_cash, loss.unfunded_cash, loss.rule) == (100 * 10**8, 0, "of_gains")
    assert (loss.accounts, loss.sides) == (("ann", "bob"), (Side.SHORT, Side.SHORT))
    assert equities(world) == ("1120", "130")
    assert (world.balance(), world.lots("ann", "X", Side.SHORT)) == ("300", 6)
    world.wait(1)
    assert not world.events(m.LossSocialized)


def test_a_loss_reaches_payouts_only_after_profits() -> None:
    """INJ-01 INJ-02: the first tier suffices."""
    world = world_with_deficit("injective", 200)
    assert equities(world) == ("1120", "130")


def test_drift_waits_until_the_position_is_closed() -> None:
    """DRI-01 DRI-03 DRI-04: 10 lots pay 10 each, whether in profit or not."""
    world = world_with_deficit("drift", 200)
    assert not world.events(m.LossSocialized)
    world.long("cyd", "X", 10, at=70, margin=100)
    world.unwind("X", Side.LONG, 10, 70)
    (loss,) = world.events(m.LossSocialized)
    assert loss.amount_cash == (30 * 10**8, 20 * 10**8, 50 * 10**8)
    assert (equities(world), world.balance()) == (("1150", "150"), "0")


def test_a_loss_without_open_positions_stays_with_the_pool() -> None:
    """DRI-04: no lot is open that could pay it."""
    world = World("drift")
    world.contract("X")
    world.mark(X=100)
    world.inventory("X", Side.LONG, 10, 100)
    world.unwind("X", Side.LONG, 10, 70)
    assert (world.events(m.LossSocialized), world.balance()) == ([], "-300")


def test_an_unfunded_loss_is_reported() -> None:
    """INJ-04: all payouts are used, and the rest stays with the pool."""
    world = World("injective")
    world.contract("X")
    world.mark(X=100)
    world.short("ann", "X", 10, at=100, margin=50)
    world.inventory("X", Side.LONG, 100, 100)
    world.mark(X=70)
    (loss,) = world.events(m.LossSocialized)
    assert (loss.loss_cash, loss.unfunded_cash) == (3000 * 10**8, 2650 * 10**8)
    assert world.events(m.PoolObserved)[-1].equity_cash == -2650 * 10**8


def test_contracts_pay_a_deficit_pro_rata_to_their_losses() -> None:
    """VEG-01: a deficit of 150; X has lost 300 and Y 150, so they pay 100 and 50."""
    world = World("vega", balance=300)
    for name in "XY":
        world.contract(name)
    world.mark(X=100, Y=100)
    for name, lots in (("X", 10), ("Y", 5)):
        world.short("ann", name, lots, at=100, margin=1000)
        world.inventory(name, Side.LONG, lots, 100)
    world.mark(X=70, Y=70)
    losses = {event.contract: event.loss_cash for event in world.events(m.LossSocialized)}
    assert losses == {"X": 100 * 10**8, "Y": 50 * 10**8}


@pytest.mark.parametrize(
    ("rules", "claims", "haircut_ppm"),
    [("paradex", 5000, 200_000), ("paradex_example", 4000, 250_000)],
)
def test_withdrawals_take_a_haircut_while_the_pool_has_a_deficit(
    rules: str, claims: int, haircut_ppm: int
) -> None:
    """PDX-01 PDX-02 PDX-03 PDX-04: venues W8: 1,000 of 4,000 left: 1,000 / 5,000, or 25 %."""
    world = World(rules, balance=1000)
    world.contract("X")
    world.mark(X=100)
    world.wallets(a=1000, b=1000, c=1000)
    world.long("a", "X", 50, at=100)
    world.short("b", "X", 50, at=100)
    world.takeover("a")
    world.mark(X=40)
    (haircut,) = world.events(m.WithdrawalHaircutSet)
    assert (haircut.deficit_cash, haircut.total_cash) == (1000 * 10**8, claims * 10**8)
    assert world.book.pools["main"].withdrawal_haircut_ppm == haircut_ppm
    assert total_equity(world.book, "USDT") == 4000 * 10**8
    world.wait(1)
    assert not world.events(m.WithdrawalHaircutSet)
    world.mark(X=70)
    (haircut,) = world.events(m.WithdrawalHaircutSet)
    assert (haircut.haircut_ppm, haircut.deficit_cash, haircut.total_cash) == (0, 0, 0)


def test_a_last_resort_may_follow_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """VEG-02: what the queue leaves is paid by the positions that were not ranked.

    The deficit of 100 takes 6 lots of 20, of which ann has 4; the rest of 20 is socialized. Equity
    is then exactly 0 and not above the stop: one more lot is wanted.
    """
    rules = replace(RULE_SETS["bitget"], last_resort=RULE_SETS["vega"].last_resort)
    monkeypatch.setitem(RULE_SETS, "bitget", rules)
    world = World("bitget", balance=100)
    world.contract("X")
    world.mark(X=100)
    world.account("safe", adl_exempt=True)
    world.short("ann", "X", 4, at=100, margin=100)
    world.short("safe", "X", 6, at=100, margin=100)
    world.inventory("X", Side.LONG, 10, 100)
    world.mark(X=80)
    exhausted = [event.remaining_lots for event in world.events(m.AdlExhausted)]
    (loss,) = world.events(m.LossSocialized)
    assert (world.filled(), exhausted) == ({"ann": 4}, [2, 1])
    assert (loss.accounts, loss.amount_cash) == (("safe",), (20 * 10**8,))


def test_no_loss_is_socialized_if_the_queue_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deficit of 100 at 20 a lot: 5 lots leave exactly 0, the sixth stops ADL."""
    rules = replace(RULE_SETS["bitget"], last_resort=RULE_SETS["vega"].last_resort)
    monkeypatch.setitem(RULE_SETS, "bitget", rules)
    world = World("bitget", balance=100)
    world.contract("X")
    world.mark(X=100)
    world.short("ann", "X", 10, at=100, margin=100)
    world.inventory("X", Side.LONG, 10, 100)
    world.mark(X=80)
    assert (world.filled(), world.events(m.LossSocialized)) == ({"ann": 6}, [])


def test_a_withdrawal_haircut_ends_in_a_pool_without_contracts() -> None:
    """PDX-03: a pool whose contract was moved away still has a deficit, then recovers."""
    world = world_with_deficit("paradex", 100)
    world.pool("other", rules="paradex")
    world.unwind("X", Side.LONG, 10, 70)
    world.submit(m.MoveContract, contract="X", pool="other", note="ejected")
    assert world.book.pools["main"].withdrawal_haircut_ppm > 0
    world.fund(1000)
    assert world.book.pools["main"].withdrawal_haircut_ppm == 0
    world.fund(-2000, reason=m.FundingReason.CORRECTION)
    assert world.book.pools["main"].withdrawal_haircut_ppm > 0


@pytest.mark.parametrize(
    ("last_fill", "then", "losses"), [(0, "1120", 1), (1, "1180", 0)], ids=["older", "newer"]
)
def test_positions_submitted_without_a_loss_still_include_it(
    last_fill: int, then: str, losses: int
) -> None:
    """CORE-18: ann's 6 lots paid 60; a snapshot that includes it has it in the entry price."""
    world = world_with_deficit("vega", 200)
    assert [event.fill for event in world.events(m.LossSocialized)] == [1]
    world.fund(1000)
    world.positions(world.row("ann", "X", Side.SHORT, 6, at=100), last_fill=last_fill)
    assert equities(world)[0] == then
    assert len(world.book.outstanding.losses.get("ann", [])) == losses
    world.positions(world.row("ann", "X", Side.SHORT, 0, at=100), last_fill=0)
    world.positions(world.row("ann", "X", Side.SHORT, 3, at=100, position=1), last_fill=0)
    assert equities(world)[0] == "1090"
