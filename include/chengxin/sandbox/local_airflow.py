"""A whole Airflow of one's own on this machine: scheduler, DAG processor, API server; SQLite, LocalExecutor, loopback.

For the demo, `make up` and the end-to-end tests. Nothing here is for production: the password lies in a file, the
database is SQLite.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from chengxin.errors import ChengxinError
from chengxin.sandbox.airflow_api import AirflowApi
from chengxin.sandbox.processes import ProcessGroup

LOOPBACK = "127.0.0.1"
USER = "admin"
START_TIMEOUT = 180.0
"""Seconds until all DAGs are to be seen; a slow, busy machine needs about 60."""


class AirflowStartError(ChengxinError):
    """Airflow does not come up."""

    cause = "airflow"


def free_port(wanted: int | None = None) -> int:
    """A free loopback port: the wanted one, or any.

    Raises:
        AirflowStartError: the wanted port is taken.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted or 0))
        except OSError as error:
            raise AirflowStartError(
                f"port {wanted} is in use" if wanted else "no free port",
                where=LOOPBACK,
                why=str(error),
                remedy="choose another with --port, or end the program that has it (`ss -ltnp` names it)",
            ) from None
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Can the loopback port be had?"""
    try:
        return free_port(port) == port
    except AirflowStartError:
        return False


def quiet_environment() -> dict[str, str]:
    """Switches off every analytics and usage report of the dependencies, and proxies for loopback."""
    bypass = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1,localhost"]))
    return {
        "GX_ANALYTICS_ENABLED": "False",
        # Airflow 3.3 has no usage report any more; these hold for older and newer ones and for other tools.
        "SCARF_ANALYTICS": "false",
        "DO_NOT_TRACK": "1",
        "NO_PROXY": bypass,
        "no_proxy": bypass,
    }


class LocalAirflow:
    """One Airflow, from start to end.

    Args:
        root: the project, with `dags/` and `plugins/`.
        home: Airflow's own folder (`AIRFLOW_HOME`): database, logs, everything. Emptied when this is entered.
        environment: more variables for its processes: `CHENGXIN_*`, `AIRFLOW_CONN_*`, …
        port: of the API and pages; None: any free one.
        parallelism: tasks at once.
        users: login name → role of the simple auth manager, besides the administrator; all with the same password.
    """

    def __init__(
        self,
        root: Path,
        home: Path,
        environment: Mapping[str, str],
        *,
        port: int | None = None,
        parallelism: int = 4,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.home = root, home
        self.users = {**(users or {}), USER: "admin"}
        self.port = free_port(port)
        self.password = secrets.token_urlsafe(12)
        self.group = ProcessGroup(home)
        self.environment = {**_inherited(), **quiet_environment(), **self._settings(parallelism), **environment}
        self.api = AirflowApi(self.url, USER, self.password)

    @property
    def url(self) -> str:
        """Address of its pages."""
        return f"http://{LOOPBACK}:{self.port}"

    def __enter__(self) -> LocalAirflow:
        self.group.__enter__()
        shutil.rmtree(self.home)
        self.home.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.group.end()

    def start(self, progress: Callable[[str], None] = lambda _text: None) -> None:
        """Makes the database and starts the components; returns when the API answers.

        Raises:
            ProcessDiedError: a component ended; with the end of its log.
            AirflowStartError: it takes too long.
        """
        passwords = self.home / "passwords.json"
        passwords.write_text(json.dumps(dict.fromkeys(self.users, self.password)), "utf-8")
        passwords.chmod(0o600)
        progress("Airflow: making its database")
        self.group.run("db-migrate", self._command("db", "migrate"), self.environment)
        progress("Airflow: starting scheduler, DAG processor and API server")
        self.group.start("api-server", self._command("api-server"), self.environment)
        self.group.start("dag-processor", self._command("dag-processor"), self.environment)
        # Its log server would need one more port; on one machine the pages read the log files.
        self.group.start("scheduler", self._command("scheduler", "--skip-serve-logs"), self.environment)
        self.wait("its API to answer", self.api.ready)

    def wait(self, what: str, ready: Callable[[], bool], timeout: float = START_TIMEOUT) -> None:
        """Waits until something is so, and watches the components meanwhile.

        Raises:
            ProcessDiedError: a component ended.
            AirflowStartError: it takes longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            self.group.check()
            if time.monotonic() > deadline:
                raise AirflowStartError(
                    f"waited {timeout:.0f} s for {what}",
                    where=self.url,
                    why=f"logs: {self.home}/*.log",
                    remedy="read the logs; on a busy machine try again",
                )
            time.sleep(0.5)

    def _command(self, *arguments: str) -> list[str]:
        # Not the `airflow` script: its first line names an interpreter by path, which breaks when a project moves.
        return [sys.executable, "-m", "airflow", *arguments]

    def _settings(self, parallelism: int) -> dict[str, str]:
        def section(name: str, **values: object) -> dict[str, str]:
            return {f"AIRFLOW__{name}__{key.upper()}": str(value) for key, value in values.items()}

        return {
            "AIRFLOW_HOME": str(self.home),
            **section(
                "CORE",
                dags_folder=self.root / "dags",
                plugins_folder=self.root / "plugins",
                load_examples=False,
                executor="LocalExecutor",
                parallelism=parallelism,
                # The default time zone is for people's eyes only: every schedule names its own.
                default_timezone="Asia/Shanghai",
                dags_are_paused_at_creation=True,
                fernet_key=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                execution_api_server_url=f"{self.url}/execution/",
                simple_auth_manager_users=",".join(f"{name}:{role}" for name, role in self.users.items()),
                simple_auth_manager_passwords_file=self.home / "passwords.json",
            ),
            **section("DATABASE", sql_alchemy_conn=f"sqlite:///{self.home / 'airflow.db'}"),
            **section(
                "API",
                host=LOOPBACK,
                port=self.port,
                base_url=self.url,
                workers=1,
                secret_key=secrets.token_hex(32),
                instance_name="诚信",
            ),
            **section("API_AUTH", jwt_secret=secrets.token_hex(32)),
            # A supervisor that saw its task's last word, but not yet its end, looks again only after this interval, and
            # the slot waits with it (3.3.2: five seconds).
            **section("WORKERS", min_heartbeat_interval=1),
            **section("SCHEDULER", scheduler_idle_sleep_time=0.3, enable_health_check=False),
            **section("DAG_PROCESSOR", parsing_processes=1, min_file_process_interval=60, refresh_interval=60),
            **section("LOGGING", base_log_folder=self.home / "logs"),
        }


def _inherited() -> dict[str, str]:
    """The environment without anybody else's Airflow and Chengxin in it.

    And without PYTHONDONTWRITEBYTECODE: each task is a process, and would compile the library anew.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_", "CHENGXIN_", "_AIRFLOW"))
        and name not in {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    }
