"""Segments name engine, schema, rules and the limit of time; each release's journals verify."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from forgery import spoil
from msgspec import structs
from sessions import crash, opening

from delever.core import messages as m
from delever.core.book import Book
from delever.core.engine import step
from delever.core.rules import RULE_SETS, RuleSet
from delever.core.rules.adl_price import AtMark
from delever.core.rules.ruleset import Case
from delever.core.rules.venues.superseded import SUPERSEDED, with_options
from delever.journal import JournalError, JournalProblem, Recorder, SqliteJournal, verify
from delever.journal.record import (
    EMPTY_HEAD,
    Record,
    SegmentTerms,
    digest,
    encode_command,
    encode_events,
    seal_record,
    seal_segment,
)
from delever.journal.recorder import ENGINE_VERSION
from delever.journal.replay import Dated, Replay, advance_by_command, replay
from delever.journal.sqlite import SCHEMA_VERSION
from delever.rule_registry import digest_of

MINUTE_MS = 60_000
LIMIT_MS = 5 * MINUTE_MS


def segments(path: Path) -> list[tuple[int, SegmentTerms]]:
    with SqliteJournal(path, readonly=True) as journal:
        return [(segment.first_sequence, segment.terms) for segment in journal.segments()]


def test_a_segment_begins_where_version_rules_or_limit_change(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with Recorder.open(path) as recorder:
        recorder.submit(opening()[:1])
        recorder.submit(opening()[1:])
        recorder.submit([m.SetTime(time_ms=1)])
    with Recorder.open(path) as recorder:
        recorder.submit([m.SetTime(time_ms=2)])
    with Recorder.open(path, max_time_jump_ms=LIMIT_MS) as recorder:
        recorder.submit([m.SetTime(time_ms=3)])
    used = {name: digest_of(RULE_SETS[name]) for name in ("bitmart", "bitmex", "bybit")}
    terms = SegmentTerms(ENGINE_VERSION, SCHEMA_VERSION, used)
    last = len(opening()) + 3
    assert segments(path) == [
        (1, replace_rules(terms, {})),
        (2, terms),
        (last, SegmentTerms(ENGINE_VERSION, SCHEMA_VERSION, used, LIMIT_MS)),
    ]
    verification = verify(path)
    assert verification.ok
    assert [segment.first_sequence for segment in verification.segments] == [1, 2, last]


def replace_rules(terms: SegmentTerms, rules: dict[str, str]) -> SegmentTerms:
    return SegmentTerms(terms.engine, terms.schema, rules, terms.max_time_jump_ms)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE segments SET body = flip(body, 9)", JournalProblem.SEGMENT_HASH_MISMATCH),
        ("UPDATE segments SET hash = flip(hash, 9)", JournalProblem.SEGMENT_HASH_MISMATCH),
    ],
)
def test_a_changed_segment_is_found_and_the_journal_not_opened(
    tmp_path: Path, statement: str, problem: JournalProblem
) -> None:
    path = tmp_path / "new.db"
    with Recorder.open(path) as recorder:
        recorder.submit(opening())
    spoil(path, statement)
    assert problem in {finding.problem for finding in verify(path).findings}
    with pytest.raises(JournalError, match="segment 1: content does not match its hash"):
        Recorder.open(path)


def test_a_segment_of_another_chain_is_unlinked(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with Recorder.open(path) as recorder:
        recorder.submit(opening())
        foreign = seal_segment(EMPTY_HEAD._replace(sequence=4), recorder._terms)
    with SqliteJournal(path) as journal, journal._transaction() as connection:
        connection.execute("INSERT INTO segments VALUES (?, ?, ?, ?)", foreign)
    (finding,) = verify(path).findings
    assert (finding.sequence, finding.problem) == (5, JournalProblem.SEGMENT_UNLINKED)


# --- rules of an earlier release ---

EARLIER = replace(
    RULE_SETS["bybit"],
    cases=tuple(Case(case.trigger, AtMark()) for case in RULE_SETS["bybit"].cases),
)
"""Bybit's rules as if an earlier release had closed at the mark."""


def write_with(path: Path, rules: RuleSet) -> None:
    """Write the crash as an engine with these rules of Bybit would have."""
    book = Book()
    book.use_segment(0, {"bybit": rules})
    records = list(recorded(book, crash()))
    terms = SegmentTerms("0.0.1", SCHEMA_VERSION, {"bybit": digest_of(rules)})
    with SqliteJournal(path) as journal:
        journal.append(records, seal_segment(EMPTY_HEAD, terms))


def recorded(book: Book, commands: Iterable[m.Command]) -> Iterator[Record]:
    """Yield the record of each command, run on a book."""
    head = EMPTY_HEAD
    for command in commands:
        events = step(book, command)
        changes = digest(book.take_changes())
        body = encode_command(command), encode_events(events)
        record = seal_record(book.sequence, book.time_ms, *body, head.hash, changes)
        head = record.head
        yield record


def by_commands(path: Path, dated: Dated) -> Replay:
    with SqliteJournal(path, readonly=True) as journal:
        return replay(
            journal, advance_by_command, from_zero=True, until=10**9, progress=None, dated=dated
        )


def test_a_journal_of_an_earlier_release_verifies_with_its_dated_rules(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    write_with(path, EARLIER)
    replayed = by_commands(path, {"bybit@2026-10": EARLIER})
    assert replayed.finding is None
    assert replayed.head.sequence == len(crash())


def test_without_them_it_is_not_called_forged_but_written_by_its_version(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    write_with(path, EARLIER)
    finding = by_commands(path, {}).finding
    assert finding is not None
    assert finding.problem is JournalProblem.RULES_CHANGED
    assert "written by delever 0.0.1, whose rules of bybit" in finding.detail
    with Recorder.open(path) as recorder:
        recorder.submit([m.SetTime(time_ms=10**6)])
    assert [first for first, _ in segments(path)] == [1, len(crash()) + 1]
    assert by_commands(path, {"bybit@2026-10": EARLIER}).finding is None


@pytest.mark.parametrize("name", ["bybit", "bybit+pro_rata", "bybit+cap_per_account=0.2"])
def test_a_journal_that_tested_largest_fills_verifies(tmp_path: Path, name: str) -> None:
    """Before December 2026 a counterparty was tested as if closed as far as possible."""
    before = with_options(SUPERSEDED["bybit@2026-11"], name)
    assert before is not None
    book, path = Book(), tmp_path / "old.db"
    book.use_segment(0, {name: before})
    commands = [
        replace_pool(command, name) if isinstance(command, m.DefinePool) else command
        for command in marginal_round()
    ]
    records = list(recorded(book, commands))
    terms = SegmentTerms("0.1.0", SCHEMA_VERSION, {name: digest_of(before)})
    with SqliteJournal(path) as journal:
        journal.append(records, seal_segment(EMPTY_HEAD, terms))
    assert by_commands(path, SUPERSEDED).finding is None
    finding = by_commands(path, {}).finding
    assert finding is not None
    assert finding.problem is JournalProblem.RULES_CHANGED


def replace_pool(command: m.DefinePool, rules: str) -> m.DefinePool:
    return structs.replace(command, rules=rules)


def marginal_round() -> list[m.Command]:
    """Return a round whose second counterparty is solvent after its part, not if closed whole."""
    rows = tuple(
        m.PositionRow(
            account=name, contract="X", side=side, quantity=lots, entry_price=entry,
            isolated_margin=margin,
        )
        for name, side, lots, entry, margin in (
            ("bust", m.Side.LONG, 100, 111, 100),
            ("amy", m.Side.SHORT, 60, 101, 700),
            ("ben", m.Side.SHORT, 100, 100, 720),
        )
    )  # fmt: skip
    pool = m.DefinePool(time_ms=0, pool="p", kind=m.PoolKind.SHARED, asset="USDT", rules="bybit")
    contract = m.DefineContract(
        time_ms=0, contract="X", kind=m.ContractKind.LINEAR, settle="USDT", pool="p",
        tick_size="1", lot_size="1",
    )  # fmt: skip
    return [
        pool,
        contract,
        *(m.DefineAccount(time_ms=0, account=row.account) for row in rows),
        m.SetMarks(time_ms=1, marks={"X": "100"}),
        m.SetPositions(time_ms=1, version=1, positions=rows),
        m.Takeover(time_ms=2, account="bust", contract="X", side=m.Side.LONG),
    ]


# --- the limit of time ---


def outcomes(recorder: Recorder, *commands: m.Command) -> list[str]:
    """Return the reason of each rejection, or "accepted"."""
    events = [outcome[0] for outcome in recorder.submit(commands)]
    return [str(e.reason) if isinstance(e, m.Rejected) else "accepted" for e in events]


def test_a_jump_beyond_the_limit_is_held_until_an_operator_confirms_it(tmp_path: Path) -> None:
    """CORE-56: after a year ahead, the venue's time goes on where it was."""
    path, year_ms = tmp_path / "new.db", 365 * 24 * 60 * MINUTE_MS
    start_ms = 1_700_000_000_000
    with Recorder.open(path, max_time_jump_ms=LIMIT_MS) as recorder:
        times = (start_ms, start_ms + LIMIT_MS, start_ms + year_ms, start_ms + 2 * LIMIT_MS)
        found = outcomes(recorder, *(m.SetTime(time_ms=time_ms) for time_ms in times))
        assert found == ["accepted", "accepted", "time_jump_held", "accepted"]
        assert recorder.book.time_ms == start_ms + 2 * LIMIT_MS
    with Recorder.open(path, max_time_jump_ms=LIMIT_MS) as recorder:
        later = m.DefineAccount(time_ms=start_ms + year_ms, account="ann")
        confirmed = m.SetTime(time_ms=start_ms + year_ms, confirmed=True, note="moved to 2027")
        assert outcomes(recorder, later, confirmed, later) == [
            "time_jump_held", "accepted", "accepted",
        ]  # fmt: skip
    assert verify(path).ok


def test_a_journal_without_a_limit_begins_its_first_one_after_one_record(tmp_path: Path) -> None:
    """CORE-56: a scenario's journal, of 1970, can be served."""
    path = tmp_path / "new.db"
    with Recorder.open(path) as recorder:
        recorder.submit(crash())
    with Recorder.open(path, max_time_jump_ms=LIMIT_MS) as recorder:
        now = m.SetTime(time_ms=1_700_000_000_000)
        far = m.SetTime(time_ms=2 * now.time_ms)
        assert outcomes(recorder, now, far) == ["accepted", "time_jump_held"]
    assert verify(path).ok
