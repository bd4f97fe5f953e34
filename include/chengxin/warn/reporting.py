"""The operators' one mail on a day: sources with their sums, causes grouped, checks, mails, and the ledger's head.

It goes through the outbox like every other mail. Its fingerprint covers what an operator would act on (states, causes,
outcomes, mails), so a rerun that changed nothing sends nothing; the head of the ledger's chain and the row counts of a
repeated harvest are in the text only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import select

from chengxin.clock import BEIJING, in_full
from chengxin.districts import District
from chengxin.ledger import acts, answers, outbox
from chengxin.ledger.messages import Message
from chengxin.ledger.models import CheckRun, Harvest
from chengxin.ledger.outbox import Draft, Scope
from chengxin.ledger.settling import BOUNCED
from chengxin.policy import adoption
from chengxin.settings import House
from chengxin.warn import modes, operators
from chengxin.warn.answered import signals
from chengxin.warn.drafting import digest
from chengxin.warn.guard import Ground, SourceAge, ground
from chengxin.warn.links import unsigned
from chengxin.warn.modes import OPERATORS
from chengxin.warn.render import Templates
from chengxin.warn.words import Words, district_of
from chengxin.warn.words import load as load_words

_SUMS = ("harvested", "published", "unchanged", "rejected", "ignored", "removed")
_MOST_NAMED = 8


def report(house: House, as_of: date, runs: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Plans and sends the operators' mail on a day, one message per operators' mailbox.

    Args:
        house: the house.
        as_of: the Beijing date.
        runs: more to tell, as the caller names it, e.g. failed task → its state; None: nothing more.

    Returns:
        How many were `sent`, `refused`, left `unknown`, and are still `planned`.

    Raises:
        DeferredError: the mail server did not take it for now.
    """
    district = district_of(house)
    return operators.tell(house, district, as_of, _drafts(house, district, as_of, runs or {}))


def summary(house: House, as_of: date) -> dict[str, int]:
    """The messages that speak for a day, operators' included: `planned` (all of them), and of these `sent`,
    `refused` and `unknown`. What is in none of the last three still waits."""
    district, may = district_of(house), modes.permit(house, as_of)
    with house.ledger.read() as session:
        counts = outbox.counts(session, Scope(district.code, may.mode, as_of, as_of))
    planned = sum(counts.values()) - counts["superseded"]
    return {"planned": planned, **{state: counts[state] for state in ("sent", "refused", "unknown")}}


def _drafts(house: House, district: District, as_of: date, runs: Mapping[str, Any]) -> list[Draft]:
    may, words = modes.permit(house, as_of), load_words(house, district)
    templates = Templates(house.include_dir / "mail")
    today = ground(house, district, as_of)
    with house.ledger.read() as session:
        harvests = _last_harvests(
            session.scalars(
                select(Harvest).where(Harvest.as_of == as_of, Harvest.source.in_(district.sources)).order_by(Harvest.id)
            ).all()
        )
        check = session.scalar(
            select(CheckRun)
            .where(CheckRun.district == district.code, CheckRun.as_of == as_of)
            .order_by(CheckRun.id.desc())
            .limit(1)
        )
        mails = session.execute(
            select(Message.state, Message.kind, Message.department, Message.last_error, Message.detail).where(
                Message.district == district.code,
                Message.mode == may.mode,
                Message.as_of == as_of,
                Message.department != OPERATORS,
            )
        ).all()
        returned = session.execute(
            select(Message.department, Message.last_error).where(
                Message.district == district.code,
                Message.mode == may.mode,
                Message.as_of < as_of,
                Message.department != OPERATORS,
                Message.state == "refused",
                Message.last_error.startswith(BOUNCED),
                Message.settled_at >= datetime.combine(as_of, time.min, BEIJING),
            )
        ).all()
        head = acts.head(session)
        named = {code: unit.name for code, unit in district.departments.items()}
        given_back = signals(answers.lately(session, district.code, may.mode, as_of), named)
        unadopted = adoption.missing(house, session, check.policy_version) if check else None
    by_state = Counter(str(mail.state) for mail in mails)
    later = "静默时段过后由下次运行发出" if modes.quiet(house, district, may) else "待下次重试"
    faults = [
        *_faults(house, words, district, today, harvests, check, mails, may.mode, later),
        *_returned(district, returned),
        *_unrouted(district, mails),
        *given_back,
        *([unadopted] if unadopted else []),
        *(["邮件未附答复链接：没有签名密钥（连接 chengxin_link_key）"] if unsigned(house, district) else []),
        *(f"{name}：{value}" for name, value in runs.items()),
    ]
    counts = check.counts if check else {}
    fingerprint = digest([faults, sorted(by_state.items()), [(name, each.state) for name, each in harvests.items()]])
    failing = sum(not source.sound for source in today.sources)
    sent = by_state.get("sent", 0)
    subject = (
        f"【诚信运行·{'需处理' if faults else '正常'}】{as_of:%Y-%m-%d} "
        f"{len(today.sources) - failing}/{len(today.sources)}个来源正常，邮件已发{sent}封"
    )
    context = {
        "sender": f"{district.name} · 诚信核查系统",
        "title": "运行日报",
        "date": in_full(as_of),
        "preview": faults[0] if faults else "一切正常",
        "lead": f"有{len(faults)}项需要处理。" if faults else "各来源、核查和邮件均正常，无需处理。",
        "faults": faults,
        "harvests": [_row(words, source, harvests.get(source.name)) for source in today.sources],
        "blocks": _blocks(words, check, counts, by_state, may.mode, head),
        "foot": [
            "采集 = 入库 + 未变 + 拒收 + 忽略；移出另计。账本链首请与上一封对照：序号只增不减，同一序号的摘要不变。",
            "本信只发运维人员。",
        ],
    }
    text = templates.text("report", subject, context)
    return operators.drafts(house, district, as_of, "report", fingerprint, text, {"head": head.hash, "acts": head.seq})


def _last_harvests(harvests: Sequence[Harvest]) -> dict[str, Harvest]:
    return {harvest.source: harvest for harvest in harvests}


def _faults(
    house: House,
    words: Words,
    district: District,
    today: Ground,
    harvests: Mapping[str, Harvest],
    check: CheckRun | None,
    mails: Sequence[Any],
    mode: str,
    later: str,
) -> list[str]:
    """What somebody has to look at."""
    faults = _of_sources(words, {source.name: source.title for source in today.sources}, harvests)
    if mode == "production":
        faults += _asked_later({source.name: source.title for source in today.sources}, harvests)
    if check and (wrong := check.counts.get("scope", {}).get("unexpected")):
        faults.append(f"每周全量核查与增量结果不一致：{wrong}行，已按全量更正；请将核查编号{check.id}报告维护方")
    old = [source for source in today.sources if source.state in ("stale", "missing")]
    if old:
        shown = [
            f"{source.title}{'从未取得' if source.age_days is None else f'{source.age_days}天前'}" for source in old
        ]
        faults.append(f"数据过旧，相应结论为“暂无法判断”：{_named(shown)}")
    silent = [f"{source.title}{source.silent_days}天" for source in today.sources if source.silent_days]
    if silent:
        faults.append(f"来源有应答而无新内容，已超过约定时间，请向来源单位核实是否停更：{_named(silent)}")
    if not today.lists_may_go:
        faults.append("年报未报送名单已暂缓发送：所依据的数据或当日核查不可用")
    if check is None:
        faults.append("当日尚无核查结果，邮件以最近一次核查为准")
    faults += _of_mails(house, words, district, mails)
    waiting = sum(mail.state in ("planned", "sending") for mail in mails)
    if waiting and mode != "rehearsal":
        faults.append(f"邮件{waiting}封未发出，{later}")
    return faults


def _of_sources(words: Words, titles: Mapping[str, str], harvests: Mapping[str, Harvest]) -> list[str]:
    """Failures of one cause together, each with the sources it hit; then what published harvests give alarm of."""
    by_cause: dict[tuple[str, str], list[str]] = {}
    for name, harvest in harvests.items():
        if harvest.state not in ("published", "fetched"):
            first = (harvest.message or "").strip().splitlines()
            by_cause.setdefault((harvest.cause or "error", first[0] if first else ""), []).append(titles[name])
    faults = []
    for (cause, what), names in by_cause.items():
        label = words.mail.causes.get(cause, cause)
        faults.append(f"{label}（{len(names)}个来源：{_named(names)}）{('：' + what[:200]) if what else ''}")
    return (
        faults
        + _untold(words, titles, harvests)
        + [
            f"{titles[name]}：{said}"
            for name, harvest in harvests.items()
            if harvest.state == "published"
            for said in _alarms(harvest.detail.get("alarms", {}))
        ]
    )


def _asked_later(titles: Mapping[str, str], harvests: Mapping[str, Harvest]) -> list[str]:
    """Sources that answered with what held on another day than they speak for."""
    late: dict[str, list[str]] = {}
    for name, harvest in harvests.items():
        if harvest.state == "published" and (day := harvest.detail.get("asked_on")):
            late.setdefault(day, []).append(titles[name])
    return [f"以{day}的数据补采（来源只能提供当时的数据）：{_named(names)}" for day, names in late.items()]


def _untold(words: Words, titles: Mapping[str, str], harvests: Mapping[str, Harvest]) -> list[str]:
    """Publishers that did not get to read what became of their rows, by cause."""
    by_cause: dict[str, list[str]] = {}
    for name, harvest in harvests.items():
        outcome = harvest.detail.get("feedback")
        # Else how many files were written (`chengxin.connectors.feedback`).
        if isinstance(outcome, str) and outcome != "written":
            by_cause.setdefault(outcome, []).append(titles[name])
    return [
        f"处理结果未能回写来源单位，{words.mail.causes.get(cause, cause)}（{len(names)}个来源：{_named(names)}），"
        "请检查回写的目录或反馈表及其写入权限；采集本身不受影响"
        for cause, names in by_cause.items()
    ]


def _of_mails(house: House, words: Words, district: District, mails: Sequence[Any]) -> list[str]:
    """Mails that did not arrive, or of which nobody knows."""
    faults = []
    for state in ("refused", "unknown"):
        hit = [mail for mail in mails if mail.state == state]
        if hit:
            boxes = sorted({district.departments[mail.department].name for mail in hit})
            label = words.mail.message_states[state]
            ours = f"，不会自动重发，查实后用{house.command} outbox settle定夺"
            hint = ours if state == "unknown" else f"：{hit[0].last_error}"
            faults.append(f"邮件{label}{len(hit)}封（{_named(boxes)}）{hint}")
    return faults


def _returned(district: District, returned: Sequence[Any]) -> list[str]:
    """Mails of earlier days that came back today; those of the day itself are among the refused."""
    if not returned:
        return []
    boxes = sorted({district.departments[mail.department].name for mail in returned})
    return [f"此前的邮件被退回{len(returned)}封（{_named(boxes)}）：{returned[0].last_error}"]


def _unrouted(district: District, mails: Sequence[Any]) -> list[str]:
    """What no route fits, as the day's mails to the default desk noted it."""
    desk = district.departments[district.default_desk].name
    faults = []
    for kind, what in (("countdown", "未报送主体{:,}户地址区划未识别"), ("advice", "{:,}条核查意见的承办单位不在名录")):
        most = max((int(mail.detail.get("unrouted", 0)) for mail in mails if mail.kind == kind), default=0)
        if most:
            faults.append(f"{what.format(most)}，已转{desk}，请核对区划或单位代码")
    return faults


def _alarms(alarms: Mapping[str, Any]) -> list[str]:
    """What a published harvest still wants a person to see, in words; see `chengxin.bounds.alarms`."""
    said = []
    if alarms.get("empty"):
        said.append("全量来源今日一条记录也没有，请向来源单位核实")
    if "over" in alarms:
        said.append("今日{:,}条记录，超过合同上限{:,}条".format(*alarms["over"]))
    if "personal_ids" in alarms:
        said.append(f"来源数据中有{alarms['personal_ids']:,}处公民身份号码，未予保存，请来源单位更正")
    if "jumps" in alarms:
        columns = "、".join(f"{column} {count:,}条" for column, count in alarms["jumps"].items())
        said.append(f"金额与上年年报相差约一万倍，可能元与万元混用：{columns}")
    if "superseded" in alarms:
        said.append(f"{alarms['superseded']:,}条记录与后到的记录主键相同而内容不同，只采用了最后一条，请核对合同的key")
    if "waiting" in alarms:
        said.append(
            "{0[1]:,}条拒收记录的主键和名称均无法辨认，{0[0]:,}条今日未见的原有记录因此暂不按移出处理，请来源单位更正".format(
                alarms["waiting"]
            )
        )
    if "unread" in alarms:
        said.append(
            f"有{alarms['unread']:,}个文件不完整（空文件、未传完、缺完成标记或校验不符），本次未读，其余照常；久未补齐请联系报送单位"
        )
    for heading, (rows, words) in alarms.get("words", {}).items():
        shown = f"：{_named(words)}" if words else "，种类过多，可能错列"
        said.append(f"栏目{heading}有{rows:,}条的词不在对照表中，已原样保留{shown}")
    for kind, names in alarms.get("drift", {}).items():
        said.append(f"来源的列有变动（{_DRIFTS[kind]}），照常入库，请核对合同：{_named(names)}")
    return said


_DRIFTS = {"new": "新增", "missing": "缺少", "retyped": "类型不符"}


def _named(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return "、".join(names[:_MOST_NAMED]) + (f"等{len(names)}个" if more > 0 else "")


def _row(words: Words, source: SourceAge, harvest: Harvest | None) -> dict[str, str]:
    if harvest is None:
        age = "从未采集" if source.age_days is None else f"今日未采集，数据{source.age_days}天前"
        return {"title": source.title, "state": age, **dict.fromkeys(_SUMS, "—")}
    return {
        "title": source.title,
        "state": words.mail.harvest_states.get(harvest.state, harvest.state),
        **{name: f"{getattr(harvest, name):,}" for name in _SUMS},
    }


def _blocks(
    words: Words,
    check: CheckRun | None,
    counts: Mapping[str, Any],
    by_state: Mapping[str, int],
    mode: str,
    head: acts.Head,
) -> list[dict[str, str]]:
    labels = words.mail.message_states
    mails = "，".join(f"{labels[state]} {by_state[state]}封" for state in outbox.STATES if by_state.get(state))
    blocks = []
    if check is not None:
        advice = counts.get("advice") if isinstance(counts.get("advice"), dict) else {}
        told = "，".join(f"{words.effect(str(code))} {int(count):,}" for code, count in (advice or {}).items())
        blocks.append({"title": "核查", "text": f"{told or '无待办事项'}。政策版本 {check.policy_version[:12]}。"})
    blocks.append({"title": "发往各单位的邮件", "text": f"{mails or '今日无'}。{_MODES[mode]}"})
    blocks.append({"title": "账本", "text": f"第{head.seq:,}条，摘要 {head.hash}"})
    return blocks


_MODES = {
    "production": "",
    "sandbox": "沙箱模式：只发往本机。",
    "rehearsal": "预演模式：只拟稿，不发送。",
}
