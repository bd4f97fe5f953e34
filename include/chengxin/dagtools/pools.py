"""The pools that DAGs of ours name, made when the scheduler starts: a task of a pool that is not there waits for ever.

Each of several districts has one of its own, so that none can take every slot of the executor: a portal that hangs
until its time-out, or a check ten times as large, holds as many as its district's pool has, and all others go on. Only
what is missing is made; sizes are the operators' from then on (Airflow: Admin → Pools). How to choose them:
`docs/operating.md`.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

FEWEST = 2
"""Slots of a district's pool at least: a hanging harvest must not hold up its own district's others."""


@dataclass(frozen=True)
class Size:
    """A pool to be made."""

    slots: int
    description: str


@hookimpl
def on_starting(component: Any) -> None:
    """Called by Airflow when a component starts; the scheduler's start counts.

    Args:
        component: a job whose kind Airflow has not set yet at this point (3.3.2), so the command line must tell.
    """
    from airflow.configuration import conf
    from airflow.jobs.job import Job
    from airflow.utils.session import create_session

    if not (isinstance(component, Job) and "scheduler" in sys.argv):
        return
    try:
        with create_session(scoped=False) as session:
            make(session, wanted(conf.getint("core", "parallelism")))
    except Exception:
        # Airflow itself warns on the page of a DAG whose pool is not there.
        log.exception("the pools could not be made")


def make(session: Any, pools: Mapping[str, Size]) -> None:
    """Makes the pools that are not there yet.

    Args:
        session: of Airflow's database.
        pools: by name.
    """
    from airflow.models.pool import Pool
    from sqlalchemy import select
    from sqlalchemy.exc import IntegrityError

    there = set(session.scalars(select(Pool.pool)))
    for name, size in pools.items():
        if name in there:
            continue
        try:
            with session.begin_nested():
                session.add(Pool(pool=name, slots=size.slots, description=size.description, include_deferred=False))
        except IntegrityError:
            # Another scheduler has just made it.
            continue
        log.info("made pool %s with %d slots", name, size.slots)


def wanted(parallelism: int) -> dict[str, Size]:
    """The pools that the installation's DAGs name, with the size that each begins with.

    Args:
        parallelism: tasks that Airflow runs at once. A district gets its share of them, or what
            `CHENGXIN_DISTRICT_SLOTS` says.
    """
    from chengxin import contracts, districts, settings
    from chengxin.dagtools.homes import DEFAULT_POOL, homes
    from chengxin.errors import ChengxinError

    found: dict[str, Size] = {}
    all_homes = homes()
    share = int(os.environ.get("CHENGXIN_DISTRICT_SLOTS") or max(FEWEST, parallelism // len(all_homes)))
    include = settings.include_folder()
    sources, _broken = contracts.load_all(include / "sources")
    for home in all_homes:
        if home.district:
            found[home.pool()] = Size(share, f"tasks of district {home.district}")
        try:
            code = home.district or settings.configured()[0]
            enabled = districts.load(include / "districts" / f"{code}.yml").sources
        except ChengxinError as error:
            log.warning("pools of a district that cannot be read: %s", error)
            continue
        for name in enabled:
            parts = sources[name].partitions if name in sources else None
            if parts is not None and parts.pool != DEFAULT_POOL:
                pool = home.pool(parts.pool)
                slots = max(parts.at_once, found[pool].slots if pool in found else 0)
                found[pool] = Size(slots, f"parts of sources that name {parts.pool}")
    return found
