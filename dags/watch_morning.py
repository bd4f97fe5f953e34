"""
## What it does
Looks every morning whether the day's check is done and the operators' report went out, and mails the operators if
not. It asks the ledger only: it works when sources, the check and the mails do not, and a run that never started is
seen here, as it fails nowhere. Beside it, it reads the bounce box, where the district has one: a mail that came back is
refused from then on, and the day's report says so.

## Who reads the result
The operators. Departments never get it.

## Kind
*now*. It speaks for the day it runs on.

## How to rerun
Clear the run, or trigger the DAG. The same finding is told once, the same returned mail is settled once.

## What not to clear
Nothing is lost by clearing.
"""

from airflow.sdk import task

from chengxin.dagtools import as_of, each_district, schedule

NINE_O_CLOCK = "0 9 * * *"


@each_district(
    description="晨间巡查：当日核查和运行日报是否已完成；读取退信",
    schedule=schedule(NINE_O_CLOCK),
    tags=["stage:watch", "kind:now"],
    doc_md=__doc__,
)
def watch_morning(home):
    """Has the day begun?"""

    @task
    def watch(**context):
        from chengxin import warn

        return warn.watch(home.house(), as_of(context))

    @task
    def bounces():
        from chengxin.warn import bounces

        # Whoever has no box for what comes back looks into the mail server's log instead.
        return bounces.read(home.house()) if bounces.configured(home.house()) else {}

    watch()
    bounces()
