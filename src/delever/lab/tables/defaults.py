"""What a book needs and its tables leave out: contracts, pools, accounts and margins."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction

from delever.core.book.book import DEFAULT_CASH_DECIMALS
from delever.core.units import format_scaled, parse_decimal
from delever.lab.errors import InputError
from delever.lab.tables.table import SHAPES, Cells, Table

SOURCE = " (inferred)"


def complete(given: Mapping[str, Table], *, pool: str, rules: str, asset: str) -> dict[str, Table]:
    """Return the tables with those that are missing; what is given is kept as it is."""
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


def _table(name: str, rows: Iterable[Cells]) -> Table:
    return Table(SHAPES[name], name + SOURCE, list(rows))


def _contracts(tables: Mapping[str, Table], asset: str) -> Iterable[Cells]:
    """Yield a linear contract for each name, as fine as its finest price and quantity."""
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
    """Return the power of ten of which all numbers are multiples, at most 1."""
    return format_scaled(1, max(map(_decimals, numbers), default=0))


def _decimals(text: str) -> int:
    """Return how many decimals a number needs; 0 for what is no number (the engine refuses it)."""
    _, _, fraction = text.partition(".")
    return len(fraction.rstrip("0")) if parse_decimal(text) else 0


def _asset(contracts: Table, asset: str) -> Iterable[Cells]:
    """Yield the asset where its unit has to be finer than usual for lot times tick."""
    needed = [_decimals(row["tick_size"]) + _decimals(row["lot_size"]) for row in contracts.rows]
    decimals = max(needed, default=0)
    if decimals > DEFAULT_CASH_DECIMALS:
        yield {"asset": asset, "cash_decimals": str(decimals)}


def _with_pools(contracts: Table) -> Table:
    """Return the contracts; one that names no pool stands behind that of its settle asset."""
    rows = [{"pool": row.get("settle", ""), **row} for row in contracts.rows]
    return Table(contracts.shape, contracts.source, rows, contracts.numbers)


def _pools(contracts: Table, balance: str, rules: str) -> Iterable[Cells]:
    for pool, asset in {row["pool"]: row.get("settle", "") for row in contracts.rows}.items():
        yield {"pool": pool, "kind": "shared", "asset": asset, "rules": rules, "balance": balance}


def _accounts(tables: Mapping[str, Table]) -> Iterable[Cells]:
    """Yield every account named; in hedge mode where it holds both sides of a contract."""
    positions = tables["positions"].rows
    sides: dict[tuple[str | None, ...], set[str]] = {}
    for row in positions:
        key = (row.get("account"), row.get("contract"), row.get("position", "0"))
        sides.setdefault(key, set()).add(row.get("side", ""))
    hedging = {key[0] for key, held in sides.items() if len(held) > 1}
    rows = [*positions, *(tables["balances"].rows if "balances" in tables else [])]
    for name in dict.fromkeys(row["account"] for row in rows if "account" in row):
        yield {"account": name, "hedge_mode": str(name in hedging).lower()}


def _with_margins(tables: Mapping[str, Table]) -> Table:
    """Return the positions, each isolated: its margin is entry value / leverage unless given."""
    positions = tables["positions"]
    if positions.rows and not (positions.column("isolated_margin") or positions.column("leverage")):
        raise InputError(
            "nothing says what stands behind the positions: give balances, or a column leverage "
            "or isolated_margin",
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
    return Table(positions.shape, positions.source, rows, positions.numbers)


def _margin(row: Cells, contract: Cells, cash_decimals: int) -> str | None:
    """Return entry value / leverage rounded down to cash; None where a number is none.

    What is no number is left as it stands for the engine to refuse.
    """
    leverage = _fraction(row.get("leverage", "1"))
    if leverage is None or leverage <= 0:
        return None
    value = _fraction(row["entry_cost"]) if "entry_cost" in row else _entry_value(row, contract)
    if value is None:
        return None
    return format_scaled(int(abs(value) / leverage * 10**cash_decimals), cash_decimals)


def _entry_value(row: Cells, contract: Cells) -> Fraction | None:
    quantity, entry = _fraction(row.get("quantity", "")), _fraction(row.get("entry_price", ""))
    multiplier = _fraction(contract.get("multiplier", "1"))
    if quantity is None or multiplier is None or not entry:
        return None
    size = quantity * multiplier
    return size / entry if contract.get("kind") == "inverse" else size * entry


def _fraction(text: str) -> Fraction | None:
    number = parse_decimal(text)
    return None if number is None else Fraction(number[0], 10 ** number[1])
