"""A venue in one file that uses delever for takeovers and ADL, over the API only.

    Market    accounts, orders and trades of one contract, without any network
    Link      submits commands (each under one id, until it is answered), and reads events
    Venue     submits changes, liquidates, unwinds, and applies the events of delever

`docs/integration.md` explains the order of the steps. Run it against a server:

    delever serve -c venue.toml &     (a key with the roles ingest, operate and read)
    python examples/tiny_venue.py http://127.0.0.1:8080 engine.SECRET

With a third argument, the milliseconds for which a round of ADL waits for a plan, and a worker
beside it, the rounds close what is best for the scenarios of the worker:

    export DELEVER_API_KEY=engine.SECRET
    delever lab allocate --server http://127.0.0.1:8080 --model student_t --count 500 &
    python examples/tiny_venue.py http://127.0.0.1:8080 engine.SECRET 5000

All numbers are integers: lots of 0.001 BTC, prices in USDT, money in thousandths of a USDT, so that
lots times price is money. The tick is 1 USDT at first, and amended to 5 USDT in the session.
Accounts margin in USDT and in BTC: `coins` are thousandths of a BTC, worth a mark each.
"""

import asyncio
import random
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx2

CONTRACT, ASSET, COIN, POOL = "BTCUSDT", "USDT", "BTC", "fund"
START, SEED_MONEY = 60_000, 8_000_000
MAINTENANCE = 200  # maintenance margin is notional / 200
COIN_RATE = 95  # percent of the value of coins that counts as margin
CONVERSION_LOSS = 2  # percent of it that a conversion of coins loses
LEVERAGE = 25
RETRY_S = 0.02

Command = dict[str, Any]
Post = Callable[[Command], Awaitable[httpx2.Response]]


def text(thousandths: int) -> str:
    """Return a quantity or an amount as decimal text."""
    return str(Decimal(thousandths) / 1000)


# --- accounts and order book of the venue ---


@dataclass
class Account:
    """One account: money, coins, signed lots, and their cost with the same sign."""

    name: str
    wallet: int
    coins: int = 0
    lots: int = 0
    cost: int = 0
    frozen: bool = False

    def cash_equity(self, mark: int) -> int:
        return self.wallet + self.lots * mark - self.cost

    def equity(self, mark: int) -> int:
        """Return the equity that margins positions: coins count at a rate."""
        return self.cash_equity(mark) + self.coins * mark * COIN_RATE // 100

    def trade(self, lots: int, price: int) -> None:
        """Add signed lots at a price; closed lots are realized at average cost."""
        closed = min(abs(lots), abs(self.lots)) if lots * self.lots < 0 else 0
        if closed:
            share = self.cost * closed // abs(self.lots)
            value = closed * price * (1 if self.lots > 0 else -1)
            self.cost -= share
            self.wallet += value - share
            self.lots += closed if lots > 0 else -closed
            lots += closed if lots < 0 else -closed
        self.lots += lots
        self.cost += lots * price


@dataclass
class Order:
    account: str
    lots: int  # signed: the remaining lots to buy or sell
    price: int


@dataclass
class Market:
    """Accounts and an order book; `changed` are the accounts to submit to delever."""

    accounts: dict[str, Account]
    mark: int = START
    tick: int = 1
    bids: list[Order] = field(default_factory=list)  # best first, then oldest first
    asks: list[Order] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)

    def may_open(self, account: Account, lots: int) -> bool:
        value = abs(account.lots + lots) * self.mark
        return not account.frozen and value <= LEVERAGE * max(account.equity(self.mark), 0)

    def place(self, name: str, lots: int, price: int) -> None:
        """Match an order against the book; the rest is added to the book."""
        if not self.may_open(self.accounts[name], lots):
            return
        order = Order(name, lots, price)
        for maker, traded in self.take(order):
            self.fill(self.accounts[name], -traded, maker.price)
        if order.lots:
            side = self.bids if lots > 0 else self.asks
            side.append(order)
            side.sort(key=lambda order: -order.price if lots > 0 else order.price)

    def take(self, order: Order) -> Iterator[tuple[Order, int]]:
        """Trade an order's lots against the book; yield (maker, the maker's signed lots)."""
        book = self.asks if order.lots > 0 else self.bids
        sign = 1 if order.lots > 0 else -1
        while order.lots and book and sign * (order.price - book[0].price) >= 0:
            maker = book[0]
            account = self.accounts[maker.account]
            if maker.account == order.account or not self.may_open(account, maker.lots):
                book.pop(0)
                continue
            traded = -sign * min(abs(order.lots), abs(maker.lots))
            maker.lots -= traded
            order.lots += traded
            if not maker.lots:
                book.pop(0)
            self.fill(account, traded, maker.price)
            yield maker, traded

    def on_tick(self, price: int) -> int:
        return price // self.tick * self.tick

    def amend(self, tick: int) -> None:
        """Trade on another tick from now on; orders at earlier prices are cancelled."""
        self.tick = tick
        self.bids.clear()
        self.asks.clear()

    def fill(self, account: Account, lots: int, price: int) -> None:
        account.trade(lots, price)
        self.changed.add(account.name)

    def freeze(self, account: Account) -> None:
        """Stop an account from trading, and cancel its orders."""
        account.frozen = True
        self.bids = [order for order in self.bids if order.account != account.name]
        self.asks = [order for order in self.asks if order.account != account.name]

    def bankrupt(self) -> list[Account]:
        return [
            account
            for account in self.accounts.values()
            if account.lots and not account.frozen
            if account.equity(self.mark) * MAINTENANCE < abs(account.lots) * self.mark
        ]


# --- the connection to delever ---


class Link:
    """Submits each command under one id until it is answered, and reads events."""

    def __init__(self, client: httpx2.AsyncClient, post: Post | None = None) -> None:
        self._client = client
        self._post = post or (lambda command: client.post("/v1/commands", json=command))
        self._ids = 0

    async def send(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Return the answer, or the `error` of a rejection; submit again after a lost answer."""
        self._ids += 1
        command = {"type": kind, "id": f"tiny-{self._ids}", **fields}
        while True:
            try:
                answer = await self._post(command)
            except httpx2.TransportError:
                await asyncio.sleep(RETRY_S)
                continue
            if answer.status_code in {429, 503}:
                await asyncio.sleep(RETRY_S)
                continue
            if answer.status_code not in {200, 422}:
                raise RuntimeError(f"{command}: {answer.status_code} {answer.text}")
            return dict(answer.json())

    async def records(self, after: int) -> tuple[list[dict[str, Any]], int]:
        """Return events after a sequence, and the last sequence of the page."""
        answer = await self._client.get("/v1/events", params={"after": after})
        answer.raise_for_status()
        page = answer.json()
        return page["events"], page["next_after"]


class Venue:
    """Keeps the market and delever consistent with each other."""

    def __init__(self, market: Market, link: Link, plan_wait_ms: int = 0) -> None:
        self.market = market
        self.link = link
        self.plan_wait_ms = plan_wait_ms  # how long rounds wait for a plan
        self.version = 0
        self.last_fill = 0
        self.inventory = 0  # signed lots that the fund has taken over
        self.price_unit = market.tick  # of price_ticks in the events read so far
        self.fund_coins = 0  # coins that the fund has taken over
        self.sold_coins = self.proceeds = 0  # what the venue has sold of them, and for how much
        self.in_adl: set[str] = set()
        self.waits_for_plan = False  # a round of ADL waits for `delever lab allocate --server`
        self.read_until = self.acknowledged = (
            0  # sequences: of the last event read, the last answer
        )
        self.cancelled: list[int] = []
        self.event_types: deque[str] = deque()
        self._snapshots: set[asyncio.Task[Any]] = set()

    # --- submitting ---

    async def open(self) -> None:
        """Submit definitions, balances and positions; ids make repeated commands harmless."""
        send = self.link.send
        await send("define_asset", asset=ASSET, cash_decimals=3)
        await send("define_asset", asset=COIN, cash_decimals=3)
        await send("define_pool", pool=POOL, kind="shared", asset=ASSET, rules="bybit")
        await send(
            "define_contract", contract=CONTRACT, kind="linear", settle=ASSET, pool=POOL,
            tick_size="1", lot_size="0.001",
        )  # fmt: skip
        await send("fund_pool", pool=POOL, amount=text(SEED_MONEY), reason="seed", note="opening")
        if self.plan_wait_ms:
            wait = {"contract": CONTRACT, "wait_ms": self.plan_wait_ms}
            await send("set_plan_wait", **wait, note="rounds wait for plans")
        await send(
            "define_collateral", asset=COIN, margin_currency=ASSET, index_price=str(START),
            tiers=[{"quantity_from": 0, "rate": str(Decimal(COIN_RATE) / 100)}],
            conversion_haircut=str(Decimal(CONVERSION_LOSS) / 100),
        )  # fmt: skip
        for name in self.market.accounts:
            await send("define_account", account=name, multi_asset=True)
        self.market.changed |= set(self.market.accounts)
        await self.submit_mark(START)
        self.submit_changes()
        await self.settle()

    async def ordered(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Submit a command that must be in order: the next one waits for its answer."""
        answer = await self.link.send(kind, **fields)
        sequence = answer.get("sequence") or answer["error"]["sequence"]
        self.acknowledged = max(self.acknowledged, sequence)
        return answer

    async def submit_mark(self, mark: int) -> None:
        mark = self.market.mark = self.market.on_tick(mark)
        await self.ordered("set_index_prices", prices={COIN: str(mark)})
        await self.ordered("set_marks", marks={CONTRACT: str(mark)})

    def submit_changes(self) -> None:
        """Submit snapshots of changed accounts, which need not arrive in order."""
        if not self.market.changed:
            return
        self.version += 1
        changed = [self.market.accounts[name] for name in sorted(self.market.changed)]
        self.market.changed.clear()
        header = {"version": self.version, "last_fill": self.last_fill}
        balances = [row for account in changed for row in _balances(account)]
        positions = [row for account in changed for row in _rows(account)]
        for kind, rows in (("positions", positions), ("balances", balances)):
            task = asyncio.create_task(self.link.send(f"set_{kind}", **header, **{kind: rows}))
            self._snapshots.add(task)
            task.add_done_callback(self._snapshots.discard)

    async def settle(self) -> None:
        """Wait until every snapshot is answered; a rejected one is an error of the venue."""
        for answer in await asyncio.gather(*self._snapshots):
            if "error" in answer:
                raise RuntimeError(f"a snapshot was rejected: {answer}")

    async def amend_tick(self, tick: int) -> None:
        """Amend the tick while nothing else is on its way, and trade on it."""
        self.submit_changes()
        await self.settle()
        note = "announced a week ago"
        await self.ordered("amend_contract", contract=CONTRACT, tick_size=str(tick), note=note)
        self.market.amend(tick)

    async def settle_contract(self) -> None:
        """Delist the contract, and settle it at the mark once every snapshot has arrived."""
        self.submit_changes()
        await self.settle()
        note = {"contract": CONTRACT, "note": "delisting announced"}
        await self.ordered("delist_contract", **note)
        await self.ordered("delist_contract", status="settling", **note)
        self.market.amend(self.market.tick)  # no order is left
        await self.ordered("settle_contract", price=str(self.market.mark), **note)

    # --- liquidating and unwinding ---

    async def liquidate(self) -> None:
        """Submit takeovers of accounts below maintenance margin, after their last trade."""
        for account in self.market.bankrupt():
            self.market.freeze(account)
            self.submit_changes()
            await self.settle()
            answer = await self.ordered("takeover", account=account.name)
            if "error" in answer:  # ADL has closed it meanwhile, as its events will show
                account.frozen = False

    async def unwind(self) -> None:
        """Trade the fund's inventory in the market, unless ADL is on."""
        await self.read_and_apply()
        if self.read_until < self.acknowledged or self.in_adl or not self.inventory:
            return
        sign = 1 if self.inventory > 0 else -1
        limit = self.market.on_tick(self.market.mark * (100 - 2 * sign) // 100)
        order = Order("", -self.inventory, limit)
        for maker, traded in list(self.market.take(order)):
            answer = await self.ordered(
                "unwind_fill", contract=CONTRACT, side="long" if sign > 0 else "short",
                quantity=text(abs(traded)), price=str(maker.price),
            )  # fmt: skip
            if "error" in answer:
                raise RuntimeError(f"the fund does not have the inventory sold: {answer}")

    async def sell_coins(self) -> None:
        """Sell the coins that the fund took over, 1 % below the mark, and report the sale."""
        if self.read_until < self.acknowledged or not self.fund_coins:
            return
        coins, proceeds = self.fund_coins, self.fund_coins * self.market.mark * 99 // 100
        answer = await self.ordered(
            "convert_collateral", pool=POOL, asset=COIN, quantity=text(coins),
            proceeds=text(proceeds),
        )  # fmt: skip
        if "error" in answer:
            raise RuntimeError(f"the fund does not have the coins sold: {answer}")
        self.fund_coins -= coins
        self.sold_coins += coins
        self.proceeds += proceeds

    async def finish_round(self) -> None:
        """Trade nothing while a round waits for its plan."""
        await self.read_and_apply()
        while self.waits_for_plan:
            await asyncio.sleep(RETRY_S)
            await self.read_and_apply()

    # --- applying events ---

    async def read_and_apply(self) -> None:
        """Read and apply new events; events that were applied before are ignored."""
        records, until = await self.link.records(self.read_until)
        await self.apply_events(records)
        self.read_until = max(self.read_until, until)

    async def apply_events(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            if record["sequence"] > self.read_until:
                await self._apply(record["event"])

    async def _apply(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        account = self.market.accounts.get(event.get("account", ""))
        match kind:
            case "taken_over" if account:
                self.inventory += account.lots
                account.wallet += event["to_wallet_cash"]
                account.lots = account.cost = 0
                self._changed(account)
            case "wallet_settled" if account:
                account.wallet -= event["amount_cash"]
                self._changed(account)
            case "collateral_taken_over" if account:
                account.coins -= event["amount_cash"]
                account.wallet += event["value_cash"]
                self.fund_coins += event["amount_cash"]
                self._changed(account)
            case "unwound":
                self.inventory -= event["lots"] if event["side"] == "long" else -event["lots"]
            case "adl_filled" if account:
                await self._apply_fill(event, account)
            case "fill_cancelled":
                lots = event["fill"]["lots"]
                self.inventory -= lots if event["fill"]["side"] == "long" else -lots
            case "adl_started":
                self.in_adl.add(event["trigger"])
            case "adl_stopped":
                self.in_adl.discard(event["trigger"])
                self.waits_for_plan = self.waits_for_plan and bool(self.in_adl)
            case _:
                self._apply_terms(event)
        self.event_types.append(kind)

    def _apply_terms(self, event: dict[str, Any]) -> None:
        """Apply a wait for a plan, an amendment, and the settlement of the contract."""
        match event["type"]:
            case "plan_requested" | "round_closed" as kind:
                self.waits_for_plan = kind == "plan_requested"
            case "contract_amended":
                self.price_unit = int(event["price_unit"] or event["definition"]["tick_size"])
            case "positions_closed":
                self._close_positions(event)
            case "inventory_closed":
                closed = sum(event["lots"])
                self.inventory -= closed if event["side"] == "long" else -closed
            case "settlement_loss_shared":
                for name, paid in zip(event["accounts"], event["amount_cash"], strict=True):
                    self.market.accounts[name].wallet -= paid
                    self._changed(self.market.accounts[name])

    def _close_positions(self, event: dict[str, Any]) -> None:
        """Close what a settlement has closed; each account gets its realized PnL."""
        columns = (event[name] for name in ("accounts", "realized_pnl_cash", "to_pool_cash"))
        for name, realized, to_pool in zip(*columns, strict=True):
            account = self.market.accounts[name]
            account.wallet += realized - to_pool
            account.lots = account.cost = 0
            self._changed(account)

    async def _apply_fill(self, fill: dict[str, Any], account: Account) -> None:
        """Close the position of a fill, or cancel the fill if the position has changed."""
        lots = fill["lots"] if fill["side"] == "long" else -fill["lots"]
        self.inventory += lots
        if lots * account.lots > 0 and abs(account.lots) >= abs(lots):
            account.trade(-lots, fill["price_ticks"] * self.price_unit)
            self._changed(account)
            self.last_fill = fill["fill"]
        else:
            await self._cancel_fill(fill["fill"], account)

    async def _cancel_fill(self, fill: int, account: Account) -> None:
        """Cancel a fill, and submit the account while ADL is paused, before the next round."""
        pause = {"contract": CONTRACT, "note": f"fill {fill} was traded away"}
        await self.ordered("pause_adl", paused=True, **pause)
        await self.ordered("cancel_adl", fill=fill, note=pause["note"])
        self.cancelled.append(fill)
        self.last_fill = fill
        self._changed(account)
        self.submit_changes()
        await self.settle()
        await self.ordered("pause_adl", paused=False, **pause)

    def _changed(self, account: Account) -> None:
        account.frozen = False
        self.market.changed.add(account.name)


def _balances(account: Account) -> list[Command]:
    held = {ASSET: account.wallet, COIN: account.coins}
    return [
        {"account": account.name, "asset": asset, "balance": text(amount)}
        for asset, amount in held.items()
    ]


def _rows(account: Account) -> list[Command]:
    """Return the position rows of an account; without a position, 0 on both sides."""
    row = {"account": account.name, "contract": CONTRACT}
    if not account.lots:
        return [{**row, "side": side, "quantity": "0"} for side in ("long", "short")]
    side = "long" if account.lots > 0 else "short"
    cost = text(abs(account.cost))
    return [{**row, "side": side, "quantity": text(abs(account.lots)), "entry_cost": cost}]


# --- a session ---


def opened_market(rng: random.Random, accounts: int = 12) -> Market:
    """Return a market in which half of the accounts are long, the other half short."""
    names = [f"acc{number}" for number in range(accounts)]
    money = {name: rng.randrange(2_000_000, 9_000_000) for name in names}
    market = Market(
        {name: Account(name, cash // 2, cash // 2 // START) for name, cash in money.items()}
    )
    for long, short in zip(names[::2], names[1::2], strict=True):
        poorer = min(money[long], money[short])
        lots = (LEVERAGE - rng.randrange(5, 18)) * poorer // START
        market.place(short, -lots, START)
        market.place(long, lots, START)
    return market


async def turn(venue: Venue, rng: random.Random) -> None:
    """Trade, move the mark, submit the changes, and apply events."""
    market = venue.market
    for name in rng.sample(sorted(market.accounts), 3):
        sign = rng.choice((1, -1))
        price = market.mark - sign * rng.randrange(-20, 400)
        market.place(name, sign * rng.randrange(1, 60), market.on_tick(price))
    venue.submit_changes()
    await venue.submit_mark(market.mark + rng.randrange(-900, 500))
    await venue.liquidate()
    if venue.plan_wait_ms:
        await venue.finish_round()
    if rng.random() < 0.6:
        await venue.read_and_apply()
    await venue.unwind() if rng.random() < 0.7 else None
    await venue.sell_coins()
    venue.submit_changes()


async def session(venue: Venue, rng: random.Random, turns: int) -> None:
    """Run some turns, half of them on a coarser tick; then the contract is settled.

    Wait before and after that until everything has arrived.
    """
    await venue.open()
    for number in range(turns):
        if number == turns // 2:
            await venue.amend_tick(5)
        await turn(venue, rng)
    await arrive(venue)
    await venue.settle_contract()
    await arrive(venue)


async def arrive(venue: Venue) -> None:
    """Wait until every change and event has arrived."""
    while True:
        venue.submit_changes()
        await venue.settle()
        before = venue.read_until
        await venue.read_and_apply()
        if venue.read_until == before and not venue.market.changed:
            return


async def main(url: str, key: str, plan_wait_ms: str = "0") -> None:
    rng = random.Random(7)  # noqa: S311 - a market, not a secret
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers) as client:
        venue = Venue(opened_market(rng), Link(client), int(plan_wait_ms))
        await session(venue, rng, turns=80)
        for account in venue.market.accounts.values():
            print(account)
        print(f"mark {venue.market.mark}, inventory {venue.inventory}, cancelled {venue.cancelled}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
