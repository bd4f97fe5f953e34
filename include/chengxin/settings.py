"""Where things lie: one immutable `House`, read from the environment at the edges and handed down.

| variable | meaning | default |
|---|---|---|
| `CHENGXIN_ROOT` | the project: `include/`, `great_expectations/` | the checkout this package lies in |
| `CHENGXIN_VAR` | everything that runs write: lake, raw archive, ledger, data docs, logs | `<root>/var` |
| `CHENGXIN_DISTRICT` | district file, or several, separated by commas | the only one, else it must be set |
| `CHENGXIN_MODE` | `production`, `sandbox` or `rehearsal`: see `chengxin.warn` | `rehearsal` |
| `CHENGXIN_LEDGER_URL` | SQLAlchemy URL | SQLite in `<var>/ledger.db` |
| `CHENGXIN_DESK_URL` | SQLAlchemy URL of the pages' copy of the lake | SQLite in `<var>/desk.db` |
| `CHENGXIN_CATALOG_URL` | SQLAlchemy URL of the Iceberg catalogue | SQLite in `<var>/lake/catalog.db` |
| `CHENGXIN_ENGINE` | what checks run on: `duckdb` or `spark` (`docs/spark.md`) | `duckdb` |
| `CHENGXIN_SPARK_MASTER` | Spark's master, e.g. `spark://host:7077` | this machine |
| `CHENGXIN_MEMORY_LIMIT` | the engine's memory, e.g. `1GB` | the engine's own |
| `CHENGXIN_THREADS` | the engine's threads | all cores |
| `CHENGXIN_ANSWERS_URL` | where desks answer mails: `https://host/answers` | the district's `mail.answers_url` |

In each of them `{district}` stands for the district's code, and `<variable>_<code>` says otherwise for one district
(`CHENGXIN_MODE_370103=rehearsal`). Of several districts each has a house of its own, which shares nothing with
another's (四（三）): the folder is `<CHENGXIN_VAR>/<code>`, and a database or address that two would share is refused.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from chengxin.clock import Clock, system_clock
from chengxin.connections import Connections, from_environment, renamed
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
Word = TypeVar("Word", bound=str)


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
    among_others: bool = False
    """Whether the installation carries other districts beside this one: DAGs and pages then bear its code."""

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        district: str = "",
        connections: Connections = from_environment,
        clock: Clock = system_clock,
    ) -> House:
        """The house that the environment describes.

        Args:
            environ: the environment.
            district: whose house, where the environment names several districts; empty: the only one's.
            connections: as the place knows them; the district file's `connections` may send to others.
            clock: the house's.

        Raises:
            ConfigError: an unknown mode or engine; several districts and none chosen, or one that is not among them; a
                folder, database or address that two districts would share.
        """
        root = Path(environ.get("CHENGXIN_ROOT") or Path(__file__).resolve().parents[2])
        codes = configured(environ)
        told = {code: _Told(environ, code, len(codes) > 1, root) for code in codes}
        mine = told[_chosen(codes, district)]
        _refuse_shared(list(told.values()))
        _refuse_other_layout(mine)
        threads = mine.get("CHENGXIN_THREADS")
        include = include_folder(environ)
        file = include / "districts" / f"{mine.code}.yml"
        return cls(
            root=root,
            var=mine.var,
            district=mine.code,
            mode=mine.one_of("CHENGXIN_MODE", MODES, "rehearsal"),
            connections=renamed(connections, lambda: _own(mine) | dict(_connections_of(file))),
            clock=clock,
            ledger_url=mine.get("CHENGXIN_LEDGER_URL"),
            desk_url=mine.get("CHENGXIN_DESK_URL"),
            catalog_url=mine.get("CHENGXIN_CATALOG_URL"),
            memory_limit=mine.get("CHENGXIN_MEMORY_LIMIT") or None,
            threads=int(threads) if threads else None,
            checks_on=mine.one_of("CHENGXIN_ENGINE", ENGINES, "duckdb"),
            spark_master=mine.get("CHENGXIN_SPARK_MASTER"),
            answers_url=mine.get("CHENGXIN_ANSWERS_URL"),
            include=include,
            among_others=len(codes) > 1,
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

    def dag_id(self, kind: str, source: str = "") -> str:
        """The id of a DAG of this district, as Airflow has it: for whoever is told to look at it."""
        return dag_id(kind, self.district if self.among_others else "", source)

    @property
    def command(self) -> str:
        """The command line for this district: for whoever is told to type one."""
        return f"chengxin --district {self.district}" if self.among_others else "chengxin"

    def at(self, clock: Clock) -> House:
        """The same house under another clock."""
        return replace(self, clock=clock)


def dag_id(kind: str, district: str = "", source: str = "") -> str:
    """The id of a DAG.

    Args:
        kind: what it does: `check_matters`, `harvest`.
        district: for whom, by code; empty: for the installation's only one.
        source: what it harvests; empty: nothing.
    """
    return "__".join(filter(None, (kind, district, source)))


def include_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of contracts, policies, districts and mail templates that the environment names."""
    root = Path(environ.get("CHENGXIN_ROOT") or Path(__file__).resolve().parents[2])
    return Path(environ.get("CHENGXIN_INCLUDE") or root / "include")


def configured(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The codes of the districts that the environment names, in its order; the only one there is where it names none.

    Raises:
        ConfigError: none is named and there is not just one; one of several is no code, or stands twice.
    """
    codes = tuple(code.strip() for code in (environ.get("CHENGXIN_DISTRICT") or "").split(",") if code.strip())
    if not codes:
        return (_only_district(include_folder(environ)),)
    bad = [code for code in codes if not re.fullmatch(r"\d{6}", code)] or [c for c in codes if codes.count(c) > 1]
    if len(codes) > 1 and bad:
        raise ConfigError(
            f"{bad[0]!r} is no district's code, or stands twice",
            where="environment variable CHENGXIN_DISTRICT",
            remedy="six digits each, separated by commas, each once: 370112,370103",
        )
    return codes


class _Told:
    """What the environment says for one district."""

    def __init__(self, environ: Mapping[str, str], code: str, among_others: bool, root: Path) -> None:
        self._environ, self.code, self.among_others = environ, code, among_others
        named = self.get("CHENGXIN_VAR")
        folder = Path(named or root / "var")
        if among_others and not self._is_own("CHENGXIN_VAR"):
            folder /= code
        self.var = folder.resolve()

    def get(self, name: str) -> str:
        """A variable's value for this district; empty where it has none."""
        value = self._environ.get(f"{name}_{self.code}") or self._environ.get(name) or ""
        return value.replace("{district}", self.code)

    def one_of(self, name: str, known: tuple[Word, ...], default: Word) -> Word:
        """A variable's value, which is one of a few words.

        Raises:
            ConfigError: it is another.
        """
        said = self.get(name) or default
        for word in known:
            if said == word:
                return word
        raise ConfigError(
            f"unknown {name.removeprefix('CHENGXIN_').lower()} {said!r}",
            where=f"environment variable {name}",
            remedy=f"one of {', '.join(known)}",
        )

    def _is_own(self, name: str) -> bool:
        return bool(self._environ.get(f"{name}_{self.code}")) or "{district}" in self._environ.get(name, "")


def _chosen(codes: tuple[str, ...], district: str) -> str:
    if district in codes or (not district and len(codes) == 1):
        return district or codes[0]
    raise ConfigError(
        f"no district {district!r} here" if district else "which district?",
        where="environment variable CHENGXIN_DISTRICT",
        why=f"this installation carries {', '.join(codes)}",
        remedy="name one of them: chengxin --district CODE …" if len(codes) > 1 else "add it to CHENGXIN_DISTRICT",
    )


def _refuse_shared(told: list[_Told]) -> None:
    """What one district harvests, concludes and sends lies where no other's stages ever look.

    Raises:
        ConfigError: two districts would share a folder, a database or the address of the answering page.
    """
    for one, other in itertools.combinations(told, 2):
        if one.var.is_relative_to(other.var) or other.var.is_relative_to(one.var):
            raise ConfigError(
                f"districts {one.code} and {other.code} would lie in one folder",
                where="environment variable CHENGXIN_VAR",
                why=f"{one.var} and {other.var}",
                remedy="give each a folder outside of the other's",
            )
        for name in ("CHENGXIN_LEDGER_URL", "CHENGXIN_DESK_URL", "CHENGXIN_CATALOG_URL", "CHENGXIN_ANSWERS_URL"):
            if one.get(name) and one.get(name) == other.get(name):
                # The value may hold a password.
                raise ConfigError(
                    f"districts {one.code} and {other.code} would share what {name} names",
                    where=f"environment variable {name}",
                    remedy=f"write {{district}} where the code belongs, or set {name}_{other.code}",
                )


def _refuse_other_layout(mine: _Told) -> None:
    """A house that begins anew beside the one that there is would warn everybody again.

    Raises:
        ConfigError: the folder was made for one district and several are named, or the other way round.
    """
    if mine.among_others and mine.var.name == mine.code and (mine.var.parent / "lake").is_dir():
        raise ConfigError(
            "this folder is the house of a single district",
            where=str(mine.var.parent),
            why="CHENGXIN_DISTRICT names several, whose houses would begin anew inside of it",
            remedy="set CHENGXIN_VAR to a new folder, and CHENGXIN_VAR_<code> to this one for the district it is of",
        )
    if not mine.among_others and (mine.var / mine.code / "lake").is_dir():
        raise ConfigError(
            "this folder holds the houses of several districts",
            where=str(mine.var),
            why=f"CHENGXIN_DISTRICT names {mine.code} alone",
            remedy=f"name all of them, and choose one by: chengxin --district {mine.code} …",
        )


def _own(mine: _Told) -> dict[str, str]:
    """Connections that districts never share: who reads the box of returned mails marks them all as read."""
    return {"chengxin_bounces": f"chengxin_bounces_{mine.code}"} if mine.among_others else {}


def _connections_of(file: Path) -> Mapping[str, str]:
    from chengxin import districts

    return districts.load(file).connections


def _only_district(include: Path) -> str:
    files = sorted((include / "districts").glob("*.yml"))
    if len(files) == 1:
        return files[0].stem
    raise ConfigError(
        "which district?" if files else "no district file",
        where=str(include / "districts"),
        why=f"found: {', '.join(file.stem for file in files) or 'none'}",
        remedy="set CHENGXIN_DISTRICT to the code of one of them, or to several, separated by commas",
    )
