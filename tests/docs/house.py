"""A place where a reader's commands can be typed: a daemon, a home and services of its own."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sessiond.client import Client, NoDaemon
from tests.docs.pages import ROOT

_SERVER = """\
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where commands are run."""

    folder: Path
    env: dict[str, str]

    def write(self, path: str, text: str) -> None:
        """Write a file, its folders too; ``path`` begins with ~/."""
        file = self.folder / path.removeprefix("~/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Type a command."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@contextmanager
def place() -> Iterator[Place]:
    """Make the place, and leave nothing of it: no session, no daemon, no file."""
    # Short, because a Unix socket's path may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="sd-docs-", dir="/tmp"))
    try:
        found = _furnished(folder)
        try:
            yield found
        finally:
            _end(Client(found.env["SOCK"]))
    finally:
        shutil.rmtree(folder)


def _furnished(folder: Path) -> Place:
    for name, words in {
        "sessionctl": [sys.executable, "-c", "from sessiond.cli.main import main; main()"],
        "sessiond": [sys.executable, "-m", "sessiond"],
        "curl": [sys.executable, str(Path(__file__).with_name("curl.py"))],
        "a-browser": ["true"],
    }.items():
        _program(folder / "bin" / name, words)
    _service(folder / "services")
    config = folder / "config.toml"
    config.write_text(
        f'[daemon]\ngateway = "127.0.0.1:0"\nservices_dirs = ["{folder}/services"]\n'
        f'[clusters.local]\nworkdir = "{folder}/work"\n'
    )
    env = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "LANG": "C.UTF-8",
        "BROWSER": "a-browser",
        "SESSIOND_CONFIG": str(config),
        "SESSIOND_STATE_DIR": str(folder / "state"),
        "SESSIOND_SOCKET": str(folder / "run" / "api.sock"),
        "SOCK": str(folder / "run" / "api.sock"),
    }
    return Place(folder=folder, env=env)


def _program(path: Path, words: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    path.chmod(0o755)


def _service(services: Path) -> None:
    """A small stand-in for the real JupyterLab, with the name and the parameters of the real one."""
    stand_in = services / "jupyterlab-host"
    stand_in.mkdir(parents=True)
    shutil.copy(ROOT / "services" / "jupyterlab-host" / "service.toml", stand_in)
    (stand_in / "server.py").write_text(_SERVER)
    (stand_in / "start-template.sh").write_text(
        'echo "serving on $servicePort"\n'
        f'exec {sys.executable} -I "$resource_jobdir/service/server.py" "$servicePort"\n'
    )
    (stand_in / "url.sh").write_text("export URLEND='lab\"'\n")


def _end(client: Client) -> None:
    """Stop what runs, and the daemon, and wait until it has gone."""
    try:
        status = client.status()
    except NoDaemon:
        return
    for session in client.sessions():
        client.stop(session["id"], force=True)
    events = client.events(0)
    while client.sessions():
        events.poll(1.0)
    events.close()
    watched = os.pidfd_open(status["pid"])
    try:
        os.kill(status["pid"], signal.SIGTERM)
        assert select.select([watched], [], [], 30)[0], "the daemon did not end"
    finally:
        os.close(watched)
