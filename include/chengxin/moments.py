"""Dates and instants out of text, a column at a time.

Fixed shapes (YYYYMMDD, YYYY-MM-DD, YYYY-MM-DD HH:MM:SS) are read byte by byte over the whole column; the rest, rarer,
by patterns. What is no real day is unreadable; what only means "none" or "open" (2099-12-31, 9999-…, 1900-01-01,
1899-12-31, 0000-00-00) is null.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chengxin.arrays import TEXT, Bools, Ints, content, mask

_BEIJING_US = 8 * 3600 * 1_000_000
_NO_ZONE = -100_000
_STAMP = (
    r"^(?P<y>\d{4})[-/.年](?P<m>\d{1,2})[-/.月](?P<d>\d{1,2})日?"
    r"(?:[T\s]*(?P<h>\d{1,2})[:时](?P<mi>\d{1,2})(?:[:分](?P<s>\d{1,2})(?:[.,](?P<f>\d{1,9}))?秒?|分)?"
    # PostgreSQL writes a zone of whole hours with two digits; without a time they would be a day.
    r"(?:\s*(?P<hours>[+-]\d{2})$)?)?"
    r"\s*(?P<z>[Zz]|[+-]\d{2}:?\d{2})?$"
)
_NOUGHTS = pa.scalar("00", TEXT), pa.scalar("", TEXT)
_COMPACT = r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?P<h>\d{2})(?P<mi>\d{2})(?P<s>\d{2})$"
_SERIAL = r"^(?P<days>\d{5})(?:\.(?P<part>\d+))?$"
_EPOCH = r"^\d{10}(\d{3})?$"


def dates(text: pa.Array) -> tuple[pa.Array, Bools]:
    """Beijing dates (date32), and which values are unreadable."""
    instants, bad = timestamps(text)
    # Back from UTC: exact, since the instant was made with the same zone's rules.
    days = pc.local_timestamp(instants.cast(pa.timestamp("us", tz="Asia/Shanghai")))
    return days.cast(pa.timestamp("s"), safe=False).cast(pa.date32(), safe=False), bad


def timestamps(text: pa.Array) -> tuple[pa.Array, Bools]:
    """Instants in UTC, and which values are unreadable. Without a zone the time is Beijing's."""
    count = len(text)
    local = np.zeros(count, np.int64)
    zone = np.full(count, _NO_ZONE, np.int64)
    found = np.zeros(count, bool)
    sentinel = np.zeros(count, bool)
    widths = pc.fill_null(pc.binary_length(text), 0).to_numpy(zero_copy_only=False)
    for width in (8, 10, 19):
        rows = np.flatnonzero(widths == width)
        if len(rows):
            fields, fits = _fixed(text.take(pa.array(rows)) if len(rows) < count else text, width)
            _set_civil(rows[fits], {name: value[fits] for name, value in fields.items()}, local, found, sentinel)
    rest = np.flatnonzero(~found & ~sentinel & (widths > 0))
    if len(rest):
        _slow(rest, _folded(text.take(pa.array(rest))), local, zone, found, sentinel)
    empty = sentinel | mask(text.is_null())
    return pa.array(_to_utc(local, zone), pa.timestamp("us", tz="UTC"), mask=~found), ~(found | empty)


def _folded(text: pa.Array) -> pa.Array:
    return pc.utf8_trim_whitespace(pc.utf8_normalize(text, form="NFKC"))


def _fixed(text: pa.Array, width: int) -> tuple[dict[str, Ints], Bools]:
    """The parts of YYYYMMDD, YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, and which values have that shape."""
    places = {
        8: {"y": (0, 4), "m": (4, 6), "d": (6, 8)},
        10: {"y": (0, 4), "m": (5, 7), "d": (8, 10)},
        19: {"y": (0, 4), "m": (5, 7), "d": (8, 10), "h": (11, 13), "mi": (14, 16), "s": (17, 19)},
    }[width]
    data = content(text).reshape(-1, width)
    digit = data.astype(np.int64) - 48
    fits = np.ones(len(data), bool)
    fields: dict[str, Ints] = {}
    for name, (start, end) in places.items():
        part = digit[:, start:end]
        fits &= ((part >= 0) & (part <= 9)).all(axis=1)
        fields[name] = part @ (10 ** np.arange(end - start)[::-1])
    if width > 8:
        fits &= np.isin(data[:, 4], np.frombuffer(b"-/.", np.uint8)) & (data[:, 4] == data[:, 7])
    if width == 19:
        fits &= np.isin(data[:, 10], np.frombuffer(b" T", np.uint8))
        fits &= (data[:, 13] == ord(":")) & (data[:, 16] == ord(":"))
    return fields, fits


def _slow(rows: Ints, text: pa.Array, local: Ints, zone: Ints, found: Bools, sentinel: Bools) -> None:
    for pattern in (_STAMP, _COMPACT):
        parts = pc.extract_regex(text, pattern)
        fits = np.flatnonzero(mask(parts.is_valid()))
        if not len(fits):
            continue
        taken = parts.take(pa.array(fits))
        names = [field.name for field in taken.type]
        fields = {
            name: _number(pc.struct_field(taken, name)) for name in names if name in ("y", "m", "d", "h", "mi", "s")
        }
        if "f" in names:
            fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(taken, "f"), 6, "0"), 0, 6)
            fields["us"] = _number(fraction)
        if "z" in names:
            whole = pc.struct_field(taken, "hours")
            whole = pc.if_else(pc.equal(whole, ""), whole, pc.binary_join_element_wise(whole, *_NOUGHTS))
            zone[rows[fits]] = _zone(pc.if_else(pc.equal(whole, ""), pc.struct_field(taken, "z"), whole))
        _set_civil(rows[fits], fields, local, found, sentinel)
    serial = pc.extract_regex(text, _SERIAL)
    fits = np.flatnonzero(mask(serial.is_valid()))
    if len(fits):
        taken = serial.take(pa.array(fits))
        zero, nothing = pa.scalar("0", TEXT), pa.scalar("", TEXT)
        part = pc.binary_join_element_wise(zero, pc.struct_field(taken, "part"), zero, nothing)
        part = pc.cast(pc.utf8_replace_slice(part, 1, 1, "."), pa.float64())
        seconds = np.round(part.to_numpy(zero_copy_only=False) * 86_400).astype(np.int64)
        days = _number(pc.struct_field(taken, "days"))
        # Day 25,569 of Excel's calendar is 1970-01-01; 73,051 is 2100-01-01.
        sane = days < 73_051
        local[rows[fits[sane]]] = ((days - 25_569) * 86_400 + seconds)[sane] * 1_000_000
        found[rows[fits[sane]]] = True
    fits = np.flatnonzero(mask(pc.match_substring_regex(text, _EPOCH)))
    if len(fits):
        value = _number(text.take(pa.array(fits)))
        local[rows[fits]] = np.where(value > 10**11, value * 1_000, value * 1_000_000)
        zone[rows[fits]] = 0
        found[rows[fits]] = True


def _number(text: pa.Array) -> Ints:
    filled = pc.if_else(pc.equal(text, ""), pa.scalar("0", TEXT), text.cast(TEXT))
    return np.asarray(pc.cast(filled, pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


def _zone(text: pa.Array) -> Ints:
    """Minutes east of Greenwich."""
    given = mask(pc.not_equal(text, ""))
    utc = mask(pc.match_substring_regex(text, "^[Zz]$"))
    digits = pc.if_else(pa.array(given & ~utc), pc.replace_substring_regex(text, r"[^\d]", ""), pa.scalar("0000", TEXT))
    value = _number(digits)
    minutes = (value // 100) * 60 + value % 100
    minutes = np.where(mask(pc.starts_with(text, "-")), -minutes, minutes)
    return np.where(given, minutes, _NO_ZONE).astype(np.int64)


def _set_civil(rows: Ints, fields: dict[str, Ints], local: Ints, found: Bools, sentinel: Bools) -> None:
    """Writes what is a real day and time (or a sentinel) into the columns, at `rows`."""
    zero = np.zeros(len(rows), np.int64)
    y, m, d = fields["y"], fields["m"], fields["d"]
    h, mi, s, us = (fields.get(name, zero) for name in ("h", "mi", "s", "us"))
    nothing = (y == 9999) | ((y == 2099) & (m == 12) & (d == 31)) | ((y == 1900) & (m == 1) & (d == 1))
    nothing |= ((y == 1899) & (m == 12) & (d >= 30)) | ((y == 0) & (m == 0) & (d == 0))
    sentinel[rows[nothing]] = True
    real = ~nothing & (y >= 1800) & (y < 2200) & (m >= 1) & (m <= 12) & (d >= 1) & (d <= 31)
    real &= (mi < 60) & (s < 60) & ((h < 24) | ((h == 24) & (mi == 0) & (s == 0)))
    year = np.where(real, y, 2000)
    month = (year - 1970) * 12 + np.where(real, m, 1) - 1
    day = month.astype("datetime64[M]").astype("datetime64[D]") + np.where(real, d, 1) - 1
    real &= day.astype("datetime64[M]").astype(np.int64) == month
    seconds = day.astype(np.int64) * 86_400 + h * 3_600 + mi * 60 + s
    local[rows[real]] = (seconds * 1_000_000 + us)[real]
    found[rows[real]] = True


def _to_utc(local: Ints, zone: Ints) -> npt.NDArray[Any]:
    plain = zone == _NO_ZONE
    utc = np.where(plain, local - _BEIJING_US, local - zone * 60_000_000)
    # Beijing was not always eight hours ahead: summer time from 1986 to 1991, and other offsets before 1949.
    odd = np.flatnonzero(plain & (local < 694_224_000_000_000))
    if len(odd):
        naive = pa.array(local[odd], pa.timestamp("us"))
        exact = pc.assume_timezone(naive, "Asia/Shanghai", ambiguous="earliest", nonexistent="latest")
        utc[odd] = exact.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return utc.astype("datetime64[us]")
