"""What is written back to a publisher, in the words of its data staff: one wording a cause, and what to do about it.

Errors and readers speak English, for the task log. Who mends a table in a department reads Chinese, and is helped by
nothing that names our insides; so a cause that has no words of its own here gets those of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from chengxin.quality import rules as quality
from chengxin.quality.rules import CODE_VALID, HEADING, READABLE
from chengxin.tables import FACTS

_PRINTED = "pdf.unreadable"
_TO_DO = {
    _PRINTED: "请提供由系统导出、未加密、文字可复制的PDF报告",
    READABLE: "请检查该行的引号、分隔符、列数和编码，改正后重新提供",
    HEADING: "请删去混在数据中的表头行（多为几份文件拼接所致）",
    "text.personal_id": "请勿提供公民身份号码，删去后重新提供",
    "field.required": "请补填该栏后重新提供",
    CODE_VALID: "请与营业执照核对，改为正确的18位统一社会信用代码",
    "date.readable": "请按2026-06-15的格式填写",
    "number.readable": "请只填数字，不写单位和说明",
    "word.known": "请使用约定的代码值；确需新增的，请先与我们商定",
    "text.clean": "请检查该栏的编码和长度，重新导出",
    f"{CODE_VALID}:EXCEL_MANGLED": "请把该列设为文本格式后重新导出",
    f"{CODE_VALID}:IS_PERSONAL_ID": "代码栏请填统一社会信用代码，勿填公民身份号码",
}
_OTHERWISE = "请核对该栏内容，改正后重新提供"

_PROBLEMS = (
    (r"the headings once more", "表头行混入数据"),
    (r"(\d+) fields under (\d+) headings", r"共\1列，与表头的\2列不符"),
    (r"a value under no heading \(column (\d+)\)", r"第\1列没有表头却有内容，疑似串列"),
    (r"half a character in (.+)", r"“\1”栏有残缺字符"),
    (r"a NUL in (.+)", r"“\1”栏含空字符"),
    (r"a formula that was never computed \(column (\d+)\)", r"第\1列是未计算的公式，请另存为数值"),
    (r"no object but .+", "不是一条完整的记录"),
    (r"more than \d+ MiB in one record|a cell of more than .+", "内容过长，超出一条记录的上限"),
    (r"pdf\.unreadable: (.+) is printed more than once, with different values", r"报告中“\1”出现多次且内容不一"),
    (r"pdf\.unreadable: neither a table of (.+) that can be read.*", r"报告中没有可读的“\1”表，也没有写明“无”"),
    (r"pdf\.unreadable: (.+) should hold (\d+) items by its words, (\d+) found", r"报告称“\1”共\2条，只读到\3条"),
    (r"pdf\.unreadable: (.+) is said to be empty, and holds (\d+) items", r"报告称“\1”为无，表中却有\2条"),
    (r"pdf\.unreadable: .*page (\d+) holds no text.*", r"报告第\1页没有文字（图片、扫描件或空白页）"),
    (r"pdf\.unreadable: it holds no text.*", "报告没有文字（扫描件或空白）"),
    (r"pdf\.unreadable: its page numbers .+", "报告页码不连续，疑有缺页"),
    (r"pdf\.unreadable: it is locked with a password", "报告设有密码"),
    (r"pdf\.unreadable: (?:no PDF|no readable PDF.*|more than .+ MiB)", "不是PDF文件，或文件过大、已损坏"),
    (r"pdf\.unreadable: .*\bpage (\d+)\b.*", r"报告第\1页有不能可靠读取的内容"),
    (r"pdf\.unreadable: .+", "报告有不能可靠读取的内容"),
)
_WHOLE = (
    (r"(\d+) usable records, at least (\d+) were expected", r"可用记录\1条，少于约定的\2条"),
    (
        r"(.+) is filled in ([\d.]+%) of (\d+) records, at least ([\d.]+%) were expected",
        r"\3条记录中“\1”的填写率为\2，低于约定的\4",
    ),
    (r"(\d+) of (\d+) known rows of .+ would vanish, at most (\d+%) may", r"原有\2条中将有\1条消失，超过约定的\3"),
)
_DRIFT = {"new": "多出栏目", "missing": "缺少栏目", "retyped": "内容类型已变的栏目"}
_CAUSES = {
    "bound": ("超出约定的范围", "请核对数据是否完整，补全后重新提供；情况属实的，请与我们联系"),
    "drift": ("栏目与约定不符", "请恢复原有栏目后重新提供；确需变更的，请先与我们商定"),
    "content": ("文件或数据的格式与约定不符，未能读取", "请按约定的格式和编码重新导出后提供"),
}
_OURS = ("我方处理出错", "无需贵方处理，我方修复后自动重试")


def row(rule: str, reason: str | None) -> tuple[str, str]:
    """What is wrong with a rejected row, and what to do about it.

    Args:
        rule: the first rule that it broke.
        reason: as the lake's table `rejected` has it.
    """
    said, _, why = (reason or "").partition("：")
    if rule == READABLE:
        if why.startswith(_PRINTED):
            return _problem(why), _TO_DO[_PRINTED]
        return f"{said}：{'；'.join(_problem(one) for one in why.split('; '))}", _TO_DO[READABLE]
    if rule == CODE_VALID:
        why, _, code = why.rstrip("）").partition("（")
        return f"{said}：{why}", _TO_DO.get(f"{rule}:{code}", _TO_DO[rule])
    return said + (f"：{why}" if why else ""), _TO_DO.get(rule, _OTHERWISE)


def whole(state: str, cause: str | None, message: str | None) -> tuple[str, str] | None:
    """Why nothing at all of a delivery was taken over, and what to do about it; None: it was.

    Args:
        state: of the harvest.
        cause: of its end, a word.
        message: in full, for the log: its first line says what happened.
    """
    if state not in ("stopped", "failed"):
        return None
    what, to_do = _CAUSES.get(cause or "", _OURS)
    first = (message or "").partition("\n")[0]
    if cause == "drift":
        kinds = re.findall(r"(new|missing|retyped) column: ([^;]+)", first)
        what += f"：{'；'.join(f'{_DRIFT[kind]}{names.strip()}' for kind, names in kinds)}" if kinds else ""
    if cause == "bound":
        said = next((found.expand(words) for shape, words in _WHOLE if (found := re.fullmatch(shape, first))), "")
        what += f"：{said}" if said else ""
    return f"整批未采用，沿用上一批：{what}", to_do


def counted(counts: Iterable[tuple[str, int]], root: Path) -> str:
    """Rules broken with their counts, in words.

    Args:
        counts: rule (of codes with the reason, as `code.valid:BAD_CHECK`) → records.
        root: the project, for its rules file.
    """
    says = _says(root)
    return "；".join(f"{_named(rule, says)} {count:,}条" for rule, count in counts)


def _named(rule: str, says: Mapping[str, str]) -> str:
    from chengxin.quality.judge import CODE_WORDS

    name, _, why = rule.partition(":")
    return says.get(name, "其他问题") + (f"：{CODE_WORDS[why]}" if why in CODE_WORDS else "")


def _says(root: Path) -> dict[str, str]:
    own = quality.load(quality.path(root))
    families = {family.id: family.says for table in FACTS for family in quality.families(table, ())}
    return families | {rule.id: rule.says for found in own.tables.values() for rule in found}


def _problem(said: str) -> str:
    found = ((re.fullmatch(shape, said), words) for shape, words in _PROBLEMS)
    return next((match.expand(words) for match, words in found if match), "格式与约定不符")
