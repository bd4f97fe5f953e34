"""A district: the model of `include/districts/<code>.yml`, and its loader.

Everything that differs from one district to the next stands in its file: who its departments are, where they are
reached, which sources feed it, which policy it follows and which reading leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from chengxin import yamlfile
from chengxin.errors import ConfigError
from chengxin.yamlfile import Strict

OrgKind = Literal["党委机关", "行政机关", "司法机关", "事业单位_行政职能", "街道办", "开发区", "金融机构"]
Reading = Literal["as_written", "guarded"]


class Department(Strict):
    """A unit that is warned, supervises, or both."""

    name: str
    kind: OrgKind
    mailbox: str
    head: str | None = None
    """Mailbox of the unit's head: copied from the escalation stage on."""
    industries: tuple[str, ...] = ()
    """GB/T 4754 letters whose annual reports it looks after (行业主管)."""


class AreaRoute(Strict):
    """Which unit looks after an area, and from when to when: area codes change hands."""

    area: str
    to: str
    valid_from: date | None = None
    valid_to: date | None = None


class Mail(Strict):
    """How this district's mails look and when they go."""

    sender: str
    sender_name: str
    connection: str = "smtp_default"
    operators: tuple[str, ...]
    """Where crash notices and run reports go; never a department."""


class District(Strict):
    """One district."""

    code: str = Field(pattern=r"^\d{6}$")
    name: str
    policy: str
    """Folder of the policy document it follows."""
    leading: Reading = "as_written"
    sources: tuple[str, ...]
    """Enabled source contracts."""
    departments: Mapping[str, Department]
    areas: tuple[AreaRoute, ...] = ()
    default_desk: str
    """The department that gets what no route fits."""
    regulator: str
    """区市场监管局: hears of every annual report due."""
    supervisors: tuple[str, ...] = ()
    mail: Mail
    parameters: Mapping[str, object] = {}
    """Overrides of policy parameters, each with its own reference."""

    @model_validator(mode="after")
    def _names_known_departments(self) -> District:
        named = {self.default_desk, self.regulator, *self.supervisors, *(route.to for route in self.areas)}
        unknown = named - set(self.departments)
        if unknown:
            raise ValueError(f"no such department: {', '.join(sorted(unknown))}")
        return self


def load(path: Path) -> District:
    """The district of one file.

    Raises:
        ConfigError: the file is no valid district.
    """
    district = yamlfile.load(path, District)
    if district.code != path.stem:
        raise ConfigError(
            f"the district calls itself {district.code!r}",
            where=str(path),
            remedy="file name and `code` must agree",
        )
    return district
