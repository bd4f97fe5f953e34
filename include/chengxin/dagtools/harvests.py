"""The harvest DAGs: one per contract that a district enables, `harvest__<source>`.

A contract that cannot be read still gets its DAG, whose one task fails with the message: the hole is seen, is
reported, and harms no other source. A district file that cannot be read keeps its DAGs in the same way, as far as its
sources can still be made out, and harms no other district.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, XComArg, get_current_context, task

from chengxin import contracts, districts, settings
from chengxin.collector import keeping_all
from chengxin.contracts import Contract
from chengxin.dagtools.common import schedule
from chengxin.dagtools.days import as_of
from chengxin.dagtools.each import for_home
from chengxin.dagtools.homes import Home
from chengxin.errors import ChengxinError, ConfigError
from chengxin.reads import Partitions
from chengxin.settings import House

BROKEN_SCHEDULE = "0 2 * * *"
"""When the DAG of an unreadable contract fails: its own schedule cannot be read."""

DOC = """\
## What it does
Harvests **{title}** (`{name}`, {publisher}): fetches it into the raw archive, validates it, and publishes what is new
or changed to {tables}. Contract: `include/sources/{name}.yml`. Legal ground: {legal_basis}.

## Who reads the result
`{check}`, from the lake. Rejected rows: table `rejected`, and the data docs named in the task's log.

## Kind
*now*: it asks the source for its state at the run, and files it under `as_of`.

## How to rerun
Clear the run, or trigger the DAG with `as_of`. A harvest that was cut off goes on where it stopped, each part by
itself; a finished one appends only what differs, so nothing is doubled.

## What not to clear
Do not clear runs of past days to "refresh" them: a source that is not asked for a day answers with what holds when it
is asked. In production such a run is refused for days before yesterday, and in every mode the ledger says when it was
asked. Never delete files under `raw/`: they are the evidence.
"""

BROKEN_DOC = """\
## What it does
Nothing but fail: a file that it is made from cannot be used. The task's log and this message say why:

```
{message}
```

## Who reads the result
The operators, by the failure notice.

## Kind
*now*.

## How to rerun
Mend the file; the DAG then turns into the harvest by itself.

## What not to clear
Nothing.
"""


def harvest_dags(environment: House | None = None) -> dict[str, DAG]:
    """The harvest DAGs of all districts of the installation, by DAG id.

    Args:
        environment: the one house to read contracts from; None: those that the environment describes.
    """
    if environment is not None:
        return _of_district(Home(), environment.include_dir, environment.district, {})
    try:
        codes = settings.configured()
    except ChengxinError as error:
        # Without a district nobody can say which sources there are: one DAG that says so.
        dag = _broken(Home(), "district", error)
        return {dag.dag_id: dag}
    made: dict[str, DAG] = {}
    # Districts share contracts: each is read once.
    read: dict[str, Contract | ChengxinError] = {}
    with keeping_all():
        for code in codes:
            made |= _of_district(Home(code) if len(codes) > 1 else Home(), settings.include_folder(), code, read)
    return made


def _of_district(home: Home, include: Path, code: str, read: dict[str, Contract | ChengxinError]) -> Mapping[str, DAG]:
    file = include / "districts" / f"{code}.yml"
    try:
        sources: Sequence[str] = districts.load(file).sources
    except ChengxinError as error:
        dags = [_broken(home, name, error) for name in ("district", *_made_out(file))]
    else:
        dags = [_dag(home, include / "sources", name, read) for name in sources]
    return {dag.dag_id: dag for dag in dags}


def _made_out(file: Path) -> list[str]:
    """The sources that a broken district file still names."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return []
    listed = re.search(r"(?m)^sources:[ \t]*(\[[^\]]*\]|(?:(?:#.*)?\n[ \t]*- .*)+)", text)
    names = re.findall(r"(?:[\[,]|- )\s*([a-z][a-z0-9_]*)", re.sub(r"#.*", "", listed[1])) if listed else []
    return list(dict.fromkeys(names))


def _dag(home: Home, folder: Path, name: str, read: dict[str, Contract | ChengxinError]) -> DAG:
    if name not in read:
        try:
            read[name] = contracts.load(folder / f"{name}.yml")
        except ChengxinError as error:
            read[name] = error
    found = read[name]
    return _broken(home, name, found) if isinstance(found, ChengxinError) else harvest_dag(found, home)


def harvest_dag(contract: Contract, home: Home) -> DAG:
    """The DAG of one contract and district: `harvest`, or `begin` >> a `fetch` for each part >> `publish`.

    What is fetched in one piece is judged while it comes in, so it is one task; where it stands is in the ledger. The
    last task updates the asset of each table it feeds.
    """
    outlets = [home.asset(table) for table in contract.tables]
    with DAG(
        dag_id=home.dag_id("harvest", contract.name),
        description=contract.title,
        schedule=schedule(contract.schedule),
        doc_md=DOC.format(
            name=contract.name,
            title=contract.title,
            publisher=contract.publisher,
            legal_basis=contract.legal_basis,
            tables=", ".join(f"`{table}`" for table in contract.tables),
            check=home.dag_id("check_matters"),
        ),
        **for_home(
            home,
            tags=["stage:harvest", "kind:now", *(f"table:{table}" for table in contract.tables)],
            default_args={"owner": contract.owner},
        ),
    ) as dag:

        def update(counts: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
            extra = {
                "as_of": as_of(context).isoformat(),
                "seq": counts.get("seq"),
                "fresh": bool(counts["published"] or counts["removed"]),
            }
            for outlet in outlets:
                context["outlet_events"][outlet].extra = extra
            return counts

        @task(task_id="harvest", outlets=outlets, execution_timeout=timedelta(hours=2))
        def whole(**context: object) -> dict[str, Any]:
            from chengxin import harvest

            return update(harvest.run(home.house(), contract.name, as_of(context)), context)

        @task(execution_timeout=timedelta(minutes=10))
        def begin(**context: object) -> int:
            from chengxin import parts

            return parts.open(home.house(), contract.name, as_of(context))

        @task(outlets=outlets, execution_timeout=timedelta(hours=1))
        def publish(harvest_id: int, **context: object) -> dict[str, Any]:
            from chengxin import harvest

            return update(harvest.publish(home.house(), harvest_id), context)

        if contract.partitions is None:
            whole()
        else:
            harvest_id = begin()
            _parts(home, contract.partitions, harvest_id) >> publish(harvest_id)  # type: ignore[arg-type]
    return dag


def _parts(home: Home, partitions: Partitions, harvest_id: object) -> XComArg:
    """One mapped task a part: a slow one keeps its own slot, and no other waiting."""

    @task(
        task_id="fetch",
        pool=home.pool(partitions.pool),
        max_active_tis_per_dagrun=partitions.at_once,
        map_index_template="{{ part }}",
        execution_timeout=timedelta(hours=2),
    )
    def fetch_part(harvest_id: int, part: str) -> None:
        from chengxin import parts

        get_current_context()["part"] = part  # type: ignore[typeddict-unknown-key]
        parts.fetch(home.house(), harvest_id, part)

    return fetch_part.partial(harvest_id=harvest_id).expand(part=list(partitions.values))


def _broken(home: Home, name: str, error: ChengxinError) -> DAG:
    what, where, why, remedy = error.what, error.where, error.why, error.remedy
    with DAG(
        dag_id=home.dag_id("harvest", name),
        description=f"cannot be used: {what}",
        schedule=schedule(BROKEN_SCHEDULE),
        doc_md=BROKEN_DOC.format(name=name, message=error),
        **for_home(home, tags=["stage:harvest", "kind:now"]),
    ) as dag:

        @task
        def contract() -> None:
            raise ConfigError(what, where=where, why=why, remedy=remedy)

        contract()
    return dag
