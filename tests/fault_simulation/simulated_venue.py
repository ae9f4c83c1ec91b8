"""The venue of the simulation: its commands, each from a seed, and the receiver of its notices."""

import random
from collections.abc import AsyncIterator, Sequence

from delever.core import messages as m
from delever.core.messages import Side
from delever.server.engine.runner import NOW
from delever.server.notifications.delivery_worker import DeliveryFailure, DeliveryResult
from delever.server.notifications.outbox import ClaimedNotification

ACCOUNTS = ("ann", "bob", "cyd", "dan", "eve")
RECEIVER = "desk@venue.test"


def opening() -> list[m.Command]:
    """Return a fund without much money, two contracts, five accounts, and a market in which ADL
    begins with the first large fall.
    """
    contracts = [
        m.DefineContract(
            time_ms=NOW,
            contract=name,
            kind=m.ContractKind.LINEAR,
            settle="USDT",
            pool=pool,
            tick_size="0.5",
            lot_size="0.01",
            multiplier=1,
        )
        for name, pool in (("BTC", "main"), ("ETH", "side"))
    ]
    return [
        m.DefinePool(
            time_ms=NOW, pool="main", kind=m.PoolKind.SHARED, asset="USDT", rules="binance"
        ),
        m.DefinePool(
            time_ms=NOW,
            pool="side",
            kind=m.PoolKind.SHARED,
            asset="USDT",
            rules="bybit",
            managed=True,
        ),
        *contracts,
        m.DefineAccounts(time_ms=NOW, accounts=ACCOUNTS),
        m.SetBalances(
            version=1,
            time_ms=NOW,
            balances=tuple(
                m.BalanceRow(account=name, asset="USDT", balance=500) for name in ACCOUNTS
            ),
        ),
        m.SetMarks(time_ms=NOW, marks={"BTC": 100, "ETH": 100}),
    ]


def commands_of(seed: int, count: int) -> list[m.Command]:
    """Return the commands of one request; their ids are unique."""
    rng = random.Random(seed)
    return [_command(rng, f"{seed}-{number}") for number in range(count)]


def _command(rng: random.Random, name: str) -> m.Command:
    fields = {"time_ms": NOW if rng.random() < 0.95 else rng.randrange(10**6), "id": name}
    contract, account = rng.choice(["BTC", "ETH"]), rng.choice(ACCOUNTS)
    match rng.randrange(10):
        case 0 | 1 | 2:
            marks = {contract: rng.randint(140, 260) / 2}
            return m.SetMarks(**fields, marks={key: f"{mark}" for key, mark in marks.items()})
        case 3 | 4:
            rows = [
                m.PositionRow(
                    account=each,
                    contract=contract,
                    side=rng.choice(list(Side)),
                    quantity=rng.randint(0, 30),
                    entry_price=rng.randint(80, 120),
                    leverage=rng.randint(1, 50),
                )
                for each in rng.sample(ACCOUNTS, 3)
            ]
            return m.SetPositions(**fields, version=1, positions=tuple(rows))
        case 5:
            row = m.BalanceRow(account=account, asset="USDT", balance=rng.randint(0, 600))
            return m.SetBalances(**fields, version=1, balances=(row,))
        case 6 | 7:
            return m.Takeover(**fields, account=account)
        case 8:
            return m.FundPool(
                **fields,
                pool="main",
                amount=rng.randint(-100, 50),
                reason=rng.choice(list(m.FundingReason)),
                note="drill",
            )
        case _:
            return m.ForceAdl(**fields, contract=contract, note="drill")


class NoticeReceiver:
    """The receiver of all notices; while it does not answer, it may have received one or not."""

    def __init__(self, seed: int) -> None:
        self.answers = True
        self.ids: dict[str, int] = {}
        self._random = random.Random(seed)

    async def send(self, batch: Sequence[ClaimedNotification]) -> AsyncIterator[DeliveryResult]:
        for claimed in batch:
            failure = None
            if self.answers or self._random.random() < 0.5:
                notice = claimed.notification.notice
                self.ids[notice] = self.ids.get(notice, 0) + 1
            if not self.answers:
                failure = DeliveryFailure("no answer")
            yield DeliveryResult(claimed, failure)
