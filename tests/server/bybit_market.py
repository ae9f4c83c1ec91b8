"""A small market by Bybit's rules with a fall on request, for a live server or a bare engine.

BTCUSDT is `examples/crash.ndjson`: ann is taken over, then cyd, bob and dan are deleveraged
(`fall`), and an injection stops ADL (`rescue`). There are also a contract with an isolated pool and
a hedger, and an inverse contract.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
from manual_clock import ManualClock

from delever.config import Config, Role
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
    SetBalances,
    SetMarks,
    SetPositions,
    Side,
)
from delever.lab.runs.scenario import read_scenario
from delever.server.engine.runner import NOW, Runner
from delever.server.transport.api_keys import ApiKey, Keyring

EXAMPLE = Path(__file__).parents[2] / "examples" / "crash.ndjson"
SECRET = "s3cret"
ACCOUNTS = ("ann", "bob", "cyd", "dan", "hed", "inv", "nobody-yet")
CONFIG = msgspec.convert({"journal": {"path": ":memory:"}}, Config)


def _example() -> list[Command]:
    return [msgspec.structs.replace(command, time_ms=NOW) for command in read_scenario(EXAMPLE)]


def opening() -> list[Command]:
    """Return everything up to the fall, with published indicators."""
    return [*_example()[:10], *_isolated_pool(), *_inverse(), RefreshIndicators(time_ms=NOW)]


def fall() -> list[Command]:
    """Return a takeover, and the fall that starts ADL."""
    return _example()[10:13]


def rescue() -> list[Command]:
    """Return the injection that stops ADL."""
    return _example()[13:]


def fund_alone(amount: int) -> Command:
    """Return a deposit to the isolated pool."""
    reason = FundingReason.SEED
    return FundPool(time_ms=NOW, pool="alone", amount=amount, reason=reason)


def _contract(name: str, kind: ContractKind, settle: str, pool: str) -> Iterator[Command]:
    yield DefinePool(time_ms=NOW, pool=pool, kind=PoolKind.ISOLATED, asset=settle, rules="bybit")
    yield DefineContract(
        time_ms=NOW,
        contract=name,
        kind=kind,
        settle=settle,
        pool=pool,
        tick_size="0.5",
        lot_size="0.1" if kind is ContractKind.LINEAR else 1,
    )


def _isolated_pool() -> Iterator[Command]:
    """Yield ALTUSDT: `hed` is long 2 and short 1 across, both from 90."""
    yield from _contract("ALTUSDT", ContractKind.LINEAR, "USDT", "alone")
    yield fund_alone(20_000)
    yield SetMarks(time_ms=NOW, marks={"ALTUSDT": 100})
    yield DefineAccount(time_ms=NOW, account="hed", hedge_mode=True)
    balance = BalanceRow(account="hed", asset="USDT", balance="500")
    yield SetBalances(time_ms=NOW, version=1, balances=(balance,))
    sides = ((Side.LONG, 2), (Side.SHORT, 1))
    yield SetPositions(
        time_ms=NOW,
        version=1,
        positions=tuple(
            PositionRow(
                account="hed",
                contract="ALTUSDT",
                side=side,
                quantity=quantity,
                entry_price=90,
                leverage=10,
            )
            for side, quantity in sides
        ),
    )


def _inverse() -> Iterator[Command]:
    """Yield BTCUSD: `inv` is long 600 from 50,000 on an isolated margin."""
    yield from _contract("BTCUSD", ContractKind.INVERSE, "BTC", "coins")
    yield FundPool(time_ms=NOW, pool="coins", amount="2", reason=FundingReason.SEED)
    yield SetMarks(time_ms=NOW, marks={"BTCUSD": 60_000})
    yield DefineAccount(time_ms=NOW, account="inv")
    yield SetPositions(
        time_ms=NOW,
        version=1,
        positions=(
            PositionRow(
                account="inv",
                contract="BTCUSD",
                side=Side.LONG,
                quantity=600,
                entry_price=50_000,
                isolated_margin="0.01",
                leverage=5,
            ),
        ),
    )


def add_account_keys(keyring: Keyring) -> None:
    """Add a key for each account, all with one secret, and two keys that may not read accounts."""
    for name in ACCOUNTS:
        keyring.add(_holder(f"{name}-key", Role.TRADE_ACCOUNT, (name,)))
    keyring.add(_holder("desk-key", Role.READ, ()))
    keyring.add(_holder("engine-key", Role.INGEST, ("bob",)))


def _holder(key: str, role: Role, accounts: tuple[str, ...]) -> ApiKey:
    secret = SECRET.encode()
    return ApiKey(key, frozenset({role}), accounts, secret, _passphrase=secret)


def run_with_engine(
    use: Callable[[Runner, Keyring], Awaitable[None]], clock: ManualClock, config: Config = CONFIG
) -> None:
    """Run `use` with an engine after the opening, with a manual clock."""

    async def go() -> None:
        runner, keyring = Runner(config, clock), Keyring(())
        add_account_keys(keyring)
        await runner.start(auto_tick=False)
        try:
            await runner.submit(opening())
            await runner.tick()
            await use(runner, keyring)
        finally:
            await runner.stop()

    asyncio.run(go())
