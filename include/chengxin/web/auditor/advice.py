"""One advice, explained down to clause, parameter, source record, raw file and row; and as a page for the file.

The page itself reads the desk alone. The source's own record and the page for the file ask the lake
(`evidence.explain`), which takes a second: each has a button.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy import Connection, select

from chengxin.contracts import Contract
from chengxin.desk import read
from chengxin.desk.read import AdviceView, EventRow, FindingRow, Scope
from chengxin.ledger.models import CheckRun
from chengxin.web.auditor import facts, looking, outcomes, render
from chengxin.web.auditor.office import Office, office
from chengxin.web.auditor.outcomes import REPAIRED, Speech
from chengxin.web.auditor.place import onward
from chengxin.web.auditor.visitor import Visitor, visitor

NO_CONSENT = "主体没有同意向承办单位提供这份报告，内容不展示"
MISSING: Mapping[str, str] = {
    "the fact names no raw file": "该事实没有注明原始文件",
    "the ledger knows no such raw file of this source": "台账中没有该来源的这个原始文件",
    "no consent: not shown": NO_CONSENT,
}
"""Why the source's own record cannot be shown, in words; any other cause: it is no longer in the archive."""
NOT_SHOWN = "该记录现在不展示"
NOT_KEPT = "原始文件已按保存期限删除，或者读不出来；哈希仍在"

router = APIRouter()


@dataclass(frozen=True)
class Ground:
    """What a finding rests on, ready to be shown."""

    what: str
    source: str
    """The source's title."""
    source_name: str
    key: str
    seq: int
    observed_on: date | None
    sha256: str | None
    row: int | None
    fields: list[tuple[str, str]]
    hidden: str
    """Why its content is not shown; empty: it is."""


@router.get("/advice/{advice_id}")
def advice(request: Request, advice_id: str) -> Response:
    """One advice with everything that it rests on."""
    who, here = visitor(request), office(request)
    view = _view(request, advice_id)
    said = view.advice
    looking.look(request, "advice", said.uscc)
    mask = _mask(who, said.department)
    findings = [each for each in view.findings if REPAIRED not in each.reasons]
    contracts, policy = here.sources, here.policy
    units = {code: unit.name for code, unit in here.district.departments.items()}
    context = {
        "view": view,
        "advice": said,
        "history": view.history,
        "findings": findings,
        "grounds": {each.finding_id: _ground(contracts, units, each, said.uscc, mask) for each in findings},
        "people": here.standing([said.advice_id])[said.advice_id],
        "speech": Speech(here.words, policy),
        "check": _check(here, said.seq, said.observed_on),
        "same_policy": policy.version == said.policy_version,
        "units": units,
        "titles": {name: contract.title for name, contract in contracts.items()},
        "code": mask,
        "may_see_source": who.role != "operator",
        "readings": outcomes.READINGS,
        "weighed": outcomes.WEIGHED,
        "settled": outcomes.SETTLED,
    }
    return render.page(request, "advice.html.j2", context)


@router.post("/advice/{advice_id}/source")
def source(request: Request, advice_id: str) -> Response:
    """The sources' own records behind an advice, as they were sent; an auditor states a purpose first."""
    who, here = visitor(request), office(request)
    who.must_be("auditor", "officer")
    view = _view(request, advice_id)
    if who.role == "auditor" and not who.unmasked:
        return _ask_purpose(request, advice_id)
    explanation = _explained(request, view)
    looking.look(request, "source", view.advice.uscc)
    shown = []
    for reason in explanation.findings:
        if reason.evidence is None:
            continue
        missing = reason.evidence.raw_missing
        shown.append(
            {
                "rule": reason.title or reason.rule,
                "evidence": reason.evidence,
                "what": facts.TABLES.get(reason.evidence.table, reason.evidence.table),
                "source": here.titles.get(reason.evidence.source, reason.evidence.source),
                "fields": facts.rows(reason.evidence.fields, str),
                "raw": [
                    (heading, _meant(here, reason.evidence.source, heading), text)
                    for heading, text in reason.evidence.raw.items()
                    if text is not None
                ],
                "missing": MISSING.get(missing, NOT_KEPT) if missing else "",
            }
        )
    return render.page(
        request, "source_record.html.j2", {"advice": view.advice, "shown": shown}, at=f"/advice/{advice_id}"
    )


@router.post("/advice/{advice_id}/file-page")
def file_page(request: Request, advice_id: str) -> Response:
    """The explanation as one PDF page for the file; masked for whoever has stated no purpose."""
    from chengxin import evidence_pdf

    view = _view(request, advice_id)
    content = evidence_pdf.render(_explained(request, view), office(request).words, office(request).house.command)
    looking.look(request, "advice.pdf", view.advice.uscc)
    named = f'attachment; filename="advice-{view.advice.advice_id}.pdf"'
    return Response(content, media_type="application/pdf", headers={"Content-Disposition": named})


def _meant(here: Office, name: str, heading: str) -> str:
    """What a source's heading is called here; empty: nothing of ours, or its contract is gone."""
    column = here.sources[name].columns.get(heading) if name in here.sources else None
    return facts.FIELDS.get(column.to, "") if column else ""


def _view(request: Request, advice_id: str) -> AdviceView:
    """The advice, if it is this visitor's to see.

    Raises:
        HTTPException: 404.
    """
    who, here = visitor(request), office(request)
    who.must_be("auditor", "operator", "officer")
    with here.desk.read() as connection:
        day = here.today()
        view = read.advice(connection, here.scope(who), advice_id, day)
        if view is None:
            raise HTTPException(404)
        findings = [_consented(connection, each, who, day) for each in view.findings]
    return replace(view, findings=findings)


def _consented(connection: Connection, finding: FindingRow, who: Visitor, day: date) -> FindingRow:
    """A finding with the report that it rests on, but its number alone where consent is missing (as in `evidence`)."""
    if finding.evidence_fact != "credit_report":
        return finding
    event = finding.evidence
    if event is None:
        # A report for any matter is nobody's on the desk; the department whose advice rests on it sees it by consent.
        event = read.evidence(
            connection,
            Scope.everything(),
            finding.evidence_fact,
            finding.evidence_source or "",
            finding.evidence_key_id or 0,
            finding.evidence_seq or 0,
            day,
        )
    if event is not None and _withheld(finding, event, who):
        event = replace(event, content={"report_no": (event.content or {}).get("report_no")})
    return replace(finding, evidence=event)


def _withheld(finding: FindingRow, event: EventRow, who: Visitor) -> bool:
    # Handed in for the matter itself it was shown to the department by the applicant.
    return "REPORT_NO_CONSENT" in finding.reasons and not who.unmasked and event.matter_id is None


def _explained(request: Request, view: AdviceView) -> Any:
    """The explanation with the visitor's eyes: of the department that holds the matter, or of an operator."""
    from chengxin import evidence

    who = visitor(request)
    viewer = evidence.AUDITOR if who.unmasked else evidence.OPERATOR
    if who.role == "officer":
        viewer = view.advice.department or evidence.OPERATOR
    return evidence.explain(office(request).house, view.advice.advice_id, viewer)


def _ask_purpose(request: Request, advice_id: str) -> Response:
    return onward(request, f"/purpose?back=/advice/{advice_id}")


def _mask(who: Visitor, department: str | None) -> Callable[[str | None], str]:
    return lambda code: render.masked(code, who, department)


def _ground(
    contracts: Mapping[str, Contract],
    units: Mapping[str, str],
    finding: FindingRow,
    code: str | None,
    mask: Callable[[str | None], str],
) -> Ground | None:
    """What a finding rests on; None: on the absence of anything."""
    if finding.evidence_fact is None:
        return None
    event: EventRow | None = finding.evidence
    content = dict(event.content) if event is not None and event.content else {}
    name = finding.evidence_source or ""
    contract = contracts.get(name)
    key = ""
    if contract is not None and content:
        # The desk keeps a fact's code apart. A fact without one was found by its name.
        own = None if "NAME_ONLY_MATCH" in finding.reasons else code
        key = facts.key({"uscc": own, **content}, list(contract.key), mask)
    return Ground(
        what=facts.TABLES.get(finding.evidence_fact, finding.evidence_fact),
        source=contract.title if contract else name,
        source_name=name,
        key=key,
        seq=finding.evidence_seq or 0,
        observed_on=event.observed_on if event else None,
        sha256=finding.evidence_sha256,
        row=finding.evidence_row,
        fields=facts.rows(content, mask, units) if set(content) != {"report_no"} else [],
        hidden=NO_CONSENT if set(content) == {"report_no"} else "" if content else NOT_SHOWN,
    )


def _check(here: Office, seq: int, day: date) -> CheckRun | None:
    """The check that said so, or the next one of the day (as in `evidence`)."""
    with here.house.ledger.read() as session:
        run = session.scalar(select(CheckRun).where(CheckRun.seq == seq))
        if run is None:
            run = session.scalar(
                select(CheckRun)
                .where(CheckRun.district == here.district.code, CheckRun.as_of >= day)
                .order_by(CheckRun.as_of, CheckRun.id)
            )
        return run
