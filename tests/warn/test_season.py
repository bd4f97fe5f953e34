"""A year of warnings, from 1 January to 31 July: subjects of the made-up district file as people do, the house checks,
plans and sends day by day over a real mail server, and every mailbox is held against `expected`, message by message.

On the way: subjects that the registry brings late, that move, that sit in an unknown area; a source that falls silent
over a stage; days on which nobody ran the house; a mail server that greylists; matters that lack every report.
"""

from __future__ import annotations

import io
import re
import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ruamel.yaml

from chengxin import check, warn
from chengxin.clock import BEIJING, beijing_date
from chengxin.lake import arrow_schema
from chengxin.ledger.models import Commit
from chengxin.sandbox.world import World
from chengxin.settings import House
from chengxin.tables import TABLES

from ..conftest import NOW, ROOT
from ..factlake import ALL_SOURCES, FactLake
from .conftest import Catcher, Scene, body, serving
from .expected import STAGES, Mail, Season, Seen, stages

YEAR = 2026
SILENT = (date(2026, 6, 20), date(2026, 6, 23))
"""The annual reports do not arrive from the first to the second of these days, over the stage T-7."""
LATE_ENTRY = date(2026, 5, 12)
"""Some subjects are in the registry only from this day on."""
MOVE = date(2026, 6, 18)
MATTERS = (
    ("LC-2026-0101", "zjj", date(2026, 2, 3), date(2026, 5, 6), (3, 5)),
    ("LC-2026-0102", "zjj", date(2026, 6, 15), date(2026, 7, 20), (7,)),
    ("LC-2026-0103", "nyj", date(2026, 6, 15), date(2026, 9, 1), (9, 11, 13)),
)
"""Number, department, opened on, decided on, places of its applicants among the enterprises."""


class Sources:
    """What the sources show on a day, and the lake that it is written into: only what changed."""

    def __init__(self, house: House, subjects: int) -> None:
        self._lake = FactLake(house)
        self._house = house
        self._world = World(11, subjects, date(YEAR, 1, 1), season=YEAR, clean=True)
        self._written: dict[str, pd.DataFrame] = {}
        self._filed: dict[str, Any] = {}

    def arrive(self, day: date) -> Seen:
        """Harvests the day, and gives what the house may know by then."""
        world = self._world.at(day)
        people = self._people(world, day)
        self._write("subject", "subject_registry", day, people, ["uscc"])
        silent = SILENT[0] <= day <= SILENT[1]
        if not silent:
            filings = world.frame("filings").to_pandas()
            filings = filings[filings["uscc"].isin(people["uscc"])]
            filings = filings[["uscc", "report_year", "submitted_at", "correction_at"]].copy()
            for column in ("submitted_at", "correction_at"):
                filings[column] = pd.to_datetime(filings[column]).dt.tz_localize("Asia/Shanghai")
            self._write("annual_report", "annual_reports", day, filings, ["uscc", "report_year"])
            mine = filings[filings["report_year"] == YEAR - 1]
            self._filed = dict.fromkeys(mine["uscc"])
        matters = self._matters(day, people)
        self._lake.fresh(day, *(source for source in ALL_SOURCES if not (silent and source == "annual_reports")))
        rows = people.astype(object).where(people.notna(), None).to_dict("records")
        return Seen(
            {row["uscc"]: row for row in rows}, self._filed, matters, reports_fresh=not silent or day < SILENT[1]
        )

    def _people(self, world: World, day: date) -> pd.DataFrame:
        columns = [
            "uscc",
            "name",
            "kind",
            "established",
            "state",
            "revoked_on",
            "deregistered_on",
            "area_code",
            "industry",
        ]
        frame = world.frame("subjects").to_pandas()
        unknown = frame["id"] % 211 == 5
        frame.loc[unknown, "area_code"] = "370199001"
        if day < LATE_ENTRY:
            frame = frame[frame["id"] % 97 != 3]
        if day >= MOVE:
            frame.loc[frame["id"] % 89 == 7, "area_code"] = "370112016"
        for column in ("established", "revoked_on", "deregistered_on"):
            frame[column] = pd.to_datetime(frame[column]).dt.date
        return frame[columns].reset_index(drop=True)

    def _matters(self, day: date, people: pd.DataFrame) -> list[dict[str, Any]]:
        firms = people[(people["kind"] == "企业") & (people["state"] == "存续")].sort_values("uscc")
        pending = []
        matters, applicants = [], []
        for number, department, opened, decided, places in MATTERS:
            if day < opened:
                continue
            chosen = firms[firms["established"] < date(2020, 1, 1)].iloc[list(places)]
            open_ = day < decided
            if open_:
                pending.append({"matter_id": number, "department": department, "names": list(chosen["name"])})
            matters.append(
                {"matter_id": number, "type": "招投标", "title": f"事项{number}", "department": department,
                 "opened_on": opened, "decided_on": None if open_ else decided, "state": "待办" if open_ else "办结"}
            )  # fmt: skip
            if number not in self._written:
                self._written[number] = chosen
                applicants += [
                    {"matter_id": number, "applicant_no": str(n), "uscc": code, "name": name}
                    for n, (code, name) in enumerate(zip(chosen["uscc"], chosen["name"], strict=True), start=1)
                ]
            else:
                told = self._written[number]
                pending = [
                    {**each, "names": list(told["name"])} if each["matter_id"] == number else each for each in pending
                ]
        if matters:
            self._lake.put("matter", day, matters)
        if applicants:
            self._lake.put("applicant", day, applicants)
        return pending

    def _write(self, table: str, source: str, day: date, frame: pd.DataFrame, key: list[str]) -> None:
        """Appends what is new or changed since the last write, and tombstones."""
        keys = frame[key].astype(str).agg("\x1f".join, axis=1)
        now = frame.assign(natural_key=keys).set_index("natural_key", drop=False)
        known = self._written.get(table)
        self._written[table] = now
        removed = pd.Series(False, index=now.index)
        if known is not None:
            same = now.index.intersection(known.index)
            left, right = (side.loc[same].astype(str) for side in (now, known))
            unchanged = same[(left == right).all(axis=1)]
            gone = known.loc[known.index.difference(now.index)]
            now = pd.concat([now.drop(unchanged), gone])
            removed = pd.Series(now.index.isin(gone.index), index=now.index)
        if now.empty:
            return
        with self._house.ledger.begin() as session:
            commit = Commit(
                kind="harvest", name=source, as_of=day, opened_at=self._house.clock(), closed_at=self._house.clock()
            )
            session.add(commit)
            session.flush()
            seq = commit.seq
        now = now.assign(observed_on=day, seq=seq, source=source, removed=removed, row_hash="", raw_sha256="0" * 64)
        now = now.assign(raw_row=range(len(now)))
        schema = arrow_schema(TABLES[table])
        arrays = [
            pa.array(now[each.name], from_pandas=True).cast(each.type)
            if each.name in now
            else pa.nulls(len(now), each.type)
            for each in schema
        ]
        file = self._house.lake.data_file(table, seq)
        pq.write_table(pa.table(arrays, schema=schema), file)
        self._house.lake.commit(table, [file], seq)


@dataclass
class Eve:
    """How a day stood before it was planned, to be played again."""

    house: House
    ledger: Path
    """A copy."""
    season: Season
    seen: Seen

    def again(self, catcher: Catcher, *, include: Path | None = None, seen: Seen | None = None) -> None:
        """Plans and sends the day once more, against the expectation."""
        day = beijing_date(self.house.clock())
        with tempfile.TemporaryDirectory() as folder:
            ledger = Path(shutil.copy(self.ledger, folder))
            house = replace(self.house, ledger_url=f"sqlite:///{ledger}", include=include)
            catcher.accepted.clear()
            warn.plan(house, day)
            _send(house, day)
        _compare(day, deepcopy(self.season).on(day, seen or self.seen), catcher.mails())


def run(
    house: House, catcher: Catcher, days: Iterable[date], subjects: int, eves: dict[date, Eve] | None = None
) -> list[str]:
    """Runs the house on these days, and keeps their eves if asked; the subjects of everything that arrived."""
    district = ruamel.yaml.YAML(typ="safe").load(ROOT / "include/districts/370112.yml")
    season, sources = Season(district, YEAR), Sources(house, subjects)
    subjects_of: list[str] = []
    threads: dict[tuple[str, bool], set[str]] = defaultdict(set)
    ids: set[str] = set()
    for day in days:
        moment = datetime.combine(day, time(9, 30), BEIJING)
        today = replace(house, mode="production", clock=lambda moment=moment: moment)
        seen = sources.arrive(day)
        check.run(today, day)
        if eves is not None:
            copy = house.var / f"ledger-{day}.db"
            with closing(sqlite3.connect(house.var / "ledger.db")) as ledger:
                ledger.execute("VACUUM INTO ?", (str(copy),))
            eves[day] = Eve(today, copy, deepcopy(season), seen)
        warn.plan(today, day)
        if day.day % 3 == 0:
            catcher.script = ["greylist", "accept"]
        _send(today, day)
        # A rerun and a cleared task add nothing.
        assert warn.plan(today, day) == []
        _send(today, day)
        arrived = catcher.mails()
        catcher.accepted.clear()
        _compare(day, season.on(day, seen), arrived)
        for mail in arrived:
            assert mail["Message-ID"] not in ids
            ids.add(str(mail["Message-ID"]))
            threads[str(mail["To"].addresses[0].addr_spec), "信用核查" in mail["Subject"]].add(str(mail["References"]))
            subjects_of.append(str(mail["Subject"]))
    assert all(len(references) == 1 for references in threads.values())
    return subjects_of


def _send(house: House, day: date) -> None:
    for _ in range(5):
        try:
            warn.send(house, day, None)
            return
        except warn.DeferredError:
            continue
    raise AssertionError("messages still wait")


def _compare(day: date, expected: Sequence[Mail], arrived: Sequence[EmailMessage]) -> None:
    def box(mail: EmailMessage) -> str:
        return str(mail["To"].addresses[0].addr_spec)

    got = sorted((box(mail), str(mail["Subject"])) for mail in arrived)
    assert got == sorted((mail.recipient, mail.subject) for mail in expected), day
    wanted = {(mail.recipient, mail.subject): mail for mail in expected}
    for mail in arrived:
        said = wanted[box(mail), str(mail["Subject"])]
        text = body(mail)
        for sentence in said.says:
            assert sentence in text, (day, said.recipient, said.subject, sentence)
        assert "相比" in text or not any("相比" in sentence for sentence in said.says)
        assert not any(name in text for name in said.silent_on)
        assert not re.search(r"9[123]370112[0-9A-Z]{10}", text), (day, said.recipient)
        assert _listed(mail) == said.names, (day, said.recipient, said.subject)


def _listed(mail: EmailMessage) -> tuple[str, ...] | None:
    attached = list(mail.iter_attachments())
    if not attached:
        return None
    (one,) = attached
    rows = list(
        openpyxl.load_workbook(io.BytesIO(one.get_content()), read_only=True).active.iter_rows(values_only=True)
    )
    head = next(place for place, row in enumerate(rows) if "主体名称" in row)
    column = rows[head].index("主体名称")
    return tuple(sorted(str(row[column]) for row in rows[head + 1 :]))


@pytest.fixture
def home(house: House, catcher: Catcher) -> House:
    return replace(house, connections=catcher.connection)


QUIET, SEVEN_LEFT = date(YEAR, 6, 22), date(YEAR, 6, 23)


@dataclass
class Played:
    """The last weeks, played once."""

    catcher: Catcher
    subjects: list[str]
    eves: dict[date, Eve]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The days around the deadline, some of them missed, one between stages."""
    with serving(Catcher()) as catcher:
        house = House(
            root=ROOT, var=tmp_path_factory.mktemp("weeks") / "var", district="370112", clock=lambda: NOW,
            connections=catcher.connection,
        )  # fmt: skip
        eves: dict[date, Eve] = {}
        days = [date(YEAR, 6, 15), QUIET, SEVEN_LEFT, date(YEAR, 6, 30), date(YEAR, 7, 2)]
        yield Played(catcher, run(house, catcher, days, 150, eves), eves)


@pytest.mark.services
def test_the_last_weeks(played: Played) -> None:
    for start in ("【今日24时截止】", "【数据异常】", "【逾期提醒】", "【信用核查】"):
        assert any(subject.startswith(start) for subject in played.subjects), start


def _faulty(folder: Path, file: str, *changes: tuple[str, str]) -> Path:
    """The house's files with one of them altered: what the expectation does not know of."""
    include = folder / "include"
    for name in ("sources", "policy", "districts", "mail", "schema"):
        shutil.copytree(ROOT / "include" / name, include / name)
    for path in (ROOT / "include").glob("*.yml"):
        shutil.copy(path, include)
    text = (include / file).read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (include / file).write_text(text, "utf-8")
    return include


DISTRICT = "districts/370112.yml"
FAULTS: dict[str, tuple[date, str, tuple[tuple[str, str], ...]]] = {
    "routes swapped": (
        date(YEAR, 6, 15), DISTRICT,
        (('"370112009", to: wangsheren', '"370112009", to: swap'), ('"370112010", to: baoshan',
          '"370112010", to: wangsheren'), ("to: swap", "to: baoshan")),
    ),
    "heads a stage too late": (date(YEAR, 6, 15), DISTRICT, (("stage: T-15, copy: head", "stage: T-7, copy: head"),)),
    "an industry on nobody's desk": (date(YEAR, 6, 15), DISTRICT, (("industries: [C, D]", "industries: [D]"),)),
    "a stage a day early": (
        QUIET, "calendar.yml", (("days: {}", "days: {2026-06-23: {working: false, reference: x}}"),)
    ),
    "a lead that is missing": (date(YEAR, 6, 15), "mail/countdown.txt.j2", (("{{ lead }}", ""),)),
}  # fmt: skip


@pytest.mark.services
@pytest.mark.parametrize("fault", FAULTS)
def test_the_expectation_sees_a_fault(played: Played, tmp_path: Path, fault: str) -> None:
    """A house whose files say something else than the notice and the district: no such day passes."""
    day, file, changes = FAULTS[fault]
    with pytest.raises(AssertionError, match=str(day.month)):
        played.eves[day].again(played.catcher, include=_faulty(tmp_path, file, *changes))


@pytest.mark.services
def test_the_expectation_sees_a_filing_that_was_lost(played: Played) -> None:
    eve = played.eves[date(YEAR, 6, 15)]
    eve.again(played.catcher)
    due = sorted(set().union(*eve.season._desks(date(YEAR, 6, 15), eve.seen).values()))
    with pytest.raises(AssertionError):
        eve.again(played.catcher, seen=replace(eve.seen, filed={**eve.seen.filed, due[0]: None}))


@pytest.mark.long
def test_a_season(home: House, catcher: Catcher) -> None:
    """From 1 January to 31 July, every stage, the days around it and every third day."""
    first = date(YEAR, 1, 1)
    around = {day + timedelta(days=n) for day in stages(YEAR) for n in (-1, 0, 1)}
    every = [first + timedelta(days=n) for n in range((date(YEAR, 7, 31) - first).days + 1)]
    days = [day for n, day in enumerate(every) if n % 3 == 0 or day in around or SILENT[0] <= day <= SILENT[1]]
    subjects = run(home, catcher, days, 3000)
    assert len(subjects) > 11 * 20


@pytest.mark.long
@pytest.mark.parametrize("year", sorted(STAGES))
def test_stages_of_a_year(home: House, catcher: Catcher, year: int) -> None:
    """Every working step of the countdown in each year of the calendar: a mail on its day, none the day before."""
    scene = Scene(home)
    known = stages(year)
    days = sorted({day for send_on in known for day in (send_on - timedelta(days=1), send_on)})
    scene.filings(
        days[0] - timedelta(days=1),
        [{"uscc": f"91370112XXXX{year}0X", "name": "历城样例有限公司", "report_year": year - 1}],
    )
    for day in days:
        scene.ready(day)
        today = replace(
            home, mode="production", clock=lambda day=day: datetime.combine(day, time(8, 0), BEIJING)
        )  # fmt: skip
        units = warn.plan(today, day)
        _send(today, day)
        subjects = {str(mail["Subject"]) for mail in catcher.mails()}
        catcher.accepted.clear()
        if day not in known:
            assert units == [], day
            continue
        left = (date(year, 6, 30) - day).days
        word = f"还有{left}天" if left > 0 else "今日24时截止" if left == 0 else "逾期提醒"
        assert subjects, day
        assert all(word in subject for subject in subjects), (day, subjects)
