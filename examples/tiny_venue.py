"""A venue in one file, with delever as its last resort, over the API only.

    Market    accounts, orders and trades of one contract: the venue's own truth, no network
    Link      commands out (each until it is answered, under one id), records in
    Venue     tells what has changed, liquidates, unwinds, and obeys what delever decides

`docs/integration.md` says why each step stands where it does. Run it against a server:

    delever serve -c venue.toml &     (a key with the roles ingest, operate and read)
    python examples/tiny_venue.py http://127.0.0.1:8080 engine.SECRET

All numbers are whole: lots of 0.001 BTC, ticks of 1 USDT, money in thousandths of a USDT, so that
lots times ticks is money.
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

CONTRACT, ASSET, POOL = "BTCUSDT", "USDT", "fund"
START, SEED_MONEY = 60_000, 8_000_000
MAINTENANCE = 200  # the two-hundredth part of a position's value
LEVERAGE = 25
RETRY_S = 0.02

Command = dict[str, Any]
Post = Callable[[Command], Awaitable[httpx2.Response]]


def text(thousandths: int) -> str:
    """Return a quantity or an amount as decimal text."""
    return str(Decimal(thousandths) / 1000)


# --- the venue's own truth ---


@dataclass
class Account:
    """One account: money, signed lots, and their cost, signed alike."""

    name: str
    wallet: int
    lots: int = 0
    cost: int = 0
    frozen: bool = False

    def equity(self, mark: int) -> int:
        return self.wallet + self.lots * mark - self.cost

    def trade(self, lots: int, price: int) -> None:
        """Add signed lots at a price; what is closed is realized at average cost."""
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
    lots: int  # signed: what is left to buy or sell
    price: int


@dataclass
class Market:
    """Accounts and an order book; `changed` are the accounts that delever has to hear of."""

    accounts: dict[str, Account]
    mark: int = START
    bids: list[Order] = field(default_factory=list)  # best first, then oldest first
    asks: list[Order] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)

    def may_open(self, account: Account, lots: int) -> bool:
        value = abs(account.lots + lots) * self.mark
        return not account.frozen and value <= LEVERAGE * max(account.equity(self.mark), 0)

    def place(self, name: str, lots: int, price: int) -> None:
        """Match an order against the book; what is left of it rests."""
        if not self.may_open(self.accounts[name], lots):
            return
        order = Order(name, lots, price)
        for maker, traded in self.take(order):
            self.fill(self.accounts[name], -traded, maker.price)
        if order.lots:
            side = self.bids if lots > 0 else self.asks
            side.append(order)
            side.sort(key=lambda each: -each.price if lots > 0 else each.price)

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

    def fill(self, account: Account, lots: int, price: int) -> None:
        account.trade(lots, price)
        self.changed.add(account.name)

    def freeze(self, account: Account) -> None:
        """Let an account trade no more: its orders go, and nothing of it changes."""
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


# --- talking to delever ---


class Link:
    """Sends each command until it is answered, always under the same id; reads the records."""

    def __init__(self, client: httpx2.AsyncClient, post: Post | None = None) -> None:
        self._client = client
        self._post = post or (lambda command: client.post("/v1/commands", json=command))
        self._ids = 0

    async def send(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Return the answer, or the `error` of a refusal; a lost answer is asked for again."""
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
        """Return events after a sequence, and the sequence up to which they reach."""
        answer = await self._client.get("/v1/events", params={"after": after})
        answer.raise_for_status()
        page = answer.json()
        return page["events"], page["next_after"]


class Venue:
    """The market, delever, and what each knows of the other."""

    def __init__(self, market: Market, link: Link) -> None:
        self.market = market
        self.link = link
        self.version = 0
        self.last_fill = 0
        self.inventory = 0  # signed lots that the fund has taken over
        self.in_adl: set[str] = set()
        self.seen = self.acknowledged = 0  # sequences: read up to, and of the last ordered answer
        self.cancelled: list[int] = []
        self.happened: deque[str] = deque()
        self._snapshots: set[asyncio.Task[Any]] = set()

    # --- telling ---

    async def open(self) -> None:
        """Say what there is; the ids make sure that it is said once."""
        say = self.link.send
        await say("define_asset", asset=ASSET, cash_decimals=3)
        await say("define_pool", pool=POOL, kind="shared", asset=ASSET, rules="bybit")
        await say(
            "define_contract", contract=CONTRACT, kind="linear", settle=ASSET, pool=POOL,
            tick_size="1", lot_size="0.001",
        )  # fmt: skip
        await say("fund_pool", pool=POOL, amount=text(SEED_MONEY), reason="seed", note="opening")
        for name in self.market.accounts:
            await say("define_account", account=name)
        self.market.changed |= set(self.market.accounts)
        await self.tell_mark(START)
        self.tell_changes()
        await self.settle()

    async def ordered(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Send a command whose place among others matters: the next one waits for its answer."""
        answer = await self.link.send(kind, **fields)
        sequence = answer.get("sequence") or answer["error"]["sequence"]
        self.acknowledged = max(self.acknowledged, sequence)
        return answer

    async def tell_mark(self, mark: int) -> None:
        self.market.mark = mark
        await self.ordered("set_marks", marks={CONTRACT: str(mark)})

    def tell_changes(self) -> None:
        """Send the accounts that have changed, absolute; snapshots may overtake each other."""
        if not self.market.changed:
            return
        self.version += 1
        changed = [self.market.accounts[name] for name in sorted(self.market.changed)]
        self.market.changed.clear()
        said = {"version": self.version, "last_fill": self.last_fill}
        balances = [{"account": a.name, "asset": ASSET, "balance": text(a.wallet)} for a in changed]
        positions = [row for account in changed for row in _rows(account)]
        for kind, rows in (("positions", positions), ("balances", balances)):
            task = asyncio.create_task(self.link.send(f"set_{kind}", **said, **{kind: rows}))
            self._snapshots.add(task)
            task.add_done_callback(self._snapshots.discard)

    async def settle(self) -> None:
        """Wait until every snapshot has been answered; a rejected one is an error of the venue."""
        for answer in await asyncio.gather(*self._snapshots):
            if "error" in answer:
                raise RuntimeError(f"a snapshot was rejected: {answer}")

    # --- liquidating and unwinding ---

    async def liquidate(self) -> None:
        """Hand over accounts below maintenance margin, once delever knows their last trade."""
        for account in self.market.bankrupt():
            self.market.freeze(account)
            self.tell_changes()
            await self.settle()
            answer = await self.ordered("takeover", account=account.name)
            if "error" in answer:  # ADL has closed it meanwhile; the record will say so
                account.frozen = False

    async def unwind(self) -> None:
        """Sell (or buy back) the fund's inventory in the market, while that is the venue's turn."""
        await self.obey()
        if self.seen < self.acknowledged or self.in_adl or not self.inventory:
            return
        sign = 1 if self.inventory > 0 else -1
        order = Order("", -self.inventory, self.market.mark * (100 - 2 * sign) // 100)
        for maker, traded in list(self.market.take(order)):
            answer = await self.ordered(
                "unwind_fill", contract=CONTRACT, side="long" if sign > 0 else "short",
                quantity=text(abs(traded)), price=str(maker.price),
            )  # fmt: skip
            if "error" in answer:
                raise RuntimeError(f"the fund does not hold what was sold: {answer}")

    # --- obeying ---

    async def obey(self) -> None:
        """Read on, and do what is decided; what has been seen before changes nothing."""
        records, until = await self.link.records(self.seen)
        await self.obey_records(records)
        self.seen = max(self.seen, until)

    async def obey_records(self, records: list[dict[str, Any]]) -> None:
        for record in records:
            if record["sequence"] > self.seen:
                await self._obey(record["event"])

    async def _obey(self, event: dict[str, Any]) -> None:
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
            case "unwound":
                self.inventory -= event["lots"] if event["side"] == "long" else -event["lots"]
            case "adl_filled" if account:
                await self._obey_fill(event, account)
            case "fill_cancelled":
                lots = event["fill"]["lots"]
                self.inventory -= lots if event["fill"]["side"] == "long" else -lots
            case "adl_started":
                self.in_adl.add(event["trigger"])
            case "adl_stopped":
                self.in_adl.discard(event["trigger"])
        self.happened.append(kind)

    async def _obey_fill(self, fill: dict[str, Any], account: Account) -> None:
        """Close the position as decided, or say that it cannot be closed any more."""
        lots = fill["lots"] if fill["side"] == "long" else -fill["lots"]
        self.inventory += lots
        if lots * account.lots > 0 and abs(account.lots) >= abs(lots):
            account.trade(-lots, fill["price_ticks"])
            self._changed(account)
            self.last_fill = fill["fill"]
        else:
            await self._refuse(fill["fill"], account)

    async def _refuse(self, fill: int, account: Account) -> None:
        """Take a fill back, and tell what there is instead before ADL looks for somebody again."""
        pause = {"contract": CONTRACT, "note": f"fill {fill} was traded away"}
        await self.ordered("pause_adl", paused=True, **pause)
        await self.ordered("cancel_adl", fill=fill, note=pause["note"])
        self.cancelled.append(fill)
        self.last_fill = fill
        self._changed(account)
        self.tell_changes()
        await self.settle()
        await self.ordered("pause_adl", paused=False, **pause)

    def _changed(self, account: Account) -> None:
        account.frozen = False
        self.market.changed.add(account.name)


def _rows(account: Account) -> list[Command]:
    """Return a position as delever is told it; flat is said of both sides, whichever was open."""
    row = {"account": account.name, "contract": CONTRACT}
    if not account.lots:
        return [{**row, "side": side, "quantity": "0"} for side in ("long", "short")]
    side = "long" if account.lots > 0 else "short"
    cost = text(abs(account.cost))
    return [{**row, "side": side, "quantity": text(abs(account.lots)), "entry_cost": cost}]


# --- a session ---


def opened_market(rng: random.Random, accounts: int = 12) -> Market:
    """Return a market in which half of the accounts are long of the other half."""
    names = [f"acc{number}" for number in range(accounts)]
    market = Market({name: Account(name, rng.randrange(2_000_000, 9_000_000)) for name in names})
    for long, short in zip(names[::2], names[1::2], strict=True):
        poorer = min(market.accounts[long].wallet, market.accounts[short].wallet)
        lots = (LEVERAGE - rng.randrange(5, 18)) * poorer // START
        market.place(short, -lots, START)
        market.place(long, lots, START)
    return market


async def turn(venue: Venue, rng: random.Random) -> None:
    """Let accounts trade, the mark move, and both sides hear of it."""
    market = venue.market
    for name in rng.sample(sorted(market.accounts), 3):
        sign = rng.choice((1, -1))
        price = market.mark - sign * rng.randrange(-20, 400)
        market.place(name, sign * rng.randrange(1, 60), price)
    venue.tell_changes()
    await venue.tell_mark(market.mark + rng.randrange(-900, 500))
    await venue.liquidate()
    if rng.random() < 0.6:
        await venue.obey()
    await venue.unwind() if rng.random() < 0.7 else None
    venue.tell_changes()


async def session(venue: Venue, rng: random.Random, turns: int) -> None:
    """Play some turns, then wait until nothing is on its way any more."""
    await venue.open()
    for _ in range(turns):
        await turn(venue, rng)
    while True:
        venue.tell_changes()
        await venue.settle()
        before = venue.seen
        await venue.obey()
        if venue.seen == before and not venue.market.changed:
            return


async def main(url: str, key: str) -> None:
    rng = random.Random(7)  # noqa: S311 - a market, not a secret
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=url, headers=headers) as client:
        venue = Venue(opened_market(rng), Link(client))
        await session(venue, rng, turns=80)
        for account in venue.market.accounts.values():
            print(account)
        print(f"mark {venue.market.mark}, inventory {venue.inventory}, cancelled {venue.cancelled}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
