"""A stand-in for RStudio's rserver: its options, its way to its sign-in page, and whom it asks about a password.

The page has what RStudio's has (2022.07): the two fields by their ids, a form of its own, and the HTML of the option
auth-login-page-html at its end.
"""

from __future__ import annotations

import html
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

OPTIONS = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
PAGE = """<!DOCTYPE html><html><head><title>RStudio Sign In</title></head><body>
<form method="POST" action="{action}"><input type="text" name="username" id="username"/>
<input type="password" name="password" id="password"/><button type="submit">Sign In</button></form>
<div id="login-html">{more}</div></body></html>"""


class Handler(BaseHTTPRequestHandler):
    """What a browser meets."""

    def do_GET(self) -> None:
        """Everything leads to the sign-in page."""
        root = OPTIONS["www-root-path"]
        if not self.path.startswith("/auth-sign-in"):
            self.send_response(302)
            self.send_header("Location", f"{root}/auth-sign-in?appUri=%2F")
            self.end_headers()
            return
        more = Path(OPTIONS["auth-login-page-html"]).read_text()
        self._answer(200, PAGE.format(action=f"{root}/auth-do-sign-in", more=more))

    def do_POST(self) -> None:
        """The helper decides."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        user, password = form["username"][0], form["password"][0]
        done = subprocess.run([OPTIONS["auth-pam-helper-path"], user], input=password, text=True, check=False)
        title = f"welcome {user}" if done.returncode == 0 else "wrong"
        self._answer(200 if done.returncode == 0 else 401, f"<title>{html.escape(title)}</title>")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(text.encode())


if OPTIONS["auth-none"] == "0":
    ThreadingHTTPServer((OPTIONS["www-address"], int(OPTIONS["www-port"])), Handler).serve_forever()
