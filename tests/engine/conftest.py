"""Spark for tests: one machine of Java a process, which starts quickly and stays small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chengxin import engine
from chengxin.settings import House
from tests.conftest import NOW, ROOT

QUICK = {
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "4",
    # The better compiler needs longer than these tests run.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="session", autouse=True)
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Spark's own configuration file, as an operator would write it."""
    folder = tmp_path_factory.mktemp("conf")
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in QUICK.items()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_CONF_DIR", str(folder))
        yield


@pytest.fixture(scope="session")
def spark(quick: None, tmp_path_factory: pytest.TempPathFactory) -> engine.Connection:
    """A connection that needs no lake."""
    house = House(
        root=ROOT, var=tmp_path_factory.mktemp("spark"), district="370112", clock=lambda: NOW, checks_on="spark",
        threads=2,
    )  # fmt: skip
    return house.check_engine()
