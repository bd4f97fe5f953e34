"""Bytes to text, with the place of the first byte that is none; and what bytes look like that nobody has declared."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from chengxin.errors import ConfigError, SourceContentError

_UTF8 = ("utf-8", "utf-8-sig")
_BOMS = (
    (codecs.BOM_UTF8, "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_GB = frozenset({"gb18030", "gbk", "gb2312", "gb_2312-80", "cp936", "ms936", "windows-936", "x-gbk"})
_CHINESE = re.compile("[\u4e00-\u9fff]")


def decoded(chunks: Iterator[bytes], encoding: str, where: str) -> Iterator[str]:
    """The text of a stream of bytes; a byte order mark at its beginning is left out.

    GB18030 reads most UTF-8 without complaint, as other characters. So the beginning is looked at first: text that is
    UTF-8 to the letter is not taken for GB18030.

    Args:
        chunks: the bytes.
        encoding: a Python codec; `utf-8` and `utf-8-sig` are the same here, with or without a byte order mark.
        where: for errors.

    Raises:
        ConfigError: no such encoding.
        SourceContentError: a byte that does not fit, with its place and line; or plainly another encoding.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ConfigError(
            f"unknown encoding {encoding!r}", where=where, remedy="utf-8, gb18030 or another codec of Python's"
        ) from None
    decoder = codecs.getincrementaldecoder("utf-8" if name in _UTF8 else name)("strict")
    seen, line, first = 0, 1, True
    for chunk in chunks:
        if first:
            _check_beginning(chunk, name, where)
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise _does_not_fit(error, seen - pending, line, name, where) from None
        seen += len(chunk)
        line += text.count("\n")
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        if text:
            yield text
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _does_not_fit(error, seen - len(error.object), line, name, where) from None


def utf8(data: bytes, encoding: str | None, where: str) -> bytes:
    """A text as UTF-8 without a byte order mark.

    Args:
        data: the text's bytes.
        encoding: a Python codec; None: UTF-8, which is not looked through.
        where: for errors.

    Raises:
        ConfigError, SourceContentError: see `decoded`.
    """
    if encoding is None:
        return data[3:] if data.startswith(codecs.BOM_UTF8) else data
    return b"".join(text.encode("utf-8", "surrogatepass") for text in decoded(iter([data]), encoding, where))


def declared(content_type: str, data: bytes) -> str | None:
    """The encoding that a Content-Type declares, if the bytes need it: `gb18030`, which reads GBK and GB2312 too.

    None: it declares another or none, or the bytes are UTF-8 whatever it says.
    """
    named = re.search(r"charset\s*=\s*[\"']?\s*([\w.-]+)", content_type, re.IGNORECASE | re.ASCII)
    if named is None or named[1].lower() not in _GB or data.isascii() or data.startswith(codecs.BOM_UTF8):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "gb18030"
    # A few words of GB18030 may happen to be UTF-8, but then as accented letters.
    return None if _CHINESE.search(text) else "gb18030"


def noted(locator: str) -> str | None:
    """The encoding that a raw object's locator tells of, for bytes whose sender declared it beside them."""
    found = re.search(r"; charset=([\w.-]+)$", locator, re.ASCII)
    return found[1] if found else None


def note(locator: str, encoding: str | None) -> str:
    """A locator that tells of an encoding, for `noted`."""
    return locator if encoding is None else f"{locator}; charset={encoding}"


def readable(data: bytes) -> str:
    """The text of bytes that may be anything, for people: what is no text shows as such."""
    try:
        # The bytes may end within a character.
        return codecs.getincrementaldecoder("utf-8")("strict").decode(data)
    except UnicodeDecodeError:
        text = data.decode("gb18030", "replace")
        return text if text.count("\ufffd") * 8 < len(text) else data.decode("utf-8", "replace")


def not_utf8(data: bytes) -> tuple[str, str] | None:
    """Why bytes are no UTF-8, what they look like, and what to do about it; None: they are UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        place, bad = error.start, data[error.start : error.start + 2].hex(" ")
    else:
        return None
    for bom, name in _BOMS[1:]:
        if data.startswith(bom):
            return f"its first bytes say {name}", f"set `encoding: {name.lower()}` under `read` of the contract"
    try:
        chinese = _CHINESE.search(data.decode("gb18030"))
    except UnicodeDecodeError:
        chinese = None
    if chinese:
        return (
            f"not UTF-8 (byte {place:,}: {bad}); it reads as GB18030 (GBK)",
            "if the source writes GB18030, set `encoding: gb18030` under `read` of the contract, or ask the publisher "
            "to declare it in the Content-Type",
        )
    return (
        f"neither UTF-8 nor GB18030 (byte {place:,}: {bad})",
        "look at the raw bytes, ask the publisher for the encoding, and set `encoding` under `read` of the contract",
    )


def _check_beginning(chunk: bytes, name: str, where: str) -> None:
    for bom, other in _BOMS:
        if chunk.startswith(bom) and not (name in _UTF8 and bom == codecs.BOM_UTF8) and not name.startswith("utf-16"):
            raise _another(name, other, where)
    if name.startswith("gb") and not chunk.isascii():
        # The chunk may end within a character.
        try:
            text = codecs.getincrementaldecoder("utf-8")("strict").decode(chunk)
        except UnicodeDecodeError:
            return
        # A few words of GB18030 may happen to be UTF-8, but then as accented letters.
        if _CHINESE.search(text):
            raise _another(name, "UTF-8", where)


def _another(name: str, other: str, where: str) -> SourceContentError:
    return SourceContentError(
        f"the text is {other}, not {name}",
        where=f"{where}, byte 0",
        why="its first bytes say so",
        remedy="ask the sender whether the encoding has changed for good; then change `encoding` of the contract",
    )


def _does_not_fit(error: UnicodeDecodeError, base: int, line: int, name: str, where: str) -> SourceContentError:
    place = base + error.start
    line += error.object[: error.start].count(b"\n")
    bad = error.object[error.start : error.start + 2].hex(" ")
    cut_off = error.reason in ("unexpected end of data", "incomplete multibyte sequence")
    return SourceContentError(
        f"bytes that are not {name}",
        where=f"{where}, byte {place:,}, line {line:,}",
        why=f"{bad}: {'the file is cut off within a character' if cut_off else error.reason}",
        remedy="ask the sender for the whole file in that encoding, or correct `encoding` of the contract",
    )
