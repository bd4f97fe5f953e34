"""The bytes of a mail and the words in it: nasty names, accessible HTML, headers that hold."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from chengxin import warn
from chengxin.clock import BEIJING
from chengxin.policy.vocabulary import RANK
from chengxin.settings import House
from chengxin.warn import words
from chengxin.warn.news import SEVERITY
from chengxin.warn.planning import compose
from chengxin.warn.render import Envelope, Text, message, one_line

from .conftest import DAY, Scene, body, code, workbook_of

NASTY = "<script>alert('x')</script>\u202e\r\n=1+1 \"公司\" & 'Co' \u0007"
ROOT = Path(__file__).resolve().parents[2]


class Reader(HTMLParser):
    """What a browser would make of a mail: tags, attributes, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="session")
def mails(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EmailMessage]:
    """Every kind of mail, made from the nastiest names."""
    var = tmp_path_factory.mktemp("mails") / "var"
    house = House(
        root=ROOT, var=var, district="370112", clock=lambda: datetime(2026, 6, 15, 8, tzinfo=BEIJING)
    )  # fmt: skip
    scene = Scene(house)
    made = {}
    scene.filings(DAY, [{"uscc": code(1), "name": NASTY}, {"uscc": code(2), "name": NASTY, "area_code": "370112007"}])
    scene.facts("matter", DAY, [{"matter_id": "M1", "state": "待办", "title": NASTY, "type": "招投标"}], "matter_id")
    scene.facts("applicant", DAY, [{"matter_id": "M1", "applicant_no": "1", "uscc": code(1)}], "matter_id")
    scene.advice(
        DAY,
        [
            {"matter_id": "M1", "name": NASTY, "advice_id": "A1"},
            {"matter_id": "M2\r\nBcc: x@licheng.example", "name": NASTY, "uscc": None, "decision": "RESTRICT",
             "reasons": ["LIST_BLACK"], "department": "czj"},
        ],
    )  # fmt: skip
    for draft in compose(house, DAY).drafts:
        made["stale" if draft.kind == "stale" else f"{draft.department}-{draft.kind}"] = draft
    scene.ready()
    warn.report(house, DAY)
    with house.ledger.begin() as session:
        from chengxin.ledger.messages import MessageBody

        report = session.query(MessageBody).one().content
    for draft in compose(house, DAY).drafts:
        if draft.role == "unit":
            made[f"{draft.department}-{draft.kind}"] = draft
    parsed = {name: message_from_bytes(draft.content, policy=policy.default) for name, draft in made.items()}
    return {**parsed, "report": message_from_bytes(report, policy=policy.default)}  # type: ignore[dict-item]


KINDS = ["wangsheren-countdown", "scjg-countdown", "stale", "zjj-advice", "czj-advice", "report"]


@pytest.mark.parametrize("kind", KINDS)
def test_html_is_accessible_and_active_nowhere(mails: dict[str, EmailMessage], kind: str) -> None:
    html = body(mails[kind], "html")
    page = Reader(html)
    names = [tag for tag, _ in page.tags]
    assert ("html", {"lang": "zh-CN"}) in page.tags
    assert not {"script", "img", "link", "iframe", "form", "object"} & set(names)
    assert "javascript:" not in html
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "http" not in re.sub(r"HYPERLINK.*", "", html)  # nothing is fetched, nothing is tracked
    layout = [
        attributes for tag, attributes in page.tags if tag == "table" and attributes.get("role") == "presentation"
    ]
    data = names.count("table") - len(layout)
    assert names.count("thead") == data
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in page.tags if tag == "th")
    assert names.count("h1") == 1


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("kind", KINDS)
def test_contrast(mails: dict[str, EmailMessage], kind: str) -> None:
    html = body(mails[kind], "html")
    html = re.sub(r"<div style=\"display:none.*?</div>", "", html)  # the preview line that mail lists show
    inks = set(re.findall(r"(?<![-\w])color:(#[0-9a-f]{6})", html))
    dark_ground = _luminance("#1f3a5f")
    for ink in inks:
        grounds = [dark_ground] if _luminance(ink) > 0.4 else [_luminance("#ffffff"), _luminance("#fdf1f0")]
        for ground in grounds:
            low, high = sorted([_luminance(ink), ground])
            assert (high + 0.05) / (low + 0.05) >= 4.5, ink


@pytest.mark.parametrize("kind", KINDS)
def test_both_twins_say_the_same(mails: dict[str, EmailMessage], kind: str) -> None:
    plain, page = body(mails[kind]), Reader(body(mails[kind], "html")).text
    numbers = set(re.findall(r"\d+[户天件条]", plain))
    assert numbers <= set(re.findall(r"\d+[户天件条]", page.replace(" ", "")))
    assert "None" not in plain + page
    assert "nan" not in plain + page


def test_a_nasty_name_is_shown_as_it_reads(mails: dict[str, EmailMessage]) -> None:
    shown = "<script>alert('x')</script> =1+1 \"公司\" & 'Co'"
    for kind in ("wangsheren-countdown", "zjj-advice"):
        plain, html = body(mails[kind]), body(mails[kind], "html")
        assert shown[:30] in plain
        assert shown[:30] in Reader(html).text
        assert "\u202e" not in plain + html
        assert "<script" not in html
        cells = [cell for row in workbook_of(mails[kind]).iter_rows(values_only=True) for cell in row]
        assert shown in cells


def test_a_source_cannot_add_headers(mails: dict[str, EmailMessage]) -> None:
    mail = mails["czj-advice"]
    assert mail["Bcc"] is None
    assert "\n" not in str(mail["Subject"])
    assert "M2 Bcc: x@licheng.example" in str(mail["Subject"])
    assert len(mail["To"].addresses) == 1


def test_headers(mails: dict[str, EmailMessage]) -> None:
    mail = mails["wangsheren-countdown"]
    # Python's own reader puts a blank between two encoded words of a name, which RFC 2047 6.2 says to ignore.
    name = mail["From"].addresses[0].display_name.replace(" ", "")
    assert name == "历城区社会信用体系建设工作领导小组办公室"
    assert mail["To"].addresses[0].addr_spec == "wangsheren@licheng.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert re.fullmatch(r"<[0-9a-f]{32}@licheng\.example>", str(mail["Message-ID"]))
    assert mail["References"] == mail["In-Reply-To"]
    assert mail["Date"].datetime == datetime(2026, 6, 15, 8, tzinfo=BEIJING)
    assert mail.get_content_type() == "multipart/mixed"
    (attached,) = list(mail.iter_attachments())
    assert attached.get_filename() == "未报送主体清单_王舍人街道办事处_20260615.xlsx"


def test_the_threads_of_two_departments_are_two(mails: dict[str, EmailMessage]) -> None:
    assert mails["wangsheren-countdown"]["References"] != mails["scjg-countdown"]["References"]
    assert mails["zjj-advice"]["References"] != mails["czj-advice"]["References"]


def _envelope(**more: Any) -> Envelope:
    base = Envelope("office@licheng.example", "办公室", "zjj@licheng.example", "区住建局", "ab" * 32, "t")
    return replace(base, **more)


def test_lines_are_short_and_seven_bit() -> None:
    long = "很长的一行" * 2000
    raw = message(_envelope(), Text("题" * 120, f"<p>{long}</p>", long), datetime(2026, 6, 15, tzinfo=BEIJING))
    assert raw.isascii()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert str(message_from_bytes(raw, policy=policy.default)["Subject"]) == "题" * 120


def test_same_message_same_bytes() -> None:
    at = datetime(2026, 6, 15, tzinfo=BEIJING)
    assert message(_envelope(), Text("a", "b", "c"), at) == message(_envelope(), Text("a", "b", "c"), at)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\r\nBcc: b", "a Bcc: b"), ("a\u2028b", "a b"), ("\u202e甲\u200b乙\x00", "甲乙"), ("  a   b ", "a b")],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_every_outcome_has_its_words(house: House) -> None:
    known = words.load(house, words.district_of(house))
    assert set(RANK) <= set(known.mail.outcomes)
    assert set(RANK) <= set(SEVERITY)
    assert set(RANK) <= set(known.effects)
    assert known.reason("SOMETHING_NEW") == "SOMETHING_NEW"
    assert set(known.mail.industries) == set("ABCDEFGHIJKLMNOPQRST")
