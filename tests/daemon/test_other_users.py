"""Another user of the same machine, who got hold of the cookie that a browser has for a session."""

from __future__ import annotations

import http.cookiejar
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from .workspace import PATIENCE_S, Workspace

STRANGER = 65534
MYSELF = "import socket, sys\n"
BECOME = f"import os, socket, sys; os.setgroups([]); os.setgid({STRANGER}); os.setuid({STRANGER})\n"
TRAP = """
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    with listener.accept()[0] as peer:
        seen = b""
        while b"\\r\\n\\r\\n" not in seen:
            seen += peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
print(*[line for line in seen.decode().splitlines() if line.startswith("Cookie: ")], flush=True)
"""
"""A server at a port of its own: it says which, and then the cookies that its only visitor brought."""
ASK = """
host, port, path, *headers = sys.argv[1:]
with socket.socket() as peer:
    peer.connect((host, int(port)))
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Connection: close", *headers, "", ""]
    peer.sendall("\\r\\n".join(lines).encode())
    while piece := peer.recv(65536):
        sys.stdout.buffer.write(piece)
"""


@contextmanager
def trap() -> Iterator[subprocess.Popen[str]]:
    """The stranger's server."""
    with subprocess.Popen([sys.executable, "-c", BECOME + TRAP], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server
        finally:
            server.kill()


def asked(before: str, *words: str) -> str:
    """What a program that is whoever ``before`` makes it gets for a request."""
    argv = [sys.executable, "-c", before + ASK, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_stolen_cookie_opens_nothing(workspace: Workspace) -> None:
    """A browser takes it to every port of 127.0.0.1, so it can be stolen; but only this user's programs come in."""
    workspace.daemon()
    url = str(workspace.start("tiny", name="lab")["url"])
    where = urlsplit(url)
    browser = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )
    with browser.open(url, timeout=PATIENCE_S) as page:
        assert page.read().startswith(b"tiny ")
    with trap() as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with browser.open(f"http://127.0.0.1:{port}{where.path}", timeout=PATIENCE_S) as page:
            assert 200 == page.status
        stolen = server.stdout.readline().strip()
    assert stolen.startswith("Cookie: sessiond_")
    at = (str(where.hostname), str(where.port), where.path)
    theirs, mine = asked(BECOME, *at, stolen), asked(MYSELF, *at, stolen)
    assert theirs.startswith("HTTP/1.1 403 ")
    assert "belongs to another user of this machine" in theirs
    assert mine.startswith("HTTP/1.1 200 ")
    for token in (f"{where.path}?{where.query}", f"{where.path}nothing"):
        assert asked(BECOME, *at[:2], token, stolen).startswith("HTTP/1.1 403 ")
    assert "tiny " in asked(MYSELF, *at[:2], f"{where.path}?{where.query}")
