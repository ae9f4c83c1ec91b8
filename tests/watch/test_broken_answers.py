"""Every source of every venue, answered wrongly in every way: a named state each time, and back.

A wrong answer must be seen as a fault, or leave numbers that grow old; it must never look like
good news, such as an account without positions.
"""

import asyncio
import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import samples
from samples import SERVER_MS
from stub import Answer, Stub, stubbed

from delever.watch.asking import Asking
from delever.watch.faults import Fault
from delever.watch.reading import Reading
from delever.watch.run import Watch
from delever.watch.settings import parse
from delever.watch.store import Store
from delever.watch.venues import MAKERS
from delever.watch.view import View
from sources import report

KEPT = ("/time", "exchangeInfo", "instruments", "leverageBracket", "query-api", "account/info")
"""Paths that are right all the time: what ccxt asks for by itself."""

SKEWED = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
REVOKED = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
ENVELOPES = {"-1021": ({"retCode": 10002}, {"code": "50102"})}
ENVELOPES |= {"-2015": ({"retCode": 10003}, {"code": "50111"})}


def of_venue(path: str, binance: Any, bybit: Any, okx: Any) -> Any:
    return bybit if path.startswith("/v5") else okx if path.startswith("/api") else binance


def refused(code: str, status: int) -> Callable[[str, Answer], Answer]:
    """Return what refuses in each venue's own words; Bybit does so in HTTP 200."""
    bybit, okx = ENVELOPES[code]
    told = {"retMsg": "no", "result": {}, "time": SERVER_MS}, {"msg": "no", "data": []}

    def refuse(path: str, _: Answer) -> Answer:
        binance = {"code": int(code), "msg": "no"}
        body = of_venue(path, binance, bybit | told[0], okx | told[1])
        return (of_venue(path, status, 200, 401), {}, body)

    return refuse


def without(path: str, _: Answer) -> Answer:
    """Return an answer that is well formed and holds nothing that was asked for."""
    empty = {"code": "0", "msg": ""}
    return (200, {}, of_venue(path, {}, samples.enveloped({}), empty))


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[str, Answer], Answer]:
    """Return what changes every innermost row of an answer."""

    def spoil(_: str, told: Answer) -> Answer:
        body = copy.deepcopy(told[2])
        for row in innermost(body):
            change(row)
        return (200, {}, body)

    return spoil


def innermost(body: Any) -> list[dict[str, Any]]:
    """Return the rows of an answer: the dictionaries that hold no other rows."""
    inside = body.values() if isinstance(body, dict) else body if isinstance(body, list) else []
    found = [row for each in inside for row in innermost(each)]
    return [body] if isinstance(body, dict) and not found else found


NUMBERS = ("adlRisk", "updateTime", "marginBalance", "markPrice", "crossWalletBalance", "BOTH")
NUMBERS += ("LONG", "SHORT", "executedQty", "pnlRatio", "balance", "avgPrice", "walletBalance")
NUMBERS += ("execQty", "markPx", "cashBal", "sz")
"""A field of every source, whose absence or nonsense must be told."""


def drop(row: dict[str, Any]) -> None:
    for name in NUMBERS:
        row.pop(name, None)


def nonsense(row: dict[str, Any]) -> None:
    row.update({name: ["?"] for name in NUMBERS if name in row})


Break = Callable[[str, Answer], Answer]
BREAKS: dict[str, tuple[Break, set[str]]] = {
    "no rows": (without, {"malformed"}),
    "a field is missing": (changed(drop), {"malformed"}),
    "a number is a list": (changed(nonsense), {"malformed"}),
    "truncated": (lambda _, told: (200, {}, str(told[2])[:20]), {"malformed"}),
    "HTML": (lambda _, __: (200, {}, "<html>maintenance</html>"), {"malformed"}),
    "HTTP 500": (lambda _, __: (500, {}, {"code": -1000, "msg": "error"}), {"unreachable"}),
    "HTTP 502": (lambda _, __: (502, {}, "<html>bad gateway</html>"), {"unreachable"}),
    "HTTP 429": (lambda _, __: (429, {"retry-after": "7"}, {}), {"rate_limited"}),
    "HTTP 418": (lambda _, __: (418, {"retry-after": "90"}, {}), {"banned"}),
    "clock": (refused("-1021", 400), {"clock_is_skewed"}),
    "revoked": (refused("-2015", 401), {"key_is_refused"}),
}


class Asked:
    """One venue, asked as the loop does, by a clock that goes a minute each time."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.now = name, SERVER_MS + 1_000
        key = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET"}
        key |= {"passphrase_env": "WATCH_SECRET"} if name == "okx" else {}
        raw = {"venue": name, "base_url": url, "families": ["BTC-USDT"], **key}
        (venue,) = parse({"venues": [raw]}).venues
        self.adapter = MAKERS[name](venue, lambda: self.now)
        self.adapter.close.__self__.enableRateLimit = False  # type: ignore[attr-defined]
        self.readings: list[Reading] = []
        self.asking = Asking(self.adapter, lambda: self.now, self._take)

    def _take(self, read: Sequence[Reading], whole: tuple[type[Reading], ...] = ()) -> None:
        del whole
        self.readings += read

    async def ask(self) -> dict[str, Fault]:
        """Return the faults by source after asking each source once, and keep what was read."""
        self.now += 60_000
        self.readings.clear()
        for source in self.adapter.sources:
            await self.asking._ask(source)
        return {fault.source: fault for fault in self.asking.faults}


def wrong(venue: Asked, breakage: str, kinds: set[str], faults: dict[str, Fault]) -> list[str]:
    """Return what is not as it should be after a wrong answer to everything."""
    found = []
    for source in venue.adapter.sources:
        fault = faults.get(source.name)
        where = f"{venue.name} {source.name}, {breakage}"
        if fault is None:
            found.append(f"{where}: nobody has seen it")
        elif fault.kind not in kinds:
            found.append(f"{where}: {fault.kind} ({fault.text})")
        elif fault.retry_ms <= venue.now:
            found.append(f"{where}: is not tried again later")
    return found


async def all_broken(stub: Stub) -> list[str]:
    venues = [Asked(name, stub.url) for name in MAKERS]
    right, found = dict(stub.answers), []
    for breakage, (spoil, kinds) in {"": (None, set()), **BREAKS}.items():
        if spoil is not None:
            paths = [path for path in right if not any(name in path for name in KEPT)]
            stub.answers |= {path: spoil(path, right[path]) for path in paths}
            for venue in venues:
                found += wrong(venue, breakage, kinds, await venue.ask())
        stub.answers = dict(right)
        for venue in venues:
            faults = await venue.ask()
            found += [
                f"{venue.name} after {breakage}: {f.source} {f.text}" for f in faults.values()
            ]
            found += [] if venue.readings else [f"{venue.name} after {breakage}: nothing is read"]
    for venue in venues:
        await venue.adapter.close()
    return found


def test_no_wrong_answer_goes_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_KEY", "key")
    monkeypatch.setenv("WATCH_SECRET", "secret")
    with stubbed() as stub:
        for answer in (samples.binance, samples.binance_coin, samples.bybit, samples.okx):
            answer(stub)
        report(asyncio.run(all_broken(stub)))


# --- what becomes of numbers that do not come ---


class Watching:
    """A watch of Binance that is asked and looked at by hand, on a clock turned by hand."""

    def __init__(self, stub: Stub, folder: Path) -> None:
        self.now = SERVER_MS + 1_000
        key = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET"}
        rules = [{"when": "stale", "name": "old", "after_min": 0}]
        venues = [{"venue": "binance", "base_url": stub.url, **key}]
        settings = parse({"venues": venues, "rules": rules})
        adapter = MAKERS["binance"](settings.venues[0], lambda: self.now)
        self.watch = Watch(settings, [adapter], Store(folder / "w.db"), lambda: self.now)

    async def look(self, *, after_ms: int) -> View:
        self.now += after_ms
        (asking,) = self.watch._askings
        for source in asking.adapter.sources:
            if source.name in {"positions and indicators", "symbol risk", "insurance pools"}:
                await asking._ask(source)
        self.watch.tick()
        return self.watch.view()


async def row_stays_malformed(stub: Stub, folder: Path) -> None:
    watching = Watching(stub, folder)
    view = await watching.look(after_ms=0)
    assert [p.stale for p in view.positions] == [False, False, False]
    spoilt = [dict(row) for row in samples.POSITIONS]
    del spoilt[0]["markPrice"]
    stub.say("/fapi/v3/positionRisk", spoilt)
    view = await watching.look(after_ms=30_000)
    assert [p.stale for p in view.positions] == [False, False, False]  # the last known holds yet
    assert "ADAUSDT" in view.faults[0].text or "markPrice" in view.faults[0].text
    view = await watching.look(after_ms=36_000)
    assert {p.position.name: p.stale for p in view.positions} == {
        "ADAUSDT": True, "BTCUSDT": False, "ETHUSDT": False,
    }  # fmt: skip
    states = {c.situation.contract: c.situation.state for c in view.contracts}
    assert states["ADAUSDT"] == "stale"
    told = {alert.about for alert in view.alerts}
    assert told == {"binance position ADAUSDT long", "binance indicator ADAUSDT long"}
    stub.say("/fapi/v3/positionRisk", samples.POSITIONS)
    view = await watching.look(after_ms=1_000)
    assert not view.alerts
    assert not view.faults
    for adapter in (asking.adapter for asking in watching.watch._askings):
        await adapter.close()


async def nothing_is_told(stub: Stub, folder: Path) -> None:
    """An account that holds nothing holds nothing; a venue without contracts is not believed."""
    watching = Watching(stub, folder)
    await watching.look(after_ms=0)
    for path in ("/fapi/v1/symbolAdlRisk", "/fapi/v1/insuranceBalance", "/fapi/v3/positionRisk"):
        stub.say(path, [])
    view = await watching.look(after_ms=3_700_000)
    assert view.positions == ()
    assert {alert.about for alert in view.alerts} == {"binance risk", "binance pool"}
    assert {p.stale for p in view.pools} == {True}
    for adapter in (asking.adapter for asking in watching.watch._askings):
        await adapter.close()


@pytest.mark.parametrize("story", [row_stays_malformed, nothing_is_told])
def test_a_number_that_does_not_come_grows_old_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, story: Callable[[Stub, Path], Any]
) -> None:
    monkeypatch.setenv("WATCH_KEY", "key")
    monkeypatch.setenv("WATCH_SECRET", "secret")
    with stubbed() as stub:
        samples.binance(stub)
        asyncio.run(story(stub, tmp_path))
