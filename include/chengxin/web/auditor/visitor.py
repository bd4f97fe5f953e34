"""Who looks: an account of the district file, and what it may see (四（三）)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fastapi import HTTPException, Request

from chengxin.districts import District

Role = Literal["auditor", "officer", "operator", "partner"]


@dataclass(frozen=True)
class Purpose:
    """Why somebody looks at subjects, as stated and put on record."""

    act: int
    """Number of the act that holds it."""
    words: str
    until: datetime


@dataclass(frozen=True)
class Visitor:
    """Somebody who has logged in and has an account in the district file."""

    login: str
    name: str
    role: Role
    department: str | None
    """Code of the officer's department; of a partner's; null: none."""
    department_name: str
    purpose: Purpose | None
    language: Literal["zh", "en"]

    @property
    def sees_all(self) -> bool:
        """Auditors and operators see every department's matters; operators always masked."""
        return self.role in ("auditor", "operator")

    @property
    def unmasked(self) -> bool:
        """Whether codes and names of other departments' subjects are shown in full: to an auditor with a purpose."""
        return self.role == "auditor" and self.purpose is not None

    def may_open(self, department: str | None) -> bool:
        """Whether what belongs to a department may be shown at all."""
        return self.sees_all or (self.role == "officer" and department == self.department)

    def must_be(self, *roles: Role) -> None:
        """Refuses everybody else.

        Raises:
            HTTPException: 403.
        """
        if self.role not in roles:
            raise HTTPException(403)


def of(district: District, login: str, purpose: Purpose | None, language: Literal["zh", "en"]) -> Visitor:
    """The visitor with a login name.

    Raises:
        HTTPException: 403, Airflow knows the name, the district does not.
    """
    account = district.accounts.get(login)
    if account is None:
        raise HTTPException(403, "no account")
    unit = district.departments.get(account.department) if account.department else None
    return Visitor(
        login=login,
        name=account.name,
        role=account.role,
        department=account.department,
        department_name=unit.name if unit else "",
        purpose=purpose,
        language=language,
    )


def visitor(request: Request) -> Visitor:
    """Who sent a request; the guard has let them in."""
    found: Visitor = request.state.visitor
    return found
