"""The whole outside world on loopback: sharing platform, front database, file drop, mail catcher."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import make_url

from chengxin.errors import ConfigError
from chengxin.sandbox import drop, frontdb, pages
from chengxin.sandbox.child import LOOPBACK, Child
from chengxin.sandbox.mailbox import Mailbox
from chengxin.sandbox.portal import APP_ID
from chengxin.sandbox.shapes import SOURCES
from chengxin.sandbox.story import Told
from chengxin.sandbox.world import World


class Sandbox:
    """Starts everything on free loopback ports, and ends it on leaving.

    >>> with Sandbox(folder, subjects=500, day=date(2026, 6, 15)) as sandbox:  # doctest: +SKIP
    ...     os.environ.update(sandbox.environment())

    Args:
        root: folder of its own: pages, front database, drop folder, mails, logs.
        seed: see `world.World`, as for `subjects`, `day`, `registry`, `matters`, `story`, `clean`.
        front_url: SQLAlchemy URL of the front database; empty: SQLite in the folder.
    """

    def __init__(
        self,
        root: Path,
        *,
        seed: int = 1,
        subjects: int = 2000,
        day: date,
        registry: Path | None = None,
        matters: int | None = None,
        story: Iterable[Told] = (),
        clean: bool = False,
        front_url: str = "",
    ) -> None:
        self.root = root.resolve()
        self.world = World(seed, subjects, day, registry, matters=matters, story=story, clean=clean)
        self.front_url = front_url or f"sqlite:///{self.root / 'front.db'}"
        self._secret = secrets.token_hex(32)
        self._children: list[Child] = []
        self._ports: dict[str, int] = {}
        self._mailbox = Mailbox(self.root / "mail")

    def __enter__(self) -> Sandbox:
        try:
            self._publish()
            portal = Child(
                "chengxin.sandbox.portal",
                [str(self._pages), self.world.day.isoformat()],
                self.root / "portal.log",
                {"SANDBOX_PORTAL_SECRET": self._secret},
            )
            self._children.append(portal)
            mail = Child("chengxin.sandbox.mailbox", [str(self._mailbox.folder)], self.root / "mailbox.log")
            self._children.append(mail)
            self._ports["portal"] = portal.address()["port"]
            listening = mail.address()
            self._ports["mail"], self._ports["smtp"] = listening["port"], listening["smtp"]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def day(self) -> date:
        """The day it is out there."""
        return self.world.day

    @property
    def portal_url(self) -> str:
        """Base address of the sharing platform."""
        return f"http://{LOOPBACK}:{self._ports['portal']}"

    @property
    def mail_url(self) -> str:
        """The mail catcher's page."""
        return f"http://{LOOPBACK}:{self._ports['mail']}"

    @property
    def drop_folder(self) -> Path:
        """Where files are dropped."""
        return self.root / "drop"

    def environment(self) -> dict[str, str]:
        """The connections, as the environment variables that Airflow and `chengxin` read."""
        connections: dict[str, dict[str, Any]] = {
            "SHARING_PORTAL": {
                "conn_type": "http",
                "host": LOOPBACK,
                "port": self._ports["portal"],
                "schema": "http",
                "login": APP_ID,
                "password": self._secret,
            },
            "FRONT_DB": connection_to(self.front_url),
            "FILE_DROP": {"conn_type": "fs", "extra": {"path": str(self.drop_folder)}},
            "SMTP_DEFAULT": {
                "conn_type": "smtp",
                "host": LOOPBACK,
                "port": self._ports["smtp"],
                "extra": {"disable_tls": True, "disable_ssl": True},
            },
        }
        return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in connections.items()}

    def set_day(self, day: date) -> None:
        """Moves the world to another day: new pages, the front database filled anew, the day's files dropped."""
        self.world = self.world.at(day)
        self._publish()
        self._admin("day", {"day": day.isoformat()})

    def fail(self, path: str, kind: str, *, times: int | None = None, seconds: float = 120.0) -> None:
        """Makes the sharing platform ill.

        Args:
            path: a source's name or path; `*`: all.
            kind: see `portal.Fault`.
            times: for how many answers; None: until `heal`.
            seconds: of silence, for `timeout`.
        """
        place = SOURCES[path].place if path in SOURCES else path
        self._admin("faults", {"path": place, "kind": kind, "times": times, "seconds": seconds})

    def heal(self) -> None:
        """Switches all faults off."""
        self._admin("faults", None, "DELETE")

    def messages(self) -> list[EmailMessage]:
        """Every mail caught so far, oldest first; `Delivered-To` names the envelope's recipients."""
        return [caught.message for caught in self._mailbox.all()]

    @property
    def _pages(self) -> Path:
        return self.root / "pages"

    def _publish(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        tables = {name: self.world.source(name) for name, source in SOURCES.items() if source.place}
        by_transport: Mapping[str, list[str]] = {
            transport: [name for name in tables if SOURCES[name].transport == transport]
            for transport in ("portal", "database", "files")
        }
        pages.write(
            self._pages / self.day.isoformat(), {SOURCES[name].place: tables[name] for name in by_transport["portal"]}
        )
        frontdb.fill(self.front_url, {SOURCES[name].place: tables[name] for name in by_transport["database"]})
        for name in by_transport["files"]:
            drop.write(self.drop_folder, SOURCES[name].place, self.day, tables[name])

    def _admin(self, what: str, body: object, method: str = "POST") -> None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.portal_url}/admin/{what}", data, method=method)  # noqa: S310
        # Loopback never goes through a proxy.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60):
            pass

    def _end(self) -> None:
        for child in self._children:
            child.end()
        self._children.clear()


def connection_to(url: str) -> dict[str, Any]:
    """Airflow's notation of a SQLAlchemy URL (SQLite, PostgreSQL, MySQL or MariaDB).

    Raises:
        ConfigError: another kind of database.
    """
    parts = make_url(url)
    kind = parts.get_backend_name()
    if kind == "sqlite":
        return {"conn_type": "sqlite", "host": parts.database}
    types = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}
    if kind not in types:
        raise ConfigError(
            f"no front database of the kind {kind!r}",
            where="Sandbox(front_url=…)",
            remedy="SQLite, PostgreSQL, MySQL or MariaDB",
        )
    return {
        "conn_type": types[kind],
        "host": parts.host,
        "port": parts.port,
        "login": parts.username,
        "password": parts.password,
        "schema": parts.database,
        # A folder with the server's socket stands in the URL's query.
        "extra": {"host": parts.query["host"]} if "host" in parts.query else {},
    }
