"""A lawful request: a subject's content leaves every place where this system keeps it. Pseudonyms stay.

What is gone through: the lake's rows (and the files of commits under way), the raw archive, rejected rows, stored
messages, bodies of acts (those about the subject too, whatever they call it), data docs, logs, work files, the pages'
desk; then the ledger's own file is written anew, since a database leaves what it deletes in its free pages. Nothing
else writes meanwhile: the harvests' locks are held.

A raw file is what a source sent, or it is nothing: it cannot lose one record, so a file that holds the subject goes as
a whole. The facts of others that rest on it stay, and their explanation says that the file was erased. The same holds
for a message. What backups of the machine keep is theirs to erase: see docs/operating.md.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import String, Text, delete, func, or_, select, text, update
from sqlalchemy.orm import Session

from chengxin import archive, contracts, engine, forgetting, harvest, identity, pseudonyms, readers, upkeep
from chengxin.desk import refresh as desk
from chengxin.errors import ChengxinError, ConfigError
from chengxin.forgetting import HIDDEN, Person
from chengxin.lake import whole
from chengxin.ledger import access, acts, decisions, objections
from chengxin.ledger.acts import Act, ActBody, Deed
from chengxin.ledger.messages import Message, MessageBody
from chengxin.ledger.models import Base, Harvest, RawObject
from chengxin.parts import SHARED
from chengxin.settings import House
from chengxin.tables import TABLES

ENCODINGS = ("utf-8", "gb18030", "utf-16-le")
"""How a name may be written in a file."""
NOTES = "erasing"
"""In `<var>`: what the subjects were called of whom an erasure is under way, or was killed. Gone with its end."""


def subject(house: House, code: str, actor: str, reason: str) -> dict[str, Any]:
    """Erases one subject everywhere, on record. Doing it again finishes what a killed run left.

    Args:
        house: where everything is.
        code: its 18-character code.
        actor: who orders it.
        reason: on what ground, without the subject's name or code.

    Returns:
        `subject` (the pseudonym that stands for it), `tables` (table → keys and rows), `raw_files`, `messages`,
        `bodies` (of acts), `files`: how many were erased.

    Raises:
        ConfigError: no valid code, no reason, or a reason that names the subject.
    """
    checked = identity.check(pd.Series([code], dtype=object)).iloc[0]
    if not checked["valid"]:
        raise ConfigError(
            "this is no code of a subject",
            where="erase --subject",
            why=str(checked["reason"]),
            remedy="give the 18 characters of 统一社会信用代码",
        )
    with alone(house):
        connection = house.engine()
        who = forgetting.person(house, connection, str(checked["normalized"]))
        if any(needle in reason for needle in who.needles):
            raise ConfigError(
                "the reason names the subject", where="erase --reason", remedy="refer to the request by its number"
            )
        # Before the lake forgets what the subject was called, and which advice was its own.
        note = house.var / NOTES / f"{who.stands}.json"
        who, advice = _noted(note, who, _advice_ids(house, connection, who))
        with house.ledger.begin() as session:
            bodies = _bodies(session, who, advice)
            # With their number in the same act: `verify` asks who took them.
            about = {"ground": "request", "bodies": bodies}
            acts.record(session, house.clock(), actor, "erasure", who.stands, about, reason=reason)
        raw = _raw_files(house, who)
        tables = _tables(house, connection, who, advice)
        files = _raw_erased(house, raw)
        with house.ledger.begin() as session:
            messages = _messages(session, house, who)
            _columns(session, who)
        done = {
            "subject": who.stands,
            "tables": tables,
            "raw_files": files,
            "messages": messages,
            "bodies": bodies,
            "files": _files(house, who),
        }
        for name in TABLES:
            upkeep.expire(house, name)
            upkeep.sweep(house, name, grace=timedelta(0))
        desk.forget(house)
        with house.ledger.begin() as session:
            acts.record(session, house.clock(), actor, "erasure.done", who.stands, done)
        compact_ledger(house)
        note.unlink()
    return done


def compact_ledger(house: House) -> None:
    """Writes the ledger's file anew, without what was deleted from it."""
    names = [kept.__tablename__ for kept in (MessageBody, Message, ActBody)]
    with house.ledger.engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        if connection.dialect.name == "sqlite":
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("VACUUM")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            for name in names:
                connection.execute(text(f"VACUUM (FULL) {name}"))


@contextlib.contextmanager
def alone(house: House) -> Iterator[None]:
    """No harvest runs meanwhile, nor the fetch of a part of one: what is under way asked before what was erased, and
    would bring it back."""
    with contextlib.ExitStack() as locks:
        for file in sorted((house.include_dir / "sources").glob("*.yml")):
            for name in (file.stem, file.stem + SHARED):
                locks.enter_context(harvest.alone(house, name))
        yield


def _noted(note: Path, who: Person, advice: list[str]) -> tuple[Person, list[str]]:
    """What the lake knows of a subject, and what it knew when a killed run began: the rest is sought by that."""
    said: dict[str, list[str]] = json.loads(note.read_text("utf-8")) if note.exists() else {}
    names, keys = ({*mine, *said.get(kind, ())} for kind, mine in (("names", who.names), ("keys", who.keys)))
    who = replace(who, names=tuple(sorted(names)), keys=tuple(sorted(keys)))
    advice = sorted({*advice, *said.get("advice", ())})
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with whole(note) as half:
        half.write_text(json.dumps({"names": who.names, "keys": who.keys, "advice": advice}), "utf-8")
    return who, advice


def _advice_ids(house: House, connection: engine.Connection, who: Person) -> list[str]:
    advice = engine.observations(connection, house.lake, "advice")
    mine = advice.filter(forgetting.of_person(who, "advice", ())(advice)).select("advice_id").distinct()
    ids: list[str] = connection.to_pyarrow(mine)["advice_id"].to_pylist()
    return ids


def _tables(house: House, connection: engine.Connection, who: Person, ids: Sequence[str]) -> dict[str, dict[str, int]]:
    counts = {}
    # Findings before the advice that names them, so that a killed run finds the rest.
    for name in sorted(TABLES, key=lambda name: name == "advice"):
        pick = forgetting.of_person(who, name, ids)
        counts[name] = forgetting.forget(house, connection, name, pick, "request", who=who)
    return {name: done for name, done in counts.items() if any(done.values())}


def _raw_files(house: House, who: Person) -> list[tuple[str, str]]:
    """The raw files that hold the subject, as source and hash."""
    with house.ledger.begin() as session:
        rows = session.execute(
            select(Harvest.source, func.max(RawObject.id))
            .join(Harvest, Harvest.id == RawObject.harvest_id)
            .group_by(Harvest.source, RawObject.sha256)
        ).all()
        objects = [(source, session.get_one(RawObject, number)) for source, number in rows]
        session.expunge_all()
    return [
        (source, raw.sha256)
        for source, raw in objects
        if archive.path(house, source, raw.sha256).exists() and _holds(house, source, raw, who)
    ]


def _holds(house: House, source: str, raw: RawObject, who: Person) -> bool:
    if any(in_bytes(archive.get(house, source, raw.sha256), who.needles)):
        return True
    try:
        # Packed, escaped, or in a document: as its reader reads it.
        contract = contracts.load(house.include_dir / "sources" / f"{source}.yml")
        return any(_in_batch(batch, who) for batch in readers.batches(house, contract, raw))
    except ChengxinError:
        return False  # no reader can read it: its bytes were looked at


def _in_batch(batch: pa.RecordBatch, who: Person) -> bool:
    return any(
        pc.any(pc.match_substring(column, needle)).as_py()
        for column in batch.columns
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        for needle in who.needles
    )


def _raw_erased(house: House, raw: Iterable[tuple[str, str]]) -> int:
    number = 0
    for source, sha256 in raw:
        archive.path(house, source, sha256).unlink(missing_ok=True)
        number += 1
    return number


def _messages(session: Session, house: House, who: Person) -> int:
    """Erases the stored bytes of the messages that tell of the subject; one that still waits is never sent."""
    erased = []
    rows = session.execute(select(MessageBody.message_id, MessageBody.content).execution_options(yield_per=200))
    for number, content in rows:
        if any(any(in_bytes(part, who.needles)) for part in parts(content)):
            erased.append(number)
    for number in erased:
        session.execute(delete(MessageBody).where(MessageBody.message_id == number))
        message = session.get_one(Message, number)
        if message.state == "planned":
            message.state, message.settled_at = "superseded", house.clock()
            deed = Deed("message.superseded", message.key, message.body_sha256)
            acts.append(session, house.clock(), "erasure", [deed])
    return len(erased)


def parts(content: bytes) -> Iterator[bytes]:
    """What a message holds: itself, its decoded parts."""
    yield content
    for part in email.message_from_bytes(content, policy=email.policy.default).walk():
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            charset = part.get_content_charset() or "utf-8"
            try:
                yield payload.decode(charset).encode()
            except (LookupError, UnicodeDecodeError):
                yield payload


def _bodies(session: Session, who: Person, advice: Sequence[str]) -> int:
    """Erases the bodies of acts that tell of the subject, or are about it: decisions on its advice, its objections, why
    it was looked at. Whoever wrote them may have called it otherwise than the lake does."""
    tests = [ActBody.content.contains(needle, autoescape=True) for needle in who.needles]
    seqs = set(session.scalars(select(ActBody.seq).where(or_(*tests))))
    looks = Act.kind.startswith(access.PREFIX, autoescape=True)
    known_as = (who.stands, pseudonyms.plain(who.code))
    seqs |= set(session.scalars(select(Act.seq).where(Act.subject.in_(known_as), looks)))
    kinds = (decisions.KIND, objections.MADE, objections.SETTLED)
    for ids in decisions.batches(advice):
        seqs |= set(session.scalars(select(Act.seq).where(Act.subject.in_(ids), Act.kind.in_(kinds))))
    number = 0
    for some in decisions.batches(sorted(seqs)):
        gone = session.scalars(delete(ActBody).where(ActBody.seq.in_(some)).returning(ActBody.seq))
        number += len(gone.all())
    return number


def _columns(session: Session, who: Person) -> None:
    """Hides code and names in every other text of the ledger, the chain of acts aside: it holds none."""
    for table in Base.metadata.sorted_tables:
        if table.name in ("act", "act_body", "alembic_version"):
            continue
        for column in table.columns:
            if isinstance(column.type, String | Text) and not column.primary_key and not column.foreign_keys:
                for needle in who.needles:
                    hit = column.contains(needle, autoescape=True)
                    session.execute(update(table).where(hit).values({column: func.replace(column, needle, HIDDEN)}))


def _files(house: House, who: Person) -> int:
    """Erases data docs and work files that hold the subject; a log keeps its other lines."""
    own = {house.raw_dir, house.var / "lake", house.var / "locks", house.var / "rulebooks", house.var / NOTES}
    number = 0
    for path in sorted(house.var.rglob("*")):
        database = ".db" in path.suffixes or path.name.startswith(("ledger.db", "desk."))
        if not path.is_file() or own & set(path.parents) or database:
            continue
        content = path.read_bytes()
        found = in_bytes(content, who.needles)
        if house.staging_dir in path.parents and path.suffix == ".parquet":
            found = [True]  # half-finished work is made again
        if not any(found):
            continue
        number += 1
        if path.suffix == ".log":
            for needle in who.needles:
                content = content.replace(needle.encode(), HIDDEN.encode())
            path.write_bytes(content)
        else:
            path.unlink()
    return number


def in_bytes(content: bytes, needles: Sequence[str]) -> list[bool]:
    """Whether some bytes hold each of some texts, in any usual encoding, in a packed file's members too."""
    written = [{needle.encode(encoding) for encoding in ENCODINGS} | {_escaped(needle)} for needle in needles]
    found = [any(form in content for form in forms) for forms in written]
    if content[:4] == b"PK\x03\x04":
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(content)) as packed:
            for name in packed.namelist():
                inside = in_bytes(packed.read(name), needles)
                found = [one or other for one, other in zip(found, inside, strict=True)]
    return found


def _escaped(needle: str) -> bytes:
    # As JSON writes what is not ASCII.
    return needle.encode("ascii", "backslashreplace")
