"""A front database on MariaDB, for real: a server of our own from Debian's packages (`make test-services`)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from chengxin import archive, connections, connectors, engine, harvest
from chengxin.connections import Connection
from chengxin.connectors import feedback
from chengxin.errors import SourceRefusedError, SourceUnreachableError
from chengxin.ledger.models import Harvest
from chengxin.sandbox import frontdb
from chengxin.sandbox.services import connection_to
from chengxin.sandbox.world import World
from chengxin.settings import House

from .tools import AS_OF, INCREMENTAL, Killed, contract, cursor, new_harvest, over, raw_objects

pytestmark = pytest.mark.services

PASSWORD = "made-up-for-a-test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An empty server on loopback, with a database `front` and a login that may only read."""
    folder = tmp_path_factory.mktemp("mariadb")
    data, sock = folder / "data", folder / "s"
    mine = ["--no-defaults", f"--datadir={data}", *(["--user=root"] if os.geteuid() == 0 else [])]
    install = shutil.which("mariadb-install-db")
    assert install, "run .ci/services"
    subprocess.run(
        [install, *mine, "--auth-root-authentication-method=normal", "--skip-test-db"], check=True, capture_output=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["/usr/sbin/mariadbd", *mine, f"--socket={sock}", f"--port={port}", "--bind-address=127.0.0.1"],
            stdout=log,
            stderr=log,
        )
    root = create_engine(f"mysql+pymysql://root:@127.0.0.1:{port}/?charset=utf8mb4")
    try:
        _wait(root)
        with root.begin() as session:
            session.execute(text("CREATE DATABASE front CHARACTER SET utf8mb4"))
            session.execute(text(f"CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'"))
            session.execute(text("GRANT SELECT ON front.* TO reader@'127.0.0.1'"))
        yield create_engine(root.url.set(database="front"))
    finally:
        root.dispose()
        process.terminate()
        process.wait(20)


def _wait(engine: Engine) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            with engine.connect():
                return
        except OperationalError:
            assert time.monotonic() < end, "MariaDB does not start"
            time.sleep(0.1)


@pytest.fixture
def table(server: Engine) -> Iterator[Engine]:
    with server.begin() as session:
        session.execute(
            text(
                "CREATE TABLE nb (xh bigint PRIMARY KEY, code varchar(18), name varchar(100), amount decimal(18, 6), "
                "day date, gxsj datetime(3), flag tinyint(1), bytes varbinary(10), gone text)"
            )
        )
        session.execute(
            text(
                "INSERT INTO nb SELECT seq, concat('91370112XXXX', lpad(seq, 6, '0')), '虚构企业𠮷', 1.1, "
                "'2025-03-04', timestampadd(MINUTE, seq, '2026-06-14 10:00:00.250'), seq % 2, x'00ff', NULL "
                "FROM seq_1_to_25"
            )
        )
    yield server
    with server.begin() as session:
        session.execute(text("DROP TABLE nb"))


def reader(server: Engine, **more: Any) -> Connection:
    return Connection(
        **{
            "conn_id": "front_db",
            "conn_type": "mysql",
            "host": "127.0.0.1",
            "port": server.url.port,
            "login": "reader",
            "password": PASSWORD,
            "schema": "front",
            **more,
        }
    )


def run(house: House, connection: Connection, harvest_id: int | None = None, as_of: date = AS_OF, **more: Any) -> int:
    harvest_id = new_harvest(house) if harvest_id is None else harvest_id
    read = {"connector": "database", "connection": "front_db", "table": "nb", "batch": 10, **more}
    one = contract(read, **(INCREMENTAL if "watermark" in more else {}))
    connectors.fetch(over(house, connection), one, as_of, harvest_id)
    return harvest_id


def rows(house: House, harvest_id: int) -> list[dict[str, Any]]:
    bodies = [archive.get(house, "subject_registry", one.sha256) for one in raw_objects(house, harvest_id)]
    return [json.loads(line) for body in bodies for line in body.decode().splitlines()]


def test_rows_in_order_with_values_of_every_type(house: House, table: Engine) -> None:
    found = rows(house, run(house, reader(table)))
    assert [row["xh"] for row in found] == list(range(1, 26))
    assert found[0] == {
        "xh": 1,
        "code": "91370112XXXX000001",
        "name": "虚构企业𠮷",
        "amount": "1.100000",
        "day": "2025-03-04",
        "gxsj": "2026-06-14T10:01:00.250000",
        "flag": 1,
        "bytes": {"base64": "AP8="},
        "gone": None,
    }


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_kill_costs_at_most_one_batch(
    house: House, table: Engine, kill_after: Callable[[int], None], kept: int
) -> None:
    harvest_id = new_harvest(house)
    kill_after(kept)
    with pytest.raises(Killed):
        run(house, reader(table), harvest_id)
    run(house, reader(table), harvest_id)
    assert [row["xh"] for row in rows(house, harvest_id)] == list(range(1, 26))


def test_a_table_that_changed_under_a_cut_off_fetch_is_read_anew(
    house: House, table: Engine, kill_after: Callable[[int], None]
) -> None:
    harvest_id = new_harvest(house)
    kill_after(2)
    with pytest.raises(Killed):
        run(house, reader(table), harvest_id)
    with table.begin() as session:
        session.execute(text("DELETE FROM nb WHERE xh = 3"))
    run(house, reader(table), harvest_id)
    assert [row["xh"] for row in rows(house, harvest_id)] == [n for n in range(1, 26) if n != 3]


def test_what_changed_since_the_watermark(house: House, table: Engine) -> None:
    how = {"heading": "gxsj", "overlap": "1h"}
    first = run(house, reader(table), watermark=how)
    assert cursor(house, first)["watermark"] == "2026-06-14 10:25:00.250000"
    with house.ledger.begin() as session:
        session.get_one(Harvest, first).state = "published"
    with table.begin() as session:
        session.execute(text("UPDATE nb SET gxsj = '2026-06-10 00:00:00' WHERE xh > 3"))
        session.execute(text("UPDATE nb SET gxsj = NULL WHERE xh = 9"))
        session.execute(text("UPDATE nb SET gxsj = '2026-06-15 08:00:00' WHERE xh = 25"))
    second = run(house, reader(table), as_of=AS_OF + timedelta(1), watermark=how)
    assert [row["xh"] for row in rows(house, second)] == [1, 2, 3, 9, 25]
    assert cursor(house, second)["watermark"] == "2026-06-15 08:00:00"


def test_a_zero_date_is_no_time_and_is_read_each_time(house: House, table: Engine) -> None:
    with table.begin() as session:
        session.execute(text("SET SESSION sql_mode = ''"))
        session.execute(text("CREATE TABLE zero (xh int PRIMARY KEY, code text, name text, gxsj datetime)"))
        for xh, at in ((1, "2026-06-10 00:00:00"), (2, "0000-00-00 00:00:00"), (3, "2026-06-14 08:00:00")):
            session.execute(text("INSERT INTO zero VALUES (:xh, 'x', 'y', :at)"), {"xh": xh, "at": at})
    read = {"connector": "database", "connection": "front_db", "table": "zero", "watermark": {"heading": "gxsj"}}
    one = contract(read, **INCREMENTAL)
    there = over(house, reader(table, login="root", password=""))
    first, second = new_harvest(house), new_harvest(house)
    connectors.fetch(there, one, AS_OF, first)
    with house.ledger.begin() as session:
        session.get_one(Harvest, first).state = "published"
    assert cursor(house, first)["watermark"] == "2026-06-14 08:00:00"
    connectors.fetch(there, one, AS_OF + timedelta(1), second)
    assert [row["xh"] for row in rows(house, second)] == [2, 3]


def test_who_may_not_is_refused_and_the_password_stays_ours(house: House, table: Engine) -> None:
    for change in ({"password": "wrong-one"}, {"login": "nobody"}, {"schema": "no_such"}):
        with pytest.raises(SourceRefusedError, match="'front_db' is refused") as caught:
            run(house, reader(table, **change))
        assert not {PASSWORD, "wrong-one"} & set(str(caught.value).split("'"))


def test_no_server_is_unreachable(house: House) -> None:
    with pytest.raises(SourceUnreachableError, match="does not answer"):
        run(house, Connection("front_db", "mysql", host="127.0.0.1", port=1, login="x"))


def test_feedback_is_one_row_a_harvest(house: House, table: Engine) -> None:
    with table.begin() as session:
        session.execute(
            text(
                "CREATE TABLE fk (harvest_id bigint, jssl int, rejected int, reason varchar(500), as_of date, "
                "written_at datetime, source varchar(64))"
            )
        )
    how = {"table": "fk", "connection": "front_rw", "columns": {"received": "jssl"}}
    read = {"connector": "database", "connection": "front_db", "table": "nb", "feedback": how}
    root = reader(table, login="root", password="")
    both = replace(house, connections=lambda name: root if name == "front_rw" else reader(table))
    harvest_id = new_harvest(house)
    with house.ledger.begin() as session:
        row = session.get_one(Harvest, harvest_id)
        row.state, row.harvested, row.rejected = "published", 25, 2
        row.detail = {"rejected": {"field.required": 2}}
    for _ in range(2):
        feedback.tell(both, contract(read), harvest_id)
    with table.begin() as session:
        (found,) = session.execute(text("SELECT * FROM fk")).mappings().all()
    assert (found["harvest_id"], found["jssl"], found["rejected"]) == (harvest_id, 25, 2)
    assert (found["reason"], found["as_of"], found["source"]) == ("必填字段为空 2条", AS_OF, "subject_registry")
    assert told(house, harvest_id) == "written"
    # The login that reads may not write, and a table may be gone: noted, and no error.
    reading = replace(both, connections=lambda name: replace(reader(table), conn_id=name))
    feedback.tell(reading, contract(read), harvest_id)
    assert told(house, harvest_id) == "refused"
    with table.begin() as session:
        session.execute(text("DROP TABLE fk"))
    feedback.tell(both, contract(read), harvest_id)
    assert told(house, harvest_id) == "drift"


def told(house: House, harvest_id: int) -> str:
    with house.ledger.begin() as session:
        return str(session.get_one(Harvest, harvest_id).detail["feedback"])


def test_the_sandbox_reads_alike_from_mariadb_and_sqlite(house: House, server: Engine, tmp_path: Path) -> None:
    world = World(1, 200, AS_OF)
    tables: dict[str, pa.Table] = {
        "v_nb_jbxx": world.source("annual_reports"),
        "dw_scjdgl_jyycml": world.source("abnormal_list"),
    }
    states = []
    for url in (server.url.render_as_string(hide_password=False), f"sqlite:///{tmp_path / 'front.db'}"):
        frontdb.fill(url, tables)
        spoken = connections.from_json("front_db", json.dumps(connection_to(url)))
        one = replace(over(house, spoken), var=tmp_path / url[:5])
        found = []
        for source, name in (("annual_reports", "annual_report"), ("abnormal_list", "list_entry")):
            assert harvest.run(one, source, AS_OF)["published"] > 40
            view = engine.as_of(one.engine(), one.lake, name, AS_OF)
            found.append(sorted(view.select("natural_key", "row_hash").to_pyarrow().to_pylist(), key=str))
        states.append(found)
    assert states[0] == states[1]
