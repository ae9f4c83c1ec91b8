"""A market of two contracts whose rounds await a plan: commands, as a venue submits them."""

from delever.core import messages as m
from delever.core.messages import BalanceRow, Command, PositionRow, Side

CONTRACTS = {"BTC": 100, "ETH": 50}
SHORTS = {"ann": (90, 6, 0), "ben": (900, 6, 0), "cyd": (60, 6, -12), "dan": (70, 0, 8)}
"""Balance of an account, lots short of BTC, lots short of ETH; negative ones are long."""


def waiting_market(wait_ms: int = 60_000, rules: str = "kucoin") -> list[Command]:
    """Return commands after which rounds of 5 BTC and 3 ETH, taken over long, await a plan."""
    terms = {"kind": m.ContractKind.LINEAR, "settle": "USDT", "lot_size": "0.01"}
    commands: list[Command] = []
    for name, price in CONTRACTS.items():
        kind = m.PoolKind.ISOLATED
        pool = m.DefinePool(time_ms=0, pool=name, kind=kind, asset="USDT", rules=rules)
        contract = m.DefineContract(time_ms=0, contract=name, pool=name, tick_size="0.5", **terms)
        commands += [pool, contract]
        commands.append(m.SetMarks(time_ms=0, marks={name: price}))
    for name in (*SHORTS, "eve", "fay"):
        commands.append(m.DefineAccount(time_ms=0, account=name))
    balances = {name: cash for name, (cash, _, _) in SHORTS.items()} | {"eve": 40, "fay": 9000}
    held = [
        (name, contract, Side.SHORT if lots > 0 else Side.LONG, abs(lots))
        for name, (_, *sizes) in SHORTS.items()
        for contract, lots in zip(CONTRACTS, sizes, strict=True)
        if lots
    ]
    held += [("eve", "BTC", Side.LONG, 5), ("eve", "ETH", Side.LONG, 3)]
    held += [("fay", "BTC", Side.LONG, 13)]
    commands += [
        m.SetBalances(
            time_ms=0,
            version=1,
            balances=tuple(
                BalanceRow(account=name, asset="USDT", balance=cash)
                for name, cash in balances.items()
            ),
        ),
        m.SetPositions(
            time_ms=0,
            version=1,
            positions=tuple(
                PositionRow(
                    account=name,
                    contract=contract,
                    side=side,
                    quantity=lots,
                    entry_price=CONTRACTS[contract],
                )
                for name, contract, side, lots in held
            ),
        ),
    ]
    for name in CONTRACTS:
        wait = m.SetPlanWait(time_ms=0, contract=name, wait_ms=wait_ms, note="plans are made")
        commands.append(wait)
    commands.append(m.SetMarks(time_ms=1, marks={"BTC": 93, "ETH": 47}))
    commands.append(m.Takeover(time_ms=2, account="eve"))
    return [*commands, m.SetMarks(time_ms=3, marks={"BTC": 92, "ETH": 45})]
