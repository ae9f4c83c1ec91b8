"""Amendments of live contracts and pools: the same money in new units, and nothing else moves."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World, cash_text

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import OddLots, Side
from delever.core.risk.publication.cache import publish
from delever.core.risk.stress_curve import curve_of
from delever.formatting import ContractFormatter
from delever.journal.snapshot import decode_book, encode_book, record_of
from table import Row, cases


def amend(world: World, contract: str = "BTC", **fields: Any) -> m.ContractAmended:
    """Amend a contract; return the event."""
    world.submit(m.AmendContract, contract=contract, note="announced", **fields)
    (event,) = world.events(m.ContractAmended)
    return event


def amend_pool(world: World, **fields: Any) -> m.PoolAmended:
    world.submit(m.AmendPool, pool="main", note="announced", **fields)
    (event,) = world.events(m.PoolAmended)
    return event


# --- odd lots ---


@pytest.mark.parametrize("row", cases("odd_lots.txt"))
def test_odd_lots(row: Row) -> None:
    world, side = World(balance=1000), Side(row["side"])
    world.contract("BTC", tick_size=1, rate=0)
    world.mark(BTC=100)
    world.wallets(ann=100_000)
    margin = {"margin": row["margin"]} if row["margin"] else {}
    world.positions(world.row("ann", "BTC", side, row["lots"], at=row["entry"], **margin))
    amend(world, lot_size=row["lot"], odd_lots=OddLots.CLOSE_AT_MARK)
    closed = world.events(m.PositionsClosed)
    lots, realized, margins, to_pool = (
        sum(sum(getattr(event, name)) for event in closed)
        for name in ("lots", "realized_pnl_cash", "margin_cash", "to_pool_cash")
    )
    assert row.expected == {
        "closed": str(lots),
        "left": str(world.lots("ann", "BTC", side)),
        "realized": cash_text(realized),
        "returned": cash_text(margins),
        "from_pool": cash_text(-to_pool),
    }
    paid = Fraction(row["realized"]) + Fraction(row["returned"]) + Fraction(row["from_pool"])
    assert Fraction(world.wallet("ann")) == 100_000 + paid
    assert Fraction(world.balance()) == 1000 - Fraction(row["from_pool"])


def test_an_emptied_cross_account_below_zero_is_paid_by_the_pool() -> None:
    world = World(balance=1000)
    world.contract("BTC", tick_size=1, rate=0)
    world.mark(BTC=100)
    world.wallets(ann=30)
    world.short("ann", "BTC", 7, at=90)
    amend(world, lot_size=10, odd_lots=OddLots.CLOSE_AT_MARK)
    (settled,) = world.events(m.WalletSettled)
    assert (settled.account, cash_text(settled.amount_cash)) == ("ann", "-40")
    assert (world.wallet("ann"), world.balance()) == ("0", "960")


def test_inventory_and_depth_lose_their_odd_lots_too() -> None:
    world = World(balance=1000)
    world.contract("BTC", tick_size=1)
    world.mark(BTC=100)
    world.inventory("BTC", Side.LONG, 25, 98)
    world.submit(m.SetDepth, contract="BTC", bids=((99, 25), (98, 4)), asks=((101, 10),))
    amend(world, lot_size=10, odd_lots=OddLots.CLOSE_AT_MARK)
    (closed,) = world.events(m.InventoryClosed)
    assert (closed.lots, cash_text(sum(closed.realized_pnl_cash))) == ((5,), "10")
    state = world.state("BTC")
    assert (state.bids, state.asks) == (((99, 2),), ((101, 1),))
    assert (state.inventory[Side.LONG].total_lots, world.balance()) == (2, "1010")


# --- units ---


def prices(world: World) -> list[str]:
    """Return every price of the contract in the book, as text."""
    state = world.state("BTC")
    formatter = ContractFormatter.of(world.book, state)
    tranches = state.inventory[Side.LONG].tranches.values()
    levels = (*state.bids, *state.asks)
    ticks = [state.mark, state.previous_mark, *(t.price_ticks for t in tranches)]
    ticks += [price for price, _ in levels]
    return [formatter.price(price) for price in ticks]


def traded(rules: str = "binance") -> World:
    """Return a world with a mark, depth, inventory, positions on both sides and a fill."""
    world = World(rules=rules, balance=10)
    world.contract("BTC", tick_size="0.1", lot_size="0.1")
    world.mark(BTC="100.3")
    world.wallets(ann=1000, cyd=1000)
    world.long("ann", "BTC", 3, at="95.55")
    world.short("cyd", "BTC", 4, at="107.77")
    world.inventory("BTC", Side.LONG, 2, "100.3")
    world.mark(BTC="90.7")
    world.inventory("BTC", Side.LONG, "1.5", "90.7", account="bob")
    world.submit(m.SetDepth, contract="BTC", bids=(("90.1", "0.4"),), asks=(("91.9", "0.3"),))
    return world


@pytest.mark.parametrize("tick_size", ["0.01", "0.5", "0.25", "0.02", "0.7", "1"])
def test_prices_and_money_are_those_of_before(tick_size: str) -> None:
    """Also on a coarser tick: prices between its ticks stay what they were."""
    world = traded()
    before, rows = prices(world), columns(world.book)
    assert "100.3" in before or "90.7" in before
    amend(world, tick_size=tick_size)
    assert prices(world) == before
    assert columns(world.book) == rows
    fill = next(iter(world.book.outstanding.fills.values()))
    assert world.price(fill) == "100.3"


def columns(book: Book) -> dict[str, bytes]:
    """Return the money of every position and wallet."""
    state, wallets = book.contracts["BTC"], book.asset("USDT").wallets
    names = "cost", "margin", "unrealized_pnl", "maintenance"
    tables = {side: table.state() for side, table in state.tables.items()}
    held = {f"{side} {name}": rows[name] for side, rows in tables.items() for name in names}
    return held | wallets.state()


def test_new_fills_are_on_the_new_tick_in_the_funds_favor() -> None:
    world = World(rules="binance", balance=10)
    world.contract("BTC", tick_size="0.1")
    world.mark(BTC=100)
    world.short("cyd", "BTC", 40, at=110, margin=1000)
    world.inventory("BTC", Side.LONG, 20, "99.3")
    amend(world, tick_size="0.5")
    assert ContractFormatter.of(world.book, world.state("BTC")).price(993) == "99.3"
    world.mark(BTC=90)
    (fill,) = world.events(m.AdlFilled)
    assert world.price(fill) == "99.5"


def test_amounts_of_earlier_events_are_read_in_their_units() -> None:
    world = traded()
    state, sequence = world.state("BTC"), world.book.sequence
    amend(world, tick_size="0.01", lot_size="0.05")
    amend(world, lot_size="0.1")
    formatter = ContractFormatter.of(world.book, state)
    texts = [formatter.at(at).quantity(10) for at in (sequence, sequence + 1, sequence + 2)]
    assert texts == ["1", "0.5", "1"]
    texts = [formatter.at(at).price(1003) for at in (sequence, sequence + 1, sequence + 2)]
    assert texts == ["100.3", "10.03", "10.03"]


def test_a_fill_of_before_is_cancelled_in_full() -> None:
    world = traded()
    fill = next(iter(world.book.outstanding.fills.values()))
    lots, closed = world.lots("cyd", "BTC", Side.SHORT), fill.lots
    assert fill.account == "cyd"
    amend(world, lot_size="0.05")
    world.submit(m.PauseAdl, contract="BTC", paused=True, note="to cancel")
    world.submit(m.CancelAdl, fill=fill.fill, note="not applied")
    assert world.lots("cyd", "BTC", Side.SHORT) == 2 * (lots + closed)


def test_a_fill_of_before_is_applied_to_snapshots_that_lack_it() -> None:
    world = traded()
    fill = next(iter(world.book.outstanding.fills.values()))
    amend(world, lot_size="0.05")
    world.positions(world.row("cyd", "BTC", Side.SHORT, 4, at="107.77"), last_fill=0)
    assert world.lots("cyd", "BTC", Side.SHORT) == 80 - 2 * fill.lots


# --- a book that was amended, and one that had the terms from the start ---

TERMS = {
    "tick_size": ["0.1", "0.5", "0.01", "0.25", "2"],
    "lot_size": ["0.1", "1", "0.02", "0.5"],
    "adl_exempt": [False, True],
    "margin_tiers": [
        (m.MarginTier(notional_from=0, maintenance_rate=rate),) for rate in ("0.005", "0.02")
    ],
    "limits": [m.TriggerLimits(), m.TriggerLimits(stop_equity=5)],
}

terms = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in TERMS.items()})


def session(kind: m.ContractKind) -> tuple[list[m.Command], list[m.Command]]:
    """Return the commands before the amendment, and those after it: on every tick and lot."""
    settle = "USDT" if kind is m.ContractKind.LINEAR else "BTC"

    def row(account: str, side: Side, quantity: int, at: int, **more: Any) -> m.PositionRow:
        fields = {"account": account, "contract": "X", "side": side, "quantity": quantity, **more}
        return m.PositionRow(entry_price=at, **fields)

    rows = (
        row("ann", Side.LONG, 30, 96),
        row("bob", Side.SHORT, 10, 110, leverage=20),
        row("cyd", Side.SHORT, 20, 104, leverage=5),
        row("dan", Side.SHORT, 3, 90, isolated_margin=1000),
    )
    balances = tuple(
        m.BalanceRow(account=name, asset=settle, balance=500) for name in ("ann", "bob", "cyd")
    )
    before: list[m.Command] = [
        *(m.DefineAccount(time_ms=0, account=name) for name in ("ann", "bob", "cyd", "dan")),
        m.SetBalances(time_ms=1, version=1, balances=balances),
        m.FundPool(time_ms=1, pool="main", amount=20, reason=m.FundingReason.SEED),
        m.SetPositions(time_ms=1, version=1, positions=rows),
        m.SetMarks(time_ms=2, marks={"X": 100}),
        m.SetDepth(time_ms=2, contract="X", bids=((98, 2),), asks=((102, 2),)),
        m.Takeover(time_ms=3, account="ann", contract="X", price=100),
        m.RefreshRatings(time_ms=3),
        m.RefreshIndicators(time_ms=3),
    ]
    after: list[m.Command] = [
        m.RefreshRatings(time_ms=5),
        m.RefreshIndicators(time_ms=5),
        m.UnwindFill(time_ms=6, contract="X", side=Side.LONG, quantity=4, price=98),
        *(m.SetMarks(time_ms=7 + fall, marks={"X": 100 - 2 * fall}) for fall in range(6)),
        m.RefreshIndicators(time_ms=20),
        m.CancelAdl(time_ms=21, fill=1, note="not applied"),
        m.SetPositions(time_ms=22, version=2, last_fill=1, positions=rows[1:]),
        m.SetMarks(time_ms=23, marks={"X": 70}),
        m.RefreshRatings(time_ms=24),
    ]
    return before, after


def defined(kind: m.ContractKind, **fields: Any) -> Book:
    settle = "USDT" if kind is m.ContractKind.LINEAR else "BTC"
    book = Book()
    pool = {"kind": m.PoolKind.SHARED, "asset": settle, "rules": "binance"}
    step(book, m.DefinePool(time_ms=0, pool="main", **pool))
    contract = {"kind": kind, "settle": settle, "pool": "main", **fields}
    accepted = step(book, m.DefineContract(time_ms=0, contract="X", **contract))
    assert isinstance(accepted[0], m.Accepted), accepted
    return book


def run_all(book: Book, commands: list[m.Command]) -> list[tuple[m.Event, ...]]:
    """Run commands; those about fill 1 are rejected under terms that exempt the contract."""
    return [step(book, command) for command in commands]


@given(st.sampled_from(m.ContractKind), terms, terms)
def test_an_amended_book_goes_on_as_one_that_had_the_terms_from_the_start(
    kind: m.ContractKind, old: dict[str, Any], new: dict[str, Any]
) -> None:
    """Ranks, ratings, stress curve, fills and prices follow, after a restored snapshot, too."""
    before, after = session(kind)
    amended, fresh = defined(kind, **old), defined(kind, **new)
    run_all(amended, before)
    run_all(fresh, before)
    step(amended, m.AmendContract(time_ms=4, contract="X", note="", **new))
    step(fresh, m.SetTime(time_ms=4))
    state = amended.contracts["X"]
    assert curve_of(amended, state) == curve_of(fresh, fresh.contracts["X"])
    for key, ranked in publish(fresh).sides.items():
        assert publish(amended).sides[key].digest() == ranked.digest()
    restored = decode_book(encode_book(amended))
    right = run_all(fresh, after)
    assert run_all(amended, after) == right
    assert run_all(restored, after) == right


def without_history(book: Book) -> Any:
    """Return the stored fields of a book but for those that say how often it was amended."""
    record = record_of(book)
    for contract in record.contracts:
        contract.amendments, contract.former_units = 0, []
        contract.definition = msgspec.structs.replace(contract.definition, tick_size=1)
    for pool in record.pools:
        pool.amended = False
    record.sequence = 0
    return msgspec.to_builtins(record, builtin_types=(bytes,))


@given(st.sampled_from(m.ContractKind), terms, terms)
def test_amending_back_gives_the_book_of_before(
    kind: m.ContractKind, old: dict[str, Any], new: dict[str, Any]
) -> None:
    before, _ = session(kind)
    amended, untouched = defined(kind, **old), defined(kind, **old)
    for book in (amended, untouched):
        run_all(book, before[:-2])
    for values in (new, old):
        step(amended, m.AmendContract(time_ms=3, contract="X", note="", **values))
    step(untouched, m.SetTime(time_ms=3))
    assert without_history(amended) == without_history(untouched)


# --- pools ---


def test_new_limits_hold_at_once() -> None:
    world = World(balance=1000)
    world.contract("BTC")
    world.mark(BTC=100)
    world.short("cyd", "BTC", 40, at=110, margin=1000)
    world.inventory("BTC", Side.LONG, 20, 100)
    world.mark(BTC=90)
    assert world.on("BTC") == ""
    amend_pool(world, limits=m.TriggerLimits(start="0.1", stop="0.05"))
    assert world.on("BTC") == "contract_drawdown"
    assert world.filled()


def test_new_rules_stop_what_they_have_no_trigger_for() -> None:
    world = World(balance=1000)
    world.contract("BTC")
    world.mark(BTC=100)
    world.inventory("BTC", Side.LONG, 20, 100)
    world.mark(BTC=80)
    assert world.on("BTC") == "contract_drawdown"
    event = amend_pool(world, rules="binance")
    (stopped,) = world.events(m.AdlStopped)
    assert (stopped.reason, event.definition.rules) == (m.Reason.RULES_AMENDED, "binance")
    assert world.on("BTC") == ""


def test_a_haircut_on_withdrawals_ends_with_its_rules() -> None:
    world = World(rules="paradex", balance=10)
    world.contract("BTC")
    world.mark(BTC=100)
    world.wallets(ann=1000)
    world.inventory("BTC", Side.LONG, 20, 100)
    world.mark(BTC=80)
    world.unwind("BTC", Side.LONG, 20, 80)
    assert world.book.pools["main"].withdrawal_haircut_ppm > 0
    amend_pool(world, rules="binance")
    assert world.book.pools["main"].withdrawal_haircut_ppm == 0


def test_slippage_and_window_are_amended() -> None:
    world = World(balance=1000)
    world.contract("BTC")
    event = amend_pool(world, max_slippage="0.1", peak_window_ms=60_000)
    pool = world.book.pools["main"]
    assert (pool.max_slippage_ppm, pool.balance_peak.window_ms) == (100_000, 60_000)
    assert world.state("BTC").contract_pnl_peak.window_ms == 60_000
    assert (event.definition.rules, event.definition.max_slippage) == ("bybit", "0.1")


def test_a_managed_pool_takes_nobody_over_in_the_step_of_new_tiers() -> None:
    world = World(balance=1000, managed=True)
    world.contract("BTC", rate="0.005")
    world.mark(BTC=100)
    world.wallets(ann=150)
    world.long("ann", "BTC", 100, at=100)
    amend(world, margin_tiers=(m.MarginTier(notional_from=0, maintenance_rate="0.02"),))
    assert not world.events(m.TakenOver)
    world.mark(BTC=100)
    assert [taken.account for taken in world.events(m.TakenOver)] == ["ann"]
