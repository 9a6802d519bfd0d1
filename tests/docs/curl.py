"""As much of curl as the documentation uses, so that its examples can be run where there is no curl."""

from __future__ import annotations

import argparse
import http.client
import socket
import sys
from urllib.parse import urlsplit


class _Connection(http.client.HTTPConnection):
    """HTTP through a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of the host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def main() -> int:
    """Ask, print the body, and end with 22 where the status is 400 or above (curl does so with --fail)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-d", dest="data")
    parser.add_argument("--unix-socket", required=True)
    parser.add_argument("url")
    given = parser.parse_args()
    url = urlsplit(given.url)
    connection = _Connection(given.unix_socket)
    method = given.method or ("GET" if given.data is None else "POST")
    connection.request(method, url.path + (f"?{url.query}" if url.query else ""), body=given.data)
    answer = connection.getresponse()
    sys.stdout.buffer.write(answer.read())
    return 0 if answer.status < 400 else 22


if __name__ == "__main__":
    raise SystemExit(main())
