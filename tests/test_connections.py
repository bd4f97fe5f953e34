"""Connections from the environment, in both of Airflow's notations."""

from __future__ import annotations

import json

import pytest

from chengxin.connections import from_environment
from chengxin.errors import ConfigError, ConnectionNotFoundError


def test_json_notation() -> None:
    text = json.dumps(
        {"conn_type": "http", "host": "h", "port": "8080", "login": "id", "password": "p", "extra": {"a": 1}}
    )
    connection = from_environment("portal", {"AIRFLOW_CONN_PORTAL": text})
    assert (connection.conn_type, connection.host, connection.port) == ("http", "h", 8080)
    assert connection.extra == {"a": 1}


def test_extra_may_be_a_string_of_json() -> None:
    text = json.dumps({"conn_type": "fs", "extra": json.dumps({"path": "/srv/文件"})})
    assert from_environment("drop", {"AIRFLOW_CONN_DROP": text}).extra == {"path": "/srv/文件"}


def test_uri_notation_is_percent_decoded() -> None:
    connection = from_environment(
        "front_db", {"AIRFLOW_CONN_FRONT_DB": "postgres://us%40er:p%2Fw@db:5432/front%20db?sslmode=require"}
    )
    assert connection.login == "us@er"
    assert connection.password == "p/w"
    assert connection.schema == "front db"
    assert connection.extra == {"sslmode": "require"}


def test_uri_with_json_extra() -> None:
    connection = from_environment("x", {"AIRFLOW_CONN_X": "http://h/?__extra__=%7B%22a%22%3A+%5B1%5D%7D"})
    assert connection.extra == {"a": [1]}


def test_missing_connection_names_the_variable() -> None:
    with pytest.raises(ConnectionNotFoundError, match="AIRFLOW_CONN_NOWHERE"):
        from_environment("nowhere", {})


@pytest.mark.parametrize("text", ["{not json, hunter2", "hunter2", "http://h:port-hunter2"])
def test_an_unreadable_connection_never_echoes_its_text(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_environment("x", {"AIRFLOW_CONN_X": text})
    assert "hunter2" not in str(caught.value)


def test_the_representation_holds_no_secret() -> None:
    text = json.dumps({"conn_type": "http", "password": "hunter2", "extra": {"token": "swordfish"}})
    shown = repr(from_environment("x", {"AIRFLOW_CONN_X": text}))
    assert "hunter2" not in shown
    assert "swordfish" not in shown
