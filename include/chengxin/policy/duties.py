"""Who must do what, by clause: a handful of bodies, so plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from chengxin.policy.model import Policy
from chengxin.policy.rules import Duty

Standing = Literal["MET", "VIOLATION", "ENCOURAGED", "NOT_BOUND"]


@dataclass(frozen=True)
class Bound:
    """One duty of one kind of body."""

    id: str
    duty: Duty


def of(policy: Policy, body: str, day: date) -> list[Bound]:
    """The duties of a kind of body on a day: none while the document is not in force.

    Args:
        policy: the policy.
        body: a kind of `districts.OrgKind`, or `credit_agency`.
        day: Beijing date.
    """
    in_force = policy.document.in_force
    if day < in_force.from_ or (in_force.to is not None and day > in_force.to):
        return []
    return [Bound(name, duty) for name, duty in policy.duties.duties.items() if body in duty.who]


def standing(policy: Policy, duty: str, body: str, day: date, *, done: bool) -> Standing:
    """How a body stands with a duty. What is only encouraged is never a violation.

    Raises:
        KeyError: no such duty.
    """
    about = policy.duties.duties[duty]
    if duty not in {bound.id for bound in of(policy, body, day)}:
        return "NOT_BOUND"
    if done:
        return "MET"
    return "ENCOURAGED" if about.strength == "encouraged" else "VIOLATION"
