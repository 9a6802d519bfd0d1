"""Services that speak https, with a certificate nobody vouches for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import services
from .workspace import Workspace, fetch

CERTIFICATE = Path(__file__).parents[1] / "gateway" / "node.pem"
SERVE = """
exec python3 -c '
import http.server, ssl, sys
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(" ".join([self.path, self.headers.get("X-Forwarded-Prefix", "")]).encode())
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hello)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("service/node.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
' "${servicePort}"
"""


def test_a_service_that_speaks_https(workspace: Workspace) -> None:
    """One of the old name, and one whose service.toml says so: ready, reached at /sme, and from /me sent there."""
    for name, manifest in (("nicedcv", ""), ("secure", 'scheme = "https"\n')):
        folder = workspace.services / name
        services.write(folder, SERVE, url='export URLEND="x?base=${sessiond_base}\\""\n', manifest=manifest)
        shutil.copy(CERTIFICATE, folder / "node.pem")
    workspace.daemon()
    for name in ("nicedcv", "secure"):
        session = workspace.start(name)
        root, url = f"/sme/{session['open_port']}", str(session["url"])
        assert f"{root}/x?base={root}&" in url
        assert (200, f"/x?base={root} {root}") == fetch(url)
        assert (200, f"/x?base={root} {root}") == fetch(url.replace("/sme/", "/me/", 1))
        fields = json.loads((workspace.state / "sessions" / session["id"] / "service.json").read_text())
        assert ("/sme", "Running") == (fields["URL"], fields["JOB_STATUS"])
        workspace.stop(name)
    assert '"level": "error"' not in workspace.log.read_text()
