"""What the book holds, looking it up, and the hash of what has changed in it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from delever.core import messages as m
from delever.core.columns import Accounts
from delever.core.holdings import AssetState, Borne, ContractState, PoolState
from delever.core.messages import Side  # noqa: TC001

DEFAULT_CASH_DECIMALS = 8

_encoder = msgspec.msgpack.Encoder()


class BookState:
    """What a book holds. Only `Book.apply` changes it."""

    def __init__(self) -> None:
        self.sequence = 0
        self.time_ms = 0
        self.accounts = Accounts()
        self.assets: dict[str, AssetState] = {}
        self.contracts: dict[str, ContractState] = {}
        self.pools: dict[str, PoolState] = {}
        self.open_orders: dict[tuple[str, str], tuple[str, ...]] = {}
        self.outstanding: dict[int, m.AdlFilled] = {}
        self.losses: dict[str, list[Borne]] = {}
        self.last_fill = 0
        self.last_takeover = 0
        self.lights: m.LightsRefreshed | None = None
        self.managed = False
        self.unobserved: set[str] = set()
        self.shown: dict[str, Any] = {}
        self._engaged: dict[str, ContractState] = {}
        self._fills_of: dict[str, list[int]] = {}
        self._changed: dict[str, ContractState | PoolState] = {}
        self._changed_lanes: set[tuple[str, Side]] = set()

    def asset(self, name: str) -> AssetState:
        """Return a settle asset that is in use."""
        return self.assets[name]

    def cash_decimals(self, asset: str) -> int:
        """Return the decimals of an asset's smallest unit: 8 where it was never defined."""
        state = self.assets.get(asset)
        return DEFAULT_CASH_DECIMALS if state is None else state.cash_decimals

    def pool_of(self, state: ContractState) -> PoolState:
        """Return the pool that stands behind a contract."""
        return self.pools[state.pool]

    def asset_of(self, state: ContractState) -> AssetState:
        """Return the asset that a contract settles in."""
        return self.asset(state.terms.settle)

    def members(self, pool: PoolState) -> list[ContractState]:
        """Return the contracts behind which a pool stands, in order of definition."""
        return [state for state in self.contracts.values() if state.pool == pool.name]

    def engaged(self) -> list[ContractState]:
        """Return the contracts that keep their pools busy, in order of definition."""
        if not self._engaged:
            return []
        return sorted(self._engaged.values(), key=lambda state: state.number)

    def outstanding_of(self, account: str) -> list[m.AdlFilled]:
        """Return the account's fills that the venue's numbers may not include yet, oldest first."""
        return [self.outstanding[fill] for fill in self._fills_of.get(account, ())]

    def with_outstanding(self) -> set[str]:
        """Return the accounts with fills or losses that the venue's numbers may not include yet."""
        return {name for name, fills in self._fills_of.items() if fills} | self.losses.keys()

    def remember(self, shown: Mapping[str, object]) -> None:
        """Keep what was last shown of contracts, so that what has not changed is not made again.

        It follows from the rest, and is no part of what the book is.
        """
        self.shown.update(shown)

    def take_changes(self) -> bytes:
        """Return all that changed since the last call in one canonical form, and forget it."""
        rows: list[tuple[str, Any]] = [
            (key, self._changed[key].scalars()) for key in sorted(self._changed)
        ]
        rows += [(name, self.assets[name].wallets.take_changes()) for name in sorted(self.assets)]
        for name, side in sorted(self._changed_lanes):
            rows.append((name + " " + side, self.contracts[name].take_changes(side)))
        self._changed.clear()
        self._changed_lanes.clear()
        return _encoder.encode([row for row in rows if row[1]])
