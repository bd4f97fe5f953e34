"""The few calls of Airflow's REST API that start a day and watch it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from chengxin.errors import ChengxinError

TRIES = 8
"""SQLite refuses a write now and then while tasks report (HTTP 500): asked again, it works."""


class AirflowApiError(ChengxinError):
    """Airflow's API says no, or nothing."""

    cause = "airflow"


@dataclass(frozen=True)
class Run:
    """One DAG run."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    seconds: float | None

    @property
    def done(self) -> bool:
        """It has ended, well or badly."""
        return self.state in ("success", "failed")


class AirflowApi:
    """Airflow's API at one address, for one user of the simple auth manager."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url, self.user, self._password = url, user, password
        self._session = requests.Session()
        # A proxy of the environment has no business with loopback.
        self._session.trust_env = False

    def ready(self) -> bool:
        """Does it answer, and let us in?"""
        try:
            answer = self._session.post(
                f"{self.url}/auth/token", json={"username": self.user, "password": self._password}, timeout=10
            )
        except requests.RequestException:
            return False
        if answer.status_code != 201:
            return False
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return True

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, **params: Any) -> Any:
        """One call; a server error is tried again, with patience.

        Raises:
            AirflowApiError: it refuses, or goes on failing.
        """
        why = ""
        for attempt in range(TRIES):
            try:
                answer = self._session.request(method, f"{self.url}/api/v2{path}", json=body, params=params, timeout=30)
            except requests.RequestException as error:
                why = type(error).__name__
            else:
                if answer.ok:
                    return answer.json() if answer.content else None
                why = f"HTTP {answer.status_code}: {answer.text[:300]}"
                if answer.status_code < 500:
                    break
            time.sleep(0.25 * 2**attempt)
        raise AirflowApiError(f"{method} {path} failed", where=self.url, why=why, remedy="read api-server.log")

    def dag_ids(self) -> set[str]:
        """The DAGs that Airflow has read."""
        return {dag["dag_id"] for dag in self.call("GET", "/dags", limit=1000)["dags"]}

    def import_errors(self) -> dict[str, str]:
        """File → what went wrong in reading it."""
        errors = self.call("GET", "/importErrors", limit=1000)["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def unpause(self, dag_id: str) -> None:
        """Lets a DAG run."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": False}, update_mask="is_paused")

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Starts a run; its id.

        A try that failed with HTTP 500 may have started one all the same, so each try asks for the same id.
        """
        run_id = f"manual__{dag_id}__{time.time_ns()}"
        try:
            self.call(
                "POST", f"/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
            )
        except AirflowApiError as error:
            if "HTTP 409" not in error.why:
                raise
        return run_id

    def runs(self, dag_id: str = "~") -> list[Run]:
        """The runs of a DAG (`~`: of all), newest first."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns", limit=1000, order_by="-run_after")["dag_runs"]
        return [
            Run(run["dag_id"], run["dag_run_id"], run["state"], run["run_type"], run.get("duration")) for run in found
        ]

    def task_states(self, dag_id: str, run_id: str) -> dict[tuple[str, int], str]:
        """(task id, map index; -1 for a task that is not mapped) → state."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=1000)["task_instances"]
        return {(task["task_id"], task["map_index"]): str(task["state"]) for task in found}

    def log(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[dict[str, Any]]:
        """The entries of the log of a task's newest try."""
        base = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        try_number = self.call("GET", base if map_index < 0 else f"{base}/{map_index}")["try_number"]
        content = self.call("GET", f"{base}/logs/{try_number}", map_index=map_index, full_content=True)["content"]
        return [entry if isinstance(entry, dict) else {"event": str(entry)} for entry in content]

    def error(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
        """What a failed task died of, as its log has it; empty when the log does not say."""
        causes = [
            f"{part['exc_type']}: {part['exc_value']}"
            for entry in self.log(dag_id, run_id, task_id, map_index)
            for part in entry.get("error_detail") or []
        ]
        return causes[-1] if causes else ""
