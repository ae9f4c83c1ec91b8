"""The symbol of a contract at each venue, and what a settle asset is worth in dollars.

A contract's own name is read as `BASEQUOTE`, with any of `-`, `_` and `/` between, and with `PERP`
or `SWAP` behind it; the configuration (`[contracts.NAME]`) states what a name does not.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from delever.config import ContractSymbols
from delever.core.messages import ContractKind, DefineContract
from delever.server.engine.market_snapshot import MarketSnapshot

_SPLIT = re.compile(r"[-_/:]")
_SUFFIXES = ("PERP", "SWAP")
QUOTES = ("USDT", "USDC", "USD")
"""Quote assets that a name may end with; each is worth one dollar."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """A contract with its base, quote and settle assets and its symbol at each venue."""

    contract: str
    linear: bool
    base: str
    quote: str
    settle: str
    binance: str
    bybit: str
    okx: str

    @property
    def okx_family(self) -> str:
        """OKX's instrument family, such as BTC-USDT."""
        return f"{self.base}-{self.quote}"


def instrument(definition: DefineContract, symbols: ContractSymbols) -> Instrument:
    """Return a contract's symbols; the ones not configured are derived from its name."""
    linear = definition.kind is ContractKind.LINEAR
    base, quote = _assets(definition, linear=linear)
    base, quote = symbols.base or base, symbols.quote or quote
    plain = f"{base}{quote}"
    return Instrument(
        contract=definition.contract,
        linear=linear,
        base=base,
        quote=quote,
        settle=definition.settle,
        binance=symbols.binance or (plain if linear else f"{plain}_PERP"),
        bybit=symbols.bybit or (f"{base}PERP" if linear and quote == "USDC" else plain),
        okx=symbols.okx or f"{base}-{quote}-SWAP",
    )


def _assets(definition: DefineContract, *, linear: bool) -> tuple[str, str]:
    """Return the base and quote assets in a contract's name."""
    parts = [part for part in _SPLIT.split(definition.contract.upper()) if part not in _SUFFIXES]
    if len(parts) > 1:
        return parts[0], parts[1]
    name = parts[0] if parts else definition.contract.upper()
    quotes = (definition.settle.upper(), *QUOTES) if linear else QUOTES
    for quote in quotes:
        if name.endswith(quote) and len(name) > len(quote):
            return name.removesuffix(quote), quote
    return (name, definition.settle) if linear else (definition.settle, "USD")


class SymbolCollision(NamedTuple):
    """Two contracts with one symbol at a venue: the API of the venue could name only one."""

    venue: str
    symbol: str
    contract: str


def collision_of(
    definition: DefineContract,
    others: Iterable[DefineContract],
    configured: Mapping[str, ContractSymbols],
) -> SymbolCollision | None:
    """Return the first other contract that has one of a contract's symbols, or None."""
    default = ContractSymbols()

    def symbols(contract: DefineContract) -> tuple[tuple[str, str], ...]:
        listed = instrument(contract, configured.get(contract.contract, default))
        return ("binance", listed.binance), ("bybit", listed.bybit), ("okx", listed.okx)

    own = set(symbols(definition))
    for other in others:
        if other.contract != definition.contract:
            for venue, symbol in symbols(other):
                if (venue, symbol) in own:
                    return SymbolCollision(venue, symbol, other.contract)
    return None


class SymbolMap:
    """All contracts of a market, indexed by their own name and by each venue's symbol."""

    def __init__(
        self, definitions: Iterable[DefineContract], configured: Mapping[str, ContractSymbols]
    ) -> None:
        default = ContractSymbols()
        self.all = tuple(
            instrument(definition, configured.get(definition.contract, default))
            for definition in definitions
        )
        self.by_contract = {listed.contract: listed for listed in self.all}
        self.by_binance = {listed.binance: listed for listed in self.all}
        self.by_bybit = {listed.bybit: listed for listed in self.all}
        self.by_okx = {listed.okx: listed for listed in self.all}


class SymbolMapCache:
    """The symbol map of the newest market snapshot, rebuilt when a contract is added."""

    def __init__(self, configured: Mapping[str, ContractSymbols]) -> None:
        self._configured = configured
        self._symbols = SymbolMap((), configured)

    def of(self, snapshot: MarketSnapshot) -> SymbolMap:
        """Return the symbol map of a snapshot's contracts."""
        if len(self._symbols.all) != len(snapshot.contracts):
            definitions = [contract.definition for contract in snapshot.contracts.values()]
            self._symbols = SymbolMap(definitions, self._configured)
        return self._symbols


def usd_price(snapshot: MarketSnapshot, symbols: SymbolMap, asset: str) -> tuple[int, int] | None:
    """Return one unit of an asset in dollars as (mantissa, decimals), by a mark, or None."""
    if asset in QUOTES:
        return 1, 0
    for listed in symbols.all:
        contract = snapshot.contracts[listed.contract]
        if listed.base == asset and listed.quote in QUOTES and contract.mark_ticks:
            return contract.terms.decimal_of(contract.mark_ticks)
    return None
