"""A harvest's records on their way to the lake: normalised, judged and counted chunk by chunk, then on disk.

Staging holds Parquet files per fact table: accepted rows with their natural key and row hash, the keys of rejected rows
(they are still at the source, so they have not vanished; of a key that cannot be read, the name and the parts that
can; of a row without a name too, what is left), and the rejected rows themselves. Memory holds one chunk.

The row hash is the first 32 hexadecimal digits of SHA-256 over `name=value` of every content column that is not null,
in the table's order, joined by U+001F; dates and instants as ISO text (instants as microseconds since 1970), money with
two decimals. So equal content has an equal hash on every platform, and a column added later changes no hash while it is
null.
"""
# ruff: noqa: S608 - every name in the SQL comes from our own tables and contracts

from __future__ import annotations

import shutil
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chengxin import identity, lists, normalise, persons, values
from chengxin.arrays import TEXT, Bools, Ints, mask
from chengxin.contracts import FACT_TABLES, Contract
from chengxin.normalise import Chunk, Facts
from chengxin.quality import judge
from chengxin.quality.gate import Gate
from chengxin.quality.judge import Judged
from chengxin.quality.rules import CODE_VALID, AnyRule, Rules, of
from chengxin.tables import REJECTED, Table

SEPARATOR = "\x1f"
MOST_WORDS, LONGEST_WORD = 20, 16
_NAMES = ("subject_name", "name")
"""Columns by which a row is known whose key cannot be read."""
_WAITING = 4
"""Files of staging that wait to be written: those of about one chunk."""
_FILE = 10_000
"""Rows of a file, at least, but for the last: a file costs milliseconds, and most chunks reject but a few rows."""
_BYTES = 16 << 20
"""Bytes that wait for more rows of a file, at most."""


@dataclass(frozen=True)
class Prepared:
    """A chunk between `Staging.prepare` and `Staging.take`: the records' facts, and the lists inside them by heading,
    taken apart and as text."""

    facts: Facts
    lists: dict[str, tuple[pa.Table, pa.Array]]


@dataclass
class Tally:
    """What was counted on the way, in source records unless said otherwise."""

    harvested: int = 0
    rejected: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    rejected_by: Counter[str] = field(default_factory=Counter)
    """First rule broken (for codes with the reason) → records."""
    rejected_items: Counter[str] = field(default_factory=Counter)
    """`table rule` → items of lists that were rejected alone."""
    warnings: Counter[str] = field(default_factory=Counter)
    """Rule → accepted fact rows."""
    filled: Counter[str] = field(default_factory=Counter)
    """Field → records, of those not ignored, in which the source gives something."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Field → values of a kind other than the contract's."""
    headings: set[str] = field(default_factory=set)
    first_seen: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Heading → raw file and row, from 0, in which it first stood."""
    item_headings: dict[str, set[str]] = field(default_factory=dict)
    nameless: Counter[str] = field(default_factory=Counter)
    """Fact table → rejected rows that may stand for any row of it: neither key nor name could be read."""
    words: dict[str, Counter[str]] = field(default_factory=dict)
    """Heading → words that its lookup does not have and let pass → accepted rows; see `_add_words`."""
    personal_ids: int = 0
    """Citizens' numbers met and withheld: an alarm."""
    rows: Counter[str] = field(default_factory=Counter)
    """Fact table → rows staged."""
    seconds: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def timed(self, stage: str) -> Any:
        """Adds the time spent inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start  # type: ignore[assignment]


class Staging:
    """Staging of one harvest.

    Args:
        contract: the source's contract.
        as_of: the day the harvest speaks for.
        rules: the rules of all tables.
        gate: Great Expectations.
        folder: made anew.
        connection: DuckDB, with insertion order kept.
    """

    def __init__(
        self, contract: Contract, as_of: date, rules: Rules, gate: Gate, folder: Path, connection: Any
    ) -> None:
        self.contract, self.as_of, self.gate = contract, as_of, gate
        self.folder, self.connection = folder, connection
        self.rules: dict[str, tuple[AnyRule, ...]] = {name: of(rules, FACT_TABLES[name]) for name in contract.tables}
        self.lenient = rules.lenient
        self.tally = Tally()
        self._parts = 0
        self._gathered: dict[tuple[str, str, str], list[pa.Table]] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self._writing: deque[Future[None]] = deque()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def close(self) -> None:
        """Waits until everything is on disk."""
        with self.tally.timed("stage"):
            for kind in list(self._gathered):
                self._flush(kind)
            while self._writing:
                self._writing.popleft().result()
        self._writer.shutdown()

    def drop(self) -> None:
        """Ends all writing, finished or not."""
        self._writer.shutdown(cancel_futures=True)

    def prepare(self, records: pa.Table) -> Prepared:
        """Normalises a chunk of source records: text columns by heading, and `normalise.META`.

        Chunks come in order; the next may be prepared while the former is taken.
        """
        tally, contract = self.tally, self.contract
        chunk = normalise.chunk(records, tally.harvested)
        tally.harvested += records.num_rows
        if not tally.headings.issuperset(chunk.headings):
            self._note_headings(chunk)
        with tally.timed("normalise"):
            keep = np.ones(records.num_rows, bool)
            for reason, rows in normalise.excluded(contract, chunk).items():
                tally.ignored[reason] += int(np.count_nonzero(rows))
                keep &= ~rows
            chunk = normalise.select(chunk, keep)
            chunk, parsed = self._lists(chunk)
            return Prepared(normalise.facts(contract, chunk), parsed)

    def _note_headings(self, chunk: Chunk) -> None:
        """Where each heading first stood: pages of one chunk need not have the same."""
        for heading in set(chunk.headings) - self.tally.headings:
            at = pc.index(pc.is_valid(normalise.column(chunk.records, heading)), True).as_py()
            for one in chunk.records.slice(max(at, 0), 1).select(["raw_sha256", "raw_row"]).to_pylist():
                self.tally.first_seen[heading] = (one["raw_sha256"], one["raw_row"])
        self.tally.headings.update(chunk.headings)

    def take(self, prepared: Prepared) -> None:
        """Judges a chunk, counts it, and puts it on disk."""
        tally, contract, facts = self.tally, self.contract, prepared.facts
        with tally.timed("validate"):
            judged = judge.judge(self.connection, facts, self.rules[contract.table], self.as_of)
            self.gate.add(judged)
        self._count(judged)
        tally.rejected += int(np.count_nonzero(judged.bad))
        tally.rejected_by.update(_causes(judged))
        for name in {*facts.text, *contract.bounds.fields}:
            filled = facts.text.get(name, facts.columns[name])
            tally.filled[name] += len(filled) - filled.null_count
        with tally.timed("stage"):
            self._write(judged, contract.key, _joined(prepared.lists))
        for heading, (items, _) in prepared.lists.items():
            self._take_items(heading, items, judged)

    def _lists(self, chunk: Chunk) -> tuple[Chunk, dict[str, tuple[pa.Table, pa.Array]]]:
        """The lists inside the records, taken apart; a record whose list cannot be is marked `_problem`."""
        found: dict[str, tuple[pa.Table, pa.Array]] = {}
        for heading, child in self.contract.children.items():
            text = values.clean(normalise.column(chunk.records, heading), self.contract.nulls)
            with self.connection.cursor() as cursor:
                items, broken, keys = lists.parse(cursor, text, normalise.headings(child.columns))
            self.tally.item_headings.setdefault(heading, set()).update(keys)
            found[heading] = (items, text)
            if broken.any():
                chunk = chunk.mark(broken, f"{heading}: not a list of objects")
        return chunk, found

    def _take_items(self, heading: str, items: pa.Table, parents: Judged) -> None:
        child = self.contract.children[heading]
        of_bad = parents.bad[items["_parent"].to_numpy()]
        kept = normalise.child_facts(self.contract, child, parents.facts, items.filter(pa.array(~of_bad)))
        with self.tally.timed("validate"):
            judged = judge.judge(self.connection, kept, self.rules[child.table], self.as_of)
            self.gate.add(judged)
        self._count(judged)
        for cause, count in _causes(judged).items():
            self.tally.rejected_items[f"{child.table} {cause}"] += count
        with self.tally.timed("stage"):
            self._write(judged, child.key, None)
            if of_bad.any():
                lost = normalise.child_facts(self.contract, child, parents.facts, items.filter(pa.array(of_bad)))
                self._hold(lost, np.ones(len(lost), bool), child.key)

    def _count(self, judged: Judged) -> None:
        good = ~judged.bad
        for rule in judged.rules:
            if rule.severity == "warning":
                self.tally.warnings[rule.id] += int(np.count_nonzero(judged.status[rule.id][good]))
        table = judged.facts.table.name
        lenient = self.lenient.get(table, ()) if table == self.contract.table else tuple(judged.facts.columns)
        for name, problems in judged.facts.problems.items():
            self.tally.personal_ids += int(
                np.count_nonzero((problems == values.PERSON_AS_CODE) | (problems == values.PERSONAL_ID))
            )
            passed = np.flatnonzero((problems == values.PASSED) & good)
            if len(passed):
                self._add_words(judged.facts, name, pa.array(passed))
            if name not in lenient:
                wrong = (problems == values.UNREADABLE) | (problems >= values.CODE)
                self.tally.unreadable[name] += int(np.count_nonzero(wrong))

    def _add_words(self, facts: Facts, name: str, rows: pa.Array) -> None:
        """Counts words, masked and cut; beyond `MOST_WORDS` of a heading, together under the empty text: what has so
        many is no list of words, but names or codes in the wrong place."""
        table = "" if facts.table.name == self.contract.table else f"{facts.table.name}."
        counted = self.tally.words.setdefault(table + facts.headings[name], Counter())
        shown = pc.utf8_slice_codeunits(persons.hide(facts.text[name].take(rows)), 0, LONGEST_WORD)
        for found in pc.value_counts(shown).to_pylist():
            word = found["values"] if found["values"] in counted or len(counted) < MOST_WORDS else ""
            counted[word] += found["counts"]

    def _write(self, judged: Judged, key: Sequence[str], lists_text: pa.Array | None) -> None:
        facts, good = judged.facts, ~judged.bad
        columns = dict(facts.columns)
        columns |= {"_record": pa.array(facts.record), "raw_sha256": facts.raw_sha256, "raw_row": facts.raw_row}
        if lists_text is not None:
            columns["_lists"] = lists_text
        rows = pa.table(columns)
        rows = rows if good.all() else rows.filter(pa.array(good))
        name = facts.table.name
        first = self.tally.rows[name]
        rows = rows.append_column("_row", pa.array(np.arange(first, first + rows.num_rows)))
        self.tally.rows[name] += rows.num_rows
        hashed = f"*, {natural_key(key)} AS natural_key, {row_hash(facts.table)} AS row_hash"
        self._copy(rows, hashed, f"{name}-accepted")
        if judged.bad.any():
            self._hold(facts, judged.bad, key)
            self._copy_rejected(judged, key)

    def _hold(self, facts: Facts, which: Bools, key: Sequence[str]) -> None:
        """Keeps the keys of rows that are at the source but not accepted."""
        keys = pa.table({name: facts.columns[name] for name in key}).filter(pa.array(which))
        given = " AND ".join(f'"{name}" IS NOT NULL' for name in key)
        self._copy(keys, f"{natural_key(key)} AS natural_key", f"{facts.table.name}-held", f"WHERE {given}")
        named = next((name for name in _NAMES if name in facts.columns), None)
        whole = np.logical_and.reduce([mask(pc.is_valid(facts.columns[name])) for name in key])
        known = mask(pc.is_valid(facts.columns[named])) if named is not None else np.zeros(len(facts), bool)
        # Of a row that could not be taken apart, nothing need stand under its own heading.
        torn = mask(facts.unreadable.is_valid())
        broken = which & ~whole & known & ~torn
        if named is not None and broken.any():
            # The name comes first, for `chengxin.publish`.
            rest = pa.table({name: facts.columns[name] for name in dict.fromkeys((named, *key))})
            self._copy(rest.filter(pa.array(broken)), "*", f"{facts.table.name}-keyless")
        nameless = which & ~facts.heading_row & (torn | ~(whole | known))
        if nameless.any():
            self.tally.nameless[facts.table.name] += int(np.count_nonzero(nameless))
            self._hold_nameless(facts, np.flatnonzero(nameless), torn, key)

    def _hold_nameless(self, facts: Facts, rows: Ints, torn: Bools, key: Sequence[str]) -> None:
        """Keeps what is known of rows that cannot be told apart: the parts of the key that could be read, the whole
        key as `_key`, and `_digest`, as of the rejected row."""
        at = pa.array(rows)
        left = {name: facts.columns[name].take(at) for name in key}
        said = {"_torn": pa.array(torn).take(at), "_text": _said(facts, at)}
        said["_table"] = pa.repeat(pa.scalar(facts.table.name, TEXT), len(at))
        given = " AND ".join(f'"{name}" IS NOT NULL' for name in key)
        chosen = [f'CASE WHEN NOT _torn THEN "{name}" END AS "{name}"' for name in key]
        chosen += [f"CASE WHEN {given} THEN {natural_key(key)} END AS _key", f"{_digest('_table')} AS _digest"]
        self._copy(pa.table({**left, **said}), ", ".join(chosen), f"{facts.table.name}-nameless")

    def _copy_rejected(self, judged: Judged, key: Sequence[str]) -> None:
        facts, rows = judged.facts, judge.rejected(judged)
        at = rows["_at"].combine_chunks()
        first = self.tally.rows["rejected"]
        self.tally.rows["rejected"] += rows.num_rows
        rows = rows.drop_columns(["_at"])
        added = {
            "_record": pa.array(facts.record).take(at),
            "_row": pa.array(np.arange(first, first + rows.num_rows)),
            "raw_sha256": facts.raw_sha256.take(at),
            "raw_row": facts.raw_row.take(at),
            "_text": _said(facts, at),
            **{f"_key_{name}": facts.columns[name].take(at) for name in key},
        }
        for name, array in added.items():
            rows = rows.append_column(name, array)
        hidden = ["_text", *(f"_key_{name}" for name in key)]
        excluded = ", ".join(f'"{name}"' for name in hidden)
        chosen = (
            f"* EXCLUDE ({excluded}), {_digest('fact_table')} AS _digest, "
            f"{natural_key([f'_key_{name}' for name in key])} AS _key, {row_hash(REJECTED)} AS row_hash"
        )
        self._copy(rows, chosen, "rejected-accepted")

    def _copy(self, rows: pa.Table, chosen: str, kind: str, where: str = "") -> None:
        if not rows.num_rows:
            return
        gathered = self._gathered.setdefault((kind, chosen, where), [])
        gathered.append(rows)
        taken = sum(table.get_total_buffer_size() for table in gathered)
        if sum(table.num_rows for table in gathered) >= _FILE or taken >= _BYTES:
            self._flush((kind, chosen, where))

    def _flush(self, which: tuple[str, str, str]) -> None:
        kind, chosen, where = which
        rows = pa.concat_tables(self._gathered.pop(which))
        self._parts += 1
        file = quoted(self.folder / f"{kind}-{self._parts:06d}.parquet")
        query = f"COPY (SELECT {chosen} FROM _rows {where}) TO '{file}' (FORMAT parquet, COMPRESSION uncompressed)"
        # At most one chunk waits to be written while the next is worked on.
        while len(self._writing) >= _WAITING:
            self._writing.popleft().result()
        self._writing.append(self._writer.submit(self._execute, query, rows))

    def _execute(self, query: str, rows: pa.Table) -> None:
        with self.connection.cursor() as cursor:
            cursor.register("_rows", rows)
            cursor.execute(query).fetchall()


def natural_key(names: Sequence[str]) -> str:
    """SQL of a natural key: the key fields as text, joined by U+001F; null as the empty text."""
    parts = [f"coalesce(CAST(\"{name}\" AS VARCHAR), '')" for name in names]
    return "(" + " || chr(31) || ".join(parts) + ")"


def row_hash(table: Table) -> str:
    """SQL of a table's row hash (see the module's text)."""
    parts = []
    for column in table.columns:
        name = f'"{column.name}"'
        text = {
            "string": name,
            "timestamp": f"CAST(epoch_us({name}) AS VARCHAR)",
            "strings": f"array_to_string({name}, ',')",
        }.get(column.type, f"CAST({name} AS VARCHAR)")
        parts.append(f"'{column.name}=' || {text}")
    return f"left(sha256(concat_ws(chr(31), {', '.join(parts)})), 32)"


def _said(facts: Facts, at: pa.Array) -> pa.Array:
    """All that the source says in some rows, as one text."""
    text = [pc.fill_null(facts.text[name].take(at), "") for name in facts.text]
    return pc.binary_join_element_wise(*text, pa.scalar(SEPARATOR, TEXT)) if text else pa.nulls(len(at), TEXT)


def _digest(table: str) -> str:
    """SQL of what a rejected row is known by, from `_said` as `_text` and the column of its table's name."""
    return f"left(sha256({table} || chr(31) || coalesce(_text, '')), 32)"


def quoted(path: Path) -> str:
    """A path inside a SQL string."""
    return str(path).replace("'", "''")


def _joined(parsed: Mapping[str, tuple[pa.Table, pa.Array]]) -> pa.Array | None:
    """The records' lists as one text, to tell equal records from differing ones."""
    if not parsed:
        return None
    text = [pc.fill_null(list_text, "") for _, list_text in parsed.values()]
    return pc.binary_join_element_wise(*text, pa.scalar(SEPARATOR, TEXT))


def _causes(judged: Judged) -> Counter[str]:
    """First error rule broken → rows; a code with the reason why it is none."""
    causes: Counter[str] = Counter()
    left = judged.bad.copy()
    for rule in judged.rules:
        if rule.severity != "error" or not left.any():
            continue
        rows = left & (judged.status[rule.id] != 0)
        left &= ~rows
        count = int(np.count_nonzero(rows))
        if count and rule.id == CODE_VALID:
            causes.update(_code_causes(judged, rows, rule.fields))
        elif count:
            causes[rule.id] += count
    return causes


def _code_causes(judged: Judged, rows: Bools, fields: Sequence[str]) -> Counter[str]:
    causes: Counter[str] = Counter()
    status = judged.status[CODE_VALID]
    for number, name in enumerate(fields, start=1):
        at = rows & (status == number)
        reasons = judged.facts.problem(name)[at] - values.CODE
        for reason, count in zip(*np.unique(reasons, return_counts=True), strict=True):
            causes[f"{CODE_VALID}:{identity.REASONS[reason]}"] += int(count)
    return causes
