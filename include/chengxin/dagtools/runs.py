"""What became of the other tasks of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def failed_tasks(context: Mapping[str, Any]) -> dict[str, str]:
    """The tasks of this context's run that failed: name (with the place of a mapped one) → state."""
    instance = context["ti"]
    run_id = context["run_id"]
    states = instance.get_task_states(dag_id=context["dag"].dag_id, run_ids=[run_id]).get(run_id, {})
    return {name: str(state) for name, state in sorted(states.items()) if str(state) == "failed"}
