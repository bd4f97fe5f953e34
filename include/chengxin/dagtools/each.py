"""One function, one DAG for each district: the factory of all DAGs but the harvests."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from airflow.sdk import DAG

from chengxin.collector import keeping_all
from chengxin.dagtools.common import HOUSE
from chengxin.dagtools.homes import Home, homes


def for_home(home: Home, **arguments: Any) -> dict[str, Any]:
    """The arguments of a DAG of one district: those of the house, with the district's tags and pool.

    Args:
        home: whose DAG.
        arguments: more, or other ones; `tags` are added to, `default_args` take the place of single ones.
    """
    defaults = {**HOUSE["default_args"], **arguments.pop("default_args", {})}
    if home.district:
        defaults["pool"] = home.pool()
    tags = [*arguments.pop("tags", ()), *home.tags]
    return {**HOUSE, **arguments, "tags": tags, "default_args": defaults}


def each_district(
    *,
    description: str,
    schedule: Any,
    tags: Collection[str],
    doc_md: str | None,
    **arguments: Any,
) -> Callable[[Callable[[Home], object]], dict[str, DAG]]:
    """Makes one DAG for each district of the installation, called as the function is: `Home.dag_id`.

    The function wires the tasks of one district. Whatever a task does, it does in `home.house()`: the house is told by
    the DAG that the task belongs to and by nothing else.

    Args:
        description: one line.
        schedule: a timetable; or a function that gives one of a home, where assets start it.
        tags: from the closed list.
        doc_md: the DAG's page.
        arguments: more of Airflow's DAG arguments.
    """

    def make(wire: Callable[[Home], object]) -> dict[str, DAG]:
        made: dict[str, DAG] = {}
        with keeping_all():
            for home in homes():
                with DAG(
                    home.dag_id(wire.__name__),
                    description=description,
                    schedule=schedule(home) if callable(schedule) else schedule,
                    doc_md=doc_md,
                    **for_home(home, tags=tags, **arguments),
                ) as dag:
                    wire(home)
                made[dag.dag_id] = dag
        return made

    return make
