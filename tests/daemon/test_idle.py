"""A real daemon with little patience: a session that nobody uses is warned and ended, one that is used is not."""

from __future__ import annotations

import socket
import sys
from urllib.parse import urlsplit

import pytest

from sessiond.api.wire import Session

from . import services
from .workspace import PATIENCE_S, Workspace, fetch

QUIET = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        upgrade = "Upgrade" in self.headers
        self.send_response(101 if upgrade else 200)
        if upgrade:
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "websocket")
        else:
            self.send_header("Content-Length", "0")
        self.end_headers()
        if upgrade:
            self.rfile.read()
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""It waits on every connection for as long as its client says nothing, and grants WebSockets, on which it is silent."""
START = f'exec "{sys.executable}" -I -S "${{resource_jobdir}}/service/quiet.py" "${{servicePort}}"\n'
KILL = 'echo ran >> "${HOME}/killed"\n'
SOON = ("[idle]", 'after = "3s"', 'warn = "2s"')
ANNOUNCED = ("[idle]", 'after = "10m"', 'warn = "9m59s"')
"""Warned after a second, and then nothing happens for as long as a test may take."""


@pytest.fixture
def here(workspace: Workspace) -> Workspace:
    """A world with a service that is quiet."""
    services.write(workspace.services / "quiet", START, kill=KILL)
    (workspace.services / "quiet" / "quiet.py").write_text(QUIET)
    return workspace


def reload(here: Workspace, *more: str) -> None:
    """Have the daemon take another configuration."""
    here.configure(*more)
    assert 0 == here.ctl("reload").status


def announced(here: Workspace, name: str) -> Session:
    """Wait until a session's end for idleness is announced."""
    found = here.until_so(name, lambda one: one["idle_ends_by"] is not None or one["state"] == "ended")
    assert "running" == found["state"]
    return found


def kept(here: Workspace, name: str) -> None:
    """Wait until that is taken back."""
    assert "running" == here.until_so(name, lambda one: one["idle_ends_by"] is None)["state"]


def knock(session: Session, *, through_gateway: bool) -> socket.socket:
    """A connection to a session that says nothing: at its own port as it is, through the gateway as a WebSocket."""
    if not through_gateway:
        return socket.create_connection(("127.0.0.1", session["open_port"]))
    url = urlsplit(str(session["url"]))
    peer = socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=PATIENCE_S)
    head = f"GET {url.path}ws?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nOrigin: http://{url.netloc}\r\n"
    more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    peer.sendall(f"{head}{more}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    assert peer.recv(65536).startswith(b"HTTP/1.1 101 ")
    return peer


def test_a_session_that_nobody_uses_ends(here: Workspace) -> None:
    """In order: announced, in `ls`, `show` and the story; kept by a look at its page; then ended by its kill script."""
    here.configure(*ANNOUNCED)
    here.daemon()
    session = here.start("quiet", name="lonely")
    warned = announced(here, "lonely")
    assert "attention" == warned["severity"]
    assert warned["phrase"].startswith("running, but unused: it ends in 9 min")
    assert "unused" in here.ctl("ls").out
    assert "unless used" in here.ctl("show", "lonely").out
    assert 200 == fetch(f"http://127.0.0.1:{session['open_port']}/")[0]
    # it may be announced anew a second later
    here.until_so("lonely", lambda _: "it was used again" in here.story("lonely"))
    with knock(session, through_gateway=False):
        kept(here, "lonely")
        reload(here, *SOON)
    ended = here.cleaned("lonely")
    assert ("idle", "ended: idle", "ok") == (ended["outcome"], ended["phrase"], ended["severity"])
    told = here.ctl("why", "lonely").out
    for words in ("unless somebody does", "it was used again", "it was idle for too long; its kill script runs"):
        assert words in told
    assert 1 == here.killed()
    assert [] == here.traces(ended)


@pytest.mark.parametrize("through_gateway", [False, True], ids=["own-port", "websocket"])
def test_an_open_connection_keeps_it(here: Workspace, through_gateway: bool) -> None:
    """However silent, while another one ends; and turning it off takes back what was announced."""
    here.configure()
    here.daemon()
    session = here.start("quiet", name="watched")
    here.start("quiet", name="lonely")
    with knock(session, through_gateway=through_gateway):
        reload(here, *SOON)
        assert "idle" == here.until("lonely", "ended")["outcome"]
        watched = here.client.session("watched")
        assert ("running", None) == (watched["state"], watched["idle_ends_by"])
        reload(here, *ANNOUNCED)
    announced(here, "watched")
    reload(here)
    kept(here, "watched")
    here.stop("watched")
