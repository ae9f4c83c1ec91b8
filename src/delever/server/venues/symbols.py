"""How a contract is spelled at each venue.

A contract's own name is taken to be `BASEQUOTE`, with any of `-`, `_` and `/` between, and with
`PERP` or `SWAP` behind it; a venue whose names say less configures the rest (`[contracts.NAME]`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from delever.config import Spelling
from delever.core.messages import ContractKind, DefineContract

_SPLIT = re.compile(r"[-_/:]")
_SUFFIXES = ("PERP", "SWAP")
QUOTES = ("USDT", "USDC", "USD")


@dataclass(frozen=True, slots=True)
class Instrument:
    """A contract with its two assets and its names elsewhere."""

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


def instrument(definition: DefineContract, spelling: Spelling) -> Instrument:
    """Return how a contract is spelled; what the configuration leaves out follows from its name."""
    linear = definition.kind is ContractKind.LINEAR
    base, quote = _assets(definition, linear=linear)
    base, quote = spelling.base or base, spelling.quote or quote
    plain = f"{base}{quote}"
    return Instrument(
        contract=definition.contract,
        linear=linear,
        base=base,
        quote=quote,
        settle=definition.settle,
        binance=spelling.binance or (plain if linear else f"{plain}_PERP"),
        bybit=spelling.bybit or (f"{base}PERP" if linear and quote == "USDC" else plain),
        okx=spelling.okx or f"{base}-{quote}-SWAP",
    )


def _assets(definition: DefineContract, *, linear: bool) -> tuple[str, str]:
    """Return base and quote out of a contract's name."""
    parts = [part for part in _SPLIT.split(definition.contract.upper()) if part not in _SUFFIXES]
    if len(parts) > 1:
        return parts[0], parts[1]
    name = parts[0] if parts else definition.contract.upper()
    quotes = (definition.settle.upper(), *QUOTES) if linear else QUOTES
    for quote in quotes:
        if name.endswith(quote) and len(name) > len(quote):
            return name.removesuffix(quote), quote
    return (name, definition.settle) if linear else (definition.settle, "USD")


class Names:
    """All contracts of a market, found by any of their spellings."""

    def __init__(
        self, definitions: Iterable[DefineContract], spellings: Mapping[str, Spelling]
    ) -> None:
        none = Spelling()
        self.all = tuple(
            instrument(each, spellings.get(each.contract, none)) for each in definitions
        )
        self.by_contract = {each.contract: each for each in self.all}
        self.by_binance = {each.binance: each for each in self.all}
        self.by_bybit = {each.bybit: each for each in self.all}
        self.by_okx = {each.okx: each for each in self.all}
