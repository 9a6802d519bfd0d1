"""The mom of a node: it runs jobs there as their users, whatever becomes of the server and of sshd."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from .run import Run
from .wire import Message

PORT = 15002


class Mom:
    """The jobs of this node, and the server's line to it, if there is one."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._line: asyncio.StreamWriter | None = None

    async def serve(self, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        """A server has come, in the place of any that was there before."""
        if self._line is not None:
            self._line.close()
        self._line = line
        self._say({"say": "jobs", "jobs": [run.state() for run in self._runs.values()]})
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while text := await reader.readline():
                order = json.loads(text)
                if order:
                    self._obey(order)
        if self._line is line:
            self._line = None
        line.close()

    def _obey(self, order: Message) -> None:
        name = order["job"]
        run = self._runs.get(name)
        match order["do"]:
            case "start":
                if run is None:
                    run = self._runs[name] = Run(order, self._tell)
                    run.start()
            case "forget":
                if run is not None:
                    del self._runs[name]
                    run.forget()
            case "end" if run is not None:
                run.end()
            case "signal" if run is not None:
                run.signal(order["signal"])
            case "limit" if run is not None:
                run.limit(order["limit_s"])
            case _:
                pass
        if "number" in order:
            self._say({"say": "obeyed", "number": order["number"]})

    def _tell(self, run: Run) -> None:
        self._say({"say": "job", **run.state()})

    def _say(self, message: Message) -> None:
        # what is not heard now is told when the server comes again
        if self._line is not None and not self._line.is_closing():
            self._line.write(json.dumps(message).encode() + b"\n")


async def _live(ready: int) -> None:
    mom = Mom()
    # a script is one line
    server = await asyncio.start_server(mom.serve, "0.0.0.0", PORT, limit=1 << 26)
    os.write(ready, b"1")
    os.close(ready)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Go into the background, and say so once it listens."""
    for folder in ("jobs", "spool", "aux"):
        Path("/run/pbs", folder).mkdir(parents=True, exist_ok=True)
        Path("/run/pbs", folder).chmod(0o755)
    detach("pbs_mom", _run)


def _run(ready: int) -> None:
    asyncio.run(_live(ready))


def detach(name: str, live: Callable[[int], None]) -> None:
    """Become a daemon with a name; the process that was called ends once ``live`` has said that it is ready."""
    heard, ready = os.pipe()
    if os.fork():
        os.close(ready)
        os._exit(0 if os.read(heard, 1) else 1)
    os.close(heard)
    os.setsid()
    Path("/proc/self/comm").write_text(name)
    with contextlib.suppress(KeyboardInterrupt):
        live(ready)
    sys.exit(1)
