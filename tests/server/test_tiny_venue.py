"""The venue of examples/tiny_venue.py and a live server, over an unreliable network.

Commands are delayed, sent twice, overtake each other, and answers get lost; records are read late
and again. In the end both must hold the same book, to the last unit, and no money may be missing.
"""

import asyncio
import random
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from live_server import live_server

import delever
from delever.config import Config, Role
from delever.core.book import Book
from delever.core.book.pool_state import HeldCollateral
from delever.core.messages import Side
from delever.core.valuation.insurance import pool_equity
from delever.core.valuation.multi_asset import collateral_pnl
from delever.journal import Recorder, verify
from delever.lab.policies.plans.live.plan_verification import verify_plans
from delever.lab.policies.plans.live.plan_worker import PlanWorker
from delever.server.transport.api_keys import ApiKey
from waiting import PATIENCE_S

sys.path.append(str(Path(__file__).parents[2] / "examples"))
import tiny_venue
from tiny_venue import CONTRACT, POOL, SEED_MONEY, Account, Link, Venue, opened_market, session

SECRET = "tiny-venue-secret"
ROLES = frozenset({Role.READ, Role.INGEST, Role.OPERATE})
SESSIONS = 8
TURNS = 60


class Network:
    """Loses, repeats and delays messages at random, repeatable by its seed."""

    def __init__(self, client: httpx2.AsyncClient, seed: int) -> None:
        self._client = client
        self._rng = random.Random(seed)
        self.lost = 0
        self.answered: list[tuple[str, int]] = []
        self._repeats: list[asyncio.Task[None]] = []

    async def post(self, command: dict[str, Any]) -> httpx2.Response:
        await asyncio.sleep(self._rng.random() * 0.01)
        if self._rng.random() < 0.25:
            late_s = self._rng.random() * 0.08
            self._repeats.append(asyncio.create_task(self._again(command, late_s)))
        answer = await self._client.post("/v1/commands", json=command)
        self.answered.append((command["id"], sequence_of(answer)))
        if self._rng.random() < 0.1:
            self.lost += 1
            raise httpx2.ReadTimeout("the answer was lost")
        return answer

    async def _again(self, command: dict[str, Any], late_s: float) -> None:
        await asyncio.sleep(late_s)
        answer = await self._client.post("/v1/commands", json=command)
        self.answered.append((command["id"], sequence_of(answer)))

    async def quiet(self) -> int:
        """Wait for messages in flight; return the number of repetitions."""
        await asyncio.gather(*self._repeats)
        return len(self._repeats)


class LateLink(Link):
    """Reads records late, and some of them twice."""

    def __init__(self, client: httpx2.AsyncClient, network: Network, seed: int) -> None:
        super().__init__(client, network.post)
        self._rng = random.Random(seed)

    async def records(self, after: int) -> tuple[list[dict[str, Any]], int]:
        await asyncio.sleep(self._rng.random() * 0.01)
        return await super().records(max(after - self._rng.randrange(8), 0))


def sequence_of(answer: httpx2.Response) -> int:
    said = answer.json()
    return int(said.get("sequence") or said["error"]["sequence"])


def served_from(path: Path) -> Config:
    return msgspec.convert({"journal": {"path": str(path)}}, Config)


def client_of(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer engine.{SECRET}"}, timeout=PATIENCE_S
    )


def held(book: Book, account: Account) -> tuple[int, int, int, int]:
    """Return wallet, coins, signed lots and cost of an account in the engine's book."""
    row, state = book.accounts.index[account.name], book.contracts[CONTRACT]
    wallet, coins = (
        int(book.asset(asset).wallets.balance[row]) for asset in (tiny_venue.ASSET, tiny_venue.COIN)
    )
    lots = cost = 0
    for side, table in state.tables.items():
        place = table.find(row, 0)
        if place is not None:
            lots += side.sign * int(table.lots[place])
            cost += int(table.cost[place])
    return wallet, coins, lots, cost


def check(venue: Venue, path: Path, money: tuple[int, int]) -> None:
    """Verify the journal, and compare the venue's accounts with its book."""
    assert verify(path).ok
    market = venue.market
    with Recorder.open(path) as recorder:
        book = recorder.book
        state = book.contracts[CONTRACT]
        for account in market.accounts.values():
            numbers = account.wallet, account.coins, account.lots, account.cost
            assert held(book, account) == numbers
        inventory = {side: held.total_lots for side, held in state.inventory.items()}
        assert inventory[Side.LONG] - inventory[Side.SHORT] == venue.inventory
        assert sum(account.lots for account in market.accounts.values()) == -venue.inventory
        assert not book.outstanding.fills
        pool = book.pools[POOL]
        collateral = pool.collateral.get(tiny_venue.COIN, HeldCollateral())
        assert collateral.amount == venue.fund_coins
        cash = sum(account.cash_equity(market.mark) for account in market.accounts.values())
        fund = pool_equity(book, pool) - collateral_pnl(book, pool) - collateral.cost
        assert cash + fund == money[0] + venue.proceeds
        coins = sum(account.coins for account in market.accounts.values())
        assert coins + venue.fund_coins + venue.sold_coins == money[1]


def money_of(venue: Venue) -> tuple[int, int]:
    """Return all money, with the fund's, and all coins of a venue that has not opened."""
    mark, accounts = venue.market.mark, venue.market.accounts.values()
    cash = SEED_MONEY + sum(each.cash_equity(mark) for each in accounts)
    return cash, sum(each.coins for each in accounts)


@pytest.mark.parametrize("seed", [1, 5, 7])
def test_venue_and_engine_agree_over_an_unreliable_network(tmp_path: Path, seed: int) -> None:
    async def play(url: str) -> tuple[Venue, Network, tuple[int, int]]:
        rng = random.Random(seed)
        async with client_of(url) as client:
            network = Network(client, seed)
            venue = Venue(opened_market(rng), LateLink(client, network, seed))
            money = money_of(venue)
            await session(venue, rng, TURNS)
            assert await network.quiet() > 20
            return venue, network, money

    path = tmp_path / "j.db"
    with live_server(served_from(path)) as server:
        server.service.keyring.add(ApiKey("engine", ROLES, (), SECRET.encode()))
        venue, network, money = asyncio.run(play(server.url))
    check(venue, path, money)
    assert network.lost > 5
    assert len(set(network.answered)) == len({name for name, _ in network.answered})
    in_turn = [sequence for _, sequence in sorted_by_number(network.answered)]
    assert in_turn != sorted(in_turn), "nothing overtook anything"
    kinds = {"taken_over", "adl_started", "adl_filled", "unwound", "contract_amended"}
    assert kinds | {"positions_closed", "contract_settled"} <= set(venue.event_types)
    assert {"collateral_taken_over", "collateral_converted"} <= set(venue.event_types)


def sorted_by_number(answered: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(set(answered), key=lambda each: int(each[0].rpartition("-")[2]))


def test_a_worker_makes_the_plans_of_the_rounds(tmp_path: Path) -> None:
    """The worker runs beside the venue; every accepted plan is proved again from the journal."""
    path, folder, ended = tmp_path / "j.db", tmp_path / "certificates", threading.Event()

    async def play(url: str) -> tuple[Venue, tuple[int, int]]:
        rng = random.Random(7)
        async with client_of(url) as client:
            venue = Venue(opened_market(rng), Link(client), plan_wait_ms=60_000)
            money = money_of(venue)
            await session(venue, rng, TURNS)
            return venue, money

    def work(url: str) -> None:
        shocks = [delever.Shock({CONTRACT: move}) for move in ("0.1", "0.3", "-0.1", "-0.3")]
        worker = PlanWorker(
            url,
            f"engine.{SECRET}",
            lambda _book: shocks,
            folder=folder,
            ties="pro_rata",
            slippage="0.01",
            log=lambda _line: None,
        )
        with worker:
            while not ended.wait(0.02):
                worker.make_plans()

    with live_server(served_from(path)) as server:
        server.service.keyring.add(ApiKey("engine", ROLES, (), SECRET.encode()))
        thread = threading.Thread(target=work, args=(server.url,))
        thread.start()
        try:
            venue, money = asyncio.run(play(server.url))
        finally:
            ended.set()
            thread.join()
    check(venue, path, money)
    plans = verify_plans(path, folder)
    assert plans.height == venue.event_types.count("plan_accepted") > 0
    assert set(plans["finding"]) == {""}


def test_a_fill_of_a_traded_position_is_cancelled_and_adl_runs_again(tmp_path: Path) -> None:
    """Whether a trade precedes its fill is a race: repeat sessions until one does."""

    async def play(url: str, seed: int) -> tuple[Venue, tuple[int, int]]:
        rng = random.Random(seed)
        async with client_of(url) as client:
            venue = Venue(opened_market(rng), Link(client))
            money = money_of(venue)
            await session(venue, rng, TURNS)
            return venue, money

    for seed in range(5, 5 + SESSIONS):
        path = tmp_path / f"{seed}.db"
        with live_server(served_from(path)) as server:
            server.service.keyring.add(ApiKey("engine", ROLES, (), SECRET.encode()))
            venue, money = asyncio.run(play(server.url, seed))
        check(venue, path, money)
        if venue.cancelled:
            break
    assert venue.cancelled
    assert venue.event_types.count("adl_filled") > venue.event_types.count("fill_cancelled") > 0
