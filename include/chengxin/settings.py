"""Where things lie: one immutable `House`, read from the environment at the edges and handed down.

| variable | meaning | default |
|---|---|---|
| `CHENGXIN_ROOT` | the project: `include/`, `great_expectations/` | the checkout this package lies in |
| `CHENGXIN_VAR` | everything that runs write: lake, raw archive, ledger, data docs, logs | `<root>/var` |
| `CHENGXIN_DISTRICT` | district file | the only one, else it must be set |
| `CHENGXIN_MODE` | `production`, `sandbox` or `rehearsal`: see `chengxin.warn` | `rehearsal` |
| `CHENGXIN_LEDGER_URL` | SQLAlchemy URL | SQLite in `<var>/ledger.db` |
| `CHENGXIN_DESK_URL` | SQLAlchemy URL of the pages' copy of the lake | SQLite in `<var>/desk.db` |
| `CHENGXIN_CATALOG_URL` | SQLAlchemy URL of the Iceberg catalogue | SQLite in `<var>/lake/catalog.db` |
| `CHENGXIN_ENGINE` | what checks run on: `duckdb` or `spark` (`docs/spark.md`) | `duckdb` |
| `CHENGXIN_SPARK_MASTER` | Spark's master, e.g. `spark://host:7077` | this machine |
| `CHENGXIN_MEMORY_LIMIT` | the engine's memory, e.g. `1GB` | the engine's own |
| `CHENGXIN_THREADS` | the engine's threads | all cores |
| `CHENGXIN_ANSWERS_URL` | where desks answer mails: `https://host/answers` | the district's `mail.answers_url` |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chengxin.clock import Clock, system_clock
from chengxin.connections import Connections, from_environment
from chengxin.errors import ConfigError

if TYPE_CHECKING:
    from chengxin.desk import Desk
    from chengxin.engine import Connection, DuckDB
    from chengxin.lake import Lake
    from chengxin.ledger import Ledger

Mode = Literal["production", "sandbox", "rehearsal"]
MODES: tuple[Mode, ...] = ("production", "sandbox", "rehearsal")
EngineName = Literal["duckdb", "spark"]
ENGINES: tuple[EngineName, ...] = ("duckdb", "spark")


@dataclass(frozen=True)
class House:
    """Everything a stage needs from outside: places, district, mode, connections, clock."""

    root: Path
    var: Path
    district: str
    mode: Mode = "rehearsal"
    connections: Connections = from_environment
    clock: Clock = system_clock
    ledger_url: str = ""
    desk_url: str = ""
    catalog_url: str = ""
    memory_limit: str | None = None
    threads: int | None = None
    checks_on: EngineName = "duckdb"
    spark_master: str = ""
    answers_url: str = ""
    include: Path | None = field(default=None)
    """Folder with `sources/`, `policy/`, `districts/`, `mail/`; None: `<root>/include`."""

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        connections: Connections = from_environment,
        clock: Clock = system_clock,
    ) -> House:
        """The house that the environment describes.

        Raises:
            ConfigError: an unknown mode or engine, or several districts and none chosen.
        """
        root = Path(environ.get("CHENGXIN_ROOT") or Path(__file__).resolve().parents[2])
        include = Path(environ.get("CHENGXIN_INCLUDE") or root / "include")
        mode = environ.get("CHENGXIN_MODE") or "rehearsal"
        if mode not in MODES:
            raise ConfigError(
                f"unknown mode {mode!r}",
                where="environment variable CHENGXIN_MODE",
                remedy=f"one of {', '.join(MODES)}",
            )
        checks_on = environ.get("CHENGXIN_ENGINE") or "duckdb"
        if checks_on not in ENGINES:
            raise ConfigError(
                f"unknown engine {checks_on!r}",
                where="environment variable CHENGXIN_ENGINE",
                remedy=f"one of {', '.join(ENGINES)}",
            )
        threads = environ.get("CHENGXIN_THREADS")
        return cls(
            root=root,
            var=Path(environ.get("CHENGXIN_VAR") or root / "var").resolve(),
            district=environ.get("CHENGXIN_DISTRICT") or _only_district(include),
            mode=mode,
            connections=connections,
            clock=clock,
            ledger_url=environ.get("CHENGXIN_LEDGER_URL", ""),
            desk_url=environ.get("CHENGXIN_DESK_URL", ""),
            catalog_url=environ.get("CHENGXIN_CATALOG_URL", ""),
            memory_limit=environ.get("CHENGXIN_MEMORY_LIMIT") or None,
            threads=int(threads) if threads else None,
            checks_on=checks_on,
            spark_master=environ.get("CHENGXIN_SPARK_MASTER", ""),
            answers_url=environ.get("CHENGXIN_ANSWERS_URL", ""),
            include=include,
        )

    @property
    def include_dir(self) -> Path:
        """The folder of contracts, policies, districts and mail templates."""
        return self.include or self.root / "include"

    @property
    def raw_dir(self) -> Path:
        """The raw archive."""
        return self.var / "raw"

    @property
    def staging_dir(self) -> Path:
        """Half-finished work of harvests: safe to delete while none runs."""
        return self.var / "staging"

    @cached_property
    def lake(self) -> Lake:
        """The lake of this house."""
        from chengxin.lake import Lake

        folder = self.var / "lake"
        folder.mkdir(parents=True, exist_ok=True)
        # SQLite waits for another writer instead of failing after five seconds.
        url = self.catalog_url or f"sqlite:///{folder / 'catalog.db'}?timeout=60"
        return Lake(folder / "warehouse", url)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of this house."""
        from chengxin.ledger import Ledger

        return Ledger(self.ledger_url or f"sqlite:///{self.var / 'ledger.db'}")

    @cached_property
    def desk(self) -> Desk:
        """The pages' copy of the lake."""
        from chengxin.desk import Desk

        return Desk(self.desk_url or f"sqlite:///{self.var / 'desk.db'}")

    def engine(self) -> DuckDB:
        """A new DuckDB within this house's limits: for everything but checks."""
        from chengxin.engine import connect

        return connect(threads=self.threads, memory_limit=self.memory_limit, spill=self._spill())

    def check_engine(self) -> Connection:
        """A new engine of the kind that checks run on, within this house's limits.

        Raises:
            ConfigError: Spark is wanted and not installed, or does not start.
        """
        if self.checks_on == "duckdb":
            return self.engine()
        try:
            from chengxin.engine import spark
        except ModuleNotFoundError as reason:
            raise ConfigError(
                "Spark is not installed",
                where="environment variable CHENGXIN_ENGINE",
                why=str(reason),
                remedy="install the extra: pip install 'chengxin[spark]'",
            ) from reason
        return spark.connect(
            master=self.spark_master, threads=self.threads, memory_limit=self.memory_limit, spill=self._spill()
        )

    def _spill(self) -> Path:
        """For what does not fit into memory."""
        spill = self.var / "spill"
        spill.mkdir(parents=True, exist_ok=True)
        return spill

    def at(self, clock: Clock) -> House:
        """The same house under another clock."""
        return replace(self, clock=clock)


def _only_district(include: Path) -> str:
    files = sorted((include / "districts").glob("*.yml"))
    if len(files) == 1:
        return files[0].stem
    raise ConfigError(
        "which district?" if files else "no district file",
        where=str(include / "districts"),
        why=f"found: {', '.join(file.stem for file in files) or 'none'}",
        remedy="set CHENGXIN_DISTRICT to the code of one of them",
    )
