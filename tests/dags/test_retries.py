"""Which errors are tried again: what may pass is, what only a person can mend is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import ExceptionRetryPolicy, RetryAction

from chengxin import errors
from chengxin.connectors.http_client import BadRequestError
from chengxin.dagtools.common import HOUSE, RETRIES

FAIL, RETRY, DEFAULT = RetryAction.FAIL, RetryAction.RETRY, RetryAction.DEFAULT
ACTIONS: dict[type[Exception], RetryAction] = {
    errors.ChengxinError: DEFAULT,
    errors.ConfigError: FAIL,
    errors.ConnectionNotFoundError: FAIL,
    errors.SourceUnreachableError: DEFAULT,
    errors.ChallengeError: RETRY,
    errors.SourceRefusedError: FAIL,
    BadRequestError: FAIL,
    # Half a page, a captcha, records that move: the next answer may be whole.
    errors.SourceContentError: DEFAULT,
    errors.MismatchError: FAIL,
    errors.DriftError: FAIL,
    errors.BoundError: FAIL,
    errors.SumError: FAIL,
    errors.HarvestError: FAIL,
    # A shared folder may be away for a while.
    errors.ArchiveError: DEFAULT,
    OSError: DEFAULT,
    MemoryError: DEFAULT,
}


def decide(error: Exception, policy: ExceptionRetryPolicy = RETRIES) -> tuple[RetryAction, timedelta | None]:
    decision = policy.evaluate(error, 1, 2)
    return decision.action, decision.retry_delay


@pytest.mark.parametrize(("kind", "action"), ACTIONS.items(), ids=lambda one: getattr(one, "__name__", str(one)))
def test_each_error_is_tried_again_or_not(kind: type[Exception], action: RetryAction) -> None:
    assert decide(kind("what"))[0] is action
    # Airflow keeps the policy with the DAG as JSON.
    again = ExceptionRetryPolicy.deserialize(RETRIES.serialize())
    assert decide(kind("what"), again) == decide(kind("what"))


def test_no_error_is_forgotten() -> None:
    ours = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.ChengxinError)}
    assert ours <= set(ACTIONS)


def test_a_browser_challenge_is_left_alone_for_longer_than_anything_else() -> None:
    _, delay = decide(errors.ChallengeError("what"))
    assert delay is not None
    assert delay > HOUSE["default_args"]["retry_delay"]
    assert HOUSE["default_args"]["retries"] * delay < HOUSE["dagrun_timeout"]


def test_every_task_has_the_policy(dags: dict[str, object]) -> None:
    policies = {task.retry_policy is RETRIES for dag in dags.values() for task in dag.tasks}  # type: ignore[attr-defined]
    assert policies == {True}
