"""Apache Spark: the same expressions over the same files, on one machine or on many.

Comes with the extra `spark` and needs Java 17 or newer. What the check computes once and reads many times is kept as
Parquet in a folder that every executor must reach, as it must reach the lake. `docs/spark.md` says how to run it.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TextIO

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.pyspark import Backend
from ibis.backends.pyspark.datatypes import PySparkSchema
from ibis.expr import operations, types
from ibis.util import gen_name
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import monotonically_increasing_id

from chengxin.errors import ConfigError
from chengxin.lake import whole

_ALWAYS = {
    "spark.app.name": "chengxin",
    "spark.sql.session.timeZone": "Asia/Shanghai",
    # Spark's own default is INT96, which Iceberg does not know.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "zstd",
    # A list of nulls and texts is written with three levels, as Iceberg wants it.
    "spark.sql.parquet.writeLegacyFormat": "false",
    # Anything below may quote a row.
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
}
_ALONE = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""For masters that start their executors on this machine: nothing listens to the outside."""

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


class SparkBackend(Backend):
    """ibis on Spark, with Arrow on both ways in and out: pandas would turn a null number into a fraction."""

    scratch: Path

    def _register_in_memory_table(self, op: operations.InMemoryTable) -> None:
        rows = op.data.to_pyarrow(op.schema)
        self._session.createDataFrame(rows, schema=PySparkSchema.from_ibis(op.schema)).createOrReplaceTempView(op.name)

    def frame(self, rows: types.Expr) -> DataFrame:
        """The expression as Spark's own lazy table, in the types that ibis gives it."""
        self._run_pre_execute_hooks(rows)
        made = self._session.sql(self.compile(rows))
        # An empty list comes as a list of nothing, a length as a shorter number.
        wanted = PySparkSchema.from_ibis(rows.as_table().schema())
        return made.select([made[field.name].cast(field.dataType) for field in wanted])

    def to_pyarrow(self, expr: types.Expr, /, **_: Any) -> Any:
        """Runs an expression and brings its rows to this process."""
        table = expr.as_table()
        schema = table.schema().to_pyarrow()
        return expr.__pyarrow_result__(self.frame(table).toArrow().select(schema.names).cast(schema))


def connect(
    *, master: str = "", threads: int | None = None, memory_limit: str | None = None, spill: Path
) -> SparkBackend:
    """A session on Spark. The first one of a process starts it, and its master and memory hold for all later ones.

    Args:
        master: as Spark names them (`spark://host:7077`, `yarn`, `local[4]`, …); empty: this process's own machine.
        threads: with a `master` of none, the cores that Spark uses; None: all.
        memory_limit: with a master on this machine, its heap, e.g. `4GB`, beside which it takes about a quarter more;
            None: Spark's own. Executors of a cluster are sized by Spark's own configuration (`spark-defaults.conf`).
        spill: folder for intermediate results, which every executor must reach under the same path.

    Raises:
        ConfigError: no Java, or a master that cannot be reached.
    """
    master = master or f"local[{threads or '*'}]"
    settings = {**_ALWAYS, "spark.master": master}
    scratch = _scratch(spill)
    if master.startswith("local"):
        settings |= {**_ALONE, "spark.local.dir": str(scratch)}
        if memory_limit:
            # Beside the heap the JVM packs and shuffles in memory of its own, by default as much again: a province
            # took 8.9 GiB with a heap of 4, and 5.1 GiB so.
            settings["spark.driver.memory"] = f"{heap(memory_limit)}m"
            settings["spark.driver.extraJavaOptions"] = f"-XX:MaxDirectMemorySize={heap(memory_limit) // 4}m"
            os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    session = _session(settings, master)
    connection = SparkBackend()
    connection.register_options()
    # ibis sets UTC on every session unless told otherwise.
    connection.do_connect(session, **{name: value for name, value in _ALWAYS.items() if name.startswith("spark.sql")})
    connection.scratch = Path(tempfile.mkdtemp(prefix="kept-", dir=scratch))
    weakref.finalize(connection, shutil.rmtree, connection.scratch, ignore_errors=True)
    return connection


def joins_as_written(connection: SparkBackend) -> AbstractContextManager[None]:
    """Nothing to do: Spark looks at the sizes of files, and again while it runs."""
    return nullcontext()


def read(connection: SparkBackend, files: Sequence[str], schema: pa.Schema) -> ibis.Table:
    """Parquet files as one table of that schema. What a file lacks is null there."""
    wanted = PySparkSchema.from_ibis(ibis.Schema.from_pyarrow(schema))
    return _table(connection, "files", connection._session.read.schema(wanted).parquet(*files))


def keep(connection: SparkBackend, name: str, rows: ibis.Table) -> ibis.Table:
    """See `chengxin.engine.keep`."""
    return _kept(connection, name, connection.frame(rows))


def _kept(connection: SparkBackend, name: str, frame: DataFrame) -> ibis.Table:
    # Written out and not cached: a plan that starts from files stays small, and no memory is held by it.
    folder = connection.scratch / gen_name(name)
    # Read once or twice and then gone: looking for repeated values took a quarter of the processor time.
    frame.write.options(**{"compression": "lz4_raw", "parquet.enable.dictionary": "false"}).parquet(str(folder))
    return _table(connection, name, connection._session.read.schema(frame.schema).parquet(str(folder)))


def numbered(connection: SparkBackend, name: str, rows: ibis.Table, column: str) -> ibis.Table:
    """See `chengxin.engine.numbered`."""
    frame = connection.frame(rows).withColumn(column, monotonically_increasing_id())
    return _kept(connection, name, frame)


def write(connection: SparkBackend, rows: ibis.Table, files: Iterator[Path]) -> list[Path]:
    """Writes rows, each task a file, and moves what was written to the next of `files`."""
    folder = connection.scratch / gen_name("written")
    connection.frame(rows).write.parquet(str(folder))
    parts = sorted(folder.glob("*.parquet"))
    filled = [part for part in parts if pq.read_metadata(part).num_rows]
    written = [(part, next(files)) for part in filled or parts[:1]]
    for part, file in written:
        # Across file systems a move is a copy.
        with whole(file) as half:
            shutil.move(part, half)
    shutil.rmtree(folder)
    return [file for _, file in written]


def _table(connection: SparkBackend, name: str, frame: DataFrame) -> ibis.Table:
    view = gen_name(name)
    frame.createOrReplaceTempView(view)
    return connection.table(view)


def _session(settings: Mapping[str, str], master: str) -> SparkSession:
    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        # A session of its own: views of one connection are not seen by another.
        return builder.getOrCreate().newSession()
    except (PySparkRuntimeError, OSError) as reason:
        raise ConfigError(
            "Spark does not start",
            where=f"master {master}",
            why=str(reason),
            remedy="Java 17 or newer must be on the path or in JAVA_HOME",
        ) from reason


@functools.cache
def _scratch(spill: Path) -> Path:
    """A folder of this process's own. It goes with the process; what a killed one left goes now."""
    for left in spill.glob("spark-*.lock"):
        with left.open("w") as lock:
            if _locked(lock):
                shutil.rmtree(left.with_suffix(""), ignore_errors=True)
                left.unlink(missing_ok=True)
    # Locked before it bears the name that others look for.
    handle, name = tempfile.mkstemp(prefix="spark-", suffix=".new", dir=spill)
    lock = os.fdopen(handle, "w")
    _locked(lock)
    mark = Path(name).rename(Path(name).with_suffix(".lock"))
    folder = mark.with_suffix("")
    folder.mkdir()
    atexit.register(_forget, folder, mark, lock)
    return folder


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _forget(folder: Path, mark: Path, lock: TextIO) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    mark.unlink(missing_ok=True)
    lock.close()


def heap(size: str) -> int:
    """A size as DuckDB takes it (`4GB`, `512MiB`), in MiB.

    Raises:
        ConfigError: no such size.
    """
    found = re.fullmatch(r"\s*([\d.]+)\s*([KMGT]I?B)\s*", size.upper())
    if found is None:
        raise ConfigError(
            f"{size!r} is no size", where="environment variable CHENGXIN_MEMORY_LIMIT", remedy="for example 4GB"
        )
    return int(float(found[1]) * _UNITS[found[2]] / 2**20)
