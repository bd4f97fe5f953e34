"""A loopback SMTP server that takes everything and keeps nothing: prints its port, ends with its input."""

from __future__ import annotations

import asyncio
import sys

from aiosmtpd.smtp import SMTP


class Sink:
    """Takes everything."""

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  # aiosmtpd's name
        """Takes a message."""
        return "250 2.0.0 taken"


async def main() -> None:
    """Serves until the parent is gone."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), data_size_limit=10**8), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
