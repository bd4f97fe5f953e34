"""
## What it does
Recomputes the chain of acts in the ledger and compares the messages with it; clears what has had its time (repaired,
withdrawn and expired facts, raw files past their contract's `keep`, stored messages, data docs, logs: see
`include/retention.yml`); merges the lake's small files, ends old snapshots and removes files that no snapshot names.
A ledger that is not as it was written fails the run at once, and nothing is cleared.

## Who reads the result
The operators, by the failure notice and the tasks' results. The head of the chain is compared with the ones in the
daily reports.

## Kind
*now*.

## How to rerun
Clear the run, or trigger the DAG. What is cleared already is not cleared twice.

## What not to clear
Nothing. A broken chain is not mended by a rerun: keep the ledger as it is and ask why.
"""

from airflow.sdk import task

from chengxin.dagtools import as_of, each_district, schedule

SUNDAY_MORNING = "0 5 * * 0"


@each_district(
    description="维护：核对台账，清除到期内容，整理湖中文件",
    schedule=schedule(SUNDAY_MORNING),
    tags=["stage:maintain", "kind:now"],
    doc_md=__doc__,
)
def maintain(home):
    """The ledger's chain, retention, the lake's files."""

    @task
    def verify_chain():
        from chengxin import maintain as stage

        return stage.verify_chain(home.house())

    @task
    def clear_expired(**context):
        from chengxin import retention

        return retention.run(home.house(), as_of(context))

    @task
    def tidy_lake():
        from chengxin import upkeep

        return upkeep.tidy(home.house())

    verify_chain() >> clear_expired() >> tidy_lake()
