"""The morning watch: has the day begun? It asks the ledger alone, so that it works when nothing else did.

A run that never started fails nowhere and mails nobody. So something that does not depend on it looks every morning
whether the check is done and the operators' report went out, and says so where they are not.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import func, select

from chengxin.clock import in_full, in_short
from chengxin.districts import District
from chengxin.ledger.messages import Message
from chengxin.ledger.models import CheckRun
from chengxin.settings import House
from chengxin.warn import modes, operators
from chengxin.warn.drafting import digest
from chengxin.warn.modes import OPERATORS
from chengxin.warn.render import Templates
from chengxin.warn.words import district_of


def watch(house: House, as_of: date) -> dict[str, int]:
    """Looks at a day, and tells the operators what is missing; once for the same finding.

    Returns:
        `faults`: how many were found; `sent`: mails that went out.

    Raises:
        DeferredError: the mail server did not take the alarm for now.
    """
    district = district_of(house)
    faults = _faults(house, district, as_of)
    if not faults:
        return {"faults": 0, "sent": 0}
    context = {
        "sender": f"{district.name} · 诚信核查系统",
        "title": "晨间巡查：今日运行不完整",
        "date": in_full(as_of),
        "preview": faults[0],
        "lead": "到巡查时，今日的运行有缺：",
        "faults": faults,
        "todo": f"请查看调度器和各任务是否在运行，补跑 {house.dag_id('check_matters')}；"
        "它完成后邮件和日报随之发出，已发的不会重发。",
        "foot": ["本信只发运维人员，由独立的巡查任务发出，不依赖当日核查和邮件任务。"],
    }
    text = Templates(house.include_dir / "mail").text(
        "watch", f"【诚信运行·告警】{as_of:%Y-%m-%d} 晨间巡查：{faults[0]}", context
    )
    made = operators.drafts(house, district, as_of, "watch", digest(faults), text)
    return {"faults": len(faults), "sent": operators.tell(house, district, as_of, made)["sent"]}


def _faults(house: House, district: District, as_of: date) -> list[str]:
    mode = modes.permit(house, as_of).mode
    with house.ledger.read() as session:
        begun, done = session.execute(
            select(func.count(), func.count(CheckRun.finished_at)).where(
                CheckRun.district == district.code, CheckRun.as_of == as_of
            )
        ).one()
        newest = session.scalar(
            select(func.max(CheckRun.as_of)).where(
                CheckRun.district == district.code, CheckRun.as_of < as_of, CheckRun.finished_at.is_not(None)
            )
        )
        states = session.execute(
            select(Message.state, func.count())
            .where(
                Message.district == district.code,
                Message.mode == mode,
                Message.as_of == as_of,
                Message.department == OPERATORS,
                Message.kind == "report",
            )
            .group_by(Message.state)
        )
        reports = {state: int(count) for state, count in states}
    faults = []
    if not done:
        last = f"最近一次完成的是{in_short(newest)}" if newest else "从未完成过核查"
        faults.append(f"核查{'已开始、未完成' if begun else '未运行'}（{last}）")
    if not reports:
        faults.append("运行日报未生成")
    elif mode != "rehearsal" and not reports.get("sent"):
        named = {"planned": "待发", "sending": "发送中", "refused": "被拒", "unknown": "结果不明"}
        faults.append(f"运行日报未发出（{'、'.join(named.get(state, state) for state in sorted(reports))}）")
    return faults
