"""The services of docker-compose.yaml as processes of this machine: its commands, its environment, no containers.

Only addresses, ports and folders are others: every name of a service becomes loopback, every port a free one, every
folder one of the test's. Needs PostgreSQL and Redis from Debian's packages (`.ci/services`).
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from chengxin.sandbox.local_airflow import LOOPBACK, USER, LocalAirflow, free_port
from chengxin.sandbox.processes import members

from .composefile import ROOT, Service, service

WORKERS = ("worker-1", "worker-2")
PORTS = ("5432", "6379", "8080", "8974", "8125", "4318")


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs: Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    assert found, "PostgreSQL is not installed: run .ci/services"
    return found[-1].parent


class Postgres:
    """A PostgreSQL server on loopback, started by compose's command.

    Args:
        folder: for its data; made.
        port: where it listens.
        command: `postgres -c …`.
        password: of its superuser.
    """

    def __init__(self, folder: Path, port: int, command: list[str], password: str) -> None:
        self.folder, self.port, self.command, self.password = folder, port, command, password
        self.server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        programs, data = postgres_programs(), self.folder / "data"
        self.folder.mkdir(parents=True)
        secret = self.folder / "password"
        secret.write_text(self.password, "utf-8")
        if os.geteuid() == 0:
            # It refuses to serve as root; its user must get to the folder.
            for place in self.folder.parents:
                if not place.stat().st_mode & 0o001:
                    place.chmod(place.stat().st_mode | 0o011)
            for path in (self.folder, secret):
                shutil.chown(path, "postgres")
        as_postgres = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        prefix = [*as_postgres, "--pdeathsig", "QUIT"] if os.geteuid() == 0 else []
        options = ["-D", data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "-N"]
        subprocess.run([*prefix, programs / "initdb", *options], cwd=self.folder, check=True, capture_output=True)
        own = ["-D", data, "-p", str(self.port), "-h", LOOPBACK, "-k", self.folder]
        assert self.command[0] == "postgres"
        with (self.folder.parent / "postgres.log").open("ab") as log:
            self.server = subprocess.Popen(
                [*prefix, programs / "postgres", *own, *self.command[1:]],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.server is not None:
            self.server.terminate()
            try:
                self.server.wait(5)
            except subprocess.TimeoutExpired:
                # SIGTERM waits for those who are connected.
                self.server.send_signal(signal.SIGQUIT)
                self.server.wait(20)


class ComposedAirflow(LocalAirflow):
    """Everything in docker-compose.yaml, two workers of it, on this machine.

    Args are those of `LocalAirflow`; `ports` are chosen beforehand, since the house must know its database.
    """

    ports: dict[str, int]
    variables: Mapping[str, str]
    postgres: Postgres

    def _settings(self, parallelism: int) -> dict[str, str]:
        # All of it comes from the compose file.
        return {}

    def __enter__(self) -> ComposedAirflow:
        super().__enter__()
        try:
            self.password = self.variables["ADMIN_PASSWORD"]
            self.api._password = self.password
            (self.home / "var").mkdir()
            found = service("postgres", self.variables)
            self.postgres = Postgres(
                self.home / "postgres", self.ports["5432"], found.command, self.variables["POSTGRES_PASSWORD"]
            )
            self.postgres.__enter__()
            self._until_healthy(found)
            script = next((ROOT / "deploy/postgres").glob("*.sh"))
            environment = {**self.environment, **self._environment(found), "PGHOST": LOOPBACK}
            environment |= {"PGPORT": str(self.ports["5432"]), "PGPASSWORD": self.variables["POSTGRES_PASSWORD"]}
            self.group.run("databases", ["sh", str(script)], environment)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if hasattr(self, "postgres"):
            self.postgres.__exit__(kind, error, trace)

    def start(self, progress: Callable[[str], None] = lambda _text: None) -> None:
        """Runs `init`, starts every other service, and returns when all are healthy by the file's own checks."""
        redis = service("redis", self.variables)
        self._start(redis)
        self._until_healthy(redis)
        progress("init")
        init = service("init", self.variables)
        self.group.run("init", self._command_of(init), self._environment(init))
        names = ("metrics", "api-server", "scheduler", "dag-processor", "triggerer")
        running = [service(name, self.variables) for name in names]
        for each in running:
            self._start(each)
        worker = service("worker", self.variables)
        for name in WORKERS:
            # Two containers have host names of their own.
            self._start(worker, name, ["--celery-hostname", name], {"HOSTNAME": name})
        progress("waiting for all to be healthy")
        self.wait("its API to answer", self.api.ready)
        self.healthy = {each.name: self._healthy(each) for each in running}
        self.healthy |= {name: self._healthy(worker, {"HOSTNAME": name}) for name in WORKERS}

    def lose(self, name: str) -> None:
        """A machine is gone: every process of a service is killed at once, without a word."""
        child = self.group.children[name]
        # Another dictionary, not a smaller one: the day's own thread may be looking through it.
        self.group.children = {other: process for other, process in self.group.children.items() if other != name}
        while pids := members([child.pid], self.group.folder):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            child.poll()

    def processes(self, name: str) -> list[int]:
        """Every process of a service."""
        return members([self.group.children[name].pid], self.group.folder)

    def chore(self, name: str) -> None:
        """Runs a service that ends by itself.

        Raises:
            ProcessDiedError: it failed.
        """
        found = service(name, self.variables)
        self.group.run(name, self._command_of(found), self._environment(found))

    def _start(
        self, found: Service, name: str = "", more: list[str] | None = None, extra: Mapping[str, str] | None = None
    ) -> None:
        command = [*self._command_of(found), *(more or [])]
        self.group.start(name or found.name, command, {**self._environment(found), **(extra or {})})

    def _command_of(self, found: Service) -> list[str]:
        return [self._here(word) for word in found.command]

    def _environment(self, found: Service) -> dict[str, str]:
        """What a service is given: this machine's own surroundings, then the file's; the day's settings last."""
        surroundings = {
            name: value for name, value in self.environment.items() if not name.startswith(("AIRFLOW_", "CHENGXIN_"))
        }
        path = f"{Path(sys.executable).parent}:{surroundings['PATH']}"
        handed_on = {name: self.environment.get(name) if value is None else value for name, value in _texts(found)}
        given = {name: self._here(value) for name, value in handed_on.items() if value is not None}
        connections = {name for name in given if name.startswith("AIRFLOW_CONN_")}
        given |= {name: self.environment[name] for name in connections}
        day = {name: value for name, value in self.environment.items() if name.startswith("CHENGXIN_")}
        tuning = {name: value for name, value in self.environment.items() if name.startswith("AIRFLOW__")}
        return {**surroundings, "PATH": path, **given, **tuning, **(day if "CHENGXIN_ROOT" in given else {})}

    def _here(self, text: str) -> str:
        if text == "metrics":
            return LOOPBACK
        for name in ("postgres:5432", "redis:6379", "api-server:8080", "metrics:4318", "0.0.0.0"):
            text = text.replace(name, name.replace(name.split(":")[0], LOOPBACK))
        for port in PORTS:
            text = re.sub(rf"\b{port}\b", str(self.ports[port]), text)
        places = {
            "/opt/chengxin": ROOT,
            "/opt/airflow": self.home,
            "/var/lib/chengxin": self.home / "var",
            "/var/log/chengxin": self.home / "logs",
            "/var/backups/chengxin": self.home / "backups",
        }
        for place, own in places.items():
            text = text.replace(place, str(own))
        return text

    def _healthy(self, found: Service, extra: Mapping[str, str] | None = None) -> bool:
        done = subprocess.run(
            [self._here(word) for word in found.health],
            env={**self._environment(found), **(extra or {})},
            cwd=self.home,
            capture_output=True,
            timeout=90,
            check=False,
        )
        return done.returncode == 0

    def _until_healthy(self, found: Service) -> None:
        deadline = time.monotonic() + 60
        while not self._healthy(found):
            assert time.monotonic() < deadline, f"{found.name} does not get healthy"
            time.sleep(0.3)


def _texts(found: Service) -> list[tuple[str, str | None]]:
    return [(name, None if value is None else str(value)) for name, value in found.environment.items()]


def variables(ports: Mapping[str, int], district: str, statsd: int) -> dict[str, str]:
    """What stands in `.env`: secrets of this run alone, and the little that suits a small machine.

    Args:
        ports: the file's ports → this machine's.
        district: whose house.
        statsd: port at which somebody listens for metrics.
    """
    words = {
        name: secrets.token_hex(16)
        for name in (
            "POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "CHENGXIN_DB_PASSWORD", "REDIS_PASSWORD", "API_SECRET_KEY",
            "JWT_SECRET", "ADMIN_PASSWORD",
        )
    }  # fmt: skip
    return {
        **words,
        "FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "BASE_URL": f"http://{LOOPBACK}:{ports['8080']}",
        "COOKIE_SECURE": "False",
        "ADMIN_USER": USER,
        "CHENGXIN_DISTRICT": district,
        "API_WORKERS": "1",
        "PARALLELISM": "4",
        "WORKER_CONCURRENCY": "2",
        "HEARTBEAT_TIMEOUT": "20",
        "STATSD_ON": "True",
        "STATSD_HOST": LOOPBACK,
        "STATSD_PORT": str(statsd),
    }


def databases(ports: Mapping[str, int], given: Mapping[str, str]) -> dict[str, str]:
    """The house's own databases as the compose file names them, at this machine's address."""
    found = service("worker", given).environment
    address = f"{LOOPBACK}:{ports['5432']}"
    return {
        name: value.replace("postgres:5432", address)
        for name, value in found.items()
        if name.startswith("CHENGXIN_") and value and "@postgres:5432/" in value
    }


def composed(ports: dict[str, int], given: Mapping[str, str]) -> type[ComposedAirflow]:
    """The class with its ports and variables: `demo.day` makes the object."""
    return type("Composed", (ComposedAirflow,), {"ports": ports, "variables": given})


def free_ports() -> dict[str, int]:
    """A free port for each of the file's."""
    return {port: free_port() for port in PORTS}


class Metrics(threading.Thread):
    """Listens for StatsD's datagrams, and remembers the newest value of each series."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.port: int = self.socket.getsockname()[1]
        self.newest: dict[str, str] = {}

    def __enter__(self) -> Metrics:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        # An empty datagram is the end: closing alone would not wake the thread.
        self.socket.sendto(b"", (LOOPBACK, self.port))
        self.join(5)
        self.socket.close()

    def run(self) -> None:
        while datagram := self.socket.recv(65536):
            for line in datagram.decode().splitlines():
                name, _, value = line.partition(":")
                self.newest[name] = value
