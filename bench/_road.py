"""The way from a browser to a session's service, hop by hop: its port, the session's own, the gateway."""

from __future__ import annotations

import http.client
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from _house import House

MIB = 256
GETS = 300
POSTS = 100

SERVICE = """\
import asyncio, socket, sys
sys.path.insert(0, sys.argv[2])
import _service
async def serve():
    async with _service._service(socket.create_server(("127.0.0.1", int(sys.argv[1])))):
        await asyncio.Event().wait()
asyncio.run(serve())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """Figures of one way: median milliseconds of a GET and of a POST, MiB a second of a download."""

    name: str
    get_ms: float
    post_ms: float
    mib_s: float


def roads(found: House) -> list[Road]:
    """Start a service that answers at full speed, and measure the three ways to it."""
    folder = found.folder / "services" / "road"
    if not folder.is_dir():
        folder.mkdir()
        (folder / "serve.py").write_text(SERVICE)
        (folder / "start-template.sh").write_text(
            f'exec "{sys.executable}" "$resource_jobdir/service/serve.py" "$servicePort" "{Path(__file__).parent}"\n'
        )
        found.client.reload()
    session = found.client.start({"service": "road"})
    found.until(lambda: found.client.session(session["id"])["state"] == "running", 60, every_s=0.05)
    session = found.client.session(session["id"])
    url = urlsplit(session["url"] or "")
    ways = [
        _measured("the service's own port", session["service_port"] or 0, "", ""),
        _measured("the session's port", session["open_port"], "", ""),
        _measured("the gateway", url.port or 0, url.path.rstrip("/"), url.query),
    ]
    found.client.stop(session["id"])
    found.until(lambda: found.client.session(session["id"])["state"] == "ended", 60, every_s=0.05)
    return ways


def _measured(name: str, port: int, base: str, token: str) -> Road:
    # A name of this machine, because the gateway answers to no other.
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    hello = f"{base}/hello?{token}"
    gets = [_ask(line, "GET", hello, 5) for _ in range(GETS + 20)][20:]
    posts = [_ask(line, "POST", hello, 5) for _ in range(POSTS + 20)][20:]
    best = min(_ask(line, "GET", f"{base}/give?size={MIB << 20}&{token}", MIB << 20) for _ in range(3))
    line.close()
    return Road(
        name=name,
        get_ms=statistics.median(gets) * 1000,
        post_ms=statistics.median(posts) * 1000,
        mib_s=MIB / best,
    )


def _ask(line: http.client.HTTPConnection, method: str, target: str, size: int) -> float:
    began = time.perf_counter()
    line.request(method, target, body=b"x" if method == "POST" else None)
    answer = line.getresponse()
    got = 0
    while chunk := answer.read(1 << 18):
        got += len(chunk)
    if answer.status != 200 or got != size:
        raise SystemExit(f"{method} {target.partition('?')[0]}: status {answer.status}, {got} bytes")
    return time.perf_counter() - began
