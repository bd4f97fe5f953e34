"""Servers as processes of their own, which end when the one that started them ends, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn

from chengxin.errors import ChengxinError

LOOPBACK = "127.0.0.1"


class ServiceStartError(ChengxinError):
    """A part of the sandbox does not come up."""

    cause = "sandbox"


class Child:
    """A process that runs `module` and says on its first line of output where it listens.

    Its standard input is a pipe that nobody writes to: it closes when this process ends, even by SIGKILL, and the child
    ends then.
    """

    def __init__(
        self, module: str, arguments: list[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.module, self.log = module, log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(  # noqa: S603  # our own modules
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                # Ctrl-C goes to the parent, which ends its children in order.
                start_new_session=True,
            )

    def address(self, timeout: float = 60.0) -> dict[str, Any]:
        """What the child says about where it listens.

        Raises:
            ServiceStartError: it ended, or said nothing for so many seconds.
        """
        output = self.process.stdout
        assert output is not None
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            ready, _, _ = select.select([output], [], [], 0.2)
            line = output.readline() if ready else b""
            if line:
                address: dict[str, Any] = json.loads(line)
                return address
            if ready or self.process.poll() is not None:
                break
        self.end()
        tail = self.log.read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise ServiceStartError(
            f"{self.module} does not start",
            where=str(self.log),
            why=tail[0] if tail else f"it said nothing for {timeout:.0f} s",
            remedy="read the log named above",
        )

    def end(self, grace: float = 3.0) -> None:
        """Ends the process; SIGKILL after the grace (seconds)."""
        with contextlib.suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


async def serve(app: Any, **more: int) -> None:
    """Serves an ASGI application on a free loopback port until the parent is gone.

    Args:
        app: the application.
        more: further ports to tell the parent, by name.
    """
    listener = socket.create_server((LOOPBACK, 0), backlog=256)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()

    def leave() -> None:
        server.should_exit = True

    def watch() -> None:
        # Reads until the parent's end of the pipe is closed; nothing is ever written to it.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(leave)

    threading.Thread(target=watch, daemon=True).start()
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1], **more}) + "\n")
    sys.stdout.flush()
    await server.serve([listener])
