"""A small market for clients of the Binance-compatible API, submitted to a live server.

BTCUSDT is the worked example of Binance's rules, up to its crash (`fall`): dan is taken over, ann
and bob are deleveraged. There are also a hedger of each margin mode in ETHUSDT, an inverse
contract, and a contract without a mark.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import msgspec

from delever.config import Role
from delever.core.messages import (
    BalanceRow,
    Command,
    ContractKind,
    DefineAccount,
    DefineContract,
    DefinePool,
    FundingReason,
    FundPool,
    PoolKind,
    PositionRow,
    RefreshIndicators,
    RefreshRatings,
    Rejected,
    SetBalances,
    SetMarks,
    SetPositions,
    Side,
)
from delever.lab.runs.scenario import read_scenario
from delever.server.app import Service
from delever.server.engine.runner import NOW, Outcome
from delever.server.transport.api_keys import ApiKey
from waiting import PATIENCE_S

EXAMPLE = Path(__file__).parents[2] / "examples" / "venues" / "binance.ndjson"
SECRET = "s3cret"
KEYS = {
    "ann-key": "ann",
    "bob-key": "bob",
    "hed-key": "hed",
    "iso-key": "iso",
    "inv-key": "inv",
    "new-key": "nobody-yet",
}


def _example() -> list[Command]:
    return [msgspec.structs.replace(command, time_ms=NOW) for command in read_scenario(EXAMPLE)]


def opening() -> list[Command]:
    """Return everything up to the crash, with published indicators and ratings."""
    return [
        *_example()[:10],
        *_hedgers(),
        *_inverse(),
        RefreshRatings(time_ms=NOW),
        RefreshIndicators(time_ms=NOW),
        _contract("NEWUSDT", ContractKind.LINEAR, "USDT", "fund"),
        RefreshRatings(time_ms=NOW, contracts=("BTCUSDT",)),
    ]


def fall() -> list[Command]:
    """Return the crash: a takeover and the ADL of all that is left of it, as the fund is empty.

    The fund has just what unwinding loses.
    """
    mark, takeover, _, unwind, crash = _example()[10:]
    withdrawal = FundPool(time_ms=NOW, pool="fund", amount="-1300", reason=FundingReason.WITHDRAWAL)
    return [mark, withdrawal, takeover, unwind, crash]


def _contract(
    name: str, kind: ContractKind, settle: str, pool: str, multiplier: int = 1
) -> DefineContract:
    return DefineContract(
        time_ms=NOW,
        contract=name,
        kind=kind,
        settle=settle,
        pool=pool,
        tick_size="0.1",
        lot_size="0.01" if kind is ContractKind.LINEAR else 1,
        multiplier=multiplier,
    )


def _hedgers() -> Iterable[Command]:
    """Yield `hed`, long and short across, and `iso`, the same on isolated margin."""
    yield _contract("ETHUSDT", ContractKind.LINEAR, "USDT", "fund")
    yield SetMarks(time_ms=NOW, marks={"ETHUSDT": 3000})
    for account in ("hed", "iso"):
        yield DefineAccount(time_ms=NOW, account=account, hedge_mode=True)
        margin = "2000" if account == "iso" else None
        rows = [
            PositionRow(
                account=account,
                contract="ETHUSDT",
                side=side,
                quantity=quantity,
                entry_price=entry,
                isolated_margin=margin,
                leverage=10,
            )
            for side, quantity, entry in ((Side.LONG, "2", "2900"), (Side.SHORT, "1", "2800"))
        ]
        yield SetPositions(time_ms=NOW, version=1, positions=tuple(rows))
    yield SetBalances(
        time_ms=NOW, version=1, balances=(BalanceRow(account="hed", asset="USDT", balance="5000"),)
    )


def _inverse() -> Iterable[Command]:
    """Yield BTCUSD: `inv` is long against `coin`."""
    yield DefinePool(
        time_ms=NOW, pool="coins", kind=PoolKind.ISOLATED, asset="BTC", rules="binance"
    )
    yield _contract("BTCUSD", ContractKind.INVERSE, "BTC", "coins", multiplier=100)
    yield FundPool(time_ms=NOW, pool="coins", amount="0.01", reason=FundingReason.SEED)
    yield SetMarks(time_ms=NOW, marks={"BTCUSD": 60000})
    rows = []
    for account, side in (("inv", Side.LONG), ("coin", Side.SHORT)):
        yield DefineAccount(time_ms=NOW, account=account)
        rows.append(
            PositionRow(
                account=account,
                contract="BTCUSD",
                side=side,
                quantity=600,
                entry_price=50000,
                isolated_margin="0.25" if side is Side.SHORT else None,
                leverage=5,
            )
        )
    balance = BalanceRow(account="inv", asset="BTC", balance="0.5")
    yield SetBalances(time_ms=NOW, version=1, balances=(balance,))
    yield SetPositions(time_ms=NOW, version=1, positions=tuple(rows))


def add_account_keys(service: Service) -> None:
    """Add a key for each account, and one without the role trade-account."""
    for key, account in KEYS.items():
        roles = frozenset({Role.TRADE_ACCOUNT})
        service.keyring.add(ApiKey(key, roles, (account,), SECRET.encode()))
    service.keyring.add(ApiKey("desk-key", frozenset({Role.READ}), (), SECRET.encode()))


def submit_to(service: Service, commands: Iterable[Command]) -> None:
    """Run commands in a live server from another thread; each must be accepted."""
    loop = service.runner._tasks[0].get_loop()
    outcomes = asyncio.run_coroutine_threadsafe(service.runner.submit(list(commands)), loop)
    for outcome in outcomes.result(PATIENCE_S):
        assert isinstance(outcome, Outcome)
        assert not isinstance(outcome.committed.events[0], Rejected), outcome.committed.events[0]
