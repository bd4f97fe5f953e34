"""
## What it does
Looks at every source, whether its harvest ran or not: fresh, late (a scheduled harvest is missing, the last one can
still be used), stale (too old to be used) or recovered (back today). Each change of state is recorded in the ledger.
Then the desk (what the pages show) takes in what was harvested meanwhile.

## Who reads the result
The operators: a source that becomes stale fails the run once, and the failure notice names it. `chengxin sources`
and the auditor's pages show every source's state.

## Kind
*now*. It asks the ledger and the clock only, so it works when sources, harvests and contracts do not.

## How to rerun
Clear the run, or trigger the DAG. A sweep that finds nothing new writes nothing.

## What not to clear
Nothing is lost by clearing. A failed `alarm` stays failed when it is cleared alone: it repeats what the sweep found.
"""

from airflow.sdk import task

from chengxin.dagtools import as_of, each_district, schedule

EVERY_HALF_HOUR = "5,35 * * * *"


@each_district(
    description="巡查：每个来源是否新鲜、迟到、过旧或已恢复",
    schedule=schedule(EVERY_HALF_HOUR),
    tags=["stage:watch", "kind:now"],
    doc_md=__doc__,
)
def watch_sources(home):
    """The state of each source, and a cry for those that became too old."""

    @task
    def sweep(**context):
        from chengxin import sweep as stage

        return stage.run(home.house(), as_of(context))

    @task
    def alarm(swept):
        from chengxin import sweep as stage

        stage.alarm(swept["changed"], home.house().command)

    @task
    def desk():
        from chengxin.desk import refresh

        return refresh.refresh(home.house())

    swept = sweep()
    alarm(swept)
    swept >> desk()
