"""The accepted plans of a journal, proved again from its book and from their certificates."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from delever.core.book import Book
from delever.core.messages import AllocateAdl, Rejected, Side
from delever.core.rules import RuleSet
from delever.core.units import Ints
from delever.formatting import ContractFormatter
from delever.journal import SqliteJournal
from delever.journal.record import decode_command, decode_events
from delever.journal.replay import replay_events
from delever.lab.errors import InputError
from delever.lab.policies.plans.book_plan import money_of_lots
from delever.lab.policies.plans.book_reduction import BookReduction, Need, reduction_of_moves
from delever.lab.policies.plans.certificate import Certificate, read_certificate
from delever.lab.policies.plans.check import check
from delever.lab.policies.plans.reduction import Reduction
from delever.rule_registry import registry

SAME_INPUT = 1e-9
"""Relative difference up to which an input of a certificate is that of the journal's book."""


def verify_plans(
    journal: str | Path, folder: str | Path, *, rule_sets: Iterable[RuleSet] = ()
) -> pl.DataFrame:
    """Return what can be proved of each accepted plan in a journal, one row each.

    `folder` has the certificates as `write_certificate` writes them, named by their digest:
    `<digest>.npz`. `finding` is empty where the certificate is the one that the plan names, proves
    its bounds, and is of the book at the plan's sequence with the quantities that were closed;
    `gap` is then how far the lots that were closed may be from the best.
    """
    rows = []
    with SqliteJournal(journal, readonly=True) as opened:
        plans = [
            command
            for record in opened.records()
            if isinstance(command := decode_command(record.command), AllocateAdl)
            and not isinstance(decode_events(record.events)[0], Rejected)
        ]
        own = registry(rule_sets)
        for command in plans:
            until = command.book_sequence
            book = replay_events(opened, from_zero=True, until=until, registry=own).book
            rows.append(_verified(book, command, Path(folder)))
    schema = {"book_sequence": pl.Int64, "certificate": pl.String, "contracts": pl.String}
    bounds = dict.fromkeys(("upper", "lower", "gap"), pl.Float64)
    return pl.DataFrame(rows, schema={**schema, **bounds, "finding": pl.String})


def _verified(book: Book, command: AllocateAdl, folder: Path) -> dict[str, object]:
    contracts = ", ".join(dict.fromkeys(planned.contract for planned in command.rounds))
    row: dict[str, object] = {
        "book_sequence": command.book_sequence,
        "certificate": command.certificate,
        "contracts": contracts,
        **dict.fromkeys(("upper", "lower", "gap")),
    }
    try:
        certificate, stored = read_certificate(folder / f"{command.certificate}.npz")
        upper = _expected_loss(book, command, certificate, stored)
    except InputError as error:
        return row | {"finding": str(error)}
    gap = max(upper - certificate.lower, 0.0) / upper if upper > 0 else 0.0
    return row | {"upper": upper, "lower": certificate.lower, "gap": gap, "finding": ""}


def _expected_loss(
    book: Book, command: AllocateAdl, certificate: Certificate, stored: Reduction
) -> float:
    """Return the expected shortfall after a plan; raise InputError for what is not proved."""
    if certificate.certificate_digest() != command.certificate:
        raise InputError("is another certificate than the plan names", column="certificate")
    checked = check(certificate, stored)
    if not checked.ok:
        raise InputError("; ".join(checked.findings), column="certificate")
    need, lots = _need_of(book, command)
    target = reduction_of_moves(book, need, stored.moves)
    for name in ("exposure", "equity", "required"):
        ours, theirs = getattr(target.reduction, name), getattr(stored, name)
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=SAME_INPUT, atol=0):
            raise InputError(f"is of another {name} than the journal's book", column="certificate")
    if (stored.limits > target.reduction.limits * (1 + SAME_INPUT)).any():
        raise InputError("has limits above the positions of the book", column="certificate")
    plan = money_of_lots(target, _lots_by_row(book, target, lots))
    return target.reduction.expected_loss(plan)


Closed = dict[tuple[str, Side], dict[tuple[str, int], int]]


def _need_of(book: Book, command: AllocateAdl) -> tuple[Need, Closed]:
    """Return the quantities of a plan, and the lots of each position, by contract and side."""
    need: dict[tuple[str, str], str] = {}
    lots: Closed = {}
    for planned in command.rounds:
        state, side = book.contracts[planned.contract], planned.side.opposite
        terms = state.terms
        closed = {
            (fill.account, fill.position): int(terms.read_lots("quantity", fill.quantity))
            for fill in planned.fills
        }
        formatter = ContractFormatter.of(book, state)
        need[state.name, side.value] = formatter.quantity(sum(closed.values()))
        lots[state.name, side] = closed
    return need, lots


def _lots_by_row(book: Book, target: BookReduction, lots: Closed) -> dict[int, Ints]:
    """Return the lots of each closable position, in order of rank."""
    names, found = book.accounts.names, {}
    for k, closable in target.positions.items():
        valuation, order = closable.queue.valuation, closable.queue.order
        closed = lots[target.contracts[k], valuation.side]
        accounts = valuation.account[order].tolist()
        keys = zip((names[a] for a in accounts), valuation.position[order].tolist(), strict=True)
        found[k] = np.array([closed.get(key, 0) for key in keys], np.int64)
    return found
