"""
## What it does
Judges a past day again, from the facts that were known when it was checked and by the rules of that day, and compares
every finding, advice and filing status with what was concluded. It writes nothing but the act that it was done.

## Who reads the result
The auditor who asked: rows recorded, recomputed and equal, and why rows differ (facts erased since, other rules). A
difference without a reason fails the run, and the operators are told.

## Kind
*now*. It is about a past day and speaks for no other.

## How to rerun
Trigger it with `as_of` and `reason`. Each run is an act of its own.

## What not to clear
Nothing. A cleared run puts the same question on record again.
"""

from airflow.sdk import Param, task

from chengxin.dagtools import as_of, each_district

ASKED = {
    "as_of": Param(type="string", format="date", title="as_of", description="The past day."),
    "reason": Param(type="string", minLength=1, title="reason", description="Why: it goes on record."),
}


@each_district(
    description="重算：按当日已知事实和当日政策重新核查，逐行比对",
    schedule=None,
    tags=["stage:replay", "kind:now"],
    doc_md=__doc__,
    params=ASKED,
)
def replay(home):
    """What would be said of a past day, and the difference."""

    @task
    def compare(**context):
        from airflow.sdk.exceptions import AirflowFailException

        from chengxin import replay as stage

        actor = getattr(context["dag_run"], "triggering_user_name", None) or "airflow"
        made = stage.on_record(home.house(), as_of(context), actor, context["params"]["reason"])
        if not made.explained:
            raise AirflowFailException(str(made))
        return made.to_dict()

    compare()
