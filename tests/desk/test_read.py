"""What the pages get: the right rows, in a stable order, in scope, and through an index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from chengxin import districts
from chengxin.desk import read
from chengxin.desk.read import Filter, Paging, Scope
from chengxin.desk.refresh import refresh
from chengxin.settings import House
from tests.conftest import ROOT
from tests.desk.story import (
    AGENCY,
    COOP,
    FIRM,
    FOREIGN,
    MONDAY,
    NAMES,
    SHOP,
    STALL,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    subjects,
)  # fmt: skip
from tests.factlake import FactLake, codes, day

DISTRICT = districts.load(ROOT / "include/districts/370112.yml")
EVERYTHING = Scope.everything()
BUILDING, FINANCE = Scope.of(DISTRICT, "zjj"), Scope.of(DISTRICT, "czj")


@pytest.fixture
def desk(played: House) -> Iterator[Connection]:
    """A reader's connection."""
    with played.desk.read() as connection:
        yield connection


def find(connection: Connection, code: str) -> read.SubjectRow:
    (found,) = read.find_subject(connection, code)
    return found


def matter_ref(connection: Connection, number: int) -> str:
    rows = read.matters(connection, EVERYTHING).page.rows
    return next(row.ref for row in rows if row.matter_id == f"M{number}")


class TestToday:
    """The countdown and the counts."""

    def test_counts_of_the_day_and_of_the_days_before(self, desk: Connection) -> None:
        told = read.today(desk, EVERYTHING, THURSDAY, DISTRICT)
        assert (told.report_year, told.days_left, told.closes) == (2025, 12, day("2026-06-30"))
        # The cooperative has left the registry since, and no route fitted its address.
        assert told.statuses == {"DUE": 1, "ON_TIME": 2}
        counted = [(one.street, one.filed, one.due) for one in told.streets]
        assert counted == [("hongjialou", 1, 0), ("dongfeng", 1, 0), ("baoshan", 0, 1)]
        assert told.streets[0].kinds == {"个体工商户": (1, 0)}
        then = read.today(desk, EVERYTHING, TUESDAY, DISTRICT)
        assert (then.counted_on, then.statuses) == (TUESDAY, {"DUE": 1, "ON_TIME": 3})
        assert [one.street for one in then.streets] == ["hongjialou", "dongfeng", "baoshan", ""]
        before = read.today(desk, EVERYTHING, MONDAY, DISTRICT)
        assert before.statuses == {"DUE": 2, "ON_TIME": 2}
        assert [one.street for one in before.streets] == ["hongjialou", "dongfeng", "wangsheren", ""]
        nothing = read.today(desk, EVERYTHING, MONDAY - timedelta(days=1), DISTRICT)
        assert (nothing.counted_on, nothing.statuses, list(nothing.streets)) == (None, {}, [])

    def test_pending_decisions_are_in_scope(self, desk: Connection) -> None:
        everybody = read.today(desk, EVERYTHING, THURSDAY, DISTRICT).decisions
        assert everybody == read.today(desk, BUILDING, THURSDAY, DISTRICT).decisions != {}
        assert read.today(desk, FINANCE, THURSDAY, DISTRICT).decisions == {}

    def test_the_season_as_a_line(self, desk: Connection) -> None:
        assert read.filing_days(desk, 2025) == [
            (MONDAY, {"DUE": 2, "ON_TIME": 2}),
            (TUESDAY, {"DUE": 1, "ON_TIME": 3}),
            (THURSDAY, {"DUE": 1, "ON_TIME": 2}),
        ]

    def test_lists_by_name_for_whoever_may_see_them(self, desk: Connection) -> None:
        listed = read.filings(desk, EVERYTHING, 2025, "ON_TIME")
        assert [row.uscc for row in listed.rows] == [STALL, SHOP]
        assert listed.total == 2
        first = read.filings(desk, EVERYTHING, 2025, "ON_TIME", size=1)
        second = read.filings(desk, EVERYTHING, 2025, "ON_TIME", size=1, after=first.rows[0].ref)
        assert [*first.rows, *second.rows] == listed.rows
        assert not read.filings(desk, EVERYTHING, 2025, "ON_TIME", after=second.rows[0].ref).rows
        street = Scope.of(DISTRICT, "hongjialou")
        assert [row.uscc for row in read.filings(desk, street, 2025, "ON_TIME").rows] == [SHOP]
        assert read.filings(desk, Scope.of(DISTRICT, "scjg"), 2025, "ON_TIME").total == 2
        assert read.filings(desk, Scope.of(DISTRICT, "zjj"), 2025, "ON_TIME").total == 0
        assert [row.uscc for row in read.filings(desk, EVERYTHING, 2025, "ON_TIME", street="dongfeng").rows] == [STALL]


class TestMatters:
    """Lists, filters, one matter, one advice."""

    def test_newest_first_with_counts(self, desk: Connection) -> None:
        found = read.matters(desk, EVERYTHING)
        assert [row.matter_id for row in found.page.rows] == ["M3", "M2", "M1"]
        assert found.page.total == 3
        assert sum(found.decisions.values()) == sum(row.applicants for row in found.page.rows) == 3
        m3, m2, m1 = found.page.rows
        assert (m3.applicants, m3.severest, dict(m3.decisions)) == (0, None, {})
        # Closed, and gone from its source: what was last said of it stays.
        assert (m2.state, m2.gone, m2.applicants) == ("办结", True, 1)
        # Who left the pending matter is not counted any more.
        assert m1.applicants == 2
        assert m1.severest == "INPUT_ERROR"

    def test_pages_do_not_overlap(self, desk: Connection) -> None:
        pages = [read.matters(desk, EVERYTHING, paging=Paging(1, n)).page for n in range(4)]
        assert [row.matter_id for page in pages for row in page.rows] == ["M3", "M2", "M1"]
        assert {page.total for page in pages} == {3}

    @pytest.mark.parametrize(
        ("which", "ids"),
        [
            (Filter(department="czj"), ["M2"]),
            (Filter(type="招投标", state="待办"), ["M3", "M1"]),
            (Filter(type="政府采购"), []),
            (Filter(decision="INPUT_ERROR"), ["M1"]),
            (Filter(decision="NO_SUCH"), []),
            (Filter(text="2号道路"), ["M2"]),
            (Filter(text="M1"), ["M1"]),
            (Filter(text="%"), []),
            (Filter(text="_"), []),
            (Filter(since=day("2026-06-03")), ["M3", "M2"]),
            (Filter(until=day("2026-06-02")), ["M1"]),
            (Filter(among=("M1", "M3")), ["M3", "M1"]),
            (Filter(among=()), []),
        ],
    )
    def test_filters(self, desk: Connection, which: Filter, ids: list[str]) -> None:
        found = read.matters(desk, EVERYTHING, which)
        assert [row.matter_id for row in found.page.rows] == ids
        assert found.page.total == len(ids)

    def test_one_matter(self, desk: Connection) -> None:
        view = read.matter(desk, EVERYTHING, matter_ref(desk, 1), THURSDAY)
        assert view
        # In the order in which its source numbers them; who left comes last, with what was said then.
        assert [(row.applicant_no, row.gone) for row in view.applicants.rows] == [
            ("1", False), ("10", False), ("2", True),
        ]  # fmt: skip
        first, nameless, gone = (row.advice for row in view.applicants.rows)
        assert first
        assert nameless
        assert gone
        assert (first.stands, nameless.stands, gone.stands) == (True, True, False)
        assert (nameless.ref, nameless.decision) == (None, "INPUT_ERROR")
        assert first.as_written
        assert first.guarded
        assert [one.observed_on for one in view.history] == [MONDAY]
        second = read.matter(desk, EVERYTHING, matter_ref(desk, 1), THURSDAY, Paging(2, 1))
        assert second
        assert second.applicants.rows == view.applicants.rows[1:]
        closed = read.matter(desk, EVERYTHING, matter_ref(desk, 2), THURSDAY)
        assert closed
        assert [(one.observed_on, one.removed) for one in closed.history] == [
            (WEDNESDAY, True), (TUESDAY, False), (MONDAY, False),
        ]  # fmt: skip

    def test_one_advice_with_findings_evidence_and_history(self, desk: Connection) -> None:
        view = read.matter(desk, EVERYTHING, matter_ref(desk, 1), THURSDAY)
        assert view
        said = view.applicants.rows[0].advice
        assert said
        found = read.advice(desk, EVERYTHING, said.advice_id, THURSDAY)
        assert found
        assert found.advice == said
        assert found.matter
        assert found.matter.matter_id == "M1"
        assert len(found.history) >= 2
        assert found.history[0] == said
        assert "LIST_BLACK" in found.history[-1].reasons
        assert "LIST_BLACK" not in said.reasons
        rules = {row.rule for row in found.findings}
        assert not any(rule and "black" in rule for rule in rules)
        with_facts = [row for row in found.findings if row.evidence_fact]
        assert with_facts
        assert all(row.evidence for row in with_facts)

    def test_of_a_withdrawn_advice_the_findings_of_its_last_day(self, desk: Connection) -> None:
        view = read.matter(desk, EVERYTHING, matter_ref(desk, 2), THURSDAY)
        assert view
        said = view.applicants.rows[0].advice
        assert said
        assert not said.stands
        found = read.advice(desk, EVERYTHING, said.advice_id, THURSDAY)
        assert found
        assert found.history[0].removed
        blacklisted = [row for row in found.findings if "LIST_BLACK" in row.reasons]
        assert blacklisted
        assert blacklisted[0].evidence
        assert blacklisted[0].evidence.content
        assert blacklisted[0].evidence.content["doc_no"] == "D1"

    def test_what_a_check_said_anew(self, desk: Connection) -> None:
        assert read.advice_said(desk, EVERYTHING, MONDAY).total == 4
        assert {row.matter_id for row in read.advice_said(desk, FINANCE, MONDAY).rows} == {"M2"}
        assert read.advice_said(desk, EVERYTHING, WEDNESDAY).total == 0


class TestSubjects:
    """Looking somebody up, and what was known when."""

    def test_by_code_and_by_name(self, desk: Connection) -> None:
        assert find(desk, FIRM).name == NAMES[FIRM]
        assert find(desk, FIRM.lower()).uscc == FIRM
        assert find(desk, " 示例 面馆 ").uscc == SHOP
        assert {row.uscc for row in read.find_subject(desk, "示例")} == {FIRM, COOP, SHOP, STALL, AGENCY}
        assert len(read.find_subject(desk, "示例", limit=2)) == 2
        for nobody in ("", "示", "%", "示%", "__", FIRM[:17] + "Q", "没有这家"):
            assert read.find_subject(desk, nobody) == [] or not read.find_subject(desk, nobody)
        assert read.subject_of(desk, "0" * 24) is None
        assert read.subject(desk, EVERYTHING, "no such", THURSDAY) is None

    def test_who_is_not_in_the_registry(self, desk: Connection) -> None:
        foreign = find(desk, FOREIGN)
        assert (foreign.registered, foreign.name) == (False, "外地示例公司")
        assert find(desk, codes(9)[0]).name is None
        gone = find(desk, COOP)
        assert (gone.registered, gone.gone, gone.name) == (True, True, NAMES[COOP])

    def test_the_timeline_says_what_was_known_when(self, desk: Connection) -> None:
        view = read.subject(desk, EVERYTHING, find(desk, FIRM).ref, WEDNESDAY - timedelta(days=1))
        assert view
        days = [row.observed_on for row in view.events.rows]
        assert days == sorted(days, reverse=True)
        told = [(row.observed_on, row.removed) for row in view.events.rows if row.fact == "list_entry"]
        assert told == [(TUESDAY, True), (MONDAY, False)]
        # Told late, of Monday: it stands there, and the later day is told again.
        names = [row.content["name"] for row in view.events.rows if row.fact == "subject" and row.content]
        assert names == [NAMES[FIRM], "示例旧名有限公司", NAMES[FIRM]]
        assert [row.matter_id for row in view.advice] == ["M1", "M2"]
        assert [(row.report_year, row.status) for row in view.filings] == [(2025, "DUE")]
        assert view.events.total == len(view.events.rows)
        part = read.subject(desk, EVERYTHING, view.subject.ref, TUESDAY, Paging(3, 2))
        assert part
        assert part.events.rows == view.events.rows[2:5]

    def test_repaired_it_leaves_display_the_same_day_under_every_source(self, desk: Connection) -> None:
        ref = find(desk, FIRM).ref

        def records(on: date) -> list[tuple[str | None, bool]]:
            view = read.subject(desk, EVERYTHING, ref, on)
            assert view
            return [(row.ended, row.content is None) for row in view.events.rows if row.fact == "credit_record"]

        assert records(TUESDAY) == [(None, False)] * 3
        assert records(WEDNESDAY) == [("repaired", True)] * 3

    def test_past_its_time_it_leaves_display_the_next_day(self, desk: Connection) -> None:
        for code, fact, last in ((COOP, "credit_record", MONDAY), (SHOP, "consent", MONDAY)):
            for on, ended in ((last, None), (last + timedelta(days=1), "lapsed")):
                view = read.subject(desk, EVERYTHING, find(desk, code).ref, on)
                assert view
                (row,) = [row for row in view.events.rows if row.fact == fact]
                assert (row.ended, row.content is None) == (ended, ended is not None)

    def test_one_observation(self, desk: Connection) -> None:
        view = read.subject(desk, EVERYTHING, find(desk, FIRM).ref, TUESDAY)
        assert view
        for row in view.events.rows:
            named = read.event(desk, EVERYTHING, row.name, TUESDAY)
            assert named
            assert (named.key_id, named.seq) == (row.key_id, row.seq)
            if not row.removed:
                found = read.evidence(desk, EVERYTHING, row.fact, row.source, row.key_id, row.seq, TUESDAY)
                assert found
                assert found.content == row.content
        for nothing in ("", "1", "1-", "-1", "zz-1", "1-x", "1-1", f"{2**62:x}-1", "1-" + "9" * 30):
            assert read.event(desk, EVERYTHING, nothing, TUESDAY) is None

    def test_consents_and_reports(self, desk: Connection) -> None:
        firm, shop = find(desk, FIRM).subject_id, find(desk, SHOP).subject_id
        assert [row.recipient for row in read.consents(desk, firm, "信用报告", THURSDAY)] == ["zjj"]
        assert read.consents(desk, firm, "别的", THURSDAY) == []
        assert len(read.consents(desk, shop, "信用报告", MONDAY)) == 1
        assert read.consents(desk, shop, "信用报告", TUESDAY) == []
        (report,) = read.reports(desk, firm, THURSDAY)
        assert (report.agency_filed, report.valid, report.valid_to) == (True, True, day("2027-03-01"))
        assert not read.reports(desk, firm, day("2027-03-02"))[0].valid
        assert not hasattr(report, "grade")
        assert find(desk, AGENCY).name == "示例征信"


class TestScope:
    """A department sees its matters and public facts, nothing else (四（三）)."""

    def test_matters_and_advice_of_others(self, desk: Connection) -> None:
        assert [row.matter_id for row in read.matters(desk, FINANCE).page.rows] == ["M2"]
        assert read.matters(desk, FINANCE, Filter(department="zjj")).page.total == 0
        assert read.matter(desk, FINANCE, matter_ref(desk, 1), THURSDAY) is None
        view = read.matter(desk, BUILDING, matter_ref(desk, 1), THURSDAY)
        assert view
        said = view.applicants.rows[0].advice
        assert said
        assert read.advice(desk, BUILDING, said.advice_id, THURSDAY)
        assert read.advice(desk, FINANCE, said.advice_id, THURSDAY) is None

    @pytest.mark.parametrize(
        ("scope", "own", "hidden"),
        [(BUILDING, {"M1"}, {"M2"}), (FINANCE, {"M2"}, {"M1"}), (Scope.of(DISTRICT, "kjj"), set(), {"M1", "M2"})],
    )
    def test_of_a_subject_public_facts_and_its_own_matters(
        self, desk: Connection, scope: Scope, own: set[str], hidden: set[str]
    ) -> None:
        ref = find(desk, FIRM).ref
        view, whole = (read.subject(desk, who, ref, TUESDAY) for who in (scope, EVERYTHING))
        assert view
        assert whole
        assert {row.matter_id for row in view.advice} == own
        assert {row.matter_id for row in view.events.rows} - {None} == own
        assert {row.fact for row in view.events.rows} >= {"subject", "list_entry", "credit_record"}
        consents = [row for row in view.events.rows if row.fact == "consent"]
        assert len(consents) == (scope == BUILDING)
        assert view.events.total == len(view.events.rows) < whole.events.total
        for row in whole.events.rows:
            if row.matter_id in hidden:
                assert read.event(desk, scope, row.name, TUESDAY) is None
                assert read.evidence(desk, scope, row.fact, row.source, row.key_id, row.seq, TUESDAY) is None

    def test_a_department_that_nobody_knows(self) -> None:
        with pytest.raises(KeyError):
            Scope.of(DISTRICT, "nobody")


class TestRejected:
    """By cause, then by row, as of a day."""

    def test_causes_and_rows_of_a_day(self, desk: Connection) -> None:
        causes = read.rejected(desk, MONDAY)
        assert [(one.rule, one.rows, one.since) for one in causes] == [
            ("code.valid", 3, MONDAY), ("date.readable", 1, MONDAY),
        ]  # fmt: skip
        assert [(one.rule, one.rows) for one in read.rejected(desk, TUESDAY)] == [
            ("code.valid", 1),
            ("date.readable", 1),
        ]
        assert read.rejected(desk, MONDAY - timedelta(days=1)) == []
        assert read.rejected(desk, MONDAY, source="matters") == []
        assert [one.rule for one in read.rejected(desk, MONDAY, rule="date.readable")] == ["date.readable"]
        rows = read.rejected_rows(desk, MONDAY, source="subject_registry", rule="code.valid", column="UNISCID")
        assert rows.total == len(rows.rows) == 3
        parts = [
            read.rejected_rows(desk, MONDAY, source="subject_registry", rule="code.valid", paging=Paging(1, n)).rows[0]
            for n in range(3)
        ]
        assert parts == rows.rows
        assert {row.gone_on for row in rows.rows} == {None, TUESDAY}
        assert not hasattr(rows.rows[0], "value")


class TestBounded:
    """No page costs more on a big desk: pages are bounded, and big tables are reached through indexes."""

    @pytest.mark.parametrize(("size", "offset"), [(0, 0), (501, 0), (50, -1)])
    def test_pages_have_bounds(self, size: int, offset: int) -> None:
        with pytest.raises(ValueError):
            Paging(size, offset)

    def test_no_query_walks_a_big_table(self, played: House, house: House) -> None:
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.lstrip().startswith("SELECT"):
                asked.append((statement, parameters))

        event.listen(played.desk.reader, "before_cursor_execute", note)
        try:
            with played.desk.read() as connection:
                self.look_at_everything(connection)
        finally:
            event.remove(played.desk.reader, "before_cursor_execute", note)
        assert len(asked) > 40
        # On a desk without statistics: where a table is known to have forty rows, reading them all is right.
        with house.desk.read() as connection:
            for statement, parameters in asked:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                for *_, step in plan:
                    for big in ("event", "subject", "advice", "finding", "applicant", "filing", "consent", "report"):
                        assert f"SCAN desk_{big}" not in f"{step} ".replace(f"desk_{big}_", ""), statement

    def look_at_everything(self, connection: Connection) -> None:
        firm = find(connection, FIRM)
        read.find_subject(connection, "示例")
        for scope in (EVERYTHING, BUILDING, Scope.of(DISTRICT, "hongjialou"), Scope.of(DISTRICT, "scjg")):
            read.today(connection, scope, THURSDAY, DISTRICT)
            view = read.subject(connection, scope, firm.ref, THURSDAY)
            assert view
            for row in view.events.rows:
                read.event(connection, scope, row.name, THURSDAY)
                read.evidence(connection, scope, row.fact, row.source, row.key_id, row.seq, THURSDAY)
            for said in view.advice:
                read.advice(connection, scope, said.advice_id, THURSDAY)
            for one in read.matters(connection, scope).page.rows:
                read.matter(connection, scope, one.ref, THURSDAY)
            read.advice_said(connection, scope, MONDAY)
            first = read.filings(connection, scope, 2025, "ON_TIME")
            if first.rows:
                read.filings(connection, scope, 2025, "ON_TIME", street="baoshan", after=first.rows[0].ref)
        read.filing_days(connection, 2025)
        read.consents(connection, firm.subject_id, "信用报告", THURSDAY)
        read.reports(connection, firm.subject_id, THURSDAY)
        read.state(connection)

    def test_readers_cannot_write(self, desk: Connection) -> None:
        with pytest.raises(Exception, match="readonly"):
            desk.execute(text("DELETE FROM desk_subject"))

    def test_an_empty_desk_has_empty_pages(self, house: House) -> None:
        with house.desk.read() as connection:
            assert read.state(connection).built_at is None
            assert read.matters(connection, EVERYTHING).page.rows == []
            assert read.today(connection, EVERYTHING, MONDAY, DISTRICT).statuses == {}
            assert not read.find_subject(connection, "示例")
        FactLake(house).put("subject", MONDAY, subjects())
        refresh(house)
        with house.desk.read() as connection:
            assert read.find_subject(connection, "示例")
            assert read.state(connection).built_at
