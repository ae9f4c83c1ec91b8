"""The worked examples of docs/venues: each a scenario of examples/venues, run and tabulated.

Every number, also inside arithmetic, comes from the engine's events and from the book that they
produced, so that a reader can check the arithmetic.
"""
# ruff: noqa: INP001 - part of a script, not a package

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
from delever.formatting import ContractFormatter, percent
from delever.lab.runs.scenario import read_scenario

ROOT = Path(__file__).parent.parent
SCENARIOS = ROOT / "examples" / "venues"

INPUTS = {
    "return_on_entry": ("unrealized PnL", "entry notional"),
    "return_on_mark": ("unrealized PnL", "notional"),
    "return_on_wallet": ("unrealized PnL", "balance"),
    "return_on_initial_margin": ("unrealized PnL", "initial margin"),
    "price_move": ("entry notional", "notional"),
    "effective_leverage": ("notional", "equity"),
    "account_leverage": ("notional", "equity"),
    "leverage_on_margin": ("entry notional", "margin"),
    "margin_ratio": ("maintenance", "equity"),
}
"""The inputs of each factor of a score, which the table has beside the factor."""


def worked_example(name: str) -> str:
    """Return the scenario of a rule set as Markdown: positions, events, queue, balances."""
    if not (SCENARIOS / f"{name}.ndjson").is_file():
        raise SystemExit(
            f"examples/venues/{name}.ndjson is missing: write the scenario of rule set {name!r}"
        )
    example = _Example(name)
    path = f"examples/venues/{name}.ndjson"
    asset = example.state.terms.settle
    intro = (
        f"[`{path}`](../../{path}), run with `delever run {path}`. Contract "
        f"{example.state.name} ({example.state.terms.kind}), amounts in {asset}."
    )
    tables = [
        table(example.positions),
        table(example.timeline),
        *example.queues,
        table(example.ending()),
    ]
    return "\n".join([f"{intro}\n", *tables])


class _Example:
    """A scenario, applied event by event, and the tables of its page."""

    def __init__(self, name: str) -> None:
        self.rules = RULE_SETS[name]
        self.book = Book()
        self.positions: list[list[str]] = []
        self.timeline = [["at", "event", "fund balance", "inventory PnL", "fund equity"]]
        self.queues: list[str] = []
        self.realized: dict[str, int] = {}
        self.haircut: dict[str, int] = {}
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
    def formatter(self) -> ContractFormatter:
        """The formatting of the contract's numbers."""
        return ContractFormatter.of(self.book, self.state)

    def cash(self, amount: int) -> str:
        """Return an amount with thousands separators."""
        return grouped(self.formatter.cash(amount))

    def price(self, ticks: int) -> str:
        """Return a price with thousands separators."""
        return grouped(self.formatter.price(ticks))

    def quantity(self, lots: int) -> str:
        """Return a quantity with thousands separators."""
        return grouped(self.formatter.quantity(lots))

    def _play(self, command: m.Command, events: tuple[m.Event, ...]) -> None:
        at = _clock(command.time_ms)
        for event in events:
            if isinstance(event, m.AdlStarted | m.LossSocialized):
                self._add_queue(event)
            self.book.apply(event)
            if text := self._describe(event):
                self.timeline.append([at, text, *self._pool_numbers()])
                at = ""
        if isinstance(command, m.SetPositions):
            self._add_positions(command)

    def _add_positions(self, command: m.SetPositions) -> None:
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
        self.positions = [columns, *rows]

    def _pool_numbers(self) -> list[str]:
        equity = self.cash(pool_equity(self.book, self.pool))
        return [self.cash(self.pool.balance), self._arithmetic(), equity]

    def _arithmetic(self) -> str:
        """Return the unrealized PnL of the inventory as a sum that can be checked by hand."""
        inventory, mark = self.state.inventory, self.price(self.state.mark)
        terms = []
        for side in Side:
            for tranche in inventory[side].tranches.values():
                price = self.price(tranche.price_ticks)
                pair = [mark, price] if side is Side.LONG else [price, mark]
                if not self.state.terms.linear:
                    pair = [f"1/{each}" for each in reversed(pair)]
                terms.append(f"{self.quantity(tranche.lots)} x ({' - '.join(pair)})")
        pnl = sum(self.state.inventory_pnl(side) for side in Side)
        return f"{' + '.join(terms)} = {self.cash(pnl)}" if terms else "-"

    def _describe(self, event: m.Event) -> str:
        """Return an event as a sentence; empty for an event that the page leaves out."""
        descriptions: dict[type[m.Event], Callable[[Any], str]] = {
            m.PoolFunded: self._funded,
            m.MarksSet: self._marked,
            m.TakenOver: self._taken_over,
            m.Unwound: self._unwound,
            m.DepthSufficiencySet: self._depth,
            m.AdlStarted: self._started,
            m.AdlFilled: self._filled,
            m.RoundClosed: self._round,
            m.AdlStopped: self._stopped,
            m.LossSocialized: self._socialized,
            m.WithdrawalHaircutSet: self._cut,
        }
        describe = descriptions.get(type(event))
        return describe(event) if describe else ""

    def _funded(self, event: m.PoolFunded) -> str:
        booked = f", booked to {event.contract}" if event.contract else ""
        return f"the fund receives {self.cash(event.amount_cash)} ({event.reason}{booked})"

    def _marked(self, _event: m.MarksSet) -> str:
        return f"mark {self.price(self.state.mark)}"

    def _taken_over(self, event: m.TakenOver) -> str:
        what = f"{event.account}'s {event.side} {self.quantity(event.lots)}"
        return f"the fund takes over {what} at {self.price(event.price_ticks)}"

    def _unwound(self, event: m.Unwound) -> str:
        sold = f"{self.quantity(event.lots)} of the inventory is unwound in the market"
        price = self.price(event.price_ticks)
        return f"{sold} at {price}: {self._signed(event.realized_pnl_cash)} for the fund"

    def _depth(self, event: m.DepthSufficiencySet) -> str:
        if event.sufficient:
            return "depth suffices for the inventory"
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
        return f"{closed}, {gains[0]} for {name}, {gains[1]} for the fund{end}"

    def _round(self, event: m.RoundClosed) -> str:
        closed = f"{self.quantity(event.filled_lots)} of {self.quantity(event.wanted_lots)} closed"
        return f"{closed}; price `{event.price_rule}`, {self._numbers(event.numbers)}"

    def _socialized(self, event: m.LossSocialized) -> str:
        self.haircut |= dict(zip(event.accounts, event.amount_cash, strict=True))
        missing, left = self.cash(event.loss_cash), self.cash(event.unfunded_cash)
        return f"**the loss is socialized**: `{event.rule}`, deficit {missing}, unfunded {left}"

    def _cut(self, event: m.WithdrawalHaircutSet) -> str:
        if not event.haircut_ppm:
            return "**withdrawals are paid in full again**"
        total = f"{self.cash(event.deficit_cash)} of {self.cash(event.total_cash)}"
        return f"**every withdrawal takes a haircut of {percent(event.haircut_ppm)}**: {total}"

    def _numbers(self, numbers: dict[str, int]) -> str:
        return grouped(self.formatter.labeled_amounts(numbers))

    def _signed(self, amount: int) -> str:
        return f"{'+' if amount > 0 else ''}{self.cash(amount)}"

    def _add_queue(self, event: m.AdlStarted | m.LossSocialized) -> None:
        """Add the positions of the other side in order of rank, before the round changes them."""
        mark = self.price(self.state.mark)
        if isinstance(event, m.LossSocialized):
            self.queues.append(f"The positions when the loss is socialized at mark {mark}:\n")
            self.queues.append(table(self._claims(event)))
            return
        sides = [side for side in Side if self.state.inventory[side].total_lots]
        for side in sides:
            queue = rank_side(value_side(self.book, self.state, side.opposite), self.rules.ranking)
            self.queues.append(f"The {side.opposite} queue when ADL starts at mark {mark}:\n")
            self.queues.append(table(self._line(queue)))

    def _line(self, queue: Queue) -> list[list[str]]:
        """Return the queue as rows; ineligible positions are last, with the reason."""
        parts = [part for part in queue.score.parts if not part.endswith("_cash")]
        inputs = dict.fromkeys(each for part in parts for each in INPUTS.get(part, ()))
        names = [name.replace("_", " ") for name in parts]
        table = [["rank", "account", "quantity", *inputs, *names, "score", "published as"]]
        rows = [*queue.order.tolist(), *(r for rows in queue.ineligible.values() for r in rows)]
        for row in rows:
            reason = queue.reason(row)
            view = queue.valuation
            rank = str(queue.rank[row]) if reason is None else f"- ({_words(reason)})"
            table.append(
                [
                    rank,
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
        return (
            self.cash(int(value)) if "unrealized_pnl_cash" in queue.score.parts else _short(value)
        )

    def _claims(self, event: m.LossSocialized) -> list[list[str]]:
        paid = dict(zip(event.accounts, event.amount_cash, strict=True))
        table = [["account", "side", "quantity", "unrealized PnL", "equity", "haircut"]]
        for side in Side:
            view = value_side(self.book, self.state, side)
            for row in range(view.size):
                account = self.book.accounts.names[int(view.account[row])]
                amounts = [
                    int(view.unrealized_pnl[row]),
                    int(view.equity[row]),
                    paid.get(account, 0),
                ]
                quantity = self.quantity(int(view.lots[row]))
                table.append([account, str(side), quantity, *map(self.cash, amounts)])
        return table

    def ending(self) -> list[list[str]]:
        """Return every account and, in the last row, the fund as they are at the end."""
        change = "realized by ADL" if self.rules.cases else "haircut"
        table = [["at the end", change, "wallet", "position"]]
        wallets = self.book.asset_of(self.state).wallets
        changed = self.haircut or self.realized
        for name, index in self.book.accounts.index.items():
            wallet = self.cash(int(wallets.balance[index]))
            table.append([name, self.cash(changed.get(name, 0)), wallet, self._position(index)])
        inventory = sum(each.total_lots for each in self.state.inventory.values())
        held = self.quantity(inventory) if inventory else "nothing"
        table.append([f"fund `{self.pool.name}`", "", self.cash(self.pool.balance), held])
        return table

    def _position(self, account: int) -> str:
        held = list(self._holdings(account))
        return ", ".join(held) or "none"

    def _holdings(self, account: int) -> Iterator[str]:
        for side, positions in self.state.tables.items():
            for row, (holder, _) in enumerate(positions.keys()):
                if holder == account:
                    yield f"{side} {self.quantity(int(positions.lots[row]))}"


def grouped(text: str) -> str:
    """Return text with thousands separators in its numbers."""
    pattern = re.compile(r"(?<![\d.])\d{4,}")
    return pattern.sub(lambda found: f"{int(found[0]):,}", text)


def _input(view: SideValuation, row: int, name: str) -> int:
    """Return one input of a score, in Cash."""
    columns = {
        "unrealized PnL": view.unrealized_pnl,
        "notional": view.notional,
        "entry notional": view.entry_notional,
        "equity": view.equity,
        "balance": view.balance,
        "maintenance": view.bucket_maintenance,
        "initial margin": view.initial_margin,
        "margin": view.margin if view.isolated[row] else view.initial_margin,
    }
    return int(columns[name][row])


def _short(number: float) -> str:
    """Return a score with four significant digits, never in scientific notation."""
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
    """Return rows as a Markdown table, the first as its heading."""
    heading, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [heading, ["---"] * len(heading), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
