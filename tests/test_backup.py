"""A backup of a house that was lived in, brought back in an empty folder: the same answers, and it goes on from there.

Strategy: one played sandbox day, put away twice (as it is, and with a commit under way); every test restores into a
folder of its own, other than the one that was put away. PostgreSQL: `tests/deploy/test_backup_postgres.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chengxin import backup, maintain, replay, upkeep, warn
from chengxin.backup import Manifest
from chengxin.cli import app
from chengxin.dumps import BackupError
from chengxin.ledger.models import Commit
from chengxin.settings import House
from chengxin.tables import TABLES
from chengxin.warn.links import CONNECTION, Signer, signer
from tests.conftest import NOW
from tests.e2e import by_hand
from tests.e2e.days import AS_OF

LINK = re.compile(r"/answers/([\w-]+)")
SOURCES = ("subject_registry", "annual_reports", "matters", "blacklists")


@dataclass
class Kept:
    """A house, and its backup."""

    house: House
    mails: list[EmailMessage]
    backup: Path
    airflow: str
    """URL of what stands for Airflow's database."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("lived in")
    played = by_hand.play(folder, subjects=60, seed=3, sources=SOURCES)
    house = played.house.at(lambda: NOW)
    other = folder / "airflow.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE dag_run (id INTEGER)")
        connection.execute("INSERT INTO dag_run VALUES (42)")
    url = f"sqlite:///{other}"
    return Kept(house, played.mails, backup.take(house, folder / "backups", airflow_url=url), url)


@pytest.fixture
def elsewhere(kept: Kept, tmp_path: Path) -> House:
    """A house in an empty folder."""
    return replace(kept.house, var=tmp_path / "another place")


def test_the_restored_house_gives_the_same_answers(kept: Kept, elsewhere: House, tmp_path: Path) -> None:
    backup.restore(elsewhere, kept.backup, airflow_url=f"sqlite:///{tmp_path / 'airflow.db'}")
    for table in TABLES:
        assert by_hand.canonical(elsewhere, table) == by_hand.canonical(kept.house, table), table
    assert maintain.verify_chain(elsewhere) == maintain.verify_chain(kept.house)
    again = replay.run(elsewhere, AS_OF)
    assert again.explained
    assert not any(sum(reasons.values()) for reasons in again.counts.values())
    with sqlite3.connect(tmp_path / "airflow.db") as connection:
        assert connection.execute("SELECT id FROM dag_run").fetchall() == [(42,)]


def test_the_restored_house_says_nothing_twice(kept: Kept, elsewhere: House) -> None:
    backup.restore(elsewhere, kept.backup)
    before = warn.summary(elsewhere, AS_OF)
    assert before["sent"] > 0
    for department in warn.plan(elsewhere, AS_OF):
        assert warn.send(elsewhere, AS_OF, department) == {"sent": 0, "refused": 0, "unknown": 0}, department
    assert warn.summary(elsewhere, AS_OF) == before


def test_new_link_keys_break_nothing_that_was_sent(kept: Kept, elsewhere: House) -> None:
    """The keys are changed while links are out: those still open, and nothing is planned or sent anew for it."""
    backup.restore(elsewhere, kept.backup)
    old = elsewhere.connections(CONNECTION)
    both = replace(old, password=f"{'n' * 40} {old.password}")
    rotated = replace(elsewhere, connections=lambda name: both if name == CONNECTION else elsewhere.connections(name))
    sent = {token for _, _, body in by_hand.letters(kept.mails, links=True) for token in LINK.findall(body)}
    assert sent
    named = [signer(rotated).read(token) for token in sent]
    assert None not in named
    assert Signer(["n" * 40]).read(next(iter(sent))) is None
    before = warn.summary(rotated, AS_OF)
    for department in warn.plan(rotated, AS_OF):
        warn.send(rotated, AS_OF, department)
    assert warn.summary(rotated, AS_OF) == before
    assert maintain.verify_chain(rotated) == maintain.verify_chain(kept.house)


def test_the_restored_lake_can_be_tidied(kept: Kept, elsewhere: House) -> None:
    backup.restore(elsewhere, kept.backup)
    before = {table: by_hand.canonical(elsewhere, table) for table in TABLES}
    upkeep.tidy(elsewhere)
    assert {table: by_hand.canonical(elsewhere, table) for table in TABLES} == before


def test_a_commit_that_was_under_way_is_not_taken_in_twice(kept: Kept, tmp_path: Path) -> None:
    house = replace(kept.house, var=tmp_path / "one")
    backup.restore(house, kept.backup)
    # The instant between the lake's commit and the ledger's note of it.
    with house.ledger.begin() as session:
        last = session.query(Commit).filter_by(kind="harvest").order_by(Commit.seq.desc()).first()
        assert last is not None
        last.closed_at, seq = None, last.seq
    taken = backup.take(house, tmp_path / "backups")
    other = replace(kept.house, var=tmp_path / "other")
    backup.restore(other, taken)
    table = next(name for name in TABLES if any(row["seq"] == seq for row in other.lake.rows(name)))
    rows = len(other.lake.rows(table))
    other.lake.commit(table, [other.lake.data_file(table, seq)], seq)
    assert len(other.lake.rows(table)) == rows


def test_a_second_backup_links_what_is_unchanged(kept: Kept, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    shutil.copytree(kept.backup, folder / kept.backup.name)
    later = kept.house.at(lambda: NOW + timedelta(days=1))
    second = backup.take(later, folder)
    one, two = Manifest.read(kept.backup).files, Manifest.read(second).files
    content = {path for path in two if path.split("/")[0] in ("raw", "lake", "rulebooks")}
    assert {path: two[path] for path in content} == {path: one[path] for path in content}
    assert len(content) > 10
    assert all((second / path).stat().st_nlink == 2 for path in content)


def test_as_many_stay_as_are_kept(kept: Kept, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    made = [backup.take(kept.house.at(lambda n=n: NOW + timedelta(days=n)), folder, keep=2) for n in range(3)]
    assert sorted(path for path in folder.iterdir() if path.is_dir()) == made[1:]


def test_one_at_a_time_and_what_a_killed_one_left_is_removed(kept: Kept, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    (folder / f"2026-06-14T20-00-00{backup.UNFINISHED}" / "raw").mkdir(parents=True)
    with backup._alone(folder), pytest.raises(BackupError, match="another backup is at work"):
        backup.take(kept.house, folder)
    taken = backup.take(kept.house, folder)
    assert [path for path in folder.iterdir() if path.is_dir()] == [taken]


def test_what_is_there_is_never_written_over(kept: Kept, elsewhere: House) -> None:
    with pytest.raises(BackupError, match="something is there already"):
        backup.restore(kept.house, kept.backup)
    (elsewhere.var / "raw" / "x").mkdir(parents=True)
    with pytest.raises(BackupError, match="something is there already"):
        backup.restore(elsewhere, kept.backup)
    with pytest.raises(BackupError, match="not empty"):
        backup.restore(replace(elsewhere, var=elsewhere.var / "x"), kept.backup, airflow_url=kept.airflow)


def cut_off(folder: Path) -> None:
    file = next(folder.rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])


def remove_raw(folder: Path) -> None:
    next(folder.joinpath("raw").rglob("*.zst")).unlink()


def flip(folder: Path) -> None:
    file = folder / "ledger.db"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_off, remove_raw, flip])
def test_a_damaged_backup_is_refused_before_anything_is_written(
    kept: Kept, elsewhere: House, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(kept.backup, copy)
    damage(copy)
    with pytest.raises(BackupError, match="missing or damaged"):
        backup.restore(elsewhere, copy)
    assert not any(path.is_file() for path in elsewhere.var.rglob("*"))


def test_an_unfinished_backup_is_none(kept: Kept, elsewhere: House, tmp_path: Path) -> None:
    copy = tmp_path / "copy.part"
    shutil.copytree(kept.backup, copy)
    (copy / backup.MANIFEST).unlink()
    with pytest.raises(BackupError, match="no finished backup"):
        backup.restore(elsewhere, copy)


def test_a_chain_that_came_back_shorter_is_named(kept: Kept, elsewhere: House, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(kept.backup, copy)
    file = copy / backup.MANIFEST
    manifest = json.loads(file.read_text("utf-8"))
    manifest["acts"] += 1
    file.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BackupError, match="not the one that was put away"):
        backup.restore(elsewhere, copy)


def test_by_the_command_line(kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("CHENGXIN_", "AIRFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CHENGXIN_DISTRICT", kept.house.district)
    monkeypatch.setenv("CHENGXIN_VAR", str(kept.house.var))
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", kept.airflow)
    run = CliRunner().invoke
    taken = run(app, ["backup", str(tmp_path / "backups"), "--keep", "3"], catch_exceptions=False)
    assert taken.exit_code == 0, taken.output
    monkeypatch.setenv("CHENGXIN_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path / 'airflow.db'}")
    back = run(app, ["restore", taken.output.strip()], catch_exceptions=False)
    assert back.exit_code == 0, back.output
    head = maintain.verify_chain(kept.house)["head"]
    assert str(head) in back.output
    assert run(app, ["verify"], catch_exceptions=False).exit_code == 0
