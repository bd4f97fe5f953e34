"""
## What it does
Tells each department what concerns it: its annual-report countdown on the days the law's calendar gives, and the
advice that changed. `plan` renders every message and commits it with its key; `send` hands the messages of one
department to the mail server; `report` tells the operators what went out. More messages than the district's
`mail.approval_threshold` wait at `approve` until a person says yes.

## Who reads the result
The departments' mailboxes; the operators read the report; the ledger keeps what was sent.

## Kind
*now*. In production it sends for today and yesterday only; any other day is planned and not sent.

## How to rerun
Clear the run, or trigger the DAG with `as_of`. A message that went out is never sent again: its key is the recipient,
the matter, the stage and the content.

## What not to clear
Nothing. Messages in state `unknown` (cut off between sending and recording) are for a person to decide, and no rerun
sends them.
"""

from airflow.sdk import task

from chengxin.dagtools import approval, as_of, each_district, failed_tasks


@each_district(
    description="提醒：按部门发送年报倒计时和变化的核查意见",
    schedule=lambda home: [home.asset("advice")],
    tags=["stage:warn", "kind:now"],
    doc_md=__doc__,
)
def warn_departments(home):
    """Plan → send, per department → report."""

    @task
    def plan(**context):
        from chengxin import warn

        return warn.plan(home.house(), as_of(context))

    @task.branch
    def mass(departments, **context):
        from chengxin import warn

        return "approve" if departments and warn.approval_needed(home.house(), as_of(context)) else "send"

    approve = approval(
        "approve",
        subject="向各单位发送大量邮件",
        body="待发邮件超过区里设定的数量。批准后发出；拒绝的，本次不发，下次运行再问。",
    )

    @task(
        # Approved, or nothing to approve.
        trigger_rule="none_failed_min_one_success",
        max_active_tis_per_dagrun=2,
        retry_exponential_backoff=2,
        map_index_template="{{ task.op_kwargs['department'] }}",
    )
    def send(department, **context):
        from chengxin import warn

        return warn.send(home.house(), as_of(context), department)

    @task
    def report(**context):
        from chengxin import warn

        return warn.report(home.house(), as_of(context), failed_tasks(context))

    # A teardown runs whatever happened before it (silence would look like a quiet day), and does not make a run whose
    # sending failed look like a success.
    planned = plan()
    sent = send.expand(department=planned)
    mass(planned) >> [approve, sent]
    approve >> sent >> report().as_teardown(on_failure_fail_dagrun=True)
