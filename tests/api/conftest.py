"""A real daemon for the tests of the API: its own home, its own socket, ended and cleaned up afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

SERVICES = {
    "web": (
        'exec python3 -c "\nimport http.server, os\n'
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers()\n"
        "http.server.HTTPServer(('127.0.0.1', int('$servicePort')), H).serve_forever()\"\n"
    ),
    "chatty": 'echo "my token is $service_token"\necho "the end" >&2\nexit 3\n',
    "slow": "for n in 1 2 3 4 5; do echo line $n; sleep 0.1; done\n",
}


@dataclass(frozen=True, slots=True)
class House:
    """A running daemon and where its things are."""

    root: Path
    socket: Path
    pid: int

    def log(self) -> str:
        """What it has logged so far."""
        return (self.root / "daemon.log").read_text()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One daemon for a module's tests."""
    root = Path(tempfile.mkdtemp(prefix="sd-api-"))
    try:
        yield from _running(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _running(root: Path) -> Iterator[House]:
    services = root / "config" / "sessiond" / "services"
    for name, script in SERVICES.items():
        (services / name).mkdir(parents=True)
        (services / name / "start-template.sh").write_text(script)
        (services / name / "url.sh").write_text('export URLEND="?token=$service_token\\""\n')
    (root / "config" / "sessiond" / "config.toml").write_text('[daemon]\ngateway = "127.0.0.1:0"\n')
    path = root / "api.sock"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SESSIOND_", "XDG_"))}
    env = inherited | {
        "HOME": str(root),
        "XDG_CONFIG_HOME": str(root / "config"),
        "SESSIOND_STATE_DIR": str(root / "state"),
        "SESSIOND_SOCKET": str(path),
    }
    with (root / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "sessiond", "--log", "json"], env=env, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        _await_socket(path, daemon)
        yield House(root, path, daemon.pid)
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert 0 == daemon.wait(30)


def _await_socket(path: Path, daemon: subprocess.Popen[bytes]) -> None:
    """Wait until it answers; its socket is there before it does, so only a connection tells."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        assert daemon.poll() is None, "the daemon ended at once"
        with socket.socket(socket.AF_UNIX) as trial:
            if trial.connect_ex(str(path)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the daemon does not answer")


class Api:
    """A client of the daemon."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def ask(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        """One request: status and JSON (None where there is no body)."""
        async with self.http.request(method, f"http://sessiond{path}", json=body, **more) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else None

    async def error(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, str, str]:
        """A request that is refused: status, code, message. Every refusal has the same three fields."""
        status, answer = await self.ask(method, path, body, **more)
        assert ["error"] == list(answer)
        assert {"code", "message", "hint"} == set(answer["error"])
        return status, answer["error"]["code"], answer["error"]["message"]

    async def start(self, service: str, **more: object) -> Any:
        """Start a session."""
        status, session = await self.ask("POST", "/v1/sessions", {"service": service, **more})
        assert 201 == status, session
        return session

    async def events(self, since: int, until: tuple[str, str]) -> list[Any]:
        """The events after ``since``, to the one by which session ``until[0]`` is in state ``until[1]``."""
        found = []
        async with self.http.get(f"http://sessiond/v1/events?since={since}") as response:
            async for line in response.content:
                if line.strip():
                    found.append(json.loads(line))
                    if (found[-1]["session"], found[-1]["to_state"]) == until:
                        return found
        pytest.fail(f"the stream ended after {found}")

    async def reaches(self, session: Any, state: str) -> Any:
        """Wait until a session is in a state; the session then."""
        await self.events(0, (session["id"], state))
        return (await self.ask("GET", f"/v1/sessions/{session['id']}"))[1]

    async def over(self) -> Any:
        """A session of the service ``slow`` that has ended; the same for all tests of a module."""
        known = [s for s in (await self.ask("GET", "/v1/sessions?all=1"))[1] if s["service"] == "slow" and s["ended"]]
        return known[0] if known else await self.reaches(await self.start("slow"), "ended")

    async def stop(self, session: Any) -> Any:
        """Stop a session and wait for its end."""
        assert 202 == (await self.ask("POST", f"/v1/sessions/{session['id']}/stop", {"force": True}))[0]
        return await self.reaches(session, "ended")


@pytest.fixture
async def api(house: House) -> AsyncIterator[Api]:
    """A client with a connection of its own."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(house.socket)), timeout=timeout) as http:
        yield Api(http)
