"""Bytes to text, with the place of the first byte that is none."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from chengxin.errors import ConfigError, SourceContentError

_UTF8 = ("utf-8", "utf-8-sig")
_BOMS = (
    (codecs.BOM_UTF8, "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


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
        if any("\u4e00" <= character <= "\u9fff" for character in text):
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
