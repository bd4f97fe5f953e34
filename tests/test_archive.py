"""The raw archive: once, whole, unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from chengxin import archive
from chengxin.errors import ArchiveError
from chengxin.settings import House


@pytest.mark.parametrize("data", [b"", b"x", "虚构".encode() * 500_000], ids=["empty", "one", "large"])
def test_what_is_put_comes_back(house: House, data: bytes) -> None:
    sha256 = archive.put(house, "matters", data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert archive.get(house, "matters", sha256) == data
    assert all(len(chunk) <= archive.CHUNK for chunk in archive.chunks(house, "matters", sha256))


def test_a_stream_is_kept_like_bytes(house: House) -> None:
    sha256, size = archive.put_stream(house, "matters", iter([b"ab", b"", b"c"]))
    assert (sha256, size) == (hashlib.sha256(b"abc").hexdigest(), 3)
    assert archive.get(house, "matters", sha256) == b"abc"


def test_the_layout(house: House) -> None:
    sha256 = archive.put(house, "matters", b"abc")
    assert archive.path(house, "matters", sha256) == house.raw_dir / "matters" / "ba" / f"{sha256}.zst"
    assert archive.path(house, "matters", sha256).is_file()


def test_equal_bytes_are_kept_once_and_never_rewritten(house: House) -> None:
    sha256 = archive.put(house, "matters", b"abc")
    before = archive.path(house, "matters", sha256).stat()
    archive.put(house, "matters", b"abc")
    archive.put_stream(house, "matters", [b"abc"])
    after = archive.path(house, "matters", sha256).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert len(_files(house)) == 1


def test_a_stream_that_breaks_leaves_nothing(house: House) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"abc"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        archive.put_stream(house, "matters", breaking())
    assert _files(house) == []


@pytest.mark.parametrize("size", [10, archive.SPOOL + 1])
def test_open_gives_a_seekable_stream(house: House, size: int) -> None:
    sha256 = archive.put(house, "matters", bytes(size))
    with archive.open(house, "matters", sha256) as file:
        assert file.seek(0, 2) == size
        file.seek(0)
        assert file.read(4) == bytes(4)


def test_a_lost_file_says_so(house: House) -> None:
    with pytest.raises(ArchiveError, match="not in the archive"):
        archive.get(house, "matters", "0" * 64)


@pytest.mark.parametrize("damage", ["other", "cut", "noise"])
def test_a_damaged_file_says_so(house: House, damage: str) -> None:
    sha256 = archive.put(house, "matters", b"abc" * 1000)
    path = archive.path(house, "matters", sha256)
    if damage == "other":
        other = archive.put(house, "matters", b"abd" * 1000)
        path.write_bytes(archive.path(house, "matters", other).read_bytes())
    else:
        path.write_bytes(path.read_bytes()[:8] if damage == "cut" else b"no zstd at all")
    with pytest.raises(ArchiveError, match="damaged"):
        archive.get(house, "matters", sha256)
    with pytest.raises(ArchiveError, match="damaged"):
        archive.open(house, "matters", sha256)


def test_a_file_whose_content_a_power_cut_took_is_put_again(house: House) -> None:
    sha256 = archive.put(house, "matters", b"abc", durable=False)
    archive.path(house, "matters", sha256).write_bytes(b"")
    assert not archive.is_whole(house, "matters", sha256)
    archive.put(house, "matters", b"abc")
    archive.sync(house, "matters", [sha256])
    assert archive.get(house, "matters", sha256) == b"abc"


def _files(house: House) -> list[Path]:
    return [path for path in house.raw_dir.rglob("*") if path.is_file()]
