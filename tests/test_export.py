"""The evidence bundle: the same content gives the same bytes, and anybody can check it with Python alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from chengxin import check, erasure, export, objections, officers, warn
from chengxin.errors import ConfigError
from chengxin.export import Scope
from chengxin.ledger.acts import Act
from chengxin.settings import House
from tests.conftest import NOW, ROOT
from tests.factlake import FactLake, codes, day

MONDAY = day("2026-06-15")
TUESDAY = MONDAY + timedelta(days=1)
FIRST, SECOND = codes(1, 2)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Two matters, checked and told on Monday and Tuesday."""
    house = House(root=ROOT, var=tmp_path_factory.mktemp("export") / "var", district="370112", clock=lambda: NOW)
    lake = FactLake(house)
    lake.fresh(MONDAY)
    subject = {"kind": "企业", "state": "存续", "established": day("2019-01-01"), "area_code": "370112010"}
    names = {FIRST: "示例甲有限公司", SECOND: "示例乙有限公司"}
    lake.put("subject", MONDAY, [{"uscc": code, "name": name, **subject} for code, name in names.items()])
    about = {"type": "招投标", "department": "zjj", "state": "待办", "opened_on": day("2026-06-01")}
    lake.put("matter", MONDAY, [{"matter_id": "M1", **about}, {"matter_id": "M2", **about}])
    lake.put("applicant", MONDAY, [
        {"matter_id": f"M{n}", "applicant_no": "1", "uscc": code, "name": name}
        for n, (code, name) in enumerate(names.items(), 1)
    ])  # fmt: skip
    check.run(house, MONDAY)
    warn.plan(house, MONDAY)
    lake.fresh(TUESDAY)
    listed = {"list": "黑名单", "doc_no": "D1", "uscc": FIRST, "listed_on": day("2026-01-01")}
    lake.put("list_entry", TUESDAY, [listed])
    check.run(house, TUESDAY)
    warn.plan(house, TUESDAY)
    (mine,) = [row["advice_id"] for row in lake.rows("advice", TUESDAY) if row["matter_id"] == "M1"]
    officers.decide(house, "zjj", mine, "PASS", "scored", "已核实，不影响履约", words="扣2分")
    made = objections.make(house, "zjj", mine, "已移出名单")
    objections.settle(house, "zjj", made.id, "rejected", "来源仍列入")
    return house


def files(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rows(bundle: bytes, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files(bundle)[name].splitlines()]


def verified(place: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and words of the verifier, run by a Python that sees neither this project nor any package."""
    run = [sys.executable, "-I", "-S", *arguments]
    done = subprocess.run(run, capture_output=True, text=True, cwd=place, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_matter_with_all_that_is_behind_it(house: House, tmp_path: Path) -> None:
    scope = Scope(MONDAY, TUESDAY, matter="M1")
    target = tmp_path / "bundle.zip"
    sha256 = export.write(house, scope, target, "auditor", "抽查")
    bundle = target.read_bytes()
    assert bundle == export.bundle(house, scope)
    assert [row["decision"] for row in rows(bundle, "advice.jsonl")] == ["NEED_REPORT", "RESTRICT"]
    assert {row["rule"] for row in rows(bundle, "findings.jsonl")} >= {"list.black"}
    (fact,) = [row for row in rows(bundle, "facts.jsonl") if row["table"] == "list_entry"]
    assert fact["uscc"] == FIRST
    assert len(rows(bundle, "messages.jsonl")) >= 2
    (decided,), (objected,) = rows(bundle, "decisions.jsonl"), rows(bundle, "objections.jsonl")
    assert (decided["decision"], decided["advised"], decided["account"]) == ("PASS", "RESTRICT", "zjj")
    assert json.loads(decided["act_says"])["words"] == "扣2分"
    assert (objected["outcome"], json.loads(objected["settled_act_says"])["reason"]) == ("rejected", "来源仍列入")
    names = set(files(bundle))
    assert any(name.endswith("/lists.yml") for name in names)
    assert sum(name.startswith("explanations/") for name in names) == 2
    assert SECOND.encode() not in b"".join(
        content for name, content in files(bundle).items() if not name.startswith("messages/")
    )
    with house.ledger.begin() as session:
        assert session.scalar(select(Act.subject).where(Act.kind == "export")) == sha256
    # Another machine, another day: the same bytes.
    assert export.bundle(replace(house, clock=lambda: NOW + timedelta(days=400)), scope) == bundle


class TestVerifier:
    """Runs with Python alone, packed and unpacked, and finds what was changed."""

    def test_whole(self, house: House, tmp_path: Path) -> None:
        bundle = export.bundle(house, Scope(MONDAY, TUESDAY))
        (tmp_path / "bundle.zip").write_bytes(bundle)
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            archive.extractall(tmp_path / "unpacked")
        status, said = verified(tmp_path, str(tmp_path / "unpacked" / "verify.py"), "bundle.zip")
        assert (status, "as it was made" in said) == (0, True), said
        assert verified(tmp_path / "unpacked", "verify.py")[0] == 0

    @pytest.mark.parametrize(
        ("name", "old", "new", "says"),
        [
            ("advice.jsonl", b"RESTRICT", b"PASS", "advice.jsonl was changed"),
            ("acts.jsonl", b'"actor":"warn"', b'"actor":"none"', "is not what its hash says"),
            ("messages/", b"Subject", b"subject", "is not the message that was planned"),
            ("rulebooks/", b"RESTRICT", b"PASS", "has another hash"),
            ("decisions.jsonl", b'"decision":"PASS"', b'"decision":"EXCLUDE"', "is not what the act says"),
            ("decisions.jsonl", "扣2分".encode(), "扣1分".encode(), "says was changed"),
            ("objections.jsonl", b'"outcome":"rejected"', b'"outcome":"upheld"', "is not what the act says"),
            ("objections.jsonl", b'"settled_act":', b'"settled_act":1', "says so of advice"),
        ],
    )
    def test_a_change_with_the_manifest_made_to_fit(
        self, house: House, tmp_path: Path, name: str, old: bytes, new: bytes, says: str
    ) -> None:
        content = files(export.bundle(house, Scope(MONDAY, TUESDAY)))
        path = next(path for path in sorted(content) if path.startswith(name) and old in content[path])
        content[path] = content[path].replace(old, new)
        if name != "advice.jsonl":
            scope = Scope(MONDAY, TUESDAY)
            rest = {path: data for path, data in content.items() if path != "manifest.json"}
            content["manifest.json"] = export.manifest(house, scope, rest)
        for path, data in content.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)
        status, said = verified(tmp_path, "verify.py")
        assert status == 1
        assert says in said

    def test_files_missing_and_slipped_in(self, house: House, tmp_path: Path) -> None:
        for path, data in files(export.bundle(house, Scope(MONDAY, TUESDAY))).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)
        (tmp_path / "findings.jsonl").unlink()
        (tmp_path / "more.txt").write_text("x")
        status, said = verified(tmp_path, "verify.py")
        assert status == 1
        assert "findings.jsonl is missing" in said
        assert "more.txt is not in the manifest" in said


def test_a_scope_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="before it begins"):
        Scope(TUESDAY, MONDAY)
    with pytest.raises(ConfigError, match="at once"):
        Scope(MONDAY, TUESDAY, matter="M1", subject=FIRST)


def test_a_subject(house: House) -> None:
    bundle = export.bundle(house, Scope(MONDAY, TUESDAY, subject=SECOND))
    assert {row["uscc"] for row in rows(bundle, "advice.jsonl")} == {SECOND}
    assert {row["uscc"] for row in rows(bundle, "filing_status.jsonl")} == {SECOND}
    assert erasure.in_bytes(bundle, [SECOND, FIRST])[0]
