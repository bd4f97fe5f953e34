"""A district: the model of `include/districts/<code>.yml`, and its loader.

Everything that differs from one district to the next stands in its file: who its departments are, where they are
reached, which sources feed it, which policy it follows and which reading leads.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from chengxin import yamlfile
from chengxin.clock import BEIJING
from chengxin.yamlfile import Strict

OrgKind = Literal["党委机关", "行政机关", "司法机关", "事业单位_行政职能", "街道办", "开发区", "金融机构"]
Reading = Literal["as_written", "guarded"]
Role = Literal["officer", "auditor", "operator", "partner"]
"""What an account may do: `officer` sees and decides the matters of its department, `auditor` sees all and changes
nothing, `operator` keeps the system running, `partner` (a bank, or a party to a contract) may only look up."""
BANK: OrgKind = "金融机构"


_ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z][\w.-]*$")]


class Department(Strict):
    """A unit that is warned, supervises, or both."""

    name: str
    kind: OrgKind
    mailbox: str
    head: str | None = None
    """Mailbox of the unit's head: copied from the escalation stage on."""
    industries: tuple[Annotated[str, Field(pattern="^[A-T]$")], ...] = ()
    """GB/T 4754 letters whose annual reports it looks after (行业主管)."""


class AreaRoute(Strict):
    """Which unit looks after an area, and from when to when (both inclusive): area codes change hands."""

    area: str = Field(pattern=r"^\d{6}(\d{3}){0,2}$")
    """6, 9 or 12 digits; the longest one that begins an address's code decides."""
    to: str
    valid_from: date | None = None
    valid_to: date | None = None

    def holds(self, day: date) -> bool:
        """Whether the route is in force on a day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


class Escalation(Strict):
    """Who else hears of the annual reports from a stage on."""

    stage: Literal["T-90", "T-60", "T-30", "T-15", "T-7", "T-3", "T-1", "T-0", "T+1", "T+7", "T+30"]
    """Days from 30 June. Holds at this stage and at every later one."""
    copy_to: str = Field(alias="copy")
    """`head`: each unit's head gets a copy of its mail. A department: it gets the numbers of all units, no names."""

    @property
    def offset(self) -> int:
        """The stage in days from 30 June: -15 is fifteen days before."""
        return int(self.stage[1:])


class QuietHours(Strict):
    """The hours of every day, Beijing time, in which departments get no mail; operators always do."""

    begin: int = Field(ge=0, le=23)
    end: int = Field(ge=0, le=23)
    """The first hour that is not quiet any more; smaller than `begin`: of the next morning."""

    @model_validator(mode="after")
    def _leaves_hours(self) -> QuietHours:
        if self.begin == self.end:
            raise ValueError("quiet hours that begin and end at the same hour would be all or none")
        return self

    def hold(self, instant: datetime) -> bool:
        """Whether an instant falls into them."""
        now, begin, end = instant.astimezone(BEIJING).time(), time(self.begin), time(self.end)
        return begin <= now < end if begin < end else now >= begin or now < end


class Mail(Strict):
    """How this district's mails look and when they go."""

    sender: str
    sender_name: str
    connection: str = "smtp_default"
    operators: tuple[str, ...] = Field(min_length=1)
    """Where crash notices and run reports go; never a department."""
    work_list_rows: int = Field(default=20_000, ge=1)
    """Most rows of one attached work list; a mail whose list was cut says so."""
    connections: int = Field(default=4, ge=1, le=32)
    """Most lines to the mail server that one sender keeps open at a time."""
    per_minute: int | None = Field(default=None, ge=1)
    """Most messages a minute, all senders of this machine together; None: as fast as the server takes them."""
    language: Literal["zh-CN"] = "zh-CN"
    """Of the templates under `include/mail`."""
    quiet_hours: QuietHours | None = None
    digest_hour: int | None = Field(default=None, ge=0, le=23)
    """Changed advice goes out once a day and department, by the first run at or after this hour; None: as it comes."""
    approval_threshold: int | None = Field(default=None, ge=1)
    """More messages than this for the departments of one run wait for a person's approval in Airflow; None: never."""
    answers_url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Where desks reach the answering page, without a slash at the end; empty: mails carry no link."""


class Account(Strict):
    """Who stands behind a login name, which is the one of Airflow's auth manager; no password stands here."""

    name: str
    """The person, or the partner, as it is shown and recorded."""
    role: Role
    department: str | None = None
    """Code of the department; None for auditors, operators, and partners that are no department."""


class Hours(Strict):
    """Hours of every day, Beijing time."""

    begin: int = Field(ge=0, le=23)
    end: int = Field(ge=1, le=24)
    """The first hour that does not belong to them any more."""

    @model_validator(mode="after")
    def _follow(self) -> Hours:
        if self.end <= self.begin:
            raise ValueError("hours that end before they begin")
        return self

    def hold(self, instant: datetime) -> bool:
        """Whether an instant falls into them."""
        return self.begin <= instant.astimezone(BEIJING).hour < self.end


class LookUp(Strict):
    """The limits of look-ups by banks and partners (二（一）2 and 3), each account by itself."""

    per_minute: int = Field(default=10, ge=1)
    per_day: int = Field(default=200, ge=1)
    """Per Beijing day."""
    hours: Hours | None = None
    """When look-ups are answered at all; None: at any hour."""
    lists: tuple[str, ...] = ()
    """The lists whose entries are public by law, by the names that their sources give them: only these are told."""


class NamedBody(Strict):
    """A body that the notice names and that gets no mail; the name may be open, then the note says why."""

    name: str = ""
    note: str = ""


class District(Strict):
    """One district."""

    code: str = Field(pattern=r"^\d{6}$")
    name: str
    policy: str
    """Folder of the policy document it follows."""
    leading: Reading = "as_written"
    sources: tuple[str, ...]
    """Enabled source contracts."""
    connections: Mapping[_ConnectionId, _ConnectionId] = {}
    """Connection id that contracts (or the house) name → the one that serves this district instead."""
    departments: Mapping[str, Department]
    areas: tuple[AreaRoute, ...] = ()
    default_desk: str
    """The department that gets what no route fits."""
    regulator: str
    """区市场监管局: hears of every annual report due."""
    supervisors: tuple[str, ...] = ()
    """区发改局 and 区金融事业发展中心 (四（一）)."""
    pboc_branch: NamedBody = NamedBody()
    """The branch of the People's Bank that supervises credit agencies (四（二）)."""
    escalation: tuple[Escalation, ...] = ()
    resolve_names: tuple[Literal["applicant", "credit_report"], ...] = ()
    """Fact tables whose rows that came without a code get one where their exact name belongs to a single subject;
    elsewhere, and for every other row, no code stays no code."""
    mail: Mail
    accounts: Mapping[Annotated[str, Field(pattern="^[a-z][a-z0-9_.-]{0,31}$")], Account] = {}
    """Login name → who that is. A login that is not here may do nothing."""
    lookup: LookUp = LookUp()
    parameters: Mapping[str, object] = {}
    """Overrides of policy parameters, each with its own reference."""

    @model_validator(mode="after")
    def _names_known_departments(self) -> District:
        copied = {step.copy_to for step in self.escalation} - {"head"}
        named = {self.default_desk, self.regulator, *self.supervisors, *copied, *(route.to for route in self.areas)}
        unknown = named - set(self.departments)
        if unknown:
            raise ValueError(f"no such department: {', '.join(sorted(unknown))}")
        return self

    @model_validator(mode="after")
    def _one_route_at_a_time(self) -> District:
        routes = sorted(self.areas, key=lambda route: (route.area, route.valid_from or date.min))
        for earlier, later in itertools.pairwise(routes):
            if earlier.area == later.area and (earlier.valid_to or date.max) >= (later.valid_from or date.min):
                raise ValueError(f"two routes of area {later.area} hold on {later.valid_from or 'every day'}")
        return self

    @model_validator(mode="after")
    def _operators_are_no_departments(self) -> District:
        boxes = {box for unit in self.departments.values() for box in (unit.mailbox, unit.head)}
        both = boxes & set(self.mail.operators)
        if both:
            raise ValueError(f"operators' mailbox is a department's: {', '.join(sorted(str(box) for box in both))}")
        return self

    @model_validator(mode="after")
    def _accounts_stand_where_they_may(self) -> District:
        for login, account in self.accounts.items():
            unit = self.departments.get(account.department or "")
            if account.department is not None and unit is None:
                raise ValueError(f"account {login}: no such department: {account.department}")
            if account.role == "officer" and (unit is None or unit.kind == BANK):
                raise ValueError(f"account {login}: an officer belongs to a department that is no bank")
            if account.role in ("auditor", "operator") and unit is not None:
                raise ValueError(f"account {login}: an {account.role} belongs to no department")
            if account.role == "partner" and unit is not None and unit.kind != BANK:
                raise ValueError(f"account {login}: a partner is a bank, or belongs to no department")
            if account.role == "partner" and unit is None and login in self.departments:
                raise ValueError(f"account {login}: a partner of its own cannot be called as a department is")
        return self

    def route(self, area_code: str | None, day: date) -> str | None:
        """The department that looks after an address on a day; None: no route fits (the default desk's business)."""
        fits = [route for route in self.areas if area_code and area_code.startswith(route.area) and route.holds(day)]
        return max(fits, key=lambda route: len(route.area)).to if fits else None


def load(path: Path) -> District:
    """The district of one file.

    Raises:
        ConfigError: the file is no valid district.
    """
    return yamlfile.load_named(path, District, "district", "code")
