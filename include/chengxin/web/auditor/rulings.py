"""What rules say, in Chinese: the phrases of `policy.docs`, the conditions of the vocabulary, and their codes."""

from __future__ import annotations

from collections.abc import Mapping

from chengxin.policy import Policy
from chengxin.policy.docs import Said
from chengxin.web.auditor.words import codes

PHRASES: Mapping[str, str] = {
    "condition": "{term}",
    "always": "一律",
    "stale": "来源超过约定的最长可用时间",
    "entry": "有效的名单记录：{name}",
    "easing": "名单后果为{codes}，用于{name}",
    "body": "责任单位：{codes}",
    "effect": "{codes}",
    "no effect": "不产生效果",
    "anniversary": "，至满一年之日",
    "guarded": "；现行法规口径：{codes}（{name}）",
    "guarded, no effect": "；现行法规口径：不产生效果（{name}）",
    "by matter": "（按事项类别），至名单记录失效",
    "warns": "，并提醒",
    "must": "应当",
    "encouraged": "鼓励",
    "protected": "保护",
}
"""Those of `policy.docs.PHRASES`."""

CONDITIONS: Mapping[str, str] = {
    "kind_known": "事项类型在文件所列之内",
    "code_valid": "申请主体的代码有效",
    "day_known": "知道按哪一天判断",
    "in_force": "事实截止日在文件施行期内",
    "handed_in": "提交了信用报告",
    "own": "报告属于该主体",
    "any_own": "提交的报告中有该主体的",
    "agency_filed": "出具机构已备案",
    "consented": "主体的同意有效",
    "current": "事实截止日在报告有效期内",
    "repaired": "已在事实截止日前完成信用修复",
    "rectified": "认定单位已在事实截止日前确认整改合格",
    "dated": "知道认定日期",
    "within": "自认定之日起未超过期限",
    "after": "自认定之日起已超过期限",
    "in_report": "信用报告载明该记录",
    "kind_of_subject_known": "知道主体的类型",
    "enterprise": "主体属于企业",
    "attribute_missing": "缺少判断所需的事项信息",
    "grade_in": "信用等级达到标准",
    "established_known": "知道成立日期",
    "established_after_year": "在报告年度之后成立",
    "deregistered": "已注销",
    "revoked": "已吊销",
    "submitted": "已报送",
    "submitted_by": "在截止日当日24时前报送",
    "corrected_after": "在截止日之后更正",
    "before": "尚未到起始日",
    "through": "未过截止日",
    "question_complete": "知道报告年度和判断日",
    "public": "属于公开信息",
    "item_in": "属于所列项目",
    "consent_live": "同意有效",
    "use_named": "用途写明事项",
    "consent_for_matter": "同意针对该事项",
    "consent_for_recipient": "同意针对该接收单位，或未写明接收单位",
    "identity_proven": "查询人已证明身份",
    "own_record": "查询的是本主体的记录",
}
"""Name of a condition → when it holds."""

CALLED: Mapping[str, str] = {
    "ALLOW": "可以提供",
    "BLOCK": "不得提供",
    "credit_agency": "征信机构",
    "事业单位_行政职能": "具有行政职能的事业单位",
}
"""Decisions on sharing and kinds of bodies."""


def chinese(policy: Policy, said: Said) -> str:
    """One thing that a rule of a policy says."""
    states = {key.split(" ")[1]: words["zh"] for key, words in codes().items() if key.startswith("年报状态 ")}
    called = {**policy.words.effects, **states, **CALLED}
    return PHRASES[said.phrase].format(
        codes="、".join(called.get(code, code) for code in said.codes), name=said.name, term=_condition(policy, said)
    )


def _condition(policy: Policy, said: Said) -> str:
    term = said.term
    if term is None:
        return ""
    words = CONDITIONS.get(term.name, term.name)
    if term.parameter is not None and term.parameter in policy.parameters:
        words += f"（{policy.parameters[term.parameter].title}）"
    return f"不满足“{words}”" if term.negated else words
