"""Random sessions, with extreme numbers: every command is accepted or rejected, and replayed.

Sessions mix single rows and columns under every rule set; some numbers are as large, as small or
as negative as their fields can be.
"""

import random

import numpy as np
import pytest
from hypothesis import settings

from delever.core import messages as m
from delever.core.accounting.invariants import audit
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from delever.journal import EngineFailure, Recorder, SqliteJournal, replay_commands, replay_events
from delever.journal.snapshot import encode_book

FACTOR = settings().max_examples // 50
"""1 by default; 100 under `make slow`."""

SESSIONS = range(40 * FACTOR)
LENGTH = 150

ACCOUNTS = tuple(f"a{number}" for number in range(12))
CONTRACTS = ("A", "B", "I")
EXTREMES = [0, 1, -1, 5, 10**9, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63)]
TEXTS = ["0", "-0", "-1", "0.00000001", "46116860184.27387903", "92233720368", "9" * 19, "1e3", ""]
LARGE = ["40000000000", "20000000000", "9000000000", "1000000000", "1000000", "0.5", "92233720368"]
POOLS = {"USDT": "USDT", "SECOND": "USDT", "THIRD": "USDT", "BTC": "BTC"}
SNAPSHOT_EVERY = 5


class ExtremeWorkload:
    """Draws a venue's commands from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.time_ms = 1000
        self.version = 0
        self.fills = 0
        self.share = self.random.choice([0.06, 0.06, 0.3])

    def opening(self) -> list[m.Command]:
        """Return pools of any rule sets, and contracts with small, large and inverse lots."""
        pools = [
            m.DefinePool(
                time_ms=0,
                pool=name,
                kind=m.PoolKind.SHARED,
                asset=asset,
                rules=self.random.choice(sorted(RULE_SETS)),
                managed=self.random.random() < 0.4,
                max_slippage=self.random.choice(["0.05", "1"]),
            )
            for name, asset in POOLS.items()
        ]
        lots = zip(CONTRACTS, ("0.001", "1", "1"), ("1", "1", "100"), strict=True)
        return [
            *pools,
            *(
                m.DefineContract(
                    time_ms=0,
                    contract=name,
                    kind=m.ContractKind.INVERSE if name == "I" else m.ContractKind.LINEAR,
                    settle="BTC" if name == "I" else "USDT",
                    pool="BTC" if name == "I" else "USDT",
                    tick_size="0.5",
                    lot_size=lot,
                    multiplier=multiplier,
                )
                for name, lot, multiplier in lots
            ),
            m.DefineAccounts(time_ms=0, accounts=ACCOUNTS, multi_asset=self.modes()),
        ]

    def modes(self) -> bytes:
        """Return for each account whether it is in multi-asset mode; mostly none is."""
        some = self.random.random() < 0.4
        return bytes(some and self.random.random() < 0.5 for _ in ACCOUNTS)

    def next(self) -> m.Command:
        self.time_ms += self.random.choice([0, 1, 1000])
        self.version += 1
        header = {"time_ms": self.time_ms, "version": self.version}
        if self.rarely():
            header["last_fill"] = self.random.choice([1, 2, 2**53, 2**62])
        snapshots = [
            self.positions,
            self.columns,
            self.columns,
            self.balances,
            self.balance_columns,
        ]
        if self.random.random() < 0.6:
            return self.random.choice(snapshots)(header)
        others = [self.mark, self.mark, self.takeover, self.money, self.other, self.depth]
        rare = [self.cancel, self.move, self.collateral, self.index_price, self.convert]
        rare += [self.account_margin, self.compensate]
        return self.random.choice([*others, *rare])()

    def rarely(self) -> bool:
        return self.random.random() < self.share

    def text(self, *usual: str) -> str:
        if not self.rarely():
            return self.random.choice(usual)
        return self.random.choice(self.random.choice([TEXTS, LARGE]))

    def column(self, size: int, kind: str, top: int) -> bytes:
        """Return numbers from 0 to below `top`, or rarely any numbers of the type."""
        bounds = np.iinfo(kind)
        extreme = [number for number in EXTREMES if bounds.min <= number <= bounds.max]
        rare = self.rarely()
        numbers = [
            self.random.choice(extreme) if rare else self.random.randrange(top) for _ in range(size)
        ]
        return np.array(numbers, kind).tobytes()

    def positions(self, header: dict[str, int]) -> m.Command:
        rows = [
            m.PositionRow(
                account=account,
                contract=self.random.choice(CONTRACTS),
                side=self.random.choice(list(Side)),
                quantity=self.text("0", "1", "50", "40000"),
                entry_price=self.text("60000", "2", "100.25"),
                isolated_margin=self.text("5") if self.rarely() else None,
                leverage=self.text("10", "1.5"),
            )
            for account in self.random.sample(ACCOUNTS, 3)
        ]
        return m.SetPositions(**header, positions=tuple(rows))

    def columns(self, header: dict[str, int]) -> m.Command:
        size = self.random.randrange(6)
        return m.SetPositionColumns(
            **header,
            contracts=CONTRACTS,
            account=self.column(size, "<i4", len(ACCOUNTS)),
            contract=self.column(size, "<i4", len(CONTRACTS)),
            side=self.column(size, "<i1", 2),
            lots=self.column(size, "<i8", 10**6),
            cost_cash=self.column(size, "<i8", 10**6),
            isolated=self.column(size, "<i1", 2) if self.rarely() else b"",
            margin_cash=self.column(size, "<i8", 10**6) if self.rarely() else b"",
            leverage_hundredths=self.column(size, "<i4", 10_000) if self.rarely() else b"",
        )

    def balances(self, header: dict[str, int]) -> m.Command:
        row = m.BalanceRow(
            account=self.random.choice(ACCOUNTS),
            asset=self.random.choice(["USDT", "BTC"]),
            balance=self.text("0", "5", "100000"),
        )
        return m.SetBalances(**header, balances=(row,))

    def balance_columns(self, header: dict[str, int]) -> m.Command:
        accounts = tuple(self.random.sample(ACCOUNTS, 3))
        cash = self.column(3, "<i8", 10**12)
        return m.SetBalanceColumns(**header, asset="USDT", accounts=accounts, balance_cash=cash)

    def mark(self) -> m.Command:
        price = self.text("1", "100", "59000", "60000", "90000")
        return m.SetMarks(time_ms=self.time_ms, marks={self.random.choice(CONTRACTS): price})

    def takeover(self) -> m.Command:
        fixed = {"contract": "A", "price": self.text("60000", "1")} if self.rarely() else {}
        return m.Takeover(time_ms=self.time_ms, account=self.random.choice(ACCOUNTS), **fixed)

    def money(self) -> m.Command:
        reason = self.random.choice([m.FundingReason.SEED, m.FundingReason.WITHDRAWAL])
        amount = (
            self.text("100", "0.00000002", "90000000000")
            if reason is m.FundingReason.SEED
            else "-0.00000001"
        )
        pool = self.random.choice(list(POOLS))
        return m.FundPool(time_ms=self.time_ms, pool=pool, amount=amount, reason=reason)

    def depth(self) -> m.Command:
        """Return two bids and two asks around any two prices."""
        prices = sorted((self.text("60000", "59000", "1", "100") for _ in range(4)), key=_number)
        levels = [(price, self.text("1", "40000")) for price in prices]
        return m.SetDepth(
            time_ms=self.time_ms,
            contract=self.random.choice(CONTRACTS),
            bids=tuple(reversed(levels[:2])),
            asks=tuple(levels[2:]),
        )

    def collateral(self) -> m.Command:
        asset = self.random.choice(["USDT", "BTC"])
        buffers = {"bid_buffer": self.text("0", "0.01"), "ask_buffer": self.text("0", "0.01")}
        terms = {} if asset == "USDT" else buffers | {"conversion_haircut": self.text("0", "0.02")}
        tiers = (
            m.CollateralTier(rate="1", quantity_from=0),
            m.CollateralTier(rate=self.text("0.9", "0"), quantity_from=self.text("10", "1000")),
        )
        return m.DefineCollateral(
            time_ms=self.time_ms,
            asset=asset,
            margin_currency="USDT",
            index_price="1" if asset == "USDT" else self.text("60000", "1", "0.5"),
            tiers=tiers,
            **terms,
        )

    def index_price(self) -> m.Command:
        price = self.text("60000", "59000", "1", "90000")
        return m.SetIndexPrices(time_ms=self.time_ms, prices={"BTC": price})

    def convert(self) -> m.Command:
        amounts = self.text("1", "0.5", "-1"), self.text("60000", "1", "-60000")
        pool = self.random.choice(list(POOLS))
        return m.ConvertCollateral(
            time_ms=self.time_ms, pool=pool, asset="BTC", quantity=amounts[0], proceeds=amounts[1]
        )

    def account_margin(self) -> m.Command:
        """Return the equity and the maintenance margin of a venue's own risk engine, or neither."""
        own = self.random.random() < 0.7
        return m.SetAccountMargin(
            time_ms=self.time_ms,
            version=self.version,
            account=self.random.choice(ACCOUNTS),
            asset=self.random.choice(["USDT", "BTC"]),
            equity=self.text("5", "-1", "100000") if own else None,
            maintenance=self.text("0", "5") if own else None,
        )

    def compensate(self) -> m.Command:
        return m.Compensate(
            time_ms=self.time_ms,
            account=self.random.choice(ACCOUNTS),
            contract=self.random.choice(CONTRACTS),
            fill=self.random.randint(max(self.fills - 5, 0), self.fills + 1),
            amount=self.text("1", "0.5"),
            note="wrong price",
        )

    def cancel(self) -> m.Command:
        fill = self.random.randint(max(self.fills - 5, 0), self.fills + 1)
        return m.CancelAdl(time_ms=self.time_ms, fill=fill, note="not applied")

    def move(self) -> m.Command:
        contract, pool = self.random.choice(CONTRACTS), self.random.choice(list(POOLS))
        return m.MoveContract(time_ms=self.time_ms, contract=contract, pool=pool, note="moved")

    def other(self) -> m.Command:
        """Return an unwind fill, or a refresh of ratings or indicators."""
        contract = self.random.choice(CONTRACTS)
        closed = {"side": self.random.choice(list(Side)), "quantity": self.text("1", "40000")}
        unwind = m.UnwindFill(
            time_ms=self.time_ms, contract=contract, **closed, price=self.text("60000", "1")
        )
        refreshes = (
            m.RefreshRatings(time_ms=self.time_ms),
            m.RefreshIndicators(time_ms=self.time_ms),
        )
        return self.random.choice([unwind, *refreshes])


def _number(price: str) -> float:
    try:
        return float(price)
    except ValueError:
        return 0.0


@pytest.mark.parametrize("seed", SESSIONS)
def test_any_session_is_recorded_and_replays_to_the_same_book(seed: int) -> None:
    """A restart follows each snapshot; no command ends with an error of the engine.

    The replays run without restarts, so that nothing may depend on what a book caches.
    """
    workload = ExtremeWorkload(seed)
    failures: list[EngineFailure] = []
    with SqliteJournal(":memory:") as journal:
        recorder = Recorder(journal, snapshot_every=SNAPSHOT_EVERY, on_failure=failures.append)
        for command in workload.opening():
            recorder.submit([command])
        for number in range(LENGTH):
            if number % (SNAPSHOT_EVERY + 1) == 0:
                recorder = Recorder(
                    journal, snapshot_every=SNAPSHOT_EVERY, on_failure=failures.append
                )
            recorder.submit([workload.next()])
            workload.fills = recorder.book.last_fill
            assert not failures
        audit(recorder.book)
        assert replay_commands(journal, from_zero=True).finding is None
        replayed = replay_events(journal, from_zero=True)
        assert replayed.finding is None
        assert encode_book(replayed.book) == encode_book(recorder.book)
