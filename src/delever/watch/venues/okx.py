"""OKX: the adl-warning channel, the security fund, the position field adl, bills of ADL fills."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from delever.watch.budget import Budget
from delever.watch.faults import MalformedError
from delever.watch.reading import Fill, IndicatorReading, Pool, Position, Reading, Wallet, Warned
from delever.watch.settings import Venue
from delever.watch.venues.adapter import Adapter, Deliver, Source, Stream
from delever.watch.venues.bybit import indicator
from delever.watch.venues.client import next_push, set_up
from delever.watch.venues.fields import Answer, each, joined, number, optional, rows, text, time_ms
from delever.watch.venues.positions import When, Words, position

REQUESTS, WINDOW_MS = 10, 2_000
LISTS = {"/account/positions": ("data",)}
CHANNEL = "adl-warning"
KINDS = ("SWAP", "FUTURES")
WORDS = Words("instId", "pos", "avgPx", "markPx", "lever", "mmr", "margin")
STATES = {"normal", "warning", "adl"}
NORMAL_MS = 60_000
CALM_AFTER = 5
"""A family that has not been warned of for so many pushes is normal: normal may be silent."""

ADL_BILLS = {"125": "long", "126": "short", "127": "short", "128": "long"}
"""The side that an ADL bill closed, by subtype: close long, close short, buy, sell."""


def okx(venue: Venue, now_ms: Callable[[], int]) -> Adapter:
    """Return the adapter of OKX's swaps and futures."""
    import ccxt.pro  # type: ignore[import-untyped] # noqa: PLC0415 - heavy

    class Okx(ccxt.pro.okx):  # type: ignore[misc]
        """ccxt.pro's OKX, with the one channel that it lacks."""

        warnings: deque[Mapping[str, Any]]

        def handle_message(self, client: Any, message: Any) -> None:
            """Take pushes of the channel; all else is ccxt's."""
            arg = message.get("arg") if isinstance(message, dict) else None
            if isinstance(arg, dict) and arg.get("channel") == CHANNEL and "data" in message:
                self.warnings.append(message)
                client.resolve(message, CHANNEL)
            else:
                super().handle_message(client, message)

    api = set_up(Okx, venue, {"fetchMarkets": {"types": ["swap", "future"]}}, LISTS)
    api.has["fetchCurrencies"] = False
    api.warnings = deque(maxlen=10_000)
    held = _Okx(venue, api, now_ms)
    cadence = venue.cadence
    private = (
        Source(
            "positions and indicators",
            cadence.indicator_ms,
            1,
            held.positions,
            (Position, IndicatorReading),
        ),
        Source("wallet", cadence.indicator_ms, 1, held.wallets, (Wallet,)),
        Source("ADL fills", cadence.fill_ms, 1, held.fills),
    )
    return Adapter(
        venue="okx",
        rules="okx_2025",
        keyed=venue.keyed,
        budget=Budget(REQUESTS, WINDOW_MS, share_percent=50),
        sources=(
            Source("security fund", cadence.alert_ms, 1, held.funds, (Pool,)),
            *(private if venue.keyed else ()),
        ),
        streams=(Stream("ADL warnings", 0, held.listen),),
        close=api.close,
        set_clock=held.set_clock,
        headers=lambda: api.last_response_headers or {},
    )


@dataclass(frozen=True, slots=True)
class _Okx:
    venue: Venue
    api: Any
    now_ms: Callable[[], int]
    families: set[str] = field(default_factory=set)
    warned: dict[str, Warned] = field(default_factory=dict)

    async def set_clock(self) -> int:
        return -int(await self.api.load_time_difference())

    async def funds(self) -> Answer:
        """Return the security fund of the families that are held or asked for, one at a time."""
        answers = []
        for family in sorted({*self.venue.families, *self.families}):
            asked = {"instType": "SWAP", "instFamily": family, "limit": "1"}
            answer = await self.api.publicGetPublicInsuranceFund(asked)
            came = self.now_ms()
            for data in rows(answer, "data"):
                details = rows(data, "details")
                answers.append(each(details, partial(self._fund, family=family, came=came), "ccy"))
        return joined(answers)._replace(of_ms=None)

    def _fund(self, row: Any, family: str, came: int) -> Iterator[Reading]:
        yield Pool(
            venue="okx",
            name=family,
            of_ms=time_ms(row, "ts"),
            came_ms=came,
            cadence_ms=self.venue.cadence.shared_pool_ms,
            asset=text(row, "ccy"),
            balance=number(row, "balance"),
        )

    async def listen(self, deliver: Deliver) -> None:
        """Hand on warnings, and that a family is normal when its warnings have ceased."""
        await self.api.load_markets()
        url = self.api.get_url(CHANNEL, "public")
        args = [{"channel": CHANNEL, "instType": kind} for kind in KINDS]
        request = {"op": "subscribe", "args": args}
        self.api.broken = None
        while True:
            pushed = self.api.watch(url, CHANNEL, request, CHANNEL)
            try:
                await asyncio.wait_for(
                    next_push(self.api, pushed), self.venue.cadence.stream_ms / 1000
                )
            except TimeoutError:
                self._check_alive(url)
            while self.api.warnings:
                found = each(rows(self.api.warnings.popleft(), "data"), self._warning, "instFamily")
                deliver(found.readings)
                if found.malformed:
                    raise MalformedError(CHANNEL, found.malformed[0])
            deliver(self._ceased())

    def _check_alive(self, url: str) -> None:
        """Raise where ccxt's socket is gone: it makes a new one only when asked for."""
        held = self.api.clients.get(url)
        if held is not None and held.error is not None:
            raise ConnectionError(str(held.error))

    def _warning(self, row: Any) -> Iterator[Reading]:
        state, kind = text(row, "state"), text(row, "instType")
        if state not in STATES:
            raise MalformedError("state", state)
        cadence = self.venue.cadence
        warning = Warned(
            venue="okx",
            name=f"{text(row, 'instFamily')}-{kind}",
            of_ms=time_ms(row, "ts"),
            came_ms=self.now_ms(),
            cadence_ms=NORMAL_MS if state == "normal" else cadence.stream_ms,
            state=state,  # type: ignore[arg-type]
            balance=optional(row, "bal"),
        )
        self.warned[warning.name] = warning
        yield warning

    def _ceased(self) -> list[Reading]:
        """Return that families are normal of which the live socket has said nothing for a while."""
        now, silence = self.now_ms(), CALM_AFTER * self.venue.cadence.stream_ms
        for name in {f"{family}-SWAP" for family in {*self.families, *self.venue.families}}:
            self.warned.setdefault(name, _normal(name, now - silence - 1, None))
        told: list[Reading] = []
        for name, warning in self.warned.items():
            if now - warning.came_ms > silence:
                self.warned[name] = _normal(name, now, warning.balance)
                told.append(self.warned[name])
        return told

    # --- the account's ---

    async def positions(self) -> Answer:
        listed = await self.api.fetch_positions()
        when = When(self.now_ms(), self.venue.cadence.indicator_ms)
        open_ = [row for row in listed if row.get("contracts")]
        answer = each(open_, lambda row: self._position(row, when))
        names = [r.name for r in answer.readings if isinstance(r, Position)]
        self.families.clear()
        self.families.update("-".join(name.split("-")[:2]) for name in names)
        return answer._replace(of_ms=None)

    def _position(self, row: Mapping[str, Any], when: When) -> Iterator[Reading]:
        held = position("okx", row, self.api.market(row["symbol"]), WORDS, when)
        yield held
        yield indicator(held, row["info"], "adl", when)

    async def wallets(self) -> Answer:
        answer = await self.api.fetch_balance()
        came = self.now_ms()
        coins = [coin for row in rows(answer["info"], "data") for coin in rows(row, "details")]
        return each(coins, lambda row: self._wallet(row, came), "ccy")._replace(of_ms=None)

    def _wallet(self, row: Any, came: int) -> Iterator[Reading]:
        yield Wallet(
            venue="okx",
            name=text(row, "ccy"),
            of_ms=came,
            came_ms=came,
            cadence_ms=self.venue.cadence.indicator_ms,
            balance=number(row, "cashBal"),
        )

    async def fills(self) -> Answer:
        answer = await self.api.privateGetAccountBills({"type": "9"})
        return each(rows(answer, "data"), self._fill, "instId")._replace(of_ms=None)

    def _fill(self, row: Any) -> Iterator[Reading]:
        side = ADL_BILLS.get(text(row, "subType"))
        if side is not None:
            yield Fill(
                venue="okx",
                name=text(row, "instId"),
                of_ms=time_ms(row, "ts"),
                came_ms=self.now_ms(),
                cadence_ms=self.venue.cadence.fill_ms,
                fill=text(row, "billId"),
                side="long" if side == "long" else "short",
                quantity=abs(number(row, "sz")),
                price=optional(row, "px"),
            )


def _normal(name: str, now_ms: int, balance: Any) -> Warned:
    return Warned(
        venue="okx",
        name=name,
        of_ms=now_ms,
        came_ms=now_ms,
        cadence_ms=NORMAL_MS,
        state="normal",
        balance=balance,
    )
