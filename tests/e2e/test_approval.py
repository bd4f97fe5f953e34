"""More mails than the district lets out unseen: Airflow waits for a person, and does what the person says."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from rich.console import Console

from chengxin import demo

from .days import AS_OF, DISTRICT, ROOT

pytestmark = pytest.mark.long

APPROVE = "/dags/warn_departments/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"


@pytest.mark.parametrize("answer", ["Approve", "Reject"])
def test_mass_sending_waits(tmp_path: Path, answer: str) -> None:
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include, ignore=shutil.ignore_patterns("chengxin*", "__pycache__"))
    file = include / f"districts/{DISTRICT}.yml"
    text = file.read_text("utf-8")
    assert "approval_threshold: 300" in text
    file.write_text(text.replace("approval_threshold: 300", "approval_threshold: 5"), "utf-8")
    options = demo.Options(
        as_of=AS_OF, subjects=150, seed=7, district=DISTRICT, folder=tmp_path / "day",
        settings={"CHENGXIN_INCLUDE": str(include)},
    )  # fmt: skip
    with (
        (tmp_path / "console.txt").open("w", encoding="utf-8") as screen,
        demo.day(options, ROOT, Console(file=screen, width=120)) as day,
    ):
        api, conf = day.airflow.api, {"as_of": AS_OF.isoformat()}
        day.follow({f"harvest__{name}": conf for name in ("subject_registry", "annual_reports", "matters")})
        day.follow({"check_matters": conf})

        def states() -> dict[str, set[str]]:
            found: dict[str, set[str]] = {}
            for run in api.runs("warn_departments"):
                for (task, _), state in api.task_states("warn_departments", run.run_id).items():
                    found.setdefault(task, set()).add(state)
            return found

        day.airflow.wait("a task to wait for a person", lambda: "awaiting_input" in states().get("approve", set()))
        (only,) = day.sandbox.messages()
        assert "等待批准发送" in str(only["Subject"])
        (run,) = api.runs("warn_departments")
        api.call("PATCH", APPROVE.format(run=run.run_id), {"chosen_options": [answer], "params_input": {}})
        day.airflow.wait("the run to end", lambda: api.runs("warn_departments")[0].done)
        time.sleep(1)
        assert api.runs("warn_departments")[0].state == "success"
        # The operators' report goes out either way; departments hear only where a person said yes.
        to_departments = [mail for mail in day.sandbox.messages() if "运行" not in str(mail["Subject"])]
        assert states()["send"] == ({"success"} if answer == "Approve" else {"skipped"})
        assert bool(to_departments) is (answer == "Approve")
        assert any("运行·" in str(mail["Subject"]) for mail in day.sandbox.messages()[1:])
