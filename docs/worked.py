"""The worked examples of docs/venues: a scenario of examples/venues, run and told in tables.

Every number comes from the engine's events and from the book that they have made. What is written
as arithmetic is written from the same numbers, so that a reader can do it again.
"""
# ruff: noqa: INP001 - a script's part, not a package

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from delever.core import messages as m
from delever.core.book import Book
from delever.core.book.contract_state import ContractState
from delever.core.book.pool_state import PoolState
from delever.core.engine import step
from delever.core.messages import Side
from delever.core.rules import RULE_SETS
from delever.core.rules.ranking import Queue, rank_side
from delever.core.units import format_scaled
from delever.core.valuation.insurance import pool_equity
from delever.core.valuation.side_valuation import SideValuation, value_side
from delever.formatting import Figures, percent
from delever.lab.runs.scenario import read_scenario

ROOT = Path(__file__).parent.parent
SCENARIOS = ROOT / "examples" / "venues"

INPUTS = {
    "return_on_entry": ("profit", "value at entry"),
    "return_on_mark": ("profit", "value at mark"),
    "return_on_wallet": ("profit", "balance"),
    "return_on_initial_margin": ("profit", "initial margin"),
    "price_move": ("value at entry", "value at mark"),
    "effective_leverage": ("value at mark", "equity"),
    "account_leverage": ("value at mark", "equity"),
    "leverage_on_margin": ("value at entry", "margin"),
    "margin_ratio": ("maintenance", "equity"),
}
"""What each part of a score is made of, so that the table shows it beside the part."""


def worked_example(name: str) -> str:
    """Return the scenario of a rule set as Markdown: who is there, what happens, what is left."""
    example = _Example(name)
    path = f"examples/venues/{name}.ndjson"
    asset = example.state.terms.settle
    intro = (
        f"[`{path}`](../../{path}), to be run with `delever run {path}`. Contract "
        f"{example.state.name} ({example.state.terms.kind}), amounts in {asset}."
    )
    tables = [table(example.cast), table(example.story), *example.lines, table(example.ending())]
    return "\n".join([f"{intro}\n", *tables])


class _Example:
    """A scenario, applied event by event, and what is to be told of it."""

    def __init__(self, name: str) -> None:
        self.rules = RULE_SETS[name]
        self.book = Book()
        self.cast: list[list[str]] = []
        self.story = [["at", "what happens", "pool balance", "profit of inventory", "pool equity"]]
        self.lines: list[str] = []
        self.realized: dict[str, int] = {}
        self.given_up: dict[str, int] = {}
        engine = Book()
        for command in read_scenario(SCENARIOS / f"{name}.ndjson"):
            self._play(command, step(engine, command))

    @property
    def state(self) -> ContractState:
        """The one contract of the scenario."""
        (state,) = self.book.contracts.values()
        return state

    @property
    def pool(self) -> PoolState:
        """The one pool of the scenario."""
        (pool,) = self.book.pools.values()
        return pool

    @property
    def figures(self) -> Figures:
        """How numbers of the contract are written."""
        return Figures.of(self.book, self.state)

    def cash(self, amount: int) -> str:
        """Return an amount, its thousands apart."""
        return grouped(self.figures.cash(amount))

    def price(self, ticks: int) -> str:
        """Return a price, its thousands apart."""
        return grouped(self.figures.price(ticks))

    def quantity(self, lots: int) -> str:
        """Return a quantity, its thousands apart."""
        return grouped(self.figures.quantity(lots))

    def _play(self, command: m.Command, events: tuple[m.Event, ...]) -> None:
        at = _clock(command.time_ms)
        for event in events:
            if isinstance(event, m.AdlStarted | m.LossSocialized):
                self._show_line(event)
            self.book.apply(event)
            if text := self._told(event):
                self.story.append([at, text, *self._pool_now()])
                at = ""
        if isinstance(command, m.SetPositions):
            self._introduce(command)

    def _introduce(self, command: m.SetPositions) -> None:
        columns = ["account", "side", "quantity", "entry", "margin", "leverage"]
        rows = []
        for row in command.positions:
            isolated = row.isolated_margin
            wallet = self.book.asset_of(self.state).wallets.balance
            balance = int(wallet[self.book.accounts.index[row.account]])
            cross = f"cross, wallet {self.cash(balance)}"
            margin = cross if isolated is None else f"isolated, {grouped(str(isolated))}"
            marked = " (under liquidation)" if row.under_liquidation else ""
            numbers = [grouped(str(row.quantity)), grouped(str(row.entry_price))]
            rows.append([row.account + marked, str(row.side), *numbers, margin, str(row.leverage)])
        self.cast = [columns, *rows]

    def _pool_now(self) -> list[str]:
        equity = self.cash(pool_equity(self.book, self.pool))
        return [self.cash(self.pool.balance), self._arithmetic(), equity]

    def _arithmetic(self) -> str:
        """Return the unrealized profit of inventory as a sum that can be done by hand."""
        inventory, mark = self.state.inventory, self.price(self.state.mark)
        terms = []
        for side in Side:
            for tranche in inventory[side].tranches.values():
                price = self.price(tranche.price_ticks)
                pair = [mark, price] if side is Side.LONG else [price, mark]
                if not self.state.terms.linear:
                    pair = [f"1/{each}" for each in reversed(pair)]
                terms.append(f"{self.quantity(tranche.lots)} x ({' - '.join(pair)})")
        profit = sum(self.state.inventory_pnl(side) for side in Side)
        return f"{' + '.join(terms)} = {self.cash(profit)}" if terms else "-"

    def _told(self, event: m.Event) -> str:
        """Return what an event is to a reader, or nothing."""
        tellers: dict[type[m.Event], Callable[[Any], str]] = {
            m.PoolFunded: self._funded,
            m.MarksSet: self._marked,
            m.TakenOver: self._taken_over,
            m.Unwound: self._unwound,
            m.DepthWatched: self._depth,
            m.AdlStarted: self._started,
            m.AdlFilled: self._filled,
            m.RoundClosed: self._round,
            m.AdlStopped: self._stopped,
            m.LossSocialized: self._socialized,
            m.WithdrawalCutSet: self._cut,
        }
        teller = tellers.get(type(event))
        return teller(event) if teller else ""

    def _funded(self, event: m.PoolFunded) -> str:
        booked = f", booked to {event.contract}" if event.contract else ""
        return f"the pool receives {self.cash(event.amount_cash)} ({event.reason}{booked})"

    def _marked(self, _event: m.MarksSet) -> str:
        return f"mark {self.price(self.state.mark)}"

    def _taken_over(self, event: m.TakenOver) -> str:
        what = f"{event.account}'s {event.side} {self.quantity(event.lots)}"
        return f"the pool takes over {what} at {self.price(event.price_ticks)}"

    def _unwound(self, event: m.Unwound) -> str:
        sold = f"{self.quantity(event.lots)} of the inventory is closed in the market"
        price = self.price(event.price_ticks)
        return f"{sold} at {price}: {self._signed(event.realized_pnl_cash)} for the pool"

    def _depth(self, event: m.DepthWatched) -> str:
        if not event.missing:
            return "no inventory waits for depth any more"
        bids = [f"{self.quantity(lots)} at {self.price(ticks)}" for ticks, lots in self.state.bids]
        return f"depth is less than the inventory: bids for {', '.join(bids)}"

    def _started(self, event: m.AdlStarted) -> str:
        return f"**ADL starts**: `{event.trigger}`, {self._numbers(event.numbers)}"

    def _stopped(self, event: m.AdlStopped) -> str:
        return f"**ADL stops**: `{event.trigger}`, {self._numbers(event.numbers)}"

    def _filled(self, event: m.AdlFilled) -> str:
        name = event.account
        self.realized[name] = self.realized.get(name, 0) + event.realized_pnl_cash
        closed = (
            f"{self.quantity(event.lots)} of {name} is closed at {self.price(event.price_ticks)}"
        )
        gains = self._signed(event.realized_pnl_cash), self._signed(event.pool_realized_pnl_cash)
        orders = ", ".join(event.cancel_orders)
        end = f"; orders {orders} are cancelled" if orders else ""
        return f"{closed}, {gains[0]} for {name}, {gains[1]} for the pool{end}"

    def _round(self, event: m.RoundClosed) -> str:
        closed = f"{self.quantity(event.filled_lots)} of {self.quantity(event.wanted_lots)} closed"
        return f"{closed}; price `{event.price_rule}`, {self._numbers(event.numbers)}"

    def _socialized(self, event: m.LossSocialized) -> str:
        self.given_up |= dict(zip(event.accounts, event.amount_cash, strict=True))
        missing, left = self.cash(event.loss_cash), self.cash(event.left_cash)
        return f"**the loss is shared**: `{event.rule}`, {missing} is missing, {left} stays unpaid"

    def _cut(self, event: m.WithdrawalCutSet) -> str:
        if not event.cut_ppm:
            return "**withdrawals are paid in full again**"
        total = f"{self.cash(event.deficit_cash)} of {self.cash(event.total_cash)}"
        return f"**every withdrawal leaves {percent(event.cut_ppm)} behind**: {total}"

    def _numbers(self, numbers: dict[str, int]) -> str:
        return grouped(self.figures.numbers(numbers))

    def _signed(self, amount: int) -> str:
        return f"{'+' if amount > 0 else ''}{self.cash(amount)}"

    def _show_line(self, event: m.AdlStarted | m.LossSocialized) -> None:
        """Keep who stands where, before anything is done about it."""
        mark = self.price(self.state.mark)
        if isinstance(event, m.LossSocialized):
            self.lines.append(f"The positions as the loss is shared at mark {mark}:\n")
            self.lines.append(table(self._claims(event)))
            return
        sides = [side for side in Side if self.state.inventory[side].total_lots]
        for side in sides:
            queue = rank_side(value_side(self.book, self.state, side.opposite), self.rules.ranking)
            self.lines.append(f"The {side.opposite} line as ADL starts at mark {mark}:\n")
            self.lines.append(table(self._line(queue)))

    def _line(self, queue: Queue) -> list[list[str]]:
        """Return the queue as rows; whoever does not stand in line comes last, with the reason."""
        parts = [part for part in queue.score.parts if not part.endswith("_cash")]
        inputs = dict.fromkeys(each for part in parts for each in INPUTS.get(part, ()))
        shown = [name.replace("_", " ") for name in parts]
        table = [["place", "account", "quantity", *inputs, *shown, "score", "shown as"]]
        rows = [*queue.order.tolist(), *(r for rows in queue.ineligible.values() for r in rows)]
        for row in rows:
            reason = queue.reason(row)
            view = queue.view
            place = str(queue.rank[row]) if reason is None else f"- ({_words(reason)})"
            table.append(
                [
                    place,
                    self.book.accounts.names[int(view.account[row])],
                    self.quantity(int(view.lots[row])),
                    *(self.cash(_input(view, row, name)) for name in inputs),
                    *(_short(float(queue.score.parts[name][row])) for name in parts),
                    self._score(queue, row),
                    str(self.rules.indicator_scale.to_venue(int(queue.indicator[row]))),
                ]
            )
        return table

    def _score(self, queue: Queue, row: int) -> str:
        value = float(queue.score.value[row])
        return self.cash(int(value)) if "unrealized_pnl_cash" in queue.score.parts else _short(value)

    def _claims(self, event: m.LossSocialized) -> list[list[str]]:
        paid = dict(zip(event.accounts, event.amount_cash, strict=True))
        table = [["account", "side", "quantity", "profit", "equity", "gives up"]]
        for side in Side:
            view = value_side(self.book, self.state, side)
            for row in range(view.size):
                account = self.book.accounts.names[int(view.account[row])]
                amounts = [int(view.unrealized_pnl[row]), int(view.equity[row]), paid.get(account, 0)]
                quantity = self.quantity(int(view.lots[row]))
                table.append([account, str(side), quantity, *map(self.cash, amounts)])
        return table

    def ending(self) -> list[list[str]]:
        """Return what everybody has at the end, the pool in the last row."""
        told = "realized by ADL" if self.rules.cases else "given up"
        table = [["at the end", told, "wallet", "position"]]
        wallets = self.book.asset_of(self.state).wallets
        changed = self.given_up or self.realized
        for name, index in self.book.accounts.index.items():
            wallet = self.cash(int(wallets.balance[index]))
            table.append([name, self.cash(changed.get(name, 0)), wallet, self._position(index)])
        inventory = sum(each.total_lots for each in self.state.inventory.values())
        held = self.quantity(inventory) if inventory else "nothing"
        table.append([f"pool `{self.pool.name}`", "", self.cash(self.pool.balance), held])
        return table

    def _position(self, account: int) -> str:
        held = list(self._holdings(account))
        return ", ".join(held) or "none"

    def _holdings(self, account: int) -> Iterator[str]:
        for side, lane in self.state.lanes.items():
            for row, (holder, _) in enumerate(lane.pairs()):
                if holder == account:
                    yield f"{side} {self.quantity(int(lane.lots[row]))}"


def grouped(text: str) -> str:
    """Return text with the thousands of its numbers apart; what follows a point stays."""
    pattern = re.compile(r"(?<![\d.])\d{4,}")
    return pattern.sub(lambda found: f"{int(found[0]):,}", text)


def _input(view: SideValuation, row: int, name: str) -> int:
    """Return one number that a score is made of, in Cash."""
    columns = {
        "profit": view.unrealized_pnl,
        "value at mark": view.notional,
        "value at entry": view.entry_notional,
        "equity": view.equity,
        "balance": view.balance,
        "maintenance": view.bucket_maintenance,
        "initial margin": view.initial_margin,
        "margin": view.margin if view.isolated[row] else view.initial_margin,
    }
    return int(columns[name][row])


def _short(number: float) -> str:
    """Return a score with four digits that count, never in powers of ten."""
    rounded = Decimal(f"{number + 0:.4g}")
    return f"{rounded.normalize():,f}"


def _clock(time_ms: int) -> str:
    """Return engine time as hours and seconds."""
    hours, rest = divmod(time_ms, 3_600_000)
    seconds = f"{format_scaled(rest, 3)} s"
    return f"{hours} h {seconds}" if hours else seconds


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def table(rows: list[list[str]]) -> str:
    """Return rows as a table, the first as its heading; a bar inside a cell stays a bar."""
    heading, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [heading, ["---"] * len(heading), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
