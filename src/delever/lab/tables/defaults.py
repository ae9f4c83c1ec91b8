"""Tables of a book that may be missing, inferred from the others.

Contracts, pools, accounts and the isolated margins of positions.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction

from delever.core.book.book import DEFAULT_CASH_DECIMALS
from delever.core.messages import Amount, ContractKind
from delever.core.units import format_scaled, parse_decimal
from delever.lab.errors import InputError, check_exact, unknown
from delever.lab.tables.table import SCHEMAS, Cells, TextTable

SOURCE = " (inferred)"


INFERRED_TERMS = ("pool", "settle", "tick_size", "lot_size")
"""The terms of a contract that may be missing from its row."""

KINDS = tuple(str(kind) for kind in ContractKind)

Pool = Amount | Mapping[str, Amount]
"""The balance of a pool inferred, or balances by settle asset."""


def complete(
    given: Mapping[str, TextTable], *, pool: Pool, rules: str, asset: str
) -> tuple[dict[str, TextTable], tuple[str, ...]]:
    """Return the given tables with those that are missing, and what was inferred of contracts.

    Raises InputError for a contract that is not described, and for a pool that is ambiguous.
    """
    tables = dict(given)
    contracts, inferred = _with_terms(tables, asset)
    tables["contracts"] = contracts
    if inferred and "assets" not in tables:
        tables["assets"] = _table("assets", _assets(contracts))
    if "pools" not in tables:
        tables["contracts"] = _with_pools(contracts)
        tables["pools"] = _table("pools", _pools(tables["contracts"], pool, rules))
    if "accounts" not in tables:
        tables["accounts"] = _table("accounts", _accounts(tables))
    if "balances" not in tables:
        tables["balances"] = _table("balances", [])
        tables["positions"] = _with_margins(tables)
    return tables, inferred


def _table(name: str, rows: Iterable[Cells]) -> TextTable:
    return TextTable(SCHEMAS[name], name + SOURCE, list(rows))


# --- contracts ---


def kinds_table(contracts: str | Mapping[str, str], names: Iterable[str]) -> list[Cells]:
    """Return the rows of contracts given as one kind, or as a kind each.

    Raises InputError for a kind that there is not.
    """
    kinds = dict.fromkeys(names, contracts) if isinstance(contracts, str) else contracts
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise InputError(
                f"is no kind of contract: say {' or '.join(map(repr, KINDS))}",
                file="contracts",
                column=name,
                value=kind,
            )
    return [{"contract": name, "kind": kind} for name, kind in kinds.items()]


def contract_names(tables: Iterable[TextTable]) -> list[str]:
    """Return the names of the contracts in some tables, in order of first use."""
    return list(dict.fromkeys(name for table in tables for name in table.column("contract")))


def _with_terms(tables: Mapping[str, TextTable], asset: str) -> tuple[TextTable, tuple[str, ...]]:
    """Return the contracts with their missing terms, and a line for each that has some inferred."""
    contracts = tables.get("contracts") or _table("contracts", [])
    _check_described(tables, contracts)
    prices, quantities = _prices_and_quantities(tables)
    rows, inferred = [], []
    for index, row in enumerate(contracts.rows):
        if row.get("kind") == ContractKind.INVERSE and "settle" not in row:
            raise contracts.error(
                index, "settle", "an inverse contract settles in its coin: name it"
            )
        name = row.get("contract", "")
        tick, lot = _steps(prices[name], quantities[name])
        terms = {"settle": asset, "tick_size": tick, "lot_size": lot}
        missing = {term: value for term, value in terms.items() if term not in row}
        if missing:
            words = ", ".join(f"{term} {value}" for term, value in missing.items())
            inferred.append(f"{name}: {words}")
        rows.append({**row, **missing})
    completed = TextTable(contracts.schema, contracts.source, rows, contracts.numbers)
    return completed, tuple(inferred)


def _check_described(tables: Mapping[str, TextTable], contracts: TextTable) -> None:
    described = set(contracts.column("contract"))
    for table in (tables["positions"], tables["marks"]):
        for name in table.column("contract"):
            if name not in described:
                raise InputError(
                    f'is not described: add contracts={{"{name}": "linear"}}, or "inverse" with '
                    "its settle asset in a table",
                    file="contracts",
                    column="contract",
                    value=name,
                )


Numbers = defaultdict[str, list[str]]


def _prices_and_quantities(tables: Mapping[str, TextTable]) -> tuple[Numbers, Numbers]:
    """Return what each contract's marks and order books have as prices, and its quantities."""
    prices: Numbers = defaultdict(list)
    quantities: Numbers = defaultdict(list)
    for name in ("positions", "marks", "depth"):
        for row in tables[name].rows if name in tables else []:
            contract = row.get("contract", "")
            prices[contract] += [row[c] for c in ("mark", "previous_mark", "price") if c in row]
            quantities[contract] += [row["quantity"]] if "quantity" in row else []
    return prices, quantities


def _steps(prices: Iterable[str], quantities: Iterable[str]) -> tuple[str, str]:
    """Return tick and lot: powers of ten, at most 1, with the decimals that are written.

    "3.00" is a price of a contract whose tick is 0.01. Zeros at the end are left out, first those
    of quantities, where tick and lot together are finer than the default unit of money.
    """
    tick, lot = (max(map(_written, numbers), default=0) for numbers in (prices, quantities))
    if tick + lot > DEFAULT_CASH_DECIMALS:
        lot = max(map(_decimals, quantities), default=0)
    if tick + lot > DEFAULT_CASH_DECIMALS:
        tick = max([DEFAULT_CASH_DECIMALS - lot, 0, *map(_decimals, prices)])
    return format_scaled(1, tick), format_scaled(1, lot)


def _written(text: str) -> int:
    """Return the decimals written of a number; 0 for text that the engine rejects."""
    return len(text.partition(".")[2]) if parse_decimal(text) else 0


def _decimals(text: str) -> int:
    """Return the decimals that a number needs; 0 for text that the engine rejects."""
    return len(text.partition(".")[2].rstrip("0")) if parse_decimal(text) else 0


def _assets(contracts: TextTable) -> Iterable[Cells]:
    """Yield the settle assets whose lot times tick needs more decimals than the default."""
    needed: defaultdict[str, int] = defaultdict(int)
    for row in contracts.rows:
        decimals = _decimals(row["tick_size"]) + _decimals(row["lot_size"])
        if row.get("kind") == ContractKind.LINEAR:
            needed[row["settle"]] = max(needed[row["settle"]], decimals)
    for asset, decimals in needed.items():
        if decimals > DEFAULT_CASH_DECIMALS:
            yield {"asset": asset, "cash_decimals": str(decimals)}


# --- pools, accounts, margins ---


def _with_pools(contracts: TextTable) -> TextTable:
    """Return the contracts, those without a pool assigned to the pool of their settle asset."""
    rows = [{"pool": row.get("settle", ""), **row} for row in contracts.rows]
    return TextTable(contracts.schema, contracts.source, rows, contracts.numbers)


def _pools(contracts: TextTable, balance: Pool, rules: str) -> Iterable[Cells]:
    assets = {row["pool"]: row["settle"] for row in contracts.rows}
    balances = pool_balances(balance, assets)
    for pool, asset in assets.items():
        row = {"pool": pool, "kind": "shared", "asset": asset, "rules": rules}
        yield {**row, "balance": str(balances.get(pool, 0))}


def pool_balances(balance: Pool, assets: Mapping[str, str]) -> dict[str, Amount]:
    """Return the balance given to each pool; `assets` are those of the pools by name.

    Raises InputError for one balance of pools in several assets, UnknownNameError for a pool that
    there is not.
    """
    if isinstance(balance, Mapping):
        for name, amount in balance.items():
            if name not in assets:
                raise unknown("pool", name, assets)
            check_exact(f"pool {name}", amount)
        return dict(balance)
    check_exact("pool", balance)
    if len(set(assets.values())) > 1 and str(balance) != "0":
        names = ", ".join(f'"{name}": ...' for name in assets)
        units = " and ".join(sorted(set(assets.values())))
        raise InputError(
            f"the book has pools in {units}: give each its own balance, pool={{{names}}}",
            column="pool",
            value=balance,
        )
    return dict.fromkeys(assets, balance)


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
