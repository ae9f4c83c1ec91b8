"""The head of a report: a sentence, figures in money, who paid, and who was closed against whom."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import polars as pl

from delever.formatting import count
from delever.lab.reports.run_store import StoredRun

MAX_PAIRS = 20
"""Pairs of accounts that are listed, those of most realized PnL."""


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """Who paid the losses of a contract's liquidations, in its settle asset.

    The insurance fund's part is its loss in the contract, 0 where it gained.
    """

    contract: str
    asset: str
    insurance_fund: Decimal
    deleveraged_accounts: Decimal
    unfunded: Decimal
    accounts: int

    @property
    def total(self) -> Decimal:
        """The whole loss."""
        return self.insurance_fund + self.deleveraged_accounts + self.unfunded


def payments(run: StoredRun) -> list[Payment]:
    """Return who paid, by contract with any loss, the largest first."""
    found = [
        Payment(
            contract=total.contract,
            asset=total.asset,
            insurance_fund=max(-Decimal(total.pool_pnl), Decimal(0)),
            deleveraged_accounts=Decimal(total.haircut),
            unfunded=Decimal(total.unfunded),
            accounts=total.accounts,
        )
        for total in run.summary.contracts
    ]
    return sorted((one for one in found if one.total), key=lambda one: -one.total)


def run_sentence(run: StoredRun, payers: Sequence[Payment]) -> str:
    """Return what ADL closed, and how the losses were divided, as one or two sentences."""
    contracts = len({episode.contract for episode in run.summary.episodes})
    if not run.fills.height and not payers:
        return "No liquidation caused a loss, and ADL closed nothing."
    accounts, fills = count(run.summary.accounts, "account"), count(run.summary.fills, "fill")
    closed = f"ADL ran in {count(contracts, 'contract')} and closed {accounts} in {fills}."
    if not run.fills.height:
        closed = "ADL closed nothing."
    return " ".join([closed, *(_division(asset, payers) for asset in _assets(payers))])


def run_numbers(run: StoredRun, payers: Sequence[Payment]) -> list[tuple[str, str]]:
    """Return the figures of a run as pairs of name and number."""
    summary = run.summary
    numbers = [
        ("positions taken over", f"{summary.takeovers:,}"),
        ("ADL fills", f"{summary.fills:,}"),
        ("accounts deleveraged or charged", f"{summary.accounts:,}"),
    ]
    for asset in _assets(payers):
        fund, haircut, unfunded = _sums(asset, payers)
        numbers += [
            (f"loss of the insurance fund, {asset}", _money(fund)),
            (f"haircut of accounts, {asset}", _money(haircut)),
            (f"unfunded, {asset}", _money(unfunded)),
        ]
    return numbers


def closed_against(run: StoredRun) -> pl.DataFrame:
    """Return pairs of a liquidated and a deleveraged account, those of most realized PnL first.

    The liquidated account is missing where a fill closed the fund's inventory of several accounts.
    """
    return (
        run.fills.group_by("liquidated_account", "account", "contract", "side", maintain_order=True)
        .agg(pl.col("quantity").sum(), pl.col("realized_pnl").sum(), pl.len().alias("fills"))
        .sort("realized_pnl", descending=True, maintain_order=True)
        .head(MAX_PAIRS)
    )


def comparison_sentence(compared: pl.DataFrame) -> str:
    """Return which rule sets cost counterparties least and most, in the asset of most rows."""
    rows = compared.drop_nulls("contract")
    if not rows.height:
        return "No rule set took over or closed anything."
    asset = rows["asset"].mode().sort()[0] if "asset" in rows.columns else ""
    chosen = rows.filter(asset=asset) if asset else rows
    costs = (
        chosen.group_by("rules", maintain_order=True)
        .agg(pl.col("haircut").sum())
        .sort("haircut", maintain_order=True)
    )
    least, most = costs.row(0, named=True), costs.row(-1, named=True)
    other = f", {_money(most['haircut'])} {asset} under {most['rules']}" if costs.height > 1 else ""
    return (
        f"Counterparties lose {_money(least['haircut'])} {asset} against the mark under "
        f"{least['rules']}{other}."
    )


def _assets(payers: Sequence[Payment]) -> list[str]:
    return list(dict.fromkeys(payer.asset for payer in payers))


def _sums(asset: str, payers: Sequence[Payment]) -> tuple[Decimal, Decimal, Decimal]:
    """Return what the fund, accounts and nobody paid in an asset."""
    own = [payer for payer in payers if payer.asset == asset]
    fund = sum((payer.insurance_fund for payer in own), Decimal(0))
    haircut = sum((payer.deleveraged_accounts for payer in own), Decimal(0))
    return fund, haircut, sum((payer.unfunded for payer in own), Decimal(0))


def _division(asset: str, payers: Sequence[Payment]) -> str:
    fund, haircut, unfunded = _sums(asset, payers)
    rest = f", and {_money(unfunded)} is unfunded" if unfunded else ""
    return (
        f"Of a loss of {_money(fund + haircut + unfunded)} {asset} the insurance fund paid "
        f"{_money(fund)} and deleveraged accounts {_money(haircut)}{rest}."
    )


def _money(amount: Decimal) -> str:
    """Return whole units from 100 on, else up to six decimals."""
    return f"{amount:,.0f}" if abs(amount) >= 100 else f"{round(amount, 6).normalize():,f}"
