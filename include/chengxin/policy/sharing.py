"""What may be passed on (四（三）), and who gets easy access (二（一）3), as relational expressions."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from chengxin.policy.codebook import Codebook
from chengxin.policy.model import Policy
from chengxin.policy.predicates import Relation, Scope, holds
from chengxin.policy.rules import SharingRule


def decide(policy: Policy, uses: ir.Table) -> ir.Table:
    """Whether each use may go ahead, lazily.

    Args:
        policy: the policy.
        uses: columns `as_of` (null: the values now in force), `item, public, recipient, use_matter_id, consent_live,
            consent_matter_id, consent_recipient` and any others, which are kept. `consent_live` is false where the
            subject never consented, or withdrew, or the consent ran out.

    Returns:
        The rows with `decision` (ALLOW or BLOCK), `reasons, rule, clause`.
    """
    return _decide(policy, uses, "sharing", policy.sharing.rules)


def grant(policy: Policy, requests: ir.Table) -> ir.Table:
    """Whether each request for a record is answered, lazily.

    Args:
        policy: the policy.
        requests: columns `as_of, identity_proven, own, public, consent_live` and any others, which are kept.

    Returns:
        The rows with `decision` (ALLOW or BLOCK), `reasons, rule, clause`.
    """
    return _decide(policy, requests, "access", policy.access.rules)


def _decide(policy: Policy, given: ir.Table, relation: Relation, rules: Mapping[str, SharingRule]) -> ir.Table:
    book = Codebook(policy)
    rows = given.mutate(epoch=book.epoch(given.as_of))
    scope = Scope(rows, book.epochs)
    fits = [(holds(rule.when, relation, scope), name) for name, rule in rules.items()]
    rows = rows.mutate(rule=ibis.cases(*fits, else_=ibis.null("string")))
    decisions = [(rows.rule == name, rule.decision) for name, rule in rules.items()]
    clauses = [(rows.rule == name, rule.clause) for name, rule in rules.items()]
    reasons = [
        (rows.rule == name, ibis.literal(sorted(rule.reasons), type="array<string>")) for name, rule in rules.items()
    ]
    # What no rule fits must not leave the house.
    return rows.mutate(
        decision=ibis.cases(*decisions, else_="BLOCK"),
        clause=ibis.cases(*clauses, else_=ibis.null("string")),
        reasons=ibis.cases(*reasons, else_=ibis.literal([], type="array<string>")),
    ).select(*given.columns, "decision", "reasons", "rule", "clause")
