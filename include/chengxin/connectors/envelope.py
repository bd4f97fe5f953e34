"""The JSON envelope of a page: whether it says success, how many records there are in all and here, what comes next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
import numpy as np

from chengxin.connectors.http_client import Answer
from chengxin.errors import MismatchError, SourceContentError
from chengxin.readers import decode
from chengxin.reads import Envelope, Paging

_Parts: TypeAlias = dict[str, msgspec.Raw]
"""Part of the envelope → its JSON; without those that are not there."""
_Rows: TypeAlias = Sequence[msgspec.Raw]
_NOTHING = msgspec.Raw(b'""')
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True)
class Page:
    """What the envelope of one page says."""

    code: str
    message: str
    total: int | None
    """Records in all; None: the source does not say."""
    records: int
    """Records on this page."""
    next: str | None = None
    """The word or URL of the next page; None: there is none."""
    marks: tuple[Any, ...] = ()
    """Each record's value under the watermark's heading."""
    rows: Sequence[msgspec.Raw] = field(default=(), compare=False, repr=False)
    """The records as they came (in UTF-8), unread."""
    charset: str | None = None
    """The encoding that the answer declares and needs; None: the contract names it, or it is UTF-8."""

    def listed(self, body: bytes) -> slice | None:
        """Where the list of records stands in the bytes of the page, brackets included.

        None: there are no records, or they were read from other bytes (another encoding).
        """
        if not self.rows:
            return None
        first, last, whole = (np.frombuffer(part, np.uint8) for part in (self.rows[0], self.rows[-1], body))
        begin = first.ctypes.data - whole.ctypes.data
        end = last.ctypes.data + len(last) - whole.ctypes.data
        inside = 0 < begin < end < len(body) and body[begin - 1] == ord("[") and body[end] == ord("]")
        return slice(begin - 1, end + 1) if inside else None


def read_page(
    answer: Answer,
    envelope: Envelope,
    where: str,
    paging: Paging | None = None,
    heading: str | None = None,
    encoding: str | None = None,
) -> Page:
    """The envelope of a page; its records are counted, not read.

    Args:
        answer: what the source sent.
        envelope: where it keeps its parts.
        where: for errors.
        paging: says where the next page's word stands, if anywhere.
        heading: the one value to be read of each record.
        encoding: the contract's; None: see `HttpRead`.

    Raises:
        SourceContentError: no JSON (a captcha, a login page, half an answer), not in its encoding, or not the envelope
            of the contract.
    """
    charset = None if encoding else decode.declared(answer.headers.get("Content-Type", ""), answer.body)
    body = decode.utf8(answer.body, encoding or charset, where)
    try:
        return _page(answer, body, envelope, where, paging, heading, charset)
    except _UNREADABLE as error:
        raise _no_json(answer, body, where, error) from None


def _page(
    answer: Answer,
    body: bytes,
    envelope: Envelope,
    where: str,
    paging: Paging | None,
    heading: str | None,
    charset: str | None,
) -> Page:
    following = None if paging is None else paging.next
    at_once = _at_once(body, envelope, following) if heading is None else None
    parts, rows = at_once or _one_by_one(body, envelope, following, where)
    code, message = _text(parts["code"]), _text(parts.get("message", _NOTHING))
    if code not in envelope.ok:
        return Page(code, message, None, 0)
    return Page(
        code,
        message,
        None if envelope.total is None else _total(parts.get("total", _NOTHING), envelope.total, where),
        len(rows),
        _word(parts.get("next", _NOTHING), following, where),
        () if heading is None else _marks(parts["records"], heading),
        rows,
        charset,
    )


def _at_once(body: bytes, envelope: Envelope, following: str | None) -> tuple[_Parts, _Rows] | None:
    """The parts of an envelope that has code and records, and the records, in one look at its bytes.

    None: it is another one, which takes more looks, if only to say what is wrong with it.
    """
    shape = _shape(envelope, following)
    if shape is None:
        return None
    try:
        top = shape.decode(body)
    except _UNREADABLE:
        return None
    places = _paths(envelope, following)
    parts = {part: value for part, place in places.items() if (value := _stands(top, place)) is not msgspec.UNSET}
    if "code" not in parts or "records" not in parts:
        return None
    return parts, parts.pop("records") or ()


def _one_by_one(body: bytes, envelope: Envelope, following: str | None, where: str) -> tuple[_Parts, _Rows]:
    """As `_at_once`, of any answer. What says no success may have no records.

    Raises:
        SourceContentError: not the envelope of the contract.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: no JSON object.
    """
    top = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    parts = {part: raw for part, path in _paths(envelope, following).items() if (raw := _at(top, path)) is not None}
    if "code" not in parts:
        raise _not_the_envelope(f"no {envelope.code!r}; there are {_names(top)}", where)
    if _text(parts["code"]) not in envelope.ok:
        return parts, ()
    if "records" not in parts:
        raise _not_the_envelope(f"no {envelope.records!r}; there are {_names(top)}", where)
    try:
        return parts, msgspec.json.decode(parts["records"], type=list[msgspec.Raw] | None) or ()
    except msgspec.DecodeError:
        raise _not_the_envelope(f"{envelope.records!r} is no list", where) from None


def _paths(envelope: Envelope, following: str | None) -> dict[str, str]:
    """Part → dotted path."""
    paths = {
        "code": envelope.code,
        "message": envelope.message,
        "total": envelope.total,
        "records": envelope.records,
        "next": following,
    }
    return {part: path for part, path in paths.items() if path is not None}


@lru_cache(maxsize=64)
def _shape(envelope: Envelope, following: str | None) -> msgspec.json.Decoder[Any] | None:
    """A decoder of an envelope's parts, which passes over what stands beside them; None: a part is inside another."""
    tree: dict[str, Any] = {}
    for part, path in _paths(envelope, following).items():
        *above, name = path.split(".")
        level: Any = tree
        for step in above:
            level = level.setdefault(step, {})
            if not isinstance(level, dict):
                return None
        if name in level:
            return None
        level[name] = list[msgspec.Raw] | None if part == "records" else msgspec.Raw
    return msgspec.json.Decoder(_struct(tree))


def _struct(tree: dict[str, Any]) -> Any:
    """The type of an object with these keys, all of which may be missing."""
    fields = {f"c{place}": name for place, name in enumerate(tree)}
    kinds = [_struct(kind) if isinstance(kind, dict) else kind for kind in tree.values()]
    return msgspec.defstruct(
        "Level",
        [(field, kind, msgspec.UNSET) for field, kind in zip(fields, kinds, strict=True)],
        rename=fields,
        namespace={"keys": {name: field for field, name in fields.items()}},
    )


def _stands(top: Any, path: str) -> Any:
    """What a decoder of `_shape` found at a dotted path; UNSET: nothing."""
    for name in path.split("."):
        if top is msgspec.UNSET:
            return top
        top = getattr(top, type(top).keys[name])
    return top


def _at(value: dict[str, msgspec.Raw], dotted: str) -> msgspec.Raw | None:
    """The raw JSON at a dotted path; None where the path ends early."""
    *above, name = dotted.split(".")
    for part in above:
        if part not in value:
            return None
        try:
            value = msgspec.json.decode(value[part], type=dict[str, msgspec.Raw])
        except msgspec.DecodeError:
            return None
    return value.get(name)


def _marks(records: msgspec.Raw, heading: str) -> tuple[Any, ...]:
    row = msgspec.defstruct("Row", [("mark", Any, None)], rename={"mark": heading})
    try:
        return tuple(one.mark for one in msgspec.json.decode(records, type=list[row] | None) or ())  # type: ignore[valid-type]
    except msgspec.DecodeError:
        # A record that is no object is the reader's affair, not ours.
        return ()


def _word(raw: msgspec.Raw, dotted: str | None, where: str) -> str | None:
    """A word or URL; null, false, 0 and the empty text mean that there is none. Anything else is no end of the list."""
    value = msgspec.json.decode(raw)
    if value in (None, "", False):
        return None
    if isinstance(value, str | int) and value is not True:
        return str(value)
    raise _not_the_envelope(f"{dotted!r} is neither a word nor a URL", where)


def _names(top: _Parts) -> str:
    """The keys that are there; a key may be anything, also somebody's code."""
    plain = [name for name in top if re.fullmatch(r"[A-Za-z_][\w.-]{0,30}", name, re.ASCII)]
    return ", ".join(plain[:12]) + (f" and {len(top) - len(plain[:12]):,} more" if len(top) > len(plain[:12]) else "")


def _text(raw: msgspec.Raw) -> str:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) else bytes(raw).decode()


def _total(raw: msgspec.Raw, dotted: str, where: str) -> int:
    text = _text(raw)
    # Servers that know no whole numbers write 25.0.
    if not re.fullmatch(r"\d{1,15}(\.0{1,6})?", text, re.ASCII):
        raise _not_the_envelope(f"{dotted!r} is no number", where)
    return int(text.partition(".")[0])


def check_utf8(answer: Answer, where: str) -> None:
    """Looks through a page that declares no encoding and that nobody has declared one for.

    Raises:
        MismatchError: it is not UTF-8.
    """
    if (found := decode.not_utf8(answer.body)) is not None:
        raise _not_utf8(answer, where, *found)


def _no_json(answer: Answer, body: bytes, where: str, error: BaseException) -> SourceContentError:
    if (found := decode.not_utf8(body)) is not None and not body.lstrip().startswith(b"<"):
        return _not_utf8(answer, where, *found)
    # A UnicodeDecodeError's own text repeats what it could not read.
    short = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:80]
    # What begins like data may hold records: their names are nobody's to repeat.
    words = "" if body.lstrip()[:1] in (b"{", b"[") else f" {answer.words()}"
    return SourceContentError(
        "the answer is no JSON object",
        where=where,
        why=f"{answer.content_type}, {len(answer.body):,} bytes,{words} ({short})",
        remedy="a login or captcha page: agree on access with the publisher; half an answer: run it again",
    )


def _not_utf8(answer: Answer, where: str, why: str, remedy: str) -> MismatchError:
    return MismatchError(
        "the answer is not in the encoding it should be in",
        where=where,
        why=f"{answer.content_type}, {len(answer.body):,} bytes: {why}",
        remedy=remedy,
    )


def _not_the_envelope(why: str, where: str) -> SourceContentError:
    return SourceContentError(
        "not the envelope that the contract describes",
        where=where,
        why=why,
        remedy="compare `envelope` of the contract with the interface's description",
    )
