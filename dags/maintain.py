"""
## What it does
Recomputes the chain of acts in the ledger, and counts data files of the lake that no snapshot names. A broken chain
fails the run; stray files are only counted.

## Who reads the result
The operators, by the failure notice and the tasks' results. The head of the chain is compared with the one in the
daily report.

## Kind
*now*.

## How to rerun
Clear the run, or trigger the DAG. It changes nothing.

## What not to clear
Nothing. A broken chain is not mended by a rerun: keep the ledger as it is and ask why.
"""

from airflow.sdk import dag, task

from chengxin.dagtools import HOUSE, house, schedule

SUNDAY_MORNING = "0 5 * * 0"


@dag(
    description="维护：核对台账哈希链，清点湖中无主文件",
    schedule=schedule(SUNDAY_MORNING),
    tags=["stage:maintain", "kind:now"],
    doc_md=__doc__,
    **HOUSE,
)
def maintain():
    """The ledger's chain, the lake's strays."""

    @task
    def verify_chain():
        from chengxin import maintain as stage

        return stage.verify_chain(house())

    @task
    def count_orphans():
        from chengxin import maintain as stage

        return stage.orphans(house())

    verify_chain()
    count_orphans()


maintain()
