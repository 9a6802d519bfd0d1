"""Tiny services, each a folder with as little in it as its behaviour needs."""

from __future__ import annotations

import sys
from pathlib import Path

# server.py WHAT ADDRESS: answers every request with 200 and, for `tiny`, its own pid, for `where` its host, its run of
# the job and where it listens: at HOST:PORT or on a Unix socket. Without the site module it starts in a moment.
_SERVER = """
import os, socket, sys
what, address = sys.argv[1:]
if address.startswith("/"):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
else:
    host, port = address.split(":")
    listener = socket.create_server((host, int(port)), backlog=64)
if what == "tiny":
    body = f"tiny {os.getpid()}".encode()
else:
    body = f"{os.uname().nodename} run {os.environ['SESSIOND_RUN']} at {listener.getsockname()!r}".encode()
while True:
    with listener.accept()[0] as peer:
        peer.settimeout(2)
        try:
            seen = b""
            while b"\\r\\n\\r\\n" not in seen and (piece := peer.recv(65536)):
                seen += piece
            head = f"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: {len(body)}\\r\\n"
            peer.sendall(head.encode() + b"Connection: close\\r\\n\\r\\n" + body)
        except OSError:
            pass
"""

SERVER = f'"{sys.executable}" -I -S "${{resource_jobdir}}/service/server.py"'
"""The shell's words for the server; what it says and where it listens follow."""
SERVE = f'{SERVER} tiny "127.0.0.1:${{servicePort}}"'
"""The server in the foreground, on loopback."""
BOUND = '"${SESSIOND_BIND}:${servicePort}"'
"""The address at which the session is told to listen."""

COUNT = 'echo "$(date +%s%N)" >> "${HOME}/started"\n'

_KILL = 'echo ran >> "${HOME}/killed"\n'

URL = 'export URLEND="?token=${service_token}\\""\n'


def write(
    folder: Path, start: str | None, *, controller: str = "", kill: str = "", url: str = "", manifest: str = ""
) -> None:
    """A service's folder. ``start`` None: without its start template."""
    folder.mkdir(parents=True)
    (folder / "server.py").write_text(_SERVER)
    for name, text in (
        ("start-template.sh", start),
        ("controller.sh", controller),
        ("kill-template.sh", kill),
        ("url.sh", url),
        ("service.toml", manifest),
    ):
        if text:
            (folder / name).write_text(text)


def write_all(root: Path) -> None:
    """Every tiny service below ``root``."""
    write(root / "tiny", f"{COUNT}exec {SERVE}\n", url=URL)
    write(root / "careful", f"{COUNT}{SERVE}\n", kill=_KILL)
    write(root / "brief", "echo 'that was all'\n", kill=_KILL)
    write(root / "seven", "echo 'the first line'\necho 'the last line' >&2\nexit 7\n")
    write(root / "says", "displayErrorMessage 'the licence server does not answer'\n")
    write(root / "deep", "found=$( (displayErrorMessage 'deep inside: no licence') )\nsleep 600\n")
    write(root / "mute", "sleep 600\n", manifest='ready_within = "2s"\n')
    write(root / "killed", "kill -KILL $$\n")
    write(
        root / "family",
        f"setsid bash -c 'setsid sleep 600 & sleep 600' &\nsetsid -f sleep 600\n{COUNT}{SERVE}\n",
    )
    write(root / "deaf", f"trap '' TERM INT HUP\n{SERVE} &\nwhile :; do wait; sleep 0.2; done\n")
    write(root / "hanging", f"{SERVE}\n", kill='echo ran >> "${HOME}/killed"\nsleep 600\n')
    write(
        root / "slow",
        f"{SERVE}\n",
        kill='echo ran >> "${HOME}/killed"\nsleep 3\necho "its kill template is done"\n',
    )
    write(root / "template-less", None)
    write(
        root / "strict",
        f"{SERVE}\n",
        manifest='title = "Strict"\n[params.service_colour]\noptions = ["red", "blue"]\ndefault = "red"\n'
        '[params.service_size]\ntype = "integer"\nmin = 1\nmax = 9\n',
    )
