"""Who acts: a login name, looked up in the district's file, with what the account may do.

Pages and commands hand down the login name that they have authenticated; everything else about it stands in the
district's file (`accounts`), so that it is versioned, and kept with each check's rulebook.
"""

from __future__ import annotations

from dataclasses import dataclass

from chengxin.districts import District, Role
from chengxin.errors import ChengxinError


class NotPermittedError(ChengxinError):
    """The account may not do this. Says nothing about whether what was asked for exists."""

    cause = "not permitted"


@dataclass(frozen=True)
class Actor:
    """An account that acts."""

    login: str
    name: str
    role: Role
    department: str | None
    """Code of its department; None: it has none."""

    @property
    def signature(self) -> str:
        """How it stands in the ledger: `officer/zjj`. No stage of the system signs like that."""
        return f"{self.role}/{self.login}"

    @property
    def recipient(self) -> str:
        """What a consent must name so that this account may be told: its department, or itself where it has none."""
        return self.department or self.login


def of(district: District, login: str) -> Actor:
    """The account of a login name.

    Args:
        district: whose file names the accounts.
        login: as authenticated.

    Raises:
        NotPermittedError: the district knows no such account.
    """
    account = district.accounts.get(login)
    if account is None:
        raise NotPermittedError(
            "this login belongs to no account of the district",
            where=f"include/districts/{district.code}.yml, accounts",
            remedy="add the login name with its role and department, or log in with another one",
        )
    return Actor(login, account.name, account.role, account.department)


def officer(district: District, login: str) -> Actor:
    """The same, if it is an officer: who decides matters and receives objections.

    Raises:
        NotPermittedError: it is not.
    """
    found = of(district, login)
    if found.role != "officer":
        raise NotPermittedError(
            f"{found.role} accounts decide nothing",
            where="accounts",
            why="the system advises, a named officer of the matter's department decides",
            remedy="log in as an officer of that department",
        )
    return found
