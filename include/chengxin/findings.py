"""What the policy found, as the lake keeps it: each finding with an id of its own and the place of its evidence.

An id is the hash of the advice's own id, of what the policy says and of the evidence, so that the same finding has the
same id on every day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import ibis

from chengxin import engine, linking
from chengxin.engine import Connection
from chengxin.linking import Linked
from chengxin.policy.facts import Advised
from chengxin.policy.vocabulary import GateEffect

_OF_APPLICANT = ("advice_id", "matter_id", "applicant_no")
_PART = 16
"""Digits of a part of an id. With the advice's own id, two parts fill one block of SHA-256 (55 bytes), whose number is
what hashing takes time by."""


def worded(connection: Connection, advised: Advised, linked: Linked) -> ibis.Table:
    """The content columns of `finding`, lazily.

    Args:
        connection: the engine.
        advised: what the policy says.
        linked: the facts that it speaks of.
    """
    # What an id says of the policy is hashed once for each thing that the policy says, and what it says of the evidence
    # once for each piece of it. Kept, since DuckDB would put it together for each finding all the same.
    words = advised.words
    # What stops all rules rests on the applicant's own row, anything else on the fact that it cites.
    stops = words.effect.isin(get_args(GateEffect)).fill_null(False)
    words = words.select(
        "word", stops=stops, standing_in=stops.ifelse("applicant", words.evidence_table),
        said=_part(words, ["reading", "rule", "clause", "evidence_table"]),
    )  # fmt: skip
    words = engine.keep(connection, "said", words)
    own = linked.applicants.semi_join(advised.stopped, "applicant_id")
    places = ibis.union(_facts_cited(linked), _own_places(own))
    rows = advised.findings.drop("evidence_table").inner_join(words, "word")
    rows = rows.mutate(place=rows.stops.ifelse(_own_place(rows), rows.evidence_id))
    rows = rows.inner_join(linked.applicants.select("applicant_id", *_OF_APPLICANT), "applicant_id")
    rows = rows.left_join(places, "place")
    text = rows.advice_id.concat(rows.said, rows.cites.coalesce(rows.evidence_source, ""))
    return rows.mutate(
        finding_id=text.hexdigest("sha256").left(linking.ID_LENGTH),
        evidence_table=rows.standing_in,
        evidence_source=rows.place_source.coalesce(rows.evidence_source),
    )


def _part(rows: ibis.Table, columns: Sequence[str]) -> ibis.Value:
    return engine.row_hash(rows, columns).left(_PART)


def _facts_cited(linked: Linked) -> ibis.Table:
    """Where each fact stands that can be cited, by `place`, and what an id says of it."""
    cited = linked.evidence
    return cited.select(
        place="evidence_id", place_source="source", evidence_key="natural_key", evidence_seq="seq",
        evidence_sha256="raw_sha256", evidence_row="raw_row", cites=_part(cited, ["source", "natural_key"]),
    )  # fmt: skip


def _own_places(applicants: ibis.Table) -> ibis.Table:
    """The same for applicants' own rows, which an id says nothing of."""
    return applicants.select(
        place=_own_place(applicants), place_source="own_source", evidence_key="own_key", evidence_seq="own_seq",
        evidence_sha256="own_sha256", evidence_row="own_row", cites=ibis.null("string"),
    )  # fmt: skip


def _own_place(rows: ibis.Table) -> ibis.Value:
    """The numbers of facts are never negative."""
    return -1 - rows.applicant_id
