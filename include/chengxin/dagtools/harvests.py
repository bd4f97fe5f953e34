"""The harvest DAGs: one per contract that the district enables, `harvest__<source>`.

A contract that cannot be read still gets its DAG, whose one task fails with the message: the hole is seen, is
reported, and harms no other source.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, XComArg, get_current_context, task

from chengxin import contracts, districts
from chengxin.contracts import Contract, Partitions
from chengxin.dagtools.common import HOUSE, lake_asset, schedule
from chengxin.dagtools.days import as_of
from chengxin.dagtools.house import house
from chengxin.errors import ChengxinError, ConfigError
from chengxin.settings import House

BROKEN_SCHEDULE = "0 2 * * *"
"""When the DAG of an unreadable contract fails: its own schedule cannot be read."""

DOC = """\
## What it does
Harvests **{title}** (`{name}`, {publisher}): fetches it into the raw archive, validates it, and publishes what is new
or changed to {tables}. Contract: `include/sources/{name}.yml`. Legal ground: {legal_basis}.

## Who reads the result
`check_matters`, from the lake. Rejected rows: table `rejected`, and the data docs named in the task's log.

## Kind
*now*: it asks the source for its state at the run, and files it under `as_of`.

## How to rerun
Clear the run, or trigger the DAG with `as_of`. A harvest that was cut off goes on where it stopped, each part by
itself; a finished one appends only what differs, so nothing is doubled.

## What not to clear
Do not clear runs of past days to "refresh" them: the source answers with today's state. Never delete files under
`raw/`: they are the evidence.
"""

BROKEN_DOC = """\
## What it does
Nothing but fail: `include/sources/{name}.yml` cannot be used. The task's log and this message say why:

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
    """The harvest DAGs of the district, by DAG id.

    Args:
        environment: the house to read contracts from; None: the one that the environment describes.
    """
    try:
        place = environment or House.from_environment()
        district = districts.load(place.include_dir / "districts" / f"{place.district}.yml")
    except ChengxinError as error:
        # Without a district nobody can say which sources there are: one DAG that says so.
        dag = _broken("district", error)
        return {dag.dag_id: dag}
    return {dag.dag_id: dag for dag in (_dag(place.include_dir / "sources", name) for name in district.sources)}


def _dag(folder: Path, name: str) -> DAG:
    try:
        return harvest_dag(contracts.load(folder / f"{name}.yml"))
    except ChengxinError as error:
        return _broken(name, error)


def harvest_dag(contract: Contract) -> DAG:
    """The DAG of one contract: `fetch` >> `publish`, or `begin` >> a `fetch` for each part >> `publish`.

    `publish` updates the asset of each table it feeds.
    """
    outlets = [lake_asset(table) for table in contract.tables]
    with DAG(
        dag_id=f"harvest__{contract.name}",
        description=contract.title,
        schedule=schedule(contract.schedule),
        tags=["stage:harvest", "kind:now", *(f"table:{table}" for table in contract.tables)],
        doc_md=DOC.format(
            name=contract.name,
            title=contract.title,
            publisher=contract.publisher,
            legal_basis=contract.legal_basis,
            tables=", ".join(f"`{table}`" for table in contract.tables),
        ),
        **{**HOUSE, "default_args": {**HOUSE["default_args"], "owner": contract.owner}},
    ) as dag:

        @task(execution_timeout=timedelta(hours=2))
        def fetch(**context: object) -> int:
            from chengxin import harvest

            return harvest.fetch(house(), contract.name, as_of(context))

        @task(execution_timeout=timedelta(minutes=10))
        def begin(**context: object) -> int:
            from chengxin import parts

            return parts.open(house(), contract.name, as_of(context))

        @task(outlets=outlets, execution_timeout=timedelta(hours=1))
        def publish(harvest_id: int, **context: object) -> dict[str, object]:
            from chengxin import harvest

            counts = harvest.publish(house(), harvest_id)
            extra = {
                "as_of": as_of(context).isoformat(),
                "seq": counts.get("seq"),
                "fresh": bool(counts["published"] or counts["removed"]),
            }
            for outlet in outlets:
                context["outlet_events"][outlet].extra = extra
            return counts

        if contract.partitions is None:
            publish(fetch())
        else:
            harvest_id = begin()
            _parts(contract.partitions, harvest_id) >> publish(harvest_id)  # type: ignore[arg-type]
    return dag


def _parts(partitions: Partitions, harvest_id: object) -> XComArg:
    """One mapped task a part: a slow one keeps its own slot, and no other waiting."""

    @task(
        task_id="fetch",
        pool=partitions.pool,
        max_active_tis_per_dagrun=partitions.at_once,
        map_index_template="{{ part }}",
        execution_timeout=timedelta(hours=2),
    )
    def fetch_part(harvest_id: int, part: str) -> None:
        from chengxin import parts

        get_current_context()["part"] = part  # type: ignore[typeddict-unknown-key]
        parts.fetch(house(), harvest_id, part)

    return fetch_part.partial(harvest_id=harvest_id).expand(part=list(partitions.values))


def _broken(name: str, error: ChengxinError) -> DAG:
    what, where, why, remedy = error.what, error.where, error.why, error.remedy
    with DAG(
        dag_id=f"harvest__{name}",
        description=f"cannot be used: {what}",
        schedule=schedule(BROKEN_SCHEDULE),
        tags=["stage:harvest", "kind:now"],
        doc_md=BROKEN_DOC.format(name=name, message=error),
        **HOUSE,
    ) as dag:

        @task
        def contract() -> None:
            raise ConfigError(what, where=where, why=why, remedy=remedy)

        contract()
    return dag
