"""Every source of every venue with every kind of wrong answer: a named failure, and recovery.

A wrong answer must be a failure or leave values that become stale; it must never look like an
account without positions.
"""

import asyncio
import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import answer_samples as samples
import onchain_samples
import pytest
from answer_samples import SERVER_MS
from stub_server import Answer, Stub, stubbed

from delever.watch.market_data.errors import SourceFailure
from delever.watch.market_data.observations import Observation
from delever.watch.poller import VenuePoller
from delever.watch.screen.view import WatchView
from delever.watch.settings import parse
from delever.watch.store import WatchStore
from delever.watch.venues import ADAPTERS
from delever.watch.watch_loop import Watch
from sources import report

UNCHANGED = ("/time", "exchangeInfo", "instruments", "leverageBracket", "query-api", "account/info")
"""Paths with right answers throughout: requests that ccxt makes on its own."""

SKEWED = {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
REVOKED = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
ENVELOPES = {"-1021": ({"retCode": 10002}, {"code": "50102"})}
ENVELOPES |= {"-2015": ({"retCode": 10003}, {"code": "50111"})}


def of_venue(path: str, binance: Any, bybit: Any, okx: Any) -> Any:
    return bybit if path.startswith("/v5") else okx if path.startswith("/api") else binance


def error_answer(code: str, status: int) -> Callable[[str, Answer], Answer]:
    """Return a function that answers with each venue's error code; Bybit's with HTTP 200."""
    bybit, okx = ENVELOPES[code]
    rest = {"retMsg": "no", "result": {}, "time": SERVER_MS}, {"msg": "no", "data": []}

    def answer(path: str, _: Answer) -> Answer:
        binance = {"code": int(code), "msg": "no"}
        body = of_venue(path, binance, bybit | rest[0], okx | rest[1])
        return (of_venue(path, status, 200, 401), {}, body)

    return answer


def without(path: str, _: Answer) -> Answer:
    """Return a well-formed answer without any data."""
    empty = {"code": "0", "msg": ""}
    return (200, {}, of_venue(path, {}, samples.enveloped({}), empty))


def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[str, Answer], Answer]:
    """Return a function that changes every innermost row of an answer."""

    def change_rows(_: str, answer: Answer) -> Answer:
        body = copy.deepcopy(answer[2])
        for row in innermost(body):
            change(row)
        return (200, {}, body)

    return change_rows


def innermost(body: Any) -> list[dict[str, Any]]:
    """Return the rows of an answer: dictionaries without other rows."""
    children = body.values() if isinstance(body, dict) else body if isinstance(body, list) else []
    found = [row for child in children for row in innermost(child)]
    return [body] if isinstance(body, dict) and not found else found


FIELDS = ("adlRisk", "updateTime", "marginBalance", "markPrice", "crossWalletBalance", "BOTH")
FIELDS += ("LONG", "SHORT", "executedQty", "pnlRatio", "balance", "avgPrice", "walletBalance")
FIELDS += ("execQty", "markPx", "cashBal", "sz", "szi", "oraclePrice", "size", "accountValue")
"""A field of every source; each must be present and valid."""


def drop(row: dict[str, Any]) -> None:
    for name in FIELDS:
        row.pop(name, None)


def nonsense(row: dict[str, Any]) -> None:
    row.update({name: ["?"] for name in FIELDS if name in row})


Break = Callable[[str, Answer], Answer]
BREAKS: dict[str, tuple[Break, set[str]]] = {
    "no rows": (without, {"malformed"}),
    "a field is missing": (changed(drop), {"malformed"}),
    "a number is a list": (changed(nonsense), {"malformed"}),
    "truncated": (lambda _, answer: (200, {}, str(answer[2])[:20]), {"malformed"}),
    "HTML": (lambda _, __: (200, {}, "<html>maintenance</html>"), {"malformed"}),
    "HTTP 500": (lambda _, __: (500, {}, {"code": -1000, "msg": "error"}), {"unreachable"}),
    "HTTP 502": (lambda _, __: (502, {}, "<html>bad gateway</html>"), {"unreachable"}),
    "HTTP 429": (lambda _, __: (429, {"retry-after": "7"}, {}), {"rate_limited"}),
    "HTTP 418": (lambda _, __: (418, {"retry-after": "90"}, {}), {"banned"}),
    "clock": (error_answer("-1021", 400), {"clock_skewed"}),
    "revoked": (error_answer("-2015", 401), {"key_refused"}),
}


KEY_ERRORS = ("clock", "revoked")
ADDRESSES = {"hyperliquid": onchain_samples.ADDRESS, "dydx": onchain_samples.DYDX_ADDRESS}


class PolledVenue:
    """One venue, polled as by the loop, by a clock that advances a minute each time."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.now = name, SERVER_MS + 1_000
        key = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET"}
        key |= {"passphrase_env": "WATCH_SECRET"} if name == "okx" else {}
        key = {"address": ADDRESSES[name]} if name in ADDRESSES else key
        raw = {"venue": name, "base_url": url, "families": ["BTC-USDT"], **key}
        (venue,) = parse({"venues": [raw]}).venues
        self.adapter = ADAPTERS[name](venue, lambda: self.now)
        self.adapter.close.__self__.enableRateLimit = False  # type: ignore[attr-defined]
        self.observations: list[Observation] = []
        self.poller = VenuePoller(self.adapter, lambda: self.now, self._store)

    def _store(
        self, read: Sequence[Observation], complete: tuple[type[Observation], ...] = ()
    ) -> None:
        del complete
        self.observations += read

    async def poll(self) -> dict[str, SourceFailure]:
        """Poll each source once; return the failures by source."""
        self.now += 60_000
        self.observations.clear()
        for source in self.adapter.sources:
            await self.poller._poll(source)
        return {failure.source: failure for failure in self.poller.failures}


def problems(
    venue: PolledVenue, breakage: str, kinds: set[str], failures: dict[str, SourceFailure]
) -> list[str]:
    """Return the differences from the expected failures after a wrong answer to everything."""
    found = []
    for source in venue.adapter.sources:
        failure = failures.get(source.name)
        where = f"{venue.name} {source.name}, {breakage}"
        if failure is None:
            found.append(f"{where}: no failure")
        elif failure.kind not in kinds:
            found.append(f"{where}: {failure.kind} ({failure.text})")
        elif failure.retry_ms <= venue.now:
            found.append(f"{where}: no later retry")
    return found


async def all_broken(stub: Stub) -> list[str]:
    venues = [PolledVenue(name, stub.url) for name in ADAPTERS]
    right, found = dict(stub.answers), []
    for breakage, (corrupt, kinds) in {"": (None, set()), **BREAKS}.items():
        if corrupt is not None:
            paths = [path for path in right if not any(name in path for name in UNCHANGED)]
            stub.answers |= {path: corrupt(path, right[path]) for path in paths}
            keyless = ADDRESSES if breakage in KEY_ERRORS else {}
            for venue in (venue for venue in venues if venue.name not in keyless):
                found += problems(venue, breakage, kinds, await venue.poll())
        stub.answers = dict(right)
        for venue in venues:
            failures = await venue.poll()
            found += [
                f"{venue.name} after {breakage}: {f.source} {f.text}" for f in failures.values()
            ]
            found += (
                [] if venue.observations else [f"{venue.name} after {breakage}: no observation"]
            )
    for venue in venues:
        await venue.adapter.close()
    return found


def test_every_wrong_answer_is_a_failure_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCH_KEY", "key")
    monkeypatch.setenv("WATCH_SECRET", "secret")
    with stubbed() as stub:
        for answer in (samples.binance, samples.binance_coin, samples.bybit, samples.okx):
            answer(stub)
        for answer in (onchain_samples.hyperliquid, onchain_samples.dydx):
            answer(stub)
        report(asyncio.run(all_broken(stub)))


# --- stale values ---


class Watching:
    """A watch of Binance that is polled by hand, on a clock turned by hand."""

    def __init__(self, stub: Stub, folder: Path) -> None:
        self.now = SERVER_MS + 1_000
        key = {"key_env": "WATCH_KEY", "secret_env": "WATCH_SECRET"}
        rules = [{"when": "stale", "name": "old", "after_min": 0}]
        venues = [{"venue": "binance", "base_url": stub.url, **key}]
        settings = parse({"venues": venues, "rules": rules})
        adapter = ADAPTERS["binance"](settings.venues[0], lambda: self.now)
        self.watch = Watch(settings, [adapter], WatchStore(folder / "w.db"), lambda: self.now)

    async def view(self, *, after_ms: int) -> WatchView:
        self.now += after_ms
        (poller,) = self.watch._pollers
        for source in poller.adapter.sources:
            if source.name in {"positions and indicators", "symbol risk", "insurance pools"}:
                await poller._poll(source)
        self.watch.tick()
        return self.watch.view()


async def a_row_stays_malformed(stub: Stub, folder: Path) -> None:
    watching = Watching(stub, folder)
    view = await watching.view(after_ms=0)
    assert [p.stale for p in view.positions] == [False, False, False]
    malformed = [dict(row) for row in samples.POSITIONS]
    del malformed[0]["markPrice"]
    stub.set_answer("/fapi/v3/positionRisk", malformed)
    view = await watching.view(after_ms=30_000)
    assert [p.stale for p in view.positions] == [False, False, False]  # not yet stale
    assert "ADAUSDT" in view.failures[0].text or "markPrice" in view.failures[0].text
    view = await watching.view(after_ms=36_000)
    assert {p.position.name: p.stale for p in view.positions} == {
        "ADAUSDT": True, "BTCUSDT": False, "ETHUSDT": False,
    }  # fmt: skip
    states = {c.status.contract: c.status.state for c in view.contracts}
    assert states["ADAUSDT"] == "stale"
    subjects = {alert.subject for alert in view.alerts}
    assert subjects == {"binance position ADAUSDT long", "binance indicator ADAUSDT long"}
    stub.set_answer("/fapi/v3/positionRisk", samples.POSITIONS)
    view = await watching.view(after_ms=1_000)
    assert not view.alerts
    assert not view.failures
    for adapter in (poller.adapter for poller in watching.watch._pollers):
        await adapter.close()


async def answers_become_empty(stub: Stub, folder: Path) -> None:
    """An account may have no positions, but a venue without contracts is not believed."""
    watching = Watching(stub, folder)
    await watching.view(after_ms=0)
    for path in ("/fapi/v1/symbolAdlRisk", "/fapi/v1/insuranceBalance", "/fapi/v3/positionRisk"):
        stub.set_answer(path, [])
    view = await watching.view(after_ms=3_700_000)
    assert view.positions == ()
    assert {alert.subject for alert in view.alerts} == {"binance risk", "binance pool"}
    assert {p.stale for p in view.pools} == {True}
    for adapter in (poller.adapter for poller in watching.watch._pollers):
        await adapter.close()


@pytest.mark.parametrize("scenario", [a_row_stays_malformed, answers_become_empty])
def test_values_without_updates_become_stale_and_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Callable[[Stub, Path], Any]
) -> None:
    monkeypatch.setenv("WATCH_KEY", "key")
    monkeypatch.setenv("WATCH_SECRET", "secret")
    with stubbed() as stub:
        samples.binance(stub)
        asyncio.run(scenario(stub, tmp_path))
