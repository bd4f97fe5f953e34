"""
## What it does
Tells the bodies that guide and supervise the use of credit records (四（一）) the numbers of the month before: matters,
applicants checked, reports missing, by unit; and the agencies whose reports were rejected (四（二）). Numbers and
agencies only, no matter and no applicant.

## Who reads the result
The supervising bodies that the district file names.

## Kind
*interval*: the calendar month before the day it speaks for.

## How to rerun
Clear the run, or trigger the DAG with `as_of`, any day of the month after. A month is told once to each recipient.

## What not to clear
Nothing. A month that was told is not told again, also where later harvests would change its numbers.
"""

from airflow.sdk import task

from chengxin.dagtools import as_of, each_district, schedule

SECOND_OF_THE_MONTH = "0 10 2 * *"


@each_district(
    description="月报：信用记录和信用报告使用情况，发区发改局、区金融事业发展中心",
    schedule=schedule(SECOND_OF_THE_MONTH),
    tags=["stage:warn", "kind:interval"],
    doc_md=__doc__,
)
def supervise(home):
    """The use of credit records in the month before."""

    @task
    def report(**context):
        from chengxin import warn

        return warn.supervise(home.house(), as_of(context))

    report()
