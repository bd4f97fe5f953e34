"""ZIP archives: members as one file's records, and archives made to harm."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from chengxin.errors import SourceContentError
from chengxin.readers import packed
from chengxin.settings import House

from .tools import file, rows

CSV = file("csv", members="*.csv")


def archive(*members: tuple[str | zipfile.ZipInfo, bytes], **more: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **more) as book:
        for name, data in members:
            book.writestr(name, data)
    return buffer.getvalue()


def test_members_that_fit_are_read_in_the_order_of_their_names(house: House) -> None:
    data = archive(("b/2.csv", b"a,b\n5,6\n"), ("说明.txt", b"x"), ("a/1.csv", b"a,b\n1,2\n3,4\n"), ("a/", b""))
    assert rows(house, CSV, data) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "5", "b": "6"}]
    assert rows(house, file("csv", members="b/*.csv"), data) == [{"a": "5", "b": "6"}]


def test_names_in_the_code_page_of_chinese_windows(house: House) -> None:
    data = archive(("##.csv", b"a\n1\n")).replace(b"##.csv", "表".encode("gb18030") + b".csv")
    assert rows(house, file("csv", members="表.csv"), data) == [{"a": "1"}]


@pytest.mark.parametrize(("format_", "body"), [("json", b'[{"a": 1}]'), ("xml", b"<l><r><a>1</a></r></l>")])
def test_every_format_may_be_packed(house: House, format_: str, body: bytes) -> None:
    more = {"records": "l.r"} if format_ == "xml" else {}
    data = archive((f"x.{format_}", body))
    assert rows(house, file(format_, members=f"*.{format_}", **more), data) == [{"a": "1"}]


def link() -> bytes:
    info = zipfile.ZipInfo("a.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return archive((info, b"/etc/passwd"))


def damaged() -> bytes:
    data = bytearray(archive(("a.csv", b"a\n" + b"1\n" * 5000)))
    data[60] ^= 0xFF
    return bytes(data)


def locked() -> bytes:
    central = b"PK\1\2\x14\x03\x14\0"
    return archive(("a.csv", b"a\n1\n")).replace(central + b"\0", central + b"\1")


HARMFUL: dict[str, tuple[Callable[[], bytes], str]] = {
    "up": (lambda: archive(("../../a.csv", b"a\n1\n")), "leads out of the archive"),
    "up, below another": (lambda: archive(("a.csv", b"a\n1\n"), ("x/../../b.csv", b"a\n")), "leads out"),
    "root": (lambda: archive(("/etc/a.csv", b"a\n1\n")), "leads out"),
    "drive": (lambda: archive(("C:\\a.csv", b"a\n1\n")), "leads out"),
    "backslashes": (lambda: archive(("..\\a.csv", b"a\n1\n")), "leads out"),
    "link": (link, "is a link"),
    "twice": (lambda: archive(("a.csv", b"a\n1\n"), ("a.csv", b"a\n2\n")), "the same member twice"),
    "bomb": (lambda: archive(("a.csv", b"a\n" + bytes(1 << 24))), "unpacks to 16 MiB from"),
    "no archive": (lambda: b"a,b\n1,2\n", "no ZIP archive"),
    "nothing": (lambda: b"", "no ZIP archive"),
    "cut off": (lambda: archive(("a.csv", b"a\n1\n"))[:-30], "no ZIP archive"),
    "none that fits": (lambda: archive(("a.txt", b"a\n1\n")), "no member"),
    "damaged": (damaged, "damaged"),
    "locked": (locked, "password"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_archive_is_a_named_error(house: House, name: str) -> None:
    make, words = HARMFUL[name]
    with pytest.raises(SourceContentError, match=words):
        rows(house, CSV, make())


def test_too_many_members_and_too_many_bytes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    data = archive(*((f"{n}.csv", b"a\n1\n") for n in range(5)))
    monkeypatch.setattr(packed, "MAX_MEMBERS", 4)
    with pytest.raises(SourceContentError, match="with 5 members"):
        rows(house, CSV, data)
    monkeypatch.setattr(packed, "MAX_MEMBERS", 5)
    monkeypatch.setattr(packed, "MAX_UNPACKED", 19)
    with pytest.raises(SourceContentError, match="unpacks to"):
        rows(house, CSV, data)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_list_of_members_without_end_is_not_read(house: House, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[zipfile.ZipInfo] = []

    class Info(zipfile.ZipInfo):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(zipfile, "ZipInfo", Info)
    entry = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 33, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0)
    count = packed.MAX_DIRECTORY // (len(entry) + 8) + 1
    entries = b"".join(entry + b"%08d" % n for n in range(count))
    ends = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(entries), 4)
    ends += struct.pack("<IIQI", 0x07064B50, 0, 4 + len(entries), 1)
    ends += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with pytest.raises(SourceContentError, match="too many"):
        rows(house, CSV if kind == "csv" else file("xlsx"), b"PK\x03\x04" + entries + ends)
    assert not made
