"""Where a district is at home in Airflow: what its DAGs, assets, pools and tags are called, and its house.

An installation of one district names none: `check_matters`, `harvest__matters`, `lake://advice`. Where it carries
several, the code is part of every name, and nothing of one district's is another's:

| | one district | one of several |
|---|---|---|
| DAG | `check_matters`, `harvest__matters` | `check_matters__370112`, `harvest__370112__matters` |
| asset | `lake://advice` | `lake://370112/advice` |
| pool | `default_pool` | `district__370112` |
| pool that a contract names | `portal` | `portal__370112` |
| tag | | `district:370112` |
| pages | `/credit` | `/credit/370112` |

A source's name begins with a letter and a code is six digits, so a DAG's id can be taken apart again (`named`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from airflow.sdk import Asset

from chengxin import settings
from chengxin.errors import ConfigError
from chengxin.settings import House
from chengxin.tables import FACTS

DEFAULT_POOL = "default_pool"
"""Airflow's own."""
_ID = re.compile(r"(?P<kind>.+?)(?:__(?P<district>\d{6}))?(?:__(?P<source>[a-z].*))?")


@dataclass(frozen=True)
class Home:
    """A district's home.

    Args:
        district: its code; empty: the installation's only one, whichever that is.
    """

    district: str = ""

    def dag_id(self, kind: str, source: str = "") -> str:
        """The id of a DAG: what it does, for whom, and from which source."""
        return settings.dag_id(kind, self.district, source)

    @property
    def tags(self) -> list[str]:
        """The tags that tell this district's DAGs from the others'."""
        return [f"district:{self.district}"] if self.district else []

    def asset(self, table: str) -> Asset:
        """The asset of a table of its lake."""
        return Asset("lake://" + "/".join(filter(None, (self.district, table))))

    def facts(self) -> list[Asset]:
        """The assets of its fact tables."""
        return [self.asset(table.name) for table in FACTS]

    def pool(self, named: str = DEFAULT_POOL) -> str:
        """The pool that its tasks take their slots from.

        Args:
            named: the one that a contract asks for. Each district has its own: a portal that hangs for one of them must
                not take the slots of another's.
        """
        if not self.district:
            return named
        return f"{'district' if named == DEFAULT_POOL else named}__{self.district}"

    def path(self, base: str) -> str:
        """Where pages of its own are mounted that lie at `base` where there is one district."""
        return "/".join(filter(None, (base, self.district)))

    def house(self) -> House:
        """Its house, with Airflow's connections; in a task the log is told of it.

        Raises:
            ConfigError: the environment describes none.
        """
        from chengxin.dagtools.house import house

        return house(self.district)


def homes(environ: Mapping[str, str] | None = None) -> tuple[Home, ...]:
    """The homes of the districts that the environment names.

    Where it cannot be read there is still one: its DAGs are there, and say why when they run.
    """
    try:
        codes = settings.configured() if environ is None else settings.configured(environ)
    except ConfigError:
        return (Home(),)
    return tuple(Home(code) for code in codes) if len(codes) > 1 else (Home(),)


@dataclass(frozen=True)
class Named:
    """What a DAG's id says.

    Attributes:
        kind: what it does: `check_matters`, `harvest`.
        home: whose it is.
        source: the source that it harvests; empty: none.
    """

    kind: str
    home: Home
    source: str


def named(dag_id: str) -> Named:
    """What the id of one of our DAGs says."""
    parts = _ID.fullmatch(dag_id)
    if parts is None:
        return Named(dag_id, Home(), "")
    return Named(parts["kind"], Home(parts["district"] or ""), parts["source"] or "")
