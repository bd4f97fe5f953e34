"""Rulebooks: every file that a check judged by, kept whole, so that the day can be judged again years later.

A rulebook is the policy's folder (with what it extends), the district's file, the working days and the contracts. It
lies under its hash in `<var>/rulebooks`, once, as a ZIP that anybody can open; the check's row in the ledger names it.
Copies under version control are for people: they can be rebased, moved or lost without this system's knowing.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from chengxin import yamlfile
from chengxin.districts import District
from chengxin.errors import ChengxinError
from chengxin.settings import House

INDEX = "INCLUDE"
"""The file of a rulebook that says where in it the include folder is."""

STAMP = (1980, 1, 1, 0, 0, 0)
"""The date of every file in a ZIP: equal content, equal bytes."""


class RulebookError(ChengxinError):
    """A rulebook is not there, or not as it was kept."""

    cause = "rulebook"


def keep(house: House, district: District, policy: Path | None = None) -> str:
    """Keeps the files that a check of today would judge by.

    Args:
        house: its include folder is read.
        district: which of the districts and policies.
        policy: another policy's folder, e.g. a draft's; None: the district's.

    Returns:
        The rulebook's hash.
    """
    files = _files(house.include_dir, district, policy)
    sha256 = digest(files)
    target = path(house, sha256)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".new", delete=False) as new:
            new.write(packed(files))
        Path(new.name).replace(target)
    return sha256


def path(house: House, sha256: str) -> Path:
    """Where a rulebook is (or would be) kept."""
    return house.var / "rulebooks" / f"{sha256}.zip"


def load(house: House, sha256: str) -> dict[str, bytes]:
    """The files of a rulebook: path → content; `INDEX` says where the include folder is.

    Raises:
        RulebookError: it is not there, or not as it was kept.
    """
    file = path(house, sha256)
    try:
        with zipfile.ZipFile(file) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except FileNotFoundError:
        raise RulebookError(
            "the rulebook of a check is not there",
            where=str(file),
            remedy="restore the folder from a backup; its name is the hash that it must have",
        ) from None
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(file, type(error).__name__) from None
    if digest(files) != sha256:
        raise _damaged(file, "its files have another hash")
    return files


@contextmanager
def opened(house: House, sha256: str) -> Iterator[House]:
    """The same house, judging by a rulebook of the past.

    Raises:
        RulebookError: the rulebook is not there, or not as it was kept.
    """
    files = load(house, sha256)
    with tempfile.TemporaryDirectory(prefix="rulebook-") as folder:
        for name, content in files.items():
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        yield replace(house, include=Path(folder) / files[INDEX].decode().strip())


def digest(files: Mapping[str, bytes]) -> str:
    """The hash of some files: of each one's name and hash, in the order of the names."""
    lines = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def packed(files: Mapping[str, bytes]) -> bytes:
    """Some files as a ZIP: equal files, equal bytes. Stored as they are, since packers differ by version."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, STAMP)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def _files(include: Path, district: District, policy: Path | None) -> dict[str, bytes]:
    include = include.resolve()
    folders: list[Path] = []
    folder: Path | None = (policy or include / "policy" / district.policy).resolve()
    while folder is not None and folder not in folders:
        folders.append(folder)
        content = yamlfile.read(folder / "policy.yml")
        base = content.get("extends") if isinstance(content, dict) else None
        folder = (folder / base).resolve() if base else None
    found = [file for folder in folders for file in folder.rglob("*.yml")]
    found += [include / "districts" / f"{district.code}.yml", include / "calendar.yml"]
    found += (include / "sources").glob("*.yml")
    # A policy may extend one outside of the include folder: what they have in common is the ZIP's top.
    top = Path(os.path.commonpath([include, *folders]))
    files = {file.relative_to(top).as_posix(): file.read_bytes() for file in found if file.is_file()}
    return {**files, INDEX: f"{include.relative_to(top).as_posix()}\n".encode()}


def _damaged(file: Path, why: str) -> RulebookError:
    return RulebookError(
        "a rulebook is damaged",
        where=str(file),
        why=why,
        remedy="restore it from a backup; its name is the hash that it must have",
    )
