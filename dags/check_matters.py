"""
## What it does
Checks every applicant of every pending matter, and every subject's annual report, against the district's policy, on
the facts that the lake holds as of the day. Writes findings, advice and filing statuses; only what changed is written.
Who cannot have changed since the last check is not judged again; once a week all are, and the two are compared.
Then brings the desk (what the pages show) up to date; mails do not wait for it.

## Who reads the result
The mails to departments (their DAG is started by this one's asset), the auditor's pages, `chengxin explain`.

## Kind
*now*. It runs by the clock, not when all sources are in: a dead source must not silence the others. How old each
source is stands with the result, and a source older than its contract's `max_age` answers "cannot tell".

## How to rerun
Clear the run, or trigger the DAG with `as_of`. The same facts under the same policy write nothing new.

## What not to clear
Nothing is lost by clearing. Do not clear runs of past days to correct what was said then: the record of what was said
stays, and a correction is today's check.
"""

from airflow.sdk import task

from chengxin.dagtools import as_of, each_district, schedule

# After the night's harvests, before lunch mail is read, before offices close.
THREE_TIMES_A_DAY = "30 6,12,17 * * *"


@each_district(
    description="核查：事实 × 政策 → 核查意见、年报状态",
    schedule=schedule(THREE_TIMES_A_DAY),
    tags=["stage:check", "kind:now", "table:finding", "table:advice", "table:filing_status"],
    doc_md=__doc__,
)
def check_matters(home):
    """Facts × policy → findings → advice."""

    advice = home.asset("advice")

    @task(inlets=home.facts(), outlets=[advice])
    def check(**context):
        from chengxin import check

        day = as_of(context)
        counts = check.run(home.house(), day)
        context["outlet_events"][advice].extra = {"as_of": day.isoformat()}
        return counts

    @task
    def desk():
        from chengxin.desk import refresh

        return refresh.refresh(home.house())

    check() >> desk()
