"""Mass sending waits for a person: how many messages are about to go out, and whether somebody has to say yes."""

from __future__ import annotations

from datetime import date

from chengxin.clock import in_full
from chengxin.ledger import outbox
from chengxin.ledger.outbox import Scope
from chengxin.settings import House
from chengxin.warn import modes, operators
from chengxin.warn.drafting import digest
from chengxin.warn.render import Templates
from chengxin.warn.words import district_of


def needed(house: House, as_of: date) -> bool:
    """Whether more messages wait for departments than the district lets out unseen; tells the operators if so.

    Never in rehearsal and in quiet hours: nothing would go out.

    Raises:
        DeferredError: the mail server did not take the operators' mail for now.
    """
    district, may = district_of(house), modes.permit(house, as_of)
    most = district.mail.approval_threshold
    if most is None or not may.sends or modes.quiet(house, district, may):
        return False
    scope = Scope(district.code, may.mode, as_of, may.since)
    with house.ledger.begin() as session:
        departments = outbox.departments(session, scope, ("planned",))
        waiting = len(outbox.pending(session, scope, of_departments=True))
    if waiting <= most:
        return False
    context = {
        "sender": f"{district.name} · 诚信核查系统",
        "title": "大量邮件待批准",
        "date": in_full(as_of),
        "preview": f"{waiting:,}封邮件待批准",
        "lead": f"本次将向{len(departments):,}个单位发出{waiting:,}封邮件，超过区里设定的{most:,}封：",
        "faults": ["未经批准，一封也不会发出"],
        "todo": f"请在Airflow中打开{house.dag_id('warn_departments')}的approve任务，核对后批准或者拒绝。"
        f"内容可先用 {house.command} warn --dry-run 查看；拒绝的，下次运行会再问。",
        "foot": ["本信只发运维人员。"],
    }
    text = Templates(house.include_dir / "mail").text(
        "watch", f"【诚信运行·待批准】{as_of:%Y-%m-%d} {waiting:,}封邮件等待批准发送", context
    )
    made = operators.drafts(house, district, as_of, "approval", digest([waiting, departments]), text)
    operators.tell(house, district, as_of, made)
    return True
