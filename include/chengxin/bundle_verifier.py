#!/usr/bin/env python3
"""Checks an evidence bundle without the system that made it. Needs Python 3.9 and nothing else.

    python verify.py bundle.zip     or, in the unpacked folder:     python verify.py

It recomputes the hash of every file, the chain of acts, the links from each message, decision and objection to its act,
and the names of the rulebooks; and looks for the fact behind every finding. Exit status 0: it is as it was made.
"""
# ruff: noqa: T201 - it speaks to whoever runs it

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

Files = dict[str, bytes]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def read(place: Path) -> Files:
    if place.is_file():
        with zipfile.ZipFile(place) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    found = (path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in found}


def lines(files: Files, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files.get(name, b"").decode("utf-8").splitlines()]


def check(files: Files) -> list[str]:
    """Everything that is wrong, in words."""
    if "manifest.json" not in files:
        return ["there is no manifest.json: this is no evidence bundle"]
    manifest = json.loads(files["manifest.json"].decode("utf-8"))
    listed = {entry["path"]: entry for entry in manifest["files"]}
    faults = [f"{path} is missing" for path in sorted(set(listed) - set(files))]
    faults += [f"{path} is not in the manifest" for path in sorted(set(files) - set(listed) - {"manifest.json"})]
    faults += [
        f"{path} was changed"
        for path, entry in sorted(listed.items())
        if path in files and sha256(files[path]) != entry["sha256"]
    ]
    return faults + chain(files) + messages(files) + people(files) + rulebooks(files) + evidence(files)


def chain(files: Files) -> list[str]:
    faults: list[str] = []
    before: dict[str, Any] | None = None
    for act in lines(files, "acts.jsonl"):
        parts = [act[name] for name in ("seq", "at", "actor", "kind", "subject", "payload_sha256", "prev")]
        if sha256(canonical(parts)) != act["hash"]:
            faults.append(f"act {act['seq']} is not what its hash says")
        if before and (act["prev"] != before["hash"] or act["seq"] != before["seq"] + 1):
            faults.append(f"act {act['seq']} does not follow act {before['seq']}")
        before = act
    return faults


def messages(files: Files) -> list[str]:
    planned = {(act["subject"], act["payload_sha256"]) for act in lines(files, "acts.jsonl")}
    faults = []
    for message in lines(files, "messages.jsonl"):
        path = f"messages/{message['key']}.eml"
        if path in files and sha256(files[path]) != message["body_sha256"]:
            faults.append(f"{path} is not the message that was planned")
        if path not in files and not message["erased"]:
            faults.append(f"{path} is missing")
        if (message["key"], message["body_sha256"]) not in planned:
            faults.append(f"no act says that message {message['key']} was planned")
    return faults


def people(files: Files) -> list[str]:
    """Decisions and objections against their acts, and against what the acts say where it was not erased."""
    known = {act["seq"]: act for act in lines(files, "acts.jsonl")}
    steps = (
        ("decisions.jsonl", "act", "decision.made", ("decision", "weighed", "advised", "against", "department")),
        ("objections.jsonl", "act", "objection.made", ("received_on",)),
        ("objections.jsonl", "settled_act", "objection.settled", ("outcome",)),
    )
    faults = []
    for name, column, kind, fields in steps:
        for row in lines(files, name):
            if row[column] is None:
                continue
            act, said = known.get(row[column]), row[column + "_says"]
            if act is None or (act["kind"], act["subject"]) != (kind, row["advice_id"]):
                faults.append(f"{name}: no act {row[column]} says so of advice {row['advice_id']}")
            elif said is not None and sha256(said.encode("utf-8")) != act["payload_sha256"]:
                faults.append(f"{name}: what act {row[column]} says was changed")
            elif said is not None and any(json.loads(said)[field] != row[field] for field in fields):
                faults.append(f"{name}: the row of act {row[column]} is not what the act says")
    return faults


def rulebooks(files: Files) -> list[str]:
    books: dict[str, Files] = {}
    for path, content in files.items():
        top, _, rest = path.partition("/")
        if top == "rulebooks":
            name, _, file = rest.partition("/")
            books.setdefault(name, {})[file] = content
    faults = []
    for name, book in sorted(books.items()):
        listing = "".join(f"{sha256(book[file])}  {file}\n" for file in sorted(book))
        if sha256(listing.encode("utf-8")) != name:
            faults.append(f"rulebook {name} has another hash")
    for run in lines(files, "checks.jsonl"):
        if run["rulebook"] and run["rulebook"] not in books:
            faults.append(f"the rulebook of check {run['id']} is missing")
    return faults


def evidence(files: Files) -> list[str]:
    known = {(fact["table"], fact["source"], fact["natural_key"], fact["seq"]) for fact in lines(files, "facts.jsonl")}
    gone = {(fact["table"], fact["source"], fact["natural_key"], fact["seq"]) for fact in lines(files, "erased.jsonl")}
    faults = []
    for finding in lines(files, "findings.jsonl"):
        key = tuple(finding["evidence_" + name] for name in ("table", "source", "key", "seq"))
        if finding["evidence_table"] and finding["evidence_key"] and key not in known | gone:
            faults.append(f"the fact behind finding {finding['finding_id']} is missing")
    return faults


def main(arguments: list[str]) -> int:
    place = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    files = read(place)
    faults = check(files)
    for fault in faults:
        print(fault)
    if faults:
        print(f"NOT as it was made: {len(faults)} faults")
        return 1
    print(f"as it was made: {len(files)} files; manifest sha256 {sha256(files['manifest.json'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
