"""The last step of a compiled policy: numbers become words, once for each combination that occurs.

These are hundreds, whatever the number of findings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from chengxin.policy.codebook import Codebook
from chengxin.policy.encoding import EMPTY, RANK_STEP, date_of, decode, outcome
from chengxin.policy.facts import Stale
from chengxin.policy.vocabulary import FLAGS

KIND = ("form", "epoch", "line", "remarks", "lost", "stale_source", "absent")
"""What the words of a finding depend on."""


@dataclass(frozen=True)
class Wording:
    """The words of one policy.

    Attributes:
        book: its numbering.
        stale: sources that are too old.
    """

    book: Codebook
    stale: Mapping[str, Stale]

    def words(self, found: ir.Table) -> ir.Table:
        """The words of each kind of finding that occurs: one row, or one for each reading where these differ."""
        book = self.book
        rows = ranked(found.select(*KIND).distinct(), book)
        rows = rows.filter(rows.rule.notnull()).join(book.form_table(), "form")
        rows = rows.left_join(book.parameter_table(), ["line", "epoch"]).drop("line_right", "epoch_right")
        differs = rows.rank_written != rows.rank_guarded
        written = rows.mutate(
            reading=differs.ifelse("as_written", "both"),
            rank=rows.rank_written,
            has_end=rows.ends & (rows.rank_written > 0),
        )
        other = rows.filter(differs)
        guarded = other.mutate(reading=ibis.literal("guarded"), rank=other.rank_guarded, has_end=ibis.literal(False))
        rows = ibis.union(written, guarded)
        return rows.select(
            *KIND, "reading", "rule", "has_end",
            word=ibis.row_number().over(order_by=[*KIND, "reading"]).cast("int32"),
            evidence_table=rows.absent.ifelse(ibis.null("string"), rows.evidence_table),
            clause=rows.line_clause.coalesce(rows.own_clause),
            effect=(rows.rank > 0).ifelse(outcome(rows.rank), ibis.null("string")),
            reasons=decode(rows.reason_bits, book.reasons),
            flags=decode(rows.line_flags, FLAGS),
            parameters=self._stale_parameters(rows).coalesce(rows.parameters, "{}"),
        )  # fmt: skip

    def findings(self, found: ir.Table, words: ir.Table) -> ir.Table:
        """The findings in words."""
        rows = found.join(words, KIND)
        return rows.select(
            "applicant_id", "reading", "rule", "clause", "effect", "reasons", "flags", "evidence_table", "evidence_id",
            "parameters", "word",
            until=rows.has_end.ifelse(rows.last_day, ibis.null("date")),
            evidence_source=rows.stale_source.nullif(""),
        )  # fmt: skip

    def advice(self, outcomes: ir.Table) -> ir.Table:
        """The same in words."""
        bits = ("reason_bits", "flag_bits", "cite_bits")
        words = outcomes.select(*bits).distinct()
        words = words.mutate(
            reasons=decode(words.reason_bits, self.book.reasons),
            flags=decode(words.flag_bits, FLAGS),
            cites=decode(words.cite_bits, self.book.clauses),
        )
        rows = outcomes.join(words, bits)
        return rows.select(
            "applicant_id", "flags", "cites",
            as_written=outcome(rows.rank_written),
            as_written_until=date_of(rows.written % RANK_STEP),
            as_written_reasons=rows.reasons,
            guarded=outcome(rows.rank_guarded),
            guarded_until=date_of(rows.guarded_key % RANK_STEP),
            guarded_reasons=rows.reasons,
            stale_sources=self._stale_sources(rows),
        )  # fmt: skip

    def _stale_parameters(self, rows: ir.Table) -> ir.Value:
        texts = [
            (
                rows.stale_source == source,
                f'{{"max_age": {{"source": "{source}", "age_days": {_json(about.age_days)}, '
                f'"max_age_days": {_json(about.max_age_days)}}}}}',
            )
            for source, about in self.stale.items()
        ]
        return ibis.cases(*texts, else_=ibis.null("string")) if texts else ibis.null("string")

    def _stale_sources(self, rows: ir.Table) -> ir.Value:
        if not self.stale:
            return EMPTY
        labels = ibis.literal([about.label(source) for source, about in self.stale.items()], type="array<string>")
        return rows.stopped.ifelse(EMPTY, labels)


def ranked(found: ir.Table, book: Codebook) -> ir.Table:
    """With what each line means; what a stale source says has no effect."""
    rows = found.join(book.line_table(), "line")
    return rows.mutate(
        reason_bits=rows.line_reasons | rows.remarks,
        rank_written=rows.lost.ifelse(0, rows.rank_written),
        rank_guarded=rows.lost.ifelse(0, rows.rank_guarded),
    )


def _json(number: int | None) -> str:
    return "null" if number is None else str(number)
