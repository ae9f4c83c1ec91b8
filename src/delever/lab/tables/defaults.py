"""Tables of a book that may be missing, inferred from the others.

Contracts, pools, accounts and the isolated margins of positions.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction

from delever.core.book.book import DEFAULT_CASH_DECIMALS
from delever.core.units import format_scaled, parse_decimal
from delever.lab.errors import InputError
from delever.lab.tables.table import SCHEMAS, Cells, TextTable

SOURCE = " (inferred)"


def complete(
    given: Mapping[str, TextTable], *, pool: str, rules: str, asset: str
) -> dict[str, TextTable]:
    """Return the given tables, unchanged, with those that are missing."""
    tables = dict(given)
    if "contracts" not in tables:
        tables["contracts"] = _table("contracts", _contracts(tables, asset))
        tables.setdefault("assets", _table("assets", _asset(tables["contracts"], asset)))
    if "pools" not in tables:
        tables["contracts"] = _with_pools(tables["contracts"])
        tables["pools"] = _table("pools", _pools(tables["contracts"], pool, rules))
    if "accounts" not in tables:
        tables["accounts"] = _table("accounts", _accounts(tables))
    if "balances" not in tables:
        tables["balances"] = _table("balances", [])
        tables["positions"] = _with_margins(tables)
    return tables


def _table(name: str, rows: Iterable[Cells]) -> TextTable:
    return TextTable(SCHEMAS[name], name + SOURCE, list(rows))


def _contracts(tables: Mapping[str, TextTable], asset: str) -> Iterable[Cells]:
    """Yield a linear contract for each name, with the tick and lot of its finest numbers."""
    prices: defaultdict[str, list[str]] = defaultdict(list)
    quantities: defaultdict[str, list[str]] = defaultdict(list)
    for name in ("positions", "marks", "depth"):
        for row in tables[name].rows if name in tables else []:
            contract = row.get("contract", "")
            prices[contract] += [row[c] for c in ("mark", "previous_mark", "price") if c in row]
            quantities[contract] += [row["quantity"]] if "quantity" in row else []
    for contract in prices:
        if contract:
            yield {
                "contract": contract,
                "kind": "linear",
                "settle": asset,
                "pool": asset,
                "tick_size": _step(prices[contract]),
                "lot_size": _step(quantities[contract]),
            }


def _step(numbers: Iterable[str]) -> str:
    """Return the largest power of ten, at most 1, of which all numbers are multiples."""
    return format_scaled(1, max(map(_decimals, numbers), default=0))


def _decimals(text: str) -> int:
    """Return the decimals of a number; 0 for text that is no number, which the engine rejects."""
    _, _, fraction = text.partition(".")
    return len(fraction.rstrip("0")) if parse_decimal(text) else 0


def _asset(contracts: TextTable, asset: str) -> Iterable[Cells]:
    """Yield the asset if lot times tick needs more decimals than the default."""
    needed = [_decimals(row["tick_size"]) + _decimals(row["lot_size"]) for row in contracts.rows]
    decimals = max(needed, default=0)
    if decimals > DEFAULT_CASH_DECIMALS:
        yield {"asset": asset, "cash_decimals": str(decimals)}


def _with_pools(contracts: TextTable) -> TextTable:
    """Return the contracts, those without a pool assigned to the pool of their settle asset."""
    rows = [{"pool": row.get("settle", ""), **row} for row in contracts.rows]
    return TextTable(contracts.schema, contracts.source, rows, contracts.numbers)


def _pools(contracts: TextTable, balance: str, rules: str) -> Iterable[Cells]:
    for pool, asset in {row["pool"]: row.get("settle", "") for row in contracts.rows}.items():
        yield {"pool": pool, "kind": "shared", "asset": asset, "rules": rules, "balance": balance}


def _accounts(tables: Mapping[str, TextTable]) -> Iterable[Cells]:
    """Yield every named account, in hedge mode if it has both sides of a contract."""
    positions = tables["positions"].rows
    sides: dict[tuple[str | None, ...], set[str]] = {}
    for row in positions:
        key = (row.get("account"), row.get("contract"), row.get("position", "0"))
        sides.setdefault(key, set()).add(row.get("side", ""))
    hedging = {key[0] for key, both in sides.items() if len(both) > 1}
    rows = [*positions, *(tables["balances"].rows if "balances" in tables else [])]
    for name in dict.fromkeys(row["account"] for row in rows if "account" in row):
        yield {"account": name, "hedge_mode": str(name in hedging).lower()}


def _with_margins(tables: Mapping[str, TextTable]) -> TextTable:
    """Return the positions, all isolated: the margin is entry notional / leverage unless given."""
    positions = tables["positions"]
    if positions.rows and not (positions.column("isolated_margin") or positions.column("leverage")):
        raise InputError(
            "the margin of the positions is missing: give balances, or a column leverage or "
            "isolated_margin",
            file=positions.source,
        )
    contracts = {row.get("contract", ""): row for row in tables["contracts"].rows}
    assets = tables["assets"].rows if "assets" in tables else []
    units = {row["asset"]: row["cash_decimals"] for row in assets}
    rows = []
    for row in positions.rows:
        contract = contracts.get(row.get("contract", ""), {})
        unit = int(units.get(contract.get("settle", ""), DEFAULT_CASH_DECIMALS))
        margin = row.get("isolated_margin") or _margin(row, contract, unit)
        rows.append({**row, "isolated_margin": margin} if margin else row)
    return TextTable(positions.schema, positions.source, rows, positions.numbers)


def _margin(row: Cells, contract: Cells, cash_decimals: int) -> str | None:
    """Return entry notional / leverage rounded down to Cash; None for text that is no number.

    Such text is left in place for the engine to reject.
    """
    leverage = _fraction(row.get("leverage", "1"))
    if leverage is None or leverage <= 0:
        return None
    value = _fraction(row["entry_cost"]) if "entry_cost" in row else _entry_notional(row, contract)
    if value is None:
        return None
    return format_scaled(int(abs(value) / leverage * 10**cash_decimals), cash_decimals)


def _entry_notional(row: Cells, contract: Cells) -> Fraction | None:
    quantity, entry = _fraction(row.get("quantity", "")), _fraction(row.get("entry_price", ""))
    multiplier = _fraction(contract.get("multiplier", "1"))
    if quantity is None or multiplier is None or not entry:
        return None
    size = quantity * multiplier
    return size / entry if contract.get("kind") == "inverse" else size * entry


def _fraction(text: str) -> Fraction | None:
    number = parse_decimal(text)
    return None if number is None else Fraction(number[0], 10 ** number[1])
